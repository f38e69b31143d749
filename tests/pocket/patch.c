#include "tests/pocket/patch.h"

#include <stdint.h>
#include <string.h>

#include "base/sv.h"

enum { MAX_SEGMENT = 1024 };

void patch_merge(cJSON *target, const cJSON *patch)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, patch)
    {
        cJSON *old = cJSON_GetObjectItemCaseSensitive(target, entry->string);

        if (cJSON_IsNull(entry)) {
            cJSON_DeleteItemFromObjectCaseSensitive(target, entry->string);
        } else if (cJSON_IsObject(entry)) {
            if (!cJSON_IsObject(old)) {
                /* Also where nothing stood: nulls inside the patch are not taken over. */
                cJSON_DeleteItemFromObjectCaseSensitive(target, entry->string);
                old = cJSON_AddObjectToObject(target, entry->string);
            }
            patch_merge(old, entry);
        } else {
            cJSON_DeleteItemFromObjectCaseSensitive(target, entry->string);
            cJSON_AddItemToObject(target, entry->string, cJSON_Duplicate(entry, true));
        }
    }
}

/* ---- JSON patch ---- */

/* Takes the next segment of a pointer, its escapes undone. */
static bool next_segment(struct sv *rest, char segment[static MAX_SEGMENT])
{
    struct sv piece;
    size_t n = 0;

    if (!sv_next(rest, '/', &piece))
        return false;
    for (size_t i = 0; i < piece.len && n < MAX_SEGMENT - 1; i++) {
        char c = piece.at[i];

        if (c == '~' && i + 1 < piece.len)
            c = piece.at[++i] == '1' ? '/' : '~';
        segment[n++] = c;
    }
    segment[n] = '\0';
    return true;
}

static cJSON *child(cJSON *parent, const char *segment)
{
    uint64_t index;

    if (cJSON_IsObject(parent))
        return cJSON_GetObjectItemCaseSensitive(parent, segment);
    if (cJSON_IsArray(parent) && sv_to_u64(sv_from(segment), &index) && index < INT32_MAX)
        return cJSON_GetArrayItem(parent, (int)index);
    return NULL;
}

/* Walks to what holds the pointer's last segment. NULL: there is no such thing. */
static cJSON *walk(cJSON *root, struct sv pointer, char last[static MAX_SEGMENT])
{
    struct sv rest = sv_skip(pointer, 1);
    cJSON *at = root;

    if (pointer.len == 0 || pointer.at[0] != '/' || !next_segment(&rest, last))
        return NULL;
    while (rest.len != 0) {
        at = child(at, last);
        if (at == NULL || !next_segment(&rest, last))
            return NULL;
    }
    return at;
}

static bool add(cJSON *parent, const char *segment, const cJSON *value)
{
    cJSON *copy;
    uint64_t index;

    if (value == NULL)
        return false;
    copy = cJSON_Duplicate(value, true);
    if (cJSON_IsObject(parent)) {
        cJSON_DeleteItemFromObjectCaseSensitive(parent, segment);
        return cJSON_AddItemToObject(parent, segment, copy);
    }
    if (cJSON_IsArray(parent) && strcmp(segment, "-") == 0)
        return cJSON_AddItemToArray(parent, copy);
    if (cJSON_IsArray(parent) && sv_to_u64(sv_from(segment), &index) &&
        index <= (uint64_t)cJSON_GetArraySize(parent))
        return cJSON_InsertItemInArray(parent, (int)index, copy);
    cJSON_Delete(copy);
    return false;
}

static bool replace(cJSON *parent, const char *segment, const cJSON *value)
{
    cJSON *old = child(parent, segment);
    cJSON *copy;

    if (old == NULL || value == NULL)
        return false;
    copy = cJSON_Duplicate(value, true);
    /* The copy is called "value" as yet; only this call names it anew. */
    if (cJSON_IsObject(parent))
        return cJSON_ReplaceItemInObjectCaseSensitive(parent, segment, copy);
    return cJSON_ReplaceItemViaPointer(parent, old, copy);
}

static bool drop(cJSON *parent, const char *segment)
{
    cJSON *old = child(parent, segment);

    if (old == NULL)
        return false;
    cJSON_Delete(cJSON_DetachItemViaPointer(parent, old));
    return true;
}

static bool holds(cJSON *parent, const char *segment, const cJSON *value)
{
    cJSON *found = parent != NULL ? child(parent, segment) : NULL;

    if (found == NULL)
        return value == NULL || cJSON_IsNull(value);
    return value != NULL && cJSON_Compare(found, value, true);
}

static bool apply(cJSON *target, const cJSON *step, struct err *err)
{
    const char *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(step, "op"));
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(step, "path"));
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(step, "value");
    char last[MAX_SEGMENT] = "";
    cJSON *parent;
    bool ok;

    if (op == NULL || path == NULL)
        return err_set(err, ERR_INPUT, 0, "found a step without op or path");
    parent = walk(target, sv_from(path), last);
    if (strcmp(op, "test") == 0)
        ok = holds(parent, last, value);
    else if (parent == NULL)
        ok = false;
    else if (strcmp(op, "add") == 0)
        ok = add(parent, last, value);
    else if (strcmp(op, "replace") == 0)
        ok = replace(parent, last, value);
    else if (strcmp(op, "remove") == 0)
        ok = drop(parent, last);
    else
        return err_set(err, ERR_INPUT, 0, "found op '%.20s', expected add, remove, replace or test",
                       op);
    return ok || err_set(err, ERR_CONFLICT, 0, "%s %.100s does not apply", op, path);
}

bool patch_json(cJSON *target, const cJSON *patch, struct err *err)
{
    const cJSON *step;

    if (!cJSON_IsArray(patch))
        return err_set(err, ERR_INPUT, 0, "found no list of steps");
    cJSON_ArrayForEach(step, patch)
    {
        if (!apply(target, step, err))
            return false;
    }
    return true;
}

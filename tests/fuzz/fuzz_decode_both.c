#include <cjson/cJSON.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/pocket/encode.h"
#include "tests/unit/agent/samples.h"

enum { TEXT_MAX = 4 << 20, MAX_NUMBER = 1 << 30 };

/* In JSON a quantity may be a number and have blanks around it; in protobuf it is the text alone. */
static void make_quantities(cJSON *map)
{
    for (cJSON *child = map->child, *next; child != NULL; child = next) {
        char *text = cJSON_IsString(child) ? cJSON_GetStringValue(child) : NULL;
        char *printed = text == NULL ? cJSON_PrintUnformatted(child) : NULL;
        char *plain = sv_dup(sv_trim(sv_from(text != NULL ? text : printed)));

        next = child->next;
        if (cJSON_IsString(child) || cJSON_IsNumber(child))
            (void)cJSON_ReplaceItemInObjectCaseSensitive(map, child->string,
                                                         cJSON_CreateString(plain));
        free(plain);
        cJSON_free(printed);
    }
}

static bool holds_quantities(const cJSON *item)
{
    static const char *const keys[] = {"requests", "limits", "overhead", "allocatable",
                                       "allocatedResources"};

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (cJSON_IsObject(item) && item->string != NULL && strcmp(item->string, keys[i]) == 0)
            return true;
    }
    return false;
}

static void make_number(cJSON *item)
{
    if (!(item->valuedouble > -MAX_NUMBER && item->valuedouble < MAX_NUMBER))
        cJSON_SetNumberValue(item, 0);
    cJSON_SetNumberValue(item, item->valueint);
}

/*
 * Makes the tree one that both forms can say: each key once, whole numbers that a double holds, no null (which is absent in
 * protobuf, in lists too).
 */
static void make_plain(cJSON *item)
{
    if (cJSON_IsNumber(item))
        make_number(item);
    for (cJSON *child = item->child, *next; child != NULL; child = next) {
        next = child->next;

        bool twice =
            child->string != NULL && cJSON_GetObjectItemCaseSensitive(item, child->string) != child;

        if (twice || cJSON_IsNull(child))
            cJSON_Delete(cJSON_DetachItemViaPointer(item, child));
        else
            make_plain(child);
    }
    if (holds_quantities(item))
        make_quantities(item);
}

struct pair {
    struct decoder json, pb;
    struct sv json_text, pb_text;
};

static void check_pod(struct pair *p)
{
    struct pod_record a, b;
    char difference[DIFFERENCE_SIZE] = "";
    struct err err = {0};

    if (!decode_pod(&p->json, DECODE_JSON, p->json_text, &a, NULL))
        return;
    if (!decode_pod(&p->pb, DECODE_PROTOBUF, p->pb_text, &b, &err))
        fuzz_fail(err.text);
    pods_differ(&a, &b, difference);
    if (difference[0] != '\0')
        fuzz_fail(difference);
}

static void check_node(struct pair *p)
{
    struct node_record a, b;
    char difference[DIFFERENCE_SIZE] = "";
    struct err err = {0};

    if (!decode_node(&p->json, DECODE_JSON, p->json_text, &a, NULL))
        return;
    if (!decode_node(&p->pb, DECODE_PROTOBUF, p->pb_text, &b, &err))
        fuzz_fail(err.text);
    nodes_differ(&a, &b, difference);
    if (difference[0] != '\0')
        fuzz_fail(difference);
}

static void check_meta(struct pair *p)
{
    struct object_meta a, b;
    struct err err = {0};

    if (!decode_meta(&p->json, DECODE_JSON, p->json_text, &a, NULL))
        return;
    if (!decode_meta(&p->pb, DECODE_PROTOBUF, p->pb_text, &b, &err))
        fuzz_fail(err.text);
    if (!sv_eq(a.ns, b.ns) || !sv_eq(a.name, b.name) || !uid_eq(a.uid, b.uid) ||
        !sv_eq(a.resource_version, b.resource_version) ||
        a.initial_events_end != b.initial_events_end)
        abort();
}

static void check_status(struct pair *p)
{
    struct api_status a, b;
    struct err err = {0};

    if (!decode_status(&p->json, DECODE_JSON, p->json_text, &a, NULL))
        return;
    if (!decode_status(&p->pb, DECODE_PROTOBUF, p->pb_text, &b, &err))
        fuzz_fail(err.text);
    if (a.code != b.code || !sv_eq(a.reason, b.reason) || !sv_eq(a.message, b.message) ||
        !sv_eq(a.cause, b.cause) || a.retry_after_s != b.retry_after_s)
        abort();
}

static const struct {
    const struct encode_message *message;
    void (*check)(struct pair *p);
} kinds[] = {
    {&encode_pod, check_pod},
    {&encode_node, check_node},
    {&encode_pod, check_meta},
    {&encode_status, check_status},
};

static void check_all(const cJSON *tree)
{
    const struct podreq_rules rules = {.status = true, .pod_level = true, .pod_level_status = true};
    struct resource_names names;
    char *text = cJSON_PrintUnformatted(tree);
    struct pair p = {.json_text = sv_from(text)};
    struct strbuf pb;

    resource_names_init(&names);
    decoder_init(&p.json, &names, &rules);
    decoder_init(&p.pb, &names, &rules);
    strbuf_init(&pb, TEXT_MAX);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        strbuf_clear(&pb);
        encode_object(kinds[i].message, tree, false, &pb);
        p.pb_text = strbuf_sv(&pb);
        kinds[i].check(&p);
    }
    strbuf_done(&pb);
    decoder_done(&p.json);
    decoder_done(&p.pb);
    resource_names_done(&names);
    cJSON_free(text);
}

/* An object in JSON, and the same as protobuf by the pocket cluster's encoder, give the same record. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *tree = size != 0 ? cJSON_ParseWithLength((const char *)data, size) : NULL;

    if (cJSON_IsObject(tree)) {
        make_plain(tree);
        check_all(tree);
    }
    cJSON_Delete(tree);
    return 0;
}

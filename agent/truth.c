#include "agent/truth.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/tree.h"
#include "base/alloc.h"
#include "base/jsonw.h"
#include "base/num.h"

/* Whole numbers that a JSON reader keeps as they are. */
#define MOST INT64_C(9007199254740992)

#define FIGURE(key, field)                                                                         \
    {                                                                                              \
        key, offsetof(struct snapshot_filler, field)                                               \
    }

/* Each is an int64_t. */
static const struct {
    const char *key;
    size_t offset;
} figures[] = {
    FIGURE("wanted", desired),
    FIGURE("from", from),
    FIGURE("set_point", set_point),
    FIGURE("damped", damped),
    FIGURE("kept", kept_slots),
    FIGURE("settle_us", settle_us),
    FIGURE("headroom_milli", headroom_milli),
    FIGURE("in_force_milli", headroom.milli),
    FIGURE("usual_milli", headroom.usual),
    FIGURE("surge_milli", headroom.surge),
    FIGURE("expected_milli", headroom.expected),
    FIGURE("ceiling_milli", headroom.ceiling),
    FIGURE("need_milli", headroom.need),
    FIGURE("reserve_milli", reserved_milli),
};
_Static_assert(COUNT_OF(figures) == TRUTH_FIGURES, "truth.h says how many");

static const struct {
    const char *key;
    size_t offset;
} conditions[] = {
    FIGURE("able", able),     FIGURE("active", active),   FIGURE("limited", limited),
    FIGURE("placed", placed), FIGURE("covered", covered),
};
_Static_assert(COUNT_OF(conditions) == TRUTH_CONDITIONS, "truth.h says how many");

static int64_t figure_of(const struct snapshot_filler *f, size_t i)
{
    int64_t value;

    memcpy(&value, (const char *)f + figures[i].offset, sizeof value);
    return value;
}

static const struct snapshot_condition *condition_of(const struct snapshot_filler *f, size_t i)
{
    return (const struct snapshot_condition *)((const char *)f + conditions[i].offset);
}

/* ---- out ---- */

static void write_conditions(struct jsonw *w, const struct snapshot_filler *f)
{
    for (size_t i = 0; i < TRUTH_CONDITIONS; i++) {
        const struct snapshot_condition *c = condition_of(f, i);

        if (c->reason[0] == '\0')
            continue;
        jsonw_object(w, conditions[i].key);
        jsonw_bool(w, "status", c->status);
        jsonw_cstr(w, "reason", c->reason);
        jsonw_cstr(w, "message", c->message);
        jsonw_end(w);
    }
}

static void write_found(struct jsonw *w, const struct snapshot_filler *f,
                        const struct truth_teller *teller)
{
    struct truth_found found = {0};
    char uid[UID_TEXT_SIZE];

    if (teller->found != NULL)
        teller->found(teller->self, f->policy, &found);
    if (uid_is_zero(found.uid))
        return;
    uid_format(found.uid, uid);
    jsonw_object(w, "found");
    jsonw_cstr(w, "uid", uid);
    jsonw_i64(w, "replicas", found.replicas);
    jsonw_end(w);
}

static void write_filler(const struct snapshot_filler *f, const struct truth_teller *teller,
                         struct strbuf *out)
{
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_cstr(&w, "policy", f->policy);
    write_found(&w, f, teller);
    for (size_t i = 0; i < TRUTH_FIGURES; i++) {
        int64_t value = figure_of(f, i);

        if (value >= -MOST && value <= MOST)
            jsonw_i64(&w, figures[i].key, value);
    }
    jsonw_cstr(&w, "reason", reason_name(f->reason));
    jsonw_cstr(&w, "bound", bound_name(f->bound));
    jsonw_cstr(&w, "kind", headroom_kind_name(f->headroom.kind));
    jsonw_i64(&w, "values", (int64_t)f->headroom.values);
    jsonw_bool(&w, "capped", f->headroom.capped);
    if (f->has_wake)
        jsonw_i64(&w, "wake_us", f->wake.us);
    jsonw_cstr(&w, "detail", f->detail);
    write_conditions(&w, f);
    jsonw_end(&w);
}

void truth_write(const struct snapshot *s, const struct truth_teller *teller, struct strbuf *out)
{
    size_t left_out = 0, room = TRUTH_MAX - 4096; /* for what stands around the policies */
    struct jsonw w;

    jsonw_init(&w, out);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "v", 1);
    jsonw_cstr(&w, "identity", s->lead.identity);
    if (teller->url != NULL)
        jsonw_cstr(&w, "url", teller->url);
    jsonw_i64(&w, "t", teller->now.us / US_PER_MS);
    jsonw_array(&w, "fillers");
    for (size_t i = 0; i < s->n_fillers; i++) {
        struct strbuf one;

        strbuf_init(&one, TRUTH_MAX);
        write_filler(&s->fillers[i], teller, &one);
        if (left_out != 0 || i >= TRUTH_MAX_FILLERS || one.full || one.len + 1 > room) {
            left_out++;
        } else {
            room -= one.len + 1;
            jsonw_raw(&w, NULL, strbuf_sv(&one));
        }
        strbuf_done(&one);
    }
    jsonw_end(&w);
    if (left_out != 0)
        jsonw_i64(&w, "left_out", (int64_t)left_out);
    jsonw_end(&w);
}

/* ---- in ---- */

static bool wrong(struct err *err, const char *key, const char *expected)
{
    return err_set(err, ERR_PROTOCOL, 0, "%s: expected %s", key, expected);
}

static bool is_absent(const cJSON *item)
{
    return item == NULL || cJSON_IsNull(item);
}

static bool read_i64(const cJSON *object, const char *key, bool *ret_given, int64_t *ret_value,
                     struct err *err)
{
    const cJSON *item = tree_get(object, key);
    double d;

    *ret_given = false;
    if (is_absent(item))
        return true;
    d = cJSON_IsNumber(item) ? item->valuedouble : 0.5;
    if (!(d >= -(double)MOST && d <= (double)MOST) || d != (double)(int64_t)d)
        return wrong(err, key, "a whole number");
    *ret_given = true;
    *ret_value = (int64_t)d;
    return true;
}

/* Cut off behind a whole character where it is too long. */
static bool read_text(const cJSON *object, const char *key, char *to, size_t size, struct err *err)
{
    const cJSON *item = tree_get(object, key);

    if (is_absent(item))
        return true;
    if (!cJSON_IsString(item))
        return wrong(err, key, "a text");
    (void)snprintf(to, size, "%s", item->valuestring);
    for (size_t len = strlen(to); !sv_is_utf8((struct sv){to, len}); len--)
        to[len - 1] = '\0';
    return true;
}

static bool read_bool(const cJSON *object, const char *key, bool *ret_value, struct err *err)
{
    const cJSON *item = tree_get(object, key);

    if (is_absent(item))
        return true;
    if (!cJSON_IsBool(item))
        return wrong(err, key, "true or false");
    *ret_value = cJSON_IsTrue(item);
    return true;
}

/* A name that this version does not know is as none. */
static bool read_name(const cJSON *object, const char *key, const char *(*name)(int i), int count,
                      bool *ret_given, int *ret_value, struct err *err)
{
    char text[64] = "";

    *ret_given = false;
    if (!read_text(object, key, text, sizeof text, err))
        return false;
    for (int i = 0; i < count && !*ret_given; i++) {
        *ret_given = strcmp(name(i), text) == 0;
        *ret_value = i;
    }
    return true;
}

static const char *name_of_reason(int i)
{
    return reason_name((enum reason)i);
}

static const char *name_of_bound(int i)
{
    return bound_name((enum bound)i);
}

static const char *name_of_kind(int i)
{
    return headroom_kind_name((enum headroom_kind)i);
}

static bool read_names(const cJSON *item, struct truth_filler *f, struct err *err)
{
    int reason = 0, bound = 0, kind = 0;

    if (!read_name(item, "reason", name_of_reason, REASON_COUNT_, &f->has_reason, &reason, err) ||
        !read_name(item, "bound", name_of_bound, BOUND_COUNT_, &f->has_bound, &bound, err) ||
        !read_name(item, "kind", name_of_kind, HEADROOM_KIND_COUNT_, &f->has_kind, &kind, err))
        return false;
    f->reason = (enum reason)reason;
    f->bound = (enum bound)bound;
    f->kind = (enum headroom_kind)kind;
    return true;
}

static bool read_condition(const cJSON *object, const char *key, struct snapshot_condition *c,
                           struct err *err)
{
    const cJSON *item = tree_get(object, key);

    if (is_absent(item))
        return true;
    if (!cJSON_IsObject(item))
        return wrong(err, key, "an object");
    return read_bool(item, "status", &c->status, err) &&
           read_text(item, "reason", c->reason, sizeof c->reason, err) &&
           read_text(item, "message", c->message, sizeof c->message, err);
}

static bool read_found(const cJSON *object, struct truth_found *found, struct err *err)
{
    const cJSON *item = tree_get(object, "found");

    if (is_absent(item))
        return true;
    if (!cJSON_IsObject(item) || !tree_count(item, "replicas", 0, &found->replicas))
        return wrong(err, "found", "an object with a count of replicas");
    found->uid = uid_parse(tree_text(item, "uid"));
    return true;
}

static bool read_filler(const cJSON *item, struct truth_filler *f, struct err *err)
{
    bool given, has_values;

    if (!cJSON_IsObject(item) || tree_text(item, "policy").len == 0 ||
        tree_text(item, "policy").len >= sizeof f->policy)
        return wrong(err, "fillers", "objects with a policy's name");
    if (!read_text(item, "policy", f->policy, sizeof f->policy, err) ||
        !read_found(item, &f->found, err) || !read_names(item, f, err) ||
        !read_i64(item, "values", &has_values, &f->values, err) ||
        !read_bool(item, "capped", &f->capped, err) ||
        !read_i64(item, "wake_us", &f->has_wake, &f->wake.us, err) ||
        !read_text(item, "detail", f->detail, sizeof f->detail, err))
        return false;
    f->values = max_i64(f->values, 0);
    for (size_t i = 0; i < TRUTH_FIGURES; i++) {
        if (!read_i64(item, figures[i].key, &given, &f->figure[i], err))
            return false;
        f->given |= (uint32_t)given << i;
    }
    for (size_t i = 0; i < TRUTH_CONDITIONS; i++) {
        if (!read_condition(item, conditions[i].key, &f->condition[i], err))
            return false;
    }
    return true;
}

static bool read_all(const cJSON *root, struct truth *t, struct err *err)
{
    const cJSON *item;
    bool given;

    if (!read_text(root, "identity", t->identity, sizeof t->identity, err) ||
        !read_text(root, "url", t->url, sizeof t->url, err) ||
        !read_i64(root, "left_out", &given, &t->left_out, err))
        return false;
    if (!truth_is_url(sv_from(t->url)))
        t->url[0] = '\0';
    cJSON_ArrayForEach(item, tree_get(root, "fillers"))
    {
        if (!read_filler(item, &t->filler[t->n], err))
            return false;
        t->n++;
    }
    return true;
}

struct truth *truth_read(struct sv text, struct err *err)
{
    const cJSON *list;
    struct truth *t = NULL;
    cJSON *root = NULL;
    int n;

    if (text.len > TRUTH_MAX) {
        (void)err_set(err, ERR_LIMIT, 0, "found %zu bytes, expected at most %d", text.len,
                      TRUTH_MAX);
        return NULL;
    }
    if (!sv_is_utf8(text)) {
        (void)err_set(err, ERR_PROTOCOL, 0, "found bytes that are no UTF-8");
        return NULL;
    }
    if (text.len != 0)
        root = cJSON_ParseWithLength(text.at, text.len);
    list = tree_get(root, "fillers");
    n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (!cJSON_IsObject(root) || (!is_absent(list) && !cJSON_IsArray(list))) {
        (void)wrong(err, "fillers", "an object with a list of them");
    } else if (n > TRUTH_MAX_FILLERS) {
        (void)err_set(err, ERR_LIMIT, 0, "fillers: found %d, expected at most %d", n,
                      TRUTH_MAX_FILLERS);
    } else {
        t = xcalloc(1, sizeof *t + (size_t)n * sizeof t->filler[0]);
        if (!read_all(root, t, err)) {
            free(t);
            t = NULL;
        }
    }
    cJSON_Delete(root);
    return t;
}

/* ---- onto a snapshot ---- */

const struct truth_filler *truth_find(const struct truth *t, struct sv policy)
{
    for (size_t i = 0; t != NULL && i < t->n; i++) {
        if (sv_eq(sv_from(t->filler[i].policy), policy))
            return &t->filler[i];
    }
    return NULL;
}

bool truth_learned(const struct truth_filler *told, int64_t *ret_need_milli, int64_t *ret_values)
{
    for (size_t i = 0; told != NULL && i < TRUTH_FIGURES; i++) {
        if (figures[i].offset != offsetof(struct snapshot_filler, headroom.need) ||
            (told->given & UINT32_C(1) << i) == 0)
            continue;
        *ret_need_milli = told->figure[i];
        *ret_values = told->values;
        return true;
    }
    return false;
}

void truth_apply(const struct truth_filler *told, struct snapshot_filler *f)
{
    f->headroom.ceiling = INT64_MAX; /* unless it is told */
    for (size_t i = 0; i < TRUTH_FIGURES; i++) {
        if ((told->given & UINT32_C(1) << i) != 0)
            memcpy((char *)f + figures[i].offset, &told->figure[i], sizeof told->figure[i]);
    }
    for (size_t i = 0; i < TRUTH_CONDITIONS; i++) {
        if (told->condition[i].reason[0] != '\0')
            memcpy((char *)f + conditions[i].offset, &told->condition[i],
                   sizeof told->condition[i]);
    }
    if (told->has_reason)
        f->reason = told->reason;
    if (told->has_bound)
        f->bound = told->bound;
    if (told->has_kind)
        f->headroom.kind = told->kind;
    f->headroom.values = (size_t)told->values;
    f->headroom.capped = told->capped;
    f->has_wake = told->has_wake;
    f->wake = told->wake;
    (void)snprintf(f->detail, sizeof f->detail, "%s", told->detail);
}

static void hold(struct snapshot_filler *f, enum reason reason, enum bound bound)
{
    f->reason = reason;
    f->bound = bound;
    f->desired = f->from = f->replicas;
    f->detail[0] = '\0';
    f->has_wake = false;
}

void truth_apply_nothing(struct snapshot_filler *f)
{
    hold(f, REASON_UNKNOWN, BOUND_NONE);
    snapshot_condition_set(&f->active, false, "NoWordOfTheLeader",
                           "the replica that leads has not said yet what it decided");
}

void truth_apply_old(struct snapshot_filler *f, int64_t old_us)
{
    char text[SNAPSHOT_TEXT_SIZE];

    hold(f, REASON_STALE, BOUND_STALE);
    (void)snprintf(text, sizeof text, "no replica that leads was heard of for %lld s",
                   (long long)(old_us / US_PER_S));
    snapshot_condition_set(&f->active, false, "Stale", text);
}

static bool is_url_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~:/[]%", c) != NULL);
}

bool truth_is_url(struct sv url)
{
    struct sv rest = sv_starts(url, SV("https://"))  ? sv_skip(url, 8)
                     : sv_starts(url, SV("http://")) ? sv_skip(url, 7)
                                                     : (struct sv){0};

    if (rest.len == 0 || rest.at[0] == '/' || url.len >= SNAPSHOT_NAME_SIZE ||
        rest.at[rest.len - 1] == '/')
        return false;
    for (size_t i = 0; i < rest.len; i++) {
        if (!is_url_char(rest.at[i]))
            return false;
    }
    return true;
}

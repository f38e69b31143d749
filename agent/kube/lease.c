#include "agent/kube/lease.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/tree.h"
#include "base/alloc.h"
#include "base/num.h"

/* ---- the object ---- */

static bool count_of(const cJSON *spec, const char *key, int64_t *ret_count, struct err *err)
{
    return tree_count(spec, key, 0, ret_count) ||
           err_set(err, ERR_PROTOCOL, 0, "spec.%s: expected a whole number from 0 to %d", key,
                   INT32_MAX);
}

static uint64_t mix(uint64_t hash, uint64_t more)
{
    return (hash ^ more) * 0x9e3779b97f4a7c15ULL + 1;
}

/* Times are compared as they are written and never read: they are another machine's. */
static bool text_of(const cJSON *spec, const char *key, struct sv *ret_text, struct err *err)
{
    const cJSON *item = tree_get(spec, key);

    *ret_text = (struct sv){0};
    if (item == NULL || cJSON_IsNull(item))
        return true;
    if (!cJSON_IsString(item))
        return err_set(err, ERR_PROTOCOL, 0, "spec.%s: expected a text", key);
    *ret_text = sv_from(item->valuestring);
    return true;
}

static bool read_spec(const cJSON *spec, struct lease_record *r, struct err *err)
{
    struct sv holder, acquired, renewed;
    int64_t seconds;

    if (!text_of(spec, "holderIdentity", &holder, err) ||
        !text_of(spec, "acquireTime", &acquired, err) ||
        !text_of(spec, "renewTime", &renewed, err) ||
        !count_of(spec, "leaseDurationSeconds", &seconds, err) ||
        !count_of(spec, "leaseTransitions", &r->transitions, err))
        return false;
    (void)snprintf(r->holder, sizeof r->holder, "%.*s", SV_ARG(holder));
    r->holder_hash = sv_hash(holder);
    r->duration_us = seconds * US_PER_S;
    r->content = mix(mix(mix(mix(mix(1, r->holder_hash), sv_hash(acquired)), sv_hash(renewed)),
                         (uint64_t)seconds),
                     (uint64_t)r->transitions);
    return true;
}

/* To be freed by cJSON_Delete(). */
static cJSON *parse(struct sv json, struct err *err)
{
    cJSON *root = NULL;

    if (json.len > LEASE_MAX_OBJECT) {
        (void)err_set(err, ERR_LIMIT, 0, "found a Lease of %zu bytes, expected at most %d",
                      json.len, LEASE_MAX_OBJECT);
        return NULL;
    }
    if (json.len != 0)
        root = cJSON_ParseWithLength(json.at, json.len);
    if (cJSON_IsObject(tree_get(root, "metadata")) &&
        (tree_get(root, "spec") == NULL || cJSON_IsObject(tree_get(root, "spec"))))
        return root;
    cJSON_Delete(root);
    (void)err_set(err, ERR_PROTOCOL, 0, "the answer is no Lease");
    return NULL;
}

bool lease_read_record(struct sv json, struct lease_record *ret_record, struct err *err)
{
    cJSON *root = parse(json, err);
    bool ok;

    *ret_record = (struct lease_record){0};
    if (root == NULL)
        return false;
    ok = read_spec(tree_get(root, "spec"), ret_record, err);
    cJSON_Delete(root);
    return ok;
}

/* In place of all of this name. */
static void set(cJSON *object, const char *key, cJSON *value)
{
    while (cJSON_GetObjectItemCaseSensitive(object, key) != NULL)
        cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    (void)cJSON_AddItemToObject(object, key, value);
}

static void set_text(cJSON *object, const char *key, const char *text)
{
    set(object, key, cJSON_CreateString(text));
}

static void set_time(cJSON *object, const char *key, struct wall t)
{
    char text[WALL_TEXT_SIZE];

    wall_format(t, 6, text);
    set_text(object, key, text);
}

static void set_holder(cJSON *spec, const char *holder, int64_t duration_us)
{
    set_text(spec, "holderIdentity", holder);
    set(spec, "leaseDurationSeconds", cJSON_CreateNumber((double)(duration_us / US_PER_S)));
}

static cJSON *new_object(const char *name, const char *ns)
{
    cJSON *root = cJSON_CreateObject(), *metadata;

    set_text(root, "apiVersion", "coordination.k8s.io/v1");
    set_text(root, "kind", "Lease");
    metadata = cJSON_AddObjectToObject(root, "metadata");
    set_text(metadata, "name", name);
    set_text(metadata, "namespace", ns);
    return root;
}

static cJSON *spec_of(cJSON *root)
{
    cJSON *spec = cJSON_GetObjectItemCaseSensitive(root, "spec");

    return spec != NULL ? spec : cJSON_AddObjectToObject(root, "spec");
}

static bool print(cJSON *root, struct strbuf *out)
{
    char *text = cJSON_PrintUnformatted(root);
    bool ok = text != NULL && strbuf_add(out, sv_from(text));

    cJSON_free(text);
    cJSON_Delete(root);
    return ok;
}

bool lease_write(const struct lease *l, enum lease_ask ask, struct sv object, const char *name,
                 const char *ns, struct wall now, struct strbuf *out)
{
    int64_t transitions = l->seen ? l->record.transitions : 0;
    cJSON *root = ask == LEASE_ASK_CREATE ? new_object(name, ns) : parse(object, NULL), *spec;

    if (root == NULL)
        return false;
    spec = spec_of(root);
    set_holder(spec, l->identity, LEASE_DURATION_US);
    set_time(spec, "renewTime", now);
    if (ask != LEASE_ASK_RENEW) {
        set_time(spec, "acquireTime", now);
        transitions = min_i64(transitions + (ask == LEASE_ASK_TAKE), INT32_MAX);
        set(spec, "leaseTransitions", cJSON_CreateNumber((double)transitions));
    }
    return print(root, out);
}

bool lease_write_release(struct sv object, struct wall now, struct strbuf *out)
{
    cJSON *root = parse(object, NULL), *spec;

    if (root == NULL)
        return false;
    spec = spec_of(root);
    set_holder(spec, "", US_PER_S);
    set_time(spec, "renewTime", now);
    set_time(spec, "acquireTime", now);
    return print(root, out);
}

/* ---- the election ---- */

void lease_init(struct lease *l, const char *identity, uint64_t seed, struct mono now)
{
    *l = (struct lease){.random = seed, .due = now};
    (void)snprintf(l->identity, sizeof l->identity, "%s", identity);
    l->identity_hash = sv_hash(sv_from(l->identity));
}

bool lease_leads(const struct lease *l, struct mono now)
{
    return l->holds && mono_since_us(l->renewed, now) < LEASE_DEADLINE_US;
}

struct mono lease_ends(const struct lease *l)
{
    return mono_plus_us(l->renewed, LEASE_DEADLINE_US);
}

bool lease_expire(struct lease *l, struct mono now)
{
    bool expired = l->holds && !lease_leads(l, now);

    if (expired)
        l->holds = false;
    return expired;
}

static bool is_mine(const struct lease *l)
{
    return l->record.holder_hash == l->identity_hash;
}

/* Is the record that was seen last still good, as far as can be told here? */
static bool is_held(const struct lease *l, struct mono now)
{
    return l->seen && l->record.holder[0] != '\0' &&
           mono_since_us(l->observed, now) < l->record.duration_us;
}

const char *lease_holder(const struct lease *l, struct mono now)
{
    return is_held(l, now) ? l->record.holder : NULL;
}

struct mono lease_due(const struct lease *l)
{
    return l->due;
}

/* splitmix64 */
static int64_t chance(struct lease *l, int64_t limit)
{
    uint64_t z = l->random += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return (int64_t)((z ^ z >> 31) % (uint64_t)limit);
}

static enum lease_ask ask(struct lease *l, enum lease_ask what, struct mono now)
{
    l->asked = what;
    l->asked_at = now;
    return what;
}

/* The round is over. */
static enum lease_ask rest(struct lease *l, struct mono now)
{
    int64_t wait = LEASE_RETRY_US;

    l->asked = LEASE_ASK_NOTHING;
    if (!l->holds) {
        wait += chance(l, LEASE_RETRY_US * LEASE_JITTER_PERCENT / 100);
        if (is_held(l, now))
            wait = min_i64(wait, l->record.duration_us - mono_since_us(l->observed, now));
    }
    l->due = mono_plus_us(now, wait);
    return LEASE_ASK_NOTHING;
}

enum lease_ask lease_begin(struct lease *l, struct mono now)
{
    l->judged = false;
    return ask(l, l->holds ? LEASE_ASK_RENEW : LEASE_ASK_READ, now);
}

static void observe(struct lease *l, const struct lease_record *record, struct mono now)
{
    if (!l->seen || l->absent || l->record.content != record->content)
        l->observed = now;
    l->seen = true;
    l->absent = false;
    l->record = *record;
}

/* What there is to do about the record that was just read. */
static enum lease_ask judge(struct lease *l, struct mono now)
{
    l->judged = true;
    if (is_mine(l))
        return ask(l, LEASE_ASK_RENEW, now);
    l->holds = false;
    return is_held(l, now) ? rest(l, now) : ask(l, LEASE_ASK_TAKE, now);
}

/* It may have been renewed until just before it was deleted. */
static enum lease_ask judge_absent(struct lease *l, struct mono now)
{
    if (!l->absent)
        l->observed = now;
    l->absent = true;
    return is_held(l, now) && !lease_leads(l, now) ? rest(l, now) : ask(l, LEASE_ASK_CREATE, now);
}

static enum lease_ask read_answered(struct lease *l, enum lease_end end,
                                    const struct lease_record *record, struct mono now)
{
    switch (end) {
    case LEASE_END_OK:
        observe(l, record, now);
        return judge(l, now);
    case LEASE_END_ABSENT:
        return judge_absent(l, now);
    case LEASE_END_CONFLICT:
    case LEASE_END_FAILED:
        break;
    }
    return rest(l, now);
}

/* A renewal that was refused is judged by what is there now, once a round. */
static enum lease_ask write_failed(struct lease *l, enum lease_end end, struct mono now)
{
    return l->asked == LEASE_ASK_RENEW && end != LEASE_END_FAILED && !l->judged
               ? ask(l, LEASE_ASK_READ, now)
               : rest(l, now);
}

enum lease_ask lease_answered(struct lease *l, enum lease_end end,
                              const struct lease_record *record, struct mono now)
{
    if (l->asked == LEASE_ASK_READ)
        return read_answered(l, end, record, now);
    if (end != LEASE_END_OK)
        return write_failed(l, end, now);
    observe(l, record, now);
    l->holds = is_mine(l);
    l->renewed = l->asked_at;
    return rest(l, now);
}

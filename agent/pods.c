#include "agent/pods.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"

/*
 * A pod without a node: that the small watch told of before the large one did, or that either told of
 * since a list began.
 */
struct early {
    struct uid uid;
    uint64_t version; /* the newest that was taken, from either watch */
    bool open;        /* the small one's: the large one has not come up to it */
};
_Static_assert(sizeof(struct early) == 32, "pods.h tells how large they are");

struct pods {
    struct facts *facts;
    struct timers timers;
    struct watch *all, *waiting;
    uint64_t waiting_from; /* the version that the small one had before its list */
    void *relist; /* timer: the large one begins anew, outside of the small one's callbacks */
    struct decoder decoder; /* of metadata */
    struct early *early;
    size_t n_early, cap_early;
    size_t n_open;
    struct map by_uid;
};

/* ---- who is ahead ---- */

static uint64_t early_hash(const void *self, uint32_t index)
{
    const struct pods *p = self;

    return uid_hash(p->early[index].uid);
}

static bool early_equal(const void *self, uint32_t index, const void *key)
{
    const struct pods *p = self;

    return uid_eq(p->early[index].uid, *(const struct uid *)key);
}

static const struct map_ops early_ops = {.hash = early_hash, .equal = early_equal};

static struct early *find(struct pods *p, struct uid uid)
{
    uint32_t index = map_find(&p->by_uid, uid_hash(uid), &uid);

    return index != MAP_NONE ? &p->early[index] : NULL;
}

/* NULL: there are too many. */
static struct early *find_or_add(struct pods *p, struct uid uid)
{
    struct early *e = find(p, uid);

    if (e != NULL || p->n_early == PODS_MAX_EARLY)
        return e;
    VEC_PUSH(p->early, p->n_early, p->cap_early, (struct early){.uid = uid});
    map_put(&p->by_uid, uid_hash(uid), (uint32_t)p->n_early - 1);
    return &p->early[p->n_early - 1];
}

static void close_early(struct pods *p, struct early *e)
{
    p->n_open -= e->open;
    e->open = false;
}

static void forget(struct pods *p)
{
    map_clear(&p->by_uid);
    p->n_early = p->n_open = 0;
}

/* A list comes in no order of versions, unlike a stream. */
static bool is_listing(const struct pods *p)
{
    return watch_stats(p->all)->listing;
}

/* Has the small watch told, or may it, what the large one may not have come up to? */
static bool compares(const struct pods *p)
{
    return p->n_open != 0 || (is_listing(p) && watch_state(p->waiting) != WATCH_OFF);
}

/* Is what the large watch tells no younger than what is known? */
static bool is_known(struct pods *p, struct early *e, uint64_t version)
{
    bool known = version <= e->version;

    if (version < e->version)
        return true;
    e->version = version;
    close_early(p, e);
    /* On a stream the others that are closed are of no use either. */
    if (p->n_open == 0 && !is_listing(p))
        forget(p);
    return known;
}

/* Of a list: what the small watch tells later may be older. */
static void remember(struct pods *p, struct uid uid, uint64_t version)
{
    struct early *e;

    if (!is_listing(p) || cluster_find_pending(facts_cluster(p->facts), uid) == NULL)
        return;
    e = find_or_add(p, uid);
    if (e != NULL)
        (void)is_known(p, e, version);
}

/* The list is complete and did not come up to them: gone, unless they are younger than it is. */
static void drop_gone(struct pods *p, struct mono now)
{
    uint64_t listed;

    if (!sv_to_u64(sv_from(watch_version(p->all)), &listed))
        listed = UINT64_MAX;
    for (size_t i = 0; i < p->n_early; i++) {
        struct early *e = &p->early[i];

        if (!e->open || e->version > listed)
            continue;
        facts_drop_pod(p->facts, e->uid, now);
        close_early(p, e);
    }
    if (p->n_open == 0)
        forget(p);
}

/* ---- the watches ---- */

static struct mono now(const struct pods *p)
{
    return p->timers.now(p->timers.self);
}

static void set_wall(struct pods *p)
{
    p->facts->wall = p->timers.wall(p->timers.self);
}

static void start_waiting(struct pods *p, int64_t silent_us)
{
    watch_set_silence(p->waiting, silent_us);
    watch_start(p->waiting);
}

static void all_begin(void *self)
{
    struct pods *p = self;

    watch_stop(p->waiting);
    forget(p);
    set_wall(p);
    facts_list_begin(p->facts, CLUSTER_PODS);
    if (p->facts->pods_synced)
        start_waiting(p, watch_silence(p->all));
}

static bool take(struct pods *p, bool gone, enum decode_format format, struct sv object,
                 struct err *err)
{
    set_wall(p);
    return facts_pod(p->facts, gone, format, object, now(p), err);
}

static bool all_object(void *self, enum watch_change change, enum decode_format format,
                       struct sv object, struct err *err)
{
    struct pods *p = self;
    bool gone = change == WATCH_DELETE;
    struct object_meta meta;
    struct early *e;
    uint64_t version;

    /* What cannot be read is for the facts to refuse. */
    if (!compares(p) || !decode_meta(&p->decoder, format, object, &meta, NULL) ||
        !sv_to_u64(meta.resource_version, &version))
        return take(p, gone, format, object, err);
    e = find(p, meta.uid);
    if (e != NULL && is_known(p, e, version))
        return true;
    if (!take(p, gone, format, object, err))
        return false;
    if (e == NULL)
        remember(p, meta.uid, version);
    return true;
}

static void all_synced(void *self)
{
    struct pods *p = self;

    set_wall(p);
    drop_gone(p, now(p));
    facts_list_end(p->facts, CLUSTER_PODS, now(p));
    start_waiting(p, WATCH_SILENT_US);
    log_info("pods listed", F_INT("pods", cluster_pod_count(facts_cluster(p->facts))));
}

static void all_trouble(void *self UNUSED, const struct err *err)
{
    log_warn("watching pods", F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
}

/* 0: none that is a number. */
static uint64_t version_of(const struct watch *w)
{
    uint64_t version;

    return sv_to_u64(sv_from(watch_version(w)), &version) ? version : 0;
}

static void waiting_begin(void *self)
{
    struct pods *p = self;

    p->waiting_from = version_of(p->waiting);
}

/* No list is older than what was told before, but where the server's history was put back: then the
 * large watch goes by versions of another one, too, and may be silent till it is asked. */
static void waiting_synced(void *self)
{
    struct pods *p = self;
    uint64_t version = version_of(p->waiting);

    if (version == 0 || version >= p->waiting_from || is_listing(p))
        return;
    log_warn("the API server's history went back: pods are listed anew",
             F_INT("from", (int64_t)p->waiting_from), F_INT("to", (int64_t)version));
    p->timers.timer_set(p->relist, 0);
}

static void relist(void *self)
{
    struct pods *p = self;

    if (watch_state(p->all) == WATCH_OFF || is_listing(p))
        return;
    watch_stop(p->all);
    watch_start(p->all);
}

/* Has the large watch not told of this version yet? While it lists, that is known pod by pod. */
static bool is_ahead(const struct pods *p, uint64_t version)
{
    uint64_t told;

    return is_listing(p) || (sv_to_u64(sv_from(watch_version(p->all)), &told) && version > told);
}

static bool waiting_object(void *self, enum watch_change change, enum decode_format format,
                           struct sv object, struct err *err)
{
    struct pods *p = self;
    struct object_meta meta;
    struct early *e;
    uint64_t version;

    if (change == WATCH_DELETE)
        return true;
    if (!decode_meta(&p->decoder, format, object, &meta, err))
        return false;
    if (!sv_to_u64(meta.resource_version, &version) || !is_ahead(p, version) ||
        cluster_pod_node(facts_cluster(p->facts), meta.uid) != CLUSTER_NO_NODE)
        return true;
    e = find_or_add(p, meta.uid);
    if (e == NULL || version <= e->version)
        return true;
    e->version = version;
    p->n_open += !e->open;
    e->open = true;
    return take(p, false, format, object, err);
}

static void waiting_trouble(void *self UNUSED, const struct err *err)
{
    log_warn("watching pods that wait", F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
}

/* ---- public ---- */

struct pods *pods_new(struct client *client, struct facts *facts, uint64_t seed)
{
    struct pods *p = xcalloc(1, sizeof *p);
    const struct podreq_rules rules = {0};

    *p = (struct pods){.facts = facts, .timers = *client_timers(client)};
    decoder_init(&p->decoder, NULL, &rules);
    p->relist = p->timers.timer_new(p->timers.self, relist, p);
    map_init(&p->by_uid, &early_ops, p);
    p->all = watch_new(client,
                       &(struct watch_options){.path = WATCH_PODS_PATH,
                                               .list_kind = WATCH_PODS_KIND,
                                               .field_selector = WATCH_PODS_SELECTOR,
                                               .initial_events = true,
                                               .batched = true,
                                               .seed = seed},
                       &(struct watch_handler){.begin = all_begin,
                                               .object = all_object,
                                               .synced = all_synced,
                                               .trouble = all_trouble,
                                               .self = p});
    p->waiting = watch_new(client,
                           &(struct watch_options){.path = WATCH_PODS_PATH,
                                                   .list_kind = WATCH_PODS_KIND,
                                                   .field_selector = PODS_WAITING_SELECTOR,
                                                   .seed = seed + 1},
                           &(struct watch_handler){.begin = waiting_begin,
                                                   .object = waiting_object,
                                                   .synced = waiting_synced,
                                                   .trouble = waiting_trouble,
                                                   .self = p});
    return p;
}

void pods_free(struct pods *p)
{
    if (p == NULL)
        return;
    p->timers.timer_free(p->relist);
    watch_free(p->waiting);
    watch_free(p->all);
    map_done(&p->by_uid);
    decoder_done(&p->decoder);
    free(p->early);
    free(p);
}

struct watch *pods_watch(const struct pods *p)
{
    return p->all;
}

const struct watch *pods_waiting(const struct pods *p)
{
    return p->waiting;
}

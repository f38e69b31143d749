#include "storage/export.h"

#include <string.h>

#include "base/alloc.h"
#include "storage/blocked.h"
#include "storage/rollup.h"

struct exporting {
    struct history *history;
    const struct export_query *query;
    export_each_fn *each;
    void *self;
    struct err *err;
    struct record record;
    struct sv policy; /* whose figures come */
    enum level level;
    bool failed;
};

static bool tell(struct exporting *e)
{
    e->failed = e->failed || !e->each(e->self, &e->record, e->err);
    return !e->failed;
}

static bool wants(const struct exporting *e, enum record_kind kind)
{
    return (e->query->kinds & 1u << kind) != 0;
}

/* ---- policies ---- */

struct names {
    struct sv wanted;
    char **at;
    size_t n, cap;
};

static void add_name(void *self, struct sv name)
{
    struct names *names = self;

    if (names->wanted.len == 0 || sv_eq(name, names->wanted))
        VEC_PUSH(names->at, names->n, names->cap, sv_dup(name));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool export_policies(struct history *h, const struct export_query *q, char ***ret_names,
                     size_t *ret_n, struct err *err)
{
    struct names names = {.wanted = q->policy};

    if (!samples_policies(h->samples, add_name, &names, err)) {
        export_policies_free(names.at, names.n);
        return false;
    }
    if (names.n == 0 && q->policy.len != 0)
        return err_set(err, ERR_NOT_FOUND, 0, "%s: found no policy %.*s", db_path(h->db),
                       SV_ARG(q->policy));
    if (names.n != 0)
        qsort(names.at, names.n, sizeof *names.at, by_name);
    *ret_names = names.at;
    *ret_n = names.n;
    return true;
}

void export_policies_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

/* ---- kinds that belong to a policy ---- */

static bool take_row(void *self, const struct rollup_row *row)
{
    struct exporting *e = self;
    struct record_figures f = {.policy = e->policy,
                               .level = e->level,
                               .first_ms = row->first_ms,
                               .covered_ms = row->covered_ms};

    memcpy(f.at, row->at, sizeof f.at);
    record_from_figures(&f, &e->record);
    return tell(e);
}

static bool read_figures(struct exporting *e, enum level level, struct sv policy)
{
    enum series all[SERIES_COUNT_];
    struct rollup_query q = {.level = level,
                             .from_ms = e->query->from_ms,
                             .until_ms = e->query->until_ms,
                             .series = all,
                             .n_series = SERIES_COUNT_};

    for (int k = 0; k < SERIES_COUNT_; k++)
        all[k] = (enum series)k;
    e->level = level;
    e->policy = policy;
    return samples_find_policy(e->history->samples, policy, &q.policy, e->err) &&
           rollup_each(e->history, &q, take_row, e, e->err) && !e->failed;
}

static bool take_sample(void *self, const struct sample *s)
{
    struct exporting *e = self;

    record_from_sample(s, &e->record);
    return tell(e);
}

static bool read_samples(struct exporting *e, struct sv policy)
{
    return samples_each(e->history->samples, policy, e->query->from_ms, e->query->until_ms,
                        take_sample, e, e->err) &&
           !e->failed;
}

static bool read_of_policies(struct exporting *e, enum record_kind kind, char **names, size_t n)
{
    static const enum level levels[] = {
        [RECORD_DAY] = LEVEL_DAY, [RECORD_HOUR] = LEVEL_HOUR, [RECORD_MINUTE] = LEVEL_MINUTE};

    for (size_t i = 0; i < n; i++) {
        struct sv policy = sv_from(names[i]);

        if (!(kind == RECORD_SAMPLE ? read_samples(e, policy)
                                    : read_figures(e, levels[kind], policy)))
            return false;
    }
    return true;
}

static bool take_group(void *self, const struct groups_row *row)
{
    struct exporting *e = self;

    record_from_group(&(struct record_group){.policy = e->policy, .row = *row}, &e->record);
    return tell(e);
}

static bool read_groups(struct exporting *e, char **names, size_t n)
{
    static const enum level levels[] = {LEVEL_GROUP_DAY, LEVEL_GROUP_HOUR, LEVEL_GROUP_MINUTE,
                                        LEVEL_SAMPLES};

    for (size_t i = 0; i < n; i++) {
        e->policy = sv_from(names[i]);
        for (size_t k = 0; k < COUNT_OF(levels); k++) {
            if (!groups_rows(e->history->groups, e->policy, levels[k], e->query->from_ms,
                             e->query->until_ms, take_group, e, e->err) ||
                e->failed)
                return false;
        }
    }
    return true;
}

/* ---- the others ---- */

static bool take_decision(void *self, const struct decision_entry *d)
{
    struct exporting *e = self;

    record_from_decision(d, &e->record);
    return tell(e);
}

static bool read_decisions(struct exporting *e)
{
    const struct decisions_filter filter = {.policy = e->query->policy,
                                            .from_ms = e->query->from_ms,
                                            .until_ms = e->query->until_ms,
                                            .oldest_first = true};

    return decisions_each(e->history->decisions, &filter, take_decision, e, e->err) && !e->failed;
}

static bool take_gap(void *self, const struct history_gap *gap)
{
    struct exporting *e = self;

    record_from_gap(gap, &e->record);
    return tell(e);
}

static bool read_gaps(struct exporting *e)
{
    return history_gaps(e->history, e->query->from_ms, e->query->until_ms, take_gap, e, e->err) &&
           !e->failed;
}

static bool take_chunk(void *self, const struct chunk *chunk)
{
    struct exporting *e = self;

    record_from_chunk(chunk, &e->record);
    return tell(e);
}

static bool read_journal(struct exporting *e)
{
    return chunks_each(e->history->chunks, e->query->from_ms, e->query->until_ms, take_chunk, e,
                       e->err) &&
           !e->failed;
}

static bool take_activity(void *self, const struct pack *pack)
{
    struct exporting *e = self;

    record_from_activity(
        &(struct record_activity){
            .policy = e->policy, .level = e->level, .first_ms = pack->first_ms, .data = pack->data},
        &e->record);
    return tell(e);
}

/* By the day, the hour and the minute; an empty policy is the journal. */
static bool read_activity_of(struct exporting *e, struct sv policy)
{
    int64_t id = 0;

    if (policy.len != 0 && !samples_find_policy(e->history->samples, policy, &id, e->err))
        return false;
    e->policy = policy;
    for (e->level = LEVEL_DAY; e->level > LEVEL_SAMPLES; e->level--) {
        if (!packs_each(e->history->activity, id, e->level, e->query->from_ms, e->query->until_ms,
                        take_activity, e, e->err) ||
            e->failed)
            return false;
    }
    return true;
}

static bool read_activity(struct exporting *e, char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!read_activity_of(e, sv_from(names[i])))
            return false;
    }
    return read_activity_of(e, (struct sv){0});
}

static bool take_event(void *self, const struct event *event)
{
    struct exporting *e = self;

    record_from_event(event, &e->record);
    return tell(e);
}

static bool read_events(struct exporting *e, int64_t *ret_damaged)
{
    return chunks_read(e->history->chunks, e->query->from_ms, e->query->until_ms, take_event, e,
                       ret_damaged, e->err) &&
           !e->failed;
}

static void take_blocked(void *self, const struct blocked_pod *pod)
{
    struct exporting *e = self;

    record_from_blocked(pod, &e->record);
    (void)tell(e);
}

struct watching {
    struct exporting *exporting;
    struct blocked *blocked;
    int64_t last_ms;
};

static bool watch(void *self, const struct event *event)
{
    struct watching *w = self;

    blocked_event(w->blocked, event);
    w->last_ms = event->t_ms;
    return !w->exporting->failed;
}

/* In the order in which their waits end. */
static bool read_blocked(struct exporting *e, int64_t *ret_damaged)
{
    struct watching w = {
        .exporting = e, .blocked = blocked_new(take_blocked, e), .last_ms = e->query->from_ms};
    bool ok = chunks_read(e->history->chunks, e->query->from_ms, e->query->until_ms, watch, &w,
                          ret_damaged, e->err);

    if (ok && !e->failed)
        blocked_finish(w.blocked, w.last_ms);
    blocked_free(w.blocked);
    return ok && !e->failed;
}

static bool read_kind(struct exporting *e, enum record_kind kind, char **names, size_t n,
                      struct export_damage *damage)
{
    switch (kind) {
    case RECORD_DAY:
    case RECORD_HOUR:
    case RECORD_MINUTE:
    case RECORD_SAMPLE:
        return read_of_policies(e, kind, names, n);
    case RECORD_DECISION:
        return read_decisions(e);
    case RECORD_GAP:
        return read_gaps(e);
    case RECORD_JOURNAL:
        return read_journal(e);
    case RECORD_ACTIVITY:
        return read_activity(e, names, n);
    case RECORD_GROUP:
        return read_groups(e, names, n);
    case RECORD_EVENT:
        return read_events(e, &damage->journal);
    case RECORD_BLOCKED:
        return read_blocked(e, &damage->journal);
    case RECORD_KIND_COUNT_:
        break;
    }
    return true;
}

static bool read_all(struct exporting *e, struct export_damage *damage)
{
    int64_t before = history_damage_met(e->history);
    char **names;
    size_t n;
    bool ok = true;

    if (!export_policies(e->history, e->query, &names, &n, e->err))
        return false;
    for (int kind = 0; ok && kind < RECORD_KIND_COUNT_; kind++) {
        if (wants(e, (enum record_kind)kind))
            ok = read_kind(e, (enum record_kind)kind, names, n, damage);
    }
    export_policies_free(names, n);
    damage->samples = history_damage_met(e->history) - before;
    return ok;
}

bool export_begin(struct history *h, struct err *err)
{
    return db_exec(h->db, "BEGIN", err);
}

void export_end(struct history *h)
{
    db_rollback(h->db);
}

bool export_read(struct history *h, const struct export_query *q, export_each_fn *each, void *self,
                 struct export_damage *ret_damage, struct err *err)
{
    struct exporting *e = xcalloc(1, sizeof *e);
    struct export_damage damage = {0};
    bool ok;

    *e = (struct exporting){.history = h, .query = q, .each = each, .self = self, .err = err};
    ok = read_all(e, &damage);
    if (ok)
        *ret_damage = damage;
    free(e);
    return ok;
}

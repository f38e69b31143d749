#include "storage/history.h"

#include "tests/unit/storage/folder.h"
#include "tests/unit/storage/world.h"

static void open_at(const struct folder *f, int64_t max_bytes, struct history *h)
{
    const struct db_options options = {.path = f->file, .max_bytes = max_bytes};
    struct err err = {0};

    cr_assert(history_open(&options, h, &err), "%s", err.text);
}

static struct sample sample_at(struct random *r, const char *policy, int64_t t_ms)
{
    struct sample s = {.t_ms = t_ms, .merged = random_in(r, 0, 3)};

    (void)snprintf(s.policy, sizeof s.policy, "%s", policy);
    for (int i = 0; i < SAMPLE_COUNT_; i++)
        s.at[i] = (int64_t)(random_u64(r) >> random_in(r, 1, 63));
    return s;
}

static struct decision_entry decision_at(struct random *r, uint64_t id, const char *policy,
                                         int64_t t_ms)
{
    static const char *const reasons[] = {"yield", "harvest", "hold"};
    struct decision_entry d = {.id = id, .t_ms = t_ms};

    (void)snprintf(d.policy, sizeof d.policy, "%s", policy);
    (void)snprintf(d.reason, sizeof d.reason, "%s", reasons[id % 3]);
    (void)snprintf(d.bound, sizeof d.bound, "headroom");
    (void)snprintf(d.detail, sizeof d.detail, "%llu -> 'quoted' \"text\" \xc3\xa9",
                   (unsigned long long)id);
    for (int i = 0; i < DECISION_COUNT_; i++)
        d.at[i] = random_in(r, -5, INT64_MAX / 2);
    return d;
}

struct samples_seen {
    const struct sample *want;
    size_t step, n;
};

static bool same_sample(void *self, const struct sample *got)
{
    struct samples_seen *s = self;
    const struct sample *want = &s->want[s->n++ * s->step];

    cr_assert_str_eq(got->policy, want->policy);
    cr_assert_eq(got->t_ms, want->t_ms);
    cr_assert_eq(got->merged, want->merged);
    for (int i = 0; i < SAMPLE_COUNT_; i++)
        cr_assert_eq(got->at[i], want->at[i], "%s", sample_field_name((enum sample_field)i));
    return true;
}

Test(history, gives_back_the_samples_it_was_given)
{
    enum { N = 400 };
    static struct sample all[N];
    struct random r = random_start("samples");
    struct folder f = folder_new();
    struct samples_seen a = {all, 2, 0}, b = {all + 1, 2, 0}, part = {all + 100, 2, 0};
    struct err err = {0};
    struct history h;
    int64_t first, last;

    open_at(&f, 0, &h);
    cr_assert(samples_span(h.samples, &first, &last, &err) && first == 0 && last == 0);
    for (int i = 0; i < N; i++) {
        all[i] = sample_at(&r, i % 2 == 0 ? "miner" : "render \"x\"", 1000 + i / 2 * 10000);
        cr_assert(samples_add(h.samples, &all[i], &err), "%s", err.text);
    }
    cr_assert(samples_add(h.samples, &all[7], &err)); /* the same again changes nothing */
    history_close(&h);
    open_at(&f, 0, &h);
    cr_assert(samples_each(h.samples, SV("miner"), 0, INT64_MAX, same_sample, &a, &err));
    cr_assert(samples_each(h.samples, SV("render \"x\""), 0, INT64_MAX, same_sample, &b, &err));
    cr_assert(samples_each(h.samples, SV("miner"), all[100].t_ms, all[200].t_ms, same_sample, &part,
                           &err));
    cr_assert(a.n == N / 2 && b.n == N / 2 && part.n == 50);
    cr_assert(samples_span(h.samples, &first, &last, &err));
    cr_assert(first == all[0].t_ms && last == all[N - 1].t_ms);
    history_close(&h);
    folder_done(&f);
}

struct decisions_seen {
    const struct decision_entry *want; /* by id, from 1 */
    uint64_t below;
    size_t n, stop_at;
};

static bool same_decision(void *self, const struct decision_entry *got)
{
    struct decisions_seen *s = self;
    const struct decision_entry *want = &s->want[got->id];

    cr_assert(got->id < s->below, "newest first");
    s->below = got->id;
    cr_assert(got->t_ms == want->t_ms);
    cr_assert_str_eq(got->policy, want->policy);
    cr_assert_str_eq(got->reason, want->reason);
    cr_assert_str_eq(got->bound, want->bound);
    cr_assert_str_eq(got->detail, want->detail);
    for (int i = 0; i < DECISION_COUNT_; i++)
        cr_assert_eq(got->at[i], want->at[i], "%s", decision_field_name((enum decision_field)i));
    return ++s->n != s->stop_at;
}

Test(history, gives_back_the_decisions_that_are_asked_for)
{
    enum { N = 90 };
    static struct decision_entry all[N + 1];
    static const struct {
        const char *name;
        struct decisions_filter filter;
        size_t stop_at, n;
    } rows[] = {
        {"all", {.before = 0}, 0, N},
        {"a page", {.before = 61}, 20, 20},
        {"by reason", {.reason = SV("harvest")}, 0, N / 3},
        {"by policy", {.policy = SV("b")}, 0, N / 2},
        {"by both", {.policy = SV("b"), .reason = SV("harvest")}, 0, N / 6},
        {"by time", {.from_ms = 11000, .until_ms = 21000}, 0, 10},
        {"no such policy", {.policy = SV("nobody")}, 0, 0},
    };
    struct random r = random_start("decisions");
    struct folder f = folder_new();
    struct err err = {0};
    struct history h;
    uint64_t last;

    open_at(&f, 0, &h);
    cr_assert(decisions_last_id(h.decisions, &last, &err) && last == 0);
    for (uint64_t id = 1; id <= N; id++) {
        all[id] = decision_at(&r, id, id % 2 == 0 ? "a" : "b", (int64_t)id * 1000);
        cr_assert(decisions_add(h.decisions, &all[id], &err), "%s", err.text);
    }
    cr_assert_not(decisions_add(h.decisions, &all[5], &err), "an id names one decision");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct decisions_seen seen = {.want = all, .below = UINT64_MAX, .stop_at = rows[i].stop_at};

        cr_assert(decisions_each(h.decisions, &rows[i].filter, same_decision, &seen, &err), "%s",
                  rows[i].name);
        cr_assert_eq(seen.n, rows[i].n, "%s: %zu", rows[i].name, seen.n);
    }
    cr_assert(decisions_last_id(h.decisions, &last, &err) && last == N);
    history_close(&h);
    folder_done(&f);
}

Test(history, merges_samples_into_their_mean)
{
    struct sample a = {
        .policy = "p", .t_ms = 1000, .at = {[SAMPLE_PAID] = 100, [SAMPLE_REPLICAS] = 4}};
    struct sample b = {
        .policy = "p", .t_ms = 11000, .at = {[SAMPLE_PAID] = 400, [SAMPLE_REPLICAS] = 7}};
    struct sample c = {
        .policy = "p", .t_ms = 21000, .at = {[SAMPLE_PAID] = 700, [SAMPLE_REPLICAS] = 2}};

    sample_merge(&a, &b);
    sample_merge(&a, &c);
    cr_assert_eq(a.at[SAMPLE_PAID], 400);
    cr_assert_eq(a.at[SAMPLE_REPLICAS], 2);
    cr_assert(a.t_ms == 1000 && a.merged == 2);
    cr_assert_eq(sample_hold_ms(&a), 50000);
}

/* Means are those of all, rounded once, halves up, in whatever order neighbours are merged. */
Test(history, merging_samples_in_any_order_comes_to_the_same)
{
    enum { MOST = 40 };
    struct random r = random_start("history/merging");

    for (int round = 0; round < 300; round++) {
        static struct sample all[MOST];
        int64_t n = random_in(&r, 2, MOST), left = n, sums[SAMPLE_SET_POINT] = {0}, last;

        for (int64_t i = 0; i < n; i++) {
            all[i] = (struct sample){.policy = "p", .t_ms = i * 10000};
            for (int k = 0; k < SAMPLE_COUNT_; k++)
                all[i].at[k] = random_in(&r, -5, k % 2 == 0 ? 5 : 1000000);
            for (int k = 0; k < SAMPLE_SET_POINT; k++)
                sums[k] += all[i].at[k];
        }
        last = all[n - 1].at[SAMPLE_REPLICAS];
        for (; left > 1; left--) {
            int64_t at = random_in(&r, 1, left - 1);

            sample_merge(&all[at - 1], &all[at]);
            memmove(&all[at], &all[at + 1], (size_t)(left - at - 1) * sizeof *all);
        }
        cr_assert(all[0].merged == n - 1 && all[0].t_ms == 0);
        cr_assert_eq(all[0].at[SAMPLE_REPLICAS], last);
        for (int k = 0; k < SAMPLE_SET_POINT; k++) {
            int64_t twice = 2 * sums[k] + n, mean = twice / (2 * n) - (twice % (2 * n) < 0);

            cr_assert_eq(all[0].at[k], mean, "%s: %lld of %lld / %lld",
                         sample_field_name((enum sample_field)k), (long long)all[0].at[k],
                         (long long)sums[k], (long long)n);
        }
    }
}

Test(history, counts_nodes_by_what_is_free_and_by_what_fits)
{
    static const struct {
        int64_t free_milli, fit;
        int free_class, fit_class;
    } rows[] = {{-100, 0, 0, 0}, {0, 0, 0, 0},      {1, 1, 1, 1},      {1000, 2, 1, 2},
                {1001, 3, 2, 2}, {4000, 4, 4, 3},   {7001, 127, 8, 7}, {8000, 128, 8, 8},
                {9000, 1, 8, 1}, {8000, 9999, 8, 8}};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sample s = {0};

        sample_add_node(&s, 8000, rows[i].free_milli, rows[i].fit);
        cr_assert_eq(s.at[SAMPLE_NODE_FREE + rows[i].free_class], 1, "row %zu", i);
        cr_assert_eq(s.at[SAMPLE_NODE_FIT + rows[i].fit_class], 1, "row %zu", i);
        sample_add_node(&s, 8000, 500, 20);
        cr_assert_eq(s.at[SAMPLE_NODES], 2);
        cr_assert(s.at[SAMPLE_NODE_FREE_MIN] ==
                  (rows[i].free_milli < 500 ? rows[i].free_milli : 500));
        cr_assert(s.at[SAMPLE_NODE_FIT_MAX] == (rows[i].fit > 20 ? rows[i].fit : 20));
    }
}

static bool one_gap(void *self, const struct history_gap *gap)
{
    cr_assert(sv_eq(gap->why, SV("disk full")));
    *(int64_t *)self += gap->decisions;
    return true;
}

Test(history, forgets_what_is_too_old)
{
    struct random r = random_start("forget");
    struct folder f = folder_new();
    const struct history_keep keep = {.samples_ms = 50000};
    const struct history_gap old = {1000, 2000, SV("disk full"), 3},
                             young = {60000, 70000, SV("disk full"), 40};
    struct err err = {0};
    struct history h;
    int64_t first, last, decisions = 0, n;

    open_at(&f, 0, &h);
    for (int i = 0; i < 10; i++) {
        struct sample s = sample_at(&r, "p", 1000 + i * 10000);
        struct decision_entry d = decision_at(&r, (uint64_t)i + 1, "p", 1000 + i * 10000);

        cr_assert(samples_add(h.samples, &s, &err) && decisions_add(h.decisions, &d, &err));
    }
    cr_assert(history_add_gap(&h, &old, &err) && history_add_gap(&h, &young, &err));
    cr_assert(history_forget(&h, &keep, 91000, &err), "%s", err.text);
    cr_assert(samples_span(h.samples, &first, &last, &err) && first == 41000 && last == 91000);
    cr_assert(db_number(h.db, "SELECT count(*) FROM decision", &n, &err) && n == 6);
    cr_assert(history_gaps(&h, 0, INT64_MAX, one_gap, &decisions, &err) && decisions == 40);
    history_close(&h);
    folder_done(&f);
}

/* A journal that writes straight into the history. */
static bool store(void *self, struct journal_piece *piece)
{
    struct err err = {0};

    cr_assert(chunks_add(((struct history *)self)->chunks, piece, &err), "%s", err.text);
    free(piece);
    return true;
}

static size_t much(void *self)
{
    (void)self;
    return 1 << 20;
}

static void world_into(struct world *w, struct history *h, size_t segment)
{
    const struct journal_sink sink = {store, much, h, 1 << 20};

    world_init(w, "history");
    w->journal = journal_new(&w->names, &sink);
    journal_set_segment(w->journal, segment, JOURNAL_SEGMENT_MS);
    world_list(w);
}

static struct gathered read_between(struct history *h, int64_t from_ms, int64_t until_ms,
                                    int64_t damaged)
{
    struct gathered g = {0};
    struct err err = {0};
    int64_t n;

    cr_assert(chunks_read(h->chunks, from_ms, until_ms, world_gather, &g, &n, &err), "%s",
              err.text);
    cr_assert_eq(n, damaged);
    cr_assert(g.len != 0 && g.at[0].kind == EVENT_GAP && g.at[0].resets);
    return g;
}

/* Pods and nodes that the reader believes in, from the events alone. */
static size_t believed(const struct gathered *g, size_t upto)
{
    int64_t n = 0;

    for (size_t i = 0; i < upto; i++) {
        switch (g->at[i].kind) {
        case EVENT_GAP:
            n = g->at[i].resets ? 0 : n;
            break;
        case EVENT_POD_FOUND:
        case EVENT_POD_CREATED:
            n++;
            break;
        case EVENT_POD_GONE:
            n--;
            break;
        case EVENT_NODE:
        case EVENT_NODE_GONE:
        case EVENT_POD_CHANGED:
        case EVENT_POD_BOUND:
        case EVENT_POD_UNSCHEDULABLE:
        case EVENT_COUNT_:
            break;
        }
    }
    return (size_t)n;
}

Test(history, reads_the_journal_from_any_moment_to_any_other)
{
    static struct world w;
    struct folder f = folder_new();
    struct history h;

    open_at(&f, 0, &h);
    world_into(&w, &h, 8000);
    for (int i = 0; i < 8000; i++) {
        world_step(&w);
        if (i % 97 == 0)
            journal_cut(w.journal, w.now_ms);
    }
    journal_cut(w.journal, w.now_ms);

    struct gathered whole = read_between(&h, 0, INT64_MAX, 0);

    cr_assert_geq(whole.len, w.n_expected);
    for (int round = 0; round < 40; round++) {
        const struct told *a = &w.expected[random_in(&w.random, 0, (int64_t)w.n_expected - 1)];
        const struct told *b = &w.expected[random_in(&w.random, 0, (int64_t)w.n_expected - 1)];
        int64_t from = a->t_ms < b->t_ms ? a->t_ms : b->t_ms,
                until = a->t_ms < b->t_ms ? b->t_ms : a->t_ms + 1;
        struct gathered g = read_between(&h, from, until, 0);
        size_t k = 0, before = 0, seen = 0;

        while (w.expected[k].t_ms < from)
            k++;
        while (before < whole.len &&
               (whole.at[before].t_ms < from || whole.at[before].kind == EVENT_GAP))
            before++;
        while (seen < g.len &&
               (g.at[seen].kind == EVENT_GAP || g.at[seen].kind == EVENT_POD_FOUND ||
                (g.at[seen].kind == EVENT_NODE && g.at[seen].t_ms == from &&
                 w.expected[k].kind != EVENT_NODE)))
            seen++;
        if (w.expected[k].kind != EVENT_NODE && w.expected[k + 1].kind != EVENT_NODE) {
            cr_assert_eq(believed(&g, seen), believed(&whole, before), "from %lld",
                         (long long)from);
            for (; seen < g.len; seen++, k++)
                world_same(&g.at[seen], &w.expected[k], seen);
            cr_assert(k == w.n_expected || w.expected[k].t_ms >= until);
        }
        free(g.at);
    }
    free(whole.at);
    history_close(&h);
    world_done(&w);
    folder_done(&f);
}

/* All events of one millisecond are told, though segments begin between them. */
Test(history, reads_all_of_the_millisecond_in_which_a_segment_begins)
{
    static struct world w;
    struct folder f = folder_new();
    struct history h;
    struct err err = {0};
    int64_t segments = 0;
    size_t created = 0;

    open_at(&f, 0, &h);
    world_into(&w, &h, 1);
    for (int i = 0; i < WORLD_PODS; i++) {
        w.pods[i] = (struct world_pod){
            .there = true, .uid = ++w.uids, .node = -1, .created_s = w.now_ms / 1000};
        world_show_pod(&w, &w.pods[i], false);
        journal_cut(w.journal, w.now_ms);
    }
    cr_assert(db_number(h.db, "SELECT count(DISTINCT segment) FROM chunk WHERE number = 0",
                        &segments, &err));
    cr_assert_geq(segments, 2);

    struct gathered g = read_between(&h, w.now_ms, w.now_ms + 1, 0);

    for (size_t i = 0; i < g.len; i++)
        created += g.at[i].kind == EVENT_POD_CREATED;
    cr_assert_eq(created, WORLD_PODS, "%zu", created);
    free(g.at);
    history_close(&h);
    world_done(&w);
    folder_done(&f);
}

Test(history, drops_the_oldest_segments_and_reads_the_rest)
{
    static struct world w;
    struct folder f = folder_new();
    struct history_keep keep = {.journal_bytes = 20000};
    struct chunks_totals before, after;
    struct err err = {0};
    struct history h;

    open_at(&f, 0, &h);
    world_into(&w, &h, 8000);
    for (int i = 0; i < 20000; i++)
        world_step(&w);
    journal_cut(w.journal, w.now_ms);
    cr_assert(chunks_totals(h.chunks, &before, &err));
    cr_assert_gt(before.segments, 4);
    cr_assert(history_forget(&h, &keep, w.now_ms, &err), "%s", err.text);
    cr_assert(chunks_totals(h.chunks, &after, &err));
    cr_assert(after.bytes <= 20000 && after.segments >= 1 && after.segments < before.segments);
    cr_assert_eq(after.last_ms, before.last_ms);

    /* What is left is the end of what happened. */
    struct gathered g = read_between(&h, 0, INT64_MAX, 0);
    size_t i = g.len, k = w.n_expected;

    for (; i > 0 && g.at[i - 1].t_ms > after.first_ms + 1000; i--, k--)
        world_same(&g.at[i - 1], &w.expected[k - 1], i - 1);
    cr_assert_gt(w.n_expected - k, 100);
    cr_assert_eq(believed(&g, g.len), journal_stats(w.journal).pods);
    free(g.at);

    /* By age, all but the newest. */
    keep = (struct history_keep){.journal_ms = 1};
    cr_assert(history_forget(&h, &keep, w.now_ms + 1000000, &err));
    cr_assert(chunks_totals(h.chunks, &after, &err) && after.segments == 1);
    history_close(&h);
    world_done(&w);
    folder_done(&f);
}

Test(history, goes_on_after_a_restart_and_after_damage)
{
    static struct world w, w2;
    struct folder f = folder_new();
    struct err err = {0};
    struct history h;
    size_t starts = 0, damages = 0;

    open_at(&f, 0, &h);
    world_into(&w, &h, 4000);
    for (int i = 0; i < 6000; i++)
        world_step(&w);
    journal_cut(w.journal, w.now_ms);
    history_close(&h);

    open_at(&f, 0, &h);
    world_into(&w2, &h, 4000);
    for (int i = 0; i < 6000; i++)
        world_step(&w2);
    journal_cut(w2.journal, w2.now_ms);
    cr_assert(
        db_exec(h.db, "UPDATE chunk SET data = x'ff' WHERE segment = 2 AND number = 0", &err));

    struct gathered g = read_between(&h, 0, INT64_MAX, 1);

    for (size_t i = 0; i < g.len; i++) {
        starts += g.at[i].kind == EVENT_GAP && g.at[i].resets && g.at[i].why == GAP_START;
        damages += g.at[i].kind == EVENT_GAP && g.at[i].resets && g.at[i].why == GAP_DAMAGED;
    }
    cr_assert_eq(starts, 2);
    cr_assert_eq(damages, 1);
    cr_assert_eq(believed(&g, g.len), journal_stats(w2.journal).pods);
    free(g.at);
    history_close(&h);
    world_done(&w);
    world_done(&w2);
    folder_done(&f);
}

static bool add_batch(struct history *h, struct random *r, int64_t *t_ms, struct err *err)
{
    bool ok = db_begin(h->db, err);

    for (int i = 0; ok && i < 100; i++) {
        struct sample s = sample_at(r, "p", *t_ms + i * 10000);

        ok = samples_add(h->samples, &s, err);
    }
    ok = ok && db_commit(h->db, err);
    if (ok)
        *t_ms += 1000000;
    else
        db_rollback(h->db);
    return ok;
}

/* A file that may not grow: old history makes room for new. */
Test(history, makes_room_at_its_limit_of_size)
{
    static struct world w;
    struct folder f = folder_new();
    struct random r = random_start("limit");
    struct err err = {0};
    struct history h;
    int64_t t_ms = 1000;
    int full = 0;

    open_at(&f, 1 << 20, &h);
    world_into(&w, &h, 8000);
    for (int i = 0; i < 300; i++) {
        if (add_batch(&h, &r, &t_ms, &err))
            continue;
        cr_assert_eq(err.code, DB_FULL, "%s", err.text);
        cr_assert(db_at_limit(h.db));
        cr_assert(history_shrink(&h, &err), "shrink %d: %s", full, err.text);
        cr_assert(add_batch(&h, &r, &t_ms, &err), "after shrink %d: %s", full, err.text);
        full++;
    }
    cr_assert_gt(full, 3);
    cr_assert_leq(db_bytes(h.db), 1 << 20);
    cr_assert(db_integrity(h.db, &err), "%s", err.text);
    history_close(&h);
    world_done(&w);
    folder_done(&f);
}

static int64_t number(struct history *h, const char *sql)
{
    struct err err = {0};
    int64_t n = 0;

    cr_assert(db_number(h->db, sql, &n, &err), "%s", err.text);
    return n;
}

/* Chunks of a level, one after the other. */
static bool put_figures(struct history *h, int64_t policy, enum level level, int64_t from,
                        int64_t n, struct err *err)
{
    static const char data[3000];
    bool ok = true;

    for (int64_t i = from; ok && i < from + n; i++)
        ok = packs_put_steps(h->packs, policy, level, i * level_span_ms(level),
                             (const int64_t[]){0}, 1, (struct sv){data, sizeof data}, err);
    return ok;
}

#define LEFT(LEVEL)   "SELECT count(*) FROM pack WHERE level = " #LEVEL
#define OLDEST(LEVEL) "SELECT min(first) FROM pack WHERE level = " #LEVEL

/* Minutes go first, then hours, then days with the names of what nobody tells of any more; the newest of each stays, and then that is said. */
Test(history, makes_room_from_the_finest_to_the_coarsest)
{
    struct folder f = folder_new();
    struct err err = {0};
    struct history h;
    int64_t miner, gone, days, hours, shrunk = 0;

    open_at(&f, 1 << 20, &h);
    cr_assert(db_exec(h.db, "INSERT INTO policy(name) VALUES('miner'), ('gone')", &err), "%s",
              err.text);
    cr_assert(samples_find_policy(h.samples, SV("miner"), &miner, &err) &&
              samples_find_policy(h.samples, SV("gone"), &gone, &err));
    cr_assert(db_exec(h.db,
                      "INSERT INTO node_group(policy, label, value) SELECT id, 'zone', 'a' FROM "
                      "policy",
                      &err),
              "%s", err.text);
    cr_assert(put_figures(&h, miner, LEVEL_MINUTE, 0, 20, &err) &&
                  put_figures(&h, miner, LEVEL_HOUR, 0, 20, &err) &&
                  put_figures(&h, miner, LEVEL_GROUP_HOUR, 0, 20, &err) &&
                  put_figures(&h, miner, LEVEL_GROUP_DAY, 0, 20, &err) &&
                  put_figures(&h, gone, LEVEL_GROUP_DAY, 0, 1, &err) &&
                  put_figures(&h, miner, LEVEL_DAY, 0, 20, &err),
              "%s", err.text);
    while (history_shrink(&h, &err)) {
        days = number(&h, LEFT(3));
        hours = number(&h, LEFT(2));
        cr_assert(number(&h, LEFT(1)) == 1 || hours == 20);
        cr_assert(hours == 1 || days == 20);
        cr_assert_lt(shrunk++, 100);
    }
    cr_assert_gt(shrunk, 6);
    cr_assert_eq(err.code, DB_FULL, "%s", err.text);
    cr_assert_not_null(strstr(err.text, "nothing but the newest"), "%s", err.text);
    for (int level = LEVEL_MINUTE; level <= LEVEL_GROUP_DAY; level++) {
        char sql[96];

        if (level == LEVEL_GROUP_MINUTE)
            continue;
        (void)snprintf(sql, sizeof sql,
                       "SELECT count(*) = 1 AND min(first) > 0 FROM pack WHERE level = %d", level);
        cr_assert_eq(number(&h, sql), 1, "level %d", level);
    }
    cr_assert_eq(number(&h, "SELECT count(*) FROM node_group"), 1);
    history_close(&h);
    folder_done(&f);
}

/* A file full of days, which nothing finer makes room for, goes on taking the newest. */
Test(history, goes_on_recording_when_days_fill_it)
{
    struct folder f = folder_new();
    struct random r = random_start("days");
    struct err err = {0};
    struct history h;
    int64_t t_ms = 1000, oldest;
    int full = 0;

    open_at(&f, 1 << 20, &h);
    cr_assert(add_batch(&h, &r, &t_ms, &err), "%s", err.text);
    for (int64_t i = 0; i < 2000; i++) {
        if (put_figures(&h, 1, LEVEL_DAY, i, 1, &err))
            continue;
        cr_assert_eq(err.code, DB_FULL, "%s", err.text);
        oldest = number(&h, OLDEST(3));
        cr_assert(history_shrink(&h, &err), "%s", err.text);
        cr_assert_gt(number(&h, OLDEST(3)), oldest);
        cr_assert(put_figures(&h, 1, LEVEL_DAY, i, 1, &err), "after shrink %d: %s", full, err.text);
        cr_assert(add_batch(&h, &r, &t_ms, &err), "%s", err.text);
        full++;
    }
    cr_assert_gt(full, 3);
    cr_assert_leq(db_bytes(h.db), 1 << 20);
    history_close(&h);
    folder_done(&f);
}

Test(history, damaged_parts_are_counted)
{
    struct random random = {.seed = 3, .state = 3};
    struct folder f = folder_new();
    struct history h;
    struct err err = {0};
    int64_t parts, n = 0;
    bool more;

    open_at(&f, 0, &h);
    for (int i = 0; i < 100; i++) {
        struct sample s = sample_at(&random, "miner", PACKS_DAY_MS + i * 10000);

        cr_assert(samples_add(h.samples, &s, &err), "%s", err.text);
    }
    cr_assert(history_pack(&h, PACKS_DAY_MS + 2 * PACKS_HOUR_MS, &more, &err), "%s", err.text);
    cr_assert(history_damaged(&h, &parts, &err), "%s", err.text);
    cr_assert_eq(parts, 0);
    cr_assert(db_exec(h.db, "UPDATE pack SET data = zeroblob(40) WHERE level < 2", &err), "%s",
              err.text);
    cr_assert(db_number(h.db, "SELECT count(*) FROM pack WHERE level < 2", &n, &err));
    cr_assert(history_damaged(&h, &parts, &err), "%s", err.text);
    cr_assert_eq(parts, n);
    cr_assert_geq(n, 2);
    history_close(&h);
    folder_done(&f);
}

#include "storage/groups.h"

#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "storage/groups_read.h"
#include "storage/groups_table.h"
#include "storage/history.h"
#include "storage/writer.h"
#include "tests/unit/policy/random.h"
#include "tests/unit/storage/folder.h"

#define T0   INT64_C(1789948800000) /* 2026-09-21T00:00:00Z */
#define ZONE "topology.kubernetes.io/zone"

static const char *const zones[] = {"eu-1a", "eu-1b", "eu-1c", GROUPS_NONE, GROUPS_OTHER};

struct kept {
    struct folder folder;
    struct history history;
};

static void open_kept(struct kept *k)
{
    struct err err = {0};

    k->folder = folder_new();
    cr_assert(history_open(&(struct db_options){.path = k->folder.file}, &k->history, &err), "%s",
              err.text);
}

static void done_kept(struct kept *k)
{
    history_close(&k->history);
    folder_done(&k->folder);
}

static struct groups_sample sample_at(int64_t t_ms, const char *label)
{
    struct groups_sample s = {.policy = "miner", .t_ms = t_ms};

    (void)snprintf(s.label, sizeof s.label, "%s", label);
    return s;
}

static void add_group(struct groups_sample *s, const char *value, int64_t nodes, int64_t paid,
                      int64_t filler)
{
    struct groups_one *g = &s->at[s->n++];

    *g = (struct groups_one){.at = {[GROUP_NODES] = nodes,
                                    [GROUP_ALLOCATABLE] = nodes * 32000,
                                    [GROUP_PAID] = paid,
                                    [GROUP_FILLER] = filler,
                                    [GROUP_FIT] = nodes * 3}};
    (void)snprintf(g->value, sizeof g->value, "%s", value);
}

static void keep(struct kept *k, const struct groups_sample *s)
{
    struct err err = {0};

    cr_assert(groups_add(k->history.groups, s, &err), "%s", err.text);
}

static void pack_all(struct kept *k, int64_t now_ms)
{
    struct err err = {0};
    bool more = true;

    while (more)
        cr_assert(history_pack(&k->history, now_ms, &more, &err), "%s", err.text);
}

/* What is read, by name. */
struct found {
    struct total {
        char label[GROUPS_LABEL_SIZE], value[GROUPS_VALUE_SIZE];
        struct groups_sum sum;
    } at[128];
    size_t n;
};

static void take(void *self, const struct groups_total *total)
{
    struct found *f = self;
    struct total *t = &f->at[f->n++];

    (void)snprintf(t->label, sizeof t->label, "%.*s", SV_ARG(total->label));
    (void)snprintf(t->value, sizeof t->value, "%.*s", SV_ARG(total->value));
    t->sum = total->sum;
}

static struct groups_damage read_some(struct kept *k, int64_t from_ms, int64_t until_ms,
                                      struct found *f)
{
    struct groups_damage damage;
    struct err err = {0};

    f->n = 0;
    cr_assert(
        groups_read(k->history.groups, SV("miner"), from_ms, until_ms, take, f, &damage, &err),
        "%s", err.text);
    return damage;
}

static void read_all(struct kept *k, int64_t from_ms, int64_t until_ms, struct found *f)
{
    cr_assert_eq(read_some(k, from_ms, until_ms, f).parts, 0);
    cr_assert_eq(groups_damaged(k->history.groups), 0);
}

static const struct groups_sum *sum_of(const struct found *f, const char *value)
{
    static const struct groups_sum none;

    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->at[i].value, value) == 0)
            return &f->at[i].sum;
    }
    return &none;
}

static int64_t rows_of(struct kept *k, const char *table)
{
    char sql[80];
    struct err err = {0};
    int64_t n = 0;

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    cr_assert(db_number(k->history.db, sql, &n, &err), "%s", err.text);
    return n;
}

Test(groups, tells_what_each_group_came_to)
{
    struct groups_sample s = sample_at(T0, ZONE);
    struct found *f = xcalloc(1, sizeof *f);
    struct kept k;

    open_kept(&k);
    add_group(&s, "eu-1b", 2, 10000, 5000);
    add_group(&s, GROUPS_NONE, 1, 0, 0);
    add_group(&s, "eu-1a", 3, 20000, 0);
    keep(&k, &s);
    read_all(&k, T0, T0 + 5000, f);
    cr_assert_eq(f->n, 3);
    cr_assert_str_eq(f->at[0].value, "eu-1a");
    cr_assert_str_eq(f->at[2].value, GROUPS_NONE);
    cr_assert_str_eq(f->at[2].label, ZONE);
    cr_assert_eq(f->at[1].sum.covered_ms, 5000);
    cr_assert_eq(groups_mean_milli(&f->at[1].sum, GROUP_PAID), 10000);
    cr_assert_eq(groups_mean_milli(&f->at[1].sum, GROUP_NODES), 2000);
    cr_assert_eq(groups_mean_milli(&f->at[1].sum, GROUP_FIT), 6000);
    cr_assert_eq(f->at[0].sum.most_paid_milli, 20000);
    cr_assert_eq(f->at[0].sum.most_nodes_milli, 3000);
    /* It holds for half a minute, and the hour goes on behind its end. */
    read_all(&k, T0, T0 + PACKS_HOUR_MS, f);
    cr_assert_eq(f->at[0].sum.covered_ms, SAMPLES_HOLD_MS);
    read_all(&k, T0 + PACKS_HOUR_MS, T0 + 2 * PACKS_HOUR_MS, f);
    cr_assert_eq(f->n, 0);
    done_kept(&k);
    free(f);
}

/* A label that the policy asks for no longer stays in the past. */
Test(groups, groups_of_another_label_stand_beside)
{
    struct groups_sample zone = sample_at(T0, ZONE), pool = sample_at(T0 + 10000, "pool");
    struct found *f = xcalloc(1, sizeof *f);
    struct kept k;

    open_kept(&k);
    add_group(&zone, "a", 1, 1000, 0);
    add_group(&pool, "a", 1, 2000, 0);
    keep(&k, &zone);
    keep(&k, &pool);
    pack_all(&k, T0 + 2 * PACKS_HOUR_MS);
    read_all(&k, T0, T0 + PACKS_HOUR_MS, f);
    cr_assert_eq(f->n, 2);
    cr_assert_str_eq(f->at[0].label, "pool");
    cr_assert_eq(f->at[0].sum.covered_ms, SAMPLES_HOLD_MS);
    cr_assert_str_eq(f->at[1].label, ZONE);
    cr_assert_eq(f->at[1].sum.covered_ms, 10000);
    done_kept(&k);
    free(f);
}

/* ---- random samples against a count of every second ---- */

enum { HOURS = 52, SECONDS = HOURS * 3600, N_ZONES = COUNT_OF(zones) };

struct second {
    int32_t covered[N_ZONES], paid[N_ZONES], filler[N_ZONES], nodes[N_ZONES];
};

static void count(struct second *seconds, const struct groups_sample *s, int64_t until_ms)
{
    for (int64_t t = (s->t_ms - T0) / 1000; t < (until_ms - T0) / 1000 && t < SECONDS; t++) {
        for (size_t i = 0; i < s->n; i++) {
            for (size_t z = 0; z < N_ZONES; z++) {
                if (strcmp(zones[z], s->at[i].value) != 0)
                    continue;
                seconds[t].covered[z] = 1;
                seconds[t].nodes[z] = (int32_t)s->at[i].at[GROUP_NODES];
                seconds[t].paid[z] = (int32_t)s->at[i].at[GROUP_PAID];
                seconds[t].filler[z] = (int32_t)s->at[i].at[GROUP_FILLER];
            }
        }
    }
}

static struct groups_sample random_sample(struct random *r, int64_t t_ms)
{
    struct groups_sample s = sample_at(t_ms, ZONE);

    for (size_t z = 0; z < N_ZONES; z++) {
        if (random_percent(r, z < 3 ? 95 : 20))
            add_group(&s, zones[z], random_in(r, 1, 40), random_in(r, 0, 1000000),
                      random_in(r, 0, 200000));
    }
    return s;
}

/* Samples with gaps, packed as hours pass, at times some hours late. */
static void fill(struct kept *k, struct random *r, struct second *seconds)
{
    struct groups_sample last = {0};
    int64_t end_ms = T0 + (int64_t)SECONDS * 1000, packed_ms = T0;
    struct err err = {0};

    cr_assert(db_begin(k->history.db, &err), "%s", err.text);
    for (int64_t t_ms = T0 + random_in(r, 0, 5000) * 1000; t_ms < end_ms;) {
        struct groups_sample s = random_sample(r, t_ms);

        if (last.t_ms != 0)
            count(seconds, &last, min_i64(last.t_ms + SAMPLES_HOLD_MS, t_ms));
        keep(k, &s);
        last = s;
        t_ms += random_in(r, 1, 500) == 1 ? random_in(r, 30, 9000) * 1000 : 10000;
        if (t_ms - packed_ms > random_in(r, 1, 5) * PACKS_HOUR_MS) {
            cr_assert(db_commit(k->history.db, &err), "%s", err.text);
            pack_all(k, t_ms);
            cr_assert(db_begin(k->history.db, &err), "%s", err.text);
            packed_ms = t_ms;
        }
    }
    count(seconds, &last, last.t_ms + SAMPLES_HOLD_MS);
    cr_assert(db_commit(k->history.db, &err), "%s", err.text);
}

static void expect_near(__int128 found, int64_t expected, int64_t slack, const char *what,
                        const char *zone)
{
    cr_assert(found >= (__int128)expected - slack && found <= (__int128)expected + slack,
              "%s of %s: found %lld, expected %lld", what, zone, (long long)found,
              (long long)expected);
}

/* Means are rounded to thousandths in minutes, hours and days: each costs half of one at most. */
static void check_range(struct kept *k, const struct second *seconds, int64_t from, int64_t until,
                        struct found *f)
{
    int64_t all = 0, told = 0;

    read_all(k, T0 + from * 1000, T0 + until * 1000, f);
    for (size_t z = 0; z < N_ZONES; z++) {
        const struct groups_sum *sum = sum_of(f, zones[z]);
        int64_t covered = 0, paid = 0, filler = 0, nodes = 0, most_paid = 0, most_nodes = 0;

        for (int64_t t = from; t < until; t++) {
            covered += seconds[t].covered[z];
            paid += seconds[t].paid[z];
            filler += seconds[t].filler[z];
            nodes += seconds[t].nodes[z];
            most_paid = max_i64(most_paid, seconds[t].paid[z]);
            most_nodes = max_i64(most_nodes, seconds[t].nodes[z]);
        }
        cr_assert_eq(sum->covered_ms, covered * 1000,
                     "%s: found %lld ms, expected %lld from %lld until %lld s", zones[z],
                     (long long)sum->covered_ms, (long long)covered * 1000, (long long)from,
                     (long long)until);
        expect_near(sum->area[GROUP_PAID], paid * 1000, 2000 * covered, "paid", zones[z]);
        expect_near(sum->area[GROUP_FILLER], filler * 1000, 2000 * covered, "filler", zones[z]);
        expect_near(sum->area[GROUP_NODES], nodes * 1000000, 2000 * covered, "nodes", zones[z]);
        cr_assert_eq(sum->most_paid_milli, most_paid, "%s", zones[z]);
        cr_assert_eq(sum->most_nodes_milli, most_nodes * 1000, "%s", zones[z]);
        all += paid;
        told += (int64_t)(sum->area[GROUP_PAID] / 1000);
    }
    expect_near(told, all, 2 * N_ZONES * (until - from), "paid", "all");
}

Test(groups, sums_are_those_of_every_second_in_any_range_of_minutes)
{
    struct random r = random_start("groups/sums_are_those_of_every_second");
    struct second *seconds = xcalloc(SECONDS, sizeof *seconds);
    struct found *f = xcalloc(1, sizeof *f);
    struct kept k;

    open_kept(&k);
    fill(&k, &r, seconds);
    for (int round = 0; round < 2; round++) {
        check_range(&k, seconds, 0, SECONDS, f);
        for (int i = 0; i < 60; i++) {
            int64_t from = random_in(&r, 0, SECONDS / 60 - 1);

            check_range(&k, seconds, from * 60, random_in(&r, from + 1, SECONDS / 60) * 60, f);
        }
        pack_all(&k, T0 + (HOURS + 2) * PACKS_HOUR_MS);
        cr_assert_eq(rows_of(&k, "group_sample"), 0);
    }
    done_kept(&k);
    free(f);
    free(seconds);
}

/* What minutes told of is told by the hour when they are gone, in proportion where an edge cuts it. */
Test(groups, what_is_kept_for_longer_tells_when_minutes_are_gone)
{
    const struct history_keep days = {.samples_ms = PACKS_DAY_MS};
    struct found *f = xcalloc(1, sizeof *f);
    struct err err = {0};
    struct kept k;

    open_kept(&k);
    for (int64_t t_ms = T0; t_ms < T0 + PACKS_DAY_MS; t_ms += 30000) {
        struct groups_sample s = sample_at(t_ms, ZONE);

        add_group(&s, "eu-1a", 2, t_ms < T0 + 30 * PACKS_MINUTE_MS ? 1000 : 3000, 0);
        keep(&k, &s);
    }
    pack_all(&k, T0 + 2 * PACKS_DAY_MS);
    read_all(&k, T0, T0 + PACKS_HOUR_MS / 2, f);
    cr_assert_eq(groups_mean_milli(&f->at[0].sum, GROUP_PAID), 1000);
    cr_assert(history_forget(&k.history, &days, T0 + 3 * PACKS_DAY_MS, &err), "%s", err.text);
    read_all(&k, T0, T0 + PACKS_HOUR_MS / 2, f);
    cr_assert_eq(groups_mean_milli(&f->at[0].sum, GROUP_PAID), 2000);
    cr_assert_eq(f->at[0].sum.covered_ms, PACKS_HOUR_MS / 2);
    read_all(&k, T0 - PACKS_DAY_MS, T0 + 9 * PACKS_DAY_MS, f);
    cr_assert_eq(f->at[0].sum.covered_ms, PACKS_DAY_MS);
    done_kept(&k);
    free(f);
}

/* A clock that was set back: an hour that was told comes again, with less. */
Test(groups, an_hour_that_comes_twice_counts_once)
{
    struct found *f = xcalloc(1, sizeof *f);
    struct groups_sample again = sample_at(T0 + 60000, ZONE);
    struct kept k;

    open_kept(&k);
    for (int64_t t_ms = T0; t_ms < T0 + PACKS_HOUR_MS; t_ms += 30000) {
        struct groups_sample s = sample_at(t_ms, ZONE);

        add_group(&s, "eu-1a", 2, 4000, 0);
        keep(&k, &s);
    }
    pack_all(&k, T0 + 2 * PACKS_HOUR_MS);
    add_group(&again, "eu-1a", 2, 9000, 0);
    keep(&k, &again);
    pack_all(&k, T0 + 2 * PACKS_HOUR_MS);
    read_all(&k, T0, T0 + PACKS_HOUR_MS, f);
    cr_assert_eq(f->at[0].sum.covered_ms, PACKS_HOUR_MS);
    cr_assert_eq(groups_mean_milli(&f->at[0].sum, GROUP_PAID), 4000);
    done_kept(&k);
    free(f);
}

/* Nodes with a name of their own each, for months: neither the file's names nor a chunk grows without end, and nothing is lost. */
Test(groups, too_many_names_count_as_others)
{
    enum { NAMES = GROUPS_KNOWN + 200 };
    struct found *f = xcalloc(1, sizeof *f);
    char name[GROUPS_VALUE_SIZE];
    __int128 paid = 0;
    int64_t minutes = 0;
    struct err err = {0};
    struct kept k;

    open_kept(&k);
    cr_assert(db_begin(k.history.db, &err), "%s", err.text);
    for (int i = 0; i < NAMES; i++, minutes++) {
        struct groups_sample s = sample_at(T0 + minutes * PACKS_MINUTE_MS / 2, ZONE);

        (void)snprintf(name, sizeof name, "node-%d", i);
        add_group(&s, name, 1, 1000, 0);
        add_group(&s, "stays", 1, 2000, 0);
        keep(&k, &s);
    }
    cr_assert(db_commit(k.history.db, &err), "%s", err.text);
    pack_all(&k, T0 + PACKS_DAY_MS);
    cr_assert_leq(rows_of(&k, "node_group"), GROUPS_KNOWN + 1);
    read_all(&k, T0, T0 + PACKS_DAY_MS, f);
    cr_assert_leq(f->n, GROUPS_TABLE_MAX);
    for (size_t i = 0; i < f->n; i++)
        paid += f->at[i].sum.area[GROUP_PAID];
    expect_near(paid, (int64_t)NAMES * 3000 * 30000, (int64_t)NAMES * 30000, "paid", "all");
    cr_assert_geq(sum_of(f, GROUPS_OTHER)->most_nodes_milli, 1000);
    done_kept(&k);
    free(f);
}

/* A label that tells every node apart leaves the next one its names. */
Test(groups, another_label_has_names_of_its_own)
{
    struct found *f = xcalloc(1, sizeof *f);
    int64_t later_ms = T0 + 65 * PACKS_DAY_MS; /* in another chunk of days */
    char name[GROUPS_VALUE_SIZE];
    struct groups_sample s;
    struct err err = {0};
    struct kept k;

    open_kept(&k);
    cr_assert(db_begin(k.history.db, &err), "%s", err.text);
    for (int i = 0; i < GROUPS_KNOWN + 10; i++) {
        s = sample_at(T0 + i * INT64_C(1000), "kubernetes.io/hostname");
        (void)snprintf(name, sizeof name, "node-%d", i);
        add_group(&s, name, 1, 1000, 0);
        keep(&k, &s);
    }
    s = sample_at(later_ms, ZONE);
    add_group(&s, "eu-1a", 2, 5000, 0);
    keep(&k, &s);
    cr_assert(db_commit(k.history.db, &err), "%s", err.text);
    cr_assert_eq(rows_of(&k, "node_group"), GROUPS_KNOWN + 2);
    pack_all(&k, later_ms + PACKS_DAY_MS);
    read_all(&k, later_ms, later_ms + PACKS_DAY_MS, f);
    cr_assert_eq(f->n, 1);
    cr_assert_eq(sum_of(f, "eu-1a")->most_paid_milli, 5000);
    done_kept(&k);
    free(f);
}

/* From so many on, GROUPS_MAX at a time, every step_ms. */
static void keep_names(struct kept *k, int64_t t_ms, int64_t step_ms, int first, int n)
{
    struct groups_sample s = sample_at(t_ms, ZONE);
    char name[GROUPS_VALUE_SIZE];

    for (int i = first; i < first + n; i++) {
        (void)snprintf(name, sizeof name, "node-%d", i);
        add_group(&s, name, 1, 1000, 0);
        if (s.n == GROUPS_MAX || i == first + n - 1) {
            keep(k, &s);
            s = sample_at(s.t_ms + step_ms, ZONE);
        }
    }
}

Test(groups, those_that_are_too_many_at_one_moment_are_one)
{
    CLEANUP(free_ptr) struct found *f = xcalloc(1, sizeof *f);
    struct kept k;

    open_kept(&k);
    keep_names(&k, T0, 30000, 0, GROUPS_KNOWN);
    keep_names(&k, T0 + 1800000, 30000, GROUPS_KNOWN, 3);
    read_all(&k, T0 + 1800000, T0 + 1830000, f);
    cr_assert_eq(f->n, 1);
    cr_assert_eq(sum_of(f, GROUPS_OTHER)->covered_ms, 30000);
    cr_assert_eq(groups_mean_milli(sum_of(f, GROUPS_OTHER), GROUP_PAID), 3000);
    cr_assert_eq(sum_of(f, GROUPS_OTHER)->most_nodes_milli, 3000);
    done_kept(&k);
}

static __int128 paid_of(const struct found *f, const char *label)
{
    __int128 paid = 0;

    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->at[i].label, label) == 0)
            paid += f->at[i].sum.area[GROUP_PAID];
    }
    return paid;
}

/* Those of the new label have places of their own in days, too, and nothing of either is lost. */
Test(groups, a_chunk_that_is_full_takes_in_another_label)
{
    enum { POOLS = GROUPS_MAX };
    CLEANUP(free_ptr) struct found *f = xcalloc(1, sizeof *f);
    struct groups_sample s = sample_at(T0 + PACKS_HOUR_MS, "pool");
    int64_t end_ms = T0 + 64 * PACKS_DAY_MS;
    char name[GROUPS_VALUE_SIZE];
    struct kept k;

    open_kept(&k);
    keep_names(&k, T0, 30000, 0, 2 * GROUPS_TABLE_MAX);
    pack_all(&k, T0 + PACKS_HOUR_MS);
    for (int i = 0; i < POOLS; i++) {
        (void)snprintf(name, sizeof name, "pool-%d", i);
        add_group(&s, name, 1, 1000, 0);
    }
    keep(&k, &s);
    pack_all(&k, T0 + 2 * PACKS_HOUR_MS);
    read_all(&k, T0 + PACKS_HOUR_MS, T0 + 2 * PACKS_HOUR_MS, f);
    for (size_t i = 0; i < f->n; i++)
        cr_assert_str_eq(f->at[i].label, "pool");
    expect_near(paid_of(f, "pool"), INT64_C(1000) * POOLS * 30000, POOLS * 30000, "paid", "pool");
    for (int whole = 0; whole < 2; whole++) {
        size_t pools = 0;

        read_all(&k, T0, whole ? end_ms : T0 + PACKS_DAY_MS, f);
        cr_assert_eq(f->n, GROUPS_TABLE_MAX);
        expect_near(paid_of(f, "pool"), INT64_C(1000) * POOLS * 30000, POOLS * 30000, "paid",
                    "pool");
        expect_near(paid_of(f, ZONE), INT64_C(2000) * GROUPS_TABLE_MAX * 30000,
                    2 * GROUPS_TABLE_MAX * 30000, "paid", ZONE);
        for (size_t i = 0; i < f->n; i++)
            pools += strcmp(f->at[i].label, "pool") == 0;
        cr_assert_geq(pools, GROUPS_TABLE_MAX / 2 - 1, "%zu", pools);
    }
    done_kept(&k);
}

/* The label was another one meanwhile: what finds no place is of the label that it was told by. */
Test(groups, those_that_find_no_place_are_others_of_their_own_label)
{
    CLEANUP(free_ptr) struct found *f = xcalloc(1, sizeof *f);
    struct groups_sample s = sample_at(T0 + PACKS_HOUR_MS, "pool");
    int64_t again_ms = T0 + 2 * PACKS_HOUR_MS;
    struct kept k;

    open_kept(&k);
    keep_names(&k, T0, 30000, 0, 2 * GROUPS_TABLE_MAX);
    add_group(&s, "large", 1, 1000, 0);
    keep(&k, &s);
    keep_names(&k, again_ms, 30000, 0, 2 * GROUPS_TABLE_MAX);
    pack_all(&k, again_ms + PACKS_HOUR_MS);
    read_all(&k, again_ms, again_ms + PACKS_HOUR_MS, f);
    for (size_t i = 0; i < f->n; i++)
        cr_assert_str_eq(f->at[i].label, ZONE);
    expect_near(paid_of(f, ZONE), INT64_C(2000) * GROUPS_TABLE_MAX * 30000,
                2 * GROUPS_TABLE_MAX * 30000, "paid", ZONE);
    cr_assert_gt(sum_of(f, GROUPS_OTHER)->covered_ms, 0);
    done_kept(&k);
}

Test(groups, samples_that_had_to_wait_are_merged)
{
    struct groups_sample a = sample_at(T0, ZONE), b = sample_at(T0 + 10000, ZONE),
                         pool = sample_at(T0 + 20000, "pool");

    add_group(&a, "x", 2, 1000, 0);
    add_group(&a, "gone", 2, 4000, 0);
    add_group(&b, "x", 2, 3000, 0);
    add_group(&b, "new", 4, 8000, 0);
    groups_merge(&a, &b);
    cr_assert_eq(a.merged, 1);
    cr_assert_eq(a.t_ms, T0);
    cr_assert_eq(a.n, 3);
    cr_assert_eq(a.at[0].at[GROUP_PAID], 2000);
    cr_assert_eq(a.at[1].at[GROUP_PAID], 2000);
    cr_assert_eq(a.at[2].at[GROUP_PAID], 4000);
    groups_merge(&a, &pool);
    cr_assert_str_eq(a.label, "pool");
    cr_assert_eq(a.t_ms, T0 + 20000);
}

/* The mean of so many, rounded, halves up. */
static int64_t rounded(int64_t sum, int64_t n)
{
    int64_t twice = 2 * sum + n, down = twice / (2 * n);

    return down - (twice % (2 * n) < 0);
}

enum { MERGED = 24, NAMES = 5 };

/* What is expected is summed apart, and rounded at the end. */
static void expect_merged(const struct groups_sample *got,
                          const int64_t sums[NAMES][GROUP_FIELD_COUNT_], int64_t n)
{
    cr_assert_eq(got->merged, n - 1);
    cr_assert_eq(got->t_ms, T0);
    for (size_t i = 0; i < got->n; i++) {
        const int64_t *sum = sums[got->at[i].value[0] - 'a'];

        for (int k = 0; k < GROUP_FIELD_COUNT_; k++)
            cr_assert_eq(got->at[i].at[k], rounded(sum[k], n), "%s %s: %lld of %lld / %lld",
                         got->at[i].value, group_field_name((enum group_field)k),
                         (long long)got->at[i].at[k], (long long)sum[k], (long long)n);
    }
}

/* Neighbours in any order: each round takes a random one into the one before it. */
Test(groups, merging_in_any_order_comes_to_the_same)
{
    struct random r = random_start("groups/merging");

    for (int round = 0; round < 300; round++) {
        struct groups_sample all[MERGED];
        int64_t sums[NAMES][GROUP_FIELD_COUNT_] = {0};
        size_t n = (size_t)random_in(&r, 2, MERGED), left = n, names = 0;

        for (size_t i = 0; i < n; i++) {
            all[i] = sample_at(T0 + (int64_t)i * 10000, ZONE);
            for (size_t k = 0; k < NAMES; k++) {
                struct groups_one *one = &all[i].at[all[i].n];

                if (!random_percent(&r, 60))
                    continue;
                *one = (struct groups_one){.value = {(char)('a' + k)}};
                names |= (size_t)1 << k;
                for (int f = 0; f < GROUP_FIELD_COUNT_; f++) {
                    one->at[f] = random_in(&r, 0, f == GROUP_NODES ? 3 : 100000);
                    sums[k][f] += one->at[f];
                }
                all[i].n++;
            }
        }
        for (; left > 1; left--) {
            size_t at = (size_t)random_in(&r, 1, (int64_t)left - 1);

            groups_merge(&all[at - 1], &all[at]);
            memmove(&all[at], &all[at + 1], (left - at - 1) * sizeof *all);
        }
        cr_assert_eq(all[0].n, (size_t)__builtin_popcountll(names));
        expect_merged(&all[0], sums, (int64_t)n);
    }
}

/* Each sample has as many groups as there may be, and no two the same ones. */
Test(groups, what_has_no_place_in_a_merged_sample_counts_with_all_others)
{
    struct groups_sample held = sample_at(T0, ZONE);
    int64_t paid = 0;

    for (int i = 0; i < 4; i++) {
        struct groups_sample next = sample_at(T0 + i * 10000, ZONE);
        char name[GROUPS_VALUE_SIZE];

        for (int k = 0; k < GROUPS_MAX; k++) {
            (void)snprintf(name, sizeof name, "node-%d-%d", i, k);
            add_group(&next, name, 1, 400 * (k + 1), 0);
        }
        if (i == 2)
            add_group(&next, GROUPS_OTHER, 9, 4000, 0);
        if (i == 0)
            held = next;
        else
            groups_merge(&held, &next);
    }
    cr_assert_eq(held.n, GROUPS_MAX + 1);
    for (size_t i = 0; i < held.n; i++)
        paid += held.at[i].at[GROUP_PAID];
    cr_assert_str_eq(held.at[GROUPS_MAX].value, GROUPS_OTHER);
    cr_assert_eq(paid, (4 * 400 * GROUPS_MAX * (GROUPS_MAX + 1) / 2 + 4000) / 4);
    cr_assert_eq(held.at[0].at[GROUP_PAID], 100);
}

/* A full disk may keep samples waiting for long. */
Test(groups, what_stays_the_same_is_the_same_however_often_it_is_merged)
{
    struct groups_sample held = sample_at(T0, ZONE), next = sample_at(T0 + 10000, ZONE);

    add_group(&held, "x", 3, 7001, 13);
    add_group(&next, "x", 3, 7001, 13);
    for (int i = 0; i < 1000; i++)
        groups_merge(&held, &next);
    cr_assert_eq(held.merged, 1000);
    cr_assert_eq(memcmp(held.at[0].at, next.at[0].at, sizeof next.at[0].at), 0);
}

/* ---- damage ---- */

enum { DAMAGE_DAYS = 3, DAMAGE_HOURS = 24 * DAMAGE_DAYS };

/* Each day's hours rise by a core, and the second half of each has 600 milli-cores more. */
static void keep_hours(struct kept *k, int64_t from_ms, int64_t until_ms)
{
    struct err err = {0};

    cr_assert(db_begin(k->history.db, &err), "%s", err.text);
    for (int64_t t_ms = from_ms; t_ms < until_ms; t_ms += 30 * SAMPLES_STEP_MS) {
        struct groups_sample s = sample_at(t_ms, ZONE);
        int64_t hour = (t_ms - T0) / PACKS_HOUR_MS % 24;

        s.merged = 27; /* until the next */
        add_group(&s, "eu-1a", 2,
                  1000 * (hour + 1) + ((t_ms - T0) % PACKS_HOUR_MS >= PACKS_HOUR_MS / 2 ? 600 : 0),
                  0);
        keep(k, &s);
    }
    cr_assert(db_commit(k->history.db, &err), "%s", err.text);
    pack_all(k, until_ms + PACKS_HOUR_MS);
}

/* The checksums of chunks are others. */
static void spoil(struct kept *k, const char *which)
{
    char sql[400];
    struct err err = {0};

    (void)snprintf(sql, sizeof sql,
                   "UPDATE pack SET data = substr(data, 1, length(data) - 1) || "
                   "CASE WHEN substr(data, -1) = x'00' THEN x'01' ELSE x'00' END WHERE %s",
                   which);
    cr_assert(db_exec(k->history.db, sql, &err), "%s", err.text);
}

#define MINUTES "level = 4"
#define HOURS_  "level = 5"
#define DAYS_   "level = 6"
#define SECOND  " AND first = 1790035200000" /* the second day */
#define FIFTH   " AND first = 1790049600000" /* its fifth hour */

Test(groups, other_levels_tell_where_a_chunk_is_damaged)
{
    static const struct {
        const char *name, *which;
        int64_t from_min, until_min, parts, covered_min, missing_min, paid;
    } rows[] = {
        {"nothing", "0", 0, 60 * DAMAGE_HOURS, 0, 60 * DAMAGE_HOURS, 0, 12800},
        {"days: hours tell", DAYS_, 0, 60 * DAMAGE_HOURS, 1, 60 * DAMAGE_HOURS, 0, 12800},
        {"days, with edges", DAYS_, 390, 720, 1, 330, 0, 10055},
        {"hours: days tell", HOURS_, 0, 60 * DAMAGE_HOURS, 0, 60 * DAMAGE_HOURS, 0, 12800},
        {"hours, with edges: minutes tell", HOURS_, 390, 720, 1, 330, 0, 10055},
        {"minutes, within an hour: a share of it", MINUTES, 390, 420, 1, 30, 0, 7300},
        {"minutes and hours: a share of the day", "level IN (4, 5)", 360, 720, 7, 360, 0, 12800},
        {"days and hours of a day: minutes tell", DAYS_ " OR " HOURS_ SECOND, 0, 60 * DAMAGE_HOURS,
         2, 60 * DAMAGE_HOURS, 0, 12800},
        {"all of an hour", DAYS_ " OR " HOURS_ SECOND " OR " MINUTES FIFTH, 0, 60 * DAMAGE_HOURS, 3,
         60 * DAMAGE_HOURS - 60, 60, 12906},
        {"all", "level IN (4, 5, 6)", 0, 60 * DAMAGE_HOURS, 1 + DAMAGE_DAYS + DAMAGE_HOURS, 0,
         60 * DAMAGE_HOURS, 0},
    };
    CLEANUP(free_ptr) struct found *f = xcalloc(1, sizeof *f);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct groups_damage damage;
        const struct groups_sum *sum;
        struct kept k;

        open_kept(&k);
        keep_hours(&k, T0, T0 + DAMAGE_DAYS * PACKS_DAY_MS);
        spoil(&k, rows[i].which);
        damage = read_some(&k, T0 + rows[i].from_min * PACKS_MINUTE_MS,
                           T0 + rows[i].until_min * PACKS_MINUTE_MS, f);
        sum = sum_of(f, "eu-1a");
        cr_expect_eq(damage.parts, rows[i].parts, "%s: %lld", rows[i].name,
                     (long long)damage.parts);
        cr_expect_eq(damage.missing_ms, rows[i].missing_min * PACKS_MINUTE_MS, "%s: %lld",
                     rows[i].name, (long long)damage.missing_ms);
        cr_expect_eq(sum->covered_ms, rows[i].covered_min * PACKS_MINUTE_MS, "%s: %lld",
                     rows[i].name, (long long)sum->covered_ms);
        cr_expect_eq(groups_mean_milli(sum, GROUP_PAID), rows[i].paid, "%s: %lld", rows[i].name,
                     (long long)groups_mean_milli(sum, GROUP_PAID));
        done_kept(&k);
    }
}

/* What is packed later does not take the place of what a damaged chunk told of. */
Test(groups, a_damaged_chunk_is_made_anew_of_finer_ones)
{
    CLEANUP(free_ptr) struct found *f = xcalloc(1, sizeof *f);
    int64_t second_ms = T0 + PACKS_DAY_MS, noon_ms = second_ms + PACKS_DAY_MS / 2;
    struct groups_damage damage;
    struct kept k;

    open_kept(&k);
    keep_hours(&k, T0, noon_ms);
    spoil(&k, "level IN (5, 6)");
    keep_hours(&k, noon_ms, second_ms + PACKS_DAY_MS);
    /* Hours of the first day stay damaged: nothing was added to them. */
    damage = read_some(&k, T0, second_ms + PACKS_DAY_MS, f);
    cr_assert_eq(damage.parts, 1);
    cr_assert_eq(damage.missing_ms, 0);
    cr_assert_eq(sum_of(f, "eu-1a")->covered_ms, 2 * PACKS_DAY_MS);
    cr_assert_eq(groups_mean_milli(sum_of(f, "eu-1a"), GROUP_PAID), 12800);
    done_kept(&k);
    open_kept(&k);
    keep_hours(&k, T0, noon_ms);
    spoil(&k, "level = 6 OR (level = 5" SECOND ")");
    keep_hours(&k, noon_ms, second_ms + PACKS_DAY_MS);
    cr_assert_eq(read_some(&k, T0, second_ms + PACKS_DAY_MS, f).parts, 0);
    cr_assert_eq(sum_of(f, "eu-1a")->covered_ms, 2 * PACKS_DAY_MS);
    cr_assert_eq(groups_mean_milli(sum_of(f, "eu-1a"), GROUP_PAID), 12800);
    done_kept(&k);
}

Test(groups, a_damaged_sample_is_counted)
{
    struct groups_sample s = sample_at(T0, ZONE);
    CLEANUP(free_ptr) struct found *f = xcalloc(1, sizeof *f);
    struct groups_damage damage;
    struct err err = {0};
    struct kept k;

    open_kept(&k);
    add_group(&s, "eu-1a", 2, 1000, 0);
    keep(&k, &s);
    cr_assert(db_exec(k.history.db,
                      "UPDATE group_sample SET data = substr(data, 1, length(data) - 1)", &err),
              "%s", err.text);
    damage = read_some(&k, T0, T0 + 20000, f);
    cr_assert_eq(damage.parts, 1);
    cr_assert_eq(damage.missing_ms, 20000);
    done_kept(&k);
}

Test(groups, a_table_comes_out_of_its_bytes_as_it_went_in)
{
    struct random r = random_start("groups/a_table_comes_out_of_its_bytes");
    struct groups_table *t = xcalloc(1, sizeof *t), *back = xcalloc(1, sizeof *back);

    for (int round = 0; round < 50; round++) {
        struct strbuf data;

        *t = (struct groups_table){0};
        for (int64_t step = random_in(&r, 0, 9); step < GROUPS_TABLE_ROWS;
             step += random_in(&r, 1, 9)) {
            size_t row = groups_table_row(t, step);

            t->covered[row] = random_in(&r, 1, 60000);
            for (int64_t id = 1; id <= GROUPS_TABLE_MAX; id += random_in(&r, 1, 20)) {
                struct groups_sum *sum = groups_table_at(t, row, groups_table_group(t, id * 7));
                int64_t milli[GROUP_FIELD_COUNT_];

                for (int i = 0; i < GROUP_FIELD_COUNT_; i++)
                    milli[i] = random_in(&r, 0, 1 << 30);
                groups_sum_add(sum, milli, random_in(&r, 1, t->covered[row]));
            }
        }
        strbuf_init(&data, DB_MAX_VALUE);
        groups_table_pack(t, &data);
        cr_assert(groups_table_unpack(strbuf_sv(&data), PACKS_MINUTE_MS, back));
        cr_assert_eq(back->rows, t->rows);
        for (size_t i = 0; i < t->rows; i++) {
            for (size_t g = 0; g < t->n; g++)
                cr_assert_arr_eq(groups_table_at(t, i, g),
                                 groups_table_at(back, i, groups_table_group(back, t->id[g])),
                                 sizeof *t->at);
        }
        strbuf_done(&data);
    }
    free(back);
    free(t);
}

/* The disk thread keeps what it is given, beside samples. */
Test(groups, the_writer_keeps_them)
{
    struct folder folder = folder_new();
    const struct writer_options options = {.path = folder.file};
    struct groups_sample s = sample_at(T0, ZONE);
    struct writer *w;
    struct err err = {0};
    struct kept k = {.folder = folder};

    add_group(&s, "eu-1a", 2, 1000, 0);
    cr_assert(writer_start(&options, &w, &err), "%s", err.text);
    writer_groups(w, &s);
    cr_assert(writer_stop(w));
    cr_assert(history_open(&(struct db_options){.path = folder.file}, &k.history, &err), "%s",
              err.text);
    cr_assert_eq(rows_of(&k, "group_sample"), 1);
    done_kept(&k);
}

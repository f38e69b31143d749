#include "storage/report.h"

#include "storage/blocked.h"
#include "tests/unit/storage/folder.h"
#include "tests/unit/storage/world.h"

#define HOUR INT64_C(3600000)
#define T0   INT64_C(1789999200000) /* 2026-09-21T14:00:00Z */

static void open_new(struct folder *f, struct history *h)
{
    struct err err = {0};

    *f = folder_new();
    cr_assert(history_open(&(struct db_options){.path = f->file}, h, &err), "%s", err.text);
}

static void add(struct history *h, int64_t t_ms, int64_t paid, int64_t ready, int64_t merged)
{
    const struct sample s = {.policy = "miner",
                             .t_ms = t_ms,
                             .merged = merged,
                             .at = {[SAMPLE_ALLOCATABLE] = 100000,
                                    [SAMPLE_PAID] = paid,
                                    [SAMPLE_READY] = ready,
                                    [SAMPLE_STARTING] = 1000,
                                    [SAMPLE_LEAVING] = 2000,
                                    [SAMPLE_RESERVE] = 4000,
                                    [SAMPLE_HEADROOM] = 5000,
                                    [SAMPLE_KEPT] = 10000}};
    struct err err = {0};

    cr_assert(samples_add(h->samples, &s, &err), "%s", err.text);
}

static struct report make(struct history *h, const struct report_query *q)
{
    struct report r;
    struct err err = {0};

    cr_assert(report_make(h, q, &r, &err), "%s", err.text);
    return r;
}

/* The parts add up to what was offered, in every row and in the total. */
static void check_parts(const struct report *r)
{
    for (size_t i = 0; i <= r->n_rows; i++) {
        const struct report_row *row = i < r->n_rows ? &r->rows[i] : &r->total;
        int64_t sum = 0;

        for (int k = REPORT_PAID; k < REPORT_PART_COUNT_; k++) {
            cr_assert_geq(row->part[k], 0);
            sum += row->part[k];
        }
        cr_assert_eq(sum, row->part[REPORT_OFFERED], "row %zu", i);
        cr_assert_leq(row->covered_ms, row->until_ms - row->first_ms, "row %zu", i);
    }
}

/* Two hours at 40 of 100 cores paid and 30 filler, by hand. */
Test(report, adds_up_what_was_offered)
{
    const struct report_query q = {.since_ms = T0, .until_ms = T0 + 2 * HOUR, .by = REPORT_HOUR};
    struct folder f;
    struct history h;
    struct report r;

    open_new(&f, &h);
    for (int64_t t = T0; t < T0 + 2 * HOUR; t += 10000)
        add(&h, t, 40000, 30000, 0);
    r = make(&h, &q);
    check_parts(&r);
    cr_assert_eq(r.n_rows, 2);
    cr_assert_str_eq(r.policy, "miner");
    for (int i = 0; i < 2; i++) {
        static const int64_t hours[] = {100000, 40000, 30000, 3000, 10000, 17000};
        int64_t found[REPORT_PART_COUNT_];

        report_core_hours(r.rows[i].part, 1, found);
        cr_assert_eq(r.rows[i].first_ms, T0 + i * HOUR);
        cr_assert_eq(r.rows[i].covered_ms, HOUR);
        for (int k = 0; k < REPORT_PART_COUNT_; k++)
            cr_assert_eq(found[k], hours[k], "part %d", k);
    }
    cr_assert_eq(r.total.peak_paid_milli, 40000);
    report_done(&r);
    history_close(&h);
    folder_done(&f);
}

Test(report, counts_gaps_in_nothing_and_merged_samples_for_all_they_stand_for)
{
    const struct report_query q = {.since_ms = T0, .until_ms = T0 + HOUR, .by = REPORT_HOUR};
    struct folder f;
    struct history h;
    struct report r;

    open_new(&f, &h);
    add(&h, T0 - 10000, 1000, 0, 0);        /* holds 20 s into the range */
    add(&h, T0 + 600000, 1000, 0, 0);       /* holds 30 s */
    add(&h, T0 + 1200000, 1000, 0, 9);      /* stands for ten: 120 s */
    add(&h, T0 + HOUR - 10000, 1000, 0, 0); /* to the end of the range */
    r = make(&h, &q);
    check_parts(&r);
    cr_assert_eq(r.total.covered_ms, 20000 + 30000 + 120000 + 10000);
    report_done(&r);
    history_close(&h);
    folder_done(&f);
}

/* An agent that ended left its last sample; what that one stands for was seen, what came after it was not. */
Test(report, ends_a_sample_where_recording_ended)
{
    static const struct {
        const char *what;
        int64_t gap_first, gap_last, lost, merged, covered_ms;
    } rows[] = {
        {"no gap", 0, 0, 0, 0, 55000},
        {"an end", T0, T0 + 25000, 0, 0, 30000},
        {"an end later on", T0 + 4000, T0 + 25000, 0, 0, 34000},
        {"lost decisions", T0, T0 + 25000, 3, 0, 55000},
        {"a merged sample", T0, T0 + 25000, 0, 1, 40000},
        {"an end before", T0 - 5000, T0 - 1000, 0, 0, 55000},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct history_gap gap = {.first_ms = rows[i].gap_first,
                                        .last_ms = rows[i].gap_last,
                                        .why = SV("start"),
                                        .decisions = rows[i].lost};
        struct folder f;
        struct history h;
        struct report r;
        struct err err = {0};

        open_new(&f, &h);
        add(&h, T0, 1000, 0, rows[i].merged);
        add(&h, T0 + 25000, 1000, 0, 0);
        if (rows[i].gap_last != 0)
            cr_assert(history_add_gap(&h, &gap, &err), "%s", err.text);
        r = make(&h, &(struct report_query){.until_ms = T0 + HOUR});
        check_parts(&r);
        cr_assert_eq(r.total.covered_ms, rows[i].covered_ms, "%s: %lld", rows[i].what,
                     (long long)r.total.covered_ms);
        report_done(&r);
        history_close(&h);
        folder_done(&f);
    }
}

Test(report, counts_a_merged_sample_that_began_long_before_the_range)
{
    const struct report_query q = {.since_ms = T0, .until_ms = T0 + HOUR, .by = REPORT_HOUR};
    struct folder f;
    struct history h;
    struct report r;

    open_new(&f, &h);
    add(&h, T0 - 900000, 9000, 0, 0);
    add(&h, T0 - 600000, 1000, 0, 99); /* stands for 1,000 s, and holds for 30 s more */
    r = make(&h, &q);
    check_parts(&r);
    cr_assert_eq(r.total.covered_ms, 1000000 + 20000 - 600000);
    cr_assert_eq(r.total.peak_paid_milli, 1000);
    report_done(&r);
    history_close(&h);
    folder_done(&f);
}

/* What is printed adds up in each row, in steps as large as the table's and as small as those of JSON. */
Test(report, rounds_the_parts_so_that_they_add_up)
{
    struct random rnd = random_start("report");
    static const int64_t steps[] = {1, 100};

    for (int round = 0; round < 2000; round++) {
        int64_t step = steps[round % 2], part[REPORT_PART_COUNT_] = {0}, found[REPORT_PART_COUNT_],
                sum = 0;

        for (int k = REPORT_PAID; k < REPORT_PART_COUNT_; k++) {
            part[k] = random_percent(&rnd, 20) ? 0 : random_in(&rnd, 0, 1000 * HOUR);
            part[REPORT_OFFERED] += part[k];
        }
        report_core_hours(part, step, found);
        for (int k = 0; k < REPORT_PART_COUNT_; k++) {
            int64_t off = found[k] * step * HOUR - part[k];

            cr_assert(off > -step * HOUR && off < step * HOUR, "part %d is off by %lld", k,
                      (long long)off);
            cr_assert(found[k] >= 0 && (part[k] != 0 || found[k] == 0), "part %d", k);
            sum += k == REPORT_OFFERED ? 0 : found[k];
        }
        cr_assert_eq(sum, found[REPORT_OFFERED]);
    }
    cr_assert_eq(report_share_milli(2, 3), 667);
    cr_assert_eq(report_share_milli(1, 3), 333);
}

Test(report, keeps_the_parts_whole_for_any_samples)
{
    struct random rnd = random_start("report");
    struct zone_source zones = zone_files(TEST_DATA "/zones");
    CLEANUP(zone_free_ptr) struct zone *zone = NULL;
    struct report_query by_hour = {.by = REPORT_HOUR}, by_day = {.by = REPORT_DAY};
    struct folder f;
    struct history h;
    struct report a, b;
    struct err err = {0};
    int64_t t = T0;

    cr_assert(zones.load(zones.self, SV("Australia/Lord_Howe"), &zone, &err), "%s", err.text);
    by_day.zone = zone;
    open_new(&f, &h);
    cr_assert(db_begin(h.db, &err));
    for (int i = 0; i < 3000; i++) {
        struct sample s = {.policy = "miner", .t_ms = t, .merged = random_in(&rnd, -2, 20)};

        for (int k = 0; k < SAMPLE_COUNT_; k++)
            s.at[k] = random_percent(&rnd, 2) ? (int64_t)random_u64(&rnd)
                                              : random_in(&rnd, -1000, 200000);
        cr_assert(samples_add(h.samples, &s, &err));
        t += random_percent(&rnd, 5) ? random_in(&rnd, 1, 5 * HOUR) : random_in(&rnd, 1, 20000);
    }
    cr_assert(db_commit(h.db, &err));
    a = make(&h, &by_hour);
    b = make(&h, &by_day);
    check_parts(&a);
    check_parts(&b);
    cr_assert_eq(a.total.covered_ms, b.total.covered_ms);
    /* Each piece is rounded to a millionth of a core. */
    for (int k = 0; k < REPORT_PART_COUNT_; k++)
        cr_assert_leq(llabs(a.total.part[k] - b.total.part[k]),
                      (int64_t)(a.n_pieces + b.n_pieces) * HOUR / 1000);
    for (size_t i = 1; i < b.n_rows; i++)
        cr_assert_eq(calendar_local_s(zone, b.rows[i].first_ms) % CALENDAR_DAY_S, 0);
    report_done(&a);
    report_done(&b);
    history_close(&h);
    folder_done(&f);
}

Test(report, refuses_what_it_cannot_answer)
{
    struct folder f;
    struct history h;
    struct report r;
    struct err err = {0};
    struct sample other = {.policy = "render", .t_ms = T0};

    open_new(&f, &h);
    cr_assert_not(report_make(&h, &(struct report_query){0}, &r, &err));
    cr_assert_eq(err.kind, ERR_NOT_FOUND);
    add(&h, T0, 1, 1, 0);
    cr_assert_not(report_make(&h, &(struct report_query){.policy = SV("nobody")}, &r, &err));
    cr_assert_not_null(strstr(err.text, "found policies miner"), "%s", err.text);
    cr_assert_not(
        report_make(&h, &(struct report_query){.since_ms = T0 + 1000, .until_ms = T0}, &r, &err));
    cr_assert_eq(err.kind, ERR_INPUT);
    cr_assert_not_null(strstr(err.text, "from 2026-09-21T14:00:01Z until 2026-09-21T14:00:00Z"),
                       "%s", err.text);
    cr_assert_not(report_make(
        &h, &(struct report_query){.since_ms = INT64_MIN, .until_ms = INT64_MAX}, &r, &err));
    cr_assert_not(report_make(&h, &(struct report_query){.since_ms = 1, .until_ms = T0}, &r, &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
    cr_assert(samples_add(h.samples, &other, &err));
    cr_assert_not(report_make(&h, &(struct report_query){0}, &r, &err));
    cr_assert_not_null(strstr(err.text, "miner, render"), "%s", err.text);
    history_close(&h);
    folder_done(&f);
}

Test(report, of_a_history_that_holds_no_sample_or_an_impossible_one_says_so)
{
    static const int64_t times[] = {0, INT64_MAX};

    for (size_t i = 0; i < 2; i++) {
        struct folder f;
        struct history h;
        struct report r;
        struct err err = {0};
        struct decision_entry entry = {.id = 1, .t_ms = T0, .policy = "miner"};

        open_new(&f, &h);
        cr_assert(decisions_add(h.decisions, &entry, &err), "%s", err.text);
        if (times[i] != 0)
            add(&h, times[i], 1, 1, 0);
        cr_assert_not(report_make(&h, &(struct report_query){0}, &r, &err));
        cr_assert_eq(err.kind, times[i] == 0 ? ERR_NOT_FOUND : ERR_STORAGE, "%s", err.text);
        history_close(&h);
        folder_done(&f);
    }
}

/* Everything that was told, by hand: a node of 8 cores, and pods of the given cores. */
struct tale {
    struct blocked_pod at[16];
    size_t n;
};

static void take(void *self, const struct blocked_pod *pod)
{
    struct tale *t = self;

    t->at[t->n++] = *pod;
}

static void tell(struct blocked *b, enum event_kind kind, int64_t t_ms, uint64_t pod, int64_t cores,
                 bool filler, const char *node)
{
    struct shape shape = {.filler = filler, .priority = filler ? -10 : 0};
    struct event e = {.kind = kind,
                      .t_ms = t_ms,
                      .pod = pod,
                      .node = sv_from(node),
                      .shape = &shape,
                      .created_ms = t_ms};

    shape.amount.at[RESOURCE_CPU] = cores * 1000;
    shape.amount.at[RESOURCE_PODS] = kind == EVENT_NODE ? 10 : 1;
    e.resets = kind == EVENT_GAP;
    blocked_event(b, &e);
}

Test(report, calls_blocked_only_what_would_have_fitted_without_filler)
{
    struct tale t = {.n = 0};
    struct blocked *b = blocked_new(take, &t);

    tell(b, EVENT_GAP, 0, 0, 0, false, "");
    tell(b, EVENT_NODE, 0, 0, 8, false, "n1");
    for (uint64_t i = 1; i <= 4; i++)
        tell(b, EVENT_POD_FOUND, 0, i, 1, true, "n1");
    tell(b, EVENT_POD_FOUND, 0, 10, 3, false, "n1");
    /* 5 cores are free of paid pods: a pod of 4 is blocked, the next of 4 would not have fitted, one of 1 is blocked. */
    tell(b, EVENT_POD_CREATED, 1000, 11, 4, false, "");
    tell(b, EVENT_POD_CREATED, 1000, 12, 4, false, "");
    tell(b, EVENT_POD_CREATED, 1000, 13, 1, false, "");
    tell(b, EVENT_POD_UNSCHEDULABLE, 1500, 11, 4, false, "");
    tell(b, EVENT_POD_UNSCHEDULABLE, 1500, 12, 4, false, "");
    tell(b, EVENT_POD_UNSCHEDULABLE, 1500, 13, 1, false, "");
    /* Filler never is. */
    tell(b, EVENT_POD_CREATED, 2000, 14, 1, true, "");
    tell(b, EVENT_POD_UNSCHEDULABLE, 2000, 14, 1, true, "");
    tell(b, EVENT_POD_BOUND, 11000, 11, 4, false, "n1");
    tell(b, EVENT_POD_GONE, 12000, 12, 4, false, "");
    tell(b, EVENT_POD_GONE, 13000, 10, 3, false, "n1");
    tell(b, EVENT_POD_CREATED, 14000, 15, 3, false, "");
    tell(b, EVENT_POD_UNSCHEDULABLE, 14000, 15, 3, false, "");
    tell(b, EVENT_POD_GONE, 15000, 15, 3, false, "");
    blocked_finish(b, 20000);
    blocked_free(b);

    cr_assert_eq(t.n, 3);
    cr_assert(t.at[0].cpu_milli == 4000 && t.at[0].bound && t.at[0].created_ms == 1000 &&
              t.at[0].until_ms == 11000);
    cr_assert(t.at[1].cpu_milli == 3000 && !t.at[1].bound && !t.at[1].waits &&
              t.at[1].until_ms == 15000);
    cr_assert(t.at[2].cpu_milli == 1000 && t.at[2].waits && t.at[2].until_ms == 20000);
}

Test(report, pods_that_ask_for_what_no_machine_has_leave_a_node_as_it_was)
{
    enum { HUGE = 9000000000000000 }; /* cores */
    struct tale t = {.n = 0};
    struct blocked *b = blocked_new(take, &t);

    tell(b, EVENT_GAP, 0, 0, 0, false, "");
    tell(b, EVENT_NODE, 0, 0, 8, false, "n1");
    tell(b, EVENT_POD_FOUND, 0, 1, 1, true, "n1");
    tell(b, EVENT_POD_FOUND, 0, 10, HUGE, false, "n1");
    tell(b, EVENT_POD_FOUND, 0, 11, HUGE, false, "n1");
    tell(b, EVENT_POD_GONE, 500, 10, HUGE, false, "n1");
    tell(b, EVENT_POD_GONE, 500, 11, HUGE, false, "n1");
    tell(b, EVENT_POD_CREATED, 1000, 12, 9, false, "");
    tell(b, EVENT_POD_UNSCHEDULABLE, 1500, 12, 9, false, "");
    tell(b, EVENT_POD_CREATED, 1000, 13, 8, false, "");
    tell(b, EVENT_POD_UNSCHEDULABLE, 1500, 13, 8, false, "");
    tell(b, EVENT_POD_GONE, 12000, 12, 9, false, "");
    tell(b, EVENT_POD_GONE, 12000, 13, 8, false, "");
    blocked_finish(b, 20000);
    blocked_free(b);

    cr_assert_eq(t.n, 1, "9 cores would not have fitted, 8 would");
}

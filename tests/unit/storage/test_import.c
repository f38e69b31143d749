/* A history out of the file and into another: export.h, record_text.h, import.h. */
#include "storage/import.h"

#include <string.h>

#include "base/alloc.h"
#include "storage/export.h"
#include "storage/record_text.h"
#include "storage/rollup.h"
#include "tests/unit/policy/random.h"
#include "tests/unit/storage/folder.h"

#define T0 INT64_C(1789999200000) /* 2026-09-21T14:00:00Z */

enum { ROUNDS = 12, MAX_TEXT = 64 << 20 };

static const struct export_query everything = {.until_ms = RECORD_LAST_MS,
                                               .kinds = RECORD_IMPORTED};

static void open_file(const char *path, struct history *h)
{
    struct err err = {0};

    *h = (struct history){0};
    cr_assert(history_open(&(struct db_options){.path = path}, h, &err), "%s", err.text);
}

static bool write_record(void *self, const struct record *r, struct err *err)
{
    return record_write(self, r) || err_set(err, ERR_SYSTEM, 0, "not written");
}

/* What is exported, to be freed. */
static char *text_of(struct history *h, const struct export_query *q, enum record_format format)
{
    struct record_tables tables;
    struct record_writer writer;
    struct export_damage damage;
    struct err err = {0};
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    record_tables_init(&tables);
    record_writer_init(&writer, &tables, format, to);
    cr_assert(export_begin(h, &err), "%s", err.text);
    cr_assert(export_read(h, q, write_record, &writer, &damage, &err), "%s", err.text);
    export_end(h);
    cr_assert_eq(damage.samples + damage.journal, 0);
    record_writer_done(&writer);
    record_tables_done(&tables);
    (void)fclose(to);
    return text;
}

static bool take_rows(struct import *import, struct record_reader *reader, struct err *err)
{
    CLEANUP(free_ptr) struct record *r = xcalloc(1, sizeof *r);
    bool some = true;

    while (some) {
        if (!record_read(reader, r, &some, err))
            return false;
        if (some && !import_add(import, r, err))
            return record_lines_wrong(reader->lines, err);
    }
    return true;
}

static bool take_in(struct history *h, const char *text, bool replace, struct import_counts *counts,
                    struct err *err)
{
    const struct import_options options = {.replace = replace};
    FILE *from = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    struct record_tables tables;
    struct record_reader reader;
    struct record_lines lines;
    struct import *import;
    bool ok;

    record_tables_init(&tables);
    record_lines_init(&lines, from, "a.csv");
    record_reader_init(&reader, &tables, text[0] == '{' ? RECORD_JSONL : RECORD_CSV, &lines);
    cr_assert(import_begin(h, &options, &import, err), "%s", err->text);
    ok = take_rows(import, &reader, err) && import_end(import, counts, err);
    import_free(import);
    record_reader_done(&reader);
    record_lines_done(&lines);
    record_tables_done(&tables);
    (void)fclose(from);
    return ok;
}

/* ---- random histories ---- */

static const char *const names[] = {"miner", "b,\"c\"\n", "\xc3\xa4rger"};

static int64_t amount(struct random *r)
{
    uint64_t which = random_u64(r) % 8;

    return which == 0   ? SAMPLE_UNKNOWN
           : which == 1 ? (int64_t)(random_u64(r) >> 1)
           : which == 2 ? -(int64_t)(random_u64(r) % 100000)
                        : (int64_t)(random_u64(r) % 184001);
}

static void add_samples(struct history *h, struct random *r, const char *policy)
{
    int64_t t_ms = T0 + (int64_t)(random_u64(r) % 7200000);
    int n = 200 + (int)(random_u64(r) % 600);
    struct err err = {0};

    for (int i = 0; i < n; i++) {
        struct sample s = {.t_ms = t_ms,
                           .merged = random_u64(r) % 50 == 0 ? (int64_t)(random_u64(r) % 9) : 0};

        (void)snprintf(s.policy, sizeof s.policy, "%s", policy);
        for (int k = 0; k < SAMPLE_COUNT_; k++)
            s.at[k] = random_u64(r) % 4 == 0 ? amount(r) : (int64_t)(random_u64(r) % 3) * 1000;
        cr_assert(samples_add(h->samples, &s, &err), "%s", err.text);
        t_ms += random_u64(r) % 100 == 0 ? 4000000 : 1 + (int64_t)(random_u64(r) % 20000);
    }
}

static void add_decisions(struct history *h, struct random *r)
{
    uint64_t id = 1 + random_u64(r) % 1000;
    struct err err = {0};

    for (uint64_t i = 0; i < random_u64(r) % 50; i++, id += 1 + random_u64(r) % 3) {
        struct decision_entry d = {.id = id, .t_ms = T0 + (int64_t)(random_u64(r) % 10000000)};

        (void)snprintf(d.policy, sizeof d.policy, "%s", names[random_u64(r) % COUNT_OF(names)]);
        (void)snprintf(d.reason, sizeof d.reason, "%s", random_u64(r) % 2 == 0 ? "yield" : "a\tb");
        (void)snprintf(d.detail, sizeof d.detail, "%s", random_u64(r) % 2 == 0 ? "" : "\"4\", \\n");
        for (int k = 0; k < DECISION_COUNT_; k++)
            d.at[k] = (int64_t)(random_u64(r) % 100000);
        cr_assert(decisions_add(h->decisions, &d, &err), "%s", err.text);
    }
}

static void add_others(struct history *h, struct random *r)
{
    const struct history_gap gap = {
        .first_ms = T0, .last_ms = T0 + 5, .why = SV("start"), .decisions = 0};
    char bytes[300];
    struct err err = {0};

    for (int i = 0; i < 3; i++)
        cr_assert(history_add_gap(h, &gap, &err), "%s", err.text); /* alike */
    for (int i = 0; i < 5; i++) {
        struct chunk chunk = {
            .segment = 1 + i / 3, .number = i % 3, .first_ms = T0 + i, .last_ms = T0 + i};

        chunk.events = i;
        chunk.data = (struct sv){.at = bytes, .len = (size_t)(random_u64(r) % sizeof bytes)};
        for (size_t k = 0; k < chunk.data.len; k++)
            bytes[k] = (char)random_u64(r);
        cr_assert(chunks_put(h->chunks, &chunk, &err), "%s", err.text);
    }
}

/* Of two labels, with names that must be quoted. */
static void add_groups(struct history *h, struct random *r, const char *policy)
{
    static const char *const values[] = {"eu-1a", "eu,\"1\"b", GROUPS_NONE, GROUPS_OTHER};
    int64_t t_ms = T0 + (int64_t)(random_u64(r) % 7200000);
    struct err err = {0};

    for (int i = 0; i < 400; i++, t_ms += random_in(r, 1, 40000)) {
        struct groups_sample s = {.t_ms = t_ms, .merged = random_percent(r, 3) ? 5 : 0};

        (void)snprintf(s.policy, sizeof s.policy, "%s", policy);
        (void)snprintf(s.label, sizeof s.label, "%s", i < 200 ? "zone" : "example.org/pool");
        for (size_t k = 0; k < COUNT_OF(values); k++) {
            struct groups_one *g = &s.at[s.n];

            if (random_percent(r, 20))
                continue;
            (void)snprintf(g->value, sizeof g->value, "%s", values[k]);
            for (int n = 0; n < GROUP_FIELD_COUNT_; n++)
                g->at[n] = random_in(r, 0, 100000);
            s.n++;
        }
        cr_assert(groups_add(h->groups, &s, &err), "%s", err.text);
    }
}

/* Hours are packed up to a time. */
static void fill(struct history *h, struct random *r)
{
    int64_t until_ms = T0 + (int64_t)(random_u64(r) % 40) * PACKS_HOUR_MS;
    struct err err = {0};
    bool more = true;

    for (size_t i = 0; i < COUNT_OF(names); i++)
        add_samples(h, r, names[i]);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        add_groups(h, r, names[i]);
    add_decisions(h, r);
    add_others(h, r);
    for (int i = 0; i < 60 && more; i++)
        cr_assert(history_pack(h, until_ms, &more, &err), "%s", err.text);
}

Test(import, a_history_comes_out_as_it_went_in)
{
    struct random r = random_start("import/a_history_comes_out_as_it_went_in");
    int64_t rolled = 0;

    for (int round = 0; round < ROUNDS; round++) {
        enum record_format format = round % 2 == 0 ? RECORD_CSV : RECORD_JSONL;
        CLEANUP(free_ptr) char *first = NULL, *second = NULL;
        struct folder f = folder_new(), g = folder_new();
        struct import_counts counts, again;
        struct history h, copy;
        struct err err = {0};

        open_file(f.file, &h);
        open_file(g.file, &copy);
        fill(&h, &r);
        first = text_of(&h, &everything, format);
        cr_assert(take_in(&copy, first, false, &counts, &err), "%s", err.text);
        second = text_of(&copy, &everything, format);
        cr_assert_str_eq(first, second);
        cr_assert_geq(counts.added[RECORD_SAMPLE], 600);
        rolled += counts.added[RECORD_ACTIVITY];
        cr_assert_geq(counts.added[RECORD_GROUP], 100);

        /* Once more: all of it is there. */
        cr_assert(take_in(&copy, first, false, &again, &err), "%s", err.text);
        for (int kind = 0; kind < RECORD_EVENT; kind++) {
            cr_assert_eq(again.added[kind], 0, "%s", record_kind_name((enum record_kind)kind));
            cr_assert_eq(again.there[kind], counts.added[kind]);
        }
        history_close(&copy);
        history_close(&h);
        folder_done(&g);
        folder_done(&f);
    }
    cr_assert_gt(rolled, 0);
}

/* What a history exports goes into another one, and comes out of that alike. */
static void expect_copy(struct history *h)
{
    CLEANUP(free_ptr) char *first = text_of(h, &everything, RECORD_CSV), *second = NULL;
    struct folder f = folder_new();
    struct import_counts counts;
    struct history copy;
    struct err err = {0};

    open_file(f.file, &copy);
    cr_assert(take_in(&copy, first, false, &counts, &err), "%s", err.text);
    cr_assert_gt(counts.added[RECORD_GROUP], 0);
    second = text_of(&copy, &everything, RECORD_CSV);
    cr_assert_str_eq(first, second);
    history_close(&copy);
    folder_done(&f);
}

Test(import, a_sample_of_groups_that_stands_for_a_day_comes_back)
{
    struct groups_sample s = {.policy = "miner",
                              .label = "zone",
                              .t_ms = T0,
                              .merged = 100000,
                              .n = 1,
                              .at = {{.value = "eu-1a", .at = {2, 64000, 30000, 8000, 4}}}};
    struct folder f = folder_new();
    struct history h;
    struct err err = {0};

    open_file(f.file, &h);
    cr_assert(groups_add(h.groups, &s, &err), "%s", err.text);
    expect_copy(&h);
    history_close(&h);
    folder_done(&f);
}

Test(import, as_many_groups_as_a_history_knows_come_back)
{
    enum { HOURS = GROUPS_KNOWN / GROUPS_MAX + 9 };
    struct folder f = folder_new();
    struct history h;
    struct err err = {0};
    bool more = true;

    open_file(f.file, &h);
    cr_assert(db_begin(h.db, &err), "%s", err.text);
    for (int i = 0; i < HOURS; i++) {
        struct groups_sample s = {
            .policy = "miner", .label = "host", .t_ms = T0 + i * PACKS_HOUR_MS, .n = GROUPS_MAX};

        for (size_t k = 0; k < s.n; k++) {
            s.at[k] = (struct groups_one){.at = {1, 4000, 1000, 500, 3}};
            (void)snprintf(s.at[k].value, sizeof s.at[k].value, "node-%d-%zu", i, k);
        }
        cr_assert(groups_add(h.groups, &s, &err), "%s", err.text);
    }
    cr_assert(db_commit(h.db, &err), "%s", err.text);
    while (more)
        cr_assert(history_pack(&h, T0 + HOURS * PACKS_HOUR_MS, &more, &err), "%s", err.text);
    expect_copy(&h);
    history_close(&h);
    folder_done(&f);
}

/* One hour, or with a step of ten seconds one moment, of so many groups. */
static char *many_groups(int step_s, size_t n)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    (void)fputs("kind,time,step_seconds,policy,label,group,covered_ms,nodes,allocatable_cores,"
                "paid_cores,filler_cores,fit,paid_cores_max,nodes_max\n",
                to);
    for (size_t i = 0; i < n; i++)
        (void)fprintf(to,
                      "group,2026-10-01T09:00:00.000Z,%d,miner,zone,eu-%zu,30000,2,64,30,24,30,30,"
                      "2\n",
                      step_s, 100 + i);
    (void)fclose(to);
    return text;
}

Test(import, groups_that_find_no_place_are_refused)
{
    static const int steps[] = {10, 60, 3600};

    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        CLEANUP(free_ptr) char *most = many_groups(steps[i], 60);
        CLEANUP(free_ptr) char *more = many_groups(steps[i], 61);
        CLEANUP(free_ptr) char *given = NULL;
        struct folder f = folder_new();
        struct import_counts counts;
        struct history h;
        struct err err = {0};

        open_file(f.file, &h);
        for (int replace = 0; replace < 2; replace++) {
            err = (struct err){0};
            cr_assert_not(take_in(&h, more, replace != 0, &counts, &err));
            cr_assert_eq(err.kind, ERR_LIMIT, "%s", err.text);
            cr_assert_not_null(strstr(err.text, "found eu-160 beside 60 others"), "%s", err.text);
        }
        cr_assert(take_in(&h, most, false, &counts, &err), "%s", err.text);
        cr_assert_eq(counts.added[RECORD_GROUP], 60);
        given = text_of(&h, &everything, RECORD_CSV);
        cr_assert_not_null(strstr(given, "eu-159,30000,2,64,"), "%s", given);
        history_close(&h);
        folder_done(&f);
    }
}

/* A moment whose groups hold for so long, and have so many nodes. */
static char *moment(int hold_ms, int nodes, const char *const *groups)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    (void)fputs("kind,time,step_seconds,policy,label,group,covered_ms,nodes,allocatable_cores,"
                "paid_cores,filler_cores,fit,paid_cores_max,nodes_max\n",
                to);
    for (; *groups != NULL; groups++)
        (void)fprintf(to,
                      "group,2026-10-01T09:00:00.000Z,10,miner,zone,%s,%d,%d,64,30,24,30,30,%d\n",
                      *groups, hold_ms, nodes, nodes);
    (void)fclose(to);
    return text;
}

Test(import, a_moment_of_groups_that_holds_longer_is_replaced)
{
    static const char *const both[] = {"eu-1", "eu-2", NULL}, *const one[] = {"eu-1", NULL},
                             *const other[] = {"eu-3", NULL};
    CLEANUP(free_ptr) char *was = moment(30000, 2, both);
    CLEANUP(free_ptr) char *longer = moment(50000, 3, one);
    CLEANUP(free_ptr) char *beside = moment(50000, 2, other);
    CLEANUP(free_ptr) char *given = NULL;
    struct folder f = folder_new();
    struct import_counts counts;
    struct history h;
    struct err err = {0};

    open_file(f.file, &h);
    cr_assert(take_in(&h, was, false, &counts, &err), "%s", err.text);
    cr_assert_not(take_in(&h, longer, false, &counts, &err));
    cr_assert(err.kind == ERR_CONFLICT && strstr(err.text, "--replace") != NULL, "%s", err.text);
    cr_assert_not(take_in(&h, beside, false, &counts, &err));
    cr_assert(err.kind == ERR_CONFLICT, "%s", err.text);
    cr_assert(take_in(&h, longer, true, &counts, &err), "%s", err.text);
    cr_assert_eq(counts.replaced[RECORD_GROUP], 1);
    given = text_of(&h, &everything, RECORD_CSV);
    cr_assert_not_null(strstr(given, ",zone,eu-1,50000,3,64,30,24,30,30,3\n"), "%s", given);
    cr_assert_not_null(strstr(given, ",zone,eu-2,50000,2,64,30,24,30,30,2\n"), "%s", given);
    cr_assert(take_in(&h, given, false, &counts, &err), "%s", err.text);
    cr_assert_eq(counts.there[RECORD_GROUP], 2);
    history_close(&h);
    folder_done(&f);
}

/* What came packed is packed again, so that the copy is no larger. */
Test(import, hours_with_figures_are_packed)
{
    struct random r = {.seed = 7, .state = 7};
    CLEANUP(free_ptr) char *text = NULL;
    struct folder f = folder_new(), g = folder_new();
    struct import_counts counts;
    struct history h, copy;
    struct err err = {0};
    int64_t mine, theirs;
    bool more = true;

    open_file(f.file, &h);
    open_file(g.file, &copy);
    add_samples(&h, &r, "miner");
    while (more)
        cr_assert(history_pack(&h, T0 + 90 * PACKS_DAY_MS, &more, &err), "%s", err.text);
    text = text_of(&h, &everything, RECORD_CSV);
    cr_assert(take_in(&copy, text, false, &counts, &err), "%s", err.text);
    cr_assert(db_number(h.db, "SELECT count(*) FROM pack", &mine, &err));
    cr_assert(db_number(copy.db, "SELECT count(*) FROM pack", &theirs, &err));
    cr_assert_eq(mine, theirs);
    cr_assert(db_number(copy.db, "SELECT count(*) FROM sample", &theirs, &err));
    cr_assert_eq(theirs, 0);
    history_close(&copy);
    history_close(&h);
    folder_done(&g);
    folder_done(&f);
}

/* ---- what is there, and what is wrong ---- */

#define ACTIVITY "kind,time,policy,step_seconds,data\nactivity,"
#define HEAD     "kind,time,policy,paid_cores\n"
#define AT(s)    "sample,2026-09-21T14:00:" s "Z,miner,"
#define GIVEN    HEAD AT("00") "1\n" AT("10") "2\n" AT("20") "3\n"
#define FIGURE                                                                                     \
    "kind,time,policy,covered_ms,paid_covered_ms,paid_cores_min,paid_cores_mean,"                  \
    "paid_cores_p50,paid_cores_p90,paid_cores_p99,paid_cores_max\n"
#define DECISION                                                                                   \
    "kind,time,policy,id,reason,before,replicas,set_point,damped,slots,kept_slots,slot_cores,"     \
    "hole_slots,allocatable_cores,paid_cores,pending_cores,reserve_cores,headroom_cores\n"         \
    "decision,2026-09-21T14:00:00Z,miner,7,yield,"

static const struct {
    const char *name, *given, *text, *told;
} others[] = {
    {"another value", GIVEN, HEAD AT("10") "2.5\n",
     "another sample of miner at 2026-09-21T14:00:10.000Z"},
    {"in between", GIVEN, HEAD AT("15") "2\n", "before and after 2026-09-21T14:00:15.000Z"},
    {"figures", FIGURE "hour,2026-09-21T14:00:00Z,miner,60000,60000,1,1,1,1,1,1\n",
     FIGURE "hour,2026-09-21T14:00:00Z,miner,60000,60000,1,1.5,1,1,1,2\n",
     "other figures of miner for the hour from 2026-09-21T14:00:00.000Z"},
    {"a decision", DECISION "1,2,0,0,0,0,1,1,1,1,1,1,1\n", DECISION "1,3,0,0,0,0,1,1,1,1,1,1,1\n",
     "another decision 7, of miner at 2026-09-21T14:00:00.000Z"},
    {"the journal",
     "kind,time,until,segment,number,events,data\njournal,2026-09-21T14:00:00Z,2026-09-21T14:00:"
     "00Z,1,0,3,AAAA\n",
     "kind,time,until,segment,number,events,data\njournal,2026-09-21T14:00:00Z,2026-09-21T14:00:"
     "00Z,1,0,3,AAAB\n",
     "another part 0 of segment 1"},
};

Test(import, something_else_is_told_and_replaced_only_where_it_may_be)
{
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        CLEANUP(free_ptr) char *before = NULL, *after = NULL, *replaced = NULL;
        struct folder f = folder_new();
        struct import_counts counts;
        struct history h;
        struct err err = {0};

        open_file(f.file, &h);
        cr_assert(take_in(&h, others[i].given, false, &counts, &err), "%s: %s", others[i].name,
                  err.text);
        before = text_of(&h, &everything, RECORD_CSV);
        cr_assert_not(take_in(&h, others[i].text, false, &counts, &err), "%s", others[i].name);
        cr_assert_eq(err.kind, ERR_CONFLICT, "%s: %s", others[i].name, err.text);
        cr_assert_not_null(strstr(err.text, others[i].told), "%s: %s", others[i].name, err.text);
        after = text_of(&h, &everything, RECORD_CSV);
        cr_assert_str_eq(before, after, "%s", others[i].name);
        cr_assert(take_in(&h, others[i].text, true, &counts, &err), "%s: %s", others[i].name,
                  err.text);
        replaced = text_of(&h, &everything, RECORD_CSV);
        cr_assert_str_neq(before, replaced, "%s", others[i].name);
        /* All that was given last is there now. */
        cr_assert(take_in(&h, others[i].text, false, &counts, &err), "%s: %s", others[i].name,
                  err.text);
        history_close(&h);
        folder_done(&f);
    }
}

Test(import, what_comes_before_and_after_is_added)
{
    struct folder f = folder_new();
    struct import_counts counts;
    struct history h;
    struct err err = {0};

    open_file(f.file, &h);
    cr_assert(take_in(&h, GIVEN, false, &counts, &err), "%s", err.text);
    cr_assert(take_in(&h, HEAD AT("20") "3\n" AT("30") "4\n", false, &counts, &err), "%s",
              err.text);
    cr_assert_eq(counts.added[RECORD_SAMPLE], 1);
    cr_assert_eq(counts.there[RECORD_SAMPLE], 1);
    cr_assert(take_in(&h, "kind,time,policy,paid_cores\nsample,2026-09-21T13:59:50Z,miner,4\n",
                      false, &counts, &err),
              "%s", err.text);
    cr_assert_eq(counts.added[RECORD_SAMPLE], 1);
    history_close(&h);
    folder_done(&f);
}

static const struct {
    const char *name, *text, *told;
} broken[] = {
    {"no head", AT("00") "1\n", "a.csv:1: found a sample, expected before it a line that names"},
    {"an unknown column", "kind,time,policy,payed\n" AT("00") "1\n",
     "a.csv:1: name: found payed, expected a column of a sample"},
    {"an unknown kind", HEAD "simple,1,2,3\n", "a.csv:2: kind: found simple, expected day, hour"},
    {"a time", HEAD "sample,yesterday,miner,1\n",
     "a.csv:2: time: found yesterday, expected a time like"},
    {"a number", HEAD AT("00") "1\n" AT("10") "1.0005\n",
     "a.csv:3: paid_cores: found 1.0005, expected a number with at most 3 decimals"},
    {"a number too large", HEAD AT("00") "99999999999999999999\n",
     "a.csv:2: paid_cores: found 999"},
    {"a cell too many", HEAD AT("00") "1,2\n", "a.csv:2: found 5 cells, expected 4"},
    {"a cell too few", HEAD "sample,2026-09-21T14:00:00Z,miner\n", "a.csv:2: found 3 cells"},
    {"a quote", HEAD "sample,2026-09-21T14:00:00Z,\"mi\"ner,1\n",
     "a.csv:2: found a quote that does not end"},
    {"an open quote", HEAD "sample,2026-09-21T14:00:00Z,\"miner,1\n" AT("10") "1\n",
     "a.csv:2: found a quote"},
    {"a wrong row of two lines",
     HEAD "\n"
          "sample,2026-09-21T14:00:00Z,\"mi\nner\",x\n",
     "a.csv:3: paid_cores: found x"},
    {"a row behind one of two lines", HEAD "sample,2026-09-21T14:00:00Z,\"mi\nner\",1\nx,1\n",
     "a.csv:4: kind: found x"},
    {"no time", "kind,policy\nsample,miner\n", "a.csv:2: found a sample without time"},
    {"no policy", HEAD "sample,2026-09-21T14:00:00Z,,1\n", "a.csv:2: policy: found nothing"},
    {"time goes back", HEAD AT("10") "1\n" AT("00") "1\n",
     "a.csv:3: time: found one that is not after 2026-09-21T14:00:10.000Z"},
    {"twice the same column", "kind,time,time\nsample,2026-09-21T14:00:00Z,2026-09-21T14:00:00Z\n",
     "a.csv:2: found time twice"},
    {"figures that contradict each other",
     FIGURE "hour,2026-09-21T14:00:00Z,miner,60000,60000,3,1,1,1,1,1\n",
     "a.csv:2: paid: found figures that contradict each other"},
    {"some figures", FIGURE "hour,2026-09-21T14:00:00Z,miner,60000,60000,3,,1,1,1,1\n",
     "a.csv:2: paid_mean: found none, expected all figures of a series or none"},
    {"an hour that is none", FIGURE "hour,2026-09-21T14:00:01Z,miner,60000,,,,,,,\n",
     "a.csv:2: time: expected the begin of a full hour"},
    {"more than an hour", FIGURE "hour,2026-09-21T14:00:00Z,miner,3600001,,,,,,,\n",
     "a.csv:2: covered_ms: found 3600001, expected 1 to 3600000"},
    {"base64",
     "kind,time,until,segment,number,events,data\n"
     "journal,2026-09-21T14:00:00Z,2026-09-21T14:00:00Z,1,0,3,A\n",
     "a.csv:2: data: found A, expected base64"},
    {"a step", ACTIVITY "2026-09-21T14:00:00Z,miner,61,AAAA\n",
     "a.csv:2: step_seconds: found 61, expected 60, 3600 or 86400"},
    {"a chunk's time", ACTIVITY "2026-09-21T14:00:00Z,,3600,AAAA\n",
     "a.csv:2: time: expected the begin of a chunk, of 86400 s"},
    {"no chunk", ACTIVITY "2026-09-21T14:00:00Z,,60,AAAA\n",
     "a.csv:2: data: found 3 bytes, expected those of a chunk"},
    {"an event", "kind,time,event\nevent,2026-09-21T14:00:00Z,pod_gone\n",
     "a.csv:2: found an event: these come out of the journal"},
    {"a NUL in a gap's reason",
     "{\"kind\":\"gap\",\"time\":\"2026-09-21T14:00:00Z\",\"until\":\"2026-09-21T14:00:10Z\","
     "\"why\":\"\\u0000\",\"decisions\":0}\n",
     "a.csv:1: "},
    {"no UTF-8", HEAD "sample,2026-09-21T14:00:00Z,m\xff,1\n",
     "a.csv:2: policy: found 2 bytes that are no UTF-8, expected a text of at most 255"},
    {"JSON", "{\"kind\":\"sample\",}\n", "a.csv:1: "},
    {"a version", "{\"kind\":\"history\",\"version\":2}\n",
     "a.csv:1: version: found 2, expected 1"},
    {"a key", "{\"kind\":\"sample\",\"payed\":1}\n", "a.csv:1: name: found payed"},
    {"no kind", "{\"time\":\"x\"}\n", "a.csv:1: name: found time, expected kind"},
    {"a string for a number", "{\"kind\":\"sample\",\"paid_cores\":\"1\"}\n", "a.csv:1: "},
    {"blanks", "{\"kind\":\"sample\"} x\n", "a.csv:1: "},
};

/* Rows that stand before it are not there afterwards. */
Test(import, what_is_wrong_has_its_place_and_nothing_is_applied)
{
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct folder f = folder_new();
        struct import_counts counts;
        struct history h;
        struct err err = {0};
        int64_t rows;

        open_file(f.file, &h);
        cr_assert_not(take_in(&h, broken[i].text, false, &counts, &err), "%s", broken[i].name);
        cr_assert_eq(err.kind, ERR_INPUT, "%s: %s", broken[i].name, err.text);
        cr_assert_not_null(strstr(err.text, broken[i].told), "%s: %s", broken[i].name, err.text);
        cr_assert(db_number(h.db, "SELECT count(*) FROM policy", &rows, &err));
        cr_assert_eq(rows, 0, "%s", broken[i].name);
        history_close(&h);
        folder_done(&f);
    }
}

Test(import, a_line_has_a_limit)
{
    size_t len = RECORD_MAX_LINE + 100;
    CLEANUP(free_ptr) char *text = xcalloc(len + 1, 1);
    struct folder f = folder_new();
    struct import_counts counts;
    struct history h;
    struct err err = {0};

    memset(text, 'k', len);
    open_file(f.file, &h);
    cr_assert_not(take_in(&h, text, false, &counts, &err));
    cr_assert_not_null(strstr(err.text, "a.csv:1: found a line of more than"), "%s", err.text);
    history_close(&h);
    folder_done(&f);
}

/* What CSV alone can hold would come out as JSON that nobody takes. */
Test(import, a_gap_with_a_nul_in_its_reason_is_refused)
{
    struct record r;
    struct history_gap gap;
    struct err err = {0};

    record_from_gap(&(struct history_gap){.first_ms = T0, .last_ms = T0, .why = {"a\0b", 3}}, &r);
    cr_assert_not(record_to_gap(&r, &gap, &err));
    cr_assert_str_eq(err.text, "why: found 3 bytes with a NUL, expected a text of at most 255");
}

Test(import, a_byte_order_mark_is_no_part_of_the_first_line)
{
    static const char *const texts[] = {
        "\xef\xbb\xbf" HEAD AT("00") "1\n",
        "\xef\xbb\xbf{\"kind\":\"sample\",\"time\":\"2026-09-21T14:00:00Z\",\"policy\":\"m\"}\n"};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        FILE *from = fmemopen((void *)(uintptr_t)texts[i], strlen(texts[i]), "r");
        struct record_lines lines;
        struct err err = {0};
        bool some;
        int first;

        record_lines_init(&lines, from, "a.csv");
        cr_assert(record_lines_peek(&lines, &first, &err), "%s", err.text);
        cr_assert_eq(first, texts[i][3]);
        cr_assert(record_lines_next(&lines, &some, &err), "%s", err.text);
        cr_assert_eq(strncmp(strbuf_str(&lines.line), texts[i] + 3, lines.line.len), 0);
        record_lines_done(&lines);
        (void)fclose(from);
    }
}

Test(import, columns_come_in_any_order_and_lines_end_as_they_like)
{
    CLEANUP(free_ptr) char *text = NULL;
    const struct export_query q = {.until_ms = RECORD_LAST_MS, .kinds = 1u << RECORD_SAMPLE};
    struct folder f = folder_new();
    struct import_counts counts;
    struct history h;
    struct err err = {0};

    open_file(f.file, &h);
    cr_assert(take_in(&h,
                      "kind,policy,paid_cores,time\r\n"
                      "sample,\"mi\"\"n,er\",-0.5,2026-09-21T16:00:00+02:00\r\n\r\n",
                      false, &counts, &err),
              "%s", err.text);
    text = text_of(&h, &q, RECORD_CSV);
    cr_assert_not_null(strstr(text, "\nsample,2026-09-21T14:00:00.000Z,\"mi\"\"n,er\",0,,-0.5,"),
                       "%s", text);
    history_close(&h);
    folder_done(&f);
}

static const struct {
    int64_t value;
    int digits;
    const char *text;
} numbers[] = {
    {0, 3, "0"},         {1, 3, "0.001"},  {-1, 3, "-0.001"},
    {184000, 3, "184"},  {1500, 3, "1.5"}, {INT64_MAX, 0, "9223372036854775807"},
    {-1000000, 6, "-1"}, {42, 0, "42"},    {INT64_MAX, 3, "9223372036854775.807"},
};

Test(record_text, numbers_are_exact)
{
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct strbuf text;
        int64_t value;

        strbuf_init(&text, 64);
        record_add_number(&text, numbers[i].value, numbers[i].digits);
        cr_assert_str_eq(strbuf_str(&text), numbers[i].text);
        cr_assert(record_parse_number(strbuf_sv(&text), numbers[i].digits, &value));
        cr_assert_eq(value, numbers[i].value, "%s", numbers[i].text);
        strbuf_done(&text);
    }
}

Test(export, a_range_and_a_policy_are_all_that_is_written)
{
    CLEANUP(free_ptr) char *text = NULL;
    const struct export_query q = {.policy = SV("miner"),
                                   .from_ms = T0 + 10000,
                                   .until_ms = T0 + 20000,
                                   .kinds = 1u << RECORD_SAMPLE};
    struct folder f = folder_new();
    struct import_counts counts;
    struct history h;
    struct err err = {0};

    open_file(f.file, &h);
    cr_assert(take_in(&h, GIVEN "sample,2026-09-21T14:00:10Z,other,7\n", false, &counts, &err),
              "%s", err.text);
    text = text_of(&h, &q, RECORD_JSONL);
    cr_assert_str_eq(text, "{\"kind\":\"history\",\"version\":1}\n"
                           "{\"kind\":\"sample\",\"time\":\"2026-09-21T14:00:10.000Z\","
                           "\"policy\":\"miner\",\"merged\":0,\"paid_cores\":2}\n");
    history_close(&h);
    folder_done(&f);
}

#include <criterion/criterion.h>
#include <string.h>

#include "storage/report.h"
#include "storage/schema.h"
#include "tests/unit/policy/random.h"
#include "tests/unit/storage/lossy_vfs.h"

/* What the program of schema 6 left in a new file. */
#define SCHEMA_6                                                                                   \
    "CREATE TABLE policy(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"                      \
    "CREATE TABLE sample("                                                                         \
    "  policy INTEGER NOT NULL, t INTEGER NOT NULL, merged INTEGER NOT NULL,"                      \
    "  allocatable INTEGER NOT NULL, paid INTEGER NOT NULL, pending INTEGER NOT NULL,"             \
    "  ready INTEGER NOT NULL, starting INTEGER NOT NULL, leaving INTEGER NOT NULL,"               \
    "  remaining INTEGER NOT NULL, reserve INTEGER NOT NULL, headroom INTEGER NOT NULL,"           \
    "  set_point INTEGER NOT NULL, damped INTEGER NOT NULL, replicas INTEGER NOT NULL,"            \
    "  waiting INTEGER NOT NULL, kept INTEGER NOT NULL DEFAULT 0, more BLOB,"                      \
    "  PRIMARY KEY(policy, t)) WITHOUT ROWID;"                                                     \
    "CREATE TABLE decision("                                                                       \
    "  id INTEGER PRIMARY KEY, policy INTEGER NOT NULL, t INTEGER NOT NULL,"                       \
    "  reason TEXT NOT NULL, bound TEXT NOT NULL, detail TEXT NOT NULL,"                           \
    "  before INTEGER NOT NULL, replicas INTEGER NOT NULL,"                                        \
    "  set_point INTEGER NOT NULL, damped INTEGER NOT NULL, slots INTEGER NOT NULL,"               \
    "  kept_slots INTEGER NOT NULL, slot INTEGER NOT NULL, hole_slots INTEGER NOT NULL,"           \
    "  allocatable INTEGER NOT NULL, paid INTEGER NOT NULL, pending INTEGER NOT NULL,"             \
    "  reserve INTEGER NOT NULL, headroom INTEGER NOT NULL,"                                       \
    "  latency_us INTEGER NOT NULL DEFAULT 0);"                                                    \
    "CREATE INDEX decision_t ON decision(t);"                                                      \
    "CREATE TABLE chunk("                                                                          \
    "  segment INTEGER NOT NULL, number INTEGER NOT NULL, first INTEGER NOT NULL,"                 \
    "  last INTEGER NOT NULL, events INTEGER NOT NULL, bytes INTEGER NOT NULL,"                    \
    "  data BLOB NOT NULL, PRIMARY KEY(segment, number));"                                         \
    "CREATE TABLE gap(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,"      \
    "  why TEXT NOT NULL, decisions INTEGER NOT NULL);"                                            \
    "CREATE TABLE policy_text(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"                  \
    "  text BLOB NOT NULL, saved_at INTEGER NOT NULL);"                                            \
    "CREATE TABLE policy_found(policy TEXT PRIMARY KEY, uid TEXT NOT NULL,"                        \
    "  replicas INTEGER NOT NULL, in_force INTEGER NOT NULL) WITHOUT ROWID;"                       \
    "CREATE TABLE pack(policy INTEGER NOT NULL, level INTEGER NOT NULL, first INTEGER NOT NULL,"   \
    "  begin INTEGER NOT NULL, until INTEGER NOT NULL, rows INTEGER NOT NULL,"                     \
    "  data BLOB NOT NULL, PRIMARY KEY(policy, level, first));"
/* And that of schema 7. */
#define SCHEMA_7                                                                                   \
    SCHEMA_6                                                                                       \
    "CREATE TABLE activity(policy INTEGER NOT NULL, level INTEGER NOT NULL,"                       \
    "  first INTEGER NOT NULL, begin INTEGER NOT NULL, until INTEGER NOT NULL,"                    \
    "  rows INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(policy, level, first));"
/* Three hours: a sample each half minute (100 cores, from 20 of them to 60 paid), a decision each 6 minutes, all else once. */
#define ROWS                                                                                       \
    "INSERT INTO policy VALUES(1, 'miner');"                                                       \
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 359)"                \
    " INSERT INTO sample SELECT 1, 1789948800000 + 30000 * i, 0, 100000, 20000 + i % 9 * 5000, 0," \
    "  30000, 0, 0, 0, 0, 10000, 0, 0, 0, 0, 10000, NULL FROM n;"                                  \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)"                 \
    " INSERT INTO decision SELECT i, 1, 1789948800000 + 360000 * (i - 1) + 7, 'yield', 'fit', ''," \
    "  9, 9 - i % 2 * 3, 0, 0, 0, 0, 0, 0, 100000, 0, 0, 0, 0, i * 100 FROM n;"                    \
    "INSERT INTO gap VALUES(1, 1789948700000, 1789948800000, 'start', 0);"                         \
    "INSERT INTO policy_text VALUES(1, 'a.yaml', x'00', 5);"                                       \
    "INSERT INTO policy_found VALUES('miner', 'u', 7, 1);"

#define T0 INT64_C(1789948800000) /* 2026-09-21T00:00:00Z */

static const char path[] = "history.db";
static const struct db_options options = {.path = path, .vfs = LOSSY_VFS};

static void make_old(const char *schema, int version)
{
    char sql[96];
    struct err err = {0};
    struct db *db;

    (void)snprintf(sql, sizeof sql, "PRAGMA application_id=%d;PRAGMA user_version=%d",
                   SCHEMA_APPLICATION, version);
    cr_assert(db_open(&options, &db, &err) && db_use_log(db, &err) && db_exec(db, schema, &err) &&
                  db_exec(db, ROWS, &err) && db_exec(db, sql, &err),
              "%s", err.text);
    db_close(db);
}

static struct groups_sample sample_of_groups(void)
{
    struct groups_sample s = {.policy = "miner", .label = "zone", .t_ms = T0 + 10800000, .n = 1};

    (void)snprintf(s.at[0].value, sizeof s.at[0].value, "a");
    s.at[0].at[GROUP_PAID] = 7000;
    return s;
}

/* What an agent does with a file: opens it, packs and rolls up what is there, and goes on. */
static bool live(struct err *err)
{
    const struct groups_sample s = sample_of_groups();
    struct history h = {0};
    bool ok = history_open(&options, &h, err), more = true;

    while (ok && more)
        ok = history_pack(&h, T0 + 10800000 + 5000, &more, err);
    ok = ok && groups_add(h.groups, &s, err);
    history_close(&h);
    return ok;
}

static void expect_number(struct history *h, const char *sql, int64_t expected, int cut)
{
    struct err err = {0};
    int64_t n;

    cr_assert(db_number(h->db, sql, &n, &err), "cut %d: %s", cut, err.text);
    cr_assert_eq(n, expected, "cut %d, %s: found %lld, expected %lld", cut, sql, (long long)n,
                 (long long)expected);
}

/* All that was in the file, whatever of it is rolled up by now. */
static void check(int cut)
{
    struct report_query q = {.since_ms = T0, .until_ms = T0 + 10800000, .by = REPORT_HOUR};
    struct history h = {0};
    struct report r;
    struct err err = {0};

    cr_assert(history_open(&options, &h, &err) && db_integrity(h.db, &err), "cut %d: %s", cut,
              err.text);
    expect_number(&h, "PRAGMA user_version", SCHEMA_VERSION, cut);
    expect_number(&h, "SELECT count(*) FROM decision", 30, cut);
    expect_number(&h, "SELECT sum(latency_us) FROM decision", 46500, cut);
    expect_number(&h, "SELECT count(*) FROM gap", 1, cut);
    expect_number(&h, "SELECT count(*) FROM policy_text", 1, cut);
    expect_number(&h, "SELECT replicas FROM policy_found", 7, cut);
    cr_assert(report_make(&h, &q, &r, &err), "cut %d: %s", cut, err.text);
    cr_assert_eq(r.total.covered_ms, 10800000, "cut %d", cut);
    cr_assert_eq(r.total.part[REPORT_PAID], INT64_C(10800000) * 40000, "cut %d: %lld", cut,
                 (long long)r.total.part[REPORT_PAID]);
    cr_assert_eq(r.total.yields, 30, "cut %d: %lld", cut, (long long)r.total.yields);
    cr_assert_eq(r.total.latency_max_us, 3000, "cut %d", cut);
    report_done(&r);
    history_close(&h);
}

/* The power goes at each operation on the disk in turn, from the opening on, until one life ends without. */
static void cut_each(const char *test, const char *schema, int version)
{
    struct random r = random_start(test);
    bool whole = false;
    int cut = 0;

    while (!whole) {
        struct err err = {0};

        lossy_start(random_u64(&r), random_percent(&r, 50) ? 512 : 4096);
        make_old(schema, version);
        lossy_cut_after(++cut);
        whole = live(&err) && !lossy_is_cut();
        cr_assert(whole || lossy_is_cut(), "cut %d: without a cut: %s", cut, err.text);
        lossy_cut_after(0);
        lossy_power_on();
        check(cut);
        cr_assert(live(&err), "cut %d: %s", cut, err.text);
        check(cut);
    }
    cr_assert_gt(cut, 50);
    lossy_done();
}

Test(migrate, a_history_without_groups_survives_a_cut_at_any_moment)
{
    cut_each("migrate/7", SCHEMA_7, 7);
}

Test(migrate, a_history_without_activity_survives_a_cut_at_any_moment)
{
    cut_each("migrate/6", SCHEMA_6, 6);
}

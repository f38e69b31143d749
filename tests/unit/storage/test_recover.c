#include "storage/recover.h"

#include <sys/stat.h>

#include "base/alloc.h"
#include "storage/history.h"
#include "storage/policies.h"
#include "storage/schema.h"
#include "tests/unit/policy/random.h"
#include "tests/unit/storage/folder.h"

enum { SAMPLES = 4000, DECISIONS = 3000, CHUNKS = 40, CHUNK_BYTES = 9000, PAGE = 4096 };

static int64_t time_of(int64_t i)
{
    return INT64_C(1790000000000) + i * SAMPLES_STEP_MS;
}

static void add_chunk(struct history *h, int i, struct err *err)
{
    struct journal_piece *piece = xmalloc(sizeof *piece + CHUNK_BYTES);

    *piece = (struct journal_piece){.segment = 1,
                                    .chunk = (uint32_t)i,
                                    .first_ms = time_of(i * 100),
                                    .last_ms = time_of(i * 100 + 99),
                                    .events = 1000,
                                    .len = CHUNK_BYTES};
    memset(piece->bytes, i, CHUNK_BYTES);
    cr_assert(chunks_add(h->chunks, piece, err), "%s", err->text);
    free(piece);
}

/* All tables have something; samples of two policies. */
static void make(const char *path)
{
    const struct db_options options = {.path = path};
    const struct pack activity = {.rows = 1, .data = SV("what happened")};
    const struct policies_text text = {SV("miner.yaml"), SV("kind: FillerPolicy")};
    struct history h;
    struct err err = {0};

    cr_assert(history_open(&options, &h, &err) && db_begin(h.db, &err), "%s", err.text);
    for (int64_t i = 1; i <= SAMPLES; i++) {
        struct sample s = {.t_ms = time_of(i / 2), .at = {[SAMPLE_PAID] = i}};

        (void)snprintf(s.policy, sizeof s.policy, "%s", i % 2 == 0 ? "miner" : "render");
        cr_assert(samples_add(h.samples, &s, &err), "%s", err.text);
    }
    for (int64_t i = 1; i <= DECISIONS; i++) {
        struct decision_entry d = {.id = (uint64_t)i,
                                   .t_ms = time_of(i),
                                   .policy = "miner",
                                   .reason = "yield",
                                   .bound = "fit",
                                   .detail = "because",
                                   .at = {[DECISION_REPLICAS] = i}};

        cr_assert(decisions_add(h.decisions, &d, &err), "%s", err.text);
    }
    for (int i = 0; i < CHUNKS; i++)
        add_chunk(&h, i, &err);
    cr_assert(packs_put(h.activity, 0, LEVEL_HOUR, &activity, &err), "%s", err.text);
    cr_assert(db_commit(h.db, &err), "%s", err.text);
    cr_assert(policies_save(h.db, &text, 1, 1, &err), "%s", err.text);
    history_close(&h);
}

struct seen {
    int64_t n;
    bool right;
};

static bool see_sample(void *self, const struct sample *s)
{
    struct seen *seen = self;

    seen->n++;
    seen->right = seen->right && s->t_ms == time_of(s->at[SAMPLE_PAID] / 2);
    return true;
}

static bool see_decision(void *self, const struct decision_entry *d)
{
    struct seen *seen = self;

    seen->n++;
    seen->right = seen->right && d->t_ms == time_of((int64_t)d->id) &&
                  d->at[DECISION_REPLICAS] == (int64_t)d->id;
    return true;
}

/* How much of what make() put there is in a salvaged history, which must be whole; -1 where something else is in it. */
static int64_t rows_in(const char *path)
{
    const struct db_options options = {.path = path, .read_only = true};
    const struct decisions_filter all = {0};
    struct seen seen = {.right = true};
    struct chunks_totals totals;
    struct err err = {0};
    struct history h;

    cr_assert(history_open(&options, &h, &err) && db_integrity(h.db, &err) &&
                  samples_each(h.samples, SV("miner"), 0, INT64_MAX, see_sample, &seen, &err) &&
                  samples_each(h.samples, SV("render"), 0, INT64_MAX, see_sample, &seen, &err) &&
                  decisions_each(h.decisions, &all, see_decision, &seen, &err) &&
                  chunks_totals(h.chunks, &totals, &err),
              "%s", err.text);
    history_close(&h);
    return seen.right && totals.bytes % CHUNK_BYTES == 0 ? seen.n + totals.bytes / CHUNK_BYTES : -1;
}

static int64_t size_of(const char *path)
{
    struct stat st;

    cr_assert_eq(stat(path, &st), 0);
    return st.st_size;
}

static void overwrite(const char *path, long at, const char *with, size_t len)
{
    FILE *file = fopen(path, "r+b");

    cr_assert(file != NULL && fseek(file, at, SEEK_SET) == 0 && fwrite(with, 1, len, file) == len &&
              fclose(file) == 0);
}

static void copy(const char *from, const char *to)
{
    char *all = xmalloc((size_t)size_of(from));
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t len;

    cr_assert(in != NULL && out != NULL);
    len = fread(all, 1, (size_t)size_of(from), in);
    cr_assert_eq(fwrite(all, 1, len, out), len);
    cr_assert(fclose(in) == 0 && fclose(out) == 0);
    free(all);
}

struct place {
    char whole[400], broken[400], out[400];
};

static struct place place_in(const struct folder *f)
{
    struct place p;

    (void)snprintf(p.whole, sizeof p.whole, "%s/whole.db", f->path);
    (void)snprintf(p.broken, sizeof p.broken, "%s/broken.db", f->path);
    (void)snprintf(p.out, sizeof p.out, "%s/out.db", f->path);
    return p;
}

static void count_hole(void *self, const struct recover_hole *hole)
{
    int *holes = self;

    cr_assert(hole->n >= 1 && hole->n <= RECOVER_MAX_KEY);
    ++*holes;
}

Test(recover, takes_all_of_a_file_that_is_whole)
{
    struct folder f = folder_new();
    struct place p = place_in(&f);
    struct recover_result r;
    struct err err = {0};
    bool activity = false;
    int holes = 0;

    make(p.whole);
    cr_assert(recover_make(p.whole, p.out, count_hole, &holes, &r, &err), "%s", err.text);
    cr_assert(holes == 0 && r.unread_pages == 0 && !r.new_first_page && !r.log_ignored);
    for (size_t i = 0; i < r.n; i++) {
        cr_assert(r.tables[i].holes == 0 && r.tables[i].refused == 0 && !r.tables[i].missing, "%s",
                  r.tables[i].name);
        activity |= strcmp(r.tables[i].name, "activity") == 0 && r.tables[i].rows == 1;
    }
    cr_assert(activity);
    cr_assert_eq(rows_in(p.out), SAMPLES + DECISIONS + CHUNKS);
    cr_assert_not(recover_make(p.whole, p.out, NULL, NULL, &r, &err));
    cr_assert_not_null(strstr(err.text, "is there already"), "%s", err.text);
    folder_done(&f);
}

/* One page after the other is garbage, zeros, or half of each: what the others hold is saved, and nothing is invented. */
Test(recover, saves_what_other_pages_hold)
{
    struct folder f = folder_new();
    struct place p = place_in(&f);
    struct random random = random_start("recover");
    int64_t pages, all = SAMPLES + DECISIONS + CHUNKS, worst = all, sum = 0, n = 0;

    make(p.whole);
    pages = size_of(p.whole) / PAGE;
    for (int64_t page = 0; page < pages; page += random_in(&random, 1, 20)) {
        struct recover_result r = {0};
        struct err err = {0};
        char with[PAGE] = {0};
        int64_t rows;
        int kind = (int)random_in(&random, 0, 2);

        for (int i = 0; kind > 0 && i < PAGE / kind; i++)
            with[i] = (char)random_u64(&random);
        copy(p.whole, p.broken);
        overwrite(p.broken, page * PAGE, with, sizeof with);
        (void)unlink(p.out);
        cr_assert(recover_make(p.broken, p.out, NULL, NULL, &r, &err), "page %lld: %s",
                  (long long)page, err.text);
        cr_assert(page != 0 || r.new_first_page);
        rows = rows_in(p.out);
        cr_assert_geq(rows, 0, "page %lld: something else was read", (long long)page);
        worst = rows < worst ? rows : worst;
        sum += rows;
        n++;
    }
    /* An inner page takes its table with it; most are leaves. */
    cr_assert_geq(worst, 1);
    cr_assert_geq(sum, n * all * 9 / 10, "%lld of %lld", (long long)(sum / n), (long long)all);
    folder_done(&f);
}

Test(recover, saves_the_begin_of_a_file_that_was_cut_off)
{
    struct folder f = folder_new();
    struct place p = place_in(&f);
    int64_t all = SAMPLES + DECISIONS + CHUNKS;

    make(p.whole);
    for (int64_t tenth = 1; tenth < 10; tenth++) {
        struct recover_result r = {0};
        struct err err = {0};
        int64_t rows;

        copy(p.whole, p.broken);
        cr_assert_eq(truncate(p.broken, size_of(p.whole) / 10 * tenth), 0);
        (void)unlink(p.out);
        cr_assert(recover_make(p.broken, p.out, NULL, NULL, &r, &err), "%lld tenths: %s",
                  (long long)tenth, err.text);
        cr_assert_gt(r.unread_pages, 0);
        rows = rows_in(p.out);
        cr_assert(rows > 0 && rows < all, "%lld tenths: %lld of %lld", (long long)tenth,
                  (long long)rows, (long long)all);
    }
    folder_done(&f);
}

/* Whatever is done to the file: an answer, no crash, and what is saved is whole. */
static void damage_often(struct random random)
{
    struct folder f = folder_new();
    struct place p = place_in(&f);
    int saved = 0;

    make(p.whole);
    for (int round = 0; round < 30; round++) {
        struct recover_result r = {0};
        struct err err = {0};
        int n = (int)random_in(&random, 1, 200);

        copy(p.whole, p.broken);
        for (int i = 0; i < n; i++) {
            char byte = (char)random_u64(&random);

            overwrite(p.broken, (long)random_in(&random, 100, size_of(p.broken) - 1), &byte, 1);
        }
        if (random_percent(&random, 30))
            cr_assert_eq(truncate(p.broken, random_in(&random, 0, size_of(p.broken))), 0);
        (void)unlink(p.out);
        if (recover_make(p.broken, p.out, NULL, NULL, &r, &err)) {
            (void)rows_in(p.out);
            saved++;
        } else {
            cr_assert_neq(err.text[0], '\0');
            cr_assert_neq(access(p.out, F_OK), 0);
        }
    }
    cr_assert_gt(saved, 10);
    folder_done(&f);
}

Test(recover, survives_any_file)
{
    damage_often(random_start("recover any"));
}

/* Pages that name one another again and again: this seed made such. */
Test(recover, does_not_go_in_circles)
{
    const uint64_t seed = UINT64_C(1795436206930927);

    damage_often((struct random){.seed = seed, .state = seed});
}

static uint32_t big_endian(const unsigned char *at, int bytes)
{
    uint32_t n = 0;

    for (int i = 0; i < bytes; i++)
        n = n << 8 | at[i];
    return n;
}

enum { FOUND = 200 };

/* Where the tree of the table whose key is a text begins, which has many pages. */
static int64_t make_found(const char *path)
{
    const struct db_options options = {.path = path};
    struct err err = {0};
    struct db *db = NULL;
    int64_t root = 0;

    make(path);
    cr_assert(schema_open(&options, &db, &err) &&
                  db_exec(db,
                          "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i "
                          "< 200) INSERT INTO policy_found SELECT printf('%0200d', i), 'uid', i, "
                          "1 FROM n",
                          &err) &&
                  db_number(db, "SELECT rootpage FROM sqlite_schema WHERE name = 'policy_found'",
                            &root, &err),
              "%s", err.text);
    db_close(db);
    return root;
}

/* Every second child of the tree's first page is that page itself: a way through it has 3 to the 20 turns or more. */
Test(recover, does_not_go_in_circles_where_keys_are_texts)
{
    enum { INNER = 2, CELLS_AT = 3, POINTERS_AT = 12 };
    struct folder f = folder_new();
    struct place p = place_in(&f);
    int64_t root = make_found(p.whole);
    struct recover_result r = {0};
    struct err err = {0};
    unsigned char page[PAGE], itself[4] = {0, 0, (unsigned char)(root >> 8), (unsigned char)root};
    FILE *file = fopen(p.whole, "rb");
    bool seen = false;

    cr_assert(file != NULL && fseek(file, (root - 1) * PAGE, SEEK_SET) == 0 &&
              fread(page, 1, PAGE, file) == PAGE && fclose(file) == 0);
    cr_assert(page[0] == INNER && big_endian(page + CELLS_AT, 2) > 5, "not the page of a tree");
    for (uint32_t i = 1; i < big_endian(page + CELLS_AT, 2); i += 2)
        memcpy(page + big_endian(page + POINTERS_AT + 2 * i, 2), itself, sizeof itself);
    overwrite(p.whole, (root - 1) * PAGE, (const char *)page, PAGE);
    cr_assert(recover_make(p.whole, p.out, NULL, NULL, &r, &err), "%s", err.text);
    for (size_t i = 0; i < r.n; i++) {
        if (strcmp(r.tables[i].name, "policy_found") != 0)
            continue;
        seen = true;
        cr_assert(r.tables[i].rows > 0 && r.tables[i].rows < FOUND && r.tables[i].holes > 0);
    }
    cr_assert(seen);
    cr_assert_eq(rows_in(p.out), SAMPLES + DECISIONS + CHUNKS);
    folder_done(&f);
}

Test(recover, refuses_what_is_no_history)
{
    struct folder f = folder_new();
    struct place p = place_in(&f);
    const struct db_options options = {.path = p.broken};
    struct recover_result r;
    struct err err = {0};
    struct db *db;

    cr_assert_not(recover_make(p.broken, p.out, NULL, NULL, &r, &err));
    cr_assert_not_null(strstr(err.text, "No such file"), "%s", err.text);
    cr_assert(db_open(&options, &db, &err) && db_exec(db, "CREATE TABLE t(a)", &err));
    db_close(db);
    cr_assert_not(recover_make(p.broken, p.out, NULL, NULL, &r, &err));
    cr_assert_not_null(strstr(err.text, "no history"), "%s", err.text);
    folder_done(&f);
}

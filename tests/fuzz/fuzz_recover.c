/*
 * Damaged histories: what comes out of one is a whole history, and of one without damage all comes out; what is refused leaves no file.
 *
 * An input is a list of damages done to a history of some 25 pages: a letter, then what it says, numbers with their low byte first.
 *     w PAGE(2) AT(2) N(1) BYTES   N bytes are others
 *     z PAGE(2)                    a page of zeros
 *     p PAGE(2) PAGE(2)            a page stands in the place of another, too
 *     c PAGE(2) AT(2)              cut off
 *     l BYTES                      all that follows is the log beside it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "storage/history.h"
#include "storage/policies.h"
#include "storage/recover.h"
#include "tests/fuzz/fuzz.h"

enum {
    PAGE = 4096,
    MAX_PAGES = 64,
    SAMPLES = 120,
    DECISIONS = 60,
    CHUNKS = 6,
    CHUNK_BYTES = 3000,
    FOUND = 90
};
#define T0 INT64_C(1790000000000)

static struct {
    char folder[64], broken[80], log[80], out[80];
    char whole[MAX_PAGES * PAGE];
    size_t len;
} world;

static NORETURN void fail(const char *what)
{
    (void)fprintf(stderr, "recover: %s\n", what);
    abort();
}

static void clear(void)
{
    (void)unlink(world.broken);
    (void)unlink(world.log);
    (void)unlink(world.out);
}

static void leave(void)
{
    clear();
    (void)rmdir(world.folder);
}

static void add_chunk(struct history *h, int i, struct err *err)
{
    char bytes[CHUNK_BYTES];
    const struct chunk chunk = {.segment = 1,
                                .number = i,
                                .first_ms = T0 + i,
                                .last_ms = T0 + i,
                                .events = 1,
                                .data = {bytes, sizeof bytes}};

    memset(bytes, i, sizeof bytes);
    if (!chunks_put(h->chunks, &chunk, err))
        fail(err->text);
}

static void fill(struct history *h, struct err *err)
{
    const struct policies_text text = {SV("miner.yaml"), SV("kind: FillerPolicy")};

    if (!db_begin(h->db, err))
        fail(err->text);
    for (int i = 0; i < SAMPLES; i++) {
        const struct sample s = {
            .t_ms = T0 + i * SAMPLES_STEP_MS, .policy = "miner", .at = {[SAMPLE_PAID] = i}};

        if (!samples_add(h->samples, &s, err))
            fail(err->text);
    }
    for (uint64_t i = 1; i <= DECISIONS; i++) {
        struct decision_entry d = {.id = i, .t_ms = T0, .policy = "miner", .reason = "yield"};

        memset(d.detail, 'x', sizeof d.detail - 1); /* a table of some pages */
        if (!decisions_add(h->decisions, &d, err))
            fail(err->text);
    }
    for (int i = 0; i < CHUNKS; i++)
        add_chunk(h, i, err);
    for (int i = 0; i < FOUND; i++) {
        char sql[200];

        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO policy_found(policy, uid, replicas, in_force) VALUES"
                       "('policy-%080d', 'uid', 1, 1)",
                       i);
        if (!db_exec(h->db, sql, err))
            fail(err->text);
    }
    if (!db_commit(h->db, err) || !policies_save(h->db, &text, 1, 1, err))
        fail(err->text);
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "we");

    if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0)
        abort();
}

static void make_whole(void)
{
    struct history h;
    struct err err = {0};
    FILE *file;

    if (!history_open(&(struct db_options){.path = world.broken}, &h, &err))
        fail(err.text);
    fill(&h, &err);
    history_close(&h);
    file = fopen(world.broken, "re");
    world.len = file != NULL ? fread(world.whole, 1, sizeof world.whole, file) : 0;
    if (world.len == 0 || world.len == sizeof world.whole || fclose(file) != 0)
        abort();
}

/* In memory where there is such a folder: each input makes files and waits until they are on the disk. */
static void make_world(void)
{
    (void)snprintf(world.folder, sizeof world.folder, "%s/brim-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(world.folder) == NULL)
        abort();
    (void)snprintf(world.broken, sizeof world.broken, "%s/broken", world.folder);
    (void)snprintf(world.log, sizeof world.log, "%s/broken-wal", world.folder);
    (void)snprintf(world.out, sizeof world.out, "%s/out", world.folder);
    (void)atexit(leave);
    make_whole();
}

/* ---- damages ---- */

struct damaged {
    char at[MAX_PAGES * PAGE];
    size_t len;
    struct sv log;
};

static size_t take_number(struct sv *rest, size_t bytes)
{
    size_t value = 0;

    for (size_t i = 0; i < bytes && rest->len != 0; i++) {
        value |= (size_t)(unsigned char)rest->at[0] << (8 * i);
        *rest = sv_skip(*rest, 1);
    }
    return value;
}

static char *take_page(struct sv *rest, struct damaged *to)
{
    return to->at + take_number(rest, 2) % (world.len / PAGE) * PAGE;
}

static void overwrite(struct sv *rest, struct damaged *to)
{
    char *page = take_page(rest, to);
    size_t at = take_number(rest, 2) % PAGE, n = take_number(rest, 1);

    n = n > rest->len ? rest->len : n;
    n = n > PAGE - at ? PAGE - at : n;
    if (n != 0)
        memcpy(page + at, rest->at, n);
    *rest = sv_skip(*rest, n);
}

static void damage(struct sv *rest, struct damaged *to)
{
    char what = rest->at[0];
    char *page;

    *rest = sv_skip(*rest, 1);
    if (what == 'w') {
        overwrite(rest, to);
    } else if (what == 'z') {
        memset(take_page(rest, to), 0, PAGE);
    } else if (what == 'p') {
        page = take_page(rest, to);
        memmove(page, take_page(rest, to), PAGE);
    } else if (what == 'c') {
        page = take_page(rest, to);
        to->len = (size_t)(page - to->at) + take_number(rest, 2) % PAGE;
    } else if (what == 'l') {
        to->log = *rest;
        *rest = (struct sv){0};
    }
}

/* ---- what comes of it ---- */

static void count_hole(void *self, const struct recover_hole *hole)
{
    if (hole->n < 1 || hole->n > RECOVER_MAX_KEY)
        fail("a hole without a key");
    ++*(int64_t *)self;
}

static void check_out(void)
{
    const struct db_options options = {.path = world.out, .read_only = true};
    struct history h = {0};
    struct err err = {0};

    if (!history_open(&options, &h, &err) || !db_integrity(h.db, &err))
        fail(err.text);
    history_close(&h);
}

static void check_result(const struct recover_result *r, int64_t told, bool whole)
{
    int64_t rows = 0, holes = 0;

    for (size_t i = 0; i < r->n; i++) {
        rows += r->tables[i].rows;
        holes += r->tables[i].holes;
        if (whole && (r->tables[i].refused != 0 || r->tables[i].missing))
            fail("something was lost of a whole history");
    }
    if (rows == 0 || told > holes)
        fail("there is nothing in it, or more holes were told than counted");
    if (whole && (rows < SAMPLES + DECISIONS + CHUNKS || holes != 0 || r->new_first_page ||
                  r->log_ignored || r->unread_pages != 0))
        fail("not all of a whole history came out");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv rest = {.at = (const char *)data, .len = size};
    static struct damaged to;
    struct recover_result result = {0};
    struct err err = {0};
    int64_t told = 0;
    bool whole;

    if (world.len == 0)
        make_world();
    memcpy(to.at, world.whole, world.len);
    to.len = world.len;
    to.log = (struct sv){0};
    while (rest.len != 0)
        damage(&rest, &to);
    whole = to.log.len == 0 && to.len == world.len && memcmp(to.at, world.whole, to.len) == 0;
    clear();
    write_file(world.broken, to.at, to.len);
    if (to.log.len != 0)
        write_file(world.log, to.log.at, to.log.len);
    if (recover_make(world.broken, world.out, count_hole, &told, &result, &err)) {
        check_out();
        check_result(&result, told, whole);
    } else if (whole || err.kind == ERR_NONE || err.text[0] == '\0' ||
               access(world.out, F_OK) == 0) {
        fail(err.text);
    }
    return 0;
}

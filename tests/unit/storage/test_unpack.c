#include "storage/unpack.h"

#include <criterion/criterion.h>

#include "tests/unit/storage/world.h"

struct chunk {
    int64_t first_ms, number;
    size_t len;
    char at[3 * JOURNAL_CHUNK_BYTES];
};

struct kept {
    struct chunk *at;
    size_t n, cap;
    uint64_t segment;
    uint32_t number;
};

static bool keep(void *self, struct journal_piece *piece)
{
    struct kept *k = self;

    if (piece->offset == 0) {
        k->at = vec_reserve(k->at, &k->cap, k->n + 1, sizeof *k->at);
        k->at[k->n].first_ms = piece->first_ms;
        k->at[k->n].number = piece->chunk;
        k->at[k->n++].len = 0;
    }
    memcpy(k->at[k->n - 1].at + k->at[k->n - 1].len, piece->bytes, piece->len);
    k->at[k->n - 1].len += piece->len;
    free(piece);
    return true;
}

static size_t much(void *self)
{
    (void)self;
    return SIZE_MAX;
}

static bool give(struct unpack *u, const struct chunk *c, struct err *err)
{
    return unpack_chunk(u, c->number, c->first_ms, (struct sv){c->at, c->len}, err);
}

static void make(struct world *w, struct kept *k, int steps)
{
    const struct journal_sink sink = {keep, much, k, SIZE_MAX};

    *k = (struct kept){0};
    world_init(w, "unpack");
    w->journal = journal_new(&w->names, &sink);
    journal_set_segment(w->journal, 20000, JOURNAL_SEGMENT_MS);
    world_list(w);
    for (int i = 0; i < steps; i++)
        world_step(w);
    journal_cut(w->journal, w->now_ms);
}

static bool ignore(void *self, const struct event *e)
{
    *(size_t *)self += e->kind != EVENT_GAP;
    return true;
}

/* Any byte may be any other: what comes of it is events or an error that says so, and the next segment is read again. */
Test(unpack, survives_any_changed_byte)
{
    static struct world w;
    struct kept k;

    make(&w, &k, 12000);
    cr_assert_gt(k.n, 2);
    for (int round = 0; round < 3000; round++) {
        struct chunk *hit = &k.at[random_in(&w.random, 0, (int64_t)k.n - 1)];
        size_t at = (size_t)random_in(&w.random, 0, (int64_t)hit->len - 1), events = 0;
        char was = hit->at[at];
        struct unpack *u = unpack_new(0, INT64_MAX, ignore, &events);
        int damaged = 0;

        hit->at[at] = (char)random_u64(&w.random);
        for (size_t i = 0; i < k.n; i++) {
            struct err err = {0};

            if (!give(u, &k.at[i], &err)) {
                cr_assert_eq(err.kind, ERR_STORAGE);
                damaged++;
            }
        }
        unpack_finish(u);
        cr_assert(damaged != 0 || events != 0);
        unpack_free(u);
        hit->at[at] = was;
    }
    free(k.at);
    world_done(&w);
}

/* Whatever the first byte of a segment is now, its damage is told, and so is a segment without its first chunk. */
Test(unpack, tells_damage_in_the_first_chunk_of_all)
{
    static struct world w;
    struct kept k;

    make(&w, &k, 12000);
    for (int byte = 0; byte < 256; byte++) {
        size_t events = 0;
        struct unpack *u = unpack_new(0, INT64_MAX, ignore, &events);
        char was = k.at[0].at[0];
        struct err err = {0};

        k.at[0].at[0] = (char)byte;
        if ((byte & 0xf) != (was & 0xf)) {
            cr_assert_not(give(u, &k.at[0], &err), "byte %d", byte);
            cr_assert_eq(err.kind, ERR_STORAGE);
        }
        k.at[0].at[0] = was;
        unpack_free(u);
    }
    for (size_t i = 1; i < k.n; i++) {
        size_t events = 0;
        struct unpack *u = unpack_new(0, INT64_MAX, ignore, &events);

        cr_assert_eq(give(u, &k.at[i], NULL), k.at[i].number == 0, "chunk %zu", i);
        unpack_free(u);
    }
    free(k.at);
    world_done(&w);
}

/* What the first segment told is missing: the gap before the second says so. */
Test(unpack, a_damaged_begin_is_a_gap_by_that_name)
{
    static struct world w;
    struct gathered g = {0};
    struct unpack *u = unpack_new(0, INT64_MAX, world_gather, &g);
    struct kept k;

    make(&w, &k, 12000);
    k.at[0].at[0] = (char)0xff;
    cr_assert_not(give(u, &k.at[0], NULL));
    for (size_t i = 1; i < k.n; i++)
        cr_assert(give(u, &k.at[i], NULL));
    unpack_finish(u);
    cr_assert(g.len > 0 && g.at[0].kind == EVENT_GAP && g.at[0].resets);
    cr_assert_eq(g.at[0].why, GAP_DAMAGED);
    unpack_free(u);
    free(g.at);
    free(k.at);
    world_done(&w);
}

static bool stop_at_ten(void *self, const struct event *e)
{
    (void)e;
    return ++*(int *)self < 10;
}

Test(unpack, ends_when_the_reader_has_enough)
{
    static struct world w;
    struct kept k;
    struct unpack *u;
    int n = 0;

    make(&w, &k, 3000);
    u = unpack_new(0, INT64_MAX, stop_at_ten, &n);
    for (size_t i = 0; i < k.n && !unpack_ended(u); i++)
        cr_assert(give(u, &k.at[i], NULL));
    unpack_finish(u);
    cr_assert(unpack_ended(u));
    cr_assert_eq(n, 10);
    unpack_free(u);
    free(k.at);
    world_done(&w);
}

/* Times at which a node went. */
struct ends {
    int64_t at_ms[64];
    size_t n;
};

static bool note_end(void *self, const struct event *e)
{
    struct ends *ends = self;

    if (e->kind == EVENT_NODE_GONE && ends->n < COUNT_OF(ends->at_ms))
        ends->at_ms[ends->n++] = e->t_ms;
    return true;
}

static bool has_shape(void *self, const struct event *e)
{
    (void)self;
    cr_assert(e->kind != EVENT_NODE || e->shape != NULL, "a node without facts at %lld ms",
              (long long)e->t_ms);
    return true;
}

Test(unpack, a_node_that_goes_first_of_all_was_there_before)
{
    static struct world w;
    struct ends ends = {0};
    struct unpack *u;
    struct kept k;

    make(&w, &k, 6000);
    u = unpack_new(0, INT64_MAX, note_end, &ends);
    for (size_t i = 0; i < k.n; i++)
        cr_assert(give(u, &k.at[i], NULL));
    unpack_free(u);
    cr_assert_gt(ends.n, 5);
    for (size_t end = 0; end < ends.n; end++) {
        u = unpack_new(ends.at_ms[end], INT64_MAX, has_shape, NULL);
        for (size_t i = 0; i < k.n; i++)
            cr_assert(give(u, &k.at[i], NULL));
        unpack_free(u);
    }
    free(k.at);
    world_done(&w);
}

Test(unpack, tells_an_empty_world_where_there_is_nothing)
{
    struct gathered g = {0};
    struct unpack *u = unpack_new(1000, 2000, world_gather, &g);

    unpack_finish(u);
    cr_assert(g.len == 1 && g.at[0].kind == EVENT_GAP && g.at[0].why == GAP_BEGIN &&
              g.at[0].resets && g.at[0].t_ms == 1000);
    unpack_free(u);
    free(g.at);
}

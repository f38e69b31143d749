#include "storage/journal.h"

#include "base/strbuf.h"
#include "tests/unit/storage/world.h"

/* A sink that reads at once what it is given. */
struct loop_back {
    struct unpack *unpack;
    struct gathered got;
    size_t pieces, bytes, refuse_after; /* refuse_after: pieces; SIZE_MAX: never */
    size_t room;
    uint64_t segment;
    uint32_t chunk;
    struct strbuf text; /* of the chunk so far */
    int64_t first_ms;
};

static void read_chunk(struct loop_back *b)
{
    struct err err = {0};

    if (b->text.len != 0)
        cr_assert(unpack_chunk(b->unpack, b->chunk, b->first_ms, strbuf_sv(&b->text), &err), "%s",
                  err.text);
    strbuf_clear(&b->text);
}

static bool take(void *self, struct journal_piece *piece)
{
    struct loop_back *b = self;

    if (b->pieces >= b->refuse_after)
        return false;
    if (piece->segment != b->segment || piece->chunk != b->chunk)
        read_chunk(b);
    cr_assert_eq(piece->offset, b->text.len);
    cr_assert_leq(piece->offset + piece->len, 2 * JOURNAL_CHUNK_BYTES);
    b->segment = piece->segment;
    b->chunk = piece->chunk;
    b->first_ms = piece->first_ms;
    b->pieces++;
    b->bytes += piece->len;
    cr_assert(strbuf_add(&b->text, (struct sv){piece->bytes, piece->len}));
    free(piece);
    return true;
}

static size_t room(void *self)
{
    return ((struct loop_back *)self)->room;
}

static void back_init(struct loop_back *b, struct world *w)
{
    const struct journal_sink sink = {take, room, b, 1 << 20};

    *b = (struct loop_back){.refuse_after = SIZE_MAX, .room = 1 << 20};
    b->unpack = unpack_new(0, INT64_MAX, world_gather, &b->got);
    strbuf_init(&b->text, 1 << 20);
    w->journal = journal_new(&w->names, &sink);
}

static void back_done(struct loop_back *b)
{
    unpack_free(b->unpack);
    strbuf_done(&b->text);
    free(b->got.at);
}

/* Compares from the reader's event `i` and the world's event `k` on; gaps are left out; pods' ids must be one to one. */
static void compare(const struct gathered *g, size_t i, const struct world *w, size_t k)
{
    uint64_t *ids = xcalloc(w->uids + 1, sizeof *ids);

    for (; i < g->len; i++) {
        if (g->at[i].kind == EVENT_GAP) {
            cr_assert_not(g->at[i].resets, "event %zu: %s", i, gap_why_name(g->at[i].why));
            continue;
        }
        cr_assert_lt(k, w->n_expected);
        world_same(&g->at[i], &w->expected[k], i);
        if (w->expected[k].pod != 0) {
            uint64_t *id = &ids[w->expected[k].pod];

            if (*id == 0)
                *id = g->at[i].pod + 1;
            cr_assert_eq(*id, g->at[i].pod + 1, "event %zu: another pod", i);
        }
        k++;
    }
    cr_assert_eq(k, w->n_expected);
    free(ids);
}

Test(journal, tells_nothing_before_pods_and_nodes_were_listed)
{
    static struct world w;
    struct loop_back b;

    world_init(&w, "journal");
    back_init(&b, &w);
    journal_list_begin(w.journal, JOURNAL_NODES, w.now_ms);
    for (int i = 0; i < 100; i++)
        world_step(&w);
    journal_list_end(w.journal, JOURNAL_NODES, w.now_ms);
    journal_cut(w.journal, w.now_ms);
    cr_assert_eq(b.pieces, 0);
    cr_assert_eq(journal_stats(w.journal).lost, 0);
    back_done(&b);
    world_done(&w);
}

Test(journal, begins_with_all_that_was_listed)
{
    static struct world w;
    struct loop_back b;
    size_t pods = 0, nodes = 0;

    world_init(&w, "journal");
    back_init(&b, &w);
    for (int i = 0; i < 300; i++)
        world_step(&w);
    world_list(&w);
    journal_cut(w.journal, w.now_ms);
    read_chunk(&b);
    cr_assert_eq(b.got.at[0].kind, EVENT_GAP);
    cr_assert(b.got.at[0].resets && b.got.at[0].why == GAP_START);
    for (size_t i = 1; i < b.got.len; i++) {
        pods += b.got.at[i].kind == EVENT_POD_FOUND;
        nodes += b.got.at[i].kind == EVENT_NODE;
    }
    cr_assert_eq(pods + nodes + 1, b.got.len);
    cr_assert_eq(pods, journal_stats(w.journal).pods);
    cr_assert_eq(nodes, journal_stats(w.journal).nodes);
    for (int i = 0; i < WORLD_PODS; i++)
        pods -= w.pods[i].there;
    cr_assert_eq(pods, 0);
    back_done(&b);
    world_done(&w);
}

/* Segments small enough that many begin on the way: their keyframes must not be seen. */
Test(journal, reads_back_what_it_was_shown)
{
    static const size_t segments[] = {1 << 20, 20000, 3000};

    for (size_t round = 0; round < COUNT_OF(segments); round++) {
        static struct world w;
        struct loop_back b;

        world_init(&w, "journal");
        back_init(&b, &w);
        journal_set_segment(w.journal, segments[round], JOURNAL_SEGMENT_MS);
        world_list(&w);
        for (int i = 0; i < 20000; i++) {
            world_step(&w);
            if (random_percent(&w.random, 2))
                journal_cut(w.journal, w.now_ms);
        }
        journal_cut(w.journal, w.now_ms);
        read_chunk(&b);
        cr_assert(b.got.at[0].resets);
        compare(&b.got, 1, &w, 0);
        cr_assert_eq(journal_stats(w.journal).lost, 0);
        cr_assert_eq(journal_stats(w.journal).bytes, b.bytes);
        cr_assert(round == 0 || b.segment > 2, "%llu segments", (unsigned long long)b.segment);
        back_done(&b);
        world_done(&w);
    }
}

Test(journal, drops_what_a_relist_does_not_name)
{
    static struct world w;
    struct loop_back b;

    world_init(&w, "journal");
    back_init(&b, &w);
    world_list(&w);
    for (int i = 0; i < 3000; i++)
        world_step(&w);
    /* Half of the pods and nodes vanish unseen. */
    for (int i = 0; i < WORLD_PODS; i += 2)
        w.pods[i].there = false;
    for (int i = 0; i < WORLD_NODES; i += 2)
        w.nodes[i] = false;
    world_list(&w);
    journal_cut(w.journal, w.now_ms);
    read_chunk(&b);

    size_t pods = 0, nodes = 0, relists = 0;

    for (int i = 0; i < WORLD_PODS; i++)
        pods += w.pods[i].there;
    for (int i = 0; i < WORLD_NODES; i++)
        nodes += w.nodes[i];
    for (size_t i = 0; i < b.got.len; i++)
        relists +=
            b.got.at[i].kind == EVENT_GAP && b.got.at[i].why == GAP_RELIST && !b.got.at[i].resets;
    cr_assert_eq(journal_stats(w.journal).pods, pods);
    cr_assert_eq(journal_stats(w.journal).nodes, nodes);
    cr_assert_eq(relists, 2);
    back_done(&b);
    world_done(&w);
}

Test(journal, marks_a_gap_and_tells_everything_anew_after_the_sink_refused)
{
    static struct world w;
    struct loop_back b;
    size_t before, gap = 0;

    world_init(&w, "journal");
    back_init(&b, &w);
    world_list(&w);
    for (int i = 0; i < 1000; i++)
        world_step(&w);
    b.refuse_after = b.pieces;
    b.room = 100;
    journal_cut(w.journal, w.now_ms);
    for (int i = 0; i < 1000; i++) {
        world_step(&w);
        journal_cut(w.journal, w.now_ms);
    }
    cr_assert(journal_stats(w.journal).losing);
    cr_assert_eq(journal_stats(w.journal).lost, w.n_expected);
    b.refuse_after = SIZE_MAX;
    b.room = 1 << 20;
    journal_cut(w.journal, w.now_ms);
    cr_assert_not(journal_stats(w.journal).losing);
    before = w.n_expected;
    for (int i = 0; i < 1000; i++)
        world_step(&w);
    journal_cut(w.journal, w.now_ms);
    read_chunk(&b);
    for (size_t i = 0; i < b.got.len; i++) {
        if (b.got.at[i].kind == EVENT_GAP && b.got.at[i].why == GAP_LOST)
            gap = i;
    }
    cr_assert_neq(gap, 0);
    cr_assert(b.got.at[gap].resets);
    while (b.got.at[gap + 1].kind == EVENT_NODE || b.got.at[gap + 1].kind == EVENT_POD_FOUND) {
        if (b.got.at[gap + 1].t_ms != b.got.at[gap].t_ms)
            break;
        gap++;
    }
    compare(&b.got, gap + 1, &w, before);
    back_done(&b);
    world_done(&w);
}

Test(journal, begins_anew_when_the_clock_is_set_back)
{
    static struct world w;
    struct loop_back b;
    int64_t late;

    world_init(&w, "journal");
    back_init(&b, &w);
    world_list(&w);
    for (int i = 0; i < 100; i++)
        world_step(&w);
    late = w.now_ms;
    w.now_ms -= 1000; /* a little: gets the time of the last event */
    world_step_pod(&w);
    w.now_ms = late - 3600000;
    world_step_pod(&w);
    journal_cut(w.journal, w.now_ms);
    read_chunk(&b);
    cr_assert_eq(b.got.at[b.got.len - 1].t_ms, w.now_ms);

    bool found = false;

    for (size_t i = 0; i < b.got.len; i++)
        found |=
            b.got.at[i].kind == EVENT_GAP && b.got.at[i].why == GAP_CLOCK && b.got.at[i].resets;
    cr_assert(found);
    back_done(&b);
    world_done(&w);
}

Test(journal, does_not_tell_what_has_not_changed)
{
    static struct world w;
    struct loop_back b;
    uint64_t events;

    world_init(&w, "journal");
    back_init(&b, &w);
    world_list(&w);
    for (int i = 0; i < 1000; i++)
        world_step(&w);
    journal_cut(w.journal, w.now_ms);
    events = journal_stats(w.journal).events;
    for (int i = 0; i < WORLD_PODS; i++) {
        if (w.pods[i].there)
            world_show_pod(&w, &w.pods[i], w.pods[i].told_unschedulable && w.pods[i].node < 0);
    }
    for (int i = 0; i < WORLD_NODES; i++) {
        if (w.nodes[i])
            world_show_node(&w, i);
    }
    journal_cut(w.journal, w.now_ms);
    cr_assert_eq(journal_stats(w.journal).events, events);
    back_done(&b);
    world_done(&w);
}

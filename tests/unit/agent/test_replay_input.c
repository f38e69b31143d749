#include <criterion/criterion.h>
#include <string.h>

#include "agent/cmd_replay.h"
#include "base/alloc.h"
#include "storage/history.h"
#include "tests/unit/storage/folder.h"

#define START_MS INT64_C(1790000000000)

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

/* An agent's life: what it finds, what comes about, its end. */
struct agent {
    struct journal *journal;
    struct resource_names names;
};

static void agent_begins(struct agent *a, struct history *h, int64_t now_ms)
{
    const struct journal_sink sink = {store, much, h, 1 << 20};
    const struct node_record node = {
        .name = SV("n0"),
        .ready = true,
        .allocatable = {.at = {[RESOURCE_CPU] = 8000, [RESOURCE_PODS] = 110}}};

    resource_names_init(&a->names);
    a->journal = journal_new(&a->names, &sink);
    journal_list_begin(a->journal, JOURNAL_NODES, now_ms);
    journal_node(a->journal, &node, now_ms);
    journal_list_end(a->journal, JOURNAL_NODES, now_ms);
    journal_list_begin(a->journal, JOURNAL_PODS, now_ms);
}

static void agent_ends(struct agent *a, int64_t now_ms)
{
    journal_cut(a->journal, now_ms);
    journal_free(a->journal);
    resource_names_done(&a->names);
}

static void pod_of(struct agent *a, const char *owner, uint64_t uid, int64_t cpu, const char *node,
                   bool filler, int64_t now_ms)
{
    const struct pod_record record = {
        .uid = {.hi = 1, .lo = uid},
        .owner_kind = sv_from(owner),
        .node = sv_from(node),
        .phase = PHASE_PENDING,
        .created = {.us = now_ms * 1000},
        .request = {.at = {[RESOURCE_CPU] = cpu, [RESOURCE_PODS] = 1}}};

    journal_pod(a->journal, &record, filler, false, now_ms);
}

static void pod(struct agent *a, uint64_t uid, int64_t cpu, const char *node, bool filler,
                int64_t now_ms)
{
    pod_of(a, "ReplicaSet", uid, cpu, node, filler, now_ms);
}

static void open_history(const char *path, struct history *h)
{
    const struct db_options options = {.path = path};
    struct err err = {0};

    *h = (struct history){0};
    cr_assert(history_open(&options, h, &err), "%s", err.text);
}

Test(replay_input, takes_paid_load_out_of_a_journal)
{
    struct folder folder = folder_new();
    struct history history;
    struct err err = {0};
    struct trace t;
    struct agent a;

    open_history(folder.file, &history);
    agent_begins(&a, &history, START_MS);
    pod(&a, 1, 1000, "n0", false, START_MS); /* found */
    pod(&a, 2, 500, "n0", true, START_MS);   /* filler */
    journal_list_end(a.journal, JOURNAL_PODS, START_MS);
    pod(&a, 3, 2000, "", false, START_MS + 60000);
    pod(&a, 3, 2000, "n0", false, START_MS + 61000);
    journal_pod_gone(a.journal, (struct uid){1, 3}, START_MS + 90000);
    agent_ends(&a, START_MS + 100000);
    history_close(&history);

    open_history(folder.file, &history);
    agent_begins(&a, &history, START_MS + 120000);
    pod(&a, 1, 1000, "n0", false, START_MS + 120000);
    journal_list_end(a.journal, JOURNAL_PODS, START_MS + 120000);
    pod(&a, 4, 3000, "", false, START_MS + 150000);
    agent_ends(&a, START_MS + 160000);
    history_close(&history);

    trace_init(&t);
    cr_assert(replay_read_db(folder.file, &t, &err), "%s", err.text);
    cr_assert_eq(t.n_pods, 4, "one found twice, two that arrived; found %zu", t.n_pods);
    cr_assert(t.dated);
    cr_assert_eq(t.began.us, START_MS * 1000);
    cr_assert(t.has_filler);
    cr_assert_eq(t.filler.at[RESOURCE_CPU], 500);
    cr_assert_eq(t.pods[0].create_us, 0);
    cr_assert_eq(t.pods[0].found_on, 0);
    cr_assert_eq(t.pods[0].delete_us, 120 * US_PER_S, "the journal forgot");
    cr_assert_eq(t.pods[1].create_us, 60 * US_PER_S);
    cr_assert_eq(t.pods[1].found_on, TRACE_ANY_NODE);
    cr_assert_eq(t.pods[1].delete_us, 90 * US_PER_S);
    cr_assert_eq(t.kinds[t.pods[1].kind].request.at[RESOURCE_CPU], 2000);
    cr_assert_eq(t.pods[2].found_on, 0);
    cr_assert_eq(t.pods[2].create_us, 120 * US_PER_S);
    cr_assert_eq(t.pods[3].delete_us, TRACE_STAYS);
    for (size_t i = 1; i < t.n_rows; i++)
        cr_assert_geq(t.rows[i].at_us, t.rows[i - 1].at_us);
    trace_done(&t);
    folder_done(&folder);
}

Test(replay_input, knows_the_node_of_a_daemon_s_pod_from_its_creation_on)
{
    struct folder folder = folder_new();
    struct history history;
    struct err err = {0};
    struct trace t;
    struct agent a;

    open_history(folder.file, &history);
    agent_begins(&a, &history, START_MS);
    pod_of(&a, "DaemonSet", 1, 100, "n0", false, START_MS); /* found */
    journal_list_end(a.journal, JOURNAL_PODS, START_MS);
    pod_of(&a, "DaemonSet", 2, 100, "", false, START_MS + 1000);
    pod_of(&a, "ReplicaSet", 3, 100, "", false, START_MS + 1000);
    pod_of(&a, "DaemonSet", 4, 100, "", false, START_MS + 1000); /* is never bound */
    pod_of(&a, "DaemonSet", 2, 100, "n0", false, START_MS + 2000);
    pod_of(&a, "ReplicaSet", 3, 100, "n0", false, START_MS + 2000);
    agent_ends(&a, START_MS + 3000);
    history_close(&history);

    trace_init(&t);
    cr_assert(replay_read_db(folder.file, &t, &err), "%s", err.text);
    cr_assert_eq(t.n_pods, 4);
    for (size_t i = 0; i < t.n_pods; i++)
        cr_assert_eq(t.kinds[t.pods[i].kind].node, i < 2 ? 0 : TRACE_ANY_NODE, "pod %zu", i);
    cr_assert_eq(t.pods[1].create_us, 1000 * US_PER_MS);
    cr_assert_eq(t.pods[1].found_on, TRACE_ANY_NODE, "it arrived");
    trace_done(&t);
    folder_done(&folder);
}

Test(replay_input, says_that_a_journal_is_empty)
{
    struct folder folder = folder_new();
    struct history history;
    struct err err = {0};
    struct trace t;

    open_history(folder.file, &history);
    history_close(&history);
    trace_init(&t);
    cr_assert_not(replay_read_db(folder.file, &t, &err));
    cr_assert_eq(err.kind, ERR_INPUT);
    cr_assert(strstr(err.text, "found no paid pod in the journal") != NULL, "%s", err.text);
    trace_done(&t);
    folder_done(&folder);
}

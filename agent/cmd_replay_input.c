#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/cmd.h"
#include "agent/cmd_replay.h"
#include "base/alloc.h"
#include "storage/history.h"

/* ---- files ---- */

enum { MAX_PATH = 4096 };

static bool read_file(const char *base, const char *end, struct strbuf *path, struct strbuf *text,
                      struct err *err)
{
    strbuf_clear(path);
    strbuf_clear(text);
    (void)strbuf_addf(path, "%s%s", base, end);
    if (path->full)
        return err_set(err, ERR_INPUT, 0, "--trace: found a name of more than %d bytes", MAX_PATH);
    return cmd_read(strbuf_str(path), text, err);
}

/* NAME.json need not be there. */
static bool read_filler(const char *base, struct trace *t, struct strbuf *path, struct strbuf *text,
                        struct err *err)
{
    struct err own = {0};

    if (!read_file(base, ".json", path, text, &own))
        return own.code == ENOENT || err_set(err, own.kind, own.code, "%s", own.text);
    return trace_read_filler(t, strbuf_sv(path), text->at, text->len, err);
}

bool replay_read_trace(const char *name, struct trace *t, struct err *err)
{
    struct sv given = sv_from(name);
    CLEANUP(free_ptr)
    char *base =
        sv_dup((struct sv){.at = name, .len = given.len - (sv_ends(given, SV(".csv")) ? 4 : 0)});
    struct strbuf path, text;
    bool ok;

    strbuf_init(&path, MAX_PATH);
    strbuf_init(&text, CMD_MAX_INPUT);
    ok = read_file(base, ".nodes.csv", &path, &text, err) &&
         trace_read_nodes(t, strbuf_sv(&path), strbuf_sv(&text), err) &&
         read_file(base, ".csv", &path, &text, err) &&
         trace_read_pods(t, strbuf_sv(&path), strbuf_sv(&text), err) &&
         read_filler(base, t, &path, &text, err);
    strbuf_done(&path);
    strbuf_done(&text);
    return ok;
}

/* ---- the journal of a history ---- */

/* A paid pod that is there. */
struct live_pod {
    uint64_t id;
    uint32_t pod; /* of the trace */
};

struct past {
    struct trace *trace;
    struct err *err;
    bool ok;
    bool began;
    int64_t first_ms;
    struct live_pod *pods; /* by no order; slots of those that went are taken again */
    size_t n_pods, cap_pods;
    struct map by_id;
    bool *nodes; /* of the trace: there */
    size_t cap_nodes;
};

static uint64_t id_hash(uint64_t id)
{
    id *= UINT64_C(0x9e3779b97f4a7c15);
    return id ^ id >> 32;
}

static uint64_t live_hash(const void *self, uint32_t index)
{
    return id_hash(((const struct past *)self)->pods[index].id);
}

static bool live_equal(const void *self, uint32_t index, const void *key)
{
    return ((const struct past *)self)->pods[index].id == *(const uint64_t *)key;
}

static const struct map_ops live_ops = {.hash = live_hash, .equal = live_equal};

/* The last one takes the place of the one that goes. */
static void forget_pod(struct past *p, uint32_t index, int64_t at_us)
{
    uint32_t last = (uint32_t)p->n_pods - 1;

    trace_end_pod(p->trace, at_us, p->pods[index].pod);
    map_remove(&p->by_id, id_hash(p->pods[index].id), index);
    if (index != last) {
        map_remove(&p->by_id, id_hash(p->pods[last].id), last);
        p->pods[index] = p->pods[last];
        map_put(&p->by_id, id_hash(p->pods[index].id), index);
    }
    p->n_pods--;
}

static void node_is_there(struct past *p, uint32_t node, bool there)
{
    size_t old = p->cap_nodes;

    if (node >= old) {
        p->nodes = vec_reserve(p->nodes, &p->cap_nodes, node + 1U, sizeof *p->nodes);
        memset(p->nodes + old, 0, (p->cap_nodes - old) * sizeof *p->nodes);
    }
    p->nodes[node] = there;
}

static void forget_all(struct past *p, int64_t at_us)
{
    while (p->n_pods != 0)
        forget_pod(p, (uint32_t)p->n_pods - 1, at_us);
    for (uint32_t node = 0; node < p->trace->n_nodes; node++) {
        if (node < p->cap_nodes && p->nodes[node])
            trace_drop_node(p->trace, at_us, node);
        node_is_there(p, node, false);
    }
}

static bool node_is(struct past *p, const struct event *e, int64_t at_us)
{
    if (!trace_put_node(p->trace, at_us, e->node, &e->shape->amount,
                        e->shape->cordoned || !e->shape->ready, p->err))
        return false;
    node_is_there(p, trace_find_node(p->trace, e->node), true);
    return true;
}

static bool pod_is(struct past *p, const struct event *e, int64_t at_us)
{
    const struct shape *s = e->shape;
    struct trace_kind kind = {.request = s->amount,
                              .priority = s->priority,
                              .preempts_never = s->preempts_never,
                              .node = TRACE_ANY_NODE};
    struct live_pod live = {.id = e->pod};
    bool stays = e->kind == EVENT_POD_FOUND || e->kind == EVENT_POD_CHANGED;
    uint32_t bound_to = e->node.len != 0 ? trace_find_node(p->trace, e->node) : TRACE_ANY_NODE;
    uint32_t on = stays ? bound_to : TRACE_ANY_NODE;

    if (s->filler) {
        p->trace->filler = s->amount;
        p->trace->has_filler = true;
        return true;
    }
    kind.node = s->tied ? bound_to : TRACE_ANY_NODE;
    /* Who makes no claim waits for something else than room. */
    if ((s->gated || s->ignored) && e->node.len == 0)
        return true;
    if (!trace_add_pod(p->trace, at_us, &kind, on, &live.pod, p->err))
        return false;
    VEC_PUSH(p->pods, p->n_pods, p->cap_pods, live);
    map_put(&p->by_id, id_hash(live.id), (uint32_t)p->n_pods - 1);
    return true;
}

/* The node that a tied pod came for shows when it is bound. */
static bool pod_is_bound(struct past *p, const struct event *e, uint32_t index)
{
    uint32_t node = trace_find_node(p->trace, e->node);

    return !e->shape->tied || node == TRACE_ANY_NODE ||
           trace_tie_pod(p->trace, p->pods[index].pod, node, p->err);
}

static bool take(struct past *p, const struct event *e, int64_t at_us)
{
    uint32_t index = map_find(&p->by_id, id_hash(e->pod), &e->pod), node;

    switch (e->kind) {
    case EVENT_GAP:
        if (e->resets)
            forget_all(p, at_us);
        return true;
    case EVENT_NODE:
        return node_is(p, e, at_us);
    case EVENT_NODE_GONE:
        node = trace_find_node(p->trace, e->node);
        if (node != TRACE_ANY_NODE) {
            trace_drop_node(p->trace, at_us, node);
            node_is_there(p, node, false);
        }
        return true;
    case EVENT_POD_FOUND:
    case EVENT_POD_CREATED:
        return pod_is(p, e, at_us);
    case EVENT_POD_CHANGED: /* another shape, or its gates are gone: as if it came anew */
    case EVENT_POD_BOUND:
        if (index != MAP_NONE && e->kind == EVENT_POD_BOUND)
            return pod_is_bound(p, e, index);
        if (index != MAP_NONE)
            forget_pod(p, index, at_us);
        return pod_is(p, e, at_us);
    case EVENT_POD_UNSCHEDULABLE:
        return true;
    case EVENT_POD_GONE:
        if (index != MAP_NONE)
            forget_pod(p, index, at_us);
        return true;
    case EVENT_COUNT_:
        break;
    }
    return true;
}

static bool on_event(void *self, const struct event *e)
{
    struct past *p = self;
    int64_t at_us;

    if (!p->began) {
        p->began = true;
        p->first_ms = e->t_ms;
        p->trace->dated = true;
        p->trace->began = (struct wall){.us = e->t_ms * US_PER_MS};
    }
    at_us = (e->t_ms - p->first_ms) * US_PER_MS;
    /* The clock was set back: time goes on from where it was. */
    if (at_us < p->trace->end_us) {
        p->first_ms -= (p->trace->end_us - at_us) / US_PER_MS;
        at_us = p->trace->end_us;
    }
    p->ok = take(p, e, at_us);
    return p->ok;
}

bool replay_read_history(struct history *h, int64_t since_ms, int64_t until_ms, struct trace *t,
                         struct err *err)
{
    struct past p = {.trace = t, .err = err, .ok = true};
    int64_t damaged;
    bool ok;

    map_init(&p.by_id, &live_ops, &p);
    ok = chunks_read(h->chunks, since_ms, until_ms, on_event, &p, &damaged, err) && p.ok;
    map_done(&p.by_id);
    free(p.pods);
    free(p.nodes);
    if (ok && t->n_pods == 0)
        return err_set(err, ERR_INPUT, 0, "found no paid pod in the journal");
    return ok;
}

bool replay_read_db(const char *path, struct trace *t, struct err *err)
{
    const struct db_options options = {.path = path, .read_only = true};
    struct history history = {0};
    struct chunks_totals totals;
    bool ok;

    if (!history_open(&options, &history, err)) /* names the file itself */
        return false;
    ok = chunks_totals(history.chunks, &totals, err) &&
         (replay_read_history(&history, totals.first_ms, totals.last_ms + 1, t, err) ||
          err_wrap(err, "%s", path));
    history_close(&history);
    return ok;
}

#include <stdlib.h>

#include "base/alloc.h"
#include "policy/sim/trace.h"
#include "tests/fuzz/fuzz.h"

/* A trace that was accepted keeps to what trace.h says of it. */
static void check(const struct trace *t)
{
    int64_t at_us = 0;

    for (size_t i = 0; i < t->n_rows; i++) {
        const struct trace_row *row = &t->rows[i];
        bool of_pod = row->what == TRACE_POD_GOES || row->what == TRACE_POD_COMES;

        if (row->at_us < at_us || row->at_us > t->end_us || row->what >= TRACE_WHAT_COUNT_ ||
            (of_pod && row->index >= t->n_pods) ||
            (row->what == TRACE_NODE_IS && row->index >= t->n_facts) ||
            (row->what == TRACE_NODE_GOES && row->index >= t->n_nodes))
            abort();
        at_us = row->at_us;
    }
    for (size_t i = 0; i < t->n_pods; i++) {
        const struct trace_pod *pod = &t->pods[i];

        if (pod->create_us < 0 || pod->delete_us < pod->create_us || pod->kind >= t->n_kinds)
            abort();
    }
    for (size_t i = 0; i < t->n_kinds; i++) {
        if (t->kinds[i].node != TRACE_ANY_NODE && t->kinds[i].node >= t->n_nodes)
            abort();
    }
    if (trace_allocatable(t) < 0 || t->reserve_milli < 0 || t->max_replicas < 0)
        abort();
}

static bool refused(bool ok, const struct err *err)
{
    if (!ok && ((err->kind != ERR_INPUT && err->kind != ERR_LIMIT) || err->text[0] == '\0'))
        abort();
    return !ok;
}

static bool read_filler(struct trace *t, struct sv text, struct err *err)
{
    char *own = xmalloc(text.len != 0 ? text.len : 1); /* exactly as long; it is written to */
    bool ok;

    if (text.len != 0)
        memcpy(own, text.at, text.len);
    ok = trace_read_filler(t, SV("t.json"), own, text.len, err);
    free(own);
    return ok;
}

/* Three files, each ended by a NUL: nodes, pods, filler. The last two may be left out. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv rest = {.at = (const char *)data, .len = size}, nodes = {0}, pods = {0}, filler = {0};
    struct trace t;
    struct err err = {0};

    (void)(sv_next(&rest, '\0', &nodes) && sv_next(&rest, '\0', &pods) &&
           sv_next(&rest, '\0', &filler));
    trace_init(&t);
    if (!refused(trace_read_nodes(&t, SV("t.nodes.csv"), nodes, &err), &err) &&
        !refused(trace_read_pods(&t, SV("t.csv"), pods, &err), &err)) {
        check(&t);
        if (filler.len != 0 && !refused(read_filler(&t, filler, &err), &err))
            check(&t);
    }
    trace_done(&t);
    return 0;
}

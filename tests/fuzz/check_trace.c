#include "tests/fuzz/check_trace.h"

#include <stdlib.h>

void check_trace(const struct trace *t)
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

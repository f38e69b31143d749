#include "capacity/room.h"

struct room_here room_here(const struct room_shape *shape, enum node_refusal refusal,
                           const struct resources *free)
{
    struct room_here here = {.refusal = refusal, .bound = -1};

    if (refusal == NODE_ACCEPTS)
        here.pods = resources_times(shape->request, free, &here.bound);
    return here;
}

const char *room_refusal_text(enum node_refusal refusal)
{
    switch (refusal) {
    case NODE_CORDONED:
        return "cordoned";
    case NODE_TAINTED:
        return "a taint is not tolerated";
    case NODE_NOT_SELECTED:
        return "not selected by the pod";
    case NODE_ACCEPTS:
    case NODE_REFUSAL_COUNT_:
        break;
    }
    return NULL;
}

void room_count_add(struct room_count *sum, const struct room_here *here)
{
    sum->nodes++;
    sum->pods = amount_add(sum->pods, here->pods);
    sum->takes += here->pods > 0;
    if (here->refusal != NODE_ACCEPTS)
        sum->refused[here->refusal]++;
    else if (here->bound >= 0)
        sum->bound[here->bound]++;
}

#include "capacity/room.h"

#include <criterion/criterion.h>

Test(room, tells_how_many_fit_here_and_what_binds)
{
    static const struct {
        const char *name;
        enum node_refusal refusal;
        int64_t cpu, memory, gpu;                 /* asked */
        int64_t free_cpu, free_memory, free_pods; /* and there; no gpu */
        int64_t pods;
        int bound;
    } rows[] = {
        {"cpu binds", NODE_ACCEPTS, 1000, 10, 0, 3999, 1000, 110, 3, RESOURCE_CPU},
        {"memory binds", NODE_ACCEPTS, 1000, 600, 0, 3999, 1000, 110, 1, RESOURCE_MEMORY},
        {"pods bind", NODE_ACCEPTS, 1000, 10, 0, 9000, 1000, 2, 2, RESOURCE_PODS},
        {"nothing asked", NODE_ACCEPTS, 0, 0, 0, -5, -5, 7, 7, RESOURCE_PODS},
        {"overcommitted", NODE_ACCEPTS, 1, 0, 0, -5, 100, 7, 0, RESOURCE_CPU},
        {"none of it there", NODE_ACCEPTS, 0, 0, 1, 9000, 100, 7, 0, RESOURCE_FIRST_EXTENDED},
        {"cordoned", NODE_CORDONED, 1, 0, 0, 9000, 100, 7, 0, -1},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct resources request = {.at = {[RESOURCE_CPU] = rows[i].cpu,
                                                 [RESOURCE_MEMORY] = rows[i].memory,
                                                 [RESOURCE_PODS] = 1,
                                                 [RESOURCE_FIRST_EXTENDED] = rows[i].gpu}};
        const struct resources free = {.at = {[RESOURCE_CPU] = rows[i].free_cpu,
                                              [RESOURCE_MEMORY] = rows[i].free_memory,
                                              [RESOURCE_PODS] = rows[i].free_pods}};
        struct room_here here =
            room_here(&(struct room_shape){.request = &request}, rows[i].refusal, &free);

        cr_expect_eq(here.pods, rows[i].pods, "%s: %lld", rows[i].name, (long long)here.pods);
        cr_expect_eq(here.bound, rows[i].bound, "%s: %d", rows[i].name, here.bound);
        cr_expect_eq(room_refusal_text(rows[i].refusal) == NULL, rows[i].refusal == NODE_ACCEPTS);
    }
}

Test(room, adds_nodes_up)
{
    static const struct room_here rows[] = {
        {NODE_ACCEPTS, 3, RESOURCE_CPU},  {NODE_ACCEPTS, 0, RESOURCE_CPU},
        {NODE_ACCEPTS, 2, RESOURCE_PODS}, {NODE_TAINTED, 0, -1},
        {NODE_NOT_SELECTED, 0, -1},       {NODE_ACCEPTS, INT64_MAX - 1, RESOURCE_MEMORY},
    };
    struct room_count sum = {0};

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        room_count_add(&sum, &rows[i]);
    cr_expect_eq(sum.nodes, 6);
    cr_expect_eq(sum.takes, 3);
    cr_expect_eq(sum.pods, INT64_MAX, "saturated");
    cr_expect_eq(sum.bound[RESOURCE_CPU], 2);
    cr_expect_eq(sum.bound[RESOURCE_PODS], 1);
    cr_expect_eq(sum.refused[NODE_TAINTED], 1);
    cr_expect_eq(sum.refused[NODE_NOT_SELECTED], 1);
    cr_expect_eq(sum.refused[NODE_CORDONED], 0);
}

/* What reading quantities and counting a pod costs: nanoseconds, the best of several rounds. */
#include <stdio.h>

#include "base/clock.h"
#include "capacity/podreq.h"

enum { ROUNDS = 7, CALLS = 1000000 };

static const char *const texts[] = {"1",     "100m", "1500m", "128Mi", "2Gi",  "17179869184", "0.5",
                                    "1.5Gi", "1e3",  "1Ti",   "10E",   "0.1n", "123.456789u"};

static int64_t now_us(const struct clock *clock)
{
    return clock->mono(clock->self).us;
}

static double parse_ns(const struct clock *clock, struct sv text)
{
    int64_t best = INT64_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now_us(clock);

        for (int i = 0; i < CALLS; i++) {
            struct quantity q;

            if (!quantity_parse(text, &q, NULL))
                return -1;
            __asm__ volatile("" : : "r"(&q) : "memory"); /* keeps the call */
        }
        int64_t took = now_us(clock) - start;

        best = took < best ? took : best;
    }
    return (double)best * 1000 / CALLS;
}

/* Two containers and an init container with cpu and memory each, bound, by the newest rules. */
static double count_ns(const struct clock *clock)
{
    static const struct amount cpu_memory[] = {
        {.place = RESOURCE_CPU, .q = {.nano = 500000000}},
        {.place = RESOURCE_MEMORY, .q = {.nano = (__int128)1000000000 << 30}}};
    static const struct container_amounts containers[] = {
        {.name = SV("a"), .requests = {cpu_memory, 2}},
        {.name = SV("b"), .requests = {cpu_memory, 2}}};
    static const struct status_amounts statuses[] = {
        {.name = SV("a"), .has_resources = true, .requests = {cpu_memory, 2}},
        {.name = SV("b"), .has_resources = true, .requests = {cpu_memory, 2}}};
    static const struct podreq_input in = {.containers = containers,
                                           .n_containers = 2,
                                           .inits = containers,
                                           .n_inits = 1,
                                           .statuses = statuses,
                                           .n_statuses = 2,
                                           .has_node = true};
    static const struct podreq_rules rules = {.status = true, .pod_level = true};
    struct resource_names names;
    int64_t best = INT64_MAX;

    resource_names_init(&names);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now_us(clock);

        for (int i = 0; i < CALLS; i++) {
            struct resources r = podreq_count(&in, &rules, &names, NULL);

            __asm__ volatile("" : : "r"(&r) : "memory");
        }
        int64_t took = now_us(clock) - start;

        best = took < best ? took : best;
    }
    resource_names_done(&names);
    return (double)best * 1000 / CALLS;
}

int main(void)
{
    const struct clock clock = clock_system();

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        printf("quantity_parse %-14s %8.1f ns\n", texts[i], parse_ns(&clock, sv_from(texts[i])));
    printf("podreq_count %-16s %8.1f ns\n", "3 containers", count_ns(&clock));
    return 0;
}

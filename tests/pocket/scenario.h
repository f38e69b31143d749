/*
 * scenario: what a cluster begins with and what happens to it, from a YAML file. README.md has the format.
 */
#ifndef BRIM_POCKET_SCENARIO_H
#define BRIM_POCKET_SCENARIO_H

#include "base/err.h"
#include "tests/pocket/world.h"

enum { SCENARIO_MAX_STEPS = 64, SCENARIO_MAX_COUNT = 200000 };

/* Requests (or whatever a metric counts) a second, in milli, one step after another; at the end it starts anew. */
struct load {
    struct {
        int64_t for_us;
        int64_t rate_milli;
    } steps[SCENARIO_MAX_STEPS];
    size_t n;
};

int64_t load_at(const struct load *l, struct mono t);

struct scenario;

/* Puts everything into the world. Errors carry FILE:line:column. */
bool scenario_load(struct world *w, const char *path, struct scenario **ret_scenario,
                   struct err *err) MUST_CHECK;
/* After the world. */
void scenario_free(struct scenario *s);

/*
 * Nodes n-00000 … of so many cores and bound pods in many namespaces, spread over them, of sizes by the seed. A fifth of the
 * pods are Jobs', a quarter of those have ended. In a fat world names have 63 characters.
 */
struct scenario_fill {
    int64_t nodes, cores, pods;
    uint64_t seed;
};
bool scenario_fill(struct world *w, const struct scenario_fill *fill, struct err *err) MUST_CHECK;

#endif

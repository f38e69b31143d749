#include "capacity/resources.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/num.h"
#include "capacity/names.h"

/* The scheduler's fit check looks at pods first (noderesources/fit.go); the others follow by place.
 */
static const int first_places[] = {RESOURCE_PODS, RESOURCE_CPU, RESOURCE_MEMORY,
                                   RESOURCE_EPHEMERAL};
_Static_assert(COUNT_OF(first_places) == RESOURCE_FIRST_EXTENDED, "a native resource has no turn");

static int place_in_turn(int turn)
{
    return turn < RESOURCE_FIRST_EXTENDED ? first_places[turn] : turn;
}

void resource_names_init(struct resource_names *names)
{
    *names = (struct resource_names){
        .name = {[RESOURCE_CPU] = "cpu",
                 [RESOURCE_MEMORY] = "memory",
                 [RESOURCE_EPHEMERAL] = "ephemeral-storage",
                 [RESOURCE_PODS] = "pods"},
        .count = RESOURCE_FIRST_EXTENDED,
    };
}

void resource_names_done(struct resource_names *names)
{
    for (int i = RESOURCE_FIRST_EXTENDED; i < names->count; i++)
        free(names->name[i]);
    *names = (struct resource_names){0};
}

static bool contains(struct sv text, struct sv part)
{
    for (; text.len >= part.len; text = sv_skip(text, 1)) {
        if (sv_starts(text, part))
            return true;
    }
    return false;
}

/*
 * IsExtendedResourceName: a qualified name with a prefix that stays one when quota puts "requests."
 * before it. Names in kubernetes.io were let through before.
 */
static bool extended(struct sv name)
{
    const struct sv quota = SV("requests.");
    struct sv prefix, rest;

    return sv_cut(name, '/', &prefix, &rest) && !sv_starts(name, quota) && names_qualified(name) &&
           prefix.len + quota.len <= NAMES_MAX_PREFIX;
}

bool resource_countable(struct sv name)
{
    if (name.len > NAMES_MAX_PREFIX + 1 + NAMES_MAX_PART || contains(name, SV("\0")))
        return false;
    return sv_eq(name, SV("cpu")) || sv_eq(name, SV("memory")) ||
           sv_eq(name, SV("ephemeral-storage")) || sv_eq(name, SV("pods")) ||
           sv_starts(name, SV("hugepages-")) || sv_starts(name, SV("attachable-volumes-")) ||
           contains(name, SV("kubernetes.io/")) || extended(name);
}

int resource_names_find(struct resource_names *names, struct sv name, bool add)
{
    for (int i = 0; i < names->count; i++) {
        if (sv_eq(name, sv_from(names->name[i])))
            return i;
    }
    if (!add || !resource_countable(name))
        return -1;
    if (names->count == RESOURCE_MAX) {
        names->overflow = true;
        return -1;
    }
    names->name[names->count] = sv_dup(name);
    return names->count++;
}

struct resources resources_bounded(const struct resources *r)
{
    struct resources bounded;

    for (int i = 0; i < RESOURCE_MAX; i++)
        bounded.at[i] = amount_bounded(i, r->at[i]);
    return bounded;
}

/* The copies tell the compiler that the two sides do not overlap. */
void resources_add(struct resources *to, const struct resources *what)
{
    const struct resources other = *what;

    for (int i = 0; i < RESOURCE_MAX; i++)
        to->at[i] = amount_add(to->at[i], other.at[i]);
}

void resources_sub(struct resources *to, const struct resources *what)
{
    const struct resources other = *what;

    for (int i = 0; i < RESOURCE_MAX; i++)
        to->at[i] = amount_sub(to->at[i], other.at[i]);
}

void resources_max(struct resources *to, const struct resources *other)
{
    for (int i = 0; i < RESOURCE_MAX; i++)
        to->at[i] = to->at[i] > other->at[i] ? to->at[i] : other->at[i];
}

bool resources_equal(const struct resources *a, const struct resources *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool resources_fit(const struct resources *request, const struct resources *free, int *ret_short)
{
    for (int turn = 0; turn < RESOURCE_MAX; turn++) {
        int place = place_in_turn(turn);

        if (request->at[place] > 0 && request->at[place] > free->at[place]) {
            if (ret_short != NULL)
                *ret_short = place;
            return false;
        }
    }
    return true;
}

int64_t resources_times(const struct resources *request, const struct resources *free,
                        int *ret_bound)
{
    int64_t times = INT64_MAX;
    int bound = -1;

    for (int turn = 0; turn < RESOURCE_MAX; turn++) {
        int place = place_in_turn(turn);

        if (request->at[place] <= 0)
            continue;

        int64_t here = free->at[place] > 0 ? free->at[place] / request->at[place] : 0;

        if (bound == -1 || here < times) {
            times = here;
            bound = place;
        }
    }
    if (ret_bound != NULL)
        *ret_bound = bound;
    return times;
}

/* Most places are 0 and cost no more than a look. */
uint64_t resources_hash(const struct resources *r)
{
    uint64_t hash = 0;

    for (int i = 0; i < RESOURCE_MAX; i++) {
        if (r->at[i] == 0)
            continue;
        hash = (hash ^ (uint64_t)r->at[i]) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i;
        hash ^= hash >> 29;
    }
    return hash;
}

struct resource_places resources_places(const struct resources *request)
{
    struct resource_places places = {0};

    for (int turn = 0; turn < RESOURCE_MAX; turn++) {
        if (request->at[place_in_turn(turn)] != 0)
            places.at[places.n++] = (uint8_t)place_in_turn(turn);
    }
    return places;
}

void amounts_count(int64_t *sum, const struct resources *what, const struct resource_places *places,
                   int sign)
{
    for (int i = 0; i < places->n; i++) {
        int place = places->at[i];
        uint64_t amount = (uint64_t)what->at[place];

        sum[place] = (int64_t)((uint64_t)sum[place] + (sign > 0 ? amount : 0 - amount));
    }
}

void resources_add_at(struct resources *to, const struct resources *what,
                      const struct resource_places *places)
{
    for (int i = 0; i < places->n; i++)
        to->at[places->at[i]] = amount_add(to->at[places->at[i]], what->at[places->at[i]]);
}

void resources_sub_at(struct resources *to, const struct resources *what,
                      const struct resource_places *places)
{
    for (int i = 0; i < places->n; i++)
        to->at[places->at[i]] = amount_sub(to->at[places->at[i]], what->at[places->at[i]]);
}

bool resources_fit_at(const struct resources *request, const struct resources *free,
                      const struct resource_places *places)
{
    for (int i = 0; i < places->n; i++) {
        int64_t asked = request->at[places->at[i]];

        if (asked > 0 && asked > free->at[places->at[i]])
            return false;
    }
    return true;
}

int64_t resources_times_at(const struct resources *request, const struct resources *free,
                           const struct resource_places *places)
{
    int64_t times = INT64_MAX;

    for (int i = 0; i < places->n; i++) {
        int64_t asked = request->at[places->at[i]], left = free->at[places->at[i]];
        int64_t here = left > 0 ? left / max_i64(asked, 1) : 0;

        if (asked > 0)
            times = min_i64(times, here);
    }
    return times;
}

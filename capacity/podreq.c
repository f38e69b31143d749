#include "capacity/podreq.h"

#include <assert.h>

#include "base/map.h"
#include "capacity/podreq_steps.h"

/* ---- releases ---- */

enum { OLDEST_MINOR = 28, STATUS_MINOR = 33, POD_LEVEL_MINOR = 34, NEWEST_MINOR = 35 };

/* "+", ".2", ".9-eks-1a2b", nothing: what may stand behind the minor number and says nothing about
 * the rules. */
static bool harmless_rest(struct sv rest)
{
    return rest.len == 0 || rest.at[0] == '+' || rest.at[0] == '.' || rest.at[0] == '-';
}

bool podreq_rules_for(struct sv version, struct podreq_rules *ret_rules, struct err *err)
{
    struct sv text = version, major_text, rest;
    uint64_t major, minor;
    size_t digits = 0;
    bool alpha;

    if (sv_starts(text, SV("v")))
        text = sv_skip(text, 1);
    if (!sv_cut(text, '.', &major_text, &rest))
        rest = (struct sv){0};
    while (digits < rest.len && rest.at[digits] >= '0' && rest.at[digits] <= '9')
        digits++;

    struct sv minor_text = {.at = rest.at, .len = digits};

    rest = sv_skip(rest, digits);
    if (!sv_to_u64(minor_text, &minor) || !sv_to_u64(major_text, &major) || !harmless_rest(rest))
        return err_set(err, ERR_INPUT, 0, "found '%.*s', expected a Kubernetes release like 1.34",
                       version.len < 40 ? (int)version.len : 40, version.at);
    if (major > 1)
        minor = NEWEST_MINOR;
    if (major == 0 || minor < OLDEST_MINOR)
        return err_set(err, ERR_INPUT, 0,
                       "found release %.*s, the oldest whose rules are known is 1.%d",
                       version.len < 40 ? (int)version.len : 40, version.at, OLDEST_MINOR);
    alpha = sv_eq(rest, SV("-alpha"));
    if (alpha && minor < NEWEST_MINOR)
        return err_set(err, ERR_INPUT, 0, "alpha rules are known for 1.%d alone", NEWEST_MINOR);
    *ret_rules = (struct podreq_rules){
        .status = minor >= STATUS_MINOR,
        .pod_level = minor >= POD_LEVEL_MINOR,
        .pod_level_status = alpha,
    };
    return true;
}

/* ---- exact sums ---- */

static void load(struct podreq_sums *to, struct amounts list)
{
    to->has = 0;
    for (size_t i = 0; i < list.n; i++) {
        int place = list.at[i].place;

        assert(place >= 0 && place < RESOURCE_MAX);
        if (place == RESOURCE_PODS)
            continue;
        to->at[place] = list.at[i].q;
        to->has |= podreq_bit(place);
    }
}

static void sums_add(struct podreq_sums *to, const struct podreq_sums *what)
{
    for (uint32_t left = what->has; left != 0; left &= left - 1) {
        int place = __builtin_ctz(left);

        if ((to->has & podreq_bit(place)) != 0)
            quantity_add(&to->at[place], &what->at[place]);
        else
            to->at[place] = what->at[place];
    }
    to->has |= what->has;
}

/* Per place the larger one, and a missing one is smaller than any. Returns the places where `other`
 * won. */
static uint32_t sums_max(struct podreq_sums *to, const struct podreq_sums *other)
{
    uint32_t raised = 0;

    for (uint32_t left = other->has; left != 0; left &= left - 1) {
        int place = __builtin_ctz(left);

        if ((to->has & podreq_bit(place)) != 0 && to->at[place].nano >= other->at[place].nano)
            continue;
        to->at[place] = other->at[place];
        raised |= podreq_bit(place);
    }
    to->has |= other->has;
    return raised;
}

static struct resources rounded(const struct podreq_sums *sums)
{
    struct resources total = {.at = {[RESOURCE_PODS] = 1}};

    for (uint32_t left = sums->has; left != 0; left &= left - 1) {
        int place = __builtin_ctz(left);

        /* Saturation is the right answer here: nothing has room for that. */
        if (place == RESOURCE_CPU)
            (void)quantity_milli(&sums->at[place], &total.at[place]);
        else
            (void)quantity_value(&sums->at[place], &total.at[place]);
    }
    return total;
}

/* ---- status entries by name ---- */

/* Up to so many entries are searched one by one; more get a table, so that a huge pod costs no
 * square. */
enum { STATUSES_TABLE_FROM = 16 };

struct statuses {
    const struct podreq_input *in;
    size_t n;
    struct map table;
};

static const struct status_amounts *status_at(const struct podreq_input *in, uint32_t index)
{
    return index < in->n_statuses ? &in->statuses[index]
                                  : &in->init_statuses[index - in->n_statuses];
}

static uint64_t status_hash(const void *self, uint32_t index)
{
    return sv_hash(status_at(self, index)->name);
}

static bool status_named(const void *self, uint32_t index, const void *key)
{
    return sv_eq(status_at(self, index)->name, *(const struct sv *)key);
}

static const struct map_ops status_ops = {.hash = status_hash, .equal = status_named};

static void statuses_init(struct statuses *s, const struct podreq_input *in)
{
    *s = (struct statuses){.in = in, .n = in->n_statuses + in->n_init_statuses};
    assert(s->n < MAP_NONE);
    map_init(&s->table, &status_ops, in);
    if (s->n <= STATUSES_TABLE_FROM)
        return;
    for (size_t i = s->n; i > 0; i--) {
        struct sv name = status_at(in, (uint32_t)(i - 1))->name;
        uint64_t hash = sv_hash(name);

        if (map_find(&s->table, hash, &name) == MAP_NONE)
            map_put(&s->table, hash, (uint32_t)(i - 1));
    }
}

static void statuses_done(struct statuses *s)
{
    map_done(&s->table);
}

static const struct status_amounts *statuses_find(const struct statuses *s, struct sv name)
{
    if (s->n > STATUSES_TABLE_FROM) {
        uint32_t index = map_find(&s->table, sv_hash(name), &name);

        return index != MAP_NONE ? status_at(s->in, index) : NULL;
    }
    for (size_t i = s->n; i > 0; i--) {
        if (status_named(s->in, (uint32_t)(i - 1), &name))
            return status_at(s->in, (uint32_t)(i - 1));
    }
    return NULL;
}

/* ---- the count ---- */

struct count {
    const struct podreq_input *in;
    const struct podreq_rules *rules;
    const struct resource_names *names;
    bool use_status;
    struct statuses statuses;
    struct podreq_steps steps;
};

/* What a resize in progress takes: the largest of what is wanted, what is in force and what was
 * granted. */
static void effective(const struct count *c, const char *what, struct sv name, struct amounts spec,
                      struct amounts actual, struct amounts allocated, struct podreq_sums *ret_sums)
{
    const struct sv none = {0};
    struct podreq_sums spec_sums, actual_sums, allocated_sums;
    uint32_t raised;

    load(&spec_sums, spec);
    load(&actual_sums, actual);
    load(&allocated_sums, allocated);
    load(ret_sums, c->in->infeasible ? actual : spec);
    raised = c->in->infeasible ? 0 : sums_max(ret_sums, &actual_sums);
    raised |= sums_max(ret_sums, &allocated_sums);

    if (c->in->infeasible)
        podreq_steps_row(&c->steps, what, name, ret_sums, "resize infeasible: status alone", 0);
    else
        podreq_steps_row(&c->steps, what, name, ret_sums, raised != 0 ? "status raises" : "",
                         raised);
    podreq_steps_row(&c->steps, "  spec", none, &spec_sums, "", 0);
    podreq_steps_row(&c->steps, "  status.resources", none, &actual_sums, "", 0);
    podreq_steps_row(&c->steps, "  allocatedResources", none, &allocated_sums, "", 0);
}

/* The request of one container. `resizable`: its status counts, where statuses count at all. */
static void container_request(const struct count *c, const char *what,
                              const struct container_amounts *container, bool resizable,
                              struct podreq_sums *ret_sums)
{
    const struct status_amounts *status =
        c->use_status && resizable ? statuses_find(&c->statuses, container->name) : NULL;

    if (status != NULL && status->has_resources) {
        effective(c, what, container->name, container->requests, status->requests,
                  status->allocated, ret_sums);
        return;
    }
    load(ret_sums, container->requests);
    podreq_steps_row(&c->steps, what, container->name, ret_sums, "", 0);
}

static void count_containers(const struct count *c, struct podreq_sums *total)
{
    struct podreq_sums use;

    for (size_t i = 0; i < c->in->n_containers; i++) {
        container_request(c, "container", &c->in->containers[i], true, &use);
        sums_add(total, &use);
    }
    if (c->in->n_inits == 0 && c->in->n_containers > 1)
        podreq_steps_row(&c->steps, "containers", (struct sv){0}, total, "sum", 0);
}

/*
 * Init containers run one after the other, each beside the sidecars started before it; sidecars run
 * on and are part of the sum. What counts is the larger of sum and largest moment of the start.
 */
static void count_inits(const struct count *c, struct podreq_sums *total)
{
    const struct sv none = {0};
    struct podreq_sums sidecars = {.has = 0}, largest = {.has = 0}, use;
    uint32_t raised;

    if (c->in->n_inits == 0)
        return;
    for (size_t i = 0; i < c->in->n_inits; i++) {
        const struct container_amounts *init = &c->in->inits[i];

        container_request(c, init->sidecar ? "sidecar" : "init", init, init->sidecar, &use);
        if (init->sidecar) {
            sums_add(total, &use);
            sums_add(&sidecars, &use);
            (void)sums_max(&largest, &sidecars);
            continue;
        }
        if (sidecars.has != 0) {
            sums_add(&use, &sidecars);
            podreq_steps_row(&c->steps, "  beside its sidecars", none, &use, "", 0);
        }
        (void)sums_max(&largest, &use);
    }
    podreq_steps_row(&c->steps, "containers + sidecars", none, total, "", 0);
    podreq_steps_row(&c->steps, "init maximum", none, &largest, "", 0);
    raised = sums_max(total, &largest);
    podreq_steps_row(&c->steps, "larger of both", none, total,
                     raised != 0 ? "init maximum decides" : "containers decide", raised);
}

/* KEP-2837: cpu, memory and huge pages may be asked for by the pod as a whole. */
static uint32_t pod_level_places(const struct resource_names *names, uint32_t places)
{
    uint32_t supported = places & (podreq_bit(RESOURCE_CPU) | podreq_bit(RESOURCE_MEMORY));

    places &= ~(podreq_bit(RESOURCE_FIRST_EXTENDED) - 1);
    for (uint32_t left = places; left != 0; left &= left - 1) {
        int place = __builtin_ctz(left);

        if (sv_starts(sv_from(names->name[place]), SV("hugepages-")))
            supported |= podreq_bit(place);
    }
    return supported;
}

static void replace_by_pod_level(const struct count *c, struct podreq_sums *total)
{
    struct podreq_sums level;
    uint32_t places;

    load(&level, c->in->pod_level);
    places = pod_level_places(c->names, level.has);
    if (!c->rules->pod_level || places == 0)
        return;
    if (c->rules->pod_level_status && c->use_status && c->in->has_pod_status)
        effective(c, "pod", (struct sv){0}, c->in->pod_level, c->in->pod_status,
                  c->in->pod_allocated, &level);
    for (uint32_t left = places; left != 0; left &= left - 1) {
        int place = __builtin_ctz(left);
        bool there = (level.has & podreq_bit(place)) != 0;

        /* An infeasible resize may leave nothing of a key that the spec names: 0. */
        total->at[place] = there ? level.at[place] : (struct quantity){0};
    }
    total->has |= places;
    podreq_steps_row(&c->steps, "pod level", (struct sv){0}, total, "replaces", places);
}

static void add_overhead(const struct count *c, struct podreq_sums *total)
{
    struct podreq_sums overhead;

    load(&overhead, c->in->overhead);
    if (overhead.has == 0)
        return;
    podreq_steps_row(&c->steps, "overhead", (struct sv){0}, &overhead, "added", 0);
    sums_add(total, &overhead);
}

struct resources podreq_count(const struct podreq_input *in, const struct podreq_rules *rules,
                              const struct resource_names *names, struct strbuf *steps)
{
    struct count c = {
        .in = in, .rules = rules, .names = names, .use_status = rules->status && in->has_node};
    struct podreq_sums total = {.has = 0};

    podreq_steps_begin(&c.steps, in, names, steps);
    if (c.use_status)
        statuses_init(&c.statuses, in);
    count_containers(&c, &total);
    count_inits(&c, &total);
    replace_by_pod_level(&c, &total);
    add_overhead(&c, &total);
    statuses_done(&c.statuses);

    struct resources request = rounded(&total);

    podreq_steps_end(&c.steps, &request);
    return request;
}

#include "policy/sim/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/jsonr.h"

#define MIB (INT64_C(1) << 20)
/* No number in a file is larger, so that no sum of a replay overflows: a billion cores, an exabyte. */
#define MAX_MILLI   INT64_C(1000000000000)
#define MAX_MIB     (INT64_C(1) << 40)
#define MAX_TIME_US (INT64_C(100) * 366 * 24 * 3600 * US_PER_S)
/* More filler pods than fit any cluster that is simulated. */
#define MAX_REPLICAS INT64_C(1000000000)

/* ---- kinds and nodes by what they are ---- */

static uint64_t hash_kind(const struct trace_kind *kind)
{
    return resources_hash(&kind->request) ^ ((uint64_t)(uint32_t)kind->priority << 33) ^
           ((uint64_t)kind->node << 1) ^ kind->preempts_never;
}

static uint64_t kind_hash(const void *self, uint32_t index)
{
    return hash_kind(&((const struct trace *)self)->kinds[index]);
}

static bool kind_equal(const void *self, uint32_t index, const void *key)
{
    const struct trace_kind *a = &((const struct trace *)self)->kinds[index], *b = key;

    return a->priority == b->priority && a->node == b->node &&
           a->preempts_never == b->preempts_never && resources_equal(&a->request, &b->request);
}

static uint64_t node_hash(const void *self, uint32_t index)
{
    return sv_hash(sv_from(((const struct trace *)self)->nodes[index]));
}

static bool node_equal(const void *self, uint32_t index, const void *key)
{
    return sv_eq(sv_from(((const struct trace *)self)->nodes[index]), *(const struct sv *)key);
}

static const struct map_ops kind_ops = {.hash = kind_hash, .equal = kind_equal};
static const struct map_ops node_ops = {.hash = node_hash, .equal = node_equal};

void trace_init(struct trace *t)
{
    *t = (struct trace){0};
    map_init(&t->kind_map, &kind_ops, t);
    map_init(&t->node_map, &node_ops, t);
}

void trace_done(struct trace *t)
{
    for (size_t i = 0; i < t->n_nodes; i++)
        free(t->nodes[i]);
    map_done(&t->kind_map);
    map_done(&t->node_map);
    free(t->rows);
    free(t->pods);
    free(t->kinds);
    free(t->facts);
    free(t->nodes);
    *t = (struct trace){0};
}

/* ---- row by row ---- */

uint32_t trace_find_node(const struct trace *t, struct sv name)
{
    return map_find(&t->node_map, sv_hash(name), &name);
}

static void add_row(struct trace *t, int64_t at_us, enum trace_what what, uint32_t index)
{
    const struct trace_row row = {.at_us = at_us, .what = what, .index = index};

    VEC_PUSH(t->rows, t->n_rows, t->rows_cap, row);
    t->end_us = at_us > t->end_us ? at_us : t->end_us;
}

bool trace_put_node(struct trace *t, int64_t at_us, struct sv name,
                    const struct resources *allocatable, bool unschedulable, struct err *err)
{
    struct trace_facts facts = {.node = trace_find_node(t, name),
                                .allocatable = *allocatable,
                                .unschedulable = unschedulable};

    if (facts.node == MAP_NONE) {
        if (t->n_nodes >= TRACE_MAX_NODES)
            return err_set(err, ERR_LIMIT, 0, "more than %d nodes", TRACE_MAX_NODES);
        facts.node = (uint32_t)t->n_nodes;
        VEC_PUSH(t->nodes, t->n_nodes, t->nodes_cap, sv_dup(name));
        map_put(&t->node_map, sv_hash(name), facts.node);
    }
    add_row(t, at_us, TRACE_NODE_IS, (uint32_t)t->n_facts);
    VEC_PUSH(t->facts, t->n_facts, t->facts_cap, facts);
    return true;
}

void trace_drop_node(struct trace *t, int64_t at_us, uint32_t node)
{
    add_row(t, at_us, TRACE_NODE_GOES, node);
}

static bool find_kind(struct trace *t, const struct trace_kind *kind, uint32_t *ret_index,
                      struct err *err)
{
    uint64_t hash = hash_kind(kind);

    *ret_index = map_find(&t->kind_map, hash, kind);
    if (*ret_index != MAP_NONE)
        return true;
    if (t->n_kinds >= TRACE_MAX_KINDS)
        return err_set(err, ERR_LIMIT, 0, "more than %d kinds of pods", TRACE_MAX_KINDS);
    *ret_index = (uint32_t)t->n_kinds;
    VEC_PUSH(t->kinds, t->n_kinds, t->kinds_cap, *kind);
    map_put(&t->kind_map, hash, *ret_index);
    return true;
}

bool trace_add_pod(struct trace *t, int64_t at_us, const struct trace_kind *kind, uint32_t found_on,
                   uint32_t *ret_pod, struct err *err)
{
    struct trace_pod pod = {.create_us = at_us, .delete_us = TRACE_STAYS, .found_on = found_on};

    if (t->n_pods >= TRACE_MAX_PODS)
        return err_set(err, ERR_LIMIT, 0, "more than %d pods", TRACE_MAX_PODS);
    if (!find_kind(t, kind, &pod.kind, err))
        return false;
    *ret_pod = (uint32_t)t->n_pods;
    add_row(t, at_us, TRACE_POD_COMES, *ret_pod);
    VEC_PUSH(t->pods, t->n_pods, t->pods_cap, pod);
    return true;
}

bool trace_tie_pod(struct trace *t, uint32_t pod, uint32_t node, struct err *err)
{
    struct trace_kind kind = t->kinds[t->pods[pod].kind];

    kind.node = node;
    return find_kind(t, &kind, &t->pods[pod].kind, err);
}

void trace_end_pod(struct trace *t, int64_t at_us, uint32_t pod)
{
    t->pods[pod].delete_us = at_us;
    add_row(t, at_us, TRACE_POD_GOES, pod);
}

int64_t trace_allocatable(const struct trace *t)
{
    int64_t milli = 0;

    for (size_t i = 0; i < t->n_rows && t->rows[i].at_us == 0; i++) {
        if (t->rows[i].what == TRACE_NODE_IS)
            milli += t->facts[t->rows[i].index].allocatable.at[RESOURCE_CPU];
    }
    return milli;
}

/* ---- CSV ---- */

enum { MAX_COLUMNS = 6 };

/* The text, line by line; what is wrong is said with the line's number. */
struct table {
    struct sv where, rest;
    int line;
    const char *const *names;
    int n_columns;
    struct sv cell[MAX_COLUMNS];
};

enum { SECONDS_SIZE = 32 };

/* "90", "12.5". */
static const char *seconds_text(int64_t us, char text[static SECONDS_SIZE])
{
    int len = snprintf(text, SECONDS_SIZE, "%lld.%06lld", (long long)(us / US_PER_S),
                       (long long)(us % US_PER_S));

    while (text[len - 1] == '0')
        text[--len] = '\0';
    if (text[len - 1] == '.')
        text[len - 1] = '\0';
    return text;
}

/* What to call a text that may be empty. */
static struct sv shown(struct sv text)
{
    return text.len != 0 ? text : SV("nothing");
}

static bool PRINTF(4, 5)
    refuse(const struct table *c, int column, struct err *err, const char *expected, ...)
{
    char text[160];
    va_list args;

    va_start(args, expected);
    (void)vsnprintf(text, sizeof text, expected, args);
    va_end(args);
    return err_set(err, ERR_INPUT, 0, "%.*s:%d: %s: found %.*s, expected %s", SV_ARG(c->where),
                   c->line, c->names[column], SV_ARG(shown(c->cell[column])), text);
}

/* False at the end and on an error, which is then set. */
static bool next_line(struct table *c, struct err *err)
{
    struct sv line, cell;
    int n = 0;

    do {
        if (!sv_next(&c->rest, '\n', &line))
            return false;
        c->line++;
        line = sv_trim(line);
    } while (line.len == 0);
    for (bool more = true; more; n++) {
        more = sv_cut(line, ',', &cell, &line);
        if (n < c->n_columns)
            c->cell[n] = sv_trim(more ? cell : line);
    }
    if (n != c->n_columns)
        return err_set(err, ERR_INPUT, 0, "%.*s:%d: found %d columns, expected %d",
                       SV_ARG(c->where), c->line, n, c->n_columns);
    return true;
}

static bool table_begin(struct table *c, struct sv where, struct sv text, const char *const *names,
                        int n, struct err *err)
{
    struct err own = {0};

    *c = (struct table){.where = where, .rest = text, .names = names, .n_columns = n};
    if (!next_line(c, &own)) {
        if (own.kind == ERR_NONE)
            return err_set(err, ERR_INPUT, 0,
                           "%.*s: found an empty file, expected a line of names, %s first",
                           SV_ARG(where), names[0]);
        return err_set(err, own.kind, own.code, "%s", own.text);
    }
    for (int i = 0; i < n; i++) {
        if (!sv_eq(c->cell[i], sv_from(names[i])))
            return err_set(err, ERR_INPUT, 0, "%.*s:%d: found column %.*s, expected %s",
                           SV_ARG(where), c->line, SV_ARG(shown(c->cell[i])), names[i]);
    }
    return true;
}

static bool whole(const struct table *c, int column, int64_t max, int64_t *ret, struct err *err)
{
    if (!sv_to_i64(c->cell[column], ret) || *ret < 0 || *ret > max)
        return refuse(c, column, err, "a whole number from 0 to %lld", (long long)max);
    return true;
}

/* Nodes and pods both end in cpu and memory. */
static bool amounts(const struct table *c, int column, struct resources *ret, struct err *err)
{
    int64_t cpu, mib;

    if (!whole(c, column, MAX_MILLI, &cpu, err) || !whole(c, column + 1, MAX_MIB, &mib, err))
        return false;
    ret->at[RESOURCE_CPU] = cpu;
    ret->at[RESOURCE_MEMORY] = mib * MIB;
    return true;
}

/* More pods than a simulation can hold. */
static const int64_t any_number_of_pods = INT64_C(1) << 32;

bool trace_read_nodes(struct trace *t, struct sv where, struct sv text, struct err *err)
{
    static const char *const names[] = {"node", "cpu_milli", "memory_mib"};
    struct err own = {0};
    struct table c;

    if (!table_begin(&c, where, text, names, COUNT_OF(names), err))
        return false;
    while (next_line(&c, &own)) {
        struct resources r = {.at = {[RESOURCE_PODS] = any_number_of_pods}};

        if (c.cell[0].len == 0)
            return refuse(&c, 0, err, "a name");
        if (trace_find_node(t, c.cell[0]) != TRACE_ANY_NODE)
            return refuse(&c, 0, err, "a name that no other node has");
        if (!amounts(&c, 1, &r, err))
            return false;
        if (!trace_put_node(t, 0, c.cell[0], &r, false, err))
            return err_wrap(err, "%.*s:%d", SV_ARG(where), c.line);
    }
    if (own.kind != ERR_NONE)
        return err_set(err, own.kind, own.code, "%s", own.text);
    if (t->n_nodes == 0)
        return err_set(err, ERR_INPUT, 0, "%.*s: found no node, expected at least one",
                       SV_ARG(where));
    return true;
}

/* Pods that are there, by name. */
struct living {
    struct sv *names; /* of each pod of the trace, in the text */
    size_t n, cap;
    struct map map;
};

static uint64_t living_hash(const void *self, uint32_t index)
{
    return sv_hash(((const struct living *)self)->names[index]);
}

static bool living_equal(const void *self, uint32_t index, const void *key)
{
    return sv_eq(((const struct living *)self)->names[index], *(const struct sv *)key);
}

static const struct map_ops living_ops = {.hash = living_hash, .equal = living_equal};

enum { COL_TIME, COL_EVENT, COL_POD, COL_CPU, COL_MEMORY, COL_NODE };

/* Digits, maybe with a point and more digits. */
static bool is_decimal(struct sv text)
{
    struct sv head = text, tail = SV("0");

    (void)sv_cut(text, '.', &head, &tail);
    for (size_t i = 0; i < head.len + tail.len; i++) {
        char c = i < head.len ? head.at[i] : tail.at[i - head.len];

        if (c < '0' || c > '9')
            return false;
    }
    return head.len != 0 && tail.len != 0;
}

static bool read_time(const struct table *c, int64_t before_us, int64_t *ret_us, struct err *err)
{
    struct sv cell = c->cell[COL_TIME];

    if (!is_decimal(cell) || !jsonr_fixed(cell, 6, ret_us) || *ret_us > MAX_TIME_US)
        return refuse(c, COL_TIME, err, "seconds from the start, at most %lld",
                      (long long)(MAX_TIME_US / US_PER_S));
    if (*ret_us < before_us)
        return refuse(c, COL_TIME, err, "a time that is not before the line above");
    return true;
}

static bool read_kind(const struct trace *t, const struct table *c, struct trace_kind *ret_kind,
                      struct err *err)
{
    *ret_kind =
        (struct trace_kind){.request = {.at = {[RESOURCE_PODS] = 1}}, .node = TRACE_ANY_NODE};
    if (!amounts(c, COL_CPU, &ret_kind->request, err))
        return false;
    if (c->cell[COL_NODE].len == 0)
        return true;
    ret_kind->node = trace_find_node(t, c->cell[COL_NODE]);
    if (ret_kind->node == TRACE_ANY_NODE)
        return refuse(c, COL_NODE, err, "nothing or the name of a node");
    return true;
}

static bool pod_comes(struct trace *t, struct living *l, const struct table *c, int64_t at_us,
                      const struct trace_kind *kind, struct err *err)
{
    struct sv name = c->cell[COL_POD];
    char text[SECONDS_SIZE];
    uint32_t pod;

    if (name.len == 0)
        return refuse(c, COL_POD, err, "a name");
    pod = map_find(&l->map, sv_hash(name), &name);
    if (pod != MAP_NONE)
        return refuse(c, COL_POD, err,
                      "a name that is free: the pod created at %s s was not deleted yet",
                      seconds_text(t->pods[pod].create_us, text));
    if (!trace_add_pod(t, at_us, kind, TRACE_ANY_NODE, &pod, err))
        return err_wrap(err, "%.*s:%d", SV_ARG(c->where), c->line);
    VEC_PUSH(l->names, l->n, l->cap, name);
    map_put(&l->map, sv_hash(name), pod);
    return true;
}

static bool pod_goes(struct trace *t, struct living *l, const struct table *c, int64_t at_us,
                     const struct trace_kind *kind, struct err *err)
{
    struct sv name = c->cell[COL_POD];
    uint32_t pod = map_find(&l->map, sv_hash(name), &name);
    const struct resources *was;

    if (pod == MAP_NONE)
        return refuse(c, COL_POD, err, "the name of a pod that was created and is not deleted yet");
    was = &t->kinds[t->pods[pod].kind].request;
    if (!resources_equal(was, &kind->request))
        return refuse(
            c, was->at[RESOURCE_CPU] != kind->request.at[RESOURCE_CPU] ? COL_CPU : COL_MEMORY, err,
            "what the pod was created with");
    map_remove(&l->map, sv_hash(name), pod);
    trace_end_pod(t, at_us, pod);
    return true;
}

static bool read_row(struct trace *t, struct living *l, const struct table *c, int64_t *at_us,
                     struct err *err)
{
    struct trace_kind kind;

    if (!read_time(c, *at_us, at_us, err) || !read_kind(t, c, &kind, err))
        return false;
    if (sv_eq(c->cell[COL_EVENT], SV("create")))
        return pod_comes(t, l, c, *at_us, &kind, err);
    if (sv_eq(c->cell[COL_EVENT], SV("delete")))
        return pod_goes(t, l, c, *at_us, &kind, err);
    return refuse(c, COL_EVENT, err, "create or delete");
}

bool trace_read_pods(struct trace *t, struct sv where, struct sv text, struct err *err)
{
    static const char *const names[] = {"time_s",    "event",      "pod",
                                        "cpu_milli", "memory_mib", "node"};
    struct living living = {0};
    struct err own = {0};
    int64_t at_us = 0;
    struct table c;
    bool ok = table_begin(&c, where, text, names, COUNT_OF(names), &own);

    map_init(&living.map, &living_ops, &living);
    while (ok && next_line(&c, &own))
        ok = read_row(t, &living, &c, &at_us, &own);
    map_done(&living.map);
    free(living.names);
    return own.kind == ERR_NONE || err_set(err, own.kind, own.code, "%s", own.text);
}

/* ---- JSON ---- */

struct filler_key {
    const char *name;
    int digits; /* 6: seconds, in microseconds; 0: a whole number */
    int64_t least, most;
    int64_t value;
    bool found;
};

enum { KEY_SECONDS, KEY_CPU, KEY_MEMORY, KEY_RESERVE, KEY_MAX, KEY_COUNT_ };

static void read_key(struct jsonr *r, struct filler_key *key)
{
    struct sv number;

    if (!jsonr_number(r, &number))
        return;
    if (!jsonr_fixed(number, key->digits, &key->value) || key->value < key->least ||
        key->value > key->most)
        (void)jsonr_refuse(r, "%s: found %.*s, expected a number %s, at most %lld", key->name,
                           SV_ARG(number), key->least > 0 ? "above 0" : "from 0 up",
                           (long long)(key->digits != 0 ? key->most / US_PER_S : key->most));
    key->found = true;
}

/* Values of other keys are text or numbers. */
static void skip(struct jsonr *r)
{
    struct sv text;
    bool read = jsonr_peek(r) == JSONR_STRING ? jsonr_string(r, &text) : jsonr_number(r, &text);

    (void)read;
}

/* What is wrong is found by jsonr_end(). */
static void read_keys(struct jsonr *r, struct filler_key *keys)
{
    struct sv name;

    if (!jsonr_object(r))
        return;
    while (jsonr_key(r, &name)) {
        int i = 0;

        while (i < KEY_COUNT_ && !sv_eq(name, sv_from(keys[i].name)))
            i++;
        if (i < KEY_COUNT_)
            read_key(r, &keys[i]);
        else
            skip(r);
    }
    for (int i = 0; i < KEY_COUNT_; i++) {
        if (!keys[i].found)
            (void)jsonr_refuse(r, "found no %s", keys[i].name);
    }
}

bool trace_read_filler(struct trace *t, struct sv where, char *text, size_t len, struct err *err)
{
    struct filler_key keys[KEY_COUNT_] = {
        [KEY_SECONDS] = {"seconds", 6, 1, MAX_TIME_US, 0, false},
        [KEY_CPU] = {"filler_cpu_milli", 0, 1, MAX_MILLI, 0, false},
        [KEY_MEMORY] = {"filler_memory_mib", 0, 0, MAX_MIB, 0, false},
        [KEY_RESERVE] = {"reserve_cpu_milli", 0, 0, MAX_MILLI, 0, false},
        [KEY_MAX] = {"max_replicas", 0, 0, MAX_REPLICAS, 0, false},
    };
    char found[SECONDS_SIZE], least[SECONDS_SIZE];
    struct jsonr r;

    jsonr_init(&r, text, len);
    read_keys(&r, keys);
    if (!jsonr_end(&r, err))
        return err_wrap(err, "%.*s", SV_ARG(where));
    if (keys[KEY_SECONDS].value < t->end_us)
        return err_set(err, ERR_INPUT, 0,
                       "%.*s: seconds: found %s, expected at least the last row's time, %s",
                       SV_ARG(where), seconds_text(keys[KEY_SECONDS].value, found),
                       seconds_text(t->end_us, least));
    t->has_filler = true;
    t->end_us = keys[KEY_SECONDS].value;
    t->filler = (struct resources){.at = {[RESOURCE_CPU] = keys[KEY_CPU].value,
                                          [RESOURCE_MEMORY] = keys[KEY_MEMORY].value * MIB,
                                          [RESOURCE_PODS] = 1}};
    t->reserve_milli = keys[KEY_RESERVE].value;
    t->max_replicas = keys[KEY_MAX].value;
    return true;
}

#include "storage/unpack.h"

#include "base/alloc.h"
#include "base/map.h"
#include "storage/dict.h"
#include "storage/wire.h"

#define NONE UINT32_MAX

/* A pod or a node that is there. A node's id is its name's index, and `node` is not used. */
struct thing {
    uint64_t id;
    uint32_t facts, node;
    int64_t created_ms;
    bool unschedulable;
};

struct things {
    struct thing *at;
    size_t len, cap;
    struct map map;
};

struct unpack {
    int64_t from_ms, until_ms;
    unpack_each_fn *each;
    void *self;

    struct things pods, nodes;
    struct dict *names, *facts;
    struct resource_names resources;
    int place[RESOURCE_MAX]; /* of the segment's resources in `resources`; -1: none was left */
    int n_places;
    struct shape shape; /* of the event that is being told */

    uint64_t base;    /* added to ids, so that they differ after a gap */
    uint64_t next_id; /* without base */
    uint64_t found_id;
    int64_t t_ms;
    enum gap_why why; /* of the keyframe that is being read */
    bool whole;       /* the segment's keyframe was seen and nothing is missing since */
    bool in_keyframe;
    bool silent;  /* the keyframe goes on from what was told */
    bool telling; /* something was told: `from` is reached */
    bool broken;  /* something is missing since the last chunk */
    bool begun;   /* a chunk was given */
    bool lost;    /* something was damaged or missing at some time */
    bool ended;
};

static uint64_t id_hash(uint64_t id)
{
    return id * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static uint64_t thing_hash(const void *self, uint32_t index)
{
    const struct things *things = self;

    return id_hash(things->at[index].id);
}

static bool thing_equal(const void *self, uint32_t index, const void *key)
{
    const struct things *things = self;

    return things->at[index].id == *(const uint64_t *)key;
}

static const struct map_ops ops = {thing_hash, thing_equal};

static struct thing *find(struct things *things, uint64_t id)
{
    uint32_t index = map_find(&things->map, id_hash(id), &id);

    return index != MAP_NONE ? &things->at[index] : NULL;
}

static struct thing *add(struct things *things, uint64_t id)
{
    VEC_PUSH(things->at, things->len, things->cap,
             ((struct thing){.id = id, .facts = NONE, .node = NONE}));
    map_put(&things->map, id_hash(id), (uint32_t)things->len - 1);
    return &things->at[things->len - 1];
}

static void drop(struct things *things, struct thing *thing)
{
    uint32_t index = (uint32_t)(thing - things->at), last = (uint32_t)things->len - 1;

    map_remove(&things->map, id_hash(thing->id), index);
    if (index != last) {
        map_remove(&things->map, id_hash(things->at[last].id), last);
        *thing = things->at[last];
        map_put(&things->map, id_hash(thing->id), index);
    }
    things->len--;
}

static void forget(struct things *things)
{
    map_clear(&things->map);
    things->len = 0;
}

struct unpack *unpack_new(int64_t from_ms, int64_t until_ms, unpack_each_fn *each, void *self)
{
    struct unpack *u = xcalloc(1, sizeof *u);

    u->from_ms = from_ms;
    u->until_ms = until_ms;
    u->each = each;
    u->self = self;
    map_init(&u->pods.map, &ops, &u->pods);
    map_init(&u->nodes.map, &ops, &u->nodes);
    u->names = dict_new();
    u->facts = dict_new();
    resource_names_init(&u->resources);
    return u;
}

void unpack_free(struct unpack *u)
{
    if (u == NULL)
        return;
    map_done(&u->pods.map);
    map_done(&u->nodes.map);
    free(u->pods.at);
    free(u->nodes.at);
    dict_free(u->names);
    dict_free(u->facts);
    resource_names_done(&u->resources);
    free(u);
}

const struct resource_names *unpack_names(const struct unpack *u)
{
    return &u->resources;
}

bool unpack_ended(const struct unpack *u)
{
    return u->ended;
}

/* Facts were checked when they were defined: reading them again cannot fail. */
static bool read_facts(const struct unpack *u, struct sv in, struct shape *ret_shape)
{
    struct shape s = {0};
    int64_t priority;
    uint8_t flags;

    if (!wire_get_byte(&in, &flags) || !wire_get_signed(&in, &priority) || priority < INT32_MIN ||
        priority > INT32_MAX)
        return false;
    s.priority = (int32_t)priority;
    s.filler = (flags & WIRE_FILLER) != 0;
    s.preempts_never = (flags & WIRE_PREEMPTS_NEVER) != 0;
    s.ignored = (flags & WIRE_IGNORED) != 0;
    s.gated = (flags & WIRE_GATED) != 0;
    s.tied = (flags & WIRE_TIED) != 0;
    s.cordoned = (flags & WIRE_CORDONED) != 0;
    s.ready = (flags & WIRE_READY) != 0;
    while (in.len != 0) {
        int64_t amount;
        uint64_t index;

        if (!wire_get(&in, &index) || index >= (uint64_t)u->n_places ||
            !wire_get_signed(&in, &amount))
            return false;
        if (u->place[index] >= 0)
            s.amount.at[u->place[index]] = amount;
    }
    *ret_shape = s;
    return true;
}

static void tell(struct unpack *u, struct event *e)
{
    if (u->ended || e->t_ms >= u->until_ms)
        return;
    if (!u->each(u->self, e))
        u->ended = true;
}

static void tell_thing(struct unpack *u, enum event_kind kind, const struct thing *thing)
{
    bool node = kind == EVENT_NODE || kind == EVENT_NODE_GONE;
    uint32_t name = node ? (uint32_t)thing->id : thing->node;
    struct event e = {.kind = kind,
                      .t_ms = u->t_ms,
                      .pod = node ? 0 : u->base + thing->id,
                      .shape = thing->facts != NONE ? &u->shape : NULL,
                      .node = name != NONE ? u->names->at[name] : (struct sv){0},
                      .created_ms = thing->created_ms,
                      .unschedulable = thing->unschedulable};

    if (thing->facts != NONE)
        (void)read_facts(u, u->facts->at[thing->facts], &u->shape);
    tell(u, &e);
}

static void tell_gap(struct unpack *u, enum gap_why why, bool resets)
{
    struct event e = {.kind = EVENT_GAP, .t_ms = u->t_ms, .why = why, .resets = resets};

    tell(u, &e);
}

/* A gap, and all that is there. */
static void tell_all(struct unpack *u, enum gap_why why)
{
    u->telling = true;
    tell_gap(u, why, true);
    for (size_t i = 0; i < u->nodes.len && !u->ended; i++)
        tell_thing(u, EVENT_NODE, &u->nodes.at[i]);
    for (size_t i = 0; i < u->pods.len && !u->ended; i++)
        tell_thing(u, EVENT_POD_FOUND, &u->pods.at[i]);
}

/* Is this moment to be told? Tells what was there before when it is the first. */
static bool due(struct unpack *u)
{
    int64_t now_ms = u->t_ms;

    if (u->in_keyframe || now_ms < u->from_ms)
        return false;
    if (!u->telling && u->from_ms < u->until_ms) {
        u->t_ms = u->from_ms;
        tell_all(u, GAP_BEGIN);
        u->t_ms = now_ms;
    }
    return true;
}

static bool define(struct dict *dict, size_t max, size_t max_bytes, struct sv *in)
{
    struct sv text;
    bool added;

    if (!wire_get_bytes(in, max_bytes, &text) || dict->len >= max)
        return false;
    /* The same twice would shift all indexes that follow. */
    (void)dict_add(dict, text, &added);
    return added;
}

static bool define_facts(struct unpack *u, struct sv *in)
{
    struct shape shape;

    return define(u->facts, UNPACK_MAX_FACTS, WIRE_MAX_FACTS, in) &&
           read_facts(u, u->facts->at[u->facts->len - 1], &shape);
}

static bool define_resource(struct unpack *u, struct sv *in)
{
    struct sv name;

    if (!wire_get_bytes(in, WIRE_MAX_NAME, &name) || u->n_places >= RESOURCE_MAX)
        return false;
    u->place[u->n_places++] = resource_names_find(&u->resources, name, true);
    return true;
}

static bool get_index(struct sv *in, size_t len, uint32_t *ret_index)
{
    uint64_t index;

    if (!wire_get(in, &index) || index >= len)
        return false;
    *ret_index = (uint32_t)index;
    return true;
}

static struct thing *get_pod(struct unpack *u, struct sv *in)
{
    uint64_t age;

    return wire_get(in, &age) && age < u->next_id ? find(&u->pods, u->next_id - 1 - age) : NULL;
}

/* What was there at `from` is told before it is forgotten; where nothing is known of that time, that nothing is. */
static void tell_before_key(struct unpack *u)
{
    if (!u->whole && u->t_ms < u->until_ms)
        return;
    if (!u->whole) {
        forget(&u->pods);
        forget(&u->nodes);
    }
    u->in_keyframe = false;
    if (u->t_ms > u->from_ms)
        (void)due(u);
}

/* A segment begins. */
static bool read_key(struct unpack *u, struct sv *in)
{
    uint64_t why, next_id;
    bool goes_on = u->whole && !u->broken;

    if (!wire_get(in, &why) || why > GAP_COUNT_ || !wire_get(in, &next_id) ||
        next_id > UINT64_MAX / 4)
        return false;
    tell_before_key(u);
    u->silent = why == 0 && goes_on && next_id == u->next_id;
    u->why = why != 0 ? (enum gap_why)(why - 1) : GAP_DAMAGED;
    if (!u->silent)
        u->base += u->next_id;
    dict_free(u->names);
    dict_free(u->facts);
    u->names = dict_new();
    u->facts = dict_new();
    for (u->n_places = 0; u->n_places < RESOURCE_FIRST_EXTENDED; u->n_places++)
        u->place[u->n_places] = u->n_places;
    forget(&u->pods);
    forget(&u->nodes);
    u->next_id = next_id;
    u->found_id = 0;
    u->whole = false;
    u->broken = false;
    u->in_keyframe = true;
    return true;
}

static bool read_key_end(struct unpack *u)
{
    if (!u->in_keyframe)
        return false;
    u->in_keyframe = false;
    u->whole = true;
    if (u->silent)
        return true;
    if (u->t_ms < u->until_ms && (u->telling || u->t_ms >= u->from_ms))
        tell_all(u, u->telling || u->lost || u->why != GAP_DAMAGED ? u->why : GAP_BEGIN);
    return true;
}

static bool read_found(struct unpack *u, struct sv *in)
{
    uint64_t node, age, id;
    struct thing *pod;
    uint32_t facts;
    int64_t delta;

    if (!u->in_keyframe || !wire_get_signed(in, &delta) || !get_index(in, u->facts->len, &facts) ||
        !wire_get(in, &node) || node > u->names->len || !wire_get(in, &age) || age / 2 > UINT32_MAX)
        return false;
    id = u->found_id + (uint64_t)delta;
    if (id >= u->next_id || find(&u->pods, id) != NULL || u->pods.len >= UNPACK_MAX_PODS)
        return false;
    pod = add(&u->pods, id);
    pod->facts = facts;
    pod->node = node == 0 ? NONE : (uint32_t)(node - 1);
    pod->created_ms = (u->t_ms / 1000 - (int64_t)(age / 2)) * 1000;
    pod->unschedulable = (age & 1) != 0;
    u->found_id = id;
    return true;
}

static bool read_created(struct unpack *u, struct sv *in)
{
    struct thing *pod;
    uint32_t facts;
    uint64_t age_s;
    bool told;

    if (u->in_keyframe || !get_index(in, u->facts->len, &facts) || !wire_get(in, &age_s) ||
        age_s > UINT32_MAX || u->pods.len >= UNPACK_MAX_PODS || u->next_id > UINT64_MAX / 2)
        return false;
    told = due(u);
    pod = add(&u->pods, u->next_id++);
    pod->facts = facts;
    pod->created_ms = (u->t_ms / 1000 - (int64_t)age_s) * 1000;
    if (told)
        tell_thing(u, EVENT_POD_CREATED, pod);
    return true;
}

static bool read_pod_event(struct unpack *u, enum wire_op op, struct sv *in)
{
    struct thing *pod = u->in_keyframe ? NULL : get_pod(u, in);
    uint32_t facts = NONE, node = NONE;
    bool told;

    if (pod == NULL || (op == WIRE_CHANGED && !get_index(in, u->facts->len, &facts)) ||
        (op == WIRE_BOUND && !get_index(in, u->names->len, &node)))
        return false;
    told = due(u);
    if (op == WIRE_CHANGED) {
        pod->facts = facts;
    } else if (op == WIRE_BOUND) {
        pod->node = node;
        pod->unschedulable = false;
    } else if (op == WIRE_UNSCHEDULABLE) {
        pod->unschedulable = true;
    }
    if (told)
        tell_thing(u,
                   op == WIRE_CHANGED ? EVENT_POD_CHANGED
                   : op == WIRE_BOUND ? EVENT_POD_BOUND
                   : op == WIRE_GONE  ? EVENT_POD_GONE
                                      : EVENT_POD_UNSCHEDULABLE,
                   pod);
    if (op == WIRE_GONE)
        drop(&u->pods, pod);
    return true;
}

static bool read_node(struct unpack *u, struct sv *in)
{
    uint32_t name, facts;
    struct thing *node;
    bool told;

    if (!get_index(in, u->names->len, &name) || !get_index(in, u->facts->len, &facts))
        return false;
    told = due(u);
    node = find(&u->nodes, name);
    if (node == NULL)
        node = add(&u->nodes, name);
    node->facts = facts;
    if (told)
        tell_thing(u, EVENT_NODE, node);
    return true;
}

static bool read_node_gone(struct unpack *u, struct sv *in)
{
    struct thing *node;
    uint32_t name;

    if (u->in_keyframe || !get_index(in, u->names->len, &name))
        return false;
    node = find(&u->nodes, name);
    if (node == NULL)
        return false;
    if (due(u)) { /* which may tell all that was there before, this node among it */
        node->facts = NONE;
        tell_thing(u, EVENT_NODE_GONE, node);
    }
    drop(&u->nodes, node);
    return true;
}

static bool read_gap(struct unpack *u, struct sv *in)
{
    uint64_t why;

    if (u->in_keyframe || !wire_get(in, &why) || why >= GAP_COUNT_)
        return false;
    if (due(u))
        tell_gap(u, (enum gap_why)why, false);
    return true;
}

static bool read_fields(struct unpack *u, enum wire_op op, struct sv *in)
{
    switch (op) {
    case WIRE_DEF_NAME:
        return define(u->names, UNPACK_MAX_NAMES, WIRE_MAX_NAME, in);
    case WIRE_DEF_FACTS:
        return define_facts(u, in);
    case WIRE_DEF_RESOURCE:
        return define_resource(u, in);
    case WIRE_KEY:
        return read_key(u, in);
    case WIRE_KEY_END:
        return read_key_end(u);
    case WIRE_GAP:
        return read_gap(u, in);
    case WIRE_NODE:
        return read_node(u, in);
    case WIRE_NODE_GONE:
        return read_node_gone(u, in);
    case WIRE_FOUND:
        return read_found(u, in);
    case WIRE_CREATED:
        return read_created(u, in);
    case WIRE_CHANGED:
    case WIRE_BOUND:
    case WIRE_UNSCHEDULABLE:
    case WIRE_GONE:
        return read_pod_event(u, op, in);
    case WIRE_OP_COUNT_:
        return false;
    }
    return false;
}

static bool read_record(struct unpack *u, struct sv *in)
{
    uint8_t head;
    uint64_t late;

    if (!wire_get_byte(in, &head) || (head & 0xf) >= WIRE_OP_COUNT_ ||
        head >> 4 > WIRE_TIME_FOLLOWS)
        return false;
    late = head >> 4;
    if (late == WIRE_TIME_FOLLOWS) {
        uint64_t more;

        if (!wire_get(in, &more) || more > INT64_MAX / 4)
            return false;
        late += more;
    }
    if (u->t_ms > INT64_MAX - (int64_t)late)
        return false;
    u->t_ms += (int64_t)late;
    /* Without its keyframe nothing of a segment makes sense. */
    if ((head & 0xf) != WIRE_KEY && !u->whole && !u->in_keyframe)
        return false;
    return read_fields(u, head & 0xf, in);
}

void unpack_break(struct unpack *u)
{
    u->broken = u->lost = true;
    u->whole = u->in_keyframe = false;
}

bool unpack_chunk(struct unpack *u, int64_t number, int64_t first_ms, struct sv bytes,
                  struct err *err)
{
    struct sv in = bytes;
    bool begins = number == 0, first = !u->begun;

    u->begun = true;
    if (begins != (bytes.len != 0 && (bytes.at[0] & 0xf) == WIRE_KEY) || (first && !begins)) {
        unpack_break(u);
        return err_set(err, ERR_STORAGE, 0,
                       "the event journal is damaged: chunk %lld of a segment begins %s a keyframe",
                       (long long)number, begins || first ? "without" : "with");
    }
    if (!begins && !u->whole && !u->in_keyframe)
        return true; /* the rest of a segment whose damage was told */
    if (first_ms < 0 || first_ms > INT64_MAX / 4 || (!begins && first_ms < u->t_ms)) {
        unpack_break(u);
        return err_set(err, ERR_STORAGE, 0,
                       "the event journal is damaged: a chunk's time is %lld ms",
                       (long long)first_ms);
    }
    if (first_ms < u->t_ms)
        u->broken = true; /* earlier than the segment before: does not go on from it */
    u->t_ms = first_ms;
    while (in.len != 0 && !u->ended) {
        size_t left = in.len;

        if (!read_record(u, &in)) {
            unpack_break(u);
            return err_set(err, ERR_STORAGE, 0,
                           "the event journal is damaged: record at byte %zu of %zu",
                           bytes.len - left, bytes.len);
        }
    }
    return true;
}

void unpack_finish(struct unpack *u)
{
    if (u->telling || u->ended || u->from_ms >= u->until_ms)
        return;
    u->t_ms = u->from_ms;
    tell_all(u, GAP_BEGIN);
}

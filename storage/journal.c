#include "storage/journal.h"

#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "storage/dict.h"
#include "storage/wire.h"

#define NO_NODE UINT32_MAX

enum { FLAG_UNSCHEDULABLE = 1 };

/* Bytes that a live pod takes in a keyframe, at most, but for definitions: only to guess whether it fits the sink. */
enum { KEYFRAME_POD_BYTES = 16, PIECE_MAX = JOURNAL_CHUNK_BYTES + WIRE_MAX_FACTS * 4 };

/* What was last told of a pod. */
struct live_pod {
    uint64_t key; /* its uid, folded */
    uint64_t id;
    uint32_t facts;
    uint32_t node; /* index of a name, or NO_NODE */
    uint32_t created_s;
    uint16_t epoch; /* of the last list that named it */
    uint8_t flags;
};

struct live_node {
    uint32_t name, facts;
    uint16_t epoch;
};

struct journal {
    const struct resource_names *names;
    struct journal_sink sink;
    size_t segment_bytes;
    int64_t segment_ms;

    struct live_pod *pods;
    size_t n_pods, cap_pods;
    struct map by_key;
    struct live_node *nodes;
    size_t n_nodes, cap_nodes;
    struct map by_name; /* of nodes, by the index of their name in `node_names` */
    uint64_t next_id;
    uint16_t epoch[JOURNAL_KIND_COUNT_];
    bool listed[JOURNAL_KIND_COUNT_];

    /* The segment. */
    bool writing;
    struct dict *node_names, *facts;
    int resources_told;
    uint64_t segment;
    int64_t segment_first_ms;
    size_t segment_used, keyframe_bytes;
    uint32_t chunk;
    size_t chunk_offset; /* of `out` in the chunk */
    int64_t chunk_first_ms, last_ms;
    struct strbuf out, scratch;
    uint32_t out_events;

    struct journal_stats stats;
};

static uint64_t fold(struct uid uid)
{
    uint64_t key = uid.hi ^ (uid.lo * UINT64_C(0x9e3779b97f4a7c15));

    return key ^ (key >> 32);
}

static uint64_t pod_hash(const void *self, uint32_t index)
{
    const struct journal *j = self;

    return j->pods[index].key;
}

static bool pod_equal(const void *self, uint32_t index, const void *key)
{
    const struct journal *j = self;

    return j->pods[index].key == *(const uint64_t *)key;
}

static uint64_t name_hash(uint32_t name)
{
    return name * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static uint64_t node_hash(const void *self, uint32_t index)
{
    const struct journal *j = self;

    return name_hash(j->nodes[index].name);
}

static bool node_equal(const void *self, uint32_t index, const void *key)
{
    const struct journal *j = self;

    return j->nodes[index].name == *(const uint32_t *)key;
}

static const struct map_ops pod_ops = {pod_hash, pod_equal};
static const struct map_ops node_ops = {node_hash, node_equal};

struct journal *journal_new(const struct resource_names *names, const struct journal_sink *sink)
{
    struct journal *j = xcalloc(1, sizeof *j);

    j->names = names;
    j->sink = *sink;
    j->segment_bytes = JOURNAL_SEGMENT_BYTES;
    j->segment_ms = JOURNAL_SEGMENT_MS;
    map_init(&j->by_key, &pod_ops, j);
    map_init(&j->by_name, &node_ops, j);
    j->node_names = dict_new();
    j->facts = dict_new();
    strbuf_init(&j->out, PIECE_MAX);
    strbuf_init(&j->scratch, WIRE_MAX_FACTS);
    return j;
}

void journal_free(struct journal *j)
{
    if (j == NULL)
        return;
    map_done(&j->by_key);
    map_done(&j->by_name);
    dict_free(j->node_names);
    dict_free(j->facts);
    strbuf_done(&j->out);
    strbuf_done(&j->scratch);
    free(j->pods);
    free(j->nodes);
    free(j);
}

void journal_set_segment(struct journal *j, size_t bytes, int64_t ms)
{
    j->segment_bytes = bytes;
    j->segment_ms = ms;
}

/* Hands `out` over. What the sink refuses ends the segment. */
static void cut(struct journal *j)
{
    struct journal_piece *piece;

    if (j->out.len == 0 || !j->writing)
        return;
    piece = xmalloc(sizeof *piece + j->out.len);
    *piece = (struct journal_piece){.segment = j->segment,
                                    .chunk = j->chunk,
                                    .offset = j->chunk_offset,
                                    .first_ms = j->chunk_first_ms,
                                    .last_ms = j->last_ms,
                                    .events = j->out_events,
                                    .len = j->out.len};
    memcpy(piece->bytes, j->out.at, j->out.len);
    if (j->sink.take(j->sink.self, piece)) {
        j->stats.bytes += j->out.len;
        j->stats.events += j->out_events;
    } else {
        free(piece);
        j->stats.lost += j->out_events;
        j->writing = false;
    }
    j->chunk_offset += j->out.len;
    j->segment_used += j->out.len;
    j->out_events = 0;
    strbuf_clear(&j->out);
}

/* The op byte and the time of a record; begins a chunk where one is full. False: nothing is written at present. */
static bool put_op(struct journal *j, enum wire_op op, int64_t t_ms)
{
    uint64_t late;

    if (!j->writing)
        return false;
    if (j->chunk_offset + j->out.len >= JOURNAL_CHUNK_BYTES) {
        cut(j);
        j->chunk++;
        j->chunk_offset = 0;
        j->chunk_first_ms = j->last_ms;
        if (!j->writing)
            return false;
    }
    late = t_ms > j->last_ms ? (uint64_t)t_ms - (uint64_t)j->last_ms : 0;
    j->last_ms += (int64_t)late;
    (void)strbuf_add_char(&j->out,
                          (char)(op | (late < WIRE_TIME_FOLLOWS ? late : WIRE_TIME_FOLLOWS) << 4));
    if (late >= WIRE_TIME_FOLLOWS)
        wire_put(&j->out, late - WIRE_TIME_FOLLOWS);
    return true;
}

/* An event's op; counts it as told or lost. */
static bool put_event(struct journal *j, enum wire_op op, int64_t t_ms)
{
    if (!j->listed[JOURNAL_PODS] || !j->listed[JOURNAL_NODES])
        return false;
    if (!put_op(j, op, t_ms)) {
        j->stats.lost++;
        return false;
    }
    j->out_events++;
    return true;
}

/* Index of a text in a dictionary, told to the reader when it is new. */
static uint32_t define(struct journal *j, struct dict *dict, enum wire_op op, struct sv text)
{
    bool added;
    uint32_t index = dict_add(dict, text, &added);

    if (added && put_op(j, op, j->last_ms))
        wire_put_bytes(&j->out, text);
    return index;
}

static struct sv cut_name(struct sv name)
{
    return (struct sv){.at = name.at, .len = name.len < WIRE_MAX_NAME ? name.len : WIRE_MAX_NAME};
}

static uint32_t define_name(struct journal *j, struct sv name)
{
    return define(j, j->node_names, WIRE_DEF_NAME, cut_name(name));
}

/* Facts name resources by index: names that were not told in this segment are told first. */
static void define_resources(struct journal *j)
{
    while (j->resources_told < j->names->count) {
        struct sv name = cut_name(sv_from(j->names->name[j->resources_told]));

        if (put_op(j, WIRE_DEF_RESOURCE, j->last_ms))
            wire_put_bytes(&j->out, name);
        j->resources_told++;
    }
}

static uint32_t define_facts(struct journal *j, unsigned flags, int32_t priority,
                             const struct resources *amount)
{
    struct strbuf *s = &j->scratch;

    strbuf_clear(s);
    (void)strbuf_add_char(s, (char)flags);
    wire_put_signed(s, priority);
    for (int i = 0; i < RESOURCE_MAX; i++) {
        if (amount->at[i] != 0) {
            wire_put(s, (uint64_t)i);
            wire_put_signed(s, amount->at[i]);
        }
    }
    if (j->resources_told < j->names->count)
        define_resources(j);
    return define(j, j->facts, WIRE_DEF_FACTS, strbuf_sv(s));
}

static void put_keyframe_node(struct journal *j, struct live_node *node, const struct dict *names,
                              const struct dict *facts)
{
    node->name = define(j, j->node_names, WIRE_DEF_NAME, names->at[node->name]);
    node->facts = define(j, j->facts, WIRE_DEF_FACTS, facts->at[node->facts]);
    if (put_op(j, WIRE_NODE, j->last_ms)) {
        wire_put(&j->out, node->name);
        wire_put(&j->out, node->facts);
    }
}

static void put_keyframe_pod(struct journal *j, struct live_pod *pod, uint64_t id_before,
                             const struct dict *names, const struct dict *facts)
{
    int64_t age_s = j->last_ms / 1000 - (int64_t)pod->created_s;

    pod->facts = define(j, j->facts, WIRE_DEF_FACTS, facts->at[pod->facts]);
    if (pod->node != NO_NODE)
        pod->node = define(j, j->node_names, WIRE_DEF_NAME, names->at[pod->node]);
    if (put_op(j, WIRE_FOUND, j->last_ms)) {
        wire_put_signed(&j->out, (int64_t)(pod->id - id_before));
        wire_put(&j->out, pod->facts);
        wire_put(&j->out, pod->node == NO_NODE ? 0 : (uint64_t)pod->node + 1);
        wire_put(&j->out,
                 (uint64_t)(age_s > 0 ? age_s : 0) * 2 + ((pod->flags & FLAG_UNSCHEDULABLE) != 0));
    }
}

/*
 * Begins a segment: fresh dictionaries that hold only what is in use, and a keyframe. `why`: 0 or 1 + enum gap_why. Indexes are
 * renewed even if the sink refuses, so that all that is kept agrees.
 */
static void begin_segment(struct journal *j, uint64_t why, int64_t now_ms)
{
    CLEANUP(dict_free_ptr) struct dict *names = j->node_names;
    CLEANUP(dict_free_ptr) struct dict *facts = j->facts;
    uint64_t id_before = 0;
    bool was_writing = j->writing;

    cut(j);
    if (was_writing && !j->writing && why == 0)
        why = 1 + GAP_LOST; /* the end of the old segment was refused */
    j->node_names = dict_new();
    j->facts = dict_new();
    j->resources_told = RESOURCE_FIRST_EXTENDED;
    j->segment++;
    j->segment_used = 0;
    j->chunk = 0;
    j->chunk_offset = 0;
    j->segment_first_ms = j->chunk_first_ms = j->last_ms = now_ms;
    j->writing = true;
    strbuf_clear(&j->out);
    if (put_op(j, WIRE_KEY, now_ms)) {
        wire_put(&j->out, why);
        wire_put(&j->out, j->next_id);
    }
    define_resources(j);
    map_clear(&j->by_name); /* keyed by names' indexes, which change */
    for (size_t i = 0; i < j->n_nodes; i++) {
        put_keyframe_node(j, &j->nodes[i], names, facts);
        map_put(&j->by_name, name_hash(j->nodes[i].name), (uint32_t)i);
    }
    for (size_t i = 0; i < j->n_pods; i++) {
        put_keyframe_pod(j, &j->pods[i], id_before, names, facts);
        id_before = j->pods[i].id;
    }
    (void)put_op(j, WIRE_KEY_END, now_ms);
    cut(j);
    j->keyframe_bytes = j->segment_used;
    j->stats.keyframe_bytes = j->keyframe_bytes;
}

/* Takes the time of an event: begins a segment where the old one is full, old, or ahead of the clock. */
static int64_t at_time(struct journal *j, int64_t now_ms)
{
    size_t full = j->segment_bytes > j->keyframe_bytes * JOURNAL_KEYFRAME_SHARE
                      ? j->segment_bytes
                      : j->keyframe_bytes * JOURNAL_KEYFRAME_SHARE;

    if (!j->writing)
        return now_ms;
    if (now_ms < j->last_ms - JOURNAL_CLOCK_SLACK_MS)
        begin_segment(j, 1 + GAP_CLOCK, now_ms);
    else if (j->segment_used + j->out.len > full || now_ms - j->segment_first_ms > j->segment_ms)
        begin_segment(j, 0, now_ms > j->last_ms ? now_ms : j->last_ms);
    return now_ms > j->last_ms ? now_ms : j->last_ms;
}

static void put_pod(struct journal *j, const struct live_pod *pod)
{
    wire_put(&j->out, j->next_id - 1 - pod->id);
}

static void drop_pod(struct journal *j, uint32_t index, int64_t t_ms)
{
    struct live_pod *pod = &j->pods[index];
    uint32_t last = (uint32_t)j->n_pods - 1;

    if (put_event(j, WIRE_GONE, t_ms))
        put_pod(j, pod);
    map_remove(&j->by_key, pod->key, index);
    if (index != last) {
        map_remove(&j->by_key, j->pods[last].key, last);
        *pod = j->pods[last];
        map_put(&j->by_key, pod->key, index);
    }
    j->n_pods--;
}

static void drop_node(struct journal *j, uint32_t index, int64_t t_ms)
{
    struct live_node *node = &j->nodes[index];
    uint32_t last = (uint32_t)j->n_nodes - 1;

    if (put_event(j, WIRE_NODE_GONE, t_ms))
        wire_put(&j->out, node->name);
    map_remove(&j->by_name, name_hash(node->name), index);
    if (index != last) {
        map_remove(&j->by_name, name_hash(j->nodes[last].name), last);
        *node = j->nodes[last];
        map_put(&j->by_name, name_hash(node->name), index);
    }
    j->n_nodes--;
}

void journal_list_begin(struct journal *j, enum journal_kind kind, int64_t now_ms)
{
    int64_t t_ms = at_time(j, now_ms);

    j->epoch[kind]++;
    if (put_event(j, WIRE_GAP, t_ms))
        wire_put(&j->out, GAP_RELIST);
}

void journal_list_end(struct journal *j, enum journal_kind kind, int64_t now_ms)
{
    int64_t t_ms = at_time(j, now_ms);
    bool began = j->listed[JOURNAL_PODS] && j->listed[JOURNAL_NODES];

    /* From the end: dropping moves the last one into the gap. */
    if (kind == JOURNAL_PODS) {
        for (size_t i = j->n_pods; i-- > 0;) {
            if (j->pods[i].epoch != j->epoch[kind])
                drop_pod(j, (uint32_t)i, t_ms);
        }
    } else {
        for (size_t i = j->n_nodes; i-- > 0;) {
            if (j->nodes[i].epoch != j->epoch[kind])
                drop_node(j, (uint32_t)i, t_ms);
        }
    }
    j->listed[kind] = true;
    if (!began && j->listed[JOURNAL_PODS] && j->listed[JOURNAL_NODES])
        begin_segment(j, 1 + GAP_START, now_ms);
}

static uint32_t add_pod(struct journal *j, const struct pod_record *pod, uint64_t key,
                        uint32_t facts, int64_t t_ms)
{
    int64_t created_s = pod->created.us / US_PER_S;
    int64_t age_s = t_ms / 1000 - created_s;
    struct live_pod p = {.key = key,
                         .id = j->next_id,
                         .facts = facts,
                         .node = NO_NODE,
                         .created_s =
                             created_s < 0 || created_s > UINT32_MAX ? 0 : (uint32_t)created_s};

    VEC_PUSH(j->pods, j->n_pods, j->cap_pods, p);
    map_put(&j->by_key, key, (uint32_t)j->n_pods - 1);
    j->next_id++;
    if (put_event(j, WIRE_CREATED, t_ms)) {
        wire_put(&j->out, facts);
        wire_put(&j->out, (uint64_t)(age_s > 0 ? age_s : 0));
    }
    return (uint32_t)j->n_pods - 1;
}

/* A DaemonSet's controller and a kubelet (of its static pods' mirrors) choose the node themselves. */
static bool is_tied(const struct pod_record *pod)
{
    return sv_eq(pod->owner_kind, SV("DaemonSet")) || sv_eq(pod->owner_kind, SV("Node"));
}

static uint32_t facts_of_pod(struct journal *j, const struct pod_record *pod, bool filler,
                             bool ignored)
{
    unsigned flags = (filler ? WIRE_FILLER : 0U) |
                     (pod->preempts_never ? WIRE_PREEMPTS_NEVER : 0U) |
                     (ignored ? WIRE_IGNORED : 0U) | (pod->gated ? WIRE_GATED : 0U) |
                     (is_tied(pod) ? WIRE_TIED : 0U);

    return define_facts(j, flags, pod->priority, &pod->request);
}

void journal_pod(struct journal *j, const struct pod_record *pod, bool filler, bool ignored,
                 int64_t now_ms)
{
    uint64_t key = fold(pod->uid);
    uint32_t index, facts, node;
    struct live_pod *p;
    int64_t t_ms;

    if (pod->phase == PHASE_SUCCEEDED || pod->phase == PHASE_FAILED) {
        journal_pod_gone(j, pod->uid, now_ms);
        return;
    }
    t_ms = at_time(j, now_ms);
    facts = facts_of_pod(j, pod, filler, ignored);
    node = pod->node.len != 0 ? define_name(j, pod->node) : NO_NODE;
    index = map_find(&j->by_key, key, &key);
    if (index == MAP_NONE)
        index = add_pod(j, pod, key, facts, t_ms);
    p = &j->pods[index];
    p->epoch = j->epoch[JOURNAL_PODS];
    if (p->facts != facts) {
        p->facts = facts;
        if (put_event(j, WIRE_CHANGED, t_ms)) {
            put_pod(j, p);
            wire_put(&j->out, facts);
        }
    }
    if (node != NO_NODE && node != p->node) {
        p->node = node;
        p->flags &= (uint8_t)~FLAG_UNSCHEDULABLE;
        if (put_event(j, WIRE_BOUND, t_ms)) {
            put_pod(j, p);
            wire_put(&j->out, node);
        }
    }
    if (pod->unschedulable && p->node == NO_NODE && (p->flags & FLAG_UNSCHEDULABLE) == 0) {
        p->flags |= FLAG_UNSCHEDULABLE;
        if (put_event(j, WIRE_UNSCHEDULABLE, t_ms))
            put_pod(j, p);
    }
}

void journal_pod_gone(struct journal *j, struct uid uid, int64_t now_ms)
{
    int64_t t_ms = at_time(j, now_ms);
    uint64_t key = fold(uid);
    uint32_t index = map_find(&j->by_key, key, &key);

    if (index != MAP_NONE)
        drop_pod(j, index, t_ms);
}

void journal_node(struct journal *j, const struct node_record *node, int64_t now_ms)
{
    int64_t t_ms = at_time(j, now_ms);
    unsigned flags = (node->unschedulable ? WIRE_CORDONED : 0U) | (node->ready ? WIRE_READY : 0U);
    uint32_t facts = define_facts(j, flags, 0, &node->allocatable);
    uint32_t name = define_name(j, node->name);
    uint32_t index = map_find(&j->by_name, name_hash(name), &name);

    if (index == MAP_NONE) {
        index = (uint32_t)j->n_nodes;
        VEC_PUSH(j->nodes, j->n_nodes, j->cap_nodes,
                 ((struct live_node){.name = name, .facts = UINT32_MAX}));
        map_put(&j->by_name, name_hash(name), index);
    }
    j->nodes[index].epoch = j->epoch[JOURNAL_NODES];
    if (j->nodes[index].facts == facts)
        return;
    j->nodes[index].facts = facts;
    if (put_event(j, WIRE_NODE, t_ms)) {
        wire_put(&j->out, name);
        wire_put(&j->out, facts);
    }
}

void journal_node_gone(struct journal *j, struct sv name, int64_t now_ms)
{
    int64_t t_ms = at_time(j, now_ms);
    uint32_t index = dict_find(j->node_names, cut_name(name));

    if (index != MAP_NONE)
        index = map_find(&j->by_name, name_hash(index), &index);
    if (index != MAP_NONE)
        drop_node(j, index, t_ms);
}

void journal_cut(struct journal *j, int64_t now_ms)
{
    size_t keyframe = j->n_pods * KEYFRAME_POD_BYTES + JOURNAL_CHUNK_BYTES, room;

    if (!j->listed[JOURNAL_PODS] || !j->listed[JOURNAL_NODES])
        return;
    if (j->writing) {
        cut(j);
        return;
    }
    room = j->sink.room(j->sink.self);
    if (room >= keyframe || room >= j->sink.limit)
        begin_segment(j, 1 + GAP_LOST, now_ms);
}

struct journal_stats journal_stats(const struct journal *j)
{
    struct journal_stats stats = j->stats;

    stats.pods = j->n_pods;
    stats.nodes = j->n_nodes;
    stats.losing = j->listed[JOURNAL_PODS] && j->listed[JOURNAL_NODES] && !j->writing;
    return stats;
}

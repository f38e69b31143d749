/*
 * journal: the event journal's writing end. It is shown every pod and node as it comes from the watches, keeps what it last told of
 * each (about 40 bytes a live pod), and packs what changed into about 4 bytes an event (wire.h).
 *
 * Nothing is told until pods and nodes have been listed once; then a segment begins with a keyframe. A relist is a mark and
 * sweep like cluster.h's: what the list does not name is gone.
 *
 * No I/O and no clock: packed bytes leave in pieces through a sink, which must not block. A piece that the sink refuses is lost, and what
 * follows would not make sense without it: events are then counted as lost until the sink has room again, and a new segment begins with
 * a gap. Each event is O(1); a keyframe is O(live pods), about 30 ns each, once a segment.
 *
 * Times are wall time in ms and never fall within a segment: what is up to JOURNAL_CLOCK_SLACK_MS late gets the time of the last
 * event, a greater jump back begins a segment with a gap.
 */
#ifndef BRIM_STORAGE_JOURNAL_H
#define BRIM_STORAGE_JOURNAL_H

#include <stddef.h>

#include "base/attr.h"
#include "capacity/records.h"
#include "storage/event.h"

enum {
    JOURNAL_CHUNK_BYTES = 16 << 10,
    JOURNAL_SEGMENT_BYTES = 2 << 20,
    JOURNAL_CLOCK_SLACK_MS = 2000,
    /* A segment is at least this many times its keyframe, so that keyframes cost at most a fifth. */
    JOURNAL_KEYFRAME_SHARE = 4,
};
#define JOURNAL_SEGMENT_MS (INT64_C(7) * 24 * 3600 * 1000)

/* Bytes of one chunk, on the heap, freed with free(). Segments count from 1 in this process, chunks from 0 in their segment. */
struct journal_piece {
    uint64_t segment;
    uint32_t chunk;
    size_t offset;    /* where in the chunk the bytes belong */
    int64_t first_ms; /* the chunk's time */
    int64_t last_ms;  /* of the last record */
    uint32_t events;
    size_t len;
    char bytes[];
};

struct journal_sink {
    /* Takes the piece over and returns true, or leaves it and returns false. */
    bool (*take)(void *self, struct journal_piece *piece);
    /* How many bytes it would take now. */
    size_t (*room)(void *self);
    void *self;
    size_t limit; /* the most that room() ever says */
};

struct journal_stats {
    uint64_t events, bytes; /* told, and the bytes that left with them */
    uint64_t lost;          /* events that were not told */
    uint64_t keyframe_bytes;
    size_t pods, nodes;
    bool losing; /* waits for room */
};

struct journal;

/* `names`: of extended resources, borrowed, as the records use them. */
struct journal *journal_new(const struct resource_names *names, const struct journal_sink *sink);
void journal_free(struct journal *j);
DEFINE_FREE_PTR(struct journal, journal)

/* For tests and small quotas: other limits than JOURNAL_SEGMENT_*. */
void journal_set_segment(struct journal *j, size_t bytes, int64_t ms);

enum journal_kind { JOURNAL_PODS, JOURNAL_NODES, JOURNAL_KIND_COUNT_ };

/* A list begins; what it names is shown as usual; it ends, and the rest is gone. */
void journal_list_begin(struct journal *j, enum journal_kind kind, int64_t now_ms);
void journal_list_end(struct journal *j, enum journal_kind kind, int64_t now_ms);

/* A pod as it is now. A finished one is gone. `ignored`: makes no claim while it waits. */
void journal_pod(struct journal *j, const struct pod_record *pod, bool filler, bool ignored,
                 int64_t now_ms);
void journal_pod_gone(struct journal *j, struct uid uid, int64_t now_ms);
void journal_node(struct journal *j, const struct node_record *node, int64_t now_ms);
void journal_node_gone(struct journal *j, struct sv name, int64_t now_ms);

/* Hands over what was packed so far; call it at least every 10 s. Also what begins again after a loss. */
void journal_cut(struct journal *j, int64_t now_ms);

struct journal_stats journal_stats(const struct journal *j);

#endif

/*
 * room_view: what every node has free at one moment, and who may go there, as an immutable value that
 * the serve thread counts pods into (capacity/room.h). A board's (board.h): a new one at most every
 * ROOM_VIEW_EVERY_US, none once nobody has asked for ROOM_VIEW_ASKED_US.
 *
 * Labels and taints are the cluster's own (cluster_node_hold()), so that a view of 5,000 nodes costs
 * 24 bytes a node, 16 for each resource, and the names. It is freed on the loop's thread, before the
 * cluster is.
 */
#ifndef BRIM_AGENT_ROOM_VIEW_H
#define BRIM_AGENT_ROOM_VIEW_H

#include "agent/board.h"
#include "base/strbuf.h"
#include "capacity/cluster.h"
#include "capacity/room.h"

#define ROOM_VIEW_EVERY_US (1 * US_PER_S)
#define ROOM_VIEW_ASKED_US (60 * US_PER_S)

enum { ROOM_VIEW_MAX_NAMES = 256 << 20 };

enum room_when {
    ROOM_NOW,            /* allocatable - paid - filler: what kube-scheduler finds now */
    ROOM_WITHOUT_FILLER, /* allocatable - paid - claims of paid pods that wait - filler that nobody
                            here drives (cluster_set_apart()) */
    ROOM_WHEN_COUNT_
};

struct room_row {
    struct kept_node *kept;
    uint32_t name_at, name_len;
    bool cordoned;
};

struct room_view {
    struct board_value value; /* first */
    struct wall at;
    struct resource_names names;
    size_t n;
    struct room_row *rows;
    int64_t *amounts; /* by row, by when, by place */
    struct strbuf text;
    struct cluster *cluster;
};

/* All nodes whose facts are known. O(nodes x resources). On the loop's thread. */
struct room_view *room_view_new(struct cluster *c);
void room_view_unref(struct room_view *v); /* NULL is fine */

struct sv room_view_name(const struct room_view *v, size_t row);
/* The rows' answers, one behind another, each by when. */
typedef struct room_here room_heres[ROOM_WHEN_COUNT_];

/* Counts pods into all rows, and tells of each in `ret_rows` (v->n of them; NULL: not). Of a place
 * that has no name no node has anything. O(nodes x (labels + taints + resources)). */
void room_view_count(const struct room_view *v, const struct room_shape *shape,
                     struct room_count ret_count[static ROOM_WHEN_COUNT_], room_heres *ret_rows);

#endif

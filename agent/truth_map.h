/*
 * truth_map: carries what the leader decided (truth.h) from replica to replica, by a ConfigMap beside the Lease: member
 * `status` of NAMESPACE/NAME-status, where the Lease is NAMESPACE/NAME.
 *
 * Who leads reads it once, for what it takes over, then writes it when what it would tell has changed, at most every
 * TRUTH_WRITE_US, and every TRUTH_REFRESH_US though nothing has: so that others know that it lives. Who does not lead reads it
 * every TRUTH_READ_US. Requests go over the pool, where no scale waits for them, and writes through the client's fence.
 *
 * What was read counts if its writer holds the Lease, or if it was seen to change; and for TRUTH_OLD_US from when it last
 * changed, by the reader's clock: other machines' clocks do not count.
 */
#ifndef BRIM_AGENT_TRUTH_MAP_H
#define BRIM_AGENT_TRUTH_MAP_H

#include "agent/elect.h"
#include "agent/kube/client.h"
#include "agent/truth.h"

#define TRUTH_WRITE_US   (2 * US_PER_S)
#define TRUTH_READ_US    (1 * US_PER_S)
#define TRUTH_REFRESH_US (20 * US_PER_S)
#define TRUTH_OLD_US     (60 * US_PER_S)

struct truth_map_options {
    struct sv ns, lease; /* of the Lease; copied, as is the next */
    const char *url;     /* where people reach this replica; NULL: nowhere */
    struct elect *elect; /* borrowed, as is the next */
    struct snapshot_slot *slot;
};

struct truth_map_handler {
    /* Something else was read. */
    void (*changed)(void *self);
    void (*found)(void *self, const char *policy, struct truth_found *ret_found);
    void *self;
};

struct truth_map;

/* The client is borrowed. Begins at once. */
struct truth_map *truth_map_new(struct client *client, const struct truth_map_options *options,
                                const struct truth_map_handler *handler);
void truth_map_free(struct truth_map *m);

/* What was read last, or written by this replica, and counts or did once; NULL: nothing. Valid until something else is. */
const struct truth *truth_map_told(const struct truth_map *m);

/* Puts it in the place of what the snapshot of a replica that stands by says. */
void truth_map_show(const struct truth_map *m, struct snapshot *s);

#endif

/*
 * elect: takes part in the election of the one that leads (kube/lease.h), on the loop.
 *
 * Renewals go over the control channel, as the writes do that they are for. While this process leads the handler was told so;
 * when it does not any longer it is told at once: by a timer, or, where the process was stopped or the machine slept, by
 * elect_check(), which is to be called first in each turn (loop_at_begin()). elect_leads() is asked before each write besides
 * and reads the clock.
 *
 * What goes wrong with the Lease is told in the log once, and once when it is well again.
 */
#ifndef BRIM_AGENT_ELECT_H
#define BRIM_AGENT_ELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/client.h"
#include "agent/kube/lease.h"
#include "base/clock.h"

/* How long an end waits for writes that are under way, and then for the Lease to be given back. */
#define ELECT_DRAIN_US   (1 * US_PER_S)
#define ELECT_RELEASE_US (2 * US_PER_S)

struct elect_options {
    struct sv ns, name; /* of the Lease */
    const char *identity;
    uint64_t seed;
    struct clock clock; /* asked anew each time, not once a turn */
};

struct elect_handler {
    /* Never from inside elect_new(). */
    void (*changed)(void *self, bool leads);
    void *self;
};

struct elect;

/* "NAMESPACE/NAME" of a Lease; two DNS names, of which nothing is copied. */
bool elect_parse_name(struct sv text, struct sv *ret_ns, struct sv *ret_name,
                      struct err *err) MUST_CHECK;
/* A name for this process alone: the host's, and 64 random bits. */
void elect_make_identity(char identity[static LEASE_MAX_NAME]);

/* Begins at once; everything is copied but the client, which is borrowed. */
struct elect *elect_new(struct client *client, const struct elect_options *options,
                        const struct elect_handler *handler);
void elect_free(struct elect *e);

/* May this process write now? */
bool elect_leads(const struct elect *e);
void elect_check(struct elect *e);

const char *elect_identity(const struct elect *e);
/* Who leads as far as is known, this process or another; NULL: nobody. */
const char *elect_holder(const struct elect *e);

/* Leads no more from now on; waits for the answers to writes under way, gives the Lease back, and calls done(): after
 * ELECT_DRAIN_US + ELECT_RELEASE_US at the latest, never from inside. Once. */
void elect_release(struct elect *e, void (*done)(void *self), void *self);

#endif

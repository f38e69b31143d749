/*
 * wire: builds the agent's parts, joins them, and takes them apart again.
 *
 * Order of a start: the serve thread answers at once (/livez ok, /readyz not yet); the API server's
 * version tells how pods are counted; then nodes are listed and the policies' targets are read; with
 * their selectors known, pods are listed. From the moment both lists are complete the controllers
 * work. An API server that cannot be reached is tried again for ever, with a growing pause. Where
 * there is no policy yet pods are listed at once, and again for each policy that comes.
 */
#ifndef BRIM_AGENT_WIRE_H
#define BRIM_AGENT_WIRE_H

#include <stdbool.h>

#include "agent/kube/config.h"
#include "agent/policy_files.h"
#include "agent/secure.h"
#include "base/err.h"
#include "policy/policy.h"
#include "storage/history.h"

struct agent_options {
    struct kube_config_options kube;
    const char *listen;
    struct secure_options secure;
    const char *db;              /* the history's file; NULL: no history */
    struct history_keep keep;    /* how long it is kept (recorder_new()) */
    const char *policy;          /* where policies are read and followed; NULL: `policies` it is */
    struct policy_list policies; /* taken over, as is the next */
    struct policy_texts stored;  /* the last good text, for files that are broken */
    const char *lease;     /* "NAMESPACE/NAME" by which replicas elect who leads; NULL: none do */
    const char *advertise; /* where people reach this replica; NULL: nowhere */
    bool dry_run;
    unsigned metrics_groups; /* which metrics APIs are served: bits 1 << enum metrics_group */
    uint64_t seed;           /* of what watches choose at random; 0: another one for each process */
};

struct agent;

/* Builds it and asks the API server for its version: what follows comes as the loop turns. The
 * options must live as long; of what it took over nothing is left where this fails. */
bool agent_new(struct agent_options *options, struct agent **ret_agent, struct err *err) MUST_CHECK;
/* Filler stays as it is. */
void agent_free(struct agent *a);
DEFINE_FREE_PTR(struct agent, agent)

/* The same with a loop that runs until SIGTERM or SIGINT. False if it could not begin. */
bool agent_run(struct agent_options *options, struct err *err) MUST_CHECK;

#endif

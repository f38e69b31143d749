/*
 * core: the whole agent as agent_new() builds it, beside the pocket cluster's API, in virtual time, over a transport of which
 * one call fails as it is told. Left out are what has threads of its own (history, HTTP server) and libcurl.
 *
 * The cluster is scenarios/faults.yaml, and this happens to it: after 30 s the web application grows by 6 cores, after 45 s a
 * node is cordoned, after 55 s it is back, after 60 s the application is small again. The policy keeps 2 of 24 cores free.
 *
 * After every step is asserted: the agent's cluster equals its own recount; each growth that was written fits beside what the
 * API server's own pods take, at that moment or a second before; nothing grows on facts that are older than stale.after.
 */
#ifndef BRIM_TESTS_CORE_H
#define BRIM_TESTS_CORE_H

#include "agent/turn.h"
#include "agent/wire.h"
#include "tests/pocket/api.h"
#include "tests/pocket/scenario.h"
#include "tests/unit/agent/fake_machine.h"
#include "tests/unit/policy/random.h"

/* How a call fails. */
enum core_fault {
    CORE_REFUSED,   /* no connection */
    CORE_LOST,      /* carried out, but the connection breaks before the answer */
    CORE_HALF,      /* the same, in the middle of the answer */
    CORE_HANGS,     /* carried out, and no answer until the time allowed is over */
    CORE_BROKEN,    /* 500 */
    CORE_THROTTLED, /* 429 with Retry-After: 2 */
    CORE_FORBIDDEN, /* 403 */
    CORE_GONE,      /* 410 */
    CORE_OUTAGE,    /* this call and the 19 behind it are refused */
    CORE_FAULT_COUNT_
};
const char *core_fault_name(enum core_fault fault);

enum { CORE_MAX_STREAMS = 16, CORE_MAX_WRITES = 64, CORE_FITS = 10, CORE_MAX_SLOW = 64 };

struct core_write {
    int64_t at_us; /* since the start */
    int64_t to;
};

/* A patch of the scale on its way: the server has it, whatever becomes of who sent it. */
struct core_slow {
    int number; /* of the transfer; 0: free */
    char *method, *path, *accept, *content_type, *body;
    struct mono due, answer_due, given_up;
    bool carried_out;
    struct api_answer answer; /* if it was */
};

struct core_stream {
    int number; /* of the transfer; 0: free */
    struct stream *stream;
    bool breaks; /* in the middle of what comes first */
};

struct core {
    struct fake fake;
    struct fake_machine machine;
    struct agent_options options;
    struct agent *agent;

    struct world *world;
    struct scenario *scenario;
    struct api api;
    struct core_stream streams[CORE_MAX_STREAMS];
    struct mono began;
    size_t done_steps; /* of what happens to the cluster */

    int failing; /* the call that fails, from 1; 0: none */
    enum core_fault fault;
    bool failed;       /* it did */
    struct mono hangs; /* until then; 0: nothing does */
    int hanging;       /* that call */
    struct mono heard; /* when a list or watch last brought anything */
    int64_t fit;       /* room for filler now, as of this version of the store */
    uint64_t fit_version;
    int64_t fits[CORE_FITS]; /* of each step of the last second */
    size_t n_fits;

    /* Each patch of the scale takes up to so long to be carried out, and as long again to be
     * answered; 0: no time. */
    int64_t slow_us;
    struct random *random;
    struct core_slow slow[CORE_MAX_SLOW];

    /* Writes of the scale that were carried out. */
    struct core_write writes[CORE_MAX_WRITES];
    size_t n_writes;
};

void core_init(struct core *c);
void core_done(struct core *c);

/* Lets time pass: 100 ms, with all that comes of it. */
void core_step(struct core *c);
/* Somebody sets the replicas of the web application. */
void core_scale_web(struct core *c, int64_t replicas);
/* ... or the filler's. */
void core_scale_filler(struct core *c, int64_t replicas);
/* The agent ends, whatever it has on its way, and begins anew. */
void core_restart(struct core *c);
/* Patches of the scale that were not carried out yet. */
size_t core_slow_count(const struct core *c);
/* The only filler, as the agent has it; NULL until the API server's release is known. */
const struct turn_filler *core_filler(const struct core *c);
/* Lets a whole run pass, until nothing more is to come. Asserts that there is an end. */
void core_run(struct core *c);

/* What the run has come to: the target's replicas. */
int64_t core_replicas(const struct core *c);
/* Asserts that agent and server agree on every pod and core, and that the filler runs. */
void core_check_end(struct core *c);

#endif

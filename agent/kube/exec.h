/*
 * exec: credentials from a program, kept and asked for again in time. Says when it is to be run; exec_run.h runs it.
 *
 * One run at a time. It is run when somebody asks and
 *   - there are no credentials yet, or they are past their expirationTimestamp (that without one never are);
 *   - the server refused the ones at hand (401): see `newer_than`;
 *   - they end within EXEC_EARLY_US, or within the last quarter of their life if that is less: then the old ones go on being
 *     used meanwhile, so that no request has to wait for a program that ends in time.
 * EXEC_GAP_US lie between two runs at least, and after runs that failed one second, doubled each time up to EXEC_PAUSE_MAX_US;
 * who asks meanwhile is told the last failure. The credentials are written into the config. The rules are those of
 * k8s.io/client-go/plugin/pkg/client/auth/exec, which however runs the program late, for each request and without pauses.
 */
#ifndef BRIM_AGENT_KUBE_EXEC_H
#define BRIM_AGENT_KUBE_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/config.h"
#include "agent/kube/exec_run.h"
#include "agent/kube/timers.h"

#define EXEC_EARLY_US     (60 * US_PER_S)
#define EXEC_GAP_US       (10 * US_PER_S)
#define EXEC_PAUSE_US     (1 * US_PER_S)
#define EXEC_PAUSE_MAX_US (30 * US_PER_S)

struct exec;

enum exec_state {
    EXEC_READY,   /* the config holds credentials that can be used */
    EXEC_WAIT,    /* it runs: ask again when told */
    EXEC_FAILED,  /* the last run did, and it is too early for another */
    EXEC_REFUSED, /* these are new, and there will be no others soon */
};

/* A run ended, well or not: who waited may ask again. new_certificate: connections made with the old one are no longer ours. */
typedef void exec_told_fn(void *self, bool new_certificate);

/* `config` (with its exec) and `timers` are borrowed. */
struct exec *exec_new(struct kube_config *config, const struct exec_runner *runner,
                      const struct timers *timers, exec_told_fn *fn, void *self);
void exec_free(struct exec *e); /* kills what runs; NULL is fine */

/* Counts the credentials that were got; 0: none yet. */
uint64_t exec_generation(const struct exec *e);

/*
 * May a request be made? Starts a run if one is due; nobody is told from inside. `newer_than`: the generation that the server
 * refused, 0: none. *err is set with EXEC_FAILED.
 */
enum exec_state exec_ask(struct exec *e, uint64_t newer_than, struct err *err);

#endif

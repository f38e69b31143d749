/*
 * report_desk: makes reports for the server, one after the other, each in a process of its own (`brim report`), so that neither the
 * loop nor other requests wait for the disk, and whatever a report costs or breaks ends with that process.
 *
 * The child has a low priority, REPORT_DESK_LIMIT_S of time and REPORT_DESK_MAX_BODY bytes to answer in. At most REPORT_DESK_MAX_JOBS
 * wait; more are refused at once. What is asked for reaches the child as flags whose names are ours: policy, by, since, until, zone,
 * compare, target, price, advice=1, groups=1 and format (html, json, csv, wide or table). Other parameters are left out.
 */
#ifndef BRIM_AGENT_SERVE_REPORT_DESK_H
#define BRIM_AGENT_SERVE_REPORT_DESK_H

#include <stddef.h>

#include "agent/serve/routes.h"
#include "base/err.h"

enum {
    REPORT_DESK_LIMIT_S = 60,
    REPORT_DESK_MAX_JOBS = 8,
    REPORT_DESK_MAX_BODY = 32 << 20,
};

struct report_desk;
struct report_job;

/* Starts its thread. `program` is run for each report, NULL: this one; `db` is the history. Both are copied. ERR_SYSTEM. */
bool report_desk_new(const char *program, const char *db, struct report_desk **ret_desk,
                     struct err *err) MUST_CHECK;
/* Ends what runs and what waits, each with its answer (503); what is asked for later is refused. */
void report_desk_stop(struct report_desk *d);
/* Stops it and frees. No job may be left. NULL is allowed. */
void report_desk_free(struct report_desk *d);

/* `done` is called once, from any thread, as soon as there is an answer; perhaps before this returns. */
struct report_job *report_desk_ask(struct report_desk *d, const struct routes_param *params,
                                   size_t n_params, void (*done)(void *self), void *self);

/* After `done`: the answer, whose body is the caller's. */
void report_job_take(struct report_job *job, struct routes_answer *ret_answer);
/* After `done`. NULL is allowed. */
void report_job_free(struct report_job *job);

#endif

/*
 * routes: what the agent answers to an HTTP request. Pure: request, snapshot and time in, status
 * and body out.
 *
 *     /                      a list of the addresses below
 *     /metrics               Prometheus text or OpenMetrics, as Accept asks
 *     /livez                 200 while the loop turns, else 503 and for how long it has not
 *     /readyz                200 once pods and nodes are listed, else 503 and what is missing;
 *                            ?verbose lists every check
 *     /api/v1/status         JSON (status_json.h); ?policy=NAME for one filler
 *     /api/v1/decisions      JSON, newest first; ?limit=1..500 (50), ?before=ID, ?policy=NAME,
 *                            ?reason=NAME
 *     /api/v1/decisions/ID   one of them
 *     /report                HTML, ?format=json, csv, table or wide; ?policy=NAME, by, since, until, zone, compare, target,
 *                            price, advice=1 as the flags of `brim report`; made elsewhere (report_desk.h); 404 without history;
 *                            of a replica that stands by 307 to the one that leads, where its address is known
 *     /api/v1/nodes          JSON (nodes_json.h); ?names=1 with their names; 503 while there is none
 *                            (awaits)
 *     /api/v1/openapi.json   JSON: the OpenAPI document of all these but /apis (openapi.h)
 *     /api/v1/room           JSON: how many pods like this one would fit (room_api.h); 503 alike
 *
 *     /apis/...              the metrics APIs of Kubernetes (metrics/metrics_api.h), as far as they were
 *                            turned on
 *
 * Only GET and HEAD (else 405). Errors below /api and /apis are JSON in the form of a Kubernetes Status.
 * When the server listens on a loopback address, /api, /apis and /report answer only requests whose Host
 * names that machine, so that a web page that makes its own name point to 127.0.0.1 cannot read it (DNS
 * rebinding).
 */
#ifndef BRIM_AGENT_SERVE_ROUTES_H
#define BRIM_AGENT_SERVE_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/serve/process.h"
#include "agent/snapshot.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "base/sv.h"

enum {
    ROUTES_MAX_BODY = 8 << 20, /* thousands of policies; never reached by the others */
    ROUTES_MAX_PARAMS = 16,
    ROUTES_MAX_DECISIONS = 500,
};

/* The loop makes a snapshot every 5 s at least: with one as old as this it hangs, and a restart
 * is the cure. */
#define ROUTES_DEAD_US (60 * US_PER_S)

/* One `key=value` of the query, percent-decoded. */
struct routes_param {
    struct sv key, value;
};

struct routes_request {
    struct sv method, path; /* path: percent-decoded, without query */
    const struct routes_param *params;
    size_t n_params;
    bool more_params;                      /* there were more, which were left out */
    struct sv accept, host, if_none_match; /* headers; empty where absent */
    bool loopback;                         /* the server listens on a loopback address */
    struct sv listen_host;                 /* that address as it was given, without port */
    struct mono now;
    struct wall now_wall;
    const struct process_figures *process;
    struct boards *boards;   /* of the snapshots' slot */
    bool has_reports;        /* a history is kept, and a desk is there */
    unsigned metrics_groups; /* that are turned on: bits 1 << enum metrics_group */
};

struct routes_answer {
    int status;
    const char *content_type;
    char location[1024]; /* the Location header of a 307; "": none */
    const char *allow;   /* the Allow header of a 405, else NULL */
    char etag[20];       /* with its quotes; "": none */
    bool vary_accept;    /* another Accept may get another body */
    int retry_after_s;   /* the Retry-After header of a 503; 0: none */
    struct strbuf body;  /* the caller's to strbuf_done(); empty with a 304 alone */
    bool wants_report;   /* the answer is to come from the desk; the rest means nothing */
    /* Of a 503 that may become a better answer: whoever can wait for the board asks again then. */
    struct board *awaits; /* NULL: none */
};

/* Always answers. `s` may be NULL: no turn has ended yet. */
void routes_answer(const struct routes_request *rq, const struct snapshot *s,
                   struct routes_answer *ret_answer);

#endif

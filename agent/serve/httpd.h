/*
 * httpd: serves routes.h over plain HTTP, on a thread of its own. The only user of libmicrohttpd.
 *
 * Shares nothing with the loop but the snapshot's slot. Limits, so that no client can hurt:
 * HTTPD_MAX_CONNECTIONS in all, HTTPD_MAX_PER_ADDRESS from one address (loopback apart:
 * port-forward brings all its viewers from there), HTTPD_MEMORY bytes for a request's line and
 * headers, HTTPD_TIMEOUT_S for a connection on which nothing moves. Bodies of requests are not
 * read.
 *
 * From HTTPD_CROWDED connections on, each new one ends the one that has been idle longest (no
 * request under way), so that thousands of idle ones cannot keep a probe or a scrape out. Who is
 * cut off that way connects again, as after any idle timeout.
 */
#ifndef BRIM_AGENT_SERVE_HTTPD_H
#define BRIM_AGENT_SERVE_HTTPD_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/snapshot.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/sv.h"

#define HTTPD_DEFAULT_LISTEN "127.0.0.1:8090"

enum {
    HTTPD_MAX_CONNECTIONS = 512,
    /* The library takes in a few at once before it closes those that were ended: room for them. */
    HTTPD_CROWDED = HTTPD_MAX_CONNECTIONS - 128,
    HTTPD_MAX_PER_ADDRESS = 64,
    HTTPD_MEMORY = 32 << 10,
    HTTPD_TIMEOUT_S = 30
};

struct httpd;

/*
 * Binds and starts to serve. `listen` is ADDRESS:PORT: "127.0.0.1:8090", "[::1]:8090",
 * "localhost:8090", ":8090" for every address of the machine; port 0 takes a free one. Errors:
 * ERR_INPUT (listen), ERR_SYSTEM (it cannot be bound). `clock` is asked from the server's thread;
 * `slot` must live until httpd_stop().
 */
bool httpd_start(const char *listen, struct snapshot_slot *slot, struct clock clock,
                 struct httpd **ret_httpd, struct err *err) MUST_CHECK;

/* From now on /report answers, out of the history at `db`; `program` as in report_desk.h. At most once. */
bool httpd_serve_reports(struct httpd *h, const char *program, const char *db,
                         struct err *err) MUST_CHECK;

/* From now on these of the metrics APIs answer: bits 1 << enum metrics_group. Before, none does. */
void httpd_serve_metrics(struct httpd *h, unsigned groups);

/* The port that is bound. */
uint16_t httpd_port(const struct httpd *h);

/* Is it reachable from this machine alone? */
bool httpd_loopback(const struct httpd *h);

/* Ends the thread, closes all connections and frees. Takes NULL. */
void httpd_stop(struct httpd *h);

#endif

/*
 * httpd: serves routes.h over HTTP, on threads of its own: one for the plain port, which is for this
 * machine alone, one for the TLS port, if there is one. The only user of libmicrohttpd.
 *
 * Shares nothing with the loop but the snapshot's slot. Limits, so that no client can hurt: at each
 * port LINES_MAX connections in all, LINES_MAX_PER_ADDRESS from one address (lines.h),
 * HTTPD_MEMORY bytes for a request's line and headers, HTTPD_TIMEOUT_S for a connection on which
 * nothing moves, over TLS HTTPD_LIFETIME_US for any: the first answer after that ends it. Bodies of
 * requests are not read. Who is cut off connects again, as after any idle timeout.
 */
#ifndef BRIM_AGENT_SERVE_HTTPD_H
#define BRIM_AGENT_SERVE_HTTPD_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/serve/tls.h"
#include "agent/snapshot.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/sv.h"

#define HTTPD_DEFAULT_LISTEN "127.0.0.1:8090"

enum { HTTPD_MEMORY = 32 << 10, HTTPD_TIMEOUT_S = 30 };

#define HTTPD_LIFETIME_US (600 * US_PER_S)

struct httpd;

/*
 * Binds a loopback address (listen.h) and starts to serve plain HTTP. Errors: ERR_INPUT (listen),
 * ERR_SYSTEM (it cannot be bound). `clock` is asked from the server's threads; `slot` must live
 * until httpd_stop().
 */
bool httpd_start(const char *listen, struct snapshot_slot *slot, struct clock clock,
                 struct httpd **ret_httpd, struct err *err) MUST_CHECK;

/* Serves the same over TLS as well, at any address; at most once. `tls` is borrowed and must live
 * until httpd_stop(). Errors as above. */
bool httpd_serve_secure(struct httpd *h, const char *listen, struct tls *tls,
                        struct err *err) MUST_CHECK;

/* From now on /report answers, out of the history at `db`; `program` as in report_desk.h. At most once. */
bool httpd_serve_reports(struct httpd *h, const char *program, const char *db,
                         struct err *err) MUST_CHECK;

/* From now on these of the metrics APIs answer: bits 1 << enum metrics_group. Before, none does. */
void httpd_serve_metrics(struct httpd *h, unsigned groups);

/* The ports that are bound; 0: there is no TLS port. */
uint16_t httpd_port(const struct httpd *h);
uint16_t httpd_secure_port(const struct httpd *h);

/* Ends the threads, closes all connections and frees. Takes NULL. */
void httpd_stop(struct httpd *h);

#endif

/*
 * prom: questions to a Prometheus, or to what speaks its HTTP API (Thanos, Mimir, VictoriaMetrics), for commands: each call waits
 * for its answer and hands the series out as they come in (promread.h).
 *
 * The address may have a path in front: http://mimir/prometheus. Who asks: a token or USER:PASSWORD, each from a file, so that
 * neither shows in a list of processes; they go over https, and over http to this machine alone. A file of headers ("Name: value",
 * one a line) holds what else the server wants, as a tenant's X-Scope-OrgID. Proxies are the environment's (kube/proxy.h).
 *
 * Errors: ERR_LIMIT is what a smaller question may mend: too many samples, or too long at it (422 of type "execution", 413, 503
 * with an error of Prometheus, 504, a time-out); ERR_AUTH, ERR_FORBIDDEN, ERR_THROTTLED; ERR_SERVER: any other 5xx; ERR_INPUT: the
 * server did not understand the question; ERR_NETWORK; ERR_PROTOCOL: nothing speaks the API at this address. The text is the
 * server's own, with its type in front.
 */
#ifndef BRIM_AGENT_PROM_PROM_H
#define BRIM_AGENT_PROM_PROM_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/config.h"
#include "agent/kube/transport.h"
#include "agent/loop.h"
#include "agent/prom/promread.h"

/* Prometheus gives up on a query after 2 min (--query.timeout); who is in front of it may take a little longer. */
#define PROM_TIMEOUT_US (150 * US_PER_S)
/* A series may have so many points (Prometheus, web/api/v1: maxPoints). */
enum { PROM_MAX_POINTS = 11000, PROM_MAX_QUERY = 64 << 10 };

/* NULL: not given. */
struct prom_options {
    const char *url;
    const char *token_file, *basic_file, *ca_file, *headers_file;
};

struct prom {
    struct loop *loop;
    struct kube_config config; /* as the transport wants it; it holds token and authority */
    struct transport_curl *curl;
    char *basic;         /* header line, or NULL */
    struct strbuf lines; /* further header lines, each ended by a NUL */
    const char *warning; /* of the last answer: something may be missing in it; NULL: none */
    char warning_text[PROMREAD_MAX_TEXT];
};

/* Reads the files, asks nothing. ERR_INPUT, ERR_SYSTEM. On failure there is nothing to close. */
bool prom_open(struct prom *p, const struct prom_options *options, struct err *err) MUST_CHECK;
void prom_close(struct prom *p);

/*
 * PromQL. step_ms 0: at end_ms; else at begin_ms, begin_ms + step_ms, … until end_ms, at most PROM_MAX_POINTS times. An answer that
 * breaks off was handed out in part: what is made of it must not mind to see a series again.
 */
struct prom_query {
    const char *text;
    int64_t begin_ms, end_ms, step_ms;
};
bool prom_ask(struct prom *p, const struct prom_query *query, promread_fn *each, void *self,
              struct err *err) MUST_CHECK;

/* What was asked so far. */
struct prom_asked {
    uint64_t queries;
    uint64_t partial;                /* answers that may lack something */
    char warning[PROMREAD_MAX_TEXT]; /* of the first of them */
};

/* As prom_ask(), but a server that is throttling or away for a moment is asked again after 1, 2, 4 and 8 s; not before it has
 * answered once. */
bool prom_ask_patiently(struct prom *p, const struct prom_query *query, promread_fn *each,
                        void *self, struct prom_asked *asked, struct err *err) MUST_CHECK;

/*
 * May a question that failed be asked again of a shorter time? Then *window_ms becomes half of the time that it was asked of, but no less
 * than least_ms, which cannot be halved any more.
 */
bool prom_halve(const struct err *own, int64_t asked_ms, int64_t least_ms, int64_t *window_ms);

/* An error with the times that were asked for in front. Returns false. */
bool prom_name_window(int64_t begin_ms, int64_t end_ms, const struct err *own, struct err *err);

/* A string of PromQL, with its quotes. */
void prom_put_quoted(struct strbuf *out, struct sv text);
/* The same of a regular expression that fits this text alone, without quotes. */
void prom_put_literal(struct strbuf *out, struct sv text);

#endif

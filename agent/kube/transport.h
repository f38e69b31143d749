/*
 * transport: one HTTP request and its answer, as bytes. The border between the API client and the network.
 *
 * A transport is a struct of functions, so that tests play answers from a script. transport_curl.c has the real one.
 *
 * Order of callbacks: head() once, data() any number of times, done() exactly once; done() alone if there was no answer.
 * None is called from inside start(), all come on the loop's thread. done() with NULL means that the whole answer came,
 * whatever its status: a 404 is an answer. What went wrong otherwise is ERR_NETWORK (not reached, cut off, timed out,
 * certificate refused), ERR_LIMIT (answer too large) or what head() or data() reported.
 * data() of one transfer comes with a few hundred KB at most in a round of the loop, whatever the network holds: others have
 * their turn between.
 * After cancel() no callback follows, done() neither; it may be called in any callback. A transfer is gone once done()
 * returns or cancel() was called.
 */
#ifndef BRIM_AGENT_KUBE_TRANSPORT_H
#define BRIM_AGENT_KUBE_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/loop.h"
#include "base/err.h"
#include "base/sv.h"

struct kube_config;

/* Which connections a request may use. */
enum transport_channel {
    CHANNEL_CONTROL, /* scale patches and leases: connections of their own, kept warm, never queued behind others */
    CHANNEL_WATCH, /* lists and watches: a connection each */
    CHANNEL_POOL,  /* all else: a few connections, requests wait their turn */
    CHANNEL_PODS, /* patches of pods, which come in floods: connections that nothing else waits for */
    CHANNEL_COUNT_,
};

/* Of CHANNEL_PODS, at most; each costs a handshake, and about 60 KB until it was idle for 85 s. */
enum { TRANSPORT_POD_CONNECTIONS = 16 };

/* Largest answer that is not a stream: etcd holds objects of 1.5 MB. */
enum { TRANSPORT_MAX_BODY = 4 << 20 };

/*
 * A batched answer is read so long after the last read, or when there is much to read. An event costs
 * several times as much when it comes alone: a wake, a system call, a packet's acknowledgement, a round of
 * the loop, and code that others put out of the caches meanwhile (docs/BENCHMARKS.md). What comes first
 * after a quiet while is read at once. What comes and goes of paid pods is gathered nearly as long anyway
 * before it is evaluated (TURN_GATHER_US).
 */
#define TRANSPORT_BATCH_US (20 * US_PER_MS)

/* Everything is copied by start(). */
struct transport_request {
    const char *method;       /* "GET", "POST", "PUT", "PATCH", "DELETE" */
    const char *path;         /* with query, percent-encoded, begins with '/' */
    const char *accept;       /* NULL: none */
    const char *content_type; /* NULL: there is no body */
    struct sv body;
    const char *const *headers; /* further lines, "Name: value" */
    size_t n_headers;
    enum transport_channel channel;
    int64_t timeout_us; /* for the whole exchange; 0: none */
    bool stream;        /* the answer may be of any length */
    bool batched; /* nobody waits for single bytes of it: it may come TRANSPORT_BATCH_US late */
};

struct transport_head {
    int status;
    struct sv content_type; /* valid during the call */
    int retry_after_s;      /* -1: not given */
};

struct transport_handler {
    /* False ends the transfer; done() follows with the error set here. */
    bool (*head)(void *self, const struct transport_head *head, struct err *err);
    bool (*data)(void *self, struct sv bytes, struct err *err);
    void (*done)(void *self, const struct err *err);
    void *self;
};

struct transfer; /* each transport has its own */

struct transport {
    struct transfer *(*start)(void *self, const struct transport_request *request,
                              const struct transport_handler *handler);
    void (*cancel)(void *self, struct transfer *transfer);
    /* What was started on the channel goes out now, as far as it can without waiting, and not behind whatever this turn of the
     * loop still has to do. Heads and data may be told meanwhile, ends are not. NULL where that makes no difference. */
    void (*push)(void *self, enum transport_channel channel);
    /* The config's certificates are others now: streams end with ERR_NETWORK, no connection made before is used again. NULL
     * where there are none. */
    void (*drop)(void *self);
    void *self;
};

/*
 * The real one: libcurl on the loop. HTTP/1.1, certificates verified, no redirects, no compression. `config` is borrowed
 * and must live as long. Freeing drops what is under way without callbacks; not inside a callback.
 */
struct transport_curl;
bool transport_curl_new(struct loop *loop, const struct kube_config *config,
                        struct transport_curl **ret_t, struct err *err) MUST_CHECK;
void transport_curl_free(struct transport_curl *t);
struct transport transport_curl_transport(struct transport_curl *t);

#endif

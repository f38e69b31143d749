/*
 * client: requests to the API server, logged in, with answers that are either fine or explained.
 *
 * Adds to each request who asks (token, password, impersonation) and User-Agent: brim/VERSION. The answer 401 is tried once
 * more if there may be other credentials. Nothing else is retried: callers know better.
 *
 * Credentials change while brim runs. A token file is read again if it was read 50 s ago, and after a 401. The files of
 * certificate authority, client certificate and key are read again if they were read five minutes ago, a second after trouble
 * with the network, and the certificate's after a 401; where they changed, connections made with the old ones are given up:
 * streams end with ERR_NETWORK, other requests come to their end. Where a program gives credentials (exec.h), requests wait
 * for it, and fail with its error.
 *
 * Handlers see answers with status 2xx only. Any other becomes a client_problem, its text taken from the Status in the body,
 * be that JSON, protobuf or plain text. done() comes exactly once and never from inside client_start(); after
 * client_cancel() nothing comes. A call is gone once its done() (or answer function) returns or it was cancelled; both may
 * happen in any callback. Freeing the client cancels all; not inside a callback.
 */
#ifndef BRIM_AGENT_KUBE_CLIENT_H
#define BRIM_AGENT_KUBE_CLIENT_H

#include <stdbool.h>

#include "agent/kube/config.h"
#include "agent/kube/decode.h"
#include "agent/kube/exec_run.h"
#include "agent/kube/timers.h"
#include "agent/kube/transport.h"
#include "base/err.h"
#include "base/strbuf.h"

struct client;
struct client_call;

#define CLIENT_JSON "application/json"
/* Custom resources have no protobuf: they answer with JSON then. */
#define CLIENT_PROTOBUF    "application/vnd.kubernetes.protobuf, application/json"
#define CLIENT_MERGE_PATCH "application/merge-patch+json"
#define CLIENT_JSON_PATCH  "application/json-patch+json"

/* The server gives a request that is not a watch 60 s (--request-timeout). */
#define CLIENT_TIMEOUT_US (60 * US_PER_S)

/* Zero is a sensible value everywhere but in method and path. Everything is copied. */
struct client_request {
    const char *method;
    const char *path;         /* with query, percent-encoded */
    const char *accept;       /* NULL: CLIENT_JSON */
    const char *content_type; /* NULL: there is no body */
    struct sv body;
    enum transport_channel channel;
    int64_t timeout_us; /* 0: CLIENT_TIMEOUT_US; of a stream: none */
    bool stream;        /* the answer has no end that one could wait for */
    bool batched;       /* transport.h */
    bool unfenced;      /* the fence lets it pass: a question in the form of a POST, the election */
};

/*
 * Where one of several processes may write: asked before each request that is no GET goes out, again where it goes out once
 * more. What may not is answered with ERR_CONFLICT and never sent.
 */
struct client_fence {
    bool (*may_write)(void *self);
    void *self;
};

struct client_problem {
    struct err err;
    int status;             /* of the answer; 0: there was none */
    int retry_after_s;      /* -1: the server did not say */
    bool version_too_large; /* the server has not reached the resourceVersion asked for (504) */
};

struct client_handler {
    /* False ends the call; done() follows with the error set here. */
    bool (*head)(void *self, enum decode_format format, struct err *err);
    bool (*data)(void *self, struct sv bytes, struct err *err);
    void (*done)(void *self, const struct client_problem *problem); /* NULL: all of it came */
    void *self;
};

struct client_answer {
    const struct client_problem *problem; /* NULL: none, and only then the rest counts */
    int status;
    enum decode_format format;
    struct sv body; /* valid during the call */
};

typedef void client_answer_fn(void *self, const struct client_answer *answer);

/* `config` and the transport are borrowed and must live as long; the client writes to the config's token and certificates. */
struct client *client_new(struct kube_config *config, const struct transport *transport,
                          const struct timers *timers);
void client_free(struct client *c);

/* Says what runs the config's program for credentials; before the first request, and needed only if there is one. */
void client_set_runner(struct client *c, const struct exec_runner *runner);

const struct kube_config *client_config(const struct client *c);
const struct timers *client_timers(const struct client *c);

/* For answers that are taken as they come in. */
struct client_call *client_start(struct client *c, const struct client_request *request,
                                 const struct client_handler *handler);
/* For answers that fit into TRANSPORT_MAX_BODY. */
struct client_call *client_send(struct client *c, const struct client_request *request,
                                client_answer_fn *fn, void *self);
void client_cancel(struct client_call *call); /* NULL is fine */

/* From now on; the client copies it. */
void client_set_fence(struct client *c, const struct client_fence *fence);
/* Writes that the fence is for and that wait for a connection, or for their answer, end with ERR_CONFLICT, but those of
 * CHANNEL_CONTROL, which wait for nobody. Not inside a callback. */
void client_drop_writes(struct client *c);
/* How many of them have no answer yet. */
size_t client_writes(const struct client *c);

/* What was started on the channel goes out now rather than at the end of the turn (transport.h: push). */
void client_push(struct client *c, enum transport_channel channel);

/* For commands: sends and runs the loop until the answer is there. ret_body is initialised here, and to be freed on success. */
bool client_wait(struct client *c, struct loop *loop, const struct client_request *request,
                 struct strbuf *ret_body, enum decode_format *ret_format,
                 struct err *err) MUST_CHECK;

/*
 * Keeps a control connection open: asks for /version when nothing else went over it for 30 s (the server closes idle ones
 * after 90 s), so that a patch never waits for a handshake. From now on until the client is freed.
 */
void client_keep_warm(struct client *c);

/* Appends the text, percent-encoded for one segment of a path or one value of a query. */
void client_escape(struct strbuf *out, struct sv text);

#endif

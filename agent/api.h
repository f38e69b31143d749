/*
 * api: the API server (or the agent) as a command that asks a few questions and ends sees it: every
 * call waits for its answer.
 */
#ifndef BRIM_AGENT_API_H
#define BRIM_AGENT_API_H

#include <stdbool.h>

#include "agent/kube/client.h"
#include "agent/kube/config.h"
#include "agent/kube/frame.h"
#include "agent/kube/transport.h"
#include "agent/loop.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "capacity/podreq.h"

#define API_DEFAULT_AGENT "http://127.0.0.1:8090"

enum { API_MAX_PATH = 16 << 10 };

struct api {
    struct loop *loop;
    struct kube_config config;
    struct transport_curl *curl;
    struct transport
        transport; /* borrowed by the client, as are timers and config: the struct must not move */
    struct timers timers;
    struct client *client;
    int64_t timeout_us; /* of a question; 0: the client's own */
};

/* The API server of the kubeconfig (both may be NULL). On failure there is nothing to close. */
bool api_open(struct api *api, const char *kubeconfig, const char *context,
              struct err *err) MUST_CHECK;

/* The agent at http://HOST:PORT; no credentials are sent. It answers from memory: after 5 s it hangs
 * (ERR_NETWORK). */
bool api_open_agent(struct api *api, const char *url, struct err *err) MUST_CHECK;

void api_close(struct api *api);

/* GET as JSON; `to` is initialised by the caller, the answer is added. */
bool api_get(struct api *api, const char *path, struct strbuf *to, struct err *err) MUST_CHECK;

/*
 * Lists a collection page by page and hands each object to the handler (event FRAME_ITEM). A list
 * whose snapshot is gone before its last page begins again: objects may come twice.
 * `field_selector` NULL: all. `kind` is what the list must call itself ("PodList"): any other is
 * ERR_PROTOCOL, though its objects may have been handed out by then.
 */
bool api_list(struct api *api, const char *path, const char *kind, const char *field_selector,
              const struct frame_handler *each, struct err *err) MUST_CHECK;

/* How the scheduler of the server's release counts pods, from /version. */
bool api_rules(struct api *api, struct podreq_rules *ret_rules, struct err *err) MUST_CHECK;

#endif

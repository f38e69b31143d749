/*
 * api: what the API server answers: requests in, answers out, no sockets.
 *
 * An answer is a body, or a stream that gives its bytes piece by piece (lists, watches), or `wait`: ask again once the
 * store has reached a version, or once the request is `patient` no more, whichever comes first.
 */
#ifndef BRIM_POCKET_API_H
#define BRIM_POCKET_API_H

#include <sys/types.h>

#include "tests/pocket/match.h"
#include "tests/pocket/stress.h"
#include "tests/pocket/world.h"

enum { API_MAX_PARAMS = 32, API_MAX_BODY = 3 << 20, API_MAX_SEGMENTS = 12 };

/* What a stream's read() says besides a count of bytes. */
enum { STREAM_LATER = 0, STREAM_END = -1 };

struct stream {
    ssize_t (*read)(struct stream *s, char *to, size_t max);
    bool (*ready)(struct stream *s); /* after LATER: would read() now give something else? */
    void (*free)(struct stream *s);
};

struct api_param {
    struct sv key, value;
};

struct api_request {
    struct sv method;
    struct sv path; /* decoded */
    const struct api_param *params;
    size_t n_params;
    struct sv accept, content_type, body;
    bool patient; /* may be told to wait */
};

struct api_answer {
    int status;
    const char *content_type;
    struct strbuf body;    /* owned by the caller */
    struct stream *stream; /* likewise; then there is no body */
    int retry_after_s;     /* 0: no such header */
    bool wait;             /* nothing is answered yet */
    uint64_t wait_version;
};

/* What the server makes of a watch that asks for initial events (the feature WatchList). */
enum watch_list {
    WATCH_LIST_ON,
    WATCH_LIST_OFF,     /* the gate: 422 */
    WATCH_LIST_IGNORED, /* as before 1.19: the parameters mean nothing */
    WATCH_LIST_OLD_ETCD /* on, but the store cannot do it: ERROR 500 */
};

struct api {
    struct world *world;
    enum watch_list watch_list;
    bool gone_by_status; /* a watch that is too old gets HTTP 410, not an ERROR event */
    bool json_only;      /* no protobuf, whatever the client prefers */
    uint64_t random;
    uint64_t closed;       /* rises when all watches are to end */
    struct stress *stress; /* stress.h; NULL: none */
};

void api_handle(struct api *a, const struct api_request *r, struct api_answer *ret_answer);

#endif

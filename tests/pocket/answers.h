/*
 * answers: what the files of the API share; not for its users, who include api.h.
 *
 * api.c        finds what a request is about, objects one by one
 * patches.c    bodies and patches
 * scales.c     the scale subresource, evictions
 * lists.c      lists
 * watches.c    watches
 * reviews.c    token and access reviews
 * discovery.c  /version, /api, /apis
 */
#ifndef BRIM_POCKET_ANSWERS_H
#define BRIM_POCKET_ANSWERS_H

#include "base/jsonw.h"
#include "tests/pocket/api.h"

enum { ANSWER_MAX = 64 << 20 };
#define TYPE_JSON     "application/json"
#define TYPE_PROTOBUF "application/vnd.kubernetes.protobuf"

/* A request, taken apart. */
struct question {
    struct api *api;
    const struct api_request *request;
    bool protobuf; /* the client prefers it */
    enum kind kind;
    struct sv ns, name, sub;
};

/* The parameter's value; empty where it is not given. */
struct sv param(const struct api_request *r, const char *key);
bool param_true(const struct api_request *r, const char *key);

/* ---- answers ---- */

struct failure {
    int code;
    const char *reason;
    const char *message;
    const char *cause, *cause_field;
    struct sv token; /* metadata.continue */
    int retry_after_s;
};

/* A Status, in the form that the client prefers. */
void answer_failure(const struct question *q, const struct failure *f, struct api_answer *a);
void status_json(const struct question *q, const struct failure *f, struct strbuf *out);
void status_protobuf(const struct question *q, const struct failure *f, struct strbuf *out);
/* From an error of the world; `creating`: a conflict is AlreadyExists. */
void answer_err(const struct question *q, const struct err *err, bool creating,
                struct api_answer *a);
void answer_object(const struct question *q, int status, const struct object *o,
                   struct api_answer *a);
/* Takes over the tree. */
void answer_tree(const struct question *q, int status, cJSON *tree, struct api_answer *a);
void answer_not_found(const struct question *q, struct api_answer *a);
void answer_not_allowed(const struct question *q, struct api_answer *a);

/* ---- the rooms ---- */

/* The body as a tree, or NULL and an answer. */
cJSON *body_tree(const struct question *q, struct api_answer *a);
/*
 * The tree after the request's patch, or NULL and an answer.
 */
cJSON *body_patch(const struct question *q, const cJSON *tree, struct api_answer *a);

/* Has the client named a version, and is it another one than the tree has? Then false, and an answer. */
bool check_version(const struct question *q, const cJSON *tree, const cJSON *json,
                   struct api_answer *a);

void scale_handle(const struct question *q, const struct object *o, struct api_answer *a);
void evict_handle(const struct question *q, const struct object *o, struct api_answer *a);
void list_handle(const struct question *q, struct api_answer *a);
void watch_handle(const struct question *q, struct api_answer *a);
/* False: it is none of theirs. */
bool review_handle(const struct question *q, struct sv path, struct api_answer *a);
bool discovery_handle(const struct question *q, struct sv path, struct api_answer *a);

#endif

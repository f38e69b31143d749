#include "agent/kube/access.h"

#include <cjson/cJSON.h>

#include "base/alloc.h"
#include "base/jsonw.h"

#define PATH "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

enum { MAX_REVIEW = 8 << 10 };

struct access_question {
    struct client_call *call;
    access_fn *fn;
    void *self;
};

static void add_attribute(struct jsonw *w, const char *key, const char *value)
{
    if (value != NULL)
        jsonw_cstr(w, key, value);
}

static void write_review(const struct access_right *right, struct strbuf *to)
{
    struct jsonw w;

    jsonw_init(&w, to);
    jsonw_object(&w, NULL);
    jsonw_cstr(&w, "apiVersion", "authorization.k8s.io/v1");
    jsonw_cstr(&w, "kind", "SelfSubjectAccessReview");
    jsonw_object(&w, "spec");
    jsonw_object(&w, "resourceAttributes");
    add_attribute(&w, "namespace", right->ns);
    add_attribute(&w, "verb", right->verb);
    add_attribute(&w, "group", right->group);
    add_attribute(&w, "resource", right->resource);
    add_attribute(&w, "subresource", right->subresource);
    add_attribute(&w, "name", right->name);
    jsonw_end(&w);
    jsonw_end(&w);
    jsonw_end(&w);
}

static struct client_request review_request(const struct strbuf *review)
{
    return (struct client_request){
        .method = "POST",
        .path = PATH,
        .content_type = CLIENT_JSON,
        .body = strbuf_sv(review),
        .channel = CHANNEL_POOL,
        .unfenced = true,
    };
}

static bool read_review(struct sv body, bool *ret_allowed, struct err *err)
{
    cJSON *root = body.len != 0 ? cJSON_ParseWithLength(body.at, body.len) : NULL;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(root, "status");
    const cJSON *allowed = cJSON_GetObjectItemCaseSensitive(status, "allowed");
    bool ok = cJSON_IsBool(allowed);

    if (ok)
        *ret_allowed = cJSON_IsTrue(allowed);
    cJSON_Delete(root);
    return ok || err_set(err, ERR_PROTOCOL, 0,
                         "POST " PATH ": the answer is no review with status.allowed");
}

static void on_answer(void *self, const struct client_answer *answer)
{
    struct access_question *question = self;
    struct err err = {0};
    bool allowed = false;

    if (answer->problem != NULL)
        question->fn(question->self, false, &answer->problem->err);
    else if (!read_review(answer->body, &allowed, &err))
        question->fn(question->self, false, &err);
    else
        question->fn(question->self, allowed, NULL);
    free(question);
}

struct access_right access_right_to_patch_pods(const char *ns)
{
    return (struct access_right){.verb = "patch", .resource = "pods", .ns = ns};
}

void access_right_text(const struct access_right *right, struct strbuf *to)
{
    (void)strbuf_addf(to, "%s %s", right->verb, right->resource);
    if (right->group != NULL)
        (void)strbuf_addf(to, ".%s", right->group);
    if (right->subresource != NULL)
        (void)strbuf_addf(to, "/%s", right->subresource);
    if (right->name != NULL)
        (void)strbuf_addf(to, " %s", right->name);
    if (right->ns != NULL)
        (void)strbuf_addf(to, " in namespace %s", right->ns);
}

struct access_question *access_ask(struct client *client, const struct access_right *right,
                                   access_fn *fn, void *self)
{
    struct access_question *question = xcalloc(1, sizeof *question);
    CLEANUP(strbuf_done) struct strbuf review;
    struct client_request request;

    question->fn = fn;
    question->self = self;
    strbuf_init(&review, MAX_REVIEW);
    write_review(right, &review);
    request = review_request(&review);
    question->call = client_send(client, &request, on_answer, question);
    return question;
}

void access_cancel(struct access_question *question)
{
    if (question == NULL)
        return;
    client_cancel(question->call);
    free(question);
}

bool access_wait(struct client *client, struct loop *loop, const struct access_right *right,
                 bool *ret_allowed, struct err *err)
{
    CLEANUP(strbuf_done) struct strbuf review, body = {0};
    struct client_request request;
    enum decode_format format;

    strbuf_init(&review, MAX_REVIEW);
    write_review(right, &review);
    request = review_request(&review);
    return client_wait(client, loop, &request, &body, &format, err) &&
           read_review(strbuf_sv(&body), ret_allowed, err);
}

bool access_template_gated(const struct pod_record *pod, struct err *err)
{
    return pod->gated_by_brim ||
           err_set(err, ERR_NOT_FOUND, 0,
                   "the template's pods do not wait for brim: found no scheduling gate " ROOM_GATE
                   " in spec.schedulingGates%s, expected it with placement gate",
                   pod->gated_by_others ? " (but others)" : "");
}

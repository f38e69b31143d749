#include "agent/kube/pod_patch.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/tree.h"
#include "base/alloc.h"
#include "base/jsonw.h"

/* The server takes bodies of 3 MiB. */
enum { MAX_PATH = 16 << 10, MAX_PATCH = 3 << 20 };

/* Where the server asks for patience without saying how much. */
#define PAUSE_US (1 * US_PER_S)
/* The server itself gives up a patch after 34 s; long before that the caller wants to know. */
#define TIMEOUT_US (10 * US_PER_S)

static const char *const outcome_names[] = {
    [POD_PATCH_DONE] = "done", [POD_PATCH_GONE] = "gone",       [POD_PATCH_REFUSED] = "refused",
    [POD_PATCH_LATE] = "late", [POD_PATCH_UNKNOWN] = "unknown",
};
_Static_assert(COUNT_OF(outcome_names) == POD_PATCH_OUTCOME_COUNT_, "an outcome has no name");

/* Where a patch is until it ends. */
enum line_name { LINE_COSTS, LINE_LET_INS, LINE_SENT, LINE_COUNT_ };

struct line {
    struct pod_patch *first, **end;
    size_t n;
};

struct pod_patcher {
    struct client *client;
    const struct timers *timers;
    char *ns;
    void *timer;
    struct mono paused_until;
    struct line lines[LINE_COUNT_];
    struct err missing; /* of kind ERR_NONE: nothing */
};

struct pod_patch {
    struct pod_patcher *patcher;
    struct pod_patch *next, **link;
    struct line *line;
    bool lets_in; /* else it sets a cost */
    bool reads;   /* the pod is to be read before the patch */
    bool was_read;
    char *name, *node;
    struct uid uid;
    int32_t cost;
    struct strbuf body;
    struct mono late_at;
    struct client_call *call; /* LINE_SENT */
    pod_patch_fn *fn;
    void *self;
};

/* ---- lines ---- */

static void leave(struct pod_patch *patch)
{
    struct line *line = patch->line;

    *patch->link = patch->next;
    if (patch->next != NULL)
        patch->next->link = patch->link;
    else
        line->end = patch->link;
    line->n--;
}

static void join(struct line *line, struct pod_patch *patch, bool in_front)
{
    patch->line = line;
    patch->link = in_front ? &line->first : line->end;
    patch->next = *patch->link;
    if (patch->next != NULL)
        patch->next->link = &patch->next;
    else
        line->end = &patch->next;
    *patch->link = patch;
    line->n++;
}

static struct line *own_line(struct pod_patch *patch)
{
    return &patch->patcher->lines[patch->lets_in ? LINE_LET_INS : LINE_COSTS];
}

static void patch_free(struct pod_patch *patch)
{
    free(patch->name);
    free(patch->node);
    strbuf_done(&patch->body);
    free(patch);
}

static void finish(struct pod_patch *patch, enum pod_patch_outcome outcome, const struct err *err)
{
    leave(patch);
    patch->fn(patch->self,
              &(struct pod_patch_result){.uid = patch->uid, .outcome = outcome, .err = err});
    patch_free(patch);
}

static void fail(struct pod_patch *patch, enum pod_patch_outcome outcome, enum err_kind kind,
                 const char *what)
{
    struct err err = {0};

    (void)err_set(&err, kind, 0, "pod %s/%s: %s", patch->patcher->ns, patch->name, what);
    finish(patch, outcome, &err);
}

/* ---- bodies ---- */

static void begin_body(struct jsonw *w, struct pod_patch *patch, struct sv uid)
{
    strbuf_clear(&patch->body);
    jsonw_init(w, &patch->body);
    jsonw_object(w, NULL);
    jsonw_object(w, "metadata");
    jsonw_str(w, "uid", uid);
}

static void write_cost(struct pod_patch *patch, struct sv uid)
{
    struct jsonw w;
    char text[16];

    begin_body(&w, patch, uid);
    jsonw_object(&w, "annotations");
    (void)snprintf(text, sizeof text, "%d", patch->cost);
    jsonw_cstr(&w, ANNOTATION_DELETION_COST, patch->cost != 0 ? text : NULL);
    jsonw_end(&w);
    jsonw_end(&w);
    jsonw_end(&w);
}

/* Up to where the list of terms is open. */
static void begin_let_in(struct jsonw *w, struct pod_patch *patch, struct sv uid, struct sv gates)
{
    begin_body(w, patch, uid);
    jsonw_end(w);
    jsonw_object(w, "spec");
    jsonw_raw(w, "schedulingGates", gates);
    jsonw_object(w, "affinity");
    jsonw_object(w, "nodeAffinity");
    jsonw_object(w, "requiredDuringSchedulingIgnoredDuringExecution");
    jsonw_array(w, "nodeSelectorTerms");
}

static void end_let_in(struct jsonw *w)
{
    while (w->depth > 0)
        jsonw_end(w);
}

static void write_requirement(struct jsonw *w, const struct requirement *req)
{
    jsonw_object(w, NULL);
    jsonw_str(w, "key", req->key);
    jsonw_str(w, "operator", requirement_op_name(req->op));
    if (req->n_values != 0) {
        jsonw_array(w, "values");
        for (size_t i = 0; i < req->n_values; i++)
            jsonw_str(w, NULL, req->values[i]);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void write_requirements(struct jsonw *w, const struct requirement *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        write_requirement(w, &at[i]);
}

/* The term, and the node's name. */
static void write_term(struct jsonw *w, const struct node_term *term, const char *node)
{
    const struct sv name = sv_from(node);
    const struct requirement here = {
        .key = SV("metadata.name"), .op = OP_IN, .values = &name, .n_values = 1};

    jsonw_object(w, NULL);
    if (term->n_exprs != 0) {
        jsonw_array(w, "matchExpressions");
        write_requirements(w, term->exprs, term->n_exprs);
        jsonw_end(w);
    }
    jsonw_array(w, "matchFields");
    write_requirements(w, term->fields, term->n_fields);
    write_requirement(w, &here);
    jsonw_end(w);
    jsonw_end(w);
}

static void write_let_in(struct pod_patch *patch, const struct pod_rules *rules)
{
    char uid[UID_TEXT_SIZE];
    struct jsonw w;

    uid_format(patch->uid, uid);
    begin_let_in(&w, patch, sv_from(uid), SV("null"));
    for (size_t i = 0; i < rules->n_terms; i++) {
        const struct node_term *term = &rules->terms[i];

        if (term->n_exprs + term->n_fields != 0) {
            write_term(&w, term, patch->node);
        } else {
            jsonw_object(&w, NULL);
            jsonw_end(&w);
        }
    }
    if (rules->n_terms == 0)
        write_term(&w, &(struct node_term){0}, patch->node);
    end_let_in(&w);
}

/* Can the terms be written as they are? An operator that is not known has lost its text. */
static bool terms_known(const struct pod_rules *rules)
{
    for (size_t i = 0; i < rules->n_terms; i++) {
        const struct node_term *term = &rules->terms[i];

        for (size_t k = 0; k < term->n_exprs; k++)
            if (term->exprs[k].op == OP_INVALID)
                return false;
        for (size_t k = 0; k < term->n_fields; k++)
            if (term->fields[k].op == OP_INVALID)
                return false;
    }
    return true;
}

/* ---- bodies made of what the pod is ---- */

static void write_tree(struct jsonw *w, const cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree);

    jsonw_raw(w, NULL, sv_from(text));
    cJSON_free(text);
}

static void write_tree_term(struct jsonw *w, const cJSON *term, const char *node)
{
    cJSON *copy = cJSON_Duplicate(term, true), *here = cJSON_CreateObject();
    cJSON *fields = cJSON_GetObjectItemCaseSensitive(copy, "matchFields");

    (void)cJSON_AddStringToObject(here, "key", "metadata.name");
    (void)cJSON_AddStringToObject(here, "operator", "In");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(here, "values"), cJSON_CreateString(node));
    if (!cJSON_IsArray(fields))
        fields = cJSON_AddArrayToObject(copy, "matchFields");
    cJSON_AddItemToArray(fields, here);
    write_tree(w, copy);
    cJSON_Delete(copy);
}

/* The gates but brim's as JSON, "null" where none is left; false: brim's is not among them. */
static bool other_gates(const cJSON *gates, struct strbuf *to)
{
    const cJSON *gate;
    bool ours = false;
    struct jsonw w;

    jsonw_init(&w, to);
    jsonw_array(&w, NULL);
    cJSON_ArrayForEach(gate, gates)
    {
        if (sv_eq(tree_text(gate, "name"), SV(ROOM_GATE)))
            ours = true;
        else
            write_tree(&w, gate);
    }
    jsonw_end(&w);
    if (sv_eq(strbuf_sv(to), SV("[]"))) {
        strbuf_clear(to);
        (void)strbuf_add(to, SV("null"));
    }
    return ours;
}

static void write_tree_terms(struct jsonw *w, const cJSON *spec, const char *node)
{
    const cJSON *affinity = tree_get(tree_get(spec, "affinity"), "nodeAffinity");
    const cJSON *terms = tree_get(
        tree_get(affinity, "requiredDuringSchedulingIgnoredDuringExecution"), "nodeSelectorTerms");
    const cJSON *term;
    cJSON *bare;

    cJSON_ArrayForEach(term, terms)
    {
        if (cJSON_GetArraySize(tree_get(term, "matchExpressions")) +
                cJSON_GetArraySize(tree_get(term, "matchFields")) !=
            0)
            write_tree_term(w, term, node);
        else
            write_tree(w, term);
    }
    if (cJSON_GetArraySize(terms) != 0)
        return;
    bare = cJSON_CreateObject();
    write_tree_term(w, bare, node);
    cJSON_Delete(bare);
}

/* False: the gate is gone. */
static bool write_let_in_of(struct pod_patch *patch, const cJSON *pod)
{
    const cJSON *spec = tree_get(pod, "spec");
    CLEANUP(strbuf_done) struct strbuf gates;
    struct jsonw w;

    strbuf_init(&gates, MAX_PATCH);
    if (!other_gates(tree_get(spec, "schedulingGates"), &gates))
        return false;
    begin_let_in(&w, patch, tree_text(tree_get(pod, "metadata"), "uid"), strbuf_sv(&gates));
    write_tree_terms(&w, spec, patch->node);
    end_let_in(&w);
    return true;
}

/* ---- answers ---- */

/* Back to where it waited, before all others: it is sent again as soon as that is allowed. */
static void wait_again(struct pod_patch *patch)
{
    leave(patch);
    join(own_line(patch), patch, true);
}

/* Makes the patch again of the pod as it is, if it is there. */
static void take_pod(struct pod_patch *patch, const cJSON *list)
{
    const cJSON *pod = cJSON_GetArrayItem(tree_get(list, "items"), 0);
    const cJSON *meta = tree_get(pod, "metadata");

    patch->reads = false;
    patch->was_read = true;
    if (!cJSON_IsArray(tree_get(list, "items")))
        fail(patch, POD_PATCH_UNKNOWN, ERR_PROTOCOL, "the answer is no list of pods");
    else if (pod == NULL || !uid_eq(uid_parse(tree_text(meta, "uid")), patch->uid))
        fail(patch, POD_PATCH_GONE, ERR_GONE, "it is gone");
    else if (tree_get(meta, "deletionTimestamp") != NULL)
        fail(patch, POD_PATCH_GONE, ERR_GONE, "it is being deleted");
    else if (patch->lets_in && !write_let_in_of(patch, pod))
        fail(patch, POD_PATCH_REFUSED, ERR_CONFLICT, "its gate " ROOM_GATE " is gone already");
    else {
        if (!patch->lets_in)
            write_cost(patch, tree_text(meta, "uid"));
        wait_again(patch);
    }
}

/* A refusal by an admission policy or webhook is about this pod, and says that the right is there; any other is about a right
 * that is missing. */
static void note_missing(struct pod_patch *patch, const struct client_problem *problem)
{
    struct pod_patcher *p = patch->patcher;

    if (strstr(problem->err.text, "AdmissionPolicy") != NULL ||
        strstr(problem->err.text, "admission webhook") != NULL) {
        p->missing = (struct err){0};
        return;
    }
    (void)err_set(&p->missing, ERR_FORBIDDEN, problem->status,
                  "brim may not %s pods in namespace %s: its service account needs a Role there "
                  "with the verb %s on pods",
                  patch->reads ? "list" : "patch", p->ns, patch->reads ? "list" : "patch");
}

static void hold_off(struct pod_patch *patch, int retry_after_s)
{
    struct pod_patcher *p = patch->patcher;
    struct mono until = mono_plus_us(p->timers->now(p->timers->self),
                                     retry_after_s > 0 ? retry_after_s * US_PER_S : PAUSE_US);

    if (until.us > p->paused_until.us)
        p->paused_until = until;
    wait_again(patch);
}

static void take_problem(struct pod_patch *patch, const struct client_problem *problem)
{
    switch (problem->status) {
    case 404:
    case 410:
        finish(patch, POD_PATCH_GONE, &problem->err);
        return;
    case 409:
    case 422:
        patch->reads = !patch->was_read;
        if (patch->reads)
            wait_again(patch);
        else
            finish(patch, POD_PATCH_REFUSED, &problem->err);
        return;
    case 403:
        note_missing(patch, problem);
        finish(patch, POD_PATCH_REFUSED, &problem->err);
        return;
    case 429:
        hold_off(patch, problem->retry_after_s);
        return;
    default:
        finish(patch,
               problem->status >= 400 && problem->status < 500 ? POD_PATCH_REFUSED
                                                               : POD_PATCH_UNKNOWN,
               &problem->err);
    }
}

/* ---- requests ---- */

static void on_answer(void *self, const struct client_answer *answer);

static void add_path(struct strbuf *path, const struct pod_patch *patch)
{
    (void)strbuf_addf(path, "/api/v1/namespaces/");
    client_escape(path, sv_from(patch->patcher->ns));
    (void)strbuf_addf(path, patch->reads ? "/pods?fieldSelector=metadata.name%%3D" : "/pods/");
    client_escape(path, sv_from(patch->name));
    if (!patch->reads)
        (void)strbuf_addf(path, "?fieldManager=brim");
}

static void request(struct pod_patch *patch)
{
    CLEANUP(strbuf_done) struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    add_path(&path, patch);
    patch->call = client_send(patch->patcher->client,
                              &(struct client_request){
                                  .method = patch->reads ? "GET" : "PATCH",
                                  .path = strbuf_str(&path),
                                  .accept = patch->reads ? CLIENT_JSON : CLIENT_PROTOBUF,
                                  .content_type = patch->reads ? NULL : CLIENT_MERGE_PATCH,
                                  .body = patch->reads ? (struct sv){0} : strbuf_sv(&patch->body),
                                  .channel = CHANNEL_PODS,
                                  .timeout_us = TIMEOUT_US,
                              },
                              on_answer, patch);
}

/* The one to be sent next, or NULL. */
static struct pod_patch *next_waiting(struct pod_patcher *p)
{
    return p->lines[LINE_COSTS].first != NULL ? p->lines[LINE_COSTS].first
                                              : p->lines[LINE_LET_INS].first;
}

static void send_waiting(struct pod_patcher *p, struct mono now)
{
    while (p->lines[LINE_SENT].n < POD_PATCH_PARALLEL && now.us >= p->paused_until.us) {
        struct pod_patch *patch = next_waiting(p);

        if (patch == NULL || now.us >= patch->late_at.us)
            return;
        leave(patch);
        join(&p->lines[LINE_SENT], patch, false);
        request(patch);
    }
}

/* Wakes us when the pause is over, and when the first that waits is late. */
static void set_timer(struct pod_patcher *p, struct mono now)
{
    int64_t at_us = INT64_MAX;

    for (size_t i = 0; i < LINE_SENT; i++)
        if (p->lines[i].first != NULL && p->lines[i].first->late_at.us < at_us)
            at_us = p->lines[i].first->late_at.us;
    if (at_us == INT64_MAX) {
        p->timers->timer_stop(p->timer);
        return;
    }
    if (now.us < p->paused_until.us && p->paused_until.us < at_us)
        at_us = p->paused_until.us;
    p->timers->timer_set(p->timer, at_us > now.us ? at_us - now.us : 0);
}

/* Without ending any: no function is called from in here. */
static void go_on(struct pod_patcher *p)
{
    struct mono now = p->timers->now(p->timers->self);

    send_waiting(p, now);
    set_timer(p, now);
}

static void end_late(struct line *line, struct mono now)
{
    while (line->first != NULL && now.us >= line->first->late_at.us)
        fail(line->first, POD_PATCH_LATE, ERR_THROTTLED,
             "the patch was not sent: the server asks for patience or is slow");
}

static void turn(struct pod_patcher *p)
{
    struct mono now = p->timers->now(p->timers->self);

    end_late(&p->lines[LINE_COSTS], now);
    end_late(&p->lines[LINE_LET_INS], now);
    go_on(p);
}

static void on_answer(void *self, const struct client_answer *answer)
{
    struct pod_patch *patch = self;
    struct pod_patcher *p = patch->patcher;

    patch->call = NULL;
    if (answer->problem != NULL) {
        take_problem(patch, answer->problem);
    } else if (patch->reads) {
        cJSON *root =
            cJSON_ParseWithLength(answer->body.len != 0 ? answer->body.at : "", answer->body.len);

        take_pod(patch, root);
        cJSON_Delete(root);
    } else {
        p->missing.kind = ERR_NONE;
        finish(patch, POD_PATCH_DONE, NULL);
    }
    turn(p);
}

static void on_timer(void *self)
{
    turn(self);
}

static struct pod_patch *patch_new(struct pod_patcher *p, const struct pod_patch_pod *pod,
                                   pod_patch_fn *fn, void *self)
{
    struct pod_patch *patch = xcalloc(1, sizeof *patch);

    *patch = (struct pod_patch){
        .patcher = p,
        .name = sv_dup(pod->name),
        .uid = pod->uid,
        .late_at = mono_plus_us(p->timers->now(p->timers->self), POD_PATCH_PATIENCE_US),
        .fn = fn,
        .self = self,
    };
    strbuf_init(&patch->body, MAX_PATCH);
    return patch;
}

static struct pod_patch *patch_begin(struct pod_patch *patch)
{
    join(own_line(patch), patch, false);
    go_on(patch->patcher);
    return patch;
}

/* ---- public ---- */

const char *pod_patch_outcome_name(enum pod_patch_outcome outcome)
{
    return outcome_names[outcome];
}

struct pod_patcher *pod_patcher_new(struct client *client, const char *ns)
{
    struct pod_patcher *p = xcalloc(1, sizeof *p);

    *p = (struct pod_patcher){.client = client, .timers = client_timers(client), .ns = xstrdup(ns)};
    p->timer = p->timers->timer_new(p->timers->self, on_timer, p);
    for (size_t i = 0; i < LINE_COUNT_; i++)
        p->lines[i].end = &p->lines[i].first;
    return p;
}

void pod_patcher_free(struct pod_patcher *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < LINE_COUNT_; i++)
        while (p->lines[i].first != NULL)
            pod_patch_cancel(p->lines[i].first);
    p->timers->timer_free(p->timer);
    free(p->ns);
    free(p);
}

struct pod_patch *pod_patch_let_in(struct pod_patcher *p, const struct pod_patch_pod *pod,
                                   struct sv node, pod_patch_fn *fn, void *self)
{
    struct pod_patch *patch = patch_new(p, pod, fn, self);

    patch->lets_in = true;
    patch->node = sv_dup(node);
    patch->reads = pod->rules == NULL || pod->gated_by_others || !terms_known(pod->rules);
    if (!patch->reads)
        write_let_in(patch, pod->rules);
    return patch_begin(patch);
}

struct pod_patch *pod_patch_cost(struct pod_patcher *p, const struct pod_patch_pod *pod,
                                 int32_t cost, pod_patch_fn *fn, void *self)
{
    struct pod_patch *patch = patch_new(p, pod, fn, self);
    char uid[UID_TEXT_SIZE];

    patch->cost = cost;
    uid_format(pod->uid, uid);
    write_cost(patch, sv_from(uid));
    return patch_begin(patch);
}

void pod_patch_cancel(struct pod_patch *patch)
{
    if (patch == NULL)
        return;
    client_cancel(patch->call);
    leave(patch);
    go_on(patch->patcher);
    patch_free(patch);
}

struct pod_patcher_view pod_patcher_view(const struct pod_patcher *p)
{
    return (struct pod_patcher_view){
        .waiting = p->lines[LINE_COSTS].n + p->lines[LINE_LET_INS].n,
        .sent = p->lines[LINE_SENT].n,
        .missing = p->missing.kind != ERR_NONE ? p->missing.text : NULL,
    };
}

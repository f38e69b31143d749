#include "agent/truth_map.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/tree.h"
#include "base/alloc.h"
#include "base/jsonw.h"
#include "base/log.h"

enum { MAX_PATH = 1024, MAX_OBJECT = 2 << 20 }; /* the server holds no larger one */

struct truth_map {
    struct client *client;
    const struct timers *timers;
    struct truth_map_handler handler;
    struct elect *elect;
    struct snapshot_slot *slot;
    char *ns, *name, *url;
    struct client_call *call;
    void *tick;
    bool looked;  /* it was read once, or is not there */
    bool absent;  /* it is to be made */
    bool failing; /* told in the log */

    struct truth *told;
    uint64_t text;    /* of that, a hash; 0: there was none */
    bool counts;      /* its writer is known to live, or to have lived */
    struct mono seen; /* when it last changed */

    uint64_t content, sending; /* what was written last, and is being; without its time */
    struct mono written;
    struct strbuf body; /* the text that is being written */
};

static struct mono now_of(const struct truth_map *m)
{
    return m->timers->now(m->timers->self);
}

static bool is_holders(const struct truth_map *m, const struct truth *t)
{
    const char *holder = elect_holder(m->elect);

    return holder != NULL && strcmp(holder, t->identity) == 0;
}

static void report(struct truth_map *m, const struct err *err)
{
    if ((err != NULL) == m->failing)
        return;
    m->failing = err != NULL;
    if (err != NULL)
        log_warn("what replicas tell each other cannot be read or written",
                 F_STR("configmap", m->name), F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
    else
        log_info("what replicas tell each other can be read and written again",
                 F_STR("configmap", m->name));
}

/* ---- reading ---- */

static void take(struct truth_map *m, struct sv text)
{
    uint64_t hash = sv_hash(text) | 1;
    bool first = !m->looked, counted = m->counts;
    struct err err = {0};
    struct truth *t;

    m->looked = true;
    if (hash == m->text) {
        m->counts |= m->told != NULL && is_holders(m, m->told);
        if (m->counts != counted)
            m->handler.changed(m->handler.self);
        return;
    }
    t = truth_read(text, &err);
    if (t == NULL) {
        report(m, &err);
        return;
    }
    /* The last word of one who led before may come late. */
    if (counted && is_holders(m, m->told) && !is_holders(m, t)) {
        free(t);
        return;
    }
    free(m->told);
    m->told = t;
    m->text = hash;
    m->seen = now_of(m);
    m->counts = counted || !first || is_holders(m, t);
    report(m, NULL);
    m->handler.changed(m->handler.self);
}

static void plan(struct truth_map *m)
{
    m->timers->timer_set(m->tick, elect_leads(m->elect) ? TRUTH_WRITE_US : TRUTH_READ_US);
}

static void was_read(void *self, const struct client_answer *answer)
{
    struct truth_map *m = self;
    cJSON *root = NULL;

    m->call = NULL;
    if (answer->problem == NULL) {
        if (answer->body.len <= MAX_OBJECT)
            root = cJSON_ParseWithLength(answer->body.at, answer->body.len);
        m->absent = false;
        take(m, tree_text(tree_get(root, "data"), "status"));
        cJSON_Delete(root);
    } else if (answer->problem->status == 404) {
        m->absent = m->looked = true;
        report(m, NULL);
    } else {
        report(m, &answer->problem->err);
    }
    plan(m);
}

/* ---- writing ---- */

static void was_written(void *self, const struct client_answer *answer)
{
    struct truth_map *m = self;

    m->call = NULL;
    if (answer->problem == NULL) {
        m->absent = false;
        m->content = m->sending;
        m->written = now_of(m);
        take(m, strbuf_sv(&m->body));
    } else if (answer->problem->status == 404 && !m->absent) {
        m->absent = true;
    } else {
        m->absent = m->absent && answer->problem->status != 409;
        if (elect_leads(m->elect)) /* else it was not to be sent any more */
            report(m, &answer->problem->err);
    }
    plan(m);
}

static void ask_server(struct truth_map *m, const char *method, const char *type, struct sv body,
                       client_answer_fn *fn)
{
    struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    (void)strbuf_addf(&path, "/api/v1/namespaces/%s/configmaps", m->ns);
    if (!sv_eq(sv_from(method), SV("POST")))
        (void)strbuf_addf(&path, "/%s", m->name);
    m->call = client_send(m->client,
                          &(struct client_request){.method = method,
                                                   .path = strbuf_str(&path),
                                                   .content_type = type,
                                                   .body = body,
                                                   .channel = CHANNEL_POOL,
                                                   .timeout_us = LEASE_TIMEOUT_US},
                          fn, m);
    strbuf_done(&path);
}

static void write_map(struct truth_map *m)
{
    struct strbuf body;
    struct jsonw w;

    strbuf_init(&body, MAX_OBJECT);
    jsonw_init(&w, &body);
    jsonw_object(&w, NULL);
    if (m->absent) {
        jsonw_cstr(&w, "apiVersion", "v1");
        jsonw_cstr(&w, "kind", "ConfigMap");
        jsonw_object(&w, "metadata");
        jsonw_cstr(&w, "name", m->name);
        jsonw_cstr(&w, "namespace", m->ns);
        jsonw_end(&w);
    }
    jsonw_object(&w, "data");
    jsonw_str(&w, "status", strbuf_sv(&m->body));
    jsonw_end(&w);
    jsonw_end(&w);
    ask_server(m, m->absent ? "POST" : "PATCH", m->absent ? CLIENT_JSON : CLIENT_MERGE_PATCH,
               strbuf_sv(&body), was_written);
    strbuf_done(&body);
}

static void compose(struct truth_map *m, const struct snapshot *s, struct wall now)
{
    strbuf_clear(&m->body);
    truth_write(s,
                &(struct truth_teller){
                    .url = m->url, .now = now, .found = m->handler.found, .self = m->handler.self},
                &m->body);
}

/* False: there is nothing to write now. */
static bool tell(struct truth_map *m)
{
    struct snapshot *s = snapshot_slot_get(m->slot);
    bool due = false;

    if (s != NULL && s->lead.leads) {
        compose(m, s, (struct wall){0});
        m->sending = sv_hash(strbuf_sv(&m->body));
        due = m->sending != m->content || mono_since_us(m->written, now_of(m)) >= TRUTH_REFRESH_US;
        if (due)
            compose(m, s, m->timers->wall(m->timers->self));
    }
    snapshot_unref(s);
    if (due)
        write_map(m);
    return due;
}

static void on_tick(void *self)
{
    struct truth_map *m = self;

    if (m->call != NULL)
        return;
    if (!elect_leads(m->elect) || !m->looked)
        ask_server(m, "GET", NULL, (struct sv){0}, was_read);
    else if (!tell(m))
        plan(m);
}

/* ---- showing ---- */

const struct truth *truth_map_told(const struct truth_map *m)
{
    return m->counts ? m->told : NULL;
}

void truth_map_show(const struct truth_map *m, struct snapshot *s)
{
    const struct truth *told = truth_map_told(m);
    int64_t old_us = mono_since_us(m->seen, now_of(m));

    for (size_t i = 0; i < s->n_fillers; i++) {
        struct snapshot_filler *f = &s->fillers[i];
        const struct truth_filler *of = truth_find(told, sv_from(f->policy));

        if (of == NULL)
            truth_apply_nothing(f);
        else if (old_us > TRUTH_OLD_US)
            truth_apply_old(f, old_us);
        else
            truth_apply(of, f);
    }
    if (told != NULL && is_holders(m, told))
        (void)snprintf(s->lead.url, sizeof s->lead.url, "%s", told->url);
}

/* ---- birth and death ---- */

struct truth_map *truth_map_new(struct client *client, const struct truth_map_options *options,
                                const struct truth_map_handler *handler)
{
    struct truth_map *m = xcalloc(1, sizeof *m);
    struct strbuf name;

    *m = (struct truth_map){.client = client,
                            .timers = client_timers(client),
                            .handler = *handler,
                            .elect = options->elect,
                            .slot = options->slot,
                            .ns = sv_dup(options->ns)};
    strbuf_init(&name, MAX_PATH);
    (void)strbuf_addf(&name, "%.*s-status", SV_ARG(options->lease));
    m->name = sv_dup(strbuf_sv(&name));
    strbuf_done(&name);
    if (options->url != NULL)
        m->url = sv_dup(sv_from(options->url));
    strbuf_init(&m->body, TRUTH_MAX);
    m->tick = m->timers->timer_new(m->timers->self, on_tick, m);
    m->timers->timer_set(m->tick, 0);
    return m;
}

void truth_map_free(struct truth_map *m)
{
    if (m == NULL)
        return;
    client_cancel(m->call);
    m->timers->timer_free(m->tick);
    strbuf_done(&m->body);
    free(m->told);
    free(m->ns);
    free(m->name);
    free(m->url);
    free(m);
}

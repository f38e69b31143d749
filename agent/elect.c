#include "agent/elect.h"

#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/num.h"

#define LEASES        "/apis/coordination.k8s.io/v1/namespaces/"
#define DRAIN_LOOK_US (10 * US_PER_MS)

enum { MAX_PATH = 1024, MAX_DNS_NAME = 253 };

struct elect {
    struct client *client;
    const struct timers *timers;
    struct clock clock;
    struct elect_handler handler;
    struct lease lease;
    char *ns, *name;
    struct strbuf object; /* the Lease as it was read or written last */
    struct client_call *call;
    void *round, *expiry;
    bool leads;   /* told */
    bool failing; /* told in the log */

    void (*done)(void *self); /* releasing: to be called */
    void *done_self;
    struct mono released_at; /* when that began */
    bool released;           /* the Lease is on its way back */
};

/* ---- names ---- */

/* RFC 1123 as the API server's validation has it. */
static bool is_dns_name(struct sv name)
{
    if (name.len == 0 || name.len > MAX_DNS_NAME)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool inner = i != 0 && i + 1 != name.len && (c == '-' || c == '.');

        if (!inner && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
            return false;
    }
    return true;
}

bool elect_parse_name(struct sv text, struct sv *ret_ns, struct sv *ret_name, struct err *err)
{
    if (sv_cut(text, '/', ret_ns, ret_name) && is_dns_name(*ret_ns) && is_dns_name(*ret_name))
        return true;
    return err_set(err, ERR_INPUT, 0,
                   "--lease: found '%.*s', expected NAMESPACE/NAME of a Lease, or off",
                   SV_ARG(text));
}

void elect_make_identity(char identity[static LEASE_MAX_NAME])
{
    char host[LEASE_MAX_NAME - 32] = "brim";
    uint64_t random = 0;

    (void)gethostname(host, sizeof host - 1);
    /* 8 bytes come whole or not at all. */
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)clock_system().wall(NULL).us * UINT64_C(0x9e3779b97f4a7c15) +
                 (uint64_t)getpid();
    (void)snprintf(identity, LEASE_MAX_NAME, "%s_%016llx", host, (unsigned long long)random);
}

/* ---- rounds ---- */

static struct mono fresh(const struct elect *e)
{
    return e->clock.mono(e->clock.self);
}

bool elect_leads(const struct elect *e)
{
    return e->done == NULL && lease_leads(&e->lease, fresh(e));
}

/* Tells what is so now. */
static void tell(struct elect *e)
{
    bool leads = elect_leads(e);

    if (leads == e->leads)
        return;
    e->leads = leads;
    if (leads)
        log_info("leading: this replica writes from now on", F_STR("lease", e->name),
                 F_STR("identity", e->lease.identity),
                 F_INT("transitions", e->lease.record.transitions));
    else
        log_warn("not leading any more: nothing is written", F_STR("lease", e->name),
                 F_STR("identity", e->lease.identity));
    e->handler.changed(e->handler.self, leads);
}

static void plan(struct elect *e)
{
    struct mono now = fresh(e);

    tell(e);
    e->timers->timer_set(e->round, max_i64(lease_due(&e->lease).us - now.us, 0));
    if (e->leads)
        e->timers->timer_set(e->expiry, max_i64(lease_ends(&e->lease).us - now.us, 0));
}

void elect_check(struct elect *e)
{
    (void)lease_expire(&e->lease, fresh(e));
    tell(e);
}

static void on_expiry(void *self)
{
    struct elect *e = self;

    elect_check(e);
    if (e->leads) /* the timer was early */
        plan(e);
}

static void report(struct elect *e, const struct err *err)
{
    if ((err != NULL) == e->failing)
        return;
    e->failing = err != NULL;
    if (err != NULL)
        log_warn("the lease cannot be read or written", F_STR("lease", e->name),
                 F_STR("kind", err_kind_name(err->kind)), F_ERR(err));
    else
        log_info("the lease can be read and written again", F_STR("lease", e->name));
}

static enum lease_end end_of(struct elect *e, const struct client_answer *answer,
                             struct lease_record *ret_record)
{
    struct err err = {0};

    if (answer->problem == NULL && lease_read_record(answer->body, ret_record, &err)) {
        strbuf_clear(&e->object);
        (void)strbuf_add(&e->object, answer->body);
        report(e, NULL);
        return LEASE_END_OK;
    }
    if (answer->problem == NULL) {
        report(e, &err);
        return LEASE_END_FAILED;
    }
    /* Where it is to be made, it is the namespace that is not there. */
    if (answer->problem->status == 404 && e->lease.asked != LEASE_ASK_CREATE)
        return LEASE_END_ABSENT;
    if (answer->problem->status == 409)
        return LEASE_END_CONFLICT;
    report(e, &answer->problem->err);
    return LEASE_END_FAILED;
}

static void send(struct elect *e, enum lease_ask ask);

static void follow(struct elect *e, enum lease_ask next)
{
    if (next != LEASE_ASK_NOTHING)
        send(e, next);
    else
        plan(e);
}

static void on_answer(void *self, const struct client_answer *answer)
{
    struct elect *e = self;
    struct lease_record record = {0};
    enum lease_end end = end_of(e, answer, &record);
    enum lease_ask next = lease_answered(&e->lease, end, &record, fresh(e));

    e->call = NULL;
    if (e->done == NULL)
        follow(e, next);
}

static void ask_server(struct elect *e, const char *method, const struct strbuf *body,
                       client_answer_fn *fn)
{
    bool named = !sv_eq(sv_from(method), SV("POST"));
    struct strbuf path;

    strbuf_init(&path, MAX_PATH);
    (void)strbuf_addf(&path, LEASES "%s/leases", e->ns);
    if (named)
        (void)strbuf_addf(&path, "/%s", e->name);
    e->call = client_send(
        e->client,
        &(struct client_request){.method = method,
                                 .path = strbuf_str(&path),
                                 .content_type = body != NULL ? CLIENT_JSON : NULL,
                                 .body = body != NULL ? strbuf_sv(body) : (struct sv){0},
                                 .channel = CHANNEL_CONTROL,
                                 .timeout_us = LEASE_TIMEOUT_US,
                                 .unfenced = true},
        fn, e);
    strbuf_done(&path);
}

static void send(struct elect *e, enum lease_ask ask)
{
    struct strbuf body;

    if (ask == LEASE_ASK_READ) {
        ask_server(e, "GET", NULL, on_answer);
        return;
    }
    strbuf_init(&body, 2 * LEASE_MAX_OBJECT);
    if (lease_write(&e->lease, ask, strbuf_sv(&e->object), e->name, e->ns,
                    e->clock.wall(e->clock.self), &body))
        ask_server(e, ask == LEASE_ASK_CREATE ? "POST" : "PUT", &body, on_answer);
    else
        follow(e, lease_answered(&e->lease, LEASE_END_FAILED, NULL, fresh(e)));
    strbuf_done(&body);
}

static void begin_round(void *self)
{
    struct elect *e = self;

    elect_check(e);
    if (e->call == NULL && e->done == NULL)
        follow(e, lease_begin(&e->lease, fresh(e)));
}

/* ---- giving back ---- */

static void finish(struct elect *e)
{
    void (*done)(void *self) = e->done;

    e->timers->timer_stop(e->round);
    client_cancel(TAKE(e->call));
    done(e->done_self);
}

static void given_back(void *self, const struct client_answer *answer)
{
    struct elect *e = self;

    e->call = NULL;
    if (answer->problem != NULL)
        log_warn("the lease could not be given back: it runs out by itself",
                 F_ERR(&answer->problem->err));
    else
        log_info("the lease was given back", F_STR("lease", e->name));
    finish(e);
}

static void give_back(struct elect *e)
{
    struct strbuf body;

    e->released = true;
    strbuf_init(&body, 2 * LEASE_MAX_OBJECT);
    if (lease_write_release(strbuf_sv(&e->object), e->clock.wall(e->clock.self), &body)) {
        ask_server(e, "PUT", &body, given_back);
        e->timers->timer_set(e->round, ELECT_RELEASE_US);
    } else {
        e->timers->timer_set(e->round, 0);
    }
    strbuf_done(&body);
}

/* What is under way comes to its end first: behind it somebody else writes. */
static void drain(void *self)
{
    struct elect *e = self;
    bool waited = mono_since_us(e->released_at, fresh(e)) >= ELECT_DRAIN_US;

    if ((client_writes(e->client) != 0 || e->call != NULL) && !e->released && !waited) {
        e->timers->timer_set(e->round, DRAIN_LOOK_US);
        return;
    }
    client_cancel(TAKE(e->call));
    client_drop_writes(e->client);
    if (e->released || !lease_leads(&e->lease, fresh(e)))
        finish(e);
    else
        give_back(e);
}

void elect_release(struct elect *e, void (*done)(void *self), void *self)
{
    if (e->done != NULL)
        return;
    e->done = done;
    e->done_self = self;
    e->released_at = fresh(e);
    tell(e);
    e->timers->timer_stop(e->expiry);
    e->timers->timer_free(e->round);
    e->round = e->timers->timer_new(e->timers->self, drain, e);
    e->timers->timer_set(e->round, 0);
}

/* ---- birth and death ---- */

const char *elect_identity(const struct elect *e)
{
    return e->lease.identity;
}

const char *elect_holder(const struct elect *e)
{
    return lease_holder(&e->lease, fresh(e));
}

struct elect *elect_new(struct client *client, const struct elect_options *options,
                        const struct elect_handler *handler)
{
    struct elect *e = xcalloc(1, sizeof *e);

    *e = (struct elect){.client = client,
                        .timers = client_timers(client),
                        .clock = options->clock,
                        .handler = *handler,
                        .ns = sv_dup(options->ns),
                        .name = sv_dup(options->name)};
    strbuf_init(&e->object, LEASE_MAX_OBJECT);
    lease_init(&e->lease, options->identity, options->seed, fresh(e));
    e->round = e->timers->timer_new(e->timers->self, begin_round, e);
    e->expiry = e->timers->timer_new(e->timers->self, on_expiry, e);
    e->timers->timer_set(e->round, 0);
    return e;
}

void elect_free(struct elect *e)
{
    if (e == NULL)
        return;
    client_cancel(e->call);
    e->timers->timer_free(e->round);
    e->timers->timer_free(e->expiry);
    strbuf_done(&e->object);
    free(e->ns);
    free(e->name);
    free(e);
}

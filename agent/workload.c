#include "agent/workload.h"

#include <stdio.h>
#include <unistd.h>

#include "agent/kube/decode.h"
#include "agent/kube/events.h"
#include "agent/kube/scale.h"
#include "base/alloc.h"

static const char *const state_names[] = {
    [WORKLOAD_UNREAD] = "unread",         [WORKLOAD_FOUND] = "found",
    [WORKLOAD_MISSING] = "missing",       [WORKLOAD_RESTING] = "resting",
    [WORKLOAD_UNREADABLE] = "unreadable",
};
_Static_assert(COUNT_OF(state_names) == WORKLOAD_STATE_COUNT_, "a state has no name");

/* Writes that were begun and not answered: a yield may overtake another, so there may be several.
 */
struct writing {
    struct workload *workload;
    struct scale_op *op;
    uint64_t number; /* rising */
    bool down;
    int64_t replicas;
    struct writing *next;
};

struct workload {
    struct workload_handler handler;
    const struct timers *timers;
    struct scaler *scaler;
    struct events *events;
    struct decoder decoder;
    void *timer;
    struct scale_op *reading, *reading_template, *reading_owner;
    struct mono slow_at;     /* when owners were last asked for; 0: never */
    uint64_t version;        /* of the target, as a hash: its newest scale's */
    uint64_t looked_version; /* and the one that was looked at as a whole; 0: none */
    struct writing *writing; /* newest first */
    struct workload_view view;
    uint64_t writes_begun;  /* a reading that began before the newest write tells nothing new */
    uint64_t newest_answer; /* number of the newest write that was answered */
    uint64_t read_after;
    struct mono read_began; /* of the reading under way, or the last one */
    struct mono came;
    struct late late;
    bool read_again;
    bool outdated; /* since `came`: no reading that began after that was taken in */
    char *api_version, *kind, *ns, *name; /* of the target, as C strings */
    char *uid;
    char selector[4096];
    char owner[600];
    char owner_problem[240];
    char pause_problem[300];
    char problem[240];
};

const char *workload_state_name(enum workload_state state)
{
    return state_names[state];
}

const struct workload_view *workload_view(const struct workload *w)
{
    return &w->view;
}

/* What a view says, as one number: readings that bring nothing new are not told. */
static uint64_t fingerprint(const struct workload *w)
{
    const struct workload_view *v = &w->view;
    uint64_t numbers[] = {
        v->state,
        v->known,
        v->uid.hi,
        v->uid.lo,
        (uint64_t)v->replicas,
        (uint64_t)v->status_replicas,
        v->owners_known,
        v->template_known,
        v->pause.up,
        v->pause.down,
        sv_hash(sv_from(v->pause.up_by)),
        sv_hash(sv_from(v->pause.down_by)),
        v->pause_known,
        sv_hash(sv_from(w->selector)),
        sv_hash(sv_from(w->owner)),
        sv_hash(sv_from(w->problem)),
        sv_hash(sv_from(w->owner_problem)),
        sv_hash(sv_from(w->pause_problem)),
    };

    return sv_hash((struct sv){.at = (const char *)numbers, .len = sizeof numbers});
}

static void tell_if_changed(struct workload *w, uint64_t before)
{
    if (fingerprint(w) != before)
        w->handler.changed(w->handler.self);
}

static struct mono now_of(const struct workload *w)
{
    return w->timers->now(w->timers->self);
}

static void set_problem(struct workload *w, const struct err *err)
{
    (void)snprintf(w->problem, sizeof w->problem, "%s", err != NULL ? err->text : "");
}

/* What was known of the target no longer counts. Its pods may outlive it: the selector stays, so that they are not taken for
 * paid ones. */
static void forget(struct workload *w, enum workload_state state)
{
    w->view.state = state;
    w->view.known = w->view.template_known = w->view.pause_known = false;
    w->pause_problem[0] = '\0';
    w->looked_version = 0;
}

/* Takes over a scale as the server just told it. */
static bool take_scale(struct workload *w, const struct scale *s)
{
    if (s->selector.len >= sizeof w->selector) {
        (void)snprintf(w->problem, sizeof w->problem,
                       "its selector has %zu bytes, expected less than %zu", s->selector.len,
                       sizeof w->selector);
        w->view.state = WORKLOAD_UNREADABLE;
        return false;
    }
    if (s->selector.len == 0) {
        (void)snprintf(w->problem, sizeof w->problem,
                       "its scale reports no selector, so that its pods cannot be told apart");
        w->view.state = WORKLOAD_UNREADABLE;
        w->view.known = false;
        return false;
    }
    (void)snprintf(w->selector, sizeof w->selector, "%.*s", SV_ARG(s->selector));
    if (s->rests.len != 0) {
        (void)snprintf(w->problem, sizeof w->problem, "it %.*s", SV_ARG(s->rests));
        forget(w, WORKLOAD_RESTING);
        return false;
    }
    free(w->uid);
    w->uid = sv_dup(s->uid);
    w->view.known = true;
    w->view.state = WORKLOAD_FOUND;
    w->view.resource = scaler_resource(w->scaler);
    w->view.uid = uid_parse(s->uid);
    w->view.replicas = s->replicas;
    w->view.status_replicas = s->status_replicas;
    w->version = sv_hash(s->resource_version);
    set_problem(w, NULL);
    return true;
}

static void scale_failed(struct workload *w, const struct err *err)
{
    set_problem(w, err);
    if (err->kind != ERR_NOT_FOUND) {
        w->view.state = WORKLOAD_UNREADABLE;
        return;
    }
    forget(w, WORKLOAD_MISSING);
}

static void read_target(struct workload *w);
static void read_slow(struct workload *w);

static void scale_read(void *self, const struct scale_result *result)
{
    struct workload *w = self;
    uint64_t before = fingerprint(w);

    w->reading = NULL;
    w->timers->timer_set(w->timer, WORKLOAD_POLL_US);
    if (w->writing != NULL || w->read_after != w->writes_begun) {
        /* A write began since this was asked for: what it says may be older than the write. */
        w->read_again = true;
    } else if (result->problem != NULL) {
        scale_failed(w, &result->problem->err);
    } else if (take_scale(w, &result->scale)) {
        late_read(&w->late, w->read_began);
        w->outdated = w->outdated && w->read_began.us < w->came.us;
        read_target(w);
        read_slow(w);
    }
    if (w->read_again && w->writing == NULL)
        workload_refresh(w);
    tell_if_changed(w, before);
}

/* Where brim may not look nothing is waited for; any other failure is tried again. */
static void take_annotations(struct workload *w, const struct scale_result *result)
{
    if (!result->read) {
        const struct err *err = &result->problem->err;

        w->view.pause_known |= err->kind == ERR_FORBIDDEN;
        (void)snprintf(w->pause_problem, sizeof w->pause_problem, "%s%s",
                       err->kind == ERR_FORBIDDEN ? "the right to get the target is missing: " : "",
                       err->text);
        return;
    }
    w->looked_version = sv_hash(result->resource_version);
    w->view.pause_known = true;
    w->view.pause = result->pause;
    w->pause_problem[0] = '\0';
}

static void template_read(void *self, const struct scale_result *result)
{
    struct workload *w = self;
    uint64_t before = fingerprint(w);
    struct pod_record pod;

    w->reading_template = NULL;
    w->view.template_known = true; /* or it cannot be: nobody waits for it any longer */
    take_annotations(w, result);
    /* Without a spec.template live pods or the policy tell the shape. */
    if (result->problem == NULL &&
        decode_pod(&w->decoder, DECODE_JSON, result->pod_json, &pod, NULL))
        w->handler.template_read(w->handler.self, &pod);
    tell_if_changed(w, before);
}

static void owner_read(void *self, const struct scale_result *result)
{
    struct workload *w = self;
    uint64_t before = fingerprint(w);

    w->reading_owner = NULL;
    if (result->problem != NULL) {
        /* Not allowed to look: then nobody can tell, and control goes on; any other failure is
         * tried again. */
        if (result->problem->err.kind == ERR_FORBIDDEN ||
            result->problem->err.kind == ERR_NOT_FOUND) {
            w->view.owners_known = true;
            (void)snprintf(w->owner_problem, sizeof w->owner_problem, "%s",
                           result->problem->err.text);
        }
        tell_if_changed(w, before);
        return;
    }
    w->view.owners_known = true;
    w->owner[0] = '\0';
    w->owner_problem[0] = '\0';
    if (result->owner_kind != NULL)
        (void)snprintf(w->owner, sizeof w->owner, "%s %s/%.*s", result->owner_kind, w->ns,
                       SV_ARG(result->owner));
    tell_if_changed(w, before);
}

/* Template and annotations: asked for when the target has changed. */
static void read_target(struct workload *w)
{
    if (w->reading_template == NULL && w->looked_version != w->version)
        w->reading_template = scale_template(w->scaler, template_read, w);
}

/* Who else scales the target: asked for now and then. */
static void read_slow(struct workload *w)
{
    struct mono now = now_of(w);

    if (w->slow_at.us != 0 && mono_since_us(w->slow_at, now) < WORKLOAD_SLOW_POLL_US &&
        w->view.owners_known)
        return;
    w->slow_at = now;
    if (w->reading_owner == NULL)
        w->reading_owner = scale_find_owner(w->scaler, owner_read, w);
}

void workload_refresh(struct workload *w)
{
    if (w->reading != NULL) {
        w->read_again = true;
        return;
    }
    w->read_again = false;
    w->read_after = w->writes_begun;
    w->read_began = now_of(w);
    w->reading = scale_get(w->scaler, scale_read, w);
}

static void poll(void *self)
{
    workload_refresh(self);
}

static void forget_writing(struct workload *w, struct writing *done)
{
    struct writing **at = &w->writing;

    while (*at != done)
        at = &(*at)->next;
    *at = done->next;
    free(done);
}

/* What the server refuses is not carried out: an answer of anything else (408 is a proxy's) may have
 * crossed with that. */
static enum late_end end_of(const struct client_problem *p)
{
    bool refused = p != NULL && p->status >= 400 && p->status < 500 && p->status != 408;

    return p == NULL || refused ? LATE_KNOWN : LATE_UNKNOWN;
}

static void written(void *self, const struct scale_result *result)
{
    struct writing *writing = self;
    struct workload *w = writing->workload;
    bool down = writing->down;
    int64_t replicas = writing->replicas;
    uint64_t number = writing->number;

    forget_writing(w, writing);
    late_end(&w->late, replicas, end_of(result->problem), now_of(w));
    if (result->problem != NULL) {
        if (result->problem->err.kind == ERR_NOT_FOUND)
            scale_failed(w, &result->problem->err);
        w->handler.written(w->handler.self, down, replicas, replicas, result->problem);
        return;
    }
    /* Writes may overtake each other: an older one's answer says nothing about what is now. */
    if (number > w->newest_answer) {
        w->newest_answer = number;
        if (!take_scale(w, &result->scale))
            workload_refresh(w);
    }
    w->handler.written(w->handler.self, down, replicas, result->scale.replicas, NULL);
}

static struct writing *begin_write(struct workload *w, bool down, int64_t replicas)
{
    struct writing *writing = xcalloc(1, sizeof *writing);

    *writing = (struct writing){.workload = w,
                                .number = ++w->writes_begun,
                                .down = down,
                                .replicas = replicas,
                                .next = w->writing};
    w->writing = writing;
    late_begin(&w->late, replicas);
    return writing;
}

void workload_shrink(struct workload *w, int64_t replicas)
{
    struct writing *writing = begin_write(w, true, replicas);

    writing->op = scale_patch_yield(w->scaler, sv_from(w->uid), replicas, written, writing);
}

void workload_grow(struct workload *w, int64_t replicas)
{
    struct writing *writing = begin_write(w, false, replicas);

    writing->op =
        scale_patch_grow(w->scaler, sv_from(w->uid), w->view.replicas, replicas, written, writing);
}

bool workload_may_have_set(const struct workload *w, int64_t replicas)
{
    return late_has(&w->late, replicas);
}

bool workload_inherits(const struct workload *w)
{
    return mono_since_us(w->came, now_of(w)) <= WORKLOAD_INHERITS_US;
}

void workload_take_over(struct workload *w)
{
    w->came = now_of(w);
    w->outdated = true;
    workload_refresh(w);
}

bool workload_is_current(const struct workload *w)
{
    return !w->outdated;
}

bool workload_writes(const struct workload *w)
{
    return w->writing != NULL;
}

uint64_t workload_writes_begun(const struct workload *w)
{
    return w->writes_begun;
}

void workload_event(struct workload *w, bool warning, const char *reason, const char *action,
                    struct sv note)
{
    CLEANUP(free_ptr) char *text = sv_dup(note);

    if (w->uid == NULL)
        return;
    events_post(
        w->events,
        &(struct events_object){.api_version = w->api_version,
                                .kind = w->kind,
                                .ns = w->ns,
                                .name = w->name,
                                .uid = w->uid},
        &(struct event){.warning = warning, .reason = reason, .action = action, .note = text});
}

struct workload *workload_new(struct client *client, const struct policy *policy,
                              struct resource_names *names, const struct podreq_rules *rules,
                              const struct workload_handler *handler)
{
    struct workload *w = xcalloc(1, sizeof *w);
    char host[256] = "brim";

    w->handler = *handler;
    w->timers = client_timers(client);
    w->came = now_of(w);
    w->api_version = sv_dup(policy->target_api_version);
    w->kind = sv_dup(policy->target_kind);
    w->ns = sv_dup(policy->target_ns);
    w->name = sv_dup(policy->target_name);
    w->scaler = scaler_new(
        client, &(struct target){
                    .api_version = w->api_version, .kind = w->kind, .ns = w->ns, .name = w->name});
    (void)gethostname(host, sizeof host - 1);
    w->events = events_new(client, "brim.dev/agent", host);
    decoder_init(&w->decoder, names, rules);
    w->view.selector = w->selector;
    w->view.owner = w->owner;
    w->view.owner_problem = w->owner_problem;
    w->view.pause_problem = w->pause_problem;
    w->view.problem = w->problem;
    w->view.resource = scaler_resource(w->scaler);
    w->timer = w->timers->timer_new(w->timers->self, poll, w);
    workload_refresh(w);
    return w;
}

void workload_free(struct workload *w)
{
    if (w == NULL)
        return;
    w->timers->timer_free(w->timer);
    scaler_free(w->scaler);
    events_free(w->events);
    decoder_done(&w->decoder);
    while (w->writing != NULL)
        forget_writing(w, w->writing);
    free(w->api_version);
    free(w->kind);
    free(w->ns);
    free(w->name);
    free(w->uid);
    free(w);
}

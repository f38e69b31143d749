#include "agent/places.h"

#include "agent/kube/pod_patch.h"
#include "base/alloc.h"
#include "base/log.h"

/* One patch that was not answered. */
struct patch {
    struct places *places;
    struct patch *next, **link;
    bool is_cost;
    int32_t cost;
};

struct places {
    struct places_handler handler;
    const struct timers *timers;
    struct pod_patcher *patcher;
    struct patch *patches;
    bool forbidden;
    bool probing; /* forbidden: a single patch is out to find out whether that still is so */
    struct mono forbidden_at;
    struct err refused; /* of kind ERR_NONE: the newest pod was let in */
    size_t costs;
    struct mono costs_since;
    uint64_t admitted_total, errors_total;
};

struct places *places_new(struct client *client, struct sv ns, const struct places_handler *handler)
{
    struct places *p = xcalloc(1, sizeof *p);
    CLEANUP(free_ptr) char *name = sv_dup(ns);

    *p = (struct places){.handler = *handler,
                         .timers = client_timers(client),
                         .patcher = pod_patcher_new(client, name)};
    return p;
}

static void forget(struct patch *patch)
{
    *patch->link = patch->next;
    if (patch->next != NULL)
        patch->next->link = patch->link;
    patch->places->costs -= patch->is_cost;
    free(patch);
}

void places_free(struct places *p)
{
    if (p == NULL)
        return;
    pod_patcher_free(p->patcher);
    while (p->patches != NULL)
        forget(p->patches);
    free(p);
}

struct places_view places_view(const struct places *p, struct mono now)
{
    bool due = mono_since_us(p->forbidden_at, now) >= PLACES_RETRY_US;

    return (struct places_view){
        .allowed = !p->forbidden,
        .trying = p->forbidden && (due || p->probing),
        .missing = p->forbidden ? pod_patcher_view(p->patcher).missing : NULL,
        .retry_at = mono_plus_us(p->forbidden_at, PLACES_RETRY_US),
        .refused = p->refused.kind != ERR_NONE ? p->refused.text : NULL,
        .costs = p->costs,
        .costs_since = p->costs_since,
        .admitted_total = p->admitted_total,
        .errors_total = p->errors_total,
    };
}

static void note_outcome(struct places *p, const struct pod_patch_result *result)
{
    p->probing = false;
    if (result->outcome == POD_PATCH_DONE)
        p->forbidden = false;
    if (result->outcome == POD_PATCH_DONE || result->outcome == POD_PATCH_GONE)
        return;
    p->errors_total++;
    if (result->err->kind == ERR_FORBIDDEN) /* by whom? */
        p->forbidden = pod_patcher_view(p->patcher).missing != NULL;
    if (result->err->kind == ERR_FORBIDDEN && p->forbidden) {
        p->forbidden_at = p->timers->now(p->timers->self);
        return;
    }
    log_warn("a filler pod could not be patched",
             F_STR("outcome", pod_patch_outcome_name(result->outcome)), F_ERR(result->err));
}

/* A gate that somebody else has lifted is no refusal. */
static void note_refusal(struct places *p, const struct pod_patch_result *result)
{
    if (result->outcome == POD_PATCH_DONE)
        p->refused = (struct err){0};
    else if (result->outcome == POD_PATCH_REFUSED && result->err->kind != ERR_CONFLICT)
        p->refused = *result->err;
}

static void answered(void *self, const struct pod_patch_result *result)
{
    struct patch *patch = self;
    struct places *p = patch->places;
    bool is_cost = patch->is_cost;
    int32_t cost = patch->cost;
    /* One that may have been written counts as written: its room is not given away twice. */
    bool ok = result->outcome == POD_PATCH_DONE || result->outcome == POD_PATCH_UNKNOWN;

    forget(patch);
    note_outcome(p, result);
    if (!is_cost)
        note_refusal(p, result);
    p->admitted_total += !is_cost && result->outcome == POD_PATCH_DONE;
    if (is_cost)
        p->handler.costed(p->handler.self, result->uid, cost, ok);
    else
        p->handler.admitted(p->handler.self, result->uid, ok);
}

static struct patch *patch_new(struct places *p, bool is_cost, int32_t cost)
{
    struct patch *patch = xcalloc(1, sizeof *patch);

    *patch = (struct patch){
        .places = p, .next = p->patches, .link = &p->patches, .is_cost = is_cost, .cost = cost};
    if (p->patches != NULL)
        p->patches->link = &patch->next;
    p->patches = patch;
    return patch;
}

/* May one more be sent? While the right is missing one a minute. */
static bool may_send(struct places *p, struct mono now)
{
    if (!p->forbidden)
        return true;
    if (p->probing || mono_since_us(p->forbidden_at, now) < PLACES_RETRY_US)
        return false;
    p->probing = true;
    return true;
}

static void let_in(struct places *p, const struct cluster *c,
                   const struct placement_admission *admission)
{
    const struct cluster_node *node = cluster_node(c, admission->node);
    const struct pending_pod *pod = cluster_find_pending(c, admission->uid);
    const struct pod_patch_pod patched = {
        .name = admission->name,
        .uid = admission->uid,
        .rules = pod != NULL && pod->rules != NULL ? &pod->rules->rules : NULL};

    if (node == NULL) {
        p->handler.admitted(p->handler.self, admission->uid, false);
        return;
    }
    (void)pod_patch_let_in(p->patcher, &patched, sv_from(node->name), answered,
                           patch_new(p, false, 0));
}

static void set_cost(struct places *p, const struct placement_cost *cost, struct mono now)
{
    const struct pod_patch_pod patched = {.name = cost->name, .uid = cost->uid};

    if (p->costs++ == 0)
        p->costs_since = now;
    (void)pod_patch_cost(p->patcher, &patched, cost->cost, answered,
                         patch_new(p, true, cost->cost));
}

void places_carry(struct places *p, const struct cluster *c, const struct placement_plan *plan,
                  struct mono now)
{
    for (size_t i = 0; i < plan->n_costs; i++) {
        if (may_send(p, now))
            set_cost(p, &plan->costs[i], now);
        else
            p->handler.costed(p->handler.self, plan->costs[i].uid, plan->costs[i].cost, false);
    }
    for (size_t i = 0; i < plan->n_admit; i++) {
        if (may_send(p, now))
            let_in(p, c, &plan->admit[i]);
        else
            p->handler.admitted(p->handler.self, plan->admit[i].uid, false);
    }
}

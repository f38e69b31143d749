#include "agent/decide_state.h"

#include <stdlib.h>

#include "agent/decide_answer.h"
#include "agent/facts.h"
#include "base/alloc.h"
#include "base/map.h"
#include "capacity/pack.h"

/* A pod as its lines left it. The record's texts are the members below. */
struct pod_entry {
    struct pod_record record;
    struct packed_node *who;    /* namespace (as its name) and labels; NULL: none */
    struct packed_rules *rules; /* what the record's rules borrow from; NULL: none */
    char *node, *nominated;     /* NULL: none */
    struct wall seen;           /* its first line: when it was created, if no line says so */
    bool filler;
    uint32_t next_free;
};

/* The filler as its lines left it. */
struct filler_facts {
    bool known;
    bool has_priority;
    int64_t replicas;
    int64_t grace_us;
    int32_t priority;
    struct resources request;
    struct packed_rules *rules; /* NULL: none */
};

struct decide {
    const struct policy *policy;
    struct facts facts;
    struct controller *controller;
    struct controller_config config;
    struct mono now;
    bool started;

    struct pod_entry *pods;
    size_t n_pods, cap_pods;
    uint32_t free_pod;
    struct map by_uid;
    size_t n_nominated; /* pods that are nominated somewhere */
    bool nodes_came;    /* since the last step */

    struct filler_facts filler;
    bool has_found; /* metrics-only: the count that the controller was told */
    int64_t found;
};

static uint64_t entry_hash(const void *self, uint32_t index)
{
    return uid_hash(((const struct decide *)self)->pods[index].record.uid);
}

static bool entry_equal(const void *self, uint32_t index, const void *key)
{
    return uid_eq(((const struct decide *)self)->pods[index].record.uid, *(const struct uid *)key);
}

static const struct map_ops entry_ops = {.hash = entry_hash, .equal = entry_equal};

/* What the policy's spec.pod says of the filler, until a line says otherwise. */
static void seed_filler(struct filler_facts *filler, const struct pod_spec_shape *pod)
{
    filler->grace_us = (pod->given ? pod->grace_s : DECIDE_GRACE_S) * US_PER_S;
    if (!pod->given)
        return;
    filler->request.at[RESOURCE_CPU] = pod->cpu_milli;
    filler->request.at[RESOURCE_MEMORY] = pod->memory_bytes;
    filler->has_priority = true;
    filler->priority = pod->priority;
}

bool decide_new(const struct policy *policy, struct decide **ret_d, struct err *err)
{
    /* Pods come with their requests summed, so that no release's rules of counting are asked for.
     */
    static const struct podreq_rules rules = {0};
    struct decide *d = xcalloc(1, sizeof *d);

    if (!facts_init(&d->facts, policy, &rules, err)) {
        free(d);
        return false;
    }
    d->policy = policy;
    d->config = facts_config(&d->facts);
    d->controller = controller_new(&d->config);
    d->free_pod = MAP_NONE;
    seed_filler(&d->filler, &policy->pod);
    map_init(&d->by_uid, &entry_ops, d);
    *ret_d = d;
    return true;
}

static void entry_done(struct pod_entry *e)
{
    free(e->who);
    free(e->rules);
    free(e->node);
    free(e->nominated);
}

void decide_free(struct decide *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->n_pods; i++)
        entry_done(&d->pods[i]);
    free(d->pods);
    map_done(&d->by_uid);
    free(d->filler.rules);
    controller_free(d->controller);
    facts_done(&d->facts);
    free(d);
}

struct resource_names *decide_names(struct decide *d)
{
    return cluster_names(d->facts.cluster);
}

/* Takes over the amounts that a line names; true if one of them has no place. */
static bool take_amounts(struct resources *to, const struct decide_line *line)
{
    bool lost = false;

    for (size_t i = 0; i < line->n_amounts; i++) {
        if (line->amounts[i].place < 0)
            lost |= line->amounts[i].value != 0;
        else
            to->at[line->amounts[i].place] = line->amounts[i].value;
    }
    return lost;
}

/* A text that an entry owns; true if it differs from before. */
static bool set_text(char **text, struct sv value)
{
    if (*text != NULL ? sv_eq(sv_from(*text), value) : value.len == 0)
        return false;
    free(*text);
    *text = value.len != 0 ? sv_dup(value) : NULL;
    return true;
}

/* Nodes. */

static void put_node(struct decide *d, const struct decide_line *line)
{
    uint32_t index = cluster_find_node(d->facts.cluster, line->name);
    struct node_record node = {.name = line->name, .ready = true};

    if (index != CLUSTER_NO_NODE) {
        node = cluster_node_record(cluster_node(d->facts.cluster, index));
    } else {
        node.allocatable.at[RESOURCE_PODS] = DECIDE_NODE_PODS;
        d->nodes_came = true;
    }
    (void)take_amounts(&node.allocatable, line);
    if (decide_given(line, KEY_LABELS)) {
        node.labels = line->labels.at;
        node.n_labels = line->labels.len;
    }
    if (decide_given(line, KEY_TAINTS)) {
        node.taints = line->taints.at;
        node.n_taints = line->taints.len;
    }
    if (decide_given(line, KEY_SCHEDULABLE))
        node.unschedulable = !line->schedulable;
    if (decide_given(line, KEY_READY))
        node.ready = line->ready;
    facts_put_node(&d->facts, &node);
}

static void apply_node(struct decide *d, const struct decide_line *line)
{
    if (decide_given(line, KEY_DELETED) && line->deleted)
        facts_drop_node(&d->facts, line->name);
    else
        put_node(d, line);
}

/* Pods. */

static struct pod_entry *entry_new(struct decide *d, struct uid uid)
{
    uint32_t index = d->free_pod;

    if (index != MAP_NONE) {
        d->free_pod = d->pods[index].next_free;
    } else {
        index = (uint32_t)d->n_pods;
        VEC_PUSH(d->pods, d->n_pods, d->cap_pods, (struct pod_entry){0});
    }

    struct pod_entry *e = &d->pods[index];

    *e = (struct pod_entry){.seen = {.us = d->now.us}};
    e->record.uid = uid;
    e->record.created = e->seen;
    e->record.request.at[RESOURCE_PODS] = 1;
    map_put(&d->by_uid, uid_hash(uid), index);
    return e;
}

static void entry_drop(struct decide *d, uint32_t index)
{
    struct pod_entry *e = &d->pods[index];

    map_remove(&d->by_uid, uid_hash(e->record.uid), index);
    d->n_nominated -= e->nominated != NULL;
    entry_done(e);
    *e = (struct pod_entry){.next_free = d->free_pod};
    d->free_pod = index;
}

/* The node selector and tolerations that a line names, and those from before that it does not. */
static struct pod_rules merged_rules(const struct packed_rules *before,
                                     const struct decide_line *line)
{
    struct pod_rules rules = before != NULL ? before->rules : (struct pod_rules){0};

    if (decide_given(line, KEY_NODE_SELECTOR)) {
        rules.node_selector = line->node_selector.at;
        rules.n_node_selector = line->node_selector.len;
    }
    if (decide_given(line, KEY_TOLERATIONS)) {
        rules.tolerations = line->tolerations.at;
        rules.n_tolerations = line->tolerations.len;
    }
    return rules;
}

static bool names_rules(const struct decide_line *line)
{
    return decide_given(line, KEY_NODE_SELECTOR) || decide_given(line, KEY_TOLERATIONS) ||
           decide_given(line, KEY_ONLY_NODE);
}

static void take_rules(struct pod_entry *e, const struct decide_line *line)
{
    const struct requirement field = {
        .key = SV("metadata.name"), .op = OP_IN, .values = &line->only_node, .n_values = 1};
    const struct node_term term = {.fields = &field, .n_fields = 1};
    struct pod_rules rules = merged_rules(e->rules, line);
    struct packed_rules *packed;

    if (decide_given(line, KEY_ONLY_NODE)) {
        rules.has_affinity = line->only_node.len != 0;
        rules.terms = &term;
        rules.n_terms = rules.has_affinity;
    }
    packed = pack_rules(&rules);
    free(e->rules);
    e->rules = packed;
    e->record.rules = packed->rules;
}

/* Namespace and labels, in one block. */
static void take_who(struct pod_entry *e, const struct decide_line *line)
{
    struct node_record who = {
        .name = e->record.ns, .labels = e->record.labels, .n_labels = e->record.n_labels};
    struct packed_node *packed;

    if (decide_given(line, KEY_NAMESPACE))
        who.name = line->ns;
    if (decide_given(line, KEY_LABELS)) {
        who.labels = line->labels.at;
        who.n_labels = line->labels.len;
    }
    packed = pack_node(&who);
    free(e->who);
    e->who = packed;
    e->record.ns = packed->name;
    e->record.labels = packed->labels;
    e->record.n_labels = packed->n_labels;
}

static void take_flags(struct pod_record *record, const struct decide_line *line)
{
    if (decide_given(line, KEY_PHASE))
        record->phase = line->phase;
    if (decide_given(line, KEY_PRIORITY))
        record->priority = (int32_t)line->priority;
    if (decide_given(line, KEY_GATED))
        record->gated = line->gated;
    if (decide_given(line, KEY_READY))
        record->ready = line->ready;
    if (decide_given(line, KEY_DELETING))
        record->deleting = line->deleting;
    if (decide_given(line, KEY_UNSCHEDULABLE))
        record->unschedulable = line->unschedulable;
    if (decide_given(line, KEY_PREEMPTION_POLICY))
        record->preempts_never = line->preempts_never;
}

/* Where the pod is or is to go. Binding ends what was said of a pod that waited. */
static void take_place(struct decide *d, struct pod_entry *e, const struct decide_line *line)
{
    bool bound = decide_given(line, KEY_NODE) && set_text(&e->node, line->node) && e->node != NULL;

    d->n_nominated -= e->nominated != NULL;
    if (decide_given(line, KEY_NOMINATED))
        (void)set_text(&e->nominated, line->nominated);
    if (bound)
        (void)set_text(&e->nominated, (struct sv){0});
    if (bound)
        e->record.unschedulable = false;
    d->n_nominated += e->nominated != NULL;
    e->record.node = sv_from(e->node);
    e->record.nominated = sv_from(e->nominated);
}

static void put_pod(struct decide *d, const struct decide_line *line)
{
    struct uid uid = uid_parse(line->name);
    uint32_t index = map_find(&d->by_uid, uid_hash(uid), &uid);
    struct pod_entry *e = index != MAP_NONE ? &d->pods[index] : entry_new(d, uid);
    struct pod_record *record = &e->record;

    record->uncountable |= take_amounts(&record->request, line);
    take_flags(record, line);
    if (decide_given(line, KEY_CREATED))
        record->created = (line->withdrawn >> KEY_CREATED & 1) != 0
                              ? e->seen
                              : (struct wall){.us = line->created_us};
    if (decide_given(line, KEY_POLICY))
        e->filler = line->policy.len != 0;
    if (decide_given(line, KEY_NAMESPACE) || decide_given(line, KEY_LABELS))
        take_who(e, line);
    if (names_rules(line))
        take_rules(e, line);
    take_place(d, e, line);
    facts_put_pod(&d->facts, record, e->filler, d->now);
}

static void apply_pod(struct decide *d, const struct decide_line *line)
{
    struct uid uid = uid_parse(line->name);
    uint32_t index;

    if (!decide_given(line, KEY_GONE) || !line->gone) {
        put_pod(d, line);
        return;
    }
    index = map_find(&d->by_uid, uid_hash(uid), &uid);
    if (index == MAP_NONE)
        return;
    facts_drop_pod(&d->facts, uid);
    entry_drop(d, index);
}

/* The filler. */

static void state_shape(struct decide *d)
{
    static const struct pod_rules no_rules = {0};
    const struct filler_facts *filler = &d->filler;
    struct claims_filler claims = {.priority = filler->has_priority ? filler->priority : INT32_MIN,
                                   .own_class = !filler->has_priority || filler->priority != 0,
                                   .grace_us = filler->grace_us};

    facts_state_shape(&d->facts, &filler->request,
                      filler->rules != NULL ? &filler->rules->rules : &no_rules, &claims);
}

/* Amounts that a line names; one that is withdrawn falls back to the policy's. */
static void take_request(struct decide *d, const struct decide_line *line)
{
    const struct pod_spec_shape *pod = &d->policy->pod;
    struct resources *request = &d->filler.request;

    (void)take_amounts(request, line);
    if (pod->given && request->at[RESOURCE_CPU] == 0)
        request->at[RESOURCE_CPU] = pod->cpu_milli;
    if (pod->given && request->at[RESOURCE_MEMORY] == 0)
        request->at[RESOURCE_MEMORY] = pod->memory_bytes;
}

static void apply_filler(struct decide *d, const struct decide_line *line)
{
    struct filler_facts *filler = &d->filler;

    filler->known = true;
    take_request(d, line);
    if (decide_given(line, KEY_REPLICAS))
        filler->replicas = line->replicas;
    if (decide_given(line, KEY_GRACE))
        filler->grace_us = line->grace_us;
    if (decide_given(line, KEY_PRIORITY)) {
        filler->has_priority = (line->withdrawn >> KEY_PRIORITY & 1) == 0;
        filler->priority = (int32_t)line->priority;
    }
    if (decide_given(line, KEY_NODE_SELECTOR) || decide_given(line, KEY_TOLERATIONS)) {
        struct pod_rules rules = merged_rules(filler->rules, line);
        struct packed_rules *packed = pack_rules(&rules);

        free(filler->rules);
        filler->rules = packed;
    }
    if (filler->request.at[RESOURCE_CPU] != 0)
        state_shape(d);
}

/* Is this the policy that the run is about? */
static bool check_policy(const struct decide *d, const char *key, struct sv policy, struct err *err)
{
    if (sv_eq(policy, d->policy->name))
        return true;
    return err_set(err, ERR_INPUT, 0, "%s: found %.*s, expected %.*s", key, SV_ARG(policy),
                   SV_ARG(d->policy->name));
}

/* Nothing but `t` moves time, and it does not go back. */
static bool check_time(const struct decide *d, int64_t t_us, struct err *err)
{
    struct strbuf found, least;

    if (!d->started || t_us >= d->now.us)
        return true;
    strbuf_init(&found, sizeof err->text);
    strbuf_init(&least, sizeof err->text);
    decide_seconds(t_us, &found);
    decide_seconds(d->now.us, &least);
    (void)err_set(err, ERR_INPUT, 0,
                  "t: found %s, expected at least %s, the time of the line before",
                  strbuf_str(&found), strbuf_str(&least));
    strbuf_done(&found);
    strbuf_done(&least);
    return false;
}

static bool check(const struct decide *d, const struct decide_line *line, struct err *err)
{
    if (!check_time(d, line->t_us, err))
        return false;
    if (line->kind == LINE_FILLER)
        return check_policy(d, "filler.policy", line->name, err);
    if (line->kind == LINE_POD && decide_given(line, KEY_POLICY) && line->policy.len != 0)
        return check_policy(d, "pod.policy", line->policy, err);
    return true;
}

bool decide_apply(struct decide *d, const struct decide_line *line, struct err *err)
{
    if (!check(d, line, err))
        return false;
    d->now.us = line->t_us;
    d->started = true;
    switch (line->kind) {
    case LINE_NODE:
        apply_node(d, line);
        break;
    case LINE_POD:
        apply_pod(d, line);
        break;
    case LINE_FILLER:
        apply_filler(d, line);
        break;
    case LINE_STEP:
    case LINE_KIND_COUNT_:
        break;
    }
    return true;
}

/* Steps. */

/* A nomination may name a node whose facts come later. */
static void renominate(struct decide *d)
{
    if (d->nodes_came && d->n_nominated != 0) {
        for (size_t i = 0; i < d->n_pods; i++) {
            const struct pod_entry *e = &d->pods[i];

            if (e->nominated != NULL)
                facts_put_pod(&d->facts, &e->record, e->filler, d->now);
        }
    }
    d->nodes_came = false;
}

static void configure(struct decide *d)
{
    struct controller_config config = facts_config(&d->facts);

    if (config.settle_us != d->config.settle_us)
        controller_configure(d->controller, &config);
    d->config = config;
}

/* Growth stops at what terminating filler leaves; then the decision is to wait for it. */
static void carry_out(struct decide *d, struct decision *decision)
{
    if (decision->write && decision->replicas > d->filler.replicas) {
        decision->replicas = facts_growth(&d->facts, d->filler.replicas, decision->replicas);
        decision->write = decision->replicas != d->filler.replicas;
        if (!decision->write) {
            decision->reason = REASON_HOLD;
            decision->bound = BOUND_FIT;
        }
    }
    if (!decision->write || d->policy->mode == MODE_METRICS_ONLY)
        return;
    controller_wrote(d->controller, decision->replicas, d->now);
    d->filler.replicas = decision->replicas;
}

/* What another autoscaler does to a target that is only measured is nobody's reset. */
static void take_found(struct decide *d, bool known)
{
    if (d->policy->mode != MODE_METRICS_ONLY || !known ||
        (d->has_found && d->found == d->filler.replicas))
        return;
    d->has_found = true;
    d->found = d->filler.replicas;
    controller_wrote(d->controller, d->found, d->now);
}

struct decide_answer decide_step(struct decide *d)
{
    struct decide_answer answer = {
        .t_us = d->now.us, .policy = d->policy->name, .from = d->filler.replicas};
    struct controller_facts in = {.fresh = true, .replicas = d->filler.replicas};
    struct claims_sum claims;

    renominate(d);
    configure(d);
    claims = facts_measure(&d->facts, d->now);
    in.known = d->filler.known && d->facts.fit != NULL;
    facts_room(&d->facts, &in);
    take_found(d, in.known);
    answer.decision = controller_step(d->controller, &in, d->now);
    carry_out(d, &answer.decision);
    answer.has_wake = answer.decision.has_wake;
    answer.wake_us = answer.decision.wake.us;
    if (claims.has_deadline && (!answer.has_wake || claims.deadline.us < answer.wake_us)) {
        answer.has_wake = true;
        answer.wake_us = claims.deadline.us;
    }
    return answer;
}

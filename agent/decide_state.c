#include "agent/decide_state.h"

#include <stdlib.h>

#include "agent/decide_answer.h"
#include "base/alloc.h"
#include "base/map.h"
#include "capacity/pack.h"
#include "policy/ignore.h"
#include "policy/schedule.h"

/* A pod as its lines left it. The record's texts are the members below. */
struct pod_entry {
    struct pod_record record;
    struct packed_node *who;    /* namespace (as its name) and labels; NULL: none */
    struct packed_rules *rules; /* what the record's rules borrow from; NULL: none */
    char *name;                 /* its uid as the lines write it */
    char *node, *nominated;     /* NULL: none */
    struct wall seen;           /* its first line: when it was created, if no line says so */
    int filler;                 /* whose it is, or CLUSTER_PAID */
    uint32_t next_free;
};

/* A filler as its lines left it. Its index is the planner's. */
struct filler_facts {
    const struct policy *policy; /* in force: `effective` once a step was made */
    const struct policy *text;   /* as its file says */
    struct policy effective;     /* what its schedule makes of it; borrows from the text */
    bool scheduled;              /* `effective` is set */
    bool changes;                /* … until `next` */
    struct wall next;
    bool known;
    bool has_priority;
    int64_t replicas;
    int64_t grace_us, start_us;
    int32_t priority;
    struct resources request;
    struct packed_rules *rules; /* NULL: none */
    bool has_found;             /* metrics-only: the count that the controller was told */
    int64_t found;
};

struct decide {
    struct planner *planner;
    struct mono now;
    bool started;

    struct pod_entry *pods;
    size_t n_pods, cap_pods;
    uint32_t free_pod;
    struct map by_uid;
    size_t n_nominated; /* pods that are nominated somewhere */
    bool nodes_came;    /* since the last step */

    int n_fillers;
    struct filler_facts fillers[PLANNER_MAX_FILLERS];
    struct ignore *ignores[PLANNER_MAX_FILLERS]; /* of the same */
    struct planner_input input[PLANNER_MAX_FILLERS];
    struct planner_plan plans[PLANNER_MAX_FILLERS];
    struct decide_answer answers[PLANNER_MAX_FILLERS];
    struct planner_result result; /* of the last step */
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

static void state_shape(struct decide *d, int filler)
{
    static const struct pod_rules no_rules = {0};
    const struct filler_facts *f = &d->fillers[filler];
    struct planner_shape shape = {
        .request = f->request,
        .rules = f->rules != NULL ? &f->rules->rules : &no_rules,
        .claims = {.priority = f->has_priority ? f->priority : INT32_MIN,
                   .own_class = !f->has_priority || f->priority != 0,
                   .grace_us = f->grace_us},
        .start_us = f->start_us,
    };

    if (f->request.at[RESOURCE_CPU] != 0)
        planner_set_shape(d->planner, filler, &shape);
}

static int64_t grace_of(const struct pod_spec_shape *pod)
{
    return (pod->given ? pod->grace_s : DECIDE_GRACE_S) * US_PER_S;
}

/* Does the line say null there? */
static bool withdraws(const struct decide_line *line, enum line_key key)
{
    return (line->withdrawn & UINT32_C(1) << key) != 0;
}

/* What the policy's spec.pod says of the filler, until a line says otherwise. */
static void seed_filler(struct filler_facts *filler)
{
    const struct pod_spec_shape *pod = &filler->policy->pod;
    struct pod_rules rules = {.node_selector = pod->node_selector,
                              .n_node_selector = pod->n_node_selector,
                              .tolerations = pod->tolerations,
                              .n_tolerations = pod->n_tolerations};

    filler->grace_us = grace_of(pod);
    if (!pod->given)
        return;
    filler->request.at[RESOURCE_CPU] = pod->cpu_milli;
    filler->request.at[RESOURCE_MEMORY] = pod->memory_bytes;
    filler->has_priority = true;
    filler->priority = pod->priority;
    filler->rules = pack_rules(&rules);
}

bool decide_new(const struct policy_list *policies, struct decide **ret_d, struct err *err)
{
    CLEANUP(decide_free_ptr) struct decide *d = xcalloc(1, sizeof *d);

    d->planner = planner_new();
    d->free_pod = MAP_NONE;
    map_init(&d->by_uid, &entry_ops, d);
    if (policies->len == 0)
        return err_set(err, ERR_INPUT, 0, "found no policy, expected at least one");
    if (policies->len > PLANNER_MAX_FILLERS)
        return err_set(err, ERR_INPUT, 0, "found %zu policies, expected at most %d", policies->len,
                       PLANNER_MAX_FILLERS);
    for (size_t i = 0; i < policies->len; i++) {
        struct filler_facts *filler = &d->fillers[i];

        filler->policy = filler->text = policies->at[i];
        d->n_fillers++;
        if (!ignore_new(filler->policy, &d->ignores[i], err))
            return false;
        (void)planner_add(d->planner, filler->policy);
        seed_filler(filler);
    }
    *ret_d = d;
    d = NULL;
    return true;
}

static void entry_done(struct pod_entry *e)
{
    free(e->who);
    free(e->rules);
    free(e->name);
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
    for (int i = 0; i < d->n_fillers; i++) {
        free(d->fillers[i].rules);
        ignore_free(d->ignores[i]);
    }
    planner_free(d->planner);
    free(d);
}

struct resource_names *decide_names(struct decide *d)
{
    return cluster_names(planner_cluster(d->planner));
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
    const struct cluster *c = planner_cluster(d->planner);
    uint32_t index = cluster_find_node(c, line->name);
    struct node_record node = {.name = line->name, .ready = true};

    if (index != CLUSTER_NO_NODE) {
        node = cluster_node_record(cluster_node(c, index));
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
    planner_put_node(d->planner, &node);
}

static void apply_node(struct decide *d, const struct decide_line *line)
{
    if (decide_given(line, KEY_DELETED) && line->deleted)
        planner_drop_node(d->planner, line->name);
    else
        put_node(d, line);
}

/* Pods. */

static struct pod_entry *entry_new(struct decide *d, struct sv name, struct uid uid)
{
    uint32_t index = d->free_pod;

    if (index != MAP_NONE) {
        d->free_pod = d->pods[index].next_free;
    } else {
        index = (uint32_t)d->n_pods;
        VEC_PUSH(d->pods, d->n_pods, d->cap_pods, (struct pod_entry){0});
    }

    struct pod_entry *e = &d->pods[index];

    *e =
        (struct pod_entry){.seen = {.us = d->now.us}, .name = sv_dup(name), .filler = CLUSTER_PAID};
    e->record.uid = uid;
    e->record.name = sv_from(e->name);
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

/* The index of a policy's filler; CLUSTER_PAID for none. */
static int find_filler(const struct decide *d, struct sv policy)
{
    for (int i = 0; i < d->n_fillers; i++) {
        if (sv_eq(d->fillers[i].policy->name, policy))
            return i;
    }
    return CLUSTER_PAID;
}

static void show_pod(struct decide *d, const struct pod_entry *e)
{
    bool ignored =
        e->filler == CLUSTER_PAID && ignore_by_all(d->ignores, (size_t)d->n_fillers, &e->record);

    (void)planner_put_pod(d->planner, &e->record, e->filler, ignored, d->now);
}

/* A pod that turns out to be another's is another pod to the planner. */
static void take_owner(struct decide *d, struct pod_entry *e, struct sv policy)
{
    int filler = find_filler(d, policy);

    if (filler != e->filler)
        (void)planner_drop_pod(d->planner, e->record.uid, d->now);
    e->filler = filler;
}

static void put_pod(struct decide *d, const struct decide_line *line)
{
    struct uid uid = uid_parse(line->name);
    uint32_t index = map_find(&d->by_uid, uid_hash(uid), &uid);
    struct pod_entry *e = index != MAP_NONE ? &d->pods[index] : entry_new(d, line->name, uid);
    struct pod_record *record = &e->record;

    record->uncountable |= take_amounts(&record->request, line);
    take_flags(record, line);
    if (decide_given(line, KEY_CREATED))
        record->created =
            withdraws(line, KEY_CREATED) ? e->seen : (struct wall){.us = line->created_us};
    if (decide_given(line, KEY_POLICY))
        take_owner(d, e, line->policy);
    if (decide_given(line, KEY_NAMESPACE) || decide_given(line, KEY_LABELS))
        take_who(e, line);
    if (names_rules(line))
        take_rules(e, line);
    take_place(d, e, line);
    show_pod(d, e);
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
    (void)planner_drop_pod(d->planner, uid, d->now);
    entry_drop(d, index);
}

/* The fillers. */

/* Amounts that a line names; one that is withdrawn falls back to the policy's. */
static void take_request(struct filler_facts *filler, const struct decide_line *line)
{
    const struct pod_spec_shape *pod = &filler->policy->pod;
    struct resources *request = &filler->request;

    (void)take_amounts(request, line);
    if (pod->given && request->at[RESOURCE_CPU] == 0)
        request->at[RESOURCE_CPU] = pod->cpu_milli;
    if (pod->given && request->at[RESOURCE_MEMORY] == 0)
        request->at[RESOURCE_MEMORY] = pod->memory_bytes;
}

/* Rules that a line withdraws are the policy's again. */
static void fall_back(struct pod_rules *rules, const struct pod_spec_shape *pod,
                      const struct decide_line *line)
{
    if (withdraws(line, KEY_NODE_SELECTOR)) {
        rules->node_selector = pod->node_selector;
        rules->n_node_selector = pod->n_node_selector;
    }
    if (withdraws(line, KEY_TOLERATIONS)) {
        rules->tolerations = pod->tolerations;
        rules->n_tolerations = pod->n_tolerations;
    }
}

static void apply_filler(struct decide *d, const struct decide_line *line)
{
    int index = find_filler(d, line->name);
    struct filler_facts *filler = &d->fillers[index];
    const struct pod_spec_shape *pod = &filler->policy->pod;

    filler->known = true;
    take_request(filler, line);
    if (decide_given(line, KEY_REPLICAS))
        filler->replicas = line->replicas;
    if (decide_given(line, KEY_GRACE))
        filler->grace_us = withdraws(line, KEY_GRACE) ? grace_of(pod) : line->grace_us;
    if (decide_given(line, KEY_START))
        filler->start_us = line->start_us;
    if (decide_given(line, KEY_PRIORITY)) {
        filler->has_priority = !withdraws(line, KEY_PRIORITY) || pod->given;
        filler->priority = withdraws(line, KEY_PRIORITY) ? pod->priority : (int32_t)line->priority;
    }
    if (decide_given(line, KEY_NODE_SELECTOR) || decide_given(line, KEY_TOLERATIONS)) {
        struct pod_rules rules = merged_rules(filler->rules, line);

        fall_back(&rules, pod, line);

        struct packed_rules *packed = pack_rules(&rules);

        free(filler->rules);
        filler->rules = packed;
    }
    state_shape(d, index);
}

/* Is this one of the policies that the run is about? */
static bool check_policy(const struct decide *d, const char *key, struct sv policy, struct err *err)
{
    struct strbuf names;

    if (find_filler(d, policy) != CLUSTER_PAID)
        return true;
    strbuf_init(&names, sizeof err->text);
    for (int i = 0; i < d->n_fillers; i++)
        (void)strbuf_addf(&names, "%s%.*s", i == 0 ? "" : " or ",
                          SV_ARG(d->fillers[i].policy->name));
    (void)err_set(err, ERR_INPUT, 0, "%s: found %.*s, expected %s", key, SV_ARG(policy),
                  strbuf_str(&names));
    strbuf_done(&names);
    return false;
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
            if (d->pods[i].nominated != NULL)
                show_pod(d, &d->pods[i]);
        }
    }
    d->nodes_came = false;
}

/* What is ignored from now on: what waits is looked at anew. */
static void take_ignored(struct decide *d, int filler)
{
    ignore_free(TAKE(d->ignores[filler]));
    /* It cannot fail: its selectors were read. */
    (void)!ignore_new(d->fillers[filler].policy, &d->ignores[filler], NULL);
    for (size_t i = 0; i < d->n_pods; i++) {
        const struct pod_entry *e = &d->pods[i];

        if (e->name != NULL && e->node == NULL)
            show_pod(d, e);
    }
}

/* The policy as it is at this time. */
static void follow_schedule(struct decide *d, int filler)
{
    struct filler_facts *f = &d->fillers[filler];
    const struct paid_ignore *ignored = f->policy->ignore;
    enum policy_mode mode = f->policy->mode;

    if (f->text->n_overrides == 0 || (f->scheduled && !(f->changes && d->now.us >= f->next.us)))
        return;
    f->changes = schedule_at(f->text, (struct wall){.us = d->now.us}, &f->effective, &f->next);
    f->scheduled = true;
    f->policy = &f->effective;
    planner_set_policy(d->planner, filler, f->policy);
    if (f->policy->mode != mode) {
        planner_restart(d->planner, filler);
        f->has_found = false;
    }
    if (f->policy->ignore != ignored)
        take_ignored(d, filler);
}

/* What another autoscaler does to a target that is only measured is nobody's reset. */
static void take_found(struct decide *d, int filler)
{
    struct filler_facts *f = &d->fillers[filler];

    if (f->policy->mode != MODE_METRICS_ONLY || !d->input[filler].known ||
        (f->has_found && f->found == f->replicas))
        return;
    f->has_found = true;
    f->found = f->replicas;
    planner_wrote(d->planner, filler, f->found, d->now);
}

static void prepare(struct decide *d, int filler)
{
    struct filler_facts *f = &d->fillers[filler];

    follow_schedule(d, filler);
    d->input[filler] = (struct planner_input){
        .known = f->known && f->request.at[RESOURCE_CPU] != 0,
        .fresh = true,
        .carries_out = f->policy->mode != MODE_METRICS_ONLY,
        .replicas = f->replicas,
    };
    take_found(d, filler);
}

static void carry_out(struct decide *d, int filler)
{
    struct filler_facts *f = &d->fillers[filler];
    const struct planner_plan *plan = &d->plans[filler];

    if (f->policy->mode == MODE_METRICS_ONLY)
        return;
    if (plan->decision.write) {
        planner_wrote(d->planner, filler, plan->decision.replicas, d->now);
        f->replicas = plan->decision.replicas;
    }
    for (size_t i = 0; plan->placement != NULL && i < plan->placement->n_admit; i++)
        planner_admitted(d->planner, filler, plan->placement->admit[i].uid, true, d->now);
    for (size_t i = 0; plan->placement != NULL && i < plan->placement->n_costs; i++)
        planner_costed(d->planner, filler, plan->placement->costs[i].uid,
                       plan->placement->costs[i].cost, true);
}

const struct decide_answer *decide_step(struct decide *d, size_t *ret_n)
{
    renominate(d);
    for (int i = 0; i < d->n_fillers; i++)
        prepare(d, i);
    d->result = planner_step(d->planner, d->input, d->plans, d->now);
    for (int i = 0; i < d->n_fillers; i++) {
        d->answers[i] = (struct decide_answer){.t_us = d->now.us,
                                               .policy = d->fillers[i].policy->name,
                                               .from = d->fillers[i].replicas,
                                               .plan = &d->plans[i]};
        carry_out(d, i);
    }
    *ret_n = (size_t)d->n_fillers;
    return d->answers;
}

bool decide_wake(const struct decide *d, int64_t *ret_us)
{
    bool has = d->result.has_wake;

    *ret_us = d->result.wake.us;
    for (int i = 0; i < d->n_fillers; i++) {
        const struct filler_facts *f = &d->fillers[i];

        if (f->changes && (!has || f->next.us < *ret_us)) {
            *ret_us = f->next.us;
            has = true;
        }
    }
    return has;
}

struct sv decide_node(const struct decide *d, uint32_t node)
{
    return cluster_node_record(cluster_node(planner_cluster(d->planner), node)).name;
}

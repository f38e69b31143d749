#include "agent/facts.h"

#include "base/alloc.h"

/* There is one filler an agent: its index in the cluster. */
enum { FILLER = 0 };

static const char *const shape_source_names[] = {
    [SHAPE_NONE] = "unknown",
    [SHAPE_POLICY] = "policy",
    [SHAPE_TEMPLATE] = "template",
    [SHAPE_POD] = "pod",
};
_Static_assert(COUNT_OF(shape_source_names) == SHAPE_SOURCE_COUNT_,
               "a source of the shape has no name");

const char *shape_source_name(enum shape_source source)
{
    return shape_source_names[source];
}

static bool parse_ignore(struct facts *f, struct err *err)
{
    const struct policy *p = f->policy;

    f->ignore = xcalloc(p->n_ignore, sizeof *f->ignore);
    for (size_t i = 0; i < p->n_ignore; i++) {
        if (!selector_parse(&f->ignore_arena, p->ignore[i].selector, &f->ignore[i], err))
            return err_wrap(err, "policy %.*s: spec.paid.ignore[%zu].selector", SV_ARG(p->name), i);
    }
    return true;
}

/* Takes a new shape if it differs from the one that is known. */
static void set_shape(struct facts *f, enum shape_source source, const struct resources *request,
                      const struct pod_rules *rules, const struct claims_filler *filler)
{
    f->shape_source = source;
    f->filler = *filler;
    if (f->fit != NULL && fit_is_for(f->fit, request, rules, 0))
        return;
    fit_free(f->fit);
    f->fit = fit_new(request, rules, 0);
    fit_rebuild(f->fit, f->cluster);
    f->changed = true;
}

static void set_shape_from_policy(struct facts *f)
{
    const struct pod_spec_shape *shape = &f->policy->pod;
    struct resources request = {0};
    struct pod_rules rules = {0};

    if (!shape->given)
        return;
    request.at[RESOURCE_CPU] = shape->cpu_milli;
    request.at[RESOURCE_MEMORY] = shape->memory_bytes;
    set_shape(f, SHAPE_POLICY, &request, &rules,
              &(struct claims_filler){.priority = shape->priority,
                                      .own_class = shape->priority != 0,
                                      .grace_us = shape->grace_s * US_PER_S});
}

bool facts_init(struct facts *f, const struct policy *policy, const struct podreq_rules *rules,
                struct err *err)
{
    *f = (struct facts){.policy = policy, .cluster = cluster_new(), .claims = claims_new()};
    decoder_init(&f->decoder, cluster_names(f->cluster), rules);
    arena_init(&f->selector_arena, FACTS_MAX_SELECTOR);
    arena_init(&f->ignore_arena, FACTS_MAX_SELECTOR);
    if (!parse_ignore(f, err)) {
        facts_done(f);
        return false;
    }
    set_shape_from_policy(f);
    return true;
}

void facts_done(struct facts *f)
{
    decoder_done(&f->decoder);
    fit_free(f->fit);
    claims_free(f->claims);
    cluster_free(f->cluster);
    arena_done(&f->selector_arena);
    arena_done(&f->ignore_arena);
    free(f->selector_text);
    free(f->ignore);
    *f = (struct facts){0};
}

bool facts_set_selector(struct facts *f, struct sv text, bool *ret_changed, struct err *err)
{
    struct arena arena;
    struct selector selector = {0};

    if (f->selector_text != NULL ? sv_eq(sv_from(f->selector_text), text) : text.len == 0) {
        *ret_changed = false;
        return true;
    }
    arena_init(&arena, FACTS_MAX_SELECTOR);
    if (!selector_parse(&arena, text, &selector, err)) {
        arena_done(&arena);
        return err_wrap(err, "the target's selector");
    }
    arena_done(&f->selector_arena);
    f->selector_arena = arena;
    f->selector = selector;
    free(f->selector_text);
    f->selector_text = text.len != 0 ? sv_dup(text) : NULL;
    /* All is counted anew by the list that follows: what was taken for paid may be filler. */
    f->classifying = f->classified = f->pods_synced = false;
    cluster_list_begin(f->cluster, CLUSTER_PODS);
    (void)cluster_list_end(f->cluster, CLUSTER_PODS);
    f->hole = (struct hole){0};
    *ret_changed = true;
    return true;
}

static bool is_filler(const struct facts *f, const struct pod_record *pod)
{
    /* A pod that nobody controls does not leave when the target shrinks: it is paid, whatever its
     * labels say. */
    return f->selector_text != NULL && !uid_is_zero(pod->owner_uid) &&
           sv_eq(pod->ns, f->policy->target_ns) &&
           selector_matches(&f->selector, pod->labels, pod->n_labels);
}

static bool is_ignored(const struct facts *f, const struct pod_record *pod)
{
    for (size_t i = 0; i < f->policy->n_ignore; i++) {
        const struct paid_ignore *rule = &f->policy->ignore[i];

        if (rule->ns.len != 0 && !sv_eq(rule->ns, pod->ns))
            continue;
        if (rule->has_priority_below && pod->priority >= rule->priority_below)
            continue;
        if (selector_matches(&f->ignore[i], pod->labels, pod->n_labels))
            return true;
    }
    return false;
}

static struct claims_filler filler_of(const struct pod_record *pod)
{
    return (struct claims_filler){.priority = pod->priority,
                                  .own_class = pod->priority_class.len != 0 || pod->priority != 0,
                                  .grace_us = pod->grace_s * US_PER_S};
}

void facts_set_template(struct facts *f, const struct pod_record *pod)
{
    struct filler_count count = cluster_filler_count(f->cluster, FILLER);
    struct claims_filler filler = filler_of(pod);
    int64_t pods = 0;

    for (size_t i = 0; i < COUNT_OF(count.pods); i++)
        pods += count.pods[i];
    if (f->shape_source == SHAPE_POD && pods != 0)
        return;
    /*
     * A template names its class; admission writes the number behind it into pods alone. Until one
     * of them was seen the class is taken to be below every paid pod's, as a filler's should be.
     */
    if (filler.own_class && pod->priority == 0)
        filler.priority = f->shape_source >= SHAPE_TEMPLATE ? f->filler.priority : INT32_MIN;
    set_shape(f, SHAPE_TEMPLATE, &pod->request, &pod->rules, &filler);
}

void facts_state_shape(struct facts *f, const struct resources *request,
                       const struct pod_rules *rules, const struct claims_filler *filler)
{
    set_shape(f, SHAPE_TEMPLATE, request, rules, filler);
}

static void learn_shape(struct facts *f, const struct pod_record *pod)
{
    struct claims_filler filler;

    if (pod->deleting || (f->shape_source == SHAPE_POD && pod->created.us < f->shape_created.us))
        return;
    filler = filler_of(pod);
    f->shape_created = pod->created;
    set_shape(f, SHAPE_POD, &pod->request, &pod->rules, &filler);
}

static void note_change(struct facts *f, const struct pod_record *pod,
                        const struct pod_change *change, struct mono now)
{
    if (!change->paid)
        return;
    if (change->added) {
        hole_add(&f->hole, pod->request.at[RESOURCE_CPU]);
        f->paid_pods_total += f->pods_synced;
    }
    if (change->unschedulable && (!f->urgent || f->urgent_served)) {
        f->urgent = true;
        f->urgent_served = false;
        f->urgent_since = now;
    }
}

void facts_put_pod(struct facts *f, const struct pod_record *pod, bool filler, struct mono now)
{
    bool ignored = !filler && is_ignored(f, pod);
    struct pod_change change =
        cluster_upsert_pod(f->cluster, pod, filler ? FILLER : CLUSTER_PAID, ignored);

    f->changed = true;
    if (f->journal != NULL)
        journal_pod(f->journal, pod, filler, ignored, f->wall.us / US_PER_MS);
    note_change(f, pod, &change, now);
}

void facts_drop_pod(struct facts *f, struct uid uid)
{
    f->changed = true;
    (void)cluster_remove_pod(f->cluster, uid);
    if (f->journal != NULL)
        journal_pod_gone(f->journal, uid, f->wall.us / US_PER_MS);
}

void facts_put_node(struct facts *f, const struct node_record *node)
{
    f->changed = true;
    cluster_upsert_node(f->cluster, node);
    if (f->journal != NULL)
        journal_node(f->journal, node, f->wall.us / US_PER_MS);
}

void facts_drop_node(struct facts *f, struct sv name)
{
    f->changed = true;
    cluster_remove_node(f->cluster, name);
    if (f->journal != NULL)
        journal_node_gone(f->journal, name, f->wall.us / US_PER_MS);
}

bool facts_pod(struct facts *f, bool gone, enum decode_format format, struct sv object,
               struct mono now, struct err *err)
{
    struct pod_record pod;
    bool filler;

    if (gone) {
        struct object_meta meta;

        if (!decode_meta(&f->decoder, format, object, &meta, err))
            return false;
        facts_drop_pod(f, meta.uid);
        return true;
    }
    if (!decode_pod(&f->decoder, format, object, &pod, err))
        return false;
    filler = is_filler(f, &pod);
    if (filler)
        learn_shape(f, &pod);
    facts_put_pod(f, &pod, filler, now);
    return true;
}

bool facts_node(struct facts *f, bool gone, enum decode_format format, struct sv object,
                struct err *err)
{
    struct node_record node;

    if (!decode_node(&f->decoder, format, object, &node, err))
        return false;
    if (gone)
        facts_drop_node(f, node.name);
    else
        facts_put_node(f, &node);
    return true;
}

static enum journal_kind journal_kind(enum cluster_kind kind)
{
    return kind == CLUSTER_PODS ? JOURNAL_PODS : JOURNAL_NODES;
}

void facts_list_begin(struct facts *f, enum cluster_kind kind)
{
    cluster_list_begin(f->cluster, kind);
    f->classifying |= kind == CLUSTER_PODS;
    if (f->journal != NULL)
        journal_list_begin(f->journal, journal_kind(kind), f->wall.us / US_PER_MS);
}

void facts_list_end(struct facts *f, enum cluster_kind kind)
{
    (void)cluster_list_end(f->cluster, kind);
    if (f->journal != NULL)
        journal_list_end(f->journal, journal_kind(kind), f->wall.us / US_PER_MS);
    f->pods_synced |= kind == CLUSTER_PODS;
    f->classified |= kind == CLUSTER_PODS && f->classifying;
    f->changed = true;
}

struct claims_sum facts_measure(struct facts *f, struct mono now)
{
    struct claims_sum sum = claims_update(f->claims, f->cluster, &f->filler, now);

    if (f->fit != NULL)
        fit_update(f->fit, f->cluster);
    cluster_changed_clear(f->cluster);
    f->blocked_total += (uint64_t)sum.blocked;
    f->lapsed_total += (uint64_t)sum.lapsed;
    if (sum.unschedulable == 0)
        f->urgent = false;
    f->changed = false;
    return sum;
}

struct controller_config facts_config(const struct facts *f)
{
    const struct policy *p = f->policy;
    int64_t least = 2 * (FACTS_ACTUATION_BASE_US + f->filler.grace_us);

    return (struct controller_config){.min = p->min,
                                      .max = p->max,
                                      .settle = {.settle_us = p->settle_us > least ? p->settle_us : least},
                                      .stale_shrinks = p->stale_then == STALE_SHRINK};
}

void facts_room(const struct facts *f, struct controller_facts *in)
{
    const struct policy *p = f->policy;

    if (f->fit == NULL)
        return;

    struct fit_sum room = fit_sum(f->fit);
    bool by_node =
        p->reserve.kind == ROOM_LARGEST_NODE || p->headroom_max.kind == ROOM_LARGEST_NODE;
    int64_t largest = by_node ? fit_largest_node_milli(f->fit) : 0; /* O(nodes) */

    in->slots = room.slots;
    in->slot_milli = fit_request(f->fit)->at[RESOURCE_CPU];
    in->hole_slots = hole_slots(&f->hole, in->slot_milli);
    in->reserve_milli = room_spec_milli(&p->reserve, room.allocatable_milli, largest);
    in->headroom_milli = room_spec_milli(&p->headroom_max, room.allocatable_milli, largest);
}

int64_t facts_growth(const struct facts *f, int64_t from, int64_t to)
{
    int64_t fits = f->fit != NULL ? fit_sum(f->fit).slots_now : 0;

    return to <= fits ? to : fits > from ? fits : from;
}

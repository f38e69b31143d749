#include "agent/facts.h"

#include "agent/shape.h"
#include "base/alloc.h"

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

struct cluster *facts_cluster(const struct facts *f)
{
    return planner_cluster(f->planner);
}

/* Fillers. */

static void set_shape(struct facts *f, int filler, enum shape_source source,
                      const struct resources *request, const struct pod_rules *rules,
                      const struct claims_filler *claims)
{
    struct facts_filler *ff = &f->fillers[filler];

    ff->shape_source = source;
    ff->claims = *claims;
    planner_set_shape(
        f->planner, filler,
        &(struct planner_shape){
            .request = *request, .rules = rules, .claims = *claims, .start_us = FACTS_START_US});
    f->changed = true;
}

static void set_shape_from_policy(struct facts *f, int filler)
{
    const struct pod_spec_shape *pod = &f->fillers[filler].policy.pod;
    const struct resources request = {
        .at = {[RESOURCE_CPU] = pod->cpu_milli, [RESOURCE_MEMORY] = pod->memory_bytes}};
    const struct pod_rules rules = {.node_selector = pod->node_selector,
                                    .n_node_selector = pod->n_node_selector,
                                    .tolerations = pod->tolerations,
                                    .n_tolerations = pod->n_tolerations};
    const struct claims_filler claims = {.priority = pod->priority,
                                         .own_class = pod->priority != 0,
                                         .grace_us = pod->grace_s * US_PER_S};

    if (pod->given && f->fillers[filler].shape_source <= SHAPE_POLICY)
        set_shape(f, filler, SHAPE_POLICY, &request, &rules, &claims);
}

void facts_init(struct facts *f, const struct podreq_rules *rules)
{
    *f = (struct facts){.planner = planner_new()};
    decoder_init(&f->decoder, cluster_names(facts_cluster(f)), rules);
}

static void filler_done(struct facts *f, int filler)
{
    struct facts_filler *ff = &f->fillers[filler];

    ignore_free(TAKE(f->ignores[filler]));
    arena_done(&ff->selector_arena);
    free(ff->selector_text);
    *ff = (struct facts_filler){0};
}

void facts_done(struct facts *f)
{
    decoder_done(&f->decoder);
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++)
        filler_done(f, i);
    planner_free(f->planner);
    *f = (struct facts){0};
}

bool facts_add(struct facts *f, const struct policy *policy, int *ret_filler, struct err *err)
{
    struct facts_filler ff = {.used = true, .policy = *policy, .overlaps = -1};
    int filler = planner_add(f->planner, policy);

    if (filler < 0)
        return err_set(err, ERR_LIMIT, 0, "policy %.*s: found more than %d policies",
                       SV_ARG(policy->name), PLANNER_MAX_FILLERS);
    f->fillers[filler] = ff;
    arena_init(&f->fillers[filler].selector_arena, FACTS_MAX_SELECTOR);
    planner_set_policy(f->planner, filler, &f->fillers[filler].policy);
    if (!ignore_new(&f->fillers[filler].policy, &f->ignores[filler], err)) {
        filler_done(f, filler);
        planner_remove(f->planner, filler);
        return false;
    }
    set_shape_from_policy(f, filler);
    f->changed = true;
    *ret_filler = filler;
    return true;
}

static bool ignores_the_same(const struct policy *a, const struct policy *b)
{
    bool same = a->n_ignore == b->n_ignore;

    for (size_t i = 0; same && i < a->n_ignore; i++) {
        const struct paid_ignore *x = &a->ignore[i], *y = &b->ignore[i];

        same = sv_eq(x->ns, y->ns) && sv_eq(x->selector, y->selector) &&
               x->has_priority_below == y->has_priority_below &&
               x->priority_below == y->priority_below;
    }
    return same;
}

bool facts_set_policy(struct facts *f, int filler, const struct policy *policy, bool *ret_relist,
                      struct err *err)
{
    struct facts_filler *ff = &f->fillers[filler];
    struct policy before = ff->policy;
    struct ignore *ignore;

    ff->policy = *policy;
    if (!ignore_new(&ff->policy, &ignore, err)) {
        ff->policy = before;
        return false;
    }
    *ret_relist = !ignores_the_same(&before, policy);
    ignore_free(f->ignores[filler]);
    f->ignores[filler] = ignore;
    planner_set_policy(f->planner, filler, &ff->policy);
    set_shape_from_policy(f, filler);
    f->changed = true;
    return true;
}

/* The list that follows tells whose they are. */
static void declassify(struct facts_filler *ff)
{
    ff->classifying = ff->classified = false;
    ff->overlaps = -1;
}

/* What was the filler's is paid, and one that it took pods from may have them back. */
static void release_pods(struct facts *f, int filler, struct mono now)
{
    planner_release(f->planner, filler, now);
    declassify(&f->fillers[filler]);
    for (int i = 0; i < PLANNER_MAX_FILLERS; i++) {
        if (f->fillers[i].overlaps == filler)
            declassify(&f->fillers[i]);
    }
    f->changed = true;
}

void facts_remove(struct facts *f, int filler, struct mono now)
{
    release_pods(f, filler, now);
    filler_done(f, filler);
    planner_remove(f->planner, filler);
}

bool facts_set_selector(struct facts *f, int filler, struct sv text, struct mono now,
                        bool *ret_changed, struct err *err)
{
    struct facts_filler *ff = &f->fillers[filler];
    struct arena arena;
    struct selector selector = {0};

    if (ff->selector_text != NULL ? sv_eq(sv_from(ff->selector_text), text) : text.len == 0) {
        *ret_changed = false;
        return true;
    }
    arena_init(&arena, FACTS_MAX_SELECTOR);
    if (!selector_parse(&arena, text, &selector, err)) {
        arena_done(&arena);
        return err_wrap(err, "the target's selector");
    }
    arena_done(&ff->selector_arena);
    ff->selector_arena = arena;
    ff->selector = selector;
    free(ff->selector_text);
    ff->selector_text = text.len != 0 ? sv_dup(text) : NULL;
    release_pods(f, filler, now);
    *ret_changed = true;
    return true;
}

bool facts_classified(const struct facts *f, int filler)
{
    const struct facts_filler *ff = &f->fillers[filler];

    return ff->classified || ff->selector_text == NULL;
}

void facts_set_template(struct facts *f, int filler, const struct pod_record *pod)
{
    struct facts_filler *ff = &f->fillers[filler];
    struct filler_count count = cluster_filler_count(facts_cluster(f), filler);
    struct claims_filler claims = shape_claims(pod);
    int64_t pods = 0;

    ff->template_known = true;
    ff->template_gated = pod->gated_by_brim;
    for (size_t i = 0; i < COUNT_OF(count.pods); i++)
        pods += count.pods[i];
    if (ff->shape_source == SHAPE_POD && pods != 0)
        return;
    /*
     * A template names its class; admission writes the number behind it into pods alone. Until one
     * of them was seen the class is taken to be below every paid pod's, as a filler's should be.
     */
    if (claims.own_class && pod->priority == 0)
        claims.priority = ff->shape_source >= SHAPE_TEMPLATE ? ff->claims.priority : INT32_MIN;
    set_shape(f, filler, SHAPE_TEMPLATE, &pod->request, &pod->rules, &claims);
}

static void learn_shape(struct facts *f, int filler, const struct pod_record *pod)
{
    struct facts_filler *ff = &f->fillers[filler];
    struct claims_filler claims = shape_claims(pod);
    struct pod_rules rules;
    struct arena arena;

    if (pod->deleting || (ff->shape_source == SHAPE_POD && pod->created.us < ff->shape_created.us))
        return;
    arena_init(&arena, DECODE_MAX_ARENA);
    rules = shape_rules(pod, &arena);
    ff->shape_created = pod->created;
    set_shape(f, filler, SHAPE_POD, &pod->request, &rules, &claims);
    arena_done(&arena);
}

/* Whose pod is it? */

static bool matches(const struct facts_filler *ff, const struct pod_record *pod)
{
    return ff->used && ff->selector_text != NULL && sv_eq(pod->ns, ff->policy.target_ns) &&
           selector_matches(&ff->selector, pod->labels, pod->n_labels);
}

static void note_overlap(struct facts *f, int winner, int loser)
{
    f->changed |= f->fillers[loser].overlaps != winner;
    f->fillers[loser].overlaps = winner;
}

static int owner_of(struct facts *f, const struct pod_record *pod)
{
    int owner = CLUSTER_PAID;

    /* A pod that nobody controls does not leave when the target shrinks: it is paid, whatever its
     * labels say. */
    for (int i = 0; !uid_is_zero(pod->owner_uid) && i < planner_limit(f->planner); i++) {
        if (!matches(&f->fillers[i], pod))
            continue;
        if (owner == CLUSTER_PAID) {
            owner = i;
        } else if (sv_cmp(f->fillers[i].policy.name, f->fillers[owner].policy.name) < 0) {
            note_overlap(f, i, owner);
            owner = i;
        } else {
            note_overlap(f, owner, i);
        }
    }
    return owner;
}

static void note_urgent(struct facts_filler *ff, struct mono now)
{
    if (ff->urgent && !ff->urgent_served)
        return;
    ff->urgent = true;
    ff->urgent_served = false;
    ff->urgent_since = now;
}

/* At once: what filler does, and who is reported unschedulable. What changes nothing is not noted. */
static void note_change(struct facts *f, const struct pod_change *change, bool reported,
                        struct mono now)
{
    if (change->unchanged)
        return;
    f->gathered = true;
    f->changed |= !change->paid || change->moved || reported;
    if (!change->paid)
        return;
    f->paid_pods_total += change->added && f->pods_synced;
    for (int i = 0; change->unschedulable && i < planner_limit(f->planner); i++)
        note_urgent(&f->fillers[i], now);
}

static void put_pod(struct facts *f, const struct pod_record *pod, struct mono now)
{
    int owner = owner_of(f, pod);
    bool ignored =
        owner == CLUSTER_PAID && ignore_by_all(f->ignores, (size_t)planner_limit(f->planner), pod);
    struct pod_change change;

    if (owner != CLUSTER_PAID)
        learn_shape(f, owner, pod);
    change = planner_put_pod(f->planner, pod, owner, ignored, now);
    if (f->journal != NULL)
        journal_pod(f->journal, pod, owner != CLUSTER_PAID, ignored, f->wall.us / US_PER_MS);
    note_change(f, &change, pod->unschedulable, now);
}

void facts_drop_pod(struct facts *f, struct uid uid, struct mono now)
{
    struct pod_change change = planner_drop_pod(f->planner, uid, now);

    if (f->journal != NULL)
        journal_pod_gone(f->journal, uid, f->wall.us / US_PER_MS);
    note_change(f, &change, false, now);
}

bool facts_pod(struct facts *f, bool gone, enum decode_format format, struct sv object,
               struct mono now, struct err *err)
{
    struct pod_record pod;
    struct object_meta meta;

    if (gone) {
        if (!decode_meta(&f->decoder, format, object, &meta, err))
            return false;
        facts_drop_pod(f, meta.uid, now);
    } else {
        if (!decode_pod(&f->decoder, format, object, &pod, err))
            return false;
        put_pod(f, &pod, now);
    }
    return true;
}

bool facts_node(struct facts *f, bool gone, enum decode_format format, struct sv object,
                struct err *err)
{
    struct node_record node;
    struct object_meta meta;

    if (gone) {
        if (!decode_meta(&f->decoder, format, object, &meta, err))
            return false;
        planner_drop_node(f->planner, meta.name);
        if (f->journal != NULL)
            journal_node_gone(f->journal, meta.name, f->wall.us / US_PER_MS);
    } else {
        if (!decode_node(&f->decoder, format, object, &node, err))
            return false;
        planner_put_node(f->planner, &node);
        if (f->journal != NULL)
            journal_node(f->journal, &node, f->wall.us / US_PER_MS);
    }
    f->changed = true;
    return true;
}

static enum journal_kind journal_kind(enum cluster_kind kind)
{
    return kind == CLUSTER_PODS ? JOURNAL_PODS : JOURNAL_NODES;
}

void facts_list_begin(struct facts *f, enum cluster_kind kind)
{
    planner_list_begin(f->planner, kind);
    for (int i = 0; i < PLANNER_MAX_FILLERS && kind == CLUSTER_PODS; i++)
        f->fillers[i].classifying = true;
    if (f->journal != NULL)
        journal_list_begin(f->journal, journal_kind(kind), f->wall.us / US_PER_MS);
}

void facts_list_end(struct facts *f, enum cluster_kind kind, struct mono now)
{
    planner_list_end(f->planner, kind, now);
    if (f->journal != NULL)
        journal_list_end(f->journal, journal_kind(kind), f->wall.us / US_PER_MS);
    f->pods_synced |= kind == CLUSTER_PODS;
    for (int i = 0; i < PLANNER_MAX_FILLERS && kind == CLUSTER_PODS; i++)
        f->fillers[i].classified |= f->fillers[i].classifying;
    f->changed = true;
}

void facts_stepped(struct facts *f, const struct claims_sum *claims)
{
    f->blocked_total += (uint64_t)claims->blocked;
    f->lapsed_total += (uint64_t)claims->lapsed;
    for (int i = 0; claims->unschedulable == 0 && i < PLANNER_MAX_FILLERS; i++)
        f->fillers[i].urgent = false;
    f->changed = f->gathered = false;
}

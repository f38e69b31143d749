#include "capacity/claims.h"

#include "base/alloc.h"
#include "capacity/fit.h"
#include "capacity/selector.h"

struct claims {
    uint64_t generation; /* of the cluster's room when pods that fitted nowhere were last tried */
    uint64_t *misses;    /* kinds of pod that fitted nowhere in this pass: an open hash set */
    size_t cap_misses, n_misses;
};

struct claims *claims_new(void)
{
    return xcalloc(1, sizeof(struct claims));
}

void claims_free(struct claims *cl)
{
    if (cl == NULL)
        return;
    free(cl->misses);
    free(cl);
}

static size_t miss_place(const struct claims *cl, uint64_t kind)
{
    size_t i = (kind * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (cl->cap_misses - 1);

    while (cl->misses[i] != 0 && cl->misses[i] != kind)
        i = (i + 1) & (cl->cap_misses - 1);
    return i;
}

static bool missed(const struct claims *cl, uint64_t kind)
{
    return cl->n_misses != 0 && cl->misses[miss_place(cl, kind)] == kind;
}

static void add_miss(struct claims *cl, uint64_t kind)
{
    if ((cl->n_misses + 1) * 2 > cl->cap_misses) {
        uint64_t *old = cl->misses;
        size_t old_cap = cl->cap_misses;

        cl->cap_misses = old_cap != 0 ? old_cap * 2 : 64;
        cl->misses = xcalloc(cl->cap_misses, sizeof *cl->misses);
        for (size_t i = 0; i < old_cap; i++) {
            if (old[i] != 0)
                cl->misses[miss_place(cl, old[i])] = old[i];
        }
        free(old);
    }
    cl->misses[miss_place(cl, kind)] = kind;
    cl->n_misses++;
}

static void clear_misses(struct claims *cl)
{
    if (cl->n_misses != 0)
        memset(cl->misses, 0, cl->cap_misses * sizeof *cl->misses);
    cl->n_misses = 0;
}

static bool wants(const struct pending_pod *p, const struct claims_filler *filler)
{
    if (!p->paid || p->gated || p->ignored || p->uncountable)
        return false;
    return p->priority > filler->priority ||
           (p->priority == filler->priority && !filler->own_class);
}

/* What stands in the way of a pod besides paid pods and claims. */
enum beside {
    BESIDE_NOTHING, /* as if all filler were gone */
    BESIDE_FILLER,  /* filler, and what was let in */
    BESIDE_STAYING, /* the same but for what is leaving */
};

static int64_t room_beside(const struct cluster_node *n, enum beside beside, int place)
{
    int64_t room = cluster_sum_place(n, NODE_SUM_ALLOCATABLE, place);

    room = amount_sub(room, cluster_sum_place(n, NODE_SUM_PAID, place));
    room = amount_sub(room, cluster_sum_place(n, NODE_SUM_CLAIMED, place));
    if (beside == BESIDE_NOTHING)
        return room;
    room = amount_sub(room, cluster_sum_place(n, NODE_SUM_FILLER, place));
    if (beside == BESIDE_STAYING)
        room = amount_add(room, cluster_sum_place(n, NODE_SUM_LEAVING, place));
    return amount_sub(room, cluster_sum_place(n, NODE_SUM_ADMITTED, place));
}

/* Is there room for the pod? `claims_here`: its own claim is a part of what is claimed there. */
static bool fits_beside(const struct pending_pod *p, const struct cluster_node *n,
                        enum beside beside, bool claims_here)
{
    for (int i = 0; i < p->places.n; i++) {
        int place = p->places.at[i];
        int64_t asked = p->request.at[place], room = room_beside(n, beside, place);

        if (claims_here)
            room = amount_add(room, asked);
        if (asked > 0 && asked > room)
            return false;
    }
    return true;
}

static bool accepts(const struct pending_pod *p, const struct cluster_node *n)
{
    struct node_record record = cluster_node_record(n);

    return rules_check_node(&p->rules->rules, &record) == NODE_ACCEPTS;
}

/* Would the pod fit there if all filler were gone? Its own claim must not stand on the node. */
static bool fits_without_filler(const struct pending_pod *p, const struct cluster_node *n)
{
    return fits_beside(p, n, BESIDE_NOTHING, false) && accepts(p, n);
}

/* Of two nodes that are alike the one whose name comes first: order of arrival decides nothing. */
static bool more_room(const struct cluster *c, uint32_t node, int64_t room_milli, uint32_t best,
                      int64_t best_milli)
{
    if (room_milli != best_milli)
        return room_milli > best_milli;
    return strcmp(cluster_node(c, node)->name, cluster_node(c, best)->name) < 0;
}

/*
 * The node for a pod that has none: one with room beside filler, else, unless only such are wanted, the one
 * with most room; CLUSTER_NO_NODE if there is none. What cannot win by its cpu is not looked at, and rules last,
 * where the node would be taken: that leaves a handful of thousands of nodes.
 */
static uint32_t choose_node(const struct cluster *c, const struct pending_pod *p, bool only_free)
{
    const struct cluster_room *rooms = cluster_rooms(c);
    uint32_t limit = cluster_node_limit(c);
    uint32_t best = CLUSTER_NO_NODE;
    bool best_free = only_free;
    int64_t best_room = INT64_MIN, asked = p->request.at[RESOURCE_CPU];

    /* Who asks for nothing fits where there is less than nothing, but not where nothing is known. */
    if (asked <= 0)
        asked = INT64_MIN + 1;
    for (uint32_t i = 0; i < limit; i++) {
        int64_t room_milli = rooms[i].room_milli;
        bool maybe_free = rooms[i].free_milli >= asked;

        if (room_milli < asked || (!maybe_free && (best_free || room_milli < best_room)) ||
            (best_free && room_milli < best_room))
            continue;

        const struct cluster_node *n = cluster_node(c, i);
        bool is_free = maybe_free && fits_beside(p, n, BESIDE_FILLER, false);

        if (!is_free && (best_free || !fits_beside(p, n, BESIDE_NOTHING, false)))
            continue;
        if (best != CLUSTER_NO_NODE && is_free == best_free &&
            !more_room(c, i, room_milli, best, best_room))
            continue;
        if (!accepts(p, n))
            continue;
        best = i;
        best_free = is_free;
        best_room = room_milli;
    }
    return best;
}

static void unplace(struct cluster *c, struct pending_pod *p)
{
    if (p->claim.node == CLUSTER_NO_NODE)
        return;
    cluster_claim(c, p->claim.node, p, -1);
    p->claim.node = CLUSTER_NO_NODE;
}

/* Does the placed claim still hold: is its node there, does it take the pod, and is it not
 * overdrawn? */
static bool still_holds(const struct cluster *c, const struct pending_pod *p)
{
    const struct cluster_node *n = cluster_node(c, p->claim.node);

    return n != NULL && fits_beside(p, n, BESIDE_NOTHING, true) && accepts(p, n);
}

static void place(struct claims *cl, struct cluster *c, struct pending_pod *p, bool retry)
{
    const struct cluster_node *nominated =
        p->nominated != CLUSTER_NO_NODE ? cluster_node(c, p->nominated) : NULL;
    uint64_t kind;
    uint32_t node;

    if (p->claim.node != CLUSTER_NO_NODE && nominated != NULL && p->nominated != p->claim.node &&
        fits_without_filler(p, nominated)) {
        unplace(c, p);
    } else if (p->claim.node != CLUSTER_NO_NODE) {
        if (still_holds(c, p))
            return;
        unplace(c, p);
    } else if (p->claim.tried && !retry && nominated == NULL) {
        return; /* it fitted nowhere, and no room came free since */
    }
    p->claim.tried = true;
    kind = p->kind;
    if (nominated != NULL && fits_without_filler(p, nominated)) {
        node = p->nominated;
    } else if (missed(cl, kind)) {
        return;
    } else {
        node = choose_node(c, p, false);
        if (node == CLUSTER_NO_NODE) {
            add_miss(cl, kind);
            return;
        }
    }
    cluster_claim(c, node, p, 1);
    p->claim.node = node;
}

/*
 * A pod that the scheduler reports although another node has room beside filler: its claim goes
 * there, since no filler must leave for it. Pods of a kind for which there is no such node are not
 * tried twice in a pass.
 */
static void move_to_free(struct claims *cl, struct cluster *c, struct pending_pod *p)
{
    uint64_t kind = p->kind ^ 2;
    uint32_t node;

    if (p->nominated != CLUSTER_NO_NODE || missed(cl, kind))
        return;
    node = choose_node(c, p, true);
    if (node == CLUSTER_NO_NODE) {
        add_miss(cl, kind);
        return;
    }
    unplace(c, p);
    cluster_claim(c, node, p, 1);
    p->claim.node = node;
}

/* Lapsing and renewal: one move of the claim's little state machine. Returns true if the claim
 * lapsed now. */
static bool age(struct cluster *c, struct pending_pod *p, bool room_is_free,
                const struct claims_filler *filler, struct mono now)
{
    struct claim *claim = &p->claim;

    if (claim->wait_us == 0)
        claim->wait_us = filler->grace_us + CLAIMS_LAPSE_EXTRA_US;
    if (!p->unschedulable || !room_is_free) {
        claim->until.us = 0;
        return false;
    }
    if (claim->until.us == 0) {
        claim->until = mono_plus_us(now, claim->wait_us);
        return false;
    }
    if (now.us < claim->until.us)
        return false;
    unplace(c, p);
    claim->lapsed = true;
    claim->until = mono_plus_us(now, claim->wait_us);
    claim->wait_us =
        claim->wait_us < CLAIMS_LAPSE_MAX_US / 2 ? claim->wait_us * 2 : CLAIMS_LAPSE_MAX_US;
    return true;
}

static void add_deadline(struct claims_sum *sum, struct mono at)
{
    if (at.us == 0 || (sum->has_deadline && sum->deadline.us <= at.us))
        return;
    sum->has_deadline = true;
    sum->deadline = at;
}

static void count_claim(struct claims_sum *sum, const struct pending_pod *p,
                        const struct cluster_node *n, bool room_is_free,
                        const struct claims_filler *filler)
{
    sum->pods++;
    sum->cpu_milli += p->request.at[RESOURCE_CPU];
    if (!p->unschedulable)
        return;
    sum->unschedulable++;
    if (room_is_free)
        return;

    sum->urgent++;
    if (fits_beside(p, n, BESIDE_STAYING, true))
        return;
    sum->uncovered++;
    sum->helpless += p->preempts_never || p->priority <= filler->priority;
}

static void update_one(struct claims *cl, struct cluster *c, struct pending_pod *p,
                       const struct claims_filler *filler, bool retry, struct mono now,
                       struct claims_sum *sum)
{
    struct claim *claim = &p->claim;
    bool first_report = p->unschedulable && !claim->judged;

    if (claim->lapsed && now.us < claim->until.us) {
        add_deadline(sum, claim->until);
        return;
    }
    if (claim->lapsed) {
        claim->lapsed = claim->tried = false;
        claim->until.us = 0;
    }
    if (!wants(p, filler)) {
        unplace(c, p);
        return;
    }
    place(cl, c, p, retry);
    claim->judged = p->unschedulable;
    if (claim->node == CLUSTER_NO_NODE)
        return;

    const struct cluster_node *n = cluster_node(c, claim->node);
    bool room_is_free = fits_beside(p, n, BESIDE_FILLER, true);

    sum->blocked += first_report && !room_is_free;
    if (p->unschedulable && !room_is_free && retry) {
        move_to_free(cl, c, p);
        n = cluster_node(c, claim->node);
        room_is_free = fits_beside(p, n, BESIDE_FILLER, true);
    }
    if (age(c, p, room_is_free, filler, now)) {
        sum->lapsed++;
        add_deadline(sum, claim->until);
        return;
    }
    add_deadline(sum, claim->until);
    count_claim(sum, p, n, room_is_free, filler);
}

/* Is more claimed on the pod's node than it has, of something that the pod asks for? */
static bool overdrawn(const struct cluster *c, const struct pending_pod *p)
{
    const struct cluster_node *n = cluster_node(c, p->claim.node);
    struct resources room;

    if (n == NULL)
        return true;
    fit_room_at(n, &p->places, &room);
    for (int i = 0; i < p->places.n; i++) {
        if (p->request.at[p->places.at[i]] > 0 && room.at[p->places.at[i]] < 0)
            return true;
    }
    return false;
}

/* Where a node lost room, the youngest claims give way. */
static void settle_overdrafts(struct cluster *c, struct pending_pod **pods, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        cluster_pending_fetch(pods, n, i - 1 - CLUSTER_PENDING_AHEAD);
        if (pods[i - 1]->claim.node != CLUSTER_NO_NODE && overdrawn(c, pods[i - 1]))
            unplace(c, pods[i - 1]);
    }
}

static struct claims_sum pass(struct claims *cl, struct cluster *c,
                              const struct claims_filler *filler, struct mono now)
{
    struct claims_sum sum = {0};
    uint64_t generation;
    bool retry;
    size_t n;
    struct pending_pod **pods = cluster_pending(c, &n);

    clear_misses(cl);
    settle_overdrafts(c, pods, n);
    generation = cluster_room_generation(c);
    retry = cl->generation != generation;
    cl->generation = generation;
    for (size_t i = 0; i < n; i++) {
        cluster_pending_fetch(pods, n, i + CLUSTER_PENDING_AHEAD);
        update_one(cl, c, pods[i], filler, retry, now, &sum);
    }
    return sum;
}

struct claims_sum claims_update(struct claims *cl, struct cluster *c,
                                const struct claims_filler *filler, struct mono now)
{
    struct claims_sum sum = pass(cl, c, filler, now);

    /* What lapsed gave room back, maybe to pods that were passed before. */
    if (sum.lapsed != 0) {
        struct claims_sum again = pass(cl, c, filler, now);

        again.blocked += sum.blocked;
        again.lapsed += sum.lapsed;
        sum = again;
    }
    return sum;
}

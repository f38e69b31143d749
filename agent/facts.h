/*
 * facts: what the watches bring, turned into a cluster, its claims and the room for one filler.
 *
 * Objects are decoded here and forgotten at once; whose pod it is is told from its namespace and
 * the target's selector while its labels are still at hand. facts_measure() brings claims and room
 * up to date and is called once a turn. Everything is on the loop's thread.
 *
 * Facts that are no object of the API (brim decide) come in as records through facts_put_pod() and
 * its like; the rest is the same for both.
 *
 * The filler's shape comes from its newest live pod; else from the target's template; else from the
 * policy's spec.pod (a shape that was learned stays when its pods are gone, until the template says
 * something newer).
 */
#ifndef BRIM_AGENT_FACTS_H
#define BRIM_AGENT_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/decode.h"
#include "capacity/claims.h"
#include "capacity/cluster.h"
#include "capacity/fit.h"
#include "capacity/selector.h"
#include "policy/controller.h"
#include "policy/hole.h"
#include "policy/policy.h"
#include "storage/journal.h"

/* A = watch + write + controller latency + grace + the scheduler's back-off; settle is at least 2A
 * (docs/CONTROL.md 4, 10). */
#define FACTS_ACTUATION_BASE_US (1300 * US_PER_MS)

/* Bytes that one selector's structure may take. */
enum { FACTS_MAX_SELECTOR = 1 << 20 };

enum shape_source { SHAPE_NONE, SHAPE_POLICY, SHAPE_TEMPLATE, SHAPE_POD, SHAPE_SOURCE_COUNT_ };
const char *shape_source_name(enum shape_source source);

struct facts {
    const struct policy *policy; /* borrowed */
    struct cluster *cluster;
    struct claims *claims;
    struct fit *fit; /* NULL while the filler's shape is not known */
    struct decoder decoder;
    struct hole hole;
    struct journal *journal; /* shown all that comes in; NULL: nothing is recorded. Borrowed */
    struct wall wall; /* when what comes in came, for the journal; whoever feeds it sets it */

    struct arena selector_arena; /* of the target's selector */
    char *selector_text;         /* NULL: no target yet, all pods are paid */
    struct selector selector;
    struct arena ignore_arena;
    struct selector *ignore; /* one for each of policy->ignore */

    enum shape_source shape_source;
    struct wall shape_created; /* of the pod it came from */
    struct claims_filler filler;

    bool pods_synced; /* a list of pods was complete: what appears from now on are arrivals */
    bool classifying; /* the list that runs began with the selector in force */
    bool classified;  /* such a list was complete: paid and filler can be told apart */
    uint64_t paid_pods_total;
    uint64_t blocked_total;
    uint64_t lapsed_total;
    bool urgent;              /* a paid pod was reported unschedulable and still waits */
    bool urgent_served;       /* a yield went out since the last report */
    struct mono urgent_since; /* the first report since the last yield went out */
    bool changed;             /* something came in since facts_measure() */
};

/* `rules`: how pods are counted (release of the API server). */
bool facts_init(struct facts *f, const struct policy *policy, const struct podreq_rules *rules,
                struct err *err) MUST_CHECK;
void facts_done(struct facts *f);

/*
 * The target's selector in its text form, or empty: there is no target. Returns true if pods must
 * be listed anew because it changed (all are forgotten then); on a text that cannot be read nothing changes and err is set.
 */
bool facts_set_selector(struct facts *f, struct sv text, bool *ret_changed,
                        struct err *err) MUST_CHECK;

/* The pod template of the target, as a pod. */
void facts_set_template(struct facts *f, const struct pod_record *pod);

/* One object of a list or watch; `gone`: deleted, or left the field selector. */
bool facts_pod(struct facts *f, bool gone, enum decode_format format, struct sv object,
               struct mono now, struct err *err) MUST_CHECK;
bool facts_node(struct facts *f, bool gone, enum decode_format format, struct sv object,
                struct err *err) MUST_CHECK;

/* What a record says, when it is known already whose pod it is. */
void facts_put_pod(struct facts *f, const struct pod_record *pod, bool filler, struct mono now);
void facts_drop_pod(struct facts *f, struct uid uid);
void facts_put_node(struct facts *f, const struct node_record *node);
void facts_drop_node(struct facts *f, struct sv name);

/* The shape as somebody states it; pods of another shape do not change it. */
void facts_state_shape(struct facts *f, const struct resources *request,
                       const struct pod_rules *rules, const struct claims_filler *filler);

void facts_list_begin(struct facts *f, enum cluster_kind kind);
void facts_list_end(struct facts *f, enum cluster_kind kind);

/* Brings claims and room up to date. O(changed nodes + pending pods). */
struct claims_sum facts_measure(struct facts *f, struct mono now);

/* What the policy says to the controller, with settle raised to 2A of the filler as it is known
 * now. */
struct controller_config facts_config(const struct facts *f);

/* Fills in what the controller wants to know of the cluster: slots, slot, hole, reserve and
 * headroom. Untouched while the shape is not known. */
void facts_room(const struct facts *f, struct controller_facts *in);

/* How far growth from `from` to `to` may go now: terminating filler still holds its room, and new
 * pods would wait for it. At least `from`. */
int64_t facts_growth(const struct facts *f, int64_t from, int64_t to);

#endif

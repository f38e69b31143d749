/*
 * facts: what the watches bring, turned into a planner's facts: objects are decoded, their owner is
 * told, the journal is shown them, and they are forgotten.
 *
 * A pod is filler if it stands in the namespace of a policy's target, matches the target's selector
 * and has a controller; all others are paid. Where two policies match one pod the first by name has
 * it, and the other one is told (`overlaps`). A paid pod makes no claim if every policy ignores it.
 * Everything is on the loop's thread.
 *
 * A filler's shape comes from its newest live pod; else from the target's template; else from the
 * policy's spec.pod (a shape that was learned stays when its pods are gone, until the template says
 * something newer). The node that placement wrote into a pod is no part of it.
 */
#ifndef BRIM_AGENT_FACTS_H
#define BRIM_AGENT_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/decode.h"
#include "capacity/selector.h"
#include "policy/ignore.h"
#include "policy/planner.h"
#include "storage/journal.h"

/* Bytes that one selector's structure may take. */
enum { FACTS_MAX_SELECTOR = 1 << 20 };

/* From bound to ready: what a filler pod is taken to need, as a part of what a kill costs. */
#define FACTS_START_US (5 * US_PER_S)

enum shape_source { SHAPE_NONE, SHAPE_POLICY, SHAPE_TEMPLATE, SHAPE_POD, SHAPE_SOURCE_COUNT_ };
const char *shape_source_name(enum shape_source source);

/* What is known of one filler beside its planner's. */
struct facts_filler {
    bool used;
    struct policy policy;        /* as it is in force: a plain copy, its text is borrowed */
    struct arena selector_arena; /* of the target's selector */
    char *selector_text;         /* NULL: no target yet, no pod is its */
    struct selector selector;
    bool classifying; /* the list that runs began with this selector in force */
    bool classified;  /* such a list was complete */

    enum shape_source shape_source;
    struct wall shape_created;   /* of the pod it came from */
    struct claims_filler claims; /* of its pods: priority and grace */
    bool template_known;
    bool template_gated; /* the template carries the gate brim.dev/room */
    int overlaps; /* the filler that has pods which match this one's selector too; -1: none */

    bool urgent;              /* a paid pod was reported unschedulable and still waits */
    bool urgent_served;       /* a yield went out since the last report */
    struct mono urgent_since; /* the first report since the last yield went out */
};

struct facts {
    struct planner *planner;
    struct decoder decoder;
    struct journal *journal; /* shown all that comes in; NULL: nothing is recorded. Borrowed */
    struct wall wall; /* when what comes in came, for the journal; whoever feeds it sets it */
    struct facts_filler fillers[PLANNER_MAX_FILLERS]; /* by the planner's index */
    struct ignore *ignores[PLANNER_MAX_FILLERS];      /* of the same; NULL: not used */

    bool pods_synced; /* a list of pods was complete: what appears from now on are arrivals */
    uint64_t paid_pods_total;
    uint64_t blocked_total;
    uint64_t lapsed_total;
    bool changed; /* something came in since facts_stepped() that is to be answered at once */
    bool gathered; /* … that can wait for more of its kind: paid pods that come, are bound, or go */
};

/* `rules`: how pods are counted (release of the API server). */
void facts_init(struct facts *f, const struct podreq_rules *rules);
void facts_done(struct facts *f);

/* The pods that are known, by the cluster that the planner has. */
struct cluster *facts_cluster(const struct facts *f);

/* A further filler; the policy's text is borrowed. ERR_LIMIT: there are PLANNER_MAX_FILLERS. */
bool facts_add(struct facts *f, const struct policy *policy, int *ret_filler,
               struct err *err) MUST_CHECK;
/* Other values of the same policy (another text, or another time of its schedule). Sets *ret_relist
 * if pods must be listed anew, since others are ignored now. */
bool facts_set_policy(struct facts *f, int filler, const struct policy *policy, bool *ret_relist,
                      struct err *err) MUST_CHECK;
/* The filler is no more; its pods are paid from now on. Pods must be listed anew: they may be those
 * of another one, and others are ignored now. */
void facts_remove(struct facts *f, int filler, struct mono now);

/*
 * The selector of a filler's target in its text form, or empty: there is no target. Sets
 * *ret_changed if pods must be listed anew because it changed: till then those that were its pods
 * count as paid, and whose pods the others are stays as it was. On a text that cannot be read nothing
 * changes and err is set.
 */
bool facts_set_selector(struct facts *f, int filler, struct sv text, struct mono now,
                        bool *ret_changed, struct err *err) MUST_CHECK;

/* Are the filler's pods told apart from all others? Nobody's are told from a filler's without a
 * selector: it has none. */
bool facts_classified(const struct facts *f, int filler);

/* The pod template of a filler's target, as a pod. */
void facts_set_template(struct facts *f, int filler, const struct pod_record *pod);

/* One object of a list or watch; `gone`: deleted, or left the field selector. O(fillers). */
bool facts_pod(struct facts *f, bool gone, enum decode_format format, struct sv object,
               struct mono now, struct err *err) MUST_CHECK;
/* A pod that is gone though no object said so. */
void facts_drop_pod(struct facts *f, struct uid uid, struct mono now);
bool facts_node(struct facts *f, bool gone, enum decode_format format, struct sv object,
                struct err *err) MUST_CHECK;

void facts_list_begin(struct facts *f, enum cluster_kind kind);
void facts_list_end(struct facts *f, enum cluster_kind kind, struct mono now);

/* The planner took a step, and found these claims. */
void facts_stepped(struct facts *f, const struct claims_sum *claims);

#endif

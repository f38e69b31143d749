/*
 * groups: the nodes of a cluster, told apart by the value of one of their labels (report.groupBy): what each group offered, what paid
 * pods and filler held there, and how many filler pods fit.
 *
 * Of each policy that asks for it there is a sample of all groups every SAMPLES_STEP_MS. The newest are rows of a table; once their hour
 * has passed they become figures by the minute, the hour and the day of UTC (means, and the most of what paid pods held and of nodes),
 * all groups of a policy in one chunk (groups_table.h), in the table that holds a policy's own figures. Samples themselves are not kept
 * longer: 32 groups would take as much as all else.
 *
 * A group is a policy, a label and a value: where the policy asks for another label, the groups of the one before stay in the past. What
 * is not a label's value has a name that no value can have (GROUPS_NONE and the next). A sample holds until the next one of its policy,
 * or for SAMPLES_HOLD_MS (longer if it stands for several); a group that is not in it has no nodes then.
 *
 * More than GROUPS_MAX groups at one time do not come in here (agent/node_groups.h). Of one policy's label GROUPS_KNOWN are known; further ones
 * count as GROUPS_OTHER, and so do those of a chunk beyond GROUPS_TABLE_MAX: of several labels in one chunk those that offered the least
 * of the label that has the most.
 */
#ifndef BRIM_STORAGE_GROUPS_H
#define BRIM_STORAGE_GROUPS_H

#include "storage/packs.h"
#include "storage/samples.h"

enum {
    GROUPS_MAX = 32,         /* with a name of their own at one time */
    GROUPS_KNOWN = 1000,     /* of a policy's label, as long as the file is kept */
    GROUPS_LABEL_SIZE = 320, /* bytes of a label's key with its NUL: 253 + '/' + 63 */
    GROUPS_VALUE_SIZE = 64,
    /* Of a sample that stands for others. */
    GROUPS_MAX_HOLD_MS = 24 * 3600 * 1000 + SAMPLES_HOLD_MS,
};

#define GROUPS_NONE  "<none>"  /* nodes without the label */
#define GROUPS_EMPTY "<empty>" /* its value is empty */
#define GROUPS_OTHER "<other>" /* all groups beyond GROUPS_MAX */

enum group_field {
    GROUP_NODES,       /* that may take the filler */
    GROUP_ALLOCATABLE, /* milli-cores, as the next two; of those nodes */
    GROUP_PAID,        /* likewise */
    GROUP_FILLER, /* what filler pods hold, of all policies and whatever their state, on all nodes */
    GROUP_FIT,    /* filler pods that fit beside paid pods and claims */
    GROUP_FIELD_COUNT_
};
/* "nodes", … */
const char *group_field_name(enum group_field field);

/* All groups of a policy at one moment. */
struct groups_sample {
    char policy[SAMPLES_POLICY_SIZE];
    char label[GROUPS_LABEL_SIZE];
    int64_t t_ms;
    int64_t merged; /* how many further samples it stands for */
    size_t n;
    struct groups_one {
        char value[GROUPS_VALUE_SIZE];
        int64_t at[GROUP_FIELD_COUNT_];
        int64_t rest[GROUP_FIELD_COUNT_]; /* as of struct sample */
    } at[GROUPS_MAX + 1];
};

/* Bytes of one with so many groups: what lies behind them need not be copied. */
size_t groups_sample_bytes(const struct groups_sample *s);

/*
 * Takes a later sample of the same policy into one: means of all, rounded once, as sample_merge(); a group that is not in one of both had
 * no nodes then. Of another label: it becomes the later one. Where that makes more than GROUPS_MAX groups the further ones are
 * GROUPS_OTHER: which of them that are depends on the order, not what all come to.
 */
void groups_merge(struct groups_sample *into, const struct groups_sample *later);

/* What a group came to over some time, in thousandths (of a core, of a node, of a pod). */
struct groups_sum {
    int64_t covered_ms;
    __int128 area[GROUP_FIELD_COUNT_]; /* thousandths times ms */
    int64_t most_paid_milli, most_nodes_milli;
};
/* The mean, rounded; 0 where nothing was recorded. */
int64_t groups_mean_milli(const struct groups_sum *sum, enum group_field field);

struct groups;

/* Borrows both; `samples` has the policies' names. */
bool groups_open(struct db *db, struct samples *samples, struct groups **ret_groups,
                 struct err *err) MUST_CHECK;
void groups_close(struct groups *g);

/* Two of one policy at the same millisecond: the later call wins. */
bool groups_add(struct groups *g, const struct groups_sample *s, struct err *err) MUST_CHECK;

/* As samples_unpacked(), and what follows from it: within the caller's transaction. */
bool groups_unpacked(struct groups *g, int64_t now_ms, int64_t *ret_policy, int64_t *ret_hour_ms,
                     struct err *err) MUST_CHECK;
/*
 * Makes the figures of an hour's samples, and drops these; its last one goes on in the next hour as far as it holds. Minutes that were
 * made before stay where they tell of more (a clock was set back). O(samples * groups).
 */
bool groups_pack(struct groups *g, int64_t policy, int64_t hour_ms, struct err *err) MUST_CHECK;

/* How many chunks could not be read until now. */
int64_t groups_damaged(const struct groups *g);

#endif

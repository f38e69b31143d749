/*
 * tell: what a turn has to say to people: log lines, and events on the target. Each change of state
 * is told once, when it begins and when it ends; routine is not told.
 */
#ifndef BRIM_AGENT_TELL_H
#define BRIM_AGENT_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/facts.h"
#include "agent/workload.h"
#include "policy/controller.h"
#include "policy/policy.h"

enum { TELL_TEXT_SIZE = 320 };

/* What was told last. Zeroed: nothing yet. */
struct tell {
    enum workload_state state;
    char owner[TELL_TEXT_SIZE];
    bool owner_unknown, pause_unknown;
    enum reason reason;
    enum bound bound;
    bool overlaps;
    bool gate_missing;
    bool places_forbidden;
    bool capped;
    bool refused; /* the last write was not taken */
};

/* A write of the scale that went through with another count than was asked for. */
struct tell_altered {
    bool is; /* it was the last one */
    int64_t asked, answered;
};

/* A target that is missing, unreadable, scaled by somebody else, or can be controlled again; and that
 * its annotations cannot be read. */
void tell_target(struct tell *told, const struct policy *p, struct workload *w);

/* That another policy's target has pods which match this one's selector too, or (NULL) no longer. */
void tell_overlap(struct tell *told, const struct policy *p, const struct policy *other);

/* That the filler cannot be placed as the policy says: its template has no gate, or (`missing`) a
 * right is missing; and the end of it. */
void tell_places(struct tell *told, const struct policy *p, struct workload *w,
                 const struct facts_filler *facts, const char *missing);

/* That settle is raised to twice the time that a yield takes; `*told_us` is what was told last. */
void tell_settle(int64_t *told_us, const struct policy *p, int64_t settle_us);

/* That more paid pods than the policy wants find the headroom too small, while it stands at its
 * cap; and the end of it. */
void tell_headroom(struct tell *told, const struct policy *p, struct workload *w,
                   const struct headroom_state *h);

/* That somebody else scales the target, that facts are stale, that growth is held back; and the
 * end of each. */
void tell_reason(struct tell *told, const struct policy *p, struct workload *w,
                 const struct decision *d, int64_t replicas);

/* A rescale that goes out (or, in a dry run, would have): `detail` from decision_text(). */
void tell_rescale(const struct policy *p, bool dry_run, int64_t from, const struct decision *d,
                  const char *detail);
/* The API server took it, or took none: told in the words of a HorizontalPodAutoscaler, what is not taken once until
 * something is. `detail` "": nobody knows any more why it went out. */
void tell_rescaled(struct tell *told, struct workload *w, int64_t to, const char *detail);
void tell_refused(struct tell *told, const struct policy *p, struct workload *w, int64_t to,
                  const char *detail, const struct err *err);

/* A write went through: that its answer has another count than was asked for, once for each two
 * counts, and the end of it. Sets *last. */
void tell_answer(struct tell_altered *last, const struct policy *p, struct workload *w,
                 int64_t asked, int64_t answered);
/* Is this rescale the one that was answered with `from` last? */
bool tell_is_repeated(const struct tell_altered *last, int64_t from, int64_t to);

#endif

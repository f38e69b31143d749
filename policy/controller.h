/*
 * controller: how many replicas the filler should have now, and why. Pure: time and facts in, a
 * decision out.
 *
 * The set point comes from paid load alone (docs/CONTROL.md 3):
 *     x = min(S, max, max(min, S - min(S, h))),   h = z ceil((R0 + H) / (c z)).
 * What filler does or suffers never enters it, so that there is no feedback loop and no oscillation
 * of its own. settle.h makes N of x: the least x of the last T.
 *
 * Down is at once and in one step, whoever asked for more than N, also on stale facts and while
 * somebody else's resets hold growth back; only paused_down stops it.
 *
 * Up needs T of history. The first step starts it with the replicas found. While facts are not
 * known or not fresh there is no history: N does not rise, and what was free before counts no more.
 * Times that go back are taken as the last one seen.
 *
 * A count that nobody of ours asked for is foreign: above N it is taken down, below N it is kept
 * until N next changes. FOREIGN_RESETS of them within FOREIGN_WINDOW_S hold growth back
 * (REASON_PAUSED with BOUND_FOREIGN) until FOREIGN_WINDOW_S after the last, or until a pause by
 * annotation is taken away (`brim resume`). A count that may come of a write of which nobody knows
 * how it ended (facts.late) is not foreign, and one that may come of a writer before us
 * (facts.inherits) counts as no reset.
 *
 * The caller writes what a decision with `write` says and calls controller_wrote() once that has
 * gone through; if it fails it does nothing, and the next step says write again. facts.replicas
 * must not be older than the last write that controller_wrote() told of. A dry run calls
 * controller_wrote() too and from then on gives the count it told as facts.replicas, until the
 * target's true count changes. With mode metrics-only the caller steps and never writes; it calls
 * controller_wrote() with the count found whenever that has changed, so that what another
 * autoscaler does is not foreign.
 */
#ifndef BRIM_POLICY_CONTROLLER_H
#define BRIM_POLICY_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "policy/headroom.h"
#include "policy/settle.h"

/* What a decision is called in logs, metrics, events and JSON. */
enum reason {
    REASON_STEADY,  /* nothing to change */
    REASON_HARVEST, /* up: room stayed free for T */
    REASON_YIELD,   /* down: paid load wants the room, or somebody asked for more than N */
    REASON_HOLD,    /* room is there, but has not been free for T yet */
    REASON_FOREIGN, /* somebody else set a count below N: kept until N changes */
    REASON_PAUSED,  /* by annotation, or (with BOUND_FOREIGN) after two foreign resets */
    REASON_STALE,   /* facts are too old to grow on */
    REASON_UNKNOWN, /* shape of the filler or target unknown: nothing is done */
    REASON_COUNT_,
};
const char *reason_name(enum reason reason);

/* What kept the decision's replicas from being larger. */
enum bound {
    BOUND_NONE,     /* not known */
    BOUND_MAX,      /* replicas.max */
    BOUND_FIT,      /* no more pods fit (and nothing was to be kept free) */
    BOUND_RESERVE,  /* the fixed reserve */
    BOUND_HEADROOM, /* the headroom, alone or on top of the reserve */
    BOUND_SETTLE,   /* T is not over */
    BOUND_MIN,      /* N stands at replicas.min although less would be wanted */
    BOUND_SHARE,    /* fillers of a higher or the same priority have the rest */
    BOUND_NODE,     /* pods must leave a node for a paid pod, or wait for such to leave */
    BOUND_STALE,
    BOUND_PAUSED,
    BOUND_FOREIGN,
    BOUND_COUNT_,
};
const char *bound_name(enum bound bound);

/* The policy's part that the controller obeys. */
struct controller_config {
    int64_t min, max;
    struct settle_config settle; /* T */
    bool stale_shrinks;          /* stale.then is shrink: go down to min on stale facts */
};

/* Amounts below 0 count as 0. */
struct controller_facts {
    bool known;   /* target found, shape known, both watches have been complete once */
    bool fresh;   /* nothing is older than stale.after */
    bool cut_off; /* known, but what happens is not told now: nothing grows, and history stays */
    bool paused_up, paused_down;
    int64_t slots;          /* S: filler pods that fit beside paid pods, claims and other fillers */
    int64_t slots_alone;    /* those that would without the others; less than S counts as S */
    int64_t slot_milli;     /* c: the filler's cpu request; 0: counted in slots alone, h is 0 */
    int64_t hole_slots;     /* z, at least 1 */
    int64_t reserve_milli;  /* R0 */
    int64_t headroom_milli; /* H */
    bool shared;            /* other fillers of the same priority want room, too */
    int64_t share;          /* shared: no more than this (share.h) */
    int64_t replicas;       /* what the target asks for now */
    bool late;     /* a write of the caller's that was not answered may have set these replicas */
    bool inherits; /* so may one of whoever wrote before the caller began */
};

/* What stands behind the figures of a decision; filled in by the planner (planner.h). */
struct decision_why {
    bool known;            /* the rest means something */
    struct mono at;        /* when it was decided */
    int64_t settle_us;     /* T in force */
    int64_t reserve_milli; /* R0 and H that h was made of */
    int64_t headroom_milli;
    enum headroom_kind headroom; /* which part H came from */
    bool capped; /* H0 stands at its cap, and more paid pods than the policy's share needed more */
    int64_t cap_milli;   /* headroom.max */
    int64_t need_milli;  /* the cap that would have met headroom.blocked */
    int32_t blocked_ppm; /* headroom.blocked */
    char taker[64]; /* BOUND_SHARE: which filler has most of what this one could have; may be cut */
};

struct decision {
    int64_t replicas; /* what the target should ask for; facts.replicas if nothing is written */
    bool write;       /* replicas differ from the target's and may be written */
    enum reason reason;
    enum bound bound;
    int64_t set_point;  /* x; this and the next three are 0 where the reason is REASON_UNKNOWN */
    int64_t damped;     /* N */
    int64_t slots;      /* S */
    int64_t kept_slots; /* h */
    bool has_wake;
    struct mono wake; /* ask again then if nothing happens before; N or the reason will differ */
    struct decision_why why;
};

enum { FOREIGN_WINDOW_S = 600, FOREIGN_RESETS = 2 };

struct controller; /* opaque: settle, what was last written, foreign resets */

struct controller *controller_new(const struct controller_config *config);
void controller_free(struct controller *c);
DEFINE_FREE_PTR(struct controller, controller)

/* A new policy text: T, min and max change; history stays. */
void controller_configure(struct controller *c, const struct controller_config *config);

/* One evaluation. O(1) amortised. */
struct decision controller_step(struct controller *c, const struct controller_facts *facts,
                                struct mono now);

/*
 * The write of a decision went through (or, in a dry run, was left out): replicas that differ from
 * it later are somebody else's.
 */
void controller_wrote(struct controller *c, int64_t replicas, struct mono now);

/* h = z ceil((R0 + H) / (c z)), saturated at INT64_MAX. 0 where c is 0. */
int64_t kept_slots(int64_t reserve_milli, int64_t headroom_milli, int64_t slot_milli,
                   int64_t hole_slots);

/* T in force. */
int64_t controller_settle_us(const struct controller *c);

/* x of CONTROL.md 3. */
int64_t set_point(int64_t slots, int64_t kept, int64_t min, int64_t max);

/*
 * One sentence: what is done, the figures, what bound it, what it waits for and for how long, and
 * where the headroom's cap is too small, which one would do: "yield 110 -> 46: 110 fit, 64 kept
 * free; bound by headroom (surge, 64 cores)", "hold 46: 110 fit, 32 kept free; bound by settle (90
 * s, 14.5 s to go)".
 */
void decision_text(const struct decision *d, int64_t from, struct strbuf *out);

#endif

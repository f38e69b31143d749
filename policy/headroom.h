/*
 * headroom: how much cpu is kept free for what paid load will want next, learned from what it
 * wanted before.
 *
 * D(t) is the cpu requested by the paid pods on eligible nodes, claims included. Filler has yielded
 * to the highest demand of [t - T, t - A] already; what a pod that arrives at t needs beyond that
 * is its rise
 *     u(t) = max(0, D(t) - max of D over [t - T, t - A])           with the arriving pod in D(t)
 * and of rises the whole of the headroom is made (docs/CONTROL.md 4):
 *     need       what a share epsilon of the last 2,000 arrivals' rises exceeds: the
 *                (floor(epsilon k) + 1)-th largest of k
 *     H0         max(min, min(need, max)); max while fewer than 20 rises are known
 *     H_surge    2 u(t) while u(t) > H0
 *     H_expected surges start at times at least A apart, p is the distance of the last two; if
 *                p >= 4A: r_k, k = 1, 2, 3, is the largest rise of D over its value at t - kp - j
 *                within the 2j + A + 6 s that follow, less the rise of D over [t - 2j, t]; the
 *                second largest r_k, if two are known
 *     H_top      highest D of the last 24 h + 5 % of allocatable - D(t), at least 0, once an hour
 *                (or the whole window, if that is shorter) of history is known
 *     H          max(min, min(H_top, max(H0, H_surge, H_expected)))
 * H0 counts the rise of a pod from its arrival on. D at a moment is the last value told for it.
 *
 * The state at a time is a function of what was told up to then alone: asking more often changes
 * nothing. Where something must be forgotten the error is one of too much headroom, never of too
 * little: demand is kept exactly until load.h's LOAD_MAX changes lie within a day, then in pieces
 * that know their least and their highest value; the day's peaks in 144 pieces, each of which
 * counts until all of it is older than a day; "more than a day" (LOAD_HISTORY_S) of demand is not
 * looked back at, so that surges more than half of that apart are not expected.
 *
 * Memory: at most HEADROOM_MAX_SAMPLES rises twice and LOAD_MAX pieces, about 2 MB; some 100 KB in
 * an ordinary cluster. Pure; not thread-safe. Amounts are in millicores; what is below 0 counts as
 * 0, what is above HEADROOM_MAX_MILLI as that. Times that go back are taken as the last one seen;
 * they may be negative, so that a journal can be told in fast forward before live events.
 */
#ifndef BRIM_POLICY_HEADROOM_H
#define BRIM_POLICY_HEADROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"

#define HEADROOM_MAX_MILLI INT64_C(1000000000000000)

enum { HEADROOM_MAX_SAMPLES = 20000 };

/* What is out of range is taken as the nearest value that is in it. */
struct headroom_config {
    int64_t settle_us, actuation_us; /* T in force, at least A; A, above 0 */
    int64_t min_milli, max_milli;    /* reserve_min, at most max; reserve_max */
    int32_t blocked_ppm;             /* epsilon in millionths */
    bool fixed;                      /* H is max always; rises are learned all the same */
    int32_t samples, needed;         /* rises kept; H0 is max with fewer than needed */
    int32_t surge_percent;           /* H_surge of u, up to 1000 */
    int32_t ceiling_ppm;             /* of allocatable in millionths, up to 10,000,000 */
    int64_t ceiling_window_us;
    int64_t jitter_us; /* j */
};

/* T 90 s, A 11.3 s, min and max 0, epsilon 0.5 %, 2,000 and 20, 200 %, 5 %, 24 h, 10 s. */
struct headroom_config headroom_config_default(void);

struct headroom;

struct headroom *headroom_new(const struct headroom_config *config);
void headroom_free(struct headroom *h);
DEFINE_FREE_PTR(struct headroom, headroom)

/*
 * Another policy, or other amounts of a policy that depend on the cluster. History stays. O(1)
 * while only min, max, epsilon and percentages change.
 */
void headroom_configure(struct headroom *h, const struct headroom_config *config);

/* D and allocatable (of eligible nodes) from now on; call after every change. O(log) amortised. */
void headroom_demand(struct headroom *h, struct mono now, int64_t demand_milli,
                     int64_t allocatable_milli);

/*
 * A paid pod arrived: its claim is new, or it was bound before it was ever seen pending.
 * demand_milli is D with this pod in it; several of one moment are one call each, D rising, before
 * or after headroom_demand() of that moment. Records and returns u. While nothing is known of
 * [t - T, t - A] there is no u: 0 is returned and nothing recorded. O(log) and two moves within the
 * sorted rises.
 */
int64_t headroom_arrived(struct headroom *h, struct mono now, int64_t demand_milli);

/*
 * Nothing is known of the time from the last call until `now`: demand and the times of surges are
 * forgotten, so that nothing is learned across it; rises and peaks stay. Tell the demand again.
 */
void headroom_gap(struct headroom *h, struct mono now);

/*
 * Another process that saw the same cluster knew so many rises, and these milli would have met epsilon: that is need and the
 * number of values as long as fewer than `needed` rises are known here. It means nothing if that process knew fewer, too.
 */
void headroom_told(struct headroom *h, int64_t need_milli, int64_t values);

/* Which part H comes from. */
enum headroom_kind {
    HEADROOM_FIXED,
    HEADROOM_CAREFUL, /* H0 = max, as fewer than `needed` rises are known */
    HEADROOM_USUAL,   /* H0 */
    HEADROOM_SURGE,
    HEADROOM_EXPECTED,
    HEADROOM_CEILING,
    HEADROOM_KIND_COUNT_,
};
const char *headroom_kind_name(enum headroom_kind kind);

struct headroom_state {
    int64_t milli; /* H */
    enum headroom_kind kind;
    int64_t usual;     /* H0 */
    int64_t surge;     /* H_surge, and */
    int64_t expected;  /* H_expected; 0 while there is none */
    int64_t ceiling;   /* H_top; INT64_MAX while there is none */
    int64_t need;      /* the reserve that would have met epsilon; 0 without rises */
    int64_t rise;      /* u now, 0 while it is not known */
    size_t values;     /* rises known */
    uint64_t arrivals; /* rises ever recorded */
    uint64_t above;    /* those of them that were above the H0 that stood when they came */
    uint64_t surges;   /* that started, at least A apart */
    /* Expected surges (surges.h): one started within the time, or none did. */
    uint64_t expected_came, expected_missed;
    bool capped; /* H0 stands at max and more than epsilon of the rises are above it */
    bool has_wake;
    struct mono wake; /* H may be another one then though nothing happens before */
};

/* The state at `now`. O(log) amortised. */
struct headroom_state headroom_at(struct headroom *h, struct mono now);

#endif

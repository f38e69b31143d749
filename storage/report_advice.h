/*
 * report_advice: what another policy would have brought, as a replay of the journal found it, and what to conclude. Pure.
 */
#ifndef BRIM_STORAGE_REPORT_ADVICE_H
#define BRIM_STORAGE_REPORT_ADVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPORT_MAX_TRIALS = 12, REPORT_WHY_SIZE = 240 };

enum report_trial_kind { TRIAL_HEADROOM, TRIAL_SETTLE };

/* One key of the policy changed, everything else as it is. */
struct report_trial {
    enum report_trial_kind kind;
    int64_t value;      /* milli-cores of headroom.max; microseconds of settle */
    int64_t core_hours; /* that filler would have used, in thousandths */
    int64_t blocked;    /* paid pods */
};

struct report_advice {
    bool made; /* else why_not says why there is none */
    char why_not[REPORT_WHY_SIZE];
    int64_t first_ms, until_ms;                    /* that was played */
    int64_t paid_pods;                             /* that came */
    int64_t allowed_ppm;                           /* of them that may be blocked */
    int64_t headroom_milli, settle_us, need_milli; /* the policy's; what the headroom had to be */
    int64_t core_hours, blocked;                   /* of the policy as it is, in the same replay */
    struct report_trial trials[REPORT_MAX_TRIALS];
    size_t n;
};

enum report_verdict {
    VERDICT_NOTHING,   /* no trial brings 1 % more within what is allowed */
    VERDICT_MORE,      /* `best` does */
    VERDICT_TOO_MANY,  /* too many wait as it is; `best` is within what is allowed */
    VERDICT_NO_REMEDY, /* too many wait as it is, and with every trial */
};

/* `ret_best` is set with VERDICT_MORE and VERDICT_TOO_MANY. Only where `made`. */
enum report_verdict report_judge(const struct report_advice *a,
                                 const struct report_trial **ret_best);

/* Are so many within what is allowed? */
bool report_allowed(const struct report_advice *a, int64_t blocked);

#endif

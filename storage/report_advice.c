#include "storage/report_advice.h"

/* Less than this much more is not worth a change, in thousandths. */
enum { WORTH_MILLI = 10 };

bool report_allowed(const struct report_advice *a, int64_t blocked)
{
    return (__int128)blocked * 1000000 <= (__int128)a->allowed_ppm * a->paid_pods;
}

/* The most core-hours among those within what is allowed. */
static const struct report_trial *best_allowed(const struct report_advice *a)
{
    const struct report_trial *best = NULL;

    for (size_t i = 0; i < a->n; i++) {
        const struct report_trial *t = &a->trials[i];

        if (report_allowed(a, t->blocked) && (best == NULL || t->core_hours > best->core_hours))
            best = t;
    }
    return best;
}

enum report_verdict report_judge(const struct report_advice *a,
                                 const struct report_trial **ret_best)
{
    const struct report_trial *best = best_allowed(a);

    if (!report_allowed(a, a->blocked)) {
        if (best == NULL)
            return VERDICT_NO_REMEDY;
        *ret_best = best;
        return VERDICT_TOO_MANY;
    }
    if (best == NULL ||
        (__int128)best->core_hours * 1000 < (__int128)a->core_hours * (1000 + WORTH_MILLI))
        return VERDICT_NOTHING;
    *ret_best = best;
    return VERDICT_MORE;
}

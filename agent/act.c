#include "agent/act.h"

#include "base/num.h"

static struct act_result wait_until(struct mono at)
{
    return (struct act_result){.move = ACT_NOTHING, .has_wake = true, .wake = at};
}

/* The moment from which the write may go out. */
static struct mono due(const struct act *a, const struct act_facts *facts, struct mono now)
{
    struct mono at = mono_plus_us(a->since, facts->coalesce_us);

    if (facts->to >= facts->from)
        return mono_plus_us(a->since, ACT_GROW_COALESCE_US);
    if (facts->urgent) {
        if (facts->helpless || facts->victims_seen)
            return now;
        return mono_plus_us(facts->urgent_since, ACT_COALESCE_US);
    }
    if (facts->marking)
        at.us = max_i64(at.us, facts->marking_since.us + ACT_MARK_US);
    return at;
}

/* The moment from which a write may go out beside the one in flight; false: not before its answer,
 * which brings the next evaluation. */
static bool may_overtake(const struct act *a, const struct act_facts *facts, struct mono *ret_at)
{
    if (facts->to >= facts->from || facts->to > a->in_flight_to)
        return false;
    if (facts->to == a->in_flight_to && a->in_flight >= ACT_SAME_YIELDS)
        return false;
    *ret_at = a->in_flight_down ? mono_plus_us(a->sent_at, ACT_OVERTAKE_US) : a->sent_at;
    return true;
}

struct act_result act_step(struct act *a, const struct act_facts *facts, struct mono now)
{
    bool down = facts->to < facts->from;
    const struct act_backoff *backoff = down ? &a->shrink : &a->grow;
    bool held = backoff->at.us > now.us && !(backoff->altered && down && facts->urgent);
    struct mono at, overtake_at = now;

    if (!facts->write) {
        a->wants = false;
        return (struct act_result){.move = ACT_NOTHING};
    }
    if (!a->wants || a->wants_down != down) {
        a->wants = true;
        a->wants_down = down;
        a->since = now;
    }
    if (a->in_flight != 0 && !may_overtake(a, facts, &overtake_at))
        return (struct act_result){.move = ACT_NOTHING};
    if (overtake_at.us > now.us)
        return wait_until(overtake_at);
    if (held)
        return wait_until(backoff->at);
    at = due(a, facts, now);
    if (at.us > now.us)
        return wait_until(at);
    a->wants = false;
    a->overtook = a->in_flight != 0;
    a->in_flight++;
    a->in_flight_to = facts->to;
    a->in_flight_down = down;
    a->sent_at = now;
    return (struct act_result){.move = down ? ACT_SHRINK : ACT_GROW, .to = facts->to};
}

static void back_off(struct act_backoff *b, bool altered, struct mono now)
{
    int64_t first = altered ? ACT_ALTERED_FIRST_US : ACT_RETRY_FIRST_US;
    int64_t last = altered ? ACT_ALTERED_LAST_US : ACT_RETRY_LAST_US;

    b->us = b->us == 0 || b->altered != altered ? first : min_i64(b->us * 2, last);
    b->at = mono_plus_us(now, b->us);
    b->altered = altered;
}

/* One is no longer under way; returns true if writes had overtaken each other. */
static bool end_write(struct act *a)
{
    bool overtook;

    a->in_flight--;
    overtook = a->overtook && a->in_flight == 0;
    if (a->in_flight == 0)
        a->overtook = false;
    return overtook;
}

bool act_answered(struct act *a, bool down, bool ok, struct mono now)
{
    bool overtook = end_write(a);

    if (ok)
        a->grow = a->shrink = (struct act_backoff){0};
    else
        back_off(down ? &a->shrink : &a->grow, false, now);
    return !ok || overtook;
}

void act_told_to_wait(struct act *a, bool down, int64_t us, struct mono now)
{
    struct mono at = mono_plus_us(now, min_i64(us, ACT_TOLD_LAST_US));

    if (!down)
        a->grow.at.us = max_i64(a->grow.at.us, at.us);
}

bool act_altered(struct act *a, bool down, struct mono now)
{
    bool overtook = end_write(a);

    back_off(down ? &a->shrink : &a->grow, true, now);
    return overtook;
}

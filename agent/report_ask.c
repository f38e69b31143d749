#include "agent/report_ask.h"

#include <stdio.h>
#include <string.h>

#include "agent/policy_files.h"
#include "agent/report_replay.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "policy/field.h"
#include "storage/policies.h"
#include "storage/report_gather.h"

#define DAY_MS INT64_C(86400000)

/* ---- times ---- */

/* "7d", "2w", "12h". */
static bool read_span(struct sv text, int64_t *ret_ms)
{
    int64_t days, us;
    bool weeks = sv_ends(text, SV("w"));
    struct sv number = {.at = text.at, .len = text.len != 0 ? text.len - 1 : 0};

    if ((weeks || sv_ends(text, SV("d"))) && sv_to_i64(number, &days) && days > 0 &&
        days <= 100000) {
        *ret_ms = days * (weeks ? 7 : 1) * DAY_MS;
        return true;
    }
    if (!field_parse_span(text, &us) || us < 1000)
        return false;
    *ret_ms = us / 1000;
    return true;
}

/* A reading of the zone's clock: a date, perhaps with a time. */
static bool read_local(struct sv text, const struct zone *zone, int64_t *ret_ms)
{
    char whole[64];
    struct wall t;
    int64_t local_s;

    if (text.len != 10 && text.len != 16 && text.len != 19)
        return false;
    (void)snprintf(whole, sizeof whole, "%.*s%sZ", SV_ARG(text),
                   text.len == 10   ? "T00:00:00"
                   : text.len == 16 ? ":00"
                                    : "");
    if (!wall_parse(sv_from(whole), &t))
        return false;
    local_s = t.us / US_PER_S;
    *ret_ms = (zone != NULL ? zone_first_s(zone, local_s) : local_s) * 1000;
    return true;
}

bool report_time(struct sv text, const struct zone *zone, int64_t *ret_ms, int64_t *ret_span_ms,
                 struct err *err)
{
    struct wall t;

    *ret_ms = *ret_span_ms = 0;
    if (text.len == 0)
        return true;
    if (wall_parse(text, &t)) {
        *ret_ms = t.us / 1000;
        return true;
    }
    return read_local(text, zone, ret_ms) || read_span(text, ret_span_ms) ||
           err_set(
               err, ERR_INPUT, 0,
               "found %.*s, expected a date, a time like 2026-10-01T08:00:00Z or a span like 7d",
               SV_ARG(text));
}

/* A point in time; spans lie before `end_ms`. */
static bool read_moment(const char *name, struct sv text, const struct report_answer *a,
                        int64_t end_ms, int64_t *ret_ms, struct err *err)
{
    int64_t span_ms;

    if (!report_time(text, a->zone, ret_ms, &span_ms, err))
        return err_wrap(err, "%s", name);
    if (span_ms > 0)
        *ret_ms = end_ms - span_ms;
    return true;
}

static bool read_range(const struct report_ask *ask, struct report_answer *a,
                       struct report_query *q, struct err *err)
{
    int64_t first_ms, end_ms;

    if (!report_time(ask->since, a->zone, &q->since_ms, &q->last_ms, err))
        return err_wrap(err, "since");
    if (!a->source.span(a->source.self, &first_ms, &end_ms, err) ||
        !read_moment("until", ask->until, a, end_ms, &q->until_ms, err))
        return false;
    /* Nobody knows when a Prometheus began: it is asked of so long before the end. */
    if (a->scraped != NULL && q->until_ms != 0 && q->since_ms == 0 && q->last_ms == 0)
        q->last_ms = REPORT_SCRAPED_SINCE_MS;
    return true;
}

/* ---- terms ---- */

static bool read_field(const char *path, struct sv text, struct policy *p, struct err *err)
{
    return field_read(field_find(sv_from(path)), text, &p->arena, p, err);
}

bool report_price(struct sv text, struct report_terms *terms, struct err *err)
{
    struct policy p = {0};
    struct sv number, currency = {0};

    if (!sv_cut(text, ' ', &number, &currency))
        number = text;
    currency = sv_trim(currency);
    if (currency.len >= sizeof terms->currency)
        return err_set(err, ERR_INPUT, 0,
                       "price: found a currency of %zu bytes, expected at most %zu", currency.len,
                       sizeof terms->currency - 1);
    if (!read_field("spec.report.price", number, &p, err))
        return err_wrap(err, "price");
    terms->price_micro = p.report.price_micro;
    (void)snprintf(terms->currency, sizeof terms->currency, "%.*s", SV_ARG(currency));
    return true;
}

static bool read_target(struct sv text, struct report_terms *terms, struct err *err)
{
    struct policy p = {0};

    if (!read_field("spec.report.target", text, &p, err))
        return err_wrap(err, "target");
    terms->target_ppm = p.report.target_ppm;
    return true;
}

static void take_text(void *self, const struct policies_text *text, int64_t saved_at_ms)
{
    (void)saved_at_ms;
    policy_texts_add(self, text->name, text->text);
}

/* Of the file, else what the history keeps. Kept texts that cannot be read are as good as none. */
static bool read_policies(const struct report_ask *ask, struct report_answer *a, struct err *err)
{
    struct policy_texts texts = {0};
    struct err broken = {0};
    bool ok;

    if (ask->policy_file != NULL)
        return policy_files_read(ask->policy_file, &a->policies, err);
    if (a->scraped != NULL)
        return true;
    ok = policies_load(a->history.db, take_text, &texts, err);
    if (ok && texts.len != 0 && !policy_texts_read(&texts, &a->policies, &broken))
        a->policies = (struct policy_list){0};
    policy_texts_done(&texts);
    return ok;
}

/* The only one, where none is named. */
static const struct policy *find_policy(const struct report_answer *a, struct sv name)
{
    for (size_t i = 0; i < a->policies.len; i++) {
        if (sv_eq(a->policies.at[i]->name, name) || (name.len == 0 && a->policies.len == 1))
            return a->policies.at[i];
    }
    return NULL;
}

static bool take_slot(void *self, const struct decision_entry *d)
{
    *(int64_t *)self = d->at[DECISION_SLOT];
    return false;
}

/* What the most filler that the policy allows asks for, by the newest decision's size of a pod. */
static bool find_filler_max(struct report_answer *a, const struct policy *p, int64_t *ret_milli,
                            struct err *err)
{
    const struct decisions_filter filter = {.policy = p->name};
    int64_t slot_milli = 0;

    *ret_milli = 0;
    if (a->scraped != NULL)
        slot_milli = p->pod.given ? p->pod.cpu_milli : 0;
    else if (!decisions_each(a->history.decisions, &filter, take_slot, &slot_milli, err))
        return false;
    if (slot_milli > 0 && __builtin_mul_overflow(slot_milli, (int64_t)p->max, ret_milli))
        *ret_milli = 0;
    return true;
}

static bool read_terms(const struct report_ask *ask, struct report_answer *a,
                       struct report_terms *terms, struct err *err)
{
    const struct policy *p = find_policy(a, ask->policy);

    if (p != NULL) {
        terms->target_ppm = p->report.target_ppm;
        terms->price_micro = p->report.price_micro;
        terms->blocked_ppm = p->blocked_ppm;
        if (!find_filler_max(a, p, &terms->filler_max_milli, err))
            return false;
    }
    return (ask->target.len == 0 || read_target(ask->target, terms, err)) &&
           (ask->price.len == 0 || report_price(ask->price, terms, err));
}

/* ---- the other period ---- */

static bool cut_dots(struct sv text, struct sv *ret_since, struct sv *ret_until)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.at[i] == '.' && text.at[i + 1] == '.') {
            *ret_since = (struct sv){.at = text.at, .len = i};
            *ret_until = sv_skip(text, i + 2);
            return true;
        }
    }
    return false;
}

/* Days are compared with days, also where one of them is shorter. */
static int64_t previous_ms(const struct report *r)
{
    const struct report_query *q = &r->query;
    int64_t since_s = calendar_local_s(q->zone, q->since_ms),
            until_s = calendar_local_s(q->zone, q->until_ms);

    if (q->zone == NULL || since_s != calendar_floor(CALENDAR_DAY, since_s) ||
        until_s != calendar_floor(CALENDAR_DAY, until_s))
        return q->since_ms - (q->until_ms - q->since_ms);
    return zone_first_s(q->zone, since_s - (until_s - since_s)) * 1000;
}

static bool read_compared(struct sv text, const struct report_answer *a, struct report_query *q,
                          struct err *err)
{
    const struct report_query *now = &a->now.query;
    struct sv since = text, until = {0};

    *q = *now;
    q->by = REPORT_DAY;
    q->policy = sv_from(a->now.policy);
    if (sv_eq(text, SV("previous"))) {
        q->until_ms = now->since_ms;
        q->since_ms = previous_ms(&a->now);
        return true;
    }
    (void)cut_dots(text, &since, &until);
    if (!read_moment("compare", since, a, now->since_ms, &q->since_ms, err) ||
        !read_moment("compare", until, a, now->since_ms, &q->until_ms, err))
        return false;
    if (q->until_ms == 0)
        q->until_ms = q->since_ms + (now->until_ms - now->since_ms);
    return true;
}

/* Of a history everything is read in one transaction, so that it is of one moment. */
static bool make(struct report_answer *a, const struct report_query *q, struct report *ret_report,
                 struct err *err)
{
    return a->scraped != NULL ? report_make_from(&a->source, q, ret_report, err)
                              : report_make(&a->history, q, ret_report, err);
}

static bool compare(const struct report_ask *ask, struct report_answer *a, struct err *err)
{
    struct report_query q;

    if (ask->compare.len == 0)
        return true;
    if (!read_compared(ask->compare, a, &q, err) || !make(a, &q, &a->before, err))
        return false;
    a->has_before = true;
    a->story.before = &a->before;
    return true;
}

/* ---- all of it ---- */

static bool load_zone(struct sv name, struct report_answer *a, struct report_query *q,
                      struct err *err)
{
    struct zone_source zones = zone_files(NULL);

    if (name.len == 0 || sv_eq(name, SV("UTC")))
        return true;
    if (!zone_is_name(name) || !zones.load(zones.self, name, &a->zone, err))
        return err_set(err, ERR_INPUT, 0,
                       "zone: found %.*s, expected a name like Europe/Berlin or UTC", SV_ARG(name));
    q->zone = a->zone;
    q->zone_name = name;
    return true;
}

static void advise(struct report_answer *a)
{
    const struct policy *p = find_policy(a, sv_from(a->now.policy));

    a->story.advice = &a->advice;
    if (a->scraped != NULL)
        (void)snprintf(a->advice.why_not, sizeof a->advice.why_not,
                       "a replay needs the pods, which a history file holds (brim report --db), or "
                       "kube-state-metrics' series (brim replay --prometheus)");
    else if (p == NULL)
        (void)snprintf(a->advice.why_not, sizeof a->advice.why_not,
                       "the history keeps no policy of this name: give --policy-file");
    else
        report_replay(&a->history, p, &a->now, &a->advice);
}

static bool open_source(const struct report_ask *ask, struct report_answer *a, struct err *err)
{
    const struct db_options options = {.path = ask->db, .read_only = true};

    if ((ask->db == NULL) == (ask->scraped == NULL))
        return err_set(err, ERR_INPUT, 0,
                       ask->db == NULL ? "found no --db, expected the history file, or --prometheus"
                                       : "found --db and --prometheus, expected one of them");
    if (ask->db == NULL) {
        if (!report_scraped_open(ask->scraped, &a->scraped, err))
            return false;
        a->source = report_scraped_source(a->scraped);
        return true;
    }
    if (!history_open(&options, &a->history, err))
        return false;
    a->source = report_history(&a->history);
    return true;
}

static bool begin(const struct report_ask *ask, struct report_answer *a, struct report_query *q,
                  struct err *err)
{
    *q = (struct report_query){.policy = ask->policy, .by = report_by_find(ask->by)};
    if (ask->by.len == 0)
        q->by = REPORT_DAY;
    if (q->by == REPORT_BY_COUNT_)
        return err_set(err, ERR_INPUT, 0, "by: found %.*s, expected hour, day, week or month",
                       SV_ARG(ask->by));
    return load_zone(ask->zone, a, q, err) && open_source(ask, a, err) &&
           read_policies(ask, a, err) && read_terms(ask, a, &q->terms, err) &&
           read_range(ask, a, q, err);
}

bool report_ask(const struct report_ask *ask, struct report_answer *a, struct err *err)
{
    struct report_query q;

    if (!begin(ask, a, &q, err) || !make(a, &q, &a->now, err))
        return false;
    a->has_now = true;
    a->story.now = &a->now;
    if (!compare(ask, a, err))
        return false;
    if (ask->advice)
        advise(a);
    return true;
}

void report_answer_done(struct report_answer *a)
{
    if (a->has_now)
        report_done(&a->now);
    if (a->has_before)
        report_done(&a->before);
    policy_list_done(&a->policies);
    history_close(&a->history);
    report_scraped_close(a->scraped);
    zone_free(a->zone);
    *a = (struct report_answer){0};
}

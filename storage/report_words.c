#include "storage/report_words.h"

#include <stdio.h>
#include <string.h>

#include "storage/report_figure.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)

static void add(struct strbuf *out, const char *text)
{
    (void)strbuf_add(out, sv_from(text));
}

/* ---- numbers ---- */

static void put_thousands(struct strbuf *out, uint64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);

    for (int i = 0; i < len; i++) {
        if (i != 0 && (len - i) % 3 == 0)
            (void)strbuf_add_char(out, ',');
        (void)strbuf_add_char(out, digits[i]);
    }
}

static void put_count(struct strbuf *out, int64_t count, const char *one, const char *many)
{
    put_thousands(out, count < 0 ? 0 : (uint64_t)count);
    (void)strbuf_addf(out, " %s", count == 1 ? one : many);
}

static uint64_t size_of(struct strbuf *out, int64_t value)
{
    if (value < 0)
        (void)strbuf_add_char(out, '-');
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

void report_put_amount(struct strbuf *out, int64_t milli)
{
    uint64_t size = size_of(out, milli), tenths = size / 100 + (size % 100 >= 50);

    if (tenths >= 100) {
        put_thousands(out, size / 1000 + (size % 1000 >= 500));
        return;
    }
    (void)strbuf_addf(out, "%llu.%llu", (unsigned long long)(tenths / 10),
                      (unsigned long long)(tenths % 10));
}

void report_put_count(struct strbuf *out, int64_t count)
{
    uint64_t size = size_of(out, count);

    put_thousands(out, size);
}

static void put_ppm(struct strbuf *out, int64_t ppm)
{
    if (ppm % 1000 == 0 && ppm % 10000 == 0)
        (void)strbuf_addf(out, "%lld %%", (long long)(ppm / 10000));
    else if (ppm < 20000)
        (void)strbuf_addf(out, "%lld.%02lld %%", (long long)((ppm + 50) / 10000),
                          (long long)((ppm + 50) / 100 % 100));
    else
        (void)strbuf_addf(out, "%lld.%lld %%", (long long)((ppm + 500) / 10000),
                          (long long)((ppm + 500) / 1000 % 10));
}

void report_put_share(struct strbuf *out, int64_t part, int64_t whole)
{
    put_ppm(out, whole > 0 ? (int64_t)(((__int128)part * 1000000 + whole / 2) / whole) : 0);
}

void report_put_duration(struct strbuf *out, int64_t ms)
{
    int64_t s = (ms + 500) / 1000;

    if (ms < 60000)
        (void)strbuf_addf(out, "%lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    else if (s < 3600)
        (void)strbuf_addf(out, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
    else if (s < 86400)
        (void)strbuf_addf(out, "%lld h %lld min", (long long)(s / 3600),
                          (long long)(s % 3600 / 60));
    else
        (void)strbuf_addf(out, "%lld d %lld h", (long long)(s / 86400),
                          (long long)(s % 86400 / 3600));
}

void report_put_money(struct strbuf *out, const struct report_terms *terms, int64_t milli)
{
    uint64_t size = size_of(out, milli);

    if (size >= 100000)
        put_thousands(out, size / 1000 + (size % 1000 >= 500));
    else
        (void)strbuf_addf(out, "%llu.%02llu", (unsigned long long)((size + 5) / 1000),
                          (unsigned long long)((size + 5) % 1000 / 10));
    if (terms->currency[0] != '\0') {
        (void)strbuf_add_char(out, ' ');
        (void)strbuf_add_shown(out, sv_from(terms->currency));
    }
}

void report_put_moment(struct strbuf *out, const struct report *r, int64_t t_ms)
{
    char text[CALENDAR_TEXT_SIZE];

    calendar_text_moment(calendar_local_s(r->query.zone, t_ms), text);
    add(out, text);
}

struct sv report_zone_name(const struct report *r)
{
    return r->query.zone_name.len != 0 ? r->query.zone_name : SV("UTC");
}

/* ---- the range ---- */

static void put_time(struct strbuf *out, const struct report *r, int64_t t_ms, bool day)
{
    int64_t local_s = calendar_local_s(r->query.zone, t_ms);
    char text[CALENDAR_TEXT_SIZE];

    calendar_text_day(local_s, text);
    add(out, text);
    if (day)
        return;
    local_s -= calendar_floor(CALENDAR_DAY, local_s);
    (void)strbuf_addf(out, ", %02lld:%02lld", (long long)(local_s / 3600),
                      (long long)(local_s % 3600 / 60));
}

static bool at_midnight(const struct report *r, int64_t t_ms)
{
    int64_t local_s = calendar_local_s(r->query.zone, t_ms);

    return t_ms % 1000 == 0 && local_s == calendar_floor(CALENDAR_DAY, local_s);
}

/* The last day is named, not the midnight that ends it. */
void report_say_range(const struct report *r, struct strbuf *out)
{
    const struct report_query *q = &r->query;
    bool days = at_midnight(r, q->since_ms) && at_midnight(r, q->until_ms);

    add(out, "from ");
    put_time(out, r, q->since_ms, days);
    add(out, " to ");
    put_time(out, r, days ? q->until_ms - 1 : q->until_ms, days);
    add(out, " (");
    (void)strbuf_add_shown(out, report_zone_name(r));
    add(out, ")");
}

/* ---- sentences ---- */

int64_t report_step(const struct report *r)
{
    return r->total.part[REPORT_OFFERED] >= 1000 * 1000 * HOUR_MS ? 1000 : 100;
}

void report_put_hours(struct strbuf *out, const struct report *r, int64_t milli)
{
    uint64_t size = size_of(out, milli);

    put_thousands(out, size / 1000);
    if (report_step(r) == 100)
        (void)strbuf_addf(out, ".%llu", (unsigned long long)(size % 1000 / 100));
}

static void put_part(struct strbuf *out, const struct report *r, enum report_part part)
{
    int64_t hours[REPORT_PART_COUNT_];

    report_core_hours(r->total.part, report_step(r), hours);
    report_put_hours(out, r, hours[part] * report_step(r));
    if (part == REPORT_OFFERED)
        return;
    add(out, " (");
    report_put_share(out, r->total.part[part], r->total.part[REPORT_OFFERED]);
    add(out, ")");
}

static bool say_had(const struct report *r, struct strbuf *out)
{
    const struct report_row *t = &r->total;
    bool steady = t->part[REPORT_OFFERED] / t->covered_ms >= t->peak_offered_milli / 100 * 99;
    size_t at = out->len;

    report_say_range(r, out);
    if (out->len > at)
        out->at[at] = 'F';
    add(out, ", ");
    report_put_share(out, t->covered_ms, t->span_ms);
    add(out, r->n_clusters > 1 ? " of it recorded, the " : " of it recorded, the cluster offered ");
    if (r->n_clusters > 1) {
        report_put_count(out, (int64_t)r->n_clusters);
        add(out, " clusters offered ");
    }
    put_part(out, r, REPORT_OFFERED);
    add(out, steady ? " core-hours: " : " core-hours: up to ");
    report_put_amount(out, t->peak_offered_milli);
    add(out, " cores");
    if (t->nodes > 0) {
        add(out, " on ");
        put_count(out, t->nodes, "node", "nodes");
    }
    add(out, ".");
    return true;
}

static bool say_used(const struct report *r, struct strbuf *out)
{
    const struct report_row *t = &r->total;

    add(out, "Paid work used ");
    put_part(out, r, REPORT_PAID);
    add(out, " of them and asked for at most ");
    report_put_amount(out, t->peak_paid_milli);
    add(out, " cores at once");
    if (t->peak_paid_milli > 0) {
        add(out, r->minutes ? " (" : " (in the hour from ");
        report_put_moment(out, r, t->peak_paid_ms);
        add(out, ")");
    }
    add(out, ".");
    return true;
}

static bool say_filler(const struct report *r, struct strbuf *out)
{
    const struct report_row *t = &r->total;

    add(out, "Filler used another ");
    put_part(out, r, REPORT_FILLER);
    if (t->harvestable > 0) {
        add(out, ", ");
        report_put_share(out, t->part[REPORT_FILLER], t->harvestable);
        add(out, r->query.terms.filler_max_milli > 0 ? " of what it could have used"
                                                     : " of what paid work left");
    }
    add(out, ". ");
    put_part(out, r, REPORT_KEPT);
    add(out, " were kept free for paid growth, ");
    put_part(out, r, REPORT_IDLE);
    add(out, " lay idle: room still settling, or pieces too small, and ");
    put_part(out, r, REPORT_CHURN);
    add(out, " went into filler that started or stopped.");
    return true;
}

static bool say_target(const struct report *r, struct strbuf *out)
{
    const struct report_row *t = &r->total;
    struct report_figures f;

    report_figures(r, t, REPORT_FULL_STEP, &f);
    if (!f.known[FIGURE_ABOVE_TARGET])
        return false;
    add(out, "Together that is ");
    report_put_share(out, t->part[REPORT_PAID] + t->part[REPORT_FILLER], t->part[REPORT_OFFERED]);
    add(out, " of what was offered, where paid work alone would have come to ");
    report_put_share(out, t->part[REPORT_PAID], t->part[REPORT_OFFERED]);
    add(out, "; the policy aims at ");
    put_ppm(out, r->query.terms.target_ppm);
    add(out, ".");
    return true;
}

static void put_waits(const struct report *r, struct strbuf *out)
{
    const struct report_row *t = &r->total;

    put_thousands(out, (uint64_t)t->blocked);
    add(out, " of ");
    put_count(out, t->pods, "paid pod", "paid pods");
    if (t->pods > 0) {
        add(out, " (");
        report_put_share(out, t->blocked, t->pods);
        add(out, ")");
    }
    add(out, " waited for filler to leave");
    if (r->scrapes.interval_ms != 0)
        return;
    add(out, ", ");
    report_put_duration(out, t->wait_ms);
    add(out, " in all, none longer than ");
    report_put_duration(out, t->longest_wait_ms);
}

static bool say_waited(const struct report *r, struct strbuf *out)
{
    const struct report_row *t = &r->total;
    struct report_figures f;

    report_figures(r, t, REPORT_FULL_STEP, &f);
    if (!f.known[FIGURE_BLOCKED]) {
        add(out,
            r->scrapes.interval_ms != 0
                ? "Whom filler made wait is not known: no scrape tells of that time."
                : "Whom filler made wait is not known: the event journal does not tell of that "
                  "time.");
        return true;
    }
    if (t->blocked == 0 && t->pods == 0)
        add(out, "No paid pod came");
    else if (t->blocked == 0) {
        add(out, "None of ");
        put_count(out, t->pods, "paid pod", "paid pods");
        add(out, " waited for filler to leave");
    } else {
        put_waits(r, out);
    }
    if (r->query.terms.blocked_ppm > 0) {
        add(out, "; you allow ");
        put_ppm(out, r->query.terms.blocked_ppm);
    }
    add(out, ".");
    if (r->scrapes.interval_ms == 0 && t->journal_ms < t->covered_ms / 100 * 99)
        add(out, " The event journal tells of a part of the time only.");
    return true;
}

/* As the tables round it. */
static void put_latency(struct strbuf *out, int64_t us)
{
    int64_t tenths = (us + 50) / 100;

    if (us >= 1000000)
        report_put_duration(out, us / 1000);
    else
        (void)strbuf_addf(out, "%lld.%lld ms", (long long)(tenths / 10), (long long)(tenths % 10));
}

static bool say_turned(const struct report *r, struct strbuf *out)
{
    const struct report_row *t = &r->total;
    struct report_figures f;

    report_figures(r, t, REPORT_FULL_STEP, &f);
    if (!f.known[FIGURE_YIELDS])
        return false;
    add(out, "Filler gave way in ");
    put_count(out, t->yields, "yield", "yields");
    add(out, " and grew in ");
    put_count(out, t->harvests, "harvest", "harvests");
    add(out, ", with ");
    put_count(out, t->reversals, "change", "changes");
    add(out, " of direction");
    if (f.known[FIGURE_STARTS]) {
        add(out, "; ");
        put_count(out, t->starts, "filler pod", "filler pods");
        add(out, " started and ");
        put_thousands(out, (uint64_t)t->stops);
        add(out, " stopped");
    }
    if (t->part[REPORT_FILLER] > 0) {
        add(out, ", which wasted ");
        report_put_share(out, t->part[REPORT_CHURN], t->part[REPORT_FILLER]);
        add(out, " as much as filler worked");
    }
    add(out, ".");
    if (t->decisions_ms < t->covered_ms / 100 * 99)
        add(out, " Decisions are kept of a part of the time only: these are its counts.");
    if (t->answers > 0) {
        add(out, " ");
        put_count(out, t->answers, "yield", "yields");
        add(out, " answered a paid pod that waited: half of them went out within ");
        put_latency(out, t->latency_p50_us);
        add(out, " of hearing of it, 99 of 100 within ");
        put_latency(out, t->latency_p99_us);
        add(out, ", the slowest after ");
        put_latency(out, t->latency_max_us);
        add(out, ".");
    }
    return true;
}

static bool say_headroom(const struct report *r, struct strbuf *out)
{
    const struct report_row *t = &r->total;
    struct report_figures f;

    report_figures(r, t, REPORT_FULL_STEP, &f);
    if (!f.known[FIGURE_RISE] || !f.known[FIGURE_MEAN_KEPT])
        return false;
    report_put_amount(out, f.at[FIGURE_MEAN_KEPT]);
    add(out, " cores were kept free on average, at most ");
    report_put_amount(out, t->peak_kept_milli);
    add(out, "; the most that paid work grew by within a minute was ");
    report_put_amount(out, t->rise_milli);
    add(out, " cores.");
    return true;
}

static bool say_lone(const struct report *r, struct strbuf *out)
{
    struct report_figures f;

    report_figures(r, &r->total, REPORT_FULL_STEP, &f);
    if (!f.known[FIGURE_LONE] || f.at[FIGURE_LONE] == 0)
        return false;
    report_put_amount(out, f.at[FIGURE_LONE]);
    add(out, " core-hours (");
    report_put_share(out, r->total.lone, r->total.part[REPORT_OFFERED]);
    add(out, ") were those of nodes that only filler used: without it they could have been "
             "switched off.");
    return true;
}

static bool say_worth(const struct report *r, struct strbuf *out)
{
    const struct report_terms *terms = &r->query.terms;
    struct report_figures f;

    report_figures(r, &r->total, REPORT_FULL_STEP, &f);
    if (!f.known[FIGURE_FILLER_WORTH])
        return false;
    (void)strbuf_addf(out, "At %lld.%02lld", (long long)(terms->price_micro / 1000000),
                      (long long)(terms->price_micro % 1000000 / 10000));
    if (terms->price_micro % 10000 != 0)
        (void)strbuf_addf(out, "%04lld", (long long)(terms->price_micro % 10000));
    if (terms->currency[0] != '\0') {
        (void)strbuf_add_char(out, ' ');
        (void)strbuf_add_shown(out, sv_from(terms->currency));
    }
    add(out, " a core-hour filler's work was worth ");
    report_put_money(out, terms, f.at[FIGURE_FILLER_WORTH]);
    add(out, "; what lay idle would have been worth ");
    report_put_money(out, terms, f.at[FIGURE_IDLE_WORTH]);
    add(out, ".");
    return true;
}

static bool say_before(const struct report_story *s, struct strbuf *out)
{
    const struct report_row *now = &s->now->total, *before;

    if (s->before == NULL || s->before->total.part[REPORT_OFFERED] == 0)
        return false;
    before = &s->before->total;
    add(out, "In the period beside it, ");
    report_say_range(s->before, out);
    add(out, ", ");
    if (before->covered_ms < before->span_ms / 100 * 99) {
        report_put_share(out, before->covered_ms, before->span_ms);
        add(out, " of it recorded, ");
    }
    report_put_share(out, before->part[REPORT_PAID] + before->part[REPORT_FILLER],
                     before->part[REPORT_OFFERED]);
    add(out, " were used (now ");
    report_put_share(out, now->part[REPORT_PAID] + now->part[REPORT_FILLER],
                     now->part[REPORT_OFFERED]);
    add(out, ") and filler took ");
    put_part(out, s->before, REPORT_FILLER);
    add(out, " core-hours");
    if (before->journal_ms > 0) {
        add(out, "; ");
        put_thousands(out, (uint64_t)before->blocked);
        add(out, " of ");
        put_count(out, before->pods, "paid pod", "paid pods");
        add(out, " waited");
    }
    add(out, ".");
    return true;
}

static void put_damage(const struct report *r, struct strbuf *out)
{
    const struct groups_damage *groups = &r->groups_damage;

    if (r->damaged_chunks != 0) {
        put_count(out, r->damaged_chunks, "part", "parts");
        add(out, " of the event journal cannot be read: pods of that time are missing.");
    }
    if (groups->parts == 0)
        return;
    add(out, r->damaged_chunks != 0 ? " " : "");
    put_count(out, groups->parts, "part", "parts");
    add(out, " of the figures of groups of nodes cannot be read: ");
    if (groups->missing_ms > 0) {
        add(out, "of ");
        report_put_duration(out, groups->missing_ms);
        add(out, " nothing else tells.");
    } else {
        add(out, "finer or coarser ones stand in their place.");
    }
}

static bool say_gaps(const struct report *r, struct strbuf *out)
{
    int64_t missing_ms = r->total.span_ms - r->total.covered_ms;
    bool damaged = r->damaged_chunks != 0 || r->groups_damage.parts != 0;

    if (missing_ms > 0) {
        report_put_duration(out, missing_ms);
        add(out, " were not recorded, in ");
        put_count(out, r->all_gaps, "gap", "gaps");
        add(out, "; no figure counts them.");
    }
    if (damaged) {
        add(out, missing_ms > 0 ? " " : "");
        put_damage(r, out);
    }
    return missing_ms > 0 || damaged;
}

static void put_dispute(const struct report *r, struct strbuf *out)
{
    const struct report_scrapes *s = &r->scrapes;

    /* Two agents of one cluster, or two scrapers, differ for a moment at most. */
    if (s->disputed <= s->compared / 20)
        return;
    add(out, " Agents that were taken for those of one cluster tell of different ones in ");
    report_put_share(out, s->disputed, s->compared);
    add(out, " of their scrapes, and only one of them is counted: name the label that tells "
             "clusters apart (--by-label).");
}

/* The whole counts as recorded when any of its clusters is. */
enum { MAX_SILENT = 5 };

static void put_silent(const struct report *r, struct strbuf *out)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_clusters; i++) {
        const struct report_cluster *c = &r->clusters[i];

        if (c->total.covered_ms >= r->total.covered_ms / 100 * 99 || n++ >= MAX_SILENT)
            continue;
        add(out, n == 1 ? " Of " : ", of ");
        (void)strbuf_add_shown(out,
                               c->name[0] != '\0' ? sv_from(c->name) : SV("those without a name"));
        add(out, " ");
        report_put_share(out, c->total.covered_ms, c->total.span_ms);
    }
    if (n > MAX_SILENT) {
        add(out, ", of ");
        report_put_count(out, (int64_t)n - MAX_SILENT);
        add(out, " more less than 99 %");
    }
    if (n != 0)
        add(out, " of the time was recorded: the sums lack the rest.");
}

static bool say_scrapes(const struct report *r, struct strbuf *out)
{
    const struct report_scrapes *s = &r->scrapes;

    if (s->interval_ms == 0)
        return false;
    add(out, "This is what a scrape each ");
    report_put_duration(out, s->interval_ms);
    add(out, " shows: peaks and turns that came and went between two scrapes are missing, counts "
             "belong to the scrape that told them, and what only pods tell (waits, starts, stops, "
             "growth within a minute) is not known.");
    if (s->step_ms != 0)
        add(out, " Of so long a time only a part of the scrapes was looked at.");
    if (s->partial != 0) {
        add(out, " ");
        put_count(out, s->partial, "answer", "answers");
        add(out, " of ");
        put_thousands(out, (uint64_t)s->queries);
        add(out, " may lack something; the first says: ");
        (void)strbuf_add_shown(out, sv_from(s->warning));
        add(out, ".");
    }
    put_silent(r, out);
    put_dispute(r, out);
    return true;
}

/* ---- what to change ---- */

static void put_setting(struct strbuf *out, enum report_trial_kind kind, int64_t value)
{
    if (kind == TRIAL_HEADROOM) {
        report_put_amount(out, value);
        add(out, " cores");
    } else {
        (void)strbuf_addf(out, "%lld s", (long long)(value / 1000000));
    }
}

static void put_change(struct strbuf *out, const struct report_advice *a,
                       const struct report_trial *t)
{
    add(out, t->kind == TRIAL_HEADROOM ? "a headroom.max of " : "a settle of ");
    put_setting(out, t->kind, t->value);
    add(out, " instead of ");
    put_setting(out, t->kind, t->kind == TRIAL_HEADROOM ? a->headroom_milli : a->settle_us);
}

static void put_outcome(struct strbuf *out, const struct report_advice *a,
                        const struct report_trial *t)
{
    int64_t more = t->core_hours - a->core_hours;

    report_put_amount(out, more < 0 ? -more : more);
    (void)strbuf_addf(out, " core-hours %s, with ", more < 0 ? "less" : "more");
    report_put_share(out, t->blocked, a->paid_pods);
    add(out, " of the paid pods waiting");
}

static bool say_change(const struct report_advice *a, struct strbuf *out)
{
    const struct report_trial *best = NULL;

    if (a == NULL)
        return false;
    if (!a->made) {
        add(out, "What to change could not be tried: ");
        (void)strbuf_add_shown(out, sv_from(a->why_not));
        add(out, ".");
        return true;
    }
    switch (report_judge(a, &best)) {
    case VERDICT_NOTHING:
        add(out,
            "Change nothing: in a replay of the time no other headroom or settle that was tried "
            "brings 1 % more within the ");
        put_ppm(out, a->allowed_ppm);
        add(out, " of paid pods that you allow to wait.");
        return true;
    case VERDICT_MORE:
        add(out, "In a replay of the time ");
        put_change(out, a, best);
        add(out, " brings filler ");
        put_outcome(out, a, best);
        add(out, "; you allow ");
        break;
    case VERDICT_TOO_MANY:
        add(out, "In a replay of the time ");
        report_put_share(out, a->blocked, a->paid_pods);
        add(out, " of the paid pods wait; ");
        put_change(out, a, best);
        add(out, " brings filler ");
        put_outcome(out, a, best);
        add(out, ", within what you allow, ");
        break;
    case VERDICT_NO_REMEDY:
        add(out, "In a replay of the time ");
        report_put_share(out, a->blocked, a->paid_pods);
        add(out, " of the paid pods wait, and no other headroom or settle that was tried keeps "
                 "within what you allow, ");
        break;
    }
    put_ppm(out, a->allowed_ppm);
    add(out, ".");
    return true;
}

bool report_say(const struct report_story *story, enum report_sentence which, struct strbuf *out)
{
    const struct report *r = story->now;

    if (which < SAY_WAITED && r->total.covered_ms == 0) {
        if (which != SAY_HAD)
            return false;
        add(out, "Nothing was recorded ");
        report_say_range(r, out);
        add(out, ".");
        return true;
    }
    switch (which) {
    case SAY_HAD:
        return say_had(r, out);
    case SAY_USED:
        return say_used(r, out);
    case SAY_FILLER:
        return say_filler(r, out);
    case SAY_TARGET:
        return say_target(r, out);
    case SAY_WAITED:
        return say_waited(r, out);
    case SAY_TURNED:
        return say_turned(r, out);
    case SAY_HEADROOM:
        return say_headroom(r, out);
    case SAY_LONE:
        return say_lone(r, out);
    case SAY_WORTH:
        return say_worth(r, out);
    case SAY_BEFORE:
        return say_before(story, out);
    case SAY_GAPS:
        return say_gaps(r, out);
    case SAY_SCRAPES:
        return say_scrapes(r, out);
    case SAY_CHANGE:
        return say_change(story->advice, out);
    case SAY_COUNT_:
        break;
    }
    return false;
}

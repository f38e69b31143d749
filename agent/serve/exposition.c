#include "agent/serve/exposition.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "policy/controller.h"

enum metric_type { TYPE_GAUGE, TYPE_COUNTER, TYPE_HISTOGRAM, TYPE_INFO };

/* A page that is being written; or samples that are handed over, and then the rest means nothing. */
struct page {
    enum exposition_format format;
    const struct snapshot *s; /* may be NULL */
    const struct process_figures *process;
    struct mono now;
    struct strbuf *out;
    exposition_take *take; /* NULL: a page */
    void *self;
};

/* Where a metric's samples come from. */
enum source {
    FROM_SNAPSHOT, /* an int64 of struct snapshot, known once both watches are complete */
    FROM_ROOM,     /* an int64 of struct snapshot_filler, known where the filler's room is */
    FROM_COUNT,    /* an int64 of struct snapshot_filler, known where a count was decided */
    FROM_TARGET,   /* an int64 of struct snapshot_filler, known once the target was read */
    FROM_FILLER,   /* a counter of struct snapshot_filler, always known */
    FROM_WATCH,    /* a counter of struct snapshot_watch, always known */
    FROM_HISTORY,  /* a number of struct snapshot_history, known where history is kept */
    FROM_FUNCTION,
};

struct metric {
    const char *name; /* as samples carry it: with _total, a histogram's without suffix */
    enum metric_type type;
    const char *unit;   /* "" where it is a plain count */
    const char *labels; /* for the document */
    const char *help;
    enum source source;
    size_t offset;
    int digits; /* how many decimal places the integer holds: 3 for milli */
    void (*samples)(struct page *p, const struct metric *m);
};

/* value / 10^digits as the shortest decimal. Negative values do not leave brim: they show as 0. */
static void add_number(struct strbuf *out, int64_t value, int digits)
{
    int64_t scale = 1;

    if (value < 0)
        value = 0;
    for (int i = 0; i < digits; i++)
        scale *= 10;
    (void)strbuf_addf(out, "%lld", (long long)(value / scale));
    value %= scale;
    if (value != 0)
        (void)strbuf_add_char(out, '.');
    for (; value != 0; value %= scale) {
        scale /= 10;
        (void)strbuf_add_char(out, (char)('0' + value / scale));
    }
}

/* Inside quotes both formats escape the same three bytes. */
static void add_label_value(struct strbuf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            (void)strbuf_add_char(out, '\\');
        if (*value == '\n')
            (void)strbuf_add(out, SV("\\n"));
        else
            (void)strbuf_add_char(out, *value);
    }
}

struct pair {
    const char *name, *value; /* name NULL: no such label */
};

static void add_series(struct page *p, const struct metric *m, const char *suffix,
                       struct pair first, struct pair second)
{
    (void)strbuf_addf(p->out, "%s%s", m->name, suffix);
    if (first.name != NULL) {
        (void)strbuf_addf(p->out, "{%s=\"", first.name);
        add_label_value(p->out, first.value);
        if (second.name != NULL) {
            (void)strbuf_addf(p->out, "\",%s=\"", second.name);
            add_label_value(p->out, second.value);
        }
        (void)strbuf_add(p->out, SV("\"}"));
    }
    (void)strbuf_add_char(p->out, ' ');
}

/* value / 10^digits in thousandths. */
static int64_t in_milli(int64_t value, int digits)
{
    for (; digits > 3; digits--)
        value /= 10;
    for (; digits < 3; digits++) {
        if (__builtin_mul_overflow(value, 10, &value))
            return INT64_MAX;
    }
    return value;
}

static void add_sample(struct page *p, const struct metric *m, struct pair first,
                       struct pair second, int64_t value, int digits)
{
    if (p->take != NULL) {
        p->take(p->self,
                &(struct exposition_sample){.policy = first.value,
                                            .label = second.name,
                                            .label_text = second.value,
                                            .milli = in_milli(value > 0 ? value : 0, digits)});
        return;
    }
    add_series(p, m, "", first, second);
    add_number(p->out, value, digits);
    (void)strbuf_add_char(p->out, '\n');
}

static struct pair policy_of(const struct snapshot_filler *f)
{
    return (struct pair){"policy", f->policy};
}

static const struct pair none = {NULL, NULL};

static void scale_ratio(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];
        __int128 ratio;

        if (!p->s->ready || !f->has_replicas || f->ready <= 0 || f->desired < 0)
            continue;
        /* Cut, not rounded: ready times a ratio rounded up would ask an autoscaler for one replica
         * more. */
        ratio = (__int128)f->desired * 1000000000 / f->ready;
        add_sample(p, m, policy_of(f), none, ratio > INT64_MAX ? INT64_MAX : (int64_t)ratio, 9);
    }
}

static void filler_cores(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];

        if (!p->s->ready || !f->has_replicas)
            continue;
        add_sample(p, m, policy_of(f), (struct pair){"state", "ready"}, f->ready_milli, 3);
        add_sample(p, m, policy_of(f), (struct pair){"state", "starting"}, f->starting_milli, 3);
        add_sample(p, m, policy_of(f), (struct pair){"state", "leaving"}, f->leaving_milli, 3);
    }
}

static void headroom(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];

        if (f->known)
            add_sample(p, m, policy_of(f),
                       (struct pair){"kind", headroom_kind_name(f->headroom.kind)},
                       f->headroom_milli, 3);
    }
}

/* Without a filler's size there are no holes: the amounts themselves, as in the history. */
static void kept(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];
        int64_t milli;

        if (!snapshot_decided(f))
            continue;
        if (f->slot_milli <= 0)
            milli = f->reserved_milli + f->headroom_milli;
        else if (__builtin_mul_overflow(f->kept_slots, f->slot_milli, &milli))
            milli = INT64_MAX;
        add_sample(p, m, policy_of(f), none, milli, 3);
    }
}

static void headroom_need(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];

        if (f->known && f->headroom.values != 0)
            add_sample(p, m, policy_of(f), none, f->headroom.need, 3);
    }
}

static void headroom_capped(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];

        if (f->known)
            add_sample(p, m, policy_of(f), none, f->headroom.capped, 0);
    }
}

static void paused(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];

        if (!f->has_replicas)
            continue;
        add_sample(p, m, policy_of(f), (struct pair){"direction", "up"}, f->paused_up, 0);
        add_sample(p, m, policy_of(f), (struct pair){"direction", "down"}, f->paused_down, 0);
    }
}

static void filler_pods(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];

        if (!p->s->ready || !f->has_replicas)
            continue;
        add_sample(p, m, policy_of(f), (struct pair){"state", "ready"}, f->ready, 0);
        add_sample(p, m, policy_of(f), (struct pair){"state", "starting"}, f->starting, 0);
        add_sample(p, m, policy_of(f), (struct pair){"state", "leaving"}, f->leaving, 0);
        add_sample(p, m, policy_of(f), (struct pair){"state", "unschedulable"}, f->unschedulable,
                   0);
        add_sample(p, m, policy_of(f), (struct pair){"state", "gated"}, f->gated, 0);
        add_sample(p, m, policy_of(f), (struct pair){"state", "admitted"}, f->admitted, 0);
    }
}

static void decisions(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];

        for (int r = 0; r < REASON_COUNT_; r++)
            add_sample(p, m, policy_of(f), (struct pair){"reason", reason_name((enum reason)r)},
                       (int64_t)f->decisions_total[r], 0);
    }
}

/* A bucket's upper bound. OpenMetrics wants a whole bound to be written with its point: "1.0". */
static void bound_text(enum exposition_format format, double bound_s, struct strbuf *out)
{
    int64_t us = (int64_t)(bound_s * 1e6 + 0.5);

    add_number(out, us, 6);
    if (format == EXPOSITION_OPENMETRICS && us % US_PER_S == 0)
        (void)strbuf_add(out, SV(".0"));
}

static void yield_latency(struct page *p, const struct metric *m)
{
    static const double bounds[] = SNAPSHOT_LATENCY_BOUNDS;
    _Static_assert(COUNT_OF(bounds) + 1 == SNAPSHOT_LATENCY_BUCKETS, "a bucket has no bound");

    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];
        uint64_t sum = 0;

        for (size_t b = 0; b < SNAPSHOT_LATENCY_BUCKETS; b++) {
            struct strbuf le;

            strbuf_init(&le, 32);
            if (b < COUNT_OF(bounds))
                bound_text(p->format, bounds[b], &le);
            else
                (void)strbuf_add(&le, SV("+Inf"));
            sum += f->yield_latency.bucket[b];
            add_series(p, m, "_bucket", policy_of(f), (struct pair){"le", strbuf_str(&le)});
            (void)strbuf_addf(p->out, "%llu\n", (unsigned long long)sum);
            strbuf_done(&le);
        }
        add_series(p, m, "_sum", policy_of(f), none);
        add_number(p->out, f->yield_latency.sum_us, 6);
        (void)strbuf_add_char(p->out, '\n');
        /* The sum of the buckets, not the field, so that a page can never contradict itself. */
        add_series(p, m, "_count", policy_of(f), none);
        (void)strbuf_addf(p->out, "%llu\n", (unsigned long long)sum);
    }
}

static void watch_staleness(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < COUNT_OF(p->s->watches); i++) {
        const struct snapshot_watch *w = &p->s->watches[i];

        if (w->name != NULL && w->synced)
            add_sample(p, m, (struct pair){"kind", w->name}, none, mono_since_us(w->heard, p->now),
                       6);
    }
}

static void policies_broken(struct page *p, const struct metric *m)
{
    add_sample(p, m, none, none, p->s->policies_broken, 0);
}

/* Where nobody is elected there is one replica, which leads. */
static void leader(struct page *p, const struct metric *m)
{
    add_sample(p, m, none, none, !p->s->lead.on || p->s->lead.leads, 0);
}

static void build_info(struct page *p, const struct metric *m)
{
    add_sample(p, m, (struct pair){"version", BRIM_VERSION}, none, 1, 0);
}

static void process_start_time(struct page *p, const struct metric *m)
{
    if (p->process->started.us > 0)
        add_sample(p, m, none, none, p->process->started.us, 6);
}

static void process_resident(struct page *p, const struct metric *m)
{
    if (p->process->has_resident)
        add_sample(p, m, none, none, p->process->resident_bytes, 0);
}

static void process_cpu(struct page *p, const struct metric *m)
{
    if (p->process->has_cpu)
        add_sample(p, m, none, none, p->process->cpu_us, 6);
}

static void history_written(struct page *p, const struct metric *m)
{
    if (p->s->history.on && p->s->history.written_at.us != 0)
        add_sample(p, m, none, none, p->s->history.written_at.us, 6);
}

static void history_on_network(struct page *p, const struct metric *m)
{
    if (p->s->history.on)
        add_sample(p, m, none, none, p->s->history.network != NULL, 0);
}

#define SNAPSHOT(field) .source = FROM_SNAPSHOT, .offset = offsetof(struct snapshot, field)
#define ROOM(field, places)                                                                        \
    .source = FROM_ROOM, .offset = offsetof(struct snapshot_filler, field), .digits = (places)
#define COUNT(field)   .source = FROM_COUNT, .offset = offsetof(struct snapshot_filler, field)
#define TARGET(field)  .source = FROM_TARGET, .offset = offsetof(struct snapshot_filler, field)
#define FILLER(field)  .source = FROM_FILLER, .offset = offsetof(struct snapshot_filler, field)
#define WATCH(field)   .source = FROM_WATCH, .offset = offsetof(struct snapshot_watch, field)
#define HISTORY(field) .source = FROM_HISTORY, .offset = offsetof(struct snapshot_history, field)
#define FUNCTION(fn)   .source = FROM_FUNCTION, .samples = (fn)

static const struct metric metrics[] = {
    {"cpu_capacity_remaining", TYPE_GAUGE, "cores", "policy",
     "CPU that is left for filler after paid pods, their claims and the reserve: falls when paid "
     "load rises.",
     ROOM(remaining_milli, 3)},
    {"cpu_capacity_allocatable", TYPE_GAUGE, "cores", "policy",
     "CPU that the nodes which can take this filler offer to pods.", ROOM(allocatable_milli, 3)},
    {"cpu_capacity_requested", TYPE_GAUGE, "cores", "policy",
     "CPU that paid pods on those nodes ask for, by the scheduler's arithmetic.",
     ROOM(requested_milli, 3)},
    {"cpu_capacity_pending", TYPE_GAUGE, "cores", "policy",
     "CPU that pending paid pods claim on those nodes.", ROOM(pending_milli, 3)},
    {"cpu_capacity_reserved", TYPE_GAUGE, "cores", "policy",
     "CPU that the policy always keeps free.", ROOM(reserved_milli, 3)},
    {"brim_headroom_cores", TYPE_GAUGE, "cores",
     "policy, kind (fixed, careful, usual, surge, expected, ceiling)",
     "CPU kept free beyond the reserve because paid load may soon want it, and which part of what "
     "was learned it comes from.",
     FUNCTION(headroom)},
    {"brim_headroom_need_cores", TYPE_GAUGE, "cores", "policy",
     "Headroom that would have met headroom.blocked; absent until paid pods have arrived.",
     FUNCTION(headroom_need)},
    {"brim_headroom_capped", TYPE_GAUGE, "", "policy",
     "1 while headroom stands at headroom.max and more paid pods than headroom.blocked allows need "
     "more.",
     FUNCTION(headroom_capped)},
    {"brim_kept_cores", TYPE_GAUGE, "cores", "policy",
     "What reserve and headroom come to in whole holes.", FUNCTION(kept)},
    {"brim_hole_replicas", TYPE_GAUGE, "", "policy",
     "Filler pods that one hole holds: room is kept free in pieces of this size.",
     ROOM(hole_slots, 0)},
    {"brim_settle_seconds", TYPE_GAUGE, "seconds", "policy",
     "How long room must have been free before filler takes it, as it is in force.",
     ROOM(settle_us, 6)},
    {"brim_fit_replicas", TYPE_GAUGE, "", "policy",
     "Filler pods that fit beside paid pods and claims, counted node by node.", COUNT(slots)},
    {"brim_desired_replicas", TYPE_GAUGE, "", "policy",
     "Replicas that brim wants the target to have.", TARGET(desired)},
    {"brim_replicas", TYPE_GAUGE, "", "policy", "Replicas that the target asks for.",
     TARGET(replicas)},
    {"brim_scale_ratio", TYPE_GAUGE, "", "policy",
     "Desired replicas divided by ready filler pods; absent when none is ready.",
     FUNCTION(scale_ratio)},
    {"brim_filler_cores", TYPE_GAUGE, "cores", "policy, state (ready, starting, leaving)",
     "CPU that filler pods ask for, by what the pods do.", FUNCTION(filler_cores)},
    {"brim_filler_pods", TYPE_GAUGE, "",
     "policy, state (ready, starting, leaving, unschedulable, gated, admitted)",
     "Filler pods, by what they do; gated and admitted ones are among those that start.",
     FUNCTION(filler_pods)},
    {"brim_admissions_total", TYPE_COUNTER, "", "policy", "Filler pods that were let in to a node.",
     FILLER(admitted_total)},
    {"brim_admissions_refused_total", TYPE_COUNTER, "", "policy",
     "Of them given up, as they were not bound in time.", FILLER(refused_total)},
    {"brim_placement_errors_total", TYPE_COUNTER, "", "policy",
     "Patches of filler pods that failed.", FILLER(place_errors_total)},
    {"brim_paused", TYPE_GAUGE, "", "policy, direction (up, down)",
     "1 while an annotation of the target holds it.", FUNCTION(paused)},
    {"brim_decisions_total", TYPE_COUNTER, "", "policy, reason",
     "Decisions that changed the replicas or the reason, by reason.", FUNCTION(decisions)},
    {"brim_scale_errors_total", TYPE_COUNTER, "", "policy", "Writes of the replicas that failed.",
     FILLER(scale_errors_total)},
    {"brim_yield_latency_seconds", TYPE_HISTOGRAM, "seconds", "policy",
     "Time from the event that made filler yield to the write that went out.",
     FUNCTION(yield_latency)},
    {"brim_paid_pods_total", TYPE_COUNTER, "", "",
     "Paid pods that arrived since the first complete list.", SNAPSHOT(paid_pods_total)},
    {"brim_paid_pods_blocked_total", TYPE_COUNTER, "", "",
     "Of them blocked: unschedulable at the first attempt, although they would have fitted with no "
     "filler at all.",
     SNAPSHOT(paid_pods_blocked_total)},
    {"brim_paid_pods_waiting", TYPE_GAUGE, "", "", "Pending paid pods that have a claim now.",
     SNAPSHOT(waiting_pods)},
    {"brim_policies_broken", TYPE_GAUGE, "", "",
     "1 while the policies' files cannot be read; what was in force before still is.",
     FUNCTION(policies_broken)},
    {"brim_nodes", TYPE_GAUGE, "", "", "Nodes in the cluster.", SNAPSHOT(nodes)},
    {"brim_eligible_nodes", TYPE_GAUGE, "", "", "Nodes that can take filler.",
     SNAPSHOT(eligible_nodes)},
    {"brim_pods", TYPE_GAUGE, "", "",
     "Pods that brim knows, paid and filler, without Succeeded and Failed ones.", SNAPSHOT(pods)},
    {"brim_watch_staleness_seconds", TYPE_GAUGE, "seconds", "kind (pods, nodes, waiting)",
     "Time since anything was last heard from a watch of the API server (waiting: the one of pods "
     "that have no node, which tells early what yields wait for; it is asked when it was silent "
     "for "
     "60 s); absent until its first list is complete.",
     FUNCTION(watch_staleness)},
    {"brim_watch_relists_total", TYPE_COUNTER, "", "kind (pods, nodes, waiting)",
     "Times that a watch had to list everything again.", WATCH(relists_total)},
    {"brim_watch_errors_total", TYPE_COUNTER, "", "kind (pods, nodes, waiting)",
     "Failures of a watch: refused, cut off, not understood.", WATCH(errors_total)},
    {"brim_watch_events_total", TYPE_COUNTER, "", "kind (pods, nodes, waiting)",
     "Events that a watch brought.", WATCH(events_total)},
    {"brim_history_bytes", TYPE_GAUGE, "bytes", "", "Size of the history's file.", HISTORY(bytes)},
    {"brim_queue_length", TYPE_GAUGE, "", "", "Things that wait to be written into the history.",
     HISTORY(queued)},
    {"brim_samples_merged_total", TYPE_COUNTER, "", "",
     "Samples merged into others because the disk did not keep up.", HISTORY(merged_total)},
    {"brim_history_dropped_total", TYPE_COUNTER, "", "",
     "Decisions and pieces of the event journal that were lost.", HISTORY(dropped_total)},
    {"brim_history_errors_total", TYPE_COUNTER, "", "",
     "Writes of the history that failed; what they held is written later.", HISTORY(errors_total)},
    {"brim_history_failing", TYPE_GAUGE, "", "", "1 while the history cannot be written.",
     HISTORY(failing)},
    {"brim_history_written_timestamp_seconds", TYPE_GAUGE, "seconds", "",
     "When the history was last written, in seconds since 1970; absent until it was.",
     FUNCTION(history_written)},
    {"brim_history_damaged_total", TYPE_COUNTER, "", "",
     "Packed parts of samples and of groups of nodes that could not be read, each time that one "
     "was tried; coarser or finer figures stand in the place of some, the rest is missing.",
     HISTORY(damaged_total)},
    {"brim_history_set_aside_total", TYPE_COUNTER, "", "",
     "Damaged files of the history that were set aside, a new one begun.",
     HISTORY(set_aside_total)},
    {"brim_history_on_network", TYPE_GAUGE, "", "",
     "1 while the history lies on a network file system, where only the agent can read it.",
     FUNCTION(history_on_network)},
    {"brim_leader", TYPE_GAUGE, "", "",
     "1 where this replica leads and writes (docs/HA.md), or is the only one.", FUNCTION(leader)},
    {"brim_build_info", TYPE_INFO, "", "version", "Which brim this is; always 1.",
     FUNCTION(build_info)},
    {"process_start_time_seconds", TYPE_GAUGE, "seconds", "",
     "When this process started, in seconds since 1970.", FUNCTION(process_start_time)},
    {"process_resident_memory_bytes", TYPE_GAUGE, "bytes", "",
     "Memory of this process that is resident.", FUNCTION(process_resident)},
    {"process_cpu_seconds_total", TYPE_COUNTER, "seconds", "",
     "User and system time that this process has used.", FUNCTION(process_cpu)},
};

/* Counters are uint64_t, gauges int64_t; both are read as 64 bits, and no counter of brim's reaches
 * 2^63. */
static int64_t figure_at(const void *base, size_t offset)
{
    int64_t value;

    memcpy(&value, (const char *)base + offset, sizeof value);
    return value;
}

static void samples_of_fillers(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < p->s->n_fillers; i++) {
        const struct snapshot_filler *f = &p->s->fillers[i];

        if ((m->source == FROM_ROOM && !f->known) ||
            (m->source == FROM_COUNT && !snapshot_decided(f)) ||
            (m->source == FROM_TARGET && !f->has_replicas))
            continue;
        add_sample(p, m, policy_of(f), none, figure_at(f, m->offset), m->digits);
    }
}

static void samples_of_watches(struct page *p, const struct metric *m)
{
    for (size_t i = 0; i < COUNT_OF(p->s->watches); i++) {
        const struct snapshot_watch *w = &p->s->watches[i];

        if (w->name != NULL)
            add_sample(p, m, (struct pair){"kind", w->name}, none, figure_at(w, m->offset), 0);
    }
}

/* Does the metric speak of the process alone, so that it needs no snapshot? */
static bool needs_snapshot(const struct metric *m)
{
    return m->source != FROM_FUNCTION ||
           (m->samples != build_info && m->samples != process_start_time &&
            m->samples != process_resident && m->samples != process_cpu);
}

static void write_samples(struct page *p, const struct metric *m)
{
    if (p->s == NULL && needs_snapshot(m))
        return;
    switch (m->source) {
    case FROM_SNAPSHOT:
        if (p->s->ready)
            add_sample(p, m, none, none, figure_at(p->s, m->offset), 0);
        return;
    case FROM_ROOM:
    case FROM_COUNT:
    case FROM_TARGET:
    case FROM_FILLER:
        samples_of_fillers(p, m);
        return;
    case FROM_WATCH:
        samples_of_watches(p, m);
        return;
    case FROM_HISTORY:
        if (p->s->history.on)
            add_sample(p, m, none, none, figure_at(&p->s->history, m->offset), 0);
        return;
    case FROM_FUNCTION:
        m->samples(p, m);
        return;
    }
}

static const char *type_name(enum metric_type type, enum exposition_format format)
{
    switch (type) {
    case TYPE_GAUGE:
        return "gauge";
    case TYPE_COUNTER:
        return "counter";
    case TYPE_HISTOGRAM:
        return "histogram";
    case TYPE_INFO:
        return format == EXPOSITION_OPENMETRICS ? "info" : "gauge"; /* text has no such type */
    }
    assert(false);
    return "unknown";
}

/* OpenMetrics names a family without the suffix that its samples have. */
static struct sv family_name(const struct metric *m, enum exposition_format format)
{
    struct sv name = sv_from(m->name);
    struct sv suffix = m->type == TYPE_COUNTER ? SV("_total")
                       : m->type == TYPE_INFO  ? SV("_info")
                                               : SV("");

    if (format == EXPOSITION_OPENMETRICS && sv_ends(name, suffix))
        name.len -= suffix.len;
    return name;
}

/* OpenMetrics allows a UNIT line only where the family's name ends in "_" and the unit. */
static bool name_tells_unit(struct sv family, const char *unit)
{
    struct sv u = sv_from(unit);

    return u.len != 0 && family.len > u.len && sv_ends(family, u) &&
           family.at[family.len - u.len - 1] == '_';
}

static void write_head(struct page *p, const struct metric *m)
{
    struct sv family = family_name(m, p->format);

    (void)strbuf_addf(p->out, "# HELP %.*s %s\n", SV_ARG(family), m->help);
    (void)strbuf_addf(p->out, "# TYPE %.*s %s\n", SV_ARG(family), type_name(m->type, p->format));
    if (p->format == EXPOSITION_OPENMETRICS && name_tells_unit(family, m->unit))
        (void)strbuf_addf(p->out, "# UNIT %.*s %s\n", SV_ARG(family), m->unit);
}

/* Takes back what was added since the text had `len` bytes. */
static void cut_back(struct strbuf *out, size_t len)
{
    if (out->at == NULL)
        return;
    out->len = len;
    out->at[len] = '\0';
}

const char *exposition_content_type(enum exposition_format format)
{
    switch (format) {
    case EXPOSITION_OPENMETRICS:
        return "application/openmetrics-text; version=1.0.0; charset=utf-8";
    case EXPOSITION_TEXT:
    case EXPOSITION_FORMAT_COUNT_:
        break;
    }
    return "text/plain; version=0.0.4; charset=utf-8";
}

void exposition_write(enum exposition_format format, const struct snapshot *s,
                      const struct process_figures *process, struct mono now, struct strbuf *out)
{
    struct page p = {.format = format, .s = s, .process = process, .now = now, .out = out};

    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        size_t before = out->len, head;

        write_head(&p, &metrics[i]);
        head = out->len;
        write_samples(&p, &metrics[i]);
        if (out->len == head) /* nothing is known: the family stays away altogether */
            cut_back(out, before);
    }
    if (format == EXPOSITION_OPENMETRICS)
        (void)strbuf_add(out, SV("# EOF\n"));
}

void exposition_document(struct strbuf *out)
{
    (void)strbuf_add(
        out,
        SV("# Metrics\n\n"
           "What `brim agent` shows at `/metrics`, as Prometheus text 0.0.4, or as OpenMetrics "
           "1.0\n"
           "to a client that asks for it. This page is made from the table that makes the samples\n"
           "(`ninja metrics-doc`).\n\n"
           "A figure that is not known has no sample; 0 is a measurement. Nothing is negative.\n"
           "The number of samples grows with the policies, not with pods or nodes.\n\n"
           "| metric | type | unit | labels | meaning |\n"
           "| --- | --- | --- | --- | --- |\n"));
    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        const struct metric *m = &metrics[i];

        (void)strbuf_addf(out, "| `%s` | %s | %s | %s | %s |\n", m->name,
                          type_name(m->type, EXPOSITION_TEXT), m->unit[0] != '\0' ? m->unit : "–",
                          m->labels[0] != '\0' ? m->labels : "–", m->help);
    }
}

const char *exposition_metric_name(size_t i)
{
    return i < COUNT_OF(metrics) ? metrics[i].name : NULL;
}

static bool is_gauge_of_policies(const struct metric *m)
{
    return m->type == TYPE_GAUGE && sv_starts(sv_from(m->labels), SV("policy"));
}

const char *exposition_gauge(size_t i)
{
    for (size_t k = 0; k < COUNT_OF(metrics); k++) {
        if (is_gauge_of_policies(&metrics[k]) && i-- == 0)
            return metrics[k].name;
    }
    return NULL;
}

bool exposition_samples(struct sv gauge, const struct snapshot *s, exposition_take *take,
                        void *self)
{
    struct page p = {.s = s, .take = take, .self = self};

    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        if (!is_gauge_of_policies(&metrics[i]) || !sv_eq(sv_from(metrics[i].name), gauge))
            continue;
        write_samples(&p, &metrics[i]);
        return true;
    }
    return false;
}

bool exposition_head(enum exposition_format format, const char *name, struct strbuf *out)
{
    struct page p = {.format = format, .out = out};

    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        if (strcmp(metrics[i].name, name) != 0)
            continue;
        write_head(&p, &metrics[i]);
        return true;
    }
    return false;
}

void exposition_add_label(const char *value, struct strbuf *out)
{
    add_label_value(out, value);
}

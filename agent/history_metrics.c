#include "agent/history_metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/serve/exposition.h"
#include "base/alloc.h"
#include "base/jsonr.h"
#include "policy/controller.h"
#include "storage/rollup.h"

enum { MAX_HEAD = 4096, MAX_LABEL = 4096, CORES = 3, MEAN = 3, MS = 3 };

#define DECISIONS "brim_decisions_total"

/* Which field of a sample is which series; those of one metric stand together. */
static const struct mapped {
    enum sample_field field;
    int digits;
    const char *metric, *state; /* of the label `state`; NULL: there is none */
} mapped[] = {
    {SAMPLE_REMAINING, CORES, "cpu_capacity_remaining", NULL},
    {SAMPLE_ALLOCATABLE, CORES, "cpu_capacity_allocatable", NULL},
    {SAMPLE_PAID, CORES, "cpu_capacity_requested", NULL},
    {SAMPLE_PENDING, CORES, "cpu_capacity_pending", NULL},
    {SAMPLE_RESERVE, CORES, "cpu_capacity_reserved", NULL},
    {SAMPLE_HEADROOM, CORES, "brim_headroom_cores", NULL},
    {SAMPLE_KEPT, CORES, "brim_kept_cores", NULL},
    {SAMPLE_REPLICAS, 0, "brim_replicas", NULL},
    {SAMPLE_READY, CORES, "brim_filler_cores", "ready"},
    {SAMPLE_STARTING, CORES, "brim_filler_cores", "starting"},
    {SAMPLE_LEAVING, CORES, "brim_filler_cores", "leaving"},
};

/* ---- out ---- */

struct writing {
    struct history *history;
    const struct export_query *query;
    const struct mapped *mapped;
    enum level level;
    const char *policy;
    FILE *to;
    struct strbuf head; /* of the series' lines: up to the value */
    struct strbuf line;
    struct err *err;
    bool failed;

    const int64_t *times; /* of decisions with one reason, n of them */
    size_t n, passed;
};

static bool put(struct writing *w, const struct strbuf *text)
{
    if (!w->failed && fwrite(strbuf_str(text), 1, text->len, w->to) != text->len) {
        w->failed = true;
        (void)err_set(w->err, ERR_SYSTEM, errno, "%s", strerror(errno));
    }
    return !w->failed;
}

static bool put_head(struct writing *w, const char *metric)
{
    strbuf_clear(&w->line);
    if (!exposition_head(EXPOSITION_OPENMETRICS, metric, &w->line))
        abort(); /* the table above has a name that no metric has */
    return put(w, &w->line);
}

static const char *step_name(enum level level)
{
    return level == LEVEL_MINUTE ? "1m"
           : level == LEVEL_HOUR ? "1h"
           : level == LEVEL_DAY  ? "1d"
                                 : NULL;
}

static void add_label(struct strbuf *to, const char *name, const char *value)
{
    (void)strbuf_addf(to, ",%s=\"", name);
    exposition_add_label(value, to);
    (void)strbuf_add_char(to, '"');
}

static void begin_series(struct writing *w, const char *metric, const char *label,
                         const char *value)
{
    strbuf_clear(&w->head);
    (void)strbuf_addf(&w->head, "%s{policy=\"", metric);
    exposition_add_label(w->policy, &w->head);
    (void)strbuf_add_char(&w->head, '"');
    if (label != NULL)
        add_label(&w->head, label, value);
    if (w->level != LEVEL_SAMPLES)
        add_label(&w->head, "step", step_name(w->level));
    (void)strbuf_add(&w->head, SV("} "));
}

static bool put_value(struct writing *w, int64_t t_ms, int64_t value, int digits)
{
    strbuf_clear(&w->line);
    (void)strbuf_add(&w->line, strbuf_sv(&w->head));
    record_add_number(&w->line, value > 0 ? value : 0, digits);
    (void)strbuf_add_char(&w->line, ' ');
    record_add_number(&w->line, t_ms, MS);
    (void)strbuf_add_char(&w->line, '\n');
    return put(w, &w->line);
}

static bool put_sample(void *self, const struct sample *s)
{
    struct writing *w = self;
    int64_t value = s->at[w->mapped->field];

    return value == SAMPLE_UNKNOWN || put_value(w, s->t_ms, value, w->mapped->digits);
}

static bool put_mean(void *self, const struct rollup_row *row)
{
    struct writing *w = self;

    return row->at->covered_ms == 0 ||
           put_value(w, row->first_ms, row->at->mean_milli, w->mapped->digits + MEAN);
}

static bool put_series(struct writing *w)
{
    const enum series series = (enum series)w->mapped->field;
    struct sv policy = sv_from(w->policy);
    struct rollup_query q = {.level = w->level,
                             .from_ms = w->query->from_ms,
                             .until_ms = w->query->until_ms,
                             .series = &series,
                             .n_series = 1};

    begin_series(w, w->mapped->metric, w->mapped->state != NULL ? "state" : NULL, w->mapped->state);
    if (w->level == LEVEL_SAMPLES)
        return samples_each(w->history->samples, policy, q.from_ms, q.until_ms, put_sample, w,
                            w->err) &&
               !w->failed;
    return samples_find_policy(w->history->samples, policy, &q.policy, w->err) &&
           rollup_each(w->history, &q, put_mean, w, w->err) && !w->failed;
}

static bool put_metrics(struct writing *w, char **names, size_t n)
{
    for (size_t k = 0, next; k < COUNT_OF(mapped); k = next) {
        for (next = k;
             next < COUNT_OF(mapped) && strcmp(mapped[next].metric, mapped[k].metric) == 0;)
            next++;
        if (!put_head(w, mapped[k].metric))
            return false;
        for (size_t i = 0; i < n; i++) {
            w->policy = names[i];
            for (size_t at = k; at < next; at++) {
                w->mapped = &mapped[at];
                if (!put_series(w))
                    return false;
            }
        }
    }
    return true;
}

/* Times of decisions, which may fall where a clock was set back. */
struct times {
    int64_t *at;
    size_t n, cap;
};

static bool take_time(void *self, const struct decision_entry *d)
{
    struct times *times = self;

    VEC_PUSH(times->at, times->n, times->cap, d->t_ms);
    return true;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The count at a sample's time, as a scrape would have found it. */
static bool put_count(void *self, const struct sample *s)
{
    struct writing *w = self;

    while (w->passed < w->n && w->times[w->passed] <= s->t_ms)
        w->passed++;
    return put_value(w, s->t_ms, (int64_t)w->passed, 0);
}

static bool put_reason(struct writing *w, const char *reason)
{
    const struct decisions_filter filter = {.policy = sv_from(w->policy),
                                            .reason = sv_from(reason),
                                            .from_ms = w->query->from_ms,
                                            .until_ms = w->query->until_ms};
    struct times times = {0};
    bool ok = decisions_each(w->history->decisions, &filter, take_time, &times, w->err);

    if (ok && times.n != 0) {
        qsort(times.at, times.n, sizeof *times.at, by_time);
        w->times = times.at;
        w->n = times.n;
        w->passed = 0;
        begin_series(w, DECISIONS, "reason", reason);
        ok = samples_each(w->history->samples, filter.policy, filter.from_ms, filter.until_ms,
                          put_count, w, w->err) &&
             !w->failed;
    }
    free(times.at);
    return ok;
}

static bool put_decisions(struct writing *w, char **names, size_t n)
{
    if (!put_head(w, DECISIONS))
        return false;
    for (size_t i = 0; i < n; i++) {
        w->policy = names[i];
        for (int r = 0; r < REASON_COUNT_; r++) {
            if (!put_reason(w, reason_name((enum reason)r)))
                return false;
        }
    }
    return true;
}

static bool pick_level(const struct export_query *q, enum level *ret_level, struct err *err)
{
    unsigned decisions = 1u << RECORD_DECISION;

    switch (q->kinds & ~decisions) {
    case 1u << RECORD_SAMPLE:
        *ret_level = LEVEL_SAMPLES;
        return true;
    case 1u << RECORD_MINUTE:
        *ret_level = LEVEL_MINUTE;
        break;
    case 1u << RECORD_HOUR:
        *ret_level = LEVEL_HOUR;
        break;
    case 1u << RECORD_DAY:
        *ret_level = LEVEL_DAY;
        break;
    default:
        *ret_level = LEVEL_COUNT_;
        break;
    }
    return (*ret_level != LEVEL_COUNT_ && (q->kinds & decisions) == 0) ||
           err_set(
               err, ERR_INPUT, 0,
               "--what: OpenMetrics has samples, or samples,decisions, or one of minutes, hours "
               "and days");
}

static bool write_all(struct writing *w)
{
    char **names;
    size_t n;
    bool ok;

    if (!export_policies(w->history, w->query, &names, &n, w->err))
        return false;
    ok = put_metrics(w, names, n) &&
         ((w->query->kinds & 1u << RECORD_DECISION) == 0 || put_decisions(w, names, n));
    export_policies_free(names, n);
    strbuf_clear(&w->line);
    (void)strbuf_add(&w->line, SV("# EOF\n"));
    return ok && put(w, &w->line);
}

bool history_metrics_write(struct history *h, const struct export_query *q, FILE *to,
                           struct export_damage *ret_damage, struct err *err)
{
    struct writing w = {.history = h, .query = q, .to = to, .err = err};
    int64_t before = samples_damaged(h->samples);
    bool ok;

    if (!pick_level(q, &w.level, err))
        return false;
    strbuf_init(&w.head, MAX_HEAD);
    strbuf_init(&w.line, MAX_HEAD);
    ok = write_all(&w);
    strbuf_done(&w.line);
    strbuf_done(&w.head);
    /* Each pass over the samples finds the same damage. */
    *ret_damage = (struct export_damage){.samples = samples_damaged(h->samples) - before};
    return ok;
}

/* ---- in ---- */

/* What of a line's labels is asked for. */
struct labels {
    struct strbuf policy;
    struct sv state, step;
};

static bool is_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
           (!first && c >= '0' && c <= '9');
}

static struct sv take_name(struct sv *rest)
{
    struct sv name = {.at = rest->at, .len = 0};

    while (name.len < rest->len && is_name_char(rest->at[name.len], name.len == 0))
        name.len++;
    *rest = sv_skip(*rest, name.len);
    return name;
}

static bool take_char(struct sv *rest, char c)
{
    if (rest->len == 0 || rest->at[0] != c)
        return false;
    *rest = sv_skip(*rest, 1);
    return true;
}

/* From the opening quote to the closing one; what is between them, escapes and all. */
static bool take_quoted(struct sv *rest, struct sv *ret_raw)
{
    size_t n = 0;

    if (!take_char(rest, '"'))
        return false;
    while (n < rest->len && rest->at[n] != '"')
        n += rest->at[n] == '\\' ? 2 : 1;
    if (n >= rest->len)
        return false;
    *ret_raw = (struct sv){.at = rest->at, .len = n};
    *rest = sv_skip(*rest, n + 1);
    return true;
}

static void add_unescaped(struct sv raw, struct strbuf *to)
{
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.at[i] == '\\' && i + 1 < raw.len)
            (void)strbuf_add_char(to, raw.at[++i] == 'n' ? '\n' : raw.at[i]);
        else
            (void)strbuf_add_char(to, raw.at[i]);
    }
}

static bool take_labels(struct sv *rest, struct labels *to)
{
    struct sv name, raw;

    if (!take_char(rest, '{'))
        return true;
    while (!take_char(rest, '}')) {
        name = take_name(rest);
        if (name.len == 0 || !take_char(rest, '=') || !take_quoted(rest, &raw))
            return false;
        if (sv_eq(name, SV("policy"))) {
            strbuf_clear(&to->policy);
            add_unescaped(raw, &to->policy);
        } else if (sv_eq(name, SV("state"))) {
            to->state = raw;
        } else if (sv_eq(name, SV("step"))) {
            to->step = raw;
        }
        if (!take_char(rest, ',') && (rest->len == 0 || rest->at[0] != '}'))
            return false;
    }
    return true;
}

static const struct mapped *find_mapped(struct sv name, struct sv state)
{
    for (size_t i = 0; i < COUNT_OF(mapped); i++) {
        const struct mapped *m = &mapped[i];

        if (sv_eq(name, sv_from(m->metric)) &&
            (m->state == NULL || sv_eq(state, sv_from(m->state))))
            return m;
    }
    return NULL;
}

static size_t take_digits(struct sv *text)
{
    size_t n = 0;

    while (n < text->len && text->at[n] >= '0' && text->at[n] <= '9')
        n++;
    *text = sv_skip(*text, n);
    return n;
}

/* A number as Go and Prometheus write them: "184", "1.5", "1.79e+09". */
static bool take_number(struct sv text, int digits, int64_t *ret_value)
{
    struct sv rest = text;

    if (take_digits(&rest) == 0 || (take_char(&rest, '.') && take_digits(&rest) == 0))
        return false;
    if (take_char(&rest, 'e')) {
        if (!take_char(&rest, '+'))
            (void)take_char(&rest, '-');
        if (take_digits(&rest) == 0)
            return false;
    }
    return rest.len == 0 && jsonr_fixed(text, digits, ret_value);
}

static bool is_no_number(struct sv text)
{
    return sv_eq(text, SV("NaN")) || sv_eq(text, SV("+Inf")) || sv_eq(text, SV("-Inf"));
}

static bool take_value(const struct mapped *m, const struct labels *labels, struct sv rest,
                       struct import *import, int64_t *skipped, struct err *err)
{
    struct sv value = {0}, time = {0};
    int64_t t_ms, amount;

    if (labels->step.len != 0)
        return err_set(err, ERR_INPUT, 0,
                       "found means by %.*s, expected samples: take CSV or JSON lines for these",
                       SV_ARG(labels->step));
    if (labels->policy.len == 0 || labels->policy.len >= SAMPLES_POLICY_SIZE ||
        labels->policy.full || memchr(labels->policy.at, '\0', labels->policy.len) != NULL ||
        !sv_is_utf8(strbuf_sv(&labels->policy)))
        return err_set(err, ERR_INPUT, 0,
                       "found no policy, expected a label policy of 1 to %d bytes of UTF-8",
                       SAMPLES_POLICY_SIZE - 1);
    (void)sv_next(&rest, ' ', &value);
    (void)sv_next(&rest, ' ', &time);
    if (!take_number(time, MS, &t_ms) || t_ms > RECORD_LAST_MS)
        return err_set(err, ERR_INPUT, 0,
                       "found %.*s, expected the time behind the value, in seconds since 1970",
                       time.len != 0 ? (int)(time.len < 40 ? time.len : 40) : 7,
                       time.len != 0 ? time.at : "nothing");
    if (is_no_number(value)) {
        ++*skipped;
        return true;
    }
    if (!take_number(value, m->digits, &amount))
        return err_set(err, ERR_INPUT, 0, "found %.*s, expected a value of 0 or more",
                       (int)(value.len < 40 ? value.len : 40), value.at);
    return import_value(import, strbuf_sv(&labels->policy), t_ms, m->field, amount, err);
}

static bool read_line(struct sv line, struct labels *labels, struct import *import,
                      int64_t *skipped, struct err *err)
{
    struct sv rest = line, name = take_name(&rest);
    const struct mapped *m;

    strbuf_clear(&labels->policy);
    labels->state = labels->step = (struct sv){0};
    if (name.len == 0 || !take_labels(&rest, labels) || !take_char(&rest, ' '))
        return err_set(
            err, ERR_INPUT, 0,
            "found %.*s, expected as OpenMetrics has it NAME{LABEL=\"VALUE\",…} VALUE TIME",
            (int)(line.len < 80 ? line.len : 80), line.at);
    m = find_mapped(name, labels->state);
    if (m != NULL)
        return take_value(m, labels, rest, import, skipped, err);
    ++*skipped;
    return true;
}

static bool read_lines(struct record_lines *lines, struct labels *labels, struct import *import,
                       int64_t *skipped, struct err *err)
{
    bool some = true, ended = false;

    while (some) {
        struct sv line;

        if (!record_lines_next(lines, &some, err))
            return false;
        line = strbuf_sv(&lines->line);
        line.len -= sv_ends(line, SV("\r"));
        if (!some || line.len == 0)
            continue;
        if (ended) {
            (void)err_set(err, ERR_INPUT, 0, "found a line after # EOF, expected none");
            return record_lines_wrong(lines, err);
        }
        ended = sv_eq(line, SV("# EOF"));
        if (line.at[0] != '#' && !read_line(line, labels, import, skipped, err))
            return record_lines_wrong(lines, err);
    }
    if (ended)
        return true;
    (void)err_set(err, ERR_INPUT, 0, "found the end of the file, expected # EOF: it was cut off");
    return record_lines_wrong(lines, err);
}

bool history_metrics_read(struct record_lines *lines, struct import *import, int64_t *ret_skipped,
                          struct err *err)
{
    struct labels labels = {0};
    int64_t skipped = 0;
    bool ok;

    strbuf_init(&labels.policy, MAX_LABEL);
    ok = read_lines(lines, &labels, import, &skipped, err) && import_values_end(import, err);
    strbuf_done(&labels.policy);
    if (ok)
        *ret_skipped = skipped;
    return ok;
}

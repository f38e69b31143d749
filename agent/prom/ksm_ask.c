#include "agent/prom/ksm_ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"

#define MS_PER_S INT64_C(1000)
/* Scrapes of so long tell their interval. */
#define MEASURED_MS (30 * 60 * MS_PER_S)

/*
 * In a question $M is the matchers, $W the window, $I the interval, $P the labels that name a pod. Labels that a scrape renamed
 * (honor_labels: false) come under both names. A subquery looks once between two scrapes, so that each is seen; timestamp() tells
 * when the sample was taken, whatever the server thinks is still fresh. Where a container's resource has several series (replicas of
 * kube-state-metrics; a pod before and after it was bound) the largest counts once.
 */
#define POD        "uid,namespace,exported_namespace,pod,exported_pod"
#define LARGEST    "max by(" POD ")(last_over_time"
#define CONTAINERS "max by(" POD ",container,exported_container,resource)(last_over_time"
#define REQUESTS   "{resource=~\"cpu|memory\",$M}[$W])"
#define SIDECARS                                                                                   \
    "on(uid,container,exported_container)last_over_time("                                          \
    "kube_pod_init_container_info{restart_policy=\"Always\",$M}[$W])"

static const struct {
    const char *text;
    bool range;
} questions[] = {
    [KSM_POD_CREATED] = {LARGEST "(kube_pod_created{$M}[$W]))", false},
    [KSM_POD_SEEN] = {"max by(" POD ")(max_over_time(timestamp(kube_pod_created{$M})[$W:$I]))",
                      false},
    [KSM_POD_INFO] = {"max by(" POD
                      ",node,exported_node,created_by_kind,created_by_name,priority_class)"
                      "(last_over_time(kube_pod_info{$M}[$W]))",
                      false},
    [KSM_POD_REQUEST] = {"sum by(" POD ",resource)(" CONTAINERS
                         "(kube_pod_container_resource_requests" REQUESTS "))",
                         false},
    [KSM_POD_INIT] = {"max by(" POD
                      ",resource)(last_over_time(kube_pod_init_container_resource_requests" REQUESTS
                      " unless " SIDECARS ")",
                      false},
    [KSM_POD_SIDECAR] = {"sum by(" POD ",resource)(" CONTAINERS
                         "(kube_pod_init_container_resource_requests" REQUESTS " and " SIDECARS
                         "))",
                         false},
    [KSM_POD_OVERHEAD_CPU] = {LARGEST "(kube_pod_overhead_cpu_cores{$M}[$W]))", false},
    [KSM_POD_OVERHEAD_MEMORY] = {LARGEST "(kube_pod_overhead_memory_bytes{$M}[$W]))", false},
    [KSM_POD_SCHEDULED] = {LARGEST "(kube_pod_status_scheduled_time{$M}[$W]))", false},
    [KSM_POD_FINISHED] = {"min by(" POD ")(min_over_time(timestamp("
                          "kube_pod_status_phase{phase=~\"Succeeded|Failed\",$M}==1)[$W:$I]))",
                          false},
    [KSM_POD_COMPLETION] = {LARGEST "(kube_pod_completion_time{$M}[$W]))", false},
    [KSM_POD_DELETION] = {LARGEST "(kube_pod_deletion_timestamp{$M}[$W]))", false},
    [KSM_NODE_CREATED] = {"max by(node,exported_node)(last_over_time(kube_node_created{$M}[$W]))",
                          false},
    [KSM_NODE_SEEN] = {"max by(node,exported_node)"
                       "(max_over_time(timestamp(kube_node_info{$M})[$W:$I]))",
                       false},
    [KSM_NODE_OFFERS] = {"max by(node,exported_node,resource)(last_over_time("
                         "kube_node_status_allocatable{resource=~\"cpu|memory|pods\",$M}[$W]))",
                         false},
    [KSM_NODE_AWAY] = {"max by(node,exported_node)(kube_node_spec_unschedulable{$M}==1)or "
                       "max by(node,exported_node)(kube_node_status_condition{"
                       "condition=\"Ready\",status=\"true\",$M}==0)",
                       true},
    [KSM_SCRAPES] = {"max(timestamp(kube_node_info{$M}))", true},
};
_Static_assert(sizeof questions / sizeof *questions == KSM_FACT_COUNT_, "a fact has no question");

/* What a question is put together from. */
struct words {
    const char *match;
    int64_t window_ms, step_ms;
};

static bool put_question(const char *text, const struct words *w, struct strbuf *out,
                         struct err *err)
{
    strbuf_clear(out);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c != '$' || (c[1] != 'M' && c[1] != 'W' && c[1] != 'I')) {
            (void)strbuf_add_char(out, *c);
            continue;
        }
        c++;
        if (*c == 'M')
            (void)strbuf_add(out, sv_from(w->match));
        else
            (void)strbuf_addf(out, "%lldms", (long long)(*c == 'W' ? w->window_ms : w->step_ms));
    }
    return !out->full ||
           err_set(err, ERR_LIMIT, 0, "--match: found more than %d bytes", PROM_MAX_QUERY / 4);
}

/* ---- windows ---- */

struct taking {
    struct ksm *k;
    enum ksm_fact fact;
};

static bool on_series(void *self, const struct promread_series *s, struct err *err)
{
    const struct taking *t = self;

    return ksm_take(t->k, t->fact, s, err);
}

/* The end is not part of a window: the next one begins with it. */
static bool ask_window(struct prom *p, const struct ksm_period *period, struct ksm *k,
                       int64_t begin_ms, int64_t end_ms, struct ksm_asked *asked, struct err *err)
{
    const struct words words = {period->match, end_ms - begin_ms, period->interval_ms};
    struct taking taking = {.k = k};
    struct strbuf text;
    bool ok = true;

    strbuf_init(&text, PROM_MAX_QUERY);
    ksm_window(k, begin_ms, period->interval_ms);
    for (enum ksm_fact fact = 0; fact < KSM_FACT_COUNT_ && ok; fact++) {
        struct prom_query query = {.begin_ms = begin_ms, .end_ms = end_ms - 1};

        taking.fact = fact;
        query.step_ms = questions[fact].range ? period->interval_ms : 0;
        ok = put_question(questions[fact].text, &words, &text, err);
        query.text = strbuf_str(&text);
        ok = ok && prom_ask_patiently(p, &query, on_series, &taking, &asked->asked, err);
    }
    strbuf_done(&text);
    return ok;
}

static int64_t largest_window(int64_t interval_ms)
{
    return min_i64(KSM_WINDOW_MS, interval_ms * (PROM_MAX_POINTS - 1));
}

bool ksm_ask(struct prom *p, const struct ksm_period *period, struct ksm *k,
             struct ksm_asked *ret_asked, struct err *err)
{
    int64_t window_ms = largest_window(period->interval_ms), end_ms;
    struct ksm_asked asked = {0};
    struct err own = {0};

    for (int64_t at = period->since_ms; at < period->until_ms; at = end_ms) {
        end_ms = min_i64(at + window_ms, period->until_ms);
        if (ask_window(p, period, k, at, end_ms, &asked, &own)) {
            asked.windows++;
            if (period->progress != NULL)
                period->progress(period->self, (int)(100 * (end_ms - period->since_ms) /
                                                     (period->until_ms - period->since_ms)));
            continue;
        }
        if (own.kind != ERR_LIMIT || own.code == 0 || end_ms - at <= KSM_MIN_WINDOW_MS) {
            return prom_name_window(at, end_ms, &own, err);
        }
        asked.halved++;
        window_ms = max_i64((end_ms - at) / 2, KSM_MIN_WINDOW_MS);
        end_ms = at;
    }
    *ret_asked = asked;
    return true;
}

/* ---- the interval ---- */

enum { MAX_STEPS = 4096 };

struct measuring {
    struct strbuf selector; /* of the one series that is looked at */
    int64_t steps_ms[MAX_STEPS];
    size_t n;
};

/* All its labels, so that the series is the only one that they fit. */
static bool on_longest(void *self, const struct promread_series *s, struct err *err UNUSED)
{
    struct measuring *m = self;

    strbuf_clear(&m->selector);
    (void)strbuf_add(&m->selector, SV("kube_node_info{"));
    for (size_t i = 0; i < s->n_labels; i++) {
        (void)strbuf_addf(&m->selector, "%s%.*s=", i != 0 ? "," : "", SV_ARG(s->labels[i].name));
        prom_put_quoted(&m->selector, s->labels[i].value);
    }
    (void)strbuf_add(&m->selector, SV("}[$W]"));
    return true;
}

static bool on_scrapes(void *self, const struct promread_series *s, struct err *err UNUSED)
{
    struct measuring *m = self;

    for (size_t i = 1; i < s->n_points && m->n < MAX_STEPS; i++)
        m->steps_ms[m->n++] = s->points[i].t_ms - s->points[i - 1].t_ms;
    return true;
}

static int by_length(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return a < b ? -1 : a > b;
}

/* The scrapes until `end_ms` of the series that has most of them. */
static bool measure(struct prom *p, const struct ksm_period *period, int64_t end_ms,
                    struct measuring *m, struct err *err)
{
    const struct words words = {period->match, MEASURED_MS, 0};
    struct prom_query query = {.end_ms = end_ms};
    struct prom_asked asked = {0};
    struct strbuf text;
    bool ok;

    m->n = 0;
    strbuf_clear(&m->selector);
    strbuf_init(&text, PROM_MAX_QUERY);
    ok = put_question("topk(1,count_over_time(kube_node_info{$M}[$W]))", &words, &text, err);
    query.text = strbuf_str(&text);
    ok = ok && prom_ask_patiently(p, &query, on_longest, m, &asked, err);
    if (ok && m->selector.len != 0) {
        ok = put_question(strbuf_str(&m->selector), &words, &text, err);
        query.text = strbuf_str(&text);
        ok = ok && prom_ask_patiently(p, &query, on_scrapes, m, &asked, err);
    }
    strbuf_done(&text);
    return ok;
}

bool ksm_ask_interval(struct prom *p, const struct ksm_period *period, int64_t *ret_interval_ms,
                      struct err *err)
{
    const int64_t ends_ms[] = {period->until_ms,
                               min_i64(period->since_ms + MEASURED_MS, period->until_ms)};
    struct measuring m = {.n = 0};
    bool ok = true;

    strbuf_init(&m.selector, PROM_MAX_QUERY / 2);
    for (size_t i = 0; i < COUNT_OF(ends_ms) && ok && m.n == 0; i++)
        ok = measure(p, period, ends_ms[i], &m, err);
    strbuf_done(&m.selector);
    if (!ok)
        return false;
    if (m.n == 0)
        return err_set(err, ERR_INPUT, 0,
                       "found no kube_node_info at the begin or the end of this period: is "
                       "kube-state-metrics scraped, and do --match and --since suit it? "
                       "(--scrape-interval, if it is)");
    qsort(m.steps_ms, m.n, sizeof *m.steps_ms, by_length);
    /* The median: gaps do not count. People choose whole seconds, scrapes miss them by some milliseconds. */
    *ret_interval_ms = max_i64((m.steps_ms[m.n / 2] + 500) / MS_PER_S, 1) * MS_PER_S;
    return true;
}

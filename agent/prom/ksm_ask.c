#include "agent/prom/ksm_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define MS_PER_S INT64_C(1000)
/* Of one question: some 650 pods. */
enum { NAMES_BYTES = 24 << 10 };
/* Scrapes of so long tell their interval. */
#define MEASURED_MS (30 * 60 * MS_PER_S)
/* In less of it there are too few scrapes. */
#define LEAST_MEASURED_MS (4 * 60 * MS_PER_S)

/*
 * In a question $M is the matchers, $W the window, $I the interval, $U uids or nodes' names, $P the labels that name a pod. Labels that a scrape
 * renamed (honor_labels: false) come under both names. timestamp() tells when the sample was taken, whatever the server thinks is
 * still fresh. Where a container's resource has several series (replicas of kube-state-metrics; a pod before and after it was bound)
 * the largest counts once.
 *
 * Who is there at the window's end costs a sample a pod. When the others were last seen, and when one ended that tells no completion,
 * is asked by their uids, of nodes by their names, scrape by scrape; to ask it of all pods costs the server a hundred times as much. Without uids there is no
 * other way: a subquery then looks once between two scrapes, so that each is seen.
 */
#define POD        "uid,namespace,exported_namespace,pod,exported_pod"
#define LARGEST    "max by(" POD ")(last_over_time"
#define CONTAINERS "max by(" POD ",container,exported_container,resource)(last_over_time"
#define REQUESTS   "{resource=~\"cpu|memory\",$M}[$W])"
#define ENDED      "phase=~\"Succeeded|Failed\""
#define SIDECARS                                                                                   \
    "on(uid,container,exported_container)last_over_time("                                          \
    "kube_pod_init_container_info{restart_policy=\"Always\",$M}[$W])"

enum kind {
    AT_END,
    RANGE,
    BY_NAME,  /* of the pods or nodes that ksm_names() tells, as often as it does */
    NAMELESS, /* where ksm_nameless() says so of the question before it */
};

static const struct {
    const char *text;
    enum kind kind;
    enum ksm_fact fact; /* what its answer tells */
} questions[] = {
    {"max by(" POD ")(timestamp(kube_pod_created{$M}))", AT_END, KSM_POD_SEEN},
    {LARGEST "(kube_pod_created{$M}[$W]))", AT_END, KSM_POD_CREATED},
    {"kube_pod_created{uid=~\"$U\",$M}[$W]", BY_NAME, KSM_POD_LAST},
    {"max by(" POD ")(max_over_time(timestamp(kube_pod_created{$M})[$W:$I]))", NAMELESS,
     KSM_POD_SEEN},
    {"max by(" POD ",node,exported_node,created_by_kind,created_by_name,priority_class)"
     "(last_over_time(kube_pod_info{$M}[$W]))",
     AT_END, KSM_POD_INFO},
    {"sum by(" POD ",resource)(" CONTAINERS "(kube_pod_container_resource_requests" REQUESTS "))",
     AT_END, KSM_POD_REQUEST},
    {"max by(" POD ",resource)(last_over_time(kube_pod_init_container_resource_requests" REQUESTS
     " unless " SIDECARS ")",
     AT_END, KSM_POD_INIT},
    {"sum by(" POD ",resource)(" CONTAINERS "(kube_pod_init_container_resource_requests" REQUESTS
     " and " SIDECARS "))",
     AT_END, KSM_POD_SIDECAR},
    {LARGEST "(kube_pod_overhead_cpu_cores{$M}[$W]))", AT_END, KSM_POD_OVERHEAD_CPU},
    {LARGEST "(kube_pod_overhead_memory_bytes{$M}[$W]))", AT_END, KSM_POD_OVERHEAD_MEMORY},
    {LARGEST "(kube_pod_status_scheduled_time{$M}[$W]))", AT_END, KSM_POD_SCHEDULED},
    {LARGEST "(kube_pod_completion_time{$M}[$W]))", AT_END, KSM_POD_COMPLETION},
    {LARGEST "(kube_pod_status_phase{" ENDED ",$M}[$W]))==1", AT_END, KSM_POD_ENDED},
    {"kube_pod_status_phase{" ENDED ",uid=~\"$U\",$M}[$W]", BY_NAME, KSM_POD_PHASES},
    {"min by(" POD ")(min_over_time(timestamp(kube_pod_status_phase{" ENDED ",$M}==1)[$W:$I]))",
     NAMELESS, KSM_POD_FINISHED},
    {LARGEST "(kube_pod_deletion_timestamp{$M}[$W]))", AT_END, KSM_POD_DELETION},
    {"max by(node,exported_node)(last_over_time(kube_node_created{$M}[$W]))", AT_END,
     KSM_NODE_CREATED},
    {"max by(node,exported_node)(timestamp(kube_node_info{$M}))", AT_END, KSM_NODE_SEEN},
    {"max by(node,exported_node,resource)(last_over_time("
     "kube_node_status_allocatable{resource=~\"cpu|memory|pods\",$M}[$W]))",
     AT_END, KSM_NODE_OFFERS},
    {"kube_node_info{node=~\"$U\",$M}[$W]", BY_NAME, KSM_NODE_LAST},
    {"max by(node,exported_node)(max_over_time(timestamp(kube_node_info{$M})[$W:$I]))", NAMELESS,
     KSM_NODE_SEEN},
    {"max by(node,exported_node)(kube_node_spec_unschedulable{$M}==1)or "
     "max by(node,exported_node)(kube_node_status_condition{"
     "condition=\"Ready\",status=\"true\",$M}==0)",
     RANGE, KSM_NODE_AWAY},
    {"max(timestamp(kube_node_info{$M}))", RANGE, KSM_SCRAPES},
};

/* What a question is put together from. */
struct words {
    const char *match;
    int64_t window_ms, step_ms;
    struct sv names;
};

static bool put_question(const char *text, const struct words *w, struct strbuf *out,
                         struct err *err)
{
    strbuf_clear(out);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c != '$' || c[1] == '\0' || strchr("MWIU", c[1]) == NULL) {
            (void)strbuf_add_char(out, *c);
            continue;
        }
        c++;
        if (*c == 'M')
            (void)strbuf_add(out, sv_from(w->match));
        else if (*c == 'U')
            (void)strbuf_add(out, w->names);
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

struct asking {
    struct prom *p;
    struct ksm *k;
    struct words words;
    int64_t begin_ms, end_ms;
    struct strbuf text, names;
    struct prom_asked *asked;
};

/* The end is not part of a window: the next one begins with it. */
static bool ask_one(struct asking *a, size_t i, struct err *err)
{
    struct taking taking = {a->k, questions[i].fact};
    struct prom_query query = {.begin_ms = a->begin_ms, .end_ms = a->end_ms - 1};

    query.step_ms = questions[i].kind == RANGE ? a->words.step_ms : 0;
    if (!put_question(questions[i].text, &a->words, &a->text, err))
        return false;
    query.text = strbuf_str(&a->text);
    return prom_ask_patiently(a->p, &query, on_series, &taking, a->asked, err);
}

static bool ask_by_name(struct asking *a, size_t i, struct err *err)
{
    for (;;) {
        strbuf_clear(&a->names);
        if (!ksm_names(a->k, questions[i].fact, NAMES_BYTES, &a->names))
            return true;
        a->words.names = strbuf_sv(&a->names);
        if (!ask_one(a, i, err))
            return false;
    }
}

static bool ask_questions(struct asking *a, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        bool ok = true;

        switch (questions[i].kind) {
        case AT_END:
        case RANGE:
            ok = ask_one(a, i, err);
            break;
        case BY_NAME:
            ok = ask_by_name(a, i, err);
            break;
        case NAMELESS:
            ok = !ksm_nameless(a->k, questions[i - 1].fact) || ask_one(a, i, err);
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool ask_window(struct prom *p, const struct ksm_period *period, struct ksm *k,
                       int64_t begin_ms, int64_t end_ms, struct ksm_asked *asked, struct err *err)
{
    struct asking a = {.p = p,
                       .k = k,
                       .words = {period->match, end_ms - begin_ms, period->interval_ms, {0}},
                       .begin_ms = begin_ms,
                       .end_ms = end_ms,
                       .asked = &asked->asked};
    bool ok;

    strbuf_init(&a.text, PROM_MAX_QUERY);
    strbuf_init(&a.names, NAMES_BYTES);
    ksm_window(k, begin_ms, period->interval_ms);
    ok = ask_questions(&a, err);
    strbuf_done(&a.text);
    strbuf_done(&a.names);
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
        if (!prom_halve(&own, end_ms - at, KSM_MIN_WINDOW_MS, &window_ms))
            return prom_name_window(at, end_ms, &own, err);
        asked.halved++;
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

/* The scrapes until `end_ms` of the series that has most of them in so long. */
static bool measure_window(struct prom *p, const struct ksm_period *period, int64_t end_ms,
                           int64_t window_ms, struct measuring *m, struct err *err)
{
    const struct words words = {period->match, window_ms, 0, {0}};
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

/* In half an hour at the period's begin or end, or as much of it as the server will look at. */
static bool measure(struct prom *p, const struct ksm_period *period, bool at_end,
                    struct measuring *m, struct err *err)
{
    int64_t window_ms = MEASURED_MS;

    for (;;) {
        int64_t end_ms =
            at_end ? period->until_ms : min_i64(period->since_ms + window_ms, period->until_ms);
        struct err own = {0};

        if (measure_window(p, period, end_ms, window_ms, m, &own))
            return true;
        if (!prom_halve(&own, window_ms, LEAST_MEASURED_MS, &window_ms))
            return prom_name_window(end_ms - window_ms, end_ms, &own, err);
    }
}

bool ksm_ask_interval(struct prom *p, const struct ksm_period *period, int64_t *ret_interval_ms,
                      struct err *err)
{
    struct measuring m = {.n = 0};
    bool ok = true;

    strbuf_init(&m.selector, PROM_MAX_QUERY / 2);
    for (int at_end = 1; at_end >= 0 && ok && m.n == 0; at_end--)
        ok = measure(p, period, at_end == 1, &m, err);
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

#include <criterion/criterion.h>
#include <stdio.h>

#include "agent/prom/ksm.h"

#define T0      INT64_C(1700000000)
#define T0_MS   (T0 * 1000)
#define HOUR    3600
#define EVERY_S 30

/* A series told as text: "uid=a,resource=cpu", and its value. */
static void tell_at(struct ksm *k, enum ksm_fact fact, const char *labels, int64_t t_ms,
                    const char *value)
{
    struct promread_label label[16];
    const struct promread_point point = {.t_ms = t_ms, .value = sv_from(value)};
    struct promread_series s = {.labels = label, .points = &point, .n_points = 1};
    struct sv rest = sv_from(labels), pair;
    struct err err = {0};

    while (sv_next(&rest, ',', &pair)) {
        (void)sv_cut(pair, '=', &label[s.n_labels].name, &label[s.n_labels].value);
        s.n_labels++;
    }
    cr_assert(ksm_take(k, fact, &s, &err), "%s", err.text);
}

static void tell(struct ksm *k, enum ksm_fact fact, const char *labels, const char *value)
{
    tell_at(k, fact, labels, 0, value);
}

/* A time of the period, in seconds. */
static void tell_time(struct ksm *k, enum ksm_fact fact, const char *labels, double second)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%.3f", (double)T0 + second);
    tell(k, fact, labels, text);
}

static void tell_scrapes(struct ksm *k, int from_s, int to_s)
{
    for (int t = from_s; t <= to_s; t += EVERY_S) {
        char text[32];

        (void)snprintf(text, sizeof text, "%lld", (long long)(T0 + t));
        tell_at(k, KSM_SCRAPES, "", T0_MS + t * 1000, text);
    }
}

static void tell_node(struct ksm *k, const char *labels)
{
    char with[128];

    tell_time(k, KSM_NODE_CREATED, labels, -1000);
    tell_time(k, KSM_NODE_SEEN, labels, HOUR);
    (void)snprintf(with, sizeof with, "%s,resource=cpu", labels);
    tell(k, KSM_NODE_OFFERS, with, "8");
    (void)snprintf(with, sizeof with, "%s,resource=memory", labels);
    tell(k, KSM_NODE_OFFERS, with, "1.7179869184e+10");
    (void)snprintf(with, sizeof with, "%s,resource=pods", labels);
    tell(k, KSM_NODE_OFFERS, with, "110");
}

/* A pod of one core, on a node, created and last seen at these seconds. */
static void tell_pod(struct ksm *k, const char *uid, double created, double seen, const char *node)
{
    char labels[128];

    (void)snprintf(labels, sizeof labels, "uid=%s", uid);
    tell_time(k, KSM_POD_CREATED, labels, created);
    tell_time(k, KSM_POD_SEEN, labels, seen);
    (void)snprintf(labels, sizeof labels, "uid=%s,resource=cpu", uid);
    tell(k, KSM_POD_REQUEST, labels, "1");
    (void)snprintf(labels, sizeof labels, "uid=%s,namespace=shop,node=%s", uid, node);
    tell(k, KSM_POD_INFO, labels, "1");
}

/* An hour of a cluster of one node that was scraped every 30 s, the first time after 10 s. */
static struct ksm *an_hour(const struct ksm_target *targets, size_t n)
{
    struct ksm *k = ksm_new(T0_MS, T0_MS + HOUR * 1000, EVERY_S * 1000, targets, n);

    tell_scrapes(k, 10, HOUR);
    tell_node(k, "node=n0");
    return k;
}

static void make(struct ksm *k, struct trace *t, struct ksm_seen *seen)
{
    struct err err = {0};

    trace_init(t);
    cr_assert(ksm_trace(k, t, seen, &err), "%s", err.text);
    ksm_free(k);
    for (size_t i = 1; i < t->n_rows; i++)
        cr_assert_leq(t->rows[i - 1].at_us, t->rows[i].at_us, "row %zu", i);
    cr_assert_leq(t->n_rows != 0 ? t->rows[t->n_rows - 1].at_us : 0, t->end_us);
}

static const struct resources *request(const struct trace *t, size_t pod)
{
    return &t->kinds[t->pods[pod].kind].request;
}

Test(ksm, pods_come_when_they_were_created_and_go_between_two_scrapes)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_pod(k, "stays", 100, HOUR - 20, "n0");
    tell_pod(k, "goes", 200, 400, "n0");
    tell_pod(k, "was", -500, 1000, "n0");
    tell_pod(k, "gone-before", -500, -100, "n0");
    tell_pod(k, "comes-behind", HOUR + 5, HOUR + 20, "n0");
    make(k, &t, &seen);
    cr_assert_eq(seen.pods, 3);
    cr_assert_eq(seen.vanished, 2);
    cr_assert_eq(t.n_pods, 3);
    cr_assert(t.dated && t.began.us == T0 * US_PER_S);
    cr_assert_eq(t.pods[0].create_us, 0);
    cr_assert_eq(t.pods[0].found_on, 0, "it ran there before the period");
    cr_assert_eq(t.pods[0].delete_us, 1015 * US_PER_S);
    cr_assert_eq(t.pods[1].create_us, 100 * US_PER_S);
    cr_assert_eq(t.pods[1].found_on, TRACE_ANY_NODE);
    cr_assert_eq(t.pods[1].delete_us, TRACE_STAYS);
    cr_assert_eq(t.pods[2].create_us, 200 * US_PER_S);
    cr_assert_eq(t.pods[2].delete_us, 415 * US_PER_S);
    trace_done(&t);
}

Test(ksm, finished_pods_go_when_their_last_container_ended)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_pod(k, "job", 100, HOUR, "n0"); /* its object stays */
    tell_time(k, KSM_POD_COMPLETION, "uid=job", 165);
    tell_time(k, KSM_POD_FINISHED, "uid=job", 190);
    tell_pod(k, "evicted", 200, HOUR, "n0"); /* no container's end is known */
    tell_time(k, KSM_POD_FINISHED, "uid=evicted", 400);
    tell_time(k, KSM_POD_FINISHED, "uid=evicted", 1400); /* of a later window */
    tell_pod(k, "restarts", 300, HOUR, "n0");            /* a container ended, the pod did not */
    tell_time(k, KSM_POD_COMPLETION, "uid=restarts", 500);
    tell_pod(k, "old-job", -900, HOUR, "n0");
    tell_time(k, KSM_POD_COMPLETION, "uid=old-job", -800);
    tell_time(k, KSM_POD_FINISHED, "uid=old-job", 10);
    tell_pod(k, "flash", 600, HOUR, "n0");
    tell_time(k, KSM_POD_COMPLETION, "uid=flash", 600);
    tell_time(k, KSM_POD_FINISHED, "uid=flash", 610);
    make(k, &t, &seen);
    cr_assert_eq(t.n_pods, 4);
    cr_assert_eq(t.pods[0].delete_us, 165 * US_PER_S);
    cr_assert_eq(t.pods[1].delete_us, 385 * US_PER_S);
    cr_assert_eq(t.pods[2].delete_us, TRACE_STAYS);
    cr_assert_eq(t.pods[3].delete_us, 600500 * US_PER_MS,
                 "what came and went in a second was there");
    cr_assert_eq(seen.vanished, 0);
    trace_done(&t);
}

Test(ksm, a_deletion_s_deadline_bounds_the_end)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_pod(k, "a", 100, 400, "n0");
    tell_time(k, KSM_POD_DELETION, "uid=a", 404);
    tell_pod(k, "b", 101, 400, "n0");
    tell_time(k, KSM_POD_DELETION, "uid=b", 395); /* it took longer than it was given */
    make(k, &t, &seen);
    cr_assert_eq(t.pods[0].delete_us, 404 * US_PER_S);
    cr_assert_eq(t.pods[1].delete_us, 415 * US_PER_S);
    trace_done(&t);
}

Test(ksm, requests_are_the_schedulers)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_pod(k, "a", 100, HOUR, "n0");
    tell(k, KSM_POD_INIT, "uid=a,resource=cpu", "3");
    tell(k, KSM_POD_OVERHEAD_CPU, "uid=a", "0.25");
    tell(k, KSM_POD_OVERHEAD_MEMORY, "uid=a", "1048576");
    tell(k, KSM_POD_REQUEST, "uid=a,resource=memory", "2097152");
    tell_pod(k, "b", 101, HOUR, "n0");
    tell(k, KSM_POD_REQUEST, "uid=b,resource=cpu", "1.5"); /* resized */
    tell(k, KSM_POD_SIDECAR, "uid=b,resource=cpu", "0.5");
    tell(k, KSM_POD_INIT, "uid=b,resource=cpu", "0.1");
    tell(k, KSM_POD_REQUEST, "uid=b,resource=nvidia_com_gpu", "1");
    tell(k, KSM_POD_REQUEST, "uid=b,resource=cpu", "NaN");
    tell(k, KSM_POD_REQUEST, "uid=b,resource=cpu", "-1");
    make(k, &t, &seen);
    cr_assert_eq(request(&t, 0)->at[RESOURCE_CPU], 3250);
    cr_assert_eq(request(&t, 0)->at[RESOURCE_MEMORY], 3 << 20);
    cr_assert_eq(request(&t, 0)->at[RESOURCE_PODS], 1);
    cr_assert_eq(request(&t, 1)->at[RESOURCE_CPU], 2000);
    trace_done(&t);
}

Test(ksm, replicas_windows_and_repeated_answers_count_once)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_pod(k, "a", 100, 400, "n0");
    tell_pod(k, "a", 100, 700, "n0");
    tell_pod(k, "a", 100, 400, "n0"); /* asked again */
    tell(k, KSM_POD_INFO, "uid=a,namespace=shop,node=", "1");
    tell_node(k, "node=monitoring,exported_node=n0");
    /* Without a uid the name counts, as it was before the scrape renamed it. */
    tell_time(k, KSM_POD_CREATED,
              "namespace=monitoring,pod=ksm-1,exported_namespace=shop,exported_pod=b", 200);
    tell_time(k, KSM_POD_CREATED, "namespace=shop,pod=b", 200);
    tell_time(k, KSM_POD_CREATED, "namespace=shop,pod=c", 201);
    make(k, &t, &seen);
    cr_assert_eq(seen.pods, 3);
    cr_assert_eq(seen.nodes, 1);
    cr_assert_eq(t.pods[0].delete_us, 715 * US_PER_S);
    trace_done(&t);
}

Test(ksm, the_targets_own_pods_are_left_out)
{
    const struct ksm_target targets[] = {{SV("filler"), SV("Deployment"), SV("miner")},
                                         {SV("batch"), SV("StatefulSet"), SV("render")}};
    static const struct {
        const char *labels;
        bool filler;
    } rows[] = {
        {"namespace=filler,created_by_kind=ReplicaSet,created_by_name=miner-5d8f7c", true},
        {"exported_namespace=filler,namespace=monitoring,created_by_kind=ReplicaSet,created_by_"
         "name=miner-77",
         true},
        {"namespace=filler,created_by_kind=ReplicaSet,created_by_name=miner-two-5d8f7c", false},
        {"namespace=filler,created_by_kind=ReplicaSet,created_by_name=miner", false},
        {"namespace=filler,created_by_kind=ReplicaSet,created_by_name=miner-", false},
        {"namespace=shop,created_by_kind=ReplicaSet,created_by_name=miner-5d8f7c", false},
        {"namespace=batch,created_by_kind=StatefulSet,created_by_name=render", true},
        {"namespace=batch,created_by_kind=ReplicaSet,created_by_name=render-5d8f7c", false},
    };
    struct ksm *k = an_hour(targets, COUNT_OF(targets));
    struct ksm_seen seen;
    struct trace t;
    uint64_t fillers = 0;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char uid[8], labels[160];

        (void)snprintf(uid, sizeof uid, "u%zu", i);
        (void)snprintf(labels, sizeof labels, "uid=%s,node=n0,%s", uid, rows[i].labels);
        tell_pod(k, uid, 100 + (double)i, HOUR, "n0");
        tell(k, KSM_POD_INFO, labels, "1");
        fillers += rows[i].filler;
    }
    tell(k, KSM_POD_REQUEST, "uid=u6,resource=cpu", "2");
    make(k, &t, &seen);
    cr_assert_eq(seen.filler_pods, fillers);
    cr_assert_eq(seen.pods, COUNT_OF(rows) - fillers);
    cr_assert(t.has_filler);
    cr_assert_eq(t.filler.at[RESOURCE_CPU], 2000, "as the newest of them asks for");
    trace_done(&t);
}

Test(ksm, pods_of_daemon_sets_and_static_ones_are_tied)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_pod(k, "d", 100, HOUR, "n0");
    tell(k, KSM_POD_INFO,
         "uid=d,node=n0,created_by_kind=DaemonSet,created_by_name=log,priority_class=system-node-"
         "critical",
         "1");
    tell_pod(k, "s", 101, HOUR, "n0");
    tell(k, KSM_POD_INFO, "uid=s,node=n0,created_by_kind=Node,created_by_name=n0", "1");
    tell_pod(k, "w", 102, HOUR, "n0");
    make(k, &t, &seen);
    cr_assert_eq(t.kinds[t.pods[0].kind].node, 0);
    cr_assert_eq(t.kinds[t.pods[0].kind].priority, 2000001000);
    cr_assert_eq(t.kinds[t.pods[1].kind].node, 0);
    cr_assert_eq(t.kinds[t.pods[2].kind].node, TRACE_ANY_NODE);
    trace_done(&t);
}

Test(ksm, nodes_come_go_and_are_away)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;
    static const struct {
        int64_t at_s;
        enum trace_what what;
        int64_t milli;
        bool away;
    } expected[] = {
        {0, TRACE_NODE_IS, 8000, false},    {600, TRACE_NODE_IS, 4000, false},
        {700, TRACE_NODE_IS, 4000, true},   {760, TRACE_NODE_IS, 4000, false},
        {1800, TRACE_NODE_IS, 6000, false}, {2415, TRACE_NODE_GOES, 0, false},
    };
    size_t n = 0;

    tell_pod(k, "a", 100, HOUR, "n0");
    tell_time(k, KSM_NODE_CREATED, "node=n1", 600);
    tell(k, KSM_NODE_OFFERS, "node=n1,resource=cpu", "4");
    for (int t_s = 700; t_s < 760; t_s += EVERY_S)
        tell_at(k, KSM_NODE_AWAY, "node=n1", T0_MS + t_s * 1000, "1");
    ksm_window(k, T0_MS + 1800 * 1000, EVERY_S * 1000);
    tell(k, KSM_NODE_OFFERS, "node=n1,resource=cpu", "6");
    tell(k, KSM_NODE_OFFERS, "node=n1,resource=cpu", "6");
    tell_time(k, KSM_NODE_SEEN, "node=n1", 2400);
    make(k, &t, &seen);
    cr_assert_eq(seen.nodes, 2);
    for (size_t i = 0; i < t.n_rows; i++) {
        const struct trace_row *r = &t.rows[i];

        if (r->what == TRACE_POD_COMES || r->what == TRACE_POD_GOES)
            continue;
        cr_assert_lt(n, COUNT_OF(expected));
        cr_assert_eq(r->at_us, expected[n].at_s * US_PER_S, "row %zu at %lld", n,
                     (long long)r->at_us);
        cr_assert_eq(r->what, expected[n].what, "row %zu", n);
        if (r->what == TRACE_NODE_IS) {
            cr_assert_eq(t.facts[r->index].allocatable.at[RESOURCE_CPU], expected[n].milli,
                         "row %zu", n);
            cr_assert_eq(t.facts[r->index].unschedulable, expected[n].away, "row %zu", n);
        }
        n++;
    }
    cr_assert_eq(n, COUNT_OF(expected));
    trace_done(&t);
}

Test(ksm, a_gap_between_scrapes_ends_no_pod_that_is_seen_behind_it)
{
    struct ksm *k = ksm_new(T0_MS, T0_MS + HOUR * 1000, EVERY_S * 1000, NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_scrapes(k, 10, 1000);
    tell_scrapes(k, 2200, HOUR);
    tell_node(k, "node=n0");
    tell_pod(k, "through", 100, HOUR, "n0");
    tell_pod(k, "lost", 101, 1000, "n0");
    tell_pod(k, "before", 102, 700, "n0");
    make(k, &t, &seen);
    cr_assert_eq(seen.gaps, 1);
    cr_assert_eq(seen.gap_us, 1200 * US_PER_S);
    cr_assert_eq(seen.ended_in_gap, 1);
    cr_assert_eq(seen.vanished, 1);
    cr_assert_eq(t.pods[0].delete_us, TRACE_STAYS);
    trace_done(&t);
}

Test(ksm, a_node_is_not_away_at_times_that_are_none)
{
    static const int64_t times[] = {INT64_MAX, INT64_MIN, 0, -1};
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    for (size_t i = 0; i < COUNT_OF(times); i++)
        tell_at(k, KSM_NODE_AWAY, "node=n0", times[i], "1");
    tell_pod(k, "a", 100, HOUR, "n0");
    make(k, &t, &seen);
    for (size_t i = 0; i < t.n_facts; i++)
        cr_assert_not(t.facts[i].unschedulable);
    cr_assert_eq(t.n_facts, 1);
    trace_done(&t);
}

Test(ksm, the_trace_begins_with_the_first_scrape)
{
    struct ksm *k = ksm_new(T0_MS - 24 * HOUR * 1000, T0_MS + HOUR * 1000, EVERY_S * 1000, NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_scrapes(k, 10, HOUR);
    tell_node(k, "node=n0");
    tell_pod(k, "a", 9, HOUR, "n0");
    tell_pod(k, "b", 40, HOUR, "n0");
    make(k, &t, &seen);
    cr_assert_eq(t.began.us, (T0 + 10) * US_PER_S);
    cr_assert_eq(t.pods[0].create_us, 0);
    cr_assert_eq(t.pods[1].create_us, 30 * US_PER_S);
    cr_assert_eq(t.end_us, (HOUR - 30) * US_PER_S, "the last scrape");
    trace_done(&t);
}

Test(ksm, what_came_and_went_between_two_scrapes_is_estimated)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;
    char uid[16];

    for (int i = 0; i < 40; i++) { /* 20 seen once, 20 twice */
        (void)snprintf(uid, sizeof uid, "p%d", i);
        tell_pod(k, uid, 300 + i % 5, 310 + (i < 20 ? 0 : EVERY_S), "n0");
    }
    make(k, &t, &seen);
    cr_assert_eq(seen.once, 20);
    cr_assert(seen.has_hidden);
    cr_assert_eq(seen.hidden, 10);
    trace_done(&t);

    k = an_hour(NULL, 0);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(uid, sizeof uid, "p%d", i);
        tell_pod(k, uid, 300 + i % 5, 310, "n0");
    }
    make(k, &t, &seen);
    cr_assert_eq(seen.once, 40);
    cr_assert_not(seen.has_hidden, "all were seen once: there may have been any number of others");
    trace_done(&t);
}

Test(ksm, what_cannot_be_used_is_counted)
{
    struct ksm *k = an_hour(NULL, 0);
    struct ksm_seen seen;
    struct trace t;

    tell_pod(k, "late", 100, HOUR, "n0");
    tell_time(k, KSM_POD_SCHEDULED, "uid=late", 161);
    tell_pod(k, "prompt", 100, HOUR, "n0");
    tell_time(k, KSM_POD_SCHEDULED, "uid=prompt", 160);
    tell_time(k, KSM_POD_CREATED, "uid=bare", 120);
    tell(k, KSM_POD_INFO, "uid=unknown,node=n0", "1");
    make(k, &t, &seen);
    cr_assert_eq(seen.waited, 1);
    cr_assert_eq(seen.never_scheduled, 1);
    cr_assert_eq(seen.no_request, 1);
    cr_assert_eq(seen.no_created, 1);
    cr_assert_eq(seen.pods, 3);
    trace_done(&t);
}

Test(ksm, an_empty_period_is_an_error)
{
    struct ksm *k = ksm_new(T0_MS, T0_MS + HOUR * 1000, EVERY_S * 1000, NULL, 0);
    struct err err = {0};
    struct ksm_seen seen;
    struct trace t;

    trace_init(&t);
    cr_assert_not(ksm_trace(k, &t, &seen, &err));
    cr_assert_eq(err.kind, ERR_INPUT);
    tell_scrapes(k, 10, HOUR);
    cr_assert_not(ksm_trace(k, &t, &seen, &err));
    cr_assert(strstr(err.text, "kube_pod_created") != NULL, "%s", err.text);
    tell_pod(k, "a", 100, HOUR, "n0");
    cr_assert_not(ksm_trace(k, &t, &seen, &err));
    cr_assert(strstr(err.text, "kube_node_status_allocatable") != NULL, "%s", err.text);
    ksm_free(k);
    trace_done(&t);
}

/* uids in as many pieces as there must be, and none twice. */
Test(ksm, names_those_of_whom_more_must_be_asked)
{
    struct ksm *k = ksm_new(T0 * 1000, (T0 + HOUR) * 1000, 10000, NULL, 0);
    struct strbuf text;

    strbuf_init(&text, 1024);
    tell_time(k, KSM_POD_SEEN, "uid=stays", HOUR);
    tell_time(k, KSM_POD_CREATED, "uid=stays", 100);
    tell_time(k, KSM_POD_CREATED, "uid=a1", 100);
    tell_time(k, KSM_POD_CREATED, "uid=b-2", 100);
    tell_time(k, KSM_POD_CREATED, "uid=c3", 100);
    cr_expect(ksm_names(k, KSM_POD_LAST, 6, &text));
    cr_expect_str_eq(strbuf_str(&text), "a1|b-2");
    strbuf_clear(&text);
    cr_expect(ksm_names(k, KSM_POD_LAST, 6, &text));
    cr_expect_str_eq(strbuf_str(&text), "c3");
    cr_expect_not(ksm_names(k, KSM_POD_LAST, 6, &text));
    cr_expect_not(ksm_nameless(k, KSM_POD_LAST));
    tell_time(k, KSM_POD_CREATED, "uid=.*", 100);
    cr_expect_not(ksm_names(k, KSM_POD_LAST, 1024, &text), "it would fit any pod");
    cr_expect(ksm_nameless(k, KSM_POD_LAST));
    ksm_window(k, (T0 + 600) * 1000, 10000);
    cr_expect_not(ksm_nameless(k, KSM_POD_LAST));
    tell_time(k, KSM_POD_COMPLETION, "uid=a1", 700);
    tell_time(k, KSM_POD_ENDED, "uid=a1", 1);
    cr_expect_not(ksm_names(k, KSM_POD_PHASES, 1024, &text), "its containers tell when");
    tell_time(k, KSM_POD_ENDED, "uid=c3", 1);
    strbuf_clear(&text);
    cr_expect(ksm_names(k, KSM_POD_PHASES, 1024, &text));
    cr_expect_str_eq(strbuf_str(&text), "c3");
    tell_time(k, KSM_NODE_SEEN, "node=n0", HOUR);
    tell_time(k, KSM_NODE_OFFERS, "node=n0", 1);
    tell_time(k, KSM_NODE_OFFERS, "node=n1.eu", 1);
    strbuf_clear(&text);
    cr_expect(ksm_names(k, KSM_NODE_LAST, 1024, &text));
    cr_expect_str_eq(strbuf_str(&text), "n1.eu");
    tell_time(k, KSM_NODE_OFFERS, "node=ksm-0:8080,exported_node=n2", 1);
    cr_expect(ksm_nameless(k, KSM_NODE_LAST), "the label was renamed");
    strbuf_done(&text);
    ksm_free(k);
}

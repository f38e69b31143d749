#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/decide_answer.h"
#include "agent/decide_line.h"
#include "agent/decide_state.h"
#include "base/alloc.h"
#include "tests/unit/policy/random.h"

#define POLICY_TEXT                                                                                \
    "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"                \
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"          \
    "  replicas: {min: 0, max: 150}\n"

#define NO_HEADROOM "  headroom: {mode: fixed, max: 0}\n"
#define NODE        "{\"t\":0,\"node\":{\"name\":\"n1\",\"cpu\":\"30\",\"memory\":\"120Gi\"}}\n"
#define FILLER                                                                                     \
    "{\"t\":0,\"filler\":{\"policy\":\"miner\",\"cpu\":\"1\",\"memory\":\"1Gi\",\"replicas\":0,"   \
    "\"graceSeconds\":10}}\n"

/* A run of `brim decide`: what it answered, and the mistake that ended it. */
struct run {
    struct policy_list policies;
    struct decide *decide;
    struct decide_line line;
    struct strbuf out, scratch;
    struct err err;
};

static void run_init(struct run *run, const char *more_policy)
{
    struct strbuf text;

    *run = (struct run){0};
    strbuf_init(&text, 1 << 16);
    (void)strbuf_addf(&text, "%s%s", POLICY_TEXT, more_policy);
    cr_assert(policy_read(SV("p.yaml"), strbuf_sv(&text), &run->policies, &run->err), "%s",
              run->err.text);
    strbuf_done(&text);
    strbuf_init(&run->out, 1 << 24);
    strbuf_init(&run->scratch, 1 << 16);
    cr_assert(decide_new(&run->policies, &run->decide, &run->err), "%s", run->err.text);
}

static void run_done(struct run *run)
{
    decide_free(run->decide);
    decide_line_done(&run->line);
    policy_list_done(&run->policies);
    strbuf_done(&run->out);
    strbuf_done(&run->scratch);
}

/* One line, on memory of exactly its size. */
static bool feed_line(struct run *run, struct sv line)
{
    char *copy = xmalloc(line.len != 0 ? line.len : 1);
    bool ok;

    memcpy(copy, line.at, line.len);
    ok = decide_line_read(&run->line, copy, line.len, decide_names(run->decide), &run->err) &&
         decide_apply(run->decide, &run->line, &run->err);
    if (ok && run->line.kind == LINE_STEP) {
        size_t n;
        const struct decide_answer *answers = decide_step(run->decide, &n);

        decide_answer_print(run->decide, answers, n, &run->scratch, &run->out);
    }
    free(copy);
    return ok;
}

static void feed(struct run *run, const char *lines)
{
    struct sv rest = sv_from(lines), line;

    while (sv_next(&rest, '\n', &line))
        cr_assert(feed_line(run, line), "%.*s: %s", SV_ARG(line), run->err.text);
}

/* The last answer, without its newline. */
static const char *last(struct run *run)
{
    size_t from = run->out.len;

    cr_assert(from != 0, "nothing was answered");
    run->out.at[--from] = '\0';
    while (from != 0 && run->out.at[from - 1] != '\n' && run->out.at[from - 1] != '\0')
        from--;
    return run->out.at + from;
}

Test(decide, gives_what_the_example_of_the_manual_shows)
{
    struct run run;

    run_init(&run, "");
    feed(&run, "{\"t\":0,\"node\":{\"name\":\"n1\",\"cpu\":\"30\",\"memory\":\"120Gi\",\"pods\":"
               "110,\"labels\":{},\"taints\":[],"
               "\"schedulable\":true}}\n"
               "{\"t\":0,\"filler\":{\"policy\":\"miner\",\"cpu\":\"1\",\"memory\":\"1Gi\","
               "\"replicas\":0,\"graceSeconds\":10,"
               "\"startSeconds\":5}}\n"
               "{\"t\":12.5,\"pod\":{\"uid\":\"a\",\"cpu\":\"4\",\"memory\":\"8Gi\",\"node\":null,"
               "\"phase\":\"Pending\","
               "\"created\":12.5,\"priority\":0}}\n"
               "{\"t\":12.55,\"pod\":{\"uid\":\"a\",\"unschedulable\":true,\"nominated\":\"n1\"}}\n"
               "{\"t\":12.6,\"pod\":{\"uid\":\"a\",\"cpu\":\"4\",\"memory\":\"8Gi\",\"node\":"
               "\"n1\",\"phase\":\"Running\"}}\n"
               "{\"t\":13,\"pod\":{\"uid\":\"f1\",\"policy\":\"miner\",\"cpu\":\"1\","
               "\"memory\":\"1Gi\",\"node\":null,\"gated\":true,\"phase\":\"Pending\","
               "\"ready\":false,\"deleting\":false}}\n"
               "{\"t\":14,\"pod\":{\"uid\":\"a\",\"gone\":true}}\n"
               "{\"t\":14,\"step\":true}\n"
               "{\"t\":104,\"step\":true}\n");
    cr_assert_str_eq(
        strbuf_str(&run.out),
        "{\"t\":14,\"decisions\":[{\"policy\":\"miner\",\"replicas\":0,\"reason\":\"hold\","
        "\"detail\":\"hold 0: 30 "
        "fit, 8 kept free; bound by settle (90 s, 90 s to "
        "go)\",\"delete_first\":[],\"admit\":[]}],\"wake\":104}\n"
        "{\"t\":104,\"decisions\":[{\"policy\":\"miner\",\"replicas\":22,\"reason\":\"harvest\","
        "\"detail\":"
        "\"harvest 0 -> 22: 30 fit, 8 kept free; bound by "
        "headroom (careful, 4.8 "
        "cores)\",\"delete_first\":[],\"admit\":[[\"f1\",\"n1\"]]}],\"wake\":3614}\n");
    run_done(&run);
}

#define POD(uid, more)  "{\"t\":1,\"pod\":{\"uid\":\"" uid "\"" more "}}\n"
#define BOUND(uid, cpu) POD(uid, ",\"cpu\":\"" cpu "\",\"memory\":\"1Gi\",\"node\":\"n1\"")

/* What fits after these lines, on one node of 30 cores and 120Gi with no headroom. */
Test(decide, takes_over_what_a_line_names_and_keeps_the_rest)
{
    static const struct {
        const char *name, *lines;
        int fit;
    } rows[] = {
        {"nothing", "", 30},
        {"a bound pod", BOUND("a", "4"), 26},
        {"numbers are quantities too", POD("a", ",\"cpu\":1.5,\"memory\":1024,\"node\":\"n1\""),
         28},
        {"another cpu", BOUND("a", "4") POD("a", ",\"cpu\":\"6\""), 24},
        {"cpu withdrawn", BOUND("a", "4") POD("a", ",\"cpu\":null"), 30},
        {"node withdrawn: it waits, and claims", BOUND("a", "4") POD("a", ",\"node\":null"), 26},
        {"finished", BOUND("a", "4") POD("a", ",\"phase\":\"Succeeded\""), 30},
        {"terminating pods count", BOUND("a", "4") POD("a", ",\"deleting\":true"), 26},
        {"gone", BOUND("a", "4") POD("a", ",\"gone\":true"), 30},
        {"gone before it came", POD("a", ",\"gone\":true"), 30},
        {"come again", BOUND("a", "4") POD("a", ",\"gone\":true") BOUND("a", "5"), 25},
        {"pending", POD("a", ",\"cpu\":\"4\""), 26},
        {"gated", POD("a", ",\"cpu\":\"4\",\"gated\":true"), 30},
        {"no more gated", POD("a", ",\"cpu\":\"4\",\"gated\":true") POD("a", ",\"gated\":null"),
         26},
        {"only on a node that is not there", POD("a", ",\"cpu\":\"4\",\"only_node\":\"n2\""), 30},
        {"only on this node", POD("a", ",\"cpu\":\"4\",\"only_node\":\"n1\""), 26},
        {"anywhere again",
         POD("a", ",\"cpu\":\"4\",\"only_node\":\"n2\"") POD("a", ",\"only_node\":null"), 26},
        {"a node selector", POD("a", ",\"cpu\":\"4\",\"nodeSelector\":{\"zone\":\"x\"}"), 30},
        {"a node selector that is met",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"labels\":{\"zone\":\"x\"}}}\n" POD(
             "a", ",\"cpu\":\"4\",\"nodeSelector\":{\"zone\":\"x\"}"),
         26},
        {"the selector stays when a toleration comes",
         POD("a", ",\"cpu\":\"4\",\"nodeSelector\":{\"zone\":\"x\"}")
             POD("a", ",\"tolerations\":[{\"operator\":\"Exists\"}]"),
         30},
        {"a filler pod is no paid pod",
         POD("f", ",\"cpu\":\"1\",\"node\":\"n1\",\"policy\":\"miner\""), 30},
        {"a filler pod that turns out to be paid",
         POD("f", ",\"cpu\":\"1\",\"node\":\"n1\",\"policy\":\"miner\"")
             POD("f", ",\"policy\":null"),
         29},
        {"less cpu, the memory as before",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"cpu\":\"200\",\"pods\":1000}}\n", 120},
        {"110 pods a node", "{\"t\":1,\"node\":{\"name\":\"n1\",\"cpu\":\"200\"}}\n", 110},
        {"pods withdrawn",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"pods\":3}}\n{\"t\":1,\"node\":{\"name\":\"n1\","
         "\"pods\":null}}\n",
         30},
        {"cordoned", "{\"t\":1,\"node\":{\"name\":\"n1\",\"schedulable\":false}}\n", 0},
        {"no more cordoned",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"schedulable\":false}}\n"
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"schedulable\":null}}\n",
         30},
        {"tainted",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"taints\":[{\"key\":\"a\",\"value\":\"b\",\"effect\":"
         "\"NoSchedule\"}]}}\n",
         0},
        {"tainted and tolerated",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"taints\":[{\"key\":\"a\",\"value\":\"b\",\"effect\":"
         "\"NoSchedule\"}]}}\n"
         "{\"t\":1,\"filler\":{\"policy\":\"miner\",\"tolerations\":[{\"key\":\"a\",\"operator\":"
         "\"Exists\"}]}}\n",
         30},
        {"taints withdrawn",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"taints\":[{\"key\":\"a\",\"effect\":\"NoExecute\"}]}"
         "}\n"
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"taints\":null}}\n",
         30},
        {"a filler that is bound to labels",
         "{\"t\":1,\"filler\":{\"policy\":\"miner\",\"nodeSelector\":{\"a\":\"b\"}}}\n", 0},
        {"deleted", "{\"t\":1,\"node\":{\"name\":\"n1\",\"deleted\":true}}\n", 0},
        {"a larger filler", "{\"t\":1,\"filler\":{\"policy\":\"miner\",\"cpu\":\"7\"}}\n", 4},
        {"a gpu that no node has",
         "{\"t\":1,\"filler\":{\"policy\":\"miner\",\"nvidia.com/gpu\":\"1\"}}\n", 0},
        {"gpus",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"nvidia.com/gpu\":\"8\"}}\n" POD(
             "a", ",\"node\":\"n1\",\"nvidia.com/gpu\":2") "{\"t\":1,\"filler\":{\"policy\":"
                                                           "\"miner\",\"nvidia.com/gpu\":\"2\"}}\n",
         3},
        {"ephemeral storage",
         "{\"t\":1,\"node\":{\"name\":\"n1\",\"ephemeral\":\"10Gi\"}}\n"
         "{\"t\":1,\"filler\":{\"policy\":\"miner\",\"ephemeral\":\"3Gi\"}}\n",
         3},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run run;
        char want[64];

        run_init(&run, NO_HEADROOM);
        feed(&run, NODE FILLER);
        feed(&run, rows[i].lines);
        feed(&run, "{\"t\":2,\"step\":true}\n");
        (void)snprintf(want, sizeof want, ": %d fit, 0 kept", rows[i].fit);
        cr_expect(strstr(last(&run), want) != NULL, "%s: expected %d, found %s", rows[i].name,
                  rows[i].fit, last(&run));
        run_done(&run);
    }
}

Test(decide, a_decision_counts_as_carried_out)
{
    struct run run;

    run_init(&run, NO_HEADROOM);
    feed(&run, NODE FILLER
         "{\"t\":0,\"step\":true}\n{\"t\":90,\"step\":true}\n{\"t\":90,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":30,\"reason\":\"steady\"") != NULL, "%s",
              last(&run));
    feed(&run, "{\"t\":91,\"pod\":{\"uid\":\"a\",\"cpu\":\"4\"}}\n{\"t\":91,\"step\":true}\n");
    cr_expect(strstr(last(&run),
                     "\"replicas\":26,\"reason\":\"yield\",\"detail\":\"yield 30 -> 26") != NULL,
              "%s", last(&run));
    feed(&run, "{\"t\":91.5,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":26,\"reason\":\"steady\"") != NULL, "%s",
              last(&run));
    run_done(&run);
}

Test(decide, another_count_is_somebody_else_s)
{
    struct run run;

    run_init(&run, NO_HEADROOM);
    feed(&run, NODE FILLER "{\"t\":0,\"step\":true}\n{\"t\":90,\"step\":true}\n");
    feed(
        &run,
        "{\"t\":91,\"filler\":{\"policy\":\"miner\",\"replicas\":30}}\n{\"t\":91,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"reason\":\"steady\"") != NULL, "its own count: %s", last(&run));
    feed(&run,
         "{\"t\":92,\"filler\":{\"policy\":\"miner\",\"replicas\":5}}\n{\"t\":92,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":5,\"reason\":\"foreign\"") != NULL, "%s",
              last(&run));
    feed(&run, "{\"t\":93,\"filler\":{\"policy\":\"miner\",\"replicas\":100}}\n{\"t\":93,\"step\":"
               "true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":30,\"reason\":\"yield\"") != NULL,
              "too many go at once: %s", last(&run));
    feed(&run,
         "{\"t\":94,\"filler\":{\"policy\":\"miner\",\"replicas\":7}}\n{\"t\":94,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":7,\"reason\":\"paused\"") != NULL, "%s", last(&run));
    cr_expect(strstr(last(&run), "\"wake\":694}") != NULL, "until the quarrel is over: %s",
              last(&run));
    run_done(&run);
}

Test(decide, settle_is_raised_to_twice_what_a_yield_takes)
{
    struct run run;

    run_init(&run, NO_HEADROOM);
    feed(&run, NODE FILLER "{\"t\":0,\"filler\":{\"policy\":\"miner\",\"graceSeconds\":60.25}}\n{"
                           "\"t\":0,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"wake\":123.1}") != NULL, "%s", last(&run));
    feed(&run, "{\"t\":1,\"filler\":{\"policy\":\"miner\",\"graceSeconds\":null}}\n{\"t\":1,"
               "\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"wake\":90}") != NULL, "%s", last(&run));
    run_done(&run);
}

Test(decide, the_policy_s_shape_stands_under_the_filler_s_lines)
{
    static const struct {
        const char *line, *found;
    } rows[] = {
        {"\"graceSeconds\":60", "15 fit"},
        {"\"nodeSelector\":{\"a\":\"b\"}", "0 fit"},
        {"\"nodeSelector\":null,\"cpu\":\"1\",\"memory\":\"8Gi\"", "15 fit"},
        {"\"memory\":null", "30 fit"},
        {"\"cpu\":null", "15 fit"},
    };
    struct run run;

    run_init(&run, NO_HEADROOM "  pod: {cpu: 2, memory: 4Gi, graceSeconds: 5}\n");
    feed(&run, NODE);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf lines;

        strbuf_init(&lines, 1024);
        (void)strbuf_addf(&lines,
                          "{\"t\":0,\"filler\":{\"policy\":\"miner\",%s}}\n{\"t\":0,"
                          "\"step\":true}\n",
                          rows[i].line);
        feed(&run, strbuf_str(&lines));
        cr_expect(strstr(last(&run), rows[i].found) != NULL, "%s: %s", rows[i].line, last(&run));
        strbuf_done(&lines);
    }
    run_done(&run);
}

Test(decide, growth_waits_for_the_room_of_terminating_filler)
{
    struct run run;

    run_init(&run, NO_HEADROOM "  placement: affinity\n");
    feed(&run, NODE FILLER "{\"t\":0,\"step\":true}\n"
                           "{\"t\":50,\"pod\":{\"uid\":\"f\",\"policy\":\"miner\",\"cpu\":\"1\","
                           "\"node\":\"n1\",\"deleting\":true}}\n"
                           "{\"t\":90,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":29,\"reason\":\"harvest\"") != NULL, "%s",
              last(&run));
    feed(&run, "{\"t\":91,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":29,\"reason\":\"hold\"") != NULL, "%s", last(&run));
    feed(&run, "{\"t\":92,\"pod\":{\"uid\":\"f\",\"gone\":true}}\n{\"t\":92,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":30,\"reason\":\"harvest\"") != NULL, "%s",
              last(&run));
    run_done(&run);
}

#define GATED(t, uid)                                                                              \
    "{\"t\":" t ",\"pod\":{\"uid\":\"" uid "\",\"policy\":\"miner\",\"cpu\":\"1\","                \
    "\"memory\":\"1Gi\",\"gated\":true}}\n"

Test(decide, behind_gates_growth_is_asked_for_and_let_in_when_there_is_room)
{
    struct run run;

    run_init(&run, NO_HEADROOM);
    feed(&run, NODE FILLER "{\"t\":0,\"step\":true}\n"
                           "{\"t\":50,\"pod\":{\"uid\":\"f\",\"policy\":\"miner\",\"cpu\":\"29\","
                           "\"node\":\"n1\",\"deleting\":true}}\n"
                           "{\"t\":90,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":30,\"reason\":\"harvest\"") != NULL, "%s",
              last(&run));
    feed(&run, GATED("91", "g1") GATED("91.5", "g2") "{\"t\":91.5,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"admit\":[[\"g1\",\"n1\"]]") != NULL, "%s", last(&run));
    feed(&run, "{\"t\":92,\"pod\":{\"uid\":\"f\",\"gone\":true}}\n{\"t\":92,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"admit\":[[\"g2\",\"n1\"]]") != NULL, "%s", last(&run));
    feed(&run, "{\"t\":93,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"admit\":[]") != NULL, "nobody is let in twice: %s", last(&run));
    run_done(&run);
}

#define TWO_POLICIES                                                                               \
    "  priority: 1\n---\napiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: "           \
    "low}\nspec:\n"                                                                                \
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: low}\n"            \
    "  headroom: {mode: fixed, max: 0}\n  replicas: {max: 150}\n"

Test(decide, every_policy_has_its_decision)
{
    struct run run;

    run_init(&run, "  headroom: {mode: fixed, max: 0}\n" TWO_POLICIES);
    feed(&run,
         NODE FILLER "{\"t\":0,\"filler\":{\"policy\":\"low\",\"cpu\":\"4\",\"replicas\":0}}\n"
                     "{\"t\":0,\"step\":true}\n{\"t\":90,\"step\":true}\n");
    cr_expect(strstr(last(&run), "{\"policy\":\"miner\",\"replicas\":30,") != NULL, "%s",
              last(&run));
    cr_expect(strstr(last(&run), "{\"policy\":\"low\",\"replicas\":0,") != NULL, "%s", last(&run));
    run_done(&run);
}

Test(decide, a_schedule_goes_by_t)
{
    struct run run;

    run_init(&run,
             NO_HEADROOM "  schedule:\n"
                         "    - {from: \"00:01\", to: \"00:02\", zone: UTC, replicas: {max: 7}}\n");
    feed(&run, NODE FILLER "{\"t\":0,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"wake\":60}") != NULL, "%s", last(&run));
    feed(&run, "{\"t\":60,\"step\":true}\n{\"t\":90,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":7,") != NULL, "%s", last(&run));
    cr_expect(strstr(last(&run), "\"wake\":120}") != NULL, "%s", last(&run));
    feed(&run, "{\"t\":120,\"step\":true}\n{\"t\":210,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":30,") != NULL, "%s", last(&run));
    run_done(&run);
}

Test(decide, a_claim_that_does_not_use_its_room_lapses_when_wake_says)
{
    struct run run;

    run_init(&run, NO_HEADROOM);
    feed(&run, NODE FILLER "{\"t\":0,\"step\":true}\n{\"t\":90,\"step\":true}\n"
                           "{\"t\":100,\"pod\":{\"uid\":\"a\",\"cpu\":\"4\",\"unschedulable\":true}"
                           "}\n{\"t\":100,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":26") != NULL &&
                  strstr(last(&run), "\"wake\":170}") != NULL,
              "%s", last(&run));
    feed(&run, "{\"t\":170,\"step\":true}\n");
    cr_expect(strstr(last(&run), ": 30 fit") != NULL, "%s", last(&run));
    run_done(&run);
}

Test(decide, binding_ends_unschedulable_and_nominated)
{
    struct run run;

    run_init(&run, NO_HEADROOM);
    feed(&run,
         NODE FILLER "{\"t\":1,\"node\":{\"name\":\"n2\",\"cpu\":\"30\",\"memory\":\"120Gi\"}}\n"
                     "{\"t\":1,\"pod\":{\"uid\":\"a\",\"cpu\":\"4\",\"unschedulable\":true,"
                     "\"nominated\":\"n1\"}}\n"
                     "{\"t\":1,\"pod\":{\"uid\":\"a\",\"node\":\"n1\"}}\n"
                     "{\"t\":1,\"pod\":{\"uid\":\"a\",\"node\":null}}\n{\"t\":1,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"wake\":91}") != NULL,
              "an unschedulable pod would let its claim lapse: %s", last(&run));
    feed(&run,
         "{\"t\":2,\"pod\":{\"uid\":\"a\",\"unschedulable\":true}}\n{\"t\":2,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"wake\":72}") != NULL, "%s", last(&run));
    run_done(&run);
}

Test(decide, a_nomination_may_come_before_its_node)
{
    static const char *const orders[] = {
        "{\"t\":0,\"node\":{\"name\":\"small\",\"cpu\":\"4\",\"memory\":\"8Gi\"}}\n"
        "{\"t\":0,\"pod\":{\"uid\":\"a\",\"cpu\":\"2.5\",\"nominated\":\"small\"}}\n",
        "{\"t\":0,\"pod\":{\"uid\":\"a\",\"cpu\":\"2.5\",\"nominated\":\"small\"}}\n"
        "{\"t\":0,\"node\":{\"name\":\"small\",\"cpu\":\"4\",\"memory\":\"8Gi\"}}\n",
    };

    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct run run;

        run_init(&run, NO_HEADROOM);
        feed(&run, NODE "{\"t\":0,\"filler\":{\"policy\":\"miner\",\"cpu\":\"2\"}}\n");
        feed(&run, orders[i]);
        feed(&run, "{\"t\":0,\"step\":true}\n");
        cr_expect(strstr(last(&run), ": 15 fit") != NULL, "order %zu: %s", i, last(&run));
        run_done(&run);
    }
}

Test(decide, without_a_filler_nothing_is_known)
{
    struct run run;

    run_init(&run, "");
    feed(&run, NODE "{\"t\":1,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"replicas\":0,\"reason\":\"unknown\"") != NULL, "%s",
              last(&run));
    run_done(&run);
    run_init(&run, "  pod: {cpu: 3, memory: 1Gi}\n" NO_HEADROOM);
    feed(&run, NODE
         "{\"t\":1,\"filler\":{\"policy\":\"miner\",\"replicas\":2}}\n{\"t\":1,\"step\":true}\n");
    cr_expect(strstr(last(&run), "hold 2: 10 fit") != NULL, "the policy's shape: %s", last(&run));
    run_done(&run);
}

/* The last answer to a step at `t` after one more line of the filler. */
static const char *told(struct run *run, int t, const char *keys)
{
    char lines[256];

    (void)snprintf(lines, sizeof lines,
                   "{\"t\":%d,\"filler\":{\"policy\":\"miner\",%s}}\n{\"t\":%d,\"step\":true}\n", t,
                   keys, t);
    feed(run, lines);
    return last(run);
}

Test(decide, a_cpu_that_is_withdrawn_was_never_named)
{
    static const char *const ways[] = {"\"cpu\":null", "\"cpu\":0", "\"cpu\":\"0\""};

    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct run run, never;

        run_init(&run, NO_HEADROOM);
        run_init(&never, NO_HEADROOM);
        feed(&run, NODE FILLER "{\"t\":1,\"step\":true}\n");
        feed(&never, NODE "{\"t\":1,\"step\":true}\n");
        cr_assert(strstr(last(&run), "30 fit") != NULL, "%s", last(&run));
        cr_expect(strstr(told(&run, 2, ways[i]), "\"reason\":\"unknown\"") != NULL, "%s: %s",
                  ways[i], last(&run));
        cr_expect_str_eq(last(&run), told(&never, 2, "\"memory\":\"1Gi\""), "%s", ways[i]);
        cr_expect_str_eq(told(&run, 3, "\"memory\":\"2Gi\""), told(&never, 3, "\"memory\":\"2Gi\""),
                         "%s", ways[i]);
        cr_expect_str_eq(told(&run, 4, "\"cpu\":2"),
                         told(&never, 4, "\"cpu\":2,\"graceSeconds\":10"), "%s", ways[i]);
        cr_expect(strstr(last(&run), "15 fit") != NULL, "%s: %s", ways[i], last(&run));
        run_done(&run);
        run_done(&never);
    }
}

Test(decide, what_a_line_withdraws_is_the_policy_s_again)
{
    static const struct {
        const char *line, *found;
    } rows[] = {
        {"\"replicas\":0", "15 fit"},
        {"\"priority\":-20", "13 fit"},
        {"\"priority\":-10", "15 fit"},
        {"\"priority\":-20", "13 fit"},
        {"\"priority\":null", "15 fit"},
        {"\"graceSeconds\":60", "settle (122.6 s,"},
        {"\"graceSeconds\":null", "settle (90 s,"},
        {"\"nodeSelector\":{}", "15 fit"},
        {"\"nodeSelector\":null", "0 fit"},
    };
    struct run run;

    run_init(&run, NO_HEADROOM "  pod: {cpu: 2, graceSeconds: 5, priority: -10, "
                               "nodeSelector: {a: b}}\n");
    feed(&run, NODE "{\"t\":0,\"filler\":{\"policy\":\"miner\",\"nodeSelector\":{}}}\n"
                    "{\"t\":0,\"pod\":{\"uid\":\"a\",\"cpu\":\"4\",\"priority\":-15}}\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect(strstr(told(&run, 0, rows[i].line), rows[i].found) != NULL, "row %zu: %s: %s", i,
                  rows[i].line, last(&run));
    run_done(&run);
}

Test(decide, the_policy_s_pods_have_priority_0_and_no_class_unless_it_says_so)
{
    struct run policy, line;

    run_init(&policy, NO_HEADROOM "  pod: {cpu: 1, memory: 1Gi, graceSeconds: 10}\n");
    run_init(&line, NO_HEADROOM);
    feed(&policy, NODE);
    feed(&line, NODE FILLER);
    (void)told(&policy, 0, "\"replicas\":0");
    (void)told(&line, 0, "\"priority\":0");
    for (int priority = -1; priority <= 1; priority++) {
        char pod[128];

        (void)snprintf(pod, sizeof pod,
                       "{\"t\":1,\"pod\":{\"uid\":\"%d\",\"cpu\":\"4\",\"priority\":%d}}\n"
                       "{\"t\":1,\"step\":true}\n",
                       priority, priority);
        feed(&policy, pod);
        feed(&line, pod);
        cr_expect_str_eq(last(&policy), last(&line), "%d", priority);
    }
    run_done(&policy);
    run_done(&line);
}

Test(decide, priority_tells_who_makes_a_claim)
{
    static const struct {
        const char *name, *filler, *pod;
        int fit;
    } rows[] = {
        {"the filler is below everybody", "", ",\"priority\":-2000000", 26},
        {"lower than the filler's", ",\"priority\":-10", ",\"priority\":-11", 30},
        {"as the filler's class", ",\"priority\":-10", ",\"priority\":-10", 30},
        {"no class at all", ",\"priority\":0", "", 26},
        {"withdrawn", ",\"priority\":-10", ",\"priority\":null", 26},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run run;
        char lines[512], want[64];

        run_init(&run, NO_HEADROOM);
        feed(&run, NODE FILLER);
        (void)snprintf(lines, sizeof lines,
                       "{\"t\":0,\"filler\":{\"policy\":\"miner\"%s}}\n{\"t\":0,\"pod\":{\"uid\":"
                       "\"a\",\"cpu\":\"4\"%s}}\n"
                       "{\"t\":0,\"step\":true}\n",
                       rows[i].filler, rows[i].pod);
        feed(&run, lines);
        (void)snprintf(want, sizeof want, ": %d fit", rows[i].fit);
        cr_expect(strstr(last(&run), want) != NULL, "%s: %s", rows[i].name, last(&run));
        run_done(&run);
    }
}

Test(decide, the_policy_s_ignored_pods_claim_nothing)
{
    struct run run;

    run_init(&run, NO_HEADROOM "  paid: {ignore: [{namespace: sandbox, selector: tier=batch}]}\n");
    feed(&run, NODE FILLER "{\"t\":0,\"pod\":{\"uid\":\"a\",\"cpu\":\"4\",\"labels\":{\"tier\":"
                           "\"batch\"}}}\n{\"t\":0,\"step\":true}\n");
    cr_expect(strstr(last(&run), ": 26 fit") != NULL, "%s", last(&run));
    feed(&run,
         "{\"t\":0,\"pod\":{\"uid\":\"a\",\"namespace\":\"sandbox\"}}\n{\"t\":0,\"step\":true}\n");
    cr_expect(strstr(last(&run), ": 30 fit") != NULL, "%s", last(&run));
    feed(&run, "{\"t\":0,\"pod\":{\"uid\":\"a\",\"labels\":null}}\n{\"t\":0,\"step\":true}\n");
    cr_expect(strstr(last(&run), ": 26 fit") != NULL, "%s", last(&run));
    run_done(&run);
}

Test(decide, a_policy_that_only_measures_writes_nothing)
{
    struct run run;

    run_init(&run, NO_HEADROOM "  mode: metrics-only\n");
    feed(&run, NODE FILLER
         "{\"t\":0,\"step\":true}\n{\"t\":90,\"step\":true}\n{\"t\":91,\"step\":true}\n");
    cr_expect(strstr(last(&run), "harvest 0 -> 30") != NULL, "the count stays: %s", last(&run));
    for (int i = 0; i < 3; i++)
        feed(&run, i % 2 == 0 ? "{\"t\":92,\"filler\":{\"policy\":\"miner\",\"replicas\":3}}\n{"
                                "\"t\":92,\"step\":true}\n"
                              : "{\"t\":92,\"filler\":{\"policy\":\"miner\",\"replicas\":4}}\n{"
                                "\"t\":92,\"step\":true}\n");
    cr_expect(strstr(last(&run), "\"reason\":\"harvest\"") != NULL, "resets are nobody's: %s",
              last(&run));
    run_done(&run);
}

/* Order. */

enum { NODES = 8, PODS = 30, OBJECTS = 1 + NODES + PODS, LINES_EACH = 2, LINE_SIZE = 200 };

/* Two lines each about the filler, nodes and pods. Creation times are often the same, and so is the
 * nodes' room. */
struct world {
    char lines[OBJECTS][LINES_EACH][LINE_SIZE];
};

static void write_node(struct random *r, int i, char lines[LINES_EACH][LINE_SIZE])
{
    (void)snprintf(lines[0], LINE_SIZE,
                   "{\"t\":5,\"node\":{\"name\":\"n%d\",\"cpu\":\"16\",\"memory\":\"%dGi\"}}", i,
                   (int)random_in(r, 2, 5) * 8);
    (void)snprintf(lines[1], LINE_SIZE, "{\"t\":5,\"node\":{\"name\":\"n%d\",\"cpu\":\"%s\"}}", i,
                   random_percent(r, 20) ? "7500m" : "16");
}

static void write_pod(struct random *r, int i, char lines[LINES_EACH][LINE_SIZE])
{
    int node = (int)random_in(r, 1, NODES + 1); /* one of them never comes */

    (void)snprintf(
        lines[0], LINE_SIZE,
        "{\"t\":5,\"pod\":{\"uid\":\"p%d\",\"cpu\":\"%d500m\",\"memory\":\"%dGi\",\"created\":%d}}",
        i, (int)random_in(r, 0, 5), (int)random_in(r, 1, 12), (int)random_in(r, 0, 2));
    switch (random_in(r, 0, 3)) {
    case 0:
        (void)snprintf(lines[1], LINE_SIZE, "{\"t\":5,\"pod\":{\"uid\":\"p%d\",\"node\":\"n%d\"}}",
                       i, node);
        break;
    case 1:
        (void)snprintf(lines[1], LINE_SIZE,
                       "{\"t\":5,\"pod\":{\"uid\":\"p%d\",\"nominated\":\"n%d\"}}", i, node);
        break;
    case 2:
        (void)snprintf(lines[1], LINE_SIZE,
                       "{\"t\":5,\"pod\":{\"uid\":\"p%d\",\"policy\":\"miner\",\"node\":\"n%d\"}}",
                       i, node);
        break;
    default:
        (void)snprintf(lines[1], LINE_SIZE,
                       "{\"t\":5,\"pod\":{\"uid\":\"p%d\",\"unschedulable\":true}}", i);
        break;
    }
}

static void write_world(struct random *r, struct world *w)
{
    (void)snprintf(w->lines[0][0], LINE_SIZE,
                   "{\"t\":5,\"filler\":{\"policy\":\"miner\",\"cpu\":\"2\",\"memory\":\"3Gi\"}}");
    (void)snprintf(w->lines[0][1], LINE_SIZE,
                   "{\"t\":5,\"filler\":{\"policy\":\"miner\",\"cpu\":\"1500m\",\"replicas\":9}}");
    for (int i = 1; i <= NODES; i++)
        write_node(r, i, w->lines[i]);
    for (int i = 1 + NODES; i < OBJECTS; i++)
        write_pod(r, i, w->lines[i]);
}

/* Gives the lines in some order in which those of one object keep theirs, then asks twice. */
static void feed_shuffled(struct run *run, struct random *r, const struct world *w)
{
    int order[OBJECTS * LINES_EACH], given[OBJECTS] = {0};

    for (int i = 0; i < OBJECTS * LINES_EACH; i++)
        order[i] = i % OBJECTS;
    for (int i = OBJECTS * LINES_EACH - 1; i > 0; i--) {
        int k = (int)random_in(r, 0, i), swap = order[i];

        order[i] = order[k];
        order[k] = swap;
    }
    for (int i = 0; i < OBJECTS * LINES_EACH; i++)
        feed(run, w->lines[order[i]][given[order[i]]++]);
    feed(run, "{\"t\":6,\"step\":true}\n{\"t\":96,\"step\":true}\n");
}

Test(decide, the_order_of_facts_decides_nothing)
{
    struct random r = random_start("the_order_of_facts_decides_nothing");

    for (int round = 0; round < 300; round++) {
        struct world w;
        struct run one, other;

        write_world(&r, &w);
        run_init(&one, "");
        run_init(&other, "");
        feed_shuffled(&one, &r, &w);
        feed_shuffled(&other, &r, &w);
        cr_assert_str_eq(strbuf_str(&one.out), strbuf_str(&other.out), "round %d:\n%s%s", round,
                         strbuf_str(&one.out), strbuf_str(&other.out));
        run_done(&one);
        run_done(&other);
    }
}

/* A load that comes and goes; the answers to it. */
static void feed_load(struct run *run, struct random r)
{
    char lines[512];

    feed(run, NODE FILLER);
    for (int i = 1; i < 2000; i++) {
        (void)snprintf(
            lines, sizeof lines,
            "{\"t\":%d.%03d,\"pod\":{\"uid\":\"p%d\",\"cpu\":\"%d00m\",\"gone\":%s,\"node\":%s}}\n"
            "{\"t\":%d.%03d,\"step\":true}\n",
            i * 3, i % 1000, (int)random_in(&r, 0, 20), (int)random_in(&r, 1, 40),
            random_percent(&r, 40) ? "true" : "false", random_percent(&r, 50) ? "\"n1\"" : "null",
            i * 3, i % 1000);
        feed(run, lines);
    }
}

Test(decide, the_same_input_gives_the_same_bytes)
{
    struct random r = random_start("the_same_input_gives_the_same_bytes");
    struct run one, other;

    run_init(&one, NO_HEADROOM);
    run_init(&other, NO_HEADROOM);
    feed_load(&one, r);
    feed_load(&other, r);
    cr_assert_eq(one.out.len, other.out.len);
    cr_assert_eq(memcmp(one.out.at, other.out.at, one.out.len), 0);
    cr_assert(strstr(strbuf_str(&one.out), "\"harvest\"") != NULL &&
              strstr(strbuf_str(&one.out), "\"yield\"") != NULL);
    run_done(&one);
    run_done(&other);
}

Test(decide, times_are_printed_with_no_more_digits_than_they_need)
{
    static const struct {
        const char *t, *want;
    } rows[] = {
        {"0", "{\"t\":0,"},
        {"0.000001", "{\"t\":0.000001,"},
        {"12.50", "{\"t\":12.5,"},
        {"1e3", "{\"t\":1000,"},
        {"1.5E-1", "{\"t\":0.15,"},
        {"1790000000.123456789", "{\"t\":1790000000.123456,"},
        {"1e11", "{\"t\":100000000000,"},
        {"0.0000001", "{\"t\":0,"},
        {"100.010", "{\"t\":100.01,"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run run;
        char line[100];

        run_init(&run, "");
        (void)snprintf(line, sizeof line, "{\"step\":true , \"t\" : %s}\n", rows[i].t);
        feed(&run, line);
        cr_expect(strncmp(last(&run), rows[i].want, strlen(rows[i].want)) == 0, "%s: %s", rows[i].t,
                  last(&run));
        run_done(&run);
    }
}

/* Mistakes. */

Test(decide, a_malformed_line_is_refused_with_what_was_found_and_expected)
{
    static const struct {
        const char *line, *want;
    } rows[] = {
        {"{", "column 2: found the end, expected a key in quotes"},
        {"[]", "column 1: found '[', expected an object"},
        {"{\"t\":1,\"step\":true} x", "column 21: found 'x', expected nothing more"},
        {"{\"t\":1,\"step\":true,}", "column 20: found '}', expected a key in quotes"},
        {"{\"t\":1 \"step\":true}", "column 8: found '\"', expected ',' or '}'"},
        {"{\"t\":01,\"step\":true}", "column 7: found '1', expected ',' or '}'"},
        {"{\"step\":true}", "found no t, expected the time in seconds"},
        {"{\"t\":1}", "found no fact, expected one of node, pod, filler or step"},
        {"{\"t\":1,\"podd\":{}}",
         "found the key podd, expected t and one of node, pod, filler or step"},
        {"{\"t\":1,\"t\":2,\"step\":true}", "t: found twice, expected once"},
        {"{\"t\":\"1\",\"step\":true}",
         "t: found a string, expected seconds, at least 0 and at most 1e11"},
        {"{\"t\":-1,\"step\":true}", "t: found -1, expected seconds, at least 0 and at most 1e11"},
        {"{\"t\":1e12,\"step\":true}",
         "t: found 1e12, expected seconds, at least 0 and at most 1e11"},
        {"{\"t\":1,\"step\":false}", "step: found false, expected true"},
        {"{\"t\":4.5,\"step\":true}",
         "t: found 4.5, expected at least 5, the time of the line before"},
        {"{\"t\":9,\"step\":true,\"pod\":{\"uid\":\"a\"}}",
         "found pod beside step, expected t and one of node, pod, filler or step"},
        {"{\"t\":9,\"pod\":null}", "pod: found null, expected an object"},
        {"{\"t\":9,\"pod\":{}}", "pod: found no uid, expected one"},
        {"{\"t\":9,\"pod\":{\"uid\":\"\"}}", "pod: found no uid, expected one"},
        {"{\"t\":9,\"node\":{\"cpu\":\"1\"}}", "node: found no name, expected one"},
        {"{\"t\":9,\"node\":{\"name\":null}}", "node.name: found null, expected a name"},
        {"{\"t\":9,\"filler\":{\"cpu\":\"1\"}}", "filler: found no policy, expected one"},
        {"{\"t\":9,\"filler\":{\"policy\":\"x\"}}", "filler.policy: found x, expected miner"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"policy\":\"x\"}}",
         "pod.policy: found x, expected miner"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"cpu\":\"4x\"}}",
         "pod.cpu: found 4x, expected a quantity such as 4 or 1500m"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"cpu\":\"-1\"}}",
         "pod.cpu: found -1, expected a quantity such as 4 or 1500m"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"cpu\":true}}",
         "pod.cpu: found true, expected a quantity such as 4 or 1500m"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"cpu\":\"10G\"}}",
         "pod.cpu: found 10G, expected a quantity that is not as large"},
        {"{\"t\":9,\"node\":{\"name\":\"a\",\"memory\":\"1e30\"}}",
         "node.memory: found 1e30, expected a quantity that is not as large"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"uid\":\"b\"}}", "pod.uid: found twice, expected once"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"gatde\":true}}",
         "pod: found the key gatde, did you mean gated?"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"zzzzzzzz\":1}}",
         "pod: found the key zzzzzzzz, expected one that docs/DECIDE.md lists or the name of a "
         "resource"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"pods\":\"1\"}}",
         "pod: found the key pods, expected one that docs/DECIDE.md lists or the name of a "
         "resource"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"gated\":\"yes\"}}",
         "pod.gated: found a string, expected true or false"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"phase\":\"Done\"}}",
         "pod.phase: found Done, expected Pending, Running, Succeeded, Failed or Unknown"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"priority\":1.5}}",
         "pod.priority: found 1.5, expected a whole number of 32 bits"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"priority\":2147483648}}",
         "pod.priority: found 2147483648, expected a whole number of 32 bits"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"created\":-1}}",
         "pod.created: found -1, expected seconds, at least 0 and at most 1e11"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"node\":7}}",
         "pod.node: found a number, expected a string or null"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"labels\":{\"a\":1}}}",
         "pod.labels: found a number, expected an object of strings"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"tolerations\":[{\"operator\":\"Gt\"}]}}",
         "pod.tolerations: found Gt, expected the operator Equal or Exists"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\",\"preemptionPolicy\":\"No\"}}",
         "pod.preemptionPolicy: found No, expected Never or PreemptLowerPriority"},
        {"{\"t\":9,\"node\":{\"name\":\"a\",\"taints\":{}}}",
         "node.taints: found an object, expected a list of taints"},
        {"{\"t\":9,\"node\":{\"name\":\"a\",\"taints\":[{\"key\":\"a\"}]}}",
         "node.taints: found \"\", expected the effect NoSchedule, PreferNoSchedule or NoExecute"},
        {"{\"t\":9,\"node\":{\"name\":\"a\",\"taints\":[{\"operator\":\"a\"}]}}",
         "node.taints: found operator, expected objects of key, value, effect"},
        {"{\"t\":9,\"filler\":{\"policy\":\"miner\",\"replicas\":-1}}",
         "filler.replicas: found -1, expected a whole number from 0 to 2147483647"},
        {"{\"t\":9,\"pod\":{\"uid\":\"a\\u0000\"}}",
         "column 29: found '\"', expected no NUL and no half of a surrogate pair before it"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run run;

        run_init(&run, "");
        feed(&run, "{\"t\":5,\"node\":{\"name\":\"n1\",\"cpu\":\"30\"}}\n");
        cr_expect(!feed_line(&run, sv_from(rows[i].line)), "%s was taken", rows[i].line);
        cr_expect_str_eq(run.err.text, rows[i].want, "%s: %s", rows[i].line, run.err.text);
        cr_expect_eq(run.err.kind, ERR_INPUT);
        run_done(&run);
    }
}

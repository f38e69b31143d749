#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/serve/nodes_json.h"
#include "agent/serve/status_json.h"
#include "agent/top/answers.h"
#include "agent/top/plain.h"
#include "agent/top/run.h"
#include "agent/top/words.h"
#include "tests/unit/agent/sample_snapshot.h"

/* What the agent writes is what top reads. */
Test(top_answers, reads_what_the_agent_writes)
{
    static struct top_view v;
    struct snapshot *s = sample_snapshot();
    const struct decisions_query all = {.limit = 50, .before = UINT64_MAX};
    struct strbuf text;

    strbuf_init(&text, 1 << 20);
    status_json_write(s, (struct sv){0}, SAMPLE_NOW, SAMPLE_WALL, &text);
    cr_assert(answers_status(strbuf_sv(&text), &v));
    cr_expect_eq(v.cpu.allocatable, 184000);
    cr_expect_eq(v.cpu.paid, 8500);
    cr_expect_eq(v.cpu.filler, 130000);
    cr_expect_eq(v.waiting_pods, 2);
    cr_expect_eq(v.arrived_total, 40);
    cr_expect_eq(v.blocked_total, 1);
    cr_expect_eq(v.nodes, 6);
    cr_expect_eq(v.n_fillers, 2);
    cr_expect_str_eq(v.fillers[0].policy, "miner");
    cr_expect_str_eq(v.fillers[0].state, "harvest");
    cr_expect_str_eq(v.fillers[0].bound, "headroom");
    cr_expect_eq(v.fillers[0].yields, 5);
    cr_expect_eq(v.fillers[0].gated, 6);
    cr_expect_str_eq(v.fillers[0].trouble, "");
    cr_expect_str_eq(v.fillers[0].note, "headroom.max is 24 cores, paid pods needed 42");
    cr_expect_str_eq(v.fillers[1].policy, "a\"b\\c?d", "no control character");
    cr_expect_eq(v.fillers[1].fit, TOP_UNKNOWN);
    strbuf_clear(&text);
    status_json_decisions(s, &all, &text);
    cr_assert(answers_decisions(strbuf_sv(&text), &v));
    cr_expect_eq(v.n_decisions, 3);
    cr_expect_eq(v.decisions[0].id, 30);
    cr_expect_eq(v.decisions[2].id, 10);
    cr_expect_str_eq(v.decisions[1].reason, "yield");
    strbuf_done(&text);
    snapshot_unref(s);
}

/* What stops the filler is its trouble; what only makes it worse is a note beside its state. */
Test(top_answers, tells_trouble_from_notes)
{
    static const struct {
        const char *type, *trouble, *note;
    } cases[] = {
        {"AbleToScale", "because", ""}, {"ScalingActive", "because", ""},
        {"PodsPlaced", "", "because"},  {"HeadroomSufficient", "", ""},
        {"ScalingLimited", "", ""},
    };
    static struct top_view v;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[300];

        (void)snprintf(text, sizeof text,
                       "{\"v\":1,\"cpu\":{},\"fillers\":[{\"policy\":\"miner\",\"conditions\":"
                       "[{\"type\":\"%s\",\"status\":\"False\",\"message\":\"because\"}]}]}",
                       cases[i].type);
        cr_assert(answers_status(sv_from(text), &v));
        cr_expect_str_eq(v.fillers[0].trouble, cases[i].trouble, "%s", cases[i].type);
        cr_expect_str_eq(v.fillers[0].note, cases[i].note, "%s", cases[i].type);
    }
}

Test(top_answers, sorts_nodes_by_what_is_free)
{
    static struct top_view v;
    static const int64_t idle[] = {5, 1, 9, 1};
    struct nodes_view *n = nodes_view_new();
    struct strbuf text;

    for (int i = 0; i < 4; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "n%d", i);
        nodes_view_add(
            n, &(struct nodes_row){.name = name, .free_milli = idle[i], .cordoned = i == 2});
    }
    strbuf_init(&text, 1 << 20);
    nodes_json_write(n, true, &text);
    cr_assert(answers_nodes(strbuf_sv(&text), &v));
    cr_assert_eq(v.n_nodes, 4);
    cr_expect_str_eq(v.node[0].name, "n1");
    cr_expect_str_eq(v.node[1].name, "n3");
    cr_expect_str_eq(v.node[3].name, "n2");
    cr_expect(v.node[3].cordoned);
    strbuf_done(&text);
    nodes_view_unref(n);
    answers_done(&v);
}

Test(top_answers, refuses_what_is_no_answer_and_keeps_what_it_had)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"v\":2,\"cpu\":{},\"decisions\":[],\"names\":[]}",
        "{\"v\":1}",
        "<html>",
        "{\"kind\":\"Status\",\"code\":503}",
    };
    static struct top_view v;

    v.nodes = 7;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        cr_expect(!answers_status(sv_from(texts[i]), &v), "%s", texts[i]);
        cr_expect(!answers_decisions(sv_from(texts[i]), &v), "%s", texts[i]);
        cr_expect(!answers_nodes(sv_from(texts[i]), &v), "%s", texts[i]);
    }
    cr_expect_eq(v.nodes, 7);
    cr_expect(!v.has_status);
}

Test(top_answers, holds_no_more_than_it_has_room_for)
{
    static struct top_view v;
    struct strbuf text;

    strbuf_init(&text, 8 << 20);
    (void)strbuf_add(&text,
                     SV("{\"v\":1,\"cpu\":{\"paid_milli\":-5,\"filler_milli\":9223372036854775807},"
                        "\"fillers\":[{\"policy\":\"\\u001b[2J\\u009b\"}"));
    for (int i = 0; i < 300; i++)
        (void)strbuf_add(&text, SV(",{\"policy\":\"x\"}"));
    (void)strbuf_add(&text, SV("],\"decisions\":[{}"));
    for (int i = 0; i < 300; i++)
        (void)strbuf_add(&text, SV(",{\"id\":-3}"));
    (void)strbuf_add(&text, SV("]}"));
    cr_assert(answers_status(strbuf_sv(&text), &v));
    cr_expect_eq(v.n_fillers, TOP_FILLERS);
    cr_expect_str_eq(v.fillers[0].policy, "?[2J??");
    cr_expect_eq(v.cpu.paid, TOP_UNKNOWN);
    cr_expect_eq(v.cpu.filler, TOP_UNKNOWN);
    cr_assert(answers_decisions(strbuf_sv(&text), &v));
    cr_expect_eq(v.n_decisions, TOP_DECISIONS);
    strbuf_done(&text);
}

Test(top_answers, words)
{
    static const struct {
        int64_t milli;
        const char *want;
    } cores[] = {{-1, "-"},     {0, "0"},      {40, "0.0"},    {4000, "4"},
                 {50, "0.1"},   {1500, "1.5"}, {9940, "9.9"},  {9950, "10"},
                 {10499, "10"}, {10500, "11"}, {184000, "184"}};
    static const struct {
        int64_t ms;
        const char *want;
    } spans[] = {{-5, "0 s"},       {999, "0 s"},          {59999, "59 s"},
                 {60000, "1 min"},  {125000, "2 min 5 s"}, {7260000, "2 h 1 min"},
                 {86400000, "1 d"}, {273600000, "3 d 4 h"}};
    char text[WORDS_SPAN];

    for (size_t i = 0; i < COUNT_OF(cores); i++) {
        words_cores(cores[i].milli, text);
        cr_expect_str_eq(text, cores[i].want, "%lld: %s", (long long)cores[i].milli, text);
    }
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        words_span(spans[i].ms, text);
        cr_expect_str_eq(text, spans[i].want, "%lld: %s", (long long)spans[i].ms, text);
    }
    words_count(2583, text);
    cr_expect_str_eq(text, "2,583");
    words_count(1000000, text);
    cr_expect_str_eq(text, "1,000,000");
    words_time(INT64_C(1790606241000), text);
    cr_expect_str_eq(text, "14:37:21");
}

static struct top_view status(int64_t paid, int64_t filler, int64_t yields)
{
    struct top_view v = {.has_status = true, .boot = 5, .n_fillers = 1};

    v.cpu = (struct top_cpu){.allocatable = 100000, .paid = paid, .filler = filler};
    v.fillers[0].yields = yields;
    return v;
}

/* 2027 or so, on a second. */
#define START_MS INT64_C(1800000000000)

Test(top_run, sums_what_held_until_the_next_status)
{
    static struct run r;
    struct strbuf out;
    struct top_view v = status(40000, 0, 7);

    run_init(&r, 1000);
    for (int64_t t = 0; t < 100; t++) {
        v = status(40000, t < 50 ? 0 : 60000, t < 20 ? 7 : 9);
        v.arrived_total = 100 + t;
        v.blocked_total = 3 + (t > 30);
        run_status(&r, &v, START_MS + t * 1000);
    }
    run_status(&r, &v, START_MS + 1000000); /* after a long silence */
    cr_expect_eq(r.yields, 2);
    cr_expect_eq(r.arrivals, 99);
    cr_expect_eq(r.waits, 1);
    cr_expect_eq(r.known_ms, 99000);
    cr_expect_float_eq(r.paid / r.offered, 0.4, 1e-9);
    cr_expect_float_eq(r.filler / r.offered, 0.6 * 49 / 99, 1e-9);
    strbuf_init(&out, 4096);
    run_report(&r, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), "utilisation, paid alone        40.0 %"), "%s",
                       strbuf_str(&out));
    cr_expect_not_null(strstr(strbuf_str(&out), "16 min 40 s, 15 min 1 s of it without news"), "%s",
                       strbuf_str(&out));
    strbuf_done(&out);
}

Test(top_run, counts_on_over_a_restart_of_the_agent)
{
    static struct run r;
    struct top_view v = status(0, 0, 50);

    run_init(&r, 1000);
    run_status(&r, &v, START_MS);
    v.fillers[0].yields = 52;
    run_status(&r, &v, START_MS + 1000);
    v.boot = 6;
    v.fillers[0].yields = 1;
    run_status(&r, &v, START_MS + 2000);
    cr_expect_eq(r.yields, 3);
}

Test(top_run, counts_a_reversal_whenever_filler_turns_around)
{
    static const int64_t moves[][2] = {{0, 10}, {10, 20}, {20, 20}, {20, 5}, {5, 9}, {9, 12}};
    static struct run r;
    struct top_view *v = calloc(1, sizeof *v);

    run_init(&r, 1000);
    r.started_ms = START_MS;
    for (size_t i = 0; i < COUNT_OF(moves); i++) {
        memmove(v->decisions + 1, v->decisions, v->n_decisions * sizeof *v->decisions);
        v->n_decisions++;
        v->decisions[0] = (struct top_decision){
            .id = i + 1, .t = START_MS + (int64_t)i, .from = moves[i][0], .to = moves[i][1]};
        run_decisions(&r, v);
        run_decisions(&r, v);
    }
    cr_expect_eq(r.reversals, 2);
    free(v);
}

Test(top_run, keeps_seconds_and_knows_what_it_missed)
{
    static struct run r;
    const struct top_view v = status(1000, 0, 0);
    const int64_t s = START_MS / 1000;

    run_init(&r, 1000);
    run_status(&r, &v, START_MS);
    cr_expect_not_null(run_at(&r, s, 1));
    cr_expect_not_null(run_at(&r, s + 5, 1), "it holds for a while");
    cr_expect_null(run_at(&r, s + 6, 1));
    cr_expect_null(run_at(&r, s - 10, 10));
    cr_expect_not_null(run_at(&r, s - 10, 11));
    cr_expect_null(run_at(&r, s + RUN_SAMPLES, 1), "the ring has come round");
}

Test(top_plain, says_each_change_once)
{
    struct top_view *v = calloc(1, sizeof *v);
    struct screen s = {.view = v, .now_ms = START_MS, .answered_ms = START_MS};
    struct plain p = {0};
    struct strbuf out;

    *v = status(74000, 20000, 0);
    v->n_decisions = 1;
    v->decisions[0] = (struct top_decision){.id = 4};
    strbuf_init(&out, 1 << 20);
    plain_add(&p, &s, &out);
    cr_expect_not_null(strstr(strbuf_str(&out), "94 of 100 cores at work"));
    strbuf_clear(&out);
    plain_add(&p, &s, &out);
    cr_expect_eq(out.len, 0);
    v->decisions[0] = (struct top_decision){.id = 5,
                                            .t = INT64_C(1790606241000),
                                            .from = 110,
                                            .to = 78,
                                            .policy = "miner",
                                            .reason = "yield",
                                            .detail = "yield 110 -> 78: 78 fit; bound by fit"};
    plain_add(&p, &s, &out);
    cr_expect_str_eq(strbuf_str(&out), "14:37:21 yield miner 110 -> 78: 78 fit; bound by fit; "
                                       "paid 74 filler 20 free 6 waiting 0\n");
    strbuf_clear(&out);
    (void)snprintf(s.trouble, sizeof s.trouble, "refused");
    plain_add(&p, &s, &out);
    plain_add(&p, &s, &out);
    s.trouble[0] = '\0';
    plain_add(&p, &s, &out);
    cr_expect_str_eq(strbuf_str(&out), "08:00:00 agent does not answer: refused\n"
                                       "08:00:00 agent answers\n");
    strbuf_done(&out);
    free(v);
}

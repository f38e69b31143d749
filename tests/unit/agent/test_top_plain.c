#include "agent/top/plain.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define NOW_MS INT64_C(1789999200000) /* 14:00:00 */

struct pipe_view {
    struct top_view view;
    struct screen screen;
    struct plain plain;
    struct strbuf out;
};

static void begin(struct pipe_view *p)
{
    *p = (struct pipe_view){.view = {.has_status = true, .boot = 1, .state = "steady"}};
    p->view.cpu = (struct top_cpu){184000, 74000, 0, 78000, 0, 0, 32000};
    p->screen = (struct screen){.view = &p->view, .now_ms = NOW_MS, .answered_ms = NOW_MS};
    strbuf_init(&p->out, 1 << 16);
    plain_add(&p->plain, &p->screen, &p->out);
    cr_assert_neq(p->out.len, 0, "the picture");
}

static void decided(struct pipe_view *p, const char *policy, const char *reason, int64_t from,
                    int64_t to)
{
    struct top_view *v = &p->view;
    struct top_decision *d = &v->decisions[0];

    memmove(d + 1, d, v->n_decisions++ * sizeof *d);
    *d = (struct top_decision){.id = v->n_decisions, .t = p->screen.now_ms, .from = from, .to = to};
    (void)snprintf(d->policy, sizeof d->policy, "%s", policy);
    (void)snprintf(d->reason, sizeof d->reason, "%s", reason);
    (void)snprintf(d->detail, sizeof d->detail, "%s: because", reason);
}

/* What is added after so many seconds. */
static const char *after(struct pipe_view *p, int64_t seconds)
{
    p->screen.now_ms += seconds * 1000;
    strbuf_clear(&p->out);
    plain_add(&p->plain, &p->screen, &p->out);
    return strbuf_str(&p->out);
}

Test(top_plain, tells_changes_alone_and_a_line_a_minute)
{
    static struct pipe_view p;

    begin(&p);
    cr_assert_str_eq(after(&p, 1), "");
    for (int i = 0; i < 10; i++) {
        decided(&p, "miner", i % 2 == 0 ? "hold" : "steady", 134, 134);
        cr_assert_str_eq(after(&p, 1), "", "round %d", i);
    }
    decided(&p, "miner", "yield", 134, 110);
    cr_assert_str_eq(
        after(&p, 1),
        "14:00:11 yield miner 134 -> 110: because; paid 74 filler 78 free 32 waiting 0\n");
    cr_assert_str_eq(after(&p, 59), "");
    cr_assert_str_eq(after(&p, 1), "14:01:12 steady; paid 74 filler 78 free 32 waiting 0\n");
    cr_assert_str_eq(after(&p, 59), "");
    cr_assert_str_eq(after(&p, 1), "14:02:12 steady; paid 74 filler 78 free 32 waiting 0\n");
    strbuf_done(&p.out);
}

Test(top_plain, tells_when_filler_is_not_scaled_as_usual_and_when_it_is_again)
{
    static const struct {
        const char *policy, *reason;
        bool told;
    } rows[] = {
        {"miner", "stale", true},    {"miner", "stale", false},  {"render", "steady", false},
        {"render", "paused", true},  {"miner", "hold", true},    {"miner", "steady", false},
        {"render", "paused", false}, {"render", "steady", true},
    };
    static struct pipe_view p;

    begin(&p);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        decided(&p, rows[i].policy, rows[i].reason, 5, 5);
        cr_assert_eq(after(&p, 1)[0] != '\0', rows[i].told, "row %zu: %s", i, strbuf_str(&p.out));
    }
    strbuf_done(&p.out);
}

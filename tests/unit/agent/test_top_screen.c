#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/top/answers.h"
#include "agent/top/screen.h"
#include "base/alloc.h"

/* 14:37:21 on some day. */
#define NOW_MS INT64_C(1790606241000)

struct scene {
    struct top_view view;
    struct run run;
    struct screen screen;
};

static void decide(struct top_view *v, int64_t from, int64_t to, const char *reason, int64_t ago_ms)
{
    struct top_decision *d;

    memmove(v->decisions + 1, v->decisions, v->n_decisions * sizeof *v->decisions);
    v->n_decisions++;
    d = &v->decisions[0];
    *d = (struct top_decision){.id = v->n_decisions, .t = NOW_MS - ago_ms, .from = from, .to = to};
    answers_plain(d->policy, sizeof d->policy, SV("miner"));
    answers_plain(d->reason, sizeof d->reason, sv_from(reason));
    (void)snprintf(d->detail, sizeof d->detail, "%s %d -> %d: 110 fit, 32 kept free; bound by %s",
                   reason, (int)from, (int)to, "headroom");
}

static void usual(struct scene *s)
{
    struct top_view *v = &s->view;
    struct top_filler *f = &v->fillers[0];

    v->has_status = true;
    v->t = NOW_MS - 400;
    v->boot = NOW_MS - 3 * INT64_C(86400000);
    (void)snprintf(v->state, sizeof v->state, "hold");
    (void)snprintf(v->doing, sizeof v->doing, "Waiting for room to settle");
    v->nodes = v->eligible_nodes = 6;
    v->cpu = (struct top_cpu){184000, 74000, 0, 78000, 32000, 0, 32000};
    v->day_from = NOW_MS - INT64_C(24) * 3600 * 1000 - 400;
    v->day_paid = 1083;
    v->day_blocked = 2;
    v->day_core_hours = 2583000;
    v->n_fillers = 1;
    v->fillers_total = 1;
    *f = (struct top_filler){.policy = "miner",
                             .state = "hold",
                             .bound = "headroom",
                             .wanted = 78,
                             .running = 78,
                             .leaving = 32,
                             .fit = 110,
                             .kept = 32,
                             .damped = 78,
                             .max = 150,
                             .slot = 1000,
                             .earliest_up_t = NOW_MS + 24000};
    decide(v, 107, 134, "harvest", 704000);
    decide(v, 134, 134, "hold", 401000);
    decide(v, 126, 110, "yield", 66000);
    decide(v, 110, 78, "yield", 6000);
}

/* A minute in which paid load came and went, with a gap. */
static void history(struct scene *s)
{
    for (int64_t t = 60; t >= 0; t--) {
        struct top_view v = s->view;

        if (t > 20 && t < 30)
            continue;
        v.cpu.paid = t > 40 || t < 10 ? 74000 : 42000;
        v.cpu.leaving = t < 4 ? 32000 : 0;
        v.cpu.filler = t > 40 ? 78000 : t < 10 ? 78000 : 110000;
        run_status(&s->run, &v, NOW_MS - 400 - t * 1000);
    }
    s->screen.run = &s->run;
}

static void nodes(struct scene *s, int n)
{
    struct top_view *v = &s->view;

    for (int i = 0; i < n; i++) {
        struct top_node node = {.allocatable = i % 2 != 0 ? 32000 : 24000,
                                .paid = 9000,
                                .filler = 11000,
                                .leaving = i == 0 ? 4000 : 0,
                                .free = i % 2 != 0 ? 12000 : 4000,
                                .cordoned = i == 3};

        (void)snprintf(node.name, sizeof node.name, "n%03d", i);
        VEC_PUSH(v->node, v->n_nodes, v->cap_nodes, node);
    }
    v->has_nodes = true;
}

static struct scene *scene(const char *name)
{
    struct scene *s = xcalloc(1, sizeof *s);

    run_init(&s->run, 1000);
    s->screen = (struct screen){.view = &s->view,
                                .now_ms = NOW_MS,
                                .answered_ms = NOW_MS - 400,
                                .agent = "http://127.0.0.1:8090",
                                .keys = true};
    if (strcmp(name, "unanswered") == 0) {
        s->screen.answered_ms = 0;
        (void)snprintf(s->screen.trouble, sizeof s->screen.trouble, "connection refused");
        return s;
    }
    usual(s);
    if (strcmp(name, "usual") == 0)
        history(s);
    nodes(s, 6);
    if (strcmp(name, "waiting") == 0) {
        s->view.waiting_pods = 2;
        s->view.cpu.waiting = 16000;
        s->view.fillers[0].fit = 94;
    } else if (strcmp(name, "stale") == 0) {
        (void)snprintf(s->view.state, sizeof s->view.state, "stale");
        (void)snprintf(s->view.fillers[0].state, TOP_NAME, "stale");
        s->view.watch_ms = 74000;
    } else if (strcmp(name, "away") == 0) {
        s->screen.answered_ms = NOW_MS - 12000;
        (void)snprintf(s->screen.trouble, sizeof s->screen.trouble, "connection refused");
    } else if (strcmp(name, "no target") == 0) {
        s->view.n_decisions = 0;
        s->view.fillers[0].wanted = s->view.fillers[0].running = TOP_UNKNOWN;
        (void)snprintf(s->view.fillers[0].trouble, TOP_TEXT,
                       "Deployment filler/miner does not exist");
    } else if (strcmp(name, "first minutes") == 0) {
        s->view.boot = s->view.t - 40000;
        s->view.day_from = s->view.boot;
        s->view.day_paid = s->view.day_blocked = s->view.day_core_hours = 0;
        s->view.n_decisions = 0;
    } else if (strcmp(name, "no policy") == 0) {
        s->view.n_fillers = 0;
        s->view.n_decisions = 0;
        s->view.cpu.allocatable = s->view.cpu.paid = TOP_UNKNOWN;
        (void)snprintf(s->view.doing, TOP_TEXT, "No filler yet: there is no policy");
    } else if (strcmp(name, "large pods") == 0) {
        s->view.fillers[0].slot = 4000;
        s->view.fillers[0].fit = 27;
        s->view.fillers[0].kept = 8;
    } else if (strcmp(name, "gated") == 0) {
        s->view.fillers[0].running = 60;
        s->view.fillers[0].gated = 18;
        (void)snprintf(s->view.fillers[0].state, TOP_NAME, "yield");
        (void)snprintf(s->view.fillers[0].note, TOP_TEXT,
                       "headroom.max is 30 cores, paid pods needed 32");
        (void)snprintf(s->view.decisions[0].detail, TOP_TEXT,
                       "yield 110 -> 78: 110 fit, 32 kept free; bound by headroom (surge, "
                       "32 cores); more than 0.5 %% of the paid pods needed more");
        decide(&s->view, 78, 78, "steady", 5000);
    } else if (strcmp(name, "help") == 0) {
        s->screen.page = SCREEN_HELP;
    } else if (strcmp(name, "nodes") == 0) {
        nodes(s, 40);
        s->screen.page = SCREEN_NODES;
    }
    return s;
}

static void scene_free(struct scene *s)
{
    answers_done(&s->view);
    free(s);
}

static void frame(const struct scene *s, int cols, int rows, struct strbuf *out)
{
    const struct canvas_style plain = {0};
    struct canvas c;

    canvas_init(&c, cols, rows);
    screen_draw(&s->screen, &c);
    canvas_write(&c, &plain, out);
    canvas_done(&c);
}

/* Never wider than the terminal, never more lines; printable ASCII alone. */
static void check(struct sv text, int cols, int rows, const char *name)
{
    struct sv line;
    int n = 0;

    cr_assert(text.len == 0 || text.at[text.len - 1] == '\n', "%s", name);
    while (sv_next(&text, '\n', &line)) {
        n++;
        cr_assert(line.len <= (size_t)cols, "%s %dx%d: line %d has %zu columns", name, cols, rows,
                  n, line.len);
        for (size_t i = 0; i < line.len; i++)
            cr_assert(line.at[i] >= ' ' && line.at[i] <= '~', "%s: byte %d", name, line.at[i]);
    }
    cr_assert(n <= rows, "%s %dx%d: %d lines", name, cols, rows, n);
}

static const char *const scenes[] = {"usual",      "unanswered", "waiting",       "stale",
                                     "away",       "no target",  "first minutes", "no policy",
                                     "large pods", "gated",      "help",          "nodes"};

static void compare(const char *name, int cols, int rows)
{
    struct scene *s = scene(name);
    struct strbuf got;
    char path[400], want[64 << 10] = "";
    FILE *f;

    strbuf_init(&got, CANVAS_MAX_BYTES);
    frame(s, cols, rows, &got);
    check(strbuf_sv(&got), cols, rows, name);
    (void)snprintf(path, sizeof path, BRIM_SOURCE_ROOT "/tests/data/top/%dx%d %s.txt", cols, rows,
                   name);
    f = fopen(path, getenv("BRIM_WRITE_FRAMES") != NULL ? "w+" : "r");
    cr_assert_not_null(f, "%s", path);
    if (getenv("BRIM_WRITE_FRAMES") != NULL)
        (void)fwrite(strbuf_str(&got), 1, got.len, f);
    else
        want[fread(want, 1, sizeof want - 1, f)] = '\0';
    (void)fclose(f);
    if (getenv("BRIM_WRITE_FRAMES") == NULL)
        cr_expect_str_eq(strbuf_str(&got), want, "%s:\n%s", path, strbuf_str(&got));
    strbuf_done(&got);
    scene_free(s);
}

/* The frames are kept as text; BRIM_WRITE_FRAMES=1 writes them anew, for looking at the change. */
Test(top_screen, draws_each_state_as_it_is_kept)
{
    for (size_t i = 0; i < COUNT_OF(scenes); i++)
        compare(scenes[i], 80, 24);
}

Test(top_screen, takes_the_room_it_gets)
{
    static const struct {
        int cols, rows;
    } sizes[] = {{150, 40}, {100, 45}, {60, 12}, {59, 12}, {40, 8}};

    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        compare("usual", sizes[i].cols, sizes[i].rows);
}

Test(top_screen, never_leaves_the_terminal_whatever_its_size)
{
    for (size_t i = 0; i < COUNT_OF(scenes); i++) {
        struct scene *s = scene(scenes[i]);

        for (int cols = 1; cols < 260; cols += cols < 90 ? 1 : 13) {
            for (int rows = 1; rows < 60; rows += rows < 26 ? 1 : 7) {
                struct strbuf got;

                strbuf_init(&got, CANVAS_MAX_BYTES);
                frame(s, cols, rows, &got);
                check(strbuf_sv(&got), cols, rows, scenes[i]);
                strbuf_done(&got);
            }
        }
        scene_free(s);
    }
}

Test(top_screen, survives_figures_that_make_no_sense)
{
    struct scene *s = scene("usual");
    const int64_t bad[] = {INT64_C(1) << 62, TOP_UNKNOWN, 0};

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct strbuf got;

        s->view.cpu.paid = bad[i];
        s->view.cpu.allocatable = bad[(i + 1) % 3] / 4;
        s->view.fillers[0].earliest_up_t = bad[i];
        s->view.decisions[0].t = bad[i];
        s->view.node[0].allocatable = bad[i];
        strbuf_init(&got, CANVAS_MAX_BYTES);
        frame(s, 150, 45, &got);
        check(strbuf_sv(&got), 150, 45, "bad figures");
        strbuf_done(&got);
    }
    scene_free(s);
}

Test(top_screen, writes_colours_that_only_repeat_the_signs)
{
    const struct canvas_style colours = {.colour = true, .terminal = true}, plain = {0};
    struct scene *s = scene("usual");
    struct strbuf with, without;
    struct canvas c;

    canvas_init(&c, 80, 24);
    screen_draw(&s->screen, &c);
    strbuf_init(&with, CANVAS_MAX_BYTES);
    strbuf_init(&without, CANVAS_MAX_BYTES);
    canvas_write(&c, &colours, &with);
    canvas_write(&c, &plain, &without);
    cr_expect_not_null(strstr(strbuf_str(&with), "\033[0;34m#"));
    cr_expect_null(strstr(strbuf_str(&without), "\033"));
    cr_expect_eq(strstr(strbuf_str(&with), "\033[H"), strbuf_str(&with));
    cr_expect_null(strstr(strbuf_str(&with), "\033[2J"), "clearing all of it would flicker");
    strbuf_done(&without);
    strbuf_done(&with);
    canvas_done(&c);
    scene_free(s);
}

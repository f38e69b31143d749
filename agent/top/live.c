#include "agent/top/live.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/cmd.h"
#include "agent/top/answers.h"
#include "agent/top/plain.h"
#include "agent/top/screen.h"
#include "agent/top/term.h"

struct live {
    struct ask *ask;
    const struct live_options *options;
    struct loop *loop;
    struct screen screen;
    struct canvas canvas;
    struct canvas_style style;
    struct term term;
    struct strbuf frame;
    struct mono drawn;
    bool terminal, go_on, failed;
    struct plain plain;
    struct loop_timer *tick, *redraw, *end;
    struct loop_io *keys;
    struct loop_signal *on_int, *on_term, *on_hup, *on_size;
    struct err err;
};

static void fail(struct live *l)
{
    l->failed = true;
    loop_stop(l->loop);
}

/* What changes from frame to frame, apart from the view. */
static void bring_up(struct live *l)
{
    struct screen *s = &l->screen;

    if (s->paused)
        return;
    s->now_ms = loop_wall(l->loop).us / US_PER_MS;
    s->answered_ms = l->ask->answered_ms;
    answers_plain(s->trouble, sizeof s->trouble, sv_from(l->ask->trouble.text));
}

static void draw(struct live *l)
{
    int64_t since = mono_since_us(l->drawn, loop_now(l->loop));

    if (since < LIVE_FRAME_US) {
        loop_timer_set(l->redraw, LIVE_FRAME_US - since);
        return;
    }
    l->drawn = loop_now(l->loop);
    loop_timer_set(l->redraw, LIVE_REDRAW_US);
    bring_up(l);
    screen_draw(&l->screen, &l->canvas);
    strbuf_clear(&l->frame);
    canvas_write(&l->canvas, &l->style, &l->frame);
    if (!term_write(STDOUT_FILENO, strbuf_sv(&l->frame), &l->err))
        fail(l);
}

static void redraw(void *self)
{
    draw(self);
}

static void resized(void *self)
{
    struct live *l = self;
    int cols, rows;

    term_size(STDOUT_FILENO, &cols, &rows);
    canvas_resize(&l->canvas, cols, rows);
    draw(l);
}

static void tick(void *self)
{
    struct live *l = self;

    loop_timer_set(l->tick, l->options->interval_us);
    if (l->screen.paused)
        return;
    l->ask->nodes = l->terminal && screen_wants_nodes(&l->screen, l->canvas.cols, l->canvas.rows);
    ask_round(l->ask);
}

/* Nothing but lines: the first picture once there is one, then what changed. */
static void print_lines(struct live *l)
{
    bool first = !l->plain.begun;

    bring_up(l);
    if (first && !l->go_on && l->ask->answered_ms == 0) {
        l->err = l->ask->trouble;
        fail(l);
        return;
    }
    plain_add(&l->plain, &l->screen, &l->frame);
    if (cmd_print(&l->frame) != 0) {
        (void)err_set(&l->err, ERR_SYSTEM, 0, "the output cannot be written");
        fail(l);
    } else if (!l->go_on) {
        loop_stop(l->loop);
    }
}

static void round_over(void *self)
{
    struct live *l = self;

    if (l->terminal)
        draw(l);
    else
        print_lines(l);
}

static void stop(void *self)
{
    struct live *l = self;

    loop_stop(l->loop);
}

static void longer(struct live *l, int by)
{
    int step = l->screen.step + by;

    l->screen.step = step < 0 ? 0 : step < SCREEN_STEPS ? step : SCREEN_STEPS - 1;
}

static void obey(struct live *l, char key)
{
    static const struct {
        char key;
        enum screen_page page;
    } pages[] = {
        {'f', SCREEN_MAIN}, {'n', SCREEN_NODES}, {'d', SCREEN_DECISIONS}, {'?', SCREEN_HELP}};

    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        if (key == pages[i].key)
            l->screen.page = l->screen.page == pages[i].page ? SCREEN_MAIN : pages[i].page;
    }
    if (key == 'q')
        loop_stop(l->loop);
    else if (key == 'p')
        l->screen.paused = !l->screen.paused;
    else if (key == '+')
        longer(l, 1);
    else if (key == '-')
        longer(l, -1);
}

static void keys_came(void *self, int fd, bool readable, bool writable)
{
    struct live *l = self;
    char keys[64];
    ssize_t n = read(fd, keys, sizeof keys);

    (void)readable;
    (void)writable;
    if (n <= 0) { /* nobody types any more */
        loop_io_set(l->keys, false, false);
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        obey(l, keys[i]);
    if (screen_wants_nodes(&l->screen, l->canvas.cols, l->canvas.rows) && !l->ask->nodes)
        tick(l);
    draw(l);
}

static void build(struct live *l)
{
    l->loop = l->ask->api->loop;
    l->screen = (struct screen){.view = l->ask->view, .keys = l->terminal};
    answers_plain(l->screen.agent, sizeof l->screen.agent, sv_from(l->options->agent));
    l->style = (struct canvas_style){.colour = l->terminal && term_has_colour(),
                                     .utf8 = l->terminal && term_is_utf8(),
                                     .terminal = l->terminal};
    strbuf_init(&l->frame, CANVAS_MAX_BYTES);
    l->drawn.us = loop_now(l->loop).us - LIVE_FRAME_US;
    l->tick = loop_timer_new(l->loop, tick, l);
    l->redraw = loop_timer_new(l->loop, redraw, l);
    l->end = loop_timer_new(l->loop, stop, l);
    l->on_int = loop_signal_new(l->loop, SIGINT, stop, l);
    l->on_term = loop_signal_new(l->loop, SIGTERM, stop, l);
    l->on_hup = loop_signal_new(l->loop, SIGHUP, stop, l);
    l->ask->round_over = round_over;
    l->ask->self = l;
    if (l->options->for_us != 0)
        loop_timer_set(l->end, l->options->for_us);
}

static bool take_apart(struct live *l, struct err *err)
{
    ask_cancel(l->ask);
    loop_io_free(l->keys);
    loop_signal_free(l->on_size);
    loop_signal_free(l->on_hup);
    loop_signal_free(l->on_term);
    loop_signal_free(l->on_int);
    loop_timer_free(l->end);
    loop_timer_free(l->redraw);
    loop_timer_free(l->tick);
    canvas_done(&l->canvas);
    strbuf_done(&l->frame);
    return !l->failed || err_set(err, l->err.kind, l->err.code, "%s", l->err.text);
}

bool live_run(struct ask *ask, const struct live_options *options, struct err *err)
{
    struct live l = {.ask = ask, .options = options, .terminal = true};
    int cols, rows;

    build(&l);
    l.screen.run = ask->run;
    term_size(STDOUT_FILENO, &cols, &rows);
    canvas_init(&l.canvas, cols, rows);
    if (term_hold(&l.term, STDIN_FILENO, STDOUT_FILENO, &l.err)) {
        l.on_size = loop_signal_new(l.loop, SIGWINCH, resized, &l);
        if (l.term.in >= 0) {
            l.keys = loop_io_new(l.loop, l.term.in, keys_came, &l);
            loop_io_set(l.keys, true, false);
        }
        draw(&l);
        tick(&l);
        loop_run(l.loop);
    } else {
        l.failed = true;
    }
    term_give_back(&l.term);
    return take_apart(&l, err);
}

bool live_lines(struct ask *ask, const struct live_options *options, bool go_on, struct err *err)
{
    struct live l = {.ask = ask, .options = options, .go_on = go_on};

    build(&l);
    canvas_init(&l.canvas, 80, 24);
    tick(&l);
    loop_run(l.loop);
    return take_apart(&l, err);
}

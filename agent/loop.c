#include "agent/loop.h"

#include <ev.h>

#include "base/alloc.h"

struct loop {
    struct ev_loop *ev;
    struct clock clock;
    struct mono now;
    ev_check after_poll;
    ev_prepare before_poll;
    loop_fn *begin, *turn;
    void *begin_self, *turn_self;
};

struct loop_timer {
    struct loop *loop;
    ev_timer ev;
    loop_fn *fn;
    void *self;
};

struct loop_io {
    struct loop *loop;
    ev_io ev;
    loop_io_fn *fn;
    void *self;
};

struct loop_signal {
    struct loop *loop;
    ev_signal ev;
    loop_fn *fn;
    void *self;
};

struct loop_wake {
    struct loop *loop;
    ev_async ev;
    loop_fn *fn;
    void *self;
};

static void after_poll(struct ev_loop *ev UNUSED, ev_check *w, int revents UNUSED)
{
    struct loop *l = w->data;

    l->now = l->clock.mono(l->clock.self);
    if (l->begin != NULL)
        l->begin(l->begin_self);
}

static void before_poll(struct ev_loop *ev UNUSED, ev_prepare *w, int revents UNUSED)
{
    struct loop *l = w->data;

    if (l->turn != NULL)
        l->turn(l->turn_self);
}

struct loop *loop_new(void)
{
    struct loop *l = xcalloc(1, sizeof *l);

    l->ev = ev_loop_new(EVFLAG_AUTO);
    if (l->ev == NULL) {
        free(l);
        return NULL;
    }
    l->clock = clock_system();
    l->now = l->clock.mono(l->clock.self);
    /* The check watcher runs first after polling, so that every callback of the turn sees the new
     * time. */
    ev_check_init(&l->after_poll, after_poll);
    ev_set_priority(&l->after_poll, EV_MAXPRI);
    l->after_poll.data = l;
    ev_check_start(l->ev, &l->after_poll);
    ev_unref(l->ev);
    ev_prepare_init(&l->before_poll, before_poll);
    l->before_poll.data = l;
    ev_prepare_start(l->ev, &l->before_poll);
    ev_unref(l->ev);
    return l;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    ev_ref(l->ev);
    ev_check_stop(l->ev, &l->after_poll);
    ev_ref(l->ev);
    ev_prepare_stop(l->ev, &l->before_poll);
    ev_loop_destroy(l->ev);
    free(l);
}

void loop_run(struct loop *l)
{
    (void)ev_run(l->ev, 0);
}

void loop_stop(struct loop *l)
{
    ev_break(l->ev, EVBREAK_ALL);
}

struct mono loop_now(const struct loop *l)
{
    return l->now;
}

struct wall loop_wall(const struct loop *l)
{
    return l->clock.wall(l->clock.self);
}

struct mono loop_fresh(const struct loop *l)
{
    return l->clock.mono(l->clock.self);
}

void loop_at_begin(struct loop *l, loop_fn *fn, void *self)
{
    l->begin = fn;
    l->begin_self = self;
}

void loop_at_turn(struct loop *l, loop_fn *fn, void *self)
{
    l->turn = fn;
    l->turn_self = self;
}

static void timer_fired(struct ev_loop *ev UNUSED, ev_timer *w, int revents UNUSED)
{
    struct loop_timer *t = w->data;

    t->fn(t->self);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *self)
{
    struct loop_timer *t = xcalloc(1, sizeof *t);

    *t = (struct loop_timer){.loop = l, .fn = fn, .self = self};
    ev_timer_init(&t->ev, timer_fired, 0., 0.);
    t->ev.data = t;
    return t;
}

void loop_timer_set(struct loop_timer *t, int64_t delay_us)
{
    ev_timer_stop(t->loop->ev, &t->ev);
    /* libev counts from its own idea of now, which is the start of the turn: a long turn must not
     * make timers early. */
    ev_now_update(t->loop->ev);
    ev_timer_set(&t->ev, delay_us > 0 ? (double)delay_us / 1e6 : 0., 0.);
    ev_timer_start(t->loop->ev, &t->ev);
}

void loop_timer_stop(struct loop_timer *t)
{
    ev_timer_stop(t->loop->ev, &t->ev);
}

bool loop_timer_pending(const struct loop_timer *t)
{
    return ev_is_active(&t->ev);
}

void loop_timer_free(struct loop_timer *t)
{
    if (t == NULL)
        return;
    ev_timer_stop(t->loop->ev, &t->ev);
    free(t);
}

static void io_ready(struct ev_loop *ev UNUSED, ev_io *w, int revents)
{
    struct loop_io *io = w->data;

    io->fn(io->self, w->fd, (revents & EV_READ) != 0, (revents & EV_WRITE) != 0);
}

struct loop_io *loop_io_new(struct loop *l, int fd, loop_io_fn *fn, void *self)
{
    struct loop_io *io = xcalloc(1, sizeof *io);

    *io = (struct loop_io){.loop = l, .fn = fn, .self = self};
    ev_io_init(&io->ev, io_ready, fd, 0);
    io->ev.data = io;
    return io;
}

void loop_io_set(struct loop_io *io, bool read, bool write)
{
    int events = (read ? EV_READ : 0) | (write ? EV_WRITE : 0);

    ev_io_stop(io->loop->ev, &io->ev);
    if (events == 0)
        return;
    ev_io_set(&io->ev, io->ev.fd, events);
    ev_io_start(io->loop->ev, &io->ev);
}

void loop_io_free(struct loop_io *io)
{
    if (io == NULL)
        return;
    ev_io_stop(io->loop->ev, &io->ev);
    free(io);
}

static void signal_came(struct ev_loop *ev UNUSED, ev_signal *w, int revents UNUSED)
{
    struct loop_signal *s = w->data;

    s->fn(s->self);
}

struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_fn *fn, void *self)
{
    struct loop_signal *s = xcalloc(1, sizeof *s);

    *s = (struct loop_signal){.loop = l, .fn = fn, .self = self};
    ev_signal_init(&s->ev, signal_came, signo);
    s->ev.data = s;
    ev_signal_start(l->ev, &s->ev);
    return s;
}

void loop_signal_free(struct loop_signal *s)
{
    if (s == NULL)
        return;
    ev_signal_stop(s->loop->ev, &s->ev);
    free(s);
}

static void wake_rang(struct ev_loop *ev UNUSED, ev_async *w, int revents UNUSED)
{
    struct loop_wake *wake = w->data;

    wake->fn(wake->self);
}

struct loop_wake *loop_wake_new(struct loop *l, loop_fn *fn, void *self)
{
    struct loop_wake *w = xcalloc(1, sizeof *w);

    *w = (struct loop_wake){.loop = l, .fn = fn, .self = self};
    ev_async_init(&w->ev, wake_rang);
    w->ev.data = w;
    ev_async_start(l->ev, &w->ev);
    return w;
}

void loop_wake_ring(struct loop_wake *w)
{
    ev_async_send(w->loop->ev, &w->ev);
}

void loop_wake_free(struct loop_wake *w)
{
    if (w == NULL)
        return;
    ev_async_stop(w->loop->ev, &w->ev);
    free(w);
}

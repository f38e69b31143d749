#include "tests/unit/agent/fake_machine.h"

#include <criterion/criterion.h>
#include <poll.h>

#include "agent/kube/transport.h"
#include "agent/loop.h"
#include "agent/secure.h"
#include "agent/serve/httpd.h"
#include "base/alloc.h"
#include "base/num.h"

struct loop {
    struct fake_machine *machine;
    struct timers timers;
    loop_fn *begin, *turn;
    void *begin_self, *turn_self;
    struct loop_io *ios;
    struct loop_signal *signals;
};

struct loop_timer {
    void *fake;
    bool pending;
    loop_fn *fn;
    void *self;
};

struct loop_io {
    struct loop *loop;
    struct loop_io *next;
    int fd;
    bool read, write;
    loop_io_fn *fn;
    void *self;
};

struct loop_signal {
    struct loop *loop;
    struct loop_signal *next;
    int signo;
    loop_fn *fn;
    void *self;
};

/* Made by the functions below, which are given none. */
static struct fake_machine *machine;

void fake_machine_use(struct fake_machine *m)
{
    machine = m;
}

void fake_machine_look(struct fake_machine *m)
{
    struct loop_io *next;

    for (struct loop_io *io = m->loop->ios; io != NULL; io = next) {
        struct pollfd now = {
            .fd = io->fd, .events = (short)((io->read ? POLLIN : 0) | (io->write ? POLLOUT : 0))};

        next = io->next;
        if (now.events != 0 && poll(&now, 1, 0) > 0)
            io->fn(io->self, io->fd, (now.revents & POLLIN) != 0, (now.revents & POLLOUT) != 0);
    }
}

void fake_machine_begin(struct fake_machine *m)
{
    if (m->loop->begin != NULL)
        m->loop->begin(m->loop->begin_self);
}

void fake_machine_turn(struct fake_machine *m)
{
    if (m->loop->turn != NULL)
        m->loop->turn(m->loop->turn_self);
}

void *fake_machine_turn_self(const struct fake_machine *m)
{
    return m->loop->turn_self;
}

void fake_machine_signal(struct fake_machine *m, int signo)
{
    for (struct loop_signal *s = m->loop->signals; s != NULL; s = s->next)
        if (s->signo == signo)
            s->fn(s->self);
}

/* ---- the loop ---- */

struct loop *loop_new(void)
{
    struct loop *l = xcalloc(1, sizeof *l);

    *l = (struct loop){.machine = machine, .timers = fake_timers(machine->fake)};
    machine->loop = l;
    return l;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    cr_assert(l->ios == NULL && l->signals == NULL, "a file or a signal is still waited for");
    l->machine->loop = NULL;
    free(l);
}

void loop_run(struct loop *l UNUSED)
{
    cr_assert_fail("tests let time pass themselves");
}

void loop_stop(struct loop *l)
{
    l->machine->stopped = true;
}

struct mono loop_now(const struct loop *l)
{
    return l->machine->fake->now;
}

struct wall loop_wall(const struct loop *l)
{
    return l->machine->fake->wall;
}

struct mono loop_fresh(const struct loop *l)
{
    return l->machine->fake->now;
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

static void timer_fired(void *self)
{
    struct loop_timer *t = self;

    t->pending = false;
    t->fn(t->self);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *self)
{
    struct loop_timer *t = xcalloc(1, sizeof *t);

    *t = (struct loop_timer){
        .fake = l->timers.timer_new(l->timers.self, timer_fired, t), .fn = fn, .self = self};
    return t;
}

void loop_timer_set(struct loop_timer *t, int64_t delay_us)
{
    t->pending = true;
    machine->loop->timers.timer_set(t->fake, max_i64(delay_us, 0));
}

void loop_timer_stop(struct loop_timer *t)
{
    t->pending = false;
    machine->loop->timers.timer_stop(t->fake);
}

bool loop_timer_pending(const struct loop_timer *t)
{
    return t->pending;
}

void loop_timer_free(struct loop_timer *t)
{
    if (t == NULL)
        return;
    machine->loop->timers.timer_free(t->fake);
    free(t);
}

struct loop_io *loop_io_new(struct loop *l, int fd, loop_io_fn *fn, void *self)
{
    struct loop_io *io = xcalloc(1, sizeof *io);

    *io = (struct loop_io){.loop = l, .next = l->ios, .fd = fd, .fn = fn, .self = self};
    l->ios = io;
    return io;
}

void loop_io_set(struct loop_io *io, bool read, bool write)
{
    io->read = read;
    io->write = write;
}

void loop_io_free(struct loop_io *io)
{
    struct loop_io **at;

    if (io == NULL)
        return;
    for (at = &io->loop->ios; *at != io;)
        at = &(*at)->next;
    *at = io->next;
    free(io);
}

struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_fn *fn, void *self)
{
    struct loop_signal *s = xcalloc(1, sizeof *s);

    *s =
        (struct loop_signal){.loop = l, .next = l->signals, .signo = signo, .fn = fn, .self = self};
    l->signals = s;
    return s;
}

void loop_signal_free(struct loop_signal *s)
{
    struct loop_signal **at;

    if (s == NULL)
        return;
    for (at = &s->loop->signals; *at != s;)
        at = &(*at)->next;
    *at = s->next;
    free(s);
}

/* A bell that is rung here is heard at once: there is no other thread. */
struct loop_wake {
    loop_fn *fn;
    void *self;
};

struct loop_wake *loop_wake_new(struct loop *l UNUSED, loop_fn *fn, void *self)
{
    struct loop_wake *w = xcalloc(1, sizeof *w);

    *w = (struct loop_wake){fn, self};
    return w;
}

void loop_wake_ring(struct loop_wake *w)
{
    w->fn(w->self);
}

void loop_wake_free(struct loop_wake *w)
{
    free(w);
}

/* ---- the network ---- */

bool transport_curl_new(struct loop *loop UNUSED, const struct kube_config *config UNUSED,
                        struct transport_curl **ret_t, struct err *err UNUSED)
{
    *ret_t = NULL;
    return true;
}

void transport_curl_free(struct transport_curl *t UNUSED)
{
}

struct transport transport_curl_transport(struct transport_curl *t UNUSED)
{
    return fake_transport(machine->fake);
}

/* ---- the server ---- */

bool httpd_start(const char *listen UNUSED, struct snapshot_slot *slot, struct clock clock UNUSED,
                 struct httpd **ret_httpd, struct err *err UNUSED)
{
    machine->slot = slot;
    *ret_httpd = NULL;
    return true;
}

bool secure_new(struct loop *loop UNUSED, struct httpd *httpd UNUSED,
                const struct secure_options *options UNUSED, struct secure **ret_secure,
                struct err *err UNUSED)
{
    *ret_secure = NULL;
    return true;
}

void secure_free(struct secure *s UNUSED)
{
}

/* Out of a history, which there is none of. */
bool httpd_serve_reports(struct httpd *h UNUSED, const char *program UNUSED, const char *db UNUSED,
                         struct err *err UNUSED)
{
    cr_assert_fail("reports, and no history");
    return false;
}

void httpd_serve_metrics(struct httpd *h UNUSED, unsigned groups UNUSED)
{
}

void httpd_stop(struct httpd *h UNUSED)
{
    machine->slot = NULL;
}

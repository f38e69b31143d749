#include "agent/policy_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/num.h"

struct policy_watch {
    struct loop *loop;
    struct policy_watch_options options;
    struct policy_watch_handler handler;
    char *path, *dir;
    int fd; /* of inotify; -1: none */
    int wd; /* of the directory, while it is watched */
    bool watching;
    struct loop_io *io; /* NULL: none */
    int gathering;      /* pauses that are still waited for behind an event; 0: none came */
    struct loop_timer *look, *hold;
    struct policy_texts good; /* the last good text */
    struct policy_set set;
    struct err broken; /* of kind ERR_NONE: nothing is */
};

enum {
    EVENTS = IN_CREATE | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO |
             IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF,
    EVENT_BYTES = 4096,
};

struct policy_watch_options policy_watch_options_default(const char *path)
{
    return (struct policy_watch_options){.path = path,
                                         .hold_us = POLICY_SET_HOLD_US,
                                         .poll_us = POLICY_WATCH_POLL_US,
                                         .quiet_us = POLICY_WATCH_QUIET_US};
}

/* Of a single file the directory it is in. */
static char *directory_of(const char *path)
{
    struct stat info;
    const char *slash = strrchr(path, '/');

    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return xstrdup(path);
    if (slash == NULL)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : sv_dup((struct sv){path, (size_t)(slash - path)});
}

static void set_hold_timer(struct policy_watch *w)
{
    struct mono wake;

    if (policy_set_wake(&w->set, w->options.hold_us, &wake))
        loop_timer_set(w->hold, max_i64(mono_since_us(loop_now(w->loop), wake), 0));
    else
        loop_timer_stop(w->hold);
}

static const struct policy_text *find_text(const struct policy_texts *texts, struct sv name)
{
    for (size_t i = 0; i < texts->len; i++) {
        if (sv_eq(sv_from(texts->at[i].name), name))
            return &texts->at[i];
    }
    return NULL;
}

/* Marks policies whose file had another text in `old`. */
static void mark_changed(struct policy_watch *w, const struct policy_texts *old)
{
    for (size_t i = 0; i < w->set.len; i++) {
        struct policy_set_entry *e = &w->set.at[i];
        const struct policy_text *now = find_text(&w->good, e->policy->where),
                                 *then = find_text(old, e->policy->where);

        e->changed = e->present && (now == NULL || then == NULL || now->len != then->len ||
                                    (now->len != 0 && memcmp(now->at, then->at, now->len) != 0));
    }
}

/* A list that is whole takes the place of the set; `old`: what the files had held before. */
static void take(struct policy_watch *w, struct policy_list *list, const struct policy_texts *old)
{
    struct policy_set before = w->set;

    w->set = policy_set_after(&before, list, w->options.hold_us, loop_now(w->loop));
    mark_changed(w, old);
    w->handler.changed(w->handler.self, &w->set, policy_watch_error(w));
    policy_set_done(&before);
    set_hold_timer(w);
}

static void report(struct policy_watch *w, const struct err *err)
{
    bool known = w->broken.kind == err->kind && strcmp(w->broken.text, err->text) == 0;

    w->broken = *err;
    if (!known)
        w->handler.broken(w->handler.self, err);
}

/* Whole texts that differ from the last ones, or are the first good ones after a broken set. */
static bool use(struct policy_watch *w, struct policy_texts *texts, struct err *err)
{
    struct policy_list list = {0};
    bool same = policy_texts_equal(texts, &w->good);
    CLEANUP(policy_texts_done) struct policy_texts old = {0};

    if (!policy_texts_read(texts, &list, err))
        return false;
    if (!policy_set_fits(&w->set, &list, w->options.hold_us, loop_now(w->loop), err)) {
        policy_list_done(&list);
        return err_wrap(err, "%s", w->path);
    }
    old = w->good;
    w->good = *texts;
    *texts = (struct policy_texts){0};
    w->broken = (struct err){0};
    take(w, &list, &old);
    if (!same)
        w->handler.keep(w->handler.self, &w->good);
    return true;
}

static void look(void *self)
{
    struct policy_watch *w = self;
    CLEANUP(policy_texts_done) struct policy_texts texts = {0};
    struct err err = {0};

    if (!policy_texts_load(w->path, &texts, &err)) {
        /* Somebody writes; there may be no event after the last byte that was read. */
        if (err.kind == ERR_CONFLICT)
            loop_timer_set(w->look, w->options.quiet_us);
        else
            report(w, &err);
        return;
    }
    if (w->broken.kind == ERR_NONE && policy_texts_equal(&texts, &w->good))
        return;
    if (!use(w, &texts, &err))
        report(w, &err);
}

/* Watches the directory, which may be another one by now. */
static bool watch(struct policy_watch *w)
{
    char *dir = directory_of(w->path);

    if (w->watching && strcmp(dir, w->dir) != 0) {
        (void)inotify_rm_watch(w->fd, w->wd);
        w->watching = false;
    }
    free(w->dir);
    w->dir = dir;
    if (!w->watching && w->fd >= 0) {
        w->wd = inotify_add_watch(w->fd, w->dir, EVENTS);
        w->watching = w->wd >= 0;
    }
    return w->watching;
}

static void set_poll_timer(struct policy_watch *w)
{
    if (!watch(w))
        loop_timer_set(w->look, w->options.poll_us);
}

/* Which event it was is looked at for one thing: whether the directory itself has gone, as it may
 * have where events were lost. */
static void take_event(struct policy_watch *w, const struct inotify_event *event)
{
    bool moved = (event->mask & IN_MOVE_SELF) != 0 && event->wd == w->wd;

    if (w->watching && (moved || (event->mask & IN_Q_OVERFLOW) != 0)) {
        (void)inotify_rm_watch(w->fd, w->wd);
        w->watching = false;
    }
    if ((event->mask & IN_IGNORED) != 0 && event->wd == w->wd)
        w->watching = false;
}

/* Takes the events that lie there now, and none that come meanwhile: somebody may write faster than
 * they are read. False: there was none. */
static bool take_events(struct policy_watch *w)
{
    char buffer[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    int there = 0;
    bool any = false;

    if (ioctl(w->fd, FIONREAD, &there) != 0)
        return false;
    while (there > 0) {
        ssize_t n = read(w->fd, buffer, sizeof buffer);

        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n;) {
            const struct inotify_event *event = (const void *)(buffer + i);

            take_event(w, event);
            i += (ssize_t)(sizeof *event + event->len);
        }
        there -= (int)n;
        any = true;
    }
    return any;
}

/* Something happened. Until it was looked at events are left to lie. */
static void on_events(void *self, int fd UNUSED, bool readable UNUSED, bool writable UNUSED)
{
    struct policy_watch *w = self;

    (void)take_events(w);
    loop_io_set(w->io, false, false);
    w->gathering = POLICY_WATCH_NOISY;
    loop_timer_set(w->look, w->options.quiet_us);
}

static void look_again(void *self)
{
    struct policy_watch *w = self;
    bool noisy = w->io != NULL && take_events(w);

    if (noisy && w->gathering > 1) {
        w->gathering--;
        loop_timer_set(w->look, w->options.quiet_us);
        return;
    }
    w->gathering = 0;
    if (w->io != NULL)
        loop_io_set(w->io, true, false);
    /* First watched, then read, so that nothing falls between. */
    set_poll_timer(w);
    look(w);
}

/* An entry was vanished for long enough: the same text makes a set without it. */
static void let_go(void *self)
{
    struct policy_watch *w = self;
    struct policy_list list = {0};

    if (policy_texts_read(&w->good, &list, NULL))
        take(w, &list, &w->good);
    else
        loop_timer_set(w->hold, w->options.poll_us); /* a time zone's file has gone, say */
    /* What was one too many may have room now. */
    if (w->broken.kind == ERR_LIMIT)
        look(w);
}

/* What the files hold, else what was stored. */
static void begin(struct policy_watch *w, const struct policy_texts *stored)
{
    struct policy_list list = {0};

    look_again(w);
    if (w->broken.kind == ERR_NONE || stored == NULL || stored->len == 0)
        return;
    if (!policy_texts_read(stored, &list, NULL))
        return;
    for (size_t i = 0; i < stored->len; i++)
        policy_texts_add(&w->good, sv_from(stored->at[i].name),
                         (struct sv){stored->at[i].at, stored->at[i].len});
    take(w, &list, &w->good);
}

struct policy_watch *policy_watch_new(struct loop *loop, const struct policy_watch_options *options,
                                      const struct policy_texts *stored,
                                      const struct policy_watch_handler *handler)
{
    struct policy_watch *w = xcalloc(1, sizeof *w);

    w->loop = loop;
    w->options = *options;
    w->handler = *handler;
    w->path = xstrdup(options->path);
    w->fd = options->poll ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->look = loop_timer_new(loop, look_again, w);
    w->hold = loop_timer_new(loop, let_go, w);
    if (w->fd >= 0)
        w->io = loop_io_new(loop, w->fd, on_events, w);
    begin(w, stored);
    return w;
}

void policy_watch_free(struct policy_watch *w)
{
    if (w == NULL)
        return;
    if (w->io != NULL)
        loop_io_free(w->io);
    loop_timer_free(w->hold);
    loop_timer_free(w->look);
    if (w->fd >= 0)
        (void)close(w->fd);
    policy_set_done(&w->set);
    policy_texts_done(&w->good);
    free(w->dir);
    free(w->path);
    free(w);
}

const struct policy_set *policy_watch_set(const struct policy_watch *w)
{
    return &w->set;
}

const struct err *policy_watch_error(const struct policy_watch *w)
{
    return w->broken.kind != ERR_NONE ? &w->broken : NULL;
}

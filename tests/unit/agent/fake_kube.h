/*
 * fake_kube: a transport and a clock that tests drive by hand. Nothing happens by itself: requests lie in `transfers`, the
 * newest last, until fake_reply() and kin answer them; time stands still until fake_advance().
 */
#ifndef BRIM_TESTS_FAKE_KUBE_H
#define BRIM_TESTS_FAKE_KUBE_H

#include "agent/kube/client.h"
#include "agent/kube/timers.h"
#include "agent/kube/transport.h"

struct fake_timer {
    struct fake *fake;
    struct fake_timer *next;
    void (*fn)(void *self);
    void *self;
    int64_t at_us; /* INT64_MAX: not set */
};

struct transfer {
    struct fake *fake;
    struct transfer *next;
    int number; /* of the start() call, from 1 */
    char *method, *path, *accept, *content_type, *body,
        *headers; /* headers: each line ends in \n */
    enum transport_channel channel;
    int64_t timeout_us;
    bool stream;
    bool answering; /* head was told */
    bool busy;      /* inside a callback: freed behind it */
    bool gone;
    struct transport_handler handler;
};

struct fake {
    struct mono now;
    struct wall wall;
    struct fake_timer *timers;
    struct transfer *transfers;
    int started;
    size_t piece; /* data comes in pieces of so many bytes; 0: whole */
};

void fake_init(struct fake *f);
/* Asserts that nobody left a request or timer behind. */
void fake_done(struct fake *f);
struct transport fake_transport(struct fake *f);
struct timers fake_timers(struct fake *f);

/* Turns the clock, firing timers at their times. */
void fake_advance(struct fake *f, int64_t us);
/* Turns the clock to the next timer and fires it; false if none is set. */
bool fake_next_timer(struct fake *f);

/* The oldest request that has no answer yet, or NULL. */
struct transfer *fake_pending(struct fake *f);
/* The newest request, answered or not, or NULL. */
struct transfer *fake_newest(struct fake *f);
size_t fake_count(const struct fake *f);

/* A whole answer. retry_after_s -1: no such header. The transfer is gone then. */
void fake_reply(struct transfer *t, int status, const char *content_type, int retry_after_s,
                const char *body);
void fake_json(struct transfer *t, int status, const char *body);
/* The same in steps; false if the transfer was ended or cancelled by the callback. */
bool fake_head(struct transfer *t, int status, const char *content_type, int retry_after_s);
bool fake_data(struct transfer *t, const char *bytes);
bool fake_bytes(struct transfer *t, struct sv bytes);
void fake_end(struct transfer *t);
/* The connection breaks. */
void fake_break(struct transfer *t);

#endif

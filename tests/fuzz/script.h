/*
 * script: an API server that answers what the fuzzer's bytes say, and a clock that only they turn.
 *
 * Each request takes the next answer off the bytes, when script_play() comes to it:
 *   byte 0    status: an index of a small table
 *   byte 1    low 2 bits: content type; next 3 bits: how it ends (6: not, 7: broken off, else whole); the rest: Retry-After
 *   byte 2    size of the pieces in which the body comes; 0: in one
 *   byte 3, 4 length of the body, big-endian; then the body
 * Where the bytes have run out connections are refused.
 */
#ifndef BRIM_TESTS_FUZZ_SCRIPT_H
#define BRIM_TESTS_FUZZ_SCRIPT_H

#include "agent/kube/client.h"
#include "agent/kube/timers.h"
#include "agent/kube/transport.h"

struct script_timer;

struct script {
    struct sv bytes; /* what is left of them */
    struct mono now;
    struct transfer *transfers;
    struct script_timer *timers;
    struct kube_config config;
    struct transport transport;
    struct timers clock;
    struct client *client; /* on all of these */
};

void script_init(struct script *s, struct sv bytes);
/* Frees the client. Aborts if a request or a timer was left behind. */
void script_done(struct script *s);

/* Answers the oldest request that has no answer; without one turns the clock to the next timer, or to the time limit of an answer
 * that has no end. False if there is none either. */
bool script_play(struct script *s);

/* The next byte; 0 where there is none. */
uint8_t script_byte(struct script *s);

#endif

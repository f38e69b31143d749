/*
 * fake_machine: what agent_new() (agent/wire.h) takes from the machine, in a test's hands: its loop (agent/loop.h), its
 * network (transport_curl.c) and its HTTP server (agent/serve/httpd.h), by their own names. Link it before the real ones.
 *
 * Requests, timers and clocks are those of a struct fake (fake_kube.h). Nothing happens by itself: fake_advance() fires
 * timers, fake_machine_begin() begins a round, fake_machine_look() tells what file descriptors have to say,
 * fake_machine_turn() ends a round. There are no other
 * threads, so the agent keeps no history here.
 */
#ifndef BRIM_TESTS_FAKE_MACHINE_H
#define BRIM_TESTS_FAKE_MACHINE_H

#include "agent/snapshot.h"
#include "tests/unit/agent/fake_kube.h"

struct fake_machine {
    struct fake *fake;
    struct loop *loop;          /* once it was made, as the next */
    struct snapshot_slot *slot; /* what the HTTP server answers from */
    bool stopped;               /* by loop_stop() */
};

/* What is made from now on is made on this machine; borrowed. */
void fake_machine_use(struct fake_machine *m);

void fake_machine_begin(struct fake_machine *m);
void fake_machine_look(struct fake_machine *m);
void fake_machine_turn(struct fake_machine *m);
/* What loop_at_turn() was given to work on; NULL: nothing yet. */
void *fake_machine_turn_self(const struct fake_machine *m);
/* The process gets this signal. */
void fake_machine_signal(struct fake_machine *m, int signo);

#endif

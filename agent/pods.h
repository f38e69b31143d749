/*
 * pods: the watch of all pods, and beside it a small one of those that have no node, so that a pod
 * which waits is known at once: not when its page of a list comes, and not when the large watch is
 * read next, which is in batches (watch_options.batched), since most of what it tells can wait.
 *
 * While pods are listed anew the former account is still there (cluster.h: mark and sweep), and
 * yields go on with it; growth waits for the list (planner_input.cut_off). What the small watch
 * tells is taken in like any other change. It begins behind the first list: the planner is not asked
 * before that is complete, since half an account is none; and anew with each later list.
 *
 * Both tell of the same pods, each from its own moment, so the small one is believed with care:
 *   - A pod that is bound in the account does not wait: nothing of it is taken.
 *   - "Deleted" means bound or gone. The large watch tells which; till then the claim stands.
 *   - Of one pod nothing older follows something newer. Versions of one kind are compared as numbers,
 *     as clients may from 1.35 on, and could before; one that is no number is not taken early.
 *   - A stream tells in the order of versions: what is no younger than the large one's is known.
 *   - A pod that the list does not name though it is not older than the pod: is gone.
 *   - Versions that go back (etcd was restored from a backup) are another history: whichever watch
 *     lists first and finds that, the other one lists anew, too, and what is known of versions is
 *     forgotten.
 *
 * Beyond PODS_MAX_EARLY pods at a time none is taken early: they come with the large watch.
 */
#ifndef BRIM_AGENT_PODS_H
#define BRIM_AGENT_PODS_H

#include <stdint.h>

#include "agent/facts.h"
#include "agent/kube/watch.h"

/* 32 bytes each. Gated filler waits, too; only what changes faster than it is told needs more. */
enum { PODS_MAX_EARLY = 4096 };

/* Those that wait for a node. */
#define PODS_WAITING_SELECTOR "spec.nodeName=," WATCH_PODS_SELECTOR

struct pods;

/* The client and the facts are borrowed. `seed`: of the watches' jitter. */
struct pods *pods_new(struct client *client, struct facts *facts, uint64_t seed);
void pods_free(struct pods *p);

/* The large one: to be started, stopped and asked; never freed by others. While it lists the
 * small one has its silence (watch_set_silence()), else the longest: it is silent most of the time. */
struct watch *pods_watch(const struct pods *p);
/* The small one, to look at. */
const struct watch *pods_waiting(const struct pods *p);

#endif

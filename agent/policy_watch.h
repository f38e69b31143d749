/*
 * policy_watch: keeps the policies in force in step with their files.
 *
 * The directory (of a single file: the one that it is in) is watched by inotify; where that is not
 * to be had it is looked at every POLICY_WATCH_POLL_US. What happens without a pause of
 * POLICY_WATCH_QUIET_US is one change, but for at most POLICY_WATCH_NOISY such pauses: who writes
 * without end wakes the loop once in each. Then all files are read as one consistent set
 * (policy_files.h): a good one takes the place of the last, a broken one is reported and changes
 * nothing; one of more policies than may be in force together, with those that are held, is broken,
 * too. A policy that vanishes is held for a while (policy_set.h).
 *
 * Everything happens on the loop's thread, small files are read there. Not for standard input.
 */
#ifndef BRIM_AGENT_POLICY_WATCH_H
#define BRIM_AGENT_POLICY_WATCH_H

#include "agent/loop.h"
#include "agent/policy_files.h"
#include "agent/policy_set.h"

#define POLICY_WATCH_QUIET_US (200 * US_PER_MS)
#define POLICY_WATCH_POLL_US  (10 * US_PER_S)

/* So many pauses are waited for, then the files are read though somebody still writes. */
enum { POLICY_WATCH_NOISY = 10 };

struct policy_watch_handler {
    /* The set in force: another one than before, or the same one after it was broken. It is valid
     * until the next call; what was in the one before is freed when this one returns. `broken`:
     * what is wrong with the files, whose last good text this is; NULL: nothing. */
    void (*changed)(void *self, const struct policy_set *set, const struct err *broken);
    /* The files are no good, the set stays; once for each error. */
    void (*broken)(void *self, const struct err *err);
    /* The whole text of a good set, to be kept for a restart (storage/policies.h). */
    void (*keep)(void *self, const struct policy_texts *texts);
    void *self;
};

struct policy_watch_options {
    const char *path; /* copied */
    int64_t hold_us;  /* POLICY_SET_HOLD_US */
    bool poll;        /* without inotify, which it comes to by itself where there is none */
    int64_t poll_us;  /* POLICY_WATCH_POLL_US */
    int64_t quiet_us; /* POLICY_WATCH_QUIET_US */
};

struct policy_watch_options policy_watch_options_default(const char *path);

struct policy_watch;

/*
 * Reads the files at once and calls the handler before it returns. Where they are broken `stored`
 * (the last good text, or NULL) takes their place; where that is none either, or broken too, the
 * set is empty until the files are mended. Never NULL.
 */
struct policy_watch *policy_watch_new(struct loop *loop, const struct policy_watch_options *options,
                                      const struct policy_texts *stored,
                                      const struct policy_watch_handler *handler);
void policy_watch_free(struct policy_watch *w);
DEFINE_FREE_PTR(struct policy_watch, policy_watch)

const struct policy_set *policy_watch_set(const struct policy_watch *w);
/* What is wrong with the files now; NULL: nothing. */
const struct err *policy_watch_error(const struct policy_watch *w);

#endif

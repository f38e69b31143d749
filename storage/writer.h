/*
 * writer: the disk thread. It alone writes the history, and answers questions about it.
 *
 * The loop hands over samples (of groups of nodes, too), decisions and the journal's pieces; none of these calls waits, whatever the disk does. A full queue
 * merges samples (they then stand for several) and drops decisions and events, which leaves a gap; all of it is counted.
 *
 * What was handed over is written in one transaction at the latest interval_us after, at once after a decision (but at most
 * WRITER_BURST_PART times as often) or writer_wake(). It leaves the queue when it is committed: a write that fails is tried again
 * after interval_us. So after kill -9 or power loss at most the last interval is missing, plus the time one commit takes, if the loop cuts the journal and takes
 * its sample at least each interval and then calls writer_wake().
 *
 * Samples whose hour has passed are packed, and their figures made (history_pack()), after a commit, in transactions of their own: a few
 * at a time, so that the next commit and the end are not kept waiting. Until all are, nothing is forgotten. Where it fails it is tried again
 * after interval_us, and then ever later, up to ten minutes.
 *
 * A file that cannot be opened or written (full, read-only, of a newer brim, of another application) costs history and nothing else: the
 * thread tries again, status says why. So does one that another agent writes (lock.h): it is taken over when that one has ended. A file is
 * looked over when it was opened (db_quick_check(), for at most 10 s). A history that turns out to be damaged then or later is set aside
 * (aside.h) and a new one begun; where the disk refuses to read it that is waited for, for ten minutes. One that was removed or replaced is
 * begun anew. At its limit of size the oldest history makes room.
 *
 * What is too old is forgotten by the wall clock, once that has stood for an hour: after it leapt by more than a day, in an agent's life or
 * between two, nothing is.
 */
#ifndef BRIM_STORAGE_WRITER_H
#define BRIM_STORAGE_WRITER_H

#include "storage/history.h"

#define WRITER_INTERVAL_US (INT64_C(10) * 1000 * 1000)

enum {
    WRITER_SLOTS = 1024,
    WRITER_PIECE_BYTES =
        4 << 20, /* of the journal's pieces: a keyframe of 150,000 pods takes a third of it */
    WRITER_MAX_REQUESTS = 64,
    WRITER_MAX_POLICIES = 32, /* whose samples can be merged at a time */
    WRITER_BURST_PART = 10,   /* commits for decisions are at least interval / 10 apart */
};

struct writer_options {
    const char *path;
    const char *vfs;   /* NULL: the system's */
    int64_t max_bytes; /* of the file; 0: no limit */
    struct history_keep keep;
    int64_t interval_us; /* 0: WRITER_INTERVAL_US */
    struct clock clock;  /* zeroed: the system's. Waiting for work goes by that in any case */
    int64_t stop_us;     /* how long writer_stop() waits for the disk; 0: as long as it takes */
};

struct writer_status {
    bool open;               /* the file was opened */
    size_t queued;           /* things that wait to be written */
    uint64_t merged;         /* samples that were merged into others */
    uint64_t dropped;        /* decisions that were lost */
    uint64_t dropped_pieces; /* pieces of the journal that were refused or could not be written */
    uint64_t commits, errors;
    uint64_t damaged; /* packed parts of samples and of groups of nodes that could not be read; each
                         time that one was tried */
    int64_t bytes;    /* of the file */
    struct wall written_at;    /* last commit; 0: none */
    struct wall failing_since; /* 0: not failing */
    char error[240];           /* the last; "" while not failing */
    const char *network; /* the network file system that the file lies on (mount.h); NULL: none */
    uint64_t set_aside;  /* damaged files */
    char
        aside[240]; /* the last of them, where it lies now, its end if that is too long; "": none */
    char damage[240]; /* what was found in it */
};

struct writer;

/* ERR_SYSTEM if there can be no thread. The file is opened on the thread. */
bool writer_start(const struct writer_options *options, struct writer **ret_writer,
                  struct err *err) MUST_CHECK;
/*
 * Tries once more to write what is queued, then ends the thread. False if the disk took longer than stop_us: the thread is then left
 * to itself and frees the writer when it is done, or ends with the process, which is no worse for the file than kill -9. NULL is
 * allowed. A vfs must outlive the thread.
 */
bool writer_stop(struct writer *w);

/*
 * Called once before the first decision: waits up to wait_us for the file to be opened. Returns the id that the first decision must
 * have, so that ids rise over restarts. If the file takes longer, it is 1, and what is stored has its ids raised by what was there.
 */
uint64_t writer_first_id(struct writer *w, int64_t wait_us);

/* The loop's thread alone. */
void writer_sample(struct writer *w, const struct sample *sample);
void writer_groups(struct writer *w, const struct groups_sample *sample);
void writer_decision(struct writer *w, const struct decision_entry *entry);
struct journal_sink writer_sink(struct writer *w);

/* Any thread: write now. */
void writer_wake(struct writer *w);

/* Any thread. */
void writer_status(struct writer *w, struct writer_status *ret_status);

/*
 * Any thread: `run` is called on the disk thread, with the history or, if there is none, with the reason why not. It must answer in
 * both cases. False: too many wait already; nothing will be called. Those that wait when the writer stops are called with a reason.
 */
typedef void writer_run_fn(void *self, struct history *history, const struct err *why_not);
bool writer_ask(struct writer *w, writer_run_fn *run, void *self) MUST_CHECK;

#endif

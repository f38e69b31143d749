/*
 * recorder: hands what the loop knows to the disk thread: the event journal, a sample of each policy's
 * world every SAMPLES_STEP_MS and at each decision that is carried out, and the decisions. Of a policy
 * that groups nodes (report.groupBy) also what each group is (node_groups.h), every SAMPLES_STEP_MS.
 *
 * Nothing here waits, whatever the disk does (storage/writer.h). Everything is on the loop's thread.
 * Wall times come in with each call.
 */
#ifndef BRIM_AGENT_RECORDER_H
#define BRIM_AGENT_RECORDER_H

#include <stdint.h>

#include "agent/found.h"
#include "agent/loop.h"
#include "agent/past.h"
#include "agent/policy_files.h"
#include "base/err.h"
#include "capacity/records.h"
#include "storage/journal.h"
#include "storage/writer.h"

/* What is kept unless told otherwise: samples for two weeks, figures by the minute for 90 days and
 * by the hour and day for ever, and a journal of at most 64 MiB. */
#define RECORDER_KEEP_SAMPLES_MS (INT64_C(14) * 24 * 3600 * 1000)
#define RECORDER_KEEP_MINUTES_MS (INT64_C(90) * 24 * 3600 * 1000)
#define RECORDER_KEEP_JOURNAL_MS (INT64_C(90) * 24 * 3600 * 1000)
#define RECORDER_JOURNAL_BYTES   (INT64_C(64) << 20)
#define RECORDER_MAX_BYTES       (INT64_C(256) << 20)

struct turn;
struct turn_filler;
struct recorder;

/* Starts the disk thread on the file at `path`. Of `keep` 0 of samples and minutes is as above, hours are kept
 * for ever where it says 0, the journal as above in any case. `names` as in journal_new(). */
bool recorder_new(struct loop *loop, const char *path, const struct history_keep *keep,
                  const struct resource_names *names, struct recorder **ret_r,
                  struct err *err) MUST_CHECK;
/* Writes what is left, then ends the thread; gives up on a disk that takes longer than 5 s. NULL is
 * allowed. */
void recorder_free(struct recorder *r);

/* Where pods and nodes are told of. */
struct journal *recorder_journal(struct recorder *r);

/* The id that the first decision of this process must have. */
uint64_t recorder_first_id(const struct recorder *r);

/* The turn whose world is sampled; from now on every SAMPLES_STEP_MS. Borrowed. */
void recorder_follow(struct recorder *r, const struct turn *t);

/* The newest decision of a filler of the turn's, and a sample with it. `latency_us`: how long the
 * paid pod that it answers had waited when the write went out; 0: it answers none. */
void recorder_decided(struct recorder *r, const struct turn_filler *tf, int64_t latency_us);

/* Keeps the text of the policies that are in force now. */
void recorder_keep_policies(struct recorder *r, const struct policy_texts *texts);
/* What was kept so in the file at `path`, for a start with policies that cannot be read; empty where
 * nothing was. Waits for the disk. `to` is zeroed, to be freed by policy_texts_done(). */
bool recorder_stored_policies(const char *path, struct policy_texts *to,
                              struct err *err) MUST_CHECK;

/* What the file tells of the time before now; it is being read (past.h). One reference. */
struct past *recorder_past(struct recorder *r);

/* Where counts that targets had are kept. To be freed by found_free(), with the recorder. */
struct found *recorder_found(struct recorder *r);

/* For showing; any thread. */
void recorder_status(struct recorder *r, struct writer_status *ret_status);

#endif

/*
 * reported: a history of one policy with samples that are easy to add up, for tests of reports.
 */
#ifndef BRIM_TESTS_UNIT_STORAGE_REPORTED_H
#define BRIM_TESTS_UNIT_STORAGE_REPORTED_H

#include <string.h>

#include "storage/report.h"
#include "tests/unit/storage/folder.h"

#define HOUR INT64_C(3600000)
#define DAY  (24 * HOUR)

struct reported {
    struct folder folder;
    struct history history;
};

static inline void reported_open(struct reported *d)
{
    struct err err = {0};

    d->folder = folder_new();
    cr_assert(history_open(&(struct db_options){.path = d->folder.file}, &d->history, &err), "%s",
              err.text);
}

static inline void reported_done(struct reported *d)
{
    history_close(&d->history);
    folder_done(&d->folder);
}

/* 100 cores: paid, 30 filler, 3 that start or leave, 10 kept. */
static inline void reported_add(struct reported *d, const char *policy, int64_t t_ms, int64_t paid)
{
    struct sample s = {.t_ms = t_ms,
                       .at = {[SAMPLE_ALLOCATABLE] = 100000,
                              [SAMPLE_PAID] = paid,
                              [SAMPLE_READY] = 30000,
                              [SAMPLE_STARTING] = 1000,
                              [SAMPLE_LEAVING] = 2000,
                              [SAMPLE_KEPT] = 10000}};
    struct err err = {0};

    (void)snprintf(s.policy, sizeof s.policy, "%s", policy);
    cr_assert(samples_add(d->history.samples, &s, &err), "%s", err.text);
}

/* One every half minute, which is as long as a sample holds. */
static inline void reported_fill(struct reported *d, const char *policy, int64_t from_ms,
                                 int64_t until_ms, int64_t paid)
{
    struct err err = {0};

    cr_assert(db_begin(d->history.db, &err), "%s", err.text);
    for (int64_t t_ms = from_ms; t_ms < until_ms; t_ms += SAMPLES_HOLD_MS)
        reported_add(d, policy, t_ms, paid);
    cr_assert(db_commit(d->history.db, &err), "%s", err.text);
}

static inline struct report reported_make(struct reported *d, const struct report_query *q)
{
    struct report r;
    struct err err = {0};

    cr_assert(report_make(&d->history, q, &r, &err), "%s", err.text);
    return r;
}

#endif

/*
 * record: one row of a history on its way out of the file, or into one.
 *
 * One table names the columns of each kind, with their type and unit; CSV and JSON lines (record_text.h), export.h and import.h are made
 * from it. Names end in the unit: cpu is in cores (which the file keeps in milli-cores, so that three decimals are exact), times are
 * RFC 3339 in UTC with milliseconds. What nobody knows is RECORD_UNKNOWN, and stays away from the text.
 *
 *     day, hour, minute   figures of every series (rollup.h): SERIES_min, _mean, _p50, _p90, _p99, _max and for how long there was a value
 *     sample              samples.h
 *     decision            decisions.h
 *     gap                 from when to when something is missing, and why (history.h)
 *     journal             the event journal's chunks as the file keeps them (wire.h), in base64
 *     activity            what happened, in the chunks in which the file keeps it (activity.h), in base64; without a policy: what the
 *                         journal told
 *     group               groups of nodes (groups.h): figures of a day, hour or minute, or a sample that is not packed
 *     event               what the journal tells, for people; cannot be taken in
 *     blocked             paid pods that had to wait for filler (blocked.h), for people; cannot be taken in
 */
#ifndef BRIM_STORAGE_RECORD_H
#define BRIM_STORAGE_RECORD_H

#include "storage/chunks.h"
#include "storage/decisions.h"
#include "storage/figures.h"
#include "storage/groups_rows.h"
#include "storage/history.h"

/* In the order in which they are written: figures before the samples that they are made of (import.h). */
enum record_kind {
    RECORD_DAY,
    RECORD_HOUR,
    RECORD_MINUTE,
    RECORD_SAMPLE,
    RECORD_DECISION,
    RECORD_GAP,
    RECORD_JOURNAL,
    RECORD_ACTIVITY,
    RECORD_GROUP,
    RECORD_EVENT,
    RECORD_BLOCKED,
    RECORD_KIND_COUNT_,
};
/* "day", "hour", … */
const char *record_kind_name(enum record_kind kind);
/* RECORD_KIND_COUNT_ where none is called so. */
enum record_kind record_kind_named(struct sv name);

/* Kinds that an import takes. */
#define RECORD_IMPORTED ((1u << RECORD_EVENT) - 1)

enum record_type { RECORD_TIME, RECORD_NUMBER, RECORD_TEXT, RECORD_BYTES };

enum {
    RECORD_NAME_SIZE = 48,
    RECORD_FIGURES = 7, /* of one series in a row of figures */
    RECORD_MAX_NUMBERS = 4 + RECORD_FIGURES * SERIES_COUNT_,
    RECORD_MAX_TEXTS = 4,
    RECORD_MAX_COLUMNS = RECORD_MAX_NUMBERS + RECORD_MAX_TEXTS,
};

#define RECORD_UNKNOWN SAMPLE_UNKNOWN

/* The last millisecond that has four digits for its year. */
#define RECORD_LAST_MS INT64_C(253402300799999)

struct record_column {
    char name[RECORD_NAME_SIZE];
    enum record_type type;
    int digits;   /* of a number: how many decimal places its integer holds */
    bool needed;  /* a row without it is none */
    size_t place; /* in the record's numbers or texts */
};

struct record_table {
    struct record_column *at;
    size_t n;
};

/* The columns of all kinds: made once, read by all. */
struct record_tables {
    struct record_table of[RECORD_KIND_COUNT_];
};
void record_tables_init(struct record_tables *t);
void record_tables_done(struct record_tables *t);

/* The texts are borrowed. */
struct record {
    enum record_kind kind;
    int64_t number[RECORD_MAX_NUMBERS];
    struct sv text[RECORD_MAX_TEXTS];
};

/* A row without a value; texts are empty. */
void record_clear(struct record *r, enum record_kind kind);

/*
 * From what the modules of the history know, and back. Where a text is too long for what it goes into, or a number is not what it can be,
 * the way back is ERR_INPUT: what was found, what was expected.
 */
void record_from_sample(const struct sample *s, struct record *to);
bool record_to_sample(const struct record *r, struct sample *ret_sample,
                      struct err *err) MUST_CHECK;

/* `kind` says of which level; `figures` are SERIES_COUNT_. */
struct record_figures {
    struct sv policy;
    enum level level;
    int64_t first_ms, covered_ms;
    struct figures at[SERIES_COUNT_];
};
void record_from_figures(const struct record_figures *f, struct record *to);
bool record_to_figures(const struct record *r, struct record_figures *ret_figures,
                       struct err *err) MUST_CHECK;

void record_from_decision(const struct decision_entry *d, struct record *to);
bool record_to_decision(const struct record *r, struct decision_entry *ret_decision,
                        struct err *err) MUST_CHECK;

void record_from_gap(const struct history_gap *gap, struct record *to);
bool record_to_gap(const struct record *r, struct history_gap *ret_gap, struct err *err) MUST_CHECK;

void record_from_chunk(const struct chunk *chunk, struct record *to);
bool record_to_chunk(const struct record *r, struct chunk *ret_chunk, struct err *err) MUST_CHECK;

/* `policy` is empty for what the journal told. */
struct record_activity {
    struct sv policy, data;
    enum level level;
    int64_t first_ms;
};
void record_from_activity(const struct record_activity *a, struct record *to);
bool record_to_activity(const struct record *r, struct record_activity *ret_activity,
                        struct err *err) MUST_CHECK;

struct record_group {
    struct sv policy;
    struct groups_row row;
};
void record_from_group(const struct record_group *group, struct record *to);
bool record_to_group(const struct record *r, struct record_group *ret_group,
                     struct err *err) MUST_CHECK;

void record_from_event(const struct event *e, struct record *to);

struct blocked_pod;
void record_from_blocked(const struct blocked_pod *pod, struct record *to);

#endif

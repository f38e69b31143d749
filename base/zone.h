/*
 * zone: a time zone of the IANA database: what a clock on the wall there reads, and when.
 *
 * The C library's zone is one for the whole process and is chosen by setenv("TZ"), which a process
 * with threads may not call; a policy names its own. This reads the database's compiled files
 * (TZif, RFC 9636) itself: versions 1 to 4, the footer's rule for the time behind the last
 * transition included. Files with leap seconds ("right/…") are refused, since their times are not
 * Unix times.
 *
 * A zone is immutable once made, so that threads may share it. Files are hostile like everything
 * from outside: at most ZONE_MAX_BYTES, every count and index is checked (ERR_INPUT, ERR_LIMIT).
 * Times are Unix seconds, offsets seconds east of UTC. Times far off (the year 30,000) are
 * computed, without overflow for any time a struct wall can hold.
 */
#ifndef BRIM_BASE_ZONE_H
#define BRIM_BASE_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/sv.h"

enum { ZONE_MAX_BYTES = 1 << 16, ZONE_MAX_NAME = 64 };

/* The least and the most that a clock may be ahead of UTC (RFC 9636, 3.2). */
enum { ZONE_MIN_OFFSET_S = -89999, ZONE_MAX_OFFSET_S = 93599 };

struct zone;

/* Reads the bytes of one file. O(bytes). */
bool zone_parse(struct sv bytes, struct zone **ret_zone, struct err *err) MUST_CHECK;
/* UTC, which needs no file. */
struct zone *zone_utc(void);
void zone_free(struct zone *z);
DEFINE_FREE_PTR(struct zone, zone)

/* The offset in force at a time. O(log transitions). */
int32_t zone_offset_s(const struct zone *z, int64_t at_s);

/* The first time after `after_s` at which the offset may be another; INT64_MAX: never again.
 * O(log transitions). */
int64_t zone_next_s(const struct zone *z, int64_t after_s);

/*
 * When the zone's clock first reads `local_s` (the reading's seconds since 1970 as if it were UTC)
 * or more. So a reading that is skipped when the clock is put forward is the moment of the change,
 * and of one that comes twice it is the first. A later reading never gives an earlier time, so that
 * spans which touch in local time touch in UTC.
 */
int64_t zone_first_s(const struct zone *z, int64_t local_s);

/* Where zones come from; tests bring their own. load() gives a zone that the caller owns;
 * ERR_NOT_FOUND: there is none of this name. */
struct zone_source {
    bool (*load)(void *self, struct sv name, struct zone **ret_zone, struct err *err);
    void *self;
};

/* The files of a directory, borrowed; NULL: $TZDIR or else /usr/share/zoneinfo. "UTC" needs no
 * file. Blocks on the disk. */
struct zone_source zone_files(const char *dir);

/* Letters, digits, "+", "-", "_" and "/" between parts that are not empty and do not begin with
 * "-"; no "." at all, so that no path leads out of the directory. */
bool zone_is_name(struct sv name);

#endif

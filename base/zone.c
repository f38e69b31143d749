#include "base/zone.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/num.h"
#include "base/zone_rule.h"

/* The largest zones of the database have some 240 transitions and 20 types. */
enum { MAX_TRANSITIONS = 4096, MAX_TYPES = 256, HEADER_BYTES = 44, TYPE_BYTES = 6 };

struct zone {
    int64_t *at_s;     /* transitions, rising */
    uint8_t *type;     /* in force from each on */
    int32_t *offset_s; /* of the types; the first before all transitions */
    size_t n_transitions, n_types;
    bool has_rule; /* from the last transition on */
    struct zone_rule rule;
};

struct header {
    char version;
    uint32_t isut, isstd, leap, time, type, chars;
};

static uint32_t get_u32(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t get_i64(const char *at)
{
    return (int64_t)((uint64_t)get_u32(at) << 32 | get_u32(at + 4));
}

static bool refuse(struct err *err, const char *what)
{
    return err_set(err, ERR_INPUT, 0, "broken time zone file: %s", what);
}

static bool read_header(struct sv bytes, struct header *ret, struct err *err)
{
    if (!sv_starts(bytes, SV("TZif")) || bytes.len < HEADER_BYTES)
        return refuse(err, "found no TZif header");
    *ret = (struct header){.version = bytes.at[4],
                           .isut = get_u32(bytes.at + 20),
                           .isstd = get_u32(bytes.at + 24),
                           .leap = get_u32(bytes.at + 28),
                           .time = get_u32(bytes.at + 32),
                           .type = get_u32(bytes.at + 36),
                           .chars = get_u32(bytes.at + 40)};
    /* Bounded first, so that sums of them cannot overflow. */
    if (ret->isut > MAX_TYPES || ret->isstd > MAX_TYPES || ret->type > MAX_TYPES ||
        ret->time > MAX_TRANSITIONS || ret->leap > MAX_TRANSITIONS || ret->chars > ZONE_MAX_BYTES)
        return err_set(err, ERR_LIMIT, 0,
                       "found a time zone file of more than %d transitions or %d types",
                       MAX_TRANSITIONS, MAX_TYPES);
    return true;
}

/* Bytes of the block behind a header; `wide`: of a transition's time. */
static size_t block_bytes(const struct header *h, size_t wide)
{
    return h->time * (wide + 1) + (size_t)h->type * TYPE_BYTES + h->chars + h->leap * (wide + 4) +
           h->isstd + h->isut;
}

static bool read_times(struct zone *z, const char *at, size_t wide, struct err *err)
{
    for (size_t i = 0; i < z->n_transitions; i++, at += wide) {
        z->at_s[i] = wide == 8 ? get_i64(at) : (int32_t)get_u32(at);
        if (i != 0 && z->at_s[i] <= z->at_s[i - 1])
            return refuse(err, "found transitions out of order");
    }
    for (size_t i = 0; i < z->n_transitions; i++) {
        z->type[i] = (uint8_t)at[i];
        if (z->type[i] >= z->n_types)
            return refuse(err, "found a transition to a type that is not there");
    }
    return true;
}

static bool read_types(struct zone *z, const char *at, uint32_t chars, struct err *err)
{
    for (size_t i = 0; i < z->n_types; i++, at += TYPE_BYTES) {
        z->offset_s[i] = (int32_t)get_u32(at);
        if (z->offset_s[i] < ZONE_MIN_OFFSET_S || z->offset_s[i] > ZONE_MAX_OFFSET_S)
            return refuse(err, "found an offset beyond -25 to 26 hours");
        if ((unsigned char)at[4] > 1 || (unsigned char)at[5] >= chars)
            return refuse(err, "found a type that is no type");
    }
    return true;
}

static bool read_block(struct zone *z, const struct header *h, struct sv bytes, size_t wide,
                       struct err *err)
{
    if (block_bytes(h, wide) > bytes.len)
        return refuse(err, "found its end too early");
    if (h->leap != 0)
        return refuse(err, "found leap seconds, expected none");
    if (h->type == 0 || h->chars == 0 || (h->isut != 0 && h->isut != h->type) ||
        (h->isstd != 0 && h->isstd != h->type))
        return refuse(err, "found counts that do not agree");
    z->n_transitions = h->time;
    z->n_types = h->type;
    z->at_s = xcalloc(z->n_transitions + 1, sizeof *z->at_s);
    z->type = xcalloc(z->n_transitions + 1, sizeof *z->type);
    z->offset_s = xcalloc(z->n_types, sizeof *z->offset_s);
    return read_times(z, bytes.at, wide, err) &&
           read_types(z, bytes.at + h->time * (wide + 1), h->chars, err);
}

/* "\n" rule "\n"; an empty rule: nothing is known of the time behind the last transition. */
static bool read_footer(struct zone *z, struct sv bytes, struct err *err)
{
    struct sv rule, rest;

    if (bytes.len < 2 || bytes.at[0] != '\n' || !sv_cut(sv_skip(bytes, 1), '\n', &rule, &rest))
        return refuse(err, "found no footer");
    z->has_rule = rule.len != 0;
    if (z->has_rule && !zone_rule_parse(rule, &z->rule))
        return refuse(err, "found a footer that is no rule");
    return true;
}

static bool read_file_bytes(struct zone *z, struct sv bytes, struct err *err)
{
    struct header h;

    if (!read_header(bytes, &h, err))
        return false;
    bytes = sv_skip(bytes, HEADER_BYTES);
    if (h.version < '2')
        return read_block(z, &h, bytes, 4, err);
    if (block_bytes(&h, 4) > bytes.len)
        return refuse(err, "found its end too early");
    bytes = sv_skip(bytes, block_bytes(&h, 4));
    if (!read_header(bytes, &h, err))
        return false;
    bytes = sv_skip(bytes, HEADER_BYTES);
    return read_block(z, &h, bytes, 8, err) &&
           read_footer(z, sv_skip(bytes, block_bytes(&h, 8)), err);
}

bool zone_parse(struct sv bytes, struct zone **ret_zone, struct err *err)
{
    CLEANUP(zone_free_ptr) struct zone *z = xcalloc(1, sizeof *z);

    if (bytes.len > ZONE_MAX_BYTES)
        return err_set(err, ERR_LIMIT, 0, "found a time zone file of more than %d bytes",
                       ZONE_MAX_BYTES);
    if (!read_file_bytes(z, bytes, err))
        return false;
    *ret_zone = TAKE(z);
    return true;
}

struct zone *zone_utc(void)
{
    struct zone *z = xcalloc(1, sizeof *z);

    z->n_types = 1;
    z->offset_s = xcalloc(1, sizeof *z->offset_s);
    return z;
}

void zone_free(struct zone *z)
{
    if (z == NULL)
        return;
    free(z->offset_s);
    free(z->type);
    free(z->at_s);
    free(z);
}

/* How many transitions are at or before a time. */
static size_t passed(const struct zone *z, int64_t at_s)
{
    size_t low = 0, high = z->n_transitions;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (z->at_s[middle] <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t zone_offset_s(const struct zone *z, int64_t at_s)
{
    size_t n = passed(z, at_s);

    if (n == z->n_transitions && z->has_rule)
        return zone_rule_offset_s(&z->rule, at_s);
    return z->offset_s[n != 0 ? z->type[n - 1] : 0];
}

int64_t zone_next_s(const struct zone *z, int64_t after_s)
{
    size_t n = passed(z, after_s);

    if (n != z->n_transitions)
        return z->at_s[n];
    return z->has_rule ? zone_rule_next_s(&z->rule, after_s) : INT64_MAX;
}

int64_t zone_first_s(const struct zone *z, int64_t local_s)
{
    /* Before this no clock reads as much. */
    int64_t t = local_s - ZONE_MAX_OFFSET_S;

    for (;;) {
        int64_t first = max_i64(t, local_s - zone_offset_s(z, t)), next = zone_next_s(z, t);

        if (first < next)
            return first;
        t = next;
    }
}

bool zone_is_name(struct sv name)
{
    struct sv rest = name, part;

    if (name.len == 0 || name.len > ZONE_MAX_NAME || sv_ends(name, SV("/")))
        return false;
    while (sv_next(&rest, '/', &part)) {
        if (part.len == 0 || part.at[0] == '-')
            return false;
        for (size_t i = 0; i < part.len; i++) {
            char c = part.at[i];

            if (!isalnum((unsigned char)c) && c != '+' && c != '-' && c != '_')
                return false;
        }
    }
    return true;
}

static const char *directory_of(void *self)
{
    const char *set = getenv("TZDIR");

    return self != NULL ? self : set != NULL && set[0] != '\0' ? set : "/usr/share/zoneinfo";
}

/* The file's bytes, one more than allowed where there are more; -1: errno. */
static ssize_t read_all(const char *path, char *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    size_t len = 0;
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0 && len < size) {
        n = read(fd, bytes + len, size - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            len += (size_t)n;
    }
    if (fd >= 0)
        (void)close(fd);
    return n < 0 ? -1 : (ssize_t)len;
}

static bool load_path(const char *path, struct sv name, struct zone **ret_zone, struct err *err)
{
    CLEANUP(free_ptr) char *bytes = xmalloc(ZONE_MAX_BYTES + 1);
    ssize_t len = read_all(path, bytes, ZONE_MAX_BYTES + 1);

    if (len < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EISDIR))
        return err_set(err, ERR_NOT_FOUND, errno, "there is no time zone %.*s", SV_ARG(name));
    if (len < 0)
        return err_set(err, ERR_SYSTEM, errno, "%s: %s", path, strerror(errno));
    return zone_parse((struct sv){.at = bytes, .len = (size_t)len}, ret_zone, err) ||
           err_wrap(err, "%s", path);
}

static bool load_file(void *self, struct sv name, struct zone **ret_zone, struct err *err)
{
    const char *dir = directory_of(self);
    char path[PATH_MAX];

    if (sv_eq(name, SV("UTC"))) {
        *ret_zone = zone_utc();
        return true;
    }
    if (!zone_is_name(name))
        return err_set(err, ERR_INPUT, 0, "this is no time zone's name");
    if (access(dir, F_OK) != 0)
        return err_set(err, ERR_NOT_FOUND, errno, "%s: there are no time zones here (tzdata)", dir);
    if ((size_t)snprintf(path, sizeof path, "%s/%.*s", dir, SV_ARG(name)) >= sizeof path)
        return err_set(err, ERR_LIMIT, 0, "%s: a path of more than %zu bytes", dir,
                       sizeof path - 1);
    return load_path(path, name, ret_zone, err);
}

struct zone_source zone_files(const char *dir)
{
    /* The source only reads through it. */
    return (struct zone_source){.load = load_file, .self = (void *)(uintptr_t)dir};
}

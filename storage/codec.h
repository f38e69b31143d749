/*
 * codec: columns of whole numbers in few bytes. Pure.
 *
 * A chunk holds some columns with a value, or a gap, in each of its rows. What changes seldom costs next to nothing, a small change
 * one byte or less: a column is kept as its first value and the differences that follow, divided by what they have in common
 * (amounts of cpu are often multiples of 250 milli-cores), whichever way of these is the shortest:
 *     once or twice differenced (times that go on evenly have second differences of 0)
 *     as tokens: runs of zeros, and single numbers; or in blocks of CODEC_BLOCK numbers, each with as many bits as its largest needs
 *
 *     chunk  := CODEC_VERSION, rows, columns, then column after column, checksum
 *     column := id, length of what follows, flags, [gaps], [first value signed, [first difference signed], divisor, numbers]
 *     gaps   := rows with a value, rows without, with, … until all are told; only with CODEC_HAS_GAPS
 *     tokens := odd: (zigzag number << 1) + 1; even: how many zeros << 1
 *     block  := bits of a number, then zigzag numbers, the lowest bit first, filled up to a byte
 * Numbers are those of wire.h. The checksum is FNV-1a (64 bits, the halves xored) of all before it, the lowest byte first: one
 * damaged byte is always found, more with a chance of 1 - 2^-32. (Differences and their differences after T. Pelkonen et al.,
 * "Gorilla", VLDB 2015; blocks with one width after D. Lemire, L. Boytsov, "Decoding billions of integers per second", 2015.)
 */
#ifndef BRIM_STORAGE_CODEC_H
#define BRIM_STORAGE_CODEC_H

#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

enum {
    CODEC_VERSION = 1,
    CODEC_MAX_ROWS = 1 << 14,
    CODEC_MAX_COLUMNS = 1 << 9,
    CODEC_BLOCK = 32,
    CODEC_SUM_BYTES = 4,
};

/* A row without a value. */
#define CODEC_GAP INT64_MIN

struct codec_column {
    uint32_t id;
    const int64_t *values; /* as many as the chunk has rows */
};

/* Appends a chunk of 1 to CODEC_MAX_ROWS rows and up to CODEC_MAX_COLUMNS columns, their ids rising. O(values). */
void codec_pack(const struct codec_column *columns, size_t n_columns, size_t n_rows,
                struct strbuf *out);

/* An opened chunk; borrows its bytes. */
struct codec {
    size_t rows, columns;
    struct sv body;
};

/* Looks at head and checksum. ERR_STORAGE where these are not a chunk's. */
bool codec_open(struct sv bytes, struct codec *ret_codec, struct err *err) MUST_CHECK;

/*
 * The next column: its id, and where its numbers are. False at the end; with ERR_STORAGE in err if the chunk is damaged there.
 * To begin, take a zeroed one. O(1).
 */
struct codec_cursor {
    size_t taken; /* columns */
    uint32_t id;
    struct sv rest, bytes;
};
bool codec_next(const struct codec *c, struct codec_cursor *cursor, struct err *err) MUST_CHECK;

/* The values of the cursor's column, c->rows of them. ERR_STORAGE where it is damaged; then they mean nothing. O(rows). */
bool codec_values(const struct codec *c, const struct codec_cursor *cursor, int64_t *ret_values,
                  struct err *err) MUST_CHECK;

/* What stands at the end of a chunk; for those who make one by hand. */
uint32_t codec_checksum(struct sv bytes);

#endif

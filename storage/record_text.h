/*
 * record_text: records as CSV or as JSON lines, out and in. What was written reads as the same record, and writes as the same bytes.
 *
 * CSV (RFC 4180, lines end in LF): the rows of a kind stand together, after a line that names their columns and begins with "kind". A
 * cell that is not known is empty. JSON lines: one object a line, its kind first; what is not known is left out; the first line is
 * {"kind":"history","version":1}.
 *
 * The reader takes columns and keys in any order (but `kind` is the first), and may lack those that a row can do without. Bytes are
 * hostile: a line has at most RECORD_MAX_LINE. What is wrong is ERR_INPUT: FILE:LINE, what was found, what was expected.
 */
#ifndef BRIM_STORAGE_RECORD_TEXT_H
#define BRIM_STORAGE_RECORD_TEXT_H

#include <stdio.h>

#include "base/strbuf.h"
#include "storage/record.h"

enum { RECORD_MAX_LINE = 2 << 20, RECORD_TEXT_VERSION = 1 };

enum record_format { RECORD_CSV, RECORD_JSONL };

struct record_writer {
    const struct record_tables *tables; /* borrowed, as `to` */
    enum record_format format;
    FILE *to;
    struct strbuf line;
    enum record_kind kind; /* of the row before; RECORD_KIND_COUNT_: there is none */
};

void record_writer_init(struct record_writer *w, const struct record_tables *tables,
                        enum record_format format, FILE *to);
void record_writer_done(struct record_writer *w);
/* False where the stream does not take it (errno says why). */
bool record_write(struct record_writer *w, const struct record *r) MUST_CHECK;

/* Lines of a stream, however long, up to RECORD_MAX_LINE; without the byte order mark that it may begin with. */
struct record_lines {
    FILE *from;       /* borrowed */
    const char *name; /* of the file, for what is wrong */
    int64_t
        number; /* of the last line, from 1; where it goes on over several, of the first of these */
    int64_t read; /* lines until now */
    struct strbuf line;
    char *piece; /* read and not yet given */
    size_t at, len;
    bool begun;
};

void record_lines_init(struct record_lines *l, FILE *from, const char *name);
void record_lines_done(struct record_lines *l);
/* The next line without its end, in l->line; *ret_some false after the last. ERR_INPUT, ERR_SYSTEM. */
bool record_lines_next(struct record_lines *l, bool *ret_some, struct err *err) MUST_CHECK;
/* The byte that comes next, without taking it, or EOF. ERR_SYSTEM. */
bool record_lines_peek(struct record_lines *l, int *ret_byte, struct err *err) MUST_CHECK;
/* "FILE:LINE: " in front of what is wrong. Returns false. */
bool record_lines_wrong(const struct record_lines *l, struct err *err);

struct record_reader {
    const struct record_tables *tables; /* borrowed, as `lines` */
    enum record_format format;
    struct record_lines *lines;
    enum record_kind
        kind; /* of the rows that come, in CSV; RECORD_KIND_COUNT_: their head was not read yet */
    struct strbuf head;
    int64_t head_number;                                     /* its line; 0: there was none */
    const struct record_column *columns[RECORD_MAX_COLUMNS]; /* of its cells */
    size_t n;
    struct strbuf bytes; /* of the row's base64 */
};

void record_reader_init(struct record_reader *r, const struct record_tables *tables,
                        enum record_format format, struct record_lines *lines);
void record_reader_done(struct record_reader *r);
/* The next row; its texts are valid until the next call. *ret_some false after the last. */
bool record_read(struct record_reader *r, struct record *ret_record, bool *ret_some,
                 struct err *err) MUST_CHECK;

/* A whole number of 10^-digits as the shortest decimal, and such a decimal read exactly; false where it is none, or has more places. */
void record_add_number(struct strbuf *to, int64_t value, int digits);
bool record_parse_number(struct sv text, int digits, int64_t *ret_value) MUST_CHECK;

#endif

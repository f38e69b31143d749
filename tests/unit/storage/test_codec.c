#include "storage/codec.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/policy/random.h"

enum { MAX_COLUMNS = 24 };

static struct strbuf pack(int64_t *const *values, size_t columns, size_t rows)
{
    struct codec_column all[MAX_COLUMNS];
    struct strbuf out;

    strbuf_init(&out, 1 << 26);
    for (size_t i = 0; i < columns; i++)
        all[i] = (struct codec_column){.id = (uint32_t)(i * i), .values = values[i]};
    codec_pack(all, columns, rows, &out);
    cr_assert_not(out.full);
    return out;
}

/* Reads all there is; false where it is damaged. */
static bool unpack(struct sv bytes, int64_t *const *want, size_t columns, size_t rows)
{
    struct codec_cursor cursor = {0};
    struct err err = {0};
    struct codec c;
    bool ok = true;

    if (!codec_open(bytes, &c, &err)) {
        cr_assert(err.kind == ERR_STORAGE && err.text[0] != '\0');
        return false;
    }
    while (ok && codec_next(&c, &cursor, &err)) {
        CLEANUP(free_ptr) int64_t *values = xcalloc(c.rows, sizeof *values);

        ok = codec_values(&c, &cursor, values, &err);
        if (want == NULL)
            continue;
        cr_assert(ok, "%s", err.text);
        cr_assert_eq(c.rows, rows);
        cr_assert_lt(cursor.taken - 1, columns);
        cr_assert_eq(cursor.id, (cursor.taken - 1) * (cursor.taken - 1));
        cr_assert_eq(memcmp(values, want[cursor.taken - 1], rows * sizeof *values), 0, "column %u",
                     cursor.id);
    }
    cr_assert((err.kind == ERR_NONE) == (ok && err.text[0] == '\0'));
    if (want != NULL)
        cr_assert_eq(cursor.taken, columns, "%s", err.text);
    return err.kind == ERR_NONE;
}

/* One of the shapes that series have, and some that they never should. */
static void draw(struct random *r, int64_t *values, size_t rows)
{
    int kind = (int)random_in(r, 0, 7), shift = (int)random_in(r, 0, 63);
    int64_t at = kind == 0 ? 0 : (int64_t)(random_u64(r) >> shift), step = random_in(r, 1, 1000);
    int gaps = random_percent(r, 30) ? (int)random_in(r, 1, 100) : 0;

    for (size_t i = 0; i < rows; i++) {
        if (kind == 1)
            at += step; /* a clock */
        else if (kind == 2)
            at += step + random_in(r, -3, 3); /* one that jitters */
        else if (kind == 3 && random_percent(r, 5))
            at += random_in(r, -20, 20) * 250; /* paid load */
        else if (kind == 4)
            at = (int64_t)(random_u64(r) >> shift);
        else if (kind == 5)
            at = random_percent(r, 50) ? INT64_MAX : INT64_MIN + 1;
        else if (kind == 6)
            at = random_in(r, 0, 1);
        values[i] = random_percent(r, gaps) ? CODEC_GAP : at;
    }
}

Test(codec, any_series_survives)
{
    struct random r = random_start("any_series_survives");

    for (int round = 0; round < 400; round++) {
        size_t columns = (size_t)random_in(&r, 0, MAX_COLUMNS);
        size_t rows = (size_t)random_in(&r, 1, random_percent(&r, 5) ? CODEC_MAX_ROWS : 400);
        int64_t *values[MAX_COLUMNS];
        struct strbuf out;

        for (size_t i = 0; i < columns; i++) {
            values[i] = xcalloc(rows, sizeof **values);
            draw(&r, values[i], rows);
        }
        out = pack(values, columns, rows);
        cr_assert(unpack(strbuf_sv(&out), values, columns, rows));
        strbuf_done(&out);
        for (size_t i = 0; i < columns; i++)
            free(values[i]);
    }
}

static struct strbuf small(struct random *r, size_t rows)
{
    int64_t *values[4];
    struct strbuf out;

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        values[i] = xcalloc(rows, sizeof **values);
        draw(r, values[i], rows);
    }
    out = pack(values, COUNT_OF(values), rows);
    for (size_t i = 0; i < COUNT_OF(values); i++)
        free(values[i]);
    return out;
}

Test(codec, what_is_cut_off_anywhere_is_an_error)
{
    struct random r = random_start("what_is_cut_off_anywhere_is_an_error");

    for (int round = 0; round < 20; round++) {
        struct strbuf out = small(&r, (size_t)random_in(&r, 1, 90));

        for (size_t len = 0; len < out.len; len++)
            cr_assert_not(unpack((struct sv){out.at, len}, NULL, 0, 0), "%zu of %zu", len, out.len);
        strbuf_done(&out);
    }
}

Test(codec, any_one_damaged_byte_is_an_error)
{
    struct random r = random_start("any_one_damaged_byte_is_an_error");

    for (int round = 0; round < 20; round++) {
        struct strbuf out = small(&r, (size_t)random_in(&r, 1, 90));

        for (size_t i = 0; i < out.len; i++) {
            char good = out.at[i];

            out.at[i] = (char)(good ^ (char)random_in(&r, 1, 255));
            cr_assert_not(unpack(strbuf_sv(&out), NULL, 0, 0), "byte %zu", i);
            out.at[i] = good;
        }
        strbuf_done(&out);
    }
}

/* Garbage with a right checksum: whatever comes of it, nothing is read or written that is not there (sanitizers look). */
Test(codec, survives_garbage_that_looks_whole)
{
    struct random r = random_start("survives_garbage_that_looks_whole");

    for (int round = 0; round < 3000; round++) {
        struct strbuf out = small(&r, (size_t)random_in(&r, 1, 60));
        int n = (int)random_in(&r, 1, 6);
        uint32_t sum;

        for (int i = 0; i < n; i++)
            out.at[random_in(&r, 0, (int64_t)out.len - 1 - CODEC_SUM_BYTES)] =
                (char)random_in(&r, 0, 255);
        sum = codec_checksum((struct sv){out.at, out.len - CODEC_SUM_BYTES});
        for (int i = 0; i < CODEC_SUM_BYTES; i++)
            out.at[out.len - CODEC_SUM_BYTES + (size_t)i] = (char)(sum >> (8 * i));
        (void)unpack(strbuf_sv(&out), NULL, 0, 0);
        strbuf_done(&out);
    }
}

/* What a column of so many rows takes, its head of some bytes included. */
Test(codec, takes_few_bytes_for_what_series_are_like)
{
    enum { ROWS = 360 };
    static const struct {
        const char *what;
        size_t most;
    } rows[] = {{"one value", 20},
                {"every 10 s, on the dot", 24},
                {"every 10 s, give or take a millisecond", 24 + ROWS / 2 + ROWS / CODEC_BLOCK + 1},
                {"a step of 250 each 10 rows", 24 + 2 * ROWS / 10},
                {"cores up and down by up to 4", 24 + ROWS / 2 + ROWS / CODEC_BLOCK + 1}};
    struct random r = random_start("takes_few_bytes_for_what_series_are_like");

    for (size_t k = 0; k < COUNT_OF(rows); k++) {
        int64_t values[ROWS], at = INT64_C(1789999200000), *column = values;
        struct strbuf out;

        for (size_t i = 0; i < ROWS; i++) {
            values[i] = k == 2 ? at + random_in(&r, 0, 1) : at;
            if (k == 1 || k == 2)
                at += 10000;
            else if (k == 3 && i % 10 == 0)
                at += 250;
            else if (k == 4)
                at += random_in(&r, -4, 4) * 1000;
        }
        out = pack(&column, 1, ROWS);
        cr_assert_leq(out.len, rows[k].most, "%s: %zu bytes", rows[k].what, out.len);
        cr_assert(unpack(strbuf_sv(&out), &column, 1, ROWS));
        strbuf_done(&out);
    }
}

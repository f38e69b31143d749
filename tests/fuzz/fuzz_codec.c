/* Chunks of the history's series: bytes as they are, with a checksum that fits them, and as values that are packed. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/codec.h"
#include "tests/fuzz/fuzz.h"

static size_t unpack(struct sv bytes)
{
    CLEANUP(free_ptr) int64_t *values = NULL;
    struct codec_cursor cursor = {0};
    struct err err = {0};
    struct codec c;
    size_t sum = 0;

    if (!codec_open(bytes, &c, &err)) {
        if (err.kind != ERR_STORAGE)
            abort();
        return 0;
    }
    if (c.rows == 0 || c.rows > CODEC_MAX_ROWS || c.columns > CODEC_MAX_COLUMNS)
        abort();
    values = xcalloc(c.rows, sizeof *values);
    while (codec_next(&c, &cursor, &err)) {
        if (!codec_values(&c, &cursor, values, &err))
            continue;
        for (size_t i = 0; i < c.rows; i++)
            sum += (size_t)values[i];
    }
    return sum;
}

static void unpack_sealed(const uint8_t *data, size_t size)
{
    struct strbuf bytes;
    uint32_t sum;

    strbuf_init(&bytes, size + CODEC_SUM_BYTES);
    (void)strbuf_add(&bytes, (struct sv){(const char *)data, size});
    sum = codec_checksum(strbuf_sv(&bytes));
    for (int i = 0; i < CODEC_SUM_BYTES; i++)
        (void)strbuf_add_char(&bytes, (char)(uint8_t)(sum >> (8 * i)));
    (void)unpack(strbuf_sv(&bytes));
    strbuf_done(&bytes);
}

/* The first byte says how many bytes a value has. */
static void pack(const uint8_t *data, size_t size)
{
    size_t width = size != 0 ? data[0] % 8 + 1U : 1, rows = size != 0 ? (size - 1) / width : 0;
    CLEANUP(free_ptr) int64_t *in = NULL, *out = NULL;
    struct codec_cursor cursor = {0};
    struct strbuf bytes;
    struct codec c;

    if (rows == 0 || rows > CODEC_MAX_ROWS)
        return;
    in = xcalloc(rows, sizeof *in);
    out = xcalloc(rows, sizeof *out);
    for (size_t i = 0; i < rows; i++)
        memcpy(&in[i], data + 1 + i * width, width);
    strbuf_init(&bytes, 1 << 24);
    codec_pack(&(struct codec_column){.id = 7, .values = in}, 1, rows, &bytes);
    if (!codec_open(strbuf_sv(&bytes), &c, NULL) || !codec_next(&c, &cursor, NULL) ||
        !codec_values(&c, &cursor, out, NULL) || memcmp(in, out, rows * sizeof *in) != 0)
        abort();
    strbuf_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)unpack((struct sv){(const char *)data, size});
    unpack_sealed(data, size);
    pack(data, size);
    return 0;
}

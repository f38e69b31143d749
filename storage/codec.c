#include "storage/codec.h"

#include <assert.h>

#include "base/alloc.h"
#include "storage/wire.h"

/* Flags of a column. */
enum {
    CODEC_TWICE = 1,  /* differenced twice */
    CODEC_BLOCKS = 2, /* else tokens */
    CODEC_HAS_GAPS = 4,
    CODEC_FLAGS = CODEC_TWICE | CODEC_BLOCKS | CODEC_HAS_GAPS,
};

enum {
    /* A head, and for each column its own and a little more than eight bytes a row. */
    MAX_BYTES = 1 << 27,
    WORD_BITS = 64,
};

uint32_t codec_checksum(struct sv bytes)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (uint8_t)bytes.at[i]) * 0x100000001b3ULL;
    return (uint32_t)(hash ^ (hash >> 32));
}

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

/* Differences wrap around, so that any two numbers have one. */
static int64_t minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static uint64_t size_of(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* ---- packing ---- */

static size_t wire_bytes(uint64_t value)
{
    size_t n = 1;

    while (value >= 0x80) {
        value >>= 7;
        n++;
    }
    return n;
}

/* What the numbers from `first` on have in common; 1 where that is nothing. */
static uint64_t divisor_of(const int64_t *numbers, size_t first, size_t n)
{
    uint64_t divisor = 0;

    for (size_t i = first; i < n && divisor != 1; i++) {
        uint64_t rest = size_of(numbers[i]);

        while (rest != 0) {
            uint64_t next = divisor % rest;

            divisor = rest;
            rest = next;
        }
    }
    return divisor != 0 ? divisor : 1;
}

static void divide(int64_t *numbers, size_t first, size_t n, uint64_t divisor)
{
    for (size_t i = first; i < n; i++) {
        uint64_t size = size_of(numbers[i]) / divisor;

        numbers[i] = (int64_t)(numbers[i] < 0 ? 0 - size : size);
    }
}

static size_t run_of_zeros(const int64_t *numbers, size_t i, size_t n)
{
    size_t run = 0;

    while (i + run < n && numbers[i + run] == 0)
        run++;
    return run;
}

/* SIZE_MAX where a number is too large to be a token. */
static size_t tokens_size(const int64_t *numbers, size_t first, size_t n)
{
    size_t size = 0;

    for (size_t i = first; i < n;) {
        size_t run = run_of_zeros(numbers, i, n);

        if (run == 0 && zigzag(numbers[i]) >> (WORD_BITS - 1) != 0)
            return SIZE_MAX;
        size += wire_bytes(run != 0 ? run << 1 : (zigzag(numbers[i]) << 1) + 1);
        i += run != 0 ? run : 1;
    }
    return size;
}

static void put_tokens(const int64_t *numbers, size_t first, size_t n, struct strbuf *out)
{
    for (size_t i = first; i < n;) {
        size_t run = run_of_zeros(numbers, i, n);

        wire_put(out, run != 0 ? run << 1 : (zigzag(numbers[i]) << 1) + 1);
        i += run != 0 ? run : 1;
    }
}

static size_t block_end(size_t i, size_t n)
{
    return n - i < CODEC_BLOCK ? n : i + CODEC_BLOCK;
}

static unsigned width_of(const int64_t *numbers, size_t i, size_t end)
{
    uint64_t all = 0;

    for (; i < end; i++)
        all |= zigzag(numbers[i]);
    return all == 0 ? 0 : (unsigned)(WORD_BITS - __builtin_clzll(all));
}

static size_t blocks_size(const int64_t *numbers, size_t first, size_t n)
{
    size_t size = 0;

    for (size_t i = first; i < n; i = block_end(i, n)) {
        size_t end = block_end(i, n);

        size += 1 + ((end - i) * width_of(numbers, i, end) + 7) / 8;
    }
    return size;
}

static void put_blocks(const int64_t *numbers, size_t first, size_t n, struct strbuf *out)
{
    for (size_t i = first; i < n;) {
        size_t end = block_end(i, n);
        unsigned width = width_of(numbers, i, end), held = 0;
        unsigned __int128 bits = 0;

        (void)strbuf_add_char(out, (char)width);
        for (; i < end; i++) {
            bits |= (unsigned __int128)zigzag(numbers[i]) << held;
            for (held += width; held >= 8; held -= 8, bits >>= 8)
                (void)strbuf_add_char(out, (char)(uint8_t)bits);
        }
        if (held != 0)
            (void)strbuf_add_char(out, (char)(uint8_t)bits);
    }
}

/* The numbers of a column in one of the ways: up to two first ones, then n - `first` that are coded. */
struct way {
    unsigned flags;
    size_t first, size;
    uint64_t divisor;
    int64_t *numbers;
};

static void difference(const int64_t *from, size_t first, size_t n, int64_t *to)
{
    for (size_t i = n; i-- > first;)
        to[i] = minus(from[i], from[i - 1]);
    for (size_t i = 0; i < first && i < n; i++)
        to[i] = from[i];
}

static struct way try_way(const int64_t *from, size_t n, bool twice, int64_t *to)
{
    struct way w = {.flags = twice ? CODEC_TWICE : 0, .first = twice ? 2 : 1, .numbers = to};
    size_t tokens, blocks;

    difference(from, w.first, n, to);
    w.divisor = divisor_of(to, w.first, n);
    divide(to, w.first, n, w.divisor);
    tokens = tokens_size(to, w.first, n);
    blocks = blocks_size(to, w.first, n);
    w.flags |= blocks < tokens ? CODEC_BLOCKS : 0;
    w.size = (blocks < tokens ? blocks : tokens) + wire_bytes(w.divisor);
    if (twice && n > 1)
        w.size += wire_bytes(zigzag(to[1]));
    return w;
}

static void put_way(const struct way *w, size_t n, struct strbuf *out)
{
    for (size_t i = 0; i < w->first && i < n; i++)
        wire_put_signed(out, w->numbers[i]);
    wire_put(out, w->divisor);
    if (n <= w->first)
        return;
    if ((w->flags & CODEC_BLOCKS) != 0)
        put_blocks(w->numbers, w->first, n, out);
    else
        put_tokens(w->numbers, w->first, n, out);
}

/* Copies the values that there are. */
static size_t without_gaps(const int64_t *values, size_t rows, int64_t *to)
{
    size_t n = 0;

    for (size_t i = 0; i < rows; i++) {
        if (values[i] != CODEC_GAP)
            to[n++] = values[i];
    }
    return n;
}

static void put_gaps(const int64_t *values, size_t rows, struct strbuf *out)
{
    bool gap = false;

    for (size_t i = 0; i < rows; gap = !gap) {
        size_t begin = i;

        while (i < rows && (values[i] == CODEC_GAP) == gap)
            i++;
        wire_put(out, i - begin);
    }
}

/* `work` has room for three columns. */
static void put_column(const int64_t *values, size_t rows, int64_t *work, struct strbuf *out)
{
    size_t n = without_gaps(values, rows, work);
    unsigned gaps = n < rows ? CODEC_HAS_GAPS : 0;
    struct way best = {0};

    if (n != 0) {
        struct way twice;

        best = try_way(work, n, false, work + rows);
        /* The second differences are the differences' differences. */
        difference(work, 1, n, work);
        twice = try_way(work, n, true, work + 2 * rows);
        best = n > 2 && twice.size < best.size ? twice : best;
    }
    (void)strbuf_add_char(out, (char)(best.flags | gaps));
    if (gaps != 0)
        put_gaps(values, rows, out);
    if (n != 0)
        put_way(&best, n, out);
}

void codec_pack(const struct codec_column *columns, size_t n_columns, size_t n_rows,
                struct strbuf *out)
{
    CLEANUP(free_ptr) int64_t *work = xcalloc(3 * n_rows, sizeof *work);
    struct strbuf column;
    size_t begin = out->len;
    uint32_t sum;

    assert(n_rows != 0 && n_rows <= CODEC_MAX_ROWS && n_columns <= CODEC_MAX_COLUMNS);
    strbuf_init(&column, MAX_BYTES);
    wire_put(out, CODEC_VERSION);
    wire_put(out, n_rows);
    wire_put(out, n_columns);
    for (size_t i = 0; i < n_columns; i++) {
        assert(i == 0 || columns[i].id > columns[i - 1].id);
        strbuf_clear(&column);
        put_column(columns[i].values, n_rows, work, &column);
        wire_put(out, columns[i].id);
        wire_put_bytes(out, strbuf_sv(&column));
    }
    sum = codec_checksum(sv_skip(strbuf_sv(out), begin));
    for (int i = 0; i < CODEC_SUM_BYTES; i++)
        (void)strbuf_add_char(out, (char)(uint8_t)(sum >> (8 * i)));
    strbuf_done(&column);
}

/* ---- unpacking ---- */

static bool damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_STORAGE, 0, "a chunk of the history is damaged: %s", what);
}

bool codec_open(struct sv bytes, struct codec *ret_codec, struct err *err)
{
    uint64_t version, rows, columns;
    uint32_t sum = 0;
    struct sv body;

    if (bytes.len < CODEC_SUM_BYTES)
        return damaged(err, "it ends too early");
    body = (struct sv){bytes.at, bytes.len - CODEC_SUM_BYTES};
    for (size_t i = 0; i < CODEC_SUM_BYTES; i++)
        sum |= (uint32_t)(uint8_t)bytes.at[body.len + i] << (8 * i);
    if (sum != codec_checksum(body))
        return damaged(err, "its checksum is another");
    if (!wire_get(&body, &version) || !wire_get(&body, &rows) || !wire_get(&body, &columns))
        return damaged(err, "its head ends too early");
    if (version != CODEC_VERSION)
        return err_set(err, ERR_STORAGE, 0,
                       "a chunk of the history: found version %llu, expected %d",
                       (unsigned long long)version, CODEC_VERSION);
    if (rows == 0 || rows > CODEC_MAX_ROWS || columns > CODEC_MAX_COLUMNS)
        return damaged(err, "it claims too many rows or columns");
    *ret_codec = (struct codec){.rows = (size_t)rows, .columns = (size_t)columns, .body = body};
    return true;
}

bool codec_next(const struct codec *c, struct codec_cursor *cursor, struct err *err)
{
    struct sv rest = cursor->taken == 0 ? c->body : cursor->rest, bytes;
    uint64_t id;

    if (cursor->taken == c->columns)
        return rest.len == 0 ? false : damaged(err, "more follows");
    if (!wire_get(&rest, &id) || !wire_get_bytes(&rest, rest.len, &bytes))
        return damaged(err, "a column ends too early");
    if (id > UINT32_MAX || (cursor->taken != 0 && id <= cursor->id))
        return damaged(err, "its columns are out of order");
    *cursor = (struct codec_cursor){
        .taken = cursor->taken + 1, .id = (uint32_t)id, .rest = rest, .bytes = bytes};
    return true;
}

static bool get_tokens(struct sv *in, int64_t *numbers, size_t first, size_t n)
{
    uint64_t token;

    for (size_t i = first; i < n;) {
        if (!wire_get(in, &token))
            return false;
        if ((token & 1) != 0) {
            numbers[i++] = unzigzag(token >> 1);
            continue;
        }
        if (token >> 1 == 0 || token >> 1 > n - i)
            return false;
        for (token >>= 1; token != 0; token--)
            numbers[i++] = 0;
    }
    return true;
}

static bool get_block(struct sv *in, int64_t *numbers, size_t n)
{
    unsigned __int128 bits = 0;
    unsigned held = 0;
    size_t bytes, taken = 0;
    uint8_t width;

    if (!wire_get_byte(in, &width) || width > WORD_BITS)
        return false;
    bytes = (n * width + 7) / 8;
    if (in->len < bytes)
        return false;
    for (size_t i = 0; i < n; i++) {
        for (; held < width; held += 8)
            bits |= (unsigned __int128)(uint8_t)in->at[taken++] << held;
        numbers[i] = unzigzag((uint64_t)(bits & (((unsigned __int128)1 << width) - 1)));
        bits >>= width;
        held -= width;
    }
    *in = sv_skip(*in, bytes);
    return true;
}

static bool get_blocks(struct sv *in, int64_t *numbers, size_t first, size_t n)
{
    for (size_t i = first; i < n; i = block_end(i, n)) {
        if (!get_block(in, numbers + i, block_end(i, n) - i))
            return false;
    }
    return true;
}

/* Sums up: the values of the numbers. */
static void integrate(int64_t *numbers, size_t first, size_t n, uint64_t divisor)
{
    for (size_t i = first; i < n; i++)
        numbers[i] = (int64_t)((uint64_t)numbers[i] * divisor);
    /* Twice: the first difference, summed up, gives all of them. */
    for (size_t i = 2; first == 2 && i < n; i++)
        numbers[i] = plus(numbers[i], numbers[i - 1]);
    for (size_t i = 1; i < n; i++)
        numbers[i] = plus(numbers[i], numbers[i - 1]);
}

static bool get_numbers(struct sv *in, unsigned flags, int64_t *numbers, size_t n)
{
    size_t first = (flags & CODEC_TWICE) != 0 ? 2 : 1;
    uint64_t divisor;

    for (size_t i = 0; i < first && i < n; i++) {
        if (!wire_get_signed(in, &numbers[i]))
            return false;
    }
    if (!wire_get(in, &divisor) ||
        !((flags & CODEC_BLOCKS) != 0 ? get_blocks(in, numbers, first, n)
                                      : get_tokens(in, numbers, first, n)))
        return false;
    integrate(numbers, first, n, divisor);
    return true;
}

/* How many rows have a value; *gaps is read a second time to spread them. */
static bool count_values(struct sv *gaps, size_t rows, size_t *ret_n)
{
    size_t told = 0, n = 0;

    for (size_t i = 0; told < rows; i++) {
        uint64_t run;

        /* Only the first may be empty: there are no more runs than rows, and one. */
        if (!wire_get(gaps, &run) || run > rows - told || (run == 0 && i != 0))
            return false;
        told += (size_t)run;
        n += i % 2 != 0 ? 0 : (size_t)run;
    }
    *ret_n = n;
    return true;
}

/* Moves n values from the front to the rows that have one. From the last run back they never overtake themselves. */
static void spread(struct sv gaps, size_t rows, size_t n, int64_t *values)
{
    CLEANUP(free_ptr) uint64_t *runs = xcalloc(rows + 1, sizeof *runs);
    size_t n_runs = 0, told = 0;

    while (told < rows && wire_get(&gaps, &runs[n_runs]))
        told += (size_t)runs[n_runs++];
    while (n_runs-- > 0) {
        for (uint64_t k = runs[n_runs]; k != 0; k--)
            values[--told] = n_runs % 2 != 0 ? CODEC_GAP : values[--n];
    }
}

bool codec_values(const struct codec *c, const struct codec_cursor *cursor, int64_t *ret_values,
                  struct err *err)
{
    struct sv in = cursor->bytes, gaps;
    size_t n = c->rows;
    uint8_t flags;

    if (!wire_get_byte(&in, &flags) || (flags & ~CODEC_FLAGS) != 0)
        return damaged(err, "a column of another kind");
    gaps = in;
    if ((flags & CODEC_HAS_GAPS) != 0 && !count_values(&in, c->rows, &n))
        return damaged(err, "the gaps of a column");
    if ((n != 0 && !get_numbers(&in, flags, ret_values, n)) || in.len != 0)
        return damaged(err, "the numbers of a column");
    if ((flags & CODEC_HAS_GAPS) != 0)
        spread(gaps, c->rows, n, ret_values);
    return true;
}

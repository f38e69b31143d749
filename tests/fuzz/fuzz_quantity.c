#include <stdlib.h>

#include "capacity/quantity.h"
#include "tests/fuzz/fuzz.h"

/* Within these the canonical text is exact, suffixes included (quantity.h). */
static bool exact(const struct quantity *q)
{
    __int128 kilo_exa = (__int128)1000000000 * 1000000000 * 1000 * 1000000000;

    return q->nano < kilo_exa && q->nano > -kilo_exa;
}

/* The canonical text reads as the same amount, and is its own canonical text. */
static void check_canonical(const struct quantity *q)
{
    char text[QUANTITY_TEXT_SIZE], again[QUANTITY_TEXT_SIZE];
    struct quantity read;

    quantity_text(q, text);
    if (!quantity_parse(sv_from(text), &read, NULL))
        abort();
    quantity_text(&read, again);
    if (read.nano != q->nano || strcmp(text, again) != 0)
        abort();
}

static void check_rounded(const struct quantity *q)
{
    int64_t milli, value;
    bool fits_milli = quantity_milli(q, &milli), fits_value = quantity_value(q, &value);

    if (fits_milli && ((__int128)milli * 1000000 - q->nano) * (q->nano < 0 ? -1 : 1) < 0)
        abort();
    if (fits_milli && !fits_value)
        abort();
    if ((!fits_milli && milli != INT64_MAX && milli != INT64_MIN) ||
        (!fits_value && value != INT64_MAX && value != INT64_MIN))
        abort();
}

/* Adding the negative amount gives 0, where neither saturated. */
static void check_sum(const struct quantity *q)
{
    struct quantity sum = *q, minus = {.nano = -q->nano, .format = q->format};

    quantity_add(&sum, &minus);
    if (sum.nano != 0)
        abort();
    sum = *q;
    quantity_add(&sum, q);
    if ((q->nano > 0 && sum.nano <= q->nano) || (q->nano < 0 && sum.nano >= q->nano))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {.at = (const char *)data, .len = size};
    struct strbuf canonical;
    struct quantity q;
    struct err err = {0};
    bool ok = quantity_parse(text, &q, &err);

    strbuf_init(&canonical, 1 << 20);
    if (!ok && (err.kind != ERR_INPUT || err.text[0] == '\0'))
        abort();
    if (quantity_canonical(text, &canonical, NULL) != ok)
        abort();
    if (ok && exact(&q)) {
        check_canonical(&q);
        check_sum(&q);
    }
    if (ok)
        check_rounded(&q);
    strbuf_done(&canonical);
    return 0;
}

#include <stdlib.h>

#include "base/zone.h"
#include "tests/fuzz/fuzz.h"

/* A zone that was accepted keeps to what zone.h says of it, at any time. */
static void check(const struct zone *z, int64_t at)
{
    int64_t next = zone_next_s(z, at), first = zone_first_s(z, at);
    int32_t offset = zone_offset_s(z, at);

    if (offset < ZONE_MIN_OFFSET_S || offset > ZONE_MAX_OFFSET_S || next <= at)
        abort();
    if (next != INT64_MAX && zone_offset_s(z, next - 1) != offset)
        abort();
    if (first + zone_offset_s(z, first) < at || first - 1 + zone_offset_s(z, first - 1) >= at)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv bytes = {.at = (const char *)data, .len = size};
    struct zone *zone = NULL;
    struct err err = {0};

    (void)zone_is_name(bytes);
    if (zone_parse(bytes, &zone, &err)) {
        for (int64_t at = -2500000000; at < 6000000000; at += 86400 * 50 + 1801)
            check(zone, at);
        check(zone, INT64_MIN / 1000000);
        check(zone, INT64_MAX / 1000000);
    } else if (zone != NULL || (err.kind != ERR_INPUT && err.kind != ERR_LIMIT)) {
        abort();
    }
    zone_free(zone);
    return 0;
}

#include "tests/fuzz/fuzz.h"

/* Any bytes as every kind of object in JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_decode(DECODE_JSON, (struct sv){.at = (const char *)data, .len = size});
    return 0;
}

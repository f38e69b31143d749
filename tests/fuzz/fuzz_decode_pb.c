#include "tests/fuzz/fuzz.h"

/* Any bytes as every kind of object in protobuf, with and without the envelope. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv body = {.at = (const char *)data, .len = size};
    struct sv object;

    (void)fuzz_decode(DECODE_PROTOBUF, body);
    if (decode_unwrap(DECODE_PROTOBUF, body, &object, NULL))
        (void)fuzz_decode(DECODE_PROTOBUF, object);
    return 0;
}

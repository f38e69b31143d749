#include <stdlib.h>

#include "agent/kube/frame.h"
#include "tests/fuzz/fuzz.h"

/*
 * The first byte chooses: bit 0 watch or list, bit 1 protobuf or JSON, the rest the size of the pieces. The same bytes in one
 * piece and in many must give the same objects; objects themselves are left to the other targets.
 */
struct seen {
    size_t objects;
    uint64_t hash;
};

static bool see(void *self, enum frame_event event, enum decode_format format UNUSED,
                struct sv object, struct err *err UNUSED)
{
    struct seen *seen = self;

    seen->objects++;
    seen->hash = seen->hash * 31 + sv_hash(object) + (unsigned)event;
    return true;
}

/* How far it came: 0 an error, 1 an end too early, 2 whole. */
static int run(bool watch, enum decode_format format, struct sv bytes, size_t step,
               struct seen *seen)
{
    struct frame_handler handler = {.object = see, .self = seen};
    CLEANUP(frame_free_ptr) struct frame *f = frame_new(watch, format, &handler);
    struct err err;

    while (bytes.len != 0) {
        size_t n = bytes.len < step ? bytes.len : step;

        if (!frame_push(f, (struct sv){.at = bytes.at, .len = n}, &err))
            return 0;
        bytes = sv_skip(bytes, n);
    }
    return frame_end(f, &err) ? 2 : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {0}, cut = {0};

    if (size == 0)
        return 0;

    struct sv bytes = {.at = (const char *)data + 1, .len = size - 1};
    bool watch = (data[0] & 1) != 0;
    enum decode_format format = (data[0] & 2) != 0 ? DECODE_PROTOBUF : DECODE_JSON;
    size_t step = (size_t)(data[0] >> 2) + 1;

    if (run(watch, format, bytes, size, &whole) != run(watch, format, bytes, step, &cut))
        abort();
    if (whole.objects != cut.objects || whole.hash != cut.hash)
        abort();
    return 0;
}

/* The event journal's decoder: the first byte says in how many chunks the rest is cut. */
#include <stdlib.h>

#include "storage/unpack.h"
#include "storage/wire.h"
#include "tests/fuzz/fuzz.h"

/* Aborts where a reader could not follow what it is told. */
static bool follow(void *self, const struct event *e)
{
    bool *begun = self;
    volatile uint64_t sum = sv_hash(e->node);
    bool pod = e->kind >= EVENT_POD_FOUND;

    if (!*begun && !(e->kind == EVENT_GAP && e->resets))
        abort();
    *begun = true;
    if (e->kind >= EVENT_COUNT_ || (e->kind == EVENT_GAP && e->why >= GAP_COUNT_) || e->t_ms < 0)
        abort();
    if ((pod || e->kind == EVENT_NODE) != (e->shape != NULL))
        abort();
    if (e->kind == EVENT_POD_CREATED && e->node.len != 0)
        abort();
    (void)sum;
    return true;
}

static void read_all(const uint8_t *data, size_t size, int64_t from_ms)
{
    size_t parts = size != 0 ? data[0] % 8 + 1U : 1, done = size != 0;
    bool begun = false;
    struct unpack *u = unpack_new(from_ms, from_ms + 1000000, follow, &begun);

    for (size_t i = 0; i < parts; i++) {
        size_t len = i + 1 == parts ? size - done : (size - done) / (parts - i);
        struct err err = {0};

        bool begins = len != 0 && (data[done] & 0xf) == WIRE_KEY;

        if (!unpack_chunk(u, begins ? 0 : (int64_t)i, 1000 + (int64_t)i * 500,
                          (struct sv){(const char *)data + done, len}, &err) &&
            (err.kind != ERR_STORAGE || err.text[0] == '\0'))
            abort();
        done += len;
    }
    unpack_finish(u);
    unpack_free(u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all(data, size, 0);
    read_all(data, size, 5000);
    return 0;
}

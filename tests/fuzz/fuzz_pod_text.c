#include <stdlib.h>

#include "agent/pod_text.h"
#include "base/alloc.h"
#include "tests/fuzz/fuzz.h"

struct told {
    size_t pods, broken;
};

/* What is handed over begins as an object does; the decoder, which must stand it, finds what else is wrong. */
static bool on_pod(void *self, struct sv json, struct err *err)
{
    struct told *told = self;

    if (json.len < 2 || json.at[0] != '{')
        abort();
    (void)fuzz_decode(DECODE_JSON, json);
    told->pods++;
    return told->pods % 3 != 0 || err_set(err, ERR_INPUT, 0, "refused");
}

static void on_broken(void *self, const struct err *err)
{
    struct told *told = self;

    if (err->kind == ERR_NONE || err->text[0] == '\0')
        abort();
    told->broken++;
}

/* Nothing is passed over in silence but blanks and empty lists; the same text says the same twice. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {.at = (const char *)data, .len = size};
    struct told first = {0}, second = {0};

    pod_text_each(text, &(struct pod_text_handler){on_pod, on_broken, &first});
    pod_text_each(text, &(struct pod_text_handler){on_pod, on_broken, &second});
    if (first.pods != second.pods || first.broken != second.broken || first.pods > size ||
        first.broken > size + 1)
        abort();
    return 0;
}

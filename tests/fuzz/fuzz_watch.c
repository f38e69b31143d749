#include <stdlib.h>

#include "agent/kube/watch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script.h"

enum { MAX_STEPS = 200 };

/* What the handler was told last, in the order that watch.h promises. */
struct seen {
    bool initial; /* lists may come as initial events, changes among them */
    bool listing, synced, stopped;
    size_t objects;
};

static void on_begin(void *self)
{
    struct seen *seen = self;

    if (seen->stopped)
        abort();
    seen->listing = true;
}

static bool on_object(void *self, enum watch_change change, enum decode_format format,
                      struct sv object, struct err *err)
{
    struct seen *seen = self;

    if (seen->stopped || (!seen->listing && !seen->synced) ||
        (seen->listing && change == WATCH_DELETE && !seen->initial))
        abort();
    seen->objects++;
    (void)fuzz_decode(format, object);
    return object.len % 5 != 4 || err_set(err, ERR_INPUT, 0, "refused");
}

static void on_synced(void *self)
{
    struct seen *seen = self;

    if (seen->stopped || !seen->listing)
        abort();
    seen->listing = false;
    seen->synced = true;
}

static void on_trouble(void *self, const struct err *err)
{
    struct seen *seen = self;

    if (seen->stopped || err->kind == ERR_NONE || err->text[0] == '\0')
        abort();
}

/* A stream goes on from a version that is known; what runs waits for the server or for a timer. */
static void check(const struct watch *w, const struct seen *seen)
{
    const struct watch_stats *stats = watch_stats(w);

    if (strlen(watch_version(w)) > WATCH_MAX_VERSION || watch_state(w) >= WATCH_STATE_COUNT_ ||
        watch_state(w) == WATCH_OFF)
        abort();
    if (watch_state(w) == WATCH_STREAM && (seen->listing || watch_version(w)[0] == '\0'))
        abort();
    if (stats->synced != seen->synced || stats->broken + stats->events < stats->broken)
        abort();
}

/* The first byte: does it ask for initial events? The others are the server's answers (script.h). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct watch_options options = {.path = WATCH_PODS_PATH,
                                    .list_kind = WATCH_PODS_KIND,
                                    .field_selector = WATCH_PODS_SELECTOR,
                                    .seed = 7};
    struct seen seen = {0};
    const struct watch_handler handler = {on_begin, on_object, on_synced, on_trouble, &seen};
    struct script script;
    struct watch *w;
    int steps = 0;

    script_init(&script, (struct sv){.at = (const char *)data, .len = size});
    options.initial_events = seen.initial = script_byte(&script) % 2 != 0;
    w = watch_new(script.client, &options, &handler);
    watch_start(w);
    while (script.bytes.len != 0 && steps++ < MAX_STEPS) {
        if (!script_play(&script)) /* it has gone to sleep for good */
            abort();
        check(w, &seen);
    }
    watch_stop(w);
    seen.stopped = true;
    watch_free(w);
    script_done(&script);
    return 0;
}

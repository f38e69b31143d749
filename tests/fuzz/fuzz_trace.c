#include <stdlib.h>

#include "base/alloc.h"
#include "policy/sim/trace.h"
#include "tests/fuzz/check_trace.h"
#include "tests/fuzz/fuzz.h"

static bool refused(bool ok, const struct err *err)
{
    if (!ok && ((err->kind != ERR_INPUT && err->kind != ERR_LIMIT) || err->text[0] == '\0'))
        abort();
    return !ok;
}

static bool read_filler(struct trace *t, struct sv text, struct err *err)
{
    char *own = xmalloc(text.len != 0 ? text.len : 1); /* exactly as long; it is written to */
    bool ok;

    if (text.len != 0)
        memcpy(own, text.at, text.len);
    ok = trace_read_filler(t, SV("t.json"), own, text.len, err);
    free(own);
    return ok;
}

/* Three files, each ended by a NUL: nodes, pods, filler. The last two may be left out. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv rest = {.at = (const char *)data, .len = size}, nodes = {0}, pods = {0}, filler = {0};
    struct trace t;
    struct err err = {0};

    (void)(sv_next(&rest, '\0', &nodes) && sv_next(&rest, '\0', &pods) &&
           sv_next(&rest, '\0', &filler));
    trace_init(&t);
    if (!refused(trace_read_nodes(&t, SV("t.nodes.csv"), nodes, &err), &err) &&
        !refused(trace_read_pods(&t, SV("t.csv"), pods, &err), &err)) {
        check_trace(&t);
        if (filler.len != 0 && !refused(read_filler(&t, filler, &err), &err))
            check_trace(&t);
    }
    trace_done(&t);
    return 0;
}

#include <stdlib.h>
#include <string.h>

#include "agent/decide_answer.h"
#include "agent/decide_line.h"
#include "agent/decide_state.h"
#include "base/alloc.h"
#include "tests/fuzz/fuzz.h"

static const char policy_text[] =
    "apiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: miner}\nspec:\n"
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
    "  replicas: {min: 2, max: 150}\n"
    "  paid: {ignore: [{selector: tier=batch}]}\n";

/* An answer keeps to what was promised, and is one line. */
static void check(const struct decide *decide, const struct decide_answer *answer,
                  const struct strbuf *text)
{
    const struct decision *d = &answer->plan->decision;
    int64_t wake_us;

    if (d->replicas < 0 || (d->write && d->replicas > d->slots) ||
        (decide_wake(decide, &wake_us) && wake_us <= answer->t_us))
        abort();
    if (text->full || text->len == 0 || text->at[text->len - 1] != '\n' ||
        memchr(text->at, '\n', text->len - 1) != NULL)
        abort();
}

static bool take_line(struct decide *d, struct decide_line *line, struct sv text)
{
    char *copy = xmalloc(text.len != 0 ? text.len : 1); /* exactly as long; it is written to */
    struct err err = {0};
    bool ok;

    if (text.len != 0)
        memcpy(copy, text.at, text.len);
    ok = decide_line_read(line, copy, text.len, decide_names(d), &err) &&
         decide_apply(d, line, &err);
    if (!ok && (err.kind != ERR_INPUT || err.text[0] == '\0'))
        abort();
    free(copy);
    return ok;
}

/* A refused line changes nothing, so that the run may go on behind it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv rest = {.at = (const char *)data, .len = size}, text;
    struct policy_list policies = {0};
    struct decide_line line = {0};
    struct strbuf scratch, out;
    struct decide *d;

    if (!policy_read(SV("p.yaml"), SV(policy_text), &policies, NULL) ||
        !decide_new(&policies, &d, NULL))
        abort();
    strbuf_init(&scratch, 1 << 16);
    strbuf_init(&out, 1 << 16);
    while (sv_next(&rest, '\n', &text)) {
        if (!take_line(d, &line, text) || line.kind != LINE_STEP)
            continue;

        size_t n;
        const struct decide_answer *answers = decide_step(d, &n);

        decide_answer_print(d, answers, n, &scratch, &out);
        check(d, answers, &out);
        strbuf_clear(&out);
    }
    strbuf_done(&scratch);
    strbuf_done(&out);
    decide_free(d);
    decide_line_done(&line);
    policy_list_done(&policies);
    return 0;
}

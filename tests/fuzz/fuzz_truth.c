#include <stdlib.h>
#include <string.h>

#include "agent/truth.h"
#include "tests/fuzz/fuzz.h"

/* What is shown of it can be told again, and is read as the same. */
static void check_again(const struct snapshot *s, const char *url)
{
    struct strbuf first, second;
    struct truth_teller teller = {.url = url};
    struct snapshot *other = snapshot_new(s->n_fillers);
    struct truth *t;

    strbuf_init(&first, TRUTH_MAX);
    strbuf_init(&second, TRUTH_MAX);
    truth_write(s, &teller, &first);
    t = truth_read(strbuf_sv(&first), NULL);
    if (t == NULL || first.full)
        abort();
    for (size_t i = 0; i < t->n; i++) {
        memcpy(other->fillers[i].policy, s->fillers[i].policy, sizeof s->fillers[i].policy);
        truth_apply(&t->filler[i], &other->fillers[i]);
    }
    if (t->left_out == 0) {
        truth_write(other, &teller, &second);
        if (!sv_eq(strbuf_sv(&first), strbuf_sv(&second)))
            abort();
    }
    free(t);
    snapshot_unref(other);
    strbuf_done(&first);
    strbuf_done(&second);
}

/* What another replica says, as the API server gives it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct truth *t = truth_read((struct sv){.at = (const char *)data, .len = size}, &err);
    struct snapshot *s;

    if (t == NULL) {
        if (err.kind != ERR_PROTOCOL && err.kind != ERR_LIMIT)
            abort();
        return 0;
    }
    s = snapshot_new(t->n);
    for (size_t i = 0; i < t->n; i++) {
        memcpy(s->fillers[i].policy, t->filler[i].policy, sizeof s->fillers[i].policy);
        truth_apply(&t->filler[i], &s->fillers[i]);
    }
    check_again(s, t->url[0] != '\0' ? t->url : NULL);
    snapshot_unref(s);
    free(t);
    return 0;
}

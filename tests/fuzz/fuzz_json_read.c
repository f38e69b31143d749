#include <stdlib.h>

#include "agent/json_read.h"
#include "agent/top/answers.h"
#include "base/alloc.h"
#include "base/jsonr.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT_MAX = 1 << 20 };

static void check_inside(struct sv whole, struct sv part)
{
    if (part.len != 0 && (part.at < whole.at || part.at + part.len > whole.at + whole.len))
        abort();
}

/* A string that the strict reader accepts is the same text here. */
static void check_text(struct sv json)
{
    char *own = xmalloc(json.len != 0 ? json.len : 1);
    struct strbuf text;
    struct jsonr r;
    struct sv strict;

    if (json.len != 0)
        memcpy(own, json.at, json.len);
    strbuf_init(&text, TEXT_MAX);
    jsonr_init(&r, own, json.len);
    if (jsonr_string(&r, &strict) && jsonr_end(&r, NULL) &&
        (!json_text(json, "", &text) || !sv_eq(strict, strbuf_sv(&text))))
        abort();
    strbuf_done(&text);
    free(own);
}

static void check_walk(struct sv json)
{
    struct sv rest = sv_trim(json), item, key;
    size_t left = rest.len + 1;

    while (json_next(&rest, &item)) {
        check_inside(json, item);
        check_text(item);
        if (rest.len >= left || item.len == 0)
            abort();
        left = rest.len;
    }
    rest = sv_trim(json);
    for (left = rest.len + 1; json_next_member(&rest, &key, &item); left = rest.len) {
        check_inside(json, key);
        check_inside(json, item);
        check_text(key);
        if (rest.len >= left || key.len < 2 || item.len == 0)
            abort();
    }
}

static void check_paths(struct sv json)
{
    static const char *const paths[] = {
        "", "v", "cpu", "cpu.paid_milli", "a.b.c", "waiting.day.paid"};

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        int64_t number;
        struct strbuf text;

        check_inside(json, json_at(json, paths[i]));
        if (json_i64(json, paths[i], &number) && json_true(json, paths[i]))
            abort();
        strbuf_init(&text, 16); /* small: what does not fit is dropped */
        (void)json_text(json, paths[i], &text);
        if (text.len > 16)
            abort();
        strbuf_done(&text);
    }
}

static void check_plain(const char *text, size_t size)
{
    size_t len = strnlen(text, size);

    if (len == size)
        abort();
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            abort();
    }
}

static void check_view(const struct top_view *v)
{
    if (v->n_fillers > TOP_FILLERS || v->n_decisions > TOP_DECISIONS || v->n_nodes > TOP_NODES)
        abort();
    check_plain(v->state, sizeof v->state);
    check_plain(v->doing, sizeof v->doing);
    for (size_t i = 0; i < v->n_fillers; i++) {
        check_plain(v->fillers[i].policy, TOP_NAME);
        check_plain(v->fillers[i].trouble, TOP_TEXT);
        if (v->fillers[i].wanted < TOP_UNKNOWN)
            abort();
    }
    for (size_t i = 0; i < v->n_decisions; i++)
        check_plain(v->decisions[i].detail, TOP_TEXT);
    for (size_t i = 0; i < v->n_nodes; i++)
        check_plain(v->node[i].name, TOP_NAME);
    for (size_t i = 1; i < v->n_nodes; i++) {
        if (v->node[i - 1].free > v->node[i].free)
            abort();
    }
}

static bool (*const readers[])(struct sv json, struct top_view *v) = {
    answers_status,
    answers_decisions,
    answers_nodes,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv json = {.at = (const char *)data, .len = size};
    struct top_view *view = xcalloc(1, sizeof *view);

    check_walk(json);
    check_paths(json);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        if (readers[i](json, view))
            check_view(view);
    }
    answers_done(view);
    free(view);
    return 0;
}

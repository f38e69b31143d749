#include <cjson/cJSON.h>
#include <stdlib.h>

#include "agent/kube/jsonscan.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT_MAX = 4 << 20 };

/* In one piece and in pieces of every small size the value ends at the same byte. */
static void check_pieces(struct sv text)
{
    struct jsonscan whole = {0};
    size_t used = 0;
    enum jsonscan_result result = jsonscan_feed(&whole, text, &used);

    if (used > text.len || (result == JSONSCAN_MORE && used != text.len))
        abort();
    for (size_t step = 1; step <= 7; step++) {
        struct jsonscan cut = {0};
        enum jsonscan_result now = JSONSCAN_MORE;
        size_t sum = 0;

        while (now == JSONSCAN_MORE && sum < text.len) {
            struct sv rest = sv_skip(text, sum);
            size_t n = 0;

            rest.len = rest.len < step ? rest.len : step;
            now = jsonscan_feed(&cut, rest, &n);
            sum += n;
        }
        if (now != result || (result != JSONSCAN_BAD && sum != used))
            abort();
    }
}

/* Members lie inside the object, one behind the other. */
static void check_members(struct sv text)
{
    struct jsonscan_member m;
    struct sv rest;
    bool bad = false;
    const char *behind = text.at;

    if (!jsonscan_open(text, &rest))
        return;
    while (jsonscan_next(&rest, &m, &bad)) {
        if (m.key.at < behind || m.key.at + m.key.len > m.value.at || m.key.len < 2 ||
            m.value.len == 0 || m.value.at + m.value.len > text.at + text.len)
            abort();
        behind = m.value.at + m.value.len;
    }
}

/* No NUL is left that would end the text for a C parser; the parser takes or refuses the rest. */
static void check_rewrite(struct sv text)
{
    struct strbuf out;
    struct err err = {0};

    strbuf_init(&out, TEXT_MAX);
    if (jsonscan_rewrite(text, &out, &err)) {
        if (out.len != 0 && memchr(out.at, '\0', out.len) != NULL)
            abort();
        cJSON_Delete(cJSON_ParseWithLength(strbuf_str(&out), out.len));
    } else if ((err.kind != ERR_INPUT && err.kind != ERR_LIMIT) || err.text[0] == '\0') {
        abort();
    }
    strbuf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {.at = (const char *)data, .len = size};

    check_pieces(text);
    check_members(text);
    check_rewrite(text);
    return 0;
}

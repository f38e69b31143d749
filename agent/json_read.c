#include "agent/json_read.h"

#include "agent/kube/jsonscan.h"

static struct sv member(struct sv object, struct sv key)
{
    struct jsonscan_member m;
    struct sv rest, found = {0};
    bool bad = false;

    if (object.len == 0 || object.at[0] != '{' || !jsonscan_open(object, &rest))
        return found;
    while (jsonscan_next(&rest, &m, &bad)) {
        if (m.key.len == key.len + 2 && sv_eq((struct sv){.at = m.key.at + 1, .len = key.len}, key))
            found = m.value;
    }
    return found;
}

struct sv json_at(struct sv json, const char *path)
{
    struct sv rest = sv_from(path), key;

    json = sv_trim(json);
    while (sv_next(&rest, '.', &key))
        json = member(json, key);
    return json;
}

bool json_i64(struct sv json, const char *path, int64_t *ret_value)
{
    return sv_to_i64(json_at(json, path), ret_value);
}

bool json_true(struct sv json, const char *path)
{
    return sv_eq(json_at(json, path), SV("true"));
}

static void add_utf8(struct strbuf *out, uint32_t c)
{
    if (c < 0x80) {
        (void)strbuf_add_char(out, (char)c);
    } else if (c < 0x800) {
        (void)strbuf_add_char(out, (char)(0xc0 | (c >> 6)));
        (void)strbuf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        (void)strbuf_add_char(out, (char)(0xe0 | (c >> 12)));
        (void)strbuf_add_char(out, (char)(0x80 | ((c >> 6) & 0x3f)));
        (void)strbuf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        (void)strbuf_add_char(out, (char)(0xf0 | (c >> 18)));
        (void)strbuf_add_char(out, (char)(0x80 | ((c >> 12) & 0x3f)));
        (void)strbuf_add_char(out, (char)(0x80 | ((c >> 6) & 0x3f)));
        (void)strbuf_add_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* Four hex digits at the front. */
static bool hex4(struct sv text, uint32_t *ret_value)
{
    uint32_t value = 0;

    if (text.len < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        char c = text.at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;

        if (digit == 16)
            return false;
        value = value * 16 + digit;
    }
    *ret_value = value;
    return true;
}

/* The escape behind a backslash; returns how many bytes it takes. Unknown ones and lone surrogates
 * become U+FFFD. */
static size_t add_escape(struct strbuf *out, struct sv text)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t c, low;

    for (size_t i = 0; text.len != 0 && i < sizeof from - 1; i++) {
        if (text.at[0] == from[i]) {
            (void)strbuf_add_char(out, to[i]);
            return 1;
        }
    }
    if (text.len != 0 && text.at[0] == 'u' && hex4(sv_skip(text, 1), &c)) {
        if (c >= 0xd800 && c < 0xdc00 && sv_starts(sv_skip(text, 5), SV("\\u")) &&
            hex4(sv_skip(text, 7), &low) && low >= 0xdc00 && low < 0xe000) {
            add_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
            return 11;
        }
        add_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
        return 5;
    }
    add_utf8(out, 0xfffd);
    return text.len != 0;
}

bool json_text(struct sv json, const char *path, struct strbuf *out)
{
    struct sv text = json_at(json, path);

    if (text.len < 2 || text.at[0] != '"' || text.at[text.len - 1] != '"')
        return false;
    text = (struct sv){.at = text.at + 1, .len = text.len - 2};
    while (text.len != 0) {
        size_t plain = 0;

        while (plain < text.len && text.at[plain] != '\\')
            plain++;
        (void)strbuf_add(out, (struct sv){.at = text.at, .len = plain});
        if (plain == text.len)
            break;
        text = sv_skip(text, plain + 1);
        text = sv_skip(text, add_escape(out, text));
    }
    return true;
}

bool json_next(struct sv *rest, struct sv *ret_item)
{
    struct sv text = sv_trim(*rest);
    struct jsonscan scan = {0};
    size_t used = 0;

    if (text.len == 0 || (text.at[0] != '[' && text.at[0] != ','))
        return false;
    text = sv_trim(sv_skip(text, 1));
    if (text.len == 0 || text.at[0] == ']' || jsonscan_feed(&scan, text, &used) != JSONSCAN_DONE ||
        used == 0)
        return false;
    *ret_item = (struct sv){.at = text.at, .len = used};
    *rest = sv_skip(text, used);
    return true;
}

bool json_next_member(struct sv *rest, struct sv *ret_key, struct sv *ret_value)
{
    struct jsonscan_member m;
    struct sv text = sv_trim(*rest);
    bool bad = false;

    if (text.len != 0 && text.at[0] == '{' && !jsonscan_open(text, &text))
        return false;
    if (!jsonscan_next(&text, &m, &bad))
        return false;
    *rest = text;
    *ret_key = m.key;
    *ret_value = m.value;
    return true;
}

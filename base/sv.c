#include "base/sv.h"

#include "base/alloc.h"

int sv_cmp(struct sv a, struct sv b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter != 0 ? memcmp(a.at, b.at, shorter) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool sv_starts_ascii_case(struct sv text, struct sv prefix)
{
    size_t i = 0;

    if (text.len < prefix.len)
        return false;
    while (i < prefix.len && lower(text.at[i]) == lower(prefix.at[i]))
        i++;
    return i == prefix.len;
}

bool sv_cut(struct sv text, char mark, struct sv *ret_head, struct sv *ret_tail)
{
    const char *found = text.len != 0 ? memchr(text.at, mark, text.len) : NULL;

    if (found == NULL)
        return false;

    size_t head = (size_t)(found - text.at);

    *ret_head = (struct sv){.at = text.at, .len = head};
    *ret_tail = sv_skip(text, head + 1);
    return true;
}

bool sv_next(struct sv *rest, char mark, struct sv *ret_piece)
{
    struct sv head, tail;

    if (rest->len == 0)
        return false;
    if (!sv_cut(*rest, mark, &head, &tail)) {
        head = *rest;
        tail = sv_skip(*rest, rest->len);
    }
    *ret_piece = head;
    *rest = tail;
    return true;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

size_t sv_utf8(struct sv text)
{
    const unsigned char *s = (const unsigned char *)text.at;
    size_t len = s[0] < 0x80                   ? 1
                 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                 : (s[0] & 0xf0) == 0xe0       ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                               : 0;

    if (len == 0 || len > text.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

uint32_t sv_code_point(struct sv text)
{
    const unsigned char *s = (const unsigned char *)text.at;
    size_t len = sv_utf8(text);
    uint32_t code = len <= 1 ? s[0] : s[0] & (0x7fU >> len);

    for (size_t i = 1; i < len; i++)
        code = code << 6 | (s[i] & 0x3f);
    return code;
}

size_t sv_hidden(struct sv text)
{
    /* Unicode's general categories Cc, Cf (but for those that print something), Zl and Zp. */
    static const uint32_t ranges[][2] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    unsigned char c = (unsigned char)text.at[0];
    size_t len = c < 0x80 ? 1 : sv_utf8(text);
    uint32_t code;

    if (c >= ' ' && c < 0x7f)
        return 0;
    if (len == 0)
        return 1;
    code = sv_code_point(text);
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return len;
    }
    return 0;
}

bool sv_is_utf8(struct sv text)
{
    size_t len = 1;

    while (text.len != 0 && len != 0) {
        len = sv_utf8(text);
        text = sv_skip(text, len);
    }
    return len != 0;
}

struct sv sv_trim(struct sv text)
{
    while (text.len != 0 && blank(text.at[0]))
        text = sv_skip(text, 1);
    while (text.len != 0 && blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

bool sv_to_u64(struct sv text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.at[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool sv_to_i64(struct sv text, int64_t *ret_value)
{
    bool negative = text.len != 0 && text.at[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t value;

    if (text.len != 0 && (text.at[0] == '-' || text.at[0] == '+'))
        text = sv_skip(text, 1);
    if (!sv_to_u64(text, &value) || value > limit)
        return false;
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

char *sv_dup(struct sv text)
{
    char *copy = xmalloc(text.len + 1);

    if (text.len != 0)
        memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return copy;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t sv_hash(struct sv text)
{
    uint64_t hash = 0x9e3779b97f4a7c15ULL ^ text.len;
    uint64_t word = 0;

    while (text.len >= sizeof word) {
        memcpy(&word, text.at, sizeof word);
        hash = mix(hash ^ word, 0xe7037ed1a0b428dbULL);
        text = sv_skip(text, sizeof word);
    }
    word = 0;
    if (text.len != 0)
        memcpy(&word, text.at, text.len);
    return mix(hash ^ word, 0x8ebc6af09c88c6e3ULL);
}

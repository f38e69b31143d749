#include "base/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* Writes the bytes to `at`, which has room for text.len; -1 if the text is broken, else how many. */
static int64_t decode_into(struct sv text, char *at)
{
    uint32_t bits = 0;
    int digits = 0, pads = 0;
    int64_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (c == '\r' || c == '\n')
            continue;
        if (c == '=' && digits % 4 >= 2 && digits % 4 + pads < 4) {
            pads++;
            continue;
        }

        int value = digit_value(c);

        if (value < 0 || pads != 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        digits++;
        /* Every digit but the first of a group of four completes a byte. */
        if (digits % 4 != 1)
            at[len++] = (char)(bits >> (6 - 2 * ((digits - 1) % 4)) & 0xff);
    }

    /* The group that padding ends: its last digit has brought 4 or 2 bits that must be nothing, and no byte of its own. */
    int rest = digits % 4;

    if (rest + pads != 0 && rest + pads != 4)
        return -1;
    if (rest != 0 && (bits & (rest == 2 ? 0xfU : 0x3U)) != 0)
        return -1;
    return len;
}

bool base64_decode(struct sv text, struct strbuf *out)
{
    char *room = strbuf_room(out, text.len);
    int64_t len;

    if (room == NULL)
        return false;
    len = decode_into(text, room);
    if (len < 0)
        return false;
    strbuf_wrote(out, (size_t)len);
    return true;
}

bool base64_encode(struct sv bytes, struct strbuf *out)
{
    char *room = strbuf_room(out, (bytes.len + 2) / 3 * 4);
    size_t len = 0;

    if (room == NULL)
        return false;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = 0;

        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < have ? (uint8_t)bytes.at[i + k] : 0U);
        for (size_t k = 0; k < 4; k++)
            room[len++] = k <= have ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
    strbuf_wrote(out, len);
    return true;
}

#include "storage/wire.h"

void wire_put(struct strbuf *out, uint64_t value)
{
    while (value >= 0x80) {
        (void)strbuf_add_char(out, (char)(0x80 | (value & 0x7f)));
        value >>= 7;
    }
    (void)strbuf_add_char(out, (char)value);
}

void wire_put_signed(struct strbuf *out, int64_t value)
{
    wire_put(out, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

void wire_put_bytes(struct strbuf *out, struct sv bytes)
{
    wire_put(out, bytes.len);
    (void)strbuf_add(out, bytes);
}

bool wire_get(struct sv *in, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (size_t i = 0; i < in->len && i < WIRE_MAX_NUMBER; i++) {
        uint8_t byte = (uint8_t)in->at[i];

        if (i == WIRE_MAX_NUMBER - 1 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *in = sv_skip(*in, i + 1);
            *ret_value = value;
            return true;
        }
    }
    return false;
}

bool wire_get_signed(struct sv *in, int64_t *ret_value)
{
    uint64_t zigzag;

    if (!wire_get(in, &zigzag))
        return false;
    *ret_value = (int64_t)((zigzag >> 1) ^ ((zigzag & 1) != 0 ? UINT64_MAX : 0));
    return true;
}

bool wire_get_byte(struct sv *in, uint8_t *ret_byte)
{
    if (in->len == 0)
        return false;
    *ret_byte = (uint8_t)in->at[0];
    *in = sv_skip(*in, 1);
    return true;
}

bool wire_get_bytes(struct sv *in, size_t max, struct sv *ret_bytes)
{
    uint64_t len;

    if (!wire_get(in, &len) || len > max || len > in->len)
        return false;
    *ret_bytes = (struct sv){.at = in->at, .len = (size_t)len};
    *in = sv_skip(*in, (size_t)len);
    return true;
}

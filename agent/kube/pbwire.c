#include "agent/kube/pbwire.h"

#include <inttypes.h>

/* Seven bits a byte: 64 bits need ten. */
enum { VARINT_MAX = 10 };

static enum pb_result read_varint(const char **at, const char *end, uint64_t *ret_value)
{
    const char *p = *at;
    uint64_t value = 0;

    for (unsigned shift = 0; shift < VARINT_MAX * 7; shift += 7) {
        if (p == end)
            return PB_MORE;

        uint64_t byte = (unsigned char)*p++;

        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *at = p;
            *ret_value = value;
            return PB_OK;
        }
    }
    return PB_BAD;
}

/* Most tags, lengths and numbers are of one byte: a fast way in front of the general one. */
static inline enum pb_result varint(const char **at, const char *end, uint64_t *ret_value)
{
    if (*at != end && (unsigned char)**at < 0x80) {
        *ret_value = (unsigned char)*(*at)++;
        return PB_OK;
    }
    return read_varint(at, end, ret_value);
}

static inline enum pb_result read_head(const char *at, const char *end, struct pb_head *head,
                                       const char **ret_fault)
{
    const char *start = at;
    uint64_t tag;
    enum pb_result result = varint(&at, end, &tag);

    head->tag = 0;
    if (result != PB_OK || tag > UINT32_MAX || tag >> 3 == 0) {
        *ret_fault = "no valid tag";
        return result == PB_MORE ? PB_MORE : PB_BAD;
    }
    head->tag = (uint32_t)tag;
    head->num = 0;
    head->len = 0;
    switch (tag & 7) {
    case PB_WIRE_VARINT:
        result = varint(&at, end, &head->num);
        break;
    case PB_WIRE_LEN:
        result = varint(&at, end, &head->len);
        break;
    case PB_WIRE_FIXED64:
        head->len = 8;
        break;
    case PB_WIRE_FIXED32:
        head->len = 4;
        break;
    default:
        *ret_fault = "unknown wire type";
        return PB_BAD;
    }
    *ret_fault = "a number of more than ten bytes";
    head->size = (size_t)(at - start);
    return result;
}

enum pb_result pb_read_head(struct sv bytes, struct pb_head *ret_head, const char **ret_fault)
{
    struct pb_head head;
    enum pb_result result = read_head(bytes.at, bytes.at + bytes.len, &head, ret_fault);

    if (result == PB_OK)
        *ret_head = head;
    return result;
}

struct pb pb_open(struct sv message)
{
    const char *at = message.at != NULL ? message.at : "";

    return (struct pb){.at = at, .end = at + message.len, .origin = at};
}

static struct pb_step fault(struct pb r, uint32_t tag, const char *why)
{
    r.fault = why;
    r.number = tag >> 3;
    r.end = r.at;
    return (struct pb_step){.r = r};
}

struct pb_step pb_step_any(struct pb r)
{
    struct pb_head head;
    const char *why;

    if (r.at == r.end)
        return (struct pb_step){.r = r};
    switch (read_head(r.at, r.end, &head, &why)) {
    case PB_OK:
        break;
    case PB_MORE:
        return fault(r, head.tag, "cut off");
    case PB_BAD:
        return fault(r, head.tag, why);
    }

    const char *bytes = r.at + head.size;

    if (head.len > (uint64_t)(r.end - bytes))
        return fault(r, head.tag, "longer than what it is in");
    r.at = bytes + head.len;
    return (struct pb_step){
        .r = r,
        .field = {.tag = head.tag,
                  .num = head.num,
                  .bytes = {.at = bytes, .len = (size_t)head.len}},
        .found = true,
    };
}

bool pb_done(const struct pb *r, struct err *err)
{
    if (r->fault == NULL)
        return true;
    return err_set(err, ERR_PROTOCOL, 0, "field %" PRIu32 " at offset %zu: %s", r->number,
                   (size_t)(r->at - r->origin), r->fault);
}

bool pb_unwrap(struct sv body, struct sv *ret_object, struct err *err)
{
    if (!sv_starts(body, PB_MAGIC))
        return err_set(err, ERR_PROTOCOL, 0, "no protobuf of Kubernetes: the magic is missing");

    struct pb r = pb_open(body);
    struct pb_field f;
    struct sv raw = {0};

    r.at += PB_MAGIC.len;
    while (pb_next(&r, &f))
        if (f.tag == PB_LEN(PB_UNKNOWN_RAW))
            raw = f.bytes;
    if (!pb_done(&r, err))
        return err_wrap(err, "envelope");
    if (raw.at == NULL)
        return err_set(err, ERR_PROTOCOL, 0, "envelope: no object in it");
    *ret_object = raw;
    return true;
}

#include <inttypes.h>

#include "agent/kube/frame_parts.h"
#include "agent/kube/pbwire.h"

/* The four bytes in front of a frame of a watch. */
enum { LENGTH_SIZE = 4 };

static bool too_long(const char *what, uint64_t len, struct err *err)
{
    return err_set(err, ERR_LIMIT, 0, "%s of %" PRIu64 " bytes, more than %d MiB", what, len,
                   FRAME_MAX_OBJECT >> 20);
}

/* ListMeta {2 resourceVersion, 3 continue}. */
static bool list_meta(struct frame *f, struct sv bytes, struct err *err)
{
    struct pb r = pb_open(bytes);
    struct pb_field field;
    struct sv version = {0}, next = {0};

    while (pb_next(&r, &field)) {
        if (field.tag == PB_LEN(2))
            version = field.bytes;
        else if (field.tag == PB_LEN(3))
            next = field.bytes;
    }
    if (!pb_done(&r, err))
        return err_wrap(err, "list: metadata");
    return frame_set_meta(f, version, next, err);
}

/* RawExtension {1 raw}. */
static bool raw_of(struct sv extension, struct sv *ret_raw, struct err *err)
{
    struct pb r = pb_open(extension);
    struct pb_field field;

    while (pb_next(&r, &field))
        if (field.tag == PB_LEN(1))
            *ret_raw = field.bytes;
    return pb_done(&r, err);
}

/* WatchEvent {1 type, 2 object}. */
static bool watch_event(struct frame *f, struct sv bytes, struct err *err)
{
    struct pb r = pb_open(bytes);
    struct pb_field field;
    struct sv type = {0}, raw = {0}, object;

    while (pb_next(&r, &field)) {
        if (field.tag == PB_LEN(1))
            type = field.bytes;
        else if (field.tag == PB_LEN(2) && !raw_of(field.bytes, &raw, err))
            return err_wrap(err, "watch event: object");
    }
    if (!pb_done(&r, err) || !pb_unwrap(raw, &object, err))
        return err_wrap(err, "watch event");
    return frame_hand_out(f, frame_event_of(type), object, err);
}

/*
 * The steps take one piece off the front of `bytes`: *ret_used is its size. Or they use nothing and say in f->pb.want how
 * many bytes they need in all.
 */

static bool step_magic(struct frame *f, struct sv bytes, size_t *ret_used, struct err *err)
{
    f->pb.want = PB_MAGIC.len;
    if (bytes.len < f->pb.want)
        return true;
    if (!sv_starts(bytes, PB_MAGIC))
        return err_set(err, ERR_PROTOCOL, 0, "list: the magic of Kubernetes' protobuf is missing");
    f->pb.state = FRAME_PB_UNKNOWN;
    *ret_used = PB_MAGIC.len;
    return true;
}

/* False also where the head is not there yet: then *ret_more is set. */
static bool field_head(struct frame *f, struct sv bytes, struct pb_head *ret_head, bool *ret_more,
                       struct err *err)
{
    const char *fault;
    enum pb_result result = pb_read_head(bytes, ret_head, &fault);

    *ret_more = result == PB_MORE;
    if (*ret_more)
        f->pb.want = bytes.len + 1;
    return result == PB_OK ||
           (result == PB_BAD && err_set(err, ERR_PROTOCOL, 0, "list: %s", fault));
}

/* TypeMeta {1 apiVersion, 2 kind}. */
static bool type_meta(struct frame *f, struct sv bytes, struct err *err)
{
    struct pb r = pb_open(bytes);
    struct pb_field field;
    struct sv kind = {0};

    while (pb_next(&r, &field))
        if (field.tag == PB_LEN(2))
            kind = field.bytes;
    if (!pb_done(&r, err))
        return err_wrap(err, "list: type");
    return frame_set_kind(f, kind, err);
}

static bool step_type(struct frame *f, struct sv bytes, const struct pb_head *head,
                      size_t *ret_used, struct err *err)
{
    if (head->len > FRAME_MAX_OBJECT)
        return too_long("list: type", head->len, err);
    f->pb.want = head->size + (size_t)head->len;
    if (bytes.len < f->pb.want)
        return true;
    *ret_used = f->pb.want;
    return type_meta(f, (struct sv){.at = bytes.at + head->size, .len = (size_t)head->len}, err);
}

static bool step_unknown(struct frame *f, struct sv bytes, size_t *ret_used, struct err *err)
{
    struct pb_head head;
    bool more;

    if (!field_head(f, bytes, &head, &more, err))
        return more;
    if (head.tag == PB_LEN(PB_UNKNOWN_TYPE))
        return step_type(f, bytes, &head, ret_used, err);
    *ret_used = head.size;
    if (head.tag != PB_LEN(PB_UNKNOWN_RAW)) {
        f->pb.skip = head.len;
        return true;
    }
    if (f->pb.seen_list)
        return err_set(err, ERR_PROTOCOL, 0, "list: more than one object in the envelope");
    f->pb.seen_list = true;
    f->pb.list_left = head.len;
    f->pb.state = head.len != 0 ? FRAME_PB_LIST : FRAME_PB_UNKNOWN;
    return true;
}

static bool step_list(struct frame *f, struct sv bytes, size_t *ret_used, struct err *err)
{
    struct frame_pb *pb = &f->pb;
    struct pb_head head;
    bool more;

    if (bytes.len > pb->list_left)
        bytes.len = (size_t)pb->list_left;
    if (!field_head(f, bytes, &head, &more, err))
        return more && (bytes.len < pb->list_left ||
                        err_set(err, ERR_PROTOCOL, 0, "list: its last field is cut off"));
    if (head.len > pb->list_left - head.size)
        return err_set(err, ERR_PROTOCOL, 0, "list: a field of %" PRIu64 " bytes, %" PRIu64 " left",
                       head.len, pb->list_left - head.size);

    if (head.tag == PB_LEN(1) || head.tag == PB_LEN(2)) {
        if (head.len > FRAME_MAX_OBJECT)
            return too_long(head.tag == PB_LEN(1) ? "list: metadata" : "list: an object", head.len,
                            err);
        pb->want = head.size + (size_t)head.len;
        if (bytes.len < pb->want)
            return true;

        struct sv object = {.at = bytes.at + head.size, .len = (size_t)head.len};

        if (!(head.tag == PB_LEN(1) ? list_meta(f, object, err)
                                    : frame_hand_out(f, FRAME_ITEM, object, err)))
            return false;
        *ret_used = pb->want;
    } else {
        pb->skip = head.len;
        *ret_used = head.size;
    }
    pb->list_left -= head.size + head.len;
    if (pb->list_left == 0)
        pb->state = FRAME_PB_UNKNOWN;
    return true;
}

static bool step_length(struct frame *f, struct sv bytes, size_t *ret_used, struct err *err)
{
    size_t len = 0;

    f->pb.want = LENGTH_SIZE;
    if (bytes.len < f->pb.want)
        return true;
    for (int i = 0; i < LENGTH_SIZE; i++)
        len = len << 8 | (unsigned char)bytes.at[i];
    if (len > FRAME_MAX_OBJECT)
        return too_long("watch: a frame", len, err);
    f->pb.want = LENGTH_SIZE + len;
    if (bytes.len < f->pb.want)
        return true;
    if (!watch_event(f, (struct sv){.at = bytes.at + LENGTH_SIZE, .len = len}, err))
        return false;
    *ret_used = f->pb.want;
    return true;
}

static bool step(struct frame *f, struct sv bytes, size_t *ret_used, struct err *err)
{
    *ret_used = 0;
    switch (f->pb.state) {
    case FRAME_PB_MAGIC:
        return step_magic(f, bytes, ret_used, err);
    case FRAME_PB_UNKNOWN:
        return step_unknown(f, bytes, ret_used, err);
    case FRAME_PB_LIST:
        return step_list(f, bytes, ret_used, err);
    case FRAME_PB_LENGTH:
        return step_length(f, bytes, ret_used, err);
    }
    return false;
}

/* Moves up to n bytes from the front of *bytes to the buffer, with room for the whole piece at once. */
static bool fill(struct frame *f, struct sv *bytes, struct err *err)
{
    size_t lacking = f->pb.want - f->buf.len;
    size_t n = bytes->len < lacking ? bytes->len : lacking;
    char *room = strbuf_room(&f->buf, lacking);

    if (room == NULL)
        return too_long("a piece", f->pb.want, err);
    memcpy(room, bytes->at, n);
    strbuf_wrote(&f->buf, n);
    *bytes = sv_skip(*bytes, n);
    return true;
}

static void pass(struct frame *f, struct sv *bytes)
{
    size_t n = f->pb.skip < bytes->len ? (size_t)f->pb.skip : bytes->len;

    f->pb.skip -= n;
    *bytes = sv_skip(*bytes, n);
}

bool frame_pb_push(struct frame *f, struct sv bytes, struct err *err)
{
    size_t used;

    while (bytes.len != 0) {
        if (f->pb.skip != 0) {
            pass(f, &bytes);
        } else if (f->buf.len == 0) {
            if (!step(f, bytes, &used, err))
                return false;
            bytes = sv_skip(bytes, used);
            if (used == 0 && !fill(f, &bytes, err))
                return false;
        } else {
            if (f->buf.len < f->pb.want && !fill(f, &bytes, err))
                return false;
            if (f->buf.len < f->pb.want)
                break;
            if (!step(f, strbuf_sv(&f->buf), &used, err))
                return false;
            if (used != 0)
                frame_drop_buf(f);
        }
    }
    return true;
}

bool frame_pb_end(const struct frame *f)
{
    if (f->buf.len != 0 || f->pb.skip != 0)
        return false;
    return f->watch || (f->pb.state == FRAME_PB_UNKNOWN && f->pb.seen_list);
}

#include "agent/kube/frame.h"

#include "agent/kube/frame_parts.h"
#include "agent/kube/pbwire.h"
#include "base/alloc.h"

/* A buffer above this is freed after use: big objects are rare, watches live for hours. */
enum { BUF_KEEP = 64 << 10 };

/* Longest kind that an error shows. */
enum { KIND_SHOWN = 60 };

bool frame_hand_out(struct frame *f, enum frame_event event, struct sv object, struct err *err)
{
    return f->handler.object(f->handler.self, event, f->format, object, err);
}

bool frame_set_meta(struct frame *f, struct sv version, struct sv next, struct err *err)
{
    strbuf_clear(&f->version);
    strbuf_clear(&f->next);
    if (!strbuf_add(&f->version, version) || !strbuf_add(&f->next, next))
        return err_set(err, ERR_LIMIT, 0, "list: resourceVersion or continue of more than %d bytes",
                       FRAME_MAX_TOKEN);
    return true;
}

bool frame_set_kind(struct frame *f, struct sv kind, struct err *err)
{
    strbuf_clear(&f->kind);
    return strbuf_add(&f->kind, kind) ||
           err_set(err, ERR_LIMIT, 0, "list: kind of more than %d bytes", FRAME_MAX_TOKEN);
}

enum frame_event frame_event_of(struct sv type)
{
    static const struct {
        struct sv type;
        enum frame_event event;
    } events[] = {
        {SV("ADDED"), FRAME_ADDED},     {SV("MODIFIED"), FRAME_MODIFIED},
        {SV("DELETED"), FRAME_DELETED}, {SV("BOOKMARK"), FRAME_BOOKMARK},
        {SV("ERROR"), FRAME_ERROR},
    };

    for (size_t i = 0; i < COUNT_OF(events); i++)
        if (sv_eq(type, events[i].type))
            return events[i].event;
    return FRAME_OTHER;
}

void frame_drop_buf(struct frame *f)
{
    if (f->buf.cap > BUF_KEEP)
        strbuf_done(&f->buf);
    else
        strbuf_clear(&f->buf);
}

struct frame *frame_new(bool watch, enum decode_format format, const struct frame_handler *handler)
{
    struct frame *f = xcalloc(1, sizeof *f);

    f->watch = watch;
    f->format = format;
    f->handler = *handler;
    f->pb.state = watch ? FRAME_PB_LENGTH : FRAME_PB_MAGIC;
    strbuf_init(&f->buf, FRAME_MAX_OBJECT + PB_MAX_HEAD);
    strbuf_init(&f->version, FRAME_MAX_TOKEN);
    strbuf_init(&f->next, FRAME_MAX_TOKEN);
    strbuf_init(&f->kind, FRAME_MAX_TOKEN);
    return f;
}

void frame_free(struct frame *f)
{
    if (f == NULL)
        return;
    strbuf_done(&f->kind);
    strbuf_done(&f->next);
    strbuf_done(&f->version);
    strbuf_done(&f->buf);
    free(f);
}

bool frame_push(struct frame *f, struct sv bytes, struct err *err)
{
    return f->format == DECODE_PROTOBUF ? frame_pb_push(f, bytes, err)
                                        : frame_json_push(f, bytes, err);
}

bool frame_end(struct frame *f, struct err *err)
{
    bool whole = f->format == DECODE_PROTOBUF ? frame_pb_end(f) : frame_json_end(f);

    return whole || err_set(err, ERR_PROTOCOL, 0, "the answer is cut off: it ended inside %s",
                            f->watch ? "an event" : "the list");
}

struct sv frame_resource_version(const struct frame *f)
{
    return strbuf_sv(&f->version);
}

struct sv frame_continue(const struct frame *f)
{
    return strbuf_sv(&f->next);
}

struct sv frame_kind(const struct frame *f)
{
    return strbuf_sv(&f->kind);
}

bool frame_check_kind(const struct frame *f, const char *kind, struct err *err)
{
    struct sv found = frame_kind(f);

    return sv_eq(found, sv_from(kind)) ||
           err_set(err, ERR_PROTOCOL, 0, "found a list of kind '%.*s', expected %s",
                   (int)(found.len < KIND_SHOWN ? found.len : KIND_SHOWN), found.at, kind);
}

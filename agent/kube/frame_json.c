#include "agent/kube/decode_parts.h"
#include "agent/kube/frame_parts.h"

static bool out_of_shape(const struct frame *f, const char *expected, char found, struct err *err)
{
    return err_set(err, ERR_PROTOCOL, 0, "JSON %s: found '%c', expected %s",
                   f->watch ? "watch" : "list", found >= ' ' && found <= '~' ? found : '?',
                   expected);
}

static bool too_long(const struct frame *f, struct err *err)
{
    return err_set(err, ERR_LIMIT, 0, "JSON %s: an object of more than %d MiB",
                   f->watch ? "watch" : "list", FRAME_MAX_OBJECT >> 20);
}

static bool take_key(struct frame *f, struct sv key)
{
    f->json.member = sv_eq(key, SV("\"items\""))      ? FRAME_JSON_ITEMS
                     : sv_eq(key, SV("\"metadata\"")) ? FRAME_JSON_METADATA
                     : sv_eq(key, SV("\"kind\""))     ? FRAME_JSON_KIND
                                                      : FRAME_JSON_OTHER;
    f->json.state = FRAME_JSON_COLON;
    return true;
}

static bool take_metadata(struct frame *f, struct sv text, struct err *err)
{
    static const struct podreq_rules no_rules;
    CLEANUP(decoder_done) struct decoder d;
    struct sv version = {0}, next = {0};

    decoder_init(&d, NULL, &no_rules);
    f->json.state = FRAME_JSON_NEXT;
    return json_read_list_meta(&d, text, &version, &next, err) &&
           frame_set_meta(f, version, next, err);
}

/* As it is written: no kind needs an escape. */
static bool take_kind(struct frame *f, struct sv text, struct err *err)
{
    f->json.state = FRAME_JSON_NEXT;
    return frame_set_kind(f, (struct sv){.at = text.at + 1, .len = text.len - 2}, err);
}

/* {"type":"ADDED","object":{...}}, the members in any order. */
static bool take_event(struct frame *f, struct sv text, struct err *err)
{
    struct jsonscan_member member;
    struct sv rest, type = {0}, object = {0};
    bool bad;

    f->json.state = FRAME_JSON_START;
    if (!jsonscan_open(text, &rest))
        return out_of_shape(f, "an event", text.at[0], err);
    while (jsonscan_next(&rest, &member, &bad)) {
        if (sv_eq(member.key, SV("\"type\"")) && member.value.at[0] == '"')
            type = (struct sv){.at = member.value.at + 1, .len = member.value.len - 2};
        else if (sv_eq(member.key, SV("\"object\"")))
            object = member.value;
    }
    if (bad || object.at == NULL || object.at[0] != '{')
        return err_set(err, ERR_PROTOCOL, 0,
                       "JSON watch: an event that is no {\"type\":…,\"object\":{…}}");
    return frame_hand_out(f, frame_event_of(type), object, err);
}

static bool take_item(struct frame *f, struct sv text, struct err *err)
{
    f->json.state = FRAME_JSON_NEXT_ITEM;
    return frame_hand_out(f, FRAME_ITEM, text, err);
}

/* A value that is wanted is whole. What it is the state says. */
static bool take(struct frame *f, struct sv text, struct err *err)
{
    switch (f->json.state) {
    case FRAME_JSON_START:
        return take_event(f, text, err);
    case FRAME_JSON_FIRST_KEY:
    case FRAME_JSON_KEY:
        return take_key(f, text);
    case FRAME_JSON_VALUE:
        return f->json.member == FRAME_JSON_KIND ? take_kind(f, text, err)
                                                 : take_metadata(f, text, err);
    case FRAME_JSON_FIRST_ITEM:
    case FRAME_JSON_ITEM:
        return take_item(f, text, err);
    case FRAME_JSON_COLON:
    case FRAME_JSON_NEXT:
    case FRAME_JSON_NEXT_ITEM:
    case FRAME_JSON_END:
        break;
    }
    return false;
}

/* Inside a value: goes on to its end, or to the end of the bytes. */
static bool in_value(struct frame *f, struct sv *bytes, struct err *err)
{
    struct sv piece = *bytes;
    bool wanted = f->json.value == FRAME_JSON_TAKE;
    enum jsonscan_result result = jsonscan_feed(&f->json.scan, *bytes, &piece.len);
    bool ok;

    if (result == JSONSCAN_BAD)
        return err_set(err, ERR_PROTOCOL, 0, "JSON %s: a value that is none, or nested too deep",
                       f->watch ? "watch" : "list");
    *bytes = sv_skip(*bytes, piece.len);
    if (wanted && piece.len > FRAME_MAX_OBJECT - f->buf.len)
        return too_long(f, err);
    if (wanted && (result == JSONSCAN_MORE || f->buf.len != 0)) {
        if (!strbuf_add(&f->buf, piece))
            return too_long(f, err);
        piece = strbuf_sv(&f->buf);
    }
    if (result == JSONSCAN_MORE)
        return true;
    f->json.value = FRAME_JSON_NOTHING;
    if (!wanted) {
        f->json.state = FRAME_JSON_NEXT;
        return true;
    }
    ok = take(f, piece, err);
    if (f->buf.len != 0)
        frame_drop_buf(f);
    return ok;
}

/* A value begins here; in_value() goes on with it. */
static bool begin(struct frame *f, bool wanted)
{
    f->json.value = wanted ? FRAME_JSON_TAKE : FRAME_JSON_PASS;
    f->json.scan = (struct jsonscan){0};
    return true;
}

static bool become(struct frame *f, struct sv *bytes, int state)
{
    f->json.state = (__typeof__(f->json.state))state;
    *bytes = sv_skip(*bytes, 1);
    return true;
}

/* In front of the value of a key. */
static bool before_value(struct frame *f, struct sv *bytes, struct err *err)
{
    char c = bytes->at[0];

    if (f->json.member == FRAME_JSON_ITEMS && c == '[')
        return become(f, bytes, FRAME_JSON_FIRST_ITEM);
    if (f->json.member == FRAME_JSON_ITEMS && c != 'n') /* null: no items */
        return out_of_shape(f, "the list of items", c, err);
    return begin(f, (f->json.member == FRAME_JSON_METADATA && c == '{') ||
                        (f->json.member == FRAME_JSON_KIND && c == '"'));
}

/* One character of the list's own structure. */
static bool structure(struct frame *f, struct sv *bytes, struct err *err)
{
    char c = bytes->at[0];

    switch (f->json.state) {
    case FRAME_JSON_START:
        if (c != '{')
            return out_of_shape(f, "an object", c, err);
        return f->watch ? begin(f, true) : become(f, bytes, FRAME_JSON_FIRST_KEY);
    case FRAME_JSON_FIRST_KEY:
        if (c == '}')
            return become(f, bytes, FRAME_JSON_END);
        return c == '"' ? begin(f, true) : out_of_shape(f, "a key", c, err);
    case FRAME_JSON_KEY:
        return c == '"' ? begin(f, true) : out_of_shape(f, "a key", c, err);
    case FRAME_JSON_COLON:
        return c == ':' ? become(f, bytes, FRAME_JSON_VALUE) : out_of_shape(f, "':'", c, err);
    case FRAME_JSON_VALUE:
        return before_value(f, bytes, err);
    case FRAME_JSON_NEXT:
        if (c == '}')
            return become(f, bytes, FRAME_JSON_END);
        return c == ',' ? become(f, bytes, FRAME_JSON_KEY) : out_of_shape(f, "',' or '}'", c, err);
    case FRAME_JSON_FIRST_ITEM:
        if (c == ']')
            return become(f, bytes, FRAME_JSON_NEXT);
        return c == '{' ? begin(f, true) : out_of_shape(f, "an object", c, err);
    case FRAME_JSON_ITEM:
        return c == '{' ? begin(f, true) : out_of_shape(f, "an object", c, err);
    case FRAME_JSON_NEXT_ITEM:
        if (c == ']')
            return become(f, bytes, FRAME_JSON_NEXT);
        return c == ',' ? become(f, bytes, FRAME_JSON_ITEM) : out_of_shape(f, "',' or ']'", c, err);
    case FRAME_JSON_END:
        return out_of_shape(f, "the end", c, err);
    }
    return false;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool frame_json_push(struct frame *f, struct sv bytes, struct err *err)
{
    while (bytes.len != 0) {
        if (f->json.value != FRAME_JSON_NOTHING) {
            if (!in_value(f, &bytes, err))
                return false;
        } else if (blank(bytes.at[0])) {
            bytes = sv_skip(bytes, 1);
        } else if (!structure(f, &bytes, err)) {
            return false;
        }
    }
    return true;
}

bool frame_json_end(const struct frame *f)
{
    if (f->json.value != FRAME_JSON_NOTHING)
        return false;
    return f->json.state == (f->watch ? FRAME_JSON_START : FRAME_JSON_END);
}

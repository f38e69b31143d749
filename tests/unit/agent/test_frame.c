#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/kube/frame.h"
#include "tests/pbmake.h"
#include "tests/unit/agent/samples.h"

static struct samples samples;

static void load(void)
{
    samples_load(&samples);
}

static void unload(void)
{
    samples_done(&samples);
}

TestSuite(frame, .init = load, .fini = unload);

/* Writes what it is handed, and fails at the n-th object. */
struct recorder {
    struct strbuf log;
    int objects, fail_at;
};

static bool record(void *self, enum frame_event event, enum decode_format format, struct sv object,
                   struct err *err)
{
    struct recorder *r = self;

    if (++r->objects == r->fail_at)
        return err_set(err, ERR_STORAGE, 7, "the handler's own");
    (void)strbuf_addf(&r->log, "%d %d %zu:", (int)event, (int)format, object.len);
    (void)strbuf_add(&r->log, object);
    return true;
}

struct outcome {
    struct recorder recorder;
    struct strbuf version, next, kind;
    bool pushed, ended;
    struct err err;
};

static void outcome_done(struct outcome *o)
{
    strbuf_done(&o->recorder.log);
    strbuf_done(&o->version);
    strbuf_done(&o->next);
    strbuf_done(&o->kind);
}

/* Pushes the bytes in two pieces, or in pieces of `step` bytes. Each piece stands alone on the heap. */
static struct outcome push(bool watch, enum decode_format format, struct sv bytes, size_t first,
                           size_t step, int fail_at)
{
    struct outcome o = {.pushed = true, .recorder.fail_at = fail_at};
    struct frame_handler handler = {.object = record, .self = &o.recorder};
    CLEANUP(frame_free_ptr) struct frame *f = frame_new(watch, format, &handler);

    strbuf_init(&o.recorder.log, SIZE_MAX);
    strbuf_init(&o.version, SIZE_MAX);
    strbuf_init(&o.next, SIZE_MAX);
    strbuf_init(&o.kind, SIZE_MAX);
    for (size_t n = first; o.pushed && bytes.len != 0; n = step) {
        char *piece;

        if (n > bytes.len)
            n = bytes.len;
        piece = malloc(n != 0 ? n : 1);
        memcpy(piece, bytes.at, n);
        o.pushed = frame_push(f, (struct sv){.at = piece, .len = n}, &o.err);
        bytes = sv_skip(bytes, n);
        free(piece);
    }
    o.ended = o.pushed && frame_end(f, &o.err);
    (void)strbuf_add(&o.version, frame_resource_version(f));
    (void)strbuf_add(&o.next, frame_continue(f));
    (void)strbuf_add(&o.kind, frame_kind(f));
    return o;
}

static struct outcome push_whole(bool watch, enum decode_format format, struct sv bytes)
{
    return push(watch, format, bytes, bytes.len, bytes.len, 0);
}

static void expect_same(const struct outcome *a, const struct outcome *b, const char *name,
                        size_t at)
{
    cr_expect_eq(a->pushed, b->pushed, "%s, cut at %zu: %s", name, at, b->err.text);
    cr_expect_eq(a->ended, b->ended, "%s, cut at %zu: %s", name, at, b->err.text);
    cr_expect(sv_eq(strbuf_sv(&a->recorder.log), strbuf_sv(&b->recorder.log)), "%s, cut at %zu",
              name, at);
    cr_expect(sv_eq(strbuf_sv(&a->version), strbuf_sv(&b->version)), "%s, cut at %zu", name, at);
    cr_expect(sv_eq(strbuf_sv(&a->next), strbuf_sv(&b->next)), "%s, cut at %zu", name, at);
    cr_expect(sv_eq(strbuf_sv(&a->kind), strbuf_sv(&b->kind)), "%s, cut at %zu", name, at);
}

/* The samples that are streams, in both forms. */
static const struct {
    const char *name;
    bool watch;
    int objects;
    const char *version, *next, *kind;
} streams[] = {
    {"podlist", false, 2, "950", "abc", "PodList"},
    {"nodelist", false, 1, "950", "", "NodeList"},
    {"watch", true, 5, "", "", ""},
};

Test(frame, gives_the_same_however_the_bytes_are_cut)
{
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        const struct sample *sample = samples_find(&samples, streams[i].name);

        for (int form = 0; form < 2; form++) {
            enum decode_format format = form == 0 ? DECODE_PROTOBUF : DECODE_JSON;
            struct sv bytes = strbuf_sv(form == 0 ? &sample->protobuf : &sample->json);
            CLEANUP(outcome_done)
            struct outcome whole = push_whole(streams[i].watch, format, bytes);

            cr_assert(whole.ended, "%s: %s", sample->name, whole.err.text);
            cr_expect_eq(whole.recorder.objects, streams[i].objects, "%s", sample->name);
            cr_expect_str_eq(strbuf_str(&whole.version), streams[i].version, "%s", sample->name);
            cr_expect_str_eq(strbuf_str(&whole.next), streams[i].next, "%s", sample->name);
            cr_expect_str_eq(strbuf_str(&whole.kind), streams[i].kind, "%s", sample->name);
            for (size_t at = 1; at < bytes.len; at++) {
                CLEANUP(outcome_done)
                struct outcome cut = push(streams[i].watch, format, bytes, at, bytes.len, 0);

                expect_same(&whole, &cut, sample->name, at);
            }
            for (size_t step = 1; step < 20; step++) {
                CLEANUP(outcome_done)
                struct outcome cut = push(streams[i].watch, format, bytes, step, step, 0);

                expect_same(&whole, &cut, sample->name, step);
            }
        }
    }
}

Test(frame, notices_where_a_body_is_cut_off)
{
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        const struct sample *sample = samples_find(&samples, streams[i].name);

        for (int form = 0; form < 2; form++) {
            struct sv bytes = strbuf_sv(form == 0 ? &sample->protobuf : &sample->json);
            int whole_ends = 0;

            for (size_t n = 0; n < bytes.len; n++) {
                CLEANUP(outcome_done)
                struct outcome cut =
                    push_whole(streams[i].watch, form == 0 ? DECODE_PROTOBUF : DECODE_JSON,
                               (struct sv){.at = bytes.at, .len = n});

                cr_expect(cut.pushed, "%s at %zu: %s", sample->name, n, cut.err.text);
                whole_ends += cut.ended;
                if (!cut.ended)
                    cr_expect_eq(cut.err.kind, ERR_PROTOCOL, "%s at %zu", sample->name, n);
            }
            /*
             * Between events a watch may end: after 0 to 4 of 5, in JSON also in front of a line's end. Behind the list in its envelope
             * stand two empty fields, without which it is whole as well.
             */
            cr_expect_eq(whole_ends, streams[i].watch ? (form == 0 ? 5 : 10) : (form == 0 ? 2 : 0),
                         "%s: %d", sample->name, whole_ends);
        }
    }
}

Test(frame, hands_on_the_error_of_the_handler_at_every_object)
{
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        const struct sample *sample = samples_find(&samples, streams[i].name);

        for (int form = 0; form < 2; form++) {
            struct sv bytes = strbuf_sv(form == 0 ? &sample->protobuf : &sample->json);

            for (int n = 1; n <= streams[i].objects; n++) {
                CLEANUP(outcome_done)
                struct outcome o = push(streams[i].watch, form == 0 ? DECODE_PROTOBUF : DECODE_JSON,
                                        bytes, 7, 7, n);

                cr_expect(!o.pushed, "%s", sample->name);
                cr_expect_eq(o.err.kind, ERR_STORAGE, "%s", sample->name);
                cr_expect_eq(o.err.code, 7, "%s", sample->name);
                cr_expect_eq(o.recorder.objects, n, "%s", sample->name);
            }
        }
    }
}

/* Keeps where the object stood. */
static bool keep_place(void *self, enum frame_event event UNUSED, enum decode_format format UNUSED,
                       struct sv object, struct err *err UNUSED)
{
    *(const char **)self = object.at;
    return true;
}

Test(frame, hands_out_in_place_what_lies_in_one_piece)
{
    const char *place = NULL;
    struct frame_handler handler = {.object = keep_place, .self = &place};

    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        const struct sample *sample = samples_find(&samples, streams[i].name);

        for (int form = 0; form < 2; form++) {
            struct sv bytes = strbuf_sv(form == 0 ? &sample->protobuf : &sample->json);
            CLEANUP(frame_free_ptr)
            struct frame *f =
                frame_new(streams[i].watch, form == 0 ? DECODE_PROTOBUF : DECODE_JSON, &handler);

            cr_assert(frame_push(f, bytes, NULL));
            cr_expect(place >= bytes.at && place < bytes.at + bytes.len, "%s", sample->name);
        }
    }
}

Test(frame, finds_the_parts_of_a_json_list_in_any_order)
{
    static const struct {
        const char *name;
        struct sv text;
        int objects;
        const char *version, *next, *kind;
    } rows[] = {
        {"as servers write it",
         SV("{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"x\"},"
            "\"items\":[{\"a\":1},{\"b\":[]}]}\n"),
         2, "7", "x", "L"},
        {"metadata last",
         SV(" { \"items\" : [ {} , {\"items\":[{}]} ] , \"metadata\" : {\"resourceVersion\":\"7\"} "
            ", "
            "\"kind\" : \"L\" }"),
         2, "7", "", "L"},
        {"no items", SV("{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}"), 0, "7", "", ""},
        {"items null", SV("{\"items\":null,\"metadata\":{\"resourceVersion\":\"7\"}}"), 0, "7", "",
         ""},
        {"no metadata", SV("{\"n\":-1.5e3,\"t\":true,\"items\":[{}]}"), 1, "", "", ""},
        {"metadata null", SV("{\"metadata\":null,\"items\":[{}]}"), 1, "", "", ""},
        {"nothing in it", SV("{}"), 0, "", "", ""},
        {"a kind that is no text", SV("{\"kind\":7,\"items\":[]}"), 0, "", "", ""},
        {"look-alikes in strings",
         SV("{\"a\":\"\\\"items\\\":[{}]\",\"b\":{\"items\":[{},{}]},\"items\":[{\"c\":\"}]\\\\\"}]"
            "}"),
         1, "", "", ""},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= rows[i].text.len; step++) {
            CLEANUP(outcome_done)
            struct outcome o = push(false, DECODE_JSON, rows[i].text, step, step, 0);

            cr_expect(o.ended, "%s by %zu: %s", rows[i].name, step, o.err.text);
            cr_expect_eq(o.recorder.objects, rows[i].objects, "%s by %zu", rows[i].name, step);
            cr_expect_str_eq(strbuf_str(&o.version), rows[i].version, "%s", rows[i].name);
            cr_expect_str_eq(strbuf_str(&o.next), rows[i].next, "%s", rows[i].name);
            cr_expect_str_eq(strbuf_str(&o.kind), rows[i].kind, "%s", rows[i].name);
        }
    }
}

Test(frame, knows_the_events_of_a_json_watch)
{
    static const struct {
        const char *text;
        enum frame_event event;
    } rows[] = {
        {"{\"type\":\"ADDED\",\"object\":{}}", FRAME_ADDED},
        {"{\"object\":{},\"type\":\"MODIFIED\"}", FRAME_MODIFIED},
        {" { \"type\" : \"DELETED\" , \"object\" : {} } ", FRAME_DELETED},
        {"{\"type\":\"BOOKMARK\",\"object\":{},\"more\":1}", FRAME_BOOKMARK},
        {"{\"type\":\"ERROR\",\"object\":{}}", FRAME_ERROR},
        {"{\"type\":\"RENAMED\",\"object\":{}}", FRAME_OTHER},
        {"{\"object\":{}}", FRAME_OTHER},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(outcome_done)
        struct outcome o = push_whole(true, DECODE_JSON, sv_from(rows[i].text));
        char expected[32];

        (void)snprintf(expected, sizeof expected, "%d %d 2:{}", (int)rows[i].event,
                       (int)DECODE_JSON);
        cr_expect(o.ended, "%s: %s", rows[i].text, o.err.text);
        cr_expect_str_eq(strbuf_str(&o.recorder.log), expected, "%s", rows[i].text);
    }
}

Test(frame, refuses_what_is_out_of_shape)
{
    static const struct {
        const char *name;
        bool watch;
        enum decode_format format;
        struct sv bytes;
        enum err_kind kind;
    } rows[] = {
        {"list: a page of HTML", false, DECODE_JSON, SV("<html>"), ERR_PROTOCOL},
        {"list: a list", false, DECODE_JSON, SV("[]"), ERR_PROTOCOL},
        {"list: no colon", false, DECODE_JSON, SV("{\"a\" 1}"), ERR_PROTOCOL},
        {"list: no comma", false, DECODE_JSON, SV("{\"a\":1 \"b\":2}"), ERR_PROTOCOL},
        {"list: key without quotes", false, DECODE_JSON, SV("{a:1}"), ERR_PROTOCOL},
        {"list: no value", false, DECODE_JSON, SV("{\"a\":}"), ERR_PROTOCOL},
        {"list: comma at the end", false, DECODE_JSON, SV("{\"a\":1,}"), ERR_PROTOCOL},
        {"list: items an object", false, DECODE_JSON, SV("{\"items\":{}}"), ERR_PROTOCOL},
        {"list: an item that is text", false, DECODE_JSON, SV("{\"items\":[\"a\"]}"), ERR_PROTOCOL},
        {"list: items without comma", false, DECODE_JSON, SV("{\"items\":[{}{}]}"), ERR_PROTOCOL},
        {"list: more behind it", false, DECODE_JSON, SV("{} {}"), ERR_PROTOCOL},
        {"list: version a number", false, DECODE_JSON, SV("{\"metadata\":{\"resourceVersion\":7}}"),
         ERR_INPUT},
        {"watch: a list", true, DECODE_JSON, SV("[]"), ERR_PROTOCOL},
        {"watch: no object", true, DECODE_JSON, SV("{\"type\":\"ADDED\"}"), ERR_PROTOCOL},
        {"watch: object null", true, DECODE_JSON, SV("{\"type\":\"ADDED\",\"object\":null}"),
         ERR_PROTOCOL},
        {"watch: broken member", true, DECODE_JSON, SV("{\"type\":}"), ERR_PROTOCOL},
        {"list: no magic", false, DECODE_PROTOBUF, SV("{\"kind\":"), ERR_PROTOCOL},
        {"list: group in the envelope", false, DECODE_PROTOBUF, SV("k8s\0\x0b"), ERR_PROTOCOL},
        {"list: an item longer than the list", false, DECODE_PROTOBUF, SV("k8s\0\x12\x03\x12\x02x"),
         ERR_PROTOCOL},
        {"list: its last field cut off", false, DECODE_PROTOBUF, SV("k8s\0\x12\x01\x12\x00"),
         ERR_PROTOCOL},
        {"list: two lists", false, DECODE_PROTOBUF, SV("k8s\0\x12\x00\x12\x00"), ERR_PROTOCOL},
        {"list: broken metadata", false, DECODE_PROTOBUF, SV("k8s\0\x12\x04\x0a\x02\x12\x05"),
         ERR_PROTOCOL},
        {"list: an item of 1 GiB", false, DECODE_PROTOBUF,
         SV("k8s\0\x12\xff\xff\xff\xff\x7f\x12\x80\x80\x80\x80\x04"), ERR_LIMIT},
        {"list: metadata of 1 GiB", false, DECODE_PROTOBUF,
         SV("k8s\0\x12\xff\xff\xff\xff\x7f\x0a\x80\x80\x80\x80\x04"), ERR_LIMIT},
        {"watch: a frame of 4 GiB", true, DECODE_PROTOBUF, SV("\xff\xff\xff\xff"), ERR_LIMIT},
        {"watch: an empty frame", true, DECODE_PROTOBUF, SV("\0\0\0\0"), ERR_PROTOCOL},
        {"watch: an object without magic", true, DECODE_PROTOBUF, SV("\0\0\0\x05\x12\x03\x0a\x01x"),
         ERR_PROTOCOL},
        {"watch: a broken event", true, DECODE_PROTOBUF, SV("\0\0\0\x02\x12\x03"), ERR_PROTOCOL},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= rows[i].bytes.len; step++) {
            CLEANUP(outcome_done)
            struct outcome o = push(rows[i].watch, rows[i].format, rows[i].bytes, step, step, 0);

            cr_expect(!o.pushed, "%s by %zu", rows[i].name, step);
            cr_expect_eq(o.err.kind, rows[i].kind, "%s by %zu: %s", rows[i].name, step, o.err.text);
        }
    }
}

Test(frame, skips_unknown_fields_of_any_length)
{
    CLEANUP(strbuf_done) struct strbuf list, body;
    static char filler[100000];

    strbuf_init(&list, SIZE_MAX);
    strbuf_init(&body, SIZE_MAX);
    pbmake_bytes(&list, 9, (struct sv){.at = filler, .len = sizeof filler});
    pbmake_str(&list, 2, "one");
    pbmake_var(&list, 8, 77);
    pbmake_str(&list, 2, "two");
    pbmake_envelope(&body, "PodList", strbuf_sv(&list));
    pbmake_bytes(&body, 77, (struct sv){.at = filler, .len = sizeof filler});
    for (size_t step = 1; step < 100; step += 14) {
        CLEANUP(outcome_done)
        struct outcome o = push(false, DECODE_PROTOBUF, strbuf_sv(&body), step, step, 0);

        cr_expect(o.ended, "by %zu: %s", step, o.err.text);
        cr_expect_str_eq(strbuf_str(&o.recorder.log), "0 1 3:one0 1 3:two", "by %zu", step);
    }
}

Test(frame, refuses_json_objects_beyond_the_limit_whole_or_in_pieces)
{
    CLEANUP(strbuf_done) struct strbuf text;

    strbuf_init(&text, SIZE_MAX);
    (void)strbuf_add(&text, SV("{\"items\":[{\"a\":\""));

    char *room = strbuf_room(&text, FRAME_MAX_OBJECT);

    memset(room, 'x', FRAME_MAX_OBJECT);
    strbuf_wrote(&text, FRAME_MAX_OBJECT);
    (void)strbuf_add(&text, SV("\"}]}"));
    for (size_t step = text.len; step > 100000; step /= 7) {
        CLEANUP(outcome_done)
        struct outcome o = push(false, DECODE_JSON, strbuf_sv(&text), step, step, 0);

        cr_expect(!o.pushed, "by %zu", step);
        cr_expect_eq(o.err.kind, ERR_LIMIT, "by %zu: %s", step, o.err.text);
        cr_expect_eq(o.recorder.objects, 0);
    }
}

Test(frame, refuses_json_nested_too_deep)
{
    struct sv head = SV("{\"a\":");
    CLEANUP(strbuf_done) struct strbuf text;

    strbuf_init(&text, SIZE_MAX);
    (void)strbuf_add(&text, head);
    for (int i = 0; i < 100000; i++)
        (void)strbuf_add_char(&text, '[');

    CLEANUP(outcome_done) struct outcome o = push_whole(false, DECODE_JSON, strbuf_sv(&text));

    cr_expect(!o.pushed);
    cr_expect_eq(o.err.kind, ERR_PROTOCOL);
}

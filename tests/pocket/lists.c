#include <stdio.h>
#include <string.h>

#include "agent/json_read.h"
#include "base/alloc.h"
#include "base/base64.h"
#include "tests/pbmake.h"
#include "tests/pocket/answers.h"
#include "tests/pocket/encode.h"

/* How much of a list is made at a time. */
enum { PIECE = 256 << 10, MAX_TOKEN = 4096 };

/* As long as the API server waits for a version that it has not reached. */
#define TOO_LARGE_RETRY_S 1

struct lister {
    struct stream stream;
    struct listing *listing; /* owns the objects */
    struct object **items;
    size_t n, at;
    bool protobuf;
    bool closed; /* what comes behind the items was made */
    struct strbuf out;
    size_t sent;
};

/* ---- the stream ---- */

static void fill(struct lister *l)
{
    while (l->out.len < PIECE && l->at < l->n) {
        struct object *o = l->items[l->at];

        if (l->protobuf) {
            size_t tag_at = l->out.len;

            pbmake_var(&l->out, 2, object_protobuf_size(o));
            l->out.at[tag_at] = (char)(l->out.at[tag_at] | 2);
            object_protobuf(o, &l->out);
        } else {
            if (l->at != 0)
                (void)strbuf_add_char(&l->out, ',');
            object_json(o, o->version, false, &l->out);
        }
        l->at++;
    }
    if (l->at == l->n && !l->closed) {
        l->closed = true;
        if (l->protobuf) {
            pbmake_str(&l->out, 3, "");
            pbmake_str(&l->out, 4, "");
        } else {
            (void)strbuf_add(&l->out, SV("]}\n"));
        }
    }
}

static ssize_t read_list(struct stream *s, char *to, size_t max)
{
    struct lister *l = (struct lister *)s;
    size_t n;

    if (l->sent == l->out.len) {
        strbuf_clear(&l->out);
        l->sent = 0;
        fill(l);
        if (l->out.len == 0)
            return STREAM_END;
    }
    n = l->out.len - l->sent < max ? l->out.len - l->sent : max;
    memcpy(to, l->out.at + l->sent, n);
    l->sent += n;
    return (ssize_t)n;
}

static bool always_ready(struct stream *s UNUSED)
{
    return true;
}

static void free_list(struct stream *s)
{
    struct lister *l = (struct lister *)s;

    listing_unref(l->listing);
    free(l->items);
    strbuf_done(&l->out);
    free(l);
}

/* ---- continue tokens ---- */

struct token {
    uint64_t version; /* 0: the rest of whatever there is now */
    struct strbuf ns, name;
};

static void token_done(struct token *t)
{
    strbuf_done(&t->ns);
    strbuf_done(&t->name);
}

static bool token_read(struct sv text, struct token *ret_t)
{
    CLEANUP(strbuf_done) struct strbuf json;
    int64_t version;

    strbuf_init(&json, MAX_TOKEN);
    if (!base64_decode(text, &json) || !json_i64(strbuf_sv(&json), "rv", &version) || version < 0)
        return false;
    ret_t->version = (uint64_t)version;
    return json_text(strbuf_sv(&json), "ns", &ret_t->ns) &&
           json_text(strbuf_sv(&json), "name", &ret_t->name);
}

static void token_write(uint64_t version, struct sv ns, struct sv name, struct strbuf *out)
{
    CLEANUP(strbuf_done) struct strbuf json;
    struct jsonw w;

    strbuf_init(&json, MAX_TOKEN);
    jsonw_init(&w, &json);
    jsonw_object(&w, NULL);
    jsonw_i64(&w, "rv", (int64_t)version);
    jsonw_str(&w, "ns", ns);
    jsonw_str(&w, "name", name);
    jsonw_end(&w);
    (void)base64_encode(strbuf_sv(&json), out);
}

static void fail_expired(const struct question *q, const struct token *t, struct api_answer *a)
{
    CLEANUP(strbuf_done) struct strbuf fresh;

    strbuf_init(&fresh, MAX_TOKEN);
    token_write(0, strbuf_sv(&t->ns), strbuf_sv(&t->name), &fresh);
    answer_failure(
        q,
        &(struct failure){
            .code = 410,
            .reason = "Expired",
            .token = strbuf_sv(&fresh),
            .message = "The provided continue parameter is too old to display a consistent list "
                       "result. You can start a new list without the continue parameter, or use "
                       "the continue token in this response to retrieve the remainder of the "
                       "results."},
        a);
}

/* ---- which state is asked for ---- */

struct wish {
    uint64_t limit;
    bool has_version, exact;
    uint64_t version;
    struct sv token;
};

static void fail_bad(const struct question *q, int code, const char *message, struct api_answer *a)
{
    answer_failure(q,
                   &(struct failure){.code = code,
                                     .reason = code == 422 ? "Invalid" : "BadRequest",
                                     .message = message},
                   a);
}

static bool read_wish(const struct question *q, struct wish *ret_wish, struct api_answer *a)
{
    struct sv limit = param(q->request, "limit"), version = param(q->request, "resourceVersion");
    struct sv match = param(q->request, "resourceVersionMatch");
    struct wish wish = {.token = param(q->request, "continue"), .has_version = version.len != 0};
    const char *bad = NULL;

    if ((limit.len != 0 && !sv_to_u64(limit, &wish.limit)) ||
        (wish.has_version && !sv_to_u64(version, &wish.version))) {
        fail_bad(q, 400, "limit and resourceVersion: expected whole numbers", a);
        return false;
    }
    if (param(q->request, "sendInitialEvents").len != 0)
        bad = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list";
    else if (wish.token.len != 0 && (wish.has_version || match.len != 0))
        bad = "resourceVersion: Forbidden: it is not allowed together with continue";
    else if (match.len != 0 && !wish.has_version)
        bad = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
              "resourceVersion is provided";
    else if (match.len != 0 && !sv_eq(match, SV("Exact")) && !sv_eq(match, SV("NotOlderThan")))
        bad = "resourceVersionMatch: Unsupported value: supported values: \"Exact\", "
              "\"NotOlderThan\"";
    else if (sv_eq(match, SV("Exact")) && wish.version == 0)
        bad = "resourceVersionMatch: Forbidden: \"Exact\" is forbidden for resourceVersion \"0\"";
    if (bad != NULL) {
        fail_bad(q, 422, bad, a);
        return false;
    }
    /* With a limit and no word about the match a version means exactly that one. */
    wish.exact =
        sv_eq(match, SV("Exact")) || (match.len == 0 && wish.limit != 0 && wish.version != 0);
    /* From the cache: all at once. */
    if (wish.has_version && wish.version == 0)
        wish.limit = 0;
    *ret_wish = wish;
    return true;
}

/* A version that was not reached yet is waited for; who is patient no more is told. */
static bool reached(const struct question *q, uint64_t version, struct api_answer *a)
{
    uint64_t now = store_version(world_store(q->api->world));
    char text[120];

    if (version <= now)
        return true;
    if (q->request->patient) {
        a->wait = true;
        a->wait_version = version;
        return false;
    }
    (void)snprintf(text, sizeof text, "Too large resource version: %llu, current: %llu",
                   (unsigned long long)version, (unsigned long long)now);
    answer_failure(q,
                   &(struct failure){.code = 504,
                                     .reason = "Timeout",
                                     .message = text,
                                     .cause = "ResourceVersionTooLarge",
                                     .retry_after_s = TOO_LARGE_RETRY_S},
                   a);
    return false;
}

/* The listing that is asked for, referenced, or NULL and an answer. */
static struct listing *choose(const struct question *q, const struct wish *wish,
                              const struct token *t, struct api_answer *a)
{
    struct store *s = world_store(q->api->world);
    struct listing *kept;
    uint64_t cursor;

    if (wish->token.len != 0 && t->version != 0) {
        kept = store_kept(s, q->kind, t->version);
        if (kept == NULL)
            fail_expired(q, t, a);
        return kept != NULL ? listing_ref(kept) : NULL;
    }
    if (!reached(q, wish->version, a))
        return NULL;
    if (!wish->exact)
        return store_list(s, q->kind);
    kept = store_kept(s, q->kind, wish->version);
    if (kept != NULL)
        return listing_ref(kept);
    /* What has not changed since is still the same. */
    if (store_seek(s, q->kind, wish->version, &cursor) && cursor == store_end(s, q->kind))
        return store_list(s, q->kind);
    answer_failure(
        q,
        &(struct failure){.code = 410,
                          .reason = "Expired",
                          .message = "The resourceVersion for the provided list is too old."},
        a);
    return NULL;
}

/* ---- the answer ---- */

struct page {
    struct object **items;
    size_t n;
    size_t left; /* objects behind the page */
    struct strbuf token;
};

static void take_page(const struct listing *l, size_t from, uint64_t limit, const struct match *m,
                      struct page *page)
{
    size_t i;

    page->items = xcalloc(l->n - from + 1, sizeof(struct object *));
    for (i = from; i < l->n && (limit == 0 || page->n < limit); i++)
        if (match_object(m, l->at[i]))
            page->items[page->n++] = l->at[i];
    /* Of one namespace only its own are left. */
    while (i < l->n && m->ns.len != 0 && sv_cmp(l->at[i]->is.ns, m->ns) < 0)
        i++;
    while (i + page->left < l->n && (m->ns.len == 0 || sv_eq(l->at[i + page->left]->is.ns, m->ns)))
        page->left++;
}

static cJSON *list_meta(const struct question *q UNUSED, const struct listing *l,
                        const struct page *page, const struct match *m)
{
    cJSON *meta = cJSON_CreateObject();
    char version[24];

    (void)snprintf(version, sizeof version, "%llu", (unsigned long long)l->version);
    (void)cJSON_AddStringToObject(meta, "resourceVersion", version);
    if (page->token.len != 0) {
        (void)cJSON_AddStringToObject(meta, "continue", strbuf_str(&page->token));
        if (!match_selects(m))
            (void)cJSON_AddNumberToObject(meta, "remainingItemCount", (double)page->left);
    }
    return meta;
}

/* The list's beginning: all up to the first item. */
static void open_json(const struct question *q, const cJSON *meta, struct strbuf *out)
{
    const struct kind_info *info = kind_info(q->kind);
    char *text = cJSON_PrintUnformatted(meta);

    (void)strbuf_addf(out, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":%s,\"items\":[",
                      info->kind, info->api_version, text);
    cJSON_free(text);
}

/* Likewise; the envelope names the length of the whole, so every item's length is needed now. */
static void open_protobuf(const struct question *q, const cJSON *meta, const struct page *page,
                          struct strbuf *out)
{
    struct strbuf part, head;
    char kind[64];
    size_t size = 0, tag_at;

    strbuf_init(&part, ANSWER_MAX);
    strbuf_init(&head, ANSWER_MAX);
    (void)snprintf(kind, sizeof kind, "%sList", kind_info(q->kind)->kind);
    encode_object(&encode_list_meta, meta, false, &part);
    pbmake_message(&head, 1, &part);
    for (size_t i = 0; i < page->n; i++) {
        size_t n = object_protobuf_size(page->items[i]);

        strbuf_clear(&part);
        pbmake_var(&part, 2, n);
        size += part.len + n;
    }
    (void)strbuf_add(out, SV("k8s\0"));
    strbuf_clear(&part);
    pbmake_str(&part, 1, kind_info(q->kind)->api_version);
    pbmake_str(&part, 2, kind);
    pbmake_message(out, 1, &part);
    tag_at = out->len;
    pbmake_var(out, 2, head.len + size);
    out->at[tag_at] = (char)(out->at[tag_at] | 2);
    (void)strbuf_add(out, strbuf_sv(&head));
    strbuf_done(&part);
    strbuf_done(&head);
}

static void open_list(const struct question *q, struct listing *l, struct page *page,
                      const struct match *m, struct api_answer *a)
{
    struct lister *to = xcalloc(1, sizeof *to);
    cJSON *meta = list_meta(q, l, page, m);

    *to = (struct lister){.stream = {.read = read_list, .ready = always_ready, .free = free_list},
                          .listing = listing_ref(l),
                          .items = TAKE(page->items),
                          .n = page->n,
                          .protobuf = q->protobuf && kind_info(q->kind)->parted};
    strbuf_init(&to->out, ANSWER_MAX);
    if (to->protobuf)
        open_protobuf(q, meta, &(struct page){.items = to->items, .n = to->n}, &to->out);
    else
        open_json(q, meta, &to->out);
    a->content_type = to->protobuf ? TYPE_PROTOBUF : TYPE_JSON;
    a->stream = &to->stream;
    cJSON_Delete(meta);
}

static void answer_page(const struct question *q, const struct wish *wish, struct listing *l,
                        const struct token *t, const struct match *m, struct api_answer *a)
{
    struct page page = {0};
    size_t from = wish->token.len != 0 ? listing_after(l, strbuf_sv(&t->ns), strbuf_sv(&t->name))
                  : m->ns.len != 0     ? listing_after(l, m->ns, (struct sv){0})
                                       : 0;

    strbuf_init(&page.token, MAX_TOKEN);
    take_page(l, from, wish->limit, m, &page);
    if (page.left != 0 && page.n != 0) {
        const struct object *last = page.items[page.n - 1];

        token_write(l->version, last->is.ns, last->is.name, &page.token);
        store_keep(world_store(q->api->world), l);
    }
    open_list(q, l, &page, m, a);
    strbuf_done(&page.token);
}

void list_handle(const struct question *q, struct api_answer *a)
{
    struct wish wish;
    struct token token = {0};
    struct match m;
    struct err err = {0};
    struct listing *l;

    if (!read_wish(q, &wish, a))
        return;
    strbuf_init(&token.ns, MAX_TOKEN);
    strbuf_init(&token.name, MAX_TOKEN);
    if (!match_init(&m, q->kind, q->ns, param(q->request, "fieldSelector"),
                    param(q->request, "labelSelector"), &err)) {
        fail_bad(q, 400, err.text, a);
    } else if (wish.token.len != 0 && !token_read(wish.token, &token)) {
        fail_bad(q, 400, "continue key is not valid", a);
    } else {
        l = choose(q, &wish, &token, a);
        if (l != NULL)
            answer_page(q, &wish, l, &token, &m, a);
        listing_unref(l);
    }
    match_done(&m);
    token_done(&token);
}

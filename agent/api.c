#include "agent/api.h"

#include <string.h>

#include "agent/json_read.h"
#include "agent/kube/watch.h"
#include "base/alloc.h"

#define AGENT_TIMEOUT_US (5 * US_PER_S)

static bool join(struct api *api, struct err *err)
{
    struct exec_runner runner;

    api->loop = loop_new();
    api->timers = timers_from_loop(api->loop);
    if (!transport_curl_new(api->loop, &api->config, &api->curl, err)) {
        api_close(api);
        return false;
    }
    api->transport = transport_curl_transport(api->curl);
    api->client = client_new(&api->config, &api->transport, &api->timers);
    runner = exec_runner_from_loop(api->loop);
    client_set_runner(api->client, &runner);
    return true;
}

bool api_open(struct api *api, const char *kubeconfig, const char *context, struct err *err)
{
    struct kube_config_options options = kube_config_options_from_env(kubeconfig, context);

    *api = (struct api){0};
    return kube_config_load(&options, &api->config, err) && join(api, err);
}

bool api_open_agent(struct api *api, const char *url, struct err *err)
{
    struct sv text = sv_from(url);
    struct proxy_env proxy;

    while (sv_ends(text, SV("/")))
        text.len--;
    if (!sv_starts(text, SV("http://")) || memchr(text.at, '\n', text.len) != NULL)
        return err_set(err, ERR_INPUT, 0,
                       "agent: found '%s', expected an address like " API_DEFAULT_AGENT, url);
    *api = (struct api){0};
    api->config.server = sv_dup(text);
    api->config.ns = xstrdup("");
    api->config.plain = true;
    api->timeout_us = AGENT_TIMEOUT_US;
    proxy = proxy_env_read();
    if (!proxy_choose(&proxy, api->config.server, &api->config.proxy_url, err)) {
        api_close(api);
        return false;
    }
    return join(api, err);
}

void api_close(struct api *api)
{
    if (api->client != NULL)
        client_free(api->client);
    if (api->curl != NULL)
        transport_curl_free(api->curl);
    if (api->loop != NULL)
        loop_free(api->loop);
    kube_config_done(&api->config);
    *api = (struct api){0};
}

bool api_get(struct api *api, const char *path, struct strbuf *to, struct err *err)
{
    const struct client_request request = {
        .method = "GET", .path = path, .channel = CHANNEL_POOL, .timeout_us = api->timeout_us};
    enum decode_format format;
    struct strbuf body;
    bool fits;

    if (!client_wait(api->client, api->loop, &request, &body, &format, err))
        return false;
    if (format != DECODE_JSON) {
        strbuf_done(&body);
        return err_set(err, ERR_PROTOCOL, 0, "%s: the answer is not JSON", path);
    }
    fits = strbuf_add(to, strbuf_sv(&body));
    strbuf_done(&body);
    return fits || err_set(err, ERR_LIMIT, 0, "%s: the answer is too large", path);
}

/* What a page asks for: 250 pods of 16 KB fill TRANSPORT_MAX_BODY; smaller pages follow if they are
 * larger still. */
enum { PAGE_OBJECTS = 250, LIST_TRIES = 3 };

/* A server that leads in circles says at each page that there are more. */
enum { LIST_PAGES = WATCH_MAX_PAGES };

static void page_path(const char *path, const char *field_selector, int limit, struct sv token,
                      struct strbuf *out)
{
    strbuf_clear(out);
    (void)strbuf_addf(out, "%s?limit=%d", path, limit);
    if (field_selector != NULL) {
        (void)strbuf_add(out, SV("&fieldSelector="));
        client_escape(out, sv_from(field_selector));
    }
    if (token.len != 0) {
        (void)strbuf_add(out, SV("&continue="));
        client_escape(out, token);
    }
}

/* One page; the token of the next replaces the one in `token`. */
static bool list_page(struct api *api, const char *path, const char *kind,
                      const struct frame_handler *each, struct strbuf *token, struct err *err)
{
    const struct client_request request = {
        .method = "GET", .path = path, .accept = CLIENT_PROTOBUF, .channel = CHANNEL_POOL};
    enum decode_format format;
    struct strbuf body;
    struct frame *frame;
    bool ok;

    if (!client_wait(api->client, api->loop, &request, &body, &format, err))
        return false;
    frame = frame_new(false, format, each);
    ok = frame_push(frame, strbuf_sv(&body), err) && frame_end(frame, err);
    /* Objects of another kind may have been refused for what they are not: the kind says why. */
    if ((ok || frame_kind(frame).len != 0) && !frame_check_kind(frame, kind, err))
        ok = err_wrap(err, "%.*s", (int)strcspn(path, "?"), path);
    if (ok && token->len != 0 && sv_eq(strbuf_sv(token), frame_continue(frame)))
        ok = err_set(err, ERR_PROTOCOL, 0, "%.*s: the list goes on with the page that it just gave",
                     (int)strcspn(path, "?"), path);
    strbuf_clear(token);
    if (ok)
        (void)strbuf_add(token, frame_continue(frame));
    frame_free(frame);
    strbuf_done(&body);
    return ok;
}

bool api_list(struct api *api, const char *path, const char *kind, const char *field_selector,
              const struct frame_handler *each, struct err *err)
{
    struct strbuf token, request;
    struct err why = {0};
    int limit = PAGE_OBJECTS, tries = LIST_TRIES, pages = 0;
    bool more = true, ok = true;

    strbuf_init(&token, API_MAX_PATH);
    strbuf_init(&request, API_MAX_PATH * 4); /* a token's bytes may all need %XX */
    while (ok && more) {
        if (pages++ == LIST_PAGES) {
            ok = err_set(&why, ERR_LIMIT, 0, "%s: the list has more than %d pages", path,
                         LIST_PAGES);
            break;
        }
        page_path(path, field_selector, limit, strbuf_sv(&token), &request);
        ok = list_page(api, strbuf_str(&request), kind, each, &token, &why);
        more = token.len != 0;
        if (!ok && why.kind == ERR_LIMIT && limit > 1) {
            limit /= 4;
            ok = more = true;
        } else if (!ok && why.kind == ERR_GONE && --tries > 0) {
            strbuf_clear(&token);
            ok = more = true;
        }
    }
    strbuf_done(&request);
    strbuf_done(&token);
    return ok || err_set(err, why.kind, why.code, "%s", why.text);
}

bool api_rules(struct api *api, struct podreq_rules *ret_rules, struct err *err)
{
    struct strbuf answer, version;
    bool ok;

    strbuf_init(&answer, TRANSPORT_MAX_BODY);
    strbuf_init(&version, 256);
    ok = api_get(api, "/version", &answer, err);
    if (ok && !json_text(strbuf_sv(&answer), "gitVersion", &version))
        ok = err_set(err, ERR_PROTOCOL, 0, "/version: gitVersion is missing");
    ok = ok && podreq_rules_for(strbuf_sv(&version), ret_rules, err);
    strbuf_done(&version);
    strbuf_done(&answer);
    return ok;
}

#include "agent/api.h"

#include <string.h>

#include "agent/json_read.h"
#include "base/alloc.h"

static bool join(struct api *api, struct err *err)
{
    api->loop = loop_new();
    api->timers = timers_from_loop(api->loop);
    if (!transport_curl_new(api->loop, &api->config, &api->curl, err)) {
        api_close(api);
        return false;
    }
    api->transport = transport_curl_transport(api->curl);
    api->client = client_new(&api->config, &api->transport, &api->timers);
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

    while (sv_ends(text, SV("/")))
        text.len--;
    if (!sv_starts(text, SV("http://")) || memchr(text.at, '\n', text.len) != NULL)
        return err_set(err, ERR_INPUT, 0, "agent: found '%s', expected an address like " API_DEFAULT_AGENT, url);
    *api = (struct api){0};
    api->config.server = sv_dup(text);
    api->config.ns = xstrdup("");
    api->config.plain = true;
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
    const struct client_request request = {.method = "GET", .path = path, .channel = CHANNEL_POOL};
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

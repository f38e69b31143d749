#include <stdio.h>
#include <stdlib.h>

#include "agent/kube/proxy.h"
#include "base/alloc.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT_MAX = 1 << 20 };

/* What is chosen is a proxy that is spoken, or nothing. */
static bool goes_direct(const char *server, const char *proxy, const char *none)
{
    const struct proxy_env env = {.https = proxy, .http = proxy, .none = none};
    struct err err = {0};
    char *url;
    bool direct;

    if (!proxy_choose(&env, server, &url, &err)) {
        if (err.kind != ERR_INPUT || err.text[0] == '\0')
            abort();
        return false;
    }
    direct = url == NULL;
    if (!direct && !proxy_known(url))
        abort();
    free(url);
    return direct;
}

/* Three lines: the server behind "https://", the proxy, NO_PROXY. More entries in NO_PROXY never lead through the proxy. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv lines = {.at = (const char *)data, .len = size}, host = {0}, proxy_text = {0};
    char *proxy, *none;
    struct strbuf server, more;

    (void)(sv_next(&lines, '\n', &host) && sv_next(&lines, '\n', &proxy_text));
    proxy = sv_dup(proxy_text);
    none = sv_dup(lines);
    strbuf_init(&server, TEXT_MAX);
    strbuf_init(&more, TEXT_MAX);
    (void)strbuf_addf(&server, "https://%.*s", SV_ARG(host));
    (void)strbuf_addf(&more, "%s,10.0.0.0/8,a.b", none);
    if (goes_direct(strbuf_str(&server), proxy, none) &&
        !goes_direct(strbuf_str(&server), proxy, strbuf_str(&more)))
        abort();
    (void)strbuf_addf(&more, ",*");
    if (!goes_direct(strbuf_str(&server), proxy, strbuf_str(&more)))
        abort();
    strbuf_done(&server);
    strbuf_done(&more);
    free(proxy);
    free(none);
    return 0;
}

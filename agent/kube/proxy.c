#include "agent/kube/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/sv.h"

enum { IP_BITS = 128, V4_PREFIX_BITS = 96 };

/* An address in 16 bytes, those of IPv4 behind ::ffff: as Go compares them. */
struct ip {
    unsigned char bytes[16];
};

static const struct ip v4_prefix = {.bytes = {[10] = 0xff, [11] = 0xff}};

struct server {
    struct sv host, port;
    bool is_ip;
    struct ip ip;
};

/* ---- addresses ---- */

/* Do the first `bits` agree? */
static bool same_bits(const struct ip *a, const struct ip *b, int bits)
{
    size_t whole = (size_t)bits / 8;
    unsigned mask = 0xff00u >> (bits % 8) & 0xff;

    return memcmp(a->bytes, b->bytes, whole) == 0 &&
           (mask == 0 || ((a->bytes[whole] ^ b->bytes[whole]) & mask) == 0);
}

static bool is_v4(const struct ip *ip)
{
    return same_bits(ip, &v4_prefix, V4_PREFIX_BITS);
}

static bool parse_ip(struct sv text, struct ip *ret_ip)
{
    char name[INET6_ADDRSTRLEN];
    struct ip ip = v4_prefix;

    if (text.len == 0 || text.len >= sizeof name)
        return false;
    memcpy(name, text.at, text.len);
    name[text.len] = '\0';
    if (inet_pton(AF_INET, name, ip.bytes + 12) != 1 && inet_pton(AF_INET6, name, ip.bytes) != 1)
        return false;
    *ret_ip = ip;
    return true;
}

/* 127.0.0.0/8 and ::1. */
static bool is_loopback(const struct ip *ip)
{
    static const struct ip v6 = {.bytes = {[15] = 1}};

    return is_v4(ip) ? ip->bytes[12] == 127 : same_bits(ip, &v6, IP_BITS);
}

/* ---- what NO_PROXY says ---- */

static bool same_name(struct sv a, struct sv b)
{
    return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

/* Splits "host:port", "[v6]:port", "host" and "v6"; the port is empty if there is none. */
static void split_port(struct sv text, struct sv *ret_host, struct sv *ret_port)
{
    struct sv host = text, port = {0};

    if (text.len != 0 && text.at != NULL) {
        const char *colon = memrchr(text.at, ':', text.len);
        const char *end = text.at[0] == '[' ? memchr(text.at, ']', text.len) : NULL;

        if (end != NULL) {
            host = (struct sv){.at = text.at + 1, .len = (size_t)(end - text.at) - 1};
            if (colon == end + 1)
                port = sv_skip(text, (size_t)(colon - text.at) + 1);
        } else if (colon != NULL && memchr(text.at, ':', (size_t)(colon - text.at)) == NULL) {
            host.len = (size_t)(colon - text.at);
            port = sv_skip(text, host.len + 1);
        }
    }
    *ret_host = host;
    *ret_port = port;
}

/* "10.0.0.0/8": true in *ret_match if the server lies in it. False: it is no network. */
static bool match_network(struct sv entry, const struct server *s, bool *ret_match)
{
    struct sv address, length;
    struct ip ip;
    int64_t bits;

    if (!sv_cut(entry, '/', &address, &length) || !parse_ip(address, &ip) ||
        !sv_to_i64(length, &bits) || bits < 0 || bits > IP_BITS)
        return false;
    if (memchr(address.at, ':', address.len) == NULL)
        bits += V4_PREFIX_BITS;
    if (bits > IP_BITS)
        return false;
    *ret_match = s->is_ip && is_v4(&ip) == is_v4(&s->ip) && same_bits(&ip, &s->ip, (int)bits);
    return true;
}

static bool match_name(struct sv name, struct sv host)
{
    bool below_only = sv_starts(name, SV("*."));

    if (below_only)
        name = sv_skip(name, 1);
    else
        below_only = name.at[0] == '.';
    if (!below_only && same_name(host, name))
        return true;
    /* What is left must end in ".name". */
    if (!below_only) {
        if (host.len <= name.len || host.at[host.len - name.len - 1] != '.')
            return false;
    }
    return host.len >= name.len && same_name(sv_skip(host, host.len - name.len), name);
}

static bool match_entry(struct sv entry, const struct server *s)
{
    struct sv host, port;
    struct ip ip;
    bool match;

    if (sv_eq(entry, SV("*")))
        return true;
    if (match_network(entry, s, &match))
        return match;
    split_port(entry, &host, &port);
    if (host.len == 0 || (port.len != 0 && !sv_eq(port, s->port)))
        return false;
    if (parse_ip(host, &ip))
        return s->is_ip && same_bits(&ip, &s->ip, IP_BITS);
    return match_name(host, s->host);
}

static bool goes_direct(const struct server *s, const char *none)
{
    struct sv rest = sv_from(none), entry;

    if (same_name(s->host, SV("localhost")) || (s->is_ip && is_loopback(&s->ip)))
        return true;
    while (sv_next(&rest, ',', &entry)) {
        entry = sv_trim(entry);
        if (entry.len != 0 && match_entry(entry, s))
            return true;
    }
    return false;
}

/* ---- public ---- */

static const char *either(const char *capitals, const char *small)
{
    const char *value = getenv(capitals);

    return value != NULL && value[0] != '\0' ? value : getenv(small);
}

struct proxy_env proxy_env_read(void)
{
    return (struct proxy_env){
        .https = either("HTTPS_PROXY", "https_proxy"),
        .http = either("HTTP_PROXY", "http_proxy"),
        .none = either("NO_PROXY", "no_proxy"),
    };
}

bool proxy_known(const char *url)
{
    struct sv text = sv_from(url);

    return sv_starts_ascii_case(text, SV("http://")) ||
           sv_starts_ascii_case(text, SV("https://")) ||
           sv_starts_ascii_case(text, SV("socks5://")) ||
           sv_starts_ascii_case(text, SV("socks5h://"));
}

bool proxy_choose(const struct proxy_env *env, const char *server, char **ret_url, struct err *err)
{
    bool plain = sv_starts(sv_from(server), SV("http://"));
    const char *proxy = plain ? env->http : env->https;
    struct sv authority = sv_skip(sv_from(server), plain ? 7 : 8), tail;
    struct server s = {0};
    char *url;

    if (proxy == NULL || proxy[0] == '\0') {
        *ret_url = NULL;
        return true;
    }
    (void)sv_cut(authority, '/', &authority, &tail);
    split_port(authority, &s.host, &s.port);
    if (s.port.len == 0)
        s.port = plain ? SV("80") : SV("443");
    s.is_ip = parse_ip(s.host, &s.ip);
    if (goes_direct(&s, env->none) || proxy_known(proxy)) {
        *ret_url = goes_direct(&s, env->none) ? NULL : xstrdup(proxy);
        return true;
    }
    if (strstr(proxy, "://") != NULL || strpbrk(proxy, " \r\n\t") != NULL)
        return err_set(err, ERR_INPUT, 0, "%s: expected http://, https:// or socks5:// and a host",
                       plain ? "HTTP_PROXY" : "HTTPS_PROXY");
    url = xmalloc(strlen(proxy) + sizeof "http://");
    (void)stpcpy(stpcpy(url, "http://"), proxy);
    *ret_url = url;
    return true;
}

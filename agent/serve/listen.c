#include "agent/serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

struct address {
    struct sockaddr_storage at;
    socklen_t len;
    bool dual; /* every address, of both families */
};

static bool port_parse(struct sv text, uint16_t *ret_port)
{
    uint64_t port;

    if (!sv_to_u64(text, &port) || port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* ADDRESS:PORT cut at the last colon, which lies behind the bracket of an IPv6 address. */
static bool listen_cut(struct sv listen, struct sv *ret_host, uint16_t *ret_port)
{
    size_t colon = listen.len;
    struct sv host;

    while (colon != 0 && listen.at[colon - 1] != ':')
        colon--;
    if (colon == 0 || !port_parse(sv_skip(listen, colon), ret_port))
        return false;
    host = (struct sv){.at = listen.at, .len = colon - 1};
    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
        host = (struct sv){.at = host.at + 1, .len = host.len - 2};
    *ret_host = host;
    return true;
}

static bool address_parse(const char *host, uint16_t port, struct address *ret_a)
{
    struct address a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a.at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.at;

    if (host[0] == '\0') {
        *v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
        a.len = sizeof *v6;
        a.dual = true;
    } else if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                         &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        a.len = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        a.len = sizeof *v6;
    } else {
        return false;
    }
    *ret_a = a;
    return true;
}

/* A listening socket of ours, so that errno tells people why it could not be had. */
static bool bind_socket(const struct address *a, int *ret_fd, uint16_t *ret_port, struct err *err)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    int one = 1, zero = 0;
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_set(err, ERR_SYSTEM, errno, "socket: %s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (a->at.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->dual ? &zero : &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&a->at, a->len) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &len) != 0) {
        (void)err_set(err, ERR_SYSTEM, errno, "%s", strerror(errno));
        (void)close(fd);
        return false;
    }
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    *ret_fd = fd;
    return true;
}

/* A kernel without IPv6 still has every address of the other family. */
static bool bind_any(struct address *a, uint16_t port, int *ret_fd, uint16_t *ret_port,
                     struct err *err)
{
    struct err why = {0};

    if (bind_socket(a, ret_fd, ret_port, &why))
        return true;
    if (a->dual && (why.code == EAFNOSUPPORT || why.code == EADDRNOTAVAIL)) {
        (void)address_parse("0.0.0.0", port, a);
        return bind_socket(a, ret_fd, ret_port, err);
    }
    return err_set(err, why.kind, why.code, "%s", why.text);
}

/* Both families in one form. */
struct in6_addr listen_plain(const struct sockaddr *sa)
{
    struct in6_addr a = {0};

    if (sa->sa_family == AF_INET6)
        return ((const struct sockaddr_in6 *)sa)->sin6_addr;
    if (sa->sa_family == AF_INET) {
        a.s6_addr[10] = a.s6_addr[11] = 0xff;
        memcpy(&a.s6_addr[12], &((const struct sockaddr_in *)sa)->sin_addr, 4);
    }
    return a;
}

bool listen_is_loopback(const struct in6_addr *a)
{
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

bool listen_open(const char *flag, const char *listen, bool loopback_only, struct listen *ret_l,
                 struct err *err)
{
    CLEANUP(free_ptr) char *host_text = NULL;
    struct listen l = {0};
    struct in6_addr plain;
    struct address a;
    struct sv host;
    uint16_t port;

    if (!listen_cut(sv_from(listen), &host, &port))
        return err_set(err, ERR_INPUT, 0,
                       "%s: found '%s', expected ADDRESS:PORT, like " LISTEN_EXAMPLE, flag, listen);
    host_text = sv_dup(host);
    if (!address_parse(host_text, port, &a))
        return err_set(err, ERR_INPUT, 0,
                       "%s: found address '%s', expected a number like 127.0.0.1 or [::1]", flag,
                       host_text);
    plain = listen_plain((const struct sockaddr *)&a.at);
    l.loopback = listen_is_loopback(&plain);
    if (loopback_only && !l.loopback)
        return err_set(err, ERR_INPUT, 0,
                       "%s: found '%s', expected a loopback address: plain HTTP is for this "
                       "machine alone, --secure-listen serves others",
                       flag, listen);
    if (!bind_any(&a, port, &l.fd, &l.port, err))
        return err_wrap(err, "%s %s", flag, listen);
    l.host = TAKE(host_text);
    *ret_l = l;
    return true;
}

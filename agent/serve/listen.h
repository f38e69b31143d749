/*
 * listen: listening sockets by their address, and peers' addresses in one form.
 */
#ifndef BRIM_AGENT_SERVE_LISTEN_H
#define BRIM_AGENT_SERVE_LISTEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/sv.h"

#define LISTEN_EXAMPLE "127.0.0.1:8090"

struct listen {
    int fd;
    char *host;    /* the address as it was given, without port; the caller's to free */
    bool loopback; /* reachable from this machine alone */
    uint16_t port; /* that was bound */
};

/*
 * Binds and listens. `listen` is ADDRESS:PORT: "127.0.0.1:8090", "[::1]:8090", "localhost:8090",
 * ":8090" for every address of the machine; port 0 takes a free one. `flag` is what errors call it.
 * Errors: ERR_INPUT (listen; not a loopback address though only that is allowed), ERR_SYSTEM (it
 * cannot be bound).
 */
bool listen_open(const char *flag, const char *listen, bool loopback_only, struct listen *ret_l,
                 struct err *err) MUST_CHECK;

/* IPv4 as ::ffff:a.b.c.d. */
struct in6_addr listen_plain(const struct sockaddr *sa);
bool listen_is_loopback(const struct in6_addr *a);

#endif

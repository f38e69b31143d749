/*
 * lines: the connections of one listening socket, counted by the address that they come from. Only
 * the server's thread of that socket touches them.
 *
 * From LINES_CROWDED on, each new one ends the one that has been idle longest (no request under
 * way, a handshake is none), so that thousands of idle ones cannot keep a probe or a scrape out.
 */
#ifndef BRIM_AGENT_SERVE_LINES_H
#define BRIM_AGENT_SERVE_LINES_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/clock.h"

enum {
    LINES_MAX = 512,
    /* The library takes in a few at once before it closes those that were ended: room for them. */
    LINES_CROWDED = LINES_MAX - 128,
    LINES_MAX_PER_ADDRESS = 64,
};

/* An address and how many connections it holds. */
struct line_peer {
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
    int connections;
};

/* A connection that is open, from the library's first notice of it to the last. */
struct line {
    struct line_peer *peer; /* NULL: the entry is free */
    int fd;
    bool busy;  /* a request is being answered */
    bool ended; /* was shut down by us; the library has yet to close it */
    struct mono opened, idle_since;
    struct tls_pair *pair; /* what its handshake is made with; NULL: plain */
};

struct lines {
    struct line_peer peers[LINES_MAX];
    struct line at[LINES_MAX];
};

/* May one more come from there? Loopback has no limit of its own: port-forward brings all its
 * viewers from there. */
bool lines_admit(struct lines *l, const struct in6_addr *address);

/* Takes the connection in; may shut another one down. NULL where the table is full, which the
 * library's own limit of connections forbids. O(LINES_MAX). */
struct line *lines_open(struct lines *l, const struct in6_addr *address, int fd, struct mono now);
void lines_close(struct line *line);

#endif

#include "agent/serve/lines.h"

#include <string.h>
#include <sys/socket.h>

#include "agent/serve/listen.h"
#include "base/attr.h"

/* The peer's entry, or a free one, or NULL when all are taken. */
static struct line_peer *peer_find(struct lines *l, const struct in6_addr *address)
{
    struct line_peer *unused = NULL;

    for (size_t i = 0; i < COUNT_OF(l->peers); i++) {
        struct line_peer *p = &l->peers[i];

        if (p->connections != 0 && memcmp(&p->address, address, sizeof *address) == 0)
            return p;
        if (p->connections == 0 && unused == NULL)
            unused = p;
    }
    return unused;
}

/*
 * Ends the connection that has been idle longest, if many are open. The library closes only what
 * the other side closed or what timed out; shut down, a socket looks as if its peer had gone.
 */
static void make_room(struct lines *lines)
{
    struct line *oldest = NULL;
    size_t open = 0;

    for (size_t i = 0; i < COUNT_OF(lines->at); i++) {
        struct line *l = &lines->at[i];

        if (l->peer == NULL || l->ended)
            continue;
        open++;
        if (!l->busy && (oldest == NULL || l->idle_since.us < oldest->idle_since.us))
            oldest = l;
    }
    if (open < LINES_CROWDED || oldest == NULL)
        return;
    oldest->ended = true;
    (void)shutdown(oldest->fd, SHUT_RDWR);
}

bool lines_admit(struct lines *l, const struct in6_addr *address)
{
    const struct line_peer *p = peer_find(l, address);

    return p != NULL && (listen_is_loopback(address) || p->connections < LINES_MAX_PER_ADDRESS);
}

struct line *lines_open(struct lines *l, const struct in6_addr *address, int fd, struct mono now)
{
    struct line_peer *p;
    struct line *line = NULL;

    make_room(l);
    p = peer_find(l, address);
    for (size_t i = 0; i < COUNT_OF(l->at) && line == NULL; i++) {
        if (l->at[i].peer == NULL)
            line = &l->at[i];
    }
    if (p == NULL || line == NULL)
        return NULL;
    p->address = *address;
    p->connections++;
    *line = (struct line){.peer = p, .fd = fd, .opened = now, .idle_since = now};
    return line;
}

void lines_close(struct line *line)
{
    line->peer->connections--;
    *line = (struct line){0};
}

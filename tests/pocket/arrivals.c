#include "tests/pocket/arrivals.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* They want struct timespec from before. */
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "base/alloc.h"

struct peer {
    int fd;
    struct wall arrived; /* 0: nothing noted */
};

struct arrivals {
    struct peer *peers;
    size_t n, cap;
};

struct arrivals *arrivals_new(void)
{
    return xcalloc(1, sizeof(struct arrivals));
}

void arrivals_free(struct arrivals *a)
{
    if (a == NULL)
        return;
    free(a->peers);
    free(a);
}

static struct peer *peer_of(struct arrivals *a, int fd)
{
    for (size_t i = 0; i < a->n; i++) {
        if (a->peers[i].fd == fd)
            return &a->peers[i];
    }
    return NULL;
}

void arrivals_open(struct arrivals *a, int fd)
{
    int what = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &what, sizeof what);
    VEC_PUSH(a->peers, a->n, a->cap, ((struct peer){.fd = fd}));
}

void arrivals_close(struct arrivals *a, int fd)
{
    struct peer *peer = peer_of(a, fd);

    if (peer != NULL)
        *peer = a->peers[--a->n];
}

static struct wall stamp_of(struct msghdr *message)
{
    struct scm_timestamping stamps;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPING)
            continue;
        memcpy(&stamps, CMSG_DATA(c), sizeof stamps);
        return (struct wall){stamps.ts[0].tv_sec * US_PER_S + stamps.ts[0].tv_nsec / 1000};
    }
    return (struct wall){0};
}

void arrivals_look(struct arrivals *a)
{
    for (size_t i = 0; i < a->n; i++) {
        char byte;
        _Alignas(struct cmsghdr) char control[256];
        struct iovec to = {.iov_base = &byte, .iov_len = 1};
        struct msghdr message = {.msg_iov = &to,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};

        if (a->peers[i].arrived.us == 0 &&
            recvmsg(a->peers[i].fd, &message, MSG_PEEK | MSG_DONTWAIT) == 1)
            a->peers[i].arrived = stamp_of(&message);
    }
}

struct wall arrivals_take(struct arrivals *a, int fd, struct wall otherwise)
{
    struct peer *peer = peer_of(a, fd);
    struct wall arrived = peer != NULL ? peer->arrived : (struct wall){0};

    if (arrived.us == 0)
        return otherwise;
    peer->arrived = (struct wall){0};
    return arrived;
}

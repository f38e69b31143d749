/*
 * wire: HTTP and HTTPS around api.h, on libmicrohttpd, in the caller's thread: the caller waits on wire_fd(), for at most
 * wire_timeout_us(), and calls wire_run().
 *
 * What shall go wrong on demand between server and client is played by tests/story/faulty.py, a proxy before it.
 */
#ifndef BRIM_POCKET_WIRE_H
#define BRIM_POCKET_WIRE_H

#include "base/err.h"
#include "tests/pocket/api.h"

enum { WIRE_MAX_CONNECTIONS = 1000 };

struct wire;

struct wire_config {
    const char *listen;  /* ADDRESS:PORT, IPv4; port 0: any */
    struct sv cert, key; /* PEM, ending in NUL; empty: no TLS */
};

bool wire_start(const struct wire_config *config, struct api *api, struct wire **ret_wire,
                struct err *err) MUST_CHECK;
void wire_stop(struct wire *w);

/* "127.0.0.1:43210" */
const char *wire_address(const struct wire *w);
int wire_fd(const struct wire *w);
/* At most max_us. */
int64_t wire_timeout_us(const struct wire *w, int64_t max_us);
/* Wakes streams that have news, then serves whatever sockets are ready. */
void wire_run(struct wire *w);

#endif

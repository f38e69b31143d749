/*
 * arrivals: when a request reached its socket, by the kernel's clock, however late the server reads it.
 *
 * Software receive timestamps (SO_TIMESTAMPING, Linux: Documentation/networking/timestamping.rst) of what lies unread in the
 * sockets, looked at before each round of reading. Bytes that came together bear the time of the last of them.
 */
#ifndef BRIM_POCKET_ARRIVALS_H
#define BRIM_POCKET_ARRIVALS_H

#include "base/clock.h"

struct arrivals;

struct arrivals *arrivals_new(void);
void arrivals_free(struct arrivals *a);

/* A connection opens and closes; the socket stays the caller's. */
void arrivals_open(struct arrivals *a, int fd);
void arrivals_close(struct arrivals *a, int fd);

/* Notes what came. O(connections), a system call each. */
void arrivals_look(struct arrivals *a);

/* When the oldest unread bytes came, as noted since the last call for this socket; `otherwise` if nothing was noted. */
struct wall arrivals_take(struct arrivals *a, int fd, struct wall otherwise);

#endif

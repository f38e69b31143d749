/*
 * lease: which of several brims leads, told by a Lease of the API server (coordination.k8s.io/v1). Pure: what was answered
 * and a time in, what to ask next out. The rules are those of client-go's leader election:
 *
 * Who leads writes the Lease again every LEASE_RETRY_US. Who does not reads it, and takes it over when nobody holds it or
 * nothing in it has changed for the time that it says (leaseDurationSeconds) by the reader's own clock: the times in the
 * Lease are another machine's and are never compared. Every write names the version that was read, so that of two
 * that write one is refused (409) and judges anew.
 *
 * What is stricter than there:
 *   - A renewal counts from the moment at which it was sent, and who leads stops LEASE_DEADLINE_US after that, on
 *     CLOCK_BOOTTIME: lease_leads() is asked before each write, so that a process that was stopped or slept does not go on.
 *   - A Lease that is deleted is held for as long as its last record says from when that is seen: only its holder creates it
 *     anew before that. (One who comes when it is deleted already knows of no holder.)
 *   - Who waits looks again at the very moment when the record it saw runs out. Leadership that is not given back passes on
 *     at most LEASE_RETRY_US x 2.2 + LEASE_DURATION_US after the last renewal.
 *
 * One round: lease_begin() says what to ask; each answer is told, and says what to ask next, until that is
 * LEASE_ASK_NOTHING. Then lease_due() is the time of the next round.
 */
#ifndef BRIM_AGENT_KUBE_LEASE_H
#define BRIM_AGENT_KUBE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/strbuf.h"

/* client-go's defaults. */
#define LEASE_DURATION_US (15 * US_PER_S)
#define LEASE_DEADLINE_US (10 * US_PER_S)
#define LEASE_RETRY_US    (2 * US_PER_S)
/* Waits of who does not lead are up to so much longer. */
#define LEASE_JITTER_PERCENT 120
/* For one request: two fit into the deadline. */
#define LEASE_TIMEOUT_US (LEASE_DEADLINE_US / 2)

enum { LEASE_MAX_NAME = 256, LEASE_MAX_OBJECT = 64 << 10 };

/* What the election goes by. */
struct lease_record {
    char holder[LEASE_MAX_NAME]; /* "": nobody; a longer one is cut, for showing */
    uint64_t holder_hash;        /* of all of it */
    int64_t duration_us;         /* 0 where there is none, as client-go has it */
    int64_t transitions;
    uint64_t content; /* of all that the election compares; another one means that it was changed */
};

/* A Lease as the API server gives it. ERR_PROTOCOL: it is none, or a count in it is out of range. Longer than
 * LEASE_MAX_OBJECT: ERR_LIMIT. */
bool lease_read_record(struct sv json, struct lease_record *ret_record, struct err *err) MUST_CHECK;

enum lease_ask {
    LEASE_ASK_NOTHING,
    LEASE_ASK_READ,   /* GET */
    LEASE_ASK_CREATE, /* POST */
    LEASE_ASK_RENEW,  /* PUT of the object as it was read, all else kept */
    LEASE_ASK_TAKE,   /* PUT, too */
    LEASE_ASK_COUNT_,
};

enum lease_end {
    LEASE_END_OK,
    LEASE_END_ABSENT,   /* 404 */
    LEASE_END_CONFLICT, /* 409: somebody else was faster */
    LEASE_END_FAILED,   /* no answer, or another one */
};

struct lease {
    char identity[LEASE_MAX_NAME];
    uint64_t identity_hash;
    uint64_t random;
    bool holds; /* the last write of this process that was answered stands, as far as is known */
    struct mono renewed; /* holds: when that write was begun */
    bool absent;         /* there was none when it was last read */
    bool seen;           /* a record was read or written, the next two are of it */
    struct lease_record record;
    struct mono observed; /* when it was first seen as it is */
    bool judged;          /* this round, by what was read in it */
    enum lease_ask asked; /* under way */
    struct mono asked_at;
    struct mono due;
};

/* `identity` is copied; it names this process alone. The first round is due at once. */
void lease_init(struct lease *l, const char *identity, uint64_t seed, struct mono now);

/* May it write at this moment? */
bool lease_leads(const struct lease *l, struct mono now);
/* When that ends if nothing is renewed; only while it leads. */
struct mono lease_ends(const struct lease *l);
/* It led, and its time ran out: forgets that. True once each time. */
bool lease_expire(struct lease *l, struct mono now);

/* Whoever holds it as far as is known here, be it this process: NULL where nobody does or the record ran out. */
const char *lease_holder(const struct lease *l, struct mono now);

struct mono lease_due(const struct lease *l);
/* Begins a round. */
enum lease_ask lease_begin(struct lease *l, struct mono now);
/* The answer to what was asked. `record`: what was read or written; NULL unless it is LEASE_END_OK. */
enum lease_ask lease_answered(struct lease *l, enum lease_end end,
                              const struct lease_record *record, struct mono now);

/*
 * What to send: the object that was read (NULL for LEASE_ASK_CREATE) with what the write changes. False: it cannot be
 * written from that. lease_write_release() gives the Lease back: whoever reads it may take it at once.
 */
bool lease_write(const struct lease *l, enum lease_ask ask, struct sv object, const char *name,
                 const char *ns, struct wall now, struct strbuf *out) MUST_CHECK;
bool lease_write_release(struct sv object, struct wall now, struct strbuf *out) MUST_CHECK;

#endif

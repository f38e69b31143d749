/*
 * tls: the serving certificate with its key, from PEM files, and the handshakes that are made with
 * it: TLS 1.2 and 1.3. A client's certificate is asked for and not insisted on; that the client holds
 * its key is checked, whose certificate it is nobody judges.
 *
 * A pair is immutable and counted: a connection keeps the one that it began with. tls_reload()
 * reads the files again, on any one thread, and puts another pair in force for connections that
 * come; a pair that is broken never replaces a good one. Where the files lie in the mount of a
 * Secret they are links through `..data`, which is swapped: a pair read across a swap does not
 * match, is refused like any other, and is there the next time.
 */
#ifndef BRIM_AGENT_SERVE_TLS_H
#define BRIM_AGENT_SERVE_TLS_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/sv.h"

/* Largest file: a chain of certificates, a key. */
enum { TLS_MAX_FILE = 256 << 10 };

struct tls_pair;
struct gnutls_session_int; /* what GnuTLS's gnutls_session_t points to */

/* Certificates, the server's own first, and its key. ERR_INPUT: they cannot be read, or the key is
 * another one's. */
bool tls_pair_new(struct sv cert_pem, struct sv key_pem, struct tls_pair **ret_pair,
                  struct err *err) MUST_CHECK;
struct tls_pair *tls_pair_ref(struct tls_pair *pair);
void tls_pair_unref(struct tls_pair *pair); /* NULL is fine */
static inline void tls_pair_unref_ptr(struct tls_pair **pair)
{
    tls_pair_unref(*pair);
}

/* When the server's own certificate ends. */
struct wall tls_pair_ends(const struct tls_pair *pair);
/* Is it one for this name of a host? */
bool tls_pair_names(const struct tls_pair *pair, const char *host);

/* The session, whose handshake has not begun, is made with this pair, which must live as long. */
void tls_pair_use(const struct tls_pair *pair, struct gnutls_session_int *session);

struct tls;

/* Reads the files for the first time. ERR_NOT_FOUND, ERR_SYSTEM, ERR_LIMIT, ERR_INPUT; the text
 * names the file. */
bool tls_new(const char *cert_file, const char *key_file, struct tls **ret_tls,
             struct err *err) MUST_CHECK;
void tls_free(struct tls *tls); /* NULL is fine */
DEFINE_FREE_PTR(struct tls, tls)

/* Reads the files again. *ret_changed: another pair is in force. On failure the old one is. */
bool tls_reload(struct tls *tls, bool *ret_changed, struct err *err) MUST_CHECK;

/* The pair in force, a reference. Any thread. */
struct tls_pair *tls_current(struct tls *tls);

/* GnuTLS's words for what a server of this kind speaks. */
extern const char tls_priorities[];

#endif

/*
 * certs: certificates for tests, made on the spot: P-256, a day long from a day ago on.
 */
#ifndef BRIM_TESTS_CERTS_H
#define BRIM_TESTS_CERTS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "base/sv.h"

struct cert;

/* Signs itself and others. */
struct cert *cert_ca(const char *cn);
/* Signs others, and is signed by `ca`. */
struct cert *cert_middle(const struct cert *ca, const char *cn);
/* `dns`: the name that it is valid for. */
struct cert *cert_server(const struct cert *ca, const char *dns);
/* `orgs`: any number of O's, up to a NULL; NULL: none. */
struct cert *cert_client(const struct cert *ca, const char *cn, const char *const *orgs);
/* Its subject is this text, as RFC 4514 has it. */
struct cert *cert_client_dn(const struct cert *ca, const char *dn);
/* It ended an hour ago. */
struct cert *cert_ended(const struct cert *ca, const char *cn);
void cert_free(struct cert *c);

/* NUL-terminated, of the cert's. */
struct sv cert_pem(const struct cert *c);
struct sv cert_key_pem(const struct cert *c);
gnutls_datum_t cert_datum(struct sv text);

/* Files with a certificate and a key, in a directory of their own. */
struct cert_files {
    char dir[64], cert[96], key[96];
    bool made;
};

/* Makes or replaces them; NULL: that one is left as it is. */
void cert_files_write(struct cert_files *f, const struct cert *cert, const struct cert *key);
void cert_files_done(struct cert_files *f);

#endif

#include "tests/unit/agent/certs.h"

#include <criterion/criterion.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

struct cert {
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
    gnutls_datum_t pem, key_pem;
};

#define MUST(call)                                                                                 \
    do {                                                                                           \
        int code_ = (call);                                                                        \
        cr_assert(code_ >= 0, "%s: %s", #call, gnutls_strerror(code_));                            \
    } while (0)

static struct cert *begin(time_t ends)
{
    static unsigned char serial;
    struct cert *c = xcalloc(1, sizeof *c);
    time_t now = time(NULL);

    serial++;
    MUST(gnutls_x509_privkey_init(&c->key));
    MUST(gnutls_x509_privkey_generate(c->key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    MUST(gnutls_x509_crt_init(&c->crt));
    MUST(gnutls_x509_crt_set_version(c->crt, 3));
    MUST(gnutls_x509_crt_set_serial(c->crt, &serial, 1));
    MUST(gnutls_x509_crt_set_activation_time(c->crt, now - 24 * 3600));
    MUST(gnutls_x509_crt_set_expiration_time(c->crt, now + ends));
    MUST(gnutls_x509_crt_set_key(c->crt, c->key));
    return c;
}

static struct cert *sign(struct cert *c, const struct cert *ca)
{
    MUST(gnutls_x509_crt_sign2(c->crt, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0));
    MUST(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_PEM, &c->pem));
    MUST(gnutls_x509_privkey_export2(c->key, GNUTLS_X509_FMT_PEM, &c->key_pem));
    return c;
}

static void add(struct cert *c, const char *oid, const char *text)
{
    MUST(gnutls_x509_crt_set_dn_by_oid(c->crt, oid, 0, text, (unsigned)strlen(text)));
}

static struct cert *authority(const char *cn)
{
    struct cert *c = begin(24 * 3600);

    add(c, GNUTLS_OID_X520_COMMON_NAME, cn);
    MUST(gnutls_x509_crt_set_basic_constraints(c->crt, 1, -1));
    MUST(gnutls_x509_crt_set_key_usage(c->crt, GNUTLS_KEY_KEY_CERT_SIGN));
    return c;
}

struct cert *cert_ca(const char *cn)
{
    struct cert *c = authority(cn);

    return sign(c, c);
}

struct cert *cert_middle(const struct cert *ca, const char *cn)
{
    return sign(authority(cn), ca);
}

struct cert *cert_server(const struct cert *ca, const char *dns)
{
    struct cert *c = begin(24 * 3600);

    add(c, GNUTLS_OID_X520_COMMON_NAME, "server");
    MUST(gnutls_x509_crt_set_subject_alt_name(c->crt, GNUTLS_SAN_DNSNAME, dns,
                                              (unsigned)strlen(dns), GNUTLS_FSAN_SET));
    MUST(gnutls_x509_crt_set_key_purpose_oid(c->crt, GNUTLS_KP_TLS_WWW_SERVER, 0));
    return sign(c, ca);
}

static void for_clients(struct cert *c)
{
    MUST(gnutls_x509_crt_set_key_purpose_oid(c->crt, GNUTLS_KP_TLS_WWW_CLIENT, 0));
}

struct cert *cert_client(const struct cert *ca, const char *cn, const char *const *orgs)
{
    struct cert *c = begin(24 * 3600);

    for (size_t i = 0; orgs != NULL && orgs[i] != NULL; i++)
        add(c, GNUTLS_OID_X520_ORGANIZATION_NAME, orgs[i]);
    add(c, GNUTLS_OID_X520_COMMON_NAME, cn);
    for_clients(c);
    return sign(c, ca);
}

struct cert *cert_client_dn(const struct cert *ca, const char *dn)
{
    struct cert *c = begin(24 * 3600);
    const char *at = NULL;

    MUST(gnutls_x509_crt_set_dn(c->crt, dn, &at));
    for_clients(c);
    return sign(c, ca);
}

struct cert *cert_ended(const struct cert *ca, const char *cn)
{
    struct cert *c = begin(-3600);

    add(c, GNUTLS_OID_X520_COMMON_NAME, cn);
    for_clients(c);
    return sign(c, ca);
}

void cert_free(struct cert *c)
{
    if (c == NULL)
        return;
    gnutls_x509_crt_deinit(c->crt);
    gnutls_x509_privkey_deinit(c->key);
    gnutls_free(c->pem.data);
    gnutls_free(c->key_pem.data);
    free(c);
}

struct sv cert_pem(const struct cert *c)
{
    return (struct sv){.at = (const char *)c->pem.data, .len = c->pem.size};
}

struct sv cert_key_pem(const struct cert *c)
{
    return (struct sv){.at = (const char *)c->key_pem.data, .len = c->key_pem.size};
}

gnutls_datum_t cert_datum(struct sv text)
{
    return (gnutls_datum_t){.data = (unsigned char *)text.at, .size = (unsigned)text.len};
}

static void write_file(const char *path, struct sv text)
{
    FILE *f = fopen(path, "we");

    cr_assert(f != NULL && fwrite(text.at, 1, text.len, f) == text.len);
    cr_assert_eq(fclose(f), 0);
}

void cert_files_write(struct cert_files *f, const struct cert *cert, const struct cert *key)
{
    if (!f->made) {
        (void)snprintf(f->dir, sizeof f->dir, "/tmp/brim-certs-XXXXXX");
        cr_assert(mkdtemp(f->dir) != NULL);
        (void)snprintf(f->cert, sizeof f->cert, "%s/tls.crt", f->dir);
        (void)snprintf(f->key, sizeof f->key, "%s/tls.key", f->dir);
        f->made = true;
    }
    if (cert != NULL)
        write_file(f->cert, cert_pem(cert));
    if (key != NULL)
        write_file(f->key, cert_key_pem(key));
}

void cert_files_done(struct cert_files *f)
{
    (void)unlink(f->cert);
    (void)unlink(f->key);
    (void)rmdir(f->dir);
}

#include "agent/serve/tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strbuf.h"

/* Ciphers that the processor has instructions for first; the rest as GnuTLS and the machine's
 * policy have it. */
const char tls_priorities[] = "PERFORMANCE:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";

struct tls_pair {
    atomic_int refs;
    gnutls_certificate_credentials_t credentials;
    gnutls_x509_crt_t leaf;
};

struct tls {
    char *cert_file, *key_file;
    pthread_mutex_t lock;
    struct tls_pair *pair;   /* under the lock */
    struct strbuf cert, key; /* of the pair; the key stays in memory anyway */
};

/* ---- one pair ---- */

static gnutls_datum_t datum(struct sv text)
{
    return (gnutls_datum_t){.data = (unsigned char *)text.at, .size = (unsigned)text.len};
}

/* The first of the certificates. */
static bool read_leaf(struct sv cert_pem, gnutls_x509_crt_t *ret_leaf)
{
    gnutls_datum_t data = datum(cert_pem);

    if (gnutls_x509_crt_init(ret_leaf) != GNUTLS_E_SUCCESS)
        return false;
    if (gnutls_x509_crt_import(*ret_leaf, &data, GNUTLS_X509_FMT_PEM) == GNUTLS_E_SUCCESS)
        return true;
    gnutls_x509_crt_deinit(*ret_leaf);
    *ret_leaf = NULL;
    return false;
}

/* GnuTLS finds that out too, but then does not free the certificate (3.7.9). What is no key here is none for GnuTLS either. */
static bool is_key_of_another(gnutls_x509_crt_t leaf, struct sv key_pem)
{
    gnutls_datum_t data = datum(key_pem);
    gnutls_x509_privkey_t key;
    unsigned char of_cert[64], of_key[64];
    size_t cert_len = sizeof of_cert, key_len = sizeof of_key;
    bool both;

    if (gnutls_x509_privkey_init(&key) != GNUTLS_E_SUCCESS)
        return false;
    both = gnutls_x509_privkey_import2(key, &data, GNUTLS_X509_FMT_PEM, NULL, 0) >= 0 &&
           gnutls_x509_crt_get_key_id(leaf, 0, of_cert, &cert_len) == GNUTLS_E_SUCCESS &&
           gnutls_x509_privkey_get_key_id(key, 0, of_key, &key_len) == GNUTLS_E_SUCCESS;
    gnutls_x509_privkey_deinit(key);
    return both && (cert_len != key_len || memcmp(of_cert, of_key, cert_len) != 0);
}

void tls_pair_unref(struct tls_pair *pair)
{
    if (pair == NULL || atomic_fetch_sub(&pair->refs, 1) != 1)
        return;
    if (pair->credentials != NULL)
        gnutls_certificate_free_credentials(pair->credentials);
    if (pair->leaf != NULL)
        gnutls_x509_crt_deinit(pair->leaf);
    free(pair);
}

bool tls_pair_new(struct sv cert_pem, struct sv key_pem, struct tls_pair **ret_pair,
                  struct err *err)
{
    CLEANUP(tls_pair_unref_ptr) struct tls_pair *pair = xcalloc(1, sizeof *pair);
    gnutls_datum_t cert = datum(cert_pem), key = datum(key_pem);
    int code;

    atomic_init(&pair->refs, 1);
    if (!read_leaf(cert_pem, &pair->leaf))
        return err_set(err, ERR_INPUT, 0, "found no certificate, expected one as PEM");
    if (is_key_of_another(pair->leaf, key_pem))
        return err_set(err, ERR_INPUT, 0, "the key is not that of the certificate");
    code = gnutls_certificate_allocate_credentials(&pair->credentials);
    if (code == GNUTLS_E_SUCCESS)
        code = gnutls_certificate_set_x509_key_mem2(pair->credentials, &cert, &key,
                                                    GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code < 0)
        return err_set(err, ERR_INPUT, code,
                       "expected certificates and a key without a password, as PEM: %s",
                       gnutls_strerror(code));
    *ret_pair = TAKE(pair);
    return true;
}

struct tls_pair *tls_pair_ref(struct tls_pair *pair)
{
    atomic_fetch_add(&pair->refs, 1);
    return pair;
}

struct wall tls_pair_ends(const struct tls_pair *pair)
{
    return (struct wall){.us = (int64_t)gnutls_x509_crt_get_expiration_time(pair->leaf) * US_PER_S};
}

bool tls_pair_names(const struct tls_pair *pair, const char *host)
{
    return gnutls_x509_crt_check_hostname(pair->leaf, host) != 0;
}

void tls_pair_use(const struct tls_pair *pair, gnutls_session_t session)
{
    (void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, pair->credentials);
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
}

/* ---- the files ---- */

bool tls_reload(struct tls *tls, bool *ret_changed, struct err *err)
{
    CLEANUP(strbuf_done) struct strbuf cert = {0}, key = {0};
    struct tls_pair *pair = NULL, *old;

    if (!file_read(tls->cert_file, true, TLS_MAX_FILE, &cert, err) ||
        !file_read(tls->key_file, true, TLS_MAX_FILE, &key, err))
        return false;
    *ret_changed = !sv_eq(strbuf_sv(&cert), strbuf_sv(&tls->cert)) ||
                   !sv_eq(strbuf_sv(&key), strbuf_sv(&tls->key));
    if (!*ret_changed)
        return true;
    if (!tls_pair_new(strbuf_sv(&cert), strbuf_sv(&key), &pair, err))
        return err_wrap(err, "%s, %s", tls->cert_file, tls->key_file);
    (void)pthread_mutex_lock(&tls->lock);
    old = tls->pair;
    tls->pair = pair;
    (void)pthread_mutex_unlock(&tls->lock);
    tls_pair_unref(old);
    strbuf_done(&tls->cert);
    strbuf_done(&tls->key);
    tls->cert = cert;
    tls->key = key;
    cert = key = (struct strbuf){0}; /* handed on */
    return true;
}

bool tls_new(const char *cert_file, const char *key_file, struct tls **ret_tls, struct err *err)
{
    CLEANUP(tls_free_ptr) struct tls *tls = xcalloc(1, sizeof *tls);
    bool changed;

    tls->cert_file = xstrdup(cert_file);
    tls->key_file = xstrdup(key_file);
    (void)pthread_mutex_init(&tls->lock, NULL);
    if (!tls_reload(tls, &changed, err))
        return false;
    if (!changed) /* as good as nothing was read before: both are empty */
        return err_set(err, ERR_INPUT, 0, "%s, %s: found nothing, expected PEM", cert_file,
                       key_file);
    *ret_tls = TAKE(tls);
    return true;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    tls_pair_unref(tls->pair);
    strbuf_done(&tls->cert);
    strbuf_done(&tls->key);
    (void)pthread_mutex_destroy(&tls->lock);
    free(tls->cert_file);
    free(tls->key_file);
    free(tls);
}

struct tls_pair *tls_current(struct tls *tls)
{
    struct tls_pair *pair;

    (void)pthread_mutex_lock(&tls->lock);
    pair = tls_pair_ref(tls->pair);
    (void)pthread_mutex_unlock(&tls->lock);
    return pair;
}

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/serve/tls.h"
#include "tests/unit/agent/certs.h"

Test(tls, takes_a_pair_and_says_what_it_is_for)
{
    struct cert *ca = cert_ca("ca"), *leaf = cert_server(ca, "brim.filler.svc");
    struct tls_pair *pair;
    struct err err = {0};
    int64_t left_s;

    cr_assert(tls_pair_new(cert_pem(leaf), cert_key_pem(leaf), &pair, &err), "%s", err.text);
    left_s = tls_pair_ends(pair).us / US_PER_S - (int64_t)time(NULL);
    cr_expect(left_s > 23 * 3600 && left_s <= 24 * 3600, "%lld", (long long)left_s);
    cr_expect(tls_pair_names(pair, "brim.filler.svc"));
    cr_expect(!tls_pair_names(pair, "brim.other.svc") && !tls_pair_names(pair, "server"));
    tls_pair_unref(tls_pair_ref(pair));
    tls_pair_unref(pair);
    tls_pair_unref(NULL);
    cert_free(leaf);
    cert_free(ca);
}

Test(tls, refuses_what_is_no_pair)
{
    struct cert *ca = cert_ca("ca"), *leaf = cert_server(ca, "a"), *other = cert_server(ca, "b");
    const struct {
        const char *name;
        struct sv cert, key;
        const char *text;
    } rows[] = {
        {"another's key", cert_pem(leaf), cert_key_pem(other), "not that of the certificate"},
        {"no key", cert_pem(leaf), SV(""), "as PEM"},
        {"no certificate", SV(""), cert_key_pem(leaf), "as PEM"},
        {"swapped", cert_key_pem(leaf), cert_pem(leaf), "as PEM"},
        {"cut off", {cert_pem(leaf).at, cert_pem(leaf).len - 40}, cert_key_pem(leaf), "as PEM"},
        {"something else", SV("hello"), SV("world"), "as PEM"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls_pair *pair = NULL;
        struct err err = {0};

        cr_expect(!tls_pair_new(rows[i].cert, rows[i].key, &pair, &err), "%s", rows[i].name);
        cr_expect(pair == NULL && err.kind == ERR_INPUT && strstr(err.text, rows[i].text) != NULL,
                  "%s: %s", rows[i].name, err.text);
    }
    cert_free(leaf);
    cert_free(other);
    cert_free(ca);
}

Test(tls, keeps_the_last_good_pair)
{
    struct cert *ca = cert_ca("ca"), *a = cert_server(ca, "a"), *b = cert_server(ca, "b");
    struct cert_files files = {0};
    struct tls_pair *first, *now;
    struct tls *tls;
    struct err err = {0};
    bool changed = true;

    cert_files_write(&files, a, a);
    cr_assert(tls_new(files.cert, files.key, &tls, &err), "%s", err.text);
    first = tls_current(tls);
    cr_assert(tls_reload(tls, &changed, &err) && !changed);
    cert_files_write(&files, b, NULL); /* half of a swap */
    cr_expect(!tls_reload(tls, &changed, &err) && err.kind == ERR_INPUT &&
                  strstr(err.text, files.key) != NULL,
              "%s", err.text);
    now = tls_current(tls);
    cr_expect_eq(now, first);
    tls_pair_unref(now);
    cert_files_write(&files, NULL, b); /* the other half */
    cr_assert(tls_reload(tls, &changed, &err) && changed, "%s", err.text);
    now = tls_current(tls);
    cr_expect(now != first && tls_pair_names(now, "b") && tls_pair_names(first, "a"));
    tls_pair_unref(now);
    tls_pair_unref(first);
    (void)unlink(files.key);
    cr_expect(!tls_reload(tls, &changed, &err) && err.kind == ERR_NOT_FOUND, "%s", err.text);
    cr_assert_eq(symlink("/dev/zero", files.key), 0);
    cr_expect(!tls_reload(tls, &changed, &err) && err.kind == ERR_INPUT, "%s", err.text);
    tls_free(tls);
    tls_free(NULL);
    cert_files_done(&files);
    cert_free(a);
    cert_free(b);
    cert_free(ca);
}

#include <criterion/criterion.h>
#include <string.h>

#include "agent/kube/config.h"
#include "agent/kube/exec_answer.h"

#define PEM "-----BEGIN X-----\\nZm9v\\n-----END X-----\\n"
#define HEAD(kind)                                                                                 \
    "{\"kind\":\"" kind "\",\"apiVersion\":\"" KUBE_EXEC_V1 "\",\"spec\":{\"interactive\":false}"
#define STATUS(s) HEAD("ExecCredential") ",\"status\":{" s "}}"

Test(exec_answer, takes_what_a_program_gives)
{
    static const struct {
        const char *name, *text, *token;
        size_t cert, key;
        int64_t expires_s; /* 0: never */
    } rows[] = {
        {"a token", STATUS("\"token\":\"t.o-k\""), "t.o-k", 0, 0, 0},
        {"with a time", STATUS("\"token\":\"t\",\"expirationTimestamp\":\"1970-01-01T00:01:00Z\""),
         "t", 0, 0, 60},
        {"with an offset",
         STATUS("\"token\":\"t\",\"expirationTimestamp\":\"1970-01-01T01:01:00+01:00\""), "t", 0, 0,
         60},
        {"nulls and unknown fields",
         STATUS("\"token\":\"t\",\"expirationTimestamp\":null,\"clientKeyData\":null,\"x\":[{}]"),
         "t", 0, 0, 0},
        {"a certificate",
         STATUS("\"clientCertificateData\":\"" PEM PEM "\",\"clientKeyData\":\"" PEM "\""), NULL,
         78, 39, 0},
        {"both",
         STATUS("\"token\":\"t\",\"clientCertificateData\":\"" PEM "\",\"clientKeyData\":\"" PEM
                "\""),
         "t", 39, 39, 0},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct exec_answer a;
        struct err err = {0};

        cr_assert(exec_answer_parse(sv_from(rows[i].text), KUBE_EXEC_V1, &a, &err), "%s: %s",
                  rows[i].name, err.text);
        cr_expect(sv_eq(sv_from(a.token), sv_from(rows[i].token)), "%s", rows[i].name);
        cr_expect_eq(a.cert_pem.len, rows[i].cert, "%s: %zu", rows[i].name, a.cert_pem.len);
        cr_expect_eq(a.key_pem.len, rows[i].key, "%s: %zu", rows[i].name, a.key_pem.len);
        cr_expect_eq(a.expires, rows[i].expires_s != 0, "%s", rows[i].name);
        cr_expect_eq(a.expires_at.us, rows[i].expires_s * US_PER_S, "%s", rows[i].name);
        exec_answer_done(&a);
    }
}

Test(exec_answer, refuses_the_rest_without_showing_it)
{
    static const struct {
        const char *name, *text, *error;
    } rows[] = {
        {"nothing", "", "its answer is no JSON object"},
        {"text", "secret", "its answer is no JSON object"},
        {"cut off", "{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"secret",
         "its answer is no JSON object"},
        {"a list", "[]", "its answer is no JSON object"},
        {"no kind", "{}",
         "its answer is of '' '', expected 'client.authentication.k8s.io/v1' 'ExecCredential'"},
        {"another version",
         "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\"}",
         "its answer is of 'client.authentication.k8s.io/v1beta1' 'ExecCredential', expected "
         "'client.authentication.k8s.io/v1' 'ExecCredential'"},
        {"another kind", HEAD("Secret") "}",
         "its answer is of 'client.authentication.k8s.io/v1' 'Secret', expected "
         "'client.authentication.k8s.io/v1' 'ExecCredential'"},
        {"no status", HEAD("ExecCredential") "}", "its answer: found no status"},
        {"an empty status", STATUS(""), "its answer: found neither a token nor a certificate"},
        {"an empty token", STATUS("\"token\":\"\""),
         "its answer: found neither a token nor a certificate"},
        {"a number", STATUS("\"token\":7"), "its answer: token: expected a text"},
        {"a line break", STATUS("\"token\":\"secret\\nHost: x\""),
         "its answer: token: found a blank or a control character"},
        {"half a pair", STATUS("\"clientCertificateData\":\"" PEM "\""),
         "its answer: found one of clientCertificateData and clientKeyData, expected both"},
        {"base64 for PEM", STATUS("\"clientCertificateData\":\"LS0t\",\"clientKeyData\":\"LS0t\""),
         "its answer: clientCertificateData: expected PEM text"},
        {"no time", STATUS("\"token\":\"secret\",\"expirationTimestamp\":\"soon\""),
         "its answer: expirationTimestamp: expected RFC 3339"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct exec_answer a;
        struct err err = {0};

        cr_assert_not(exec_answer_parse(sv_from(rows[i].text), KUBE_EXEC_V1, &a, &err), "%s",
                      rows[i].name);
        cr_expect_eq(err.kind, ERR_AUTH);
        cr_expect_str_eq(err.text, rows[i].error, "%s: %s", rows[i].name, err.text);
    }
}

Test(exec_answer, holds_a_token_to_its_limit)
{
    static char text[2 * KUBE_CONFIG_MAX_TOKEN];
    static const char end[] = "\"}}";

    for (int more = 0; more < 2; more++) {
        size_t at = (size_t)(stpcpy(text, STATUS("")) - text) - 2;
        struct exec_answer a;
        struct err err = {0};

        at = (size_t)(stpcpy(text + at, "\"token\":\"") - text);
        memset(text + at, 'x', (size_t)KUBE_CONFIG_MAX_TOKEN + (size_t)more);
        memcpy(text + at + KUBE_CONFIG_MAX_TOKEN + more, end, sizeof end);
        cr_assert_eq(exec_answer_parse(sv_from(text), KUBE_EXEC_V1, &a, &err), more == 0, "%s",
                     err.text);
        if (more == 0)
            exec_answer_done(&a);
    }
}

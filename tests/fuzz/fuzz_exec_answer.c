#include <stdlib.h>

#include "agent/kube/config.h"
#include "agent/kube/exec_answer.h"
#include "tests/fuzz/fuzz.h"

/* What was accepted can log somebody in, and fits into a request's head. */
static void check(const struct exec_answer *a)
{
    bool has_cert = a->cert_pem.len != 0;

    if ((a->token == NULL && !has_cert) || has_cert != (a->key_pem.len != 0))
        abort();
    if (has_cert && (!kube_config_is_pem(strbuf_sv(&a->cert_pem)) ||
                     !kube_config_is_pem(strbuf_sv(&a->key_pem))))
        abort();
    for (const char *c = a->token; c != NULL && *c != '\0'; c++) {
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            abort();
    }
    if (a->token != NULL && (a->token[0] == '\0' || strlen(a->token) > KUBE_CONFIG_MAX_TOKEN))
        abort();
}

/* What a program for credentials printed, asked for either version. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const versions[] = {KUBE_EXEC_V1, KUBE_EXEC_V1BETA1};
    struct sv printed = {.at = (const char *)data, .len = size};
    int accepted = 0;

    (void)kube_config_is_pem(printed);
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        struct exec_answer answer = {0};
        struct err err = {0};

        if (exec_answer_parse(printed, versions[i], &answer, &err)) {
            check(&answer);
            exec_answer_done(&answer);
            accepted++;
        } else if (err.kind != ERR_AUTH || err.text[0] == '\0') {
            abort();
        }
    }
    if (accepted > 1)
        abort();
    return 0;
}

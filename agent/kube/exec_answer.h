/*
 * exec_answer: what a program for credentials printed: an ExecCredential of client.authentication.k8s.io, v1 or v1beta1.
 *
 * The version must be the one that the program was asked for. Wanted are a token, or a certificate and its key as PEM text,
 * or both; `expirationTimestamp` may be missing. Fields that are not known are passed over. Errors (ERR_AUTH) never show what
 * was printed.
 */
#ifndef BRIM_AGENT_KUBE_EXEC_ANSWER_H
#define BRIM_AGENT_KUBE_EXEC_ANSWER_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/strbuf.h"

struct exec_answer {
    char *token;                     /* NULL: none */
    struct strbuf cert_pem, key_pem; /* both or neither are empty */
    bool expires;
    struct wall expires_at;
};

/* O(length). On success to be freed. */
bool exec_answer_parse(struct sv printed, const char *api_version, struct exec_answer *ret_answer,
                       struct err *err) MUST_CHECK;
void exec_answer_done(struct exec_answer *answer); /* safe on a zeroed struct */

#endif

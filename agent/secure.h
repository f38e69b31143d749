/*
 * secure: the agent's TLS port, seen from the loop: keeps its certificate in step with the files.
 *
 * They are read again every SECURE_READ_US and compared byte by byte, which takes microseconds and
 * sees every way in which files are replaced; a Secret that changed takes the kubelet a minute to
 * mount anyway. What is broken is told when it was so twice in a row, once for each error: files
 * that are being replaced do not match for a moment.
 */
#ifndef BRIM_AGENT_SECURE_H
#define BRIM_AGENT_SECURE_H

#include "agent/loop.h"
#include "agent/serve/httpd.h"
#include "base/err.h"

#define SECURE_READ_US (10 * US_PER_S)

struct secure_options {
    const char *listen;               /* ADDRESS:PORT; NULL: no such port */
    const char *cert_file, *key_file; /* PEM */
};

struct secure;

/* Begins to serve at the options' port. Without one *ret_secure is NULL. */
bool secure_new(struct loop *loop, struct httpd *httpd, const struct secure_options *options,
                struct secure **ret_secure, struct err *err) MUST_CHECK;
/* NULL is fine. After httpd_stop(), which uses what is freed here. */
void secure_free(struct secure *s);

#endif

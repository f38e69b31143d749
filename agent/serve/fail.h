/*
 * fail: an answer that is an error, as one line of text or as a Status of Kubernetes. What was written to the body is
 * thrown away.
 */
#ifndef BRIM_AGENT_SERVE_FAIL_H
#define BRIM_AGENT_SERVE_FAIL_H

#include "agent/serve/routes.h"

void fail_text(struct routes_answer *a, int status, const char *text);
void fail_json(struct routes_answer *a, int status, const char *reason, const char *message);
/* 400 that names a parameter: "FIELD: MESSAGE", and both apart among the details. */
void fail_param(struct routes_answer *a, struct sv field, const char *message);

#endif

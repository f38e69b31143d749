/*
 * openapi: the OpenAPI document of the agent's own addresses, /api/v1/openapi.json. It is openapi.json, without blanks, built in
 * by embed.py; stories hold it against what is served.
 */
#ifndef BRIM_AGENT_SERVE_OPENAPI_H
#define BRIM_AGENT_SERVE_OPENAPI_H

#include "agent/serve/routes.h"

void openapi_answer(const struct routes_request *rq, const struct snapshot *s,
                    struct routes_answer *a);

#endif

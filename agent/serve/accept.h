/*
 * accept: which of the forms that are served an Accept header asks for (RFC 9110, 12.5.1). The
 * forms of /metrics are negotiated beside it (exposition.h).
 *
 * The highest weight wins, of equal ones the first; a range with a weight of 0 refuses its form,
 * and of ranges that match alike the closest counts (type/subtype before type/ * before * / *).
 * Ranges that cannot be read, other types, and `as=` something else (a client that would like a
 * Table) are passed over. No header, or an empty one, takes JSON.
 */
#ifndef BRIM_AGENT_SERVE_ACCEPT_H
#define BRIM_AGENT_SERVE_ACCEPT_H

#include <stdbool.h>

#include "base/sv.h"

enum accept_form {
    ACCEPT_NOTHING, /* none of what is served: 406 */
    ACCEPT_JSON,
    ACCEPT_GROUPS_V2BETA1, /* aggregated discovery: apidiscovery.k8s.io */
    ACCEPT_GROUPS_V2,
    ACCEPT_FORM_COUNT_
};

/* `groups`: is aggregated discovery offered beside JSON? */
enum accept_form accept_json(struct sv accept, bool groups);

#endif

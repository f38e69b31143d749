/*
 * room_api: answers /api/v1/room: how many pods like one that is described would go into the cluster, now and if filler
 * yielded, what binds, and which nodes do not take it. Parameters: room_query.h. Form: docs/API.md.
 *
 * 400 for a parameter, 503 while pods and nodes were not listed or what is known is stale (snapshot_is_stale()), and, with
 * `awaits`, where the view is still to be made.
 */
#ifndef BRIM_AGENT_SERVE_ROOM_API_H
#define BRIM_AGENT_SERVE_ROOM_API_H

#include "agent/serve/routes.h"

void room_api_answer(const struct routes_request *rq, const struct snapshot *s,
                     struct routes_answer *a);

#endif

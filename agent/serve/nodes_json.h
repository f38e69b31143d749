/*
 * nodes_json: the table of nodes as the JSON of /api/v1/nodes.
 *
 * By columns: the i-th number of each list is of the i-th node. `names`: the column of names too,
 * which stay as they are for one `gen`. While the filler's shape is not known `fit` and `eligible`
 * are null. What each node keeps free for paid growth is not decided node by node: kept_milli is
 * null. Pure.
 */
#ifndef BRIM_AGENT_SERVE_NODES_JSON_H
#define BRIM_AGENT_SERVE_NODES_JSON_H

#include <stdbool.h>

#include "agent/nodes_view.h"
#include "base/strbuf.h"

void nodes_json_write(const struct nodes_view *v, bool names, struct strbuf *out);

#endif

/*
 * answers: reads what the agent says (docs/API.md) into a view. Whatever an answer holds, nothing is
 * written beyond the view, and bytes that would steer a terminal or are not plain ASCII become '?':
 * every text in a view takes one column a byte.
 *
 * A part that is missing is unknown; false, and the view as it was, if the text is no answer of
 * this kind.
 */
#ifndef BRIM_AGENT_TOP_ANSWERS_H
#define BRIM_AGENT_TOP_ANSWERS_H

#include "agent/top/view.h"
#include "base/attr.h"
#include "base/sv.h"

bool answers_status(struct sv json, struct top_view *v) MUST_CHECK;
bool answers_decisions(struct sv json, struct top_view *v) MUST_CHECK;
/* With ?names=1. Sorts the nodes, least free first, then by name; at most TOP_NODES of them. */
bool answers_nodes(struct sv json, struct top_view *v) MUST_CHECK;

/* Frees what the view holds. */
void answers_done(struct top_view *v);

/* Copies a text so that it is safe to print, cut to size - 1. */
void answers_plain(char *to, size_t size, struct sv text);

#endif

/*
 * show: single values of the agent's JSON as a person reads them in a terminal. What is not known
 * is shown as "-". Bytes that would steer the terminal are shown as '?'.
 */
#ifndef BRIM_AGENT_SHOW_H
#define BRIM_AGENT_SHOW_H

#include <stdint.h>

#include "base/strbuf.h"
#include "base/sv.h"

void show_text(struct sv json, const char *path, struct strbuf *out);
void show_number(struct sv json, const char *path, struct strbuf *out);
/* Millicores as cores. */
void show_milli(struct sv json, const char *path, struct strbuf *out);
/* Milliseconds since 1970, in UTC. */
void show_moment(int64_t ms, struct strbuf *out);
/* A sentence in parts (status_json.h); `json` is the whole answer, whose time {"until":MS} is
 * counted from. */
void show_parts(struct sv json, struct sv parts, struct strbuf *out);

#endif

/*
 * decide_answer: the answers to a question of `brim decide` as one line of JSON, its newline included.
 *
 * Times are decimals of seconds with no more digits than they need, whatever the locale; the same
 * answer is the same bytes.
 */
#ifndef BRIM_AGENT_DECIDE_ANSWER_H
#define BRIM_AGENT_DECIDE_ANSWER_H

#include "agent/decide_state.h"
#include "base/strbuf.h"

/* The answers of decide_step(). `scratch` is for the details, so that a run allocates it once. */
void decide_answer_print(const struct decide *d, const struct decide_answer *answers, size_t n,
                         struct strbuf *scratch, struct strbuf *out);

/* Microseconds (at least 0) as seconds: 12500000 -> "12.5". */
void decide_seconds(int64_t us, struct strbuf *out);

#endif

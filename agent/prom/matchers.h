/*
 * matchers: the label matchers that people give (--match), looked at before anything is asked with them.
 */
#ifndef BRIM_AGENT_PROM_MATCHERS_H
#define BRIM_AGENT_PROM_MATCHERS_H

#include "base/err.h"
#include "base/sv.h"

/*
 * May the text stand between the braces of a selector? NAME=, !=, =~ or !~ "TEXT", more of them with commas between; nothing at all may,
 * too. ERR_INPUT with the character (from 1) at which it is something else, what was found there and what was expected. What
 * regular expressions mean is left to the server. (Prometheus, promql/parser: label_matchers.) O(n).
 */
bool matchers_check(struct sv text, struct err *err) MUST_CHECK;

#endif

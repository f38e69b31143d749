/*
 * replay_page: a replay as one HTML page that needs nothing else: no script, no font, no file beside it.
 *
 * For each run a picture (paid load, waiting, filler, leaving, the set point, blocked pods), then the figures side by side, then the
 * advice. Colours are those of the live page, light and dark. Names are escaped.
 */
#ifndef BRIM_AGENT_REPLAY_PAGE_H
#define BRIM_AGENT_REPLAY_PAGE_H

#include "agent/cmd_replay.h"

void replay_page(const struct replay_report *r, struct strbuf *out);

#endif

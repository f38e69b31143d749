/*
 * publish_boards: makes what somebody looks at and hangs it on its board (boards.h).
 */
#ifndef BRIM_AGENT_PUBLISH_BOARDS_H
#define BRIM_AGENT_PUBLISH_BOARDS_H

struct turn;
struct turn_filler;

/* Nothing where nobody looks, or what hangs there is young; else O(nodes), or O(filler pods), for each board. */
void publish_boards(const struct turn *t);

/* The known filler whose nodes offer most, NULL if no filler is known. */
const struct turn_filler *publish_widest(const struct turn *t);

#endif

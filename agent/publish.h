/*
 * publish: makes the snapshot of a turn and hangs it where the serve thread finds it.
 */
#ifndef BRIM_AGENT_PUBLISH_H
#define BRIM_AGENT_PUBLISH_H

struct turn;

/* O(1): its size does not depend on pods or nodes; and publish_boards(), which does where somebody looks. */
void publish(const struct turn *t);

#endif

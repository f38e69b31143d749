/*
 * pods_view: the names of the filler pods at one moment, policy by policy, for the metrics of pods. A board's (board.h): a
 * new one at most every PODS_VIEW_EVERY_US, none once nobody has asked for PODS_VIEW_ASKED_US, which is several rounds of a
 * HorizontalPodAutoscaler (15 s). Of paid pods nobody keeps names.
 */
#ifndef BRIM_AGENT_PODS_VIEW_H
#define BRIM_AGENT_PODS_VIEW_H

#include "agent/board.h"
#include "base/strbuf.h"

#define PODS_VIEW_EVERY_US (1 * US_PER_S)
#define PODS_VIEW_ASKED_US (120 * US_PER_S)

enum { PODS_VIEW_MAX_TEXT = 256 << 20 };

/* The pods of one policy: names[first] and on. */
struct pods_part {
    char *policy, *ns;
    char *selector; /* of the target, in its text form */
    size_t first, n;
};

struct pods_name {
    uint32_t at, len;
};

struct pods_view {
    struct board_value value; /* first */
    struct pods_part *parts;
    size_t n_parts, cap_parts;
    struct pods_name *names;
    size_t n_names, cap_names;
    struct strbuf text;
};

/* An empty one; parts and names are added before it hangs. */
struct pods_view *pods_view_new(void);
/* A further policy; all texts are copied. */
void pods_view_add_part(struct pods_view *v, struct sv policy, struct sv ns, struct sv selector);
/* A pod of the last one. */
void pods_view_add(struct pods_view *v, struct sv name);
void pods_view_unref(struct pods_view *v); /* NULL is fine */

struct sv pods_view_name(const struct pods_view *v, size_t i);

#endif

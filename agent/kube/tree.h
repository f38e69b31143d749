/*
 * tree: what is looked up in a tree of cJSON's, absent or of another kind alike.
 */
#ifndef BRIM_AGENT_KUBE_TREE_H
#define BRIM_AGENT_KUBE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sv.h"

struct cJSON;

/* A member; NULL: it is absent, or `object` (NULL too) is none. Of one that comes twice the first. */
const struct cJSON *tree_get(const struct cJSON *object, const char *key);
/* The text of a member, borrowed; empty: it is absent or no text. */
struct sv tree_text(const struct cJSON *object, const char *key);
/* A member that is a whole number from 0 to 2^31 - 1, as int32 counts of the API are; `absent` where it is absent or null.
 * False: it is something else. */
bool tree_count(const struct cJSON *object, const char *key, int64_t absent, int64_t *ret_count);

#endif

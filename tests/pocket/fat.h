/*
 * fat: what makes the objects of a large cluster as large as real ones (--fat): labels, managedFields, environments.
 *
 * A fat pod is about 6.4 KB as protobuf, 40 to 50 % of it managedFields, and has 12 labels, three of which no other pod has;
 * a fat node has 12 labels, two of them its own.
 */
#ifndef BRIM_POCKET_FAT_H
#define BRIM_POCKET_FAT_H

#include <cjson/cJSON.h>

#include "base/strbuf.h"
#include "policy/sim/sim.h"

enum { FAT_LABELS = 12, FAT_NAME_MAX = 63 };

/* Labels of one pod; they borrow from the pod, its spec, and this struct, which must not be moved. */
struct fat_labels {
    struct label at[FAT_LABELS];
    size_t n;
    char uid[UID_TEXT_SIZE], trace[UID_TEXT_SIZE];
};

/* The spec's labels, common ones and the pod's own, up to FAT_LABELS; a pod that has as many keeps them as they are. */
void fat_labels(const struct sim_pod *pod, struct fat_labels *ret_labels);

/* Appends a pod's member "managedFields" to members of its metadata. */
void fat_managed(struct strbuf *meta);
/* Environment variables, which a client has to skip one by one, for the first container. */
void fat_env(cJSON *pod_spec);
/* Labels and resources that cloud providers give to their nodes. */
void fat_node(cJSON *node, const char *name);

/* A name of FAT_NAME_MAX characters. */
void fat_name(char to[static FAT_NAME_MAX + 1], const char *app, int64_t number, unsigned random);

#endif

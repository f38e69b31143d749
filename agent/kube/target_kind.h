/*
 * target_kind: where the kinds of targets keep their count. Pure.
 *
 * Most have the scale subresource. A Job has none: its count is spec.parallelism of the Job itself (absent: 1; 0 is stored as
 * 0), its pods are those of spec.selector, and status.active of them exist. A Job that has ended or is suspended takes no count.
 *
 * A kind that is not in the table has the scale subresource, and discovery tells its plural.
 * Source: k8s.io/api/batch/v1, autoscaling/v1.
 */
#ifndef BRIM_AGENT_KUBE_TARGET_KIND_H
#define BRIM_AGENT_KUBE_TARGET_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "base/sv.h"

struct cJSON;

/* What a target asks for. Its text is borrowed of what it was read from. */
struct scale {
    struct sv uid;              /* of the target */
    struct sv resource_version; /* of the target */
    struct sv selector;         /* of its pods, as text; empty: the target reports none */
    struct sv rests;  /* why it takes no count now: "has ended (Complete)"; empty: it takes one */
    int64_t replicas; /* what is asked for */
    int64_t status_replicas; /* pods that exist */
};

struct target_kind {
    const char *api_version, *kind, *plural; /* NULL of kinds that are not in the table */
    const char *count;                       /* the field of spec that is the count */
    const char *exists;                      /* the field of status that counts pods */
    int64_t absent;                          /* the count where the field is absent */
    bool
        own; /* the count is the object's own, which stores 0; else a Scale's, which leaves it out */
};

/* Never NULL. */
const struct target_kind *target_kind_find(const char *api_version, const char *kind);

/*
 * Reads a Scale, or the object of a kind whose count is its own. A selector that is no text yet is written to `selector`.
 * ERR_PROTOCOL: there is no uid, a count is no whole number from 0 to 2^31 - 1, or the selector is none.
 */
bool target_kind_read(const struct target_kind *kind, const struct cJSON *object,
                      struct strbuf *selector, struct scale *ret_scale, struct err *err) MUST_CHECK;

/*
 * Appends a LabelSelector ({"matchLabels":…, "matchExpressions":…}) in its text form: "a=b,c in (d,e),!f". One that is empty
 * or absent appends nothing. ERR_PROTOCOL: it is no LabelSelector, or names what no label has; ERR_LIMIT: it does not fit.
 */
bool target_selector_text(const struct cJSON *selector, struct strbuf *to,
                          struct err *err) MUST_CHECK;

#endif

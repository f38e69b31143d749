/*
 * policy: one FillerPolicy, as its file says, checked and with defaults filled in.
 *
 * A policy is a plain value; its text lives in its arena. One table (field.c) names each key, its
 * type, unit, range, default and meaning; decoder, error texts and `brim explain policy` are made
 * from it. An unknown key, a wrong type, a value out of range is an ERR_INPUT at `line:column`,
 * says what was found and what was expected, and suggests the key that was probably meant. Nothing
 * is half read: a policy is whole or refused. A key whose value is null counts as absent.
 */
#ifndef BRIM_POLICY_POLICY_H
#define BRIM_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/sv.h"
#include "base/zone.h"
#include "capacity/cluster.h"
#include "capacity/quantity.h"
#include "capacity/records.h"

/* Bytes of text and rules that one policy may hold, and policies that one text may hold. */
enum { POLICY_MAX_BYTES = 1 << 20, POLICY_MAX_COUNT = 1000 };
/* Policies that may be in force together: each is a filler of the cluster. */
enum { POLICY_MAX_TOGETHER = CLUSTER_MAX_FILLERS };

/* An amount of cpu that may depend on the cluster. */
enum room_kind { ROOM_CPU, ROOM_PERCENT, ROOM_LARGEST_NODE, ROOM_KIND_COUNT_ };

struct room_spec {
    enum room_kind kind;
    int64_t milli; /* ROOM_CPU: millicores; ROOM_PERCENT: hundredths of a percent of the eligible
                      nodes' allocatable */
};

/* The amount in millicores; allocatable and the largest node's cpu in milli, of the eligible nodes.
 * Rounds up, saturates. */
int64_t room_spec_milli(const struct room_spec *spec, int64_t allocatable_milli,
                        int64_t largest_node_milli);

enum policy_mode { MODE_CONTROL, MODE_DRY_RUN, MODE_METRICS_ONLY, MODE_COUNT_ };
enum placement_mode { PLACEMENT_GATE, PLACEMENT_AFFINITY, PLACEMENT_SPREAD, PLACEMENT_COUNT_ };
enum stale_then { STALE_HOLD, STALE_SHRINK, STALE_COUNT_ };
enum on_remove { REMOVE_LEAVE, REMOVE_RESTORE, REMOVE_COUNT_ };

/* Pending paid pods that make no claim. All given parts must hold; at least one is given. */
struct paid_ignore {
    struct sv ns;       /* empty: any */
    struct sv selector; /* labels in the text form, checked; empty: any */
    bool has_priority_below;
    int32_t priority_below;
};

/* spec.pod: the filler's shape where neither a live pod nor the target's template tells it. */
struct pod_spec_shape {
    bool given;
    int64_t cpu_milli, memory_bytes;
    int64_t grace_s;
    int32_t priority;
    const struct toleration *tolerations; /* in the policy's arena, as is the next */
    size_t n_tolerations;
    const struct label *node_selector;
    size_t n_node_selector;
};

/* spec.report: what reports compare with. */
struct policy_report {
    int32_t target_ppm;  /* utilisation aimed at */
    int64_t price_micro; /* of a core for an hour, in millionths of whatever money; 0: none */
    struct sv group_by;  /* key of a label of nodes; empty: none */
};

/* spec.advanced: constants of the controller (docs/CONTROL.md). */
struct policy_advanced {
    int64_t tick_us, coalesce_us;
    int32_t values, needed; /* rises kept; fewer than needed are not trusted */
    int32_t surge_percent;  /* 200: a surge keeps twice its own size free */
    int32_t ceiling_ppm;    /* of allocatable, above the highest demand of the window */
    int64_t ceiling_window_us;
    int64_t jitter_us; /* of an expected surge */
    int32_t hole_percentile, hole_sizes;
    int64_t refused_after_us; /* a let-in pod that is not bound by then is given up */
};

/* A bit for each key of the table. */
enum { POLICY_SET_WORDS = 2 };

/* spec.schedule[]: from when to when which keys have other values; schedule.h reads it. */
struct policy_override {
    uint8_t days;             /* bit 0: Monday */
    int32_t from_min, to_min; /* of the zone's clock, from midnight; where `to` is not later than
                                    `from` it is the next day's */
    struct sv zone_name;
    struct zone *zone;              /* owned by the policy */
    const struct policy *values;    /* of the keys that are set; in the arena */
    uint64_t set[POLICY_SET_WORDS]; /* by the key's place in the table (field.h) */
};

/* Where in a policy's text something stands, from 1. */
struct policy_place {
    int line, column;
};

struct policy {
    struct arena arena;
    struct sv where; /* the text's name, as policy_read() was told */
    struct policy_place name_at, target_at;
    struct sv name;
    struct sv target_api_version, target_kind, target_ns, target_name;
    int32_t min, max;
    int32_t priority, weight;      /* among several fillers; higher first, equals by weight */
    struct room_spec reserve;      /* R0 */
    bool headroom_fixed;           /* H is headroom_max always; else it is learned */
    struct room_spec headroom_min; /* reserve_min */
    struct room_spec headroom_max; /* reserve_max */
    int32_t blocked_ppm;           /* epsilon, in millionths */
    int64_t settle_us;             /* T; what it begins with where settle_auto */
    bool settle_auto;
    int64_t kill_cost_us;
    enum placement_mode placement;
    int64_t min_paid_milli;     /* of paid pods that a node must hold to offer slots */
    struct sv service;          /* the Service that carries metrics; empty: none */
    struct paid_ignore *ignore; /* in the arena; NULL where there is none */
    size_t n_ignore;
    int64_t stale_after_us;
    enum stale_then stale_then;
    enum policy_mode mode;
    enum on_remove on_remove;
    struct pod_spec_shape pod;
    struct policy_report report;
    struct policy_advanced advanced;
    struct policy_override *overrides; /* in the arena; NULL where there is none */
    size_t n_overrides;
};

struct policy_list {
    struct policy **at; /* owned, each of them too */
    size_t len, cap;
};

/*
 * Reads all policies of one text (several YAML documents; empty ones are skipped) and appends them
 * to the list, which owns them. `where` names the text in errors: "night.yaml:12:5:
 * spec.reserve.cpu: found 140%, expected at most 100%". All or nothing: on an error the list is as
 * it was. The zones of schedules come from `zones`.
 */
bool policy_read_zoned(struct sv where, struct sv text, const struct zone_source *zones,
                       struct policy_list *to, struct err *err) MUST_CHECK;
/* The same where no zone but UTC is known. */
bool policy_read(struct sv where, struct sv text, struct policy_list *to,
                 struct err *err) MUST_CHECK;
void policy_free(struct policy *p);
DEFINE_FREE_PTR(struct policy, policy)
void policy_list_done(struct policy_list *list);

/* Have the two one name or one target? A target's API version does not tell it apart. */
bool policy_clash(const struct policy *a, const struct policy *b);

/*
 * The first policy before the i-th that has its name or its target, or NULL. The error (ERR_INPUT)
 * then names both places.
 */
const struct policy *policy_list_clash(const struct policy_list *list, size_t i, struct err *err);

/* Are there no more than POLICY_MAX_TOGETHER? The error (ERR_LIMIT) names the place of the first that
 * is too many. */
bool policy_list_fits(const struct policy_list *list, struct err *err) MUST_CHECK;

/* Does no policy clash with another, and does the list fit? */
bool policy_list_check(const struct policy_list *list, struct err *err) MUST_CHECK;

const char *policy_mode_name(enum policy_mode mode);

#endif

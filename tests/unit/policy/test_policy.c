#include "policy/policy.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "base/strbuf.h"

/* What every example needs; {} is where spec goes on. */
#define HEAD                                                                                       \
    "apiVersion: brim.dev/v1\n"                                                                    \
    "kind: FillerPolicy\n"                                                                         \
    "metadata: {name: miner}\n"                                                                    \
    "spec:\n"                                                                                      \
    "  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}\n"
#define REPLICAS "  replicas: {max: 150}\n"

/* What holds for every policy that was accepted. */
static void check_invariants(const struct policy *p)
{
    cr_assert(p->name.len != 0 && p->name.len <= 253);
    cr_assert(p->target_api_version.len != 0 && p->target_kind.len != 0 && p->target_ns.len != 0 &&
              p->target_name.len != 0);
    cr_assert(p->min >= 0 && p->min <= p->max && p->max <= 1000000);
    cr_assert(p->reserve.milli >= 0 && p->headroom_max.milli >= 0);
    cr_assert(p->settle_us >= 0 && p->settle_us <= 3600 * US_PER_S);
    cr_assert(p->stale_after_us >= US_PER_S && p->stale_after_us <= 3600 * US_PER_S);
    cr_assert_eq(p->ignore != NULL, p->n_ignore != 0);
    cr_assert_eq(p->pod.given, p->pod.cpu_milli != 0);
    for (size_t i = 0; i < p->n_ignore; i++)
        cr_assert(p->ignore[i].ns.len != 0 || p->ignore[i].selector.len != 0 ||
                  p->ignore[i].has_priority_below);
}

static bool read_text(struct sv text, struct policy_list *list, struct err *err)
{
    size_t before = list->len;

    *err = (struct err){0};
    if (!policy_read(SV("night.yaml"), text, list, err)) {
        cr_assert_eq(list->len, before, "a broken text added policies");
        cr_assert(err->kind == ERR_INPUT || err->kind == ERR_LIMIT);
        cr_assert(sv_starts(sv_from(err->text), SV("night.yaml:")), "%s", err->text);
        return false;
    }
    for (size_t i = before; i < list->len; i++)
        check_invariants(list->at[i]);
    return true;
}

/* Reads one policy or fails the test. */
static const struct policy *read_one(const char *text, struct policy_list *list)
{
    struct err err;

    cr_assert(read_text(sv_from(text), list, &err), "%s", err.text);
    return list->at[list->len - 1];
}

Test(policy, fills_in_defaults)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p = read_one(HEAD REPLICAS, &list);

    cr_assert(sv_eq(p->name, SV("miner")));
    cr_assert(sv_eq(p->target_api_version, SV("apps/v1")));
    cr_assert(sv_eq(p->target_kind, SV("Deployment")));
    cr_assert(sv_eq(p->target_ns, SV("filler")));
    cr_assert(sv_eq(p->target_name, SV("miner")));
    cr_assert_eq(p->min, 0);
    cr_assert_eq(p->max, 150);
    cr_assert(p->reserve.kind == ROOM_CPU && p->reserve.milli == 0);
    cr_assert(p->headroom_max.kind == ROOM_PERCENT && p->headroom_max.milli == 1600);
    cr_assert_eq(p->settle_us, 90 * US_PER_S);
    cr_assert(!p->headroom_fixed && p->headroom_min.kind == ROOM_CPU && p->headroom_min.milli == 0);
    cr_assert_eq(p->blocked_ppm, 5000);
    cr_assert(!p->settle_auto && p->kill_cost_us == 60 * US_PER_S);
    cr_assert(p->priority == 0 && p->weight == 1 && p->min_paid_milli == 0 && p->service.len == 0);
    cr_assert_eq(p->on_remove, REMOVE_LEAVE);
    cr_assert_eq(p->placement, PLACEMENT_GATE);
    cr_assert_eq(p->n_ignore, 0);
    cr_assert_eq(p->stale_after_us, 90 * US_PER_S);
    cr_assert_eq(p->stale_then, STALE_HOLD);
    cr_assert_eq(p->mode, MODE_CONTROL);
    cr_assert(!p->pod.given);
    cr_assert_eq(p->pod.grace_s, 30);
    cr_assert(p->report.target_ppm == 850000 && p->report.price_micro == 0 &&
              p->report.group_by.len == 0);
}

Test(policy, has_the_controllers_constants)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy_advanced *a = &read_one(HEAD REPLICAS, &list)->advanced;

    cr_assert(a->tick_us == 5 * US_PER_S && a->coalesce_us == 100 * US_PER_MS);
    cr_assert(a->values == 2000 && a->needed == 20);
    cr_assert(a->surge_percent == 200 && a->ceiling_ppm == 50000);
    cr_assert(a->ceiling_window_us == 24 * 3600 * US_PER_S && a->jitter_us == 10 * US_PER_S);
    cr_assert(a->hole_percentile == 95 && a->hole_sizes == 400);
    cr_assert(a->refused_after_us == 5 * US_PER_S);
}

Test(policy, reads_every_key)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p =
        read_one(HEAD "  replicas: {min: 2, max: 150}\n"
                      "  reserve: {cpu: 1500m}\n"
                      "  priority: -3\n"
                      "  weight: 7\n"
                      "  headroom: {mode: fixed, min: 5%, max: 30, blocked: 0.25%}\n"
                      "  settle: 1h\n"
                      "  killCost: 5m\n"
                      "  nodes: {minPaid: 500m}\n"
                      "  service: web\n"
                      "  onRemove: restore\n"
                      "  report: {target: 92.5%, price: 0.035, groupBy: example.org/team}\n"
                      "  placement: spread\n"
                      "  paid:\n"
                      "    ignore:\n"
                      "      - {namespace: batch}\n"
                      "      - {selector: 'app=x,tier in (a,b)', priorityBelow: -10}\n"
                      "  stale: {after: 2m30s, then: shrink}\n"
                      "  mode: dry-run\n"
                      "  pod:\n"
                      "    cpu: 500m\n"
                      "    memory: 1Gi\n"
                      "    graceSeconds: 5\n"
                      "    priority: -100\n"
                      "    tolerations:\n"
                      "      - {key: a, value: b, effect: NoExecute}\n"
                      "      - {operator: Exists}\n"
                      "    nodeSelector: {example.org/pool: idle, b: ''}\n"
                      "  advanced: {surgeFactor: 1.5, values: 100, holePercentile: 50}\n",
                 &list);

    cr_assert_eq(p->min, 2);
    cr_assert(p->reserve.kind == ROOM_CPU && p->reserve.milli == 1500);
    cr_assert(p->headroom_max.kind == ROOM_CPU && p->headroom_max.milli == 30000);
    cr_assert_eq(p->settle_us, 3600 * US_PER_S);
    cr_assert_eq(p->placement, PLACEMENT_SPREAD);
    cr_assert_eq(p->n_ignore, 2);
    cr_assert(sv_eq(p->ignore[0].ns, SV("batch")) && p->ignore[0].selector.len == 0 &&
              !p->ignore[0].has_priority_below);
    cr_assert(sv_eq(p->ignore[1].selector, SV("app=x,tier in (a,b)")) && p->ignore[1].ns.len == 0);
    cr_assert(p->ignore[1].has_priority_below && p->ignore[1].priority_below == -10);
    cr_assert_eq(p->stale_after_us, 150 * US_PER_S);
    cr_assert_eq(p->stale_then, STALE_SHRINK);
    cr_assert_eq(p->mode, MODE_DRY_RUN);
    cr_assert_str_eq(policy_mode_name(p->mode), "dry-run");
    cr_assert(p->pod.given && p->pod.cpu_milli == 500 && p->pod.memory_bytes == 1 << 30);
    cr_assert(p->pod.grace_s == 5 && p->pod.priority == -100);
    cr_assert(p->priority == -3 && p->weight == 7 && p->kill_cost_us == 300 * US_PER_S);
    cr_assert(p->headroom_fixed && p->headroom_min.milli == 500 && p->blocked_ppm == 2500);
    cr_assert(p->min_paid_milli == 500 && sv_eq(p->service, SV("web")));
    cr_assert_eq(p->on_remove, REMOVE_RESTORE);
    cr_assert(p->report.target_ppm == 925000 && p->report.price_micro == 35000 &&
              sv_eq(p->report.group_by, SV("example.org/team")));
    cr_assert_eq(p->pod.n_tolerations, 2);
    cr_assert(sv_eq(p->pod.tolerations[0].key, SV("a")) &&
              p->pod.tolerations[0].op == TOLERATE_EQUAL &&
              p->pod.tolerations[0].effect == EFFECT_NO_EXECUTE);
    cr_assert(p->pod.tolerations[1].op == TOLERATE_EXISTS &&
              p->pod.tolerations[1].effect == EFFECT_NONE);
    cr_assert(p->pod.n_node_selector == 2 &&
              sv_eq(p->pod.node_selector[0].key, SV("example.org/pool")) &&
              sv_eq(p->pod.node_selector[0].value, SV("idle")));
    cr_assert(p->advanced.surge_percent == 150 && p->advanced.values == 100 &&
              p->advanced.hole_percentile == 50);
}

Test(policy, settles_by_itself_where_asked_to)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p = read_one(HEAD REPLICAS "  settle: auto\n", &list);

    cr_assert(p->settle_auto);
    cr_assert_eq(p->settle_us, 90 * US_PER_S);
}

Test(policy, takes_null_for_absent)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    const struct policy *p =
        read_one(HEAD REPLICAS "  reserve:\n  settle: ~\n  paid: {ignore: null}\n  pod:\n", &list);

    cr_assert(p->settle_us == 90 * US_PER_S && p->n_ignore == 0 && !p->pod.given);
}

#define SPEC_KEYS                                                                                  \
    "target, replicas, priority, weight, reserve, headroom, settle, killCost, placement, nodes, "  \
    "paid, stale, mode, service, onRemove, schedule, pod, report, advanced"

static const struct {
    const char *spec; /* goes on at line 6 */
    const char *message;
} bad_specs[] = {
    {REPLICAS "  reserve: {cpu: 140%}",
     "7:18: spec.reserve.cpu: found 140%, expected at most 100%"},
    {REPLICAS "  reserve: {cpu: -1}", "7:18: spec.reserve.cpu: found -1, expected at least 0"},
    {REPLICAS "  reserve: {cpu: -0.5%}",
     "7:18: spec.reserve.cpu: found -0.5%, expected at least 0%"},
    {REPLICAS "  reserve: {cpu: 2M}", "7:18: spec.reserve.cpu: found 2M, expected at most 1000000"},
    {REPLICAS "  reserve: {cpu: 1e30}",
     "7:18: spec.reserve.cpu: found 1e30, expected at most 1000000"},
    {REPLICAS "  reserve: {cpu: m}", "7:18: spec.reserve.cpu: found m, expected cores such as 30 "
                                     "or 1500m, a share such as 5%, or largestNode"},
    {REPLICAS "  reserve: {cpu: 1.234%}",
     "7:18: spec.reserve.cpu: found 1.234%, expected cores such as 30 or 1500m, a share such as "
     "5%, or largestNode"},
    {REPLICAS "  reserve: {cpu: [1]}", "7:18: spec.reserve.cpu: found a list, expected cores such "
                                       "as 30 or 1500m, a share such as 5%, or largestNode"},
    {REPLICAS "  reserve: 30", "7:12: spec.reserve: found 30, expected a mapping"},
    {REPLICAS "  reserve: {memory: 1Gi}", "7:13: spec.reserve.memory: unknown key, expected cpu"},
    {REPLICAS "  headroom: {mode: guessed}",
     "7:20: spec.headroom.mode: found guessed, expected learned or fixed"},
    {REPLICAS "  headroom: {min: 4, max: 3500m}",
     "7:19: spec.headroom.min: found 4, expected at most 3500m, which is max"},
    {REPLICAS "  headroom: {min: 16.25%}",
     "7:19: spec.headroom.min: found 16.25%, expected at most 16%, which is max"},
    {REPLICAS "  headroom: {blocked: 51%}",
     "7:23: spec.headroom.blocked: found 51%, expected at most 50%"},
    {REPLICAS "  headroom: {blocked: 0.00001%}",
     "7:23: spec.headroom.blocked: found 0.00001%, expected a share such as 5% or 0.5% from 0% to "
     "50%"},
    {REPLICAS "  headroom: {blocked: 0.005}",
     "7:23: spec.headroom.blocked: found 0.005, expected a share such as 5% or 0.5% from 0% to "
     "50%"},
    {REPLICAS "  placement: gated",
     "7:14: spec.placement: found gated, expected gate, affinity or spread"},
    {REPLICAS "  settle: Auto",
     "7:11: spec.settle: found Auto, expected a span such as 90s or 1h30m from 0s to 1h, or auto"},
    {REPLICAS "  settle: 90",
     "7:11: spec.settle: found 90, expected a span such as 90s or 1h30m from 0s to 1h, or auto"},
    {REPLICAS "  killCost: auto", "7:13: spec.killCost: found auto, expected a span such as 90s or "
                                  "1h30m from 0s to 24h"},
    {REPLICAS "  weight: 0", "7:11: spec.weight: found 0, expected at least 1"},
    {REPLICAS "  onRemove: delete", "7:13: spec.onRemove: found delete, expected leave or restore"},
    {REPLICAS "  service: A",
     "7:12: spec.service: found A, expected a name of at most 63 characters "
     "a-z, 0-9 and -, beginning and ending with a letter or digit"},
    {REPLICAS "  nodes: {minPaid: -1}", "7:20: spec.nodes.minPaid: found -1, expected at least 0"},
    {REPLICAS "  report: {price: 1.0000001}",
     "7:19: spec.report.price: found 1.0000001, expected a number such as 0.035 from 0 to 1000000"},
    {REPLICAS "  report: {groupBy: a/b/c}",
     "7:21: spec.report.groupBy: found a/b/c, expected a label's key such as app or "
     "example.org/app"},
    {REPLICAS "  advanced: {surgeFactor: 0.5}",
     "7:27: spec.advanced.surgeFactor: found 0.5, expected at least 1"},
    {REPLICAS "  advanced: {needed: 200, values: 100}",
     "7:22: spec.advanced.needed: found 200, expected at most 100, which is values"},
    {REPLICAS "  advanced: {values: 19}",
     "7:22: spec.advanced.values: found 19, expected at least 20"},
    {REPLICAS "  settle: 61m", "7:11: spec.settle: found 61m, expected at most 1h"},
    {REPLICAS "  settle: -5s", "7:11: spec.settle: found -5s, expected at least 0s"},
    {REPLICAS "  stale: {after: 0s}", "7:18: spec.stale.after: found 0s, expected at least 1s"},
    {REPLICAS "  stale: {then: grow}",
     "7:17: spec.stale.then: found grow, expected hold or shrink"},
    {REPLICAS "  mode: off",
     "7:9: spec.mode: found off, expected control, dry-run or metrics-only"},
    {REPLICAS "  replica: {max: 1}", "7:3: spec.replica: unknown key, did you mean spec.replicas?"},
    {REPLICAS "  Placement: spread",
     "7:3: spec.Placement: unknown key, did you mean spec.placement?"},
    {REPLICAS "  max: 5", "7:3: spec.max: unknown key, did you mean spec.replicas.max?"},
    {REPLICAS "  colour: red", "7:3: spec.colour: unknown key, expected " SPEC_KEYS},
    {REPLICAS "  \"spec.mode\": control", "7:3: spec.spec.mode: unknown key, expected " SPEC_KEYS},
    {REPLICAS "  \"mode\\0\": control", "7:3: spec.mode?: unknown key, did you mean spec.mode?"},
    {REPLICAS "  schedule: {}", "7:13: spec.schedule: found a mapping, expected a list"},
    {REPLICAS "  schedule: [x]", "7:14: spec.schedule[0]: found x, expected a mapping"},
    {REPLICAS "  schedule: [{days: mon-fri}]",
     "7:14: spec.schedule[0]: found an entry that changes nothing, expected a key of spec in it"},
    {REPLICAS "  schedule: [{from: 8, mode: dry-run}]",
     "7:21: spec.schedule[0].from: found 8, expected a time such as 08:00 from 00:00 to 23:59"},
    {REPLICAS "  schedule: [{from: 24:00, mode: dry-run}]",
     "7:21: spec.schedule[0].from: found 24:00, expected at most 23:59"},
    {REPLICAS "  schedule: [{days: weekend, mode: dry-run}]",
     "7:21: spec.schedule[0].days: found weekend, expected days such as mon-fri or sat,sun"},
    {REPLICAS "  schedule: [{zone: Europe/Berlin, mode: dry-run}]",
     "7:21: spec.schedule[0].zone: found Europe/Berlin, expected a time zone: UTC alone is known "
     "here"},
    {REPLICAS "  schedule: [{zone: Mars/Phobos}]",
     "7:21: spec.schedule[0].zone: found Mars/Phobos, expected a time zone: UTC alone is known "
     "here"},
    {REPLICAS "  schedule: [{zone: UTC}]",
     "7:14: spec.schedule[0]: found an entry that changes nothing, expected a key of spec in it"},
    {REPLICAS "  schedule: [{zone: ../UTC, mode: dry-run}]",
     "7:21: spec.schedule[0].zone: found ../UTC, expected a time zone such as Europe/Berlin"},
    {REPLICAS "  schedule: [{mode: off}]",
     "7:21: spec.schedule[0].mode: found off, expected control, dry-run or metrics-only"},
    {REPLICAS "  schedule: [{mode: dry-run}, {reserve: {cpu: 140%}}]",
     "7:47: spec.schedule[1].reserve.cpu: found 140%, expected at most 100%"},
    {REPLICAS "  schedule: [{rezerve: {cpu: 1}}]",
     "7:15: spec.schedule[0].rezerve: unknown key, did you mean reserve?"},
    {REPLICAS "  schedule: [{form: 08:00}]",
     "7:15: spec.schedule[0].form: unknown key, did you mean spec.schedule[].from?"},
    {REPLICAS "  schedule: [{colour: red}]",
     "7:15: spec.schedule[0].colour: unknown key, expected days, from, to, zone or a key of spec"},
    {REPLICAS "  schedule: [{spec: red}]",
     "7:15: spec.schedule[0].spec: unknown key, expected days, from, to, zone or a key of spec"},
    {REPLICAS "  schedule: [{metadata: red}]", "7:15: spec.schedule[0].metadata: unknown key, "
                                               "expected days, from, to, zone or a key of spec"},
    {REPLICAS "  schedule: [{target: {}}]",
     "7:15: spec.schedule[0].target: found a key that no schedule changes, expected another"},
    {REPLICAS "  schedule: [{schedule: []}]",
     "7:15: spec.schedule[0].schedule: found a key that no schedule changes, expected another"},
    {REPLICAS "  schedule: [{reserve: {cup: 1}}]",
     "7:25: spec.schedule[0].reserve.cup: unknown key, did you mean spec.reserve.cpu?"},
    {REPLICAS "  schedule: [{replicas: {min: 151}}]",
     "7:31: spec.schedule[0].replicas.min: found 151, expected at most 150, which is max"},
    {REPLICAS "  schedule: [{pod: {memory: 1Gi}}]",
     "7:20: spec.schedule[0].pod.cpu: found nothing, expected what a pod requests"},
    {REPLICAS "  schedule: [{paid: {ignore: [{}]}}]",
     "7:31: spec.schedule[0].paid.ignore[0]: found an empty rule, expected namespace, selector or "
     "priorityBelow"},
    {REPLICAS "  schedule: [{advanced: {needed: 2001}}]",
     "7:34: spec.schedule[0].advanced.needed: found 2001, expected at most 2000, which is values"},
    {"  replicas: {min: 1}",
     "6:13: spec.replicas.max: found nothing, expected a whole number from 0 to 1000000"},
    {"  replicas: {min: 1, max: ~}",
     "6:13: spec.replicas.max: found nothing, expected a whole number from 0 to 1000000"},
    {"  replicas: {min: 7, max: 5}",
     "6:19: spec.replicas.min: found 7, expected at most 5, which is max"},
    {"  replicas: {max: 1000001}",
     "6:19: spec.replicas.max: found 1000001, expected at most 1000000"},
    {"  replicas: {max: -1}", "6:19: spec.replicas.max: found -1, expected at least 0"},
    {"  replicas: {max: 1.5}",
     "6:19: spec.replicas.max: found 1.5, expected a whole number from 0 to 1000000"},
    {"  replicas: {max: 99999999999999999999}",
     "6:19: spec.replicas.max: found 99999999999999999999, expected a whole number from 0 to "
     "1000000"},
    {"  replicas: {max: ''}",
     "6:19: spec.replicas.max: found \"\", expected a whole number from 0 to 1000000"},
    {"  mode: control", "5:3: spec.replicas: found nothing, expected a mapping"},
    {REPLICAS "  paid: {ignore: {}}", "7:18: spec.paid.ignore: found a mapping, expected a list"},
    {REPLICAS "  paid: {ignore: [{}]}", "7:19: spec.paid.ignore[0]: found an empty rule, expected "
                                        "namespace, selector or priorityBelow"},
    {REPLICAS "  paid: {ignore: [batch]}",
     "7:19: spec.paid.ignore[0]: found batch, expected a mapping"},
    {REPLICAS "  paid: {ignore: [{namespace: a}, {namespace: A}]}",
     "7:47: spec.paid.ignore[1].namespace: found A, expected a name of at most 63 characters a-z, "
     "0-9 and -, beginning and "
     "ending with a letter or digit"},
    {REPLICAS "  paid: {ignore: [{namespaces: a}]}",
     "7:20: spec.paid.ignore[0].namespaces: unknown key, did you mean "
     "spec.paid.ignore[].namespace?"},
    {REPLICAS "  paid: {ignore: [{priorityBelow: 2147483648}]}",
     "7:35: spec.paid.ignore[0].priorityBelow: found 2147483648, expected at most 2147483647"},
    {REPLICAS "  pod: {memory: 1Gi}",
     "7:8: spec.pod.cpu: found nothing, expected cores such as 2 or 500m from 1m to 1000000"},
    {REPLICAS "  pod: {cpu: 0}", "7:14: spec.pod.cpu: found 0, expected at least 1m"},
    {REPLICAS "  pod: {cpu: 5%}",
     "7:14: spec.pod.cpu: found 5%, expected cores such as 2 or 500m from 1m to 1000000"},
    {REPLICAS "  pod: {cpu: 1, memory: 1Ei}",
     "7:25: spec.pod.memory: found 1Ei, expected at most 1Pi"},
    {REPLICAS "  pod: {cpu: 1, priority: 2000000000}",
     "7:27: spec.pod.priority: found 2000000000, expected at most 1000000000"},
    {REPLICAS "  pod: {cpu: 1, tolerations: {}}",
     "7:30: spec.pod.tolerations: found a mapping, expected a list"},
    {REPLICAS "  pod: {cpu: 1, tolerations: [{operator: Exists, value: x}]}",
     "7:31: spec.pod.tolerations[0]: found a value beside operator Exists, expected none"},
    {REPLICAS "  pod: {cpu: 1, tolerations: [{key: a}, {effect: NoSchedule}]}",
     "7:41: spec.pod.tolerations[1]: found no key, expected one or operator: Exists"},
    {REPLICAS "  pod: {cpu: 1, tolerations: [{key: a, effect: Never}]}",
     "7:48: spec.pod.tolerations[0].effect: found Never, expected NoSchedule, PreferNoSchedule or "
     "NoExecute"},
    {REPLICAS "  pod: {cpu: 1, nodeSelector: [a]}",
     "7:31: spec.pod.nodeSelector: found a list, expected a mapping of labels"},
    {REPLICAS "  pod: {cpu: 1, nodeSelector: {a b: c}}",
     "7:37: spec.pod.nodeSelector.a b: found a b, expected a label's key such as app"},
    {REPLICAS "  pod: {cpu: 1, nodeSelector: {a: b c}}",
     "7:35: spec.pod.nodeSelector.a: found b c, expected a label's value"},
    {REPLICAS "  mode: !a control", "7:9: found a tag (!), expected a plain value"},
    {REPLICAS "  mode: control\n  mode: control",
     "8:3: found key mode a second time, expected it once"},
};

Test(policy, says_what_is_wrong_and_where)
{
    for (size_t i = 0; i < COUNT_OF(bad_specs); i++) {
        CLEANUP(policy_list_done) struct policy_list list = {0};
        struct strbuf text, message;
        struct err err;

        strbuf_init(&text, 4096);
        strbuf_init(&message, 4096);
        (void)strbuf_addf(&text, "%s%s\n", HEAD, bad_specs[i].spec);
        (void)strbuf_addf(&message, "night.yaml:%s", bad_specs[i].message);
        cr_expect(!read_text(strbuf_sv(&text), &list, &err), "accepted: %s", bad_specs[i].spec);
        /* The error's room ends before the longest lists of keys do. */
        cr_expect(strncmp(err.text, strbuf_str(&message), sizeof err.text - 1) == 0,
                  "%s\nfound:    %s\nexpected: %s", bad_specs[i].spec, err.text,
                  strbuf_str(&message));
        strbuf_done(&text);
        strbuf_done(&message);
    }
}

static const struct {
    const char *text, *message;
} bad_documents[] = {
    {"[]", "1:1: found a list, expected a mapping"},
    {"hello", "1:1: found hello, expected a mapping"},
    {"{}", "1:1: apiVersion: found nothing, expected brim.dev/v1"},
    {"apiVersion: brim.dev/v2", "1:13: apiVersion: found brim.dev/v2, expected brim.dev/v1"},
    {"kind: Deployment", "1:7: kind: found Deployment, expected FillerPolicy"},
    {"speck: {}", "1:1: speck: unknown key, did you mean spec?"},
    {"metadata: {name: a, labels: {}}", "1:21: metadata.labels: unknown key, expected name"},
    {"metadata: {name: Miner}", "1:18: metadata.name: found Miner, expected a name of a-z, 0-9, - "
                                "and ., each part at most 63 long, all at most 253"},
    {"metadata: {name: a..b}", "1:18: metadata.name: found a..b, expected a name of a-z, 0-9, - "
                               "and ., each part at most 63 long, all at most 253"},
    {"spec: {target: {kind: deployment}}",
     "1:23: spec.target.kind: found deployment, expected a kind such as Deployment"},
    {"spec: {target: {apiVersion: apps/v1/x}}",
     "1:29: spec.target.apiVersion: found apps/v1/x, expected a group and version such as apps/v1"},
    {"spec: {target: {namespace: a.b}}",
     "1:28: spec.target.namespace: found a.b, expected a name of at most 63 characters a-z, 0-9 "
     "and -, beginning and ending with "
     "a letter or digit"},
    {"spec: {target: {name: 'a\\nb'}}",
     "1:23: spec.target.name: found a\\nb, expected a name of a-z, 0-9, - and ., each part at most "
     "63 long, all at most 253"},
    {"a: [",
     "2:1: did not find expected node content, while parsing a flow node that began at 2:1"},
};

Test(policy, refuses_what_is_no_policy)
{
    for (size_t i = 0; i < COUNT_OF(bad_documents); i++) {
        CLEANUP(policy_list_done) struct policy_list list = {0};
        struct err err;

        cr_expect(!read_text(sv_from(bad_documents[i].text), &list, &err), "accepted: %s",
                  bad_documents[i].text);
        cr_expect_str_eq(err.text + strlen("night.yaml:"), bad_documents[i].message, "%s: %s",
                         bad_documents[i].text, err.text);
    }
}

Test(policy, asks_for_each_required_key)
{
    static const char *const lines[] = {
        "apiVersion: brim.dev/v1\n",
        "kind: FillerPolicy\n",
        "metadata:\n",
        "  name: miner\n",
        "spec:\n",
        "  target:\n",
        "    apiVersion: v1\n",
        "    kind: Job\n",
        "    namespace: x\n",
        "    name: y\n",
        "  replicas:\n",
        "    max: 3\n",
    };
    static const char *const missing[] = {
        "apiVersion",
        "kind",
        NULL,
        "metadata",
        NULL,
        NULL,
        "spec.target.apiVersion",
        "spec.target.kind",
        "spec.target.namespace",
        "spec.target.name",
        NULL,
        "spec.replicas",
    };

    for (size_t skip = 0; skip <= COUNT_OF(lines); skip++) {
        CLEANUP(policy_list_done) struct policy_list list = {0};
        struct strbuf text;
        struct err err;
        bool ok;

        if (skip < COUNT_OF(lines) && missing[skip] == NULL)
            continue; /* a group's head: what stands under it would move */
        strbuf_init(&text, 4096);
        for (size_t i = 0; i < COUNT_OF(lines); i++) {
            if (i != skip)
                (void)strbuf_add(&text, sv_from(lines[i]));
        }
        ok = read_text(strbuf_sv(&text), &list, &err);
        cr_expect_eq(ok, skip == COUNT_OF(lines), "without line %zu: %s", skip, err.text);
        if (!ok)
            cr_expect(strstr(err.text, missing[skip]) != NULL &&
                          strstr(err.text, "found nothing") != NULL,
                      "%s", err.text);
        strbuf_done(&text);
    }
}

Test(policy, reads_many_documents_or_none)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    struct err err;

    cr_assert(read_text(SV(""), &list, &err));
    cr_assert_eq(list.len, 0);
    cr_assert(
        read_text(SV("---\n# nothing\n---\n" HEAD REPLICAS "---\n---\n" HEAD REPLICAS "---\n"),
                  &list, &err),
        "%s", err.text);
    cr_assert_eq(list.len, 2);
    cr_assert(!read_text(SV(HEAD REPLICAS "---\n" HEAD), &list, &err));
    cr_assert_str_eq(err.text, "night.yaml:12:3: spec.replicas: found nothing, expected a mapping");
    cr_assert_eq(list.len, 2, "nothing is half read");
    cr_assert(!policy_read(SV("x"), SV("a: ["), &list, NULL), "nobody has to want the error");
}

Test(policy, limits_rules_and_policies)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    struct strbuf text;
    struct err err;

    strbuf_init(&text, 4 << 20);
    (void)strbuf_add(&text, SV(HEAD REPLICAS "  paid:\n    ignore:\n"));
    for (int i = 0; i < 100; i++)
        (void)strbuf_addf(&text, "    - {namespace: n%d}\n", i);
    cr_assert(read_text(strbuf_sv(&text), &list, &err), "%s", err.text);
    (void)strbuf_addf(&text, "    - {namespace: last}\n");
    cr_assert(!read_text(strbuf_sv(&text), &list, &err));
    cr_assert_str_eq(err.text,
                     "night.yaml:9:5: spec.paid.ignore: found 101 rules, expected at most 100");

    strbuf_clear(&text);
    (void)strbuf_addf(&text, "%s%s  paid: {ignore: [{selector: 'a in (", HEAD, REPLICAS);
    for (int i = 0; i < 5000; i++)
        (void)strbuf_add_char(&text, ',');
    (void)strbuf_add(&text, SV(")'}]}\n"));
    cr_assert(!read_text(strbuf_sv(&text), &list, &err));
    cr_assert_str_eq(err.text, "night.yaml:7:30: spec.paid.ignore[0].selector: found 5007 bytes, "
                               "expected a selector of at most 4096");

    strbuf_clear(&text);
    for (int i = 0; i <= POLICY_MAX_COUNT; i++)
        (void)strbuf_addf(&text, "---\n%s%s", HEAD, REPLICAS);
    cr_assert(!read_text(strbuf_sv(&text), &list, &err));
    cr_assert_eq(err.kind, ERR_LIMIT);
    strbuf_done(&text);
}

Test(policy, refuses_a_broken_selector)
{
    CLEANUP(policy_list_done) struct policy_list list = {0};
    struct err err;

    cr_assert(
        !read_text(SV(HEAD REPLICAS "  paid: {ignore: [{selector: 'a in (b'}]}\n"), &list, &err));
    cr_assert(
        sv_starts(sv_from(err.text), SV("night.yaml:7:30: spec.paid.ignore[0].selector: column ")),
        "%s", err.text);
}

Test(policy, refuses_two_of_one_name_or_target)
{
    static const struct {
        const char *name, *target, *message;
    } rows[] = {
        {"other", "{apiVersion: apps/v1, kind: Deployment, namespace: filler, name: other}", NULL},
        {"other", "{apiVersion: apps/v1, kind: StatefulSet, namespace: filler, name: miner}", NULL},
        {"other", "{apiVersion: other/v1, kind: Deployment, namespace: filler, name: miner}", NULL},
        {"other", "{apiVersion: v1, kind: Deployment, namespace: filler, name: miner}", NULL},
        {"other", "{apiVersion: apps/v1, kind: Deployment, namespace: x, name: miner}", NULL},
        {"miner", "{apiVersion: apps/v1, kind: Deployment, namespace: filler, name: other}",
         "night.yaml:10:18: metadata.name: found the same name as at night.yaml:3:18: miner"},
        {"other", "{apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}",
         "night.yaml:11:8: spec.target: found the same target as at night.yaml:5:3: Deployment "
         "filler/miner"},
        {"other", "{apiVersion: apps/v1beta2, kind: Deployment, namespace: filler, name: miner}",
         "night.yaml:11:8: spec.target: found the same target as at night.yaml:5:3: Deployment "
         "filler/miner"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(policy_list_done) struct policy_list list = {0};
        struct strbuf text;
        struct err err = {0};

        strbuf_init(&text, 4096);
        (void)strbuf_addf(
            &text, "%s%s---\napiVersion: brim.dev/v1\nkind: FillerPolicy\nmetadata: {name: %s}\n",
            HEAD, REPLICAS, rows[i].name);
        (void)strbuf_addf(&text, "spec: {target: %s, replicas: {max: 1}}\n", rows[i].target);
        cr_assert(read_text(strbuf_sv(&text), &list, &err), "%s", err.text);
        cr_expect_eq(policy_list_check(&list, &err), rows[i].message == NULL, "row %zu: %s", i,
                     err.text);
        if (rows[i].message != NULL)
            cr_expect_str_eq(err.text, rows[i].message);
        strbuf_done(&text);
    }
}

Test(policy, turns_an_amount_of_room_into_millicores)
{
    static const struct {
        struct room_spec spec;
        int64_t allocatable, largest, milli;
    } rows[] = {
        {{ROOM_CPU, 1500}, 184000, 32000, 1500},
        {{ROOM_PERCENT, 1600}, 184000, 32000, 29440},
        {{ROOM_PERCENT, 1}, 1, 1, 1},
        {{ROOM_PERCENT, 0}, 184000, 32000, 0},
        {{ROOM_PERCENT, 10000}, INT64_MAX, 1, INT64_MAX},
        {{ROOM_PERCENT, 500}, -5, 1, 0},
        {{ROOM_LARGEST_NODE, 0}, 184000, 32000, 32000},
        {{ROOM_PERCENT, 50}, 184001, 32000, 921},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t milli = room_spec_milli(&rows[i].spec, rows[i].allocatable, rows[i].largest);

        cr_expect_eq(milli, rows[i].milli, "row %zu: %lld", i, (long long)milli);
    }
}

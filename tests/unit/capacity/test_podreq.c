#include "capacity/podreq.h"

#include <inttypes.h>

#include "base/arena.h"
#include "capacity/records.h"
#include "tests/unit/capacity/fixtures.h"

/* ---- from a Pod in JSON to what podreq.h counts ---- */

struct builder {
    struct arena arena;
    struct resource_names names;
};

static void builder_init(struct builder *b)
{
    arena_init(&b->arena, 1 << 20);
    resource_names_init(&b->names);
}

static void builder_done(struct builder *b)
{
    arena_done(&b->arena);
    resource_names_done(&b->names);
}

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static struct sv text_of(const cJSON *object, const char *key)
{
    return sv_from(fixture_text(object, key));
}

static size_t size_of(const cJSON *array)
{
    return (size_t)cJSON_GetArraySize(array);
}

/* A quantity may be a JSON number: its text is what counts. */
static struct quantity quantity_of(const cJSON *item)
{
    char *text = cJSON_IsString(item) ? xstrdup(item->valuestring) : cJSON_PrintUnformatted(item);
    struct quantity q = {0};
    struct err err = {0};

    cr_assert(quantity_parse(sv_trim(sv_from(text)), &q, &err), "%s: %s", item->string, err.text);
    free(text);
    return q;
}

static struct amounts amounts_of(struct builder *b, const cJSON *list)
{
    struct amount *at = arena_alloc(&b->arena, size_of(list), sizeof *at);
    struct amounts amounts = {.at = at};
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        int place = resource_names_find(&b->names, sv_from(item->string), true);

        if (place >= 0)
            at[amounts.n++] = (struct amount){.place = place, .q = quantity_of(item)};
    }
    return amounts;
}

static const struct container_amounts *containers_of(struct builder *b, const cJSON *array)
{
    struct container_amounts *at = arena_alloc(&b->arena, size_of(array), sizeof *at);
    const cJSON *item;
    size_t n = 0;

    cJSON_ArrayForEach(item, array) at[n++] = (struct container_amounts){
        .name = text_of(item, "name"),
        .requests = amounts_of(b, get(get(item, "resources"), "requests")),
        .sidecar = sv_eq(text_of(item, "restartPolicy"), SV("Always")),
    };
    return at;
}

static const struct status_amounts *statuses_of(struct builder *b, const cJSON *array)
{
    struct status_amounts *at = arena_alloc(&b->arena, size_of(array), sizeof *at);
    const cJSON *item;
    size_t n = 0;

    cJSON_ArrayForEach(item, array) at[n++] = (struct status_amounts){
        .name = text_of(item, "name"),
        .has_resources = cJSON_IsObject(get(item, "resources")),
        .requests = amounts_of(b, get(get(item, "resources"), "requests")),
        .allocated = amounts_of(b, get(item, "allocatedResources")),
    };
    return at;
}

static bool infeasible(const cJSON *status)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, get(status, "conditions"))
    {
        if (sv_eq(text_of(item, "type"), SV("PodResizePending")))
            return sv_eq(text_of(item, "reason"), SV("Infeasible"));
    }
    return false;
}

static struct podreq_input input_of(struct builder *b, const cJSON *pod)
{
    const cJSON *spec = get(pod, "spec"), *status = get(pod, "status");
    const cJSON *statuses = get(status, "containerStatuses");
    const cJSON *init_statuses = get(status, "initContainerStatuses");

    return (struct podreq_input){
        .containers = containers_of(b, get(spec, "containers")),
        .n_containers = size_of(get(spec, "containers")),
        .inits = containers_of(b, get(spec, "initContainers")),
        .n_inits = size_of(get(spec, "initContainers")),
        .statuses = statuses_of(b, statuses),
        .n_statuses = size_of(statuses),
        .init_statuses = statuses_of(b, init_statuses),
        .n_init_statuses = size_of(init_statuses),
        .pod_level = amounts_of(b, get(get(spec, "resources"), "requests")),
        .has_pod_status = cJSON_IsObject(get(status, "resources")),
        .pod_status = amounts_of(b, get(get(status, "resources"), "requests")),
        .pod_allocated = amounts_of(b, get(status, "allocatedResources")),
        .overhead = amounts_of(b, get(spec, "overhead")),
        .has_node = text_of(spec, "nodeName").len != 0,
        .infeasible = infeasible(status),
    };
}

static struct pod_record record_of(const cJSON *pod)
{
    struct sv phase = text_of(get(pod, "status"), "phase");
    struct pod_record record = {.node = text_of(get(pod, "spec"), "nodeName"),
                                .phase = PHASE_COUNT_};

    for (int i = 0; i < PHASE_COUNT_; i++) {
        if (sv_eq(phase, sv_from(pod_phase_name((enum pod_phase)i))))
            record.phase = (enum pod_phase)i;
    }
    cr_assert_neq(record.phase, PHASE_COUNT_);
    return record;
}

/* ---- the table ---- */

static struct podreq_rules rules_for(const char *version)
{
    struct podreq_rules rules;
    struct err err = {0};

    cr_assert(podreq_rules_for(sv_from(version), &rules, &err), "%s: %s", version, err.text);
    return rules;
}

/* The result has no say in whether the steps are written; they are well-formed lines. */
static struct resources counted(const struct podreq_input *in, const struct podreq_rules *rules,
                                const struct resource_names *names, const char *row)
{
    CLEANUP(strbuf_done) struct strbuf steps;
    struct resources quiet = podreq_count(in, rules, names, NULL), told;

    strbuf_init(&steps, 1 << 20);
    told = podreq_count(in, rules, names, &steps);
    cr_assert(resources_equal(&quiet, &told), "%s", row);
    cr_assert(sv_ends(strbuf_sv(&steps), SV("rounded up, once\n")), "%s:\n%s", row,
              strbuf_str(&steps));
    cr_assert_eq(quiet.at[RESOURCE_PODS], 1, "%s", row);
    for (int i = names->count; i < RESOURCE_MAX; i++)
        cr_assert_eq(quiet.at[i], 0, "%s", row);
    return quiet;
}

static void check(const cJSON *c, const cJSON *expected, const char *what,
                  const struct resources *r)
{
    int64_t cpu = (int64_t)cJSON_GetNumberValue(get(expected, "milliCPU"));
    int64_t memory = (int64_t)cJSON_GetNumberValue(get(expected, "memoryBytes"));

    cr_assert_not_null(expected, "%s: no %s", fixture_text(c, "name"), what);
    cr_assert(
        r->at[RESOURCE_CPU] == cpu && r->at[RESOURCE_MEMORY] == memory,
        "%s, %s: counted %" PRId64 "m, %" PRId64 " bytes, expected %" PRId64 "m, %" PRId64 " bytes",
        fixture_text(c, "name"), what, r->at[RESOURCE_CPU], r->at[RESOURCE_MEMORY], cpu, memory);
}

struct release {
    const char *version, *profile;
};

static const struct release releases[] = {
    {"1.28", "1.28-1.32"},        {"1.29", "1.28-1.32"}, {"1.30", "1.28-1.32"},
    {"1.31", "1.28-1.32"},        {"1.32", "1.28-1.32"}, {"1.33", "1.33"},
    {"1.34", "1.34-1.35"},        {"1.35", "1.34-1.35"}, {"1.36", "1.34-1.35"},
    {"1.35-alpha", "1.35-alpha"},
};

static struct podreq_input without_node(struct podreq_input in)
{
    in.has_node = false;
    return in;
}

/* Before 1.34 a pod without a node is counted by its spec as 1.28 did; from 1.34 on with the pod
 * level. */
static void check_pending(const cJSON *c, const struct podreq_input *bound,
                          const struct release *release, const struct resource_names *names)
{
    const struct podreq_rules rules = rules_for(release->version);
    const struct podreq_input in = without_node(*bound);
    const cJSON *expected =
        rules.pod_level ? get(c, "pending") : get(get(c, "profiles"), "1.28-1.32");
    struct resources r = counted(&in, &rules, names, fixture_text(c, "name"));

    check(c, expected, release->version, &r);
}

static void check_other(const cJSON *c, struct builder *b, const struct podreq_input *in)
{
    const struct podreq_rules rules = rules_for("1.35");
    struct resources r = podreq_count(in, &rules, &b->names, NULL);
    int others = 0;
    const cJSON *item;

    cJSON_ArrayForEach(item, get(c, "other"))
    {
        int place = resource_names_find(&b->names, sv_from(item->string), false);

        cr_assert_geq(place, 0, "%s: %s is not counted", fixture_text(c, "name"), item->string);
        cr_assert_eq(r.at[place], (int64_t)item->valuedouble, "%s: %s", fixture_text(c, "name"),
                     item->string);
        others++;
    }
    for (int i = RESOURCE_EPHEMERAL; i < RESOURCE_MAX; i++)
        others -= i != RESOURCE_PODS && r.at[i] != 0;
    cr_assert_eq(others, 0, "%s: something else is counted", fixture_text(c, "name"));
}

static void check_pod(const cJSON *c)
{
    const cJSON *pod = get(c, "pod");
    struct builder b;

    builder_init(&b);

    const struct podreq_input in = input_of(&b, pod);
    const struct pod_record record = record_of(pod);
    struct podreq_input bound = in;

    bound.has_node = true; /* the profiles speak of a bound pod, also for the rows without a node */
    for (size_t i = 0; i < COUNT_OF(releases); i++) {
        const struct podreq_rules rules = rules_for(releases[i].version);
        struct resources r = counted(&bound, &rules, &b.names, fixture_text(c, "name"));

        check(c, get(get(c, "profiles"), releases[i].profile), releases[i].version, &r);
        check_pending(c, &in, &releases[i], &b.names);
    }

    const struct podreq_rules newest = rules_for("1.35");
    struct resources r = podreq_count(&bound, &newest, &b.names, NULL);

    check(c, c, "defaults", &r);
    check_other(c, &b, &bound);
    cr_assert_eq(pod_record_counted(&record), cJSON_IsTrue(get(c, "counted")), "%s",
                 fixture_text(c, "name"));
    builder_done(&b);
}

Test(podreq, agrees_with_every_pod_of_the_table_in_every_release)
{
    cJSON *cases = fixture_load("pod-requests.json");
    const cJSON *c;
    int n = 0;

    cJSON_ArrayForEach(c, cases)
    {
        check_pod(c);
        n++;
    }
    cJSON_Delete(cases);
    cr_assert_eq(n, 260);
}

/* ---- releases ---- */

Test(podreq, knows_the_rules_of_a_release)
{
    static const struct {
        const char *version;
        bool good, status, pod_level, pod_level_status;
    } rows[] = {
        {"1.28", true, false, false, false},
        {"1.32", true, false, false, false},
        {"1.32+", true, false, false, false},
        {"v1.33.4", true, true, false, false},
        {"1.33", true, true, false, false},
        {"v1.33.1-eks-113cf36", true, true, false, false},
        {"1.34", true, true, true, false},
        {"v1.34.0-alpha.1", true, true, true, false},
        {"1.35", true, true, true, false},
        {"1.35-alpha", true, true, true, true},
        {"v1.35.0-alpha", true, true, true, false},
        {"1.36-alpha", true, true, true, true},
        {"1.99", true, true, true, false},
        {"2.0", true, true, true, false},
        {"1.27", false, false, false, false},
        {"0.35", false, false, false, false},
        {"1.33-alpha", false, false, false, false},
        {"1", false, false, false, false},
        {"1.", false, false, false, false},
        {".35", false, false, false, false},
        {"1.x", false, false, false, false},
        {"1.35x", false, false, false, false},
        {"", false, false, false, false},
        {"v", false, false, false, false},
        {"1.99999999999999999999999", false, false, false, false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct podreq_rules rules = {0};
        struct err err = {0};

        cr_expect_eq(podreq_rules_for(sv_from(rows[i].version), &rules, &err), rows[i].good,
                     "%s: %s", rows[i].version, err.text);
        cr_expect_eq(err.kind, rows[i].good ? ERR_NONE : ERR_INPUT, "%s", rows[i].version);
        cr_expect_eq(rules.status, rows[i].status, "%s", rows[i].version);
        cr_expect_eq(rules.pod_level, rows[i].pod_level, "%s", rows[i].version);
        cr_expect_eq(rules.pod_level_status, rows[i].pod_level_status, "%s", rows[i].version);
    }
}

/* ---- what the table has no row for ---- */

/* A pod from JSON text in which ' stands for ". */
static struct resources count_text(const char *json, const char *version, struct strbuf *steps)
{
    char *text = xstrdup(json);
    struct builder b;

    for (char *at = strchr(text, '\''); at != NULL; at = strchr(at, '\''))
        *at = '"';

    cJSON *pod = cJSON_Parse(text);

    cr_assert_not_null(pod, "%s", text);
    builder_init(&b);

    const struct podreq_input in = input_of(&b, pod);
    const struct podreq_rules rules = rules_for(version);
    struct resources r = podreq_count(&in, &rules, &b.names, steps);

    builder_done(&b);
    cJSON_Delete(pod);
    free(text);
    return r;
}

Test(podreq, does_not_count_pods_or_unknown_names_as_requests)
{
    struct resources r =
        count_text("{'spec': {'containers': [{'name': 'a', 'resources': {'requests': "
                   "{'cpu': '1', 'pods': '7', 'storage': '3', 'gpu': 2}}}]}}",
                   "1.35", NULL);
    const struct resources expected = {.at = {[RESOURCE_CPU] = 1000, [RESOURCE_PODS] = 1}};

    cr_assert(resources_equal(&r, &expected));
}

Test(podreq, saturates_what_no_node_could_have)
{
    struct resources r =
        count_text("{'spec': {'containers': [{'name': 'a', 'resources': {'requests': "
                   "{'cpu': '9e15', 'memory': '8Ei'}}}, {'name': 'b', 'resources': "
                   "{'requests': {'cpu': '9e15', 'memory': '8Ei'}}}]}}",
                   "1.35", NULL);

    cr_assert_eq(r.at[RESOURCE_CPU], INT64_MAX);
    cr_assert_eq(r.at[RESOURCE_MEMORY], INT64_MAX);
}

Test(podreq, counts_nothing_where_an_infeasible_pod_resize_left_no_status)
{
    struct resources r = count_text(
        "{'spec': {'nodeName': 'n', 'resources': {'requests': {'cpu': '8', 'memory': '1Gi'}}, "
        "'containers': [{'name': 'a', 'resources': {'requests': {'cpu': '2'}}}]}, "
        "'status': {'resources': {'requests': {'memory': '2Gi'}}, 'conditions': "
        "[{'type': 'PodResizePending', 'reason': 'Infeasible'}]}}",
        "1.35-alpha", NULL);

    cr_assert_eq(r.at[RESOURCE_CPU], 0);
    cr_assert_eq(r.at[RESOURCE_MEMORY], INT64_C(2) << 30);
}

/* The last entry of a name counts, and an init container's before a container's; so it is for few
 * and for many. */
Test(podreq, finds_the_status_of_a_name_among_few_and_many)
{
    static const size_t sizes[] = {1, 2, 7, 8, 9, 100, 5000};
    const struct podreq_rules rules = rules_for("1.33");
    struct resource_names names;

    resource_names_init(&names);
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        size_t n = sizes[s];
        struct container_amounts *containers = xcalloc(n, sizeof *containers);
        struct status_amounts *statuses = xcalloc(2 * n, sizeof *statuses), init_status;
        struct amount *requests = xcalloc(2 * n, sizeof *requests), first;
        char(*texts)[24] = xcalloc(n, sizeof *texts);
        int64_t expected = 0;

        for (size_t i = 0; i < 2 * n; i++) {
            requests[i] =
                (struct amount){.place = RESOURCE_CPU, .q.nano = (__int128)(i + 1) * 1000000};
            (void)snprintf(texts[i % n], sizeof texts[0], "c%zu", i % n);
            statuses[i] = (struct status_amounts){.name = sv_from(texts[i % n]),
                                                  .has_resources = true,
                                                  .requests = {&requests[i], 1}};
            containers[i % n].name = sv_from(texts[i % n]);
            expected += i >= n ? (int64_t)(i + 1) : 0;
        }
        first = (struct amount){.place = RESOURCE_CPU, .q.nano = 777000000};
        init_status = (struct status_amounts){
            .name = SV("c0"), .has_resources = true, .requests = {&first, 1}};
        expected += 777 - (int64_t)(n + 1);

        const struct podreq_input in = {.containers = containers,
                                        .n_containers = n,
                                        .statuses = statuses,
                                        .n_statuses = 2 * n,
                                        .init_statuses = &init_status,
                                        .n_init_statuses = 1,
                                        .has_node = true};
        struct resources r = podreq_count(&in, &rules, &names, NULL);

        cr_expect_eq(r.at[RESOURCE_CPU], expected, "%zu containers: %" PRId64, n,
                     r.at[RESOURCE_CPU]);
        free(containers);
        free(statuses);
        free(requests);
        free(texts);
    }
    resource_names_done(&names);
}

Test(podreq, tells_its_steps)
{
    CLEANUP(strbuf_done) struct strbuf steps;

    strbuf_init(&steps, 1 << 16);
    (void)count_text(
        "{'spec': {'nodeName': 'n', 'overhead': {'cpu': '100u'}, 'resources': {'requests': "
        "{'memory': '4Gi'}}, "
        "'containers': [{'name': 'web', 'resources': {'requests': {'cpu': '500m', 'memory': "
        "'1Gi'}}}, "
        "{'name': 'log\\n', 'resources': {'requests': {'cpu': '250m', 'nvidia.com/gpu': 1}}}], "
        "'initContainers': [{'name': 'proxy', 'restartPolicy': 'Always', 'resources': {'requests': "
        "{'cpu': '100m'}}}, {'name': 'migrate', 'resources': {'requests': {'cpu': '4'}}}]}, "
        "'status': {'containerStatuses': [{'name': 'web', 'allocatedResources': {'cpu': '1'}, "
        "'resources': {'requests': {'cpu': '1', 'memory': '512Mi'}}}]}}",
        "1.35", &steps);
    cr_assert_str_eq(
        strbuf_str(&steps),
        "                                 cpu        memory  nvidia.com/gpu\n"
        "container web                      1           1Gi               -  status raises cpu\n"
        "  spec                          500m           1Gi               -\n"
        "  status.resources                 1         512Mi               -\n"
        "  allocatedResources               1             -               -\n"
        "container log?                  250m             -               1\n"
        "sidecar proxy                   100m             -               -\n"
        "init migrate                       4             -               -\n"
        "  beside its sidecars          4100m             -               -\n"
        "containers + sidecars          1350m           1Gi               1\n"
        "init maximum                   4100m             -               -\n"
        "larger of both                 4100m           1Gi               1  init maximum decides "
        "cpu\n"
        "pod level                      4100m           4Gi               1  replaces memory\n"
        "overhead                        100u             -               -  added\n"
        "counted                        4101m    4294967296               1  rounded up, once\n",
        "%s", strbuf_str(&steps));
}

Test(podreq, tells_a_resize_that_cannot_be)
{
    CLEANUP(strbuf_done) struct strbuf steps;

    strbuf_init(&steps, 1 << 16);
    (void)count_text(
        "{'spec': {'nodeName': 'n', 'containers': [{'name': 'a', 'resources': {'requests': "
        "{'cpu': '400'}}}, {'name': 'b'}]}, 'status': {'conditions': [{'type': 'PodResizePending', "
        "'reason': 'Infeasible'}], 'containerStatuses': [{'name': 'a', 'resources': "
        "{'requests': {'cpu': '1'}}}]}}",
        "1.33", &steps);
    cr_assert_str_eq(
        strbuf_str(&steps),
        "                                 cpu        memory\n"
        "container a                        1             -  resize infeasible: status alone\n"
        "  spec                           400             -\n"
        "  status.resources                 1             -\n"
        "  allocatedResources               -             -\n"
        "container b                        -             -\n"
        "containers                         1             -  sum\n"
        "counted                        1000m             0  rounded up, once\n",
        "%s", strbuf_str(&steps));
}

/* However the containers are cut up, sums of exact amounts round once. */
Test(podreq, rounds_once_whatever_the_containers)
{
    struct dice d = dice_new("rounds_once_whatever_the_containers");
    const struct podreq_rules rules = rules_for("1.35");
    struct resource_names names;

    resource_names_init(&names);
    for (int round = 0; round < 2000; round++) {
        enum { CONTAINERS = 6 };
        struct container_amounts containers[CONTAINERS];
        struct amount requests[CONTAINERS];
        struct quantity sum = {0};
        int64_t expected;

        for (size_t i = 0; i < CONTAINERS; i++) {
            requests[i] = (struct amount){.place = RESOURCE_MEMORY,
                                          .q.nano = (__int128)(dice_u64(&d) >> dice_below(&d, 40))};
            containers[i] = (struct container_amounts){.requests = {&requests[i], 1}};
            quantity_add(&sum, &requests[i].q);
        }
        (void)quantity_value(&sum, &expected);

        const struct podreq_input in = {.containers = containers, .n_containers = CONTAINERS};
        struct resources r = counted(&in, &rules, &names, "random");

        cr_assert_eq(r.at[RESOURCE_MEMORY], expected);
    }
    resource_names_done(&names);
}

#include "tests/pocket/fat.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

/* What pods of a chart have in common. */
static const struct {
    const char *key, *value;
} common[] = {
    {"app.kubernetes.io/component", "backend"},
    {"app.kubernetes.io/managed-by", "Helm"},
    {"app.kubernetes.io/part-of", "shop"},
    {"app.kubernetes.io/version", "v2.31.7"},
    {"cost-center", "cc-17"},
    {"environment", "production"},
    {"helm.sh/chart", "app-4.2.0"},
    {"pod-template-hash", "6d4cf56db6"},
    {"team", "team-23"},
    {"tier", "backend"},
    {"topology.kubernetes.io/region", "eu-1"},
};

static void add(struct fat_labels *l, struct sv key, struct sv value)
{
    l->at[l->n++] = (struct label){.key = key, .value = value};
}

void fat_labels(const struct sim_pod *pod, struct fat_labels *ret_labels)
{
    struct fat_labels *l = ret_labels;
    struct uid trace = {.hi = pod->uid.lo, .lo = pod->uid.hi};

    l->n = 0;
    for (size_t i = 0; i < pod->spec->n_labels && l->n < FAT_LABELS; i++)
        add(l, pod->spec->labels[i].key, pod->spec->labels[i].value);
    if (l->n + 3 > FAT_LABELS)
        return;
    for (size_t i = 0; i < COUNT_OF(common) && l->n + 3 < FAT_LABELS; i++)
        add(l, sv_from(common[i].key), sv_from(common[i].value));
    uid_format(pod->uid, l->uid);
    uid_format(trace, l->trace);
    add(l, SV("batch.kubernetes.io/controller-uid"), sv_from(l->uid));
    add(l, SV("statefulset.kubernetes.io/pod-name"),
        (struct sv){.at = pod->name.at,
                    .len = pod->name.len < FAT_NAME_MAX ? pod->name.len : FAT_NAME_MAX});
    add(l, SV("tracing.example.com/session"), sv_from(l->trace));
}

void fat_managed(struct strbuf *meta)
{
    static const char *const managers[] = {"kube-controller-manager", "kubelet", "kube-scheduler"};

    (void)strbuf_addf(meta, "%s\"managedFields\":[", meta->len != 0 ? "," : "");
    for (size_t i = 0; i < COUNT_OF(managers); i++) {
        (void)strbuf_addf(
            meta,
            "%s{\"manager\":\"%s\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":"
            "\"2026-01-01T00:00:00Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{",
            i != 0 ? "," : "", managers[i]);
        for (int k = 0; k < 36; k++)
            (void)strbuf_addf(meta, "%s\"k:{\\\"name\\\":\\\"E%02d\\\"}\":{\".\":{}}",
                              k != 0 ? "," : "", k);
        (void)strbuf_addf(meta, "}}}");
    }
    (void)strbuf_addf(meta, "]");
}

void fat_env(cJSON *pod_spec)
{
    cJSON *containers = cJSON_GetObjectItemCaseSensitive(pod_spec, "containers");
    cJSON *env = cJSON_CreateArray();

    for (int i = 0; i < 22; i++) {
        char text[96];
        cJSON *e = cJSON_CreateObject();

        (void)snprintf(text, sizeof text, "SETTING_%02d", i);
        (void)cJSON_AddStringToObject(e, "name", text);
        (void)snprintf(text, sizeof text,
                       "http://service-%02d.namespace.svc.cluster.local:8080/path", i);
        (void)cJSON_AddStringToObject(e, "value", text);
        cJSON_AddItemToArray(env, e);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetArrayItem(containers, 0), "env");
    cJSON_AddItemToObject(cJSON_GetArrayItem(containers, 0), "env", env);
}

void fat_node(cJSON *node, const char *name)
{
    static const struct {
        const char *key, *value;
    } given[] = {
        {"kubernetes.io/arch", "amd64"},
        {"beta.kubernetes.io/arch", "amd64"},
        {"beta.kubernetes.io/os", "linux"},
        {"node.kubernetes.io/instance-type", "m6i.8xlarge"},
        {"topology.kubernetes.io/region", "eu-central-1"},
        {"topology.kubernetes.io/zone", "eu-central-1b"},
        {"eks.amazonaws.com/nodegroup", "general-purpose-on-demand"},
        {"eks.amazonaws.com/capacityType", "ON_DEMAND"},
        {"k8s.io/cloud-provider-aws", "e69ea7c2f02a5a5d6a4bd29f4e7d1c5c"},
    };
    cJSON *labels = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(node, "metadata"), "labels");
    cJSON *capacity = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(node, "status"), "capacity");

    for (size_t i = 0; i < COUNT_OF(given); i++)
        (void)cJSON_AddStringToObject(labels, given[i].key, given[i].value);
    (void)cJSON_AddStringToObject(labels, "topology.ebs.csi.aws.com/instance", name);
    (void)cJSON_AddStringToObject(capacity, "hugepages-1Gi", "0");
    (void)cJSON_AddStringToObject(capacity, "hugepages-2Mi", "0");
}

void fat_name(char to[static FAT_NAME_MAX + 1], const char *app, int64_t number, unsigned random)
{
    static const char middle[] =
        "-of-the-online-shop-in-the-production-environment-of-europe-central";
    char tail[32];
    size_t head = strlen(app);
    size_t used =
        (size_t)snprintf(tail, sizeof tail, "-%07lld-%05x", (long long)number, random & 0xfffff);

    assert(head + used < FAT_NAME_MAX);
    memcpy(to, app, head);
    memcpy(to + head, middle, FAT_NAME_MAX - head - used);
    memcpy(to + FAT_NAME_MAX - used, tail, used + 1);
}

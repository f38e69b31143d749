/*
 * The messages of k8s.io/api/core/v1 and k8s.io/apimachinery/pkg/apis/meta/v1, as far as clients of this cluster look at
 * them: field numbers of generated.proto, and which fields its encoder always writes (those that are no pointer in Go).
 */
#include "tests/pocket/encode.h"

/* A: always written; O: optional. */
#define A_STR(key, number)                                                                         \
    {                                                                                              \
        key, number, ENCODE_STRING, true, NULL                                                     \
    }
#define O_STR(key, number)                                                                         \
    {                                                                                              \
        key, number, ENCODE_STRING, false, NULL                                                    \
    }
#define A_INT(key, number)                                                                         \
    {                                                                                              \
        key, number, ENCODE_INT, true, NULL                                                        \
    }
#define O_INT(key, number)                                                                         \
    {                                                                                              \
        key, number, ENCODE_INT, false, NULL                                                       \
    }
#define A_BOOL(key, number)                                                                        \
    {                                                                                              \
        key, number, ENCODE_BOOL, true, NULL                                                       \
    }
#define O_BOOL(key, number)                                                                        \
    {                                                                                              \
        key, number, ENCODE_BOOL, false, NULL                                                      \
    }
#define A_TIME(key, number)                                                                        \
    {                                                                                              \
        key, number, ENCODE_TIME, true, NULL                                                       \
    }
#define O_TIME(key, number)                                                                        \
    {                                                                                              \
        key, number, ENCODE_TIME, false, NULL                                                      \
    }
#define A_MSG(key, number, message)                                                                \
    {                                                                                              \
        key, number, ENCODE_MESSAGE, true, message                                                 \
    }
#define O_MSG(key, number, message)                                                                \
    {                                                                                              \
        key, number, ENCODE_MESSAGE, false, message                                                \
    }
#define MSGS(key, number, message)                                                                 \
    {                                                                                              \
        key, number, ENCODE_MESSAGES, false, message                                               \
    }
#define STRS(key, number)                                                                          \
    {                                                                                              \
        key, number, ENCODE_STRINGS, false, NULL                                                   \
    }
#define LABELS(key, number)                                                                        \
    {                                                                                              \
        key, number, ENCODE_LABELS, false, NULL                                                    \
    }
#define AMOUNTS(key, number)                                                                       \
    {                                                                                              \
        key, number, ENCODE_QUANTITIES, false, NULL                                                \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, 0, ENCODE_STRING, false, NULL                                                        \
    }

#define MESSAGE(name, ...)                                                                         \
    static const struct encode_field name##_fields[] = {__VA_ARGS__, END};                         \
    static const struct encode_message name = {name##_fields}
#define PUBLIC_MESSAGE(name, ...)                                                                  \
    static const struct encode_field name##_fields[] = {__VA_ARGS__, END};                         \
    const struct encode_message name = {name##_fields}

/* ---- metadata ---- */

MESSAGE(owner, A_STR("kind", 1), A_STR("name", 3), A_STR("uid", 4), A_STR("apiVersion", 5),
        O_BOOL("controller", 6), O_BOOL("blockOwnerDeletion", 7));
MESSAGE(managed, A_STR("manager", 1), A_STR("operation", 2), A_STR("apiVersion", 3),
        O_TIME("time", 4), A_STR("fieldsType", 6), {"fieldsV1", 7, ENCODE_JSON, false, NULL},
        A_STR("subresource", 8));
/* resourceVersion is written apart (object.c), and so is no A here. */
PUBLIC_MESSAGE(encode_meta, A_STR("name", 1), A_STR("generateName", 2), A_STR("namespace", 3),
               A_STR("selfLink", 4), A_STR("uid", 5), O_STR("resourceVersion", 6),
               A_INT("generation", 7), A_TIME("creationTimestamp", 8),
               O_TIME("deletionTimestamp", 9), O_INT("deletionGracePeriodSeconds", 10),
               LABELS("labels", 11), LABELS("annotations", 12), MSGS("ownerReferences", 13, &owner),
               STRS("finalizers", 14), MSGS("managedFields", 17, &managed));
PUBLIC_MESSAGE(encode_list_meta, A_STR("selfLink", 1), A_STR("resourceVersion", 2),
               A_STR("continue", 3), O_INT("remainingItemCount", 4));

/* ---- selectors ---- */

MESSAGE(requirement, A_STR("key", 1), A_STR("operator", 2), STRS("values", 3));
MESSAGE(label_selector, LABELS("matchLabels", 1), MSGS("matchExpressions", 2, &requirement));
MESSAGE(node_term, MSGS("matchExpressions", 1, &requirement), MSGS("matchFields", 2, &requirement));
MESSAGE(node_selector, MSGS("nodeSelectorTerms", 1, &node_term));
MESSAGE(node_preference, A_INT("weight", 1), A_MSG("preference", 2, &node_term));
MESSAGE(node_affinity, O_MSG("requiredDuringSchedulingIgnoredDuringExecution", 1, &node_selector),
        MSGS("preferredDuringSchedulingIgnoredDuringExecution", 2, &node_preference));
MESSAGE(pod_term, O_MSG("labelSelector", 1, &label_selector), STRS("namespaces", 2),
        A_STR("topologyKey", 3), O_MSG("namespaceSelector", 4, &label_selector));
MESSAGE(pod_preference, A_INT("weight", 1), A_MSG("podAffinityTerm", 2, &pod_term));
MESSAGE(pod_affinity, MSGS("requiredDuringSchedulingIgnoredDuringExecution", 1, &pod_term),
        MSGS("preferredDuringSchedulingIgnoredDuringExecution", 2, &pod_preference));
MESSAGE(affinity, O_MSG("nodeAffinity", 1, &node_affinity), O_MSG("podAffinity", 2, &pod_affinity),
        O_MSG("podAntiAffinity", 3, &pod_affinity));
MESSAGE(spread, A_INT("maxSkew", 1), A_STR("topologyKey", 2), A_STR("whenUnsatisfiable", 3),
        O_MSG("labelSelector", 4, &label_selector), O_INT("minDomains", 5),
        O_STR("nodeAffinityPolicy", 6), O_STR("nodeTaintsPolicy", 7), STRS("matchLabelKeys", 8));

/* ---- pods ---- */

MESSAGE(claim, A_STR("name", 1), A_STR("request", 2));
MESSAGE(resources, AMOUNTS("limits", 1), AMOUNTS("requests", 2), MSGS("claims", 3, &claim));
MESSAGE(port, A_STR("name", 1), A_INT("hostPort", 2), A_INT("containerPort", 3),
        A_STR("protocol", 4), A_STR("hostIP", 5));
MESSAGE(env, A_STR("name", 1), A_STR("value", 2));
MESSAGE(mount, A_STR("name", 1), A_BOOL("readOnly", 2), A_STR("mountPath", 3), A_STR("subPath", 4),
        O_STR("mountPropagation", 5), A_STR("subPathExpr", 6));
MESSAGE(container, A_STR("name", 1), A_STR("image", 2), STRS("command", 3), STRS("args", 4),
        A_STR("workingDir", 5), MSGS("ports", 6, &port), MSGS("env", 7, &env),
        A_MSG("resources", 8, &resources), MSGS("volumeMounts", 9, &mount),
        A_STR("terminationMessagePath", 13), A_STR("imagePullPolicy", 14), A_BOOL("stdin", 16),
        A_BOOL("stdinOnce", 17), A_BOOL("tty", 18), A_STR("terminationMessagePolicy", 20),
        O_STR("restartPolicy", 24));
MESSAGE(toleration, A_STR("key", 1), A_STR("operator", 2), A_STR("value", 3), A_STR("effect", 4),
        O_INT("tolerationSeconds", 5));
MESSAGE(gate, A_STR("name", 1));
PUBLIC_MESSAGE(encode_pod_spec, MSGS("containers", 2, &container), A_STR("restartPolicy", 3),
               O_INT("terminationGracePeriodSeconds", 4), O_INT("activeDeadlineSeconds", 5),
               A_STR("dnsPolicy", 6), LABELS("nodeSelector", 7), A_STR("serviceAccountName", 8),
               A_STR("serviceAccount", 9), A_STR("nodeName", 10), A_BOOL("hostNetwork", 11),
               A_BOOL("hostPID", 12), A_BOOL("hostIPC", 13), A_STR("hostname", 16),
               A_STR("subdomain", 17), O_MSG("affinity", 18, &affinity), A_STR("schedulerName", 19),
               MSGS("initContainers", 20, &container), MSGS("tolerations", 22, &toleration),
               A_STR("priorityClassName", 24), O_INT("priority", 25), O_STR("runtimeClassName", 29),
               O_STR("preemptionPolicy", 31), AMOUNTS("overhead", 32),
               MSGS("topologySpreadConstraints", 33, &spread), MSGS("schedulingGates", 38, &gate),
               O_MSG("resources", 40, &resources));

MESSAGE(pod_condition, A_STR("type", 1), A_STR("status", 2), A_TIME("lastProbeTime", 3),
        A_TIME("lastTransitionTime", 4), A_STR("reason", 5), A_STR("message", 6),
        A_INT("observedGeneration", 7));
MESSAGE(waiting, A_STR("reason", 1), A_STR("message", 2));
MESSAGE(running, A_TIME("startedAt", 1));
MESSAGE(terminated, A_INT("exitCode", 1), A_INT("signal", 2), A_STR("reason", 3),
        A_STR("message", 4), A_TIME("startedAt", 5), A_TIME("finishedAt", 6),
        A_STR("containerID", 7));
MESSAGE(state, O_MSG("waiting", 1, &waiting), O_MSG("running", 2, &running),
        O_MSG("terminated", 3, &terminated));
MESSAGE(container_status, A_STR("name", 1), A_MSG("state", 2, &state),
        A_MSG("lastState", 3, &state), A_BOOL("ready", 4), A_INT("restartCount", 5),
        A_STR("image", 6), A_STR("imageID", 7), A_STR("containerID", 8), O_BOOL("started", 9),
        AMOUNTS("allocatedResources", 10), O_MSG("resources", 11, &resources));
MESSAGE(ip, A_STR("ip", 1));
PUBLIC_MESSAGE(encode_pod_status, A_STR("phase", 1), MSGS("conditions", 2, &pod_condition),
               A_STR("message", 3), A_STR("reason", 4), A_STR("hostIP", 5), A_STR("podIP", 6),
               O_TIME("startTime", 7), MSGS("containerStatuses", 8, &container_status),
               A_STR("qosClass", 9), MSGS("initContainerStatuses", 10, &container_status),
               A_STR("nominatedNodeName", 11), MSGS("podIPs", 12, &ip), A_STR("resize", 14),
               A_INT("observedGeneration", 17));
PUBLIC_MESSAGE(encode_pod, A_MSG("metadata", 1, &encode_meta), A_MSG("spec", 2, &encode_pod_spec),
               A_MSG("status", 3, &encode_pod_status));

/* ---- nodes ---- */

MESSAGE(taint, A_STR("key", 1), A_STR("value", 2), A_STR("effect", 3), O_TIME("timeAdded", 4));
PUBLIC_MESSAGE(encode_node_spec, A_STR("podCIDR", 1), A_STR("externalID", 2),
               A_STR("providerID", 3), A_BOOL("unschedulable", 4), MSGS("taints", 5, &taint),
               STRS("podCIDRs", 7));
MESSAGE(node_condition, A_STR("type", 1), A_STR("status", 2), A_TIME("lastHeartbeatTime", 3),
        A_TIME("lastTransitionTime", 4), A_STR("reason", 5), A_STR("message", 6));
MESSAGE(address, A_STR("type", 1), A_STR("address", 2));
MESSAGE(endpoint, A_INT("Port", 1));
MESSAGE(endpoints, A_MSG("kubeletEndpoint", 1, &endpoint));
MESSAGE(node_info, A_STR("machineID", 1), A_STR("systemUUID", 2), A_STR("bootID", 3),
        A_STR("kernelVersion", 4), A_STR("osImage", 5), A_STR("containerRuntimeVersion", 6),
        A_STR("kubeletVersion", 7), A_STR("kubeProxyVersion", 8), A_STR("operatingSystem", 9),
        A_STR("architecture", 10));
PUBLIC_MESSAGE(encode_node_status, AMOUNTS("capacity", 1), AMOUNTS("allocatable", 2),
               A_STR("phase", 3), MSGS("conditions", 4, &node_condition),
               MSGS("addresses", 5, &address), A_MSG("daemonEndpoints", 6, &endpoints),
               A_MSG("nodeInfo", 7, &node_info));
PUBLIC_MESSAGE(encode_node, A_MSG("metadata", 1, &encode_meta), A_MSG("spec", 2, &encode_node_spec),
               A_MSG("status", 3, &encode_node_status));

/* ---- Status ---- */

MESSAGE(cause, A_STR("reason", 1), A_STR("message", 2), A_STR("field", 3));
MESSAGE(details, A_STR("name", 1), A_STR("group", 2), A_STR("kind", 3), MSGS("causes", 4, &cause),
        A_INT("retryAfterSeconds", 5), A_STR("uid", 6));
PUBLIC_MESSAGE(encode_status, A_MSG("metadata", 1, &encode_list_meta), A_STR("status", 2),
               A_STR("message", 3), A_STR("reason", 4), O_MSG("details", 5, &details),
               A_INT("code", 6));

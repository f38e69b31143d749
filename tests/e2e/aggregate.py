"""aggregate: an agent behind kube-apiserver's aggregator, as an aggregated API server of the metrics groups.

    agent = t.agent(lab, policy, args=aggregate.arguments(lab, "custom", port))
    aggregate.register(lab, "custom", port)
"""

import base64

SERVICE = "DNS:brim.brim.svc"
VERSIONS = {"custom": [("custom.metrics.k8s.io", "v1beta2"), ("custom.metrics.k8s.io", "v1beta1")],
            "external": [("external.metrics.k8s.io", "v1beta1")]}


def arguments(lab, group, port):
    """Flags with which an agent serves the group over TLS, under a certificate of the lab's authority."""
    certificate, key = lab.certificate("brim-serving", (SERVICE, "IP:127.0.0.1"))
    return ("--metrics-api", group, "--secure-listen", "127.0.0.1:%d" % port, "--tls-cert-file", certificate,
            "--tls-private-key-file", key)


def register(lab, group, port):
    """Service and APIServices that lead there; returns once kube-apiserver finds them available."""
    with open(lab.ca, "rb") as f:
        ca = base64.b64encode(f.read()).decode()
    lab.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "brim", "namespace": "brim"},
               "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port, "protocol": "TCP"}]}})
    names = ["%s.%s" % (version, name) for name, version in VERSIONS[group]]
    for priority, (name, version) in enumerate(reversed(VERSIONS[group])):
        lab.apply({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "%s.%s" % (version, name)},
                   "spec": {"group": name, "version": version, "caBundle": ca, "groupPriorityMinimum": 100,
                            "versionPriority": 100 + priority, "service": {"name": "brim", "namespace": "brim", "port": port}}})

    def available():
        for name in names:
            status = lab.api("GET", "/apis/apiregistration.k8s.io/v1/apiservices/" + name).get("status", {})
            if not any(c["type"] == "Available" and c["status"] == "True" for c in status.get("conditions", [])):
                return False
        return True
    lab.wait_until(available, 30, "the APIServices to be available", 0.2)


def unregister(lab, group):
    for name, version in VERSIONS[group]:
        lab.delete("/apis/apiregistration.k8s.io/v1/apiservices/%s.%s" % (version, name))
    lab.delete("/api/v1/namespaces/brim/services/brim")

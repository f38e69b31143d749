"""ksm_load: a trace as kube-state-metrics would have shown it, scraped at an interval, in OpenMetrics text.

`promtool tsdb create-blocks-from openmetrics` makes a Prometheus' blocks of it; fake_prometheus.py answers from it. Nodes are packed
first fit by the pods' times, so that each pod has a node; who finds none waits.
"""
import csv
import json

EPOCH = 1700000000  # 2023-11-14T22:13:20Z


class Pod:
    def __init__(self, name, created, cpu, memory, only):
        self.name, self.created, self.cpu, self.memory, self.only = name, created, cpu, memory, only
        self.deleted, self.node, self.scheduled = None, None, None

    def uid(self):
        return "00000000-0000-4000-8000-%012x" % (hash_of(self.name) & 0xffffffffffff)


def hash_of(text):
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


def rows_of(path):
    with open(path) as f:
        return list(csv.DictReader(f))


class Load:
    """The trace NAME.csv, NAME.nodes.csv, NAME.json: pods with their times in seconds, and where they ran."""

    def __init__(self, base):
        self.nodes = {r["node"]: (int(r["cpu_milli"]), int(r["memory_mib"])) for r in rows_of(base + ".nodes.csv")}
        with open(base + ".json") as f:
            self.seconds = float(json.load(f)["seconds"])
        self.pods, living, free = [], {}, {n: list(v) for n, v in self.nodes.items()}
        waiting = []
        for r in rows_of(base + ".csv"):
            t = float(r["time_s"])
            if r["event"] == "create":
                pod = living[r["pod"]] = Pod("%s-%d" % (r["pod"], len(self.pods)), t, int(r["cpu_milli"]), int(r["memory_mib"]), r["node"])
                self.pods.append(pod)
                waiting.append(pod)
            else:
                pod = living.pop(r["pod"])
                pod.deleted = t
                if pod.node:
                    free[pod.node][0] += pod.cpu
                    free[pod.node][1] += pod.memory
                else:
                    waiting.remove(pod)
            for pod in list(waiting):
                node = next((n for n, f in free.items() if pod.only in ("", n) and f[0] >= pod.cpu and f[1] >= pod.memory), None)
                if node:
                    pod.node, pod.scheduled = node, t
                    free[node][0] -= pod.cpu
                    free[node][1] -= pod.memory
                    waiting.remove(pod)


def labels(**pairs):
    return "{%s}" % ",".join('%s="%s"' % (k, v) for k, v in pairs.items())


def pod_series(pod, scrape, first, extra):
    """(family, labels, value) of what kube-state-metrics shows of a pod at a scrape."""
    who = dict(namespace=extra.get("namespace", "shop"), pod=pod.name, uid=pod.uid(), **extra.get("labels", {}))
    bound = pod.scheduled is not None and first + pod.scheduled <= scrape
    node = pod.node if bound else ""
    yield "kube_pod_created", labels(**who), int(first + pod.created)
    yield "kube_pod_info", labels(**who, node=node, created_by_kind="DaemonSet" if pod.only else "ReplicaSet", created_by_name="web-5d8f7c",
                                  priority_class="", pod_ip="10.1.2.3", host_network="false"), 1
    yield "kube_pod_container_resource_requests", labels(**who, container="main", node=node, resource="cpu", unit="core"), pod.cpu / 1000
    yield "kube_pod_container_resource_requests", labels(**who, container="main", node=node, resource="memory", unit="byte"), pod.memory << 20
    if bound:
        yield "kube_pod_status_scheduled_time", labels(**who), int(first + pod.scheduled)


def samples(load, interval, phase, first=EPOCH, extra=None, gaps=()):
    """{(family, labels): [(time, value)]} of all scrapes; none between the times of a gap."""
    series, extra = {}, extra or {}

    def put(family, text, t, value):
        series.setdefault((family, text), []).append((t, value))

    times, t = [], first + phase
    while t <= first + load.seconds:
        if not any(a < t - first < b for a, b in gaps):
            times.append(t)
        t += interval
    for t in times:
        for node, (cpu, memory) in load.nodes.items():
            who = dict(node=node, **extra.get("labels", {}))
            put("kube_node_info", labels(**who, kernel_version="6.1"), t, 1)
            put("kube_node_created", labels(**who), t, first - 86400)
            put("kube_node_spec_unschedulable", labels(**who), t, 0)
            put("kube_node_status_condition", labels(**who, condition="Ready", status="true"), t, 1)
            put("kube_node_status_allocatable", labels(**who, resource="cpu", unit="core"), t, cpu / 1000)
            put("kube_node_status_allocatable", labels(**who, resource="memory", unit="byte"), t, memory << 20)
            put("kube_node_status_allocatable", labels(**who, resource="pods", unit="integer"), t, 10000)
    for pod in load.pods:
        begin, end = first + pod.created, first + (pod.deleted if pod.deleted is not None else load.seconds + interval)
        for t in times:
            if begin <= t < end:
                for family, text, value in pod_series(pod, t, first, extra):
                    put(family, text, t, value)
    return series


def write_openmetrics(series, path):
    families = {}
    for (family, text), points in series.items():
        families.setdefault(family, []).append((text, points))
    with open(path, "w") as f:
        for family, rows in sorted(families.items()):
            f.write("# TYPE %s gauge\n" % family)
            for text, points in rows:
                for t, value in points:
                    f.write("%s%s %s %s\n" % (family, text, repr(value), repr(t)))
        f.write("# EOF\n")

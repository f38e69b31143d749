"""recount: what a cluster's pods and nodes come to, and whether an agent beside it says the same.

Counted from the API server's own JSON with an arithmetic of its own: nothing of brim's is used. Filler are the pods of one
namespace, all of one shape. Nodes take filler that are neither cordoned nor tainted.
"""

import json
import re
import urllib.error
import urllib.request

GI = 1 << 30
UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": GI, "Ti": GI << 10, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
KINDS = ("cpu", "memory", "pods")


def milli_of(quantity):
    return int(quantity[:-1]) if quantity.endswith("m") else 1000 * int(quantity)


def bytes_of(quantity):
    digits = quantity.rstrip("KMGTik")
    return int(digits) * UNITS[quantity[len(digits):]]


def request_of(pod):
    """What a pod without init containers takes of each kind."""
    asked = [c.get("resources", {}).get("requests", {}) for c in pod["spec"]["containers"]]
    return {"cpu": sum(milli_of(r.get("cpu", "0")) for r in asked), "memory": sum(bytes_of(r.get("memory", "0")) for r in asked),
            "pods": 1}


def admitted_to(pod):
    """The node that a pod was let in to, or None."""
    found = re.search(r'"matchFields".*?"metadata\.name".*?"values": \["([^"]+)"\]', json.dumps(pod["spec"].get("affinity", {})))
    return found.group(1) if found and not pod["spec"].get("schedulingGates") else None


class Node:
    def __init__(self, item):
        offered = item["status"]["allocatable"]
        self.name = item["metadata"]["name"]
        self.allocatable = {"cpu": milli_of(offered["cpu"]), "memory": bytes_of(offered["memory"]), "pods": int(offered["pods"])}
        self.cordoned = bool(item["spec"].get("unschedulable"))
        self.open = not self.cordoned and not any(t["effect"] != "PreferNoSchedule" for t in item["spec"].get("taints", ()))
        self.ready = any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", ()))
        self.paid, self.filler, self.leaving = (dict.fromkeys(KINDS, 0) for _ in range(3))
        self.coming = 0  # filler that was let in here and is not bound

    def left(self, kind):
        """Beside paid pods."""
        return max(0, self.allocatable[kind] - self.paid[kind])

    def free(self, kind):
        return max(0, self.allocatable[kind] - self.paid[kind] - self.filler[kind] - self.leaving[kind])

    def fit(self, shape):
        return min(self.left(k) // shape[k] for k in KINDS) if self.open else 0


class Recount:
    """The cluster at about one moment: pods and nodes are asked for one after the other."""

    def __init__(self, server, namespace="filler", shape=None):
        pods = server.get("/api/v1/pods")["items"]
        self.nodes = {n.name: n for n in map(Node, server.get("/api/v1/nodes")["items"])}
        self.shape = shape or {"cpu": 1000, "memory": GI, "pods": 1}
        self.pods = self.filler = self.bound = self.starting = self.leaving = self.gated = 0
        for p in pods:
            if p["status"].get("phase") not in ("Succeeded", "Failed"):
                self.pods += 1
                self.add(p, p["metadata"]["namespace"] == namespace)

    def add(self, pod, filler):
        node = self.nodes.get(pod["spec"].get("nodeName"))
        leaves = "deletionTimestamp" in pod["metadata"]
        if filler:
            self.filler += 1
            self.bound += node is not None
            self.leaving += leaves
            self.gated += bool(pod["spec"].get("schedulingGates")) and not leaves
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
            self.starting += node is not None and not ready and not leaves
        to = node and (node.paid if not filler else node.leaving if leaves else node.filler)
        for kind, n in request_of(pod).items() if node else ():
            to[kind] += n
        if filler and node is None and admitted_to(pod) in self.nodes:
            self.nodes[admitted_to(pod)].coming += 1

    def sum(self, of, among=lambda n: True):
        return sum(of(n) for n in self.nodes.values() if among(n))

    def paid(self):
        """What counts is on nodes that filler may stand on."""
        return self.sum(lambda n: n.paid["cpu"], lambda n: n.open)

    def fit(self):
        return self.sum(lambda n: n.fit(self.shape))

    def holds(self, name, filler):
        """Has this node room for so many filler pods beside its paid ones?"""
        n = self.nodes.get(name)
        return n is not None and n.fit(self.shape) >= filler


def differences(pairs):
    """What is and what should be, by name -> what differs, in words; None: nothing."""
    return "; ".join("%s is %s, expected %s" % (k, *v) for k, v in pairs.items() if v[0] != v[1]) or None


def facts(status, truth):
    """What an agent's status counts, beside what there is: independent of what is decided. What it cannot say yet is None."""
    f, cpu = status["fillers"][0], status["cpu"]
    both = lambda a, b: None if f[a] is None or f[b] is None else f[a] + f[b]
    here = truth.filler - truth.leaving
    room = truth.sum(lambda n: n.left("cpu"), lambda n: n.open)
    return {"pods": (status["pods"], truth.pods), "nodes": (status["nodes"], len(truth.nodes)),
            "eligible nodes": (status["eligible_nodes"], truth.sum(lambda n: n.open)),
            "allocatable": (cpu["allocatable_milli"], truth.sum(lambda n: n.allocatable["cpu"], lambda n: n.open)),
            "paid": (cpu["paid_milli"], truth.paid()),
            "filler": (cpu["filler_milli"], truth.sum(lambda n: n.filler["cpu"])),
            "leaving": (cpu["leaving_milli"], truth.sum(lambda n: n.leaving["cpu"])),
            "running": (both("running", "starting"), truth.bound - truth.sum(lambda n: n.leaving["pods"])),
            "starting": (f["starting"], truth.starting), "gated and admitted": (both("gated", "admitted"), here - truth.sum(
                lambda n: n.filler["pods"])),
            "fit": (f["fit"], truth.fit()), "remaining": (f["remaining_milli"], room)}


def figures(metrics, truth):
    """The same of /metrics, by name."""
    of = {"cpu_capacity_allocatable": truth.sum(lambda n: n.allocatable["cpu"], lambda n: n.open) / 1000,
          "cpu_capacity_requested": truth.paid() / 1000, "brim_fit_replicas": truth.fit(),
          "cpu_capacity_remaining": truth.sum(lambda n: n.left("cpu"), lambda n: n.open) / 1000}
    return {k: (metrics.get(k), v) for k, v in of.items()}


def table(columns, truth):
    """The same of /api/v1/nodes?names=1, node by node."""
    pairs = {"names": (sorted(columns["names"]), sorted(truth.nodes))}
    for i, name in enumerate(columns["names"] if sorted(columns["names"]) == sorted(truth.nodes) else ()):
        n = truth.nodes[name]
        want = {"allocatable_milli": n.allocatable["cpu"], "paid_milli": n.paid["cpu"], "filler_milli": n.filler["cpu"],
                "leaving_milli": n.leaving["cpu"], "claimed_milli": 0, "free_milli": n.free("cpu"), "fit": n.fit(truth.shape),
                "eligible": n.open, "cordoned": n.cordoned, "ready": n.ready}
        pairs.update({"%s of %s" % (k, name): (columns[k] and columns[k][i], v) for k, v in want.items()})
    return pairs


def capacity(answer, truth):
    """The same of `brim capacity --filler … -o json`: cpu, memory and pods of every node."""
    pairs = {"rows": (sorted(r["name"] for r in answer["rows"]), sorted(truth.nodes))}
    units = {"cpu": "cpu_%s_milli", "memory": "memory_%s_bytes", "pods": "pods_%s"}
    for row in answer["rows"] if pairs["rows"][0] == pairs["rows"][1] else ():
        n = truth.nodes[row["name"]]
        for kind, key in units.items():
            taken = n.filler[kind] + n.leaving[kind]
            want = {"allocatable": n.allocatable[kind], "paid": n.paid[kind], "filler": taken, "free": n.free(kind)}
            pairs.update({"%s of %s" % (key % k, n.name): (row[key % k], v) for k, v in want.items()})
        pairs["ready of " + n.name] = (row["ready"], n.ready)
        pairs["schedulable of " + n.name] = (row["schedulable"], not n.cordoned)
    for kind, key in units.items():
        for k, of in (("allocatable", lambda n, kind=kind: n.allocatable[kind]), ("paid", lambda n, kind=kind: n.paid[kind])):
            pairs["all " + key % k] = (answer["total"][key % k], truth.sum(of))
    return pairs


def ask(url):
    """What an agent answers, or None where it cannot say yet."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as e:
        if e.code == 503:
            return None
        raise


def metrics_of(text):
    return {k: float(v) for k, v in re.findall(r"(?m)^(\w+)(?:\{.*\})? (\S+)$", text)}

"""The simulation's controllers against the real ones: autoscalers on external metrics, and a ReplicaSet under the stock limit.

The metrics come from a small aggregated API here. What an autoscaler read, and what was there at that moment, is given to the
simulation's: it must set the same sizes in the same order. BRIM_SEED=N repeats the autoscalers of a run.
"""

import base64
import http.server
import json
import random
import ssl
import threading
import time

from support import deployment, free_port, test
from test_sim_equal import US, play, run_player, seed

AUTOSCALERS, HPA_SECONDS, HPA_WINDOW = 12, 40, 6
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"


class Metrics(http.server.ThreadingHTTPServer):
    """An aggregated API of external metrics m0, m1, …; notes each read as (mono, index, milli)."""

    def __init__(self, lab, series):
        super().__init__(("127.0.0.1", free_port()), MetricsHandler)
        self.series, self.reads, self.began = series, [], time.monotonic()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*lab.certificate("metrics", ("DNS:metrics.default.svc",)))
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.daemon_threads = True
        threading.Thread(target=self.serve_forever, daemon=True).start()
        with open(lab.ca, "rb") as f:
            ca = base64.b64encode(f.read()).decode()
        port = self.server_address[1]
        lab.apply([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics", "namespace": "default"},
                    "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port, "protocol": "TCP"}]}},
                   {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                    "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
                    "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "caBundle": ca, "groupPriorityMinimum": 100,
                             "versionPriority": 100, "service": {"name": "metrics", "namespace": "default", "port": port}}}])

    def read(self, index):
        now = time.monotonic()
        values = self.series[index]
        milli = values[min(int((now - self.began) / 3), len(values) - 1)]
        self.reads.append((now, index, milli))
        return milli


class MetricsHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.startswith(EXTERNAL + "/namespaces/"):
            name = path.rpartition("/")[2]
            item = {"metricName": name, "metricLabels": {}, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    "value": "%dm" % self.server.read(int(name[1:]))}
            body = {"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": {}, "items": [item]}
        else:
            body = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "external.metrics.k8s.io/v1beta1", "resources": []}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


class Autoscaler:
    """A random one, with the line that the simulation reads and the object for the API."""

    def __init__(self, index, chance):
        self.name, self.metric = "a%d" % index, "m%d" % index
        self.average, self.target = index % 2 == 0, chance.randint(500, 3000)
        self.least, self.most = chance.randint(1, 2), chance.randint(6, 12)
        self.rules = None
        if chance.random() < 0.5:
            self.rules = [(chance.choice((0, 5)), chance.choice(("pods", "percent")), chance.choice((1, 2, 50, 100)),
                           chance.choice((4, 10))) for _ in range(2)]
        middle = self.target * (5 if self.average else 1)
        self.series = [int(middle * chance.uniform(0.2, 2.2)) for _ in range(HPA_SECONDS // 3 + 2)]

    def line(self):
        more = "".join(" %d %s %d %d" % r for r in self.rules) if self.rules else ""
        return "hpa %d %d %s %d %d%s" % (self.least, self.most, "average" if self.average else "value", self.target, HPA_WINDOW, more)

    def object(self):
        target = ({"type": "AverageValue", "averageValue": "%dm" % self.target} if self.average
                  else {"type": "Value", "value": "%dm" % self.target})
        spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name}, "minReplicas": self.least,
                "maxReplicas": self.most, "metrics": [{"type": "External", "external": {"metric": {"name": self.metric}, "target": target}}]}
        if self.rules:
            spec["behavior"] = {way: {"stabilizationWindowSeconds": r[0], "selectPolicy": "Max",
                                      "policies": [{"type": r[1].capitalize(), "value": r[2], "periodSeconds": r[3]}]}
                                for way, r in zip(("scaleUp", "scaleDown"), self.rules)}
        return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": self.name, "namespace": "default"}, "spec": spec}


def at_time(changes, when):
    """The last value of [(time, value)] up to then."""
    return [value for at, value in changes if at <= when][-1]


def ready_counts(events):
    """{app: [(mono, ready pods)]}; a pod that is being deleted counts while it is Ready."""
    ready, found = {}, {}
    for e in events:
        app, name = e.object["metadata"].get("labels", {}).get("app"), e.object["metadata"]["name"]
        status = e.object.get("status", {})
        is_one = status.get("phase") == "Running" and any(
            c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
        ready.setdefault(app, set()).discard(name)
        if is_one and e.type != "DELETED":
            ready[app].add(name)
        found.setdefault(app, [(0.0, 0)]).append((e.mono, len(ready[app])))
    return found


def sizes_compared(scaler, index, reads, deployments, ready):
    """(sizes that the real one set, sizes that the simulation sets when it reads the same)."""
    mine = [e for e in deployments if e.object["metadata"]["name"] == scaler.name]
    size = [(e.mono, e.object["spec"]["replicas"]) for e in mine]
    status = [(e.mono, e.object.get("status", {}).get("replicas", 0)) for e in mine]
    rounds = [(at, milli) for at, i, milli in reads if i == index]
    lines = [scaler.line()] + ["round %d %d %d %d %d" % (at * US, milli, at_time(size, at), at_time(status, at),
                                                         at_time(ready[scaler.name], at)) for at, milli in rounds]
    answers = [row.split() for row in run_player(lines)]
    simulated = [int(row[2]) for row in answers if row[1] == "rescaled"]
    real = [b for (_, a), (_, b) in zip(size, size[1:]) if a != b]
    return real, simulated


@test(timeout=120, long=True, alone=True)
def autoscalers_reach_the_same_sizes_in_the_same_order(t):
    base = seed()
    t.figure("BRIM_SEED", base)
    chance = random.Random(base)
    scalers = [Autoscaler(i, chance) for i in range(AUTOSCALERS)]
    with t.own_lab(start=0, hpa_sync=2, hpa_stabilization=HPA_WINDOW) as lab:
        server = Metrics(lab, [s.series for s in scalers])
        lab.add_node("big", cpu=1000, memory="4000Gi", pods=1000, wait=True)
        lab.wait_until(lambda: lab.api("GET", "/apis/external.metrics.k8s.io/v1beta1"), 20, "the metrics API")
        lab.apply([deployment(s.name, 3, cpu="10m", memory="1Mi", grace=0) for s in scalers])
        deployments, pods = lab.watch("/apis/apps/v1/namespaces/default/deployments"), lab.watch("/api/v1/namespaces/default/pods")
        deployments.wait(lambda w: all(d.get("status", {}).get("readyReplicas") == 3 for d in w.objects.values()), 30, "three pods each")
        server.began = time.monotonic()
        lab.apply([s.object() for s in scalers])
        time.sleep(HPA_SECONDS)
        lab.delete("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers")
        time.sleep(2)
        deployments.stop()
        pods.stop()
        ready = ready_counts(pods.events)
        changes = 0
        for index, scaler in enumerate(scalers):
            real, simulated = sizes_compared(scaler, index, server.reads, deployments.events, ready)
            changes += len(real)
            t.check(len(real) > 0, "%s never changed" % scaler.name)
            t.check(real == simulated, "%s (%s): sizes %s, simulated %s" % (scaler.name, scaler.line(), real, simulated))
        server.shutdown()
    t.figure("autoscalers, rounds, sizes set", "%d, %d, %d" % (len(scalers), len(server.reads), changes))


# --- a large scale --------------------------------------------------------------------------------------------------------------

MANY, MARKS = 150, (30, 60, 90, 120, 150)
APART = 1.0  # s


def bound_at(events, number):
    """When so many pods were bound."""
    bound = set()
    for e in events:
        if e.object["spec"].get("nodeName"):
            bound.add(e.object["metadata"]["name"])
            if len(bound) == number:
                return e.mono
    return None


def simulated_marks():
    """When so many pods are bound after a scale to MANY, to 20 ms."""
    lines = ["node big all 1000000 4096000 1000", "filler all 10 1 0 0 0 0", "0 scale all %d" % MANY]
    moments = [0.02 * i for i in range(1, 1000)]
    counts, _ = play(lines + ["%d count all" % (at * US) for at in moments])
    return [next(at for at, count in zip(moments, counts["all"]) if count[1] >= mark) for mark in MARKS]


@test(timeout=60, long=True, alone=True)
def a_large_scale_takes_as_long_under_the_stock_limit(t):
    with t.own_lab(start=0) as lab:
        lab.add_node("big", cpu=1000, memory="4000Gi", pods=1000, wait=True)
        lab.apply(deployment("filler", 0, cpu="10m", memory="1Mi", grace=0))
        pods = lab.watch("/api/v1/namespaces/default/pods")
        time.sleep(2)
        began = time.monotonic()
        lab.scale("default", "filler", MANY)
        pods.wait(lambda w: bound_at(w.events, MANY), 40, "%d pods to be bound" % MANY)
        real = [bound_at(pods.events, mark) - began for mark in MARKS]
    simulated = simulated_marks()
    for mark, a, b in zip(MARKS, real, simulated):
        t.check(abs(a - b) <= APART, "%d pods bound after %.2f s, simulated %.2f s" % (mark, a, b))
    t.figure("%s pods bound after" % ", ".join(map(str, MARKS)), " ".join("%.2f" % x for x in real) + " s")
    t.figure("simulated", " ".join("%.2f" % x for x in simulated) + " s")

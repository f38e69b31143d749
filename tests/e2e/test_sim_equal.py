"""The simulation (policy/sim) against the real control plane: the same random histories, the same outcome.

A history is a node group of its own, a filler Deployment, and 5 to 10 steps, 2 to 4 s apart: paid pods created and deleted, gated
and let in, filler scaled, pods too large for any node, pods whose priority is the filler's. Several run at once, each in a namespace
of its own. What was done is played to the simulation at the times at which it was really done; then the pods that are bound at the
end of each step and the waits of the paid pods are compared. docs/SIMULATION.md says what this shows and what not.

BRIM_SEED=N repeats the histories of a run.
"""

import base64
import concurrent.futures
import heapq
import http.server
import itertools
import json
import os
import random
import ssl
import statistics
import subprocess
import threading
import time

from support import BRIM, LabError, deployment, free_port, test

from lab import pod, priority_class, timing

PLAYER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(BRIM))), "tests", "e2e", "sim_history")

AT_ONCE = 8               # histories beside each other
HISTORIES, ALL = 24, 200  # of the default set, and with --long
LONGEST = 24.0      # s after which a history of 5 steps or more gets no further one
WAIT_APART = 1.0    # s that two waits may differ
PAID, EQUAL, FILLER = 1000, -100, -100
CLASSES = {"paid": PAID, "equal": EQUAL, "filler": FILLER}
LEAD = 0.15         # s before the next step at which a step is looked at
TOLERANT_RUNS = 24  # plays of a history with other luck and other delays, before it is taken
SLACK = 0.5         # s that starts and exits may be late in those
TOO_SLOW = 0.4      # s of real lag with which a history was not what was meant, and is played again
US = 1000000


def seed():
    return int(os.environ.get("BRIM_SEED") or random.SystemRandom().randrange(1 << 32))


# --- histories ------------------------------------------------------------------------------------------------------------------

class History:
    """nodes [(name, cores, GiB)]; filler dict; ops [(at, verb, …)] in order; counts [at], one a step."""

    def __init__(self, name, chance):
        self.name, self.chance = name, chance
        self.nodes = [("%s-n%d" % (name, i), cores, cores * chance.choice((2, 4, 4, 8)))
                      for i, cores in enumerate(chance.choices((4, 8, 12, 16, 24, 32), k=chance.randint(2, 4)))]
        self.cores = sum(n[1] for n in self.nodes)
        grace = chance.randint(1, 5)
        self.filler = {"cpu": chance.choice((1000, 2000, 3000)), "memory": chance.choice((1024, 2048)), "grace": grace,
                       "start": 0, "exit": chance.choice((grace, max(0.5, grace / 2)))}
        self.filler["cpu"] = max(self.filler["cpu"], self.cores // 12 * 1000)  # at most 15 or so of them
        self.ops, self.counts, self.pods, self.live, self.gated = [], [], {}, [], []
        at = chance.uniform(0, 5)  # not all at once
        self.ops.append((at, "scale", self.fill(chance.uniform(0.5, 1.2))))
        at += 3 + chance.random()
        self.began = at
        steps = chance.randint(5, 10)
        while len(self.counts) < steps and (len(self.counts) < 5 or at < LONGEST):
            self.step(at)
            at += chance.uniform(2, 4)
            self.counts.append(at - LEAD)

    def fill(self, share):
        return round(self.cores * 1000 * share / self.filler["cpu"])

    def step(self, at):
        for _ in range(self.chance.randint(1, 3)):
            kind = self.chance.choices(("create", "delete", "scale", "gate", "ungate", "large", "equal"), (8, 4, 3, 1, 2, 1, 1))[0]
            if kind in ("create", "gate", "large", "equal"):
                for _ in range(self.chance.randint(1, 3) if kind == "create" else 1):
                    self.create(at, kind)
            elif kind == "delete" and self.live:
                self.ops.append((at, "delete", self.live.pop(self.chance.randrange(len(self.live)))))
            elif kind == "ungate" and self.gated:
                name = self.gated.pop()
                self.live.append(name)
                self.ops.append((at, "ungate", name))
            elif kind == "scale":
                self.ops.append((at, "scale", self.fill(self.chance.choice((0, 0.3, 0.6, 0.9, 1.3)))))
            at += 0.05

    def create(self, at, kind):
        largest = max(n[1] for n in self.nodes)
        cores = largest + 1 if kind == "large" else self.chance.choice([c for c in (0.5, 1, 2, 3, 4, 6, 8, 12) if c <= largest])
        name = "%s-p%d" % (self.name, len(self.pods))
        self.pods[name] = {"cpu": int(cores * 1000), "memory": int(cores * 1024), "gated": kind == "gate", "grace": 1, "start": 0,
                           "exit": 1, "class": "equal" if kind == "equal" else "paid"}
        (self.gated if kind == "gate" else self.live).append(name)
        self.ops.append((at, "create", name))

    # -- as the simulation reads it

    def head(self, late=0.0):
        """Its nodes and its filler; `late`: what start and exit take longer."""
        lines = ["node %s %s %d %d 110" % (n, self.name, c * 1000, m * 1024) for n, c, m in self.nodes]
        f = self.filler
        return lines + ["filler %s %d %d %d %s" % (self.name, f["cpu"], f["memory"], FILLER, times(f, late))]

    def line(self, op, late=0.0):
        at, verb = op[:2]
        if verb == "create":
            p = self.pods[op[2]]
            return "%d pod %s %s %d %d %d %s %d" % (at * US, op[2], self.name, p["cpu"], p["memory"], CLASSES[p["class"]],
                                                    times(p, late), p["gated"])
        if verb == "scale":
            return "%d scale %s %d" % (at * US, self.name, op[2])
        if verb == "count":
            return "%d count %s" % (at * US, self.name)
        return "%d %s %s" % (at * US, verb, op[2])

    def timeline(self):
        return sorted(self.ops + [(at, "count") for at in self.counts], key=lambda op: op[0])


def times(spec, late):
    # The simulation's grace is only a limit: an exit may be late.
    return "%d %d %d" % ((spec["grace"] + 1) * US + late * US, (spec["start"] + late) * US, (spec["exit"] + late) * US)


def run_player(lines):
    """What the simulation prints, line by line."""
    done = subprocess.run([PLAYER], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=60)
    if done.returncode != 0:
        raise LabError("sim_history: exit status %d: %s" % (done.returncode, done.stderr))
    return done.stdout.splitlines()


def play(lines):
    """({group: [(paid, filler, leaving)]}, {group: {pod: seconds or None}})"""
    counts, waits = {}, {}
    for row in map(str.split, run_player(lines)):
        if row[0] == "count":
            counts.setdefault(row[1], []).append(tuple(map(int, row[2:])))
        else:
            waits.setdefault(row[1], {})[row[2]] = None if row[3] == "-" else int(row[3]) / US
    return counts, waits


def play_all(histories, timelines, number=1, late=0.05, epoch=0.0, jitter=0):
    """All of them in one simulated cluster; `timelines` {name: ops}. `number` chooses luck, `epoch` is the wall clock at 0."""
    lines = ["set seed %d" % number, "set client_rate 0", "set epoch_us %d" % (epoch * US),
             "set jitter_percent %d" % jitter]
    lines += ["set attempt_us %d" % (2000 + late * 40000), "set call_us %d" % (2000 + late * 40000)]
    for h in histories:
        lines += h.head(late)
    ops = heapq.merge(*([(op[0], i, h.line(op, late)) for i, op in enumerate(timelines[h.name])] for h in histories))
    return play(lines + [line for _, _, line in ops])


def steady(history):
    """Does neither luck nor a slow machine change what is compared?"""
    first = None
    for number in range(1, TOLERANT_RUNS + 1):
        late = 0.01 + SLACK * number / TOLERANT_RUNS
        counts, waits = play_all([history], {history.name: history.timeline()}, number, late, number / TOLERANT_RUNS, number % 4 * 3)
        answer = counts.get(history.name, []), sorted(w if w is not None else 1e9 for w in waits.get(history.name, {}).values())
        if first is None:
            first = answer
        elif answer[0] != first[0] or not near(answer[1], first[1]):
            return False
    return True


def near(a, b, apart=WAIT_APART):
    return len(a) == len(b) and all(abs(x - y) <= apart for x, y in zip(a, b))


def draw(base, first, count):
    """`count` histories that are steady; how many were thrown away."""
    taken, thrown = [], 0
    for index in range(first, first + count):
        for attempt in itertools.count():
            history = History("h%d" % index, random.Random("%d/%d/%d" % (base, index, attempt)))
            if steady(history):
                taken.append(history)
                break
            thrown += 1
    return taken, thrown


# --- the real thing -------------------------------------------------------------------------------------------------------------

class Record:
    """What became of each pod, from a watch."""

    def __init__(self, events, began):
        # {(namespace, name): [filler, bound, leaving, gone, seen, tried, running]}, seconds since `began`
        self.pods = {}
        for e in events:
            meta = e.object["metadata"]
            entry = self.pods.setdefault((meta["namespace"], meta["name"]), [bool(meta.get("ownerReferences"))] + [None] * 6)
            at = e.mono - began
            for place, true in ((4, True), (5, e.object["tried"]), (6, e.object["phase"] == "Running")):
                if true and entry[place] is None:
                    entry[place] = at
            if e.object["spec"].get("nodeName") and entry[1] is None:
                entry[1] = at
            if meta.get("deletionTimestamp") and entry[2] is None:
                entry[2] = at
            # What has ended takes no room, though its object may take its time to go.
            if entry[3] is None and (e.type == "DELETED" or e.object["phase"] in ("Failed", "Succeeded")):
                entry[3] = at

    def count(self, namespace, at):
        there = [p for (ns, _), p in self.pods.items()
                 if ns == namespace and p[1] is not None and p[1] <= at and (p[3] is None or p[3] > at)]
        return (sum(not p[0] for p in there), sum(p[0] for p in there), sum(p[2] is not None and p[2] <= at for p in there))

    def lag(self, history):
        """The most that a first attempt, a start or an exit of its pods came later than it should, in seconds; what had come and
        started before the first step is left out."""
        found = [0.0]
        for (namespace, name), (filler, bound, leaving, gone, seen, tried, running) in self.pods.items():
            if namespace != history.name:
                continue
            spec = history.filler if filler else history.pods[name]
            if tried is not None and tried > history.began:
                found.append(tried - seen)
            if bound is not None and running is not None and running > history.began:
                found.append(running - bound - spec["start"])
            if gone is not None and leaving is not None and running is not None and running < leaving:
                found.append(gone - leaving - spec["exit"])
        return max(found)

    def wait(self, namespace, name, created):
        entry = self.pods.get((namespace, name))
        return None if entry is None or entry[1] is None else entry[1] - created


def pod_of(history, name):
    p = history.pods[name]
    more = {"schedulingGates": [{"name": "test/hold"}]} if p["gated"] else {}
    return pod(name, history.name, cpu="%dm" % p["cpu"], memory="%dMi" % p["memory"], grace=p["grace"], priority_class=p["class"],
               nodeSelector={"group": history.name}, annotations=timing(start=p["start"], exit=p["exit"]), **more)


def do(lab, history, op):
    """Carries one step's part out."""
    pods = "/api/v1/namespaces/%s/pods" % history.name
    if op[1] == "create":
        lab.api("POST", pods, pod_of(history, op[2]))
    elif op[1] == "delete":
        lab.delete("%s/%s" % (pods, op[2]))
    elif op[1] == "ungate":
        lab.api("PATCH", "%s/%s" % (pods, op[2]), {"spec": {"schedulingGates": None}})
    else:
        lab.scale(history.name, "filler", op[2])


def prepare(lab, histories):
    for h in histories:
        lab.namespace(h.name)
        for name, cores, memory in h.nodes:
            lab.add_node(name, cpu=cores, memory="%dGi" % memory, labels={"group": h.name})
        f = h.filler
        lab.apply(deployment("filler", 0, h.name, cpu="%dm" % f["cpu"], memory="%dMi" % f["memory"], grace=f["grace"],
                             priority_class="filler", nodeSelector={"group": h.name},
                             annotations=timing(start=f["start"], exit=f["exit"])))
    lab.wait_nodes()
    time.sleep(1)


def clear(lab, histories):
    for h in histories:
        lab.delete("/apis/apps/v1/namespaces/%s/deployments" % h.name)

    def empty():
        for namespace in {p["metadata"]["namespace"] for p in lab.items("/api/v1/pods")}:
            lab.delete("/api/v1/namespaces/%s/pods" % namespace, 0)
        return not lab.items("/apis/apps/v1/replicasets") and not lab.items("/api/v1/pods")
    lab.wait_until(empty, 60, "the cluster to be empty", 0.3)
    lab.delete("/api/v1/nodes")


def run_batch(lab, histories):
    """Carries them out side by side. Returns {name: the ops at the times at which they were done} and the record."""
    prepare(lab, histories)
    watch = lab.watch("/api/v1/pods", pick=slim)
    began = time.monotonic()
    done = {h.name: [] for h in histories}

    def run(history):
        for op in history.ops:
            time.sleep(max(0.0, began + op[0] - time.monotonic()))
            do(lab, history, op)
            done[history.name].append((time.monotonic() - began,) + op[1:])

    with concurrent.futures.ThreadPoolExecutor(len(histories)) as pool:
        list(pool.map(run, histories))
    time.sleep(max(0.0, began + max(h.counts[-1] for h in histories) + 0.5 - time.monotonic()))
    watch.stop()
    for h in histories:
        done[h.name] = sorted(done[h.name] + [(at, "count") for at in h.counts], key=lambda op: op[0])
    record = Record(watch.events, began)
    record.epoch = time.time() - time.monotonic() + began
    clear(lab, histories)
    return done, record


def slim(obj):
    meta = obj["metadata"]
    keep = {k: meta[k] for k in ("namespace", "name", "deletionTimestamp", "ownerReferences") if k in meta}
    status, node = obj.get("status", {}), obj["spec"].get("nodeName")
    tried = bool(node) or any(c["type"] == "PodScheduled" for c in status.get("conditions", []))
    return {"metadata": keep, "spec": {"nodeName": node}, "phase": status.get("phase"), "tried": tried}


# --- the verdict ----------------------------------------------------------------------------------------------------------------

class Sums:
    def __init__(self):
        self.histories = self.equal = self.steps = self.equal_steps = self.thrown = self.slow = 0
        self.waits, self.apart = [], []

    def take(self, history, real, simulated, real_waits, simulated_waits):
        """Adds one history; returns the differences as texts."""
        differences = []
        for number, (a, b) in enumerate(zip(real, simulated)):
            if a != b:
                differences.append("step %d: bound (paid, filler, leaving) %s, simulated %s" % (number, a, b))
        self.steps += len(real)
        self.equal_steps += len(real) - len(differences)
        a, b = in_order(real_waits), in_order(simulated_waits)
        if not near(a, b):
            differences.append("waits %s, simulated %s" % (["%.1f" % w for w in a], ["%.1f" % w for w in b]))
        self.waits += [w for w in a if w < NEVER]
        self.apart += [abs(x - y) for x, y in zip(a, b) if x < NEVER and y < NEVER]
        self.histories += 1
        self.equal += not differences
        return differences


NEVER = 1e6


def in_order(waits):
    return sorted(NEVER if w is None else w for w in waits.values())


def compare(sums, histories, slow, done, record):
    """Plays them all, since they share the cluster; those that were too slow are not judged."""
    counts, waits = play_all(histories, done, epoch=record.epoch)
    found = []
    for h in histories:
        if h in slow:
            continue
        real = [record.count(h.name, at) for at in h.counts]
        created = {op[2]: op[0] for op in done[h.name] if op[1] == "create"}
        real_waits = {name: record.wait(h.name, name, at) for name, at in created.items()}
        found += ["%s: %s" % (h.name, d)
                  for d in sums.take(h, real, counts[h.name], real_waits, waits.get(h.name, {}))]
    return found


@test(timeout=400)
def the_simulation_does_what_the_control_plane_does(t):
    base, sums = seed(), Sums()
    t.figure("BRIM_SEED", base)
    # The limit of 20 calls a second would make each history wait for its neighbours; it has a test of its own.
    unlimited = ["--kube-api-qps=2000", "--kube-api-burst=2000"]
    args = {"kube-controller-manager": unlimited, "kube-scheduler": unlimited}
    with t.own_lab(start=0, args=args) as lab:
        lab.apply([priority_class("paid", PAID), priority_class("equal", EQUAL), priority_class("filler", FILLER, preemption=False)])
        number = ALL if t.long else HISTORIES
        waiting, sums.thrown = draw(base, 0, number)
        for _ in range(-(-number // AT_ONCE) * 3 // 2):
            batch, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
            if not batch:
                break
            done, record = run_batch(lab, batch)
            slow = [h for h in batch if record.lag(h) > TOO_SLOW]
            for difference in compare(sums, batch, slow, done, record):
                t.check(False, difference)
            waiting += slow
            sums.slow += len(slow)
    t.check(sums.histories >= number * 3 // 4, "the machine was too slow for all but %d of %d histories" % (sums.histories, number))
    t.figure("histories (drawn, but a matter of luck)", "%d (%d)" % (sums.histories, sums.thrown))
    t.figure("equal histories", sums.equal)
    t.figure("equal steps of", "%d of %d" % (sums.equal_steps, sums.steps))
    t.figure("waits of paid pods: number, median, longest", "%d, %.2f s, %.2f s" % (
        len(sums.waits), statistics.median(sums.waits), max(sums.waits)))
    t.figure("waits apart: median, most", "%.2f s, %.2f s" % (statistics.median(sums.apart), max(sums.apart)))
    t.figure("plays that the machine was too slow for", sums.slow)


# --- autoscalers ----------------------------------------------------------------------------------------------------------------

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


@test(timeout=120)
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

"""stage: a pocket cluster, a proxy that fails, an agent behind it, and what must be so whatever fails.

While a story lasts, at every write of the agent's that the server carried out:
  - the target's replicas are no more than fit beside the paid pods that there were when the request came or RACE_S before, or
    than they were before;
  - nothing grows and no pod is let in while pods and nodes were not heard of for STALE_S, or their watches are not there or
    not yet whole;
  - a pod is let in to a node that is open, and has room for it beside paid pods and all filler that stands there.
After each step (`settle`, `known`), and at the end of every story: every figure of the agent's status, metrics and table of
nodes, and of `brim capacity`, is what the server's pods and nodes come to (recount.py).
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import recount
import test_pocket
from faulty import Proxy
from recount import Recount
from test_pocket import MINER, PATIENCE, WEB, Pocket, checks, free_port, wait_until

POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: miner}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}
  replicas: {min: 0, max: 150}
  headroom: {mode: fixed, max: 2}
  settle: 3s
"""
PODS = "/api/v1/namespaces/default/pods"
FILLER = "/api/v1/namespaces/filler/pods"
STALE_S = 90  # the policy's default
# A paid pod that came this short a time ago may have met growth on its way; more on a machine that is busy.
RACE_S, SAMPLE_S = 1.5, 0.25
SOURCES = ("/api/v1/pods", "/api/v1/nodes")


class Stage:
    def __init__(self, *args, policy=POLICY, scenario="faults", context=None, kubeconfig=None, env=None, make=Proxy):
        self.stack = contextlib.ExitStack()
        self.pocket = self.stack.enter_context(Pocket("--scenario", scenario, *args))
        self.server, self.wrong, self.seen = self.pocket.server, [], []
        self.counting, self.truth, self.counted_at = threading.Lock(), None, -1.0
        self.proxy = self.stack.enter_context(make(self.pocket.url, context=context))
        self.proxy.asked, self.proxy.answered = self.on_ask, self.on_answer
        text = (kubeconfig or "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"%s\"}}]\n"
                "users: [{name: u, user: {token: pocket}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
                "current-context: c\n").replace("%s", self.proxy.url)
        self.kubeconfig, self.policy, self.env = self.pocket.file("proxied", text), policy, env
        self.log_path, self.agent, self.url, self.patches = os.path.join(self.pocket.dir.name, "log"), None, None, []
        self.ending = threading.Event()
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            if exc[0] is None and self.agent is not None:
                self.known(60)
        finally:
            status = self.end()
            if exc[0] is not None or status != 0:
                print("%s\n%s" % (exc[1], self.text()[-6000:]), file=sys.stderr)
            self.stack.close()
        if exc[0] is None:
            assert status == 0, "brim ended with %s" % status
            assert not self.wrong, self.wrong

    def end(self):
        self.ending.set()
        self.sampler.join()
        status = 0
        if self.agent is not None:
            self.agent.terminate()
            try:
                status = self.agent.wait(15)
            except subprocess.TimeoutExpired:
                self.agent.kill()
                self.agent.wait()
                status = "no end"
            self.log.close()
        return status

    def start(self):
        self.log = open(self.log_path, "w")
        self.url = "http://127.0.0.1:%d" % free_port()
        self.agent = subprocess.Popen([test_pocket.BRIM, "agent", "--kubeconfig", self.kubeconfig, "--policy",
                                       self.pocket.file("policy.yaml", self.policy), "--listen", self.url[7:]],
                                      stderr=self.log, env=dict(os.environ, **(self.env or {})))

    # ---- what must always be so ----

    def sample(self):
        version, truth = None, None
        while not self.ending.wait(SAMPLE_S):
            with contextlib.suppress(OSError, AssertionError, KeyError):
                now = self.server.get("/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"]
                if now != version:
                    version, truth = now, self.recount(time.monotonic())
                self.seen.append((time.monotonic(), truth))
                del self.seen[:-400]

    def recount(self, at):
        """What there was at this moment or after it; who asks for the same at once gets the same."""
        with self.counting:
            if self.counted_at < at:
                began = time.monotonic()
                self.truth, self.counted_at = Recount(self.server), began
            return self.truth

    def race(self):
        """How old what the agent goes by may be: the slower this machine, as the samples' pauses show, the older."""
        times = [t for t, _ in self.seen[-60:]]
        return RACE_S + 4 * max([b - a - SAMPLE_S for a, b in zip(times, times[1:])] or [0])

    def lately(self, r):
        """The cluster now, and at moments before the request that the agent may still have gone by."""
        now, since = self.recount(time.monotonic()), r.at - self.race()
        before = [i for i, (t, _) in enumerate(self.seen) if t < since]
        return [now] + [truth for _, truth in self.seen[max(before or [0]):]]

    def on_ask(self, r):
        r.before = self.replicas() if r.is_scale else None

    def on_answer(self, r, status):
        if status != 200 or r.method != "PATCH":
            return
        if r.is_scale:
            self.on_scale(r)
        elif r.path.startswith(FILLER + "/") and b"schedulingGates" in r.body:
            self.on_admission(r)

    def on_scale(self, r):
        body = json.loads(r.body)
        grows = isinstance(body, list)
        to = body[-1]["value"] if grows else body["spec"]["replicas"]
        self.patches.append((r.at, to))
        fit = max(truth.fit() for truth in self.lately(r))
        if to > max(fit, r.before):
            self.wrong.append("%d replicas were made %d where %d fit" % (r.before, to, fit))
        if grows:
            self.check_sources("grew to %d" % to, r)

    def on_admission(self, r):
        name = json.loads(r.body)["spec"]["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
        truths = self.lately(r)
        here = truths[0].nodes.get(name)
        filler = here.filler["pods"] + here.leaving["pods"] + here.coming if here else 1
        if not any(truth.holds(name, filler) for truth in truths):
            self.wrong.append("%s was let in to %s, where %d filler pods do not fit" % (r.path, name, filler))
        self.check_sources("let in %s" % r.path, r)

    def check_sources(self, what, r):
        for path in SOURCES:
            if r.at - self.proxy.book.heard.get(path, 0) > STALE_S + 1:
                self.wrong.append("%s, and nothing was heard from %s" % (what, path))
            if not self.proxy.book.watched(path, r.at - self.race()):
                self.wrong.append("%s, and no watch of %s was there" % (what, path))

    # ---- the agent ----

    def text(self):
        with contextlib.suppress(OSError), open(self.log_path) as f:
            return f.read()
        return ""

    def wait_log(self, pattern, timeout=15):
        wait_until(lambda: re.search(pattern, self.text()), timeout, "the log to say %r" % pattern)

    def status(self):
        return json.loads(recount.ask(self.url + "/api/v1/status"))

    def metric(self, name):
        """A sample, by its name and labels."""
        return next(float(line.split()[-1]) for line in recount.ask(self.url + "/metrics").splitlines() if line.startswith(name + " "))

    def replicas(self):
        return self.server.get(MINER)["spec"]["replicas"]

    def placed(self):
        """The condition PodsPlaced."""
        return {c["type"]: c["status"] for c in self.status()["fillers"][0]["conditions"]}.get("PodsPlaced")

    def unknown(self):
        """What the agent says of the cluster otherwise than the server; None: nothing."""
        truth = Recount(self.server)
        try:
            status = self.status()
            columns = recount.ask(self.url + "/api/v1/nodes?names=1")
            metrics = recount.ask(self.url + "/metrics")
        except OSError as e:
            return str(e)
        if not status["fillers"]:
            return "no filler"
        if columns is None:
            return "no table of nodes"
        pairs = recount.facts(status, truth)
        pairs.update(recount.figures(recount.metrics_of(metrics), truth))
        pairs.update(recount.table(json.loads(columns), truth))
        return recount.differences(pairs)

    def difference(self):
        """What it knows or has done otherwise than it should; None: nothing."""
        found = self.unknown()
        if found is not None:
            return found
        truth, f, replicas = Recount(self.server), self.status()["fillers"][0], self.replicas()
        return recount.differences({
            "filler pods": (truth.filler, replicas), "bound": (truth.bound, replicas), "running": (f["running"], replicas),
            "replicas": (f["replicas"], replicas), "full": (replicas, f["set_point"]), "state": (f["state"], "steady")})

    def wait_for(self, difference, timeout):
        timeout *= PATIENCE
        end = time.monotonic() + timeout
        while True:
            found = difference()
            if found is None:
                return
            assert time.monotonic() < end, "after %g s: %s" % (timeout, found)
            time.sleep(0.2)

    def known(self, timeout=30):
        """Until the agent knows what is so, to the last figure; and so does `brim capacity`."""
        self.wait_for(self.unknown, timeout)
        self.wait_for(self.miscounted, timeout)

    def settle(self, timeout=30):
        """Until it has done what it should, too."""
        self.wait_for(self.difference, timeout)
        self.wait_for(self.miscounted, timeout)

    def miscounted(self):
        """What `brim capacity` says otherwise than the server; None: nothing."""
        truth = Recount(self.server)
        run = subprocess.run([test_pocket.BRIM, "capacity", "--kubeconfig", self.pocket.kubeconfig, "-n", "filler", "--filler",
                              "app=miner", "-o", "json"], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        return recount.differences(recount.capacity(json.loads(run.stdout), truth))

    def begin(self, timeout=30):
        self.start()
        self.settle(timeout)

    # ---- the cluster ----

    def paid(self, name, cores, more=None, **meta):
        container = dict({"name": "c", "image": "none", "resources": {"requests": {"cpu": str(cores), "memory": "1Gi"}}})
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container] + (more or [])}
        status, body = self.server.ask("POST", PODS, {"metadata": dict({"name": name}, **meta), "spec": spec})
        assert status == 201, body

    def unpaid(self, name):
        self.server.ask("DELETE", PODS + "/" + name)

    def scale(self, path, n):
        status, body = self.server.ask("PATCH", path + "/scale", {"spec": {"replicas": n}}, checks.MERGE)
        assert status == 200, body

    def node(self, name, spec):
        status, body = self.server.ask("PATCH", "/api/v1/nodes/" + name, {"spec": spec}, checks.MERGE)
        assert status == 200, body

    def ready(self, name, ready):
        """What the node lifecycle controller makes of a node that is heard of or not."""
        condition = {"type": "Ready", "status": "True" if ready else "Unknown",
                     "reason": "KubeletReady" if ready else "NodeStatusUnknown"}
        taints = None if ready else [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]
        status, body = self.server.ask("PATCH", "/api/v1/nodes/" + name, {
            "spec": {"taints": taints}, "status": {"conditions": [condition]}}, checks.MERGE)
        assert status == 200, body

    def filler(self):
        """The node of each filler pod, by name."""
        return {p["metadata"]["name"]: p["spec"].get("nodeName") for p in self.server.get(FILLER)["items"]}

    def restart(self):
        """The server forgets its history and ends its watches."""
        self.pocket.process.send_signal(signal.SIGHUP)

    def restore(self):
        """etcd is restored from a backup: versions go back."""
        before = self.version()
        self.pocket.process.send_signal(signal.SIGURG)
        wait_until(lambda: self.version() < before, 5, "a lower version")

    def version(self):
        return int(self.server.get("/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"])

    def change(self):
        """Something of everything happens: pods come, go and grow in number, a node is cordoned."""
        self.paid("there", 2)
        self.scale(WEB, 3)
        self.node("n-1", {"unschedulable": True})

    def change_back(self):
        self.unpaid("there")
        self.scale(WEB, 2)
        self.node("n-1", {"unschedulable": None})

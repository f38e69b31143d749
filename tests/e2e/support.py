"""support: what the end-to-end tests share: the mark for tests, checks that add up, the agent, the example's files.

    from support import test

    @test(timeout=120)
    def readiness_follows_the_watches(t):
        lab = t.lab()                                # a control plane, shared with the tests before and after
        agent = t.agent(lab)                         # brim with deploy/examples/003, under its service account
        t.check(agent.status()["nodes"] == 6, "…")   # counts a failure and goes on
        t.figure("ready after", "%.2f s" % seconds)

A test's name is a sentence. It fails by an exception or by a check that did not hold; figures are printed with the result.
"""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "lab"))

from lab import Lab, LabError, Process, deployment, free_port  # noqa: E402

BRIM = os.environ.get("BRIM") or os.path.join(ROOT, "build", "agent", "brim")
EXAMPLE = os.path.join(ROOT, "deploy", "examples", "003")
NODES = {"n1": 32, "n2": 32, "n3": 32, "n4": 32, "n5": 32, "n6": 24}  # cores; 184 in all
MINER = "/apis/apps/v1/namespaces/filler/deployments/miner"

SHORT_SETTLE = 25  # seconds; the least that is not raised is twice the reaction time of 11.3 s


class Skipped(Exception):
    """The test cannot run here; the text says why."""


class CheckFailed(Exception):
    """At least one check did not hold."""


def test(timeout=120, long=False, alone=False):
    """Marks a function as a test. `timeout`: seconds on an idle machine; the tests with the highest begin first. `long`: only with
    --long. `alone`: it measures, and runs when no other test does."""
    def mark(fn):
        fn.e2e = {"timeout": timeout, "long": long, "alone": alone, "line": fn.__code__.co_firstlineno}
        return fn
    return mark


def read(path):
    with open(path) as f:
        return f.read()


def example(name):
    """The text of a file of deploy/examples/003."""
    return read(os.path.join(EXAMPLE, name))


def policy_text(settle=SHORT_SETTLE, **changes):
    """The example's policy with another settle time; `changes` replace whole lines of the spec: replicas="{min: 0, max: 5}"."""
    text, found = re.subn(r"(?m)^  settle: .*$", "  settle: %gs" % settle, example("policy.yaml"))
    if found != 1:
        raise LabError("the example's policy has no line 'settle'")
    for key, value in changes.items():
        line = "  %s: %s" % (key, value)
        text, found = re.subn(r"(?m)^  %s: .*$" % re.escape(key), lambda _: line, text)
        if not found:
            text += line + "\n"
    return text


def http_get(port, path):
    """(status, text) of http://127.0.0.1:PORT; status 0 while nobody listens."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        conn.request("GET", path)
        answer = conn.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        conn.close()


class Brim(Process):
    """`brim agent` under the lab's care."""

    def __init__(self, lab, name, kubeconfig, policy, args=(), env=None):
        self.lab, self.port = lab, free_port()
        argv = [BRIM, "agent", "--kubeconfig", kubeconfig, "--policy", policy, "--listen", "127.0.0.1:%d" % self.port] + list(args)
        inherited = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
        super().__init__(name, argv, lab.log_path(name), dict(inherited, **(env or {})))
        lab.processes[name] = self  # stopped with the lab; its end is noticed by every wait

    def get(self, path):
        """(status, text); status 0 while nobody listens."""
        return http_get(self.port, path)

    def json(self, path):
        status, text = self.get(path)
        if status != 200:
            raise LabError("%s of brim answered %d: %s" % (path, status, text[:200]))
        return json.loads(text)

    def status(self):
        return self.json("/api/v1/status")

    def filler(self):
        """The first filler of the status."""
        return self.status()["fillers"][0]

    def decisions(self):
        return self.json("/api/v1/decisions")["decisions"]

    def ready(self):
        return self.get("/readyz")[0] == 200

    def metrics(self):
        """{(name, frozenset of labels): value}"""
        return parse_metrics(self.get("/metrics")[1])

    def wait_ready(self, timeout=30):
        self.lab.wait_until(self.ready, timeout, "brim to be ready", 0.02)
        return self

    def url(self):
        return "http://127.0.0.1:%d" % self.port


def parse_metrics(text):
    samples = {}
    for line in text.splitlines():
        match = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
        if match and not line.startswith("#"):
            labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match.group(2) or ""))
            samples[match.group(1), labels] = float(match.group(3))
    return samples


def brim(*args, input=None, timeout=60):
    """Runs a command of brim. Returns (exit status, stdout, stderr)."""
    env = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
    done = subprocess.run([BRIM] + [str(a) for a in args], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, env=env, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def capacity(lab, *args):
    """The rows of `brim capacity -o json`, by name."""
    status, out, err = brim("capacity", "--kubeconfig", lab.kubeconfig, "--filler", "app=miner", "-n", "filler", "-o", "json", *args)
    if status != 0:
        raise LabError("brim capacity: exit status %d: %s" % (status, err))
    answer = json.loads(out)
    return dict({row["name"]: row for row in answer["rows"]}, **{"(total)": answer["total"]})


def requests_log(lab, user="system:serviceaccount:brim:brim"):
    """The audit log's entries of one user; of all for None."""
    with open(lab.audit_log) as f:
        entries = [json.loads(line) for line in f if line.endswith("}\n")]
    return [e for e in entries if user is None or e["user"].get("username") == user]


class T:
    """One run of one test."""

    shared = None  # the lab that tests share, once booted
    server = None  # the pid of its API server as of the latest reset

    def __init__(self, name, long):
        self.name, self.long = name, long
        self.failures, self.figures, self.agents = [], [], []

    # -- results

    def check(self, true, text):
        if not true:
            self.failures.append(text)
        return bool(true)

    def figure(self, what, value):
        self.figures.append((what, value))

    def finish(self):
        if self.failures:
            raise CheckFailed("; ".join(self.failures))

    # -- the world

    def lab(self):
        """The shared lab with the example's cluster: 6 nodes, everything of deploy/examples/003 but web.yaml, no pods."""
        if T.shared is None:
            T.shared = Lab(start=1, audit=True, hpa_sync=2)
            try:
                T.shared.__enter__()
                make_cluster(T.shared)
            except BaseException:
                T.drop_shared(failed=True)
                raise
        server = T.shared.processes["kube-apiserver"].pid
        if T.server not in (None, server):
            restart_clients(T.shared)
        T.server = server
        reset(T.shared)
        return T.shared

    @contextlib.contextmanager
    def own_lab(self, **options):
        """A control plane for this test alone; its logs are kept if a check did not hold."""
        with Lab(**options) as lab:
            yield lab
            self.finish()

    @staticmethod
    def drop_shared(failed=False):
        lab, T.shared, T.server = T.shared, None, None
        if lab is not None:
            lab.shutdown(failed=failed)

    def file(self, lab, name, text):
        path = lab.path("%s-%s" % (self.name[:40], name))
        with open(path, "w") as f:
            f.write(text)
        return path

    def agent(self, lab, policy=None, kubeconfig=None, args=(), start=True, env=None):
        """`brim agent` with this policy text, as the service account of the example; ready when this returns. `env` is added."""
        path = self.file(lab, "policy-%d.yaml" % len(self.agents), policy or policy_text())
        name = "brim-%s-%d" % (self.name[:40], len(self.agents))
        kubeconfig = kubeconfig or lab.service_account_kubeconfig("brim", "brim")
        agent = Brim(lab, name, kubeconfig, path, args, env)
        self.agents.append(agent)
        if start:
            agent.start()
            agent.wait_ready()
        return agent

    def stop_agents(self):
        for agent in self.agents:
            agent.stop()
            agent.lab.processes.pop(agent.name, None)


def make_cluster(lab):
    for name, cores in NODES.items():
        lab.add_node(name, cpu=cores, memory="%dGi" % (cores * 4), pods=110)
    lab.wait_nodes()
    for name in ("namespace.yaml", "priorityclass.yaml", "rbac.yaml"):
        lab.apply(example(name))


def restart_clients(lab):
    """After an outage of the API server its other clients wait ever longer before they list again; new ones do not."""
    for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
        lab.restart(name)


def reset(lab):
    """No pods, no autoscalers, and the example as it lies in its folder; the nodes stay, and are ready again if an outage kept
    their heartbeats from the API server."""
    lab.check()
    for namespace in ("filler", "default"):
        for kinds in ("/apis/autoscaling/v2/namespaces/%s/horizontalpodautoscalers", "/apis/apps/v1/namespaces/%s/deployments",
                      "/api/v1/namespaces/%s/events"):
            lab.delete(kinds % namespace)

    def empty():
        for namespace in {p["metadata"]["namespace"] for p in lab.items("/api/v1/pods")}:
            lab.delete("/api/v1/namespaces/%s/pods" % namespace, 0)
        return not lab.items("/apis/apps/v1/replicasets") and not lab.items("/api/v1/pods")
    lab.wait_until(empty, 60, "the cluster to be empty", 0.2)
    lab.wait_nodes(timeout=60)
    for name in ("rbac.yaml", "filler.yaml"):
        lab.apply(example(name))


def replicas(lab, path=MINER):
    return lab.api("GET", path)["spec"]["replicas"]


def paid(name, count, cores, **more):
    """A paid Deployment in the namespace default whose pods go within a second."""
    return deployment(name, count, cpu=str(cores), memory="1Gi", grace=1, **more)

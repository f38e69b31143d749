#!/usr/bin/env python3
"""The pocket cluster: what clients rely on, in JSON and protobuf, over HTTP and TLS; and the agent beside it.

usage: test_pocket.py POCKET BRIM [STORY…]
"""

import contextlib
import datetime
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "pocket"))

import checks  # noqa: E402
import lanes  # noqa: E402

POCKET = BRIM = None
LANES = 6
PATIENCE = 3  # how much longer than they say waits may take: stories name what is enough on an idle machine
MINER = "/apis/apps/v1/namespaces/filler/deployments/miner"
WEB = "/apis/apps/v1/namespaces/default/deployments/web"


class Pocket:
    """A pocket cluster of its own."""

    def __init__(self, *args):
        self.dir = tempfile.TemporaryDirectory()
        self.kubeconfig = os.path.join(self.dir.name, "kubeconfig")
        self.process = subprocess.Popen([POCKET, "--listen", "127.0.0.1:0", "--kubeconfig", self.kubeconfig, *args],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("pocket: "):
            raise RuntimeError("pocket said %r and ended with %s" % (line, self.process.wait()))
        with open(self.kubeconfig) as f:
            self.url = re.search(r"server: (\S+)", f.read()).group(1)
        self.server = checks.Server(self.url)
        self.server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": checks.NAMESPACE}})

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        status = self.process.wait(30)
        self.process.stdout.close()
        self.dir.cleanup()
        if status != 0 and exc[0] is None:
            raise AssertionError("pocket ended with %d" % status)

    def hang_up(self):
        """All watches end, and history is gone: when this returns, also on a busy machine."""
        conn = self.server.connect()
        conn.request("GET", "/api/v1/namespaces?watch=1")
        answer = conn.getresponse()
        assert b"ADDED" in answer.readline()
        self.process.send_signal(signal.SIGHUP)
        answer.read()
        conn.close()

    def file(self, name, text):
        path = os.path.join(self.dir.name, name)
        with open(path, "w") as f:
            f.write(text)
        return path


class Agent:
    """`brim agent` beside a pocket cluster."""

    def __init__(self, pocket, settle="25s", policy=None, db=False, args=()):
        """`policy`: the files' text; `args`: further flags; `db`: with the history that agents beside this pocket cluster share."""
        if policy is None:
            with open(os.path.join(ROOT, "deploy", "examples", "003", "policy.yaml")) as f:
                policy = re.sub(r"(?m)^  settle: .*$", "  settle: %s" % settle, f.read())
        self.path = pocket.file("policy.yaml", policy)
        self.log = open(os.path.join(pocket.dir.name, "agent.log"), "w+")
        self.ends = 0  # its exit status
        self.url = "http://127.0.0.1:%d" % free_port()
        self.process = subprocess.Popen([BRIM, "agent", "--kubeconfig", pocket.kubeconfig, "--policy",
                                         self.path, "--listen", self.url[7:], *args,
                                         *(["--db", os.path.join(pocket.dir.name, "history.db")] if db else [])],
                                        stderr=self.log)
        self.wait_log("listen=")

    def text(self):
        self.log.flush()
        with open(self.log.name) as f:
            return f.read()

    def wait_log(self, pattern, timeout=30):
        end = time.monotonic() + timeout * PATIENCE
        while time.monotonic() < end:
            found = re.search(pattern, self.text())
            if found:
                return found.group(1) if found.groups() else found.group(0)
            time.sleep(0.05)
        raise AssertionError("the log never said %r:\n%s" % (pattern, self.text()))

    def policy(self, text):
        """Other policies in the file that the agent follows: swapped, as an editor does."""
        with open(self.path + ".new", "w") as f:
            f.write(text)
        os.replace(self.path + ".new", self.path)

    def kill(self):
        self.process.kill()
        self.ends = self.process.wait()

    def status(self):
        with urllib.request.urlopen(self.url + "/api/v1/status", timeout=5 * PATIENCE) as answer:
            return json.load(answer)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        status = self.process.wait(30)
        self.log.close()
        if status != self.ends and exc[0] is None:
            raise AssertionError("brim ended with %d" % status)


def wait_until(fn, timeout, what):
    end = time.monotonic() + timeout * PATIENCE
    while not fn():
        if time.monotonic() > end:
            raise AssertionError("waited %g s for %s" % (timeout * PATIENCE, what))
        time.sleep(0.05)


def free_port():
    """Not one of those that the kernel gives to connections: until it is listened on, one of the other stories' would take it."""
    while True:
        port = random.randrange(10000, 32768)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def ms(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def create_paid_pod(pocket, name, cpu):
    checks.create(pocket.server, "/api/v1/namespaces/default/pods", {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}]}})


def replicas(pocket, path):
    return pocket.server.get(path)["spec"]["replicas"]


class Clients(unittest.TestCase):
    """checks.py against a pocket cluster without nodes."""

    @classmethod
    def setUpClass(cls):
        cls.pocket = Pocket("--scenario", "empty")

    @classmethod
    def tearDownClass(cls):
        cls.pocket.__exit__(None, None, None)


for check in checks.CHECKS:
    setattr(Clients, "test_" + check.__name__, lambda self, check=check: check(self.pocket.server))


GATED = """
nodes:
  - {name: n, count: 3, cpu: 4, memory: 16Gi, pods: 110}
workloads:
  - {namespace: filler, name: miner, replicas: 5, cpu: 1, memory: 1Gi, packs: true, gate: brim.dev/room}
"""


class Gates(unittest.TestCase):
    def test_a_pod_goes_where_it_is_let_in(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as scenario:
            scenario.write(GATED)
            scenario.flush()
            p = Pocket("--scenario", scenario.name, "--speed", "10")
        with p:
            path = "/api/v1/namespaces/filler/pods"
            wait_until(lambda: len(p.server.get(path)["items"]) == 5, 10, "the pods")
            pods = p.server.get(path)["items"]
            for pod, node in zip(pods, ("n-0", "n-1", "n-2", "n-1")):
                here = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
                body = {"metadata": {"uid": pod["metadata"]["uid"]}, "spec": {"schedulingGates": None, "affinity": {
                    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": here}}}}}
                status, answer = p.server.ask("PATCH", path + "/" + pod["metadata"]["name"], body, checks.MERGE)
                self.assertEqual(status, 200, answer)
                self.assertIn("podAffinity", answer["spec"]["affinity"])

            def where():
                return [pod["spec"].get("nodeName") for pod in p.server.get(path)["items"]]
            wait_until(lambda: where() == ["n-0", "n-1", "n-2", "n-1", None], 10, "the pods to be bound, all but the gated one")


class Wire(unittest.TestCase):
    def test_a_watch_too_far_back_can_be_refused_by_status(self):
        with Pocket("--gone", "status") as p:
            checks.refused(p.server.ask("GET", "/api/v1/pods?watch=1&resourceVersion=1"), 410, "Expired")

    def test_after_a_hangup_all_watches_end_and_history_is_gone(self):
        with Pocket() as p:
            before = checks.version(p.server.get(checks.MAPS))
            checks.create(p.server, checks.MAPS, checks.config_map("a"))
            page = p.server.get("/api/v1/namespaces?limit=1")
            conn = p.server.connect()
            conn.request("GET", checks.MAPS + "?watch=1&resourceVersion=" + before)
            answer = conn.getresponse()
            self.assertIn(b"ADDED", answer.readline())
            p.process.send_signal(signal.SIGHUP)
            self.assertEqual(answer.read(), b"")
            conn.close()
            events, _ = p.server.watch(checks.MAPS, resourceVersion=before)
            self.assertEqual([(e["type"], e["object"]["code"]) for e in events], [("ERROR", 410)])
            body = checks.refused(p.server.ask("GET", "/api/v1/namespaces?limit=1&continue=" +
                                               urllib.request.quote(page["metadata"]["continue"], safe="")), 410, "Expired")
            rest = p.server.get("/api/v1/namespaces?continue=" + urllib.request.quote(body["metadata"]["continue"], safe=""))
            self.assertEqual(checks.names(page["items"]) + checks.names(rest["items"]),
                             checks.names(p.server.get("/api/v1/namespaces")["items"]))

    def test_a_watch_that_is_too_slow_for_the_ring_is_cut_off(self):
        with Pocket("--ring", "4") as p:
            conn = p.server.connect()
            before = checks.version(p.server.get(checks.MAPS))
            # Large objects that nobody reads: the sockets' buffers fill up, and the ring moves on.
            conn.request("GET", checks.MAPS + "?watch=1&resourceVersion=" + before)
            answer = conn.getresponse()
            for i in range(24):
                checks.create(p.server, checks.MAPS, checks.config_map("big-%d" % i, x="x" * 1000000))
            data = answer.read()
            self.assertLess(data.count(b"ADDED"), 24)
            conn.close()

    def test_it_speaks_tls(self):
        with tempfile.TemporaryDirectory() as d:
            cert, key = os.path.join(d, "crt"), os.path.join(d, "key")
            made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                                   "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                                   "subjectAltName=IP:127.0.0.1"], capture_output=True)
            self.assertEqual(made.returncode, 0, made.stderr)
            with Pocket("--tls-cert", cert, "--tls-key", key, "--scenario", "003") as p:
                self.assertTrue(p.url.startswith("https://"))
                with Agent(p) as agent:
                    agent.wait_log("pods listed pods=12")

    def test_bad_words_are_refused(self):
        for args, expected in ((("--speed", "0"), "--speed"), (("--scenario", "/nonexistent"), "/nonexistent"),
                               (("--tls-cert", "/dev/null"), "--tls-key"), 
                               (("--pods", "5"), "--nodes")):
            run = subprocess.run([POCKET, *args], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(run.returncode, 0, args)
            self.assertIn(expected, run.stderr)

    def test_a_scenario_with_a_mistake_names_its_place(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write("nodes:\n  - {name: a, cpus: 3}\n")
            f.flush()
            run = subprocess.run([POCKET, "--scenario", f.name], capture_output=True, text=True, timeout=60)
            self.assertIn(f.name + ":2:15: found key 'cpus'", run.stderr)
            self.assertEqual(run.returncode, 2)


class Story(unittest.TestCase):
    """The agent beside scenario 003, forty times as fast."""

    def test_the_agent_reads_json_where_there_is_no_protobuf(self):
        with Pocket("--scenario", "003", "--json-only") as p, Agent(p) as agent:
            agent.wait_log("pods listed pods=12")
            wait_until(lambda: agent.status()["cpu"]["paid_milli"] == 18000, 10, "18 cores of paid pods")

    def test_the_filler_fills_yields_and_survives_a_410(self):
        with Pocket("--scenario", "003", "--speed", "40") as p, Agent(p, settle="1s") as agent:
            agent.wait_log("pods listed")
            wait_until(lambda: replicas(p, MINER) > 0, 40, "the filler to be scaled up")
            wait_until(lambda: replicas(p, WEB) == 17, 40, "the web application to grow under load")
            wait_until(lambda: replicas(p, MINER) <= 184 - 10 - 68, 10, "the filler to yield")
            # An API server that starts anew: all watches end, and what they resume from is too old.
            p.process.send_signal(signal.SIGHUP)
            agent.wait_log("too old resource version")
            wait_until(lambda: replicas(p, WEB) < 17, 40, "the load to end")
            wait_until(lambda: agent.status()["pods"] == len(p.server.get("/api/v1/pods")["items"]), 20, "both to count the same pods")


class Held:
    """Before a pocket cluster: passes everything on; answers to requests that are held come once they are released."""

    def __init__(self, pocket):
        self.held, self.open = None, threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = pocket.url.split("//")[1].split(":")
        with open(pocket.kubeconfig) as f:
            text = f.read().replace(pocket.url, "http://127.0.0.1:%d" % self.socket.getsockname()[1])
        self.dir, self.file, self.kubeconfig = pocket.dir, pocket.file, pocket.file("held", text)
        threading.Thread(target=self.accept, daemon=True).start()

    def hold(self, pattern):
        """Whose path matches, from now on."""
        self.open.clear()
        self.held = re.compile(pattern)

    def release(self):
        self.held = None
        self.open.set()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            server, asked = socket.create_connection(self.address), {}
            for ends in ((client, server, lambda data, asked=asked: self.ask(asked, data)),
                         (server, client, lambda _, asked=asked: self.answer(asked))):
                threading.Thread(target=self.pump, args=ends, daemon=True).start()

    def ask(self, asked, data):
        if data.startswith(b"GET "):
            held = self.held
            asked["held"] = held is not None and held.search(data.split(b" ", 2)[1].decode()) is not None

    def answer(self, asked):
        if asked.get("held"):
            self.open.wait()

    def pump(self, source, to, look):
        try:
            while data := source.recv(1 << 16):
                look(data)
                to.sendall(data)
        except OSError:
            pass
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.release()
        self.socket.close()


class Streams(unittest.TestCase):
    """Lists as the beginning of a stream, on servers that have it and that have it not; and what is known before a list ends."""

    def test_every_kind_of_server_is_listed(self):
        for how in ("on", "off", "old-etcd", "ignored"):
            with self.subTest(how), Pocket("--scenario", "003", "--watch-list", how) as p, Agent(p, settle="1s") as agent:
                agent.wait_log("nodes listed nodes=6")
                agent.wait_log("pods listed pods=12")
                wait_until(lambda: agent.status()["cpu"]["paid_milli"] == 18000, 10, "18 cores of paid pods")
                self.assertNotIn("watching", agent.text())

    def test_a_pod_that_waits_gets_its_room_while_all_pods_are_listed_anew(self):
        with Pocket("--scenario", "003") as p, Held(p) as held, \
                Agent(held, policy=POLICY % ("miner", "miner", 200)) as agent:
            wait_until(lambda: replicas(p, MINER) == 162, 60, "184 cores but 18 paid and 4 kept")
            # A paid pod that comes before all of them are bound finds room, and never waits.
            wait_until(lambda: self.bound(p) == 162, 60, "162 pods that have their nodes")
            wait_until(lambda: agent.status()["pods"] == len(p.server.get("/api/v1/pods")["items"]), 20, "the agent to know them")
            self.relist(agent, p, held)
            create_paid_pod(p, "big", "20")
            wait_until(lambda: replicas(p, MINER) <= 142, 20, "20 cores to be given back")
            self.assertEqual(agent.text().count("pods listed"), 1, "before the list was complete")
            held.release()
            wait_until(lambda: agent.text().count("pods listed") == 2, 20, "the list")
            wait_until(lambda: agent.status()["cpu"]["paid_milli"] == 38000, 20, "38 cores of paid pods")
            wait_until(lambda: agent.status()["pods"] == len(p.server.get("/api/v1/pods")["items"]), 20,
                       "both to count the same pods")

    def bound(self, p):
        return sum("nodeName" in pod["spec"] for pod in p.server.get("/api/v1/namespaces/filler/pods")["items"])

    def relist(self, agent, p, held):
        """The large watch loses its history, and the list that follows is held."""
        held.hold(r"^/api/v1/pods\?(?!.*spec\.nodeName)(?=.*(sendInitialEvents|limit=))")
        agent.process.send_signal(signal.SIGSTOP)
        p.hang_up()
        time.sleep(0.3)
        # What the streams that have just ended can no longer tell of.
        lost = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lost"}, "spec": checks.gated_spec()}
        checks.create(p.server, "/api/v1/namespaces/default/pods", lost)
        p.server.ask("DELETE", "/api/v1/namespaces/default/pods/lost")
        p.hang_up()
        time.sleep(0.3)  # the ends of the streams are at the agent's
        agent.process.send_signal(signal.SIGCONT)
        agent.wait_log("watching pods kind=gone")


POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: %s}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: %s}
  replicas: {min: 0, max: %d}
  headroom: {mode: fixed, max: 4}
  settle: 1s
"""


def brim(*args):
    return subprocess.run([BRIM, *args], capture_output=True, text=True, timeout=60)


RENDER = "/apis/apps/v1/namespaces/filler/deployments/render"
RACKS, NAMED = 40, 32  # of a label's values; of groups that have a name at one time
ZONE = "topology.kubernetes.io/zone"
ZONES = """
priorityClasses:
  - {name: brim-filler, value: -100, preemptionPolicy: Never}
nodes:
  - {name: a, count: 2, cpu: 8, memory: 32Gi, labels: {topology.kubernetes.io/zone: eu-1a, pool: x}}
  - {name: b, cpu: 8, memory: 32Gi, labels: {topology.kubernetes.io/zone: eu-1b, pool: x}}
  - {name: c, cpu: 8, memory: 32Gi}
workloads:
  - {namespace: default, name: web, replicas: 3, cpu: 2, memory: 2Gi, grace: 1s, start: 1s, exit: 1s}
  - {namespace: filler, name: miner, replicas: 0, cpu: 1, memory: 1Gi, grace: 1s, start: 1s, exit: 1s,
     priorityClass: brim-filler, packs: true, gate: brim.dev/room}
"""


class Groups(unittest.TestCase):
    """Figures by a label of nodes: in the history, in reports, and while labels, nodes and the policy change."""

    def rows(self, p):
        """None at the very beginning, while the file is being made."""
        out = brim("history", "export", "--db", os.path.join(p.dir.name, "history.db"), "--what", "samples,groups", "-o", "jsonl")
        if out.returncode == 3:
            return []
        self.assertEqual(out.returncode, 0, out.stderr)
        return [json.loads(line) for line in out.stdout.splitlines()[1:]]

    def newest(self, p):
        """The groups of the newest sample, by name."""
        groups = [r for r in self.rows(p) if r["kind"] == "group"]
        last = max((g["time"] for g in groups), default="")
        return {g["group"]: g for g in groups if g["time"] == last}

    def nodes(self, p):
        return {name: g["nodes"] for name, g in self.newest(p).items()}

    def report(self, p, *args):
        out = brim("report", "--db", os.path.join(p.dir.name, "history.db"), *args)
        self.assertEqual(out.returncode, 0, out.stderr)
        return out.stdout

    def add_up(self, p, nodes_stay):
        """At each moment the groups come to what the cluster was."""
        samples, groups, seen = {}, {}, 0
        for row in self.rows(p):
            if row["kind"] == "sample":
                samples[row["policy"], row["time"]] = row
            elif row["step_seconds"] == 10:
                groups.setdefault((row["policy"], row["time"]), []).append(row)
        policies = {policy for policy, _ in samples}
        for at, of in groups.items():
            if at not in samples:
                continue  # a decision's sample of the same millisecond took its place
            s, seen = samples[at], seen + 1
            self.assertEqual(len({g["label"] for g in of}), 1, at)
            self.assertAlmostEqual(sum(g["allocatable_cores"] for g in of), s["allocatable_cores"], msg=at)
            self.assertAlmostEqual(sum(g["paid_cores"] for g in of), s["paid_cores"], msg=at)
            # A group's filler is that of all policies, whose samples of one step may be some milliseconds apart.
            step = {policy: row for (policy, time_), row in samples.items() if abs(ms(time_) - ms(at[1])) < 50}
            if set(step) != policies:
                continue
            filler = sum(row["ready_cores"] + row["starting_cores"] + row["leaving_cores"] for row in step.values())
            # Pods of a node that is gone are in no group until they are gone, too.
            held = sum(g["filler_cores"] for g in of)
            (self.assertAlmostEqual if nodes_stay else self.assertLessEqual)(held, filler, msg=at)
        return seen

    def test_reports_tell_groups_of_nodes_apart(self):
        policy = POLICY % ("miner", "miner", 20)
        with Pocket("--scenario", "empty") as probe:
            path = probe.file("zones.yaml", ZONES)
            with Pocket("--scenario", path) as p:
                self.story(p, policy)

    def story(self, p, policy):
        with Agent(p, policy=policy + "  report: {groupBy: %s}\n" % ZONE, db=True) as agent:
            wait_until(lambda: self.nodes(p) == {"eu-1a": 2, "eu-1b": 1, "<none>": 1}, 40, "the zones")
            wait_until(lambda: sum(g["filler_cores"] for g in self.newest(p).values()) == 20, 60, "filler in the zones")
            self.assertGreater(self.add_up(p, nodes_stay=True), 0)
            # A node changes its zone, another one goes.
            p.server.ask("PATCH", "/api/v1/nodes/a-0", {"metadata": {"labels": {ZONE: "eu-1c"}}}, checks.MERGE)
            p.server.ask("DELETE", "/api/v1/nodes/c")
            wait_until(lambda: self.nodes(p) == {"eu-1a": 1, "eu-1b": 1, "eu-1c": 1}, 40, "the node in its new zone")
            # The policy asks for another label: what was recorded stays.
            agent.policy(policy + "  report: {groupBy: pool}\n")
            wait_until(lambda: self.nodes(p) == {"x": 3}, 40, "the other label")
            with urllib.request.urlopen(agent.url + "/report?format=csv&groups=1", timeout=20 * PATIENCE) as answer:
                lines = answer.read().decode().splitlines()
            self.assertTrue(lines[0].startswith("label,group,recorded,peak_nodes,offered_core_hours,"), lines)
            self.assertEqual([line.split(",")[:2] for line in lines[1:]],
                             [["pool", "x"], [ZONE, "eu-1a"], [ZONE, "eu-1b"], [ZONE, "eu-1c"], [ZONE, "<none>"]])
            # One for each of the three, or the next one where a decision's sample took the place of one.
            wait_until(lambda: self.add_up(p, nodes_stay=False) >= 3, 40, "three moments with groups")
        self.assertGreaterEqual(self.add_up(p, nodes_stay=False), 3)
        groups = json.loads(self.report(p, "-o", "json"))["groups"]
        self.assertEqual([(g["label"], g["name"], g["peak_nodes"]) for g in groups],
                         [("pool", "x", 3), (ZONE, "eu-1a", 2), (ZONE, "eu-1b", 1), (ZONE, "eu-1c", 1), (ZONE, "<none>", 1)])
        for g in groups:
            self.assertAlmostEqual(g["offered_core_hours"], g["paid_core_hours"] + g["filler_core_hours"] + g["free_core_hours"])
        self.assertIn("\nnodes by %s\nGROUP " % ZONE, self.report(p))
        self.assertIn("Groups of nodes</h2>", self.report(p, "-o", "html"))

    def test_more_groups_than_have_names_two_policies_and_a_label_that_comes_back(self):
        nodes = "".join("  - {name: n%02d, cpu: 2, memory: 8Gi, labels: {rack: r%02d, zone: z%d}}\n" % (i, i, i % 2) for i in range(RACKS))
        workload = "  - {namespace: filler, name: %s, replicas: 0, cpu: 1, memory: 1Gi, grace: 1s, start: 1s, exit: 1s, priorityClass: brim-filler}\n"
        scenario = ("priorityClasses:\n  - {name: brim-filler, value: -100, preemptionPolicy: Never}\nnodes:\n%sworkloads:\n%s" %
                    (nodes, "".join(workload % name for name in ("miner", "render"))))
        miner, render = POLICY % ("miner", "miner", 6), POLICY % ("render", "render", 5) + "  report: {groupBy: zone}\n"

        def newest(policy):
            groups = [r for r in self.rows(p) if r["kind"] == "group" and r["policy"] == policy]
            last = max((g["time"] for g in groups), default="")
            return {(g["label"], g["group"]): g["nodes"] for g in groups if g["time"] == last}

        def grouped(label):
            return miner + "  report: {groupBy: %s}\n---\n" % label + render

        racks = {("rack", "r%02d" % i): 1 for i in range(NAMED)}
        racks["rack", "<other>"] = RACKS - NAMED
        zones = {("zone", "z0"): RACKS // 2, ("zone", "z1"): RACKS // 2}
        with Pocket("--scenario", "empty") as probe:
            path = probe.file("racks.yaml", scenario)
            with Pocket("--scenario", path) as p:
                with Agent(p, policy=grouped("rack"), db=True) as agent:
                    wait_until(lambda: (newest("miner"), newest("render")) == (racks, zones), 40, "racks beside zones")
                    wait_until(lambda: (replicas(p, MINER), replicas(p, RENDER)) == (6, 5), 60, "filler")
                    agent.policy(grouped("zone"))
                    wait_until(lambda: newest("miner") == zones, 40, "the other label")
                    agent.policy(grouped("rack"))
                    wait_until(lambda: newest("miner") == racks, 40, "the label that came back")
                    told = re.findall("more groups of nodes than the history tells apart.*policy=miner label=rack", agent.text())
                    self.assertEqual(len(told), 2, "once each time the policy asks for it")
                    agent.kill()
                self.check_racks(p, racks, zones)
                with Agent(p, policy=grouped("rack"), db=True):
                    before = len(self.rows(p))
                    wait_until(lambda: len(self.rows(p)) > before, 40, "groups after a start")
                self.check_racks(p, racks, zones)

    def check_racks(self, p, racks, zones):
        """Nothing is told of one policy that is the other's, and groups come to the whole."""
        self.assertGreater(self.add_up(p, nodes_stay=True), 3)
        for policy, expected in (("miner", {**racks, **zones}), ("render", zones)):
            told = json.loads(self.report(p, "-o", "json", "--policy", policy))
            self.assertEqual({(g["label"], g["name"]): g["peak_nodes"] for g in told["groups"]}, expected)
            recorded = sum({g["label"]: g["recorded"] for g in told["groups"]}.values())
            # Samples begin with the first decision, those of groups at the next step.
            self.assertTrue(0.5 < recorded <= told["total"]["recorded"] + 0.002, recorded)
            self.assertAlmostEqual(sum(g["offered_core_hours"] for g in told["groups"]),
                                   told["total"]["offered_core_hours"] * recorded / told["total"]["recorded"], delta=0.03)


class Policies(unittest.TestCase):
    """Policy files that change while the agent runs, and annotations of the target."""

    def condition(self, agent, kind):
        return next(c for c in agent.status()["fillers"][0]["conditions"] if c["type"] == kind)

    def test_files_are_followed_and_broken_ones_change_nothing(self):
        with Pocket("--scenario", "003", "--speed", "20") as p, Agent(p, settle="1s") as agent:
            agent.wait_log("pods listed")
            agent.policy(POLICY % ("miner", "miner", 5))
            wait_until(lambda: agent.status()["fillers"][0]["max"] == 5, 10, "the new text")
            agent.wait_log("policy read anew.*policy=miner file=.*policy.yaml")
            wait_until(lambda: replicas(p, MINER) == 5, 40, "5 replicas")
            agent.policy("spec: {")
            wait_until(lambda: agent.status()["policy_error"], 10, "the error in the status")
            self.assertIn("policy.yaml:", agent.status()["policy_error"])
            self.assertEqual(agent.status()["fillers"][0]["max"], 5)
            # A second filler, whose target does not exist, and the first with another maximum.
            agent.policy(POLICY % ("miner", "miner", 3) + "---\n" + POLICY % ("other", "other", 9))
            wait_until(lambda: agent.status()["fillers_total"] == 2, 10, "two fillers")
            agent.wait_log("policies are whole again")
            wait_until(lambda: replicas(p, MINER) == 3, 40, "3 replicas")
            self.assertIsNone(agent.status()["policy_error"])
            self.assertEqual([f["policy"] for f in agent.status()["fillers"]], ["miner", "other"])
            # A policy that vanishes: its count is held.
            agent.policy(POLICY % ("other", "other", 9))
            wait_until(lambda: self.condition(agent, "AbleToScale")["reason"] == "PolicyGone", 10, "the policy to be gone")
            self.assertEqual(replicas(p, MINER), 3)
            agent.wait_log("the policy vanished.*policy=miner until=....-..-..T..:..:..Z")
            held = agent.status()["fillers"][0]
            self.assertEqual((held["state"], held["replicas"], held["fit"], held["damped"]), ("unknown", 3, None, None))
            self.assertIn("its policy is gone", brim("status", "--agent", agent.url).stdout)
            # One more than may be in force together, as long as the one that vanished is held.
            many = "---\n".join(POLICY % ("p%d" % i, "p%d" % i, 1) for i in range(31))
            agent.policy(many + "---\n" + POLICY % ("other", "other", 9))
            wait_until(lambda: agent.status()["policy_error"], 10, "the error in the status")
            self.assertIn("found 32 policies beside 1 that vanish", agent.status()["policy_error"])
            self.assertEqual(agent.status()["fillers_total"], 2)
            agent.policy(POLICY % ("miner", "miner", 3) + "---\n" + POLICY % ("other", "other", 9))
            agent.wait_log("the policy is back.*policy=miner")
            wait_until(lambda: agent.status()["fillers"][0]["fit"] is not None, 10, "the fit")
            missing = brim("status", "--agent", agent.url, "--policy", "nope")
            self.assertEqual((missing.returncode, missing.stdout), (1, ""))
            self.assertIn("found no policy nope: the agent has miner, other", missing.stderr)

    def test_files_that_broke_while_the_agent_was_down_are_told_and_the_stored_text_goes_on(self):
        with Pocket("--scenario", "003", "--speed", "20") as p:
            with Agent(p, policy=POLICY % ("miner", "miner", 5), db=True):
                wait_until(lambda: replicas(p, MINER) == 5, 40, "5 replicas")
            with Agent(p, policy="spec: {", db=True) as agent:
                self.assertIn("policy.yaml:", agent.wait_log("policies are broken.*"))
                agent.wait_log("policy in force.*miner")
                wait_until(lambda: agent.status()["fillers_total"] == 1, 10, "the stored policy")
                self.assertEqual(agent.status()["fillers"][0]["max"], 5)
                self.assertIn("policy.yaml:", agent.status()["policy_error"])
                # It is in force: somebody else's count above its maximum is taken down.
                p.server.ask("PATCH", MINER, {"spec": {"replicas": 9}}, checks.MERGE)
                wait_until(lambda: replicas(p, MINER) == 5, 40, "5 replicas again")
                agent.policy(POLICY % ("miner", "miner", 4))
                wait_until(lambda: replicas(p, MINER) == 4, 40, "4 replicas, by a file that was mended")
                self.assertIsNone(agent.status()["policy_error"])

    def test_a_restart_does_not_change_what_is_given_back(self):
        restoring = POLICY % ("miner", "miner", 5) + "  onRemove: restore\n"
        with Pocket("--scenario", "003", "--speed", "20") as p:
            p.server.ask("PATCH", MINER, {"spec": {"replicas": 2}}, checks.MERGE)
            with Agent(p, policy=restoring, db=True) as agent:
                # Of the answer, too: before that nothing of the count that was found is kept.
                wait_until(lambda: agent.status()["fillers"] and agent.status()["fillers"][0]["replicas"] == 5, 40, "5 replicas")
            with Agent(p, policy=restoring, db=True) as agent:
                wait_until(lambda: agent.status()["fillers"] and self.condition(agent, "AbleToScale")["status"] == "True", 20,
                           "the restarted agent to control")
                # A new name for the policy: the old one lets go at once, the new one goes on.
                agent.policy(POLICY % ("renamed", "miner", 5))
                self.assertEqual(agent.wait_log(r"its target is let go.*replicas=(\d+)"), "2")

    def test_a_policy_that_comes_leaves_the_others_known(self):
        with Pocket("--scenario", "003", "--speed", "20") as p, Agent(p, policy=POLICY % ("miner", "miner", 5), db=True) as agent:
            wait_until(lambda: replicas(p, MINER) == 5, 40, "5 replicas")
            agent.policy(POLICY % ("miner", "miner", 5) + "---\n" + (POLICY % ("web", "web", 9)).replace("namespace: filler", "namespace: default"))
            seen = set()

            def look():
                status = agent.status()
                seen.add((status["fillers"][0]["policy"], status["fillers"][0]["state"]))
                return status["fillers_total"]
            wait_until(lambda: look() == 2, 20, "the policy that comes")
            end = time.monotonic() + 2
            while time.monotonic() < end:
                look()
            self.assertEqual({name for name, _ in seen}, {"miner"})
            self.assertNotIn("unknown", {state for _, state in seen})

    def test_gated_pods_are_let_in_one_by_one_where_holes_stay_whole(self):
        with Pocket("--scenario", "003", "--speed", "20") as p:
            gate = {"spec": {"template": {"spec": {"schedulingGates": [{"name": "brim.dev/room"}]}}}}
            status, body = p.server.ask("PATCH", MINER, gate, "application/merge-patch+json")
            self.assertEqual(status, 200, body)
            with Agent(p, settle="1s") as agent:
                agent.policy(POLICY % ("miner", "miner", 40))
                wait_until(lambda: agent.status()["fillers"] and agent.status()["fillers"][0]["running"] == 40, 60, "40 running pods")
                self.assertEqual(self.condition(agent, "PodsPlaced")["reason"], "ByGate")
                pods = p.server.get("/api/v1/namespaces/filler/pods")["items"]
                terms = [t["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
                         for t in pods]
                self.assertTrue(all(t[0]["matchFields"][0]["values"] == [pod["spec"]["nodeName"]] for t, pod in zip(terms, pods)))
                self.assertLessEqual(len({pod["spec"]["nodeName"] for pod in pods}), 3, "the fullest node first")

    def test_pause_and_resume(self):
        with Pocket("--scenario", "003", "--speed", "20") as p, Agent(p, settle="1s") as agent:
            agent.policy(POLICY % ("miner", "miner", 5))
            wait_until(lambda: agent.status()["fillers"] and replicas(p, MINER) == 5, 40, "5 replicas")
            run = brim("pause", "miner", "--kubeconfig", p.kubeconfig, "--agent", agent.url)
            self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "Deployment filler/miner: paused (brim.dev/paused)\n", ""))
            self.assertEqual(p.server.get(MINER)["metadata"]["annotations"]["brim.dev/paused"], "true")
            by = "brim.dev/paused"
            paused = {"up": True, "down": True, "up_by": by, "down_by": by}
            wait_until(lambda: agent.status()["fillers"][0]["paused"] == paused, 10, "the pause")
            agent.policy(POLICY % ("miner", "miner", 8))
            wait_until(lambda: agent.status()["fillers"][0]["max"] == 8, 10, "the new text")
            wait_until(lambda: agent.status()["fillers"][0]["state"] == "paused", 10, "growth to be held")
            self.assertEqual(replicas(p, MINER), 5)
            run = brim("resume", "miner", "--kubeconfig", p.kubeconfig, "--policy", agent.path)
            self.assertEqual((run.returncode, run.stdout), (0, "Deployment filler/miner: not paused\n"))
            wait_until(lambda: replicas(p, MINER) == 8, 40, "8 replicas")
            self.assertEqual(brim("pause", "miner", "--kubeconfig", p.kubeconfig, "--policy", agent.path).returncode, 0)
            run = brim("resume", "miner", "--down", "--kubeconfig", p.kubeconfig, "--policy", agent.path)
            self.assertEqual((run.returncode, run.stdout), (1, "Deployment filler/miner: paused (brim.dev/paused)\n"))
            self.assertIn("brim resume miner ends that, brim pause miner --up then pauses the other one", run.stderr)
            run = brim("resume", "miner", "--up", "--down", "--kubeconfig", p.kubeconfig, "--policy", agent.path)
            self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "Deployment filler/miner: not paused\n", ""))
            run = brim("pause", "nobody", "--kubeconfig", p.kubeconfig, "--agent", agent.url)
            self.assertEqual((run.returncode, run.stderr), (2, "brim pause: the agent has no policy nobody\n"))


if __name__ == "__main__":
    POCKET, BRIM = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    sys.exit(lanes.run(sys.modules["__main__"], sys.argv[3:], LANES))

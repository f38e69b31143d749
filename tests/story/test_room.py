#!/usr/bin/env python3
"""How many pods of a kind fit, as an agent beside a pocket cluster answers it, `brim capacity --fits` counts it, and the scheduler
then binds them.

usage: test_room.py POCKET BRIM [TEST...]
"""
import json
import os
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import lanes
import stage
import test_pocket
from test_pocket import MINER, PATIENCE, Agent, Pocket, checks, replicas, wait_until

LANES = 3
PODS = "/api/v1/namespaces/default/pods"
NODES = """
priorityClasses:
  - {name: brim-filler, value: -100, preemptionPolicy: Never}
  - {name: idle, value: -1000, preemptionPolicy: Never}
nodes:
  - {name: a, count: 3, cpu: 8, memory: 32Gi, labels: {zone: eu-1a, pool: x}}
  - {name: b, count: 2, cpu: 16, memory: 16Gi, labels: {zone: eu-1b, pool: x}}
  - {name: c, cpu: 8, memory: 32Gi, pods: 4}
workloads:
  - {namespace: default, name: web, replicas: 3, cpu: 3, memory: 2Gi, grace: 1s, start: 1s, exit: 1s}
  - {namespace: filler, name: miner, replicas: %d, cpu: 1, memory: 1Gi, grace: 1s, start: 1s, exit: 1s, priorityClass: brim-filler, packs: true%s}
"""
# What is asked of the agent, and the same as a pod's spec.
SHAPES = [
    ("cpu=1", {}, {"cpu": "1"}),
    ("cpu=1500m&memory=2Gi", {}, {"cpu": "1500m", "memory": "2Gi"}),
    ("memory=3Gi", {}, {"memory": "3Gi"}),
    ("cpu=2&nodeSelector=zone%3Deu-1b", {"nodeSelector": {"zone": "eu-1b"}}, {"cpu": "2"}),
    ("cpu=1&nodeSelector=zone%20in%20(eu-1a),pool", {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["eu-1a"]},
                                                    {"key": "pool", "operator": "Exists"}]}]}}}}, {"cpu": "1"}),
    ("cpu=1&toleration=dedicated%3Dx:NoSchedule", {"tolerations": [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]}, {"cpu": "1"}),
    ("cpu=1&example.com/none=1", {}, {"cpu": "1", "example.com/none": "1"}),
    ("cpu=100", {}, {"cpu": "100"}),
    ("", {}, {}),
]


def room(agent, query):
    try:
        with urllib.request.urlopen(agent.url + "/api/v1/room?" + query, timeout=10 * PATIENCE) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        return json.load(e)


def is_ready(agent):
    try:
        with urllib.request.urlopen(agent.url + "/readyz", timeout=10 * PATIENCE) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def pod(name, spec, requests, **more):
    requests = dict(requests, **{k: v for k, v in requests.items() if "/" in k})
    container = {"name": "c", "image": "x", "resources": {"requests": requests, "limits": {k: v for k, v in requests.items() if "/" in k}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": dict(spec, containers=[container], **more)}


class Room(unittest.TestCase):
    def cluster(self, filler, gate):
        probe = Pocket()
        path = probe.file("nodes.yaml", NODES % (filler, ", gate: brim.dev/room" if gate else ""))
        p = Pocket("--scenario", path)
        probe.__exit__(None, None, None)
        status, body = p.server.ask("PATCH", "/api/v1/nodes/a-0", {"spec": {"taints": [
            {"key": "dedicated", "value": "x", "effect": "NoSchedule"}]}}, checks.MERGE)
        assert status == 200, body
        status, body = p.server.ask("PATCH", "/api/v1/nodes/a-1", {"spec": {"unschedulable": True}}, checks.MERGE)
        assert status == 200, body
        return p

    def bound(self, p, prefix):
        return [i["metadata"]["name"] for i in p.server.get(PODS)["items"]
                if i["metadata"]["name"].startswith(prefix) and "nodeName" in i["spec"]]

    def settled(self, p, n):
        wait_until(lambda: sum("nodeName" in i["spec"] for i in p.server.get("/api/v1/namespaces/filler/pods")["items"]) == n
                   and len(self.bound(p, "web")) == 3, 40, "pods to be bound")

    def counted(self, p, spec, requests):
        out = subprocess.run([test_pocket.BRIM, "capacity", "--kubeconfig", p.kubeconfig, "-o", "json", "--fits",
                              p.file("pod.json", json.dumps(pod("x", spec, requests)))], capture_output=True, text=True, timeout=60)
        assert out.returncode in (0, 1), out.stderr
        return json.loads(out.stdout)

    def same(self, agent, p, query, spec, requests):
        """Does the agent say what `brim capacity --fits` counts? None: yes."""
        got, want = room(agent, query + "&nodes=1"), self.counted(p, spec, requests)
        rows = {r["name"]: (r["fits"], r["bound_by"]) for r in want["rows"]}
        if "by_node" not in got:
            return got
        nodes = got["by_node"]
        seen = dict(zip(nodes["name"], zip(nodes["now"], nodes["bound_by"])))
        return None if (got["now"]["fits"], seen) == (want["total"]["fits"], rows) else (query, got["now"], seen, want)

    def test_says_what_capacity_counts_and_so_much_is_bound(self):
        with self.cluster(filler=5, gate=False) as p:
            self.settled(p, 5)
            with Agent(p, policy=stage.POLICY, args=("--dry-run",)) as agent:
                wait_until(lambda: is_ready(agent), 20, "pods and nodes to be listed")
                first = room(agent, "cpu=1")  # of the first who asks, too
                self.assertEqual(first.get("v"), 1, first)
                for query, spec, requests in SHAPES:
                    self.assertIsNone(self.same(agent, p, query, spec, requests))
                self.assertEqual(room(agent, "cpu=1&example.com/none=1")["now"]["fits"], 0)
                for i, (query, spec, requests) in enumerate((SHAPES[1], SHAPES[3], SHAPES[4])):
                    self.fill(agent, p, "s%d" % i, query, spec, requests)

    def fill(self, agent, p, prefix, query, spec, requests):
        """Of more pods than fit, below filler in priority, as many are bound."""
        fits = room(agent, query)["now"]["fits"]
        self.assertGreater(fits, 0, query)
        for i in range(fits + 2):
            checks.create(p.server, PODS, pod("%s-%d" % (prefix, i), spec, requests, priorityClassName="idle"))
        wait_until(lambda: len(self.bound(p, prefix)) >= fits, 20, "%d pods of %s" % (fits, query))
        time.sleep(0.5)
        self.assertEqual(len(self.bound(p, prefix)), fits, query)
        wait_until(lambda: room(agent, query)["now"]["fits"] == 0, 10, "no room for %s" % query)
        for i in range(fits + 2):
            p.server.ask("DELETE", "%s/%s-%d" % (PODS, prefix, i), {"gracePeriodSeconds": 0})
        wait_until(lambda: room(agent, query)["now"]["fits"] == fits, 20, "room for %s again" % query)

    def test_without_filler_so_much_is_bound_once_it_has_yielded(self):
        with self.cluster(filler=0, gate=True) as p, Agent(p, policy=stage.POLICY.replace("settle: 3s", "settle: 1s")) as agent:
            wait_until(lambda: agent.status()["fillers"] and agent.status()["fillers"][0]["state"] == "steady" and
                       replicas(p, MINER) > 20 and agent.status()["fillers"][0]["running"] == replicas(p, MINER), 60, "filler")
            answer = room(agent, "cpu=3")
            fits = answer["without_filler"]["fits"]
            self.assertGreater(fits, answer["now"]["fits"])
            for i in range(fits + 2):
                checks.create(p.server, PODS, pod("paid-%d" % i, {}, {"cpu": "3"}))
            wait_until(lambda: len(self.bound(p, "paid")) >= fits, 60, "%d paid pods" % fits)
            time.sleep(1)
            self.assertEqual(len(self.bound(p, "paid")), fits)

    def test_refuses_by_name_and_says_nothing_old(self):
        with Pocket("--scenario", "faults") as p, Agent(p, policy=stage.POLICY + "  stale: {after: 10s}\n") as agent:
            agent.wait_log("pods listed")
            wait_until(lambda: room(agent, "cpu=1").get("v") == 1, 20, "an answer")
            for query, field in (("memory=2GiB", "memory"), ("mem=1", "mem"), ("cpu=1&cpu=1", "cpu"), ("toleration=%3A", "toleration"),
                                 ("&".join("toleration=a%d" % i for i in range(40)), None)):
                answer = room(agent, query)
                self.assertEqual((answer.get("code"), answer.get("reason")), (400, "BadRequest"), answer)
                if field:
                    self.assertEqual(answer["details"]["causes"][0]["field"], field)
            p.process.send_signal(stage.signal.SIGSTOP)
            try:
                wait_until(lambda: room(agent, "cpu=1").get("code") == 503, 40, "503")
            finally:
                p.process.send_signal(stage.signal.SIGCONT)
            wait_until(lambda: room(agent, "cpu=1").get("v") == 1, 40, "an answer again")


if __name__ == "__main__":
    test_pocket.POCKET, test_pocket.BRIM = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(lanes.run(sys.modules["__main__"], sys.argv[3:], LANES))

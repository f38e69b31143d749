#!/usr/bin/env python3
"""What a HorizontalPodAutoscaler, kube-apiserver's aggregator and kubectl ask of an agent beside a pocket cluster.

usage: test_metrics_api.py POCKET BRIM [TEST...]
"""
import http.client
import json
import math
import os
import signal
import sys
import unittest
import urllib.parse

import lanes
import stage
import test_pocket
from test_pocket import MINER, Agent, Pocket, replicas, wait_until

LANES = 2
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# What kube-controller-manager sends.
HPA = "application/vnd.kubernetes.protobuf, */*"
POLICY = stage.POLICY.replace("settle: 3s", "settle: 1s") + "  stale: {after: %s}\n  service: room\n"


def ask(agent, path, accept=None, method="GET", **headers):
    """Status, headers, body."""
    conn = http.client.HTTPConnection(agent.url[7:], timeout=30)
    conn.request(method, path, headers=dict({"Accept": accept} if accept else {}, **headers))
    answer = conn.getresponse()
    body = answer.read()
    conn.close()
    return answer.status, answer.headers, body


def items(agent, path):
    status, headers, body = ask(agent, path, HPA)
    assert status == 200 and headers["Content-Type"] == "application/json", (path, status, body)
    return json.loads(body)["items"]


class Asked(unittest.TestCase):
    def test_an_autoscaler_reads_what_the_policy_wants(self):
        with Pocket("--scenario", "faults") as p, Agent(p, policy=POLICY % "90s", args=("--metrics-api", "custom,external")) as agent:
            wait_until(lambda: agent.status()["fillers"] and agent.status()["fillers"][0]["state"] == "steady" and
                       replicas(p, MINER) > 0, 40, "filler")
            want = str(replicas(p, MINER))
            self.assertEqual([(i["metricName"], i["metricLabels"], i["value"]) for i in
                              items(agent, EXTERNAL + "/namespaces/default/brim_desired_replicas?labelSelector=policy%3Dminer")],
                             [("brim_desired_replicas", {"policy": "miner"}, want)])
            for path, kind, name in (("deployments.apps/miner", "Deployment", "miner"), ("deployments.apps/%2A", "Deployment", "miner"),
                                     ("services/room", "Service", "room")):
                item, = items(agent, CUSTOM + "/namespaces/filler/%s/brim_desired_replicas" % path)
                self.assertEqual((item["describedObject"]["kind"], item["describedObject"]["name"], item["value"]), (kind, name, want))
            item, = items(agent, CUSTOM + "/namespaces/filler/metrics/brim_desired_replicas")
            self.assertEqual((item["describedObject"], item["value"]), ({"kind": "Namespace", "name": "filler", "apiVersion": "v1"}, want))
            self.pods(agent, p)
            self.refusals(agent)
            self.discovery(agent)

    def pods(self, agent, p):
        """A Pods metric with AverageValue 1: the mean over the pods times the ready ones, as kube-controller-manager reckons."""
        wait_until(lambda: agent.status()["fillers"][0]["running"] == replicas(p, MINER), 40, "filler to run")
        scale = p.server.get(MINER + "/scale")
        names = {i["metadata"]["name"] for i in p.server.get("/api/v1/namespaces/filler/pods")["items"] if "deletionTimestamp" not in i["metadata"]}
        path = CUSTOM + "/namespaces/filler/pods/%s/brim_scale_ratio"
        asked = path % "%2A" + "?labelSelector=" + urllib.parse.quote(scale["status"]["selector"])
        found = items(agent, asked)  # of the first who asks, too
        self.assertEqual({i["describedObject"]["name"] for i in found}, names)
        self.assertEqual({(i["describedObject"]["kind"], i["describedObject"]["namespace"]) for i in found}, {("Pod", "filler")})
        milli = sum(int(i["value"][:-1]) if i["value"].endswith("m") else 1000 * int(i["value"]) for i in found)
        self.assertEqual(math.ceil(milli / len(found) / 1000 * scale["status"]["replicas"]), agent.status()["fillers"][0]["wanted"])
        self.assertEqual(len(items(agent, path % names.pop())), 1)
        self.assertEqual(ask(agent, path % "web-1")[0], 404)
        status, _, body = ask(agent, path % "*" + "?labelSelector=app%3Dsomebody")
        self.assertEqual((status, json.loads(body)["reason"]), (400, "BadRequest"))

    def refusals(self, agent):
        for method, path, accept, host, code, reason in (
                ("GET", EXTERNAL + "/namespaces/x/nothing", None, None, 404, "NotFound"),
                ("GET", EXTERNAL + "/namespaces/x%2Fbrim_replicas", None, None, 200, None),  # as kube-apiserver reads it
                ("GET", EXTERNAL + "/namespaces/x/brim_replicas?labelSelector=%28", None, None, 400, "BadRequest"),
                ("GET", EXTERNAL + "/namespaces/x/brim_replicas?watch=1", None, None, 405, "MethodNotAllowed"),
                ("POST", EXTERNAL + "/namespaces/x/brim_replicas", None, None, 405, "MethodNotAllowed"),
                ("GET", CUSTOM, "application/vnd.kubernetes.protobuf", None, 406, "NotAcceptable"),
                ("GET", CUSTOM, None, "evil.example", 403, "Forbidden"),
                ("GET", CUSTOM + "/namespaces/%FF%FE/m", None, None, 404, "NotFound"),
                ("GET", CUSTOM + "/" + 10000 * "a", None, None, 404, "NotFound"),
                ("GET", "/apis/apps/v1", None, None, 404, "NotFound")):
            status, _, body = ask(agent, path, accept, method, **({"Host": host} if host else {}))
            self.assertEqual(status, code, path)
            if reason:
                answer = json.loads(body)
                self.assertEqual((answer["kind"], answer["code"], answer["reason"]), ("Status", code, reason))

    def discovery(self, agent):
        status, headers, body = ask(agent, "/apis", V2 + ",application/json")
        self.assertEqual((status, headers["Content-Type"], headers["Vary"]), (200, V2, "Accept"))
        names = {g["metadata"]["name"]: [v["version"] for v in g["versions"]] for g in json.loads(body)["items"]}
        self.assertEqual(names, {"custom.metrics.k8s.io": ["v1beta2", "v1beta1"], "external.metrics.k8s.io": ["v1beta1"]})
        status, again, body = ask(agent, "/apis", V2, **{"If-None-Match": headers["ETag"]})
        self.assertEqual((status, again["ETag"], body), (304, headers["ETag"], b""))
        resources = json.loads(ask(agent, CUSTOM, "application/json")[2])["resources"]
        self.assertIn("deployments.apps/brim_desired_replicas", [r["name"] for r in resources])
        status, headers, body = ask(agent, CUSTOM, method="HEAD")
        self.assertEqual((status, body), (200, b""))

    def test_only_what_was_turned_on_answers(self):
        with Pocket("--scenario", "faults") as p:
            with Agent(p, policy=POLICY % "90s", args=("--metrics-api", "external")) as agent:
                groups = json.loads(ask(agent, "/apis")[2])["groups"]
                self.assertEqual([g["name"] for g in groups], ["external.metrics.k8s.io"])
                self.assertEqual(ask(agent, CUSTOM)[0], 404)
            with Agent(p, policy=POLICY % "90s") as agent:
                self.assertEqual(ask(agent, "/apis")[0], 404)
                self.assertEqual(ask(agent, EXTERNAL)[0], 404)

    def test_what_is_stale_is_not_told(self):
        with Pocket("--scenario", "faults") as p, Agent(p, policy=POLICY % "10s", args=("--metrics-api", "external")) as agent:
            path = EXTERNAL + "/namespaces/x/brim_replicas"
            wait_until(lambda: ask(agent, path)[0] == 200 and items(agent, path), 40, "a figure")
            p.process.send_signal(signal.SIGSTOP)
            try:
                wait_until(lambda: ask(agent, path)[0] == 503, 40, "503")
                self.assertEqual(json.loads(ask(agent, path)[2])["reason"], "ServiceUnavailable")
                self.assertEqual(ask(agent, EXTERNAL)[0], 200)  # discovery goes on
            finally:
                p.process.send_signal(signal.SIGCONT)
            wait_until(lambda: ask(agent, path)[0] == 200, 40, "figures again")


if __name__ == "__main__":
    test_pocket.POCKET, test_pocket.BRIM = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(lanes.run(sys.modules["__main__"], sys.argv[3:], LANES))

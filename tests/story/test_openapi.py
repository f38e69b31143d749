#!/usr/bin/env python3
"""The OpenAPI document against the agent that serves it: the same addresses, and answers that are as its schemas say, member by
member: here all that are named must be there, and no other may.

usage: test_openapi.py POCKET BRIM [TEST...]
"""
import copy
import json
import os
import re
import signal
import sys
import unittest
import urllib.error
import urllib.request

import jsonschema  # Debian: python3-jsonschema

import lanes
import stage
import test_pocket
from test_pocket import PATIENCE, Agent, Pocket, wait_until

LANES = 2
DOCUMENT = "/api/v1/openapi.json"
OPTIONAL = {"by_node", "names", "details", "metadata"}  # there only if they were asked for, or have anything to tell


def ask(agent, path, method="GET", **headers):
    request = urllib.request.Request(agent.url + path, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
            return answer.status, answer.headers["Content-Type"].split(";")[0], answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers["Content-Type"].split(";")[0], e.read().decode()


def strict(node):
    """Every member must be there, and no other."""
    if isinstance(node, dict):
        if "properties" in node:
            node.setdefault("additionalProperties", False)
            node["required"] = [name for name in node["properties"] if name not in OPTIONAL]
        for value in node.values():
            strict(value)
    elif isinstance(node, list):
        for value in node:
            strict(value)
    return node


def resolve(document, node):
    while "$ref" in node:
        at = document
        for key in node["$ref"][2:].split("/"):
            at = at[key]
        node = at
    return node


class OpenApi(unittest.TestCase):
    def check(self, document, path, answer):
        """Is the answer one that the document tells of?"""
        status, kind, body = answer
        bare = re.sub(r"/\d+$", "/{id}", path.split("?")[0])
        responses = document["paths"][bare]["get"]["responses"]
        self.assertTrue(str(status) in responses or "default" in responses, (path, status))
        content = resolve(document, responses.get(str(status), responses.get("default")))["content"]
        self.assertIn(kind, content, (path, status))
        if kind == "application/json" and bare != "/report":
            schema = dict(content[kind]["schema"], components=document["components"])
            wrong = ["%s: %s" % ("/".join(map(str, e.absolute_path)), e.message)
                     for e in jsonschema.Draft202012Validator(schema).iter_errors(json.loads(body))]
            self.assertEqual(wrong[:5], [], path)

    def asked(self, document, agent, path, want, *args, **headers):
        answer = ask(agent, path, *args, **headers)
        self.assertEqual(answer[0], want, (path, answer))
        self.check(strict(copy.deepcopy(document)), path, answer)
        return answer[2]

    def test_has_all_addresses_and_answers_are_as_it_says(self):
        with Pocket("--scenario", "faults") as p, Agent(p, policy=stage.POLICY.replace("settle: 3s", "settle: 1s"), db=True) as agent:
            document = json.loads(ask(agent, DOCUMENT)[2])
            served = {line.split()[0] for line in ask(agent, "/")[2].splitlines()[2:]}
            self.assertEqual({re.sub(r"{id}$", "", path) for path in document["paths"]}, served)
            wait_until(lambda: agent.status()["fillers"] and (agent.status()["fillers"][0]["running"] or 0) > 0, 40, "filler")
            newest = json.loads(self.asked(document, agent, "/api/v1/decisions?limit=3", 200))["decisions"][0]["id"]
            for path, want in (("/", 200), ("/metrics", 200), ("/livez", 200), ("/readyz", 200), ("/readyz?verbose", 200),
                               ("/api/v1/status", 200), ("/api/v1/status?policy=none", 200), ("/api/v1/decisions", 200),
                               ("/api/v1/decisions?limit=0", 400), ("/api/v1/decisions/%d" % newest, 200), ("/api/v1/decisions/0", 404),
                               ("/api/v1/nodes", 200), ("/api/v1/nodes?names=1", 200), (DOCUMENT, 200),
                               ("/api/v1/room?cpu=1&memory=1Gi&example.com/x=1&toleration=*&nodeSelector=a", 200),
                               ("/api/v1/room?cpu=1&nodes=1", 200), ("/api/v1/room?cpu=x", 400)):
                self.asked(document, agent, path, want)
            for kind in ("html", "json", "csv", "table"):
                self.asked(document, agent, "/report?since=1h&format=" + kind, 200)
            self.asked(document, agent, "/report?by=aeon", 400)
            self.asked(document, agent, "/api/v1/status", 403, Host="evil.example")
            self.asked(document, agent, "/api/v1/status", 405, "POST")
            self.asked(document, agent, "/metrics", 200, Accept="application/openmetrics-text")
            self.parameters(document, agent)

    def parameters(self, document, agent):
        """What the room's query refuses names each parameter that there is."""
        room = [q["name"] for q in document["paths"]["/api/v1/room"]["get"]["parameters"]]
        says = json.loads(ask(agent, "/api/v1/room?no-such=1")[2])["message"]
        for name in room:
            self.assertIn("extended resource" if name == "extended" else name, says)
        self.assertEqual(json.loads(ask(agent, "/api/v1/room?nodes=2")[2])["code"], 400)

    def test_answers_before_anything_is_known_are_as_it_says(self):
        with Pocket("--scenario", "faults") as p:
            p.process.send_signal(signal.SIGSTOP)
            try:
                with Agent(p, policy=stage.POLICY) as agent:
                    wait_until(lambda: ask(agent, "/livez")[0] == 200, 20, "the server")
                    document = json.loads(ask(agent, DOCUMENT)[2])
                    for path, want in (("/api/v1/status", 200), ("/api/v1/decisions", 200), ("/api/v1/nodes", 503), ("/api/v1/room?cpu=1", 503),
                                       ("/readyz", 503), ("/metrics", 200)):
                        self.asked(document, agent, path, want)
                    self.asked(document, agent, "/report", 404)
            finally:
                p.process.send_signal(signal.SIGCONT)

    def test_is_a_document_that_others_can_read(self):
        with Pocket("--scenario", "empty") as p, Agent(p, policy=stage.POLICY) as agent:
            document = json.loads(ask(agent, DOCUMENT)[2])
        self.assertRegex(document["openapi"], r"^3\.1\.")
        used = set(re.findall(r'"\$ref": "#/components/(\w+/\w+)"', json.dumps(document)))
        there = {"%s/%s" % (kind, name) for kind, of in document["components"].items() for name in of}
        self.assertEqual(used, there)
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        for path, item in document["paths"].items():
            self.assertTrue(item["get"]["summary"] and item["get"]["responses"], path)
            names = [q["name"] for q in item["get"].get("parameters", ())]
            self.assertEqual(len(names), len(set(names)), path)
            self.assertEqual(re.findall(r"{(\w+)}", path), [q["name"] for q in item["get"].get("parameters", ()) if q["in"] == "path"])


if __name__ == "__main__":
    test_pocket.POCKET, test_pocket.BRIM = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(lanes.run(sys.modules["__main__"], sys.argv[3:], LANES))

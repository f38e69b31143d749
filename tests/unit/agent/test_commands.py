#!/usr/bin/env python3
"""Runs brim as a user does: what it prints, where, and how it exits. Needs no server.

usage: test_commands.py BRIM DATA_FOLDER
"""
import fcntl
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

BRIM, DATA = None, None

POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: miner}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}
  replicas: {max: 150}
"""


def brim(*args, text=""):
    # surrogateescape: what a test feeds need not be UTF-8
    run = subprocess.run([BRIM, *args], input=text.encode("utf-8", "surrogateescape"), capture_output=True, timeout=60,
                         env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def fixture(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as f:
        return json.load(f)


class Commands(unittest.TestCase):
    def test_every_command_has_help(self):
        commands = [["agent"], ["capacity"], ["check"], ["status"], ["version"]]
        commands += [["explain", kind] for kind in ("decision", "pod", "policy", "quantity")]
        for command in commands:
            for flag in ("--help", "-h"):
                code, out, err = brim(*command, flag)
                self.assertEqual((code, err), (0, ""), command)
                self.assertIn("Usage: brim " + " ".join(command), out)
                self.assertIn("Exit codes:", out)
                self.assertIn("Examples:", out)

    def test_a_history_is_not_taken_into_while_an_agent_writes(self):
        row = "kind,time,policy\nsample,2026-10-01T08:00:00Z,miner\n"
        with tempfile.TemporaryDirectory() as folder:
            db, out_file = os.path.join(folder, "history.db"), os.path.join(folder, "out.csv")
            self.assertEqual(brim("history", "import", "--db", db, "-", text=row)[0], 0)
            with open(db + "-lock", "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                code, _, err = brim("history", "import", "--db", db, "-", text=row)
                self.assertEqual(code, 3, err)
                self.assertIn("history.db", err)
                # reading goes on
                self.assertEqual(brim("history", "export", "--db", db, "--out", out_file)[0], 0)
            with open(out_file, encoding="utf-8") as f:
                self.assertIn("sample,2026-10-01T08:00:00.000Z,miner,0,", f.read())
            for policy, form in (("nobody", "csv"), ("nobody", "openmetrics")):
                code, _, err = brim("history", "export", "--db", db, "--policy", policy, "-o", form)
                self.assertEqual(code, 3, err)
                self.assertIn("history.db: found no policy nobody", err)
            for args, told in ((["--what", "simple"], "--what: found simple, expected some of days"),
                               (["--since", "2026-10-02", "--until", "2026-10-01"], "until: found a time that is not after since"),
                               (["--what", "events", "-o", "openmetrics"], "OpenMetrics has samples")):
                code, _, err = brim("history", "export", "--db", db, "--out", out_file + "2", *args)
                self.assertEqual(code, 2, err)
                self.assertIn(told, err)
            self.assertEqual(sorted(os.listdir(folder)), sorted(set(os.listdir(folder)) - {"out.csv2", "out.csv2.part"}))

    def test_the_history_is_kept_within_bounds(self):
        for args, told in ((["--keep-samples", "1d"], "--keep-samples: found 1d, expected 2d to 3650d"),
                           (["--keep-samples", "soon"], "--keep-samples: found soon"),
                           (["--keep-samples", "2026-10-01"], "--keep-samples: found 2026-10-01"),
                           (["--keep-samples", "100d"], "--keep-minutes: found 90d, expected 100d to 3650d"),
                           (["--keep-minutes", "4000d"], "--keep-minutes: found 4000d, expected 14d to 3650d"),
                           (["--keep-hours", "10d"], "--keep-hours: found 10d, expected 90d to 3650d")):
            code, out, err = brim("agent", *args)
            self.assertEqual((code, out), (2, ""), err)
            self.assertIn(told, err)
        code, out, err = brim("agent", "--keep-samples", "2d", "--keep-minutes", "2w", "--keep-hours", "400d")
        self.assertEqual((code, out), (2, ""), err)
        self.assertIn("--policy is missing", err)

    def test_what_is_no_export_is_told_and_leaves_no_file(self):
        rows = ((b"[]\n", "a:1: found 0x5b as the first byte, expected CSV"), (b"", "a: found nothing"),
                (b"\xff\xfek\x00", "a:1: found 0xff as the first byte"),
                (b"time,policy\n", "a:1: found time,policy, expected as OpenMetrics has it NAME"),
                (b"\x23\nx\x1b[31m\n", "a:2: found x?[31m, expected"))
        with tempfile.TemporaryDirectory() as folder:
            path, db = os.path.join(folder, "a"), os.path.join(folder, "history.db")
            for text, told in rows:
                with open(path, "wb") as f:
                    f.write(text)
                code, out, err = brim("history", "import", "--db", db, path)
                self.assertEqual((code, out), (2, ""), text)
                self.assertIn(told, err)
                self.assertFalse(os.path.exists(db), text)
            code, out, err = brim("history", "import", "--db", db, folder)
            self.assertEqual((code, out), (3, ""))
            self.assertIn("Is a directory", err)

    def test_what_a_history_holds_does_not_steer_a_terminal(self):
        row = "kind,time,policy\nsample,2026-10-01T08:00:00Z,\x1b[31mminer\n"
        with tempfile.TemporaryDirectory() as folder:
            db = os.path.join(folder, "history.db")
            self.assertEqual(brim("history", "import", "--db", db, "-", text=row)[0], 0)
            code, out, _ = brim("history", "--db", db)
            self.assertEqual(code, 0)
            self.assertIn("policies  ?[31mminer\n", out)

    def test_bad_use_exits_2_with_a_suggestion_on_stderr(self):
        for args, hint in ((["chek"], "did you mean check?"), (["check", "--outptu", "x"], "did you mean --output?"),
                           (["explain", "pods", "x"], "did you mean pod?"), (["version", "-o", "xml"], "text|json"),
                           (["check"], "expected FILE"), ([], "Usage:"),
                           (["explain", "pod", "-", "--kube-version", "1.5"], "1.28")):
            code, out, err = brim(*args)
            self.assertEqual((code, out), (2, ""), args)
            self.assertIn(hint, err)

    def test_version(self):
        code, out, _ = brim("version", "-o", "json")
        self.assertEqual((code, json.loads(out)["v"]), (0, 1))
        self.assertEqual(brim("--version")[1], "brim %s\n" % json.loads(out)["version"])

    def test_unreachable_things_exit_3(self):
        for args in (["status", "--agent", "http://127.0.0.1:1"], ["explain", "decision", "--agent", "http://127.0.0.1:1"],
                     ["capacity", "--kubeconfig", "/nonexistent"], ["explain", "pod", "/nonexistent"],
                     ["check", "/nonexistent"]):
            code, out, err = brim(*args)
            self.assertEqual((code, out), (3, ""), args)
            self.assertNotEqual(err, "")


class Quantities(unittest.TestCase):
    def test_all_as_the_go_library_has_them(self):
        rows = [r for r in fixture("quantities.json") if "\n" not in r["input"]]
        code, out, _ = brim("explain", "quantity", "-", "-o", "json", text="".join(r["input"] + "\n" for r in rows))
        got = lines(out)
        self.assertEqual((code, len(got)), (1, len(rows)))
        for want, have in zip(rows, got):
            if want.get("quirk"):
                continue
            self.assertEqual(have["input"], want["input"])
            self.assertEqual("error" in have, "error" in want, want)
            if "error" not in want:
                self.assertEqual(have.get("milli"), text_of(want.get("milliValue")), want)
                self.assertEqual(have.get("value"), text_of(want.get("value")), want)
                self.assertEqual(have["canonical"], want["canonical"], want)

    def test_input_is_taken_as_it_stands(self):
        code, out, _ = brim("explain", "quantity", "-", "-o", "json", text=" 1\n1 \n\n1\r\n5")
        self.assertEqual([(r["input"], "error" in r) for r in lines(out)],
                         [(" 1", True), ("1 ", True), ("", True), ("1\r", True), ("5", False)])
        self.assertEqual(code, 1)

    def test_arguments_may_be_negative(self):
        self.assertEqual(brim("explain", "quantity", "-1500m", "2", "-o", "json")[0], 0)


def text_of(number):
    return None if number is None else str(number)


class Pods(unittest.TestCase):
    RELEASES = (("1.28-1.32", ["1.28", "1.32.4"]), ("1.33", ["v1.33.0"]), ("1.34-1.35", ["1.34", "1.35+"]),
                ("1.35-alpha", ["1.35-alpha"]))

    def test_all_as_the_scheduler_counts_them(self):
        rows = fixture("pod-requests.json")
        text = "".join(json.dumps(r["pod"]) + "\n" for r in rows)
        for profile, versions in self.RELEASES:
            for version in versions:
                code, out, _ = brim("explain", "pod", "-", "-o", "json", "--kube-version", version, text=text)
                got = lines(out)
                self.assertEqual((code, len(got)), (0, len(rows)))
                for want, have in zip(rows, got):
                    self.assertEqual(have["counted"], want["counted"], want["name"])
                    if want["pod"].get("spec", {}).get("nodeName"):
                        counted = want["profiles"][profile]
                        self.assertEqual((have["cpu_milli"], have["memory_bytes"]),
                                         (counted["milliCPU"], counted["memoryBytes"]), (version, want["name"]))

    def test_a_broken_one_has_its_error_in_its_place(self):
        pod = json.dumps({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}})
        bad = json.dumps({"spec": {"containers": [{"resources": {"requests": {"cpu": "1.5GB"}}}]}})
        code, out, _ = brim("explain", "pod", "-", "-o", "json", text="%s\n{\"x\n%s\n%s\n" % (pod, bad, pod))
        self.assertEqual(["error" in r for r in lines(out)], [False, True, True, False])
        self.assertEqual(code, 1)

    def test_reads_yaml_lists_and_rubbish(self):
        yaml = "kind: Pod\nmetadata: {name: y}\nspec:\n  containers:\n  - resources: {requests: {cpu: .5, memory: 1Gi}}\n"
        code, out, _ = brim("explain", "pod", "-", "-o", "json", text=yaml)
        self.assertEqual((code, lines(out)[0]["cpu_milli"], lines(out)[0]["memory_bytes"]), (0, 500, 1 << 30))
        code, out, _ = brim("explain", "pod", "-", "-o", "json", text=json.dumps({"items": [{}, {"kind": "Node"}]}, indent=1))
        self.assertEqual((code, ["error" in r for r in lines(out)]), (1, [False, True]))
        for rubbish in ("rubbish", "{", "[[[[", "\udcff\udcff", "{\"spec\":" * 3000, "- " * 5000, "&a [*a]"):
            code, out, _ = brim("explain", "pod", "-", "-o", "json", text=rubbish)
            self.assertEqual((code, ["error" in r for r in lines(out)]), (1, [True]), rubbish[:20])

    def test_says_which_line_is_broken(self):
        good = '{"spec":{"containers":[]}}\n'
        bad = '{"spec":{"containers":[{"resources":{"requests":{"cpu":"1.5GB"}}}]}}\n'
        _, out, _ = brim("explain", "pod", "-", "-o", "json", text=good + "{\n" + "\n" + bad)
        self.assertEqual([r.get("error", "")[:8] for r in lines(out)], ["", "line 2: ", "line 4: "])

    def test_a_workload_is_counted_by_its_template(self):
        spec = {"containers": [{"resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "1Mi"}}}]}
        text = json.dumps({"kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": {"template": {"spec": spec}}})
        code, out, _ = brim("explain", "pod", "-", "-o", "json", text=text)
        got = lines(out)[0]
        self.assertEqual((code, got["namespace"], got["name"]), (0, "n", "d"))
        self.assertEqual((got["cpu_milli"], got["memory_bytes"], got["counted"]), (1500, 1 << 20, False))
        # A Pod is taken as stored.
        code, out, _ = brim("explain", "pod", "-", "-o", "json", text=json.dumps({"kind": "Pod", "spec": spec}))
        self.assertEqual(lines(out)[0]["cpu_milli"], 0)

    def test_says_that_a_sum_is_saturated(self):
        def pod(n):
            return json.dumps({"spec": {"containers": [{"resources": {"requests": {"memory": "7Ei"}}}] * n}})
        for n in (1, 5):
            _, out, _ = brim("explain", "pod", "-", "-o", "json", text=pod(n))
            self.assertEqual(lines(out)[0]["saturated"], n == 5)
            _, out, _ = brim("explain", "pod", "-", text=pod(n))
            self.assertEqual("9223372036854775807 bytes (saturated)" in out, n == 5, out)

    def test_tells_people_why_a_pod_is_not_counted(self):
        code, out, _ = brim("explain", "pod", "-", text='{"metadata":{"name":"p","namespace":"d"},"spec":{"containers":[]}}')
        self.assertEqual(code, 0)
        self.assertIn("d/p: Pending, no node", out)
        self.assertIn("it has no node yet: it is demand", out)


class Hang(unittest.TestCase):
    def test_an_agent_that_hangs_is_given_up_after_5_s(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = "http://127.0.0.1:%d" % listening.getsockname()[1]
            began = time.monotonic()
            runs = [subprocess.Popen([BRIM, *command, "--agent", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    for command in (["status"], ["explain", "decision"])]
            self.assertEqual([(run.communicate(timeout=30)[0], run.returncode) for run in runs], [(b"", 3)] * 2)
            self.assertTrue(4 < time.monotonic() - began < 9)


class Agent(http.server.BaseHTTPRequestHandler):
    """An agent with two policies."""

    def do_GET(self):
        path, _, query = self.path.partition("?policy=")
        names = [n for n in ("miner", "backup") if query in ("", n)]
        body = json.dumps({"v": 1, "state": "steady" if names else "no-policy", "fillers": [{"policy": n} for n in names],
                           "fillers_total": 2, "say": {"doing": ["Steady"], "why": []}}).encode()
        self.send_response(200 if path == "/api/v1/status" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Status(unittest.TestCase):
    def test_of_a_policy_that_is_not_there_names_those_that_are(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        agent = ("--agent", "http://127.0.0.1:%d" % server.server_address[1])
        for form in ("text", "json"):
            self.assertEqual(brim("status", "-o", form, "--policy", "nope", *agent),
                             (1, "", "brim status: found no policy nope: the agent has miner, backup\n"))
        code, out, err = brim("status", "--policy", "backup", *agent)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("Policy backup:", out)
        self.assertNotIn("Why:", out)


class Server(http.server.BaseHTTPRequestHandler):
    """An API server with one node of 4 cores and no pods."""
    NODE = {"metadata": {"name": "n1", "uid": "1"}, "status": {
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]}}
    ANSWERS = {"/version": {"gitVersion": "v1.35.4"},
               "/api/v1/nodes": {"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [NODE]},
               "/api/v1/pods": {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}}

    def do_GET(self):
        body = json.dumps(self.ANSWERS[self.path.split("?")[0]]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Capacity(unittest.TestCase):
    POD = {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m"}}}]}

    def setUp(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        self.addCleanup(self.config.close)
        self.config.write("""apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:%d"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
""" % server.server_address[1])
        self.config.flush()

    def fits(self, text):
        code, out, err = brim("capacity", "--kubeconfig", self.config.name, "--fits", "-", "-o", "json", text=text)
        return code, json.loads(out)["total"]["fits"] if out else err

    def test_of_every_kind_of_workload_and_a_manifest_with_limits_alone(self):
        template = {"spec": self.POD}
        for kind, spec in (("Pod", self.POD), ("Deployment", {"template": template}), ("StatefulSet", {"template": template}),
                           ("ReplicaSet", {"template": template}), ("Job", {"template": template}),
                           ("CronJob", {"jobTemplate": {"spec": {"template": template}}})):
            self.assertEqual(self.fits(json.dumps({"kind": kind, "spec": spec})), (0, 2), kind)
        code, err = self.fits(json.dumps({"kind": "Service", "spec": {}}))
        self.assertEqual(code, 2)
        self.assertIn('kind: found "Service", expected "Pod" or a workload', err)

    def test_of_no_list_but_that_of_the_kind_that_was_asked_for(self):
        for path, found in (("/api/v1/nodes", "PodList"), ("/api/v1/pods", "Status")):
            with unittest.mock.patch.dict(Server.ANSWERS, {path: {**Server.ANSWERS[path], "kind": found}}):
                code, out, err = brim("capacity", "--kubeconfig", self.config.name)
            self.assertEqual((code, out), (3, ""))
            self.assertRegex(err, "%s: found a list of kind '%s', expected %sList" % (path, found, path[8:-1].title()))

    def test_of_no_list_that_leads_in_a_circle(self):
        path = "/api/v1/pods"
        with unittest.mock.patch.dict(Server.ANSWERS, {path: {**Server.ANSWERS[path], "metadata": {"resourceVersion": "1", "continue": "x"}}}):
            code, out, err = brim("capacity", "--kubeconfig", self.config.name)
        self.assertEqual((code, out), (3, ""))
        self.assertIn(path + ": the list goes on with the page that it just gave", err)

    def test_of_the_example_in_the_manual(self):
        example = os.path.join(DATA, "..", "..", "deploy", "examples", "003", "filler.yaml")
        with open(example, encoding="utf-8") as f:
            self.assertEqual(self.fits(f.read()), (0, 4))


class Policies(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_a_good_file_and_a_good_folder(self):
        path = self.write("miner.yaml", POLICY)
        self.write(".hidden.yaml", "rubbish: [")
        for arg in (path, self.folder.name):
            code, out, err = brim("check", arg)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("%s: ok, policy miner: " % path, out)
        self.assertEqual(brim("check", "-", text=POLICY)[0], 0)

    def test_a_broken_file_is_told_with_its_place(self):
        path = self.write("miner.yaml", POLICY + "  settel: 90s\n")
        code, out, err = brim("check", path)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("%s:7:3: " % path, err)
        self.assertIn("settle", err)
        code, out, _ = brim("check", path, "-o", "json")
        self.assertEqual((code, lines(out)[0]["ok"]), (1, False))

    def test_more_policies_than_an_agent_takes_are_refused(self):
        for n in range(33):
            path = self.write("p%02d.yaml" % n, POLICY.replace("miner", "p%d" % n))
        code, out, err = brim("check", self.folder.name)
        self.assertEqual((code, len(out.splitlines())), (1, 32), out)
        self.assertEqual(err, path + ":3:18: found 33 policies together, of which this is number 33, expected at most 32\n")
        os.remove(path)
        self.assertEqual(brim("check", self.folder.name)[0], 0)

    def test_two_files_may_not_name_one_policy(self):
        a, b = self.write("a.yaml", POLICY), self.write("b.yaml", POLICY)
        c = self.write("c.yaml", POLICY.replace("miner", "other"))
        code, out, err = brim("check", self.folder.name)
        self.assertEqual((code, err), (1, "%s:3:18: metadata.name: found the same name as at %s:3:18: miner\n" % (b, a)))
        self.assertEqual([line.split(": ")[0] for line in out.splitlines()], [c], "ok is said of the others")
        code, out, err = brim("check", "-o", "json", self.folder.name)
        self.assertEqual((code, [(r["file"], r["ok"]) for r in lines(out)]), (1, [(a, False), (b, False), (c, True)]))
        # Two of one file, three of one name.
        code, out, err = brim("check", self.write("d.yaml", POLICY + "---\n" + POLICY))
        self.assertEqual((code, out, err.count("d.yaml:3:18: miner")), (1, "", 1))
        code, out, err = brim("check", a, b, a)
        self.assertEqual((code, out, err.count("\n")), (1, "", 2))

    def test_a_file_that_is_too_large_is_told_by_its_own_limit(self):
        code, out, err = brim("check", self.write("big.yaml", "#" * (20 << 20)))
        self.assertEqual((code, out), (3, ""))
        self.assertIn("larger than 4 MiB", err)

    def test_an_empty_folder_is_wrong(self):
        self.assertEqual(brim("check", self.folder.name)[0], 1)

    def test_the_agent_waits_where_its_folder_is_empty(self):
        config = self.write("config", "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
                            "users: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n")
        folder = os.path.join(self.folder.name, "policies")
        os.mkdir(folder)
        agent = subprocess.Popen([BRIM, "agent", "--kubeconfig", config, "--listen", "127.0.0.1:0", "--policy", folder],
                                 stderr=subprocess.PIPE, text=True)
        try:
            told = [agent.stderr.readline() for _ in range(3)]
            self.assertIn("there is no policy yet", "".join(told))
            self.assertIn("does not answer yet", "".join(told))
        finally:
            agent.terminate()
            agent.communicate(timeout=60)
        self.assertEqual(agent.returncode, 0)
        code, _, err = brim("agent", "--kubeconfig", config, "--policy", self.write("none.yaml", "# none\n"))
        self.assertEqual(code, 2)
        self.assertIn("found no policy", err)

    def test_keys_are_explained(self):
        code, out, _ = brim("explain", "policy")
        self.assertEqual(code, 0)
        self.assertIn("spec.reserve.cpu", out)
        self.assertIn("default", brim("explain", "policy", "settle")[1])
        code, out, err = brim("explain", "policy", "setle")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("did you mean spec.settle?", err)
        self.assertIn("did you mean spec.settle?", brim("explain", "policy", "spec.setle")[2])
        self.assertIn("spec.schedule[].zone", brim("explain", "policy", "schedule")[1])
        self.assertIn("properties", json.loads(brim("explain", "policy", "-o", "json")[1]))


if __name__ == "__main__":
    BRIM, DATA = sys.argv[1], sys.argv[2]
    unittest.main(argv=[sys.argv[0]] + sys.argv[3:])

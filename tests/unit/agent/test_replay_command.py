#!/usr/bin/env python3
"""Runs `brim replay` as a user does, on small traces.

usage: test_replay_command.py BRIM DATA_FOLDER
"""
import csv
import html.parser
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

BRIM, DATA = None, None
NODES = "node,cpu_milli,memory_mib\nn000,8000,16384\nn001,8000,16384\n"
HEAD = "time_s,event,pod,cpu_milli,memory_mib,node\n"
FILLER = {"seconds": 1800, "filler_cpu_milli": 1000, "filler_memory_mib": 512, "reserve_cpu_milli": 4000, "max_replicas": 16}
POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: "%s"}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}
  replicas: {max: 16}
  headroom: {mode: fixed, max: %s}
  pod: {cpu: "1", memory: 512Mi}
"""


SCHEDULE = """  schedule:
    - {from: "00:00", to: "06:00", zone: UTC, replicas: {max: %d}}
    - {from: "06:00", to: "18:00", zone: UTC, headroom: {max: 0}}
"""


def brim(*args):
    run = subprocess.run([BRIM, "replay", *args], capture_output=True, timeout=60,
                         env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    return run.returncode, run.stdout.decode(), run.stderr.decode()


class Replay(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.name = self.write("t.csv", HEAD + "".join(
            f"{t},create,p{t}{i},2000,1024,\n" for t in range(660, 1500, 60) for i in range(2) if t % 180 == 120) +
            "1700,create,x,16000,1024,\n")
        self.write("t.nodes.csv", NODES)
        self.write("t.json", json.dumps(FILLER))

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_the_trace_s_own_policy_beside_all_peers(self):
        code, out, err = brim("--trace", self.name, "--peer", "all", "-o", "json")
        self.assertEqual((code, err), (0, ""))
        answer = json.loads(out)
        self.assertEqual(answer["version"], 1)
        self.assertEqual([r["name"] for r in answer["runs"]],
                         ["brim", "hpa", "hpa-tuned", "keda", "preempt", "static", "oracle"])
        by_name = {r["name"]: r for r in answer["runs"]}
        self.assertEqual(by_name["brim"]["paid_pods"], 11)
        self.assertEqual(by_name["brim"]["blocked_pods"], 0, "two pods of 2 cores fit in what is kept free")
        self.assertEqual(by_name["preempt"]["blocked_pods"], 8, "all but the three that fit nowhere")
        self.assertEqual(by_name["oracle"]["of_oracle_percent"], 100)
        self.assertNotIn("blocked_pods", by_name["oracle"])
        self.assertGreater(by_name["preempt"]["fill_percent"], by_name["brim"]["fill_percent"])
        self.assertEqual([a["settle_seconds"] for a in by_name["brim"]["settle"]], [30, 60, 90, 120, 300, 900])

    def test_policies_side_by_side_and_what_if(self):
        small, large = self.write("a.yaml", POLICY % ("small", 2)), self.write("b.yaml", POLICY % ("large", 8))
        code, out, err = brim("--trace", self.name[:-4], "-p", small, "-p", large, "--what-if", "-o", "json")
        self.assertEqual((code, err), (0, ""))
        a, b = json.loads(out)["runs"]
        self.assertEqual((a["name"], b["name"]), ("small", "large"))
        self.assertGreater(a["fill_percent"], b["fill_percent"])
        self.assertGreater(a["blocked_pods"], b["blocked_pods"])
        self.assertEqual([i["change"] for i in a["what_if"]],
                         ["epsilon / 2", "headroom.max x 0.5", "headroom.max x 1", "headroom.max x 2"])
        self.assertEqual(a["what_if"][2]["blocked_pods"], a["blocked_pods"])
        self.assertLess(a["what_if"][3]["blocked_pods"], a["blocked_pods"])

    def test_a_schedule_goes_by_the_time_of_the_start(self):
        plain = self.write("a.yaml", POLICY % ("plain", 8))
        night = self.write("b.yaml", POLICY % ("plain", 8) + SCHEDULE % 1)
        runs = {}
        for at in ("2026-10-01T20:00:00Z", "2026-10-02T03:00:00+02:00", "2026-10-01T09:00:00Z"):
            code, out, err = brim("--trace", self.name, "-p", night, "--at", at, "--what-if", "-o", "json")
            self.assertEqual((code, err), (0, ""))
            answer = json.loads(out)
            runs[at[11:13]] = answer["runs"][0]
            self.assertEqual(answer["began"], {"20": "2026-10-01T20:00:00.000Z", "03": "2026-10-02T01:00:00.000Z",
                                               "09": "2026-10-01T09:00:00.000Z"}[at[11:13]])
        code, out, err = brim("--trace", self.name, "-p", plain, "--what-if", "-o", "json")
        self.assertEqual((code, err), (0, ""))
        self.assertNotIn("began", json.loads(out))
        always = json.loads(out)["runs"][0]
        self.assertEqual(runs["20"], always, "no entry holds")
        self.assertLess(runs["03"]["fill_percent"], always["fill_percent"])
        self.assertGreater(runs["09"]["blocked_pods"], always["blocked_pods"])
        self.assertEqual([i["blocked_pods"] for i in runs["09"]["what_if"]], [runs["09"]["blocked_pods"]] * 4,
                         "twice nothing is nothing, whatever spec says")
        code, out, err = brim("--trace", self.name, "-p", night, "--what-if", "-o", "json")
        self.assertEqual((code, json.loads(out)["runs"][0]), (0, always))
        self.assertEqual(err, "brim replay: policy plain: its schedule is not followed, what its spec says holds at "
                              "all times; give --at, when the trace began\n")

    def test_the_largest_max_of_a_schedule_counts(self):
        most = self.write("a.yaml", POLICY % ("most", 2) + SCHEDULE % 40)
        for at, expected in ((("--at", "2026-10-01T01:00:00Z"), 40), ((), 16)):
            answer = json.loads(brim("--trace", self.name, "-p", most, "-o", "json", *at)[1])
            self.assertEqual(answer["setting"]["max_replicas"], expected)

    def test_strict_decides_the_exit_status(self):
        small = self.write("a.yaml", POLICY % ("small", 0))
        for percent, expected in (("0.5%", 1), ("100", 0)):
            self.assertEqual(brim("--trace", self.name, "-p", small, "--strict", percent)[0], expected)

    def test_the_same_bytes_again(self):
        for form in ("table", "json", "csv", "html"):
            first = brim("--trace", self.name, "--peer", "hpa", "-o", form)
            self.assertEqual(first, brim("--trace", self.name, "--peer", "hpa", "-o", form))
            self.assertEqual((first[0], first[2]), (0, ""))

    def test_the_time_series(self):
        code, out, _ = brim("--trace", self.name, "--peer", "preempt", "-o", "csv", "--every", "60s")
        rows = list(csv.DictReader(io.StringIO(out)))
        self.assertEqual(code, 0)
        self.assertEqual([r["time_s"] for r in rows if r["run"] == "brim"], [str(60 * i) for i in range(30)])
        self.assertEqual(sum(int(r["blocked"]) for r in rows if r["run"] == "preempt"), 8)
        last = [r for r in rows if r["run"] == "brim"][-1]
        self.assertEqual((last["demand_cores"], last["waiting_cores"]), ("36", "20"))
        self.assertLessEqual(int(last["damped"]), int(last["set_point"]))

    def test_the_page_needs_nothing_else_and_escapes_names(self):
        odd = self.write("a.yaml", POLICY % ("small", 2))
        folder = os.path.join(self.folder.name, "<b>&")
        os.mkdir(folder)
        for end in (".csv", ".nodes.csv", ".json"):
            os.link(os.path.join(self.folder.name, "t" + end), os.path.join(folder, "t" + end))
        code, out, _ = brim("--trace", os.path.join(folder, "t"), "-p", odd, "--peer", "static", "-o", "html")
        self.assertEqual(code, 0)
        seen = []
        parser = html.parser.HTMLParser()
        parser.handle_starttag = lambda tag, attributes: seen.append((tag, dict(attributes)))
        parser.feed(out)
        tags = [tag for tag, _ in seen]
        self.assertEqual(tags.count("svg"), 2)
        self.assertNotIn("b", tags)
        self.assertNotIn("script", tags)
        for _, attributes in seen:
            self.assertFalse({"src", "href"} & set(attributes))
        paths = [a["d"] for tag, a in seen if tag == "path"]
        self.assertTrue(all(re.fullmatch(r"[MHVLvZ0-9 -]*", d) for d in paths))

    def test_mistakes_name_file_and_line(self):
        bad = self.write("bad.csv", HEAD + "1,create,a,x,1,\n")
        self.write("bad.nodes.csv", NODES)
        code, out, err = brim("--trace", bad)
        self.assertEqual((code, out), (2, ""))
        self.assertIn("bad.csv:2: cpu_milli: found x, expected a whole number", err)

    def test_bad_use(self):
        for args, hint in (((), "found none, expected --trace, --db or --prometheus"), (("--trace", "a", "--db", "b"), "found more than one"),
                           (("--trace", self.name, "--peer", "kda"), "found kda, expected hpa"),
                           (("--trace", self.name, "--grace", "10"), "--grace: found 10, expected a time"),
                           (("--trace", self.name, "--strict", "x"), "--strict: found x"),
                           (("--trace", self.name, "--reserve", "-1"), "--reserve: found -1"),
                           (("--trace", self.name, "--warm-up", "30m"),
                            "--warm-up: found 30m, expected less than the trace lasts, which is 1800 s"),
                           (("--trace", self.name, "--seed", "a"), "--seed: found a"),
                           (("--trace", self.name, "--at", "08:00"), "--at: found 08:00, expected a time like 2026-"),
                           (("--db", "b", "--at", "2026-10-01T08:00:00Z"), "--at: found it beside --db"),
                           (("--trace", self.name, "--placement", "pile"), "gate|affinity|spread")):
            code, out, err = brim(*args)
            self.assertEqual((code, out), (2, ""), args)
            self.assertIn(hint, err)
        self.assertEqual(brim("--trace", "/nonexistent/t")[0], 3)
        self.assertEqual(brim("--db", "/nonexistent/h.db")[0], 3)

    def test_a_trace_without_its_json_needs_a_policy_that_knows_the_pod(self):
        os.remove(os.path.join(self.folder.name, "t.json"))
        self.assertEqual(brim("--trace", self.name)[0], 2)
        shaped = self.write("a.yaml", POLICY % ("small", 2))
        self.assertEqual(brim("--trace", self.name, "-p", shaped)[0], 0)

    def test_the_demo_s_trace_is_filled_without_a_wait(self):
        code, out, err = brim("--trace", os.path.join(DATA, "traces", "seed003"), "-o", "json", "--strict", "0")
        self.assertEqual((code, err), (0, ""))
        run = json.loads(out)["runs"][0]
        self.assertEqual(run["blocked_pods"], 0)
        self.assertGreater(run["fill_percent"], 80)
        self.assertLess(run["pod_reversals_per_hour"], run["paid_reversals_per_hour"] + 0.5)


if __name__ == "__main__":
    BRIM, DATA = os.path.abspath(sys.argv[1]), sys.argv[2]
    unittest.main(argv=sys.argv[:1])

#!/usr/bin/env python3
"""Runs `brim report --prometheus` against a fake one: what it asks, what it makes of the answers, what it says of trouble.

usage: test_report_prometheus.py BRIM
"""
import csv
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import unittest

from fake_prometheus import FakeScraped, make_tls

BRIM = sys.argv[1] if len(sys.argv) > 1 else None
T0 = 1790000000 // 86400 * 86400  # a midnight
DAY = 86400
POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: miner}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}
  replicas: {max: 20}
  headroom: {max: 30}
  pod: {cpu: "1", memory: 512Mi}
  report: {target: 85%, price: 0.03}
"""


def stamp(t):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))


def scraped(seconds, step=15, labels='instance="a"', policies=("miner",), paid=40, filler=30, begin=T0):
    """Series of an agent with 100 cores; a paid pod comes and a yield is decided every minute."""
    series = {}

    def put(family, text, value, t):
        series.setdefault((family, ",".join(x for x in (labels, text) if x)), []).append((t, value))

    for i in range(0, seconds, step):
        t = begin + i
        put("brim_build_info", 'version="1"', 1, t)
        put("brim_nodes", "", 5, t)
        put("brim_paid_pods_total", "", i // 60, t)
        put("brim_paid_pods_blocked_total", "", i // 600, t)
        put("process_start_time_seconds", "", 5, t)
        for name in policies:
            policy = 'policy="%s"' % name
            put("cpu_capacity_allocatable", policy, 100, t)
            put("cpu_capacity_requested", policy, paid, t)
            put("cpu_capacity_pending", policy, 2, t)
            for state, cores in (("ready", filler), ("starting", 1), ("leaving", 1)):
                put("brim_filler_cores", policy + ',state="%s"' % state, cores, t)
            put("brim_kept_cores", policy, 8, t)
            put("brim_decisions_total", policy + ',reason="yield"', i // 60, t)
            put("brim_decisions_total", policy + ',reason="harvest"', i // 120, t)
            put("brim_desired_replicas", policy, 30 + i // 60 % 2, t)
    return series


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = self.folder.name + "/" + name
        with open(path, "w") as f:
            f.write(text)
        return path

    def brim(self, *args):
        run = subprocess.run([BRIM, "report", *args], capture_output=True, timeout=100, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
        return run.returncode, run.stdout.decode(), run.stderr.decode()

    def ask(self, url, *args, seconds=3600):
        code, out, err = self.brim("--prometheus", url, "--since", stamp(T0), "--until", stamp(T0 + seconds), *args)
        self.assertEqual((code, err), (0, ""))
        return out

    def report(self, url, *args, **more):
        return json.loads(self.ask(url, "-o", "json", *args, **more))

    def fails(self, url, *args, code=3):
        got, out, err = self.brim("--prometheus", url, "--since", stamp(T0), "--until", stamp(T0 + 3600), *args)
        self.assertEqual((got, out), (code, ""), err)
        return err

    def test_an_hour_comes_back_as_it_was(self):
        with FakeScraped(scraped(3600)) as p:
            p.piece = 11
            answer = self.report(p.url, "--by", "hour")
        total = answer["total"]
        for key, value in (("offered_core_hours", 100), ("paid_core_hours", 40), ("filler_core_hours", 30), ("churn_core_hours", 2),
                           ("kept_core_hours", 8), ("idle_core_hours", 20), ("recorded", 1), ("peak_paid_cores", 42), ("peak_nodes", 5),
                           ("yields", 59), ("harvests", 29), ("reversals", 58), ("paid_pods", 59), ("blocked_pods", 5)):
            self.assertEqual(total[key], value, key)
        for key in ("wait_seconds", "longest_wait_seconds", "filler_starts", "filler_stops", "largest_rise_cores",
                    "only_filler_node_core_hours"):
            self.assertIsNone(total[key], key)
        self.assertEqual((answer["version"], answer["policy"], answer["scrapes"]["interval_seconds"]), (2, "miner", 15))
        self.assertIn("a scrape each 15.0 s", " ".join(answer["summary"]))

    def test_every_form_tells_it(self):
        with FakeScraped(scraped(3600)) as p:
            table, page = self.ask(p.url), self.ask(p.url, "-o", "html")
            rows = list(csv.DictReader(io.StringIO(self.ask(p.url, "-o", "csv", "--by", "hour"))))
        self.assertRegex(table, r"total +100\.0% +100\.0 +40\.0 +30\.0")
        self.assertNotIn("CLUSTER", table)
        self.assertIn("a scrape each 15.0 s", page)
        self.assertNotIn("h-clusters", page)
        self.assertEqual((len(rows), rows[0]["paid_core_hours"], rows[0]["wait_seconds"]), (1, "40", ""))

    def test_clusters_are_summed_and_told_one_by_one(self):
        series = {**scraped(3600, labels='cluster="eu1"'), **scraped(3600, labels='cluster="us-1"', paid=60, filler=10)}
        with FakeScraped(series) as p:
            answer, table, page = self.report(p.url), self.ask(p.url), self.ask(p.url, "-o", "html")
            one = self.report(p.url, "--cluster", "us-1")
            two = self.report(p.url, "--cluster", "us-1", "--cluster", "eu1", "--by-label", "cluster")
        self.assertEqual((answer["total"]["offered_core_hours"], answer["total"]["paid_core_hours"]), (200, 100))
        self.assertEqual([(c["name"], c["paid_core_hours"]) for c in answer["clusters"]], [("eu1", 40), ("us-1", 60)])
        self.assertEqual((one["total"]["paid_core_hours"], one["cluster_label"]), (60, None))
        self.assertEqual(two["total"], answer["total"])
        self.assertRegex(table, r"(?m)^CLUSTER +RECORDED.*\neu1 +100\.0% +100\.0 +40\.0.*\nus-1 +100\.0% +100\.0 +60\.0")
        self.assertRegex(page, r'<h2 id="h-clusters">Clusters</h2>[\s\S]*<th scope="row">us-1</th>')

    def test_clusters_may_be_told_apart_by_another_label(self):
        series = {**scraped(3600, labels='site="a.b",team="x"'), **scraped(3600, labels='site="a+b",team="x"'),
                  **scraped(3600, labels='site="c",team="y"')}
        with FakeScraped(series) as p:
            self.assertEqual([c["name"] for c in self.report(p.url, "--by-label", "site")["clusters"]], ["a+b", "a.b", "c"])
            one = self.report(p.url, "--by-label", "site", "--cluster", "a.b")
            self.assertEqual([c["name"] for c in one["clusters"]], ["a.b"])
            self.assertEqual([c["name"] for c in self.report(p.url, "--by-label", "site", "--match", 'team="y"')["clusters"]], ["c"])

    def test_two_policies_want_one_to_be_named(self):
        with FakeScraped(scraped(3600, policies=("render", "miner"))) as p:
            self.assertIn("found policies miner, render, expected one to be named", self.fails(p.url, code=2))
            self.assertEqual(self.report(p.url, "--policy", "render")["total"]["filler_core_hours"], 30)
            self.assertIn("none is named nobody", self.fails(p.url, "--policy", "nobody"))
        with FakeScraped({}) as p:
            self.assertIn("T01:00:00Z: %s: nothing of brim was scraped: found no cpu_capacity_allocatable{policy!=\"\",cluster=~\"eu1\"}" % p.url,
                          self.fails(p.url, "--cluster", "eu1"))

    def test_what_is_missing_of_one_cluster_is_said(self):
        series = {**scraped(3600, labels='cluster="eu1"'), **scraped(1800, labels='cluster="us1"')}
        with FakeScraped(series) as p:
            terms = ("--policy-file", self.write("policy.yaml", POLICY))
            answer = self.report(p.url, "--cluster", "eu1", "--cluster", "us1", "--cluster", "typo", *terms)
            both = self.report(p.url, *terms)
            alone = self.report(p.url, "--cluster", "eu1")
        self.assertEqual([(c["name"], c["recorded"]) for c in answer["clusters"]], [("eu1", 1), ("typo", 0), ("us1", 0.508)])
        self.assertEqual(answer["total"], both["total"])
        self.assertIn("Of typo 0 %, of us1 50.8 % of the time was recorded: the sums lack the rest.", answer["summary"][-1])
        self.assertNotIn("lack", alone["summary"][-1])

    def test_a_range_is_a_week_and_lies_anywhere(self):
        with FakeScraped(scraped(3600)) as p:
            code, out, _ = self.brim("--prometheus", p.url, "--until", stamp(T0 + 3600), "-o", "json")
            self.assertEqual((code, json.loads(out)["since"]), (0, stamp(T0 + 3600 - 7 * DAY)))
            p.asked.clear()
            self.assertEqual(self.brim("--prometheus", p.url, "--since", "1969-01-01", "--until", "1970-02-01")[0], 3)
            self.assertRegex(p.asked[0][1]["start"], r"^-\d+\.\d{3}$")
            code, _, err = self.brim("--prometheus", p.url, "--since", stamp(T0), "--until", stamp(T0 - 60))
            self.assertEqual(code, 2)
            self.assertIn("from %s until %s, expected since before until" % (stamp(T0), stamp(T0 - 60)), err)

    def test_before_may_be_a_time_of_which_nobody_tells(self):
        with FakeScraped(scraped(3600)) as p:
            answer = self.report(p.url, "--compare", "previous")
        self.assertEqual((answer["total"]["recorded"], answer["before"]["recorded"], answer["before"]["paid_core_hours"]), (1, 0, None))

    def test_terms_come_from_a_policy_file(self):
        with FakeScraped(scraped(3600)) as p:
            answer = self.report(p.url, "--policy-file", self.write("policy.yaml", POLICY))
        self.assertEqual((answer["target"], answer["price"]), (0.85, 0.03))
        self.assertEqual(answer["total"]["harvestable_core_hours"], 20, "20 pods of a core at most")
        self.assertEqual(answer["total"]["filler_worth"], 0.9)

    def test_two_periods_stand_beside_each_other_and_advice_says_what_it_needs(self):
        with FakeScraped(scraped(7200)) as p:
            answer = self.report(p.url, "--compare", "%s..%s" % (stamp(T0 + 3600), stamp(T0 + 7200)), "--advice")
        self.assertEqual(answer["before"]["yields"], 60, "the first of them was counted since the scrape before")
        self.assertIn("history file", answer["advice"]["why_not"])

    def test_six_hours_are_asked_for_at_a_time(self):
        with FakeScraped(scraped(3600)) as p:
            self.report(p.url, seconds=13 * 3600)
            windows = [(float(f["time"]), int(re.search(r"\[(\d+)ms\]$", f["query"]).group(1)) / 1000) for path, f, _ in p.asked
                       if path.endswith("/query")]
            self.assertEqual([round(w) for _, w in windows], [21600, 21600, 3900])
            self.assertAlmostEqual(windows[-1][0], T0 + 13 * 3600, delta=0.01)
            self.assertEqual(len(p.asked), 4)

    def test_of_a_long_time_one_scrape_a_minute_is_asked_for(self):
        with FakeScraped(scraped(2 * DAY, step=300)) as p:
            p.piece = 1 << 16
            for days, step in ((15, 60), (91, 300)):
                p.asked.clear()
                self.report(p.url, seconds=days * DAY)
                ranges = [f for path, f, _ in p.asked if path.endswith("query_range") and f["query"].startswith("last_over_time")]
                self.assertEqual({float(f["step"]) for f in ranges}, {step})
                self.assertEqual(len(ranges), days + 1)
                self.assertLess(max((float(f["end"]) - float(f["start"])) / float(f["step"]) for f in ranges), 11000)
            answer = self.report(p.url, seconds=91 * DAY)
        self.assertEqual(answer["total"]["offered_core_hours"], 2 * 24 * 100)
        self.assertIn("only a part of the scrapes", " ".join(answer["summary"]))

    def test_a_window_that_is_too_much_is_halved(self):
        too_much = {"status": "error", "errorType": "execution", "error": "query processing would load too many samples into memory"}

        def answer(asked):
            window = re.search(r"\[(\d+)ms\]$", asked[1]["query"])
            return (422, too_much) if window and int(window.group(1)) > 3600000 else None

        with FakeScraped(scraped(4 * 3600)) as p:
            plain = self.report(p.url, seconds=4 * 3600)
            p.answer = answer
            halved = self.report(p.url, seconds=4 * 3600)
            p.answer = lambda asked: (422, too_much) if asked[0].endswith("/query") else None
            err = self.fails(p.url)
        for one in (plain, halved):
            del one["scrapes"]["queries"]
        self.assertEqual(plain, halved)
        self.assertIn("422: execution: query processing would load too many samples", err)
        self.assertRegex(err, r"\S+Z to \S+Z: Prometheus")

    def test_the_question_for_names_is_halved_too(self):
        too_much = {"status": "error", "errorType": "execution", "error": "query processing would load too many samples into memory"}

        def answer(asked):
            names = asked[0].endswith("/query_range") and asked[1]["query"].startswith("count by(policy)")
            return (422, too_much) if names and float(asked[1]["end"]) - float(asked[1]["start"]) > 3600 else None

        with FakeScraped(scraped(4 * 3600)) as p:
            plain = self.report(p.url, seconds=4 * 3600)
            p.answer = answer
            halved = self.report(p.url, seconds=4 * 3600)
            p.answer = lambda asked: (422, too_much)
            err = self.fails(p.url)
        self.assertGreater(halved["scrapes"]["queries"], plain["scrapes"]["queries"])
        for one in (plain, halved):
            del one["scrapes"]["queries"]
        self.assertEqual(plain, halved)
        self.assertIn("422: execution: query processing would load too many samples", err)
        self.assertRegex(err, r"\S+Z to \S+Z: Prometheus")

    def test_partial_answers_are_told(self):
        with FakeScraped(scraped(3600)) as p:
            def answer(asked):
                if asked[0].endswith("query_range"):
                    return None
                return 200, {**p.vector(asked[1]["query"], float(asked[1]["time"])), "warnings": ["store 10.0.0.7 is away"]}
            p.answer = answer
            answer = self.report(p.url)
        self.assertEqual((answer["scrapes"]["partial"], answer["scrapes"]["warning"]), (1, "store 10.0.0.7 is away"))
        self.assertIn("1 answer of 2 may lack something; the first says: store 10.0.0.7 is away.", " ".join(answer["summary"]))

    def test_who_asks_is_told_over_https_to_whom_the_authority_signed(self):
        token, headers = self.write("token", "secret-token\n"), self.write("headers", "X-Scope-OrgID: team-a\n")
        ca, cert, key = make_tls(self.folder.name)
        with FakeScraped(scraped(3600), prefix="/prometheus", tls=(cert, key)) as p:
            answer = self.report(p.url, "--prometheus-ca-file", ca, "--prometheus-token-file", token, "--prometheus-headers-file", headers)
            self.assertEqual(answer["total"]["paid_core_hours"], 40)
            for path, _, got in p.asked:
                self.assertTrue(path.startswith("/prometheus/api/v1/query"), path)
                self.assertEqual((got["Authorization"], got["X-Scope-OrgID"]), ("Bearer secret-token", "team-a"))
            p.asked.clear()
            self.assertIn("certificate", self.fails(p.url, "--prometheus-token-file", token))
            self.assertEqual(p.asked, [])

    def test_bad_use_is_refused_before_anything_is_asked(self):
        token = self.write("token", "secret\n")
        nobody = ("--prometheus", "http://127.0.0.1:1")
        for args, text in (
                ((), "found no --db, expected the history file, or --prometheus"),
                ((*nobody, "--db", "x.db"), "found --db and --prometheus, expected one of them"),
                (("--db", "x.db", "--cluster", "eu1"), "found --cluster without --prometheus, expected both"),
                (("--db", "x.db", "--match", "a=\"b\""), "found --match without --prometheus"),
                (("--db", "x.db", "--prometheus-token-file", token), "found --prometheus-token-file without --prometheus"),
                ((*nobody, "--by-label", "not-one"), "--by-label: found 'not-one', expected a label's name"),
                ((*nobody, "--match", 'team="a" zone="b"'), "--match: character 10: found 'zone=\"b\"', expected a comma or the end"),
                (("--prometheus", "example.com:9090"), "expected an address"),
                (("--prometheus", "http://example.com", "--prometheus-token-file", token), "expected https://"),
                ((*nobody, "--since", "yesterday"), "since: found yesterday"),
                ((*nobody, "--policy-file", "/nonexistent"), "/nonexistent")):
            code, out, err = self.brim(*args)
            self.assertNotEqual(code, 0)
            self.assertEqual(out, "")
            self.assertIn(text, err)
        code, _, err = self.brim(*nobody)
        self.assertEqual(code, 3)
        self.assertIn("Prometheus: ", err)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

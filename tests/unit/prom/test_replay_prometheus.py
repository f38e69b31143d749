#!/usr/bin/env python3
"""Runs `brim replay --prometheus` against a fake one: what it makes of a trace, how it logs in, what it says of trouble.

usage: test_replay_prometheus.py BRIM TESTS_FOLDER
"""
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

from fake_prometheus import FakePrometheus, make_tls

BRIM, TESTS = sys.argv[1:3] if len(sys.argv) > 2 else (None, None)
if TESTS:
    sys.path.insert(0, os.path.join(TESTS, "trace"))
    import ksm_load

POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: night}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}
  replicas: {max: %d}
  headroom: {max: %dm}
  settle: 90s
%s"""
SHAPE = "  pod: {cpu: \"1\", memory: 512Mi}\n"


def at(second):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ksm_load.EPOCH + second))


class Replay(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.load = ksm_load.Load(os.path.join(TESTS, "data", "traces", "burst3"))
        self.policy = self.write("policy.yaml", POLICY % (16, 4000, SHAPE))

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def brim(self, url, *args, until=720):
        run = subprocess.run([BRIM, "replay", "--prometheus", url, "--since", at(0), "--until", at(until), "--warm-up", "60s", *args],
                             capture_output=True, timeout=100, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
        return run.returncode, run.stdout.decode(), run.stderr.decode()

    def replay(self, url, *args, **more):
        code, out, err = self.brim(url, "-p", self.policy, "-o", "json", *args, **more)
        self.assertEqual((code, err), (0, ""))
        return json.loads(out)

    def fails(self, p, *args, code=3):
        got, out, err = self.brim(p.url, "-p", self.policy, *args)
        self.assertEqual((got, out), (code, ""), err)
        return err

    def test_a_trace_comes_back_as_it_was_but_for_the_interval(self):
        with FakePrometheus(ksm_load.samples(self.load, 10, 3)) as p:
            p.piece = 7
            answer = self.replay(p.url)
        scrapes = answer["scrapes"]
        gone = sum(pod.deleted is not None for pod in self.load.pods)
        self.assertEqual((scrapes["interval_seconds"], scrapes["pods"], scrapes["nodes"]), (10, len(self.load.pods), len(self.load.nodes)))
        self.assertEqual((scrapes["ended_between"], scrapes["gaps"]), (gone, 0))
        trace = json.loads(subprocess.run([BRIM, "replay", "--trace", os.path.join(TESTS, "data", "traces", "burst3"), "-p", self.policy,
                                           "--warm-up", "60s", "-o", "json"], capture_output=True, check=True).stdout)
        mine, theirs = answer["runs"][0], trace["runs"][0]
        self.assertEqual(mine["paid_pods"], theirs["paid_pods"])
        self.assertAlmostEqual(mine["fill_percent"], theirs["fill_percent"], delta=5)
        self.assertTrue(answer["began"].startswith("2023-11-14T22:13:2"), answer["began"])

    def test_what_the_scrapes_hide_is_said_in_table_and_page(self):
        with FakePrometheus(ksm_load.samples(self.load, 10, 3, gaps=[(100, 250)])) as p:
            _, table, _ = self.brim(p.url, "-p", self.policy)
            _, page, _ = self.brim(p.url, "-p", self.policy, "-o", "html")
        for text in (table, page):
            self.assertRegex(text, r"kube-state-metrics from \S+ to \S+, a scrape each 10 s: \d+ pods, %d nodes" % len(self.load.nodes))
            self.assertRegex(text, "gaps without a scrape: 1, 160 s together, the longest 160 s; 2 pods ended in one")

    def test_a_cluster_is_picked_by_its_labels(self):
        one = ksm_load.samples(self.load, 10, 3, extra={"labels": {"cluster": "eu1"}})
        two = ksm_load.samples(self.load, 10, 3, extra={"labels": {"cluster": "us1"}, "namespace": "other"})
        with FakePrometheus({**one, **two}) as p:
            answer = self.replay(p.url, "--match", 'cluster="eu1"')
            self.assertEqual(answer["scrapes"]["pods"], len(self.load.pods))
            self.assertTrue(all('cluster="eu1"' in form["query"] for _, form, _ in p.asked))

    def test_replicas_of_kube_state_metrics_count_once(self):
        one = ksm_load.samples(self.load, 10, 3, extra={"labels": {"instance": "a"}})
        two = ksm_load.samples(self.load, 10, 3, extra={"labels": {"instance": "b"}})
        with FakePrometheus(one) as p:
            alone = self.replay(p.url)
        with FakePrometheus({**one, **two}) as p:
            both = self.replay(p.url)
        del alone["trace"], both["trace"]
        self.assertEqual(alone, both)

    def test_who_went_is_asked_for_by_uid_and_without_uids_all_are(self):
        series = ksm_load.samples(self.load, 10, 3)
        with FakePrometheus(series) as p:
            plain = self.replay(p.url)
            asked = [f["query"] for _, f, _ in p.asked if "max_over_time(timestamp(kube_pod" in f["query"]]
            self.assertEqual(asked, [])
            uids = [set(re.search(r'uid=~"([^"]*)"', f["query"]).group(1).split("|")) for _, f, _ in p.asked if "uid=~" in f["query"]]
            last = max(t for points in series.values() for t, _ in points)
            gone = {re.search('uid="([^"]*)"', text).group(1) for (family, text), points in series.items()
                    if family == "kube_pod_created" and points[-1][0] < last}
            self.assertEqual(uids, [gone])
        with FakePrometheus({(family, re.sub('uid="[^"]*",?', "", text)): points for (family, text), points in series.items()}) as p:
            nameless = self.replay(p.url)
            self.assertEqual(sum("max_over_time(timestamp(kube_pod" in f["query"] for _, f, _ in p.asked), 1)
        del plain["trace"], nameless["trace"]
        self.assertEqual(plain, nameless)

    def test_when_a_pod_ended_that_tells_no_completion_is_asked_scrape_by_scrape(self):
        series = ksm_load.samples(self.load, 10, 3)
        pod = self.load.pods[0]
        phase = [text for family, text in series if family == "kube_pod_created" and pod.uid() in text][0] + ',phase="Failed"'
        series["kube_pod_status_phase", phase] = [(ksm_load.EPOCH + t, float(t >= 203)) for t in range(3, 720, 10)]
        with FakePrometheus(series) as p:
            answer = self.replay(p.url)
            self.assertEqual(sum(pod.uid() in f["query"] and "kube_pod_status_phase" in f["query"] for _, f, _ in p.asked), 1)
        self.assertEqual(answer["scrapes"]["pods"], len(self.load.pods))

    def test_the_filler_that_ran_is_left_out_and_gives_its_shape(self):
        load = ksm_load.Load(os.path.join(TESTS, "data", "traces", "burst3"))
        series = ksm_load.samples(load, 10, 3)
        miner = ksm_load.Pod("miner-x", 0, 500, 256, "")
        for t in range(3, 720, 10):
            for family, text, value in ksm_load.pod_series(miner, ksm_load.EPOCH + t, ksm_load.EPOCH, {"namespace": "filler"}):
                series.setdefault((family, text.replace("web-5d8f7c", "miner-5d8f7c")), []).append((ksm_load.EPOCH + t, value))
        self.policy = self.write("policy.yaml", POLICY % (16, 4000, ""))
        with FakePrometheus(series) as p:
            answer = self.replay(p.url)
        self.assertEqual((answer["scrapes"]["pods"], answer["scrapes"]["filler_pods"]), (len(load.pods), 1))
        self.assertEqual(answer["setting"]["filler_cores"], 0.5)

    def test_the_same_answers_give_the_same_bytes(self):
        series = ksm_load.samples(self.load, 10, 3)
        turned = dict(reversed(list(series.items())))
        with FakePrometheus(series) as p, FakePrometheus(turned) as q:
            a, b = (self.brim(x.url, "-p", self.policy, "-o", "json")[1].replace(x.url, "URL") for x in (p, q))
        self.assertEqual(a, b)

    def test_windows_of_six_hours_cover_the_period_once(self):
        with FakePrometheus(ksm_load.samples(self.load, 10, 3)) as p:
            self.replay(p.url, "--scrape-interval", "10s", until=13 * 3600)
            windows = [(float(f["start"]), float(f["end"])) for path, f, _ in p.asked if path.endswith("query_range") and "timestamp" in f["query"]]
            self.assertEqual([round(b - a) for a, b in windows], [21600, 21600, 3600])
            for (_, before), (begin, _) in zip(windows, windows[1:]):
                self.assertAlmostEqual(begin - before, 0.001, delta=1e-6)
            self.assertEqual(len(p.asked), 3 * 17 + 2)  # and when pods and nodes that went had been there last

    def test_a_window_that_is_too_much_is_halved(self):
        too_much = {"status": "error", "errorType": "execution", "error": "query processing would load too many samples into memory"}

        def answer(asked):
            window = re.search(r"\[(\d+)ms", asked[1]["query"])
            return (422, too_much) if window and int(window.group(1)) > 3600000 else None

        with FakePrometheus(ksm_load.samples(self.load, 10, 3)) as p:
            plain = self.replay(p.url, until=4 * 3600)
            p.answer = answer
            self.assertEqual(self.replay(p.url, until=4 * 3600), plain)
            # What tells the interval between scrapes, too.
            p.asked.clear()
            p.answer = lambda asked: (422, too_much) if re.search(r"^(topk.*|kube_node_info.*)\[(?!300000ms|450000ms)\d+ms\]", asked[1]["query"]) else None
            self.assertEqual(self.replay(p.url, until=4 * 3600), plain)
            self.assertIn("[450000ms]", "".join(asked[1]["query"] for asked in p.asked))
            p.answer = lambda asked: (422, too_much)
            err = self.fails(p, "--scrape-interval", "10s")
            self.assertIn("422: execution: query processing would load too many samples", err)
            self.assertIn("to 2023-11-14T22:25:20Z", err)

    def test_trouble_that_passes_is_waited_for(self):
        left = [429, 503, 500]

        def answer(asked):
            return (left.pop(), "wait a moment") if left and len(p.asked) > 5 else None

        with FakePrometheus(ksm_load.samples(self.load, 10, 3)) as p:
            plain = self.replay(p.url)
            p.answer = answer
            p.asked.clear()
            self.assertEqual(self.replay(p.url), plain)
            self.assertEqual(left, [])

    def test_partial_answers_are_told(self):
        with FakePrometheus(ksm_load.samples(self.load, 10, 3)) as p:
            def answer(asked):
                if "kube_pod_info" not in asked[1]["query"]:
                    return None
                return 200, {**p.vector(asked[1]["query"], float(asked[1]["time"])), "warnings": ["store 10.0.0.7 is away"]}
            p.answer = answer
            code, _, err = self.brim(p.url, "-p", self.policy)
        self.assertEqual(code, 0)
        self.assertRegex(err, r"1 of 18 answers may lack something; the first says: store 10.0.0.7 is away")

    def test_errors_are_prometheus_own(self):
        bad = {"status": "error", "errorType": "bad_data", "error": 'invalid parameter "query": 1:9: parse error'}
        for status, body, text, code in (
                (400, bad, 'answers 400: bad_data: invalid parameter "query": 1:9: parse error', 2),
                (401, "Unauthorized\n", "answers 401: Unauthorized", 3), (403, "", "answers 403", 3),
                (404, "404 page not found\n", "is there a path in front", 3), (502, "<!DOCTYPE html>\n<p>Oops", "502: a page of HTML", 3),
                (200, "<html>log in</html>", "no answer of Prometheus", 3), (200, '{"status":"success","data":{"result":[{', "cut off", 3),
                (302, "", "answers 302 (it sends elsewhere, which is not followed: is it https://", 3)):
            with FakePrometheus({}) as p:
                p.answer = lambda asked: (status, body)
                self.assertIn(text, self.fails(p, code=code), status)
        with FakePrometheus({}) as p:
            self.assertIn("is kube-state-metrics scraped", self.fails(p, code=2))
        code, _, err = self.brim("http://127.0.0.1:1", "-p", self.policy)
        self.assertEqual(code, 3)
        self.assertIn("Prometheus: ", err)

    def test_who_asks_is_told_in_headers(self):
        token, basic = self.write("token", "secret-token\n"), self.write("basic", "jane:pass:word\n")
        headers = self.write("headers", "# of the tenant\nX-Scope-OrgID: team-a\n\nX-Other: b: c\n")
        with FakePrometheus(ksm_load.samples(self.load, 10, 3), prefix="/prometheus") as p:
            self.replay(p.url + "/", "--prometheus-token-file", token, "--prometheus-headers-file", headers)
            for path, form, got in p.asked:
                self.assertTrue(path.startswith("/prometheus/api/v1/query"), path)
                self.assertEqual((got["Authorization"], got["X-Scope-OrgID"], got["X-Other"]), ("Bearer secret-token", "team-a", "b: c"))
                self.assertTrue(got["User-Agent"].startswith("brim/"), got["User-Agent"])
            p.asked.clear()
            self.replay(p.url, "--prometheus-basic-file", basic)
            self.assertEqual({got["Authorization"] for _, _, got in p.asked}, {"Basic " + base64.b64encode(b"jane:pass:word").decode()})

    def test_over_https_the_authority_is_checked_and_the_token_sent(self):
        token = self.write("token", "secret-token\n")
        ca, cert, key = make_tls(self.folder.name)
        with FakePrometheus(ksm_load.samples(self.load, 10, 3), tls=(cert, key)) as p:
            answer = self.replay(p.url, "--prometheus-ca-file", ca, "--prometheus-token-file", token)
            self.assertEqual(answer["scrapes"]["pods"], len(self.load.pods))
            self.assertEqual({got["Authorization"] for _, _, got in p.asked}, {"Bearer secret-token"})
            p.asked.clear()
            self.assertIn("certificate", self.fails(p, "--prometheus-token-file", token))
            self.assertEqual(p.asked, [], "nobody is told the token who is not who they should be")

    def test_a_week_before_the_end_is_asked_for(self):
        with FakePrometheus(ksm_load.samples(self.load, 10, 3)) as p:
            run = subprocess.run([BRIM, "replay", "--prometheus", p.url, "-p", self.policy, "--warm-up", "60s", "--until", at(720), "-o", "json"],
                                 capture_output=True, timeout=100)
            self.assertEqual(run.returncode, 0, run.stderr)
            ends = [float(form["time"]) for path, form, _ in p.asked if path.endswith("/query")]
        self.assertGreater(min(ends), ksm_load.EPOCH + 720 - 7 * 86400)
        self.assertLess(min(ends), ksm_load.EPOCH + 720 - 6 * 86400)

    def test_a_span_of_days_is_a_time_before_now(self):
        for args in ((), ("--since", "30d"), ("--since", "2w"), ("--since", "36h", "--until", "1d"), ("--since", "2026-10-01")):
            run = subprocess.run([BRIM, "replay", "--prometheus", "http://127.0.0.1:1", "-p", self.policy, *args], capture_output=True,
                                 timeout=100)
            self.assertIn(b"Failed to connect", run.stderr)  # it was about to ask

    def test_bad_use_is_refused_before_anything_is_asked(self):
        token, broken = self.write("token", "secret\n"), self.write("broken", "no colon\n")
        policy = ("-p", self.policy)
        for args, text in (
                (("http://127.0.0.1:1", *policy, "--prometheus-basic-file", broken), "expected USER:PASSWORD"),
                (("http://127.0.0.1:1", *policy, "--prometheus-headers-file", broken), "broken:1: expected"),
                (("http://127.0.0.1:1", *policy, "--prometheus-token-file", token, "--prometheus-basic-file", broken), "expected one"),
                (("http://example.com", *policy, "--prometheus-token-file", token), "expected https://"),
                (("http://jane:secret@example.com", *policy), "expected them in a file"), (("example.com:9090", *policy), "expected an address"),
                (("http://", *policy), "expected an address"), (("http://127.0.0.1:1/?x=1", *policy), "expected an address"),
                (("http://127.0.0.1:1",), "expected both"), (("http://127.0.0.1:1", *policy, "--trace", "x"), "more than one"),
                (("http://127.0.0.1:1", *policy, "--at", "2026-10-01T00:00:00Z"), "which has its own times"),
                (("http://127.0.0.1:1", *policy, "--until", at(-5)), "expected a time before --until"),
                (("http://127.0.0.1:1", *policy, "--since", "yesterday"), "--since: found yesterday"),
                (("http://127.0.0.1:1", *policy, "--match", "cluster=eu1"), "--match: character 9: found 'eu1', expected a text in quotes"),
                (("http://127.0.0.1:1", *policy, "--scrape-interval", "0s"), "from 1s to 1h")):
            code, out, err = self.brim(*args)
            self.assertEqual((code, out), (2, ""), err)
            self.assertIn(text, err)
            self.assertNotIn("secret@", err)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

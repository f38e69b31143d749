#!/usr/bin/env python3
"""The disk and the agent: whatever the history's file does, paid load gets its room at once, and what was written stays readable.

usage: test_disk.py POCKET BRIM SLOW_SYNC [STORY…]
"""

import contextlib
import csv
import datetime
import http.client
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

import test_pocket
from test_pocket import MINER, PATIENCE, Agent, Pocket, create_paid_pod, free_port, replicas, wait_until

SLOW_SYNC = None

# Filler may have all that paid pods leave, as soon as it was free for a second: each paid pod below then needs a yield.
POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: miner}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}
  replicas: {min: 0, max: 150}
  headroom: {mode: fixed, max: 0}
  settle: 1s
"""
SCENARIO = """priorityClasses:
  - {name: brim-filler, value: -100, preemptionPolicy: Never}
nodes:
  - {name: n, count: 4, cpu: 8, memory: 32Gi}
workloads:
  - {namespace: filler, name: miner, replicas: 0, cpu: 1, memory: 1Gi, grace: 1s, start: 1s, exit: 1s, priorityClass: brim-filler}
"""
CORES = 32
PODS = "/api/v1/namespaces/default/pods"

# From the frame that reports a pod unschedulable to the one that shows the lowered count, seen by a third party: 10 ms on an idle
# machine (tests/bench has that figure), a second on a busy one. Who waited for the disk would need ten or thirty.
MOST_YIELD_S = 5
# The agent samples, tries again and looks at the writer's state this often; a shared machine may take a little longer.
STEP_S, SLACK_S = 10, 1


class Watch:
    """What a watch of the pocket cluster brings, each event with the time at which it came."""

    def __init__(self, pocket, path):
        self.events = []
        version = pocket.server.get(path)["metadata"]["resourceVersion"]
        self.conn = pocket.server.connect(timeout=120)
        self.conn.request("GET", "%s?watch=1&resourceVersion=%s" % (path, version))
        self.answer = self.conn.getresponse()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            for line in self.answer:
                self.events.append((time.monotonic(), json.loads(line)["object"]))

    def first(self, after, holds, timeout=20):
        """The time of the first event after a time for which holds(object)."""
        end = time.monotonic() + timeout * PATIENCE
        while time.monotonic() < end:
            for at, obj in list(self.events):
                if at >= after and holds(obj):
                    return at
            time.sleep(0.005)
        raise AssertionError("no such event in %g s" % (timeout * PATIENCE))


class Cluster(Pocket):
    """The pocket cluster of this file's scenario, and how quickly filler makes room in it."""

    def __init__(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(SCENARIO)
            f.flush()
            super().__init__("--scenario", f.name)
        self.pods = Watch(self, "/api/v1/pods")
        self.targets = Watch(self, "/apis/apps/v1/namespaces/filler/deployments")
        self.serial = 0

    def __exit__(self, *exc):
        super().__exit__(*exc)
        for watch in (self.pods, self.targets):
            watch.thread.join()
            watch.conn.close()

    def wait_full(self):
        wait_until(lambda: replicas(self, MINER) == CORES, 30, "filler in all of the cluster")
        wait_until(lambda: sum(p["status"].get("phase") == "Running" for p in
                               self.server.get("/api/v1/namespaces/filler/pods")["items"]) == CORES, 10, "filler to run")

    def yield_s(self):
        """Seconds from the event that a paid pod is unschedulable (and may not preempt) to the patch that makes room."""
        self.wait_full()
        self.serial += 1
        name, began = "paid-%d" % self.serial, time.monotonic()
        spec = {"preemptionPolicy": "Never", "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "image": "none", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}
        status, body = self.server.ask("POST", PODS, {"metadata": {"name": name}, "spec": spec})
        assert status == 201, body
        reported = self.pods.first(began, lambda p: p["metadata"]["name"] == name and
                                   any(c.get("reason") == "Unschedulable" for c in p["status"].get("conditions", ())))
        patched = self.targets.first(began, lambda d: d["spec"]["replicas"] < CORES)
        self.pods.first(began, lambda p: p["metadata"]["name"] == name and p["spec"].get("nodeName"))
        self.server.ask("DELETE", PODS + "/" + name)
        return max(0.0, patched - reported)

    def yields(self, n=2):
        times = [self.yield_s() for _ in range(n)]
        print("# yields in ms: %s" % ", ".join("%.1f" % (t * 1000) for t in times), file=sys.stderr)
        return times


class Keeper(Agent):
    """`brim agent --db` whose log comes through a pipe, as in a cluster; options go to Popen."""

    def __init__(self, pocket, db, policy=POLICY, **options):
        self.log = open(os.path.join(pocket.dir.name, "agent-%d.log" % free_port()), "w+")
        self.url = "http://127.0.0.1:%d" % free_port()
        words = [test_pocket.BRIM, "agent", "--kubeconfig", pocket.kubeconfig, "--policy", pocket.file("policy.yaml", policy),
                 "--listen", self.url[7:]]
        self.process = subprocess.Popen(words + (["--db", db] if db else []), stderr=subprocess.PIPE, **options)
        self.copier = threading.Thread(target=self.copy)
        self.copier.start()
        try:
            self.wait_log("pods listed")
        except AssertionError:
            self.process.kill()
            raise

    def copy(self):
        for line in self.process.stderr:
            self.log.write(line.decode())
            self.log.flush()

    def text(self):
        with open(self.log.name) as f:
            return f.read()

    def metric(self, name):
        with urllib.request.urlopen(self.url + "/metrics", timeout=5 * PATIENCE) as answer:
            found = re.search(r"(?m)^%s(?:\{.*\})? (\S+)$" % name, answer.read().decode())
        return float(found.group(1)) if found else None

    def kill(self):
        """The time of the kill."""
        at = time.time()
        self.process.kill()
        self.process.wait(10)
        return at

    def stop(self, timeout=20):
        """(exit status, seconds that it took)"""
        began = time.monotonic()
        self.process.terminate()
        return self.process.wait(timeout), time.monotonic() - began

    def limit_files(self, size):
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.copier.join()
        self.process.stderr.close()
        self.log.close()
        if exc[0] is not None:
            print(self.text(), file=sys.stderr)
        elif status not in (0, -signal.SIGKILL):
            raise AssertionError("brim ended with %d" % status)


def report(db, *args):
    return subprocess.run([test_pocket.BRIM, "report", "--db", db, *args], capture_output=True, text=True, timeout=20)


def query(db, sql):
    """Rows of a copy, so that the file is left as the agent left it."""
    with tempfile.TemporaryDirectory() as d:
        copy = os.path.join(d, "copy.db")
        for end in ("", "-wal"):
            if os.path.exists(db + end):
                shutil.copy(db + end, copy + end)
        with contextlib.closing(sqlite3.connect(copy)) as conn:
            return conn.execute(sql).fetchall()


class Story(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.db = os.path.join(self.dir.name, "history.db")

    def tearDown(self):
        self.dir.cleanup()

    def check_prompt(self, times):
        self.assertLess(max(times), MOST_YIELD_S, "seconds from the report to the patch")


class Full(Story):
    """No file may grow: as if the disk were full."""

    def test_a_full_disk_delays_no_yield_and_heals(self):
        with Cluster() as p, Keeper(p, self.db) as agent:
            self.check_prompt(p.yields())
            wait_until(lambda: os.path.exists(self.db + "-wal") and query(self.db, "SELECT count(*) FROM decision")[0][0] > 0, 15,
                       "a decision in the file")
            agent.limit_files(4096)
            self.check_prompt(p.yields())
            agent.wait_log("history cannot be written; control goes on", 2 * STEP_S + SLACK_S)
            errors = agent.metric("brim_history_errors_total")
            self.assertGreater(errors, 0)
            wait_until(lambda: agent.metric("brim_history_errors_total") > errors, STEP_S + 5, "the errors to rise")
            self.assertEqual(agent.text().count("history cannot be written"), 1)
            agent.limit_files(resource.RLIM_INFINITY)
            agent.wait_log("history is written again", 2 * STEP_S + SLACK_S)
            self.assertEqual(agent.metric("brim_history_dropped_total"), 0)
            self.assertEqual(agent.stop()[0], 0)
        self.check_whole()

    def test_an_agent_that_starts_on_a_full_disk_begins_its_history_later(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
        with Cluster() as p, Keeper(p, self.db, preexec_fn=limit) as agent:
            agent.wait_log("history cannot be written; control goes on", 2 * STEP_S + SLACK_S)
            self.check_prompt(p.yields())
            agent.limit_files(resource.RLIM_INFINITY)
            agent.wait_log("history is written again", 2 * STEP_S + SLACK_S)
            self.assertEqual(agent.stop()[0], 0)
        self.check_whole()

    def check_whole(self):
        """Nothing that was decided meanwhile is missing."""
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        ids = [i for i, in query(self.db, "SELECT id FROM decision ORDER BY id")]
        self.assertEqual(ids, list(range(1, len(ids) + 1)))
        yields = query(self.db, "SELECT count(*) FROM decision WHERE replicas < before")[0][0]
        self.assertGreaterEqual(yields, 2)


class Slow(Story):
    """Each sync takes half a minute."""

    def test_a_slow_disk_delays_neither_a_yield_nor_the_end(self):
        slow = os.path.join(self.dir.name, "slow")
        env = dict(os.environ, LD_PRELOAD=SLOW_SYNC, SLOW_SYNC_S="30", SLOW_SYNC_IF=slow)
        with Cluster() as p, Keeper(p, self.db, env=env) as agent:
            self.check_prompt(p.yields(1))
            open(slow, "w").close()
            self.check_prompt(p.yields(4))
            agent.wait_log("history cannot be written; control goes on error=.the disk does not answer", 3 * STEP_S)
            wait_until(lambda: agent.metric("brim_queue_length") + agent.metric("brim_samples_merged_total") > 2, 15,
                       "things to wait for the disk")
            status, took = agent.stop()
            print("# the end took %.1f s" % took, file=sys.stderr)
            self.assertEqual(status, 0)
            self.assertLess(took, 10)
        os.unlink(slow)
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(report(self.db).returncode, 0)

    def test_an_agent_starts_though_the_file_takes_minutes_to_open(self):
        env = dict(os.environ, LD_PRELOAD=SLOW_SYNC, SLOW_SYNC_S="30", SLOW_SYNC_IF=self.dir.name)
        with Cluster() as p, Keeper(p, self.db, env=env) as agent:
            self.check_prompt(p.yields(2))
            status, took = agent.stop()
            self.assertEqual(status, 0)
            self.assertLess(took, 10)


class Life:
    """What one life of an agent in Killed left behind."""

    def __init__(self, found, began, listed, killed):
        self.found, self.began, self.listed, self.killed = found, began, listed, killed


class Killed(Story):
    """kill -9 at random moments under load: several agents at a time, each with a cluster and a file of its own."""

    LANES, LIVES, LONGEST_S, SETTLE_S = 5, 4, 14, 2

    def test_twenty_kills_cost_ten_seconds_of_history_at_most(self):
        seed = int(os.environ.get("BRIM_SEED", time.time_ns() // 1000))
        print("# BRIM_SEED=%d" % seed, file=sys.stderr)
        lanes = [Lane(self, os.path.join(self.dir.name, "%d.db" % i), random.Random(seed + i)) for i in range(self.LANES)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        for lane in lanes:
            if lane.failure is not None:
                raise lane.failure
        print("# the most that was missing: %.1f s" % max(lane.most_lost for lane in lanes), file=sys.stderr)
        # What arrived before the first sample of a file is not in its report; on a busy machine that may be all.
        self.assertGreater(sum(self.check_reports(lane.db) for lane in lanes), 0, "paid pods")
        # On a busy machine the web application may have grown before there is filler: then nobody yields.
        print("# yields: %d" % sum(self.count_yields(lane.db, 0) for lane in lanes), file=sys.stderr)

    def check_reports(self, db):
        """How many paid pods came."""
        for by in ("hour", "day"):
            run = report(db, "--by", by, "-o", "json")
            self.assertEqual(run.returncode, 0, run.stderr)
            answer = json.loads(run.stdout)
            self.assertEqual(answer["version"], 2)
            self.assertEqual(answer["damaged_chunks"], 0)
            self.assertTrue(answer["rows"])
            for row in answer["rows"] + [answer["total"]]:
                self.check_row(row)
            run = report(db, "--by", by, "-o", "csv")
            self.assertEqual(run.returncode, 0, run.stderr)
            rows = list(csv.DictReader(io.StringIO(run.stdout)))
            self.assertEqual(len(rows), len(answer["rows"]))
            for as_csv, as_json in zip(rows, answer["rows"]):
                self.assertEqual(set(as_csv), set(as_json))
                self.assertEqual({k: as_json[k] for k in ("from", "until")}, {k: as_csv[k] for k in ("from", "until")})
                self.check_row({k: float(v) if v and k.endswith("_hours") else v for k, v in as_csv.items()})
        self.assertGreater(answer["total"]["filler_core_hours"], 0)
        # The first sample begins a report, or what was decided in the 10 s before it, as a whole second.
        begin = datetime.datetime.fromisoformat(answer["total"]["from"].replace("Z", "+00:00")).timestamp()
        self.assertLessEqual(answer["total"]["yields"], self.count_yields(db, begin))
        self.assertGreaterEqual(answer["total"]["yields"], self.count_yields(db, begin + 1))
        return answer["total"]["paid_pods"]

    def count_yields(self, db, since):
        return query(db, "SELECT count(*) FROM decision WHERE reason = 'yield' AND t >= %d" % (since * 1000))[0][0]

    def check_row(self, row):
        """What is printed adds up."""
        parts = sum(row[part + "_core_hours"] for part in ("paid", "filler", "churn", "kept", "idle"))
        self.assertAlmostEqual(parts, row["offered_core_hours"], places=6)
        self.assertGreater(row["offered_core_hours"], 0)


class Lane(threading.Thread):
    """One after another: agents on one file, each killed after a random time."""

    def __init__(self, story, db, rng):
        super().__init__()
        self.story, self.db, self.rng = story, db, rng
        self.failure, self.most_lost, self.last_id = None, 0, 0

    def run(self):
        policy = POLICY.replace("settle: 1s", "settle: %ds" % self.story.SETTLE_S)
        try:
            with Pocket("--scenario", "003", "--speed", "40") as p:
                for i in range(self.story.LIVES):
                    # The first life sees the web application grow (after 7.5 s) and the journal being written (after 10 s).
                    self.check(p, self.live(p, policy, 11.5 if i == 0 else 0))
        except BaseException as e:
            self.failure = e

    def live(self, pocket, policy, shortest_s):
        found, began = replicas(pocket, MINER), time.time()
        with Keeper(pocket, self.db, policy) as agent:
            listed = time.time()
            # On a busy machine the web application may have grown before anyone counts arrivals.
            create_paid_pod(pocket, "arrival-%d" % time.time_ns(), "100m")
            time.sleep(self.rng.uniform(shortest_s, self.story.LONGEST_S))
            return Life(found, began, listed, agent.kill())

    def check(self, pocket, life):
        s = self.story
        s.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        decisions = query(self.db, "SELECT id, t, before, replicas, reason FROM decision ORDER BY id")
        s.assertEqual([d[1] for d in decisions], sorted(d[1] for d in decisions), "ids rise with time")
        new = [d for d in decisions if d[0] > self.last_id]
        s.assertEqual(new, [d for d in decisions if d[1] >= life.began * 1000], "no id is used twice")
        self.last_id = new[-1][0] if new else self.last_id
        # Until the target was read nothing is known, and nothing is decided.
        if new:
            s.assertNotEqual(new[0][4], "unknown")
            s.assertEqual(new[0][2], life.found, "the first decision of a life begins with the count that was found")
        for _, t, before, after, _ in new:
            s.assertTrue(after <= before or t / 1000 >= life.began + s.SETTLE_S, "filler grew before settle after a start")
        if not new and life.killed - life.listed < s.SETTLE_S:
            now = replicas(pocket, MINER)
            s.assertLessEqual(now, life.found, "filler grew right after a start")
        self.check_lost(life)
        run = report(self.db, "--by", "hour", "-o", "json")
        if query(self.db, "SELECT count(*) FROM sample")[0][0] > 0:
            s.assertEqual(run.returncode, 0, run.stderr)
            s.assertEqual(json.loads(run.stdout)["damaged_chunks"], 0)

    def check_lost(self, life):
        last = query(self.db, "SELECT coalesce(max(t), 0) FROM sample")[0][0] / 1000
        lost = life.killed - max(last, life.listed)
        self.story.assertLessEqual(lost, STEP_S + SLACK_S, "seconds of samples that are missing")
        self.most_lost = max(self.most_lost, lost)


class Unusable(Story):
    """Files that can be no history."""

    def newer(self):
        with contextlib.closing(sqlite3.connect(self.db)) as conn:
            conn.executescript("PRAGMA application_id=%d; PRAGMA user_version=999; CREATE TABLE t(x)" % 0x6272696d)
        return self.db, "was written by a newer brim"

    def other_application(self):
        with contextlib.closing(sqlite3.connect(self.db)) as conn:
            conn.executescript("CREATE TABLE t(x)")
        return self.db, "found a database of another application"

    def text(self):
        with open(self.db, "w") as f:
            f.write("What is written here is no database, and long enough to be looked at. " * 20)
        return self.db, "not a database"

    def folder(self):
        os.mkdir(self.db)
        return self.db, "a directory"

    def nowhere(self):
        return os.path.join(self.dir.name, "no", "such", "history.db"), "No such file or directory"

    def test_a_second_agent_on_the_file_says_who_writes_it_and_goes_on_without_history(self):
        with Cluster() as p, Keeper(p, self.db) as first:
            wait_until(lambda: (first.metric("brim_history_bytes") or 0) > 0, 15, "the first agent's history")
            with Cluster() as q, Keeper(q, self.db) as second:
                found = second.wait_log("history cannot be written; control goes on.*")
                self.assertIn("%s: is written by another agent, process %d on " % (self.db, first.process.pid), found)
                self.check_prompt(q.yields(1))
                first.kill()
                second.wait_log("history is written again", 2 * STEP_S + SLACK_S)
                self.assertEqual(second.stop()[0], 0)
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])

    def test_a_file_that_can_be_no_history_costs_history_alone(self):
        for make in (self.newer, self.other_application, self.text, self.folder, self.nowhere):
            with self.subTest(make.__name__):
                path, why = make()
                before = self.content(path)
                with Cluster() as p, Keeper(p, path) as agent:
                    found = agent.wait_log("history cannot be written; control goes on.*")
                    self.assertIn(path, found)
                    self.assertIn(why, found)
                    self.check_prompt(p.yields(1))
                    self.assertGreater(agent.metric("brim_history_errors_total"), 0)
                    self.assertEqual(agent.text().count("history cannot be written"), 1)
                    self.assertEqual(agent.stop()[0], 0)
                self.assertEqual(self.content(path), before)
                self.check_report(path, why)
            shutil.rmtree(self.dir.name)
            os.mkdir(self.dir.name)

    def content(self, path):
        if not os.path.isfile(path):
            return os.path.exists(path)
        with open(path, "rb") as f:
            return f.read()

    def check_report(self, path, why):
        run = report(path)
        self.assertEqual(run.returncode, 3, run)
        self.assertEqual(run.stdout, "")
        self.assertIn(path, run.stderr)
        self.assertIn(why, run.stderr)


if __name__ == "__main__":
    test_pocket.POCKET, test_pocket.BRIM, SLOW_SYNC = (os.path.abspath(path) for path in sys.argv[1:4])
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)

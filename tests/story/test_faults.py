#!/usr/bin/env python3
"""Whatever an API server, a proxy or a network does: the agent ends with the state that the server has, never asks for more
filler than fits, and does not grow on facts that it cannot trust. A story each, many at a time.

usage: test_faults.py POCKET BRIM FAULTY_SYSTEM [STORY…]
"""

import concurrent.futures
import contextlib
import io
import json
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import faulty
import stage
import test_pocket
from faulty import BREAK, HANG, VANISH, Answer, Book, Proxy
from fault_gates import Gates  # noqa: F401
from recount import Recount
from stage import POLICY, Stage
from test_pocket import MINER, WEB, checks, wait_until

FAULTY_SYSTEM = None
LANES = 12
# They begin first: back-offs of a minute and more.
LONGEST = ("are_kept_back", "versions_that_go_back", "looked_up_for_a_while", "has_not_reached", "nothing_grows_meanwhile", "restart_one_by_one",
           "just_before_a_pod_is_let_in_to_it", "vanishes_in_its_midst_is_begun_anew", "with_all_its_connections_is_found_again")


def status_of(code, reason, **more):
    return json.dumps(dict({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
                            "message": "so it was told", "code": code}, **more)).encode()


class Connections(unittest.TestCase):
    def test_a_server_that_is_away_for_a_while_is_found_again(self):
        with Stage() as s:
            s.begin()
            s.proxy.refusing = True
            s.restart()
            s.proxy.cut()
            s.change()
            time.sleep(4)
            s.proxy.refusing = False
            s.settle()
            s.change_back()
            s.settle()

    def test_a_connection_that_is_cut_again_and_again(self):
        with Stage() as s:
            s.begin()
            for i in range(12):
                s.proxy.cut()
                (s.change if i % 2 == 0 else s.change_back)()
                time.sleep(0.4)
            s.settle(60)

    def test_a_connection_that_leads_nowhere_delays_no_yield(self):
        """What writes go over is dead and nobody says so; watches are well."""
        with Stage() as s:
            s.begin()
            s.proxy.wedge(watches=False)
            before, began = s.replicas(), time.monotonic()
            s.paid("now", 4)
            wait_until(lambda: s.replicas() < before, 15, "the yield")
            took = time.monotonic() - began
            print("# the yield took %.1f s" % took, file=sys.stderr)
            self.assertLess(took, 6)
            s.settle(90)

    def test_watches_that_lead_nowhere_are_noticed_and_nothing_grows_meanwhile(self):
        """Room that was seen before they fell silent has gone when it would have settled."""
        with Stage(policy=POLICY.replace("settle: 3s", "settle: 75s")) as s:
            s.start()
            s.wait_log("pods listed")
            time.sleep(1)
            s.proxy.ask = lambda r: HANG if r.of("pods", "nodes") else None
            s.proxy.wedge(others=False)
            s.paid("unseen", 6)
            s.paid("unseen-too", 6)
            time.sleep(85)
            self.assertEqual(s.replicas(), 0)
            s.proxy.ask = None
            s.proxy.cut()
            wait_until(lambda: s.status()["cpu"]["paid_milli"] == Recount(s.server).paid(), 60, "the pods that came meanwhile")
            self.assertEqual(s.replicas(), 0)

    def test_watches_whose_server_vanishes_are_noticed_and_nothing_grows_meanwhile(self):
        """No packet is acknowledged any more, on the watches' connections; others work, and so do new ones."""
        with Stage() as s:
            s.begin()
            s.proxy.vanish(others=False)
            grown = len(s.patches)
            s.change()
            time.sleep(3)
            self.assertEqual(s.status()["cpu"]["paid_milli"], 8000, "it was heard of all the same")
            s.settle(90)
            self.assertTrue(all(to < 14 for _, to in s.patches[grown:]), s.patches)
            s.change_back()
            s.settle()

    def test_a_yield_whose_server_vanishes_is_written_over_another_connection(self):
        with Stage() as s:
            s.begin()
            s.proxy.vanish(watches=False)
            before, began = s.replicas(), time.monotonic()
            s.paid("now", 4)
            wait_until(lambda: s.replicas() < before, 15, "the yield")
            print("# the yield took %.1f s" % (time.monotonic() - began), file=sys.stderr)
            s.settle(90)

    def list_vanishes(self, *args):
        with Stage(*args) as s:
            halves = set()

            def first(r):
                new = r.of_all() and r.path not in halves
                halves.add(r.path)
                return new
            s.proxy.frame = lambda r, f: [f[:len(f) // 2], VANISH] if first(r) else None
            s.proxy.body = lambda r, status, data: VANISH if first(r) else None
            s.start()
            s.settle(150)
            self.assertTrue(halves.issuperset(stage.SOURCES), halves)

    def test_a_list_whose_server_vanishes_in_its_midst_is_begun_anew(self):
        self.list_vanishes("--watch-list", "off")

    def test_initial_events_whose_server_vanishes_in_their_midst_are_begun_anew(self):
        self.list_vanishes()

    def test_a_list_in_json_whose_server_vanishes_in_its_midst_is_begun_anew(self):
        self.list_vanishes("--json-only", "--watch-list", "off")

    def test_a_server_that_vanishes_with_all_its_connections_is_found_again(self):
        """It answers no attempt to connect either, for twenty seconds."""
        with Stage() as s:
            s.begin()
            s.proxy.unreachable()
            s.proxy.vanish()
            s.change()
            s.restart()
            time.sleep(20)
            s.proxy.unreachable(False)
            s.settle(120)

    def test_each_request_of_a_start_may_fail(self):
        """One agent for each of the first twelve requests, which finds no answer."""
        def one(n):
            with Stage() as s:
                s.proxy.ask = lambda r: BREAK if s.proxy.requests == n else None
                s.start()
                s.settle(60)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(one, range(1, 13)))


class Answers(unittest.TestCase):
    def history_is_gone(self, *args):
        with Stage(*args) as s:
            s.begin()
            s.restart()
            s.change()
            s.settle()
            self.assertIn("too old resource version", s.text())
            s.restart()
            s.change_back()
            s.settle()

    def test_history_that_is_gone_by_an_event(self):
        self.history_is_gone()

    def test_history_that_is_gone_by_status(self):
        self.history_is_gone("--gone", "status")

    def test_history_that_is_gone_in_json(self):
        self.history_is_gone("--json-only")

    def test_a_list_whose_token_expires_between_two_pages(self):
        with Stage("--nodes", "20", "--pods", "1300") as s:
            expired = []

            def ask(r):
                if "sendInitialEvents" in r.query:
                    return Answer(422, status_of(422, "Invalid"))
                if "continue" in r.query and not expired:
                    expired.append(r)
                    s.restart()
                    time.sleep(0.2)
            s.proxy.ask = ask
            s.start()
            wait_until(lambda: s.url and not self.pods_differ(s), 60, "all pods")
            self.assertTrue(expired)

    def pods_differ(self, s):
        with contextlib.suppress(OSError):
            return s.status()["pods"] != Recount(s.server).pods
        return True

    def test_a_version_that_the_server_has_not_reached(self):
        """Lists are refused with 504, watches stay silent: as after a restore from a backup."""
        with Stage() as s:
            s.begin()
            ahead = lambda r: r.query.update(resourceVersion="9" + r.query["resourceVersion"]) if (
                r.of("pods", "nodes") and r.query.get("resourceVersion", "").isdigit()) else None
            s.proxy.ask = ahead
            s.proxy.cut()
            s.change()
            wait_until(lambda: s.status()["cpu"]["paid_milli"] == Recount(s.server).paid(), 120, "a list without a version")
            self.assertIn("Too large resource version", s.text())
            s.proxy.ask = None
            s.proxy.cut()
            s.change_back()
            s.settle(60)

    def test_versions_that_go_back(self):
        """etcd is restored from a backup; and once more as soon as that is over."""
        with Stage() as s:
            s.begin()
            for i in range(2):
                s.restore()
                s.paid("waits-%d" % i, 30)
                (s.change if i == 0 else s.change_back)()
                s.known(60)
            self.assertIn("resource version", s.text())

    def test_versions_that_go_back_and_the_watch_of_waiting_pods_hears_of_it_first(self):
        """The others' streams are open, and silent."""
        with Stage() as s:
            s.begin()
            expired = []

            def ask(r):
                if not r.of("pods") or not r.is_watch or "sendInitialEvents" in r.query:
                    return None
                if r.of_all():
                    return HANG
                if not expired:
                    expired.append(r)
                    return Answer(410, status_of(410, "Expired"))
            s.proxy.ask = ask
            s.restore()
            s.paid("waits", 30)
            s.wait_log("the API server's history went back")
            wait_until(lambda: s.status()["pods"] == Recount(s.server).pods, 15, "the pod that waits")
            s.proxy.ask = None
            s.proxy.cut()
            s.known(60)

    def test_streams_that_are_kept_back(self):
        """What is asked is answered, and nothing that happens is told."""
        with Stage() as s:
            s.begin()
            s.proxy.frame = lambda r, f: [] if r.of("pods", "nodes") and "sendInitialEvents" not in r.query else None
            s.proxy.cut()
            s.wait_log("watching nodes")
            s.change()
            s.known(180)
            s.proxy.frame = None
            s.proxy.cut()
            s.change_back()
            s.settle(60)

    def test_a_watch_of_waiting_pods_that_is_never_answered_tells_its_age(self):
        age = lambda s, kind: s.metric('brim_watch_staleness_seconds{kind="%s"}' % kind)
        with Stage(policy=POLICY + "  stale: {after: 6s}\n") as s:
            s.begin()
            self.assertLess(age(s, "waiting"), 65)
            s.proxy.ask = lambda r: HANG if r.of("pods") and not r.of_all() else None
            s.proxy.cut()
            wait_until(lambda: age(s, "waiting") > 15, 30, "its age")
            self.assertLess(age(s, "pods"), 15)
            run = subprocess.run([test_pocket.BRIM, "status", "--agent", s.url], capture_output=True, text=True)
            ages = re.search(r"Heard: +pods (\d+)\.\d s ago, pods without a node (\d+)\.\d s ago, nodes (\d+)\.\d s ago", run.stdout)
            self.assertTrue(ages, run.stdout + run.stderr)
            self.assertGreater(int(ages.group(2)), int(ages.group(1)))
            s.proxy.ask = None
            s.proxy.cut()
            wait_until(lambda: age(s, "waiting") < 15, 30, "it to be heard")

    def told_to_wait(self, answer):
        with Stage() as s:
            s.begin()
            s.proxy.ask = lambda r: answer
            s.proxy.cut()
            s.change()
            time.sleep(5)
            asked = s.proxy.requests
            time.sleep(2)
            self.assertLess(s.proxy.requests - asked, 25, "requests in two seconds")
            s.proxy.ask = None
            s.settle(60)
            s.change_back()
            s.settle()

    def test_429_with_a_time_to_wait(self):
        self.told_to_wait(Answer(429, b"Too many requests, please try again later.\n", "text/plain", Retry_After=2))

    def test_429_without_a_time_to_wait(self):
        self.told_to_wait(Answer(429, b"Too many requests, please try again later.\n", "text/plain"))

    def test_503_of_a_proxy_in_html(self):
        self.told_to_wait(Answer(503, b"<html>no upstream", "text/html"))

    def test_200_of_a_proxy_in_html(self):
        self.told_to_wait(Answer(200, b"<html>please log in", "text/html"))

    def test_a_token_that_is_rotated(self):
        with over_tls() as (s, _):
            token = s.pocket.file("token", "first")
            with open(s.kubeconfig) as f:
                text = f.read().replace("token: pocket", "tokenFile: %s" % token)
            s.kubeconfig = s.pocket.file("by-file", text)
            good, refused = ["first"], []

            def ask(r):
                if r.headers.get("Authorization") == "Bearer " + good[0]:
                    return None
                refused.append(r)
                return Answer(401, status_of(401, "Unauthorized"))
            s.proxy.ask = ask
            s.begin()
            self.assertFalse(refused)
            good[0] = "second"
            with open(token + ".new", "w") as f:
                f.write("second")
            os.replace(token + ".new", token)
            s.proxy.cut()
            s.change()
            s.settle()
            self.assertTrue(refused, "the old token was never tried")
            # Expired before a new one is there.
            good[0] = "third"
            s.proxy.cut()
            s.change_back()
            time.sleep(3)
            s.pocket.file("token", "third")
            s.settle(60)

    def test_rights_that_are_taken_and_given_back(self):
        forbidden = Answer(403, status_of(403, "Forbidden"))
        with Stage() as s:
            s.begin()
            s.proxy.ask = lambda r: forbidden if r.of("pods") else None
            s.proxy.cut()
            s.change()
            s.wait_log("watching pods kind=forbidden")
            time.sleep(2)
            s.proxy.ask = None
            s.settle(60)
            s.proxy.ask = lambda r: forbidden if r.is_scale else None
            s.change_back()
            s.paid("one", 8)
            s.wait_log("the target could not be scaled .*kind=forbidden")
            s.proxy.ask = None
            s.settle(60)

    def test_bookmarks_that_never_come(self):
        with Stage() as s:
            s.proxy.ask = lambda r: r.query.pop("allowWatchBookmarks", None) and None
            s.begin()
            s.restart()
            s.change()
            s.settle()
            s.proxy.cut()
            s.change_back()
            s.settle()


class Events(unittest.TestCase):
    def rewritten(self, frame, *args):
        with Stage(*args) as s:
            seen = []
            s.proxy.frame = lambda r, f: seen.append(f) or frame(f)
            s.begin()
            s.change()
            s.settle()
            s.change_back()
            s.settle()
            self.assertTrue(seen)

    def both(self, frame):
        self.rewritten(frame)
        self.rewritten(frame, "--json-only")

    def test_events_that_come_twice(self):
        self.both(lambda f: [f, f])

    def test_events_of_a_type_that_nobody_knows(self):
        self.both(lambda f: [faulty.as_type(f, "PONDERED"), f, faulty.as_type(f, "")])

    def test_fields_that_nobody_knows(self):
        self.both(lambda f: [faulty.with_unknown(f)])

    def test_events_in_single_bytes(self):
        self.both(lambda f: [f[i:i + 1] for i in range(len(f))])

    def broken_once(self, piece, *args):
        """The next event of each watch is another thing; the server knows nothing of it."""
        with Stage(*args) as s:
            s.begin()
            broken = set()

            def frame(r, f):
                if r.path in broken:
                    return None
                broken.add(r.path)
                return piece(f)
            s.proxy.frame = frame
            s.change()
            wait_until(lambda: len(broken) == 2, 10, "an event of pods and one of nodes")
            s.settle(60)
            s.change_back()
            s.settle()

    def test_a_frame_that_claims_four_gib(self):
        self.broken_once(lambda f: [b"\xff\xff\xff\xff" + f[4:]])

    def test_garbage_in_a_stream(self):
        self.broken_once(lambda f: [bytes(255 - b for b in f)])
        self.broken_once(lambda f: [b"]]]]\n"], "--json-only")

    def test_a_stream_that_ends_inside_an_event(self):
        self.broken_once(lambda f: [f[:len(f) // 2], BREAK])
        self.broken_once(lambda f: [f[:len(f) // 2], BREAK], "--json-only")

    def test_lists_that_are_cut_short_or_garbled(self):
        for args in ((), ("--json-only",)):
            with Stage(*args) as s:
                n = {}

                def body(r, status, data):
                    if not r.of("pods", "nodes") or status != 200:
                        return None
                    n[r.path] = n.get(r.path, 0) + 1
                    return {1: data[:len(data) * 2 // 3], 2: bytes(255 - b for b in data), 3: b""}.get(n[r.path])
                s.proxy.body = body
                s.start()
                s.settle(60)
                # With initial events it is the small watch of pods alone that lists.
                wait_until(lambda: n and all(k >= 4 for k in n.values()), 20, "each list to be whole at last")

    def test_pods_that_are_larger_than_any(self):
        with Stage() as s:
            s.begin()
            s.paid("annotated", 1, annotations={"note-%d" % i: "x" * 60000 for i in range(4)})
            s.paid("crowded", 1, more=[{"name": "c%d" % i, "image": "none", "resources": {"requests": {"cpu": "1m"}}}
                                       for i in range(1000)])
            s.settle()
            self.assertGreaterEqual(s.status()["cpu"]["paid_milli"], 10000)
            s.proxy.cut()
            s.restart()
            s.settle()

    def test_a_quantity_that_cannot_be_read_costs_that_pod_alone(self):
        for args in ((), ("--json-only",)):
            with Stage(*args) as s:
                s.begin()
                s.proxy.frame = lambda r, f: [f.replace(b"1234m", b"12 4m")]
                s.paid("odd", "1234m")
                s.paid("even", 2)
                s.wait_log("12 4m")
                wait_until(lambda: s.status()["cpu"]["paid_milli"] == Recount(s.server).paid() - 1234, 10, "all but the odd one")
                s.proxy.frame = None
                s.restart()
                s.settle()


class Writes(unittest.TestCase):
    def test_growth_that_meets_another_hand_is_refused_and_looked_at_again(self):
        with Stage() as s:
            s.paid("first", 6)
            s.begin()
            met = []

            def ask(r):
                if r.is_scale and r.body.startswith(b"[") and not met:
                    met.append(r)
                    s.scale(MINER, 3)
            s.proxy.ask = ask
            s.unpaid("first")
            wait_until(lambda: met, 20, "growth")
            s.wait_log("the target could not be scaled .*kind=conflict")
            s.proxy.ask = None
            # What another hand set is kept until room changes.
            wait_until(lambda: s.status()["fillers"][0]["state"] == "foreign", 20, "the other hand to be seen")
            self.assertEqual(s.replicas(), 3)
            s.change()
            s.settle()

    def test_a_write_that_is_carried_out_and_never_answered(self):
        with Stage() as s:
            s.begin()
            lost = []

            def body(r, status, data):
                if not r.is_scale or len(lost) == 2:
                    return None
                lost.append(r)
                return HANG if len(lost) == 1 else BREAK
            s.proxy.body = body
            s.paid("one", 3)
            wait_until(lambda: lost, 10, "the yield")
            s.settle(90)
            s.unpaid("one")
            s.settle(90)
            self.assertEqual(len(lost), 2)

    def nobody(self, s, seconds):
        """Nobody but the agent scales the filler, and it takes nobody for such."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.assertNotIn(s.status()["fillers"][0]["state"], ("foreign", "paused"))
            time.sleep(0.3)

    def writes_held(self, seconds):
        """Each time filler yields twice, and the first write is carried out behind the second one."""
        with Stage() as s:
            s.begin()
            full, held = s.replicas(), []

            def ask(r):
                if r.is_scale and not held:
                    held.append(r)
                    time.sleep(seconds)
            for i in range(3):
                s.proxy.ask, before = ask, s.replicas()
                s.paid("one-%d" % i, 2)
                wait_until(lambda: s.replicas() < before, 10, "the first yield, over another connection")
                between = s.replicas()
                s.paid("two-%d" % i, 2)
                wait_until(lambda: s.replicas() < between, 10, "the second")
                self.nobody(s, held[0].at + seconds + 6 - time.monotonic())
                s.proxy.ask = None
                s.unpaid("one-%d" % i)
                s.unpaid("two-%d" % i)
                self.nobody(s, 6)
                s.settle()
                held.clear()
            self.assertEqual(s.replicas(), full)

    def test_writes_that_are_carried_out_behind_later_ones_are_nobody_elses(self):
        self.writes_held(5)

    def test_writes_that_are_carried_out_after_they_were_given_up_are_nobody_elses(self):
        self.writes_held(20)

    def test_writes_that_take_from_no_time_to_half_a_minute_are_nobody_elses(self):
        """So do their answers; some never come."""
        seed = int(os.environ.get("BRIM_SEED", time.time_ns()))
        print("# %s: BRIM_SEED=%d" % (self.id(), seed), file=sys.stderr)
        r = random.Random(seed)

        def slowly(scale, end=None):
            if scale and r.random() < 0.5:
                time.sleep(r.uniform(2, 30))
                return end
        with Stage() as s:
            s.begin()
            s.proxy.ask = lambda q: slowly(q.is_scale)
            s.proxy.body = lambda q, status, data: slowly(q.is_scale, r.choice((None, HANG, BREAK)))
            for i in range(16):
                s.paid("paid-%d" % (i % 2), 2 + i % 3) if i % 4 < 2 else s.unpaid("paid-%d" % (i % 2))
                self.nobody(s, r.uniform(0.5, 12))
            self.nobody(s, 40)
            s.proxy.ask = s.proxy.body = None
            s.settle(120)

    def test_writes_that_admission_refuses(self):
        no = Answer(403, status_of(403, "Forbidden", message="admission webhook \"no.example.com\" denied the request: not today"))
        with Stage() as s:
            s.begin()
            s.proxy.ask = lambda r: no if r.is_scale else None
            s.paid("one", 3)
            s.wait_log("not today")
            asked = len(re.findall("not today", s.text()))
            time.sleep(3)
            self.assertLess(s.proxy.requests, 2000)
            self.assertGreaterEqual(len(re.findall("not today", s.text())), asked)
            s.proxy.ask = None
            s.settle(60)

    def test_a_target_that_is_deleted_and_made_anew(self):
        with Stage() as s:
            s.begin()
            made = s.server.get(MINER)
            before = made["spec"]["replicas"]
            s.server.ask("DELETE", MINER)
            s.wait_log("target is left alone .*state=missing")
            for key in ("uid", "resourceVersion", "creationTimestamp", "generation"):
                made["metadata"].pop(key, None)
            made["spec"]["replicas"] = 1
            status, body = s.server.ask("POST", os.path.dirname(MINER), {k: made[k] for k in ("metadata", "spec")})
            self.assertEqual(status, 201, body)
            wait_until(lambda: s.replicas() == before, 60, "the same count again")
            self.assertLessEqual(s.replicas(), Recount(s.server).fit())

    def test_a_node_that_flaps(self):
        with Stage() as s:
            s.begin()
            for i in range(6):
                s.ready("n-2", False)
                time.sleep(0.7)
                s.ready("n-2", True)
                time.sleep(0.7)
            grown = [(a, b) for (_, a), (_, b) in zip(s.patches, s.patches[1:]) if b > a]
            s.settle(60)
            self.assertLessEqual(len(grown), 1, "filler grew within settle: %s" % s.patches)


    def test_a_node_that_is_not_ready_costs_the_filler_on_it_alone(self):
        with Stage() as s:
            s.begin()
            before = s.filler()
            s.ready("n-2", False)
            s.settle()
            self.assertEqual(s.filler(), {name: node for name, node in before.items() if node != "n-2"})
            s.ready("n-2", True)
            s.settle(60)

    def test_nodes_that_are_all_not_ready_for_a_while(self):
        """As when the control plane was cut off: one after another they go, and come back."""
        with Stage() as s:
            s.begin()
            full = s.replicas()
            for up in (False, True):
                for name in ("n-0", "n-1", "n-2"):
                    s.ready(name, up)
                    time.sleep(1)
                s.settle(60)
                self.assertEqual(s.replicas(), full if up else 0)
            grown = [b for (_, a), (_, b) in zip(s.patches, s.patches[1:]) if b > a]
            self.assertLessEqual(len(grown), 3, s.patches)


class Slow(unittest.TestCase):
    """Everything works, in its own time."""

    def chance(self):
        seed = int(os.environ.get("BRIM_SEED", time.time_ns()))
        print("# %s: BRIM_SEED=%d" % (self.id(), seed), file=sys.stderr)
        return random.Random(seed)

    def turmoil(self, s, r):
        for i in range(10):
            s.paid("paid-%d" % (i % 3), r.randint(1, 6)) if i % 6 < 3 else s.unpaid("paid-%d" % (i % 3))
            (s.change if i % 4 == 0 else s.change_back)() if i % 2 == 0 else s.scale(WEB, 1 + i % 4)
            end = time.monotonic() + r.uniform(0.5, 8)
            while time.monotonic() < end:
                self.assertNotIn(s.status()["fillers"][0]["state"], ("foreign", "paused"))
                time.sleep(0.3)

    def test_answers_that_take_seconds(self):
        r = self.chance()
        with Stage() as s:
            s.begin()
            s.proxy.ask = lambda q: time.sleep(r.uniform(0, 3)) if r.random() < 0.7 else None
            s.proxy.body = lambda q, status, data: time.sleep(r.uniform(0, 3)) if r.random() < 0.7 else None
            self.turmoil(s, r)
            s.settle(120)

    def behind(self, is_behind):
        """One of the two watches of pods tells everything up to three seconds late."""
        r = self.chance()
        with Stage() as s:
            s.begin()
            s.proxy.frame = lambda q, f: time.sleep(r.uniform(0, 3)) if q.of("pods") and is_behind(q) else None
            s.proxy.cut()
            self.turmoil(s, r)
            s.proxy.frame = None
            s.settle(120)

    def test_the_watch_of_all_pods_is_behind_the_other(self):
        self.behind(lambda q: q.of_all())

    def test_the_watch_of_waiting_pods_is_behind_the_other(self):
        self.behind(lambda q: not q.of_all())

    def test_answers_that_are_halves(self):
        """As if they were whole: of everything but watches."""
        r = self.chance()
        with Stage() as s:
            s.begin()
            s.proxy.body = lambda q, status, data: data[:r.randrange(len(data) + 1)] if data and r.random() < 0.3 else None
            self.turmoil(s, r)
            s.proxy.body = None
            s.settle(120)

    def test_patches_of_pods_that_take_from_no_time_to_half_a_minute(self):
        r = self.chance()
        with Stage() as s:
            s.begin()
            slowly = lambda q: time.sleep(r.uniform(2, 30)) if q.method == "PATCH" and not q.is_scale and r.random() < 0.4 else None
            s.proxy.ask, s.proxy.body = slowly, lambda q, status, data: slowly(q)
            self.turmoil(s, r)
            time.sleep(30)
            s.proxy.ask = s.proxy.body = None
            s.settle(240)


class System(unittest.TestCase):
    """What the machine under the agent does."""

    def test_a_name_that_cannot_be_looked_up_for_a_while(self):
        with Stage() as s:
            with open(s.kubeconfig) as f:
                text = f.read().replace("127.0.0.1", "api.brim.test")
            s.kubeconfig = s.pocket.file("by-name", text)
            broken = s.pocket.file("no-names", "")
            s.env = {"LD_PRELOAD": FAULTY_SYSTEM, "FAULTY_NAMES": broken}
            s.start()
            s.wait_log("does not answer yet.*[Rr]esolve")
            os.unlink(broken)
            s.settle()
            # A name that was looked up is good for a minute.
            s.pocket.file("no-names", "")
            s.proxy.refusing = True
            s.proxy.cut()
            s.change()
            s.wait_log("watching pods .*[Rr]esolve", 100)
            s.proxy.refusing = False
            os.unlink(broken)
            s.settle(90)

    def clock_steps(self, by):
        with Stage() as s:
            step = s.pocket.file("step", "0")
            s.env = {"LD_PRELOAD": FAULTY_SYSTEM, "FAULTY_CLOCK": step}
            s.begin()
            s.pocket.file("step", str(by))
            before = list(s.patches)
            time.sleep(6)
            self.assertEqual(s.patches, before, "the step alone made it write")
            self.assertIsNone(s.difference())
            s.change()
            s.settle()
            s.pocket.file("step", "0")
            s.change_back()
            s.settle()

    def test_a_clock_that_steps_forth_by_an_hour(self):
        self.clock_steps(3600)

    def test_a_clock_that_steps_back_by_an_hour(self):
        self.clock_steps(-3600)


def openssl(*args):
    run = subprocess.run(["openssl", *args], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


class Authority:
    """Makes certificates in a folder."""

    def __init__(self, folder):
        self.folder, self.serial = folder, 0
        self.ca, self.ca_key = self.path("ca.crt"), self.path("ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                "/CN=authority", "-keyout", self.ca_key, "-out", self.ca)

    def path(self, name):
        return os.path.join(self.folder, name)

    def context(self, name="IP:127.0.0.1", expired=False):
        self.serial += 1
        key, request, cert, ext = (self.path("%d.%s" % (self.serial, end)) for end in ("key", "csr", "crt", "ext"))
        with open(ext, "w") as f:
            f.write("subjectAltName=" + name)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server",
                "-keyout", key, "-out", request)
        # Debian's openssl knows no -not_after: a certificate of -1 days has just expired.
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-set_serial", str(self.serial),
                "-days", "-1" if expired else "2", "-extfile", ext, "-out", cert)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context


KUBECONFIG = ("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"%%s\", certificate-authority: %s}}]\n"
              "users: [{name: u, user: {token: pocket}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
              "current-context: c\n")


@contextlib.contextmanager
def over_tls():
    """A stage over HTTPS, and who makes its certificates."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        with Stage(context=authority.context(), kubeconfig=KUBECONFIG % authority.ca) as s:
            yield s, authority


class Certificates(unittest.TestCase):
    def with_other(self, expected, **other):
        """The server's certificate is another one for a while."""
        with over_tls() as (s, authority):
            s.begin()
            s.proxy.context = authority.context(**other)
            s.proxy.cut()
            s.change()
            if expected:
                s.wait_log(expected)
                asked = s.proxy.requests
                time.sleep(2)
                self.assertEqual(s.proxy.requests, asked, "a request over a connection that is not to be trusted")
                s.proxy.context = authority.context()
            s.settle(60)

    def test_a_certificate_that_is_rotated(self):
        self.with_other(None)

    def test_a_certificate_that_has_expired(self):
        self.with_other("watching pods .*certificate has expired", expired=True)

    def test_a_certificate_for_another_name(self):
        self.with_other("watching pods .*(subject name|does not match)", name="DNS:elsewhere.example")


class Lagging:
    """Three servers before one store, each with a cache of its own that is behind by another time. A balancer gives each
    connection to the next one that is up."""

    LAGS = (0.0, 0.6, 1.5)

    def __init__(self, url, context=None):
        self.book = Book()
        self.backends = [Backend(url, lag, self.book) for lag in self.LAGS]
        self.next = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.closing = False
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name in ("asked", "answered"):
            for b in self.backends:
                setattr(b, name, value)

    def __exit__(self, *exc):
        self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for b in self.backends:
            b.__exit__(*exc)

    def accept(self):
        while not self.closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            up = [b for b in self.backends if not b.refusing]
            self.next += 1
            threading.Thread(target=up[self.next % len(up)].serve, args=(sock,), daemon=True).start()

    def restart(self, i):
        """It goes away for a second, and comes back with a cache that begins now."""
        b = self.backends[i]
        b.refusing = True
        b.cut()
        time.sleep(1)
        b.oldest = b.version()
        b.refusing = False


class Backend(Proxy):
    def __init__(self, url, lag, book):
        super().__init__(url, lag=lag, book=book)
        self.server, self.oldest, self.known = checks.Server(url), 0, []
        self.ask = self.answer
        threading.Thread(target=self.follow, daemon=True).start()

    def version(self):
        return int(self.server.get("/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"])

    def follow(self):
        while not self.closing:
            with contextlib.suppress(OSError, AssertionError):
                self.known.append((time.monotonic(), self.version()))
                del self.known[:-100]
            time.sleep(0.1)

    def reached(self):
        """The version that the cache shows."""
        return max([v for t, v in self.known if time.monotonic() - t >= self.lag] or [0])

    def answer(self, r):
        version = r.query.get("resourceVersion", "")
        if not r.of("pods", "nodes") or not version:
            return None
        assert version != "0", "a list or watch from any version may go back in time"
        if r.is_watch and int(version) < self.oldest:
            return Answer(410, status_of(410, "Expired"))
        if r.is_watch:
            return None
        end = time.monotonic() + 3
        while self.reached() < int(version) and time.monotonic() < end:
            time.sleep(0.05)
        if self.reached() >= int(version):
            return None
        return Answer(504, status_of(504, "Timeout", details={"causes": [{"reason": "ResourceVersionTooLarge"}],
                                                              "retryAfterSeconds": 1}), Retry_After=1)


class Servers(unittest.TestCase):
    def test_three_servers_that_are_behind_each_other_restart_one_by_one(self):
        with Stage(make=Lagging) as s:
            s.begin()
            for i in range(6):
                (s.change if i % 2 == 0 else s.change_back)()
                s.proxy.restart(i % 3)
                time.sleep(1)
            s.settle(90)


def run_one(case):
    out, began = io.StringIO(), time.monotonic()
    result = unittest.TextTestRunner(stream=out, verbosity=0).run(case)
    return "%s (%.0f s)" % (case.id().split(".", 1)[1], time.monotonic() - began), result.wasSuccessful(), out.getvalue()


def cases(suite):
    for item in suite:
        yield from cases(item) if isinstance(item, unittest.TestSuite) else (item,)


def main():
    global FAULTY_SYSTEM
    test_pocket.POCKET, test_pocket.BRIM = (os.path.abspath(p) for p in sys.argv[1:3])
    FAULTY_SYSTEM = os.path.abspath(sys.argv[3])
    loader = unittest.defaultTestLoader
    here = sys.modules["__main__"]
    suite = loader.loadTestsFromNames(sys.argv[4:], here) if sys.argv[4:] else loader.loadTestsFromModule(here)
    found = sorted(cases(suite), key=lambda c: not c.id().endswith(LONGEST))
    failed = 0
    print("1..%d" % len(found))
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        for i, (name, good, text) in enumerate(pool.map(run_one, found)):
            failed += not good
            print("%s %d %s" % ("ok" if good else "not ok", i + 1, name), flush=True)
            if not good:
                print("".join("# %s\n" % line for line in text.splitlines()), end="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

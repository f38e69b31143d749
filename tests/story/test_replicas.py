#!/usr/bin/env python3
"""Two agents that share a Lease, beside a pocket cluster with paid load that comes and goes.

Each has a proxy of its own before the server, so that whatever is written is known with who wrote it: every write but those of the
Lease must come while its writer holds the Lease.

usage: test_replicas.py POCKET BRIM [TEST...]
"""
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

import lanes
import recount
import stage
import test_pocket
from faulty import Proxy
from test_pocket import MINER, PATIENCE, Pocket, checks, free_port, wait_until

LANES = 4
LEASE = "/apis/coordination.k8s.io/v1/namespaces/brim/leases/brim"
TOLD = "/api/v1/namespaces/brim/configmaps/brim-status"
POLICY = stage.POLICY.replace("settle: 3s", "settle: 1s")
# Who leads and is gone is replaced: seen up to 4.4 s after its last renewal, then 15 s.
GAP_S, HANDOVER_S = 20, 5


class Replica:
    def __init__(self, shop, name):
        self.shop, self.name, self.proxy = shop, name, shop.stack.enter_context(Proxy(shop.pocket.url))
        self.proxy.asked, self.proxy.answered = self.on_ask, self.on_answer
        self.log_path = os.path.join(shop.pocket.dir.name, name + ".log")
        self.process, self.identities, self.advertise = None, [], False

    def start(self):
        kubeconfig = self.shop.pocket.file(self.name + ".config", "apiVersion: v1\nkind: Config\n"
            "clusters: [{name: c, cluster: {server: \"%s\"}}]\nusers: [{name: u, user: {token: pocket}}]\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n" % self.proxy.url)
        self.url = "http://127.0.0.1:%d" % free_port()
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen([test_pocket.BRIM, "agent", "--kubeconfig", kubeconfig, "--policy", self.shop.policy,
                                             "--listen", self.url[7:], "--lease", "brim/brim",
                                             *(["--advertise", self.url] if self.advertise else []), *self.shop.args], stderr=log)
        wait_until(lambda: self.identity() is not None, 20, "%s to know itself" % self.name)
        self.identities.append(self.identity())

    def status(self):
        return json.loads(recount.ask(self.url + "/api/v1/status"))

    def lead(self):
        with contextlib.suppress(OSError):
            return self.status().get("leader")
        return None

    def identity(self):
        return (self.lead() or {}).get("identity")

    def told(self, member):
        return self.status()["fillers"][0][member]

    def leads(self):
        return (self.lead() or {}).get("leads", False)

    def metrics(self):
        return recount.ask(self.url + "/metrics")

    def metric(self, name):
        return next(float(line.split()[-1]) for line in self.metrics().splitlines() if line.startswith(name + " "))

    def text(self):
        with contextlib.suppress(OSError), open(self.log_path) as f:
            return f.read()
        return ""

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        """Its end as a node's drain causes it."""
        self.process.terminate()
        status, self.process = self.process.wait(20), None
        assert status == 0, "%s ended with %d" % (self.name, status)

    # ---- what it writes ----

    def on_ask(self, r):
        r.counts = r.method != "GET" and "/leases" not in r.path and "reviews" not in r.path
        if r.counts:
            self.shop.writes.append((r.at, self.name, r.method, r.path))
            self.shop.written.append((self, self.shop.holder(), r.method, r.path))

    def on_answer(self, r, status):
        if "/leases" in r.path and r.method != "GET":
            self.shop.renewals.append((r.at, self.name, status))


class Shop:
    """Two replicas, and paid pods that come and go meanwhile."""

    def __init__(self, *args, policy=POLICY):
        self.stack, self.args = contextlib.ExitStack(), args
        self.pocket = self.stack.enter_context(Pocket("--scenario", "faults"))
        self.server, self.writes, self.written, self.renewals = self.pocket.server, [], [], []
        self.server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "brim"}})
        self.policy = self.pocket.file("policy.yaml", policy)
        self.replicas = [Replica(self, "a"), Replica(self, "b")]
        self.ending = threading.Event()
        self.churner = threading.Thread(target=self.churn, daemon=True)

    def __enter__(self):
        for r in self.replicas:
            r.start()
        wait_until(lambda: sum(r.leads() for r in self.replicas) == 1, 20, "one to lead")
        wait_until(lambda: self.count() > 0, 40, "filler")
        self.churner.start()
        return self

    def __exit__(self, *exc):
        self.ending.set()
        if self.churner.ident is not None:
            self.churner.join()
        ends = []
        for r in self.replicas:
            if r.process is not None:
                r.process.terminate()
                ends.append(r.process.wait(20))
            if exc[0] is not None:
                print("%s\n== %s\n%s" % (exc[1], r.name, r.text()[-5000:]), file=sys.stderr)
        self.stack.close()
        if exc[0] is None:
            assert not any(ends), ends
            # Who leads as soon as it starts writes before its identity is asked for.
            wrong = ["%s: %s %s while %r held the lease" % (r.name, method, path, holder)
                     for r, holder, method, path in self.written if holder not in r.identities]
            assert not wrong, wrong

    def churn(self):
        """Paid pods of two cores, none to four of them, another number each second."""
        there = 0
        for step in range(10 ** 6):
            if self.ending.wait(1):
                return
            want = (0, 3, 1, 4, 2, 0, 1)[step % 7]
            while there != want:
                with contextlib.suppress(OSError):
                    if there < want:
                        self.server.ask("POST", stage.PODS, {"metadata": {"name": "paid-%d" % there}, "spec": {
                            "terminationGracePeriodSeconds": 0,
                            "containers": [{"name": "c", "image": "none", "resources": {"requests": {"cpu": "2"}}}]}})
                    else:
                        self.server.ask("DELETE", stage.PODS + "/paid-%d" % (there - 1))
                there += 1 if there < want else -1

    def holder(self):
        status, lease = self.server.ask("GET", LEASE)
        return lease["spec"]["holderIdentity"] if status == 200 else None

    def told(self):
        status, told = self.server.ask("GET", TOLD)
        return json.loads(told["data"]["status"]) if status == 200 else {"identity": None, "fillers": [{}]}

    def lease(self):
        return self.server.get(LEASE)["spec"]

    def count(self):
        return self.server.get(MINER)["spec"]["replicas"]

    def leader(self):
        """Both, who leads first."""
        a, b = self.replicas
        assert a.leads() != b.leads(), "of two replicas %d lead" % (a.leads() + b.leads())
        return (a, b) if a.leads() else (b, a)

    def written_by(self, r, since):
        return [w for w in self.writes if w[1] == r.name and w[0] > since]

    def passes(self, to, began, limit):
        """Until this replica leads and has written; how long after `began` that was."""
        wait_until(lambda: to.leads(), limit * PATIENCE, "%s to lead" % to.name)
        wait_until(lambda: self.written_by(to, began), 20, "%s to write" % to.name)
        gap = min(t for t, name, status in self.renewals if name == to.name and t > began and status == 200) - began
        assert gap <= limit, "nobody led for %.1f s" % gap
        return gap


class Replicas(unittest.TestCase):
    def test_one_writes_and_the_other_stands_by(self):
        with Shop() as s:
            leader, other = s.leader()
            began = time.monotonic()
            wait_until(lambda: len(s.written_by(leader, began)) > 5, 30, "writes")
            self.assertEqual(s.written_by(other, 0), [])
            self.assertEqual((leader.metric("brim_leader"), other.metric("brim_leader")), (1, 0))
            self.assertEqual(other.lead()["holder"], leader.identity())
            self.assertIn("[+]lease: %s\n" % leader.identity(), recount.ask(other.url + "/readyz?verbose"))
            self.assertEqual(s.lease()["leaseDurationSeconds"], 15)

    def test_a_leader_that_ends_gives_the_lease_back(self):
        with Shop() as s:
            for _ in range(2):
                leader, other = s.leader()
                before, began = s.lease()["leaseTransitions"], time.monotonic()
                leader.stop()
                s.passes(other, began, HANDOVER_S)
                self.assertEqual(s.lease()["leaseTransitions"], before + 1)
                leader.start()

    def test_a_leader_that_is_killed_is_replaced(self):
        with Shop() as s:
            leader, other = s.leader()
            began = time.monotonic()
            leader.kill()
            s.passes(other, began, GAP_S)
            leader.start()
            self.assertFalse(leader.leads())

    def test_a_leader_that_was_stopped_writes_nothing_when_it_goes_on(self):
        with Shop() as s:
            leader, other = s.leader()
            began = time.monotonic()
            leader.process.send_signal(signal.SIGSTOP)
            s.passes(other, began, GAP_S)
            resumed = time.monotonic()
            leader.process.send_signal(signal.SIGCONT)
            wait_until(lambda: leader.lead() and not leader.leads(), 10, "it to know")
            time.sleep(5)
            self.assertEqual(s.written_by(leader, resumed), [])
            self.assertEqual(leader.lead()["holder"], other.identity())

    def test_one_that_was_stopped_for_a_moment_goes_on(self):
        with Shop() as s:
            leader, other = s.leader()
            leader.process.send_signal(signal.SIGSTOP)
            time.sleep(12)  # beyond the deadline, and nobody has taken it
            began = time.monotonic()
            leader.process.send_signal(signal.SIGCONT)
            wait_until(lambda: s.written_by(leader, began), 20, "it to write again")
            self.assertTrue(re.search("not leading any more.*leading:", leader.text(), re.S), leader.text())
            self.assertEqual(s.written_by(other, 0), [])

    def test_a_leader_that_is_cut_off_stops_before_another_begins(self):
        with Shop() as s:
            leader, other = s.leader()
            began = time.monotonic()
            leader.proxy.unreachable()
            leader.proxy.cut()
            wait_until(lambda: not leader.leads(), 11 * PATIENCE, "it to give up")
            stopped = time.monotonic() - began
            self.assertLess(stopped, 11 + PATIENCE)
            s.passes(other, began, GAP_S)
            leader.proxy.unreachable(False)
            wait_until(lambda: (leader.lead() or {}).get("holder") == other.identity(), 30, "it to know who leads")
            self.assertFalse(leader.leads())

    def test_the_count_that_was_found_outlives_its_leader(self):
        with Shop(policy=POLICY + "  onRemove: restore\n") as s:
            wait_until(lambda: "found" in s.told()["fillers"][0], 10, "the count that was found")
            found = s.told()["fillers"][0]["found"]
            leader, other = s.leader()
            leader.kill()
            s.passes(other, time.monotonic(), GAP_S)
            wait_until(lambda: s.told()["identity"] == other.identity(), 10, "the new leader's word")
            self.assertEqual(s.told()["fillers"][0]["found"], found)
            leader.start()

    def test_the_report_is_the_leaders(self):
        with Shop() as s:
            leader, other = s.leader()
            other.stop()
            leader.stop()
            for r in (leader, other):
                r.advertise = True
                r.start()
            wait_until(lambda: leader.leads() + other.leads() == 1, 20, "one to lead")
            leader, other = s.leader()
            wait_until(lambda: (other.lead() or {}).get("url") == leader.url, 10, "the leader's address")
            ask = http.client.HTTPConnection(other.url[7:], timeout=5)
            ask.request("GET", "/report?since=7d&by=a%20b%26c")
            answer = ask.getresponse()
            self.assertEqual((answer.status, answer.headers["Location"]), (307, leader.url + "/report?since=7d&by=a%20b%26c"))

    def test_a_server_that_starts_anew_changes_nothing(self):
        with Shop() as s:
            leader, other = s.leader()
            s.pocket.hang_up()
            began = time.monotonic()
            wait_until(lambda: s.written_by(leader, began), 30, "it to write")
            self.assertEqual(s.leader()[0], leader)

    def test_a_lease_that_is_deleted_stays_with_its_holder(self):
        with Shop() as s:
            leader, other = s.leader()
            s.server.ask("DELETE", LEASE)
            wait_until(lambda: s.holder() == leader.identity(), 10, "the lease")
            time.sleep(5)
            self.assertEqual(s.leader()[0], leader)
            # What it wrote while there was none was its own all the same.
            s.written[:] = [w for w in s.written if w[1] is not None]


if __name__ == "__main__":
    test_pocket.POCKET, test_pocket.BRIM = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(lanes.run(sys.modules["__main__"], sys.argv[3:], LANES))

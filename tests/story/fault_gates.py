"""Stories of filler behind the gate, of which something goes wrong between the decision to let a pod in and its being bound."""

import json
import threading
import time
import unittest

from faulty import BREAK, HANG, Answer
from stage import FILLER, Stage
from test_pocket import MINER, wait_until

NO = Answer(403, json.dumps({
    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
    "message": "admission webhook \"gates.example.com\" denied the request: not today"}).encode())

# How long brim lets nothing in to a node that took no pod.
SHUN_S = 60


def lets_in(r, node=""):
    """Is it the patch that lets a pod in (to this node)?"""
    return r.method == "PATCH" and r.path.startswith(FILLER + "/") and b"schedulingGates" in r.body and node.encode() in r.body


def once(fn):
    """Calls it until it says that it did something; what it did."""
    done, lock = [], threading.Lock()

    def call(*args):
        with lock:
            if not done:
                done.extend(filter(None, [fn(*args)]))
    return call, done


class Gates(unittest.TestCase):
    def node_goes(self, s, hook):
        """The node n-1 is deleted at the first patch that lets a pod in to it, and comes back."""
        node = s.server.get("/api/v1/nodes/n-1")

        def go(r, *_):
            return lets_in(r, "n-1") and s.server.ask("DELETE", "/api/v1/nodes/n-1")
        call, done = once(go)
        setattr(s.proxy, hook, call)
        s.start()
        wait_until(lambda: done, 30, "a pod to be let in to n-1")
        s.settle(60)
        for key in ("uid", "resourceVersion", "creationTimestamp"):
            node["metadata"].pop(key, None)
        status, body = s.server.ask("POST", "/api/v1/nodes", {k: node[k] for k in ("metadata", "spec", "status")})
        self.assertEqual(status, 201, body)
        s.settle(SHUN_S + 60)

    def test_a_node_that_goes_just_before_a_pod_is_let_in_to_it(self):
        with Stage() as s:
            self.node_goes(s, "ask")

    def test_a_node_that_goes_just_after_a_pod_was_let_in_to_it(self):
        with Stage() as s:
            self.node_goes(s, "body")

    def test_a_node_that_is_cordoned_just_before_a_pod_is_let_in_to_it(self):
        with Stage() as s:
            def cordon(r):
                return lets_in(r, "n-1") and (s.node("n-1", {"unschedulable": True}) or True)
            s.proxy.ask, done = once(cordon)
            s.start()
            wait_until(lambda: done, 30, "a pod to be let in to n-1")
            s.settle(60)
            s.node("n-1", {"unschedulable": None})
            s.settle(SHUN_S + 60)

    def test_a_paid_pod_that_takes_the_room_just_before_a_pod_is_let_in(self):
        with Stage() as s:
            s.proxy.ask, done = once(lambda r: lets_in(r) and (s.paid("quick", 6) or True))
            s.start()
            wait_until(lambda: done, 30, "a pod to be let in")
            s.settle(60)
            s.unpaid("quick")
            s.settle(60)

    def test_a_target_that_is_made_anew_while_its_pods_are_let_in(self):
        with Stage() as s:
            made = s.server.get(MINER)
            for key in ("uid", "resourceVersion", "creationTimestamp", "generation"):
                made["metadata"].pop(key, None)
            let_in = []

            def anew(r):
                let_in.extend([r] if lets_in(r) else [])
                if len(let_in) < 5:
                    return None
                made["spec"]["replicas"] = 0
                s.server.ask("DELETE", MINER)
                return s.server.ask("POST", MINER.rsplit("/", 1)[0], {k: made[k] for k in ("metadata", "spec")})
            s.proxy.ask, done = once(anew)
            s.start()
            wait_until(lambda: done, 30, "five pods to be let in")
            self.assertEqual(done[0][0], 201, done[0])
            s.settle(90)

    def test_pods_whose_gates_may_not_be_lifted_for_a_while(self):
        """An admission webhook refuses the patches of pods: room is left alone, yields go on, and all is tried again."""
        with Stage() as s:
            refused = []

            def ask(r):
                if lets_in(r):
                    refused.append(r)
                    return NO
            s.proxy.ask = ask
            s.start()
            s.wait_log("not today", 40)
            time.sleep(8)
            self.assertLess(len(refused), 5 * 14, "patches in ten seconds")
            self.assertEqual(s.placed(), "False")
            before = s.replicas()
            s.paid("one", 6)
            s.paid("two", 6)
            wait_until(lambda: s.replicas() < before, 15, "the yield")
            s.proxy.ask = None
            s.settle(120)
            self.assertEqual(s.placed(), "True")

    def unanswered(self, how):
        """Every third patch is carried out, or is not, and has no answer."""
        with Stage() as s:
            n = []

            def ask(r):
                n.extend([r] if lets_in(r) else [])
                return how if lets_in(r) and len(n) % 3 == 1 and len(n) < 12 else None

            def body(r, status, data):
                return how if lets_in(r) and len(n) % 3 == 2 and len(n) < 12 else None
            s.proxy.ask, s.proxy.body = ask, body
            s.begin(120)
            self.assertGreater(len(n), 12)
            s.change()
            s.settle(60)

    def test_patches_of_pods_that_break_off(self):
        self.unanswered(BREAK)

    def test_patches_of_pods_that_are_never_answered(self):
        self.unanswered(HANG)

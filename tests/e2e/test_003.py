"""003: the filler beside a web application that steps 2 -> 4 -> 8 -> 16 -> 17 -> 2, from the files of deploy/examples/003."""

import math
import os
import random
import re
import time

from story import cores, filler_active, held, lives, mean, percentile, slim, turns
from support import NODES, SHORT_SETTLE, capacity, deployment, example, make_cluster, policy_text, test

GRACE = 10          # seconds that a filler pod of the example really takes to go
HOLE = 4            # cores of a web pod: in pieces of this size room is kept free
HEADROOM = HOLE * math.ceil(30 / HOLE)
BASE = 10           # cores of other paid pods, one core each
WEB = [2, 4, 8, 16, 17, 2]
CORES = sum(NODES.values())
STEADY = 8          # seconds at the end of each phase over which fill is measured
UP_PHASE = 32       # seconds of a step that the headroom does not cover: grace, the scheduler's longest back-off, and STEADY
COVERED_PHASE = 22  # seconds of one that it does: grace, room for the controllers, and STEADY


def wanted(web):
    """The filler's replicas once all is settled, by hand: a core each, what paid pods and headroom leave, at most 150."""
    return min(150, CORES - BASE - 4 * web - HEADROOM)


class Phase:
    def __init__(self, before, after, began):
        self.before, self.after, self.began, self.ended = before, after, began, None
        self.killed_at = self.back_at = None
        self.name = "start" if before is None else "%d -> %d" % (before, after)

    @property
    def covered(self):
        """Does what is kept free, 30 cores, hold the pods that this step adds?"""
        return self.before is not None and 0 < (self.after - self.before) * HOLE <= 30

    @property
    def grows(self):
        """Is filler to be harvested in this phase?"""
        return self.before is None or self.after < self.before

    @property
    def added(self):
        return 0 if self.before is None else max(0, self.after - self.before)


class Run:
    """The whole story once, with or without restarts of the agent; then its figures."""

    def __init__(self, t, lab, settle, seed=None):
        self.t, self.lab, self.settle = t, lab, settle
        self.random = random.Random(seed) if seed is not None else None
        self.phases = []

    def play(self):
        t, lab = self.t, self.lab
        make_cluster(lab)
        self.pods = lab.watch("/api/v1/pods", slim)
        lab.apply(deployment("base", BASE, cpu="1", memory="1Gi", grace=5))
        lab.apply(example("web.yaml"))
        self.make_filler()
        self.pods.wait(lambda w: sum(p["ready"] for p in w.objects.values()) == BASE + WEB[0], 30, "the paid pods to be ready")
        self.target = lab.watch("/apis/apps/v1/namespaces/filler/deployments", lambda d: {
            "metadata": {k: d["metadata"][k] for k in ("namespace", "name")}, "replicas": d["spec"]["replicas"]})
        self.agent = t.agent(lab, policy_text(self.settle, **self.policy))
        self.phase(None, WEB[0])
        for before, after in zip(WEB, WEB[1:]):
            self.phase(before, after)
        self.now = time.monotonic()

    policy = {}  # lines of the policy that differ from the example's

    def make_filler(self):
        self.lab.apply(example("filler.yaml"))

    def lasts(self, p):
        """Seconds until all is settled, and STEADY more."""
        if p.grows:  # settle, then 20 pods a second by the controller manager's limit, their start, web pods that go
            return self.settle + 8 + 2 + 5 + STEADY
        return COVERED_PHASE if p.covered else UP_PHASE

    def phase(self, before, after):
        p = Phase(before, after, time.monotonic())
        if before is not None:
            self.lab.scale("default", "web", after)
        seconds = self.lasts(p)
        if self.random:
            self.restart(p, seconds)
            seconds = p.back_at - p.began + self.lasts(p)  # growth waits for settle anew
        while time.monotonic() < p.began + seconds:
            time.sleep(min(0.2, max(0, p.began + seconds - time.monotonic())))
            self.lab.check()
        p.ended = time.monotonic()
        p.replicas = self.target.objects["filler/miner"]["replicas"]
        self.phases.append(p)
        self.compare(p)

    def restart(self, p, seconds):
        time.sleep(self.random.uniform(0, seconds - STEADY))
        p.killed_at = time.monotonic()
        self.agent.kill()
        time.sleep(self.random.uniform(0, 2))
        p.back_at = time.monotonic()
        self.agent.start()
        self.agent.wait_ready()

    def compare(self, p):
        """brim's account by node is that of the scheduler, asked at a quiet moment."""
        rows = capacity(self.lab)
        ours = {n: (rows[n]["cpu_paid_milli"] / 1000, rows[n]["cpu_filler_milli"] / 1000) for n in rows if n in NODES}
        metrics = {}
        for r in self.lab.scheduler_metrics_resources():
            if r["metric"] == "kube_pod_resource_request" and r["resource"] == "cpu" and r["node"]:
                key = (r["node"], r["namespace"] == "filler")
                metrics[key] = metrics.get(key, 0) + r["value"]
        theirs = {n: (metrics.get((n, False), 0), metrics.get((n, True), 0)) for n in NODES}
        described = allocated(self.lab.kubectl("describe", "nodes"))
        self.t.check(ours == theirs, "%s: cores of paid pods and of filler by node: brim %s, scheduler %s" % (p.name, ours, theirs))
        sums = {n: sum(v) for n, v in ours.items()}
        self.t.check(sums == described, "%s: cores by node: brim %s, kubectl describe %s" % (p.name, sums, described))

    # -- figures

    def figures(self):
        t, story = self.t, lives(self.pods.events, self.now)
        self.fillers = [x for x in story if x.namespace == "filler"]
        self.paid = [x for x in story if x.namespace != "filler"]
        self.web = [x for x in self.paid if x.name.startswith("web-")]
        self.active, self.held = filler_active(self.fillers), held(self.paid)
        self.sizes = []  # (time, replicas) at each change
        for e in self.target.events:
            if not self.sizes or self.sizes[-1][1] != e.object["replicas"]:
                self.sizes.append((e.mono, e.object["replicas"]))
        t.figure("settle", "%g s" % self.settle)
        for p in self.phases:
            self.fill(p)
        self.waits()
        self.kills()
        stuck = max([b - a for f in self.fillers for a, b in f.waits] or [0])
        t.figure("longest that a filler pod was unschedulable", "%.2f s" % stuck)
        t.check(stuck <= 5, "a filler pod was unschedulable for %.1f s, expected at most 5" % stuck)
        self.directions()
        for p in self.phases:
            self.no_jump(p)

    def fill(self, p):
        begin, end = p.ended - STEADY, p.ended
        room = min(150, CORES - mean(self.held, begin, end) - HEADROOM)
        active = mean(self.active, begin, end)
        self.t.figure("%s: filler of room (fill), replicas" % p.name,
                      "%.1f of %.1f cores (%.1f %%), %d" % (active, room, 100 * active / room, p.replicas))
        self.t.check(active >= 0.95 * room, "%s: fill %.1f %%, expected at least 95" % (p.name, 100 * active / room))
        self.t.check(active <= room + 0.01, "%s: %.1f cores of filler, more than the %.1f there are" % (p.name, active, room))
        self.t.check(p.replicas == wanted(p.after), "%s: %d replicas, expected %d" % (p.name, p.replicas, wanted(p.after)))

    def waits(self):
        for p in self.phases:
            new = [x for x in self.web if x.created is not None and p.began <= x.created < p.ended]
            if not p.added:
                continue
            self.t.check(len(new) == p.added, "%s: %d web pods came, expected %d" % (p.name, len(new), p.added))
            unbound = [x.name for x in new if x.bound is None]
            self.t.check(not unbound, "%s: never bound: %s" % (p.name, ", ".join(unbound)))
            took = [x.bound - x.created for x in new if x.bound is not None]
            blocked = sum(x.blocked for x in new)
            self.t.figure("%s: web pods blocked; wait p50, max" % p.name, "%d of %d; %.2f s, %.2f s%s" % (
                blocked, len(new), percentile(took, 0.5), max(took), "" if p.covered else " (more than the headroom)"))
            if p.covered:
                self.t.check(blocked == 0, "%s: %d web pods were blocked, though the headroom holds them" % (p.name, blocked))
            else:
                self.t.check(percentile(took, 0.5) <= GRACE + 2, "%s: the median wait is %.1f s" % (p.name, percentile(took, 0.5)))
                self.t.check(max(took) <= GRACE + 12, "%s: the longest wait is %.1f s" % (p.name, max(took)))

    def kills(self):
        """Bounded over all the room that was needed: in one step two pods more or less are chance, since a ReplicaSet refills
        what the scheduler preempts before the count is lowered."""
        all_killed = all_needed = 0
        for before, p in zip(self.phases, self.phases[1:]):
            needed = before.replicas - p.replicas
            killed = sum(1 for f in self.fillers if f.bound is not None and f.deleted is not None and p.began <= f.deleted < p.ended)
            self.t.figure("%s: filler pods killed, room needed" % p.name, "%d, %d" % (killed, max(0, needed)))
            if needed > 0:
                all_killed, all_needed = all_killed + killed, all_needed + needed
            else:
                self.t.check(killed == 0, "%s: %d filler pods killed while the load fell" % (p.name, killed))
        self.t.figure("filler pods killed for each that had to go", "%.2f" % (all_killed / all_needed))
        self.t.check(all_killed <= 1.1 * all_needed, "%d filler pods killed for %d cores of room" % (all_killed, all_needed))

    def directions(self):
        since = self.phases[0].ended
        load = turns(WEB)
        writes = turns([self.phases[0].replicas] + [v for at, v in self.sizes if at >= since])
        # In the step that is more than the headroom the scheduler may preempt for a web pod while the ReplicaSet shrinks: those
        # pods' number is made anew. That is no move of brim's; kills() bounds it.
        pods = turns([v for at, v in self.active if at >= since], HOLE)
        self.t.figure("turns of the load, of the replicas, of the filler pods", "%d, %d, %d" % (load, writes, pods))
        self.t.check(writes == load, "the replicas turned round %d times, the load %d: %s" % (writes, load, [v for _, v in self.sizes]))
        self.t.check(pods == load, "the filler's pods turned round %d times, the load %d" % (pods, load))

    def no_jump(self, p):
        """Within a phase the replicas stay between its ends, and an agent that was started does not raise them before settle."""
        seen = [v for at, v in self.sizes if p.began <= at < p.ended]
        first = 0 if p.before is None else wanted(p.before)
        low, high = min(first, wanted(p.after)), max(first, wanted(p.after))
        self.t.check(all(low <= v <= high for v in seen), "%s: replicas went %s, expected %d to %d" % (p.name, seen, low, high))
        if p.back_at is None:
            return
        level = [v for at, v in self.sizes if at < p.killed_at][-1]
        early = [v for at, v in self.sizes if p.killed_at <= at < p.back_at + self.settle - 0.5]
        self.t.figure("%s: killed after, away for" % p.name, "%.1f s, %.1f s" % (p.killed_at - p.began, p.back_at - p.killed_at))
        self.t.check(all(v <= level for v in early), "%s: replicas rose from %d to %s before settle was over" % (p.name, level, early))


def allocated(text):
    """{node: cores} from the part 'Allocated resources' of kubectl describe nodes."""
    found = {}
    for part in re.split(r"(?m)^Name: +", text)[1:]:
        match = re.search(r"Allocated resources:.*?\n +cpu +(\S+)", part, re.S)
        if match:
            found[part.split(None, 1)[0]] = cores(match.group(1))
    return found


def settle_of(t):
    return 90 if t.long else SHORT_SETTLE


@test(timeout=400)
def the_filler_fills_and_yields(t):
    with t.own_lab(start=2) as lab:
        run = Run(t, lab, settle_of(t))
        run.play()
        run.figures()


@test(timeout=500)
def the_same_with_the_agent_killed_in_every_phase(t):
    seed = int(os.environ.get("BRIM_E2E_SEED") or random.SystemRandom().randrange(10**6))
    t.figure("seed (BRIM_E2E_SEED repeats it)", seed)
    with t.own_lab(start=2) as lab:
        run = Run(t, lab, settle_of(t), seed)
        run.play()
        run.figures()

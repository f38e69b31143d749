"""The simulation (policy/sim) against the real control plane: the same random histories, the same outcome.

A history is a node group of its own, a filler Deployment, and 5 to 10 steps, 2 to 4 s apart: paid pods created and deleted, gated
and let in, filler scaled, pods too large for any node, pods whose priority is the filler's. Several run at once, each in a namespace
of its own. What was done is played to the simulation at the times at which it was really done; then the pods that are bound at the
end of each step and the waits of the paid pods are compared. docs/SIMULATION.md says what this shows and what not.

BRIM_SEED=N repeats the histories of a run, BRIM_HISTORIES=N says how many.
"""

import concurrent.futures
import heapq
import itertools
import json
import os
import random
import statistics
import subprocess
import time

from support import BRIM, LabError, deployment, test

from lab import pod, priority_class, timing

PLAYER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(BRIM))), "tests", "e2e", "sim_history")

AT_ONCE = 8         # histories beside each other; fewer while the machine is too slow for so many
ENOUGH = 3000       # s after which no further batch begins
HISTORIES = 200     # unless BRIM_HISTORIES says otherwise
LONGEST = 24.0      # s after which a history of 5 steps or more gets no further one
WAIT_APART = 1.0    # s that two waits may differ
PAID, EQUAL, FILLER = 1000, -100, -100
CLASSES = {"paid": PAID, "equal": EQUAL, "filler": FILLER}
LEAD = 0.15         # s before the next step at which a step is looked at
TOLERANT_RUNS = 24  # plays of a history with other luck and other delays, before it is taken
SLACK = 0.5         # s that starts and exits may be late in those
CALLS = (0.02, 0.05, 0.1, 0.2)  # s that a call of the API takes at most in those, by turns
STEPS = 0.12        # as a part of what starts are late: what an attempt of the scheduler and a call of a controller take longer
TOO_SLOW = 0.4      # s of real lag with which a history was not what was meant, and is played again
MORE_PLAYS = 3      # of a history that differed, in the real control plane
LUCK_PART = 20      # at most one history in so many may be a matter of luck in the real control plane
US = 1000000
NEVER = 1e6         # s: the wait of a pod that was not bound


def seed():
    return int(os.environ.get("BRIM_SEED") or random.SystemRandom().randrange(1 << 32))


# --- histories ------------------------------------------------------------------------------------------------------------------

class History:
    """nodes [(name, cores, GiB)]; filler dict; ops [(at, verb, …)] in order; counts [at], one a step."""

    def __init__(self, name, chance):
        self.name, self.chance = name, chance
        self.nodes = [("%s-n%d" % (name, i), cores, cores * chance.choice((2, 4, 4, 8)))
                      for i, cores in enumerate(chance.choices((4, 8, 12, 16, 24, 32), k=chance.randint(2, 4)))]
        self.cores = sum(n[1] for n in self.nodes)
        grace = chance.randint(1, 5)
        self.filler = {"cpu": chance.choice((1000, 2000, 3000)), "memory": chance.choice((1024, 2048)), "grace": grace,
                       "start": 0, "exit": chance.choice((grace, max(0.5, grace / 2)))}
        self.filler["cpu"] = max(self.filler["cpu"], self.cores // 12 * 1000)  # at most 15 or so of them
        self.ops, self.counts, self.pods, self.live, self.gated = [], [], {}, [], []
        at = chance.uniform(0, 5)  # not all at once
        self.ops.append((at, "scale", self.fill(chance.uniform(0.5, 1.2))))
        at += 3 + chance.random()
        self.began = at
        steps = chance.randint(5, 10)
        while len(self.counts) < steps and (len(self.counts) < 5 or at < LONGEST):
            self.step(at)
            at += chance.uniform(2, 4)
            self.counts.append(at - LEAD)

    def fill(self, share):
        return round(self.cores * 1000 * share / self.filler["cpu"])

    def step(self, at):
        for _ in range(self.chance.randint(1, 3)):
            kind = self.chance.choices(("create", "delete", "scale", "gate", "ungate", "large", "equal"), (8, 4, 3, 1, 2, 1, 1))[0]
            if kind in ("create", "gate", "large", "equal"):
                for _ in range(self.chance.randint(1, 3) if kind == "create" else 1):
                    self.create(at, kind)
            elif kind == "delete" and self.live:
                self.ops.append((at, "delete", self.live.pop(self.chance.randrange(len(self.live)))))
            elif kind == "ungate" and self.gated:
                name = self.gated.pop()
                self.live.append(name)
                self.ops.append((at, "ungate", name))
            elif kind == "scale":
                self.ops.append((at, "scale", self.fill(self.chance.choice((0, 0.3, 0.6, 0.9, 1.3)))))
            at += 0.05

    def create(self, at, kind):
        largest = max(n[1] for n in self.nodes)
        cores = largest + 1 if kind == "large" else self.chance.choice([c for c in (0.5, 1, 2, 3, 4, 6, 8, 12) if c <= largest])
        name = "%s-p%d" % (self.name, len(self.pods))
        self.pods[name] = {"cpu": int(cores * 1000), "memory": int(cores * 1024), "gated": kind == "gate", "grace": 1, "start": 0,
                           "exit": 1, "class": "equal" if kind == "equal" else "paid"}
        (self.gated if kind == "gate" else self.live).append(name)
        self.ops.append((at, "create", name))

    # -- as the simulation reads it

    def head(self, late=0.0):
        """Its nodes and its filler; `late`: what start and exit take longer."""
        lines = ["node %s %s %d %d 110" % (n, self.name, c * 1000, m * 1024) for n, c, m in self.nodes]
        f = self.filler
        return lines + ["filler %s %d %d %d %s" % (self.name, f["cpu"], f["memory"], FILLER, times(f, late))]

    def line(self, op, late=0.0):
        at, verb = op[:2]
        if verb == "create":
            p = self.pods[op[2]]
            return "%d pod %s %s %d %d %d %s %d" % (at * US, op[2], self.name, p["cpu"], p["memory"], CLASSES[p["class"]],
                                                    times(p, late), p["gated"])
        if verb == "scale":
            return "%d scale %s %d" % (at * US, self.name, op[2])
        if verb == "count":
            return "%d count %s" % (at * US, self.name)
        return "%d %s %s" % (at * US, verb, op[2])

    def timeline(self, number):
        """What is done when, if each call begins when the one before is answered."""
        chance, most = random.Random("%s/%d" % (self.name, number)), CALLS[number % len(CALLS)]
        done, at = [], 0.0
        for op in self.ops:
            at = max(at, op[0]) + chance.uniform(0.002, most)
            done.append((at,) + op[1:])
        return self.with_counts(done)

    def with_counts(self, done):
        return sorted(done + [(at, "count") for at in self.counts], key=lambda op: op[0])


def times(spec, late):
    # The simulation's grace is only a limit: an exit may be late.
    return "%d %d %d" % ((spec["grace"] + 1) * US + late * US, (spec["start"] + late) * US, (spec["exit"] + late) * US)


def run_player(lines):
    """What the simulation prints, line by line."""
    done = subprocess.run([PLAYER], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=60)
    if done.returncode != 0:
        raise LabError("sim_history: exit status %d: %s" % (done.returncode, done.stderr))
    return done.stdout.splitlines()


def play(lines):
    """({group: [(paid, filler, leaving)]}, {group: {pod: seconds or None}})"""
    counts, waits = {}, {}
    for row in map(str.split, run_player(lines)):
        if row[0] == "count":
            counts.setdefault(row[1], []).append(tuple(map(int, row[2:])))
        else:
            waits.setdefault(row[1], {})[row[2]] = None if row[3] == "-" else int(row[3]) / US
    return counts, waits


def play_all(histories, timelines, number=1, late=0.05, epoch=0.0, jitter=0):
    """All of them in one simulated cluster; `timelines` {name: ops}. `number` chooses luck, `epoch` is the wall clock at 0."""
    lines = ["set seed %d" % number, "set client_rate 0", "set epoch_us %d" % (epoch * US),
             "set jitter_percent %d" % jitter]
    lines += ["set attempt_us %d" % (2000 + late * STEPS * US), "set call_us %d" % (2000 + late * STEPS * US)]
    for h in histories:
        lines += h.head(late)
    ops = heapq.merge(*([(op[0], i, h.line(op, late)) for i, op in enumerate(timelines[h.name])] for h in histories))
    return play(lines + [line for _, _, line in ops])


def simulate(histories, timelines, *how, **more):
    """{name: Outcome}; the rest as play_all()."""
    counts, waits = play_all(histories, timelines, *how, **more)
    return {h.name: Outcome(h, timelines[h.name], counts[h.name], waits.get(h.name, {})) for h in histories}


def steady(history):
    """Does neither luck nor a slow machine change what is compared?"""
    first = None
    for number in range(1, TOLERANT_RUNS + 1):
        late = 0.01 + SLACK * number / TOLERANT_RUNS
        timeline = {history.name: history.timeline(number)}
        outcome = simulate([history], timeline, number, late, number / TOLERANT_RUNS, number // 4 % 4 * 3)[history.name]
        if first is None:
            first = outcome
        elif outcome.differences(first):
            return False
    return True


class Outcome:
    """What is compared: steps [(paid, filler, leaving)], and the waits up to the end of the last one, in order."""

    def __init__(self, history, timeline, steps, waits):
        end = history.counts[-1]
        created = {op[2]: op[0] for op in timeline if op[1] == "create"}
        self.steps = steps
        self.waits = sorted(NEVER if waits.get(name) is None or at + waits[name] > end else waits[name]
                            for name, at in created.items())

    def differences(self, other):
        """As texts; none where they are equal within the tolerance."""
        texts = ["step %d: bound (paid, filler, leaving) %s, simulated %s" % (number, a, b)
                 for number, (a, b) in enumerate(itertools.zip_longest(self.steps, other.steps)) if a != b]
        if len(self.waits) != len(other.waits) or any(abs(a - b) > WAIT_APART for a, b in zip(self.waits, other.waits)):
            texts.append("waits %s, simulated %s" % (["%.1f" % w for w in self.waits], ["%.1f" % w for w in other.waits]))
        return texts


def draw(base, first, count):
    """`count` histories that are steady; how many were thrown away."""
    taken, thrown = [], 0
    for index in range(first, first + count):
        for attempt in itertools.count():
            history = History("h%d" % index, random.Random("%d/%d/%d" % (base, index, attempt)))
            if steady(history):
                taken.append(history)
                break
            thrown += 1
    return taken, thrown


# --- the real thing -------------------------------------------------------------------------------------------------------------

class Record:
    """What became of each pod, from a watch."""

    def __init__(self, events, began):
        # {(namespace, name): [filler, bound, leaving, gone, seen, tried, running]}, seconds since `began`
        self.pods = {}
        for e in events:
            meta = e.object["metadata"]
            entry = self.pods.setdefault((meta["namespace"], meta["name"]), [bool(meta.get("ownerReferences"))] + [None] * 6)
            at = e.mono - began
            for place, true in ((4, True), (5, e.object["tried"]), (6, e.object["phase"] == "Running")):
                if true and entry[place] is None:
                    entry[place] = at
            if e.object["spec"].get("nodeName") and entry[1] is None:
                entry[1] = at
            if meta.get("deletionTimestamp") and entry[2] is None:
                entry[2] = at
            # What has ended takes no room, though its object may take its time to go.
            if entry[3] is None and (e.type == "DELETED" or e.object["phase"] in ("Failed", "Succeeded")):
                entry[3] = at

    def count(self, namespace, at):
        there = [p for (ns, _), p in self.pods.items()
                 if ns == namespace and p[1] is not None and p[1] <= at and (p[3] is None or p[3] > at)]
        return (sum(not p[0] for p in there), sum(p[0] for p in there), sum(p[2] is not None and p[2] <= at for p in there))

    def lag(self, history):
        """The most that a first attempt, a start or an exit of its pods came later than it should, in seconds; what had come and
        started before the first step is left out."""
        found = [0.0]
        for (namespace, name), (filler, bound, leaving, gone, seen, tried, running) in self.pods.items():
            if namespace != history.name:
                continue
            spec = history.filler if filler else history.pods[name]
            if tried is not None and tried > history.began:
                found.append(tried - seen)
            if bound is not None and running is not None and running > history.began:
                found.append(running - bound - spec["start"])
            if gone is not None and leaving is not None and running is not None and running < leaving:
                found.append(gone - leaving - spec["exit"])
        return max(found)

    def wait(self, namespace, name, created):
        entry = self.pods.get((namespace, name))
        return None if entry is None or entry[1] is None else entry[1] - created


def pod_of(history, name):
    p = history.pods[name]
    more = {"schedulingGates": [{"name": "test/hold"}]} if p["gated"] else {}
    return pod(name, history.name, cpu="%dm" % p["cpu"], memory="%dMi" % p["memory"], grace=p["grace"], priority_class=p["class"],
               nodeSelector={"group": history.name}, annotations=timing(start=p["start"], exit=p["exit"]), **more)


def do(lab, history, op):
    """Carries one step's part out."""
    pods = "/api/v1/namespaces/%s/pods" % history.name
    if op[1] == "create":
        lab.api("POST", pods, pod_of(history, op[2]))
    elif op[1] == "delete":
        lab.delete("%s/%s" % (pods, op[2]))
    elif op[1] == "ungate":
        lab.api("PATCH", "%s/%s" % (pods, op[2]), {"spec": {"schedulingGates": None}})
    else:
        lab.scale(history.name, "filler", op[2])


def prepare(lab, histories):
    for h in histories:
        lab.namespace(h.name)
        for name, cores, memory in h.nodes:
            lab.add_node(name, cpu=cores, memory="%dGi" % memory, labels={"group": h.name})
        f = h.filler
        lab.apply(deployment("filler", 0, h.name, cpu="%dm" % f["cpu"], memory="%dMi" % f["memory"], grace=f["grace"],
                             priority_class="filler", nodeSelector={"group": h.name},
                             annotations=timing(start=f["start"], exit=f["exit"])))
    lab.wait_nodes()
    time.sleep(1)


def clear(lab, histories):
    for h in histories:
        lab.delete("/apis/apps/v1/namespaces/%s/deployments" % h.name)

    def empty():
        for namespace in {p["metadata"]["namespace"] for p in lab.items("/api/v1/pods")}:
            lab.delete("/api/v1/namespaces/%s/pods" % namespace, 0)
        return not lab.items("/apis/apps/v1/replicasets") and not lab.items("/api/v1/pods")
    lab.wait_until(empty, 60, "the cluster to be empty", 0.3)
    lab.delete("/api/v1/nodes")


def run_batch(lab, histories):
    """Carries them out side by side. Returns {name: the ops at the times at which they were done} and the record."""
    prepare(lab, histories)
    watch = lab.watch("/api/v1/pods", pick=slim)
    began = time.monotonic()
    done = {h.name: [] for h in histories}

    def run(history):
        for op in history.ops:
            time.sleep(max(0.0, began + op[0] - time.monotonic()))
            do(lab, history, op)
            done[history.name].append((time.monotonic() - began,) + op[1:])

    with concurrent.futures.ThreadPoolExecutor(len(histories)) as pool:
        list(pool.map(run, histories))
    time.sleep(max(0.0, began + max(h.counts[-1] for h in histories) + 0.5 - time.monotonic()))
    watch.stop()
    for h in histories:
        done[h.name] = h.with_counts(done[h.name])
    record = Record(watch.events, began)
    record.epoch = time.time() - time.monotonic() + began
    clear(lab, histories)
    return done, record


def slim(obj):
    meta = obj["metadata"]
    keep = {k: meta[k] for k in ("namespace", "name", "deletionTimestamp", "ownerReferences") if k in meta}
    status, node = obj.get("status", {}), obj["spec"].get("nodeName")
    tried = bool(node) or any(c["type"] == "PodScheduled" for c in status.get("conditions", []))
    return {"metadata": keep, "spec": {"nodeName": node}, "phase": status.get("phase"), "tried": tried}


# --- the verdict ----------------------------------------------------------------------------------------------------------------

class Doubt:
    """A history that differed: what each real play came to, and how the simulation of that play differed from it."""

    def __init__(self):
        self.real, self.differences = [], []

    def add(self, real, differences):
        self.real.append(real)
        self.differences.append(differences)

    def verdict(self):
        """"again" until there are plays enough; "luck", if the real plays differ among each other; "wrong", if they agree and the
        simulation differed from most of them. If it also came out equal in two of the four, at times that are milliseconds apart, then
        it varies itself, and what was drawn is no history whose outcome is determined: "luck", too. (Of two that vary alike one agrees
        with itself four times, while the other does twice, in one case of five; while the other does once, in one of fourteen.)"""
        if any(a.differences(b) for a, b in itertools.combinations(self.real, 2)):
            return "luck"
        if len(self.real) <= MORE_PLAYS:
            return "again"
        return "wrong" if sum(map(bool, self.differences)) > 2 else "luck"


class Sums:
    def __init__(self):
        self.equal = self.plays = self.steps = self.equal_steps = self.thrown = self.slow = 0
        self.doubts = {}  # {history's name: Doubt}
        self.luck, self.wrong = [], []  # names
        self.waits, self.apart = [], []

    def histories(self):
        return self.equal + len(self.wrong)

    def take(self, history, real, simulated):
        """Adds one play. Returns "equal" or the Doubt's verdict."""
        differences = real.differences(simulated)
        self.plays += 1
        self.steps += len(real.steps)
        self.equal_steps += sum(a == b for a, b in zip(real.steps, simulated.steps))
        self.waits += [w for w in real.waits if w < NEVER]
        self.apart += [abs(a - b) for a, b in zip(real.waits, simulated.waits) if a < NEVER and b < NEVER]
        if not differences and history.name not in self.doubts:
            self.equal += 1
            return "equal"
        doubt = self.doubts.setdefault(history.name, Doubt())
        doubt.add(real, differences)
        verdict = doubt.verdict()
        if verdict != "again":
            (self.luck if verdict == "luck" else self.wrong).append(history.name)
        return verdict

    def tell(self, t):
        t.figure("histories (drawn, but a matter of luck in the simulation)", "%d (%d)" % (self.histories(), self.thrown))
        t.figure("equal", self.equal)
        t.figure("a matter of luck in the control plane, replaced", "%d %s" % (len(self.luck), " ".join(self.luck)))
        for name in self.luck:
            t.figure("  %s, play by play" % name, "; ".join(", ".join(d) or "equal" for d in self.doubts[name].differences))
        t.figure("equal steps of all plays", "%d of %d, %d plays" % (self.equal_steps, self.steps, self.plays))
        for what, times in (("waits of paid pods", self.waits), ("waits apart", self.apart)):
            if times:
                t.figure(what + ": number, median, 95 %, most", "%d, %.2f s, %.2f s, %.2f s" % (
                    len(times), statistics.median(times), sorted(times)[len(times) * 95 // 100], max(times)))
        t.figure("plays that the machine was too slow for", self.slow)


def take_all(sums, histories, slow, done, record):
    """Simulates them all, since they share the cluster; those that were too slow are not judged. Returns {verdict: histories}."""
    simulated = simulate(histories, done, epoch=record.epoch)
    found = {"equal": [], "again": [], "luck": [], "wrong": []}
    for h in histories:
        if h in slow:
            continue
        waits = {op[2]: record.wait(h.name, op[2], op[0]) for op in done[h.name] if op[1] == "create"}
        real = Outcome(h, done[h.name], [record.count(h.name, at) for at in h.counts], waits)
        found[sums.take(h, real, simulated[h.name])].append(h)
    return found


def judge(t, sums, number, waiting):
    for name in sums.wrong:
        for play, differences in enumerate(sums.doubts[name].differences):
            for difference in differences:
                t.check(False, "%s, play %d: %s" % (name, play + 1, difference))
    for h in waiting:
        t.check(h.name not in sums.doubts, "%s differed, and there was no time to play it again" % h.name)
    t.check(len(sums.luck) <= max(1, number // LUCK_PART), "of %d histories these were a matter of luck: %s; expected at most one in %d"
            % (number, " ".join(sums.luck), LUCK_PART))
    t.check(sums.histories() >= number * 3 // 4,
            "the machine was too slow for all but %d of %d histories" % (sums.histories(), number))


@test(timeout=10)
def a_difference_is_luck_only_if_the_control_plane_itself_varies(t):
    history = History("h", random.Random(1))
    a, near_a, late, other = (Outcome(history, [(5, "create", "p")], [(1, steps, 0)], {"p": wait})
                              for steps, wait in ((2, 0.1), (2, 1.0), (2, 1.2), (3, 0.1)))
    rows = [("all is equal", [(a, a)], "equal"),
            ("differs once", [(a, other)], "again"),
            ("a real play differs in a step", [(a, other), (other, other)], "luck"),
            ("a real play differs in a wait", [(a, other), (near_a, a), (late, a)], "luck"),
            ("the real plays agree, three of four", [(a, other)] * 3, "again"),
            ("the real plays agree, the simulation differs", [(a, other)] * 4, "wrong"),
            ("it differs in three of four", [(a, other), (a, a), (near_a, other), (near_a, other)], "wrong"),
            ("it differs in two of four", [(a, other), (a, a), (near_a, other), (near_a, a)], "luck"),
            ("a wait differs", [(a, late)] * 4, "wrong"),
            ("a wait beyond the end", [(Outcome(history, [(5, "create", "p")], [(1, 2, 0)], {"p": wait}) for wait in (99, None))], "equal"),
            ("it differs once", [(a, other)] + [(a, a)] * 3, "luck")]
    for what, plays, verdict in rows:
        sums = Sums()
        found = [sums.take(history, real, simulated) for real, simulated in plays]
        t.check(found[-1] == verdict and set(found[:-1]) <= {"again"}, "%s: found %s, expected %s" % (what, found, verdict))


@test(timeout=900, long=True, alone=True)
def the_simulation_does_what_the_control_plane_does(t):
    base, sums = seed(), Sums()
    t.figure("BRIM_SEED", base)
    # The limit of 20 calls a second would make each history wait for its neighbours; it has a test of its own.
    unlimited = ["--kube-api-qps=2000", "--kube-api-burst=2000"]
    args = {"kube-controller-manager": unlimited, "kube-scheduler": unlimited}
    with t.own_lab(start=0, args=args) as lab:
        lab.apply([priority_class("paid", PAID), priority_class("equal", EQUAL), priority_class("filler", FILLER, preemption=False)])
        number = drawn = int(os.environ.get("BRIM_HISTORIES") or HISTORIES)
        waiting, sums.thrown = draw(base, 0, number)
        at_once, began = AT_ONCE, time.monotonic()
        while waiting and time.monotonic() - began < ENOUGH:
            batch, waiting = waiting[:at_once], waiting[at_once:]
            done, record = run_batch(lab, batch)
            slow = [h for h in batch if record.lag(h) > TOO_SLOW]
            at_once = max(1, at_once // 2) if 2 * len(slow) > len(batch) else min(AT_ONCE, at_once + 1)
            found = take_all(sums, batch, slow, done, record)
            instead, thrown = draw(base, drawn, len(found["luck"]))
            drawn += len(found["luck"])
            sums.thrown += thrown
            sums.slow += len(slow)
            waiting = found["again"] + waiting + slow + instead
        sums.tell(t)
    judge(t, sums, number, waiting)

#!/usr/bin/env python3
"""Plays a trace of paid load against `brim decide`, in a small simulator that shares no code with brim's own.

usage: play.py BRIM TRACE... [--policy FILE] [--check]

A TRACE is a path without its ending: TRACE.csv (time_s,event,pod,cpu_milli,memory_mib,node), TRACE.nodes.csv, TRACE.json. Prints a line a
trace: fill, blocked, kills and reversals an hour. With --check the exit status says whether they keep to the reference in REFERENCE.

The cluster: kube-scheduler binds a paid pod at once to the node with most free cpu that has room; where only filler stands in its way
the pod is blocked, and the filler pods of one node, as few as possible, are asked to go. A ReplicaSet keeps the filler's count; its pods wait
behind brim's gate until they are let in, take START seconds to be ready and GRACE to leave. The first WARM seconds are not counted.
"""
import argparse
import collections
import csv
import heapq
import json
import subprocess
import sys
import tempfile

START, GRACE, WARM = 5.0, 10.0, 600.0
API = 0.05        # s from a change to who watches, and from a write to its effect
RETRY = 1.0       # s: back-off of a pod for which filler is leaving

# fill %, blocked %, reversals an hour of filler pods (docs/CONTROL.md)
REFERENCE = {
    "seed003": (83.9, 0.0, 5.6), "openb": (76.3, 1.6, 2.5), "nasa": (67.1, 3.6, 6.1), "elb": (78.0, 0.7, 5.3), "llm-code": (54.8, 3.2, 12.6),
    "diurnal": (90.9, 1.2, 6.1), "cron": (79.3, 1.5, 2.1), "rollouts": (73.8, 1.9, 7.0), "noise": (83.3, 0.2, 19.7), "square60": (54.0, 0.6, 0.3),
    "square450": (71.9, 8.0, 7.8),
}

POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: filler}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: filler}
  replicas: {min: 0, max: %d}
  headroom: {max: %dm}
"""


class Node:
    def __init__(self, name, cpu, memory):
        self.name, self.cpu, self.memory = name, cpu, memory
        self.paid, self.filler, self.nominated = {}, {}, {}  # pods by name

    def free(self, filler=True):
        """(cpu, memory) left; without filler that is there if so asked."""
        pods = list(self.paid.values()) + list(self.nominated.values()) + (list(self.filler.values()) if filler else [])
        return self.cpu - sum(p.cpu for p in pods), self.memory - sum(p.memory for p in pods)

    def takes(self, pod, filler=True):
        cpu, memory = self.free(filler)
        if pod.name in self.nominated:
            cpu, memory = cpu + pod.cpu, memory + pod.memory
        return cpu >= pod.cpu and memory >= pod.memory and pod.only in ("", self.name)


class Pod:
    def __init__(self, name, cpu, memory, created, only=""):
        self.name, self.cpu, self.memory, self.created, self.only = name, cpu, memory, created, only
        self.node = self.nominated = None
        self.gated = self.ready = self.leaving = False
        self.cost = 0
        self.ready_at = None


class Brim:
    """`brim decide` on the other end of two pipes; facts are gathered and sent with the next question."""

    def __init__(self, path, policy):
        self.process = subprocess.Popen([path, "decide", "--policy", policy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1 << 16)
        self.lines = []

    def tell(self, t, kind, **facts):
        self.lines.append(json.dumps({"t": round(t, 6), kind: facts}))

    def ask(self, t):
        self.lines.append('{"t":%s,"step":true}\n' % json.dumps(round(t, 6)))
        self.process.stdin.write("\n".join(self.lines).encode())
        self.process.stdin.flush()
        self.lines = []
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("brim decide ended with %s" % self.process.wait())
        return json.loads(answer)


class Play:
    def __init__(self, brim, trace, seconds):
        self.brim, self.seconds, self.t = brim, seconds, 0.0
        self.meta = json.load(open(trace + ".json"))
        self.nodes = {r["node"]: Node(r["node"], int(r["cpu_milli"]), int(r["memory_mib"])) for r in csv.DictReader(open(trace + ".nodes.csv"))}
        self.queue, self.number = [], 0
        for r in csv.DictReader(open(trace + ".csv")):
            self.at(float(r["time_s"]), self.create if r["event"] == "create" else self.delete, r)
        self.paid, self.waiting, self.filler = {}, [], {}
        self.replicas = self.made = 0
        self.dirty = self.retry_at = None
        self.useful = self.available = 0.0
        self.arrived = self.blocked = self.kills = self.young = 0
        self.waits, self.turns, self.counted, self.last = [], 0, None, 0.0
        self.direction = 0
        self.write_turns, self.write_direction = 0, 0
        self.max_excess = 0

    def at(self, t, what, *args):
        self.number += 1
        heapq.heappush(self.queue, (t, self.number, what, args))

    # --- what happens in the cluster

    def create(self, row):
        pod = Pod(row["pod"], int(row["cpu_milli"]), int(row["memory_mib"]), self.t, row["node"])
        self.paid[pod.name] = pod
        self.arrived += self.t >= WARM
        self.tell(pod, cpu="%dm" % pod.cpu, memory="%dMi" % pod.memory, phase="Pending", created=self.t, **({"only_node": pod.only} if pod.only else {}))
        if not self.schedule(pod):
            self.waiting.append(pod)
            fits = any(n.takes(pod, filler=False) for n in self.nodes.values())
            self.blocked += fits and self.t >= WARM
            self.tell(pod, unschedulable=True, nominated=pod.nominated.name if pod.nominated else None)

    def delete(self, row):
        pod = self.paid.pop(row["pod"])
        if pod.node:
            del pod.node.paid[pod.name]
        else:
            self.waiting.remove(pod)
            self.waits.append(self.t - pod.created)
        if pod.nominated:
            del pod.nominated.nominated[pod.name]
        self.tell(pod, gone=True)
        self.retry()

    def schedule(self, pod):
        """Binds the pod, or makes room for it where it can be made."""
        room = [n for n in self.nodes.values() if n.takes(pod)]
        if room:
            node = max(room, key=lambda n: (n.free()[0] / n.cpu, n.name))
            if pod.nominated:
                del pod.nominated.nominated[pod.name]
            pod.node, pod.nominated = node, None
            node.paid[pod.name] = pod
            if pod.created >= WARM:
                self.waits.append(self.t - pod.created)
            self.tell(pod, node=node.name, phase="Running")
            return True
        if pod.nominated and any(f.leaving for f in pod.nominated.filler.values()):
            return False
        best = None
        for node in self.nodes.values():
            if not node.takes(pod, filler=False):
                continue
            victims, order = [], sorted((f for f in node.filler.values() if not f.leaving), key=lambda f: -f.created)
            cpu, memory = node.free()
            cpu, memory = (cpu + pod.cpu, memory + pod.memory) if pod.name in node.nominated else (cpu, memory)
            cpu += sum(f.cpu for f in node.filler.values() if f.leaving)
            memory += sum(f.memory for f in node.filler.values() if f.leaving)
            for f in order:
                if cpu >= pod.cpu and memory >= pod.memory:
                    break
                victims.append(f)
                cpu, memory = cpu + f.cpu, memory + f.memory
            if best is None or len(victims) < len(best[1]):
                best = (node, victims)
        if best:
            if pod.nominated:
                del pod.nominated.nominated[pod.name]
            pod.nominated = best[0]
            best[0].nominated[pod.name] = pod
            for f in best[1]:
                self.leave(f)
        return False

    def retry(self):
        if self.waiting and (self.retry_at is None or self.retry_at > self.t + 0.001):
            self.retry_at = self.t + 0.001
            self.at(self.t + 0.001, self.retry_waiting)

    def retry_waiting(self):
        self.retry_at = None
        for pod in list(self.waiting):
            before = pod.nominated
            if self.schedule(pod):
                self.waiting.remove(pod)
            elif pod.nominated is not before:
                self.tell(pod, nominated=pod.nominated.name if pod.nominated else None)

    # --- filler

    def reconcile(self):
        """What the ReplicaSet controller does."""
        there = [f for f in self.filler.values() if not f.leaving]
        for _ in range(len(there), self.replicas):
            self.made += 1
            f = Pod("f%d" % self.made, self.meta["filler_cpu_milli"], self.meta["filler_memory_mib"], self.t)
            f.gated = True
            self.filler[f.name] = f
            self.tell(f, policy="filler", cpu="%dm" % f.cpu, memory="%dMi" % f.memory, gated=True, phase="Pending", priority=-100)
        if len(there) > self.replicas:
            crowd = collections.Counter(f.node.name for f in there if f.node)
            there.sort(key=lambda f: (f.node is not None, f.ready, f.cost, -crowd[f.node.name] if f.node else 0, -f.created))
            for f in there[:len(there) - self.replicas]:
                self.leave(f)

    def leave(self, f):
        if not f.node:
            del self.filler[f.name]
            self.tell(f, gone=True)
            return
        self.kills += self.t >= WARM
        self.young += self.t >= WARM and f.ready and self.t - f.ready_at < 60
        f.leaving, f.ready = True, False
        self.tell(f, deleting=True, ready=False)
        self.at(self.t + GRACE, self.gone, f)
        self.at(self.t + API, self.reconcile)

    def gone(self, f):
        del self.filler[f.name]
        del f.node.filler[f.name]
        self.tell(f, gone=True)
        self.retry()

    def admit(self, name, node):
        f = self.filler.get(name)
        if not f or not f.gated:
            return
        f.gated = False
        n = self.nodes[node]
        if not n.takes(f):
            self.max_excess += 1
            self.tell(f, gated=False, unschedulable=True)
            return
        f.node = n
        n.filler[f.name] = f
        self.tell(f, gated=False, node=node, phase="Running")
        self.at(self.t + START, self.started, f)

    def started(self, f):
        if not f.leaving and f.name in self.filler:
            f.ready, f.ready_at = True, self.t
            self.tell(f, ready=True)

    # --- brim

    def tell(self, pod, **facts):
        self.brim.tell(self.t, "pod", uid=pod.name, **facts)
        if self.dirty is None:
            self.dirty = self.t
            self.at(self.t + API, self.ask)

    def ask(self):
        self.dirty = None
        answer = self.brim.ask(self.t)
        decision = answer["decisions"][0]
        for name in decision["delete_first"]:
            if name in self.filler:
                self.filler[name].cost = -1
        if decision["replicas"] != self.replicas:
            direction = 1 if decision["replicas"] > self.replicas else -1
            self.write_turns += direction != self.write_direction and self.t >= WARM
            self.write_direction = direction
            self.replicas = decision["replicas"]
            self.at(self.t + API, self.reconcile)
        for name, node in decision["admit"]:
            self.at(self.t + API, self.admit, name, node)
        if "wake" in answer:
            self.at(max(answer["wake"], self.t + 0.001), self.wake, answer["wake"])
        self.wake_at = answer.get("wake")

    def wake(self, at):
        if at == self.wake_at and self.dirty is None:
            self.ask()

    # --- figures

    def count(self, until):
        """Adds up what holds from the last moment until this one."""
        begin, end = max(self.last, WARM), min(until, self.seconds)
        if end > begin:
            used = sum(f.cpu for f in self.filler.values() if f.ready)
            paid = sum(p.cpu for n in self.nodes.values() for p in n.paid.values())
            free = sum(n.cpu for n in self.nodes.values()) - paid
            self.useful += (end - begin) * used
            self.available += (end - begin) * min(free, self.meta["max_replicas"] * self.meta["filler_cpu_milli"])
            self.turn(sum(f.node is not None and not f.leaving for f in self.filler.values()))
        self.last = until

    def turn(self, active):
        """Direction changes of active filler pods beyond 2 % of the cluster."""
        slack = 0.02 * sum(n.cpu for n in self.nodes.values()) / self.meta["filler_cpu_milli"]
        if self.counted is None:
            self.counted = active
        elif self.direction >= 0 and active > self.counted or self.direction <= 0 and active < self.counted:
            if self.direction == 0 and abs(active - self.counted) <= slack:
                return
            self.direction = self.direction or (1 if active > self.counted else -1)
            self.counted = active
        elif abs(active - self.counted) > slack:
            self.direction, self.counted, self.turns = -self.direction, active, self.turns + 1

    def run(self):
        for n in self.nodes.values():
            self.brim.tell(0, "node", name=n.name, cpu="%dm" % n.cpu, memory="%dMi" % n.memory, pods=1000)
        self.brim.tell(0, "filler", policy="filler", cpu="%dm" % self.meta["filler_cpu_milli"], memory="%dMi" % self.meta["filler_memory_mib"],
                       replicas=0, graceSeconds=GRACE, startSeconds=START)
        while self.queue and self.queue[0][0] <= self.seconds:
            t, _, what, args = heapq.heappop(self.queue)
            if t > self.t:
                self.count(t)
                self.t = t
            what(*args)
        self.count(self.seconds)
        hours = (self.seconds - WARM) / 3600
        waits = sorted(self.waits) or [0]
        return {"fill": 100 * self.useful / self.available, "blocked": 100 * self.blocked / max(self.arrived, 1), "p99": waits[len(waits) * 99 // 100],
                "kills": self.kills / hours, "turns": self.turns / hours, "writes": self.write_turns / hours, "refused": self.max_excess}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("brim")
    parser.add_argument("traces", nargs="+")
    parser.add_argument("--policy")
    parser.add_argument("--seconds", type=float, default=0, help="play no more than these")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    ok = True
    print("%-12s %7s %10s %8s %8s %12s %12s %8s" % ("trace", "fill %", "blocked %", "p99 s", "kills/h", "turns/h", "writes/h", "refused"))
    for trace in args.traces:
        name, meta = trace.rsplit("/", 1)[-1], json.load(open(trace + ".json"))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as policy:
            policy.write(POLICY % (meta["max_replicas"], meta["reserve_cpu_milli"]))
            policy.flush()
            play = Play(Brim(args.brim, args.policy or policy.name), trace, min(args.seconds or meta["seconds"], meta["seconds"]))
            r = play.run()
        verdict = ""
        if name in REFERENCE and not args.seconds:
            fill, blocked, turns = REFERENCE[name]
            misses = [what for what, bad in (("fill", r["fill"] < fill - 2), ("blocked", r["blocked"] > blocked + 1), ("turns", r["turns"] > turns + 0.5)) if bad]
            ok &= not misses
            verdict = "reference %.1f %.1f %.1f%s" % (fill, blocked, turns, "  MISSED " + " ".join(misses) if misses else "")
        print("%-12s %7.1f %10.2f %8.2f %8.0f %12.1f %12.1f %8d  %s" % (
            name, r["fill"], r["blocked"], r["p99"], r["kills"], r["turns"], r["writes"], r["refused"], verdict), flush=True)
    return 0 if ok or not args.check else 1


if __name__ == "__main__":
    sys.exit(main())

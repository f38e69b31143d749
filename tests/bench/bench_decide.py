#!/usr/bin/env python3
"""Steps per second of `brim decide`, process start, JSON in and out included, in ten runs.

A step is three lines: a pod is gone, another is bound, `step`. The pods that are there at first, and the nodes, are in the time too.

usage: bench_decide.py BRIM
"""
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: miner}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}
  replicas: {max: 100000}
"""
ROUNDS = 10
SHAPES = [("1", "2Gi"), ("2", "4Gi"), ("500m", "1Gi"), ("4", "8Gi"), ("250m", "512Mi")]


def pod(rng, uid, t, nodes):
    cpu, memory = rng.choice(SHAPES)
    return ('{"t":%s,"pod":{"uid":"%s","cpu":"%s","memory":"%s","node":"node-%d","phase":"Running","created":%s}}\n'
            % (t, uid, cpu, memory, rng.randrange(nodes), t))


def write_input(path, nodes, pods, steps):
    rng = random.Random(nodes)
    alive, born = [], 0

    def birth(t):
        nonlocal born
        born += 1
        uid = "%08x-0000-4000-8000-%012x" % (rng.getrandbits(32), born)
        alive.append(uid)
        return pod(rng, uid, t, nodes)

    with open(path, "w", encoding="ascii") as f:
        for i in range(nodes):
            f.write('{"t":0,"node":{"name":"node-%d","cpu":"64","memory":"256Gi","pods":110,'
                    '"labels":{"kubernetes.io/hostname":"node-%d","zone":"z%d"}}}\n' % (i, i, i % 3))
        f.write('{"t":0,"filler":{"policy":"miner","cpu":"1","memory":"1Gi","replicas":0,"graceSeconds":10}}\n')
        for _ in range(pods):
            f.write(birth("0"))
        for i in range(steps):
            t = "%d.%d" % (1 + i // 4, i % 4 * 25)
            at = rng.randrange(len(alive))
            alive[at], alive[-1] = alive[-1], alive[at]
            f.write('{"t":%s,"pod":{"uid":"%s","gone":true}}\n' % (t, alive.pop()))
            f.write(birth(t))
            f.write('{"t":%s,"step":true}\n' % t)


def run(brim, policy, facts, steps):
    """Steps a second of each run, sorted."""
    rates = []
    for _ in range(ROUNDS):
        with open(facts, "rb") as given, tempfile.TemporaryFile() as answers:
            start = time.monotonic()
            subprocess.run([brim, "decide", "--policy", policy], stdin=given, stdout=answers, check=True)
            rates.append(steps / (time.monotonic() - start))
            answers.seek(0)
            assert sum(1 for _ in answers) == steps
    return sorted(rates)


def main():
    brim = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        policy, facts = os.path.join(folder, "policy.yaml"), os.path.join(folder, "facts.jsonl")
        with open(policy, "w", encoding="ascii") as f:
            f.write(POLICY)
        for name, nodes, pods, steps, budget in (("small", 100, 2000, 300000, 50000), ("large", 5000, 100000, 100000, 5000)):
            write_input(facts, nodes, pods, steps)
            rates = run(brim, policy, facts, steps)
            print("| decide, %d nodes, %d pods | %d steps/s, %d to %d | >= %d |" % (
                nodes, pods, statistics.median(rates), rates[0], rates[-1], budget))
            for rate in rates:
                print("decide.%s %.0f steps/s" % (name, rate))


if __name__ == "__main__":
    main()

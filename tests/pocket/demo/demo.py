#!/usr/bin/env python3
"""Shows brim at work on a pocket cluster: a web application with an autoscaler of its own comes and goes, ten times as
fast as in life, and filler takes what it leaves. Ends with a report of the run.

usage: demo.py BUILD [--seconds N] [--compare] [--seed N] [--speed N]

BUILD is a build directory with brim and the pocket cluster in it. --compare runs the same load twice at the same time,
once with brim and once with the autoscaler that Kubernetes has, and prints both beside each other.
"""
import argparse
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIO = os.path.join(HERE, "cluster.yaml")
PACKED, GATED = "    packs: true\n", "    gate: brim.dev/room\n"  # lines of the filler: placed by the scheduler, by brim
COMPARE_SECONDS = 130  # the load rises twice
SCALE = "/apis/apps/v1/namespaces/filler/deployments/miner/scale"
FIGURES = ("utilisation, paid alone", "utilisation, with filler", "harvested", "harvests", "yields", "reversals of filler",
           "blocked paid pods")


class Trouble(Exception):
    pass


def fetch(url, patch=None):
    request = urllib.request.Request(url, method="PATCH" if patch else "GET")
    if patch:
        request.data = json.dumps(patch).encode()
        request.add_header("Content-Type", "application/merge-patch+json")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    """A pocket cluster and the agent on it; both end with stop()."""

    def __init__(self, build, folder, name, policy, scenario, args, agent=()):
        self.name, self.log = name, os.path.join(folder, name + ".log")
        self.processes = []
        self.brim = os.path.join(build, "agent", "brim")
        config = os.path.join(folder, name + ".kubeconfig")
        self.start(os.path.join(build, "tests", "pocket", "pocket"), "--scenario", scenario, "--speed", str(args.speed),
                   "--seed", str(args.seed), "--kubeconfig", config)
        self.wait(lambda: os.path.exists(config))
        with open(config, encoding="utf-8") as f:
            self.api = re.search(r"server: (\S+)", f.read()).group(1)
        address = "127.0.0.1:%d" % free_port()
        self.agent = "http://" + address
        self.start(self.brim, "agent", "--policy", os.path.join(HERE, policy), "--kubeconfig", config, "--listen", address,
                   *agent)
        self.wait(self.ready)

    def start(self, *command):
        with open(self.log, "ab") as log:
            # A session of its own: Ctrl-C is for the view; these are ended after it, by their pid.
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   start_new_session=True))

    def ready(self):
        try:
            with urllib.request.urlopen(self.agent + "/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait(self, condition):
        until = time.monotonic() + 20
        while not condition():
            if time.monotonic() > until or any(p.poll() is not None for p in self.processes):
                with open(self.log, encoding="utf-8", errors="replace") as f:
                    raise Trouble("%s did not start:\n%s" % (self.name, f.read()[-2000:]))
            time.sleep(0.05)

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def top(self, seconds, **options):
        command = [self.brim, "top", "--agent", self.agent, "--watch", "--report"]
        return subprocess.Popen(command + (["--for", str(seconds)] if seconds else []), **options)


class StockHpa(threading.Thread):
    """HorizontalPodAutoscaler of autoscaling/v2 on an External metric, `AverageValue: 1`, with its defaults: a round every
    15 s, tolerance 0.1, at most doubling (or 4), scaling down by the highest proposal of 300 s; all of it sped up. Its
    metric is `cpu_capacity_remaining` as the agent publishes it, less the 30 cores that brim keeps too: what people
    build by hand."""

    def __init__(self, cluster, speed):
        super().__init__(daemon=True)
        self.cluster, self.speed, self.stopped = cluster, speed, threading.Event()
        self.proposals, self.reversals, self.direction, self.failures = [], 0, 0, 0

    def run(self):
        while not self.stopped.wait(15 / self.speed):
            try:
                self.round()
            except (OSError, KeyError, ValueError):
                self.failures += 1

    def remaining(self):
        filler = fetch(self.cluster.agent + "/api/v1/status")["fillers"][0]
        return max(0, filler["remaining_milli"] - 30000) / 1000

    def round(self):
        scale = fetch(self.cluster.api + SCALE)
        now, replicas, exist = time.monotonic(), scale["spec"].get("replicas", 0), scale["status"]["replicas"]
        if replicas == 0:
            fetch(self.cluster.api + SCALE, {"spec": {"replicas": 1}})  # from 0 it would never start
            return
        value = self.remaining()
        want = replicas if exist and abs(value / exist - 1) <= 0.1 else math.ceil(value)
        self.proposals = [p for p in self.proposals if p[0] > now - 300 / self.speed] + [(now, want)]
        want = max(p[1] for p in self.proposals)
        want = max(1, min(want, 150, max(2 * replicas, 4)))
        if want == replicas:
            return
        fetch(self.cluster.api + SCALE, {"spec": {"replicas": want}})
        direction = 1 if want > replicas else -1
        self.reversals += self.direction == -direction
        self.direction = direction


def gated_scenario(folder):
    """The path of a copy of the scenario in which the filler waits behind brim's gate."""
    with open(SCENARIO, encoding="utf-8") as f:
        text = f.read()
    if text.count(PACKED) != 1:
        raise Trouble("%s has no filler that packs" % SCENARIO)
    path = os.path.join(folder, "gated.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(PACKED, GATED))
    return path


def report_of(text):
    found = {}
    for figure in FIGURES:
        match = re.search(r"^  %s +(.+)$" % re.escape(figure), text, re.M)
        found[figure] = match.group(1) if match else "not known"
    return found


def compare(args, folder):
    seconds = args.seconds or COMPARE_SECONDS
    clusters = []
    try:
        for name, policy, scenario in (("brim", "policy.yaml", gated_scenario(folder)), ("hpa", "measure.yaml", SCENARIO)):
            clusters.append(Cluster(args.build, folder, name, policy, scenario, args))
        hpa = StockHpa(clusters[1], args.speed)
        hpa.start()
        print("The same load on two clusters for %d s: brim on one, a stock HPA on the other." % seconds, flush=True)
        tops = [c.top(seconds, stdout=subprocess.PIPE, text=True) for c in clusters]
        reports = [report_of(top.communicate()[0]) for top in tops]
        hpa.stopped.set()
        hpa.join(10)
    finally:
        for cluster in clusters:
            cluster.stop()
    reports[1]["reversals of filler"] = str(hpa.reversals)
    reports[1]["harvests"] = reports[1]["yields"] = "-"
    print("\n%-28s %-24s %s" % ("", "brim", "stock HPA"))
    for figure in FIGURES:
        print("%-28s %-24s %s" % (figure, reports[0][figure], reports[1][figure]))
    return 0


def show(args, folder):
    cluster = None
    try:
        cluster = Cluster(args.build, folder, "demo", "policy.yaml", gated_scenario(folder), args)
        print("agent    %s (metrics: %s/metrics, API: %s/api/v1/status)\ncluster  %s\n" %
              (cluster.agent, cluster.agent, cluster.agent, cluster.api), flush=True)
        top = cluster.top(args.seconds)
        signal.signal(signal.SIGTERM, lambda *_: top.send_signal(signal.SIGINT))
        while True:
            try:
                return top.wait()
            except KeyboardInterrupt:  # the view got it too, and ends with its report
                continue
    finally:
        if cluster:
            cluster.stop()


def main():
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("build")
    parser.add_argument("--seconds", type=int, default=0, help="end by itself after so many seconds")
    parser.add_argument("--compare", action="store_true", help="brim beside the stock autoscaler, on the same load")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=int, default=10, help="how many times as fast the cluster's time runs")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="brim-demo-")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return compare(args, folder) if args.compare else show(args, folder)
    except Trouble as trouble:
        print("demo: %s" % trouble, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The first sync of 30,000 pods on the real API server: brim beside curl and beside informers of client-go, all in one run, in turn.

usage: real.py BUILD [--rounds N] [--only watch|lists]

The cluster is that of tests/e2e/large_cluster.py: 1,000 nodes, 30,000 pods of two containers, 6.6 KB each as protobuf, over TLS with
one client certificate. In each round: curl for the list in pages of 500 and in one answer; brim until /readyz is ok; the program of
informer/ until its informers have synced, plain and with a transform that keeps only names and requests. Then the server is started
anew without its feature WatchList, and the same again: lists in pages for brim, in one answer for client-go. BUILD has brim; informer
goes there, too.

CPU is the process's own until it has synced. RSS and RssAnon are those of /proc/PID/status then and 2 s later, VmHWM the highest RSS.
"lists" are the LIST requests for pods that the server counted meanwhile: none where the list was the beginning of a watch. The table has
medians; the range of CPU stands beside. Lines of three words are for bench.py.
"""

import argparse
import collections
import importlib.machinery
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
E2E = os.path.join(os.path.dirname(HERE), "e2e")
sys.path.insert(0, E2E)

import large_cluster  # noqa: E402
import support  # noqa: E402
from support import Brim, Lab, LabError, policy_text  # noqa: E402

MIB = 1 << 20
WITHOUT_WATCHLIST = "--feature-gates=WatchList=false"
Sample = collections.namedtuple("Sample", "cpu wall memory steady lists")


def lab_build():
    """The lab's build program, which knows where Go is."""
    loader = importlib.machinery.SourceFileLoader("lab_build", os.path.join(E2E, "lab", "build"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def build_informer(folder):
    build = lab_build()
    go, _ = build.find_go()
    os.makedirs(folder, exist_ok=True)
    program = os.path.join(folder, "informer")
    subprocess.run([go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", program, "."],
                   cwd=os.path.join(HERE, "informer"), env=build.go_environment(), check=True)
    return program


def lists_of(lab):
    """How often the server was asked to LIST pods since it started."""
    _, _, data = lab.client.request("GET", "/metrics", accept="text/plain")
    return sum(float(line.rsplit(" ", 1)[1]) for line in data.decode().splitlines()
               if line.startswith("apiserver_request_total{") and 'resource="pods"' in line and 'verb="LIST"' in line)


def memory(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return {m.group(1): int(m.group(2)) * 1024 for m in re.finditer(r"^(\w+):\s+(\d+) kB$", f.read(), re.M)}


def curl(lab, urls):
    cpu, wall = large_cluster.curl_list(lab, "list", urls)
    return cpu, wall, None, None


def brim(lab, policy):
    return tuple(large_cluster.first_sync(lab, Brim(lab, "brim", lab.kubeconfig, policy, ["--dry-run"])))


def informer(lab, program, *options):
    """The program ends with its standard input, so also with this one."""
    with open(lab.log_path("informer"), "ab") as log, subprocess.Popen(
            [program, "--kubeconfig", lab.kubeconfig, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process:
        line = process.stdout.readline()
        if not line:
            raise LabError("informer did not sync; its log is %s" % lab.log_path("informer"))
        found, at_sync = json.loads(line), memory(process.pid)
        time.sleep(2)
        steady = memory(process.pid)
        process.stdin.close()
    if (found["pods"], found["nodes"]) != (large_cluster.PODS, large_cluster.NODES):
        raise LabError("informer counts %(pods)d pods on %(nodes)d nodes" % found)
    return found["cpu_seconds"], found["wall_seconds"], at_sync, steady


def rounds(lab, runs, times):
    """{name: [Sample]}; runs is {name: function}. They take turns, so that what disturbs one disturbs the others."""
    found = collections.OrderedDict((name, []) for name in runs)
    for number in range(times):
        for name, fn in runs.items():
            before = lists_of(lab)
            sample = Sample(*fn(), lists_of(lab) - before)
            found[name].append(sample)
            print("round %d: %-30s %6.2f s of CPU, %6.2f s%s" % (number + 1, name, sample.cpu, sample.wall, "" if sample.memory is None
                  else ", RssAnon %.1f MiB, then %.1f, VmHWM %.1f" % (sample.memory["RssAnon"] / MIB, sample.steady["RssAnon"] / MIB,
                                                                  sample.steady["VmHWM"] / MIB)), flush=True)
    return found


def median(samples, pick):
    return statistics.median(pick(s) for s in samples)


def row(name, samples, curl_cpu):
    cpus = sorted(s.cpu for s in samples)
    cells = [name, "%.2f" % statistics.median(cpus), "%.2f to %.2f" % (cpus[0], cpus[-1]),
             "%.2f" % (statistics.median(cpus) / curl_cpu), "%.1f" % median(samples, lambda s: s.wall)]
    if samples[0].memory is None:
        cells += ["", "", "", "", ""]
    else:
        cells += ["%.1f" % (median(samples, lambda s, at=at, key=key: getattr(s, at)[key]) / MIB)
                  for at, key in (("memory", "VmRSS"), ("memory", "RssAnon"), ("steady", "VmRSS"), ("steady", "RssAnon"),
                                  ("steady", "VmHWM"))]
    return cells + ["%d" % median(samples, lambda s: s.lists)]


def print_table(title, found):
    head = [title, "CPU s", "range", "x curl", "wall s", "RSS MiB", "RssAnon", "RSS +2 s", "RssAnon", "VmHWM", "lists"]
    curl_cpu = statistics.median(s.cpu for s in found["curl, pages of 500"])
    rows = [head] + [row(name, samples, curl_cpu) for name, samples in found.items()]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for r in rows:
        print("  ".join([r[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(r[1:], widths[1:])]).rstrip())
    print(flush=True)


def print_figures(prefix, found):
    """brim over curl in each round; informers over brim as medians."""
    for mine, theirs in zip(found["brim"], found["curl, pages of 500"]):
        print("%s.ratio %.4f x" % (prefix, mine.cpu / theirs.cpu))
    for key, name in (("informer", "client-go informers"), ("stripped", "client-go informers, stripped")):
        for what, pick in (("cpu", lambda s: s.cpu), ("anon", lambda s: s.steady["RssAnon"]), ("peak", lambda s: s.steady["VmHWM"])):
            print("%s.%s_%s %.4f x" % (prefix, key, what, median(found[name], pick) / median(found["brim"], pick)))


def show(prefix, title, found):
    print_table(title, found)
    print_figures(prefix, found)


def compare(lab, program, policy, times):
    urls, size = large_cluster.pages(lab)
    print("%d pods on %d nodes, %.1f MB as protobuf; medians of %d rounds" % (
        large_cluster.PODS, large_cluster.NODES, size / 1e6, times))
    runs = collections.OrderedDict([
        ("curl, pages of 500", lambda: curl(lab, urls)),
        ("curl, one answer", lambda: curl(lab, [large_cluster.whole(lab)])),
        ("brim", lambda: brim(lab, policy)),
        ("client-go informers", lambda: informer(lab, program)),
        ("client-go informers, stripped", lambda: informer(lab, program, "--strip"))])
    return rounds(lab, runs, times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("watch", "lists"), help="the server with, or without, WatchList")
    args = parser.parse_args()
    support.BRIM = os.path.abspath(os.path.join(args.build, "agent", "brim"))
    program = build_informer(os.path.abspath(os.path.join(args.build, "bench")))
    with Lab(without=large_cluster.QUIET) as lab:
        policy = lab.path("policy.yaml")
        with open(policy, "w", encoding="utf-8") as f:
            f.write(policy_text())
        large_cluster.fill(lab)
        if args.only != "lists":
            show("real", "the server has WatchList", compare(lab, program, policy, args.rounds))
        if args.only != "watch":
            lab.processes["kube-apiserver"].argv.append(WITHOUT_WATCHLIST)
            lab.restart("kube-apiserver")
            show("real_lists", "it has not: lists", compare(lab, program, policy, args.rounds))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs the benchmarks, one after another, and prints their figures beside the budgets, in one table.

    tests/bench/bench.py BUILD                  all but `real`
    tests/bench/bench.py BUILD WORD...          those whose name has one of the words; --list shows the names
    tests/bench/bench.py BUILD --real [WORD...] the real API server beside curl and client-go (real.py), and those named

BUILD is a build directory. What runs there are Meson's benchmarks; the program's size and `real` are added here. Each prints what it
likes, kept in BUILD/bench/NAME.log, and besides lines of exactly three words

    NAME VALUE UNIT

which are the figures. A name that comes more than once, from repetitions within a program or from several runs of it, is measured
more than once: the table has the median and the range, and the median is held against the budget. A name with a dot at its end stands
for all that begin with it: the worst counts.

"others" is what other programs took of the machine's cores while the program ran: what is far above 0 makes CPU an indication, and
latency worthless. Exit status: 0 if all that was run has run, whatever the figures; 1 if a program failed.
"""

import argparse
import collections
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURE = re.compile(r"([a-z]\w*(?:\.\w+)*) (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?) (\S+)")
# How often a program is run that measures once.
RUNS = {"replay": 10}
# Programs whose own table is shown before the figures.
SHOWN = ("real",)
NOT_BUILT = "does not exist yet"
ON_REAL = "./dev bench --real"

# Without a budget it is there for comparison. `missing` says why there is no figure yet. A unit is the figure's.
Row = collections.namedtuple("Row", "what figure unit sign budget missing", defaults=("", None, None))
ROWS = (
    Row("memory, 5,000 nodes, 150,000 pods: a pod", "scale.pod", "B", "<=", 110),
    Row("… history kept", "scale.pod_history", "B", "<=", 110),
    Row("… a node of 12 labels", "scale.node", "B", "<=", 1229),
    Row("… RssAnon, history kept", "scale.anon", "MiB", "<=", 32),
    Row("… peak above that, first sync", "scale.peak_sync", "MiB", "<=", 2),
    Row("… peak above that, relist", "scale.peak_relist", "MiB", "<=", 2),
    Row("memory, 100 nodes, 3,000 pods: RssAnon", "scale.small_anon", "MiB", "<=", 6),
    Row("first sync, real API server: CPU over that of curl", "real.ratio", "x", "<=", 1.3, ON_REAL),
    Row("… in pages, server without WatchList", "real_lists.ratio", "x", "<=", 1.3, ON_REAL),
    Row("client-go informers over brim: CPU", "real.informer_cpu", "x", missing=ON_REAL),
    Row("… RssAnon", "real.informer_anon", "x", missing=ON_REAL),
    Row("… RssAnon, all but names and requests stripped", "real.stripped_anon", "x", missing=ON_REAL),
    Row("cut and decode a list of pods, protobuf", "decode.rate", "MB/s"),
    Row("1,000 pod events a second, of a core", "scale.events", "%", "<=", 2),
    Row("50,000 pods that go at once, CPU", "scale.deaths", "s", "<=", 1),
    Row("urgent yield at 1,000 events/s, p99, worst phase", "scale.yield_p99.", "ms", "<=", 2),
    Row("… the longest", "scale.yield_max.", "ms", "<=", 50),
    Row("… yields measured in a phase, fewest", "scale.yields.", "samples", ">=", 10000),
    Row("an evaluation, 5,000 nodes, 10,000 paid pods that wait for filler: their part", "claims.placed_idle_10000", "us"),
    Row("… and one pod ended since", "claims.placed_event_10000", "us"),
    Row("… and they fit on no node", "claims.large_event_10000", "us"),
    Row("… p99 where the scheduler preempts filler, whose deletion is awaited", "scale.yield_p99_preempted", "ms"),
    Row("/metrics: size", "scale.metrics_size", "KB", "<=", 64),
    Row("/metrics: CPU", "scale.metrics_cpu", "ms", "<=", 1),
    Row("aggregated API, CPU a request over TLS keep-alive", "api.cpu", "us", "<=", 100, NOT_BUILT),
    Row("aggregated API, p99 at 1,000/s", "api.p99", "ms", "<=", 5, NOT_BUILT),
    Row("room for others, 5,000 nodes: CPU of the loop, at most once a second", "room.view", "us"),
    Row("… CPU of the server, a request: cpu and memory", "room.request", "us"),
    Row("… and a device, and labels of 20 a node", "room.labels", "us"),
    Row("… and each node's own answer", "room.nodes", "us"),
    Row("history, bytes a value at 10 s", "store.value", "B", "<=", 2),
    Row("history of a year, without the journal itself", "store.year", "MB", "<=", 32),
    Row("a year's report, by the month, CPU", "store.report", "ms", "<=", 50),
    Row("… the command, by the day of a zone, CPU", "store.command", "ms", "<=", 50),
    Row("… from its start to its end", "store.command_wall", "ms", "<=", 50),
    Row("event journal, bytes an event, worst trace", "journal.event.", "B", "<=", 8),
    Row("decide, 100 nodes, 2,000 pods", "decide.small", "steps/s", ">=", 50000),
    Row("decide, 5,000 nodes, 100,000 pods", "decide.large", "steps/s", ">=", 5000),
    Row("replay, 1,000,000 pods on 500 nodes, CPU", "replay.cpu", "s", "<=", 5),
    Row("binary, stripped", "size.binary", "MB", "<=", 1),
    Row("CPU at rest", "scale.idle", "%", "<=", 0.1),
)


class Load:
    """What others took of the machine's cores since this was made, in percent."""

    def __init__(self):
        self.wall, self.busy, self.own = time.monotonic(), self.machine(), self.children()

    @staticmethod
    def machine():
        with open("/proc/stat", encoding="ascii") as f:
            user, nice, system, _, _, irq, soft, *_ = (int(word) for word in f.readline().split()[1:])
        return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def children():
        use = resource.getrusage(resource.RUSAGE_CHILDREN)
        return use.ru_utime + use.ru_stime

    def others(self):
        took = self.machine() - self.busy - (self.children() - self.own)
        return max(0.0, took / ((time.monotonic() - self.wall) * os.cpu_count()) * 100)


def meson_benchmarks(build):
    """{name: argv}, in the order of the meson.build files."""
    listed = json.loads(subprocess.run(["meson", "introspect", "--benchmarks", build], check=True, stdout=subprocess.PIPE).stdout)
    return collections.OrderedDict((b["name"], b["cmd"]) for b in listed)


def programs(build):
    found = meson_benchmarks(build)
    found["size"] = [sys.executable, os.path.abspath(__file__), build, "--size"]
    found["real"] = [sys.executable, os.path.join(HERE, "real.py"), build]
    return found


def print_size(build):
    """Of the program without symbols. 1 MB is 1,000,000 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        bare = os.path.join(folder, "brim")
        subprocess.run(["strip", "-o", bare, os.path.join(build, "agent", "brim")], check=True)
        print("size.binary %.3f MB" % (os.path.getsize(bare) / 1e6))


def chosen(names, words, real):
    if words or real:
        return [n for n in names if any(w in n for w in words) or (real and n == "real")]
    return [n for n in names if n != "real"]


class Figures:
    """What the programs printed: samples by name, their unit, and what others took of the machine meanwhile."""

    def __init__(self):
        self.samples, self.units, self.others = collections.defaultdict(list), {}, {}

    def read(self, text, others):
        for line in text.splitlines():
            match = FIGURE.fullmatch(line)
            if match:
                name = match.group(1)
                self.samples[name].append(float(match.group(2)))
                self.units[name] = match.group(3)
                self.others[name] = max(others, self.others.get(name, 0.0))

    def find(self, row):
        """The row's name, or that with the worst median of those that begin with it; None if nothing was measured."""
        if not row.figure.endswith("."):
            return row.figure if row.figure in self.samples else None
        names = [n for n in self.samples if n.startswith(row.figure)]
        worst = min if row.sign == ">=" else max
        return worst(names, key=lambda n: statistics.median(self.samples[n])) if names else None


def run(name, argv, build, figures):
    """Returns whether it ended well. Its output goes to a file, and to the figures."""
    path, times = os.path.join(build, "bench", name + ".log"), RUNS.get(name, 1)
    with open(path, "w+", encoding="utf-8") as log:
        for number in range(times):
            begun, load, at = time.monotonic(), Load(), log.tell()
            done = subprocess.run(argv, cwd=build, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False)
            others = load.others()
            log.seek(at)
            text = log.read()
            figures.read(text, others)
            print("%-14s %s%6.1f s, others %3.0f %%" % (name, "%2d of %d " % (number + 1, times) if times > 1 else " " * 9,
                                                       time.monotonic() - begun, others), file=sys.stderr, flush=True)
            if done.returncode != 0:
                tail = "\n".join(text.splitlines()[-15:])
                print("bench: %s ended with status %d; %s ends:\n%s" % (name, done.returncode, path, tail), file=sys.stderr)
                return False
    if name in SHOWN:
        print("\n".join(line for line in text.splitlines() if not FIGURE.fullmatch(line)) + "\n", flush=True)
    return True


def number(value):
    """Three digits, and no more digits behind the point than that takes."""
    if abs(value) >= 100:
        return "{:,.0f}".format(value)
    return "%.2f" % value if abs(value) >= 1 else "%.3g" % value


def cells(row, figures):
    """what, measured, range, budget, met, others."""
    name = figures.find(row)
    budget = "–" if row.budget is None else "%s %s %s" % (row.sign, number(row.budget), row.unit)
    if name is None:
        return row.what, "not measured" + (": " + row.missing if row.missing else ""), "", budget, "", ""
    if figures.units[name] != row.unit:
        raise SystemExit("bench: %s is in %s, expected %s" % (name, figures.units[name], row.unit))
    values = figures.samples[name]
    middle = statistics.median(values)
    phase = " (%s)" % name[len(row.figure):] if row.figure.endswith(".") else ""
    spread = "%s to %s, %d times" % (number(min(values)), number(max(values)), len(values)) if len(values) > 1 else ""
    met = row.budget is None or (middle <= row.budget if row.sign == "<=" else middle >= row.budget)
    return (row.what, "%s %s%s" % (number(middle), row.unit, phase), spread, budget,
            "" if row.budget is None else "yes" if met else "NO", "%.0f %%" % figures.others[name])


def print_table(rows):
    head = ("what", "measured", "range", "budget", "met", "others")
    widths = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
    for r in [head, tuple("-" * w for w in widths)] + rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(r, widths)).rstrip())


def machine(build):
    def lines(path, key):
        with open(path, encoding="utf-8") as f:
            return [line.split(":", 1)[1].strip() for line in f if line.startswith(key)]
    options = {o["name"]: o["value"] for o in json.loads(subprocess.run(
        ["meson", "introspect", "--buildoptions", build], check=True, stdout=subprocess.PIPE).stdout)}
    with open(os.path.join(build, "agent", "brim"), "rb") as f:
        compiler = re.search(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+", f.read())
    return "%s, %d cores, %.0f GB; Linux %s; %s, %s -O%s%s" % (
        (lines("/proc/cpuinfo", "model name") or ["CPU"])[0], os.cpu_count(),
        int(lines("/proc/meminfo", "MemTotal")[0].split()[0]) / 1e6, os.uname().release,
        compiler.group().decode() if compiler else "compiler unknown", options["buildtype"],
        options["optimization"], ", LTO" if options["b_lto"] else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", metavar="BUILD")
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--real", action="store_true", help="the real API server")
    parser.add_argument("--list", action="store_true", help="the names")
    parser.add_argument("--size", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    if args.size:
        print_size(build)
        return 0
    known = programs(build)
    names = chosen(known, args.words, args.real)
    if args.list:
        print("\n".join(known))
        return 0
    if not names:
        print("bench: none of %s has %s in its name" % (", ".join(known), " or ".join(args.words)), file=sys.stderr)
        return 2
    os.makedirs(os.path.join(build, "bench"), exist_ok=True)
    figures, before = Figures(), os.getloadavg()[0]
    good = [run(name, known[name], build, figures) for name in names]
    everything = len(names) >= len(known) - 1
    print_table([cells(row, figures) for row in ROWS if everything or figures.find(row) is not None])
    print("\n%s\nload average %.1f before, %.1f at the end; details in %s" % (
        machine(build), before, os.getloadavg()[0], os.path.join(args.build, "bench")))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

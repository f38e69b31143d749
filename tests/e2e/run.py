#!/usr/bin/env python3
"""Runs the end-to-end tests against real control planes (lab/README.md), in two lanes: they wait more than they compute.

A lane is a process that runs one test after another, with a shared lab of its own. The tests that may take longest begin first;
those that measure run last, each alone.

    tests/e2e/run.py                  the default set
    tests/e2e/run.py 003 readiness    those whose file or name contains one of the words
    tests/e2e/run.py --long           the default set with real settle times, and what takes long
    tests/e2e/run.py --keep           keeps the folder with all logs
    tests/e2e/run.py --lanes 1        one test after another
    tests/e2e/run.py --list           names and time limits

$BRIM names the program, if it is not build/agent/brim. The last line is `N passed, N failed, N skipped`; exit 1 if any failed.
"""

import argparse
import contextlib
import glob
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback

from support import BRIM, CheckFailed, HERE, LabError, Skipped, T

from lab import PATIENCE, popen  # noqa: E402 (support says where it lies)


LANES = min(2, os.cpu_count() or 1)  # a third one would let the checks of time meet a busy machine


class TimedOut(BaseException):
    """Not an Exception, so that no test swallows it."""


def discover():
    """All tests in the order of files and lines: (file, name, function)."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        name = os.path.splitext(os.path.basename(path))[0]
        module = importlib.import_module(name)
        tests = [(fn.e2e["line"], key, fn) for key, fn in vars(module).items() if hasattr(fn, "e2e") and fn.__module__ == name]
        found += [(name[len("test_"):], key, fn) for _, key, fn in sorted(tests)]
    return found


def build_lab():
    began = time.monotonic()
    warm = subprocess.run([os.path.join(HERE, "lab", "build"), "--path"], stdout=subprocess.DEVNULL).returncode == 0
    if subprocess.run([os.path.join(HERE, "lab", "build")], stdout=subprocess.DEVNULL).returncode != 0:
        return False
    print("lab: %s, %.1f s" % ("built before" if warm else "built", time.monotonic() - began), flush=True)
    return True


def on_alarm(number, frame):
    raise TimedOut()


def run_one(file, name, fn, long):
    """Returns "passed", "failed" or "skipped", and what there is to tell."""
    t = T(name, long)
    began = time.monotonic()
    result, why, trace = "passed", "", ""
    limit = fn.e2e["timeout"] * (4 if long else 1) * PATIENCE
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        fn(t)
        t.finish()
    except Skipped as e:
        result, why = "skipped", str(e)
    except TimedOut:
        result, why, trace = "failed", "took over %g s" % limit, traceback.format_exc()
    except (CheckFailed, LabError) as e:
        result, why, trace = "failed", str(e), "" if isinstance(e, CheckFailed) else traceback.format_exc()
    except Exception as e:
        result, why, trace = "failed", "%s: %s" % (type(e).__name__, e), traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    text = ["%-7s %s %s, %.1f s" % (result, file, name, time.monotonic() - began)]
    text += ["          %-58s %s" % figure for figure in t.figures]
    if result == "skipped":
        text.append("          %s" % why)
    if result == "failed":
        text += ["          failed: %s" % failure for failure in t.failures or [why]]
        if trace:
            text.append("          | " + trace.rstrip().replace("\n", "\n          | "))
        text += ["          log of %s (%s) ends:\n          | %s" % (agent.name, agent.log, agent.tail(25).replace("\n", "\n          | "))
                 for agent in t.agents]
    t.stop_agents()
    if result == "failed":
        T.drop_shared(failed=True)
    return result, "\n".join(text)


def be_lane(long):
    """Reads names of tests, a line each, and answers with a line of JSON each: [result, text]."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGALRM, on_alarm)
    tests = {name: (file, name, fn) for file, name, fn in discover()}
    try:
        for line in sys.stdin:
            answers.write(json.dumps(run_one(*tests[line.strip()], long)) + "\n")
            answers.flush()
    finally:
        T.drop_shared()


class Lane(threading.Thread):
    """The process that runs tests out of a queue, and who waits for it."""

    def __init__(self, tests, long, tell):
        super().__init__(daemon=True)
        self.tests, self.tell = tests, tell
        self.process = popen([sys.executable, "-u", __file__, "--be-lane"] + (["--long"] if long else []),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.start()

    def run(self):
        with contextlib.suppress(queue.Empty):
            while self.process.poll() is None:
                file, name, _ = self.tests.get_nowait()
                self.tell(*self.ask(file, name))
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait()

    def ask(self, file, name):
        try:
            self.process.stdin.write(name + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            return "failed", "failed  %s %s: its lane ended with status %s" % (file, name, self.process.wait())


class Sums:
    """Tells of each test as it ends."""

    def __init__(self):
        self.counts, self.lock = {"passed": 0, "failed": 0, "skipped": 0}, threading.Lock()

    def tell(self, result, text):
        with self.lock:
            self.counts[result] += 1
            print(text, flush=True)


def run_lanes(count, tests, long, sums):
    """Runs tests in so many lanes, the one with the highest time limit first."""
    waiting = queue.SimpleQueue()
    for test in sorted(tests, key=lambda x: -x[2].e2e["timeout"]):
        waiting.put(test)
    lanes = [Lane(waiting, long, sums.tell) for _ in range(min(count, len(tests)))]
    try:
        for lane in lanes:
            lane.join()
        while not waiting.empty():
            sums.tell("failed", "failed  %s %s: no lane was left" % waiting.get()[:2])
    finally:
        for lane in lanes:
            lane.process.terminate()
        for lane in lanes:
            lane.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a file's or a test's name")
    parser.add_argument("--long", action="store_true", help="real settle times, and what takes long")
    parser.add_argument("--keep", action="store_true", help="keep the folders with logs")
    parser.add_argument("--list", action="store_true", help="names and time limits")
    parser.add_argument("--lanes", type=int, default=LANES, metavar="N", help="tests at a time, %d unless told" % LANES)
    parser.add_argument("--be-lane", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_lane:
        return be_lane(options.long)
    tests = [x for x in discover() if not options.words or any(w in x[0] or w in x[1] for w in options.words)]
    if options.list:
        for file, name, fn in tests:
            print("%-12s %-64s %5d s%s%s" % (file, name, fn.e2e["timeout"], ", alone" if fn.e2e["alone"] else "",
                                             ", --long" if fn.e2e["long"] else ""))
        return 0
    if not tests:
        print("run.py: no test is named like %s" % " or ".join(options.words), file=sys.stderr)
        return 2
    if not os.access(BRIM, os.X_OK):
        print("run.py: found no %s; build it first (./dev build)" % BRIM, file=sys.stderr)
        return 3
    if not build_lab():
        print("run.py: the lab could not be built", file=sys.stderr)
        return 3
    if options.keep:
        os.environ["BRIM_LAB_KEEP"] = "1"
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    began, sums = time.monotonic(), Sums()
    for file, name, fn in tests:
        if fn.e2e["long"] and not options.long:
            sums.tell("skipped", "skipped %s %s: runs with --long" % (file, name))
    tests = [x for x in tests if options.long or not x[2].e2e["long"]]
    run_lanes(options.lanes, [x for x in tests if not x[2].e2e["alone"]], options.long, sums)
    run_lanes(1, [x for x in tests if x[2].e2e["alone"]], options.long, sums)
    print("e2e: %.0f s" % (time.monotonic() - began))
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % sums.counts)
    return 1 if sums.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

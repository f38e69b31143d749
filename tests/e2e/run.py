#!/usr/bin/env python3
"""Runs the end-to-end tests one after another, against a real control plane (lab/README.md).

    tests/e2e/run.py                  the default set
    tests/e2e/run.py 003 readiness    those whose file or name contains one of the words
    tests/e2e/run.py --long           the default set with real settle times, and what takes long
    tests/e2e/run.py --keep           keeps the folder with all logs
    tests/e2e/run.py --list           names and time limits

$BRIM names the program, if it is not build/agent/brim. The last line is `N passed, N failed, N skipped`; exit 1 if any failed.
"""

import argparse
import glob
import importlib
import os
import signal
import subprocess
import sys
import time
import traceback

from support import BRIM, CheckFailed, HERE, LabError, Skipped, T


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


def run_one(file, name, fn, options):
    """Returns "passed", "failed" or "skipped"."""
    t = T(name, options.long)
    began = time.monotonic()
    result, why, trace = "passed", "", ""
    limit = fn.e2e["timeout"] * (4 if options.long else 1)
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
    print("%-7s %s %s, %.1f s" % (result, file, name, time.monotonic() - began))
    for what, value in t.figures:
        print("          %-58s %s" % (what, value))
    if result == "skipped":
        print("          %s" % why)
    if result == "failed":
        for failure in t.failures or [why]:
            print("          failed: %s" % failure)
        if trace:
            print("          | " + trace.rstrip().replace("\n", "\n          | "))
        for agent in t.agents:
            print("          log of %s (%s) ends:\n          | %s" % (agent.name, agent.log, agent.tail(25).replace("\n", "\n          | ")))
    t.stop_agents()
    if result == "failed":
        T.drop_shared(failed=True)
    sys.stdout.flush()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a file's or a test's name")
    parser.add_argument("--long", action="store_true", help="real settle times, and what takes long")
    parser.add_argument("--keep", action="store_true", help="keep the folders with logs")
    parser.add_argument("--list", action="store_true", help="names and time limits")
    options = parser.parse_args()
    tests = [x for x in discover() if not options.words or any(w in x[0] or w in x[1] for w in options.words)]
    if options.list:
        for file, name, fn in tests:
            print("%-12s %-64s %5d s%s" % (file, name, fn.e2e["timeout"], ", --long" if fn.e2e["long"] else ""))
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
    signal.signal(signal.SIGALRM, on_alarm)
    began = time.monotonic()
    sums = {"passed": 0, "failed": 0, "skipped": 0}
    for file, name, fn in tests:
        if fn.e2e["long"] and not options.long:
            print("skipped %s %s: runs with --long" % (file, name), flush=True)
            sums["skipped"] += 1
            continue
        sums[run_one(file, name, fn, options)] += 1
    T.drop_shared()
    print("e2e: %.0f s" % (time.monotonic() - began))
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % sums)
    return 1 if sums["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Adds up what several runs of `meson test` ran, and prints it as `N passed, N failed, N skipped`.

A program that speaks TAP counts its lines; any other counts as one test. A program whose exit status is not 0 fails at
least once, whatever it printed: sanitizers are judged so.

usage: count.py LOG.json...
"""
import json
import re
import sys

TAP = re.compile(r"^(not )?ok\b[^#\n]*(#\s*SKIP)?", re.M | re.I)


def tell(test):
    """What a failed program said of each test that failed, and the end of what it wrote to stderr."""
    lines, telling = [], False
    for line in re.sub(r"\x1b\[[0-9;]*m", "", test.get("stdout", "")).splitlines():
        if re.match(r"(not )?ok\b", line):
            telling = line.startswith("not ")
        if telling:
            lines.append(line)
    for line in lines[:20] + test.get("stderr", "").splitlines()[-20:]:
        print("    " + line)


def count(path):
    passed = failed = skipped = 0
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            name, result = f"{path.split('/')[0]} {test['name']}", test["result"]
            lines = TAP.findall(re.sub(r"\x1b\[[0-9;]*m", "", test.get("stdout", "")))
            bad = sum(1 for no, skip in lines if no and not skip)
            skips = sum(1 for _, skip in lines if skip)
            good = len(lines) - bad - skips
            if not lines:
                good, skips = int(result == "OK"), int(result == "SKIP")
            if result not in ("OK", "SKIP") and bad == 0:
                bad = 1
            passed, failed, skipped = passed + good, failed + bad, skipped + skips
            if bad:
                print(f"failed: {name} ({result})")
                tell(test)
            if skips:
                print(f"skipped: {name}: {skips}")
    return passed, failed, skipped


def main():
    total = [sum(column) for column in zip(*(count(path) for path in sys.argv[1:]))]
    print("{} passed, {} failed, {} skipped".format(*total))
    return 1 if total[1] or not total[0] else 0


sys.exit(main())

#!/usr/bin/env python3
"""Adds up what the suites of several build directories ran, and prints it as `N passed, N failed, N skipped`.

A Criterion program tells how many tests it ran on its last line; any other test program counts as one. A program whose
exit status is not 0 fails at least once, whatever it printed: sanitizers are judged so.

usage: count.py DIR...
"""
import json
import re
import sys

SYNTHESIS = re.compile(r"Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)")


def count(directory):
    passed = failed = skipped = 0
    with open(f"{directory}/meson-logs/testlog.json", encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            text = re.sub(r"\x1b\[[0-9;]*m", "", test.get("stdout", "") + test.get("stderr", ""))
            ran = SYNTHESIS.findall(text)
            ok = test["result"] == "OK"
            if test["result"] == "SKIP":
                skipped += 1
                print(f"skipped: {directory} {test['name']}")
            elif ran:
                tested, passing, _, _ = map(int, ran[-1])
                bad = tested - passing
                if not ok and bad == 0:
                    bad, passing = 1, max(passing - 1, 0)
                passed += passing
                failed += bad
            else:
                passed += ok
                failed += not ok
            if not ok and test["result"] != "SKIP":
                print(f"failed: {directory} {test['name']} ({test['result']})")
    return passed, failed, skipped


def main():
    total = [sum(column) for column in zip(*(count(directory) for directory in sys.argv[1:]))]
    print("{} passed, {} failed, {} skipped".format(*total))
    return 1 if total[1] or not total[0] else 0


sys.exit(main())

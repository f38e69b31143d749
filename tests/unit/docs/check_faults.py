#!/usr/bin/env python3
"""Checks that docs/FAULTS.md names every story of faults, and no test that does not exist.

usage: check_faults.py SOURCE_ROOT
"""
import pathlib
import re
import sys

STORIES = ("test_faults.py", "fault_gates.py")
SUITES = {"core_faults": "test_core_faults.c", "watch_faults": "test_watch_faults.c", "policy_watch": "test_policy_watch.c",
          "client": "test_client.c", "config": "test_config.c", "facts": "test_facts.c", "transport_curl": "test_transport_curl.c", "turn": "test_turn.c", "watch": "test_watch.c"}


def stories(root):
    """Class.test_name of each."""
    for name in STORIES:
        of = None
        for line in (root / "tests/story" / name).read_text().splitlines():
            found = re.match(r"class (\w+)\(unittest\.TestCase\)|    def (test_\w+)\(", line)
            of = found.group(1) or of if found else of
            if found and found.group(2):
                yield "%s.%s" % (of, found.group(2))


def main():
    root = pathlib.Path(sys.argv[1])
    rows = [line for line in (root / "docs/FAULTS.md").read_text().splitlines() if line.startswith("| ")][2:]
    named, there, bad = set(), set(stories(root)), 0
    for row in rows:
        suite = None
        for word in re.findall(r"`([\w.]+)`", row.split("|")[2]):
            if word in SUITES:
                suite = word
                text = (root / "tests/unit/agent" / SUITES[suite]).read_text()
            elif ".test_" in word:
                named.add(word)
            elif suite is None or not re.search(r"Test\(%s, %s[,)]" % (suite, word), text):
                print("no test %s in suite %s" % (word, suite))
                bad += 1
    for name in sorted(named - there):
        print("no story %s" % name)
    for name in sorted(there - named):
        print("story %s is not named" % name)
    bad += len(named ^ there)
    print("%d faults, %d stories" % (len(rows), len(named & there)))
    return 1 if bad or len(rows) < 30 else 0


sys.exit(main())

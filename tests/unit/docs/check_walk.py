#!/usr/bin/env python3
"""Checks that the walk in docs/ARCHITECTURE.md names files and functions that exist.

usage: check_walk.py SOURCE_ROOT
"""
import pathlib
import re
import sys

ROW = re.compile(r"^\| (\d+) \| `([^`]+)` `(\w+)\(\)` \|")


def main():
    root = pathlib.Path(sys.argv[1])
    rows = [m.groups() for m in map(ROW.match, (root / "docs/ARCHITECTURE.md").read_text().splitlines()) if m]
    bad = 0
    for step, name, function in rows:
        path = root / name
        # A definition stands at the line's start: its type, then its name, and no semicolon behind the parameters.
        pattern = re.compile(rf"^[a-z][\w \*]*\b{function}\([^;{{]*\)\n{{", re.M)
        if not path.is_file():
            print(f"step {step}: no file {name}")
            bad += 1
        elif not pattern.search(path.read_text()):
            print(f"step {step}: {name} defines no {function}()")
            bad += 1
    if [int(step) for step, _, _ in rows] != list(range(1, len(rows) + 1)) or len(rows) < 10:
        print(f"found {len(rows)} steps, expected at least 10, numbered from 1")
        bad += 1
    print(f"{len(rows) - bad} of {len(rows)} steps are as described")
    return 1 if bad else 0


sys.exit(main())

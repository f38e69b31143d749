#!/usr/bin/env python3
"""Runs the demo as a script does, piped, and looks at what it reports.

usage: test_demo.py BUILD
"""
import os
import re
import subprocess
import sys
import unittest
import urllib.request

BUILD = None
DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo.py")


def number(pattern, text):
    return float(re.search(pattern, text, re.M).group(1))


class Demo(unittest.TestCase):
    def test_forty_seconds_fill_the_cluster_yield_and_are_reported(self):
        run = subprocess.run([sys.executable, DEMO, BUILD, "--seconds", "40"], capture_output=True, text=True, timeout=120)
        self.assertEqual((run.returncode, run.stderr), (0, ""), run.stdout)
        self.assertNotIn("\x1b", run.stdout)
        paid = number(r"^  utilisation, paid alone +([\d.]+) %$", run.stdout)
        full = number(r"^  utilisation, with filler +([\d.]+) %$", run.stdout)
        self.assertTrue(5 < paid < 60, run.stdout)
        self.assertTrue(paid + 20 < full <= 100, run.stdout)
        self.assertGreater(number(r"^  harvested +([\d.]+) core-hours$", run.stdout), 0.3)
        self.assertGreaterEqual(number(r"^  harvests +(\d+)$", run.stdout), 1)
        self.assertGreaterEqual(number(r"^  yields +(\d+)$", run.stdout), 1)
        # One when the load rises, one when its surge is over.
        self.assertLessEqual(number(r"^  reversals of filler +(\d+)$", run.stdout), 2, run.stdout)
        self.assertGreater(number(r"^  blocked paid pods +\d+ of (\d+) that arrived$", run.stdout), 5)
        self.assertRegex(run.stdout, r"harvest miner 0 -> \d+: ")
        for kind in ("agent", "cluster"):
            url = re.search(r"^%s +(http://\S+)" % kind, run.stdout, re.M).group(1)
            with self.assertRaises(OSError, msg="what the demo started has ended"):
                urllib.request.urlopen(url, timeout=2)

    def test_what_cannot_start_is_said(self):
        run = subprocess.run([sys.executable, DEMO, BUILD, "--seconds", "5", "--speed", "0"], capture_output=True, text=True,
                             timeout=60)
        self.assertEqual(run.returncode, 3)
        self.assertIn("--speed", run.stderr)


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=1)

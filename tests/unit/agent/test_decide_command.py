#!/usr/bin/env python3
"""Runs `brim decide` as a user does: as a filter, by its exit codes, by what it says of mistakes.

usage: test_decide_command.py BRIM DOCS_FOLDER
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

BRIM, DOCS = None, None

POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: %s}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: %s}
  replicas: {max: 150}
"""
STEP = '{"t":%d,"step":true}\n'


class Decide(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.policy = self.write("policy.yaml", POLICY % ("miner", "miner"))

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def decide(self, *args, text=""):
        run = subprocess.run([BRIM, "decide", *args], input=text.encode(), capture_output=True, timeout=60)
        return run.returncode, run.stdout.decode(), run.stderr.decode()

    def test_the_manual_s_example_is_true(self):
        with open(os.path.join(DOCS, "DECIDE.md"), encoding="utf-8") as f:
            facts, answers = re.findall(r"```\n(\{.*?)```", f.read(), re.S)[:2]
        self.assertEqual(self.decide("--policy", self.policy, text=facts), (0, answers, ""))

    def test_a_mistake_names_its_line_and_what_was_answered_stands(self):
        code, out, err = self.decide("-p", self.policy, text=STEP % 1 + "\n" + STEP % 2 + "{}\n" + STEP % 3)
        self.assertEqual((code, len(out.splitlines())), (2, 2))
        self.assertEqual(err, "brim decide: line 4: found no t, expected the time in seconds\n")

    def test_the_last_line_needs_no_newline(self):
        self.assertEqual(self.decide("-p", self.policy, text=STEP[:-1] % 1)[1].count("\n"), 1)
        code, _, err = self.decide("-p", self.policy, text='{"t":1')
        self.assertEqual((code, err), (2, "brim decide: line 1: column 7: found the end, expected ',' or '}'\n"))

    def test_whoever_asks_line_by_line_is_answered_line_by_line(self):
        with subprocess.Popen([BRIM, "decide", "-p", self.policy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            for t in range(3):
                run.stdin.write((STEP % t).encode())
                run.stdin.flush()
                self.assertTrue(run.stdout.readline().startswith(b'{"t":%d,' % t))
            run.stdin.close()
            self.assertEqual(run.wait(10), 0)

    def test_a_line_has_a_limit(self):
        code, _, err = self.decide("-p", self.policy, text=STEP % 1 + " " * (3 << 20))
        self.assertEqual((code, err), (2, "brim decide: line 2: found more than 1048576 bytes, expected at most that\n"))

    def test_policies_that_cannot_be(self):
        many = self.write("many.yaml", "---\n".join(POLICY % ("p%d" % i, "p%d" % i) for i in range(33)))
        empty = os.path.join(self.folder.name, "empty")
        os.mkdir(empty)
        for args, exit_code, hint in (([], 2, "found no --policy"), (["-p", "-"], 2, "the facts come from stdin"),
                                      (["-p", many], 2, "found 33 policies together, "),
                                      (["-p", empty], 2, "found no"),
                                      (["-p", self.write("none.yaml", "# nothing\n")], 2, "found no policy"),
                                      (["-p", self.write("bad.yaml", "x: 1\n")], 2, "bad.yaml:1:1"),
                                      (["-p", "/nonexistent"], 3, "/nonexistent")):
            code, out, err = self.decide(*args)
            self.assertEqual((code, out), (exit_code, ""), args)
            self.assertIn(hint, err)

    def test_every_policy_is_answered_for(self):
        two = self.write("two.yaml", POLICY % ("a", "a") + "---\n" + POLICY % ("b", "b"))
        code, out, err = self.decide("-p", two, text=STEP % 1)
        self.assertEqual((code, err), (0, ""))
        self.assertEqual([d["policy"] for d in json.loads(out)["decisions"]], ["a", "b"])

    def test_help(self):
        code, out, err = self.decide("--help")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("Usage: brim decide", out)


if __name__ == "__main__":
    BRIM, DOCS = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1])

#!/usr/bin/env python3
"""Checks that docs/POLICY.md and docs/policy.schema.json are what the table of keys says, and that the schema takes and
refuses what `brim check` does.

usage: check_policy.py BRIM SOURCE_ROOT [--write]   (--write: brings both files up to date)
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

try:
    import jsonschema
except ImportError:  # Debian: python3-jsonschema. Without it the schema's shape alone is looked at.
    jsonschema = None

WRITE = sys.argv.pop() == "--write" if sys.argv[-1] == "--write" else False
ROOT = pathlib.Path(sys.argv.pop())
BRIM = sys.argv.pop()
MANUAL = ROOT / "docs/POLICY.md"
SCHEMA = ROOT / "docs/policy.schema.json"
TABLE = re.compile(r"^\| key \| type \|.*?(?=^[^|]|\Z)", re.M | re.S)


def explain(form):
    return subprocess.run([BRIM, "explain", "policy", "-o", form], check=True, capture_output=True, text=True).stdout


def schema_text():
    return json.dumps(json.loads(explain("json")), indent=2) + "\n"


def document(**spec):
    return {"apiVersion": "brim.dev/v1", "kind": "FillerPolicy", "metadata": {"name": "m"}, "spec": {
        "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "f", "name": "m"}, "replicas": {"max": 3},
        **spec}}


# Values of the spec, and whether they are right. What only the decoder can know (ranges of amounts, that a zone is there)
# is not among them.
VALUES = [
    (dict(), True), (dict(settle="auto"), True), (dict(settle="1m30s"), True), (dict(settle=0), True),
    (dict(settle="90"), False), (dict(settle=90), False), (dict(killCost="auto"), False), (dict(reserve={"cpu": 5}), True),
    (dict(reserve={"cpu": "5%"}), True), (dict(reserve={"memory": 5}), False), (dict(headroom={"mode": "fixed"}), True),
    (dict(headroom={"mode": "guess"}), False), (dict(headroom={"blocked": "0.5%"}), True),
    (dict(headroom={"blocked": 0.5}), False), (dict(placement="gate"), True), (dict(placement="gated"), False),
    (dict(weight=0), False), (dict(weight=1000), True), (dict(weight=1001), False), (dict(service="web"), True),
    (dict(service="Web"), False), (dict(onRemove="restore"), True), (dict(report={"groupBy": "example.org/team"}), True),
    (dict(report={"groupBy": "a/b/c"}), False), (dict(report={"price": 0.035}), True), (dict(nodes={"minPaid": "1"}), True),
    (dict(paid={"ignore": [{"namespace": "b"}]}), True), (dict(paid={"ignore": [{}]}), False),
    (dict(paid={"ignore": {}}), False), (dict(pod={"memory": "1Gi"}), False), (dict(pod={"cpu": 1}), True),
    (dict(pod={"cpu": 1, "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]}), True),
    (dict(pod={"cpu": 1, "nodeSelector": {"a b": "c"}}), False), (dict(pod={"cpu": 1, "tolerations": [{"effect": "x"}]}), False),
    (dict(advanced={"holeSizes": 400}), True), (dict(advanced={"holeSizes": 401}), False),
    (dict(advanced={"surgeFactor": 1.5}), True), (dict(colour="red"), False), (dict(schedule=[]), True),
    (dict(schedule=[{"days": "mon-fri,sun", "from": "08:00", "to": "24:00", "zone": "UTC", "mode": "dry-run"}]), True),
    (dict(schedule=[{"replicas": {"min": 1}}]), True), (dict(schedule=[{"settle": "auto"}]), True),
    (dict(schedule=[{"days": "weekend", "mode": "dry-run"}]), False), (dict(schedule=[{"from": "8:00", "mode": "dry-run"}]), False),
    (dict(schedule=[{"zone": "../x", "mode": "dry-run"}]), False), (dict(schedule=[{"target": {}}]), False),
    (dict(schedule=[{"schedule": []}]), False), (dict(schedule=[{"mode": "off"}]), False),
]


class Policy(unittest.TestCase):
    def test_manual_has_the_table(self):
        found = TABLE.search(MANUAL.read_text())
        self.assertIsNotNone(found, "no table of keys")
        self.assertEqual(found.group(0), explain("markdown"), "run this with --write")

    def test_schema_file_is_current(self):
        self.assertEqual(SCHEMA.read_text(), schema_text(), "run this with --write")

    def test_examples_are_policies(self):
        examples = re.findall(r"```yaml\n(.*?)```", MANUAL.read_text(), re.S)
        self.assertGreater(len(examples), 1)
        for example in examples:
            done = subprocess.run([BRIM, "check", "-"], input=example, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_schema_names_every_key_and_takes_no_other(self):
        def walk(node, path):
            for key, child in node.get("properties", {}).items():
                self.assertIn("description", child, path + key)
                found.add(path + key)
                items = child.get("items")
                self.assertEqual(child.get("type") == "array", items is not None, path + key)
                walk(items or child, path + key + ("[]." if items else "."))
            if "properties" in node:
                self.assertIs(node["additionalProperties"], False, path)
                self.assertLessEqual(set(node.get("required", [])), set(node["properties"]), path)

        found = set()
        walk(json.loads(explain("json")), "")
        rows = set(re.findall(r"^\| `([^`]+)` \|", explain("markdown"), re.M))
        own = {f"spec.schedule[].{key}" for key in ("days", "from", "to", "zone")}
        scheduled = {k for k in found if k.startswith("spec.schedule[].")} - own
        self.assertEqual(found - scheduled, rows)
        want = {k.replace("spec.", "spec.schedule[].", 1) for k in rows
                if k.startswith("spec.") and not re.match(r"spec\.(target|schedule)\b", k)}
        self.assertEqual(scheduled, want)

    def test_decoder_and_schema_agree(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            for spec, right in VALUES:
                file.seek(0)
                file.truncate()
                json.dump(document(**spec), file)
                file.flush()
                done = subprocess.run([BRIM, "check", file.name], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0 if right else 1, f"{spec}: {done.stdout}{done.stderr}")

    @unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
    def test_schema_agrees_with_the_decoder(self):
        schema = json.loads(explain("json"))
        validator = jsonschema.validators.validator_for(schema)
        validator.check_schema(schema)
        for spec, right in VALUES:
            errors = [e.message for e in validator(schema).iter_errors(document(**spec))]
            self.assertEqual(not errors, right, f"{spec}: {errors}")


def write():
    MANUAL.write_text(TABLE.sub(lambda _: explain("markdown"), MANUAL.read_text()))
    SCHEMA.write_text(schema_text())


write() if WRITE else unittest.main()

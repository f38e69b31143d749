#!/usr/bin/env python3
"""Reports by the clocks of zones, around the days on which these are changed, against sums by Python's own zones: rows of every
length, groups of nodes, every form; of samples, of figures by the minute, and of figures by the hour alone.

usage: test_report_zones.py BRIM
"""
import collections
import csv
import datetime
import html.parser
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
import zoneinfo

BRIM, SEED = None, None

UTC = datetime.timezone.utc
QUARTER_S, HOUR_S, HOLD_S = 900, 3600, 30
# Zone, first day, how many, hours of the day on which the clock is changed (None: it is not).
DAYS = (("Europe/Berlin", (2026, 10, 23), 5, 25), ("Europe/Berlin", (2026, 3, 27), 5, 23),
        ("America/St_Johns", (2026, 10, 30), 4, 25), ("America/St_Johns", (2026, 3, 6), 4, 23),
        ("Australia/Lord_Howe", (2026, 4, 3), 4, 24.5), ("Australia/Lord_Howe", (2026, 10, 2), 4, 23.5),
        ("Asia/Kolkata", (2026, 9, 29), 4, None))
GROUPS = ("eu-1a", "eu-1b", "<none>")
LABEL = "topology.kubernetes.io/zone"
PARTS = ("paid_core_hours", "filler_core_hours", "kept_core_hours", "offered_core_hours")
OFFERED, KEPT = 96000, 3000
NAMES = {"hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "hour-of-week": "%a %H:00"}


def brim(*args, text=None):
    run = subprocess.run([BRIM, *args], input=text, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, "%s: %s" % (args, run.stderr)
    return run.stdout


def utc(s):
    return datetime.datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Table(html.parser.HTMLParser):
    """Rows of all tables of a page: lists of cells."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


class World:
    """So many days of a cluster that is another one each quarter of an hour, in groups; some quarters were not recorded."""

    # The first four have values (`values`); others are 0, or as large as one of those.
    SERIES = ("paid", "ready", "kept", "allocatable", "pending", "starting", "leaving", "remaining", "reserve", "headroom",
              "demand", "part_paid", "part_filler", "part_kept", "part_churn", "part_idle")
    LIKE = {"demand": 0, "part_paid": 0, "part_filler": 1, "part_kept": 2, "part_idle": 4}

    def __init__(self, name, first, days, chance):
        self.name, self.zone = name, zoneinfo.ZoneInfo(name)
        day = datetime.date(*first)
        self.since, self.until = day.isoformat(), (day + datetime.timedelta(days)).isoformat()
        self.since_s, self.until_s = self.begin(self.since), self.begin(self.until)
        self.from_s, self.to_s = self.since_s // HOUR_S * HOUR_S, -(-self.until_s // HOUR_S) * HOUR_S
        self.at = {t: None if chance.random() < 0.03 else
                   [{"paid": chance.randrange(20000), "filler": chance.randrange(10000)} for _ in GROUPS]
                   for t in range(self.from_s, self.to_s, QUARTER_S)}

    def begin(self, date):
        return int(datetime.datetime.fromisoformat(date).replace(tzinfo=self.zone).timestamp())

    def local(self, t):
        return datetime.datetime.fromtimestamp(t, self.zone)

    @staticmethod
    def values(groups):
        """Milli-cores: paid, filler, kept, offered, and what is left."""
        paid, filler = (sum(g[k] for g in groups) for k in ("paid", "filler"))
        return paid, filler, KEPT, OFFERED, OFFERED - paid - filler - KEPT

    def samples(self):
        """A row a quarter, which stands for so many samples that it holds all through it."""
        samples = [["kind", "time", "policy", "merged", "paid_cores", "ready_cores", "kept_cores", "allocatable_cores"]
                   + [n + "_cores" for n in self.SERIES[4:10]]]
        groups = []
        for t, of in self.at.items():
            if of is not None:
                samples.append(["sample", utc(t), "miner", (QUARTER_S - HOLD_S) // 10] + [v / 1000 for v in self.values(of)[:4]] + [0] * 6)
                groups += [self.group(t, 10, name, QUARTER_S, [g]) for name, g in zip(GROUPS, of)]
        return [samples], groups

    @staticmethod
    def group(at, step, name, covered_s, of):
        n = len(of)
        paid, filler = sum(g["paid"] for g in of) / n, sum(g["filler"] for g in of) / n
        return ["group", utc(at), step, "miner", LABEL, name, covered_s * 1000, 1, OFFERED // 3 / 1000, "%.3f" % (paid / 1000),
                "%.3f" % (filler / 1000), 2, max(g["paid"] for g in of) / 1000, 1]

    def figures(self, steps):
        """Figures by each step: those of samples and of groups."""
        kinds = ("mean", "min", "p50", "p90", "p99", "max", "covered_ms")
        columns = ["kind", "time", "policy", "covered_ms"]
        columns += ["%s_%s%s" % (s, "" if k == "covered_ms" else "cores_", k) for s in self.SERIES for k in kinds]
        tables, groups = [], []
        for kind, step in steps:
            tables.append([columns])
            for t in range(self.from_s // step * step, self.to_s, step):
                quarters = [q for q in range(t // QUARTER_S * QUARTER_S, t + step, QUARTER_S) if self.at.get(q)]
                covered = sum(min(q + QUARTER_S, t + step) - max(q, t) for q in quarters)
                if covered == 0:
                    continue
                row = [kind, utc(t), "miner", covered * 1000]
                for i, name in enumerate(self.SERIES):
                    place = self.LIKE.get(name, i)
                    v = sorted(self.values(self.at[q])[place] if i < 4 or name in self.LIKE else 0 for q in quarters)
                    row += ["%.6f" % (sum(v) / len(v) / 1000), v[0] / 1000, v[(len(v) - 1) // 2] / 1000] + [v[-1] / 1000] * 3
                    row.append(covered * 1000)
                tables[-1].append(row)
                groups += [self.group(t, step, name, covered, [self.at[q][i] for q in quarters]) for i, name in enumerate(GROUPS)]
        return tables, groups

    def name_of(self, t, by, offsets):
        local = self.local(t)
        text = local.strftime(NAMES[by])
        if by == "hour" and offsets:
            offset = local.strftime("%z")
            text += " %s:%s" % (offset[:3], offset[3:])
        return text

    def told(self, t, by_hour):
        """What is told of a quarter: (groups, for how much of it). By the hour each one is a part of the hour's mean."""
        if not by_hour:
            return (self.at[t], 1) if self.at[t] else (None, 0)
        known = [self.at[q] for q in range(t // HOUR_S * HOUR_S, t // HOUR_S * HOUR_S + HOUR_S, QUARTER_S) if self.at[q]]
        if not known:
            return None, 0
        return [{k: sum(of[i][k] for of in known) / len(known) for k in of} for i, of in enumerate(known[0])], len(known) / 4

    def rows(self, by, by_hour):
        """{name: [core-hours by part, seconds, seconds that are known]}"""
        offsets = len({self.local(t).utcoffset() for t in range(self.since_s, self.until_s, QUARTER_S)}) > 1
        rows = collections.OrderedDict()
        for t in range(self.since_s, self.until_s, QUARTER_S):
            row = rows.setdefault(self.name_of(t, by, offsets), [[0] * 4, 0, 0])
            groups, share = self.told(t, by_hour)
            row[1] += QUARTER_S
            row[2] += share * QUARTER_S
            for i, v in enumerate(self.values(groups)[:4] if groups else ()):
                row[0][i] += v * share * QUARTER_S / HOUR_S / 1000
        return rows

    def groups(self, by_hour):
        """{name: [core-hours of paid and filler]} of the whole time."""
        told = [self.told(t, by_hour) for t in range(self.since_s, self.until_s, QUARTER_S)]
        return {name: [sum(of[i][k] * share for of, share in told if of) / 4000 for k in ("paid", "filler")]
                for i, name in enumerate(GROUPS)}


def text_of(*tables):
    out = io.StringIO()
    for table in tables:
        csv.writer(out, lineterminator="\n").writerows(table)
    return out.getvalue()


GROUP_COLUMNS = [["kind", "time", "step_seconds", "policy", "label", "group", "covered_ms", "nodes", "allocatable_cores", "paid_cores",
                  "filler_cores", "fit", "paid_cores_max", "nodes_max"]]


class Zones(unittest.TestCase):
    @staticmethod
    def worlds(each):
        chance = random.Random(SEED)
        for name, first, days, hours in DAYS[::each]:
            yield World(name, first, days, chance), hours

    def report(self, *args):
        return brim("report", "--db", self.db, "--since", self.world.since, "--until", self.world.until, "--zone", self.world.name, *args)

    def near(self, found, expected, leave, where):
        self.assertLessEqual(abs(found - expected), leave, "%s: found %s, expected %s; seed %d" % (where, found, expected, SEED))

    def check_rows(self, by, by_hour):
        w, where = self.world, "%s from %s by %s" % (self.world.name, self.world.since, by)
        expected = w.rows(by, by_hour)
        told = json.loads(self.report("--by", by, "-o", "json"))
        self.assertEqual(told["zone"], w.name)
        rows = {r["name"]: r for r in told["rows"] if by != "hour-of-week" or r["times"]}
        if by == "hour-of-week":
            self.assertEqual(set(rows), set(expected), where)
        else:
            self.assertEqual([r["name"] for r in told["rows"]], list(expected), where)
        for name, (parts, seconds, known) in expected.items():
            row = rows[name]
            if by != "hour-of-week":
                length = (self.time(row["until"]) - self.time(row["from"])).total_seconds()
                self.assertEqual(length, seconds, "%s, %s" % (where, name))
            self.near(row["recorded"], known / seconds, 0.0006, "%s, recorded of %s" % (where, name))
            for key, value in zip(PARTS, parts):
                # An hour's mean is kept in thousandths, and of parts that add up each may be a step off.
                self.near(row[key], value, 0.0015 + 1e-6 * seconds, "%s, %s of %s" % (where, key, name))
        for i, key in enumerate(PARTS):
            total = sum(row[0][i] for row in expected.values())
            self.near(told["total"][key], total, 0.01, "%s, %s of all" % (where, key))
        return told

    @staticmethod
    def time(text):
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))

    def check_forms(self, told, by):
        """What CSV, table and page say is what JSON says."""
        lines = list(csv.DictReader(io.StringIO(self.report("--by", by, "-o", "csv"))))
        lines = [line for line in lines if line["name"] != "total"]
        self.assertEqual([line["name"] for line in lines], [r["name"] for r in told["rows"]])
        for line, row in zip(lines, told["rows"]):
            for key in PARTS:
                self.assertEqual(float(line[key] or "nan"), row[key], row["name"])
        table = self.report("--by", by).splitlines()
        head = next(line.split() for line in table if " RECORDED " in line)
        for row in told["rows"]:
            line = next(line for line in table if line.startswith(row["name"] + " "))
            cells = line[len(row["name"]):].split()
            for key, name in (("offered_core_hours", "OFFERED"), ("paid_core_hours", "PAID"), ("filler_core_hours", "FILLER")):
                self.near(float(cells[head.index(name) - len(head)]), row[key], 0.1001, row["name"])

    def check_page(self):
        """The chart of a day has each of its hours; means are in cores."""
        w = self.world
        day = w.local(w.since_s).date() + datetime.timedelta(2)
        since, until = day.isoformat(), (day + datetime.timedelta(1)).isoformat()
        rows = {row[0]: row for row in Table(brim("report", "--db", self.db, "--since", since, "--until", until, "--zone", w.name,
                                                  "-o", "html")).rows if row}
        hours = {}
        for t in range(w.begin(since), w.begin(until), QUARTER_S):
            hours.setdefault(w.local(t).strftime("%Y-%m-%d %H:00"), {}).setdefault(w.local(t).strftime("%z"), []).append(t)
        offsets = len({z for of in hours.values() for z in of}) > 1
        for name, of in hours.items():
            for z, times in of.items():
                known = [w.values(w.at[t])[0] / 1000 for t in times if w.at[t]]
                row = rows[name + (" %s:%s" % (z[:3], z[3:]) if offsets else "")]
                if known:
                    self.near(float(row[2]), sum(known) / len(known), 0.51, "%s, %s in the page" % (w.name, row[0]))
                else:
                    self.assertEqual(row[1], "not recorded")

    def check_groups(self, told, by_hour):
        """Each one, and that they are the whole; means are kept in thousandths of a core."""
        where, leave = "%s from %s" % (self.world.name, self.world.since), 0.0005 * 24 * 5
        for g, (name, (paid, filler)) in zip(told["groups"], self.world.groups(by_hour).items()):
            self.assertEqual(g["name"], name)
            self.near(g["paid_core_hours"], paid, leave, "%s, paid in %s" % (where, name))
            self.near(g["filler_core_hours"], filler, leave, "%s, filler in %s" % (where, name))
            self.near(g["recorded"], told["total"]["recorded"], 0.0011, "%s, recorded of %s" % (where, name))
        for key in ("paid_core_hours", "filler_core_hours", "offered_core_hours"):
            self.near(sum(g[key] for g in told["groups"]), told["total"][key], 3 * leave, "%s, %s of all groups" % (where, key))

    def check(self, tables, by_hour=False, forms=False, each=1):
        for self.world, changed in self.worlds(each):
            with self.subTest(zone=self.world.name, since=self.world.since), tempfile.TemporaryDirectory() as folder:
                self.db = os.path.join(folder, "history.db")
                rows, groups = tables(self.world)
                brim("history", "import", "--db", self.db, "-", text=text_of(*rows, GROUP_COLUMNS, groups))
                days = self.check_rows("day", by_hour)
                lengths = {(self.time(r["until"]) - self.time(r["from"])).total_seconds() / HOUR_S for r in days["rows"]}
                self.assertEqual(lengths, {24, changed or 24})
                self.check_groups(days, by_hour)
                for by in ("week", "month", "hour-of-week"):
                    self.check_rows(by, by_hour)
                hours = self.check_rows("hour", by_hour)
                if forms:
                    self.check_forms(hours, "hour")
                    self.check_forms(days, "day")
                    self.check_page()

    def test_of_samples(self):
        self.check(World.samples, forms=True)

    def test_of_figures_by_the_minute(self):
        self.check(lambda w: w.figures((("day", 86400), ("hour", HOUR_S), ("minute", 60))), each=3)

    def test_of_figures_by_the_hour_alone(self):
        self.check(lambda w: w.figures((("day", 86400), ("hour", HOUR_S))), by_hour=True)


if __name__ == "__main__":
    BRIM = sys.argv.pop(1)
    SEED = int(os.environ.get("BRIM_SEED") or random.randrange(1 << 30))
    print("# BRIM_SEED=%d" % SEED)
    unittest.main()

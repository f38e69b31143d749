"""The report's page in a real browser: what axe-core says of it. Needs no cluster."""

import datetime
import os
import tempfile

import axe
from support import brim, test

CACHE = os.path.expanduser("~/.cache/brim/axe")
START = datetime.datetime(2026, 9, 28, tzinfo=datetime.timezone.utc)
STEP_S = 300
DAYS = 21


def samples():
    """Three weeks of 184 cores with a gap, as `brim history import` takes them: paid work by the hour, filler in what is left."""
    columns = {"kind": "sample", "policy": "miner", "merged": STEP_S // 10 - 1, "allocatable_cores": 184}
    lines = []
    for i in range(DAYS * 86400 // STEP_S):
        t = START + datetime.timedelta(seconds=i * STEP_S)
        if t.day == 7 and t.hour < 3:
            continue
        used = 30 + 8 * min(t.hour, 24 - t.hour) // (2 if t.weekday() > 4 else 1)
        row = dict(columns, time=t.strftime("%Y-%m-%dT%H:%M:%SZ"), paid_cores=used, ready_cores=max(0, 150 - used), leaving_cores=2,
                   headroom_cores=30, kept_cores=30)
        for name in ("pending", "starting", "remaining", "reserve"):
            row[name + "_cores"] = 0
        for name in ("set_point", "damped", "replicas", "waiting"):
            row[name] = 0
        lines.append(row)
    names = list(lines[0])
    return "\n".join([",".join(names)] + [",".join(str(line[name]) for name in names) for line in lines]) + "\n"


def groups():
    """As many groups of one label as have a name, some with the longest names, and two of another label."""
    names = ["a-zone-with-as-long-a-name-as-a-label-may-have-63-characters-%02d" % i for i in range(3)]
    names += ["rack-%02d" % i for i in range(29)] + ["<other>"]
    lines = ["kind,time,step_seconds,policy,label,group,covered_ms,nodes,allocatable_cores,paid_cores,filler_cores,fit,paid_cores_max,nodes_max"]
    for day in range(DAYS):
        t = (START + datetime.timedelta(day)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for label, of in (("example.com/a-label-with-a-long-name", names), ("pool", ["blue", "green"])):
            lines += ["group,%s,86400,miner,%s,%s,86400000,%d,%d,%d,%d,3,%d,%d" % (t, label, name, i % 3 + 1, 1000 * (i % 3 + 1), i * 20, i * 7,
                                                                               i * 20 + 4, i % 3 + 1) for i, name in enumerate(of)]
    return "\n".join(lines) + "\n"


@test(timeout=240)
def the_page_is_for_everybody(t):
    missing = axe.missing()
    t.check(not missing, "install Debian's %s: the page is looked at in a browser" % " and ".join(missing))
    script = axe.source(CACHE)
    with tempfile.TemporaryDirectory(prefix="brim-page-") as folder:
        db, csv = os.path.join(folder, "h.db"), os.path.join(folder, "h.csv")
        with open(csv, "w", encoding="utf-8") as f:
            f.write(samples() + groups())
        code, out, err = brim("history", "import", "--db", db, csv)
        t.check(code == 0, "import: %s%s" % (out, err))
        code, page, err = brim("report", "--db", db, "--since", "14d", "--compare", "previous", "--price", "0.03 EUR", "--target",
                               "85%", "-o", "html")
        t.check(code == 0 and "</html>" in page and "rack-28" in page, "report: %s" % err)
    for name, width, conditions in axe.LOOKS:
        seen = axe.look(page, script, width, conditions)
        t.check(seen["rules"] > 20 and not seen["found"], "%s: %s" % (name, seen))
        t.check(name not in ("light", "dark", "print") or seen["cut"] == 0, "%s: %d tables are cut off" % (name, seen["cut"]))
        t.check(seen["wide"] == 0, "%s: %d px wider than the window" % (name, seen["wide"]))
    # The look itself sees what is wrong.
    seen = axe.look(page.replace(' lang="en"', ""), script, *axe.LOOKS[0][1:])
    t.check(any(f.startswith("html-has-lang") for f in seen["found"]), "without a language: %s" % seen)

"""Groups of nodes from a real cluster into a report: recorded, rolled up when their hour is over, and the whole again when added up."""

import json
import os

from support import NODES, ROOT, Skipped, brim, paid, policy_text, test

LABEL = "kubernetes.io/hostname"
FILLER = 9
# Adds the number of seconds in a file to the agent's wall clock.
SYSTEM = os.path.join(ROOT, "build", "tests", "story", "faulty_system.so")
TWO_HOURS = 7200


def requested(lab):
    """{(node, is it filler?): cores} of all pods."""
    found = {}
    for p in lab.items("/api/v1/pods"):
        key = p["spec"]["nodeName"], p["metadata"]["namespace"] == "filler"
        found[key] = found.get(key, 0) + sum(int(c["resources"]["requests"]["cpu"]) for c in p["spec"]["containers"])
    return found


def rows(db):
    """The groups that the history has, by the length of what each row stands for."""
    status, out, _ = brim("history", "export", "--db", db, "--what", "groups", "-o", "jsonl")
    steps = {}
    for line in out.splitlines()[1:] if status == 0 else ():
        row = json.loads(line)
        steps.setdefault(row["step_seconds"], []).append(row)
    return steps


def near(t, found, expected, what):
    """Each is rounded to thousandths, and so are the figures of the groups that are added up."""
    t.check(abs(found - expected) <= 0.0005 * (len(NODES) + 2) + 0.001 * expected, "%s: found %g, expected %g" % (what, found, expected))


@test(timeout=60)
def groups_of_nodes_add_up_to_the_whole_before_and_after_their_hour_is_over(t):
    if not os.path.exists(SYSTEM):
        raise Skipped("%s is not built" % SYSTEM)
    lab = t.lab()
    lab.apply(paid("load", 7, 4))
    lab.scale("filler", "miner", FILLER)
    lab.wait_until(lambda: len([p for p in lab.items("/api/v1/pods") if p["status"].get("phase") == "Running"]) == 7 + FILLER,
                   30, "all pods to run", 0.2)
    held = requested(lab)
    db, clock = lab.path("groups.db"), t.file(lab, "clock", "0")
    # Nothing changes meanwhile: filler may not grow.
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: %d}" % FILLER, report="{groupBy: %s}" % LABEL), args=["--db", db],
                    env={"LD_PRELOAD": SYSTEM, "FAULTY_CLOCK": clock})
    lab.wait_until(lambda: rows(db).get(10), 20, "groups in the history", 0.2)
    with open(clock + ".new", "w") as f:
        f.write(str(TWO_HOURS))
    os.replace(clock + ".new", clock)
    found = lab.wait_until(lambda: rows(db) if 60 in rows(db) and 10 in rows(db) else None, 25, "the hour to be rolled up", 0.2)
    t.check({60, 3600} <= set(found), "rows by steps of %s seconds" % sorted(found))
    agent.stop()
    since = min(row["time"] for row in found[60])
    status, out, err = brim("report", "--db", db, "--by", "hour", "--since", since, "-o", "json")
    t.check(status == 0, "report: %s" % err)
    told = json.loads(out)
    total, groups = told["total"], {g["name"]: g for g in told["groups"]}
    t.check(set(groups) == set(NODES), "groups %s" % sorted(groups))
    for name, g in groups.items():
        hours = g["offered_core_hours"] / NODES[name]
        near(t, g["paid_core_hours"], held.get((name, False), 0) * hours, "paid on " + name)
        near(t, g["filler_core_hours"], held.get((name, True), 0) * hours, "filler on " + name)
        near(t, g["peak_paid_cores"], held.get((name, False), 0), "the most paid on " + name)
        t.check(g["peak_nodes"] == 1, "%s has %s nodes" % (name, g["peak_nodes"]))
    # Samples begin with the first decision, those of groups at the next step: what is compared is a share of the time.
    sums = {key: sum(g[key] for g in groups.values()) for key in ("offered_core_hours", "paid_core_hours", "filler_core_hours")}
    part = sums["offered_core_hours"] / total["offered_core_hours"]
    t.check(0.5 < part < 1.001, "groups tell of %.3f of the time" % part)
    near(t, sums["paid_core_hours"], part * total["paid_core_hours"], "paid in all groups")
    near(t, sums["filler_core_hours"], part * (total["filler_core_hours"] + total["churn_core_hours"]), "filler in all groups")
    t.figure("core-hours of all groups: offered, paid, filler", " ".join("%.3f" % v for v in sums.values()))
    t.figure("of the whole's time", "%.3f" % part)

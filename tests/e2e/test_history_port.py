"""A history as OpenMetrics in a real Prometheus: its blocks give the values that the history has; and out and in again by the commands."""

import csv
import io
import json
import os
import random
import subprocess
import tempfile
import time
import urllib.parse

from support import LabError, Process, brim, free_port, http_get, test

EPOCH = 1790000000  # 2026-09-21T14:13:20Z
SAMPLES = 500       # 10 s apart
METRICS = {
    "cpu_capacity_remaining": "remaining_cores", "cpu_capacity_allocatable": "allocatable_cores",
    "cpu_capacity_requested": "paid_cores", "cpu_capacity_pending": "pending_cores", "cpu_capacity_reserved": "reserve_cores",
    "brim_headroom_cores": "headroom_cores", "brim_kept_cores": "kept_cores", "brim_replicas": "replicas",
    'brim_filler_cores{state="ready"}': "ready_cores", 'brim_filler_cores{state="starting"}': "starting_cores",
    'brim_filler_cores{state="leaving"}': "leaving_cores",
}


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if done.returncode != 0:
        raise LabError("%s: %s" % (" ".join(argv[:4]), done.stderr[-500:]))
    return done.stdout


def history(*args, **more):
    status, out, err = brim("history", *args, **more)
    if status != 0:
        raise LabError("brim history %s: exit status %d: %s" % (" ".join(args[:3]), status, err))
    return out


def made(seed):
    """A history as CSV: two policies, odd milliseconds, hours without anything."""
    chance, out = random.Random(seed), io.StringIO()
    columns = ["kind", "time", "policy"] + sorted(METRICS.values())
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(columns)
    for policy in ("miner", "render"):
        at = EPOCH * 1000 + chance.randrange(10000)
        for _ in range(SAMPLES):
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + ".%03dZ" % (at % 1000)
            values = [chance.randrange(150) if name == "replicas" else chance.randrange(184001) / 1000 for name in columns[3:]]
            rows.writerow(["sample", text, policy] + values)
            at += 10000 + chance.randrange(-20, 20) if chance.random() < 0.99 else 5400000
    head = ("kind,time,policy,id,reason,before,replicas,set_point,damped,slots,kept_slots,slot_cores,hole_slots,allocatable_cores,"
            "paid_cores,pending_cores,reserve_cores,headroom_cores\n")
    decisions = ["decision,%s,miner,%d,%s,1,2,2,2,2,0,1,1,184,10,0,0,0\n" % (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH + 7 * i)), i + 1, "yield" if i % 3 == 0 else "harvest") for i in range(100)]
    return out.getvalue() + head + "".join(decisions)


def points(port, selector, since, until):
    """{(policy, ms): value} of all raw samples, asked in windows."""
    found = {}
    for at in range(since + 3600, until + 3600, 3600):
        query = urllib.parse.urlencode({"query": selector + "[3600s]", "time": at})
        status, text = http_get(port, "/api/v1/query?" + query)
        if status != 200:
            raise LabError("%s: %d: %s" % (selector, status, text[:200]))
        for series in json.loads(text)["data"]["result"]:
            for t, value in series["values"]:
                found[series["metric"]["policy"], round(t * 1000)] = float(value)
    return found


def ms(text):
    return int(time.mktime(time.strptime(text[:19] + "UTC", "%Y-%m-%dT%H:%M:%S%Z")) - time.timezone) * 1000 + int(text[20:23])


@test(timeout=120)
def prometheus_has_the_values_of_the_history(t):
    with tempfile.TemporaryDirectory(prefix="brim-history-") as folder:
        db, om, tsdb = (os.path.join(folder, name) for name in ("history.db", "history.om", "tsdb"))
        seed = int(os.environ.get("BRIM_SEED", time.time()))
        print("BRIM_SEED=%d" % seed, flush=True)
        history("import", "--db", db, "-", input=made(seed))
        history("export", "--db", db, "-o", "openmetrics", "--out", om)
        run("promtool", "tsdb", "create-blocks-from", "openmetrics", om, tsdb)
        rows = list(csv.DictReader(io.StringIO(history("export", "--db", db, "--what", "samples"))))
        times = [ms(row["time"]) for row in rows]
        since, until = min(times) // 1000 - 1, max(times) // 1000 + 1
        with open(os.path.join(folder, "prometheus.yml"), "w") as f:
            f.write("global: {scrape_interval: 1h}\n")
        port = free_port()
        server = Process("prometheus", ["prometheus", "--config.file=" + os.path.join(folder, "prometheus.yml"), "--storage.tsdb.path=" + tsdb,
                                        "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:%d" % port],
                         os.path.join(folder, "log")).start()
        try:
            end = time.monotonic() + 60
            while http_get(port, "/-/ready")[0] != 200:
                if time.monotonic() > end or not server.running():
                    raise LabError("Prometheus is not ready: %s" % server.tail(20))
                time.sleep(0.2)
            for selector, column in METRICS.items():
                expected = {(row["policy"], at): float(row[column]) for row, at in zip(rows, times)}
                found = points(port, selector, since, until)
                t.check(found == expected, "%s: %d values, %d expected; %s" % (
                    selector, len(found), len(expected), sorted(set(found.items()) ^ set(expected.items()))[:3]))
            for reason, count in (("yield", 34), ("harvest", 66)):
                counted = points(port, 'brim_decisions_total{reason="%s"}' % reason, since, until)
                t.check(max(counted.values()) == count, "%s: %d decisions, expected %d" % (reason, max(counted.values()), count))
            t.figure("values that Prometheus gave back", "%d" % (len(rows) * len(METRICS)))
        finally:
            server.stop()


@test(timeout=60)
def a_history_goes_out_and_in_again(t):
    with tempfile.TemporaryDirectory(prefix="brim-history-") as folder:
        first, second = os.path.join(folder, "first.db"), os.path.join(folder, "second.db")
        history("import", "--db", first, "-", input=made(1))
        for form in ("csv", "jsonl"):
            text = history("export", "--db", first, "-o", form)
            told = history("import", "--db", second, "-", input=text)
            t.check("sample" in told, told)
            t.check(history("export", "--db", second, "-o", form) == text, "%s: what came out is not what went in" % form)
        status, out, err = brim("history", "import", "--db", second, "-", input=made(2))
        t.check(status == 1 and "stdin:" not in out and "--replace" in err, "%d: %s%s" % (status, out, err))
        status, out, err = brim("history", "import", "--db", os.path.join(folder, "third.db"), "-", input="kind,time\nsimple,1\n")
        t.check(status == 2 and "stdin:2: kind: found simple" in err, "%d: %s%s" % (status, out, err))
        t.check(not os.path.exists(os.path.join(folder, "third.db")), "a file that holds nothing was left")

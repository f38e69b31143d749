"""A real Prometheus that scrapes brim beside a pocket cluster: the report from there against that of the history of the same run."""

import json
import os
import re
import sys
import tempfile
import time

from support import BRIM, ROOT, LabError, Process, brim, free_port, http_get, test

sys.path.insert(0, os.path.join(ROOT, "tests", "pocket", "demo"))
import demo  # noqa: E402

INTERVAL = 2  # seconds between scrapes
POCKET = os.path.join(os.path.dirname(os.path.dirname(BRIM)), "tests", "pocket", "pocket")
SCRAPES = """global: {scrape_interval: %ds, scrape_timeout: %ds}
scrape_configs:
- job_name: brim
  static_configs:
%s"""
TARGET = '  - {targets: ["127.0.0.1:%d"], labels: {cluster: %s, replica: %s}}\n'


class Run:
    """A pocket cluster three times as fast as life, an agent with a history, and a Prometheus that scrapes it as two clusters, of
    which one is scraped twice."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="brim-scraped-")
        self.kubeconfig, self.db = self.path("kubeconfig"), self.path("history.db")
        self.port, self.prometheus_port, self.processes = free_port(), free_port(), []

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def process(self, name, argv):
        process = Process(name, argv, self.path(name + ".log")).start()
        self.processes.append(process)
        return process

    def wait(self, what, condition):
        until = time.monotonic() + 60
        while not condition():
            if time.monotonic() > until or not all(p.running() for p in self.processes):
                raise LabError("%s did not come: %s" % (what, [p.tail(5) for p in self.processes]))
            time.sleep(0.1)

    def start_agent(self):
        self.agent = self.process("agent", [BRIM, "agent", "--policy", os.path.join(demo.HERE, "policy.yaml"), "--kubeconfig",
                                            self.kubeconfig, "--db", self.db, "--listen", "127.0.0.1:%d" % self.port])
        self.wait("the agent", lambda: http_get(self.port, "/readyz")[0] == 200)

    def stop_agent(self):
        self.agent.stop()
        self.processes.remove(self.agent)

    def wait_for_rest(self):
        """Until no paid pod has come for longer than samples of the history are apart: it would count on one side of an edge here and
        on the other there."""
        seen, since, until = None, time.monotonic(), time.monotonic() + 120
        while time.monotonic() - since < 12:
            pods = re.search(r"(?m)^brim_paid_pods_total (\S+)$", http_get(self.port, "/metrics")[1])
            if pods is None or pods.group(1) != seen:
                seen, since = pods and pods.group(1), time.monotonic()
            if time.monotonic() > until:
                raise LabError("paid pods come all the time: %s" % seen)
            time.sleep(0.5)

    def __enter__(self):
        targets = "".join(TARGET % (self.port, *labels) for labels in (("eu1", "a"), ("eu1", "b"), ("us1", "a")))
        with open(self.path("prometheus.yml"), "w") as f:
            f.write(SCRAPES % (INTERVAL, INTERVAL, targets))
        self.process("pocket", [POCKET, "--scenario", demo.gated_scenario(self.folder.name), "--speed", "3", "--seed", "1", "--kubeconfig",
                                self.kubeconfig])
        self.process("prometheus", ["prometheus", "--config.file=" + self.path("prometheus.yml"), "--storage.tsdb.path=" + self.path("tsdb"),
                                    "--web.listen-address=127.0.0.1:%d" % self.prometheus_port])
        self.wait("the kubeconfig", lambda: os.path.exists(self.kubeconfig))
        self.wait("Prometheus", lambda: http_get(self.prometheus_port, "/-/ready")[0] == 200)
        self.start_agent()
        return self

    def __exit__(self, *args):
        for process in reversed(self.processes):
            process.stop()
        self.folder.cleanup()

    def report(self, *args):
        status, out, err = brim("report", "-o", "json", "--by", "minute", *args)
        if status != 0:
            raise LabError("brim report: exit status %d: %s" % (status, err))
        return json.loads(out)

    def scraped(self, *args):
        return self.report("--prometheus", "http://127.0.0.1:%d" % self.prometheus_port, *args)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# What a figure may differ by: in percent of what the nodes offered, in cores, or in counts. Scrapes come each 2 s, samples of the history
# each 10 s and at decisions, the first of them up to 10 s after the agent began: both err, the history more.
OF_OFFERED = {"offered_core_hours": 10, "paid_core_hours": 4, "filler_core_hours": 6, "churn_core_hours": 3, "kept_core_hours": 4,
              "idle_core_hours": 5, "harvestable_core_hours": 8}
SHARES = {"utilisation_paid": 0.02, "utilisation": 0.05, "recorded": 0.08}
CORES = {"peak_paid_cores": 16, "peak_offered_cores": 0, "mean_kept_cores": 4}
COUNTS = {"yields": 1, "harvests": 1, "paid_pods": 1, "blocked_pods": 0, "reversals": 2, "peak_nodes": 0}
UNKNOWN = ("filler_starts", "filler_stops", "wait_seconds", "wait_p50_seconds", "wait_p99_seconds", "longest_wait_seconds", "largest_rise_cores", "only_filler_node_core_hours")


def compare(t, told, kept):
    for key, most in [(k, v * kept["offered_core_hours"] / 100) for k, v in OF_OFFERED.items()] + [
            item for table in (SHARES, CORES, COUNTS) for item in table.items()]:
        t.figure("  %s" % key, "%s instead of %s" % (told[key], kept[key]))
        t.check(told[key] is not None and abs(told[key] - kept[key]) <= most, "%s: %s instead of %s" % (key, told[key], kept[key]))
    t.check(told["peak_kept_cores"] >= kept["peak_kept_cores"], "the most that was kept: %s" % told["peak_kept_cores"])
    for key in UNKNOWN:
        t.check(told[key] is None, "%s is told: %s" % (key, told[key]))


@test(timeout=480)
def a_report_out_of_prometheus_is_that_of_the_history(t):
    with Run() as run:
        run.wait_for_rest()
        begin = int(time.time())
        time.sleep(65)
        run.wait_for_rest()
        run.stop_agent()
        time.sleep(2)
        run.start_agent()
        time.sleep(50)
        run.wait_for_rest()
        end = int(time.time()) - 2
        between = ("--since", stamp(begin), "--until", stamp(end))
        kept = run.report("--db", run.db, *between)
        one = run.scraped("--cluster", "eu1", *between)
        both = run.scraped("--by-label", "cluster", *between)
        wide = brim("report", "--prometheus", "http://127.0.0.1:%d" % run.prometheus_port, *between)[1]
    t.figure("a run of %d s, a scrape each %d s, the agent restarted once" % (end - begin, INTERVAL), "")
    compare(t, one["total"], kept["total"])
    t.check(one["scrapes"]["interval_seconds"] == INTERVAL, "an interval of %s" % one["scrapes"]["interval_seconds"])
    t.check(one["scrapes"]["agents"] == 2 and one["scrapes"]["disputed"] <= one["scrapes"]["compared"] / 20, "scrapes: %s" % one["scrapes"])
    t.check([c["name"] for c in both["clusters"]] == ["eu1", "us1"], "clusters: %s" % both["clusters"])
    t.check(abs(both["total"]["offered_core_hours"] - 2 * one["total"]["offered_core_hours"]) <= 0.02 * one["total"]["offered_core_hours"],
            "%s is not twice %s" % (both["total"]["offered_core_hours"], one["total"]["offered_core_hours"]))
    for cluster in both["clusters"]:
        t.check(abs(cluster["filler_core_hours"] - kept["total"]["filler_core_hours"]) <= 0.06 * kept["total"]["offered_core_hours"],
                "filler of %s: %s" % (cluster["name"], cluster["filler_core_hours"]))
    t.check("CLUSTER" in wide and "2 clusters" in wide, wide)

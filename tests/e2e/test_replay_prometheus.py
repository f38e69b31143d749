"""A real Prometheus that holds what kube-state-metrics would have shown of a trace: the replay from there against that of the trace."""

import json
import os
import subprocess
import sys
import tempfile
import time

from support import ROOT, LabError, Process, brim, free_port, http_get, test

sys.path.insert(0, os.path.join(ROOT, "tests", "trace"))
import ksm_load  # noqa: E402

TRACES = os.path.join(ROOT, "tests", "data", "traces")
POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: brim}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: filler}
  replicas: {max: %(max_replicas)d}
  headroom: {max: %(reserve_cpu_milli)dm}
  settle: 90s
  pod: {cpu: %(filler_cpu_milli)dm, memory: %(filler_memory_mib)dMi}
"""


def at(second):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ksm_load.EPOCH + second))


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode != 0:
        raise LabError("%s: %s" % (argv[0], done.stdout[-500:]))


class Filled:
    """A Prometheus with a trace's samples in its blocks."""

    def __init__(self, name, load, series):
        self.base, self.load = os.path.join(TRACES, name), load
        self.folder = tempfile.TemporaryDirectory(prefix="brim-prometheus-")
        with open(self.base + ".json") as f:
            self.policy = self.write("policy.yaml", POLICY % json.load(f))
        self.write("prometheus.yml", "global: {scrape_interval: 1h}\n")
        text = self.path("samples.txt")
        ksm_load.write_openmetrics(series, text)
        run("promtool", "tsdb", "create-blocks-from", "openmetrics", text, self.path("tsdb"))
        os.unlink(text)
        self.port, self.server = free_port(), None

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def start(self, *options):
        if self.server:
            self.server.stop()
        self.server = Process("prometheus", [
            "prometheus", "--config.file=" + self.path("prometheus.yml"), "--storage.tsdb.path=" + self.path("tsdb"),
            "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:%d" % self.port] + list(options), self.path("log")).start()
        until = time.monotonic() + 60
        while http_get(self.port, "/-/ready")[0] != 200:
            if time.monotonic() > until or not self.server.running():
                raise LabError("Prometheus is not ready: %s" % self.server.tail(20))
            time.sleep(0.2)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *args):
        self.server.stop()
        self.folder.cleanup()

    def replay(self, *args):
        status, out, err = brim("replay", "--prometheus", "http://127.0.0.1:%d" % self.port, "--since", at(0), "--until",
                                at(self.load.seconds), "--policy", self.policy, "-o", "json", *args)
        if status != 0:
            raise LabError("brim replay: exit status %d: %s" % (status, err))
        return json.loads(out)

    def trace(self):
        status, out, err = brim("replay", "--trace", self.base, "--policy", self.policy, "-o", "json")
        if status != 0:
            raise LabError("brim replay: exit status %d: %s" % (status, err))
        return json.loads(out)["runs"][0]


def compare(t, name, interval, phase, lost, fill, blocked):
    """Bounds: pods lost and blocked in percent of the pods, fill in points."""
    load = ksm_load.Load(os.path.join(TRACES, name))
    with Filled(name, load, ksm_load.samples(load, interval, phase)) as p:
        began = time.monotonic()
        answer = p.replay()
        seconds = time.monotonic() - began
        mine, theirs, scrapes = answer["runs"][0], p.trace(), answer["scrapes"]
    pods = theirs["paid_pods"]
    missing = len(p.load.pods) - scrapes["pods"]
    t.figure("%s, a scrape each %d s: asked and played in" % (name, interval), "%.1f s" % seconds)
    t.figure("  paid pods lost (estimated)", "%d of %d (%s)" % (missing, len(p.load.pods), scrapes.get("missing_estimated", "unknown")))
    t.figure("  fill", "%.1f %% instead of %.1f %%" % (mine["fill_percent"], theirs["fill_percent"]))
    t.figure("  blocked", "%d instead of %d" % (mine["blocked_pods"], theirs["blocked_pods"]))
    t.check(scrapes["interval_seconds"] == interval, "measured an interval of %s s" % scrapes["interval_seconds"])
    t.check(scrapes["nodes"] == len(p.load.nodes), "%d nodes" % scrapes["nodes"])
    t.check(0 <= missing <= len(p.load.pods) * lost / 100, "%d pods are lost" % missing)
    t.check(abs(mine["fill_percent"] - theirs["fill_percent"]) <= fill, "fill differs by more than %g" % fill)
    t.check(abs(mine["blocked_pods"] - theirs["blocked_pods"]) <= pods * blocked / 100, "blocked differs by more than %g %%" % blocked)
    return scrapes, missing


@test(timeout=120)
def a_replay_from_prometheus_is_that_of_the_trace(t):
    compare(t, "seed003", 30, 7, lost=0, fill=0.5, blocked=0.5)


@test(timeout=180)
def pods_shorter_than_the_scrape_interval_are_missed_and_estimated(t):
    scrapes, missing = compare(t, "noise", 30, 11, lost=18, fill=4, blocked=0.5)
    t.check(abs(scrapes["missing_estimated"] - missing) <= missing / 3, "%d are missing, %d estimated" % (missing, scrapes["missing_estimated"]))


@test(timeout=240, long=True)
def ends_to_half_an_interval_cost_little(t):
    compare(t, "rollouts", 30, 3, lost=0, fill=4, blocked=0.5)


@test(timeout=120)
def a_store_with_several_clusters_and_replicas_gives_one(t):
    load = ksm_load.Load(os.path.join(TRACES, "burst3"))
    series = {}
    for cluster in ("eu1", "us1"):
        for replica in ("a", "b"):
            series.update(ksm_load.samples(load, 10, 3, extra={"labels": {"cluster": cluster, "replica": replica}}))
    with Filled("burst3", load, series) as p:
        answer = p.replay("--match", 'cluster="eu1"', "--warm-up", "60s")
    t.check(answer["scrapes"]["pods"] == len(load.pods), "%d pods" % answer["scrapes"]["pods"])
    t.check(answer["scrapes"]["nodes"] == len(load.nodes), "%d nodes" % answer["scrapes"]["nodes"])
    t.check(answer["runs"][0]["paid_pods"] > 0, "no paid pods were played")


@test(timeout=120)
def a_server_that_may_load_few_samples_is_asked_in_smaller_windows(t):
    load = ksm_load.Load(os.path.join(TRACES, "seed003"))
    with Filled("seed003", load, ksm_load.samples(load, 30, 7)) as p:
        plain = p.replay()
        p.start("--query.max-samples=10000")
        status, _ = http_get(p.port, "/api/v1/query?query=max_over_time(timestamp(kube_pod_created)[4h:30s])&time=%d" % (
            ksm_load.EPOCH + load.seconds))
        few = p.replay()
    t.check(status == 422, "the whole trace was no burden: %d" % status)
    t.check(few == plain, "the answers differ")

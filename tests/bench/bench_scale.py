#!/usr/bin/env python3
"""The agent beside the pocket cluster, at the sizes of the budgets: memory, CPU, and how soon it yields, measured at the server.

Prints rows of a table: what, measured, budget; and lines NAME VALUE UNIT, which bench.py reads. The pocket cluster is another process on the same cores; agent and pocket are
not bound to any. Memory is /proc/PID/status; peak is VmHWM less what of it are mapped files. CPU is the sum over the agent's threads.

usage: bench_scale.py BRIM POCKET [--seconds N] [--small] [--only memory|cpu|latency] [--phases NAME,…] [--probes N] [--first]
  --seconds  how long each phase of events and probes runs (default 60)
  --phases   of the latency: plain, relist, report, viewers (default: all); each begins with a cluster of its own
  --probes   at most so many a second, one after another (default 200)
  --first    agent and pocket before all other programs (SCHED_FIFO; needs root), as if two cores were theirs; viewers and reports as usual
  --small    a tenth of the nodes and pods, to try the program itself
"""
import argparse
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

POLICY = """apiVersion: brim.dev/v1
kind: FillerPolicy
metadata: {name: miner}
spec:
  target: {apiVersion: apps/v1, kind: Deployment, namespace: filler, name: miner}
  replicas: {min: 0, max: 100000}
  headroom: {mode: fixed, max: 0}
  settle: 1s
  placement: spread
"""
SCENARIO = """priorityClasses:
  - {name: brim-filler, value: -100, preemptionPolicy: Never}
workloads:
  - {namespace: filler, name: miner, replicas: 0, cpu: 1, memory: 1Gi, grace: 1s, priorityClass: brim-filler}
"""
NOT_YET = (
    ("first sync, CPU beside curl and client-go informers on the real API server", "1.3 x curl"),
    ("aggregated API, CPU a request", "100 us, p99 5 ms at 1,000/s"),
    ("history of a year", "32 MB, report 50 ms"),
)
MIB = 1 << 20
RT_LIMIT = "/proc/sys/kernel/sched_rt_runtime_us"
FIRST = 5  # of SCHED_FIFO
VIEWERS = 100


def row(what, measured, budget, *figures):
    print("| %s | %s | %s |" % (what, measured, budget), flush=True)
    for name, value, unit in figures:
        print("scale.%s %.6g %s" % (name, value, unit), flush=True)


def memory(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        lines = dict(line.split(":", 1) for line in f)
    size = {key: int(lines[key].split()[0]) * 1024 for key in ("VmHWM", "VmRSS", "RssAnon")}
    size["peak"] = size["VmHWM"] - (size["VmRSS"] - size["RssAnon"])
    return size


def cpu(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def rt_limit():
    with open(RT_LIMIT, encoding="ascii") as f:
        return int(f.read())


def before_all():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIRST))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(what, condition, seconds=180):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit("bench_scale: waited %d s for %s" % (seconds, what))
        time.sleep(0.2)


class Stage:
    """A pocket cluster and an agent, both ended at the end."""

    def __init__(self, args, folder, nodes, pods, pocket=(), agent=()):
        self.folder, self.running = folder, []
        kubeconfig, scenario, policy = (os.path.join(folder, n) for n in ("kubeconfig", "scenario.yaml", "policy.yaml"))
        for path, text in ((scenario, SCENARIO), (policy, POLICY)):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
        self.pocket = subprocess.Popen([args.pocket, "--nodes", str(nodes), "--pods", str(pods), "--fat", "--scenario", scenario,
                                        "--kubeconfig", kubeconfig, "--ring", "262144", *pocket], stdout=subprocess.PIPE, text=True,
                                       preexec_fn=before_all if args.first else None)
        self.running.append(self.pocket)
        self.api = "http://" + self.pocket.stdout.readline().split(": ")[1].strip()
        # What the nodes' kubelets report at first, and pods that end at once, are not the sync's.
        time.sleep(5)
        self.port = free_port()
        with open(os.path.join(folder, "agent.log"), "w", encoding="utf-8") as log:
            self.agent = subprocess.Popen([args.brim, "agent", "--kubeconfig", kubeconfig, "--policy", policy, "--listen",
                                           "127.0.0.1:%d" % self.port, *agent], stderr=log,
                                          preexec_fn=before_all if args.first else None)
        self.running.append(self.agent)
        wait("the first sync", self.is_ready)
        self.sync_cpu = cpu(self.agent.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            process.wait()

    def get(self, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.port, path), timeout=30) as answer:
            return answer.read()

    def is_ready(self):
        try:
            return self.get("/readyz") is not None
        except OSError:
            return False

    def status(self):
        return json.loads(self.get("/api/v1/status"))

    def stress(self):
        """Begins events and probes. Two signals at once would be one."""
        self.pocket.send_signal(signal.SIGUSR1)
        time.sleep(2)

    def measured(self):
        """What was measured since the last time."""
        self.pocket.send_signal(signal.SIGUSR1)
        return json.loads(self.pocket.stdout.readline().split(": ", 1)[1])

    def relist(self):
        self.pocket.send_signal(signal.SIGHUP)

    def relisted(self, lists):
        text = self.log()
        return text.count("pods listed") > lists

    def log(self):
        with open(os.path.join(self.folder, "agent.log"), encoding="utf-8") as f:
            return f.read()


def steady(args, folder, nodes, pods, agent=()):
    with Stage(args, folder, nodes, pods, agent=("--dry-run", *agent)) as stage:
        time.sleep(3)
        return memory(stage.agent.pid)["RssAnon"], stage.status()["pods"]


def sizes(args, folder, n):
    few, _ = steady(args, folder, 100, 3000)
    row("RssAnon, 100 nodes, 3,000 pods", "%.1f MiB" % (few / MIB), "6 MiB", ("small_anon", few / MIB, "MiB"))
    base, base_pods = steady(args, folder, n(5000), n(100000))
    half, _ = steady(args, folder, n(2500), n(100000))
    a_node = (base - half) / (n(5000) - n(2500))
    row("bytes a node of 12 labels", "%d" % a_node, "1.2 KB", ("node", a_node, "B"))
    return base, base_pods


def bytes_a_pod(args, folder, n, base, base_pods, with_history):
    agent = ("--db", os.path.join(folder, "history.db")) if with_history else ()
    big, pods = steady(args, folder, n(5000), n(150000), agent)
    if with_history:
        base, base_pods = steady(args, folder, n(5000), n(100000), ("--db", os.path.join(folder, "history2.db")))
    a_pod = (big - base) / (pods - base_pods)
    row("bytes a pod" + (", history kept" if with_history else ""), "%d" % a_pod, "110",
        ("pod_history" if with_history else "pod", a_pod, "B"))


def relist(stage):
    """Before there are events: the version moves by a node, so that the pods' watch is behind and cannot resume."""
    before, used = memory(stage.agent.pid), cpu(stage.agent.pid)
    lists = stage.log().count("pods listed")
    patch = urllib.request.Request(stage.api + "/api/v1/nodes/n-00000", data=b'{"metadata":{"annotations":{"bench":"1"}}}',
                                   method="PATCH", headers={"Content-Type": "application/merge-patch+json"})
    urllib.request.urlopen(patch, timeout=30).close()
    stage.relist()
    wait("the relist", lambda: stage.relisted(lists))
    time.sleep(2)
    after = memory(stage.agent.pid)
    first, again = ((size["peak"] - before["RssAnon"]) / MIB for size in (before, after))
    row("RssAnon at rest", "%.1f MiB" % (before["RssAnon"] / MIB), "32 MiB", ("anon", before["RssAnon"] / MIB, "MiB"))
    row("peak in the first sync, above that", "%.1f MiB" % first, "2 MiB", ("peak_sync", first, "MiB"))
    row("peak in a relist, above that", "%.1f MiB" % again, "2 MiB", ("peak_relist", again, "MiB"))
    row("CPU of the relist", "%.2f s" % (cpu(stage.agent.pid) - used), "–")


def idle(stage, seconds):
    used = cpu(stage.agent.pid)
    time.sleep(seconds)
    used = (cpu(stage.agent.pid) - used) / seconds * 100
    row("CPU at rest", "%.3f %%" % used, "0.1 %", ("idle", used, "%"))


def metrics(stage):
    used, n = cpu(stage.agent.pid), 300
    for _ in range(n):
        text = stage.get("/metrics")
    used, size = (cpu(stage.agent.pid) - used) / n * 1000, len(text) / 1024
    row("`/metrics`", "%.1f KB, %.2f ms of CPU" % (size, used), "64 KB, 1 ms", ("metrics_size", size, "KB"),
        ("metrics_cpu", used, "ms"))


def events(stage, seconds):
    stage.stress()
    stage.measured()
    used = cpu(stage.agent.pid)
    time.sleep(seconds)
    used = cpu(stage.agent.pid) - used
    rate = stage.measured()["events"] / seconds
    row("CPU at %d pod events a second" % rate, "%.1f %% of a core" % (used / seconds * 100), "2 %",
        ("events", used / seconds * 100, "%"))


def deaths(stage, wanted):
    """Deletes whole namespaces of pods at once, until so many are gone."""
    before, used = stage.status()["pods"], cpu(stage.agent.pid)
    for namespace in ("sidecar", "api", "queue"):
        body = json.dumps({"gracePeriodSeconds": 0}).encode()
        request = urllib.request.Request("%s/api/v1/namespaces/%s/pods" % (stage.api, namespace), data=body, method="DELETE",
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()
    wait("the deletions", lambda: before - stage.status()["pods"] >= wanted)
    time.sleep(1)
    gone = before - stage.status()["pods"]
    used = cpu(stage.agent.pid) - used
    row("CPU of %d pods that go at once" % gone, "%.2f s, %.2f s for 50,000" % (used, used * 50000 / gone), "1 s for 50,000",
        ("deaths", used * 50000 / gone, "s"))


def view(stage, stop):
    """VIEWERS connections that are kept, each asks once a second; a tenth of them read a byte at a time."""
    request = b"GET /api/v1/status HTTP/1.1\r\nHost: b\r\n\r\n"
    viewers = [socket.create_connection(("127.0.0.1", stage.port)) for _ in range(VIEWERS)]
    for i in range(10 ** 9):
        if stop.wait(1.0 / VIEWERS):
            break
        s = viewers[i % VIEWERS]
        s.sendall(request)
        s.setblocking(False)
        try:
            s.recv(1 if i % 10 == 0 else 1 << 20)
        except BlockingIOError:
            pass
        s.setblocking(True)
    for s in viewers:
        s.close()


def relist_often(stage, stop):
    while True:
        stage.pocket.send_signal(signal.SIGUSR2)
        if stop.wait(20):
            return


def report_often(stage, stop):
    while not stop.is_set():
        subprocess.run([stage.brim, "report", "--db", stage.db], stdout=subprocess.DEVNULL, check=True)


def nothing(_, stop):
    stop.wait()


PHASES = {
    "plain": ("nothing else", nothing),
    "relist": ("a list of all pods every 20 s", relist_often),
    "report": ("`brim report` over a week of history, again and again", report_often),
    "preemption": ("the scheduler's own preemption of filler for each", nothing),
    "viewers": ("%d viewers that poll the status once a second, a tenth of them slow readers" % VIEWERS, view),
}


def week_of_history(args, folder, path):
    """What an agent records in ten seconds, again and again for the week before."""
    with Stage(args, folder, 10, 10, agent=("--dry-run", "--db", path)):
        time.sleep(21)
    db = sqlite3.connect(path)
    columns = [c[1] for c in db.execute("PRAGMA table_info(sample)")]
    first = db.execute("SELECT min(t) FROM sample").fetchone()[0]
    step = 10 * 10 ** (len(str(first)) - 10)
    db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60480) INSERT INTO sample SELECT %s "
               "FROM n, (SELECT * FROM sample WHERE t = %d)" % (
                   ",".join("t - i * %d" % step if c == "t" else c for c in columns), first))
    db.commit()
    db.close()


def latency(args, folder, n):
    for key in args.phases.split(","):
        latency_beside(args, folder, n, key)


def latency_beside(args, folder, n, key):
    """A full cluster: each probe takes the place of one filler pod."""
    # 15 cores a node: about four of them are filler's.
    pocket = ("--node-cores", "15", "--swift", "--events", "1000", "--probes", str(args.probes), "--probe-target", "filler/miner")
    db = os.path.join(folder, "latency-%s.db" % key)
    name, beside = PHASES[key]
    if key == "preemption":
        pocket += ("--probes-preempt",)
    if key == "report":
        week_of_history(args, folder, db)
    with Stage(args, folder, n(5000), n(136000), pocket=pocket, agent=("--db", db)) as stage:
        stage.brim, stage.db = args.brim, db

        def full():
            filler = stage.status()["fillers"][0]
            return filler["replicas"] > n(10000) and filler["running"] == filler["replicas"]
        wait("the filler", full, 400)
        pods = stage.status()["pods"]
        stage.stress()
        stop = threading.Event()
        thread = threading.Thread(target=beside, args=(stage, stop))
        thread.start()
        stage.measured()
        used, began = (cpu(stage.agent.pid), cpu(stage.pocket.pid)), time.monotonic()
        time.sleep(args.seconds)
        got, seconds = stage.measured(), time.monotonic() - began
        used = [(cpu(p.pid) - u) / seconds * 100 for p, u in zip((stage.agent, stage.pocket), used)]
        stop.set()
        thread.join()
        row("yield at the server, %d pods, 1,000 events/s, beside %s (%d yields; agent %.1f %%, server %.1f %% of a core)" % (
            pods, name, got["probes"], *used), "p50 %.2f, p99 %.2f, p99.9 %.2f, max %.1f ms; %d missed" % (
                *(got[q + "_us"] / 1e3 for q in ("p50", "p99", "p999", "max")), got["missed"]),
            "p99 2 ms, max 50 ms" if key != "preemption" else "–", *(
                (figure + ("." + key if key != "preemption" else "_preempted"), got[what] / 1e3 if unit == "ms" else got[what], unit)
                for figure, what, unit in (("yield_p99", "p99_us", "ms"), ("yield_max", "max_us", "ms"), ("yields", "probes", "samples"))))
        row("… until this server of one thread came to read it", "p50 %.2f, p99 %.2f, p99.9 %.2f, max %.1f ms" % tuple(
            got["read_%s_us" % q] / 1e3 for q in ("p50", "p99", "p999", "max")), "–")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("brim")
    parser.add_argument("pocket")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--only", choices=("memory", "cpu", "latency"), default=None)
    args = parser.parse_args()
    if args.first and rt_limit() >= 0:
        print("bench_scale: the kernel takes cores from real-time programs at times: -1 in %s stops that" % RT_LIMIT, file=sys.stderr)

    def n(count):
        return count // 10 if args.small else count

    print("| what (%d nodes, %d pods) | measured | budget |\n| --- | --- | --- |" % (n(5000), n(150000)))
    with tempfile.TemporaryDirectory() as folder:
        if args.only in (None, "memory"):
            base, base_pods = sizes(args, folder, n)
            bytes_a_pod(args, folder, n, base, base_pods, False)
            bytes_a_pod(args, folder, n, base, base_pods, True)
        if args.only in (None, "cpu"):
            with Stage(args, folder, n(5000), n(150000), pocket=("--events", "1000"),
                       agent=("--dry-run", "--db", os.path.join(folder, "cpu.db"))) as stage:
                row("CPU of the first sync, without TLS", "%.2f s" % stage.sync_cpu, "–")
                time.sleep(12)
                idle(stage, 30)
                metrics(stage)
                relist(stage)
                events(stage, args.seconds)
        if args.only in (None, "cpu"):
            with Stage(args, folder, n(5000), n(150000), agent=("--dry-run",)) as stage:
                time.sleep(3)
                deaths(stage, n(50000))
        if args.only in (None, "latency"):
            latency(args, folder, n)
    if args.only is None:
        for what, budget in NOT_YET:
            row(what, "not measured yet", budget)


if __name__ == "__main__":
    sys.exit(main())

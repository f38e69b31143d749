"""The agent beside a control plane that works: what it serves, what it writes, what it leaves alone."""

import json
import subprocess
import time

from lab import is_unschedulable
from support import (NODES, SHORT_SETTLE, http_get, deployment, free_port, paid, parse_metrics, policy_text, replicas,
                     requests_log, test)

CORES = sum(NODES.values())

# Verb and resource of everything that the example's roles grant.
ALLOWED = {("list", "pods"), ("watch", "pods"), ("list", "nodes"), ("watch", "nodes"), ("get", "deployments"),
           ("get", "deployments/scale"), ("patch", "deployments/scale"), ("list", "horizontalpodautoscalers"),
           ("list", "scaledobjects"), ("create", "events"), ("patch", "events")}


def stays(lab, count, seconds):
    """Do the target's replicas stay at `count` for so long? Returns the first other value, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = replicas(lab)
        if now != count:
            return now
        time.sleep(0.2)
    return None


def writes(lab, since):
    """The audit log's entries of brim, from an index on, that changed something."""
    return [e for e in requests_log(lab)[since:] if e["verb"] not in ("get", "list", "watch")]


@test(timeout=60)
def it_serves_what_its_probes_and_pages_promise(t):
    lab = t.lab()
    agent = t.agent(lab)
    t.check(agent.get("/livez")[0] == 200, "/livez answered %d" % agent.get("/livez")[0])
    t.check(agent.get("/readyz")[0] == 200, "/readyz answered %d" % agent.get("/readyz")[0])
    status = agent.status()
    t.check(status["nodes"] == len(NODES), "found %s nodes, expected %d" % (status["nodes"], len(NODES)))
    t.check(status["cpu"]["allocatable_milli"] == 1000 * CORES, "found %s millicores" % status["cpu"]["allocatable_milli"])
    lab.apply(paid("load", 3, 2))
    lab.wait_until(lambda: agent.status()["cpu"]["paid_milli"] == 6000, 10, "brim to count 6 paid cores")
    t.check(isinstance(agent.decisions(), list), "decisions are no list")
    t.check(agent.get("/nothing")[0] == 404, "/nothing answered %d" % agent.get("/nothing")[0])


@test(timeout=90)
def prometheus_scrapes_it_and_promtool_finds_no_fault(t):
    lab = t.lab()
    lab.apply(paid("load", 10, 1))
    agent = t.agent(lab)
    lab.wait_until(lambda: agent.filler()["remaining_milli"] == 1000 * (CORES - 10), 15, "brim to see 10 paid cores")
    status, text = agent.get("/metrics")
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             universal_newlines=True)
    t.check(checked.returncode == 0 and not checked.stdout.strip(), "promtool: %s" % checked.stdout.strip())
    t.check(len(text) < 64 << 10, "/metrics has %d bytes" % len(text))
    t.figure("/metrics", "%d samples, %d bytes" % (len(parse_metrics(text)), len(text)))

    port = free_port()
    config = t.file(lab, "prometheus.yml", json.dumps({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "brim", "static_configs": [{"targets": ["127.0.0.1:%d" % agent.port]}]}]}))
    prometheus = lab.spawn("prometheus", ["prometheus", "--config.file=" + config, "--storage.tsdb.path=" + lab.path("prometheus"),
                                          "--web.listen-address=127.0.0.1:%d" % port])

    def query(what):
        _, answer = http_get(port, "/api/v1/query?query=" + what)
        rows = json.loads(answer)["data"]["result"] if answer.startswith("{") else []
        return [(r["metric"], float(r["value"][1])) for r in rows]

    rows = lab.wait_until(lambda: query("cpu_capacity_remaining"), 30, "Prometheus to have scraped brim", 0.2)
    remaining = agent.filler()["remaining_milli"] / 1000
    t.check([v for _, v in rows] == [remaining], "Prometheus has %s, brim's status %g" % (rows, remaining))
    t.check(rows[0][0].get("policy") == "miner", "labels %s" % rows[0][0])
    t.check([v for _, v in query("up")] == [1.0], "up is %s" % query("up"))
    lab.apply(paid("more", 5, 4))
    lab.wait_until(lambda: [v for _, v in query("cpu_capacity_remaining")] == [remaining - 20], 15,
                   "the metric to fall by the 20 cores of new load", 0.2)
    prometheus.stop()


@test(timeout=60)
def an_unknown_target_is_reported_and_nothing_is_written(t):
    lab = t.lab()
    policy = policy_text().replace("namespace: filler, name: miner", "namespace: filler, name: nobody")
    began = len(requests_log(lab, "admin"))
    agent = t.agent(lab, policy, kubeconfig=lab.kubeconfig)
    lab.wait_until(lambda: "target is left alone" in agent.output(), 10, "brim to report the missing target")
    t.check("nobody" in agent.output(), "the log does not name the target")
    t.check(agent.ready(), "/readyz is not ok")
    t.check(agent.filler()["replicas"] is None, "replicas of a target that is not there: %s" % agent.filler()["replicas"])
    time.sleep(3)
    asked = [e for e in requests_log(lab, "admin")[began:] if e["userAgent"].startswith("brim/")]
    changed = [(e["verb"], e["requestURI"]) for e in asked if e["verb"] not in ("get", "list", "watch")]
    t.check(asked, "the audit log names no request of brim")
    t.check(not changed, "brim wrote: %s" % changed)
    # It takes the target up once it is there.
    found = deployment("nobody", 3, namespace="filler", cpu="1", memory="1Gi", grace=1, priority_class="brim-filler")
    lab.apply(found)
    lab.wait_until(lambda: agent.filler()["replicas"] == 3, 40, "brim to find the target that was made meanwhile")


@test(timeout=120)
def a_target_with_an_autoscaler_is_left_alone(t):
    lab = t.lab()
    lab.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
               "metadata": {"name": "rival", "namespace": "filler"},
               "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "miner"}, "minReplicas": 1,
                        "maxReplicas": 50, "metrics": [{"type": "Resource", "resource": {
                            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})
    lab.scale("filler", "miner", 5)
    began = len(requests_log(lab))
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: 2}"))  # without the autoscaler 5 would be taken down at once
    lab.wait_until(lambda: "rival" in agent.output(), 10, "brim to name the autoscaler in its log")
    other = stays(lab, 5, 8)
    t.check(other is None, "brim scaled it to %s" % other)
    changed = [(e["verb"], e["objectRef"]["resource"]) for e in writes(lab, began)]
    t.check(all(resource == "events" for _, resource in changed), "brim wrote %s" % changed)
    events = lab.kubectl("-n", "filler", "get", "events")
    t.check("HorizontalPodAutoscaler" in events and "rival" in events, "no event names the autoscaler: %s" % events)
    lab.delete("/apis/autoscaling/v2/namespaces/filler/horizontalpodautoscalers/rival")
    gone = time.monotonic()
    lab.wait_until(lambda: replicas(lab) == 2, 45, "brim to take over once the autoscaler is gone")
    t.figure("autoscaler gone to first write", "%.1f s" % (time.monotonic() - gone))


@test(timeout=90)
def replicas_set_by_others_are_taken_down_above_and_kept_below(t):
    lab = t.lab()
    lab.scale("filler", "miner", 10)
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: 10}"))
    lab.wait_until(lambda: agent.filler()["replicas"] == 10, 10, "brim to read 10 replicas")
    lab.kubectl("-n", "filler", "scale", "deployment", "miner", "--replicas=20")
    began = time.monotonic()
    lab.wait_until(lambda: replicas(lab) == 10, 10, "brim to take 20 replicas down to 10", 0.02)
    t.figure("20 set by hand, taken down to 10 after", "%.2f s" % (time.monotonic() - began))
    lab.kubectl("-n", "filler", "scale", "deployment", "miner", "--replicas=4")
    other = stays(lab, 4, 12)
    t.check(other is None, "4 replicas set by hand became %s" % other)
    f = agent.filler()
    t.check(f["replicas"] == 4 and f["state"] in ("foreign", "paused"), "status says %s replicas, %s" % (f["replicas"], f["state"]))


@test(timeout=60)
def a_dry_run_decides_and_writes_nothing(t):
    lab = t.lab()
    lab.scale("filler", "miner", 5)
    began = len(requests_log(lab))
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: 2}"), args=["--dry-run"])
    lab.wait_until(lambda: agent.filler()["wanted"] == 2, 10, "the dry run to want 2 replicas")
    other = stays(lab, 5, 5)
    t.check(other is None, "replicas became %s" % other)
    t.check(agent.status()["dry_run"], "status does not say that it is a dry run")
    t.check(any(d["to"] == 2 and d["from"] == 5 for d in agent.decisions()), "no decision 5 -> 2: %s" % agent.decisions())
    agent.stop()
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: 2}", mode="dry-run"))
    lab.wait_until(lambda: agent.filler()["wanted"] == 2, 10, "the policy in dry-run to want 2 replicas")
    other = stays(lab, 5, 3)
    t.check(other is None, "replicas became %s under mode: dry-run" % other)
    changed = [(e["verb"], e["requestURI"]) for e in writes(lab, began)]
    t.check(not changed, "brim wrote: %s" % changed)


@test(timeout=120)
def the_roles_of_the_example_suffice_and_are_all_used(t):
    lab = t.lab()
    began = len(requests_log(lab))
    agent = t.agent(lab)
    lab.wait_until(lambda: replicas(lab) > 0, SHORT_SETTLE + 15, "the first harvest")
    t.check(replicas(lab) == 150, "harvested to %d, expected 150" % replicas(lab))
    lab.apply(paid("load", 16, 4))  # 120 left, less the headroom in whole pods of 4 cores
    lab.wait_until(lambda: replicas(lab) == CORES - 64 - 32, 15, "brim to yield to 64 cores")
    lab.wait_until(lambda: "New size: 88" in lab.kubectl("-n", "filler", "get", "events"), 10, "the event to be seen by kubectl", 0.5)
    events = lab.kubectl("-n", "filler", "get", "events", "--field-selector", "involvedObject.name=miner,reason=SuccessfulRescale")
    t.check("New size: 150; reason: " in events, "no event of the harvest: %s" % events)
    asked = requests_log(lab)[began:]
    refused = [(e["verb"], e["requestURI"], e["responseStatus"]["code"]) for e in asked if e["responseStatus"]["code"] in (401, 403)]
    t.check(not refused, "refused: %s" % refused[:5])
    used = set()
    for e in asked:
        if "objectRef" in e:
            used.add((e["verb"], "/".join(filter(None, (e["objectRef"]["resource"], e["objectRef"].get("subresource"))))))
    t.figure("verbs used", ", ".join(sorted(" ".join(u) for u in used)))
    t.check(used <= ALLOWED, "brim did what the roles do not name: %s" % sorted(used - ALLOWED))
    # An event that comes again; servers without WatchList; watches that are silent.
    unused = ALLOWED - used - {("patch", "events"), ("list", "pods"), ("list", "nodes")}
    t.check(not unused, "the roles grant what brim did not need: %s" % sorted(unused))


def cordon(lab, names, yes):
    for name in names:
        lab.api("PATCH", "/api/v1/nodes/" + name, {"spec": {"unschedulable": yes}})


@test(timeout=120)
def it_yields_at_once_where_preemption_cannot_help(t):
    """Paid pods that may not preempt, on the one node that is not cordoned: nobody but brim makes room for them."""
    lab = t.lab()
    others = [n for n in NODES if n != "n1"]
    cordon(lab, others, True)
    try:
        yields_for_polite_pods(t, lab)
    finally:
        cordon(lab, others, False)


def yields_for_polite_pods(t, lab):
    lab.apply({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "polite"}, "value": 0,
               "preemptionPolicy": "Never"})
    lab.scale("filler", "miner", NODES["n1"])
    agent = t.agent(lab, policy_text(headroom="{mode: fixed, max: 0}"))
    lab.wait_until(lambda: agent.filler()["running"] == NODES["n1"], 40, "filler to run on all of n1")
    pods = lab.watch("/api/v1/namespaces/default/pods")
    target = lab.watch("/apis/apps/v1/namespaces/filler/deployments")
    lab.apply(paid("load", 3, 4, priority_class="polite"))
    pods.wait(lambda w: len(w.objects) == 3 and all(p["spec"].get("nodeName") for p in w.objects.values()), 40,
              "the paid pods to have a node")
    born, refused, bound = {}, {}, {}
    for e in pods.events:
        key = e.object["metadata"]["name"]
        born.setdefault(key, e.mono)
        if is_unschedulable(e.object):
            refused.setdefault(key, e.mono)
        if e.object["spec"].get("nodeName"):
            bound.setdefault(key, e.mono)
    t.check(len(refused) == 3, "%d of 3 paid pods were unschedulable at first" % len(refused))
    yielded = next(e.mono for e in target.events if e.object["spec"]["replicas"] < NODES["n1"])
    waits = sorted(bound[k] - born[k] for k in bound)
    t.figure("first pod unschedulable to fewer replicas, both as watched", "%.1f ms" % (1000 * (yielded - min(refused.values()))))
    t.figure("paid pods' waits (grace 10 s)", ", ".join("%.2f s" % w for w in waits))
    t.check(waits[-1] <= 10 + 10 + 5, "the longest wait was %.1f s, expected at most grace + back-off + 5 s" % waits[-1])
    t.check(replicas(lab) == NODES["n1"] - 12, "replicas are %d" % replicas(lab))
    of_policy = frozenset([("policy", "miner")])
    metrics = agent.metrics()
    count = metrics.get(("brim_yield_latency_seconds_count", of_policy), 0)
    t.check(count > 0, "no yield was counted in brim_yield_latency_seconds")
    if count:
        t.figure("urgent yields, mean from frame to write", "%d, %.2f ms" % (
            count, 1000 * metrics["brim_yield_latency_seconds_sum", of_policy] / count))
    lab.delete("/apis/scheduling.k8s.io/v1/priorityclasses/polite")

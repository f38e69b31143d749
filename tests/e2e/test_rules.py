"""deploy/prometheus/remaining.rules.yaml: what paid load leaves, of kube-state-metrics alone, by promtool and by a real Prometheus."""

import json
import os
import re
import sys
import tempfile
import urllib.parse

from support import ROOT, LabError, http_get, test
from test_replay_prometheus import TRACES, Filled, run

sys.path.insert(0, os.path.join(ROOT, "tests", "trace"))
import ksm_load  # noqa: E402

RULES = os.path.join(ROOT, "deploy", "prometheus", "remaining.rules.yaml")
SCRAPE, EVALUATE = 30, 15

# Pods as kube-state-metrics tells of them: (name, node, priority class, requests, inits, sidecars, overhead, phase), in cores.
PODS = (
    ("web", "a", "", (0.25, 0.25), (), (), 0, "Running"),
    ("meshed", "a", "", (0.5,), (1.0,), (0.2,), 0.1, "Running"),   # the init container asks for more than all that run on
    ("started", "a", "", (0.5,), (0.6,), (0.2,), 0.1, "Running"),  # it does not
    ("miner", "a", "filler", (2.0,), (), (), 0, "Running"),
    ("done", "a", "", (3.0,), (), (), 0, "Succeeded"),
    ("waits", "", "", (0.3,), (), (), 0, "Pending"),
    ("elsewhere", "c", "", (1.0,), (), (), 0, "Running"),
    ("full", "d", "", (5.0,), (), (), 0, "Running"),
)
PAID = {"web": 0.5, "meshed": 1.1, "started": 0.8, "waits": 0.3, "elsewhere": 1.0, "full": 5.0}
NODES = {"a": (4, 0, 1), "b": (8, 0, 1), "c": (16, 1, 1), "d": (4, 0, 1), "e": (32, 0, 0)}  # cores, cordoned, ready
REMAINING = {"a": 4 - 0.5 - 1.1 - 0.8, "b": 8, "d": 0}


def series():
    """(series, value) for promtool, each of two replicas of kube-state-metrics."""
    for replica in ("x", "y"):
        for node, (cores, cordoned, ready) in NODES.items():
            yield 'kube_node_status_allocatable{node="%s",resource="cpu",instance="%s"}' % (node, replica), cores
            yield 'kube_node_spec_unschedulable{node="%s",instance="%s"}' % (node, replica), cordoned
            yield 'kube_node_status_condition{node="%s",condition="Ready",status="true",instance="%s"}' % (node, replica), ready
        for name, node, priority, requests, inits, sidecars, overhead, phase in PODS:
            who = 'namespace="shop",pod="%s",uid="u-%s",instance="%s"' % (name, name, replica)
            yield 'kube_pod_info{%s,node="%s",priority_class="%s"}' % (who, node, priority), 1
            for p in ("Pending", "Running", "Succeeded", "Failed"):
                yield 'kube_pod_status_phase{%s,phase="%s"}' % (who, p), int(p == phase)
            if overhead:
                yield "kube_pod_overhead_cpu_cores{%s}" % who, overhead
            for kind, family, cores in (("c", "container", requests), ("i", "init_container", inits), ("s", "init_container", sidecars)):
                for i, value in enumerate(cores):
                    container = '%s,container="%s%d"' % (who, kind, i)
                    yield 'kube_pod_%s_resource_requests{%s,resource="cpu"}' % (family, container), value
                    if kind == "s":
                        yield 'kube_pod_init_container_info{%s,restart_policy="Always"}' % container, 1


def expected(query, samples):
    return {"expr": query, "eval_time": "2m", "exp_samples": samples}


@test(timeout=60)
def the_rules_count_as_kube_scheduler_does(t):
    nodes = {name: node for name, node, *_ in PODS}
    unit = {
        "rule_files": [RULES], "evaluation_interval": "15s",
        "tests": [{
            "interval": "15s",
            "input_series": [{"series": s, "values": "%s+0x20" % v} for s, v in series()],
            "promql_expr_test": [
                expected("round(pod:cpu_paid:cores, 0.001)",
                         [{"labels": '{namespace="shop",%spod="%s",uid="u-%s"}' % ('node="%s",' % nodes[p] if nodes[p] else "", p, p), "value": v}
                          for p, v in PAID.items()]),
                expected("round(node:cpu_remaining:cores, 0.001)",
                         [{"labels": '{node="%s"}' % n, "value": round(v, 3)} for n, v in REMAINING.items()]),
                expected("round(cluster:cpu_remaining:cores, 0.001)",
                         [{"labels": "{}", "value": round(sum(REMAINING.values()) - 0.3, 3)}]),
            ]}]}
    with tempfile.TemporaryDirectory(prefix="brim-rules-") as folder:
        path = os.path.join(folder, "test.yaml")
        with open(path, "w") as f:
            json.dump(unit, f)  # YAML takes JSON
        run("promtool", "check", "rules", RULES)
        run("promtool", "test", "rules", path)
    t.figure("pods, nodes", "%d, %d" % (len(PODS), len(NODES)))


def rules():
    """[(name, expression)] in their order; the file's own form is enough of a grammar."""
    with open(RULES) as f:
        found = re.findall(r"- record: (\S+)\n +expr: \|2\n((?: {10}.*\n)+)", f.read())
    if len(found) != 7:
        raise LabError("%d rules were found, expected 7" % len(found))
    return found


def whole():
    """The last rule with all others in the place of their names."""
    known = {}
    for name, text in rules():
        for other, inside in known.items():
            text = re.sub(re.escape(other) + r"(?:\{(.*?)\})?",
                          lambda m, inside=inside: "(%s)" % inside if m.group(1) is None else narrowed(inside, m.group(1)), text)
        known[name] = text
    return known["cluster:cpu_remaining:cores"]


def narrowed(expression, matcher):
    """A recorded series with a matcher on `node`: what its expression has of that."""
    label, sign, value = re.match(r'(\w+)(!?=)"(.*)"', matcher).groups()
    assert label == "node" and value == ""
    return "((%s) %s on (namespace, pod, uid) kube_pod_info{node=\"\"})" % (expression, "and" if sign == "=" else "unless")


def truth(load, t):
    """Cores that paid pods leave at that second of the trace."""
    asked = sum(p.cpu for p in load.pods if p.created <= t and (p.deleted is None or t < p.deleted))
    return max(sum(cpu for cpu, _ in load.nodes.values()) - asked, 0) / 1000


@test(timeout=180)
def a_trace_says_how_far_off_they_are(t):
    load = ksm_load.Load(os.path.join(TRACES, "seed003"))
    phase, first = 7, ksm_load.EPOCH
    end = int(load.seconds) // EVALUATE * EVALUATE
    with Filled("seed003", load, ksm_load.samples(load, SCRAPE, phase)) as p:
        # Blocks have no marks where series end, as scrapes leave them: what is older than a scrape is gone.
        p.start("--query.lookback-delta=%ds" % (SCRAPE - 1))
        query = urllib.parse.urlencode({"query": whole(), "start": first + SCRAPE, "end": first + end, "step": EVALUATE})
        status, text = http_get(p.port, "/api/v1/query_range?" + query)
    t.check(status == 200, "%d: %s" % (status, text[:300]))
    got = {round(float(at)) - first: float(v) for at, v in json.loads(text)["data"]["result"][0]["values"]}
    t.check(len(got) == (end - SCRAPE) // EVALUATE + 1, "%d evaluations" % len(got))
    wrong = [(at, v, truth(load, (at - phase) // SCRAPE * SCRAPE + phase)) for at, v in got.items()]
    wrong = [w for w in wrong if abs(w[1] - w[2]) > 0.001]
    t.check(not wrong, "not what the last scrape saw: %s" % wrong[:3])
    off = sorted(abs(got[s // EVALUATE * EVALUATE] - truth(load, s)) for s in range(SCRAPE, end))
    cores = sum(cpu for cpu, _ in load.nodes.values()) / 1000
    t.figure("scraped each %d s, evaluated each %d s, of %d cores: off on average" % (SCRAPE, EVALUATE, cores), "%.2f cores" % (sum(off) / len(off)))
    t.figure("  a hundredth of the time by more than; at most", "%.1f; %.1f cores" % (off[len(off) * 99 // 100], off[-1]))
    t.check(off[-1] > 0, "it is as old as a scrape and right at every second?")

"""Those who read brim's metrics, from the files of deploy/examples: autoscalers on metrics of pods, from outside, of an object.

What each sets is held against the algorithm of autoscaling/v2, computed here for the same metric: the series of sizes must be that
one, and the conditions must say why it ends.
"""

import math
import os
import re
import time

import aggregate
from lab import ApiError, LabError
from support import ROOT, SHORT_SETTLE, deployment, free_port, paid, read, replicas, test

HPAS = "/apis/autoscaling/v2/namespaces/filler/horizontalpodautoscalers"
CORES = 184


def example(scenario, name):
    return os.path.join(ROOT, "deploy", "examples", scenario, name)


def with_settle(policy):
    return re.sub(r"(?m)^  settle: .*$", "  settle: %gs" % SHORT_SETTLE, policy)


def steps(size, least, most, propose):
    """The sizes that an autoscaler sets, until it stays: `propose(size)` is the metric's proposal. Within 15 s it adds at most 4
    pods or doubles, whichever is more; one larger step is waited for that long, several small ones from 1 to 5 are not."""
    series = []
    while True:
        want = min(max(propose(size), least), most, max(size + 4, 2 * size))
        if want == size or len(series) > 20:
            return series
        series.append(want)
        size = want


def by_ratio(value, target):
    """Value: the replicas times metric over target, unless that is within a tenth of 1."""
    ratio = value / target
    return lambda size: size if abs(ratio - 1) <= 0.1 + 1e-9 else math.ceil(size * ratio - 1e-9)


def by_share(value, target):
    """AverageValue: a replica for each `target` of the metric, whatever there are now; within a tenth it stays."""
    return lambda size: size if size and abs(value / (target * size) - 1) <= 0.1 + 1e-9 else math.ceil(value / target - 1e-9)


class Consumer:
    """An agent that only publishes, the filler, and an autoscaler that reads."""

    def __init__(self, t, scenario, group, start, policy="policy.yaml"):
        self.t, self.lab, self.group = t, t.lab(), group
        lab, port = self.lab, free_port()
        lab.apply(deployment("miner", 0, namespace="filler", cpu="1", memory="1Gi", grace=1, priority_class="brim-filler"))
        lab.scale("filler", "miner", start)
        self.agent = t.agent(lab, with_settle(read(example(scenario, policy))), args=aggregate.arguments(lab, group, port))
        aggregate.register(lab, group, port)
        self.sizes = lab.watch("/apis/apps/v1/namespaces/filler/deployments", lambda d: {
            "metadata": {k: d["metadata"][k] for k in ("namespace", "name")}, "replicas": d["spec"]["replicas"]})
        lab.wait_until(lambda: replicas(lab) == start and self.ready() == start, 30, "%d filler pods to be ready" % start)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        aggregate.unregister(self.lab, self.group)
        self.sizes.stop()

    def apply(self, scenario, *names):
        for name in names:
            self.lab.apply(read(example(scenario, name)))

    def ready(self):
        return self.lab.api("GET", "/apis/apps/v1/namespaces/filler/deployments/miner").get("status", {}).get("readyReplicas", 0)

    def remaining(self, cores, reserve=0):
        """Paid load that leaves this many cores beside a reserve: pods of 4 cores, the rest of 1."""
        lab, load = self.lab, CORES - cores - reserve
        lab.apply([paid("big", load // 4, 4), paid("small", load % 4, 1)])
        lab.wait_until(lambda: self.agent.filler()["remaining_milli"] == cores * 1000, 30, "%d cores to remain" % cores)

    def series(self, since):
        """Sizes that were set since a moment."""
        found, last = [], None
        for e in self.sizes.events:
            size = e.object["replicas"]
            if e.mono >= since and size != last and last is not None:
                found.append(size)
            last = size
        return found

    def conditions(self, name="miner"):
        status = self.lab.api("GET", HPAS + "/" + name).get("status", {})
        return {c["type"]: (c["status"], c["reason"], c["message"]) for c in status.get("conditions", [])}

    def reaches(self, what, before, expected, seconds=40):
        """The series since `before` becomes this one, and stays it for three rounds."""
        try:
            self.lab.wait_until(lambda: self.series(before) == expected, seconds, what, 0.1)
        except LabError as e:
            self.t.check(False, "%s: sizes %s, by the algorithm %s; the autoscaler says %s" % (what, self.series(before), expected,
                                                                                               self.conditions()))
            raise e
        time.sleep(7)
        self.t.check(self.series(before) == expected, "%s: sizes %s, by the algorithm %s" % (what, self.series(before), expected))
        self.t.figure(what, "sizes %s, as by the algorithm" % self.series(before))


@test(timeout=180)
def an_external_metric_moves_an_autoscaler_as_its_algorithm_says(t):
    with Consumer(t, "001", "external", 1) as c:
        lab = c.lab
        c.remaining(50)
        listed = lab.api("GET", "/apis/external.metrics.k8s.io/v1beta1")["resources"]
        t.check({"name": "cpu_capacity_remaining", "singularName": "", "namespaced": True, "kind": "ExternalMetricValueList",
                 "verbs": ["get"]} in listed, "the metric is not listed as an external one is: %s" % listed[:2])
        value = lab.api("GET", "/apis/external.metrics.k8s.io/v1beta1/namespaces/*/cpu_capacity_remaining")["items"]
        t.check([(i["metricName"], i["metricLabels"], i["value"]) for i in value] ==
                [("cpu_capacity_remaining", {"policy": "miner"}, "50")], "the metric reads %s" % value)

        began = time.monotonic()
        c.apply("001", "hpa.yaml")
        c.reaches("Value, 50 of 40, from 1", began, steps(1, 1, 5, by_ratio(50, 40)))
        said = c.conditions()
        t.check(said["ScalingLimited"][:2] == ("True", "TooManyReplicas"), "at 5 of 5: %s" % (said,))
        t.check(said["ScalingActive"][:2] == ("True", "ValidMetricFound"), "at 5 of 5: %s" % (said,))

        began = time.monotonic()
        c.remaining(30)
        c.reaches("Value, 30 of 40, from 5", began, steps(5, 1, 5, by_ratio(30, 40)))
        t.check(c.conditions()["ScalingLimited"][0] == "False", "at 3: %s" % (c.conditions(),))

        lab.delete(HPAS + "/miner")
        lab.scale("filler", "miner", 1)
        lab.wait_until(lambda: c.ready() == 1, 30, "one replica")
        c.remaining(10)
        began = time.monotonic()
        c.apply("001", "hpa.yaml")
        time.sleep(7)
        t.check(c.series(began) == [], "10 of 40 at 1 replica: sizes %s" % c.series(began))
        lab.delete(HPAS + "/miner")

        for cores in (150, 70):
            before = replicas(lab)
            c.remaining(cores)
            began = time.monotonic()
            c.apply("001", "hpa-average.yaml")
            c.reaches("AverageValue, %d of 40, from %d" % (cores, before), began, steps(before, 1, 5, by_share(cores, 40)))


@test(timeout=180)
def a_metric_of_an_object_moves_an_autoscaler_and_only_named_readers_see_it(t):
    with Consumer(t, "004", "custom", 2) as c:
        lab = c.lab
        c.apply("004", "service.yaml", "reader.yaml")
        c.remaining(100)
        began = time.monotonic()
        c.apply("004", "hpa.yaml")
        c.reaches("AverageValue 10 of a Service, 100 cores, from 2", began, steps(2, 2, 10, by_share(100, 10)))
        began = time.monotonic()
        c.remaining(33)
        c.reaches("… 33 cores, from 10", began, steps(10, 2, 10, by_share(33, 10)))
        began = time.monotonic()
        c.remaining(3)
        c.reaches("… 3 cores, from 4", began, steps(4, 2, 10, by_share(3, 10)))
        t.check(c.conditions()["ScalingLimited"][:2] == ("True", "TooFewReplicas"), "at 2 of 2: %s" % (c.conditions(),))

        path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/filler/services/miner/cpu_capacity_remaining"
        answer = lab.client_as("filler", "reader").api("GET", path)
        item = answer["items"][0]
        t.check((answer["kind"], len(answer["items"]), item["describedObject"]["name"], item["metric"]["name"], item["value"]) ==
                ("MetricValueList", 1, "miner", "cpu_capacity_remaining", "3"), "the reader gets %s" % answer)
        for who, asks in ((("filler", "default"), path), (("filler", "reader"), path.replace("cpu_capacity_remaining", "brim_replicas")),
                          (("filler", "reader"), path.replace("services/miner", "services/*"))):
            try:
                lab.client_as(*who).api("GET", asks)
                t.check(False, "%s/%s may read %s" % (who + (asks,)))
            except ApiError as e:
                t.check(e.status == 403, "%s/%s is answered %s for %s" % (who + (e, asks)))


@test(timeout=180)
def a_metric_of_pods_grows_an_autoscaler_to_what_brim_wants(t):
    with Consumer(t, "000", "custom", 1) as c:
        lab = c.lab
        c.remaining(50, reserve=2)
        lab.wait_until(lambda: c.agent.filler()["wanted"] == 4, 60, "brim to want 4")
        began = time.monotonic()
        c.apply("000", "hpa.yaml")
        c.reaches("a ratio of pods, brim wants 4, from 1", began, [4])


# 003: pods of 4 cores that are paid for, and the sizes that brim wants then: pods of 2 of the 184 cores, of which 30, in pieces of 4, stay free.
LOADS = ((10, 56), (20, 36), (21, 34), (10, 56))


def follow(c, what, sizes):
    """Plays LOADS; returns for each how long it took until the filler had the size that is expected."""
    took = []
    for (pods, wanted), size in zip(LOADS, sizes):
        began = time.monotonic()
        c.lab.apply(paid("web", pods, 4))
        c.lab.wait_until(lambda: c.agent.filler()["wanted"] == wanted, SHORT_SETTLE + 30, "%s: brim to want %d" % (what, wanted), 0.05)
        if size == wanted:
            c.lab.wait_until(lambda: replicas(c.lab) == size, 30, "%s: %d replicas" % (what, size), 0.05)
        changed = [e.mono for e in c.sizes.events if e.mono >= began and e.object["replicas"] == size]
        took.append(changed[0] - began if changed else None)
        time.sleep(7)
        c.t.check(replicas(c.lab) == size, "%s: %d replicas beside %d paid pods, expected %d" % (what, replicas(c.lab), pods, size))
    return took


def seconds(took):
    return ", ".join("never" if s is None else "%.2f" % s for s in took)


@test(timeout=420)
def an_autoscaler_on_the_wanted_count_beside_brim_s_own_controller(t):
    wanted = [w for _, w in LOADS]
    with Consumer(t, "003", "external", 1, policy="metrics-only.yaml") as c:
        c.apply("003", "autoscaler.yaml")
        # 34 of 36 is within a tenth of 1.
        theirs = follow(c, "autoscaler", [wanted[0], wanted[1], wanted[1], wanted[3]])
        said = c.conditions()
        t.check(said["ScalingActive"][:2] == ("True", "ValidMetricFound"), "the autoscaler says %s" % (said,))
        t.check(said["AbleToScale"][0] == "True", "the autoscaler says %s" % (said,))
        t.check(theirs[2] is None, "a change of less than a tenth was followed after %s s" % theirs[2])
        c.lab.delete(HPAS + "/miner")
        c.agent.stop()
        c.lab.apply(paid("web", 0, 4))
        c.lab.scale("filler", "miner", 1)
        c.agent = t.agent(c.lab, with_settle(read(example("003", "policy.yaml"))))
        ours = follow(c, "brim", wanted)
    t.figure("paid pods of 4 cores", ", ".join(str(p) for p, _ in LOADS))
    t.figure("  seconds until the filler followed: autoscaler, each 2 s", seconds(theirs))
    t.figure("  … brim", seconds(ours))
    t.check(None not in ours, "brim did not follow each: %s" % seconds(ours))
    t.check(ours[1] < theirs[1], "the autoscaler gave way sooner: %s, %s" % (seconds(ours), seconds(theirs)))

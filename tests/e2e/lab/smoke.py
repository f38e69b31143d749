#!/usr/bin/env python3
"""Boots the lab, runs 50 filler pods of one core on six nodes, lets them go, and prints how long each step took.

Exit 1 if anything is not as it should be, with the reason and the place of the logs on stderr.
"""

import sys
import time

from lab import Lab, LabError, deployment, is_ready, key_of, priority_class

NODES = [30, 30, 30, 30, 40, 24]  # cores
PODS = 50
GRACE = 10     # seconds
SLACK = 2.0    # seconds that a pod may take longer than its grace period on a loaded machine


def expect(true, text):
    if not true:
        raise LabError(text)


def show(what, seconds):
    print("%-58s %7.2f s" % (what, seconds), flush=True)


def run(lab):
    for name, at in lab.boot_steps.items():
        show("  %s is ready" % name, at)
    show("boot", lab.boot_seconds)

    began = time.monotonic()
    for i, cores in enumerate(NODES):
        lab.add_node("n%d" % (i + 1), cpu=cores, memory="120Gi")
    lab.wait_nodes()
    show("%d nodes with %d cores ready and schedulable" % (len(NODES), sum(NODES)), time.monotonic() - began)

    lab.apply(priority_class("filler", -100, preemption=False))
    lab.namespace("filler")
    watch = lab.watch("/api/v1/namespaces/filler/pods")
    began = time.monotonic()
    lab.apply(deployment("miner", PODS, namespace="filler", cpu="1", memory="1Gi", grace=GRACE, priority_class="filler"))
    watch.wait(lambda w: sum(map(is_ready, w.objects.values())) == PODS, 60, "%d pods to be ready" % PODS)
    show("%d pods ready after the Deployment was made" % PODS, time.monotonic() - began)

    pods = list(watch.objects.values())
    expect(len(pods) == PODS, "found %d pods, expected %d" % (len(pods), PODS))
    expect(all(p["spec"]["priority"] == -100 for p in pods), "a pod has another priority than -100")
    expect(all(p["spec"]["terminationGracePeriodSeconds"] == GRACE for p in pods), "a pod has another grace period")
    cores = sum(r["value"] for r in lab.scheduler_metrics_resources()
                if r["metric"] == "kube_pod_resource_request" and r["resource"] == "cpu" and r["namespace"] == "filler")
    expect(cores == PODS, "the scheduler counts %g cores, expected %d" % (cores, PODS))
    status = lab.api("GET", "/apis/apps/v1/namespaces/filler/deployments/miner")["status"]
    lab.wait_until(lambda: lab.api("GET", "/apis/apps/v1/namespaces/filler/deployments/miner")["status"].get("readyReplicas") == PODS,
                   10, "the Deployment to count %d ready replicas; it said %s" % (PODS, status))

    mark, began = len(watch.events), time.monotonic()
    lab.scale("filler", "miner", 0)
    watch.wait(lambda w: not w.objects, GRACE + 20, "the pods to be gone")
    asked, gone = {}, {}
    for e in watch.since(mark):
        if e.object["metadata"].get("deletionTimestamp"):
            asked.setdefault(key_of(e.object), e.mono)
        if e.type == "DELETED":
            gone[key_of(e.object)] = e.mono
    took = sorted(gone[key] - asked[key] for key in gone)
    show("all pods deleted after scaling to 0", max(asked.values()) - began)
    show("deleted to gone, shortest", took[0])
    show("deleted to gone, longest", took[-1])
    expect(len(took) == PODS, "%d pods went, expected %d" % (len(took), PODS))
    expect(GRACE - 0.1 <= took[0] and took[-1] <= GRACE + SLACK,
           "pods took %.2f to %.2f s to go, expected %d to %g s" % (took[0], took[-1], GRACE, GRACE + SLACK))

    for name, p in lab.processes.items():
        print("  %-27s %4.0f MiB resident, %5.1f s of CPU" % (name, p.memory()["VmRSS"] / 2**20, p.cpu_seconds()))


def main():
    whole = time.monotonic()
    try:
        with Lab() as lab:
            run(lab)
            stopping = time.monotonic()
        show("stop", time.monotonic() - stopping)
    except LabError as e:
        print("smoke: %s" % e, file=sys.stderr)
        return 1
    show("all of it", time.monotonic() - whole)
    return 0


if __name__ == "__main__":
    sys.exit(main())

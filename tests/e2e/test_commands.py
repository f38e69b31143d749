"""The commands beside the agent, against a live cluster; and the identity that the example's README makes."""

import json
import os
import subprocess

from lab import pod
from story import cores
from support import EXAMPLE, NODES, SHORT_SETTLE, brim, capacity, example, paid, policy_text, replicas, test


def expect(t, what, got, status, *words):
    """The exit status and words that must stand in stdout or stderr."""
    code, out, err = got
    t.check(code == status, "%s: exit status %d, expected %d: %s%s" % (what, code, status, out, err))
    for word in words:
        t.check(word in out + err, "%s: no '%s' in: %s%s" % (what, word, out, err))


@test(timeout=30)
def check_tells_good_policies_from_broken_ones(t):
    lab = t.lab()
    expect(t, "the example", brim("check", os.path.join(EXAMPLE, "policy.yaml")), 0)
    broken = t.file(lab, "broken.yaml", policy_text().replace("settle:", "setle:"))
    expect(t, "a wrong key", brim("check", broken), 1, broken, "unknown key", "settle")
    line = policy_text().splitlines().index("  settle: %ds" % SHORT_SETTLE) + 1
    expect(t, "its place", brim("check", broken), 1, "%s:%d:3" % (broken, line))
    expect(t, "no file", brim("check", lab.path("none.yaml")), 3, "none.yaml")
    expect(t, "the agent on a broken policy", brim("agent", "--kubeconfig", lab.kubeconfig, "--policy", broken), 2, broken)


@test(timeout=60)
def explain_pod_counts_a_live_pod_as_the_scheduler_does(t):
    lab = t.lab()
    hard = pod("hard", cpu="1500m", memory="1Gi")
    hard["spec"]["initContainers"] = [
        {"name": "sidecar", "image": "none", "restartPolicy": "Always", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}},
        {"name": "init", "image": "none", "resources": {"requests": {"cpu": "3", "memory": "128Mi"}}}]
    lab.apply(hard)
    lab.wait_until(lambda: lab.items("/api/v1/namespaces/default/pods")[0]["spec"].get("nodeName"), 15, "the pod to be bound")
    code, out, err = brim("explain", "pod", "default/hard", "--kubeconfig", lab.kubeconfig, "-o", "json")
    t.check(code == 0, "explain pod: exit status %d: %s" % (code, err))
    ours = json.loads(out)
    theirs = {r["resource"]: r["value"] for r in lab.wait_until(
        lambda: [r for r in lab.scheduler_metrics_resources() if r["metric"] == "kube_pod_resource_request" and r["pod"] == "hard"],
        10, "the scheduler to count the pod")}
    t.check(ours["cpu_milli"] == 1000 * theirs["cpu"] and ours["memory_bytes"] == theirs["memory"],
            "brim %s, the scheduler %s" % (ours, theirs))
    t.check(ours["counted"] is True, "not counted: %s" % ours)
    expect(t, "explain pod as text", brim("explain", "pod", "default/hard", "--kubeconfig", lab.kubeconfig), 0, "3.25")
    expect(t, "a pod that is not there", brim("explain", "pod", "default/none", "--kubeconfig", lab.kubeconfig), 1, "not found")


@test(timeout=90)
def status_and_explain_decision_say_what_the_agent_does(t):
    lab = t.lab()
    lab.scale("filler", "miner", 7)
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: 5}"))
    lab.wait_until(lambda: replicas(lab) == 5, 10, "brim to take 7 replicas down to 5")
    lab.wait_until(lambda: agent.filler()["replicas"] == 5, 5, "the status to say so")
    expect(t, "status", brim("status", "--agent", agent.url()), 0, "miner", "filler/miner", "184", "AbleToScale", "ScalingLimited")
    code, out, _ = brim("status", "--agent", agent.url(), "-o", "json")
    t.check(code == 0 and json.loads(out)["fillers"][0]["replicas"] == 5, "status -o json: %d, %s" % (code, out[:200]))
    down = next(d for d in agent.decisions() if d["from"] == 7)
    expect(t, "explain decision N", brim("explain", "decision", down["id"], "--agent", agent.url()), 0, "7", "5", "yield", "max")
    expect(t, "explain decision", brim("explain", "decision", "--agent", agent.url()), 0, "miner")
    expect(t, "a decision that is not there", brim("explain", "decision", 999999, "--agent", agent.url()), 1)
    agent.stop()
    code, _, err = brim("status", "--agent", agent.url())
    t.check(code == 3 and err, "status without an agent: exit status %d, %s" % (code, err))


@test(timeout=90)
def capacity_says_what_is_free_and_the_scheduler_agrees(t):
    lab = t.lab()
    lab.apply(paid("load", 20, 3))
    lab.scale("filler", "miner", 30)

    def bound():
        return [p for p in lab.items("/api/v1/pods") if p["spec"].get("nodeName")]
    lab.wait_until(lambda: len(bound()) == 50, 30, "50 pods to be bound")
    rows = capacity(lab)
    t.check(set(rows) == set(NODES) | {"(total)"}, "rows %s" % sorted(rows))
    used = {(n, f): 0 for n in NODES for f in (False, True)}
    for p in bound():
        used[p["spec"]["nodeName"], p["metadata"]["namespace"] == "filler"] += 1000 * cores(
            p["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    for name, size in NODES.items():
        n = rows.get(name, {})
        t.check((n.get("cpu_allocatable_milli"), n.get("cpu_paid_milli"), n.get("cpu_filler_milli")) ==
                (1000 * size, used[name, False], used[name, True]),
                "%s: %s, by hand %s paid and %s filler" % (name, n, used[name, False], used[name, True]))

    # As many pods as fit beside everything that runs, filler too; the scheduler must place these and not one more.
    big = pod("big", cpu="5", memory="1Gi", priority_class="brim-filler")  # its class preempts nobody
    template = t.file(lab, "big.json", json.dumps(big))
    fits = capacity(lab, "--fits", template)["(total)"]["fits"]
    by_hand = sum(int((1000 * NODES[n] - used[n, False] - used[n, True]) // 5000) for n in NODES)
    t.figure("pods of 5 cores that fit", "brim %d, by hand %d" % (fits, by_hand))
    t.check(fits == by_hand, "brim says that %d pods of 5 cores fit, by hand %d" % (fits, by_hand))
    lab.apply([dict(big, metadata={"name": "big-%d" % i, "namespace": "default", "labels": {"big": "yes"}}) for i in range(by_hand + 1)])

    def placed():
        pods = lab.items("/api/v1/namespaces/default/pods?labelSelector=big")
        tried = [p for p in pods if p["spec"].get("nodeName") or p["status"].get("conditions")]
        return len(tried) == by_hand + 1 and sum(1 for p in pods if p["spec"].get("nodeName"))
    t.check(lab.wait_until(placed, 20, "the scheduler to have tried all") == by_hand, "the scheduler placed %d" % placed())
    expect(t, "capacity as a table", brim("capacity", "--kubeconfig", lab.kubeconfig), 0, "n1", "n6")


@test(timeout=60)
def the_readme_of_the_example_makes_an_identity_that_works(t):
    """The shell commands of deploy/examples/003/README.md, word by word."""
    lab = t.lab()
    blocks = [b for b in example("README.md").split("\n\n") if "kubectl config view" in b]
    t.check(len(blocks) == 1, "found %d blocks with 'kubectl config view'" % len(blocks))
    lines = [x.strip() for x in blocks[0].splitlines() if x.strip().startswith("kubectl")]
    folder = lab.path("readme")
    os.makedirs(folder, exist_ok=True)
    env = dict(os.environ, KUBECONFIG=lab.kubeconfig, HOME=lab.path("home"), PATH=lab.bin + os.pathsep + os.environ["PATH"])
    done = subprocess.run(["bash", "-euc", "\n".join(lines)], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    t.check(done.returncode == 0, "the commands failed: %s" % done.stdout)
    agent = t.agent(lab, kubeconfig=os.path.join(folder, "brim.kubeconfig"))
    lab.wait_until(lambda: agent.filler()["replicas"] == 0, 10, "brim to read the target as its account")
    who = lab.kubectl("--kubeconfig", os.path.join(folder, "brim.kubeconfig"), "auth", "whoami", "-o", "json")
    t.check(json.loads(who)["status"]["userInfo"]["username"] == "system:serviceaccount:brim:brim", who)

"""Letting gated filler pods in, choosing which go first, and the fence around the right to do so."""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import time

from lab import ApiError, is_unschedulable, pod
from support import BRIM, EXAMPLE, NODES, ROOT, example, read, test

PODS = "/api/v1/namespaces/filler/pods"
ROOM = {"name": "brim.dev/room"}
QUOTA = {"name": "example.com/quota"}
COST = "controller.kubernetes.io/pod-deletion-cost"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
PATCHER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(BRIM))), "tests", "e2e", "pod_patches")


def deploy(name):
    return read(os.path.join(ROOT, "deploy", name))


@contextlib.contextmanager
def rights(lab, fence=True):
    """The right to patch the filler's pods, and the fence around it; both are gone again afterwards."""
    what = [deploy("rbac/pods.yaml")] + ([deploy("admission/pods.yaml")] if fence else [])
    for text in what:
        lab.apply(text)
    try:
        if fence:
            wait_for_fence(lab)
        yield
    finally:
        for text in what:
            lab.kubectl("delete", "--ignore-not-found", "-f", "-", input=text)


def wait_for_fence(lab):
    """Policies take effect some time after they were stored."""
    make(lab, "probe", gates=[ROOM])
    brim = lab.client_as("brim", "brim")

    def refused():
        try:
            brim.api("PATCH", PODS + "/probe?dryRun=All", {"metadata": {"labels": {"probe": "1"}}}, MERGE)
        except ApiError as e:
            return e.status == 403 and "ValidatingAdmissionPolicy" in str(e)
        return False
    lab.wait_until(refused, 30, "the admission policy to be in force", 0.2)
    lab.delete(PODS + "/probe", 0)


def make(lab, name, namespace="filler", cpu="100m", memory="64Mi", gates=(), annotations=None, **spec):
    made = pod(name, namespace, {"app": "gated"}, annotations, cpu=cpu, memory=memory, grace=0, **spec)
    if gates:
        made["spec"]["schedulingGates"] = list(gates)
    return lab.api("POST", "/api/v1/namespaces/%s/pods" % namespace, made)


def patches(lab, lines, kubeconfig=None):
    """Runs pod_patches as brim's service account: ({name: (outcome, text)}, seconds, the right that is missing or None)."""
    done = subprocess.run([PATCHER, kubeconfig or lab.service_account_kubeconfig("brim", "brim"), "filler"], input="\n".join(lines) + "\n",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError("pod_patches: exit status %d: %s" % (done.returncode, done.stderr))
    out, seconds, missing, may = {}, None, None, None
    for line in done.stdout.splitlines():
        first, rest = line.split(" ", 1)
        if first == "seconds":
            seconds = float(rest)
        elif first == "may":
            may = rest == "yes"
        elif first == "missing":
            missing = rest
        else:
            out[first] = tuple(rest.split(" ", 1))
    if may != (missing is None):
        raise AssertionError("the server's review says %s, the answers to the patches say %s" % (may, missing))
    return out, seconds, missing


def required(node, *more):
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": list(more) + [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}}}


def terms(stored):
    return stored["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]


def each_of(names, fn):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(fn, names))


def all_done(t, lab, lines):
    """Seconds until each of these patches is done. Those that came too late, on a slow machine, are asked for anew, as the agent
    does; their number is told."""
    seconds, late = 0.0, 0
    while lines:
        out, took, missing = patches(lab, list(lines.values()))
        seconds += took
        bad = {v for v in out.values() if v[0] not in ("done", "late", "unknown")}
        if not t.check(not bad and missing is None, "outcomes: %s, missing: %s" % (bad, missing)):
            break
        lines = {name: line for name, line in lines.items() if out[name][0] != "done"}
        late += len(lines)
    if late:
        t.figure("patches asked for more than once", late)
    return seconds


@test(timeout=300)
def the_gates_of_three_hundred_pods_are_lifted(t):
    lab = t.lab()
    count, nodes = 300, sorted(NODES)
    where = {"g%d" % i: nodes[i % len(nodes)] for i in range(count)}
    cost_of = {name: str(-i - 1) for i, name in enumerate(where)}
    with rights(lab):
        each_of(where, lambda name: make(lab, name, gates=[ROOM]))
        watch = lab.watch(PODS)
        watch.wait(lambda w: sum(1 for p in w.objects.values() if p["metadata"]["name"] in where) == count, 30, "the pods")
        began = time.monotonic()
        seconds = all_done(t, lab, {name: "in %s %s" % (name, node) for name, node in where.items()})
        t.figure("gates lifted a second (300 pods)", "%.0f (load of the machine %.1f)" % (count / seconds, os.getloadavg()[0]))
        watch.wait(lambda w: all(p["spec"].get("nodeName") for p in w.objects.values()), 60, "all of them to be bound")
        t.figure("from the first patch to the last pod bound", "%.2f s" % (time.monotonic() - began))
        wrong = [p["metadata"]["name"] for p in watch.objects.values() if p["spec"]["nodeName"] != where[p["metadata"]["name"]]]
        t.check(not wrong, "not on the node that was named: %s" % wrong)
        t.check(not any(is_unschedulable(e.object) for e in watch.since(0)), "a pod was unschedulable")
        watch.stop()
        seconds = all_done(t, lab, {name: "cost %s %s" % item for name, item in zip(cost_of, cost_of.items())})
        t.figure("deletion costs set a second (300 pods)", "%.0f" % (count / seconds))
        stored = {p["metadata"]["name"]: p["metadata"].get("annotations", {}).get(COST) for p in lab.items(PODS)}
        t.check(stored == cost_of, "costs: %s" % {k: v for k, v in stored.items() if v != cost_of[k]})
        each_of(where, lambda name: lab.delete(PODS + "/" + name, 0))  # the server may take over a minute for all at once


@test(timeout=120)
def a_pod_is_let_in_as_it_is(t):
    """Whatever terms, gates and preferences it has, and whatever brim believes of it."""
    lab = t.lab()
    soft = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "gated"}}}}]},
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 5, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}}]}}
    linux = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}
    hard = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [linux, {"key": "gpu", "operator": "DoesNotExist"}]}, {"matchFields": [
            {"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}]}]}}}
    with rights(lab):
        for name, gates, affinity in (("plain", [ROOM], None), ("soft", [ROOM], soft), ("hard", [ROOM], hard), ("stale", [ROOM], hard),
                                      ("others", [QUOTA, ROOM], hard), ("stranger", [ROOM], None),
                                      ("bound", [], None), ("twice", [ROOM], None)):
            make(lab, name, gates=gates, **({"affinity": affinity} if affinity else {}))
        made = {p["metadata"]["name"]: p for p in lab.items(PODS)}
        out, _, _ = patches(lab, ["in plain n2", "in soft n2", "in hard n3", "bare stale n3", "in others n2",
                                  "stranger stranger n2", "in bound n2", "in twice n2"])
        again, _, _ = patches(lab, ["bare twice n2", "cost plain 7", "cost others -3"])
        other, _, _ = patches(lab, ["in twice n3", "cost plain 0"])
        now = {p["metadata"]["name"]: p for p in lab.items(PODS)}
        for name, outcome in (("plain", "done"), ("soft", "done"), ("hard", "done"), ("stale", "done"), ("others", "done"),
                              ("stranger", "gone"), ("bound", "refused"), ("twice", "done")):
            t.check(out[name][0] == outcome, "%s: found %s, expected %s" % (name, out[name], outcome))
        t.check(again["twice"][0] == "done", "the same once more: %s" % (again["twice"],))
        t.check(other["twice"][0] == "refused", "another node: %s" % (other["twice"],))
        t.check("gate brim.dev/room is gone already" in other["twice"][1], other["twice"][1])
        here = required("n2")
        plain = now["plain"]["spec"]
        t.check(plain["affinity"] == here and not plain.get("schedulingGates"), "plain: %s" % plain)
        t.check(COST not in now["plain"]["metadata"].get("annotations", {}), "the cost 0 is written by none")
        t.check(now["soft"]["spec"]["affinity"] == dict(soft, nodeAffinity=dict(soft["nodeAffinity"], **here["nodeAffinity"])),
                "soft: %s" % now["soft"]["spec"]["affinity"])
        for name, node in (("hard", "n3"), ("stale", "n3"), ("others", "n2")):
            name_is = {"key": "metadata.name", "operator": "In", "values": [node]}
            old = terms(made[name])
            t.check(terms(now[name]) == [dict(old[0], matchFields=[name_is]), {"matchFields": old[1]["matchFields"] + [name_is]}],
                    "%s: %s" % (name, terms(now[name])))
        t.check(now["others"]["spec"].get("schedulingGates") == [QUOTA], "others: %s" % now["others"]["spec"].get("schedulingGates"))
        t.check(now["others"]["metadata"]["annotations"][COST] == "-3", "the cost of a gated pod")
        t.check(now["stranger"]["spec"] == made["stranger"]["spec"], "another pod of the same name was changed")
        lab.wait_until(lambda: all(lab.api("GET", PODS + "/" + n)["spec"].get("nodeName") == node
                                   for n, node in (("plain", "n2"), ("soft", "n2"), ("hard", "n3"), ("stale", "n3"))), 20,
                       "the pods to be where they were let in")


@test(timeout=120)
def without_the_right_the_message_names_it(t):
    lab = t.lab()
    make(lab, "a", gates=[ROOM])
    out, _, missing = patches(lab, ["in a n1"])
    t.check(out["a"][0] == "refused" and "403" in out["a"][1], "%s" % (out,))
    t.check(missing == "brim may not patch pods in namespace filler: its service account needs a Role there with the verb patch on pods",
            "%s" % missing)
    with rights(lab):
        out, _, missing = patches(lab, ["in a n1"])
        t.check(out["a"] == ("done", "") and missing is None, "%s %s" % (out, missing))


@test(timeout=120)
def the_example_with_its_gate_waits_to_be_let_in(t):
    """The commands of deploy/examples/003/README.md, from its folder."""
    lab = t.lab()
    blocks = [b for b in example("README.md").split("\n\n") if "--patch-file" in b]
    t.check(len(blocks) == 1, "found %d blocks with --patch-file" % len(blocks))
    env = dict(os.environ, KUBECONFIG=lab.kubeconfig, HOME=lab.path("home"), PATH=lab.bin + os.pathsep + os.environ["PATH"])
    done = subprocess.run(["bash", "-euc", blocks[0]], cwd=EXAMPLE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    t.check(done.returncode == 0, "the commands failed: %s" % done.stdout)
    with rights(lab):
        lab.scale("filler", "miner", 4)
        lab.wait_until(lambda: len(lab.items(PODS)) == 4, 30, "the pods")
        made = lab.items(PODS)
        gates = [p["spec"].get("schedulingGates") for p in made]
        t.check(gates == [[ROOM]] * 4, "gates: %s" % gates)
        let_in, kept = [p["metadata"]["name"] for p in made[:3]], made[3]["metadata"]["name"]
        out, _, _ = patches(lab, ["in %s n4" % name for name in let_in])
        t.check([out[name][0] for name in let_in] == ["done"] * 3, "%s" % out)

        def where():
            return {p["metadata"]["name"]: p["spec"].get("nodeName") for p in lab.items(PODS)}
        lab.wait_until(lambda: where() == dict({name: "n4" for name in let_in}, **{kept: None}), 20, "three pods on n4, and one that waits")
        patches(lab, ["cost %s -1" % let_in[1]])
        lab.scale("filler", "miner", 2)
        lab.wait_until(lambda: set(where()) == {let_in[0], let_in[2]}, 40, "the gated pod and then the one of least cost to go")


# --- the fence

WIDE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: brim-wide}
rules:
  - {apiGroups: [""], resources: [pods, pods/eviction, pods/binding], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: brim-wide}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: brim-wide}
subjects: [{kind: ServiceAccount, name: brim, namespace: brim}]
"""

LIFT = {"schedulingGates": None}


def spec(**more):
    return {"spec": more}


def cost(value, **more):
    return {"metadata": dict({"annotations": {COST: value}}, **more)}


def pair(node):
    """The two terms of the pod `two`, each narrowed to the node."""
    name_is = {"key": "metadata.name", "operator": "In", "values": [node]}
    return [{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}], "matchFields": [name_is]},
            {"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}], "matchFields": [name_is]}]


def enter(*node_terms):
    """Lets a pod in with these terms."""
    return spec(schedulingGates=None, affinity=needs(*node_terms))


def needs(*node_terms):
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(node_terms)}}}


TOLERATE = [{"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists"}}]
NAME_IS = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
PREFERS = [{"weight": 1, "preference": {"matchFields": [NAME_IS]}}]

MAY = (
    ("let in", "gated", spec(schedulingGates=None, affinity=required("n1"))),
    ("lift alone", "gated", spec(**LIFT)),
    ("let in, two terms", "two", enter(*pair("n1"))),
    ("let in, other gates stay", "more", spec(schedulingGates=[QUOTA], affinity=required("n1"))),
    ("cost of a gated pod", "gated", cost("-5")),
    ("cost of a bound pod", "bound", cost("5")),
    ("cost taken away", "costly", cost(None)),
    ("cost, other annotations stay", "costly", cost("9")),
    ("nothing", "bound", {"metadata": {}}),
)

# What the policy's message must hold.
MAY_NOT = (
    ("image", "gated", [{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}], "nothing in the spec"),
    ("image of a bound pod", "bound", [{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}], "nothing in the spec"),
    ("image beside letting in", "gated", [{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"},
                                          {"op": "remove", "path": "/spec/schedulingGates"}], "nothing in the spec"),
    ("label", "gated", {"metadata": {"labels": {"app": "web"}}}, "no metadata"),
    ("label of a bound pod", "bound", {"metadata": {"labels": {"new": "1"}}}, "no metadata"),
    ("label taken away", "bound", {"metadata": {"labels": None}}, "no metadata"),
    ("finalizer", "bound", {"metadata": {"finalizers": ["example.com/stay"]}}, "no metadata"),
    ("owner", "gated", {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u"}]}}, "no metadata"),
    ("another annotation", "bound", {"metadata": {"annotations": {"example.com/a": "1"}}}, "no annotation but"),
    ("another annotation beside the cost", "gated", {"metadata": {"annotations": {COST: "1", "example.com/a": "1"}}}, "no annotation but"),
    ("another annotation changed", "costly", {"metadata": {"annotations": {"example.com/keep": "no"}}}, "no annotation but"),
    ("another annotation taken away", "costly", {"metadata": {"annotations": {"example.com/keep": None}}}, "no annotation but"),
    ("all annotations taken away", "costly", {"metadata": {"annotations": None}}, "no annotation but"),
    ("toleration", "gated", TOLERATE, "nothing in the spec"),
    ("toleration of a bound pod", "bound", TOLERATE, "nothing in the spec"),
    ("active deadline", "bound", spec(activeDeadlineSeconds=1), "nothing in the spec"),
    ("node selector", "gated", spec(nodeSelector={"kubernetes.io/hostname": "n1"}), "nothing in the spec"),
    ("another gate", "more", spec(schedulingGates=[ROOM]), "no scheduling gate but"),
    ("all gates", "more", spec(schedulingGates=None, affinity=required("n1")), "no scheduling gate but"),
    ("the gate of others", "theirs", spec(**LIFT), "no scheduling gate but"),
    ("affinity without letting in", "gated", spec(affinity=required("n1")), "the affinity of a pod only"),
    ("affinity of others' gated pod", "theirs", spec(affinity=required("n1")), "the affinity of a pod only"),
    ("a preference", "gated", spec(schedulingGates=None, affinity={"nodeAffinity": dict(required("n1")["nodeAffinity"],
        preferredDuringSchedulingIgnoredDuringExecution=PREFERS)}), "the affinity of a pod only"),
    ("a label of nodes", "gated", enter({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}), "the name of a node"),
    ("a label of nodes beside the name", "gated", enter({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}],
                                                           "matchFields": [NAME_IS]}), "the name of a node"),
    ("not a node", "gated", enter({"matchFields": [dict(NAME_IS, operator="NotIn")]}), "the name of a node"),
    ("two names", "gated", enter({"matchFields": [NAME_IS, NAME_IS]}), "the name of a node"),
    ("two terms", "gated", enter({"matchFields": [NAME_IS]}, {"matchFields": [NAME_IS]}), "the name of a node"),
    ("a term left alone", "two", enter(pair("n1")[0], {"matchExpressions": pair("n1")[1]["matchExpressions"]}), "the name of a node"),
    ("more expressions", "two", enter(pair("n1")[0], dict(pair("n1")[1], matchExpressions=pair("n1")[1]["matchExpressions"] + [
        {"key": "zone", "operator": "Exists"}])), "the name of a node"),
)


def attempt(client, path, body):
    """(status, message) of a patch that is only tried."""
    try:
        client.api("PATCH", path + ("&" if "?" in path else "?") + "dryRun=All", body, JSON_PATCH if isinstance(body, list) else MERGE)
        return 200, ""
    except ApiError as e:
        return e.status, str(e)


@test(timeout=180)
def the_fence_lets_brim_change_its_gate_the_node_and_the_cost_alone(t):
    """With more rights than it should ever have, so that nothing but the policy holds it back."""
    lab = t.lab()
    lab.apply(WIDE)
    with rights(lab):
        two = needs(*[{"matchExpressions": term["matchExpressions"]} for term in pair("n1")])
        make(lab, "gated", gates=[ROOM])
        make(lab, "two", gates=[ROOM], affinity=two)
        make(lab, "more", gates=[QUOTA, ROOM])
        make(lab, "theirs", gates=[QUOTA])
        make(lab, "bound")
        make(lab, "costly", annotations={COST: "3", "example.com/keep": "yes"})
        make(lab, "paid", "default")
        make(lab, "paid-gated", "default", gates=[ROOM])
        lab.wait_until(lambda: all(lab.api("GET", path)["spec"].get("nodeName") for path in (
            PODS + "/bound", PODS + "/costly", "/api/v1/namespaces/default/pods/paid")), 20, "the pods to be bound")
        brim = lab.client_as("brim", "brim")
        for what, name, body in MAY:
            status, message = attempt(brim, PODS + "/" + name, body)
            t.check(status == 200, "%s: found %d %s, expected it to be let through" % (what, status, message))
        for what, name, body, text in MAY_NOT:
            status, message = attempt(brim, PODS + "/" + name, body)
            t.check(status == 403 and "ValidatingAdmissionPolicy 'brim-pods'" in message and text in message,
                    "%s: found %d %s, expected '%s'" % (what, status, message, text))
        for name, body in (("paid", cost("1")), ("paid-gated", spec(**LIFT))):
            status, message = attempt(brim, "/api/v1/namespaces/default/pods/" + name, body)
            t.check(status == 403 and "brim.dev/filler=true alone" in message, "%s of another namespace: %d %s" % (name, status, message))
        # A pod that has its node: the server itself refuses what the policy would let through.
        status, message = attempt(brim, PODS + "/bound", spec(affinity=required("n2")))
        t.check(status in (403, 422), "another node for a bound pod: %d %s" % (status, message))
        others(t, brim)
        admin, message = attempt(lab.client, PODS + "/bound", {"metadata": {"labels": {"new": "1"}}})
        t.check(admin == 200, "somebody else is held back: %d %s" % (admin, message))
        policy = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/brim-pods"
        lab.wait_until(lambda: "observedGeneration" in lab.api("GET", policy).get("status", {}), 30, "the policy to be type-checked", 0.2)
        warnings = lab.api("GET", policy)["status"].get("typeChecking", {}).get("expressionWarnings", [])
        t.check(not warnings, "the server warns of the policy: %s" % json.dumps(warnings))
        t.figure("patches tried: let through, refused", "%d, %d" % (len(MAY), len(MAY_NOT) + 3))
    lab.kubectl("delete", "-f", "-", input=WIDE)


def others(t, brim):
    """Everything else that its far too wide role would allow."""
    calls = (
        ("create", "POST", PODS, pod("new", "filler", cpu="1", memory="1Gi")),
        ("delete", "DELETE", PODS + "/gated", None),
        ("evict", "POST", PODS + "/bound/eviction", {"apiVersion": "policy/v1", "kind": "Eviction",
                                                     "metadata": {"name": "bound", "namespace": "filler"}}),
        ("bind", "POST", PODS + "/theirs/binding", {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "n1"},
                                                    "metadata": {"name": "theirs", "namespace": "filler"}}),
    )
    for what, method, path, body in calls:
        try:
            brim.api(method, path + "?dryRun=All", body)
            t.check(False, "%s: was let through" % what)
        except ApiError as e:
            t.check(e.status == 403 and "brim may patch pods, and nothing else" in str(e), "%s: %s" % (what, e))

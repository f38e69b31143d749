"""checks: what clients rely on in an API server, as checks that run against any server: the pocket cluster or a real one.

    from checks import CHECKS, Server
    for check in CHECKS:
        check(Server("http://127.0.0.1:8001"))      # raises AssertionError

Each check makes what it needs in the namespace `checks`, which must be there, and removes it. A name that ends in `_` and a
number is fresh for each run, so that the checks may run again on a server that was used before.
"""

import http.client
import itertools
import json
import ssl
import threading
import time
import urllib.parse

NAMESPACE = "checks"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_serial = itertools.count(int(time.time()) % 100000 * 100)


def fresh(name):
    return "%s-%d" % (name, next(_serial))


class Server:
    """Requests to one API server. `context`: ssl.SSLContext for https; `token`: bearer token."""

    def __init__(self, url, context=None, token=None):
        self.url, self.context, self.token = urllib.parse.urlsplit(url), context, token

    def connect(self, timeout=30):
        if self.url.scheme == "https":
            return http.client.HTTPSConnection(self.url.hostname, self.url.port, timeout=timeout,
                                               context=self.context or ssl._create_unverified_context())
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=timeout)

    def headers(self, accept, content_type=None):
        headers = {"Accept": accept, "User-Agent": "checks"}
        if content_type:
            headers["Content-Type"] = content_type
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        return headers

    def raw(self, method, path, body=None, content_type=None, accept="application/json"):
        """(status, headers, bytes)"""
        conn = self.connect()
        try:
            data = None if body is None else json.dumps(body).encode()
            conn.request(method, path, data, self.headers(accept, content_type or (data and "application/json")))
            answer = conn.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            conn.close()

    def ask(self, method, path, body=None, content_type=None):
        """(status, parsed JSON)"""
        status, _, data = self.raw(method, path, body, content_type)
        return status, json.loads(data)

    def get(self, path):
        status, body = self.ask("GET", path)
        assert status == 200, "%s: %d %s" % (path, status, body)
        return body

    def watch(self, path, seconds=1, **query):
        """The events of a watch that the server ends after so many seconds: ([event], seconds it took)."""
        query.setdefault("timeoutSeconds", seconds)
        conn = self.connect(timeout=seconds + 20)
        began = time.monotonic()
        try:
            conn.request("GET", path + "?" + urllib.parse.urlencode(dict(query, watch="1")),
                         headers=self.headers("application/json"))
            answer = conn.getresponse()
            data = answer.read()
            assert answer.status == 200, (answer.status, data)
            return [json.loads(line) for line in data.splitlines()], time.monotonic() - began
        finally:
            conn.close()


# --- objects

MAPS = "/api/v1/namespaces/%s/configmaps" % NAMESPACE
DEPLOYMENTS = "/apis/apps/v1/namespaces/%s/deployments" % NAMESPACE
PODS = "/api/v1/namespaces/%s/pods" % NAMESPACE
LEASES = "/apis/coordination.k8s.io/v1/namespaces/%s/leases" % NAMESPACE


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name, replicas):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}}, "spec": gated_spec()}}}


def gated_spec():
    """A pod that nobody schedules: the checks say nothing about nodes."""
    return {"schedulingGates": [{"name": "checks/gate"}], "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "none", "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}}]}


def gated_pod(name, **labels):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": gated_spec()}


def create(server, path, obj):
    status, stored = server.ask("POST", path, obj)
    assert status == 201, (status, stored)
    return stored


def version(obj):
    return obj["metadata"]["resourceVersion"]


def names(items):
    return [i["metadata"]["name"] for i in items]


def refused(answer, code, reason):
    status, body = answer
    assert (status, body.get("code"), body.get("reason"), body.get("kind")) == (code, code, reason, "Status"), (status, body)
    assert body["status"] == "Failure" and isinstance(body["message"], str), body
    return body


# --- checks

CHECKS = []


def check(fn):
    CHECKS.append(fn)
    return fn


@check
def it_names_its_release(server):
    body = server.get("/version")
    assert body["major"] == "1" and body["minor"].rstrip("+").isdigit() and body["gitVersion"].startswith("v1."), body
    status, _, data = server.raw("GET", "/readyz")
    assert (status, data) == (200, b"ok")


@check
def unknown_things_are_404(server):
    refused(server.ask("GET", MAPS + "/" + fresh("nothing")), 404, "NotFound")
    status, _, _ = server.raw("GET", "/apis/no.such.group/v1/things")
    assert status == 404, status


@check
def an_object_keeps_what_it_was_given(server):
    name = fresh("map")
    made = create(server, MAPS, config_map(name, a="1"))
    assert made["metadata"]["uid"] and made["metadata"]["creationTimestamp"].endswith("Z")
    assert made["metadata"]["namespace"] == NAMESPACE and made["data"] == {"a": "1"}
    refused(server.ask("POST", MAPS, config_map(name)), 409, "AlreadyExists")
    status, changed = server.ask("PATCH", MAPS + "/" + name, {"data": {"a": None, "b": "2"}}, MERGE)
    assert status == 200 and changed["data"] == {"b": "2"}, changed
    assert version(changed) != version(made) and changed["metadata"]["uid"] == made["metadata"]["uid"]
    status, same = server.ask("PATCH", MAPS + "/" + name, {"data": {"b": "2"}}, MERGE)
    assert status == 200 and version(same) == version(changed), "a patch that changes nothing made a version"
    status, _ = server.ask("DELETE", MAPS + "/" + name)
    assert status == 200
    refused(server.ask("GET", MAPS + "/" + name), 404, "NotFound")


@check
def a_stale_version_conflicts(server):
    name = fresh("map")
    made = create(server, MAPS, config_map(name, a="1"))
    server.ask("PATCH", MAPS + "/" + name, {"data": {"a": "2"}}, MERGE)
    refused(server.ask("PATCH", MAPS + "/" + name, {"metadata": {"resourceVersion": version(made)}, "data": {"a": "3"}}, MERGE),
            409, "Conflict")
    refused(server.ask("PUT", MAPS + "/" + name, dict(made, data={"a": "3"})), 409, "Conflict")
    assert server.get(MAPS + "/" + name)["data"] == {"a": "2"}
    server.ask("DELETE", MAPS + "/" + name)


@check
def a_broken_body_or_type_is_refused(server):
    name = fresh("map")
    create(server, MAPS, config_map(name))
    status, _, _ = server.raw("PATCH", MAPS + "/" + name, {"data": {}}, "text/plain")
    assert status == 415, status
    status, _, _ = server.raw("GET", MAPS + "/" + name, accept="text/csv")
    assert status == 406, status
    server.ask("DELETE", MAPS + "/" + name)


@check
def lists_come_in_pages_of_one_version(server):
    label = fresh("pages")
    made = [create(server, PODS, gated_pod("%s-%d" % (label, i), set=label)) for i in range(5)]
    query = "?labelSelector=set%3D" + label + "&limit=2"
    found, token, versions, pages = [], "", set(), 0
    while True:
        page = server.get(PODS + query + ("&continue=" + urllib.parse.quote(token, safe="") if token else ""))
        found += names(page["items"])
        versions.add(version(page))
        pages += 1
        if pages == 1:
            # What comes and goes now is not on the pages that follow.
            create(server, PODS, gated_pod(label + "-9", set=label))
            server.ask("DELETE", PODS + "/" + label + "-4")
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert found == names(made), found
    assert len(versions) == 1 and pages == 3, (versions, pages)
    assert page["kind"] == "PodList" and "kind" not in page["items"][0], page
    assert names(server.get(PODS + "?labelSelector=set%3D" + label)["items"]) == names(made)[:4] + [label + "-9"]
    server.ask("DELETE", PODS + "?labelSelector=set%3D" + label)


@check
def a_list_without_a_selector_tells_how_many_remain(server):
    made = [fresh("map") for _ in range(3)]
    for name in made:
        create(server, MAPS, config_map(name))
    page = server.get(MAPS + "?limit=1")
    whole = server.get(MAPS + "?limit=1&resourceVersion=0")
    assert len(page["items"]) == 1 and page["metadata"]["remainingItemCount"] == len(whole["items"]) - 1, page["metadata"]
    assert not whole["metadata"].get("continue") and len(whole["items"]) >= 3, "with resourceVersion=0 the limit counted"
    for name in made:
        server.ask("DELETE", MAPS + "/" + name)


@check
def parameters_that_contradict_are_refused(server):
    version_now = version(server.get(PODS))
    refused(server.ask("GET", PODS + "?resourceVersionMatch=Exact"), 422, "Invalid")
    refused(server.ask("GET", PODS + "?resourceVersionMatch=Exact&resourceVersion=0"), 422, "Invalid")
    refused(server.ask("GET", PODS + "?resourceVersionMatch=Sometimes&resourceVersion=" + version_now), 422, "Invalid")
    refused(server.ask("GET", PODS + "?fieldSelector=spec.colour%3Dred"), 400, "BadRequest")
    refused(server.ask("GET", PODS + "?continue=nonsense"), 400, "BadRequest")


@check
def a_version_that_was_not_reached_is_waited_for(server):
    ahead = str(int(version(server.get(PODS))) + 100000000)
    began = time.monotonic()
    status, headers, data = server.raw("GET", PODS + "?resourceVersionMatch=NotOlderThan&resourceVersion=" + ahead)
    took = time.monotonic() - began
    body = json.loads(data)
    assert status == 504 and body["reason"] == "Timeout", (status, body)
    assert body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge" and headers["Retry-After"] == "1", (headers, body)
    assert 2 < took < 6, took


@check
def selectors_pick(server):
    label = fresh("pick")
    for i, colour in enumerate(("red", "blue", "red")):
        create(server, PODS, gated_pod("%s-%d" % (label, i), set=label, colour=colour))

    def pick(query):
        return [n[-1] for n in names(server.get(PODS + "?" + query)["items"]) if n.startswith(label)]
    assert pick("labelSelector=colour%3Dred") == ["0", "2"]
    assert pick("labelSelector=colour%20in%20(red,blue),set%3D" + label) == ["0", "1", "2"]
    assert pick("fieldSelector=metadata.name%3D" + label + "-1") == ["1"]
    assert pick("fieldSelector=spec.nodeName%3D,status.phase%3DPending") == ["0", "1", "2"]
    assert pick("fieldSelector=status.phase!%3DPending") == []
    assert pick("fieldSelector=spec.nodeName!%3D") == []
    server.ask("DELETE", PODS + "?labelSelector=set%3D" + label)


@check
def a_watch_resumes_from_any_version(server):
    name = fresh("map")
    before = version(server.get(MAPS))
    steps = [create(server, MAPS, config_map(name, n="0"))]
    for n in "12":
        steps.append(server.ask("PATCH", MAPS + "/" + name, {"data": {"n": n}}, MERGE)[1])
    server.ask("DELETE", MAPS + "/" + name)
    events, _ = server.watch(MAPS, resourceVersion=before)
    mine = [e for e in events if e["object"]["metadata"]["name"] == name]
    assert [e["type"] for e in mine] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"], mine
    assert [e["object"]["data"]["n"] for e in mine] == ["0", "1", "2", "2"]
    assert [version(e["object"]) for e in mine[:3]] == [version(s) for s in steps]
    assert int(version(mine[3]["object"])) > int(version(steps[2])), "the deletion shows the version of the last change"
    assert mine[0]["object"]["kind"] == "ConfigMap"
    events, _ = server.watch(MAPS, resourceVersion=version(steps[1]))
    assert [e["type"] for e in events if e["object"]["metadata"]["name"] == name] == ["MODIFIED", "DELETED"]


@check
def a_watch_without_a_version_begins_with_what_is_there(server):
    name = fresh("map")
    create(server, MAPS, config_map(name))
    for query in ({}, {"resourceVersion": "0"}):
        events, _ = server.watch(MAPS, **query)
        assert [e["type"] for e in events if e["object"]["metadata"].get("name") == name] == ["ADDED"], events
    server.ask("DELETE", MAPS + "/" + name)


@check
def a_selector_makes_objects_come_and_go(server):
    name = fresh("map")
    before = version(server.get(MAPS))
    made = create(server, MAPS, dict(config_map(name), metadata={"name": name, "labels": {"in": "yes"}}))
    gone = server.ask("PATCH", MAPS + "/" + name, {"metadata": {"labels": {"in": None}}}, MERGE)[1]
    back = server.ask("PATCH", MAPS + "/" + name, {"metadata": {"labels": {"in": "yes"}}}, MERGE)[1]
    events, _ = server.watch(MAPS, resourceVersion=before, labelSelector="in=yes")
    assert [e["type"] for e in events] == ["ADDED", "DELETED", "ADDED"], events
    assert [version(e["object"]) for e in events] == [version(made), version(gone), version(back)]
    assert events[1]["object"]["metadata"]["labels"] == {"in": "yes"}, "what left shows the last state that matched"
    server.ask("DELETE", MAPS + "/" + name)


@check
def a_bookmark_comes_before_the_end(server):
    name = fresh("pod")
    now = version(server.get(PODS))
    # A server that saw no event of a kind has nothing to mark.
    event = threading.Timer(1, lambda: create(server, PODS, gated_pod(name)))
    event.start()
    events, took = server.watch(PODS, seconds=6, resourceVersion=now, allowWatchBookmarks="true")
    event.join()
    server.ask("DELETE", PODS + "/" + name)
    marks = [e for e in events if e["type"] == "BOOKMARK"]
    assert marks and marks[-1]["object"]["kind"] == "Pod", [e["type"] for e in events]
    assert int(version(marks[-1]["object"])) > int(now), marks
    assert 5 < took < 10, took
    events, _ = server.watch(PODS, seconds=3, resourceVersion=now)
    assert not [e for e in events if e["type"] == "BOOKMARK"], "a bookmark nobody asked for"


@check
def a_watch_from_too_far_back_is_refused(server):
    """Version 1 must be older than the server's history: a real one forgets it when it starts anew."""
    conn = server.connect()
    conn.request("GET", PODS + "?watch=1&resourceVersion=1&timeoutSeconds=5", headers=server.headers("application/json"))
    answer = conn.getresponse()
    data = answer.read()
    conn.close()
    body = json.loads(data.splitlines()[0])
    if answer.status == 200:
        assert body["type"] == "ERROR", body
        body = body["object"]
    assert (body["code"], body["reason"], body["kind"]) == (410, "Expired", "Status"), body


INITIAL = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}


def is_mark(event):
    annotations = event["object"]["metadata"].get("annotations") or {}
    return event["type"] == "BOOKMARK" and annotations.get("k8s.io/initial-events-end") == "true"


@check
def initial_events_end_with_a_mark_and_the_stream_goes_on(server):
    made = [create(server, PODS, gated_pod(fresh("pod"))) for _ in range(3)]
    later = fresh("pod")
    for at_least in ("", version(made[-1])):
        event = threading.Timer(1, lambda: create(server, PODS, gated_pod(later)))
        event.start()
        events, _ = server.watch(PODS, seconds=3, resourceVersion=at_least, **INITIAL)
        event.join()
        marks = [i for i, e in enumerate(events) if is_mark(e)]
        assert len(marks) == 1, [e["type"] for e in events]
        assert {e["type"] for e in events[:marks[0]]} == {"ADDED"}, events
        assert set(names(made)) <= set(names(e["object"] for e in events[:marks[0]]))
        mark = events[marks[0]]["object"]
        assert mark["kind"] == "Pod" and int(version(mark)) >= int(version(made[-1])), mark
        assert later in names(e["object"] for e in events[marks[0]:] if e["type"] == "ADDED")
        server.ask("DELETE", PODS + "/" + later)
    for name in names(made):
        server.ask("DELETE", PODS + "/" + name)


@check
def a_selector_counts_for_initial_events(server):
    name = fresh("pod")
    create(server, PODS, gated_pod(name))
    for node, expected in (("", True), ("no-such-node", False)):
        events, _ = server.watch(PODS, seconds=2, fieldSelector="spec.nodeName=" + node, **INITIAL)
        marks = [i for i, e in enumerate(events) if is_mark(e)]
        assert len(marks) == 1 and (name in names(e["object"] for e in events[:marks[0]])) == expected, events
    server.ask("DELETE", PODS + "/" + name)


@check
def a_watch_from_nowhere_has_the_mark_if_bookmarks_are_allowed(server):
    for query in ({}, {"resourceVersion": "0"}):
        events, _ = server.watch(MAPS, seconds=2, allowWatchBookmarks="true", **query)
        assert len([e for e in events if is_mark(e)]) == 1, events
        events, _ = server.watch(MAPS, **query)
        assert not [e for e in events if e["type"] == "BOOKMARK"], events


@check
def initial_events_need_their_match_and_a_watch(server):
    watch = PODS + "?watch=1&timeoutSeconds=1&"
    body = refused(server.ask("GET", watch + "sendInitialEvents=true&allowWatchBookmarks=true"), 422, "Invalid")
    assert "NotOlderThan" in body["message"], body
    refused(server.ask("GET", watch + "sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=5"), 422, "Invalid")
    refused(server.ask("GET", watch + "resourceVersionMatch=NotOlderThan&resourceVersion=5"), 422, "Invalid")
    body = refused(server.ask("GET", PODS + "?sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), 422, "Invalid")
    assert "sendInitialEvents" in body["message"], body


@check
def initial_events_of_a_version_that_was_not_reached_are_refused_in_the_stream(server):
    ahead = str(int(version(server.get(PODS))) + 100000000)
    events, took = server.watch(PODS, seconds=10, resourceVersion=ahead, **INITIAL)
    body = events[0]["object"]
    assert [e["type"] for e in events] == ["ERROR"] and (body["code"], body["reason"]) == (504, "Timeout"), events
    assert body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge", body
    assert body["details"]["retryAfterSeconds"] == 1 and "Too large resource version" in body["message"], body
    assert 2 < took < 6, took


@check
def replicas_are_set_through_the_scale(server):
    name = fresh("deploy")
    made = create(server, DEPLOYMENTS, deployment(name, 0))
    path = DEPLOYMENTS + "/" + name + "/scale"
    scale = server.get(path)
    assert scale["kind"] == "Scale" and "replicas" not in scale["spec"], scale
    assert scale["status"]["selector"] == "app=" + name and scale["metadata"]["uid"] == made["metadata"]["uid"], scale
    status, scale = server.ask("PATCH", path, {"spec": {"replicas": 3}}, MERGE)
    assert (status, scale["spec"]["replicas"]) == (200, 3), scale
    end = time.monotonic() + 15
    while server.get(path)["status"]["replicas"] != 3:
        assert time.monotonic() < end, server.get(path)
        time.sleep(0.05)
    pods = server.get(PODS + "?labelSelector=app%3D" + name)["items"]
    assert len(pods) == 3
    owner = pods[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["controller"]) == ("ReplicaSet", True), owner
    assert server.get(DEPLOYMENTS + "/" + name)["spec"]["replicas"] == 3
    server.ask("DELETE", DEPLOYMENTS + "/" + name, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
    end = time.monotonic() + 15
    while server.get(PODS + "?labelSelector=app%3D" + name)["items"]:
        assert time.monotonic() < end, "the pods stayed"
        time.sleep(0.05)


@check
def a_scale_is_guarded_by_uid_version_and_test(server):
    name = fresh("deploy")
    made = create(server, DEPLOYMENTS, deployment(name, 0))
    path, uid = DEPLOYMENTS + "/" + name + "/scale", made["metadata"]["uid"]

    def grow(test, to, uid=uid, op="add"):
        return server.ask("PATCH", path, [{"op": "test", "path": "/metadata/uid", "value": uid},
                                          {"op": "test", "path": "/spec/replicas", "value": test},
                                          {"op": op, "path": "/spec/replicas", "value": to}], JSON_PATCH)
    refused(grow(1, 2, op="replace"), 422, "Invalid")
    assert grow(None, 2)[0] == 200
    refused(grow(None, 3), 422, "Invalid")
    refused(grow(2, 3, uid="00000000-0000-0000-0000-000000000000", op="replace"), 422, "Invalid")
    status, scale = grow(2, 3, op="replace")
    assert (status, scale["spec"]["replicas"]) == (200, 3), scale
    refused(server.ask("PATCH", path, {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "spec": {"replicas": 0}}, MERGE),
            409, "Conflict")
    refused(server.ask("PATCH", path, {"metadata": {"resourceVersion": version(made)}, "spec": {"replicas": 0}}, MERGE),
            409, "Conflict")
    refused(server.ask("PATCH", path, {"spec": {"replicas": -1}}, MERGE), 422, "Invalid")
    status, scale = server.ask("PATCH", path, {"metadata": {"uid": uid}, "spec": {"replicas": 0}}, MERGE)
    assert status == 200 and "replicas" not in scale["spec"], scale
    server.ask("DELETE", DEPLOYMENTS + "/" + name, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})


@check
def a_pod_shows_what_was_defaulted(server):
    name = fresh("pod")
    pod = create(server, PODS, gated_pod(name))
    spec = pod["spec"]
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}, spec["containers"]
    assert spec["priority"] == 0 and spec["restartPolicy"] == "Always" and spec["schedulerName"] == "default-scheduler", spec
    assert {t["key"] for t in spec["tolerations"]} == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert pod["status"]["phase"] == "Pending", pod["status"]
    end = time.monotonic() + 5
    while True:
        conditions = server.get(PODS + "/" + name)["status"].get("conditions", [])
        if any((c["type"], c["status"], c["reason"]) == ("PodScheduled", "False", "SchedulingGated") for c in conditions):
            break
        assert time.monotonic() < end, conditions
        time.sleep(0.05)
    server.ask("DELETE", PODS + "/" + name)


@check
def gates_go_and_never_come(server):
    name = fresh("pod")
    path = PODS + "/" + name
    create(server, PODS, gated_pod(name, a="1"))
    refused(server.ask("PATCH", path, [{"op": "add", "path": "/spec/schedulingGates/-", "value": {"name": "checks/more"}}], JSON_PATCH),
            422, "Invalid")
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["no-such-node"]}]}]}}}
    status, pod = server.ask("PATCH", path, {"metadata": {"labels": {"a": "2"}, "annotations": {
        "controller.kubernetes.io/pod-deletion-cost": "-5"}}, "spec": {"schedulingGates": None, "affinity": affinity}}, MERGE)
    assert status == 200 and not pod["spec"].get("schedulingGates") and pod["spec"]["affinity"] == affinity, pod
    assert pod["metadata"]["labels"] == {"a": "2"}
    refused(server.ask("PATCH", path, {"spec": {"schedulingGates": [{"name": "checks/gate"}]}}, MERGE), 422, "Invalid")
    refused(server.ask("PATCH", path, {"spec": {"restartPolicy": "Never"}}, MERGE), 422, "Invalid")
    end = time.monotonic() + 10
    while True:
        conditions = server.get(path)["status"].get("conditions", [])
        if any((c["type"], c["status"], c["reason"]) == ("PodScheduled", "False", "Unschedulable") for c in conditions):
            break
        assert time.monotonic() < end, conditions
        time.sleep(0.05)
    status, _ = server.ask("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
    assert status == 200
    refused(server.ask("GET", path), 404, "NotFound")


@check
def a_gated_pod_is_narrowed_and_nothing_else(server):
    name = fresh("pod")
    path = PODS + "/" + name
    near = {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "1"}}}}]}
    linux = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
    bare = {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["other"]}]}
    here = {"key": "metadata.name", "operator": "In", "values": ["no-such-node"]}
    narrowed = [dict(linux, matchFields=[here]), {"matchFields": bare["matchFields"] + [here]}]

    def terms(*list_of):
        return {"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": list(list_of)}}}}}

    def patch(body):
        return server.ask("PATCH", path, body, MERGE)
    pod = gated_pod(name, a="1")
    pod["spec"]["affinity"] = dict(terms(linux, bare)["spec"]["affinity"], podAffinity=near)
    pod["spec"]["nodeSelector"] = {"a": "b"}
    uid = create(server, PODS, pod)["metadata"]["uid"]
    for body in (terms(linux), terms(linux, bare, bare), terms(bare, linux), terms(linux, {"matchFields": [here]}), terms(),
                 {"spec": {"affinity": {"nodeAffinity": None}}}, {"spec": {"affinity": {"podAffinity": None}}},
                 {"spec": {"nodeSelector": {"a": "c"}}}, {"spec": {"nodeSelector": None}}, {"spec": {"priority": 5}},
                 *({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}}}
                   for cost in ("1.5", "+1", "01", "", "2147483648"))):
        refused(patch(body), 422, "Invalid")
    refused(patch(dict(terms(*narrowed), metadata={"uid": "00000000-0000-0000-0000-000000000000"})), 422, "Invalid")
    letting_in = dict(terms(*narrowed), metadata={"uid": uid})
    letting_in["spec"]["schedulingGates"] = None
    status, now = patch(letting_in)
    assert status == 200 and not now["spec"].get("schedulingGates"), now
    assert now["spec"]["affinity"] == dict(terms(*narrowed)["spec"]["affinity"], podAffinity=near), now["spec"]["affinity"]
    assert patch(letting_in)[0] == 200  # the same once more changes nothing
    refused(patch(terms(linux, bare)), 422, "Invalid")
    status, now = patch({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-7"}}})
    assert status == 200 and now["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"] == "-7", now
    status, now = patch({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": None}}})
    assert status == 200 and "controller.kubernetes.io/pod-deletion-cost" not in now["metadata"].get("annotations", {}), now
    server.ask("DELETE", path)


@check
def a_lease_is_won_once(server):
    name = fresh("lease")
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
             "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2025-06-01T10:00:02.123456Z"}}
    made = create(server, LEASES, lease)
    refused(server.ask("POST", LEASES, lease), 409, "AlreadyExists")
    taken = dict(made, spec=dict(made["spec"], holderIdentity="b"))
    status, now = server.ask("PUT", LEASES + "/" + name, taken)
    assert status == 200 and now["spec"]["holderIdentity"] == "b"
    refused(server.ask("PUT", LEASES + "/" + name, dict(made, spec=dict(made["spec"], holderIdentity="c"))), 409, "Conflict")
    for bad in ("2025-06-01T10:00:02Z", "2025-06-01T10:00:02.123Z", "yesterday"):
        refused(server.ask("POST", LEASES, dict(lease, metadata={"name": fresh("lease")}, spec=dict(lease["spec"], renewTime=bad))),
                400, "BadRequest")
    server.ask("DELETE", LEASES + "/" + name)


@check
def events_are_kept(server):
    path = "/apis/events.k8s.io/v1/namespaces/%s/events" % NAMESPACE
    name = fresh("event")
    event = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name}, "eventTime": "2025-06-01T10:00:02.123456Z",
             "regarding": {"kind": "ConfigMap", "namespace": NAMESPACE, "name": "x", "apiVersion": "v1"}, "reason": "Checked",
             "action": "Check", "type": "Normal", "note": "text", "reportingController": "checks.test/x", "reportingInstance": "i"}
    create(server, path, event)
    series = {"series": {"count": 2, "lastObservedTime": "2025-06-01T10:00:03.000000Z"}}
    status, body = server.ask("PATCH", path + "/" + name, series, MERGE)
    assert status == 200 and body["series"]["count"] == 2, body
    assert name in names(server.get(path)["items"])


@check
def protobuf_is_given_to_who_asks(server):
    name = fresh("pod")
    create(server, PODS, gated_pod(name))
    for path, kind in ((PODS, b"PodList"), (PODS + "/" + name, b"Pod"), ("/api/v1/nodes", b"NodeList")):
        status, headers, data = server.raw("GET", path, accept=PROTOBUF + ", application/json")
        assert status == 200 and headers["Content-Type"] == PROTOBUF, headers
        assert data[:4] == b"k8s\0" and data[4:6 + 5 + 20].find(kind) > 0, data[:40]
    status, headers, data = server.raw("GET", PODS + "/" + fresh("none"), accept=PROTOBUF)
    assert status == 404 and headers["Content-Type"] == PROTOBUF and b"Status" in data[:24], (headers, data[:40])
    now = version(server.get(PODS))
    server.ask("DELETE", PODS + "/" + name)
    status, headers, data = server.raw("GET", PODS + "?watch=1&timeoutSeconds=1&resourceVersion=" + now, accept=PROTOBUF)
    assert headers["Content-Type"] == PROTOBUF + ";stream=watch", headers
    frames = 0
    while data:
        size = int.from_bytes(data[:4], "big")
        frame, data = data[4:4 + size], data[4 + size:]
        assert len(frame) == size and frame[:1] == b"\x0a" and b"k8s\0" in frame[:40], frame[:60]
        frames += 1
    assert frames >= 1

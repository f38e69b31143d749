"""The agent when the control plane fails it: outages, lost history, new credentials, rights taken away."""

import base64
import http.client
import json
import signal
import threading
import time
import urllib.request

from lab import pod
from support import LabError, SHORT_SETTLE, example, paid, policy_text, replicas, requests_log, test

def relists(agent):
    return sum(v for (name, _), v in agent.metrics().items() if name == "brim_watch_relists_total")


def compact(lab):
    """Makes etcd forget everything but the present, as it does every 5 minutes in real life."""
    def ask(path, body):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (lab.ports["etcd"], path), json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    revision = ask("/v3/kv/range", {"key": base64.b64encode(b"none").decode()})["header"]["revision"]
    ask("/v3/kv/compaction", {"revision": revision, "physical": True})


class Pulse(threading.Thread):
    """Keeps both watches busy, as other clusters are: what is silent for longer than stale.after counts as stale."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.ended = lab, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(2):
            note = {"metadata": {"annotations": {"pulse": "%f" % time.monotonic()}}}
            try:
                self.lab.api("PATCH", "/api/v1/nodes/n1", note)
                for p in self.lab.items("/api/v1/namespaces/default/pods"):
                    self.lab.api("PATCH", "/api/v1/namespaces/default/pods/" + p["metadata"]["name"], note)
            except (LabError, OSError, http.client.HTTPException):
                pass  # the outage

    def stop(self):
        self.ended.set()
        self.join()


LAB_RECOVERS = 150  # seconds; after an outage the controller manager waits ever longer before it lists again


@test(timeout=60)
def it_starts_before_the_api_server_and_is_ready_after_it(t):
    lab = t.lab()
    kubeconfig = lab.service_account_kubeconfig("brim", "brim")
    lab.stop_component("kube-apiserver")
    agent = t.agent(lab, kubeconfig=kubeconfig, start=False)
    agent.start()
    lab.wait_until(lambda: agent.get("/livez")[0] == 200, 5, "/livez while there is no API server")
    t.check(agent.get("/readyz")[0] == 503, "/readyz without an API server answered %d" % agent.get("/readyz")[0])
    t.check("Connection refused" in agent.output() or "connect" in agent.output().lower(), "the log does not tell that nobody answers")
    lab.start_component("kube-apiserver")
    began = time.monotonic()
    agent.wait_ready(40)
    t.figure("API server ready to brim ready", "%.1f s" % (time.monotonic() - began))


@test(timeout=180)
def an_outage_causes_no_growth_on_stale_data_and_is_recovered_from(t):
    lab = t.lab()
    lab.apply(paid("load", 1, 1))
    lab.scale("filler", "miner", 5)
    pulse = Pulse(lab)
    agent = t.agent(lab, policy_text(stale="{after: 10s, then: hold}"))
    lab.wait_until(lambda: agent.filler()["replicas"] == 5, 10, "brim to read 5 replicas")
    lab.stop_component("kube-apiserver", kill=True)
    down = time.monotonic()
    lab.wait_until(lambda: agent.filler()["state"] == "stale", 25, "brim to call its facts stale")
    t.figure("outage to stale (stale.after: 10s)", "%.1f s" % (time.monotonic() - down))
    while time.monotonic() < down + SHORT_SETTLE + 5:  # without the outage it would have grown by now
        time.sleep(0.2)
    wanted = agent.filler()["wanted"]
    t.check(wanted == 5, "with stale facts it wanted %s replicas, expected 5" % wanted)
    lab.start_component("kube-apiserver")
    up = time.monotonic()
    lab.wait_until(lambda: agent.filler()["state"] != "stale", 60, "fresh facts after the outage")
    fresh = time.monotonic()
    t.figure("API server back to fresh facts", "%.1f s" % (fresh - up))
    t.check(replicas(lab) == 5, "replicas became %d right after the outage" % replicas(lab))
    lab.wait_until(lambda: replicas(lab) > 5, SHORT_SETTLE + 40, "growth after the outage", 0.1)
    grown = time.monotonic()
    t.figure("fresh facts to growth", "%.1f s" % (grown - fresh))
    t.check(grown - up >= SHORT_SETTLE - 1, "grew %.1f s after the outage, before settle was over" % (grown - up))
    pulse.stop()


@test(timeout=240)
def a_restart_of_the_api_server_leaves_the_filler_as_it_is(t):
    lab = t.lab()
    lab.scale("filler", "miner", 20)
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: 20}"))
    lab.wait_until(lambda: agent.filler()["running"] == 20, LAB_RECOVERS, "20 filler pods to run")
    took = lab.restart("kube-apiserver", kill=True)
    t.figure("restart of the API server", "%.1f s" % took)
    t.check(replicas(lab) == 20, "replicas became %d" % replicas(lab))
    # 32 cores left, less the headroom: none. Bare pods, since the controller manager is still backing off.
    lab.apply([pod("load-%d" % i, cpu="4") for i in range(38)])
    began = time.monotonic()
    lab.wait_until(lambda: replicas(lab) == 0, 60, "brim to yield after the restart", 0.05)
    took = time.monotonic() - began
    t.figure("paid load right after the restart to yield", "%.1f s" % took)
    t.check(took <= 20, "paid load right after the restart made brim yield after %.1f s, expected at most 20" % took)
    agent.check()


@test(timeout=240)
def lost_history_is_listed_anew(t):
    """While brim stands still, pods come, etcd is compacted and the API server starts anew: its old version is gone (410)."""
    lab = t.lab()
    lab.scale("filler", "miner", 20)
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: 20}"))
    lab.wait_until(lambda: agent.filler()["running"] == 20, LAB_RECOVERS, "20 filler pods to run")
    before = relists(agent)
    agent.signal(signal.SIGSTOP)
    lab.apply(paid("load", 30, 4))
    lab.wait_until(lambda: sum(1 for p in lab.items("/api/v1/namespaces/default/pods") if p["spec"].get("nodeName")) == 30, 30,
                   "the paid pods to be bound")
    lab.stop_component("kube-apiserver", kill=True)
    compact(lab)
    lab.start_component("kube-apiserver")
    agent.signal(signal.SIGCONT)
    began = time.monotonic()
    lab.wait_until(lambda: agent.status()["cpu"]["paid_milli"] == 120000, LAB_RECOVERS, "brim to see the 120 paid cores", 0.05)
    t.figure("woken to the right account", "%.1f s" % (time.monotonic() - began))
    lab.wait_until(lambda: relists(agent) > before, 40, "a relist to be counted")
    t.figure("relists", "%d" % (relists(agent) - before))
    f = agent.filler()
    t.check(f["replicas"] == 20, "20 replicas still fit beside 120 cores and 32 of headroom, found %s" % f["replicas"])


@test(timeout=150)
def a_token_that_is_replaced_in_its_file_is_taken_up(t):
    lab = t.lab()
    token_file = t.file(lab, "token", lab.service_account_token("brim", "brim"))
    with open(lab.service_account_kubeconfig("brim", "brim")) as f:
        config = json.load(f)
    config["users"][0]["user"] = {"tokenFile": token_file}
    lab.scale("filler", "miner", 2)
    agent = t.agent(lab, policy_text(replicas="{min: 0, max: 2}"), kubeconfig=t.file(lab, "kubeconfig", json.dumps(config)))
    lab.wait_until(lambda: agent.filler()["replicas"] == 2, 10, "brim to read the target")
    mark = len(requests_log(lab, None))
    # A new account of the same name: the old token is worth nothing once the API server forgets it (10 s), the rights are the same.
    lab.delete("/api/v1/namespaces/brim/serviceaccounts/brim")
    t.file(lab, "token", lab.service_account_token("brim", "brim"))

    def answers():
        """What brim was answered since: 401 for the old token, then 200 for the new one."""
        codes = [e["responseStatus"]["code"] for e in requests_log(lab, None)[mark:] if e["userAgent"].startswith("brim/")]
        return codes[codes.index(401) + 1:] if 401 in codes else []
    lab.wait_until(answers, 60, "a request after the old token was refused", 0.5)
    t.check(answers()[0] == 200, "the request after the refused one was answered %d" % answers()[0])
    t.check(401 not in answers(), "the old token was used again")
    lab.kubectl("-n", "filler", "scale", "deployment", "miner", "--replicas=7")
    began = time.monotonic()
    lab.wait_until(lambda: replicas(lab) == 2, 10, "brim to write with its new token", 0.05)
    t.figure("7 set by hand, taken down with the new token after", "%.2f s" % (time.monotonic() - began))
    t.check(agent.ready(), "/readyz is not ok after the token was replaced")


@test(timeout=150)
def rights_that_are_missing_are_named(t):
    lab = t.lab()
    try:
        lab.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/brim")
        agent = t.agent(lab, start=False)
        agent.start()
        lab.wait_until(lambda: "forbidden" in agent.output(), 15, "the log to tell that listing is forbidden")
        line = next(x for x in agent.output().splitlines() if "forbidden" in x)
        t.figure("log", line[:160])
        t.check("nodes" in line or "pods" in line, "the log line does not name what is forbidden: %s" % line)
        t.check(agent.get("/readyz")[0] == 503, "/readyz without rights answered %d" % agent.get("/readyz")[0])
        lab.apply(example("rbac.yaml"))
        began = time.monotonic()
        agent.wait_ready(75)
        t.figure("rights given to ready", "%.1f s" % (time.monotonic() - began))

        # Without the Role the target can be neither read nor scaled.
        lab.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/filler/roles/brim")
        mark = len(agent.output())
        lab.wait_until(lambda: "forbidden" in agent.output()[mark:], 30, "the log to tell that the target is forbidden")
        line = next(x for x in agent.output()[mark:].splitlines() if "forbidden" in x)
        t.check("miner" in line, "the log line does not name the target: %s" % line)
    finally:
        lab.apply(example("rbac.yaml"))

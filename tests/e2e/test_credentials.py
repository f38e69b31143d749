"""Credentials against the real API server: a program's token and certificate, files that are replaced."""

import base64
import json
import os
import shutil
import stat
import subprocess

from support import BRIM, read, requests_log, test

V1 = "client.authentication.k8s.io/v1"


def write(path, text):
    """Swapped, as kubelets do."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)
    return path


def kubeconfig(lab, name, user, **cluster):
    cluster = {"server": lab.url, "certificate-authority": lab.ca, **cluster}
    return write(lab.path(name), json.dumps(
        {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
         "clusters": [{"name": "k", "cluster": cluster}], "users": [{"name": "u", "user": user}]}))


def program(lab, **status):
    """A user whose credentials a script gives; whatever it is told is kept in `told`."""
    answer = write(lab.path("answer"), json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}))
    path = write(lab.path("login"), '#!/bin/sh\nprintf "%%s\\n" "$KUBERNETES_EXEC_INFO" >>%s\ncat %s\n' % (lab.path("told"), answer))
    os.chmod(path, stat.S_IRWXU)
    if os.path.exists(lab.path("told")):
        os.remove(lab.path("told"))
    return {"exec": {"apiVersion": V1, "command": path, "interactiveMode": "Never", "provideClusterInfo": True}}


def told(lab):
    return [json.loads(line) for line in read(lab.path("told")).splitlines() if line]


def capacity(path):
    return subprocess.run([BRIM, "capacity", "--kubeconfig", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=60)


@test(timeout=60)
def a_program_gives_a_token_as_to_kubectl(t):
    lab = t.lab()
    path = kubeconfig(lab, "exec.kubeconfig", program(lab, token=lab.service_account_token("brim", "brim")))
    run = capacity(path)
    t.check(run.returncode == 0, "brim capacity: %s" % run.stderr)
    ours = told(lab)
    t.check(len(ours) == 1, "the program ran %d times" % len(ours))
    done = subprocess.run([os.path.join(lab.bin, "kubectl"), "--kubeconfig", path, "get", "--raw", "/version"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    t.check(done.returncode == 0, "kubectl: %s" % done.stdout)
    theirs = told(lab)[-1]
    t.check(ours[0] == theirs, "the program was told %s, by kubectl %s" % (ours[0], theirs))
    t.check(base64.b64decode(ours[0]["spec"]["cluster"]["certificate-authority-data"]).decode() == read(lab.ca), "the authority differs")


@test(timeout=60)
def a_program_gives_a_certificate(t):
    lab = t.lab()
    cert, key = lab.certificate("login", (), "/O=system:masters/CN=login")
    run = capacity(kubeconfig(lab, "exec.kubeconfig", program(lab, clientCertificateData=read(cert), clientKeyData=read(key))))
    t.check(run.returncode == 0, "brim capacity: %s" % run.stderr)
    t.check(any(e["user"].get("username") == "login" for e in requests_log(lab, None)), "nobody called login asked for anything")


@test(timeout=90)
def an_agent_takes_up_a_token_of_a_program_when_the_old_one_is_refused(t):
    lab = t.lab()
    lab.api("POST", "/api/v1/namespaces/brim/secrets", {
        "metadata": {"name": "bound"}, "type": "Opaque"})
    uid = lab.api("GET", "/api/v1/namespaces/brim/secrets/bound")["metadata"]["uid"]
    bound = lab.api("POST", "/api/v1/namespaces/brim/serviceaccounts/brim/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "bound", "uid": uid}}})["status"]["token"]
    agent = t.agent(lab, kubeconfig=kubeconfig(lab, "exec.kubeconfig", program(lab, token=bound)))
    write(lab.path("answer"), json.dumps({"apiVersion": V1, "kind": "ExecCredential",
                                          "status": {"token": lab.service_account_token("brim", "brim")}}))
    lab.api("DELETE", "/api/v1/namespaces/brim/secrets/bound")
    lab.wait_until(lambda: len(told(lab)) == 2, 70, "the program to be run again")
    lab.wait_until(agent.ready, 20, "brim to be ready")
    agent.check()


@test(timeout=90)
def an_agent_takes_up_a_certificate_that_was_replaced(t):
    lab = t.lab()
    pair = [shutil.copy(path, lab.path(to)) for path, to in zip(lab.certificate("before", (), "/O=system:masters/CN=before"),
                                                                ("client.crt", "client.key"))]
    agent = t.agent(lab, kubeconfig=kubeconfig(lab, "files.kubeconfig", {"client-certificate": pair[0], "client-key": pair[1]}))
    for path, to in zip(lab.certificate("after", (), "/O=system:masters/CN=after"), pair):
        write(to, read(path))
    lab.restart("kube-apiserver", kill=True)  # trouble with the network: the files are looked at again
    lab.wait_until(lambda: any(e["user"].get("username") == "after" for e in requests_log(lab, None)), 60, "requests of the new name")
    agent.check()

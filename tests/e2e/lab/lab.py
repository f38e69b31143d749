"""lab: a real Kubernetes control plane on one machine, for tests.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler run as they are, on 127.0.0.1; kwok plays the kubelets of nodes
that exist on paper only. The programs come from ./build. Python 3.9 or later, nothing but its standard library.

    from lab import Lab, deployment
    with Lab() as lab:
        for i in range(6):
            lab.add_node("n%d" % i, cpu=30, memory="120Gi")
        lab.apply(deployment("web", replicas=10, cpu="4"))
        pods = lab.watch("/api/v1/namespaces/default/pods")
        pods.wait(lambda w: sum(is_ready(p) for p in w.objects.values()) == 10, 30, "10 ready pods")

Invariants
- Every server listens on loopback only, and is stopped by its pid when the `with` block is left: in peace, by an exception, by
  SIGTERM or SIGINT, at exit. Should the test be killed outright, the kernel kills what it started (PR_SET_PDEATHSIG).
- Everything is written to one temporary folder (`lab.dir`; logs in `lab.dir/log`). It is removed in the end, but kept and named
  on stderr if the block was left by an exception or if BRIM_LAB_KEEP is set.
- A component that ends without having been asked to makes the next `wait_until` or `Watch.wait` fail with the end of its log.
- All methods may be called from any thread.

How long pods take: annotations on the pod (or on the template), made by `timing()`
    pod-ready.stage.kwok.x-k8s.io/delay: 3s             from bound to Running and Ready; without it `Lab(start=…)` says (1 s)
    pod-create.stage.kwok.x-k8s.io/delay: 2s            a share of that during which the pod has no IP yet; without it 0
    pod-delete.stage.kwok.x-k8s.io/delay: 500ms         from deletion to gone, if that is shorter than the grace period. Without
                                                        it a pod stays Terminating for exactly its grace period (kubelet's
                                                        worst case). One that has not started goes at once, as with a kubelet
    pod-complete.stage.kwok.x-k8s.io/delay: 60s         how long a pod of a Job runs before it succeeds; without it 1 s
    pod-init-container-{running,completed}.stage.kwok.x-k8s.io/delay: 2s        without it 1 s each
    WHICH.stage.kwok.x-k8s.io/jitter-delay: 9s          beside …/delay: uniform between both (not for pod-delete). A value below
                                                        that of …/delay replaces it
kwok restarts a delay when the pod changes meanwhile, so a pod that is annotated while it starts is ready later. For pod-delete the
end of the grace period is the limit even so (plus at most 1 s). As with a kubelet, a deleted pod gets phase Failed just before it
vanishes, and a watch with the scheduler's field selector (no Succeeded, no Failed) sees it go then.
"""

import atexit
import base64
import collections
import ctypes
import datetime
import http.client
import json
import os
import queue
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))

BOOT_TIMEOUT = 90.0  # seconds for one component; a loaded machine needs far longer than the usual 5
PATIENCE = 2         # how much longer than it says each wait may take: tests name what is enough on an idle machine
STOP_TIMEOUT = 8.0   # seconds between SIGTERM and SIGKILL
PORTS = (20000, 31000)  # below the ephemeral range, so that no outgoing connection takes one meanwhile

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")

# Milliseconds of the pods' stages where no annotation says otherwise; pod-ready has `Lab(start=…)`.
STAGE_DELAYS = {"pod-create": 0, "pod-init-container-running": 1000, "pod-init-container-completed": 1000, "pod-complete": 1000}


class LabError(Exception):
    """Something did not happen, or not in time. The text says what, and shows the log of whoever is to blame."""


class ApiError(LabError):
    """The API server's answer was 400 or above. `status` is the code, `reason` as in NotFound, `body` the Status object."""

    def __init__(self, method, path, status, body):
        self.status, self.body = status, body
        self.reason = body.get("reason", "") if isinstance(body, dict) else ""
        text = body.get("message", "") if isinstance(body, dict) else str(body)[:300]
        super().__init__("%s %s: %d %s: %s" % (method, path, status, self.reason, text))


# --- processes -----------------------------------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_running = set()  # every Process that lives, for the last sweep at exit
_running_lock = threading.Lock()


class _Spawner(threading.Thread):
    """Forks for everybody. PR_SET_PDEATHSIG strikes when the *thread* that forked ends, so it must be one that never does."""

    def __init__(self):
        super().__init__(name="lab-spawner", daemon=True)
        self.jobs = queue.Queue()
        self.start()

    def run(self):
        while True:
            make, answer = self.jobs.get()
            try:
                answer.put((make(), None))
            except BaseException as e:
                answer.put((None, e))

    def call(self, make):
        answer = queue.Queue()
        self.jobs.put((make, answer))
        result, error = answer.get()
        if error is not None:
            raise error
        return result


_spawner = None
_spawner_lock = threading.Lock()


def popen(argv, **more):
    """subprocess.Popen of a program that the kernel kills if this one ends without having stopped it."""
    global _spawner
    parent = os.getpid()

    def die_with_parent():
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    with _spawner_lock:
        if _spawner is None:
            _spawner = _Spawner()
    return _spawner.call(lambda: subprocess.Popen(argv, preexec_fn=die_with_parent, start_new_session=True, **more))


class Process:
    """A program that is started, stopped and started again with the same arguments. Its output is appended to `log`."""

    def __init__(self, name, argv, log, env=None, cwd=None):
        self.name, self.argv, self.log, self.env, self.cwd = name, [str(a) for a in argv], log, env, cwd
        self.popen = None
        self.began_at = 0    # where in the log the latest start is
        self.wanted = False  # it should be running: an end is a failure

    @property
    def pid(self):
        return self.popen.pid if self.popen else None

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def start(self):
        if self.running():
            raise LabError("%s runs already" % self.name)
        with open(self.log, "ab") as out:
            self.began_at = out.seek(0, os.SEEK_END)
            self.popen = popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.env, cwd=self.cwd)
        self.wanted = True
        with _running_lock:
            _running.add(self)
        return self

    def signal(self, number):
        """SIGSTOP and SIGCONT make a stalled server; SIGHUP, SIGUSR1 are the program's own affair."""
        if self.running():
            self.popen.send_signal(number)

    def terminate(self):
        """Asks it to end and does not wait."""
        self.wanted = False
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def kill(self):
        self.wanted = False
        if self.running():
            self.popen.kill()
        return self.wait(STOP_TIMEOUT)

    def stop(self, timeout=STOP_TIMEOUT):
        """SIGTERM, then SIGKILL. Returns the exit status; negative is a signal."""
        self.terminate()
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def wait(self, timeout=None):
        if self.popen is None:
            return None
        status = self.popen.wait(timeout)
        self.wanted = False
        with _running_lock:
            _running.discard(self)
        return status

    def output(self):
        """What it wrote since its latest start, as text."""
        with open(self.log, "rb") as f:
            f.seek(self.began_at)
            return f.read().decode("utf-8", "replace")

    def tail(self, lines=15):
        """The end of the log, as text."""
        try:
            with open(self.log, "rb") as f:
                f.seek(max(0, os.path.getsize(self.log) - 20000))
                return "\n".join(f.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError as e:
            return "(no log: %s)" % e

    def check(self):
        """Raises LabError if it ended without having been asked to."""
        if self.wanted and not self.running():
            raise LabError("%s ended with status %s; %s ends:\n%s" % (self.name, self.popen.returncode, self.log, self.tail()))

    def memory(self):
        """Figures of /proc/PID/status in bytes: VmRSS, RssAnon, VmHWM and so on."""
        with open("/proc/%d/status" % self.pid) as f:
            return {m.group(1): int(m.group(2)) * 1024 for m in re.finditer(r"^(\w+):\s+(\d+) kB$", f.read(), re.M)}

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _sweep():
    with _running_lock:
        left = list(_running)
    for p in left:
        p.terminate()
    for p in left:
        p.stop()


def _on_signal(number, frame):
    sys.exit(128 + number)  # unwinds every `with`, then atexit


atexit.register(_sweep)


def _catch_signals():
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _on_signal)


def free_ports(count):
    """Ports of 127.0.0.1 on which nobody listens, all different, and none that is given out as an ephemeral one."""
    held = []
    try:
        for port in random.sample(range(*PORTS), 1000):
            s = socket.socket()
            held.append(s)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                held.pop().close()
            if len(held) == count:
                return [s.getsockname()[1] for s in held]
    finally:
        for s in held:
            s.close()
    raise LabError("no %d free ports between %d and %d" % ((count,) + PORTS))


def free_port():
    return free_ports(1)[0]


# --- HTTPS client --------------------------------------------------------------------------------------------------------------

class Client:
    """JSON over HTTPS with kept-alive connections, one for each thread. A broken connection is made anew once."""

    def __init__(self, port, context, token=None):
        self.port, self.context, self.token = port, context, token
        self.local = threading.local()

    def connect(self, timeout):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=timeout)

    def headers(self, accept="application/json"):
        h = {"Accept": accept, "User-Agent": "brim-lab"}
        if self.token:
            h["Authorization"] = "Bearer " + self.token
        return h

    def request(self, method, path, body=None, content_type=None, accept="application/json", timeout=60):
        """Returns (status, headers, bytes), whatever the status. `body`: bytes, str, or anything that json can write."""
        headers = self.headers(accept)
        if body is not None:
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if isinstance(body, str):
                body = body.encode()
            headers["Content-Type"] = content_type or (
                "application/merge-patch+json" if method == "PATCH" else "application/json")
        while True:
            conn = getattr(self.local, "conn", None)
            fresh = conn is None
            if fresh:
                conn = self.local.conn = self.connect(timeout)
            elif conn.sock:
                conn.sock.settimeout(timeout)
            try:
                conn.request(method, path, body=body, headers=headers)
                answer = conn.getresponse()
                return answer.status, answer.headers, answer.read()
            except (OSError, http.client.HTTPException) as e:
                conn.close()
                self.local.conn = None
                # A kept connection that the server closed meanwhile, most likely without having read this request.
                if fresh or not isinstance(e, (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError)):
                    raise

    def api(self, method, path, body=None, content_type=None, timeout=60):
        """Returns the answer as parsed JSON (text if it is none); raises ApiError from 400 on."""
        status, headers, data = self.request(method, path, body, content_type, timeout=timeout)
        answer = data.decode("utf-8", "replace")
        if "json" in headers.get("Content-Type", ""):
            answer = json.loads(answer)
        if status >= 400:
            raise ApiError(method, path, status, answer)
        return answer


Event = collections.namedtuple("Event", "mono wall type object")


class Watch:
    """Lists a path and then records every event, on a thread of its own, until `stop`.

    events   Event(mono, wall, type, object): time.monotonic() and time.time() at which its line had come in; type is ADDED,
             MODIFIED, DELETED, or LISTED for what the list held
    objects  {"namespace/name": object}, or "name" where there is no namespace: the state after the last event

    Iterating yields the events from the first on and waits for further ones, until `stop`. A watch that breaks goes on where it
    was; one that is too old lists again, and what vanished meanwhile is a DELETED with the last state known.
    """

    def __init__(self, client, path, pick=None, check=None):
        self.client, self.path, self.pick, self.check = client, path, pick, check
        self.events, self.objects = [], {}
        self.changed = threading.Condition()
        self.relists = -1  # the first list is none
        self.error = None
        self.stopped = False
        self._version = None  # of the last event; None: list anew
        self._sock = None
        self._listed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch " + path, daemon=True)
        self._thread.start()
        if not self._listed.wait(60) or self.error:
            self.stop()
            raise self.error or LabError("listing %s took over 60 s" % path)

    def stop(self):
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        sock = self._sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if threading.current_thread() is not self._thread:
            self._thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def __iter__(self):
        at = 0
        while True:
            with self.changed:
                while at >= len(self.events):
                    if self.stopped:
                        return
                    self.changed.wait(0.5)
                event = self.events[at]
            at += 1
            yield event

    def wait(self, fn, timeout, what):
        """Waits until fn(self) is true, looking after every event; returns what fn returned. fn runs under the lock."""
        deadline = time.monotonic() + timeout * PATIENCE
        with self.changed:
            while True:
                result = fn(self)
                if result:
                    return result
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LabError("waited %g s for %s at %s; %d objects, %d events" % (
                        timeout * PATIENCE, what, self.path, len(self.objects), len(self.events)))
                self.changed.wait(min(left, 0.5))
                if self.error:
                    raise self.error
                if self.check:
                    self.check()

    def since(self, index):
        """The events from that index on; len(w.events) is the index of the next one."""
        with self.changed:
            return self.events[index:]

    def _with(self, **query):
        return self.path + ("&" if "?" in self.path else "?") + urllib.parse.urlencode(query)

    def _run(self):
        while not self.stopped:
            try:
                if self._version is None:
                    self._list()
                    self._listed.set()
                self._follow()
            except (OSError, http.client.HTTPException, ValueError) as e:
                if not self.stopped:
                    self._pause(e)
            except ApiError as e:
                if e.status == 410:
                    self._version = None
                elif e.status in (429, 500, 503, 504) and self._listed.is_set():
                    self._pause(e)
                else:
                    self.error = e
                    self._listed.set()
                    return

    def _pause(self, error):
        self.last_error = error
        time.sleep(0.1)

    def _record(self, kind, obj, mono, wall):
        if self.pick:
            obj = self.pick(obj)
        key = key_of(obj)
        if kind == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        self.events.append(Event(mono, wall, kind, obj))

    def _list(self):
        body = self.client.api("GET", self.path)
        mono, wall = time.monotonic(), time.time()
        with self.changed:
            old, self.objects = self.objects, {}
            for obj in body["items"]:
                self._record("LISTED", obj, mono, wall)
            for key, obj in old.items():
                if key not in self.objects:
                    self.events.append(Event(mono, wall, "DELETED", obj))
            self.relists += 1
            self._version = body["metadata"]["resourceVersion"]
            self.changed.notify_all()

    def _follow(self):
        """Reads one watch until it ends."""
        conn = self.client.connect(10)
        try:
            path = self._with(watch=1, resourceVersion=self._version, allowWatchBookmarks="true", timeoutSeconds=3600)
            conn.request("GET", path, headers=self.client.headers())
            self._sock = conn.sock  # the response may detach it from the connection
            if self.stopped:
                return
            answer = conn.getresponse()
            if answer.status >= 400:
                data = answer.read()
                raise ApiError("GET", path, answer.status, json.loads(data) if data[:1] == b"{" else data.decode("utf-8", "replace"))
            self._sock.settimeout(None)
            rest = b""
            while not self.stopped:
                data = answer.read1(1 << 18)
                if not data:
                    return
                mono, wall = time.monotonic(), time.time()
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                events = [json.loads(line) for line in lines if line]
                with self.changed:
                    for e in events:
                        if e["type"] == "ERROR":
                            raise ApiError("GET", path, e["object"].get("code", 500), e["object"])
                        self._version = e["object"]["metadata"]["resourceVersion"]
                        if e["type"] != "BOOKMARK":
                            self._record(e["type"], e["object"], mono, wall)
                    self.changed.notify_all()
        finally:
            self._sock = None
            conn.close()


# --- objects -------------------------------------------------------------------------------------------------------------------

def key_of(obj):
    m = obj["metadata"]
    return m["namespace"] + "/" + m["name"] if m.get("namespace") else m["name"]


def is_ready(pod):
    """Running, Ready, and not being deleted."""
    if pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") != "Running":
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def is_unschedulable(pod):
    return any(c["type"] == "PodScheduled" and c["status"] == "False" and c.get("reason") == "Unschedulable"
               for c in pod.get("status", {}).get("conditions", []))


def timing(start=None, exit=None, run=None):
    """Annotations for a pod: seconds (or a pair: uniform between both) from bound to Ready, and, for a Job's pod, of its run;
    seconds from deletion to gone, if below its grace period."""
    notes = {}
    for stage, value in (("pod-ready", start), ("pod-complete", run)):
        if value is None:
            continue
        low, high = value if isinstance(value, (tuple, list)) else (value, None)
        notes[stage + ".stage.kwok.x-k8s.io/delay"] = "%dms" % round(low * 1000)
        if high is not None:
            notes[stage + ".stage.kwok.x-k8s.io/jitter-delay"] = "%dms" % round(high * 1000)
    if exit is not None:
        notes["pod-delete.stage.kwok.x-k8s.io/delay"] = "%dms" % round(exit * 1000)
    return notes


def pod_spec(cpu="1", memory="1Gi", grace=None, priority_class=None, **more):
    """A spec with one container that asks for cpu and memory. `more` are further fields of the spec, as the API spells them."""
    spec = {"containers": [{"name": "main", "image": "none",
                            "resources": {"requests": {"cpu": str(cpu), "memory": str(memory)}}}]}
    if grace is not None:
        spec["terminationGracePeriodSeconds"] = grace
    if priority_class:
        spec["priorityClassName"] = priority_class
    spec.update(more)
    return spec


def pod(name, namespace="default", labels=None, annotations=None, **spec):
    """A Pod; `spec` as for pod_spec."""
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels or {}, "annotations": annotations or {}},
            "spec": pod_spec(**spec)}


def deployment(name, replicas=1, namespace="default", labels=None, annotations=None, **spec):
    """A Deployment whose pods carry the label app=NAME, these labels and annotations; `spec` as for pod_spec."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": dict(labels or {}, app=name), "annotations": annotations or {}},
                                  "spec": pod_spec(**spec)}}}


def priority_class(name, value, preemption=True):
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "preemptionPolicy": "PreemptLowerPriority" if preemption else "Never"}


# --- the lab -------------------------------------------------------------------------------------------------------------------

_OPENSSL = """
[req]
distinguished_name = none
prompt = no
[none]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Lab:
    """A control plane; see the head of this file. Entering the `with` block boots it, leaving it stops it.

    start        seconds from bound to Ready for pods that no annotation tells otherwise
    args         {"kube-apiserver": ["--flag=value", …]}: further flags; those of the same name win over the lab's
    hpa_sync, hpa_stabilization   seconds between two looks of the HPA (stock: 15) and of its down-stabilization (stock: 300)
    audit        log every request's metadata to `lab.audit_log`, one JSON object a line
    without      components that are not started at boot, such as ("kwok",)

    Attributes: dir, kubeconfig (admin), ca (its file), url, port, bin (folder of the programs), boot_seconds,
    boot_steps {component: seconds}, processes {name: Process}.
    """

    def __init__(self, start=1.0, args=None, hpa_sync=None, hpa_stabilization=None, audit=False, without=(), quiet=False):
        self.start_seconds, self.audit, self.without, self.quiet = start, audit, tuple(without), quiet
        self.args = {name: list(more) for name, more in (args or {}).items()}
        unknown = (set(self.args) | set(self.without)) - set(COMPONENTS)
        if unknown:
            raise LabError("unknown component %s; known are %s" % (", ".join(sorted(unknown)), ", ".join(COMPONENTS)))
        hpa = self.args.setdefault("kube-controller-manager", [])
        if hpa_sync is not None:
            hpa.insert(0, "--horizontal-pod-autoscaler-sync-period=%gs" % hpa_sync)
        if hpa_stabilization is not None:
            hpa.insert(0, "--horizontal-pod-autoscaler-downscale-stabilization=%gs" % hpa_stabilization)
        self.dir = None
        self.processes = collections.OrderedDict()
        self.boot_steps = collections.OrderedDict()
        self.boot_seconds = None
        self._watches = []
        self._kinds = {}

    # -- life

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.shutdown(failed=True)
            raise
        return self

    def __exit__(self, kind, *exc):
        failed = kind is not None and not (kind is SystemExit and exc[0].code in (0, None))
        self.shutdown(failed=failed)

    def boot(self):
        """Starts everything and waits until it is ready."""
        _catch_signals()
        built = subprocess.run([os.path.join(HERE, "build")], stdout=subprocess.PIPE, universal_newlines=True)
        if built.returncode != 0:
            raise LabError("the programs of the lab could not be built")
        self.bin = built.stdout.splitlines()[-1]
        began = time.monotonic()
        self.dir = tempfile.mkdtemp(prefix="brim-lab-")
        for name in ("log", "pki", "etcd", "home", "stages"):
            os.mkdir(self.path(name))
        self.ports = dict(zip(("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler"), free_ports(5)))
        self.port = self.ports["kube-apiserver"]
        self.url = "https://127.0.0.1:%d" % self.port
        for name, argv in self._commands().items():
            self.processes[name] = self._process(name, argv)

        self.processes["etcd"].start()
        self._make_pki()
        self._make_stages()
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.path("pki/admin.crt"), self.path("pki/admin.key"))
        self.client = Client(self.port, context)
        self._mark("pki", began)
        self.wait_ready("etcd")
        self._mark("etcd", began)
        self.processes["kube-apiserver"].start()
        self.wait_ready("kube-apiserver")
        self._mark("kube-apiserver", began)
        rest = [name for name in COMPONENTS[2:] if name not in self.without]
        for name in rest:
            self.processes[name].start()
        for name in rest:
            self.wait_ready(name)
            self._mark(name, began)
        self.wait_until(lambda: self._exists("/api/v1/namespaces/default"), BOOT_TIMEOUT, "the namespace default")
        self.boot_seconds = time.monotonic() - began

    def shutdown(self, failed=False):
        """Stops everything that was started through this lab. Removes the folder, or keeps and names it."""
        for w in self._watches:
            w.stop()
        last = ("kube-apiserver", "etcd")  # the others want to say good-bye to it
        for group in ([p for n, p in self.processes.items() if n not in last],) + tuple(
                [self.processes[n]] for n in last if n in self.processes):
            for p in group:
                p.terminate()
            deadline = time.monotonic() + STOP_TIMEOUT
            for p in group:
                p.stop(max(0.1, deadline - time.monotonic()))
        if self.dir is None:
            return
        if failed or os.environ.get("BRIM_LAB_KEEP"):
            print("lab: kept %s; the logs are in %s" % (self.dir, self.path("log")), file=sys.stderr, flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        """A path below the lab's folder."""
        return os.path.join(self.dir, name)

    def log_path(self, name):
        return self.path("log/%s.log" % name)

    @property
    def kubeconfig(self):
        return self.path("admin.kubeconfig")

    @property
    def ca(self):
        return self.path("pki/ca.crt")

    @property
    def audit_log(self):
        return self.path("log/audit.jsonl")

    # -- components

    def start_component(self, name):
        if name == "kwok":
            # It holds its nodes by their leases, under a new name at each start, and would wait 40 s for its own old ones.
            self.api("DELETE", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")
        self.processes[name].start()
        self.wait_ready(name)

    def stop_component(self, name, kill=False, timeout=2):
        """SIGTERM (SIGKILL if `kill`, or after `timeout` seconds) and wait for the end. Its port stays reserved for the next
        start. kube-apiserver stops listening at once, but goes on serving open watches for 60 s if `timeout` lets it."""
        return self.processes[name].kill() if kill else self.processes[name].stop(timeout)

    def restart(self, name, kill=False, timeout=2):
        """Stops and starts a component: same port, same data. Returns the seconds from the first to being ready again."""
        began = time.monotonic()
        self.stop_component(name, kill, timeout)
        self.start_component(name)
        return time.monotonic() - began

    def pause(self, name):
        """Stops a component in its tracks (SIGSTOP); its connections stay open and silent."""
        self.processes[name].signal(signal.SIGSTOP)

    def resume(self, name):
        self.processes[name].signal(signal.SIGCONT)

    def spawn(self, name, argv, env=None, cwd=None):
        """Starts any other program (brim, Prometheus) under the lab's care: log in `lab.log_path(name)`, stopped with the lab.
        `env` is added to the environment, in which KUBECONFIG is not set. If it ends before `lab.stop_component(name)` asks it to,
        that is a failure; what is meant to end is better run with subprocess."""
        if name in self.processes and self.processes[name].running():
            raise LabError("%s runs already" % name)
        p = self.processes[name] = self._process(name, argv, env, cwd, inherit=True)
        return p.start()

    def wait_ready(self, name, timeout=BOOT_TIMEOUT):
        """Waits until a component answers its health check. kwok has none: it is ready when it watches the nodes."""
        if name == "kwok":
            self.wait_until(lambda: "Watch all nodes" in self.processes["kwok"].output(), timeout, "kwok to watch nodes", 0.02)
            return
        context = self.client.context
        probe = {"etcd": (self.ports["etcd"], "/readyz", None),
                 "kube-apiserver": (self.port, "/readyz", context),
                 "kube-controller-manager": (self.ports.get("kube-controller-manager"), "/healthz", context),
                 "kube-scheduler": (self.ports.get("kube-scheduler"), "/readyz", context)}[name]
        self.wait_until(lambda: _answers_ok(*probe), timeout, "%s to be ready" % name, 0.02)

    def check(self):
        """Raises LabError if a component ended on its own."""
        for p in list(self.processes.values()):
            p.check()

    def wait_until(self, fn, timeout, what, interval=0.05):
        """Calls fn until it returns something true, and returns that. `what` ends the sentence 'waited 5 s for …'."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            result = fn()
            if result:
                return result
            self.check()
            if time.monotonic() >= deadline:
                raise LabError("waited %g s for %s" % (timeout * PATIENCE, what))
            time.sleep(interval)

    # -- the API

    def api(self, method, path, body=None, content_type=None, timeout=60):
        """One request as admin. Returns parsed JSON; raises ApiError from 400 on. A PATCH is a merge patch unless content_type
        says otherwise (application/json-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml)."""
        return self.client.api(method, path, body, content_type, timeout)

    def items(self, path):
        return self.api("GET", path)["items"]

    def watch(self, path, pick=None):
        """Records all events of a path such as /api/v1/pods; see Watch. `pick` may shrink an object before it is kept."""
        w = Watch(self.client, path, pick, self.check)
        self._watches.append(w)
        return w

    def kubectl(self, *args, input=None, check=True):
        """Runs kubectl as admin and returns its output. Raises LabError with its messages if it fails and `check` is set."""
        done = subprocess.run([os.path.join(self.bin, "kubectl"), "--kubeconfig", self.kubeconfig, "--cache-dir", self.path("home/cache")]
                              + [str(a) for a in args], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, env=self._env())
        if check and done.returncode != 0:
            raise LabError("kubectl %s: %s" % (" ".join(map(str, args)), done.stderr.strip()))
        return done.stdout

    def path_of(self, obj):
        """The API path of an object, by discovery."""
        version, kind = obj["apiVersion"], obj["kind"]
        if (version, kind) not in self._kinds:
            prefix = "/api/" if "/" not in version else "/apis/"
            for r in self.api("GET", prefix + version)["resources"]:
                if "/" not in r["name"]:
                    self._kinds[version, r["kind"]] = (prefix + version, r["name"], r["namespaced"])
        if (version, kind) not in self._kinds:
            raise LabError("the API server knows no %s in %s" % (kind, version))
        base, plural, namespaced = self._kinds[version, kind]
        if namespaced:
            base += "/namespaces/" + obj["metadata"].get("namespace", "default")
        return "%s/%s/%s" % (base, plural, obj["metadata"]["name"])

    def apply(self, objs, manager="lab"):
        """Server-side apply, by force. `objs`: an object, a list of them, or YAML text (which kubectl reads). Returns the
        object or the list as stored; for text, what kubectl said."""
        if isinstance(objs, str):
            return self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=objs)
        if isinstance(objs, dict) and objs.get("kind") == "List":
            objs = objs["items"]
        if not isinstance(objs, dict):
            return [self.apply(o, manager) for o in objs]
        return self.api("PATCH", self.path_of(objs) + "?force=true&fieldManager=" + manager, objs, "application/apply-patch+yaml")

    def delete(self, what, grace=None):
        """Deletes an object, a list of them, or what lies at a path; dependents go in the background. Gone already is fine."""
        if isinstance(what, (list, tuple)):
            for w in what:
                self.delete(w, grace)
            return
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self.api("DELETE", what if isinstance(what, str) else self.path_of(what), options)
        except ApiError as e:
            if e.status != 404:
                raise

    def namespace(self, name):
        return self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def scale(self, namespace, name, replicas, resource="deployments"):
        self.api("PATCH", "/apis/apps/v1/namespaces/%s/%s/%s/scale" % (namespace, resource, name), {"spec": {"replicas": replicas}})

    def add_node(self, name, cpu=30, memory="120Gi", pods=110, labels=None, taints=None, wait=False, **resources):
        """Adds a node with these capacities, all of it allocatable; kwok reports it Ready at once, and the not-ready taint goes
        some 0.1 s later (`wait`: wait for that). `resources` are further ones; write nvidia.com/gpu as **{"nvidia.com/gpu": 2}."""
        room = dict({"cpu": str(cpu), "memory": str(memory), "pods": str(pods), "ephemeral-storage": "100Gi"},
                    **{k: str(v) for k, v in resources.items()})
        node = {"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": dict({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                                                           "kubernetes.io/arch": "amd64"}, **(labels or {}))},
                "spec": {"taints": taints or []}, "status": {"allocatable": room, "capacity": room}}
        stored = self.api("POST", "/api/v1/nodes", node)
        if wait:
            self.wait_nodes([name])
        return stored

    def wait_nodes(self, names=None, timeout=30):
        """Waits until these nodes (all, if None) are Ready and have lost the taints of new nodes and of those not heard of."""
        def fit(node):
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node.get("status", {}).get("conditions", []))
            kept_off = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
            return ready and not any(t["key"] in kept_off for t in node["spec"].get("taints", []))

        def all_fit():
            nodes = {n["metadata"]["name"]: n for n in self.items("/api/v1/nodes")}
            return all(n in nodes and fit(nodes[n]) for n in (names or nodes))
        self.wait_until(all_fit, timeout, "the nodes to be ready")

    # -- identities

    def service_account_token(self, namespace, name, seconds=86400):
        """A token for a service account, which is made if it is not there, as is its namespace."""
        if not self._exists("/api/v1/namespaces/" + namespace):
            self.namespace(namespace)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        if not self._exists(self.path_of(account)):
            self.apply(account)
        answer = self.api("POST", self.path_of(account) + "/token",
                          {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}})
        return answer["status"]["token"]

    def service_account_kubeconfig(self, namespace, name, seconds=86400):
        """The path of a kubeconfig with which a program is this service account: only what RBAC grants is allowed."""
        user = {"token": self.service_account_token(namespace, name, seconds)}
        return self._write_kubeconfig("%s.%s.kubeconfig" % (namespace, name), user, namespace)

    def client_as(self, namespace, name):
        """A Client (api, request) that is this service account."""
        return Client(self.port, ssl.create_default_context(cafile=self.ca), self.service_account_token(namespace, name))

    def certificate(self, name, sans=("DNS:localhost", "IP:127.0.0.1"), subject=None, ca="ca"):
        """Signs a certificate for serving and as a client. Returns the files (certificate, key). An aggregated API needs the SAN
        DNS:SERVICE.NAMESPACE.svc; its caBundle is `lab.ca`. ca="front-proxy-ca" signs for the front proxy."""
        crt, key = self.path("pki/%s.crt" % name), self.path("pki/%s.key" % name)
        conf = self.path("pki/%s.cnf" % name)
        with open(conf, "w") as f:
            f.write(_OPENSSL + ("subjectAltName = %s\n" % ", ".join(sans) if sans else ""))
        _openssl("req", "-x509", "-config", conf, "-extensions", "leaf", "-subj", subject or "/CN=" + name, "-days", "3650",
                 "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt,
                 "-CA", self.path("pki/%s.crt" % ca), "-CAkey", self.path("pki/%s.key" % ca))
        return crt, key

    # -- what the scheduler reckons

    def scheduler_metrics_resources(self):
        """The scheduler's own account, from its /metrics/resources: a list of dicts with metric (kube_pod_resource_request or
        kube_pod_resource_limit), namespace, pod, node, scheduler, priority, resource, unit and value. node is "" before binding."""
        client = getattr(self, "_scheduler", None)
        if client is None:
            client = self._scheduler = Client(self.ports["kube-scheduler"], self.client.context)
        status, _, data = client.request("GET", "/metrics/resources", accept="text/plain")
        if status != 200:
            raise LabError("/metrics/resources of the scheduler answered %d: %s" % (status, data[:200]))
        rows = []
        for line in data.decode().splitlines():
            match = re.match(r"(kube_pod_resource_\w+)\{(.*)\} (\S+)", line)
            if match:
                row = {k: v for k, v in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match.group(2))}
                rows.append(dict(row, metric=match.group(1), value=float(match.group(3))))
        return rows

    # -- inside

    def _mark(self, name, began):
        self.boot_steps[name] = round(time.monotonic() - began, 2)

    def _env(self):
        home = self.path("home")  # kwok and kubectl read configuration from there
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": home, "TMPDIR": home, "KWOK_WORKDIR": home}

    def _process(self, name, argv, env=None, cwd=None, inherit=False):
        base = dict(os.environ) if inherit else self._env()
        base.pop("KUBECONFIG", None)
        return Process(name, argv, self.log_path(name), dict(base, **(env or {})), cwd)

    def _exists(self, path):
        try:
            return self.api("GET", path)
        except ApiError as e:
            if e.status != 404:
                raise
            return None

    def _write_kubeconfig(self, name, user, namespace="default"):
        with open(self.ca, "rb") as f:
            ca = base64.b64encode(f.read()).decode()
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "lab",
                  "clusters": [{"name": "lab", "cluster": {"server": self.url, "certificate-authority-data": ca}}],
                  "users": [{"name": "lab", "user": user}],
                  "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab", "namespace": namespace}}]}
        path = self.path(name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump(config, f, indent=1)
        return path

    def _make_pki(self):
        conf = self.path("pki/ca.cnf")
        with open(conf, "w") as f:
            f.write(_OPENSSL)
        for ca in ("ca", "front-proxy-ca"):
            _openssl("req", "-x509", "-config", conf, "-extensions", "ca", "-subj", "/CN=lab-" + ca, "-days", "3650",
                     "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", self.path("pki/%s.key" % ca), "-out", self.path("pki/%s.crt" % ca))
        self.certificate("server", ("DNS:localhost", "DNS:kubernetes.default.svc", "IP:127.0.0.1", "IP:10.0.0.1"))
        self.certificate("admin", (), "/O=system:masters/CN=admin")
        self.certificate("front-proxy", (), "/CN=front-proxy-client", ca="front-proxy-ca")
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path("pki/sa.key"))
        _openssl("ec", "-in", self.path("pki/sa.key"), "-pubout", "-out", self.path("pki/sa.pub"))
        self._write_kubeconfig("admin.kubeconfig", {"client-certificate": self.path("pki/admin.crt"),
                                                    "client-key": self.path("pki/admin.key")})

    def _make_stages(self):
        """Copies kwok's stages with the lab's delays, and adds the lab's own.

        As shipped, the pods' stages wait 1 to 5 s at random each, and a delay set by annotation is cut to the jitter's 5 s. Without
        a jitter of its own, a stage waits exactly as long as it says."""
        delays = dict(STAGE_DELAYS, **{"pod-ready": round(self.start_seconds * 1000)})
        for folder in (os.path.join(self.bin, "stages"), os.path.join(HERE, "stages")):
            for name in os.listdir(folder):
                with open(os.path.join(folder, name)) as f:
                    text = f.read()
                stage = name[:-len(".yaml")]
                if stage in delays:
                    text, found = re.subn(r"(?m)^( +durationMilliseconds: )\d+$", r"\g<1>%d" % delays[stage], text)
                    text, jitter = re.subn(r"(?m)^ +jitterDurationMilliseconds: \d+\n", "", text)
                    if (found, jitter) != (1, 1):
                        raise LabError("kwok's stage %s has not the delays that were expected" % name)
                with open(self.path("stages/" + name), "w") as f:
                    f.write(text)

    def _commands(self):
        pki, port = (lambda name: self.path("pki/" + name)), self.ports
        etcd = "http://127.0.0.1:%d" % port["etcd"]
        peer = "http://127.0.0.1:%d" % port["etcd-peer"]
        serving = ["--bind-address=127.0.0.1", "--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key")]
        asking = ["--kubeconfig=" + self.kubeconfig, "--authentication-kubeconfig=" + self.kubeconfig,
                  "--authorization-kubeconfig=" + self.kubeconfig, "--leader-elect=false"]
        commands = collections.OrderedDict()
        commands["etcd"] = [
            "--name=lab", "--data-dir=" + self.path("etcd"), "--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
            "--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=lab=" + peer,
            "--unsafe-no-fsync", "--quota-backend-bytes=8589934592", "--log-level=warn"]
        commands["kube-apiserver"] = [
            "--etcd-servers=" + etcd, "--secure-port=%d" % port["kube-apiserver"], "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # an endpoint on loopback is refused anyway
            "--client-ca-file=" + pki("ca.crt"), "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
            "--service-account-issuer=https://kubernetes.default.svc", "--disable-admission-plugins=ServiceAccount",
            "--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--proxy-client-cert-file=" + pki("front-proxy.crt"), "--proxy-client-key-file=" + pki("front-proxy.key")] + serving
        if self.audit:
            with open(self.path("audit.json"), "w") as f:
                json.dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
                           "rules": [{"level": "Metadata"}]}, f)
            commands["kube-apiserver"] += ["--audit-policy-file=" + self.path("audit.json"), "--audit-log-path=" + self.audit_log]
        commands["kube-controller-manager"] = asking + serving + [
            "--secure-port=%d" % port["kube-controller-manager"], "--service-account-private-key-file=" + pki("sa.key"),
            "--root-ca-file=" + pki("ca.crt")]
        commands["kube-scheduler"] = asking + serving + ["--secure-port=%d" % port["kube-scheduler"]]
        stages = sorted(set(os.listdir(os.path.join(self.bin, "stages"))) | set(os.listdir(os.path.join(HERE, "stages"))))
        commands["kwok"] = ["--kubeconfig=" + self.kubeconfig, "--manage-all-nodes=true", "--node-lease-duration-seconds=40"] + [
            "--config=" + self.path("stages/" + s) for s in stages]
        return collections.OrderedDict((name, [os.path.join(self.bin, name)] + argv + self.args.get(name, []))
                                       for name, argv in commands.items())


def _openssl(*args):
    done = subprocess.run(("openssl",) + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    if done.returncode != 0:
        raise LabError("openssl %s: %s" % (args[0], done.stdout.strip()))


def _answers_ok(port, path, context):
    """Is the answer 200? With a context by HTTPS."""
    conn = (http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context) if context
            else http.client.HTTPConnection("127.0.0.1", port, timeout=5))
    try:
        conn.request("GET", path)
        return conn.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        conn.close()


def parse_time(text):
    """A time of the API as seconds since the epoch."""
    return datetime.datetime.strptime(re.sub(r"\.\d+Z$", "Z", text), "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=datetime.timezone.utc).timestamp()

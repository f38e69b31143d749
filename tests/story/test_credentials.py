#!/usr/bin/env python3
"""Credentials that come and go: programs, files that are replaced, proxies. A front that asks for them stands before a pocket cluster.

usage: test_credentials.py POCKET BRIM [STORY…]
"""

import base64
import contextlib
import json
import os
import pty
import select
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import lanes
import test_pocket
from test_pocket import Agent, Pocket, free_port, wait_until

# A name that no resolver knows: only a proxy of ours reaches it. It is not a loopback address, which NO_PROXY always holds.
HOST = "cluster.test"
V1 = "client.authentication.k8s.io/v1"
LANES = 4


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder, name):
        self.folder, self.name, self.count = folder, name, 0
        self.path = os.path.join(folder, name)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
                "-days", "2", "-keyout", self.path + ".key", "-out", self.path + ".crt", "-addext", "keyUsage=keyCertSign")

    def text(self):
        return read(self.path + ".crt")

    def issue(self, name):
        """Certificate and key as PEM, for a server (all our hosts) or a client of that name."""
        self.count += 1
        base = "%s-%d" % (self.path, self.count)
        with open(base + ".ext", "w") as f:
            f.write("subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n" % HOST)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
                "-keyout", base + ".key", "-out", base + ".csr")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.path + ".crt", "-CAkey", self.path + ".key", "-CAcreateserial",
                "-days", "1", "-extfile", base + ".ext", "-out", base + ".crt")
        return base + ".crt", base + ".key"


def openssl(*args):
    done = subprocess.run(("openssl",) + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout)


def read(path):
    with open(path) as f:
        return f.read()


def write(path, text):
    """Swapped, as kubelets and careful programs do."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)
    return path


def pump(a, b):
    """Carries bytes both ways until one side ends."""
    with contextlib.suppress(OSError):
        while True:
            if not (isinstance(a, ssl.SSLSocket) and a.pending()):
                ready = select.select([a, b], [], [])[0]
            else:
                ready = [a]
            for s in ready:
                data = s.recv(65536)
                if not data:
                    return
                (b if s is a else a).sendall(data)


class Server:
    """Accepts on a loopback port; each connection is a thread's."""

    def __init__(self, context=None):
        self.context = context
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.begin, args=(s,), daemon=True).start()

    def begin(self, s):
        try:
            if self.context:
                s = self.context.wrap_socket(s, server_side=True)
            self.open.add(s)
            self.serve(s)
        except (OSError, ValueError):
            pass
        finally:
            self.open.discard(s)
            s.close()

    def cut(self):
        """Ends all connections."""
        for s in list(self.open):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


class Front(Server):
    """TLS before a pocket cluster, for those who have a token or the certificate of a name."""

    def __init__(self, pocket, authority, tokens=(), names=()):
        self.upstream = int(pocket.url.rsplit(":", 1)[1])
        self.tokens, self.names = set(tokens), set(names)
        self.seen = []  # (token, name, path) of each request
        self.shown = []  # what each was told under
        self.authority = authority
        super().__init__()
        self.certify(authority)

    def certify(self, authority):
        """Shows a certificate of that authority from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("front"))
        context.load_verify_locations(self.authority.path + ".crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        self.context = context

    def serve(self, s):
        subject = (s.getpeercert() or {}).get("subject", ())
        name = next((value for part in subject for key, value in part if key == "commonName"), None)
        with socket.create_connection(("127.0.0.1", self.upstream)) as up:
            threading.Thread(target=self.answers, args=(up, s), daemon=True).start()
            requests = s.makefile("rb")
            while True:
                lines = []
                while not lines or lines[-1].strip():
                    lines.append(requests.readline())
                    if not lines[-1]:
                        return
                fields = dict(line.decode().strip().split(": ", 1) for line in lines[1:-1] if b": " in line)
                body = requests.read(int(fields.get("Content-Length", 0)))
                token = fields.get("Authorization", "").replace("Bearer ", "") or None
                self.seen.append((token, name, lines[0].split()[1].decode()))
                self.shown.append(s.context)
                if token in self.tokens or name in self.names:
                    up.sendall(b"".join(lines) + body)
                else:
                    text = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "Unauthorized",
                                       "reason": "Unauthorized", "code": 401}).encode()
                    s.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" %
                              (len(text), text))

    @staticmethod
    def answers(up, s):
        with contextlib.suppress(OSError, ValueError):
            while data := up.recv(65536):
                s.sendall(data)
            s.shutdown(socket.SHUT_RDWR)


class HttpProxy(Server):
    """CONNECT, perhaps with a password, perhaps over TLS."""

    def __init__(self, context=None, password=None):
        self.password, self.asked = password, []
        super().__init__(context)

    def serve(self, s):
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(1)
        method, target = head.split(b" ", 2)[:2]
        self.asked.append(target.decode())
        wanted = self.password and b"Basic " + base64.b64encode(self.password.encode())
        if method != b"CONNECT" or (wanted and wanted not in head):
            s.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", int(target.rsplit(b":", 1)[1]))) as up:
            s.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            pump(s, up)


class SocksProxy(Server):
    """SOCKS 5 without a password, for names alone."""

    def __init__(self):
        self.asked = []
        super().__init__()

    def serve(self, s):
        f = s.makefile("rb", buffering=0)
        methods = f.read(2)[1]
        f.read(methods)
        s.sendall(b"\x05\x00")
        kind = f.read(4)[3]
        if kind != 3:
            s.sendall(b"\x05\x08\x00\x01" + bytes(6))
            return
        name = f.read(f.read(1)[0]).decode()
        port = int.from_bytes(f.read(2), "big")
        self.asked.append("%s:%d" % (name, port))
        with socket.create_connection(("127.0.0.1", port)) as up:
            s.sendall(b"\x05\x00\x00\x01" + bytes(6))
            pump(s, up)


PLUGIN = """#!/bin/sh
echo "$KUBERNETES_EXEC_INFO" >>{dir}/runs
. {dir}/behaviour
"""


class Rig(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.dir = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.authority = Authority(self.dir, "one")
        self.pocket = self.stack.enter_context(Pocket("--scenario", "003"))
        self.front = self.stack.enter_context(Front(self.pocket, self.authority))
        self.direct = self.brim("capacity", kubeconfig=self.pocket.kubeconfig).stdout

    def path(self, name):
        return os.path.join(self.dir, name)

    def kubeconfig(self, user, host="127.0.0.1", authority=None, **cluster):
        cluster = {"server": "https://%s:%d" % (host, self.front.port),
                   "certificate-authority": authority or self.authority.path + ".crt", **cluster}
        return write(self.path("kubeconfig"), json.dumps(
            {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
             "clusters": [{"name": "k", "cluster": cluster}], "users": [{"name": "u", "user": user}]}))

    def plugin(self, behaviour, **fields):
        """A user whose credentials come from a script."""
        self.behave(behaviour)
        path = write(self.path("plugin"), PLUGIN.format(dir=self.dir))
        os.chmod(path, stat.S_IRWXU)
        return {"exec": {"apiVersion": V1, "command": "./plugin", "interactiveMode": "Never", **fields}}

    def behave(self, script):
        write(self.path("behaviour"), script)

    def runs(self):
        return read(self.path("runs")).splitlines() if os.path.exists(self.path("runs")) else []

    def brim(self, *args, kubeconfig=None, **env):
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return subprocess.run([test_pocket.BRIM, *args, "--kubeconfig", kubeconfig or self.path("kubeconfig")],
                              env={**kept, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=100)

    def works(self, **env):
        run = self.brim("capacity", **env)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertEqual(len(run.stdout), len(self.direct), run.stdout)

    def fails(self, *texts, **env):
        run = self.brim("capacity", **env)
        self.assertNotEqual(run.returncode, 0, run.stdout)
        for text in texts:
            self.assertIn(text, run.stderr)


def answer(**status):
    """A script that prints an ExecCredential."""
    return "cat <<'END'\n%s\nEND\n" % json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status})


class Programs(Rig):
    def test_a_command_gets_its_token_from_a_program(self):
        self.front.tokens.add("t1")
        self.kubeconfig(self.plugin(answer(token="t1"), provideClusterInfo=True))
        self.works()
        self.assertEqual(len(self.runs()), 1, "for all requests of the command")
        info = json.loads(self.runs()[0])
        self.assertEqual(info["spec"]["cluster"]["server"], "https://127.0.0.1:%d" % self.front.port)
        self.assertEqual(base64.b64decode(info["spec"]["cluster"]["certificate-authority-data"]).decode(), self.authority.text())
        self.assertIs(info["spec"]["interactive"], False)

    def test_a_command_gets_its_certificate_from_a_program(self):
        self.front.names.add("jane")
        cert, key = self.authority.issue("jane")
        self.kubeconfig(self.plugin(answer(clientCertificateData=read(cert), clientKeyData=read(key))))
        self.works()
        self.assertEqual({name for _, name, _ in self.front.seen}, {"jane"})

    def test_a_command_says_what_is_wrong_with_the_program(self):
        user = self.plugin("echo why not >&2; exit 7", installHint="see example.com")
        self.kubeconfig(user)
        self.fails("why not\n", "plugin' failed with exit code 7")
        self.assertEqual(len(self.runs()), 1)
        self.behave("echo secret")
        self.fails("its answer is no JSON object")
        self.behave(answer(token="unknown"))
        self.fails("401 Unauthorized: Unauthorized")
        self.assertEqual(len(self.runs()), 3, "not once more for a token that is new")
        user["exec"]["command"] = "brim-no-such-program"
        self.kubeconfig(user)
        self.fails("exec plugin 'brim-no-such-program' was not found: see example.com")
        user["exec"]["interactiveMode"] = "Always"
        self.kubeconfig(user)
        self.fails("interactiveMode: Always")
        self.assertEqual([seen for seen in self.front.seen if seen[0] != "unknown"], [], "nothing is sent without a token")

    def test_a_program_that_never_ends_is_killed_with_what_it_started(self):
        self.kubeconfig(self.plugin("sleep 1000 & echo $! >%s; wait" % self.path("pid")))
        self.fails("plugin' did not end within 60 s")
        with contextlib.suppress(FileNotFoundError):
            self.assertIn(") Z ", read("/proc/%s/stat" % read(self.path("pid")).strip()))

    def test_an_agent_gets_a_new_token_when_the_old_one_is_refused(self):
        self.front.tokens.add("t1")
        self.pocket.kubeconfig = self.kubeconfig(self.plugin("sleep 1\n" + answer(token="t1")))
        with Agent(self.pocket) as agent:
            wait_until(lambda: agent.status()["nodes"], 20, "the agent to see nodes")
            self.assertEqual(len(self.runs()), 1)
            self.behave("sleep 1\n" + answer(token="t2"))
            self.front.tokens.clear()
            self.front.tokens.add("t2")
            self.front.cut()
            wait_until(lambda: {path.split("?")[0] for token, _, path in self.front.seen if token == "t2"} >=
                       {"/api/v1/pods", "/api/v1/nodes"}, 40, "both watches to come with the new token")
            self.assertEqual(len(self.runs()), 2)

    def test_an_agent_gets_a_new_token_before_the_old_one_ends(self):
        self.front.tokens.update(("t1", "t2"))
        end = int(time.time()) + 24
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        self.pocket.kubeconfig = self.kubeconfig(self.plugin(answer(token="t1", expirationTimestamp=until)))
        with Agent(self.pocket) as agent:
            wait_until(lambda: agent.status()["nodes"], 20, "the agent to see nodes")
            go = self.path("go")
            self.behave("while [ ! -e %s ]; do sleep 0.1; done\n%s" % (go, answer(token="t2")))
            # In the last quarter; the watches that are cut then come back at once.
            time.sleep(max(0, end - 5 - time.time()))
            before = len(self.front.seen)
            self.front.cut()
            wait_until(lambda: len(self.runs()) == 2, 20, "a second run")
            wait_until(lambda: len(self.front.seen) > before, 20, "requests that do not wait for it")
            self.assertEqual(self.front.seen[before][0], "t1")
            write(go, "")
            self.front.cut()
            wait_until(lambda: self.front.seen[-1][0] == "t2", 20, "the new token")


class Files(Rig):
    def test_an_agent_follows_a_new_authority(self):
        self.front.tokens.add("t")
        ca = write(self.path("ca.crt"), self.authority.text())
        self.pocket.kubeconfig = self.kubeconfig({"token": "t"}, authority=ca)
        with Agent(self.pocket) as agent:
            wait_until(lambda: agent.status()["nodes"], 20, "the agent to see nodes")
            two = Authority(self.dir, "two")
            self.front.certify(two)
            self.front.cut()
            agent.wait_log("(?i)certificate", 20)
            self.assertNotIn(self.front.context, self.front.shown, "nobody tells a stranger anything")
            write(ca, two.text())
            wait_until(lambda: self.front.shown.count(self.front.context) >= 2, 40, "the watches to come back")

    def test_an_agent_follows_a_new_certificate(self):
        self.front.names.add("old")
        pair = [write(self.path(name), read(path)) for name, path in zip(("crt", "key"), self.authority.issue("old"))]
        self.pocket.kubeconfig = self.kubeconfig({"client-certificate": pair[0], "client-key": pair[1]})
        with Agent(self.pocket) as agent:
            wait_until(lambda: agent.status()["nodes"], 20, "the agent to see nodes")
            for to, path in zip(pair, self.authority.issue("new")):
                write(to, read(path))
            self.front.names.clear()
            self.front.names.add("new")
            self.front.cut()
            wait_until(lambda: len([1 for _, name, _ in self.front.seen if name == "new"]) >= 2, 40, "both watches as the new name")


    def test_one_file_may_hold_certificate_and_key(self):
        """As kubelets write it."""
        self.front.names.add("node")
        both = write(self.path("both"), "".join(read(path) for path in self.authority.issue("node")))
        self.kubeconfig({"client-certificate": both, "client-key": both})
        self.works()
        self.assertEqual({name for _, name, _ in self.front.seen}, {"node"})

    def test_a_key_under_a_password_is_refused_and_nobody_is_asked(self):
        """There is a terminal, and nobody at it."""
        cert, key = self.authority.issue("jane")
        openssl("ec", "-in", key, "-aes256", "-passout", "pass:secret", "-out", key + ".sealed")
        config = self.kubeconfig({"client-certificate": cert, "client-key": key + ".sealed"})
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(test_pocket.BRIM, [test_pocket.BRIM, "capacity", "--kubeconfig", config])
        said, end = b"", time.monotonic() + 20
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 0.5)[0]:
                continue
            try:
                said += os.read(terminal, 4096)
            except OSError:  # it has ended
                break
        else:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)
        self.assertEqual(status, 3, said)
        self.assertIn(b"private key", said)
        self.assertNotIn(b"pass phrase", said)


class Proxies(Rig):
    def setUp(self):
        super().setUp()
        self.front.tokens.add("t")

    def proxy(self, kind, *args, **kwargs):
        return self.stack.enter_context(kind(*args, **kwargs))

    def test_the_environment_names_a_proxy(self):
        p = self.proxy(HttpProxy, password="user:pass")
        url = "http://user:pass@127.0.0.1:%d" % p.port
        self.kubeconfig({"token": "t"}, host=HOST)
        self.works(HTTPS_PROXY=url)
        self.assertEqual(set(p.asked), {"%s:%d" % (HOST, self.front.port)})
        self.works(HTTPS_PROXY=url, https_proxy="http://127.0.0.1:1", NO_PROXY="other,%s:1,.%s,10.0.0.0/8" % (HOST, HOST))
        self.works(https_proxy=url[len("http://"):])
        self.fails(HOST, HTTPS_PROXY=url, no_proxy=HOST)
        self.fails(HOST, HTTP_PROXY=url, ALL_PROXY=url)
        self.fails("407", HTTPS_PROXY="http://127.0.0.1:%d" % p.port)
        self.fails("HTTPS_PROXY: expected http://, https:// or socks5:// and a host", HTTPS_PROXY="ftp://x")

    def test_loopback_addresses_are_reached_directly(self):
        p = self.proxy(HttpProxy)
        self.kubeconfig({"token": "t"})
        self.works(HTTPS_PROXY="http://127.0.0.1:%d" % p.port)
        self.assertEqual(p.asked, [])

    def test_the_clusters_own_proxy_knows_no_exceptions(self):
        p = self.proxy(HttpProxy)
        self.kubeconfig({"token": "t"}, **{"proxy-url": "http://127.0.0.1:%d" % p.port})
        self.works(NO_PROXY="*", HTTPS_PROXY="http://127.0.0.1:1")
        self.assertEqual(set(p.asked), {"127.0.0.1:%d" % self.front.port})

    def test_another_name_on_the_certificate_goes_through_a_proxy_too(self):
        p = self.proxy(HttpProxy)
        self.kubeconfig({"token": "t"}, host="other.test", **{"proxy-url": "http://127.0.0.1:%d" % p.port, "tls-server-name": HOST})
        self.works()
        self.assertEqual(set(p.asked), {"other.test:%d" % self.front.port})

    def test_a_proxy_may_speak_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.issue("proxy"))
        p = self.proxy(HttpProxy, context)
        url = "https://127.0.0.1:%d" % p.port
        self.kubeconfig({"token": "t"}, host=HOST, **{"proxy-url": url})
        self.works()
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        stranger.load_cert_chain(*Authority(self.dir, "two").issue("proxy"))
        p.context = stranger
        before = len(p.asked)
        self.fails("certificate")
        self.assertEqual(len(p.asked), before)

    def test_a_proxy_may_speak_socks(self):
        p = self.proxy(SocksProxy)
        self.kubeconfig({"token": "t"}, host=HOST)
        for scheme in ("socks5", "socks5h"):
            self.works(HTTPS_PROXY="%s://127.0.0.1:%d" % (scheme, p.port))
        self.assertEqual(set(p.asked), {"%s:%d" % (HOST, self.front.port)})


if __name__ == "__main__":
    test_pocket.POCKET, test_pocket.BRIM = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(lanes.run(sys.modules["__main__"], sys.argv[3:], LANES))

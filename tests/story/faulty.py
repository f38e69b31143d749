"""faulty: an HTTP proxy that stands between the agent and a pocket cluster and fails as it is told.

It takes requests apart and puts answers together again, so that a story can refuse, hold, cut, garble or rewrite any of them:

    with Proxy(pocket.url) as proxy:
        proxy.ask = lambda r: Answer(429) if r.is_watch else None     # instead of the server's answer
        proxy.frame = lambda r, frame: [frame, frame]                 # events of watches, whole ones
        proxy.body = lambda r, status, data: data[:100]               # all other answers
        proxy.cut()                                                   # every connection, now

Each hook may be set at any time and is asked for each request, answer or frame; None leaves things as they are. One thread a
connection.
"""

import contextlib
import http.client
import queue
import socket
import ssl
import struct
import threading
import time
import urllib.parse

PROTOBUF = "application/vnd.kubernetes.protobuf"
HANG, BREAK = object(), object()


class Answer:
    def __init__(self, status, body=b"", content_type="application/json", **headers):
        self.status, self.body, self.content_type = status, body, content_type
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body = method, headers, body
        self.path, _, query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.is_watch = "watch" in self.query
        self.is_scale = self.method == "PATCH" and self.path.endswith("/scale")

    def target(self):
        return self.path + ("?" + urllib.parse.urlencode(self.query) if self.query else "")

    def of(self, *plurals):
        """Is it a list or a watch of one of these?"""
        return self.method == "GET" and self.path in ["/api/v1/" + p for p in plurals]


class Frames:
    """Cuts a watch's bytes into frames."""

    def __init__(self, protobuf):
        self.protobuf, self.rest = protobuf, b""

    def push(self, data):
        self.rest += data
        frames = []
        while True:
            if self.protobuf:
                n = 4 + struct.unpack(">I", self.rest[:4])[0] if len(self.rest) >= 4 else 4
            else:
                n = self.rest.find(b"\n") + 1 or len(self.rest) + 1
            if len(self.rest) < n:
                return frames
            frames.append(self.rest[:n])
            self.rest = self.rest[n:]


class Connection:
    """One of the client's, and how it was used."""

    def __init__(self, sock):
        self.sock, self.dead, self.watches = sock, threading.Event(), False
        self.wedged = False  # nothing passes any more, and nobody says so

    def cut(self):
        self.dead.set()
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Proxy:
    def __init__(self, url, context=None, lag=0.0):
        self.upstream = urllib.parse.urlsplit(url)
        self.context, self.lag = context, lag
        self.ask = self.frame = self.body = self.answered = None
        self.refusing = False  # no connection comes about
        self.connections, self.lock = set(), threading.Lock()
        self.requests = 0
        self.heard = {}  # when a list or watch last brought anything, by path
        self.closing = False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.url = "%s://127.0.0.1:%d" % ("https" if context else "http", self.port)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    # ---- what a story does ----

    def cut(self):
        """Breaks all connections."""
        with self.lock:
            for c in self.connections:
                c.cut()

    def wedge(self, watches=True, others=True):
        """From now on nothing passes over these connections, though they stand. New ones work."""
        with self.lock:
            for c in self.connections:
                c.wedged = c.wedged or (watches if c.watches else others)

    # ---- the wire ----

    def accept(self):
        while not self.closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        conn = Connection(sock)
        try:
            if self.refusing:
                conn.cut()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                conn.sock = self.context.wrap_socket(sock, server_side=True)
            with self.lock:
                self.connections.add(conn)
            stream = conn.sock.makefile("rb")
            while not conn.dead.is_set() and not self.closing:
                request = self.read_request(stream)
                if request is None or not self.relay(conn, request):
                    break
        except (OSError, http.client.HTTPException, ValueError):
            pass
        finally:
            with self.lock:
                self.connections.discard(conn)
            with contextlib.suppress(OSError):
                conn.sock.close()

    def read_request(self, stream):
        line = stream.readline()
        if not line:
            return None
        method, target, _ = line.decode().split(" ", 2)
        headers = http.client.parse_headers(stream)
        body = stream.read(int(headers.get("Content-Length", 0)))
        return Request(method, target, headers, body)

    def send(self, conn, data):
        """False: the connection is gone."""
        while conn.wedged and not conn.dead.is_set():
            conn.dead.wait(0.1)
        if conn.dead.is_set():
            return False
        conn.sock.sendall(data)
        return True

    def send_whole(self, conn, status, headers, body):
        head = "HTTP/1.1 %d X\r\n" % status + "".join("%s: %s\r\n" % h for h in headers.items())
        return self.send(conn, head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def relay(self, conn, r):
        """False: the connection is not to be used again."""
        conn.watches = r.is_watch
        self.requests += 1
        hook = self.ask
        answer = hook(r) if hook else None
        while conn.wedged and not conn.dead.is_set():
            conn.dead.wait(0.1)
        if answer is HANG:
            conn.dead.wait()
            return False
        if answer is BREAK:
            conn.cut()
            return False
        if answer is not None:
            return self.send_whole(conn, answer.status, dict(answer.headers, **{"Content-Type": answer.content_type}), answer.body)
        up = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=90)
        try:
            keep = ("Accept", "Content-Type", "User-Agent")
            up.request(r.method, r.target(), r.body or None, {k: r.headers[k] for k in keep if k in r.headers})
            answer = up.getresponse()
            if r.is_watch and answer.status == 200:
                self.relay_watch(conn, r, up, answer)
                return False
            return self.relay_whole(conn, r, answer)
        finally:
            up.close()

    def relay_whole(self, conn, r, answer):
        data, hook, told = answer.read(), self.body, self.answered
        if told:
            told(r, answer.status)
        changed = hook(r, answer.status, data) if hook else None
        if changed is HANG:
            conn.dead.wait()
            return False
        if changed is BREAK:
            conn.cut()
            return False
        headers = {k: v for k, v in answer.getheaders() if k in ("Content-Type", "Retry-After")}
        self.note(r)
        return self.send_whole(conn, answer.status, headers, data if changed is None else changed)

    def relay_watch(self, conn, r, up, answer):
        kind = answer.getheader("Content-Type")
        frames = Frames(kind.startswith(PROTOBUF))
        watcher = threading.Thread(target=self.close_with, args=(conn, up), daemon=True)
        watcher.start()
        if not self.send(conn, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: %s\r\n\r\n" % kind.encode()):
            return
        self.note(r)
        for data in self.late(answer):
            if conn.dead.is_set():
                return
            if not data:
                self.send(conn, b"0\r\n\r\n")
                return
            for frame in frames.push(data):
                hook = self.frame
                out = hook(r, frame) if hook else None
                for piece in [frame] if out is None else out:
                    if piece is BREAK:
                        conn.cut()
                        return
                    if not self.send(conn, b"%x\r\n" % len(piece) + piece + b"\r\n"):
                        return
                    self.note(r)

    def late(self, answer):
        """The pieces of an answer, each as much later as this server is behind; b"" at its end."""
        pieces = queue.Queue()

        def read():
            data = b"begin"
            while data:
                try:
                    data = answer.read1(1 << 16)
                except (OSError, http.client.HTTPException, ValueError):
                    data = b""
                pieces.put((time.monotonic() + self.lag, data))
        threading.Thread(target=read, daemon=True).start()
        while True:
            at, data = pieces.get()
            time.sleep(max(0.0, at - time.monotonic()))
            yield data

    def close_with(self, conn, up):
        """Ends the server's side once the client's is gone."""
        while not conn.dead.is_set() and not self.closing:
            try:
                if conn.sock.fileno() < 0 or (not isinstance(conn.sock, ssl.SSLSocket) and
                                              conn.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""):
                    break
            except BlockingIOError:
                pass
            except OSError:
                break
            conn.dead.wait(0.3)
        conn.dead.set()
        with contextlib.suppress(OSError, AttributeError):
            up.sock.shutdown(socket.SHUT_RDWR)

    def note(self, r):
        if r.of("pods", "nodes"):
            self.heard[r.path] = time.monotonic()


# ---- protobuf, as far as frames need it ----

def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def event_type(frame):
    """The type of a frame's event, in either form."""
    if frame[:1] == b"{":
        return frame.split(b'"type":"', 1)[1].split(b'"', 1)[0].decode()
    return frame[6:6 + frame[5]].decode()


def as_type(frame, name):
    """The same event under another type."""
    if frame[:1] == b"{":
        return frame.replace(b'"type":"%s"' % event_type(frame).encode(), b'"type":"%s"' % name.encode(), 1)
    body = field(1, name.encode()) + frame[6 + frame[5]:]
    return struct.pack(">I", len(body)) + body


def with_unknown(frame):
    """The same event with fields that nobody knows yet, around the object."""
    if frame[:1] == b"{":
        return frame.rstrip()[:-1] + b',"future":{"deep":[{"er":"\\u0000"}]}}\n'
    body = frame[4:] + field(1000, b"later") + varint(1001 << 3) + varint(1 << 60) + varint(1002 << 3 | 5) + b"four"
    return struct.pack(">I", len(body)) + body

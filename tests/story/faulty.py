"""faulty: an HTTP proxy that stands between the agent and a pocket cluster and fails as it is told.

It takes requests apart and puts answers together again, so that a story can refuse, hold, cut, garble or rewrite any of them:

    with Proxy(pocket.url) as proxy:
        proxy.ask = lambda r: Answer(429) if r.is_watch else None     # instead of the server's answer
        proxy.frame = lambda r, frame: [frame, frame]                 # events of watches, whole ones
        proxy.body = lambda r, status, data: data[:100]               # all other answers
        proxy.cut()                                                   # every connection, now
    proxy.vanish()                                                # the same, but nobody says so
    proxy.asked, proxy.answered = fn(r), fn(r, status)            # told before and after the server is asked

Each hook may be set at any time and is asked for each request, answer or frame; None leaves things as they are. HANG: no
answer comes, BREAK: the connection is reset, VANISH: as if the server's machine were gone, with half of an answer on its way.
One thread a connection.
"""

import contextlib
import ctypes
import http.client
import queue
import socket
import ssl
import struct
import threading
import time
import urllib.parse

PROTOBUF = "application/vnd.kubernetes.protobuf"
HANG, BREAK, VANISH = object(), object(), object()
INITIAL_END = b"k8s.io/initial-events-end"


class Answer:
    def __init__(self, status, body=b"", content_type="application/json", **headers):
        self.status, self.body, self.content_type = status, body, content_type
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body, self.at = method, headers, body, time.monotonic()
        self.path, _, query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.is_watch = "watch" in self.query
        self.is_scale = self.method == "PATCH" and self.path.endswith("/scale")

    def target(self):
        return self.path + ("?" + urllib.parse.urlencode(self.query) if self.query else "")

    def of(self, *plurals):
        """Is it a list or a watch of one of these?"""
        return self.method == "GET" and self.path in ["/api/v1/" + p for p in plurals]


    def of_all(self):
        """… of all of them: not of those that wait, not of one?"""
        return self.of("pods", "nodes") and "spec.nodeName=," not in self.query.get("fieldSelector", "") + ","


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


class Book:
    """What watches of everything of a kind have brought, by path: not those that name what they are after."""

    def __init__(self):
        self.heard, self.lock, self.whole, self.ended = {}, threading.Lock(), {}, {}

    def note(self, path):
        self.heard[path] = time.monotonic()

    def begin(self, path):
        """A watch has brought all that there is."""
        with self.lock:
            self.whole[path] = self.whole.get(path, 0) + 1

    def end(self, path):
        with self.lock:
            self.whole[path] -= 1
            self.ended[path] = time.monotonic()

    def watched(self, path, since):
        return self.whole.get(path, 0) > 0 or self.ended.get(path, -1e9) > since


class Connection:
    """One of the client's, and how it was used."""

    def __init__(self, sock):
        self.sock, self.dead, self.watches = sock, threading.Event(), False
        self.wedged = False  # nothing passes any more, and nobody says so

    def vanish(self):
        """As if the machine at this end were gone: it takes no packet any more, acknowledges none and sends none."""
        self.wedged = True
        drop(self.sock)

    def cut(self):
        self.dead.set()
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class sock_filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class sock_fprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_uint16), ("filter", ctypes.POINTER(sock_filter))]


SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
BPF_RET = 6


def drop(sock):
    """The kernel drops what comes for this socket before TCP sees it."""
    nothing = sock_filter(BPF_RET, 0, 0, 0)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(sock_fprog(1, ctypes.pointer(nothing))))


class Proxy:
    def __init__(self, url, context=None, lag=0.0, book=None):
        self.upstream = urllib.parse.urlsplit(url)
        self.context, self.lag, self.book = context, lag, book or Book()
        self.ask = self.frame = self.body = self.asked = self.answered = None
        self.refusing = False  # no connection comes about
        self.connections, self.lock = set(), threading.Lock()
        self.requests = 0
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

    def vanish(self, watches=True, others=True):
        """The same, and what the client sends is not even acknowledged: as if the machine were gone."""
        with self.lock:
            for c in self.connections:
                if watches if c.watches else others:
                    c.vanish()

    def unreachable(self, so=True):
        """Whether attempts to connect remain without any answer."""
        if so:
            drop(self.listener)
        else:
            self.listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

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

    def head(self, status, headers, body):
        head = "HTTP/1.1 %d X\r\n" % status + "".join("%s: %s\r\n" % h for h in headers.items())
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body)

    def send_whole(self, conn, status, headers, body):
        return self.send(conn, self.head(status, headers, body) + body)

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
        if self.asked:
            self.asked(r)
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
        if changed is VANISH:
            self.send(conn, self.head(answer.status, headers, data) + data[:len(data) // 2])
            conn.vanish()
            conn.dead.wait()
            return False
        return self.send_whole(conn, answer.status, headers, data if changed is None else changed)

    def relay_watch(self, conn, r, up, answer):
        kind = answer.getheader("Content-Type")
        watcher = threading.Thread(target=self.close_with, args=(conn, up), daemon=True)
        watcher.start()
        if not self.send(conn, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: %s\r\n\r\n" % kind.encode()):
            return
        self.note(r)
        whole = r.of_all() and "sendInitialEvents" not in r.query
        if whole:
            self.book.begin(r.path)
        try:
            for frame in self.frames(conn, answer, kind):
                if not self.relay_frame(conn, r, frame):
                    return
                if r.of_all() and not whole and INITIAL_END in frame:
                    whole = True
                    self.book.begin(r.path)
        finally:
            if whole:
                self.book.end(r.path)

    def frames(self, conn, answer, kind):
        """Whole events, until there are no more."""
        frames = Frames(kind.startswith(PROTOBUF))
        for data in self.late(answer):
            if conn.dead.is_set():
                return
            if not data:
                self.send(conn, b"0\r\n\r\n")
                return
            yield from frames.push(data)

    def relay_frame(self, conn, r, frame):
        hook = self.frame
        out = hook(r, frame) if hook else None
        for piece in [frame] if out is None else out:
            if piece is BREAK:
                conn.cut()
                return False
            if piece is VANISH:
                conn.vanish()
                continue
            if not self.send(conn, b"%x\r\n" % len(piece) + piece + b"\r\n"):
                return False
            self.note(r)
        return True

    def late(self, answer):
        """The pieces of an answer, each as much later as this server is behind; b"" at its end."""
        pieces = queue.Queue()

        def read():
            data = b"begin"
            while data:
                try:
                    data = answer.read1(1 << 16)
                except (OSError, http.client.HTTPException, ValueError, AttributeError):  # it was closed
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
        if r.of_all():
            self.book.note(r.path)


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

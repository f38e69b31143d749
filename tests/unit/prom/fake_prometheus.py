"""fake_prometheus: answers brim's questions about kube-state-metrics from a list of samples, over HTTP, and fails as it is told.

    with FakePrometheus(ksm_load.samples(load, 30, 7)) as p:
        ...p.url...

It does not know PromQL: a question's metric, function, window and grouping are read off its text, which has the forms of
agent/prom/ksm_ask.c. What a real Prometheus makes of those questions is tried in tests/e2e.
"""
import bisect
import http.server
import json
import re
import ssl
import subprocess
import threading
import urllib.parse

LOOKBACK = 300  # seconds for which a sample is fresh


class FakePrometheus:
    def __init__(self, series, prefix="", tls=None):
        self.series = {}  # by family: [(labels, times, values)]
        for (family, text), points in series.items():
            self.series.setdefault(family, []).append((dict(re.findall(r'(\w+)="([^"]*)"', text)), [t for t, _ in points], [v for _, v in points]))
        self.asked = []  # (path, parameters, headers)
        self.answer = lambda asked: None  # (status, body or pieces of it) instead of the answer, or None
        self.piece = 1000
        self.prefix = prefix
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                fake.serve(self, {k: v[0] for k, v in form.items()})

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):  # who breaks a connection off has his reasons
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:  # files of a certificate and its key
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = "http%s://127.0.0.1:%d%s" % ("s" if tls else "", self.server.server_address[1], prefix)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, request, form):
        asked = (request.path, form, dict(request.headers))
        self.asked.append(asked)
        other = self.answer(asked)
        if other is not None:
            status, body = other
        elif request.path == self.prefix + "/api/v1/query":
            status, body = 200, self.vector(form["query"], float(form["time"]))
        elif request.path == self.prefix + "/api/v1/query_range":
            status, body = 200, self.matrix(form["query"], float(form["start"]), float(form["end"]), float(form["step"]))
        else:
            status, body = 404, "404 page not found\n"
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for i in range(0, len(body), self.piece):
            part = body[i:i + self.piece]
            request.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        request.wfile.write(b"0\r\n\r\n")

    def is_stale(self, labels, last, now):
        """Was the rest of its target scraped after this series was seen last?"""
        return any(last < t <= now and labels.get("instance") == other.get("instance") and labels.get("cluster") == other.get("cluster")
                   for other, times, _ in self.series.get("kube_node_info", []) for t in times[bisect.bisect_right(times, last):][:1])

    # -- what is asked

    def rows(self, query):
        """The series that the first selector of a question names."""
        family, matchers = re.search(r"(kube_\w+)\{([^}]*)\}", query).groups()
        for labels, times, values in self.series.get(family, []):
            if all(re.fullmatch(want, labels.get(name, "")) if op == "=~" else labels.get(name, "") == want
                   for name, op, want in re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers)):
                yield labels, times, values

    @staticmethod
    def group(query, rows):
        """(labels, value) of rows, one for each group of the outermost aggregation."""
        keys = re.match(r"\w+ by\(([^)]*)\)", query)
        keys = keys.group(1).split(",") if keys else []
        inner = re.match(r"sum by\([^)]*\)\(max by\(([^)]*)\)", query)
        groups = {}
        for labels, value in rows:
            key = tuple((k, labels[k]) for k in keys if labels.get(k))
            part = tuple(labels.get(k) for k in inner.group(1).split(",")) if inner else None
            least = query.startswith("min")
            parts = groups.setdefault(key, {})
            parts[part] = (min if least else max)(parts.get(part, value), value)
        return [(dict(key), sum(parts.values())) for key, parts in groups.items()]

    @staticmethod
    def result(kind, rows):
        return {"status": "success", "data": {"resultType": kind, "result": rows}}

    def vector(self, query, now):
        window = re.search(r"\[(\d+)ms", query)
        begin = now - (int(window.group(1)) / 1000 if window else LOOKBACK)
        rows = []
        if query.startswith("topk(1,"):
            counts = [(sum(begin <= t <= now for t in times), i, labels) for i, (labels, times, _) in enumerate(self.rows(query))]
            best = max(counts, default=(0,))
            return self.result("vector", [{"metric": best[2], "value": [now, str(best[0])]}] if best[0] else [])
        if query.endswith("]"):
            return self.result("matrix", [{"metric": labels, "values": [[t, repr(v)] for t, v in zip(times, values) if begin <= t <= now]}
                                          for labels, times, values in self.rows(query)])
        for labels, times, values in self.rows(query):
            first, last = bisect.bisect_left(times, begin), bisect.bisect_right(times, now)
            if first == last:
                continue
            if query.endswith("==1"):
                rows += [(labels, 1)] if values[last - 1] == 1 else []
            elif "==1" in query:
                rows += [(labels, times[i]) for i in range(first, last) if values[i] == 1][:1]
            elif "timestamp(" in query:
                rows += [(labels, times[last - 1])] if window or not self.is_stale(labels, times[last - 1], now) else []
            elif "init_container" not in query or " and " not in query:  # no sidecars here
                rows.append((labels, values[last - 1]))
        return self.result("vector", [{"metric": labels, "value": [now, repr(value)]} for labels, value in self.group(query, rows)])

    def matrix(self, query, begin, end, step):
        rows, points, t = [], [], begin
        while t <= end:
            for labels, times, values in self.rows(query):
                i = bisect.bisect_right(times, t) - 1
                if i >= 0 and t - times[i] <= LOOKBACK:
                    if "timestamp" in query:
                        points.append((t, times[i]))
                    elif values[i] == 1 and "unschedulable" in query:
                        rows.append(({"node": labels["node"]}, t))
            t += step
        if "timestamp" in query:
            newest = {}
            for t, value in points:
                newest[t] = max(value, newest.get(t, 0))
            return self.result("matrix", [{"metric": {}, "values": [[t, repr(v)] for t, v in sorted(newest.items())]}] if newest else [])
        nodes = {}
        for labels, t in rows:
            nodes.setdefault(labels["node"], []).append([t, "1"])
        return self.result("matrix", [{"metric": {"node": n}, "values": v} for n, v in nodes.items()])


def make_tls(folder):
    """Files of an authority, of a certificate for 127.0.0.1 that it signed, and of that one's key."""
    ca, ca_key, cert, key, request, names = (folder + "/" + name for name in ("ca.pem", "ca.key", "cert.pem", "key.pem", "csr.pem", "names"))
    with open(names, "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\n")
    for argv in (["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=played authority", "-keyout", ca_key, "-out", ca],
                 ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=prometheus", "-keyout", key, "-out", request],
                 ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile", names, "-out", cert]):
        subprocess.run(["openssl"] + argv, check=True, capture_output=True, timeout=60)
    return ca, cert, key


class FakeScraped(FakePrometheus):
    """The same for brim's own series, as agent/report_scraped.c asks for them."""

    def rows(self, query):
        selector = re.search(r"\{(.*)\}\[", query).group(1)
        wanted = re.findall(r'(\w+)(=~|!=|=)"((?:[^"\\]|\\.)*)"', selector)
        name = re.match(r"count by\(policy\)\(last_over_time\((\w+)\{", query)
        wanted += [("__name__", "=", name.group(1))] if name else []
        for family, all_series in self.series.items():
            for labels, times, values in all_series:
                whole = dict(labels, __name__=family)
                if all((re.fullmatch(want.replace("\\\\", "\\"), whole.get(label, "")) is not None) if op == "=~" else
                       (whole.get(label, "") == want) == (op == "=") for label, op, want in wanted):
                    yield whole, times, values

    def vector(self, query, now):
        begin = now - int(re.search(r"\[(\d+)ms\]$", query).group(1)) / 1000
        result = [{"metric": labels, "values": [[t, repr(v)] for t, v in zip(times, values) if begin <= t <= now]}
                  for labels, times, values in self.rows(query)]
        return self.result("matrix", [s for s in result if s["values"]])

    def matrix(self, query, begin, end, step):
        window = int(re.search(r"\[(\d+)ms\]", query).group(1)) / 1000
        found = {}
        for labels, times, values in self.rows(query):
            points, t = [], begin
            while t <= end:
                i = bisect.bisect_right(times, t) - 1
                if i >= 0 and t - times[i] < window:
                    points.append([t, repr(values[i])])
                t += step
            if points:
                key = {"policy": labels["policy"]} if query.startswith("count") else labels
                found[json.dumps(key, sort_keys=True)] = {"metric": key, "values": points}
        return self.result("matrix", list(found.values()))

#!/usr/bin/env python3
"""`brim top` on a pseudo-terminal and in a pipe, against an agent that says what the test wants.

usage: test_top_live.py BRIM
"""
import fcntl
import http.server
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import unittest

BRIM = None
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


def status(paid, filler):
    now = int(time.time() * 1000)
    return {"v": 1, "t": now, "boot": 5, "version": "0", "state": "hold", "dry_run": False,
            "watch": {"pods_ms": 1, "nodes_ms": 2},
            "cpu": {"allocatable_milli": 184000, "paid_milli": paid * 1000, "pending_milli": 0,
                    "filler_milli": filler * 1000, "leaving_milli": 0, "headroom_milli": 30000, "reserve_milli": 0},
            "waiting": {"pods": 0, "total": {"from_t": 5, "paid": 3, "blocked": 0},
                        "day": {"from_t": 5, "paid": 3, "blocked": 0}},
            "earned": {"day": {"core_hours_milli": 1000}}, "nodes": 2, "eligible_nodes": 2, "pods": 9,
            "fillers": [{"policy": "mi\u001b[31mner", "wanted": filler, "running": filler, "starting": 0, "leaving": 0,
                         "fit": 184 - paid, "kept": 32, "damped": filler, "min": 0, "max": 150, "slot_milli": 1000,
                         "state": "hold", "bound_by": "settle", "conditions": [], "decisions": {"yield": 1}}],
            "fillers_total": 1, "say": {"doing": ["Waiting"], "why": []}}


def decision(number, before, after):
    return {"id": number, "t": int(time.time() * 1000), "policy": "miner", "from": before, "to": after,
            "reason": "yield" if after < before else "harvest", "paid_milli": 0, "pending_milli": 0,
            "detail": "yield: because"}


class Agent(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        agent = self
        self.answers = {"/api/v1/status": status(74, 78), "/api/v1/decisions": {"v": 1, "decisions": [decision(1, 9, 78)]},
                        "/api/v1/nodes": {"v": 1, "names": ["n0", "n1"], "allocatable_milli": [92000, 92000],
                                          "paid_milli": [37000, 37000], "filler_milli": [39000, 39000],
                                          "leaving_milli": [0, 0], "free_milli": [16000, 16000], "cordoned": [0, 0]}}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                answer = agent.answers.get(self.path.split("?")[0])
                if answer is None:  # the agent is gone
                    self.close_connection = True
                    return
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()


class Terminal:
    """brim top on a pseudo-terminal; everything that it writes is kept."""

    def __init__(self, url, cols, rows, *flags, **env):
        self.master, slave = pty.openpty()
        self.size(cols, rows)
        self.before = termios.tcgetattr(slave)
        self.slave, self.out = slave, b""
        self.process = subprocess.Popen([BRIM, "top", "--agent", url, *flags], stdin=slave, stdout=slave, stderr=slave,
                                        env={"PATH": "/usr/bin:/bin", "TERM": "xterm", **env}, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))

    def size(self, cols, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.out += os.read(self.master, 65536)
                except OSError:
                    return
            elif self.process.poll() is not None:
                return

    def wait_for(self, text, seconds=10):
        until = time.monotonic() + seconds
        while text not in self.out and time.monotonic() < until:
            self.read(0.1)
        assert text in self.out, (text, self.out[-3000:])

    def type(self, keys):
        os.write(self.master, keys)

    def frames(self):
        return self.out.split(b"\x1b[H")[1:]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Live(unittest.TestCase):
    def setUp(self):
        self.agent = Agent()
        self.addCleanup(self.agent.end)

    def top(self, cols, rows, *flags, **env):
        terminal = Terminal(self.agent.url, cols, rows, *flags, **env)
        self.addCleanup(terminal.end)
        return terminal

    def leaves_it_as_it_was(self, terminal):
        terminal.read(10)
        self.assertEqual(terminal.process.wait(10), 0)
        self.assertEqual(terminal.out.count(ENTER), 1)
        self.assertEqual(terminal.out.count(LEAVE), 1)
        self.assertIn(b"\x1b[?25h", terminal.out)
        self.assertEqual(termios.tcgetattr(terminal.slave)[3], terminal.before[3], "echo and lines are back")
        self.assertIn(b"Report of this run", terminal.out.split(LEAVE)[1])

    def test_q_and_signals_end_it_with_the_screen_restored_and_a_report(self):
        for end in (lambda t: t.type(b"q"), lambda t: t.type(b"\x03"), lambda t: t.process.send_signal(signal.SIGTERM)):
            terminal = self.top(80, 24)
            terminal.wait_for(b"152 of 184 cores at work")
            end(terminal)
            self.leaves_it_as_it_was(terminal)

    def test_frames_fit_the_terminal_follow_its_size_and_are_few(self):
        terminal = self.top(80, 24, "--interval", "1")
        terminal.wait_for(b"152 of 184")
        terminal.read(2)
        frames = len(terminal.frames())
        self.assertLessEqual(frames, 4 * 3 + 2)
        terminal.size(40, 8)
        terminal.read(1)
        last = terminal.frames()[-2]
        self.assertLessEqual(last.count(b"\n"), 7)
        self.assertIn(b"paid, 78 filler.", last)
        self.assertNotIn(b"FILLER", last)
        terminal.size(150, 40)
        terminal.wait_for(b"least free first")
        terminal.wait_for(b"n1 ")
        terminal.type(b"q")
        self.leaves_it_as_it_was(terminal)

    def test_names_from_outside_do_not_steer_the_terminal(self):
        terminal = self.top(80, 24, NO_COLOR="1")
        terminal.wait_for(b"mi?[31mner")
        self.assertNotIn(b"\x1b[31m", terminal.out)
        self.assertNotIn(b"\x1b[0;3", terminal.out, "NO_COLOR")

    def test_keys_change_the_page_and_stop_it(self):
        terminal = self.top(80, 24)
        terminal.wait_for(b"152 of 184")
        terminal.type(b"?")
        terminal.wait_for(b"what pods that are not filler ask for")
        terminal.type(b"n")
        terminal.wait_for(b"least free first")
        terminal.type(b"p")
        terminal.wait_for(b"PAUSED")
        self.agent.answers["/api/v1/status"] = status(10, 20)
        terminal.read(2.2)
        self.assertNotIn(b"30 of 184", terminal.out)
        terminal.type(b"p")
        terminal.wait_for(b"30 of 184")

    def test_blocks_where_the_terminal_shows_utf8(self):
        terminal = self.top(80, 24, LANG="C.UTF-8")
        terminal.wait_for("\u2588".encode() * 10)

    def test_an_agent_that_goes_and_comes_back(self):
        terminal = self.top(80, 24)
        terminal.wait_for(b"152 of 184 cores at work")
        answers, self.agent.answers = self.agent.answers, {}
        terminal.wait_for(b"AWAY, tries on")
        terminal.wait_for(b"152 of 184 cores were at work")
        self.agent.answers = answers
        terminal.out = b""
        terminal.wait_for(b"152 of 184 cores at work")

    def test_a_pipe_gets_one_picture(self):
        run = subprocess.run([BRIM, "top", "--agent", self.agent.url], capture_output=True, timeout=30, text=True)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertIn("152 of 184 cores at work", run.stdout)
        self.assertNotIn("\x1b", run.stdout)
        self.assertLessEqual(max(len(line) for line in run.stdout.splitlines()), 80)
        self.assertLessEqual(len(run.stdout.splitlines()), 24)

    def test_a_pipe_that_goes_on_gets_one_line_a_change(self):
        run = subprocess.Popen([BRIM, "top", "--agent", self.agent.url, "-w", "--for", "4", "--report"],
                               stdout=subprocess.PIPE, text=True)
        time.sleep(1.5)
        self.agent.answers["/api/v1/status"] = status(106, 46)
        self.agent.answers["/api/v1/decisions"]["decisions"].insert(0, decision(2, 78, 46))
        out = run.communicate(timeout=30)[0]
        self.assertEqual(run.returncode, 0)
        changes = [line for line in out.splitlines() if " -> " in line]
        self.assertEqual(len(changes), 1, out)
        self.assertIn("yield miner 78 -> 46: because; paid 106 filler 46 free 32 waiting 0", changes[0])
        self.assertRegex(out, r"utilisation, with filler +8\d\.\d %")

    def test_json_is_the_agents_status(self):
        run = subprocess.run([BRIM, "top", "--agent", self.agent.url, "-o", "json"], capture_output=True, timeout=30)
        self.assertEqual(json.loads(run.stdout), self.agent.answers["/api/v1/status"])

    def test_bad_use_and_nobody_there(self):
        for flags, code in ((["-n", "0"], 2), (["--for", "x"], 2), (["--agent", "ftp://x"], 2), (["x"], 2),
                            (["--agent", "http://127.0.0.1:1"], 3)):
            run = subprocess.run([BRIM, "top", *flags], capture_output=True, timeout=30)
            self.assertEqual((run.returncode, run.stdout), (code, b""), flags)
            self.assertNotEqual(run.stderr, b"")


if __name__ == "__main__":
    BRIM = sys.argv.pop(1)
    unittest.main(verbosity=1)

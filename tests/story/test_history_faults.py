#!/usr/bin/env python3
"""What can go wrong with a history, and what the agent makes of it: in each case paid load gets its room at once, people are told, and
what can be kept is kept.

usage: test_history_faults.py POCKET BRIM FAULTY_DISK FAULTY_SYSTEM [STORY…]
"""

import glob
import json
import os
import subprocess
import sys
import time
import urllib.request

import lanes
import test_disk
import test_pocket
from test_disk import Cluster, Keeper, Story, query, report
from test_pocket import wait_until

FAULTY_DISK = FAULTY_SYSTEM = None
LANES = 6

# A step, and what a slow machine may need.
SOON_S = 30
PAGE = 4096


def history(*args):
    return subprocess.run([test_pocket.BRIM, "history", *args], capture_output=True, text=True, timeout=60)


def status(agent):
    with urllib.request.urlopen(agent.url + "/api/v1/status", timeout=5) as answer:
        return json.load(answer)["history"]


def shown(agent):
    return subprocess.run([test_pocket.BRIM, "status", "--agent", agent.url], capture_output=True, text=True, timeout=20).stdout


def overwrite(path, at, size):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(os.urandom(size))


def wait_decision(db, more_than=0):
    def count():
        return query(db, "SELECT count(*) FROM decision")[0][0]
    wait_until(lambda: os.path.exists(db + "-wal") and os.path.getsize(db + "-wal") > 0 and count() > more_than, SOON_S,
               "a decision in the file")


class Faulty(Story):
    """What the disk refuses, from one moment to another."""

    EIO, EROFS = 5, 30

    def setUp(self):
        super().setUp()
        self.switch = os.path.join(self.dir.name, "faulty")
        self.env = dict(os.environ, LD_PRELOAD=FAULTY_DISK, FAULTY_DISK=self.switch)

    def refuse(self, words):
        with open(self.switch + ".new", "w") as f:
            f.write(words)
        os.replace(self.switch + ".new", self.switch)

    def check_failing(self, p, agent, why):
        """People are told, once; paid load gets its room."""
        said = agent.wait_log("history cannot be written; control goes on.*", SOON_S)
        self.assertIn(why, said)
        self.assertIn(self.db, said)
        self.check_prompt(p.yields())
        wait_until(lambda: agent.metric("brim_history_failing") == 1, SOON_S, "the metric")
        self.assertIn(why, status(agent)["error"])
        self.assertIn("History that cannot be written; control goes on: ", shown(agent))
        errors = agent.metric("brim_history_errors_total")
        wait_until(lambda: agent.metric("brim_history_errors_total") > errors, SOON_S, "another try")
        self.assertEqual(agent.text().count("history cannot be written"), 1)

    def check_heals(self, agent):
        os.unlink(self.switch)
        agent.wait_log("history is written again", SOON_S)
        wait_until(lambda: agent.metric("brim_history_failing") == 0, SOON_S, "the metric")
        self.assertIsNone(status(agent)["error"])
        self.assertEqual(agent.metric("brim_history_set_aside_total"), 0)
        self.assertEqual(agent.metric("brim_history_dropped_total"), 0)
        self.assertEqual(agent.stop()[0], 0)
        self.check_nothing_lost()

    def check_nothing_lost(self):
        """What was decided meanwhile is there."""
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        ids = [i for i, in query(self.db, "SELECT id FROM decision ORDER BY id")]
        self.assertEqual(ids, list(range(1, len(ids) + 1)))
        self.assertGreaterEqual(query(self.db, "SELECT count(*) FROM decision WHERE replicas < before")[0][0], 2)

    def while_written(self, words, why):
        with Cluster() as p, Keeper(p, self.db, env=self.env) as agent:
            self.check_prompt(p.yields(1))
            wait_decision(self.db)
            self.refuse(words)
            self.check_prompt(p.yields(1))
            self.check_failing(p, agent, why)
            self.check_heals(agent)

    def from_the_start(self, words, why):
        with Cluster() as p:
            with Keeper(p, self.db, env=self.env) as agent:
                self.check_prompt(p.yields(1))
                wait_decision(self.db)
                self.assertEqual(agent.stop()[0], 0)
            self.refuse(words)
            with Keeper(p, self.db, env=self.env) as agent:
                self.check_failing(p, agent, why)
                self.check_heals(agent)


class Errors(Faulty):
    """A disk that answers with errors: what it refuses waits until it does not."""

    def test_a_disk_that_refuses_to_write(self):
        self.while_written("write %d" % self.EIO, "disk I/O error")

    def test_a_disk_that_refuses_to_sync(self):
        self.while_written("sync %d" % self.EIO, "disk I/O error")

    def test_a_disk_that_refuses_to_read(self):
        """It is no damaged file: SQLite tells them not apart."""
        self.from_the_start("read %d" % self.EIO, "Input/output error")


class ReadOnly(Faulty):
    def test_a_folder_that_cannot_be_written_costs_history_until_it_can(self):
        self.refuse("open %d" % self.EROFS)
        with Cluster() as p, Keeper(p, self.db, env=self.env) as agent:
            self.check_failing(p, agent, "Read-only file system")
            self.check_heals(agent)

    def test_a_file_system_that_becomes_read_only_while_the_file_is_open(self):
        self.while_written("write %d" % self.EROFS, "disk I/O error")

    def test_a_folder_in_which_the_file_can_be_written_and_no_log_can_be_made(self):
        self.from_the_start("open %d -wal" % self.EROFS, "unable to open database file")


class Network(Story):
    def test_on_a_network_the_file_is_the_agent_s_alone_and_all_are_told(self):
        env = dict(os.environ, LD_PRELOAD=FAULTY_DISK, FAULTY_FS_TYPE="6969")
        with Cluster() as p, Keeper(p, self.db, env=env) as agent:
            agent.wait_log("history lies on a network file system.*kind=nfs", SOON_S)
            self.check_prompt(p.yields())
            wait_until(lambda: (agent.metric("brim_history_bytes") or 0) > 0, SOON_S, "something in the file")
            self.assertEqual(agent.metric("brim_history_on_network"), 1)
            self.assertEqual(status(agent)["network"], "nfs")
            self.assertIn("History on a network file system, which nobody else can read: nfs", shown(agent))
            self.assertFalse(os.path.exists(self.db + "-shm"))
            run = report(self.db)
            self.assertEqual(run.returncode, 3)
            self.assertIn("locked", run.stderr)
            agent.kill()
        # A reader after a crash finds all of it, as one after an end does.
        self.assertEqual(report(self.db).returncode, 0, report(self.db).stderr)
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])


    def test_a_second_agent_where_locks_do_not_hold_is_refused(self):
        env = dict(os.environ, LD_PRELOAD=FAULTY_DISK, FAULTY_FS_TYPE="6969", FAULTY_LOCKS="1")
        with Cluster() as p, Keeper(p, self.db, env=env) as first:
            wait_until(lambda: (first.metric("brim_history_bytes") or 0) > 0, SOON_S, "the first agent's history")
            with Cluster() as q, Keeper(q, self.db, env=env) as second:
                said = second.wait_log("history cannot be written; control goes on.*", SOON_S)
                self.assertIn("process %d on " % first.process.pid, said)
                wait_until(lambda: "locks do not hold here" in (status(second)["error"] or ""), SOON_S, "the first one's answer")
                self.check_prompt(q.yields(1))
                self.check_prompt(p.yields(1))
                self.assertEqual(first.metric("brim_history_errors_total"), 0)
                self.assertEqual(first.stop()[0], 0)
                second.wait_log("history is written again", SOON_S)
                self.assertEqual(second.stop()[0], 0)
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        run = report(self.db)
        self.assertEqual(run.returncode, 0, run.stderr)


class Damaged(Story):
    def fill(self, pocket):
        """A life of an agent that leaves something behind."""
        with Keeper(pocket, self.db) as agent:
            self.check_prompt(pocket.yields())
            wait_decision(self.db)
            time.sleep(test_disk.STEP_S + 1)
            self.assertEqual(agent.stop()[0], 0)

    def check_told(self, pocket, agent):
        """Log, metric, status, event; the name of the file that was set aside."""
        said = agent.wait_log("history was damaged: it was set aside, and a new one is begun.*", SOON_S)
        wait_until(lambda: agent.metric("brim_history_set_aside_total") == 1, SOON_S, "the metric")
        aside = status(agent)["aside"]
        self.assertIn(aside, said)
        self.assertEqual(glob.glob(self.db + ".corrupt-*Z"), [aside])
        self.assertIn("Damaged history that was set aside: " + aside, shown(agent))
        events = "/apis/events.k8s.io/v1/namespaces/filler/events"
        wait_until(lambda: any(e["reason"] == "HistoryDamaged" and aside in e["note"] for e in pocket.server.get(events)["items"]),
                   SOON_S, "the event")
        return aside

    def check_new(self, aside):
        """The new file is whole; the old one's is saved as far as it can be read."""
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        self.assertGreater(query(self.db, "SELECT count(*) FROM decision")[0][0], 0)
        self.assertEqual(query(self.db, "SELECT count(*) FROM policy_text"), [(1,)])
        saved = os.path.join(self.dir.name, "saved.db")
        run = history("recover", aside, saved)
        self.assertEqual(run.returncode, 1, run)
        self.assertIn("lost: ", run.stderr)
        self.assertEqual(query(saved, "PRAGMA integrity_check"), [("ok",)])
        self.assertGreater(query(saved, "SELECT count(*) FROM decision")[0][0], 0)

    def test_a_file_that_is_damaged_at_the_start_is_set_aside(self):
        with Cluster() as p:
            self.fill(p)
            overwrite(self.db, 0, PAGE)
            with Keeper(p, self.db) as agent:
                aside = self.check_told(p, agent)
                self.check_prompt(p.yields())
                wait_decision(self.db)
                self.assertEqual(agent.stop()[0], 0)
        self.check_new(aside)

    def test_a_file_that_is_damaged_while_it_is_written_is_set_aside(self):
        with Cluster() as p:
            self.fill(p)
            with Keeper(p, self.db) as agent:
                wait_decision(self.db)
                size = os.path.getsize(self.db)
                overwrite(self.db, PAGE, size - PAGE)
                while agent.metric("brim_history_set_aside_total") == 0:
                    self.check_prompt(p.yields(1))
                self.check_told(p, agent)
                self.check_prompt(p.yields())
                wait_decision(self.db)
                self.assertEqual(agent.stop()[0], 0)
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        self.assertGreater(query(self.db, "SELECT count(*) FROM decision")[0][0], 0)

    def test_a_file_that_was_removed_is_begun_anew(self):
        with Cluster() as p, Keeper(p, self.db) as agent:
            wait_decision(self.db)
            os.unlink(self.db)
            self.check_prompt(p.yields())
            wait_until(lambda: os.path.exists(self.db) and agent.metric("brim_history_errors_total") > 0, SOON_S, "a new file")
            wait_decision(self.db)
            self.assertEqual(agent.stop()[0], 0)
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])


class Clock(Story):
    def test_a_clock_that_is_set_back_an_hour_stops_nothing(self):
        clock = os.path.join(self.dir.name, "clock")
        with open(clock, "w") as f:
            f.write("0")
        env = dict(os.environ, LD_PRELOAD=FAULTY_SYSTEM, FAULTY_CLOCK=clock)
        with Cluster() as p, Keeper(p, self.db, env=env) as agent:
            self.check_prompt(p.yields())
            wait_decision(self.db)
            time.sleep(test_disk.STEP_S / 5)  # what was decided till now is written
            before = query(self.db, "SELECT max(id), max(t) FROM decision")[0]
            with open(clock, "w") as f:
                f.write("-3600")
            self.check_prompt(p.yields())
            wait_decision(self.db, before[0])
            time.sleep(test_disk.STEP_S + 1)
            self.assertEqual(agent.metric("brim_history_failing"), 0)
            self.assertEqual(agent.metric("brim_history_dropped_total"), 0)
            self.assertEqual(agent.stop()[0], 0)
        after = query(self.db, "SELECT id, t FROM decision WHERE id > %d ORDER BY id" % before[0])
        self.assertTrue(after)
        self.assertLess(after[-1][1], before[1] - 3000 * 1000, "times are told as the clock has them")
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(report(self.db, "--by", "hour").returncode, 0)


    def test_a_clock_that_is_far_ahead_for_a_while_costs_no_history(self):
        clock = os.path.join(self.dir.name, "clock")
        env = dict(os.environ, LD_PRELOAD=FAULTY_SYSTEM, FAULTY_CLOCK=clock)

        def years(n):
            with open(clock + ".new", "w") as f:
                f.write(str(n * 365 * 86400))
            os.replace(clock + ".new", clock)

        def kept():
            return query(self.db, "SELECT id, t FROM decision WHERE id <= %d ORDER BY id" % len(first))

        first = []
        years(0)
        with Cluster() as p:
            with Keeper(p, self.db, env=env) as agent:
                self.check_prompt(p.yields())
                wait_decision(self.db)
                self.assertEqual(agent.stop()[0], 0)
            first = query(self.db, "SELECT id, t FROM decision ORDER BY id")
            self.assertEqual(kept(), first)
            # A board without a battery may wake up in any year.
            years(10)
            with Keeper(p, self.db, env=env) as agent:
                self.check_prompt(p.yields(1))
                wait_decision(self.db, first[-1][0])
                self.assertEqual(kept(), first)
                years(0)
                self.check_prompt(p.yields(1))
                time.sleep(test_disk.STEP_S + 1)
                years(10)
                time.sleep(test_disk.STEP_S + 1)
                years(0)
                self.check_prompt(p.yields(1))
                self.assertEqual(agent.metric("brim_history_failing"), 0)
                self.assertEqual(agent.stop()[0], 0)
        self.assertEqual(kept(), first)
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])
        run = report(self.db, "--by", "hour", "--since", "1h")
        self.assertEqual(run.returncode, 0, run.stderr)


class Two(Story):
    def test_a_second_agent_is_refused_by_whatever_name_it_has_for_the_file(self):
        with Cluster() as p, Keeper(p, self.db) as first:
            wait_until(lambda: (first.metric("brim_history_bytes") or 0) > 0, SOON_S, "the first agent's history")
            for make in (os.symlink, os.link):
                other = os.path.join(self.dir.name, make.__name__ + ".db")
                make(self.db, other)
                with Cluster() as q, Keeper(q, other) as second:
                    said = second.wait_log("history cannot be written; control goes on.*", SOON_S)
                    self.assertIn("is written by another agent", said)
                    self.check_prompt(q.yields(1))
                    self.assertIn("is written by another agent", status(second)["error"])
                    self.assertEqual(second.stop()[0], 0)
            self.assertEqual(first.metric("brim_history_failing"), 0)
            self.assertEqual(first.stop()[0], 0)
        self.assertEqual(query(self.db, "PRAGMA integrity_check"), [("ok",)])


class Backup(Story):
    def test_a_copy_is_made_while_the_agent_writes(self):
        with Cluster() as p, Keeper(p, self.db) as agent:
            self.check_prompt(p.yields(1))
            wait_decision(self.db)
            for i in range(3):
                n = query(self.db, "SELECT count(*) FROM decision")[0][0]
                copy = os.path.join(self.dir.name, "copy-%d.db" % i)
                run = history("backup", "--db", self.db, copy)
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertEqual(query(copy, "PRAGMA integrity_check"), [("ok",)])
                self.assertGreaterEqual(query(copy, "SELECT count(*) FROM decision")[0][0], n)
                self.assertFalse(os.path.exists(copy + "-wal"))
                self.assertEqual(report(copy).returncode, 0, report(copy).stderr)
                self.check_prompt(p.yields(1))
            run = history("backup", "--db", self.db, copy)
            self.assertEqual((run.returncode, run.stdout), (3, ""))
            self.assertIn("is there already", run.stderr)
            run = history("--db", self.db, "-o", "json")
            self.assertEqual(run.returncode, 0, run.stderr)
            told = json.loads(run.stdout)
            self.assertEqual(told["version"], 1)
            self.assertGreater(told["rows"]["decision"], 0)
            self.assertIn("TABLE", history("--db", self.db).stdout)
            self.assertEqual(agent.metric("brim_history_failing"), 0)
            self.assertEqual(agent.stop()[0], 0)


if __name__ == "__main__":
    test_pocket.POCKET, test_pocket.BRIM, FAULTY_DISK, FAULTY_SYSTEM = (os.path.abspath(path) for path in sys.argv[1:5])
    sys.exit(lanes.run(sys.modules[__name__], sys.argv[5:], LANES))

# SPDX-License-Identifier: Apache-2.0
"""A run seen while it trains: fit, plot and info of an unfinished run, watch, and run --log.

Usage: test_cli_watch.py PROGRAM [unittest arguments]
"""
import fcntl
import glob
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import unittest

import h5py

import cli_case
import hold
import journal_file

# Snapshots shorten the blocks of steps, between which there are checkpoints.
SPEC = """\
name: seen
network: {layers: 3, width: 6, inputs: 4, activation: linear}
train: {rate: 0.05, batch: 32, steps: 3000}
escape: {thresholds: [0.1, 0.3], smoothing: 0.9, false_escapes: allow}
sweep: {seeds: 8, seed: 1, groups: [{bottleneck: 3, scales: [0.5, 0.3, 0.2]}]}
record: {every: 20, samples: 16}
"""
MEMBERS = 24
SLOTS = ("--slots", "4", "--threads", "1")


class Scratch(cli_case.Case):
    SPEC = SPEC

    def begin(self, *arguments, members=9, **options):
        """A run, paused after a checkpoint at which more than `members` members have finished."""
        return self.hold.start(self.command(*SLOTS, *hold.CHECKPOINTS, *arguments), self.scratch,
                               journal=self.path("a.h5.journal"), members=members,
                               env=cli_case.ENVIRONMENT, **options)

    def finished(self):
        return journal_file.members(self.path("a.h5.journal"))

    def journal(self):
        with open(self.path("a.h5.journal"), "rb") as file:
            return file.read()

    def contents(self):
        found = {}
        for path in glob.glob(self.path("*")):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    found[os.path.basename(path)] = (file.read(), os.stat(path).st_mtime_ns)
        return found


class Unfinished(Scratch):
    def assert_counts(self, *files):
        """Every member is counted once, and none as censored that only is not known."""
        fit = self.call_json("fit", *files)
        for group in fit["groups"]:
            self.assertEqual(group["n"] + group["running"] + group["waiting"], MEMBERS)
            self.assertEqual(group["censored"], 0)
            self.assertIn("unfinished", "".join(group["warnings"]))
            for point in group["points"]:
                self.assertEqual(point["n"] + point["running"] + point["waiting"], MEMBERS / 3)
        return fit

    def test_a_killed_run_is_fitted_with_members_in_training_as_running(self):
        self.hold.kill(self.begin())
        before = self.contents()
        fit = self.assert_counts("a.h5")
        run, = fit["unfinished"]
        self.assertEqual((run["members"], run["finished"]), (MEMBERS, self.finished()))
        self.assertEqual((run["basis"], run["active"]), ("checkpoint", False))
        self.assertGreater(fit["groups"][0]["running"], 0)
        self.assertEqual(self.call_json("fit", "a.h5.journal")["groups"], fit["groups"])
        text = self.call("fit", "a.h5").stdout
        self.assertTrue(text.startswith(f"a.h5: unfinished run: {self.finished()} of 24 members"), text)
        info = self.call_json("info", "a.h5")
        self.assertEqual((info["kind"], info["finished"]), ("unfinished run", self.finished()))
        self.assertEqual(self.contents(), before)  # reading changes nothing

    def test_the_picture_says_how_many_members_have_finished(self):
        self.hold.kill(self.begin())
        self.call("plot", "a.h5", "-o", "a.svg", "--caption", "a.txt")
        with open(self.path("a.txt"), encoding="utf-8") as file:
            self.assertIn(f"{self.finished()} of 24 members finished", file.read().replace("\n", " "))

    def test_a_run_that_writes_is_read_too(self):
        child = self.begin()
        fit = self.assert_counts("a.h5")
        self.assertTrue(fit["unfinished"][0]["active"])
        self.hold.kill(child)

    def test_a_torn_tail_loses_its_member_only(self):
        self.hold.kill(self.begin())
        data = self.journal()
        last = [(start, end) for start, end, kind, _ in journal_file.parts_of(data)
                if kind == journal_file.RECORD][-1]
        with open(self.path("a.h5.journal"), "wb") as file:
            file.write(data[:last[1] - 7])
        fit = self.assert_counts("a.h5")
        self.assertEqual(fit["unfinished"][0]["finished"], self.finished())

    def test_a_damaged_journal_is_told(self):
        self.hold.kill(self.begin())
        data = bytearray(self.journal())
        first = next(start for start, _, kind, _ in journal_file.parts_of(data)
                     if kind == journal_file.RECORD)
        data[first + 40] ^= 1
        with open(self.path("a.h5.journal"), "wb") as file:
            file.write(data)
        self.assertIn("damaged bytes", self.call("fit", "a.h5").stderr)

    def test_a_checkpoint_of_another_spec_is_not_used(self):
        self.hold.kill(self.begin())
        self.hold.kill(self.hold.start(
            self.command("sweep.seed=50", *hold.CHECKPOINTS, name="b.h5"), self.scratch,
            journal=self.path("b.h5.journal"), env=cli_case.ENVIRONMENT))
        for suffix in ("checkpoint", "checkpoint.previous"):
            os.replace(self.path(f"b.h5.{suffix}"), self.path(f"a.h5.{suffix}"))
        self.assertEqual(self.assert_counts("a.h5")["unfinished"][0]["basis"], "complete scales")

    def test_no_journal_of_a_run_is_refused(self):
        self.write("a.h5.journal", "no journal of a run, but longer than the header of one, which matters")
        self.assertIn("a.h5.journal", self.refused("fit", "a.h5"))
        self.assertIn("b.h5: ", self.refused("fit", "b.h5"))

    def test_workers_are_one_run(self):
        child = subprocess.Popen(
            self.command("--devices", "cpu,cpu", "--slots", "2", *hold.CHECKPOINTS), cwd=self.scratch,
            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={**cli_case.ENVIRONMENT, **self.hold.environment()})
        self.hold.wait(lambda: len(self.hold.held()) == 2, child)
        run, = self.assert_counts("a.h5")["unfinished"]
        self.assertEqual((run["members"], run["active"]), (MEMBERS, True))
        self.hold.kill(child)

    def test_added_members_of_a_finished_result_are_a_run(self):
        self.train("a.h5")
        fitted = self.call_json("fit", "a.h5")
        self.hold.kill(self.begin("--resume", "sweep.seeds=9", members=0))
        self.assertEqual(self.call_json("fit", "a.h5"), fitted)  # the result as it is
        run, = self.call_json("fit", "a.h5.journal")["unfinished"]
        self.assertEqual((run["members"], run["finished"]), (27, MEMBERS + self.finished()))

    def test_a_finished_run_has_no_such_words(self):
        self.hold.kill(self.begin())
        self.run_spec("--resume", *SLOTS)
        self.assertNotIn("unfinished", self.call("fit", "a.h5", "--json").stdout)
        with h5py.File(self.path("a.h5")) as file:
            self.assertNotIn('"checkpoint"', file.attrs["segments"])


class Watch(Scratch):
    def state(self):
        return self.call_json("watch", "a.h5")["state"]

    def test_the_state_is_that_of_the_lock(self):
        child = self.begin()
        self.assertEqual(self.state(), "running")
        self.assertIn(f"running: process {child.pid} on ", self.call("watch", "a.h5").stdout)
        self.hold.kill(child)
        self.assertEqual(self.state(), "stopped")
        self.assertIn("killed", self.call("watch", "a.h5", "--once").stdout)
        self.run_spec("--resume", *SLOTS)
        self.assertEqual(self.state(), "finished")

    def test_a_stop_is_no_kill(self):
        child = self.begin()
        child.terminate()
        child.communicate()
        self.hold.release()
        said = self.call("watch", "a.h5").stdout
        self.assertIn("stopped by a signal", said)
        self.assertNotIn("killed", said)

    def test_a_grid_is_its_point_in_training(self):
        point = "a.h5.point-0123456789abcdef"  # a file as a grid names it; under the lock of a.h5
        child = self.hold.start(self.command(*SLOTS, *hold.CHECKPOINTS, name=point), self.scratch,
                                journal=self.path(f"{point}.journal"), members=9,
                                env=cli_case.ENVIRONMENT)
        self.hold.kill(child)
        said = self.call("watch", "a.h5").stdout
        self.assertTrue(said.startswith("a.h5: grid, point 1 in the order of training"), said)
        self.assertIn(f"{point}: not running", said)
        self.assertIn("run SPEC -o a.h5 --resume", said)
        self.assertEqual(self.call_json("watch", "a.h5")["points_begun"], 1)
        for command in (["fit"], ["info"], ["plot", "-o", "a.png"]):
            self.assertIn(f"give the file of one point, such as {point}", self.refused(*command, "a.h5"))
        for file in (point, f"{point}.journal"):
            self.assertIn("run SPEC -o a.h5 --resume\n", self.call("info", file).stdout)

    def test_a_file_of_no_run_is_refused(self):
        self.assertIn("no run", self.refused("watch", "b.h5"))
        self.assertIn("one file", self.refused("watch"))

    def test_the_table_counts_every_member_once(self):
        self.hold.kill(self.begin())
        rows = [line.split() for line in self.call("watch", "a.h5").stdout.splitlines()
                if line.startswith("  3  ")]
        self.assertEqual(len(rows), 3)
        for _, _, _, members, *states, _ in rows:
            self.assertEqual(int(members), sum(map(int, states)))

    def watch_in_terminal(self, *arguments, keys=b"", until=None):
        """(exit status, screen) of watch on a terminal; `keys` are typed at the first frame, after which
        until() is called."""
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(self.scratch)
            os.execve(cli_case.PROGRAM, [cli_case.PROGRAM, "watch", "a.h5", *arguments],
                      {**cli_case.ENVIRONMENT, "TERM": "xterm"})
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        screen = b""
        while True:
            select.select([terminal], [], [])
            try:
                more = os.read(terminal, 1 << 16)
            except OSError:
                more = b""
            if not more:
                break
            screen += more
            if b"\x1b[J" in screen and (keys or until):
                os.write(terminal, keys)
                if until:
                    until()
                keys = until = None
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), screen.decode()

    def test_ctrl_c_leaves_the_terminal_as_it_was_and_the_run_alone(self):
        child = self.begin()
        status, screen = self.watch_in_terminal(keys=b"\x03")
        self.assertEqual(status, 0, screen)
        self.assertLess(screen.index("\x1b[?1049h"), screen.index("running: process"))
        self.assertIn("\x1b[?25h\x1b[?1049l", screen)
        self.assertIsNone(child.poll())
        self.hold.kill(child)

    def test_it_ends_with_the_run(self):
        child = self.begin()

        def finish():
            child.send_signal(signal.SIGTERM)  # counted by the paused process, which then goes on
            child.communicate()
        status, screen = self.watch_in_terminal("--every", "1", until=finish)
        self.assertEqual(status, 0, screen)
        self.assertIn("stopped by a signal", screen.split("\x1b[?1049l")[1])


class Log(Scratch):
    def events(self, name="log.jsonl"):
        with open(self.path(name), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def named(self, name):
        return [e for e in self.events() if e["event"] == name]

    def test_the_log_has_the_escapes_of_the_result(self):
        self.run_spec("--log", "log.jsonl", *SLOTS, *hold.CHECKPOINTS)
        with h5py.File(self.path("a.h5")) as file:
            step, members = file["escape_step"][()], list(file["member"][()])
            thresholds = list(file["threshold"][()])
        self.assertEqual(len(self.named("escape")), step.size)
        for e in self.named("escape"):
            self.assertEqual(e["step"], step[members.index(e["member"]), thresholds.index(e["threshold"])])
        self.assertEqual(sorted(e["member"] for e in self.named("retirement")), members)
        for name in ("start", "checkpoint", "snapshot", "end"):
            self.assertTrue(self.named(name), name)
        self.assertEqual(self.named("end")[0]["escaped"], MEMBERS)

    def test_a_log_changes_no_bit(self):
        self.train("a.h5", "--log", "log.jsonl")
        self.train("b.h5")
        self.call("compare", "--exact", "a.h5", "b.h5")

    def test_a_log_that_cannot_be_written_warns_once(self):
        said = self.run_spec("--log", "/dev/full").stderr
        self.assertEqual(said.count("warning: --log /dev/full: cannot write"), 1)
        self.assertTrue(os.path.exists(self.path("a.h5")))

    def test_a_resumed_run_appends_after_a_cut_line(self):
        self.hold.kill(self.begin("--log", "log.jsonl"))
        with open(self.path("log.jsonl"), "a", encoding="utf-8") as file:
            file.write('{"event":"esc')
        self.run_spec("--log", "log.jsonl", "--resume", *SLOTS)
        with open(self.path("log.jsonl"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(lines.pop(lines.index('{"event":"esc')), '{"event":"esc')
        events = [json.loads(line)["event"] for line in lines]
        self.assertEqual((events.count("start"), events.count("end")), (2, 1))

    def test_workers_share_the_log(self):
        self.run_spec("--devices", "cpu,cpu", "--log", "log.jsonl")
        self.assertEqual(len(self.named("retirement")), MEMBERS)
        self.assertEqual(len({e["process"] for e in self.named("start")}), 3)

    def test_other_files_are_refused_as_log(self):
        self.assertIn("is not a log", self.refused("run", "small.yaml", "-o", "a.h5", "--log", "small.yaml"))
        self.assertIn("is the name of a file of a run",
                      self.refused("run", "small.yaml", "-o", "a.h5", "--log", "a.h5.journal"))
        self.assertIn("cannot be opened", self.refused("run", "small.yaml", "-o", "a.h5", "--log", "."))


if __name__ == "__main__":
    unittest.main()

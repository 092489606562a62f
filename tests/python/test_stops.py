# SPDX-License-Identifier: Apache-2.0
"""Runs that end early, and runs at the same time: progress, Ctrl-C, resuming, threads, fork, memory.

Usage: test_stops.py PROGRAM [unittest arguments]
"""
import os
import resource
import signal
import threading
import unittest
import unittest.mock

import h5py
import numpy

import escapement
from case import LONG, SHORT, SPEC, Case, program

# Trains until Ctrl-C; a line when it has begun, and what it raised.
CTRL_C = """
import sys, escapement
begun = []
def progress(told):
    if told.steps_made > 0 and not begun:
        begun.append(print("begun", flush=True))
sweep = escapement.Sweep.from_yaml(sys.argv[1])
try:
    sweep.run(sys.argv[2], backend="cpu", resume=True, progress=progress if sys.argv[3] else False)
except KeyboardInterrupt as stopped:
    print(stopped)
    sys.exit(130)
"""


class Stops(Case):
    def undisturbed(self, sweep):
        return sweep.run(backend="cpu")

    def assert_same(self, found, want):
        self.assertEqual(escapement.compare(found, want).attrs["different"], 0)

    def test_progress_tells_and_ends_with_all_members(self):
        told = []
        escapement.Sweep(**SPEC).run(backend="cpu", progress=told.append)
        self.assertGreaterEqual(len(told), 1)
        self.assertEqual(told[-1].members, 15)
        made = [one.steps_made for one in told]
        self.assertEqual(made, sorted(made))
        self.assertEqual(told[-1].steps_expected, told[-1].steps_made)

    def test_progress_true_draws_a_bar_or_lines(self):
        done = self.python("import escapement, sys\n"
                           f"escapement.Sweep(**{SPEC!r}).run(backend='cpu', progress=True)")
        _, errors = done.communicate(timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(errors, "escaped")

    def test_progress_that_says_no_stops_the_run_and_resuming_gives_the_same_bits(self):
        """From Python and from the shell."""
        sweep, spec = escapement.Sweep(**SPEC), self.spec()
        for name in ("python.h5", "shell.h5"):
            with self.assertRaisesRegex(escapement.Interrupted, "--resume") as caught:
                sweep.run(self.path(name), backend="cpu", slots=2, progress=lambda told: False)
            self.assertEqual(caught.exception.status, escapement.Status.INTERRUPTED)
            self.assertFalse(os.path.exists(self.path(name)))
        self.assert_same(sweep.run(self.path("python.h5"), backend="cpu", resume=True),
                         self.undisturbed(sweep))
        program("run", spec, "-o", self.path("shell.h5"), "--backend", "cpu", "--resume", "--quiet")
        program("compare", self.path("python.h5"), self.path("shell.h5"), "--exact")

    def test_a_run_of_the_shell_is_resumed_from_python(self):
        sweep, path = escapement.Sweep(**LONG), self.path("a.h5")
        program("run", self.spec(LONG), "-o", path, "--backend", "cpu", "--max-time", "1", "--quiet",
                code=143)
        with self.assertRaises(escapement.OutOfTimeError):
            sweep.run(path, backend="cpu", resume=True, max_seconds=0.2)

    def test_an_exception_of_progress_stops_the_run_and_is_raised(self):
        def fail(_told):
            raise ZeroDivisionError("mine")
        sweep, path = escapement.Sweep(**LONG), self.path("a.h5")
        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            sweep.run(path, backend="cpu", progress=fail)
        self.assertTrue(os.path.exists(path + ".journal"))

    def test_ctrl_c_saves_and_raises_keyboard_interrupt(self):
        spec, path = self.spec(LONG), self.path("a.h5")
        steps = []
        for _ in range(2):
            run = self.python(CTRL_C, spec, path, "progress")
            self.assertEqual(run.stdout.readline(), "begun\n")
            run.send_signal(signal.SIGINT)
            told, errors = run.communicate(timeout=60)
            self.assertEqual((run.returncode, errors), (130, ""))
            self.assertIn(f"in flight are saved in {path}.checkpoint", told)
            found = program("info", "--json", path + ".checkpoint").stdout
            steps.append(found)
        self.assertNotEqual(*steps)

    def test_ctrl_c_needs_no_progress_function(self):
        """The checkpoint file shows that the run is under way."""
        spec, path = self.spec(LONG), self.path("a.h5")
        run = self.python(CTRL_C.replace('resume=True', 'resume=True, checkpoint_seconds=0.05'), spec,
                          path, "")
        while not os.path.exists(path + ".checkpoint"):
            self.assertIsNone(run.poll())
        run.send_signal(signal.SIGINT)
        told, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130)
        self.assertIn("saved in", told)


class Snapshots(Case):
    def sweep(self, keys=SPEC):
        return escapement.Sweep(**keys, record={"every": 100})

    def test_snapshots_are_those_of_the_result(self):
        """Each value of each member once, in order; and the final ones."""
        found, sweep = [], self.sweep()

        def follow():
            self.data = yield from sweep.snapshots(backend="cpu")
        for snapshot in follow():
            found.append(snapshot)
        want = sweep.run(backend="cpu")
        self.assert_same(self.data, want)
        for i in range(want.sizes["member"]):
            member, own = want.isel(member=i), [one for one in found if one.member == i]
            self.assertEqual((own[0].seed, own[0].scale), (int(member.seed), float(member.scale)))
            self.assertEqual([one.is_end for one in own], [False] * (len(own) - 1) + [True])
            steps = member.snapshot.values[~numpy.isnan(member.signal.values)]
            self.assertEqual([one.step for one in own[:-1]], steps.tolist())
            self.assertEqual([one.signal for one in own[:-1]], member.signal.values[:len(steps)].tolist())
            self.assertEqual(own[-1].step, int(member.steps_run))
            for name in (name for name, values in want.items() if "snapshot" in values.dims):
                numpy.testing.assert_array_equal(own[0][name], member[name].values[0], name)

    def test_leaving_the_loop_stops_the_run_which_is_resumed(self):
        sweep, path = self.sweep(), self.path("a.h5")
        for snapshot in sweep.snapshots(path, backend="cpu", slots=1):
            if snapshot.step == 100:
                break
        del snapshot
        self.assertFalse(os.path.exists(path))
        self.assert_same(sweep.run(path, backend="cpu", resume=True), sweep.run(backend="cpu"))

    def test_a_failure_before_the_first_snapshot_is_raised(self):
        with self.assertRaisesRegex(escapement.InputError, "tpu"):
            next(self.sweep().snapshots(backend="tpu"))
        with self.assertRaisesRegex(escapement.InputError, "other processes"):
            next(self.sweep().snapshots(devices="cpu,cpu"))

    def assert_same(self, found, want):
        self.assertEqual(escapement.compare(found, want).attrs["different"], 0)


class Together(Case):
    def test_two_threads_run_two_sweeps_at_once(self):
        sweeps = [escapement.Sweep(**SPEC), escapement.Sweep(**SPEC).replace("sweep.seed=8")]
        want = [sweep.run(backend="cpu") for sweep in sweeps]
        found = [None, None]

        def train(i):
            found[i] = sweeps[i].run(self.path(f"{i}.h5"), backend="cpu", progress=lambda told: None)
        threads = [threading.Thread(target=train, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one, other in zip(found, want):
            self.assertEqual(escapement.compare(one, other).attrs["different"], 0)

    def test_python_runs_while_a_sweep_does(self):
        """The GIL is free: a thread counts while the library trains."""
        counted = []

        def count(_told):
            counted.append(sum(range(1000)))
        train = threading.Thread(target=lambda: escapement.Sweep(**LONG).run(
            backend="cpu", max_seconds=0.5, progress=count), daemon=True)
        with unittest.mock.patch("threading.excepthook"):  # OutOfTimeError
            train.start()
            ticks = 0
            while train.is_alive():
                ticks += 1
        self.assertGreater(ticks, 10000)
        self.assertGreater(len(counted), 0)

    def test_the_library_waits_for_h5pys_lock(self):
        """Debian's h5py and the library use one HDF5, which serves one thread at a time."""
        path, opened = self.path("a.h5"), threading.Event()
        escapement.Sweep(**SHORT).run(path, backend="cpu")

        def read():
            escapement.open(path)
            opened.set()
        other = threading.Thread(target=read)
        with h5py._objects.phil:
            other.start()
            self.assertFalse(opened.wait(0.3))
        other.join()
        self.assertTrue(opened.is_set())

    def test_h5py_on_another_thread_and_the_library_take_turns(self):
        sweep, ended, files = escapement.Sweep(**SHORT), threading.Event(), []

        def write():
            while not ended.is_set():
                with h5py.File(self.path(f"{len(files) % 4}.h5"), "w") as file:
                    for name in "abcdefgh":
                        file.create_dataset(name, data=numpy.arange(100.0)).attrs["text"] = "text"
                files.append(file)
        other = threading.Thread(target=write)
        other.start()
        try:
            for _ in range(10):
                sweep.run(self.path("ours.h5"), backend="cpu", threads=1, force=True)
                escapement.open(self.path("ours.h5"))
        finally:
            ended.set()
            other.join()
        self.assertGreater(len(files), 0)

    def test_a_child_of_fork_trains_too(self):
        sweep = escapement.Sweep(**SPEC)
        want = sweep.run(self.path("a.h5"), backend="cpu", threads=2)
        escapement.blocks("tanh", [1.0], [0.2, 0.2, 0.2])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                found = sweep.run(backend="cpu", threads=2)
                escapement.blocks("tanh", [1.0], [0.2, 0.2, 0.2])
                other = escapement.open(self.path("a.h5"))
                status = sum(escapement.compare(one, want).attrs["different"] for one in (found, other))
            finally:
                os._exit(status)
        signal.alarm(60)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        signal.alarm(0)

    def test_memory_stays_flat_over_200_runs(self):
        """A leak of one result (30 kB) a run would be 6 MB, one of OpenMP's stacks far more."""
        sweep = escapement.Sweep(**SHORT)

        def run(times):
            for _ in range(times):
                escapement.fit(sweep.run(backend="cpu", threads=2))
            with open("/proc/self/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        first = run(40)
        self.assertLess(run(200) - first, 4e6)

    def test_h5pys_files_are_written_at_exit_although_the_library_was_there_first(self):
        """HDF5's clean-up at exit, which the library does without, is h5py's."""
        for imports in ("import escapement, h5py", "import h5py, escapement"):
            script = f"{imports}\nescapement.Sweep(**{SHORT!r}).run('r.h5', backend='cpu', force=True)\n" \
                "file = h5py.File('left-open.h5', 'w')\nfile['x'] = [1, 2, 3]\n"
            done = self.python(script)
            self.assertEqual(done.communicate(timeout=60), ("", ""))
            with h5py.File(self.path("left-open.h5")) as file:
                self.assertEqual(file["x"][:].tolist(), [1, 2, 3])


if __name__ == "__main__":
    unittest.main()

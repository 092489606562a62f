"""Bounds of a run, before anything is trained: members, memory, devices, threads."""
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv[1])
SPEC = """name: small
network: {layers: 3, width: 8, inputs: 8, activation: tanh}
train: {rate: 0.05, batch: 32, steps: 400}
escape: {thresholds: [0.05], smoothing: 0.9, false_escapes: allow}
sweep: {seeds: 4, groups: [{bottleneck: 3, scales: [0.1]}]}
"""


class Bounds(unittest.TestCase):
    def setUp(self):
        self.room = tempfile.TemporaryDirectory()
        self.addCleanup(self.room.cleanup)
        with open(os.path.join(self.room.name, "small.yaml"), "w", encoding="utf-8") as file:
            file.write(SPEC)

    def call(self, *arguments, **options):
        return subprocess.run([PROGRAM, *arguments], cwd=self.room.name, capture_output=True,
                              text=True, check=False, **options)

    def refuse(self, code, *arguments, **options):
        done = self.call(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(os.listdir(self.room.name), ["small.yaml"])
        return done.stderr

    def test_too_many_members_are_refused_before_memory_is_taken_for_them(self):
        # 1e8 members took 5.2 GiB before the refusal; the address space is 3 GiB here. The
        # sanitizers reserve more than that for themselves.
        with open(PROGRAM, "rb") as program:
            sanitized = b"__asan_init" in program.read()
        limit = [] if sanitized else ["prlimit", "--as=3000000000"]
        done = subprocess.run([*limit, PROGRAM, "run", "small.yaml", "--dry-run",
                               "sweep.seeds=100000000"],
                              cwd=self.room.name, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("100000000 members need", done.stderr)

    def test_a_device_is_refused_where_there_is_none(self):
        for backend in ("auto", "cpu", "reference"):
            with self.subTest(backend):
                if backend == "auto" and "cuda: none" not in self.call("info", "--devices").stdout:
                    continue
                said = self.refuse(2, "run", "small.yaml", "--backend", backend, "--device", "3")
                self.assertIn("--device 3: the backend", said)
        said = self.refuse(2, "bench", "--backend", "cpu", "--device", "0", "--width", "16")
        self.assertIn("--device 0: the backend cpu has no devices", said)

    def test_threads_that_cannot_start_leave_no_journal(self):
        for name, value in (("OMP_STACKSIZE", "100000G"), ("OMP_THREAD_LIMIT", "1")):
            self.assertIn("continue with --threads 1",
                          self.refuse(3, "run", "small.yaml", "--threads", "2",
                                      env={**os.environ, name: value}))
        tiny = {**os.environ, "OMP_STACKSIZE": "16k"}
        self.assertIn("OMP_STACKSIZE", self.refuse(3, "run", "small.yaml", env=tiny))

    def test_report_of_a_result_file_names_the_verbs_that_show_it(self):
        with open(os.path.join(self.room.name, "my.h5"), "w", encoding="utf-8"):
            pass
        said = self.call("report", "my.h5", "-o", "x.html").stderr
        self.assertIn("my.h5 is a file", said)
        self.assertIn("escapement fit", said)


unittest.main(argv=sys.argv[:1])

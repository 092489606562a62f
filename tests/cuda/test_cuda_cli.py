# SPDX-License-Identifier: Apache-2.0
"""The command line with --backend cuda, on the SIMT harness.

usage: test_cuda_cli.py ESCAPEMENT_SIMT"""

import fcntl
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import xarray

PROGRAM = sys.argv.pop(1)
# A batch of one K-slice of a gradient (16 samples): the harness's cuBLAS then has the order of
# order.h, and both backends must give the same bits.
SPEC = """
name: small
network: {layers: 3, width: 12, inputs: 6, activation: tanh}
train: {rate: 0.05, batch: 16, steps: 60}
escape: {thresholds: [0.02], smoothing: 0.9, false_escapes: allow}
sweep: {seeds: 3, groups: [{bottleneck: 1, scales: [0.5, 0.8]}]}
"""


class CudaCommandLine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "spec.yaml").write_text(SPEC)

    def call(self, *arguments, code=0, environment={}):
        done = subprocess.run(
            [PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, "ESCAPEMENT_CUDA_CHUNK": "4", **environment}, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def run_sweep(self, name, *arguments):
        self.call("run", "spec.yaml", "-q", "-o", name, *arguments)
        with xarray.open_dataset(self.folder / name, engine="h5netcdf") as result:
            return result.load()

    def test_cuda_is_the_default_if_there_is_a_device_and_is_named_in_the_result(self):
        result = self.run_sweep("a.h5")
        self.assertEqual(result.attrs["backend"], "cuda")
        self.assertIn("SIMT harness", result.attrs["device"])
        self.assertEqual(result.attrs["precision"], "float32")

    def test_both_backends_give_the_same_variables(self):
        cpu = self.run_sweep("cpu.h5", "--backend", "cpu")
        cuda = self.run_sweep("cuda.h5", "--backend", "cuda")
        self.assertTrue(cpu.equals(cuda))

    def test_snapshots_equal_the_cpus(self):
        record = ("record.every=3", "--slots", "2")
        cpu = self.run_sweep("cpu.h5", "--backend", "cpu", *record)
        cuda = self.run_sweep("cuda.h5", "--backend", "cuda", "--path", "cublas", *record)
        self.assertEqual(cuda.attrs["precision"], "float32, cuBLAS")
        self.assertGreater(cuda.sizes["snapshot"], 2)
        self.assertTrue(cpu.equals(cuda))

    def test_weights_equal_the_cpus(self):
        """Networks pause at the first two thresholds, on the device too."""
        for path in ("fused", "cublas"):
            record = ("record.weights=[start, snapshots, escape, end]", "record.every=7", "--slots", "2",
                      "escape.thresholds=[0.1, 0.18, 0.14]", "escape.false_escapes=allow", "train.steps=64", "network.width=16")
            cuda = self.run_sweep(f"{path}.h5", "--backend", "cuda", "--path", path, *record)
            cpu = self.run_sweep(f"{path}_cpu.h5", "--backend", "cpu", *record)
            self.assertGreater((cuda.escape_step >= 0).sum(), 2)
            self.assertTrue(cpu.equals(cuda))

    def test_slots_do_not_change_the_result(self):
        many = self.run_sweep("many.h5", "train.batch=20")
        one = self.run_sweep("one.h5", "train.batch=20", "--slots", "1")
        self.assertTrue(many.equals(one))

    def test_a_journal_of_the_cpu_is_not_continued_by_cublas(self):
        self.run_sweep("a.h5", "--backend", "cpu")
        done = self.call("run", "spec.yaml", "-q", "-o", "a.h5", "--resume", "--path", "cublas",
                         code=2)
        self.assertIn("precision", done.stderr)

    def test_a_checkpoint_of_one_engine_is_continued_on_the_other(self):
        record = ("train.steps=64", "record.every=10", "--slots", "4")
        whole = self.run_sweep("whole.h5", "--backend", "cpu", *record)
        turns = 0
        while not (self.folder / "a.h5").exists():
            done = subprocess.run(
                [PROGRAM, "run", "spec.yaml", "-q", "-o", "a.h5", "--resume", *record,
                 "--max-time", "0.000001",
                 "--backend", "cpu" if turns % 2 else "cuda"],
                cwd=self.folder, capture_output=True, text=True,
                env={**os.environ, "ESCAPEMENT_CUDA_CHUNK": "4"}, check=False)
            self.assertIn(done.returncode, (0, 143), done.stderr)
            turns += 1
        self.assertGreater(turns, 1)
        with xarray.open_dataset(self.folder / "a.h5", engine="h5netcdf") as result:
            self.assertTrue(whole.equals(result.load()))

    def test_the_cublas_path_continues_from_its_checkpoint(self):
        record = ("record.every=7", "--slots", "4", "--path", "cublas")
        whole = self.run_sweep("whole.h5", *record)
        parts = 0
        while not (self.folder / "a.h5").exists():
            done = subprocess.run(
                [PROGRAM, "run", "spec.yaml", "-q", "-o", "a.h5", "--resume", *record,
                 "--max-time", "0.000001"], cwd=self.folder, capture_output=True, text=True,
                env={**os.environ, "ESCAPEMENT_CUDA_CHUNK": str(2 + parts % 3)}, check=False)
            self.assertIn(done.returncode, (0, 143), done.stderr)
            parts += 1
        self.assertGreater(parts, 1)
        with xarray.open_dataset(self.folder / "a.h5", engine="h5netcdf") as result:
            self.assertTrue(whole.equals(result.load()))

    def test_tf32_is_selected_by_name_and_recorded(self):
        result = self.run_sweep("a.h5", "--precision", "tf32")
        self.assertEqual(result.attrs["precision"], "tf32, cuBLAS")
        done = self.call("run", "spec.yaml", "--backend", "cpu", "--precision", "tf32", code=2)
        self.assertIn("--precision tf32", done.stderr)

    def test_3xtf32_is_selected_by_name_and_recorded(self):
        short = ("train.steps=20",)
        fused = self.run_sweep("fused.h5", *short)
        self.assertEqual(fused.attrs["precision"], "float32")
        result = self.run_sweep("a.h5", *short, "--path", "fused-3xtf32")
        self.assertEqual(result.attrs["precision"], "float32, 3xtf32")
        self.assertFalse(fused.equals(result))
        xarray.testing.assert_allclose(fused.final_loss, result.final_loss, rtol=1e-5)
        done = self.call("run", "spec.yaml", *short, "-q", "-o", "a.h5", "--resume", code=2)
        self.assertIn("precision", done.stderr)

    def test_shapes_that_3xtf32_does_not_support_are_refused(self):
        for wrong, why in ((["network.width=65"], "network.width is 65; allowed: at most 64"),
                           (["--precision", "tf32"], "needs --precision fp32"),
                           (["train.batch=2000"], "train.batch is 2000; allowed: at most 1024"),
                           (["network.inputs=1000"], "bytes of shared memory; the device has")):
            done = self.call("run", "spec.yaml", "--path", "fused-3xtf32", *wrong, code=2)
            self.assertRegex(done.stderr, "--path fused-3xtf32: .*" + why)
        done = self.call("run", "spec.yaml", "--path", "fused-tf32", code=2)
        self.assertIn("must be auto, cublas, fused, fused-3xtf32, interleaved or padded", done.stderr)
        done = self.call("run", "spec.yaml", "--backend", "cuda", "--path", "padded", code=2)
        self.assertIn("must be auto, cublas, fused or fused-3xtf32 for the backend cuda", done.stderr)
        done = self.call("run", "spec.yaml", "--backend", "cpu", "--path", "fused-3xtf32", code=2)
        self.assertIn("--path fused-3xtf32", done.stderr)

    def test_versions_and_chunk_size_are_in_the_result(self):
        cublas = self.run_sweep("a.h5", "--path", "cublas")
        self.assertRegex(cublas.attrs["libraries"],
                         r"^CUDA driver \d+\.\d, runtime \d+\.\d, cuBLAS \d+\.\d+\.\d+$")
        self.assertRegex(cublas.attrs["engine"], r"^SIMT [^,]*, cublas in graphs, \d chunks of 4 on \d streams$")
        self.assertEqual(json.loads(cublas.attrs["segments"])[0]["libraries"],
                         cublas.attrs["libraries"])
        fused = self.run_sweep("b.h5", "train.steps=2")
        self.assertNotIn("cuBLAS", fused.attrs["libraries"])
        self.assertNotIn("libraries", self.run_sweep("c.h5", "--backend", "cpu").attrs)

    def test_a_device_in_exclusive_mode_is_left_to_the_worker(self):
        exclusive = {"ESC_SIMT_EXCLUSIVE": str(self.folder / "context")}
        short = ("run", "spec.yaml", "-q", "--backend", "cuda", "train.steps=3")
        self.call(*short, "-o", "a.h5", "--devices", "0", environment=exclusive)
        self.assertTrue((self.folder / "context.0").exists())
        with open(self.folder / "context.0", "w") as context:
            fcntl.flock(context, fcntl.LOCK_EX)
            done = self.call(*short, "-o", "b.h5", code=3, environment=exclusive)
        self.assertRegex(done.stderr, r"\A[^\n]*EXCLUSIVE_PROCESS[^\n]*--backend cpu \([^\n]*\n\Z")

    def test_every_device_of_a_list_is_checked_before_a_worker_starts(self):
        done = self.call("run", "spec.yaml", "-o", "a.h5", "--devices", "0,1", code=2)
        self.assertRegex(done.stderr, r"\A[^\n]*--device 1: must be below 1[^\n]*\n\Z")

    def test_gpus_whose_parts_could_not_be_merged_are_refused(self):
        two = {"ESC_SIMT_SHARED": "200000,1000"}
        short = ("run", "spec.yaml", "-q", "-o", "a.h5", "network.width=16", "train.steps=3", "--devices",
                 "0,1")
        done = self.call(*short, code=2, environment=two)
        self.assertRegex(done.stderr, r"\A[^\n]*different precisions \(float32 and float32, cuBLAS\)"
                                      r"[^\n]*\n\Z")
        self.call(*short, "--path", "cublas", environment=two)

    def test_an_unknown_instruction_set_of_the_recorder_is_refused(self):
        done = self.call("run", "spec.yaml", "-o", "a.h5", "record.every=3", code=2,
                         environment={"ESCAPEMENT_ISA": "sse9"})
        self.assertIn("ESCAPEMENT_ISA=sse9: must be", done.stderr)

    def test_an_absent_device_is_refused_with_the_number_of_devices(self):
        done = self.call("run", "spec.yaml", "--device", "1", code=2)
        self.assertIn("--device 1: must be below 1", done.stderr)

    def test_dry_run_prints_the_memory_on_the_device(self):
        plan = json.loads(self.call("run", "spec.yaml", "--dry-run", "--json").stdout)
        self.assertGreater(plan["device_bytes"], 5e4)
        self.assertEqual(plan["backend"], "cuda")

    def test_devices_are_listed(self):
        devices = json.loads(self.call("info", "--devices", "--json").stdout)
        self.assertEqual(len(devices["cuda"]), 1)
        self.assertEqual(devices["cuda_bus_ids"], ["00000000:01:00.0"])


unittest.main()

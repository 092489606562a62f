# SPDX-License-Identifier: Apache-2.0
"""The command line: commands, exit codes, messages, files.

Usage: test_cli.py PROGRAM [unittest arguments]
"""
import json
import os
import signal
import subprocess
import unittest

import h5py
import netCDF4
import numpy
import xarray

import cli_case
import hold

PROGRAM = cli_case.PROGRAM

SPEC = """\
name: small
network: {layers: 4, width: 8, inputs: 6, activation: tanh}
teacher: {amplitudes: [1.0]}
train: {rate: 0.05, batch: 64, steps: 3000}
escape: {thresholds: [0.1, 0.06], smoothing: 0.9}
sweep:
  seeds: 3
  groups:
    - {bottleneck: 3, scales: [0.3, 0.2]}
    - {bottleneck: 2, scales: [0.1]}
"""

LONG = ["train.steps=100000000", "sweep.groups=[{bottleneck: 4, scales: [0.01]}]", "sweep.seeds=8",
        "escape.thresholds=[0.05]"]


def variables(path):
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        return data.load()


def same(a, b):
    return a.variables.keys() == b.variables.keys() and all(
        numpy.array_equal(a[v].values, b[v].values) for v in a.variables)


class CommandLine(cli_case.Case):
    SPEC = SPEC
    RUN = ("--quiet",)

    def setUp(self):
        super().setUp()
        self.spec = self.path("small.yaml")

    def result(self, name, *arguments):
        """The result of a quiet run."""
        done = self.run_spec(*arguments, name=name)
        self.assertEqual(done.stderr, "")
        return variables(self.path(name))

    def held(self, *arguments):
        return self.command(*hold.CHECKPOINTS, *arguments)


class Run(CommandLine):
    def test_json_is_one_object_with_the_documented_keys(self):
        summary = self.call_json("run", self.spec, "-o", "a.h5", "--quiet")
        for key in ("members", "escaped", "censored", "steps", "wall_s", "network_steps_per_s",
                    "flop_per_s", "backend", "device", "ledger_residual_max"):
            self.assertIn(key, summary)
        self.assertEqual(summary["members"], 9)
        self.assertEqual(summary["escaped"] + summary["censored"], 9)
        self.assertLess(summary["ledger_residual_max"], 1e-3)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["a.h5", "small.yaml"])

    def test_the_result_has_the_documented_variables_and_attributes(self):
        data = self.result("a.h5")
        self.assertEqual(dict(data.sizes), {"member": 9, "threshold": 2, "layer": 4, "interface": 3})
        for name, dims in {"seed": ("member",), "bottleneck": ("member",), "scale": ("member",),
                           "escape_step": ("member", "threshold"), "steps_run": ("member",),
                           "final_loss": ("member",), "norm2_initial": ("member", "layer"),
                           "norm2_final": ("member", "layer"),
                           "ledger_sum": ("member", "interface"),
                           "ledger_residual": ("member", "interface")}.items():
            self.assertEqual(data[name].dims, dims)
        for name in ("spec", "command_line", "version", "commit", "backend", "device", "precision",
                     "start_time", "end_time"):
            self.assertTrue(data.attrs[name])
        self.assertEqual(list(data.threshold.values), [0.1, 0.06])
        self.assertEqual(list(data.bottleneck.values), [3] * 6 + [2] * 3)
        self.assertEqual(list(data.seed.values), [1, 2, 3] * 3)

    def test_a_run_of_which_every_member_diverges_has_no_ledger(self):
        command = ("run", self.spec, "-o", "a.h5", "network.activation=linear", "train.rate=10",
                   "sweep.groups=[{bottleneck: 4, scales: [5]}]")
        done = self.call(*command)
        self.assertIn("3 diverged\n", done.stdout)
        self.assertIn("imbalance ledger: none, because every member diverged\n", done.stdout)
        self.assertNotIn("ledger", done.stderr)
        self.assertIsNone(self.call_json(*command, "--force")["ledger_residual_max"])

    def test_a_shard_without_members_has_no_ledger(self):
        said = self.call("run", self.spec, "-o", "empty.h5", "--shard", "4999/5000").stdout
        self.assertIn("0 members", said)
        self.assertIn("imbalance ledger: none, because there are no members\n", said)

    def test_a_lower_threshold_is_crossed_later(self):
        step = self.result("a.h5").escape_step.values
        both = (step >= 0).all(axis=1)
        self.assertTrue(both.any())
        self.assertTrue((step[both, 1] >= step[both, 0]).all())

    def test_bits_do_not_depend_on_threads_or_slots(self):
        one = self.result("one.h5", "--threads", "1", "--slots", "1")
        two = self.result("two.h5", "--threads", "2", "--slots", "5")
        self.assertTrue(same(one, two))

    def test_bits_of_a_member_do_not_depend_on_other_members(self):
        whole = self.result("whole.h5")
        alone = self.result("alone.h5", "sweep.seed=2", "sweep.seeds=1",
                              "sweep.groups=[{bottleneck: 2, scales: [0.1]}, "
                              "{bottleneck: 3, scales: [0.2]}]")
        for row, index in ((0, 7), (1, 4)):
            for name in ("escape_step", "norm2_final", "ledger_sum", "final_loss"):
                self.assertTrue(numpy.array_equal(alone[name].values[row], whole[name].values[index]))

    def test_shards_together_have_all_members(self):
        whole = self.result("whole.h5")
        parts = [self.result(f"part{i}.h5", "--shard", f"{i}/2") for i in range(2)]
        for i, part in enumerate(parts):
            self.assertEqual(list(part.member.values), list(range(i, 9, 2)))
            self.assertTrue(numpy.array_equal(part.escape_step, whole.escape_step[i::2]))
        fits = [self.call("fit", *files, "--json").stdout
                for files in (["whole.h5"], ["part0.h5", "part1.h5"])]
        self.assertEqual(fits[0], fits[1])

    def test_the_reference_backend_agrees_on_the_escape_steps(self):
        exact = self.result("exact.h5", "--backend", "reference")
        rounded = self.result("rounded.h5", "--backend", "cpu")
        difference = abs(exact.escape_step.values - rounded.escape_step.values)
        self.assertLessEqual(difference.max(), 1)
        worst = abs(exact.ledger_residual / exact.ledger_drift).max()
        self.assertLess(float(worst), 1e-12)
        self.assertEqual((exact.precision, rounded.precision), ("float64", "float32"))

    def test_the_resolved_spec_gives_the_same_result(self):
        first = self.result("a.h5", "train.rate=0.03")
        with open(self.spec, "w") as file:
            file.write(first.attrs["spec"])
        again = self.result("b.h5")
        self.assertTrue(same(first, again))
        self.assertEqual(first.attrs["spec"], again.attrs["spec"])

    def test_members_at_the_step_limit_are_censored(self):
        data = self.result("a.h5", "train.steps=5")
        self.assertTrue((data.escape_step == -1).all())
        self.assertTrue((data.status == 1).all())
        self.assertTrue((data.steps_run == 5).all())

    def test_an_existing_result_is_kept_unless_forced(self):
        self.result("a.h5")
        before = os.stat(self.path("a.h5")).st_mtime_ns
        self.assertIn("--force", self.refused("run", self.spec, "-o", "a.h5"))
        self.assertEqual(os.stat(self.path("a.h5")).st_mtime_ns, before)
        self.run_spec("--resume")
        self.assertEqual(os.stat(self.path("a.h5")).st_mtime_ns, before)
        self.result("a.h5", "--force")
        self.assertNotEqual(os.stat(self.path("a.h5")).st_mtime_ns, before)

    def test_dry_run_trains_and_writes_nothing(self):
        done = self.call("run", self.spec, "-o", "a.h5", "--dry-run", *LONG)
        self.assertIn("members: 8 of 8", done.stdout)
        self.assertEqual(os.listdir(self.scratch), ["small.yaml"])

    def test_dry_run_prints_json(self):
        done = self.call("run", self.spec, "-o", "a.h5", "--dry-run", "--json")
        self.assertEqual(done.stderr, "")
        plan = json.loads(done.stdout)
        self.assertEqual(plan["members"], 9)
        self.assertGreater(plan["memory_bytes"], 0)
        empty = self.call("run", self.spec, "-o", "a.h5", "--dry-run", "--json", "--shard", "9/10")
        self.assertEqual(json.loads(empty.stdout)["members"], 0)

    def test_a_network_that_exceeds_memory_is_refused_before_training(self):
        done = self.call("run", self.spec, "-o", "a.h5", "network.width=4096", "network.layers=64",
                         "--slots", "9", code=3)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aescapement: 9 networks [^\n]*GB[^\n]*--slots 1[^\n]*\n\Z")
        self.assertEqual(os.listdir(self.scratch), ["small.yaml"])

    def test_a_result_created_during_the_run_is_not_replaced(self):
        child = self.hold.start(self.held(), self.scratch)
        with open(self.path("a.h5"), "w") as file:
            file.write("precious")
        self.hold.release()
        errors = child.communicate()[1]
        self.assertEqual(child.returncode, 2, errors)
        self.assertIn("--resume --force", errors)
        with open(self.path("a.h5")) as file:
            self.assertEqual(file.read(), "precious")
        resumed = self.result("a.h5", "--resume", "--force")
        self.assertEqual(resumed.sizes["member"], 9)

    def test_closed_standard_streams_do_not_write_to_the_journal(self):
        script = 'exec "$0" run "$1" -o a.h5 <&- >&- 2>&-'
        code = subprocess.run(["sh", "-c", script, PROGRAM, self.spec], cwd=self.scratch).returncode
        self.assertEqual(code, 0)
        self.assertTrue(same(variables(self.path("a.h5")), self.result("b.h5")))

    def test_two_paths_of_one_output_share_a_lock(self):
        self.result("a.h5")
        os.symlink("a.h5", self.path("b.h5"))
        self.refused("run", self.spec, "-o", "b.h5")
        self.result("b.h5", "--force", "sweep.seeds=1")
        self.assertTrue(os.path.islink(self.path("b.h5")))
        self.assertEqual(variables(self.path("a.h5")).sizes["member"], 3)

    def test_progress_without_a_terminal_is_complete_lines(self):
        done = self.call("run", self.spec, "-o", "a.h5")
        self.assertNotIn("\r", done.stderr)
        self.assertEqual(self.call("run", self.spec, "-o", "b.h5", "--quiet").stderr, "")

    def test_a_write_error_on_standard_output_is_a_failure(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run(self.command("--json"), cwd=self.scratch, stdout=full, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertTrue(os.path.exists(self.path("a.h5")))


class Interrupt(CommandLine):
    SWEEP = ["train.steps=4000", "sweep.seeds=6", "escape.thresholds=[0.01]",
             "sweep.groups=[{bottleneck: 3, scales: [0.3]}, {bottleneck: 4, scales: [0.1]}]"]

    undisturbed = None

    def assert_undisturbed(self, resumed):
        """Checks for the result of an uninterrupted run, which is trained once for all tests."""
        if self.undisturbed is None:
            type(self).undisturbed = self.result("b.h5", *self.SWEEP)
        self.assertTrue(same(resumed, self.undisturbed))

    def interrupt(self, number, *arguments):
        """Stops a run after it has saved some members, and returns the finished process."""
        return self.hold.interrupt(self.held(*self.SWEEP, *arguments), self.scratch, number,
                                   journal=self.path("a.h5.journal"), members=4)

    def test_a_signal_saves_finished_members_and_resume_gives_the_same_bits(self):
        code, errors = self.interrupt(signal.SIGTERM)
        self.assertEqual(code, 143, errors)
        self.assertRegex(errors, r"\Aescapement: interrupted: \d+ of 12 members are saved [^\n]+\n\Z")
        self.assertFalse(os.path.exists(self.path("a.h5")))
        self.assertIn("--resume", self.refused("run", self.spec, "-o", "a.h5", *self.SWEEP))
        resumed = self.result("a.h5", "--resume", *self.SWEEP)
        self.assert_undisturbed(resumed)
        self.assertFalse(os.path.exists(self.path("a.h5.journal")))

    def test_exit_codes_name_the_signal(self):
        self.assertEqual(self.interrupt(signal.SIGINT)[0], 130)

    def test_kill_loses_no_finished_member(self):
        self.assertEqual(self.interrupt(signal.SIGKILL)[0], -signal.SIGKILL)
        resumed = self.result("a.h5", "--resume", *self.SWEEP)
        self.assert_undisturbed(resumed)

    def test_a_forced_run_can_be_resumed_too(self):
        self.result("a.h5")
        self.assertIn("the same command and --resume", self.interrupt(signal.SIGTERM, "--force")[1])
        done = self.call("run", self.spec, "-o", "a.h5", "--force", "--resume", "--json", "-q",
                         *self.SWEEP)
        resumed = variables(self.path("a.h5"))
        self.assertLess(json.loads(done.stdout)["steps_made"], int(resumed.steps_run.sum()))
        self.assert_undisturbed(resumed)

    def test_resume_with_another_precision_or_shard_is_refused(self):
        self.interrupt(signal.SIGTERM)
        for other in (["--backend", "reference"], ["--shard", "0/2"]):
            self.refused("run", self.spec, "-o", "a.h5", "--resume", *self.SWEEP, *other)
        self.result("b.h5", "--shard", "0/2")
        for other in (["--shard", "1/2"], ["--shard", "0/2", "--backend", "reference"]):
            self.refused("run", self.spec, "-o", "b.h5", "--resume", *other)

    def test_an_interrupt_before_the_first_finished_member_saves_a_checkpoint(self):
        code, errors = self.hold.interrupt(self.held(*LONG), self.scratch, signal.SIGINT)
        self.assertRegex(errors, r"interrupted: no member had finished; \d networks in flight are saved")
        self.assertEqual((code, sorted(os.listdir(self.scratch))), (130, [
            "a.h5.checkpoint", "a.h5.checkpoint.previous", "a.h5.journal", "small.yaml"]))

    def test_another_specs_journal_is_refused(self):
        self.interrupt(signal.SIGTERM)
        self.assertIn("journal", self.refused("run", self.spec, "-o", "a.h5", "--resume",
                                              *self.SWEEP, "train.rate=0.04"))


class Kinds(CommandLine):
    """Messages of readers for files that are not results."""
    READERS = (["fit"], ["info"], ["plateau"], ["compare", "whole.h5"], ["merge", "-o", "m.h5"],
               ["plot", "-o", "m.png"])

    def assert_told(self, name, *words, readers=READERS):
        for reader in readers:
            said = self.refused(*reader, name)
            for word in (name, *words):
                self.assertIn(word, said, reader)

    def leave_a_journal(self):
        self.call("run", self.spec, "-o", "a.h5", "-q", "--max-time", "0.05",
                         "train.steps=1000000", "escape.thresholds=[1e-9]",
                         "sweep.groups=[{bottleneck: 3, scales: [0.3]}]", "record.every=1000000", code=143)

    def setUp(self):
        super().setUp()
        self.result("whole.h5")

    def test_a_spec_an_image_and_a_text(self):
        self.assert_told("small.yaml", "YAML spec", "escapement run small.yaml")
        for name, data, word in (("a.png", b"\x89PNG\r\n\x1a\n1234", "PNG"),
                                 ("a.pdf", b"%PDF-1.5", "PDF"), ("a.csv", b"1,2\n", "text file"),
                                 ("a.bin", b"\x01\x02", "unknown format"), ("a.h5", b"", "empty")):
            with open(self.path(name), "wb") as file:
                file.write(data)
            self.assert_told(name, word)

    def test_hdf5_of_another_program_and_a_truncated_result(self):
        with h5py.File(self.path("other.h5"), "w") as file:
            file["x"] = [1, 2]
        self.assert_told("other.h5", "HDF5 file, but not a result")
        with open(self.path("whole.h5"), "rb") as whole, open(self.path("cut.h5"), "wb") as cut:
            cut.write(whole.read()[:5000])
        self.assert_told("cut.h5", "truncated after 5000 bytes")

    def test_files_of_an_unfinished_run(self):
        self.leave_a_journal()
        others = [reader for reader in self.READERS if reader[0] not in ("info", "fit", "plot")]
        for name, word in (("a.h5.journal", "0 of 3 finished members"),
                           ("a.h5.snapshots", "snapshots of a run"),
                           ("a.h5.checkpoint", "3 networks in flight")):
            self.assert_told(name, word, "-o a.h5 --resume", readers=others)
        self.assert_told("a.h5", "does not exist yet", "0 of 3", "--resume", readers=others)
        for name in ("a.h5", "a.h5.journal", "a.h5.snapshots", "a.h5.checkpoint"):
            self.assertIn("a.h5: unfinished run: 0 of 3 members", self.call("fit", name).stdout)

    def test_info_reads_journals_and_checkpoints(self):
        self.leave_a_journal()
        told = json.loads(self.call("info", "a.h5.journal", "--json").stdout)
        self.assertEqual((told["kind"], told["members"], told["finished"], told["running"]),
                         ("journal", 3, 0, False))
        self.assertEqual(told["segments"][0]["ended"], "max-time")
        self.assertIn("train:", told["spec"])
        told = json.loads(self.call("info", "a.h5.checkpoint", "--json").stdout)
        self.assertEqual((told["kind"], told["in_flight"], told["precision"]),
                         ("checkpoint", 3, "float32"))
        self.assertGreater(told["most_steps"], 0)
        self.assertIn("continue with", self.call("info", "a.h5.snapshots").stdout)
        size = os.path.getsize(self.path("a.h5.journal"))
        with open(self.path("a.h5.journal"), "r+b") as file:
            file.seek(size - 8)
            file.write(b"\xff" * 4)
        told = json.loads(self.call("info", "a.h5.journal", "--json").stdout)
        self.assertEqual(told["damages"], 1)
        self.assertIn("damaged: ", self.call("info", "a.h5.journal").stdout)

    def test_info_lists_recorded_observables(self):
        self.result("r.h5", "record.every=100")
        said = self.call("info", "r.h5").stdout
        self.assertRegex(said, r"recorded at \d+ steps from 0 to \d+, \d+ snapshots of 9 members")
        self.assertIn("operator_norm(member, snapshot, layer)", said)
        self.assertIn("segments:", said)
        told = json.loads(self.call("info", "r.h5", "--json").stdout)
        self.assertIn("signal_gradient2", told["variables"])
        self.assertNotIn("signal_gradient2",
                         json.loads(self.call("info", "whole.h5", "--json").stdout)["variables"])

    def test_a_result_in_place_of_a_spec(self):
        self.assertIn("not a YAML spec", self.refused("run", "whole.h5", "-o", "b.h5"))
        self.leave_a_journal()
        self.assertIn("not a YAML spec", self.refused("run", "a.h5.journal", "-o", "b.h5"))


class BadInput(CommandLine):
    def test_bad_overrides_are_refused_by_name(self):
        for override, word in (("train.bach=3", "train.batch"), ("train.batch=many", "many"),
                               ("train.rate=nan", "nan"), ("network.width=-3", "-3"),
                               ("network.width=0", "network.width"), ("train.batch=1.5", "1.5"),
                               ("sweep.groups=[]", "sweep.groups"), ("train.batch", "="),
                               ("sweep.groups=[{bottleneck: 5, scales: [0.1]}]", "4"),
                               ("sweep.groups=[{bottleneck: 2, scales: []}]", "scales"),
                               ("sweep.seeds=0", "sweep.seeds"),
                               ("network.activation=tahn", "tanh"),
                               ("escape.thresholds=[.nan]", "escape.thresholds"),
                               ("escape.smoothing=1", "escape.smoothing")):
            with self.subTest(override):
                self.assertIn(word, self.refused("run", self.spec, "-o", "a.h5", override))

    def test_bad_files_are_refused_with_their_line(self):
        for text, word in (("a: &x [1]\nb: *x\n", ":1:"), (SPEC + "colour: red\n", ":11:"),
                           (SPEC.replace("batch: 64", "batch: 64, batch: 33"), ":4:"),
                           ("", "empty"), ("[1, 2", "line"), ("\x00", "NUL"),
                           ("a: &a [" + "x," * 1000 + "]\n" + "b: *a\n" * 100000, ":1:"),
                           ("[" * 60000, "deep")):
            with self.subTest(text[:40]):
                with open(self.spec, "w") as file:
                    file.write(text)
                message = self.refused("run", self.spec, "-o", "a.h5")
                self.assertIn("small.yaml", message)

    def test_the_suffix_of_an_output_matches_its_format(self):
        for output in ("a.csv", "a.json", "a.H5X", "a.b.parquet", "a.hdf"):
            with self.subTest(output):
                self.assertIn("allowed suffixes: .h5, .hdf5, .nc, or none",
                              self.refused("run", self.spec, "-o", output))
        for output in ("a.hdf5", "a.H5", "a", "a-0.05", "a.v2.h5"):
            with self.subTest(output):
                self.run_spec("train.steps=1", name=output)

    def test_a_result_named_nc_is_netcdf4(self):
        self.call("run", self.spec, "-o", "a.nc", "-q", "train.steps=9")
        with netCDF4.Dataset(self.path("a.nc")) as file:
            self.assertEqual((file.data_model, file.dimensions["member"].size), ("NETCDF4", 9))

    def test_suffixes_of_other_outputs_match_their_formats(self):
        self.result("a.h5", "train.steps=1")
        for words, allowed in ((("merge", "-o", "b.csv", "a.h5"), ".h5, .hdf5, .nc, or none"),
                               (("plot", "a.h5", "-o", "b.csv"), ".png, .svg, .pdf"),
                               (("plot", "a.h5", "-o", "b"), ".png, .svg, .pdf"),
                               (("report", ".", "-o", "b.pdf"), ".html, .htm, or none")):
            with self.subTest(words):
                self.assertTrue(self.refused(*words).endswith(f"allowed suffixes: {allowed}\n"))

    def test_an_activation_has_one_name_in_all_outputs(self):
        data = self.result("a.h5", "network.activation=SiLU", "train.steps=1",
                             "train.batch=256")
        self.assertIn('activation: "swish"', data.attrs["spec"])
        for words in (["classify", "SILU"],
                      ["escape", "--activation", "Silu", "--amplitude", "1", "--scales", ".1,.1",
                       "--to", ".5"],
                      ["blocks", "--activation", "SiLU", "--amplitudes", "1,.5", "--layers", "2",
                       "--scale", ".1", "--level", "0"]):
            with self.subTest(words[0]):
                name = ["swish" if word.lower() == "silu" else word for word in words]
                told = self.call(*words, "--json")
                self.assertEqual(told.stdout, self.call(*name, "--json").stdout)

    def test_an_element_of_a_list_is_overridden(self):
        changed = self.result("a.h5", "sweep.groups[1].scales[0]=0.2", "escape.thresholds[1]=.05",
                                "train.steps=300")
        whole = self.result("b.h5", "sweep.groups=[{bottleneck: 3, scales: [0.3, 0.2]}, "
                              "{bottleneck: 2, scales: [0.2]}]", "escape.thresholds=[0.1, 0.05]",
                              "train.steps=300")
        self.assertTrue(same(changed, whole))
        self.assertEqual(changed.attrs["spec"], whole.attrs["spec"])
        self.assertIn("allowed indices: 0 to 1",
                      self.refused("run", self.spec, "-o", "c.h5", "sweep.groups[2].scales=[1]"))

    def test_bad_paths_are_refused(self):
        os.mkdir(self.path("folder"))
        for output in ("folder", "missing/a.h5", "", "/proc/a.h5", "/dev/null"):
            with self.subTest(output):
                self.refused("run", self.spec, "-o", output)
        self.refused("run", self.spec, "-o", self.spec, "--force")
        for spec in ("missing.yaml", "folder", ""):
            with self.subTest(spec):
                self.refused("run", spec, "-o", "a.h5")

    def test_bad_usage_is_refused(self):
        for arguments in ((), ("rnu",), ("run",), ("run", self.spec, "--thread", "0"),
                          ("run", self.spec, "--threads", "x"), ("run", self.spec, "--colour"),
                          ("run", self.spec, "--shard", "2/2"), ("run", self.spec, "--backend", "gpu"),
                          ("run", self.spec, "-o"), ("fit",), ("fit", "missing.h5"),
                          ("fit", self.spec), ("plot", "missing.h5", "-o", "a.png"), ("info",),
                          ("info", self.spec)):
            with self.subTest(arguments):
                self.refused(*arguments)

    def test_a_threshold_that_noise_would_cross_is_refused_with_a_remedy(self):
        message = self.refused("run", self.spec, "-o", "a.h5", "escape.thresholds=[0.15]",
                               "escape.smoothing=none")
        self.assertIn("train.batch", message)
        self.assertIn("escape.false_escapes=allow", message)
        done = self.call("run", self.spec, "-o", "a.h5", "--quiet", "escape.thresholds=[0.15]",
                         "escape.smoothing=none", "escape.false_escapes=allow")
        self.assertIn("warning", done.stderr)


class FitPlotInfo(CommandLine):
    def setUp(self):
        super().setUp()
        self.result("a.h5")

    def test_fit_prints_the_documented_json(self):
        groups = json.loads(self.call("fit", "a.h5", "--json").stdout)["groups"]
        self.assertEqual([(g["bottleneck"], g["threshold"]) for g in groups],
                         [(2, 0.06), (2, 0.1), (3, 0.06), (3, 0.1)])
        for g in groups:
            for key in ("predicted", "slope", "stderr", "n", "censored", "local", "points"):
                self.assertIn(key, g)
        self.assertEqual(groups[2]["predicted"], -1)
        self.assertEqual(len(groups[2]["points"]), 2)
        self.assertEqual(len(groups[2]["local"]), 1)

    def test_fit_reads_a_table_of_another_program(self):
        scale = numpy.repeat([0.1, 0.2, 0.4], 2)
        xarray.Dataset(
            {"seed": ("member", numpy.tile([1, 2], 3)), "bottleneck": ("member", [3] * 6),
             "scale": ("member", scale), "steps_run": ("member", [10 ** 6] * 6),
             "escape_step": (("member", "threshold"),
                             numpy.rint(1000 / scale).astype(int)[:, None])},
            {"threshold": [0.1]}).to_netcdf(self.path("b.h5"), engine="h5netcdf")
        done = self.call("fit", "b.h5", "--json")
        self.assertIn("the numbers are not verified", done.stderr)
        self.assertAlmostEqual(json.loads(done.stdout)["groups"][0]["slope"], -1, delta=1e-9)

    def test_a_modified_file_is_read_with_a_warning(self):
        with h5py.File(self.path("a.h5"), "r+") as file:
            file["escape_step"][0, 0] += 1
        done = self.call("fit", "a.h5")
        self.assertIn("the numbers are not verified", done.stderr)
        self.assertIn("a.h5", self.refused("run", self.spec, "-o", "a.h5", "--resume"))

    def test_a_truncated_file_is_refused(self):
        with open(self.path("a.h5"), "rb") as file:
            whole = file.read()
        for share in (0, 0.01, 0.3, 0.9):
            with open(self.path("cut.h5"), "wb") as file:
                file.write(whole[:int(share * len(whole))])
            self.assertIn("cut.h5", self.refused("fit", "cut.h5"))

    def test_fit_prints_a_table(self):
        done = self.call("fit", "a.h5")
        self.assertEqual(done.stderr, "")
        self.assertIn("slope", done.stdout)

    def test_the_same_file_twice_is_refused(self):
        self.refused("fit", "a.h5", "a.h5")

    def test_plot_writes_the_figure(self):
        done = self.call("plot", "a.h5", "-o", "a.pdf")  # the other formats: test_plot.py
        self.assertEqual(done.stdout, "a.pdf\n")
        with open(self.path("a.pdf"), "rb") as file:
            self.assertTrue(file.read(8).startswith(b"%PDF"))

    def test_plot_refuses_unwritable_outputs(self):
        self.refused("plot", "a.h5", "-o", "missing/a.png")  # other places: test_plot.py
        self.refused("plot", "a.h5")

    def test_info_prints_the_contents_of_a_file(self):
        self.assertIn("9 members", self.call("info", "a.h5").stdout)
        info = json.loads(self.call("info", "a.h5", "--json").stdout)
        self.assertEqual((info["members"], info["layers"]), (9, 4))
        self.assertIn("cpu", json.loads(self.call("info", "--devices", "--json").stdout))

    def test_help_and_version_are_printed(self):
        for arguments in (("--help",), ("--version",), ("run", "--help"), ("fit", "--help"),
                          ("plot", "--help"), ("info", "--help")):
            done = self.call(*arguments)
            self.assertEqual(done.stderr, "")
            self.assertIn("escapement", done.stdout)

    def test_help_with_a_command_is_the_help_of_the_command(self):
        for name in ("run", "fit", "bench", "info"):
            self.assertEqual(self.call("help", name).stdout, self.call(name, "--help").stdout)
        self.assertEqual(self.call("help").stdout, self.call("--help").stdout)
        self.assertIn("did you mean run", self.refused("help", "rnu"))

    def test_option_V_prints_the_version(self):
        self.assertEqual(self.call("-V").stdout, self.call("--version").stdout)


if __name__ == "__main__":
    unittest.main()

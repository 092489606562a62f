# SPDX-License-Identifier: Apache-2.0
"""Drawing in a hostile environment: modules, start-up files and settings in folders, variables and the home
directory are ignored, and files of other users are neither followed nor removed.

Usage: test_python_traps.py PROGRAM SOURCE [unittest arguments]
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest
import unittest.mock

import h5py

import cli_case

PROGRAM, SOURCE = cli_case.PROGRAM, pathlib.Path(sys.argv.pop(1)).resolve()
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "host/draw"))

import house_style  # noqa: E402

MODULES = ("matplotlib", "numpy", "json", "signal", "random", "house_style", "usercustomize",
           "sitecustomize")


class Traps(cli_case.Case):
    def lay(self, folder):
        """Writes modules that leave a mark when executed."""
        os.makedirs(folder, exist_ok=True)
        for name in MODULES:
            with open(f"{folder}/{name}.py", "w") as file:
                file.write(f"open({self.path('caught-')!r} + {name!r}, 'w')\n")
        with open(f"{folder}/matplotlibrc", "w") as file:
            file.write("backend: module://json\nfigure.dpi: no number\n")

    def call(self, *arguments, **changes):
        """Runs the program in a folder of such modules, with all variables of Python set to them."""
        self.lay(self.scratch)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.lay(self.path(f"home/.local/lib/{version}/site-packages"))
        hostile = {"HOME": self.path("home"), "PYTHONPATH": self.scratch, "PYTHONHOME": self.scratch,
                   "PYTHONSTARTUP": self.path("json.py"), "PYTHONVERBOSE": "1", "PYTHONINSPECT": "1",
                   "PYTHONUSERBASE": self.path("home/.local"), "PYTHONWARNINGS": "error",
                   "MPLBACKEND": "module://json", "MATPLOTLIBRC": self.scratch}
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, cwd=self.scratch,
                              stdin=subprocess.DEVNULL,
                              env={**os.environ, **hostile, **changes})
        self.assertEqual([name for name in os.listdir(self.scratch) if name.startswith("caught")], [])
        return done

    def test_plot_ignores_modules_and_settings_of_the_environment(self):
        with h5py.File(self.path("a.h5"), "w") as file:
            for name, values in (("seed", [1, 1]), ("bottleneck", [3, 3]), ("scale", [0.1, 0.2]),
                                 ("steps_run", [200, 100]), ("escape_step", [[200], [100]]),
                                 ("threshold", [0.1])):
                file[name] = values
        done = self.call("plot", "a.h5", "-o", "f.png")
        self.assertEqual((done.returncode, done.stdout), (0, "f.png\n"), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)  # that the file is another's

    def test_figure_loads_its_script_before_it_trains(self):
        # The override is refused by the first run, which comes behind the check of Python.
        done = self.call("figure", "1", "-o", "d", "no.such.key=1")
        self.assertIn("no.such.key", done.stderr)
        done = self.call("figure", "1", "-o", "e", ESCAPEMENT_PYTHON=self.path("none"))
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn(self.path("none"), done.stderr)
        self.assertEqual(os.listdir(self.path("e")), [])

    def test_every_script_starts_python_isolated(self):
        """As -I does: neither the folder of the script, nor PYTHONPATH, nor the user's packages."""
        for path in (SOURCE / "tools").rglob("*"):
            text = path.read_text() if path.is_file() else ""
            first = text.partition("\n")[0]
            with self.subTest(str(path)):
                if first.startswith("#!") and "python" in first:
                    self.assertRegex(first, r"python3 -I$")
                for command in re.findall(r'^[^#\n]*(?:"\$python"|\bpython3) -[a-zA-Z].*', text, re.M):
                    self.assertRegex(command, r'(python"|python3) -I')


class Temporaries(cli_case.Case):
    def name(self, process, prefix=house_style.temporary_prefix()):
        return os.path.join(self.scratch, f"{prefix}{process}-abcdefgh")

    def test_only_files_of_ended_drawings_of_this_user_are_removed(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        kept = [self.name(os.getpid()), self.name(gone.pid, ".plot-"), self.name(gone.pid) + ".txt"]
        for path in (self.name(gone.pid), *kept):
            open(path, "w").close()
        link = self.name(gone.pid)[:-1] + "x"
        os.symlink(kept[0], link)
        os.mkdir(self.name(gone.pid)[:-1] + "y")
        kept += [link, self.name(gone.pid)[:-1] + "y", self.path("f.png")]
        house_style.publish(self.path("f.png"), b"picture")
        self.assertEqual(sorted(os.listdir(self.scratch)), sorted(map(os.path.basename, kept)))

    def test_a_link_is_replaced_not_followed(self):
        precious = self.path("precious")
        with open(precious, "w") as file:
            file.write("old")
        os.symlink(precious, self.path("f.png"))
        house_style.publish(self.path("f.png"), b"picture")
        with open(precious) as file:
            self.assertEqual(file.read(), "old")

    def test_a_stopped_drawing_leaves_no_file(self):
        def stop(_):
            os.kill(os.getpid(), signal.SIGTERM)

        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as in front of each script
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        with unittest.mock.patch("os.fsync", stop), self.assertRaises(SystemExit):
            house_style.publish(self.path("f.png"), b"picture")
        self.assertEqual(os.listdir(self.scratch), [])


if __name__ == "__main__":
    unittest.main()

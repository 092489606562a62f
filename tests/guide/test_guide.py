# SPDX-License-Identifier: Apache-2.0
"""Man pages and completions have all that --help has, and are read without complaint.

Usage: test_guide.py PROGRAM PROGRAM_WITH_CUDA FOLDER SOURCE
FOLDER holds what tools/guide wrote.
"""
import functools
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import unittest

PROGRAM, CUDA, FOLDER, SOURCE = map(os.path.abspath, sys.argv[1:5])
COMPLETIONS = {shell: f"{FOLDER}/completions/{name}" for shell, name in
               [("bash", "escapement.bash"), ("zsh", "_escapement"), ("fish", "escapement.fish")]}
PAGES = sorted(pathlib.Path(FOLDER).glob("man?/*"))
OPTION = re.compile(r"^  (?:-(\w),|   ) --([\w-]+)", re.M)


def printed(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


@functools.cache
def tables(*command):
    return json.loads(printed(PROGRAM, *command, "--help=json"))


def commands():
    """{name: [(letter or "", name of the option)]} as --help has them."""
    names = re.findall(r"^  (\w+) ", printed(PROGRAM, "--help").split("\n\n")[1], re.M)
    return {name: OPTION.findall(printed(PROGRAM, name, "--help")) for name in names}


class Contents(unittest.TestCase):
    def test_every_option_has_its_entry_in_the_man_page(self):
        for command, options in commands().items():
            page = printed("man", "-l", f"{FOLDER}/man1/escapement-{command}.1",
                           env={**os.environ, "MANWIDTH": "500"})
            for letter, option in options:
                term = f"-{letter}, --{option}" if letter else f"--{option}"
                self.assertRegex(page, rf"(?m)^ +{term}\b", command)

    def test_every_option_is_completed_by_each_shell(self):
        forms = {"bash": ["--{}"], "zsh": ["--{}[", "--{}=[", "--{}=}}", "--{}}}"], "fish": ["-l {} "]}
        for shell, path in COMPLETIONS.items():
            script = pathlib.Path(path).read_text()
            for command, options in commands().items():
                self.assertIn(command, script)
                for _, option in options:
                    self.assertTrue(any(form.format(option) in script for form in forms[shell]),
                                    f"{shell}: {command} --{option}")

    def test_every_key_of_a_spec_has_its_entry(self):
        page = pathlib.Path(f"{FOLDER}/man5/escapement-spec.5").read_text()
        for key in re.findall(r"^  (\w[\w.\[\]]*)(?: \(.*\))?$", printed(PROGRAM, "--help"), re.M):
            self.assertIn(f"\n\\fB{key}\\fR", page)

    def test_environment_is_what_the_sources_read(self):
        text = "".join(path.read_text() for folder in ("host", "src", "kernels")
                       for path in pathlib.Path(SOURCE, folder).rglob("*.[ch]*")
                       if path.name != "environment.c")
        read = set(re.findall(r'getenv\("(\w+)"\)', text))
        read |= set(re.findall(r'"((?:ESCAPEMENT|G?OMP|SLURM|CUDA)_[A-Z_]+)"', text))
        self.assertEqual(read, {row["name"] for row in tables()["environment"]})

    def test_values_are_those_that_a_refusal_names(self):
        refusals = [(PROGRAM, "run", "backend"), (PROGRAM, "run", "precision"),
                    (CUDA, "run", "path")]
        spec = f"{SOURCE}/runs/he-normal-slopes.yaml"
        for program, command, name in refusals:
            done = subprocess.run([program, command, spec, "--dry-run", f"--{name}", "nothing"],
                                  text=True, capture_output=True)
            allowed = re.search(r"must be (.*)", done.stderr)[1]
            option = next(row for row in tables(command)["options"] if row["name"] == name)
            self.assertEqual(set(re.split(r", | or ", allowed)), set(option["values"]), name)


    def test_another_format_of_help_is_refused(self):
        done = subprocess.run([PROGRAM, "fit", "--help=xml"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("--help=xml: allowed: --help, --help=json", done.stderr)


class Syntax(unittest.TestCase):
    @unittest.skipUnless(shutil.which("man"), "man is not installed")
    def test_man_has_no_warnings(self):
        self.assertGreater(len(PAGES), 2)
        for page in PAGES:
            done = subprocess.run(["man", "--warnings", "-l", page], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True, check=True)
            self.assertEqual(done.stderr, "", page)

    def test_completions_are_scripts_of_their_shell(self):
        for shell, path in COMPLETIONS.items():
            with self.subTest(shell):
                if not shutil.which(shell):
                    self.skipTest(f"{shell} is not installed")
                printed(shell, "-n", path)


class Bash(unittest.TestCase):
    def complete(self, *words, breaks="="):
        """Candidates for the last of `words`, which bash divides at "=" where `breaks` has it."""
        script = ('compopt() { :; }; source "$0"\n'
                  'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _escapement\n'
                  '((${#COMPREPLY[@]} == 0)) || printf "%s\\n" "${COMPREPLY[@]}"')
        if breaks:
            words = [part for word in words for part in re.split("(=)", word) if part or word == ""]
        return printed("bash", "--norc", "-c", script, COMPLETIONS["bash"], "escapement", *words,
                       cwd=f"{SOURCE}/runs").splitlines()

    def test_commands_and_their_options(self):
        self.assertEqual(self.complete("cl"), ["classify"])
        self.assertEqual(self.complete("help", "ver"), ["verify"])
        for command, options in commands().items():
            self.assertEqual({f"--{name}" for _, name in options}, set(self.complete(command, "--")))

    def test_values_of_an_option(self):
        self.assertEqual(self.complete("run", "--backend", ""), ["auto", "reference", "cpu", "cuda"])
        self.assertEqual(self.complete("run", "--backend=re"), ["reference"])
        self.assertEqual(self.complete("run", "--backend=re", breaks=""), ["--backend=reference"])

    def test_files_have_the_suffix_of_the_argument(self):
        self.assertIn("he-normal-slopes.yaml", self.complete("run", "he-"))
        self.assertNotIn("he-normal-slopes.txt", self.complete("run", "he-"))
        self.assertIn("he-normal-slopes.txt", self.complete("plot", "--caption", "he-"))

    def test_keys_come_behind_the_spec_and_values_behind_a_key(self):
        self.assertEqual(self.complete("run", "--threads", "2", "a.yaml", "train.ba"), ["train.batch="])
        self.assertEqual(self.complete("run", "a.yaml", "train.update=c"), ["compensated"])
        self.assertEqual(self.complete("run", "a.yaml", "train.update=c", breaks=""),
                         ["train.update=compensated"])

    def test_a_key_press_completes(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
        os.write(terminal, f"source {COMPLETIONS['bash']}; escapement() {{ echo got-$2-$3; }}\n"
                           "escapement run --backe\tre\t\nexit\n".encode())
        seen = b""
        while b"got---backend-reference" not in seen:
            try:
                seen += os.read(terminal, 4096)
            except OSError:  # bash ended
                break
        os.close(terminal)
        os.waitpid(pid, 0)
        self.assertIn(b"got---backend-reference", seen)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])

# SPDX-License-Identifier: Apache-2.0
"""Commands with a time limit, and their outcomes."""
import json
import os
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PASS, FAIL, CUT, UNAVAILABLE, NOT_REACHED = "pass", "fail", "cut off", "unavailable", "not reached"


class Refusal(Exception):
    """Why nothing was run: one line for the user."""


def tail(text, lines=25):
    return "\n".join(text.splitlines()[-lines:])[-4000:]


class Outcome:
    """Outcome of a command; code is None if its time ran out."""

    def __init__(self, command, code, seconds, output, errors):
        self.command, self.code, self.seconds = command, code, seconds
        self.output, self.errors = output, errors

    def words(self):
        """How it ended, for a reader."""
        how = "ran out of time" if self.code is None else f"exit status {self.code}"
        return f"{os.path.basename(self.command[0])}: {how}"

    def json(self):
        """Its standard output as JSON; None where it is not."""
        try:
            return json.loads(self.output)
        except ValueError:
            return None


def end_group(process):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(5)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def call(command, limit, environment=None):
    """Runs a command for at most `limit` seconds; it and its children end with it."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as out, \
         tempfile.TemporaryFile("w+", errors="replace") as err:
        try:
            process = subprocess.Popen(
                command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, cwd=ROOT,
                env=environment, preexec_fn=os.setpgrp)
        except OSError as error:
            return Outcome(command, 127, 0, "", f"{command[0]}: {error.strerror}")
        code = None
        try:
            code = process.wait(max(limit, 0.1))
        except subprocess.TimeoutExpired:
            pass
        finally:
            end_group(process)
        out.seek(0)
        err.seek(0)
        return Outcome(command, code, round(time.monotonic() - began, 3), out.read(), err.read())


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""

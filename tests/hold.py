# SPDX-License-Identifier: Apache-2.0
"""Runs that pause after a checkpoint until a test interrupts them (tests/faults/hold.c), so that no test
depends on the speed of a run."""
import contextlib
import os
import shutil
import signal
import subprocess
import time

CHECKPOINTS = ("--checkpoint", "0.000001")  # after every block of steps


class Hold:
    """`program` is built with the tests; `folder` is private to the test."""

    def __init__(self, program, folder):
        self.shim = os.path.join(os.path.dirname(os.path.abspath(program)), "tests/shims/libhold.so")
        self.folder = os.path.join(folder, "held")

    def environment(self, journal=None, members=0, signals=1):
        """Environment in which processes pause after each checkpoint (with `journal` only while it has more
        than `members` finished members) until they have handled `signals` signals."""
        os.makedirs(self.folder, exist_ok=True)
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        condition = {"HOLD_JOURNAL": journal, "HOLD_MEMBERS": str(members)} if journal else {}
        return {"LD_PRELOAD": self.shim, "HOLD": self.folder, "ASAN_OPTIONS": sanitizer,
                "HOLD_SIGNALS": str(signals), **condition}

    def start(self, command, cwd, journal=None, members=0, signals=1, **options):
        """Starts a process and returns it once it is paused."""
        options.setdefault("env", os.environ)
        options.setdefault("stderr", subprocess.PIPE)
        child = subprocess.Popen(
            command, cwd=cwd, text=True, stdout=subprocess.DEVNULL,
            **{**options, "env": {**options["env"], **self.environment(journal, members, signals)}})
        self.wait(lambda: self.is_held(child.pid), child)
        return child

    @staticmethod
    def wait(there, child):
        while not there():
            if child.poll() is not None:
                raise AssertionError(f"the process ended before its pause, with {child.returncode}:\n" +
                                     (child.stderr.read() if child.stderr else ""))
            time.sleep(0.002)

    def held(self):
        """Paused processes."""
        if not os.path.exists(self.folder):
            return []
        return [int(name) for name in os.listdir(self.folder) if name.isdigit()]

    @staticmethod
    def is_alive(pid):
        """Whether a process, a child or not, has not ended; a zombie has."""
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def is_held(self, pid):
        return pid in self.held()

    def handled(self, pid):
        """Number of signals that a paused process has handled."""
        path = os.path.join(self.folder, str(pid))
        return os.path.getsize(path) if os.path.exists(path) else 0

    def resume(self, pid):
        os.remove(os.path.join(self.folder, str(pid)))

    def kill(self, child):
        """Kills a process, then the paused ones, which may be its workers: the other way round it would
        start new ones. Returns once all have ended and none can write any more."""
        held = [pid for pid in self.held() if pid != child.pid]
        child.kill()
        child.communicate()
        for pid in held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(self.is_alive, held)):
            time.sleep(0.002)
        self.release()

    def release(self):
        """Continues all processes, without further pauses."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def interrupt(self, command, cwd, number, **options):
        """Starts a process and sends the signal at its pause; exit status and standard error."""
        child = self.start(command, cwd, **options)
        child.send_signal(number)
        errors = child.communicate()[1]
        self.release()
        return child.returncode, errors

# SPDX-License-Identifier: Apache-2.0
"""A sweep as a Slurm array on one machine: warned, requeued and killed tasks resume, and the merged shards
equal the unsharded run.

Usage: test_slurm.py PROGRAM SCRIPT [unittest arguments]; exit status 77: there is no Slurm here.
"""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import hold

PROGRAM, SCRIPT = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))

SPEC = """\
name: array
network: {layers: 4, width: 8, inputs: 6, activation: tanh}
teacher: {amplitudes: [1.0]}
train: {rate: 0.01, batch: 64, steps: 2000}
escape: {thresholds: [1e-9], false_escapes: allow}
sweep: {seeds: 3, groups: [{bottleneck: 3, scales: [0.3, 0.1]}]}
"""

CONFIGURATION = """\
ClusterName=escapement
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={scratch}/state
SlurmdSpoolDir={scratch}/spool
SlurmctldPidFile={scratch}/slurmctld.pid
SlurmdPidFile={scratch}/slurmd.pid
SlurmctldLogFile={scratch}/slurmctld.log
SlurmdLogFile={scratch}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=FORCE:4
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Array(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name
        for name in ("state", "spool"):
            os.mkdir(self.path(name))
        controller, daemon = free_ports(2)
        self.write("slurm.conf", CONFIGURATION.format(
            scratch=self.scratch, host=socket.gethostname().split(".")[0], controller=controller, cpus=os.cpu_count(),
            daemon=daemon, user=pwd.getpwuid(os.getuid()).pw_name))
        self.write("array.yaml", SPEC)
        self.hold = hold.Hold(PROGRAM, self.scratch)
        self.environment = {**os.environ, "SLURM_CONF": self.path("slurm.conf"),
                            "ESCAPEMENT": PROGRAM}
        self.daemons = [self.start(["slurmctld", "-D", "-i"])]
        self.wait_for(lambda: self.ask("scontrol", "ping"), "the controller")
        self.daemons.append(self.start(["slurmd", "-D"]))
        self.wait_for(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"), "the node")

    def start(self, command):
        log = open(self.path(command[0] + ".out"), "w")
        self.addCleanup(log.close)
        child = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log,
                                 start_new_session=True)
        self.addCleanup(child.wait)
        self.addCleanup(child.terminate)
        return child

    def path(self, name):
        return os.path.join(self.scratch, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def ask(self, *command):
        done = subprocess.run(command, env=self.environment, cwd=self.scratch, capture_output=True,
                              text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def wait_for(self, there, what, seconds=1200):
        """The limit only ends a test that would never finish."""
        end = time.monotonic() + seconds
        while not there():
            if time.monotonic() > end:
                logs = "\n".join(f"== {name}\n{self.read(name)[-2000:]}"
                                 for name in sorted(os.listdir(self.scratch))
                                 if name.endswith((".log", ".out")))
                self.fail(f"waited {seconds} s for {what}\n{logs}")
            time.sleep(0.2)

    def call(self, *arguments):
        done = subprocess.run([PROGRAM, *arguments], cwd=self.scratch, capture_output=True, text=True,
                              timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def process_of(self, task):
        """Process of a task, paused at a checkpoint."""
        found = []

        def look():
            found[:] = [pid for pid in self.hold.held() if self.task_of(pid) == str(task)]
            return found
        self.wait_for(look, f"a checkpoint of task {task}")
        return found[0]

    @staticmethod
    def task_of(pid):
        try:
            with open(f"/proc/{pid}/environ", errors="replace") as file:
                return dict(line.split("=", 1) for line in file.read().split("\0")
                            if "=" in line).get("SLURM_ARRAY_TASK_ID")
        except OSError:
            return None

    def test_warned_requeued_and_killed_tasks_give_the_unsharded_result(self):
        held = ",".join(["ALL", *(f"{k}={v}" for k, v in self.hold.environment().items())])
        submitted = self.ask("sbatch", "--parsable", "--array=0-2", "-o", "task.%a.out",
                             "--export", held, SCRIPT, "array.yaml", "array.%a.h5", *hold.CHECKPOINTS)
        job = submitted.strip()
        self.assertTrue(job.isdigit(), submitted)
        self.process_of(0)
        self.ask("scancel", "--batch", "--signal=USR1", f"{job}_0")  # as its time runs out
        self.process_of(1)
        self.ask("scontrol", "requeue", f"{job}_1")  # as when it is preempted
        os.kill(self.process_of(2), signal.SIGKILL)  # as when memory runs out: not requeued
        self.hold.release()
        self.wait_for(lambda: not self.ask("squeue", "-h", "-j", job).strip(), "the array")
        for task in (0, 1):
            self.assertTrue(os.path.exists(self.path(f"array.{task}.h5")),
                            self.read(f"task.{task}.out"))
        self.assertIn("networks in flight are saved", self.read("task.0.out"))
        self.assertFalse(os.path.exists(self.path("array.2.h5")))
        again = self.ask("sbatch", "--parsable", "--array=0-2", "-o", "again.%a.out", SCRIPT,
                         "array.yaml", "array.%a.h5").strip()
        self.wait_for(lambda: not self.ask("squeue", "-h", "-j", again).strip(), "the rest")
        self.call("merge", "-o", "merged.h5", *(f"array.{task}.h5" for task in range(3)))
        self.call("run", "array.yaml", "-o", "whole.h5", "--quiet")
        self.call("compare", "--exact", "whole.h5", "merged.h5")


if __name__ == "__main__":
    missing = [name for name in ("slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    if missing:
        print(f"skipped: no {', '.join(missing)} here")
        sys.exit(77)
    unittest.main()

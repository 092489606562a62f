/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hdf5_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Limit of CPU time: a hundred times the usual time of reading. Known infinite loops are detected
 * before (hdf5_heap.h). */
static rlim_t cpu_seconds_max(size_t size) { return 5 + size / 1000000; }

/* In the child: no core file, no error output of crashing libraries, and it ends with its parent.
 */
static void limit_child(size_t size) {
  const rlim_t seconds = cpu_seconds_max(size);
  const struct rlimit none = {0, 0}, time = {seconds, seconds + 1};
  const int null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_CPU, &time);
  if (null_device >= 0) dup2(null_device, STDERR_FILENO);
}

static esc_status check_exit(const char *path, size_t size, int wait_status) {
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) return ESC_OK;
  const int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  if (number == SIGXCPU)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "%s: damaged or malicious: HDF5 did not finish reading it in %llu s of processor time",
        path, (unsigned long long)cpu_seconds_max(size));
  return ESC_FAIL(ESC_BAD_INPUT, "%s: damaged or malicious: HDF5 crashed on reading it (%s)", path,
                  number ? strsignal(number) : "ended early");
}

esc_status esc_hdf5_sandbox_read(const char *path, size_t size, void (*read)(void *context),
                                 void *context) {
  int wait_status = 0;
  const pid_t child = fork();
  if (child < 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot start a process to read the file: %s", path,
                    strerror(errno));
  if (child == 0) {
    limit_child(size);
    read(context);
    _exit(0);
  }
  while (waitpid(child, &wait_status, 0) < 0)
    if (errno != EINTR) return ESC_OK; /* SIGCHLD is ignored: the status is unknown */
  return check_exit(path, size, wait_status);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hdf5_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds of processor time that reading may take: a hundred times what it takes. Loops without
 * end that are known are found before, by the bytes (hdf5_heap.h). */
static rlim_t limit_of(size_t size) { return 5 + size / 1000000; }

/* In the child: neither a core file, nor words of libraries that crash, nor a life after the
 * parent's. */
static void confine(size_t size) {
  const rlim_t seconds = limit_of(size);
  const struct rlimit none = {0, 0}, time = {seconds, seconds + 1};
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_CPU, &time);
  if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
}

static esc_status judge(const char *path, size_t size, int ended) {
  if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return ESC_OK;
  const int number = WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;
  if (number == SIGXCPU)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: damaged, or made to harm: HDF5 did not finish reading it in %llu s of "
                    "processor time",
                    path, (unsigned long long)limit_of(size));
  return ESC_FAIL(ESC_BAD_INPUT, "%s: damaged, or made to harm: HDF5 crashed on reading it (%s)",
                  path, number ? strsignal(number) : "ended early");
}

esc_status esc_hdf5_try_reading(const char *path, size_t size, void (*read)(void *context),
                                void *context) {
  int ended = 0;
  const pid_t child = fork();
  if (child < 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot start a process to read it in: %s", path,
                    strerror(errno));
  if (child == 0) {
    confine(size);
    read(context);
    _exit(0);
  }
  while (waitpid(child, &ended, 0) < 0)
    if (errno != EINTR) return ESC_OK; /* children are ignored: nothing is known */
  return judge(path, size, ended);
}

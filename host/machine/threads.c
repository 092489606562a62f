#include "machine/threads.h"

#include <omp.h>

#include "base/log.h"

esc_status esc_threads_settle(bool named, int *threads) {
  esc_status status = ESC_OK;
  int possible = 1;
  const int wanted = *threads;
  ESC_TRY(esc_threads_probe(wanted, &possible));
  if (omp_get_thread_limit() < possible) possible = omp_get_thread_limit();
  if (possible >= wanted) return ESC_OK;
  if (named)
    return ESC_FAIL(ESC_LIBRARY_FAILED,
                    "%d threads were asked for, and the system starts %d (limits: ulimit -u and "
                    "-v, pids.max of the control group, OMP_STACKSIZE, OMP_THREAD_LIMIT); nothing "
                    "was started; continue with --threads %d",
                    wanted, possible, possible);
  esc_log(
      "warning: the system starts %d of %d threads (limits: ulimit -u and -v, pids.max of the "
      "control group, OMP_STACKSIZE, OMP_THREAD_LIMIT): %d %s used",
      possible, wanted, possible, possible == 1 ? "is" : "are");
  omp_set_num_threads(possible);
  *threads = possible;
done:
  return status;
}

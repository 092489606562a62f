/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/threads.h"

#include <omp.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/log.h"

static const char reason_limits[] =
    "limits: ulimit -u and -v, pids.max of the control group, OMP_STACKSIZE, OMP_THREAD_LIMIT";
static const char reason_fork[] =
    "it was forked without exec from a process that had used OpenMP threads, and OpenMP would wait "
    "for them";

/* The process in which this thread's OpenMP team was created. After a fork the child still has the
 * team, but not its threads. */
static _Thread_local pid_t team_owner;

static bool has_lost_team(void) { return team_owner && team_owner != getpid(); }

static esc_status count_possible(int wanted, int *possible) {
  esc_status status = ESC_OK;
  *possible = 1;
  if (has_lost_team()) return ESC_OK;
  ESC_TRY(esc_threads_probe(wanted, possible));
  if (omp_get_thread_limit() < *possible) *possible = omp_get_thread_limit();
done:
  return status;
}

esc_status esc_threads_limit(bool is_explicit, int *threads) {
  esc_status status = ESC_OK;
  int possible = 1;
  const int wanted = *threads;
  ESC_TRY(count_possible(wanted, &possible));
  if (possible > 1 && wanted > 1) team_owner = getpid();
  if (possible >= wanted) return ESC_OK;
  const char *const why = has_lost_team() ? reason_fork : reason_limits;
  if (is_explicit)
    return ESC_FAIL(ESC_LIBRARY_FAILED,
                    "%d threads were requested, but this process can start %d (%s); nothing was "
                    "started; continue with --threads %d",
                    wanted, possible, why, possible);
  esc_log("warning: this process can start %d of %d threads (%s); %d %s used", possible, wanted,
          why, possible, possible == 1 ? "is" : "are");
  omp_set_num_threads(possible);
  *threads = possible;
done:
  return status;
}

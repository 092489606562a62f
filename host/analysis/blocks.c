/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions of the block reduction: they check their arguments and that the system can
 * start the threads. */
#include "escapement/blocks.h"

#include <math.h>
#include <omp.h>

#include "escapement/internal/homotopy.h"
#include "escapement/internal/library.h"
#include "escapement/internal/spectrum.h"
#include "escapement/internal/theory.h"
#include "machine/threads.h"

static esc_status check_scales(const esc_block_problem *p) {
  for (int k = 0; k < p->modes; k++)
    for (int l = 0; l < p->layers; l++)
      if (!(p->scale[k][l] > 0) || p->scale[k][l] > 10)
        return ESC_FAIL(ESC_BAD_INPUT, "scale[%d][%d]: is %g; allowed: above 0, up to 10", k, l,
                        p->scale[k][l]);
  return ESC_OK;
}

static esc_status check_problem(const esc_block_problem *p) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_activation_check(&p->activation));
  ESC_TRY(esc_layers_check(p->layers));
  if (p->modes < 1 || p->modes > ESC_BLOCK_MODES_MAX)
    return ESC_FAIL(ESC_BAD_INPUT, "modes: is %d; allowed: 1 to %d", p->modes, ESC_BLOCK_MODES_MAX);
  for (int k = 0; k < p->modes; k++)
    if (p->amplitude[k] == 0 || !isfinite(p->amplitude[k]))
      return ESC_FAIL(ESC_BAD_INPUT, "amplitude[%d]: is %g; allowed: finite numbers other than 0",
                      k, p->amplitude[k]);
  ESC_TRY(check_scales(p));
  if (p->level < ESC_BLOCK_DIAGONAL || p->level > ESC_BLOCK_EXACT)
    return ESC_FAIL(ESC_BAD_INPUT, "level: is %d; allowed: 0, 1, 2", (int)p->level);
  if (!(p->threshold >= 0) || !isfinite(p->threshold))
    return ESC_FAIL(ESC_BAD_INPUT, "threshold: is %g; allowed: 0 (none) or a number above 0",
                    p->threshold);
done:
  return status;
}

/* OpenMP aborts the process where it cannot start a thread, so the threads are tried first. */
static esc_status check_threads(void) {
  int threads = omp_get_max_threads();
  return esc_threads_limit(false, &threads);
}

static esc_status compute_times(const esc_block_problem *p, esc_block_times *out) {
  esc_status status = ESC_OK;
  ESC_TRY(check_problem(p));
  ESC_TRY(check_threads());
  ESC_TRY(esc_block_times_find(p, out));
done:
  return status;
}

esc_status esc_block_times_compute(const esc_block_problem *problem, esc_block_times *out) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = compute_times(problem, out);
  esc_library_leave(scope);
  return status;
}

static esc_status attribute(const esc_homotopy *h, esc_attribution_report *report, void *context,
                            esc_attribution *out) {
  esc_status status = ESC_OK;
  *out = (esc_attribution){0};
  ESC_TRY(check_problem(&h->problem));
  if (h->lower < ESC_BLOCK_DIAGONAL || h->lower >= h->problem.level)
    return ESC_FAIL(ESC_BAD_INPUT, "lower: %d is not below level %d", (int)h->lower,
                    (int)h->problem.level);
  ESC_TRY(check_threads());
  ESC_TRY(esc_attribution_find(h, report, context, out));
done:
  return status;
}

esc_status esc_attribution_compute(const esc_homotopy *homotopy, esc_attribution_report *report,
                                   void *context, esc_attribution *out) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = attribute(homotopy, report, context, out);
  esc_library_leave(scope);
  return status;
}

static esc_status find_spectrum(const esc_block_problem *p, const esc_block_times *times,
                                esc_plateau_spectrum *out) {
  esc_status status = ESC_OK;
  ESC_TRY(check_problem(p));
  ESC_TRY(check_threads());
  ESC_TRY(esc_plateau_spectrum_find(p, times, out));
done:
  return status;
}

esc_status esc_plateau_spectrum_compute(const esc_block_problem *problem,
                                        const esc_block_times *times, esc_plateau_spectrum *out) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = find_spectrum(problem, times, out);
  esc_library_leave(scope);
  return status;
}

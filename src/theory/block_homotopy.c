/* SPDX-License-Identifier: Apache-2.0 */
/* dt_k/dlambda between two closure levels (docs/theory, section 6.6) by forward sensitivities
 * z_c = dy/dlambda, one for each channel, integrated with the flow. At t_k, where S_k passes half
 * of its final value, dt_k/dlambda = -(grad S_k . sum_c z_c) / (grad S_k . F_lambda), and each
 * channel contributes one term. The adjoint of section 6.6 gives the same numbers, but it must be
 * integrated backward, once for each mode, over a stored path. */
#include <math.h>
#include <string.h>

#include "block_path.h"
#include "escapement/internal/dot.h"
#include "escapement/internal/homotopy.h"

static esc_status find_derivative(const esc_block_path *path, int k, esc_homotopy_point *out) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(&path->upper);
  const double *state = path->state + k * (1 + path->channels) * n;
  double rhs[ESC_BLOCK_SIZE_MAX], gradient[ESC_BLOCK_SIZE_MAX];
  if (path->time[k] == 0) return ESC_OK; /* at the start for every lambda */
  ESC_TRY(esc_block_path_rhs(path, state, rhs));
  ESC_TRY(esc_block_signal_gradient(&path->upper, path->plan.grid, state, k, gradient));
  esc_block_mask(&path->upper, gradient);
  const double crossing_rate = esc_dot(gradient, rhs, n);
  for (int c = 0; c < path->channels; c++) {
    out->channel[k][c] = -esc_dot(gradient, state + (1 + c) * n, n) / crossing_rate;
    out->derivative[k] += out->channel[k][c];
  }
done:
  return status;
}

static esc_status check_escapes(const esc_block_path *path) {
  if (path->c1 == 0)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "c_1 = 0 for this activation: there is no escape time to attribute");
  for (int k = 0; k < path->upper.modes; k++)
    if (isnan(path->time[k]))
      return ESC_FAIL(ESC_BAD_INPUT,
                      "mode %d does not escape at lambda = %g (followed to t = %g): there is no "
                      "escape time to attribute",
                      k + 1, path->plan.lambda, path->t);
  return ESC_OK;
}

esc_status esc_homotopy_evaluate(const esc_homotopy *h, const esc_block_grid *grid, double lambda,
                                 bool sensitivities, esc_homotopy_point *out) {
  esc_status status = ESC_OK;
  esc_block_path path = {0};
  double unused[ESC_BLOCK_MODES_MAX], time_scale;
  const esc_block_plan plan = {.problem = &h->problem,
                               .grid = grid,
                               .lower = h->lower,
                               .lambda = lambda,
                               .sensitivities = sensitivities,
                               .tolerance_factor = 1};
  *out = (esc_homotopy_point){.lambda = lambda};
  if (h->problem.activation.kind == ESC_ACTIVATION_RELU)
    return ESC_FAIL(ESC_BAD_INPUT, "relu has no second derivative, which an attribution needs");
  ESC_TRY(esc_block_path_open(&plan, &path));
  ESC_TRY(esc_block_decoupled_times(&h->problem, grid, unused, &time_scale));
  ESC_TRY(esc_block_path_search(&path, time_scale));
  ESC_TRY(check_escapes(&path));
  memcpy(out->escape, path.time, (size_t)h->problem.modes * sizeof *path.time);
  for (int k = 0; sensitivities && k < h->problem.modes; k++)
    ESC_TRY(find_derivative(&path, k, out));
done:
  esc_block_path_close(&path);
  return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The right-hand side of a block path and its event functions (docs/theory, sections 6.2 and 6.6).
 *
 * The sensitivity dy/dlambda is split by channel: z_c' = J_lambda z_c + P_c (F(y) - P F(P y)),
 * z_c(0) = 0, P the mask of the lower level, P_c the projection onto channel c. All channels share
 * the activations of one pass over the grid, which are most of the cost. */
#include <stdlib.h>
#include <string.h>

#include "block_path.h"

/* ---- the right-hand side ---- */

/* Adds `weight` times one end of the homotopy with its sensitivities: P F(P y) at the lower level,
 * F(y) at the upper one. */
static esc_status add_level(const esc_block_path *path, const esc_block_problem *p, double weight,
                            const double *y, double *rhs, double *out) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(p), rows = 1 + path->channels;
  double *work = malloc((size_t)(2 * rows * n) * sizeof *work);
  ESC_TRY_ALLOCATE(work);
  double *const masked = work, *const product = work + rows * n;
  memcpy(masked, y, (size_t)(rows * n) * sizeof *y);
  for (int c = 0; c < rows; c++) esc_block_mask(p, masked + c * n);
  const int directions = weight == 0 ? 0 : path->channels;
  ESC_TRY(esc_block_linearise(p, path->plan.grid, masked,
                              (esc_block_directions){directions, masked + n}, rhs, product));
  for (int i = 0; i < n; i++) out[i] += weight * rhs[i];
  for (int i = 0; i < directions * n; i++) out[n + i] += weight * product[i];
done:
  free(work);
  return status;
}

esc_status esc_block_path_extended_rhs(const esc_block_path *path, const double *y, double *out) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(&path->upper);
  const double lambda = path->plan.lambda;
  double lower[ESC_BLOCK_SIZE_MAX], upper[ESC_BLOCK_SIZE_MAX];
  memset(out, 0, (size_t)((1 + path->channels) * n) * sizeof *out);
  ESC_TRY(add_level(path, &path->upper, lambda, y, upper, out));
  if (lambda < 1 || path->channels)
    ESC_TRY(add_level(path, &path->lower, 1 - lambda, y, lower, out));
  for (int i = 0; path->channels && i < n; i++)
    out[(1 + esc_block_channel(&path->upper, i)) * n + i] += upper[i] - lower[i];
done:
  return status;
}

esc_status esc_block_path_rhs(const esc_block_path *path, const double *y, double *rhs) {
  esc_block_path plain = *path;
  plain.channels = 0;
  return esc_block_path_extended_rhs(&plain, y, rhs);
}

/* ---- events ---- */

esc_status esc_block_path_events(const esc_block_path *path, const double *y, double *distance) {
  esc_status status = ESC_OK;
  const esc_block_problem *p = &path->upper;
  esc_block_signals signals;
  ESC_TRY(esc_block_flow(p, path->plan.grid, y, NULL, &signals));
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) distance[i] = -1;
  for (int k = 0; k < p->modes; k++) {
    const int hermite = p->modes + k;
    if (path->watched[k]) distance[k] = signals.s[k] / (p->amplitude[k] * path->c1) - 0.5;
    if (path->watched[hermite])
      distance[hermite] = signals.h[k] / (p->amplitude[k] * path->c3) - 0.5;
  }
  if (path->watched[ESC_BLOCK_LOSS]) distance[ESC_BLOCK_LOSS] = 1 - signals.loss / p->threshold;
done:
  return status;
}

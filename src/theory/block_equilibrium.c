/* SPDX-License-Identifier: Apache-2.0 */
/* Tests if a slow block flow can still reach an event. In the flow linearised at the state, with
 * its symmetric Jacobian, a component r of the right-hand side along an eigenvector of eigenvalue
 * mu moves the state by r (e^(mu t) - 1) / mu within the time t. A plateau has a growing direction,
 * so that it is not mistaken for an equilibrium, however slow it is. */
#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "block_path.h"

/* Remaining displacement, relative to the state, over the distance to the nearest event: an event
 * function changes by at most some tens of the state's relative change. */
static const double small_displacement = 1e-5;

/* out += weight * P J(P y) P, (size, size), P the mask of p's level. */
static esc_status add_jacobian(const esc_block_path *path, const esc_block_problem *p,
                               double weight, const double *y, gsl_matrix *out) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(p);
  double masked[ESC_BLOCK_SIZE_MAX], *jacobian = malloc((size_t)(n * n) * sizeof *jacobian);
  ESC_TRY_ALLOCATE(jacobian);
  memcpy(masked, y, (size_t)n * sizeof *y);
  esc_block_mask(p, masked);
  ESC_TRY(esc_block_jacobian(p, path->plan.grid, masked, jacobian));
  for (int i = 0; i < n * n; i++) out->data[i] += weight * jacobian[i];
done:
  free(jacobian);
  return status;
}

/* Displacement of the linearised flow within `horizon`; infinity where it overflows. */
static double remaining_displacement(const gsl_vector *value, const gsl_matrix *vector,
                                     const double *rhs, double horizon) {
  double displacement = 0;
  for (size_t i = 0; i < value->size; i++) {
    const double mu = gsl_vector_get(value, i);
    double component = 0;
    for (size_t j = 0; j < value->size; j++) component += gsl_matrix_get(vector, j, i) * rhs[j];
    if (component != 0)
      displacement =
          hypot(displacement, component * (mu == 0 ? horizon : expm1(mu * horizon) / mu));
  }
  return displacement;
}

static double nearest_event(const esc_block_path *path, const double *distance) {
  double nearest = INFINITY;
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++)
    if (path->watched[i] && isnan(path->time[i])) nearest = fmin(nearest, fabs(distance[i]));
  return nearest;
}

esc_status esc_block_path_check_equilibrium(const esc_block_path *path, double horizon,
                                            bool *at_rest) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(&path->upper);
  const size_t size = (size_t)n;
  const double *y = N_VGetArrayPointer(path->y);
  double rhs[ESC_BLOCK_SIZE_MAX], distance[ESC_BLOCK_EVENTS], length = 0;
  gsl_matrix *j = gsl_matrix_calloc(size, size), *vector = gsl_matrix_alloc(size, size);
  gsl_vector *value = gsl_vector_alloc(size);
  gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(size);
  if (!j || !vector || !value || !work) ESC_TRY_ALLOCATE(NULL);
  ESC_TRY(esc_block_path_rhs(path, y, rhs));
  ESC_TRY(esc_block_path_events(path, y, distance));
  ESC_TRY(add_jacobian(path, &path->upper, path->plan.lambda, y, j));
  if (path->plan.lambda < 1) ESC_TRY(add_jacobian(path, &path->lower, 1 - path->plan.lambda, y, j));
  gsl_eigen_symmv(j, value, vector, work);
  for (int i = 0; i < n; i++) length = hypot(length, y[i]);
  *at_rest = remaining_displacement(value, vector, rhs, horizon) <=
             small_displacement * nearest_event(path, distance) * length;
done:
  if (j) gsl_matrix_free(j);
  if (vector) gsl_matrix_free(vector);
  if (value) gsl_vector_free(value);
  if (work) gsl_eigen_symmv_free(work);
  return status;
}

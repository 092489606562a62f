/* SPDX-License-Identifier: Apache-2.0 */
/* Equilibria of a gradient flow (docs/theory, section 3.5). A small right-hand side is not
 * sufficient: on a plateau, or in a nearly flat valley, a flow moves slowly but far. So the
 * right-hand side is decomposed in the eigenvectors q_i of its symmetric Jacobian (minus the
 * Hessian of the loss): a component c_i = q_i . rhs with eigenvalue lambda_i < 0 still moves the
 * state by c_i / |lambda_i|. */
#include "equilibrium.h"

#include <float.h>
#include <gsl/gsl_eigen.h>
#include <math.h>

/* Remaining displacement, relative to the state, below which a stable component has settled. */
static const double settled_fraction = 1e-10;
/* Rounding error of the right-hand side over the size of the terms that cancel in it. */
static const double rounding_factor = 8 * DBL_EPSILON;
/* Eigenvalues above this fraction of the largest |eigenvalue| are positive beyond rounding. */
static const double unstable_fraction = 1e-9;

typedef struct spectrum {
  double largest; /* of |lambda_i| */
  double state;   /* largest |s_l| */
  bool unstable;  /* a component at rest has lambda_i > 0 */
} spectrum;

static double norm_max(int n, const double *x) {
  double largest = 0;
  for (int i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
  return largest;
}

/* Whether the component along eigenvector q is at equilibrium. */
static bool is_settled(int n, const gsl_vector *q, double lambda, const double *rhs,
                       const double *term_size, spectrum *overall) {
  double component = 0, noise = 0;
  for (int l = 0; l < n; l++) {
    const double weight = gsl_vector_get(q, (size_t)l);
    component += weight * rhs[l];
    noise += fabs(weight) * term_size[l];
  }
  if (lambda < 0 && fabs(component) <= settled_fraction * fabs(lambda) * overall->state)
    return true;
  if (!(fabs(component) <= rounding_factor * noise)) return false;
  overall->unstable |= lambda > unstable_fraction * overall->largest;
  return true;
}

static esc_equilibrium find(int n, const double *s, const double *rhs, const double *term_size,
                            const gsl_vector *value, const gsl_matrix *vector) {
  spectrum overall = {.largest = norm_max(n, value->data), .state = norm_max(n, s)};
  for (int i = 0; i < n; i++) {
    const gsl_vector_const_view q = gsl_matrix_const_column(vector, (size_t)i);
    if (!is_settled(n, &q.vector, gsl_vector_get(value, (size_t)i), rhs, term_size, &overall))
      return ESC_EQUILIBRIUM_NONE;
  }
  return overall.unstable ? ESC_EQUILIBRIUM_SADDLE : ESC_EQUILIBRIUM_STABLE;
}

esc_status esc_equilibrium_find(int n, const double *s, const double *rhs, const double *term_size,
                                const double *jacobian, esc_equilibrium *out) {
  esc_status status = ESC_OK;
  const size_t order = (size_t)n;
  gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(order);
  gsl_vector *value = gsl_vector_alloc(order);
  gsl_matrix *vector = gsl_matrix_alloc(order, order), *copy = gsl_matrix_alloc(order, order);
  *out = ESC_EQUILIBRIUM_NONE;
  ESC_TRY_ALLOCATE(work);
  ESC_TRY_ALLOCATE(value);
  ESC_TRY_ALLOCATE(vector);
  ESC_TRY_ALLOCATE(copy);
  for (size_t i = 0; i < order * order; i++) {
    if (!isfinite(jacobian[i])) goto done;
    gsl_matrix_set(copy, i / order, i % order, jacobian[i]);
  }
  gsl_eigen_symmv(copy, value, vector, work);
  *out = find(n, s, rhs, term_size, value, vector);
done:
  if (copy) gsl_matrix_free(copy);
  if (vector) gsl_matrix_free(vector);
  if (value) gsl_vector_free(value);
  if (work) gsl_eigen_symmv_free(work);
  return status;
}

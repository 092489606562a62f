/* SPDX-License-Identifier: Apache-2.0 */
/* Products of the Jacobian of the block flow, which is minus the Hessian of the loss, with a
 * direction: forward mode through the backward pass (Pearlmutter), about three times the cost of a
 * right-hand side. */
#include <stdlib.h>
#include <string.h>

#include "block_nodes.h"

enum { LANES = ESC_BLOCK_LANES, MODES = ESC_BLOCK_MODES_MAX };

/* Directional derivatives of a tile's z, h and f. */
typedef struct tangent {
  esc_block_vector z[ESC_LAYERS_MAX][MODES], h[ESC_LAYERS_MAX][MODES], f;
} tangent;

ESC_SIMD_CLONES
static void forward(const esc_block_problem *p, const double *state, const double *direction,
                    const esc_block_tile *t, tangent *d) {
  const int modes = p->modes, last = p->layers - 1;
  memset(d->h[0], 0, sizeof d->h[0]); /* the inputs do not depend on the state */
  for (int l = 0; l <= last; l++)
    for (int k = 0; k < (l == last ? 1 : modes); k++) {
      double *const z = l == last ? d->f : d->z[l][k];
      memset(z, 0, sizeof d->f);
      for (int j = 0; j < modes; j++) {
        const int index = esc_block_layer_offset(p, l) + k * modes + j;
        if (direction[index] != 0) esc_block_add(z, direction[index], t->h[l][j]);
        if (state[index] != 0 && l > 0) esc_block_add(z, state[index], d->h[l][j]);
      }
      if (l < last)
        for (int s = 0; s < LANES; s++) d->h[l + 1][k][s] = t->d1[l][k][s] * z[s];
    }
}

/* Adds the derivative of E[(T - f) df/dA] along `direction`. */
ESC_SIMD_CLONES
static void backward(const esc_block_problem *p, const double *state, const double *direction,
                     const esc_block_tile *t, const tangent *d, esc_block_vector *out) {
  const int modes = p->modes, last = p->layers - 1;
  esc_block_vector u[MODES] = {0}, u_tangent[MODES] = {0}, delta[MODES], delta_tangent[MODES],
                   error, error_tangent;
  for (int s = 0; s < LANES; s++) {
    error[s] = t->weight[s] * (t->target[s] - t->f[s]);
    error_tangent[s] = -t->weight[s] * d->f[s];
  }
  for (int k = 0; k < modes; k++) {
    const int index = esc_block_layer_offset(p, last) + k;
    esc_block_add_product(out[index], error_tangent, t->h[last][k]);
    esc_block_add_product(out[index], error, d->h[last][k]);
    esc_block_add(u[k], state[index], error);
    esc_block_add(u_tangent[k], direction[index], error);
    esc_block_add(u_tangent[k], state[index], error_tangent);
  }
  for (int l = last - 1; l >= 0; l--) {
    for (int k = 0; k < modes; k++)
      for (int s = 0; s < LANES; s++) {
        delta[k][s] = u[k][s] * t->d1[l][k][s];
        delta_tangent[k][s] =
            u_tangent[k][s] * t->d1[l][k][s] + u[k][s] * t->d2[l][k][s] * d->z[l][k][s];
      }
    memset(u, 0, sizeof u);
    memset(u_tangent, 0, sizeof u_tangent);
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++) {
        const int index = esc_block_layer_offset(p, l) + k * modes + j;
        if (esc_block_is_free(p, l, k, j)) {
          esc_block_add_product(out[index], delta_tangent[k], t->h[l][j]);
          if (l > 0) esc_block_add_product(out[index], delta[k], d->h[l][j]);
        }
        if (l > 0 && direction[index] != 0) esc_block_add(u_tangent[j], direction[index], delta[k]);
        if (l > 0 && state[index] != 0) {
          esc_block_add(u[j], state[index], delta[k]);
          esc_block_add(u_tangent[j], state[index], delta_tangent[k]);
        }
      }
  }
}

typedef struct linear_pass {
  const double *state, *direction; /* (count, size) */
  int count;
  bool rhs; /* also summed, after the products */
} linear_pass;

static void integrand(const esc_block_problem *p, const void *context, esc_block_tile *t,
                      esc_block_vector *out) {
  const linear_pass *pass = context;
  const int size = esc_block_size(p);
  tangent d;
  esc_block_forward(p, pass->state, pass->count > 0, t);
  for (int i = 0; i < pass->count; i++) {
    forward(p, pass->state, pass->direction + i * size, t, &d);
    backward(p, pass->state, pass->direction + i * size, t, &d, out + i * size);
  }
  if (!pass->rhs) return;
  esc_block_vector error;
  for (int s = 0; s < LANES; s++) error[s] = t->weight[s] * (t->target[s] - t->f[s]);
  esc_block_backward(p, pass->state, false, t, error, out + pass->count * size);
}

esc_status esc_block_linearise(const esc_block_problem *p, const esc_block_grid *grid,
                               const double *state, esc_block_directions directions, double *rhs,
                               double *product) {
  esc_status status = ESC_OK;
  const int count = directions.count;
  const int size = esc_block_size(p), rows = count + (rhs != NULL);
  const linear_pass pass = {state, directions.v, count, rhs != NULL};
  double *sum = malloc((size_t)(rows * size) * sizeof *sum);
  ESC_TRY_ALLOCATE(sum);
  ESC_TRY(esc_block_sum(p, grid, rows * size, integrand, &pass, sum));
  for (int i = 0; i < rows; i++) esc_block_mask(p, sum + i * size);
  memcpy(product, sum, (size_t)(count * size) * sizeof *sum);
  if (rhs) memcpy(rhs, sum + count * size, (size_t)size * sizeof *sum);
done:
  free(sum);
  return status;
}

esc_status esc_block_jacobian_product(const esc_block_problem *p, const esc_block_grid *grid,
                                      const double *state, int count, const double *direction,
                                      double *product) {
  return esc_block_linearise(p, grid, state, (esc_block_directions){count, direction}, NULL,
                             product);
}

esc_status esc_block_jacobian(const esc_block_problem *p, const esc_block_grid *grid,
                              const double *state, double *jacobian) {
  enum { ROWS_AT_ONCE = 8 };
  const int size = esc_block_size(p);
  double unit[ROWS_AT_ONCE * ESC_BLOCK_SIZE_MAX];
  /* The Hessian is symmetric: row i is the product with the i-th unit vector. */
  for (int i = 0; i < size; i += ROWS_AT_ONCE) {
    const int count = size - i < ROWS_AT_ONCE ? size - i : ROWS_AT_ONCE;
    memset(unit, 0, sizeof unit);
    for (int j = 0; j < count; j++) {
      unit[j * size + i + j] = 1;
      esc_block_mask(p, unit + j * size);
    }
    const esc_status status =
        esc_block_jacobian_product(p, grid, state, count, unit, jacobian + i * size);
    if (status != ESC_OK) return status;
  }
  return ESC_OK;
}

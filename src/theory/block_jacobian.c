/* The Jacobian of the block flow, minus the Hessian of the loss: the backward pass
 * differentiated along a direction, so that a product costs about as much as three flows. */
#include <string.h>

#include "block_nodes.h"

enum { LANES = ESC_BLOCK_LANES, MODES = ESC_BLOCK_MODES_MAX };

/* How a tile changes along a direction. */
typedef struct tangent {
  esc_block_lane z[ESC_LAYERS_MAX][MODES], h[ESC_LAYERS_MAX][MODES], f;
} tangent;

static void add(esc_block_lane out, double a, const esc_block_lane in) {
  for (int s = 0; s < LANES; s++) out[s] += a * in[s];
}

ESC_FOR_EVERY_WIDTH
static void forward(const esc_block_problem *p, const double *state, const double *direction,
                    const esc_block_tile *t, tangent *d) {
  const int modes = p->modes, last = p->layers - 1;
  memset(d->h[0], 0, sizeof d->h[0]); /* the inputs do not change */
  for (int l = 0; l <= last; l++)
    for (int k = 0; k < (l == last ? 1 : modes); k++) {
      double *const z = l == last ? d->f : d->z[l][k];
      memset(z, 0, sizeof d->f);
      for (int j = 0; j < modes; j++) {
        const int at = esc_block_layer(p, l) + k * modes + j;
        add(z, direction[at], t->h[l][j]);
        add(z, state[at], d->h[l][j]);
      }
      if (l < last)
        for (int s = 0; s < LANES; s++) d->h[l + 1][k][s] = t->slope[l][k][s] * z[s];
    }
}

/* Adds (d/d direction) of E[(T - f) df/dA]. */
ESC_FOR_EVERY_WIDTH
static void backward(const esc_block_problem *p, const double *state, const double *direction,
                     const esc_block_tile *t, const tangent *d, double *out) {
  const int modes = p->modes, last = p->layers - 1;
  esc_block_lane u[MODES] = {0}, du[MODES] = {0}, delta[MODES], change[MODES], error, moved;
  for (int s = 0; s < LANES; s++) {
    error[s] = t->weight[s] * (t->target[s] - t->f[s]);
    moved[s] = -t->weight[s] * d->f[s];
  }
  for (int k = 0; k < modes; k++) {
    const int at = esc_block_layer(p, last) + k;
    out[at] += esc_block_dot(moved, t->h[last][k]) + esc_block_dot(error, d->h[last][k]);
    add(u[k], state[at], error);
    add(du[k], direction[at], error);
    add(du[k], state[at], moved);
  }
  for (int l = last - 1; l >= 0; l--) {
    for (int k = 0; k < modes; k++)
      for (int s = 0; s < LANES; s++) {
        delta[k][s] = u[k][s] * t->slope[l][k][s];
        change[k][s] = du[k][s] * t->slope[l][k][s] + u[k][s] * t->bend[l][k][s] * d->z[l][k][s];
      }
    memset(u, 0, sizeof u);
    memset(du, 0, sizeof du);
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++) {
        const int at = esc_block_layer(p, l) + k * modes + j;
        out[at] += esc_block_dot(change[k], t->h[l][j]) + esc_block_dot(delta[k], d->h[l][j]);
        add(u[j], state[at], delta[k]);
        add(du[j], direction[at], delta[k]);
        add(du[j], state[at], change[k]);
      }
  }
}

typedef struct product_pass {
  const double *state, *direction; /* (count, size) */
  int count;
} product_pass;

static void visit(const esc_block_problem *p, const void *context, esc_block_tile *t, double *out) {
  const product_pass *pass = context;
  const int size = esc_block_size(p);
  tangent d;
  esc_block_forward(p, pass->state, true, t);
  for (int i = 0; i < pass->count; i++) {
    forward(p, pass->state, pass->direction + i * size, t, &d);
    backward(p, pass->state, pass->direction + i * size, t, &d, out + i * size);
  }
}

esc_status esc_block_jacobian_product(const esc_block_problem *p, const esc_block_grid *grid,
                                      const double *state, int count, const double *direction,
                                      double *product) {
  const int size = esc_block_size(p);
  const product_pass pass = {state, direction, count};
  const esc_status status = esc_block_sum(p, grid, count * size, visit, &pass, product);
  if (status != ESC_OK) return status;
  for (int i = 0; i < count; i++) esc_block_mask(p, product + i * size);
  return ESC_OK;
}

esc_status esc_block_jacobian(const esc_block_problem *p, const esc_block_grid *grid,
                              const double *state, double *jacobian) {
  enum { MANY = 8 };
  const int size = esc_block_size(p);
  double unit[MANY * ESC_BLOCK_SIZE_MAX];
  /* The Hessian is symmetric: row i is the product with the i-th unit vector. */
  for (int i = 0; i < size; i += MANY) {
    const int count = size - i < MANY ? size - i : MANY;
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

/* The width-K network at blocks of nodes: forward, backward, and sums over a grid. */
#include "block_nodes.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = ESC_BLOCK_LANES, CHUNK = 16 * LANES, WORTH_SHARING = 16 };

/* out = A in, one row of A. */
static void apply(int modes, const double *a, const esc_block_lane *in, double *out) {
  for (int s = 0; s < LANES; s++) out[s] = 0;
  for (int j = 0; j < modes; j++)
    for (int s = 0; s < LANES; s++) out[s] += a[j] * in[j][s];
}

ESC_FOR_EVERY_WIDTH
void esc_block_forward(const esc_block_problem *p, const double *state, bool bend,
                       esc_block_tile *t) {
  const int modes = p->modes, last = p->layers - 1;
  esc_block_lane z;
  for (int l = 0; l < last; l++)
    for (int k = 0; k < modes; k++) {
      apply(modes, state + esc_block_layer(p, l) + k * modes, t->h[l], z);
      esc_lanes_activate(&p->activation, z, t->h[l + 1][k], t->slope[l][k],
                         bend ? t->bend[l][k] : NULL);
    }
  apply(modes, state + esc_block_layer(p, last), t->h[last], t->f);
}

ESC_FOR_EVERY_WIDTH
void esc_block_backward(const esc_block_problem *p, const double *state, const esc_block_tile *t,
                        const esc_block_lane output, double *gradient) {
  const int modes = p->modes, last = p->layers - 1;
  esc_block_lane u[ESC_BLOCK_MODES_MAX], delta[ESC_BLOCK_MODES_MAX];
  for (int k = 0; k < modes; k++) {
    const int at = esc_block_layer(p, last) + k;
    gradient[at] += esc_block_dot(output, t->h[last][k]);
    for (int s = 0; s < LANES; s++) u[k][s] = state[at] * output[s];
  }
  for (int l = last - 1; l >= 0; l--) {
    const double *a = state + esc_block_layer(p, l);
    for (int k = 0; k < modes; k++)
      for (int s = 0; s < LANES; s++) delta[k][s] = u[k][s] * t->slope[l][k][s];
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++)
        gradient[esc_block_layer(p, l) + k * modes + j] += esc_block_dot(delta[k], t->h[l][j]);
    memset(u, 0, sizeof u);
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++)
        for (int s = 0; s < LANES; s++) u[j][s] += a[k * modes + j] * delta[k][s];
  }
}

/* Lanes behind the last node have weight 0. */
static void load(const esc_block_problem *p, const esc_block_grid *grid, int first,
                 esc_block_tile *t) {
  for (int s = 0; s < LANES; s++) {
    const bool there = first + s < grid->nodes;
    const size_t node = (size_t)(there ? first + s : first);
    t->weight[s] = there ? grid->weight[node] : 0;
    t->target[s] = grid->target[node];
    for (int k = 0; k < p->modes; k++)
      t->h[0][k][s] = grid->g[(size_t)k * (size_t)grid->nodes + node];
  }
}

esc_status esc_block_sum(const esc_block_problem *p, const esc_block_grid *grid, int row,
                         esc_block_visit *visit, const void *context, double *out) {
  esc_status status = ESC_OK;
  const int chunks = (grid->nodes + CHUNK - 1) / CHUNK;
  double *part = calloc((size_t)chunks * (size_t)row, sizeof *part);
  ESC_TRY_ALLOCATE(part);
#pragma omp parallel for schedule(dynamic, 1) if (chunks >= WORTH_SHARING)
  for (int c = 0; c < chunks; c++) {
    esc_block_tile t;
    for (int at = c * CHUNK; at < (c + 1) * CHUNK && at < grid->nodes; at += LANES) {
      load(p, grid, at, &t);
      visit(p, context, &t, part + (size_t)c * (size_t)row);
    }
  }
  memset(out, 0, (size_t)row * sizeof *out);
  for (int c = 0; c < chunks; c++)
    for (int i = 0; i < row; i++) out[i] += part[(size_t)c * (size_t)row + (size_t)i];
done:
  free(part);
  return status;
}

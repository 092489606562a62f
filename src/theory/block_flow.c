/* SPDX-License-Identifier: Apache-2.0 */
/* The flow of the width-K network, dA/dt = E[(T - f) df/dA] (docs/theory, section 6.2), its signals
 * S_k and H_k, and the gradient of S_k. */
#include <string.h>

#include "block_nodes.h"

enum { LANES = ESC_BLOCK_LANES };

int esc_block_size(const esc_block_problem *p) {
  return p->modes * p->modes * (p->layers - 1) + p->modes;
}

void esc_block_initial_state(const esc_block_problem *p, double *state) {
  memset(state, 0, (size_t)esc_block_size(p) * sizeof *state);
  for (int l = 0; l < p->layers; l++)
    for (int k = 0; k < p->modes; k++)
      state[esc_block_layer_offset(p, l) + (l == p->layers - 1 ? k : k * p->modes + k)] =
          p->scale[k][l];
}

int esc_block_channel(const esc_block_problem *p, int coordinate) {
  const int modes = p->modes, l = coordinate / (modes * modes),
            entry = coordinate % (modes * modes);
  return l == p->layers - 1 || entry / modes == entry % modes ? 0 : l + 1;
}

void esc_block_mask(const esc_block_problem *p, double *vector) {
  const int channels = p->level == ESC_BLOCK_EXACT     ? p->layers
                       : p->level == ESC_BLOCK_ROTATED ? 3
                                                       : 1;
  for (int i = 0; i < esc_block_size(p); i++)
    if (esc_block_channel(p, i) >= channels) vector[i] = 0;
}

/* Sums of one pass over the nodes: the right-hand side, if wanted, then loss, S and H. */
typedef struct flow_pass {
  const double *state;
  bool rhs;
} flow_pass;

ESC_SIMD_CLONES
static void sum_signals(const esc_block_problem *p, const esc_block_tile *t,
                        const esc_block_vector error, esc_block_vector *out) {
  esc_block_vector *const s_k = out + 1, *const h_k = s_k + p->modes;
  for (int s = 0; s < LANES; s++) out[0][s] += error[s] * (t->target[s] - t->f[s]) / 2;
  for (int k = 0; k < p->modes; k++)
    for (int s = 0; s < LANES; s++) {
      const double g = t->h[0][k][s], f = t->weight[s] * t->f[s];
      s_k[k][s] += g * f;
      h_k[k][s] += (g * g - 3) * g * f;
    }
}

static void flow_integrand(const esc_block_problem *p, const void *context, esc_block_tile *t,
                           esc_block_vector *out) {
  const flow_pass *pass = context;
  esc_block_vector error; /* weighted */
  esc_block_forward(p, pass->state, false, t);
  for (int s = 0; s < LANES; s++) error[s] = t->weight[s] * (t->target[s] - t->f[s]);
  sum_signals(p, t, error, out + esc_block_size(p));
  if (pass->rhs) esc_block_backward(p, pass->state, false, t, error, out);
}

esc_status esc_block_flow(const esc_block_problem *p, const esc_block_grid *grid,
                          const double *state, double *rhs, esc_block_signals *signals) {
  const flow_pass pass = {state, rhs != NULL};
  const size_t size = (size_t)esc_block_size(p), modes = (size_t)p->modes;
  double sum[ESC_BLOCK_SIZE_MAX + 1 + 2 * ESC_BLOCK_MODES_MAX];
  const esc_status status =
      esc_block_sum(p, grid, (int)(size + 1 + 2 * modes), flow_integrand, &pass, sum);
  if (status != ESC_OK) return status;
  if (rhs) {
    memcpy(rhs, sum, size * sizeof *rhs);
    esc_block_mask(p, rhs);
  }
  *signals = (esc_block_signals){.loss = sum[size]};
  memcpy(signals->s, sum + size + 1, modes * sizeof *sum);
  memcpy(signals->h, sum + size + 1 + modes, modes * sizeof *sum);
  return ESC_OK;
}

typedef struct signal_pass {
  const double *state;
  int mode;
} signal_pass;

static void signal_integrand(const esc_block_problem *p, const void *context, esc_block_tile *t,
                             esc_block_vector *out) {
  const signal_pass *pass = context;
  esc_block_vector u;
  esc_block_forward(p, pass->state, false, t);
  for (int s = 0; s < LANES; s++) u[s] = t->weight[s] * t->h[0][pass->mode][s];
  esc_block_backward(p, pass->state, true, t, u, out);
}

esc_status esc_block_signal_gradient(const esc_block_problem *p, const esc_block_grid *grid,
                                     const double *state, int mode, double *gradient) {
  const signal_pass pass = {state, mode};
  return esc_block_sum(p, grid, esc_block_size(p), signal_integrand, &pass, gradient);
}

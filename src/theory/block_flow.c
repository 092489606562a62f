/* The flow of the width-K network: forward and backward through blocks of nodes. */
#include <stdlib.h>
#include <string.h>

#include "escapement/activation.h"
#include "escapement/blocks.h"

enum { LANES = 16, CHUNK = 32 * LANES, K_MAX = ESC_BLOCK_MODES_MAX };

int esc_block_size(const esc_block_problem *p) {
  return p->modes * p->modes * (p->layers - 1) + p->modes;
}

static int layer_at(const esc_block_problem *p, int l) { return l * p->modes * p->modes; }

void esc_block_start(const esc_block_problem *p, double *state) {
  memset(state, 0, (size_t)esc_block_size(p) * sizeof *state);
  for (int l = 0; l < p->layers; l++)
    for (int k = 0; k < p->modes; k++)
      state[layer_at(p, l) + (l == p->layers - 1 ? k : k * p->modes + k)] = p->scale[k][l];
}

/* Nodes on their way, (mode, lane) a layer. */
typedef struct tile {
  double h[ESC_LAYERS_MAX][K_MAX][LANES]; /* h[0] = g */
  double slope[ESC_LAYERS_MAX][K_MAX][LANES];
  double f[LANES], error[LANES], weight[LANES];
} tile;

/* out = A in. */
static void apply(int modes, const double *a, const double in[][LANES], double *out) {
  for (int s = 0; s < LANES; s++) out[s] = 0;
  for (int j = 0; j < modes; j++)
    for (int s = 0; s < LANES; s++) out[s] += a[j] * in[j][s];
}

static void forward(const esc_block_problem *p, const double *state, tile *t) {
  const int modes = p->modes, last = p->layers - 1;
  double z[LANES];
  for (int l = 0; l < last; l++)
    for (int k = 0; k < modes; k++) {
      apply(modes, state + layer_at(p, l) + k * modes, (const double(*)[LANES])t->h[l], z);
      for (int s = 0; s < LANES; s++) {
        const esc_eval_f64 e = esc_activate_f64(&p->activation, z[s]);
        t->h[l + 1][k][s] = e.value;
        t->slope[l][k][s] = e.derivative;
      }
    }
  apply(modes, state + layer_at(p, last), (const double(*)[LANES])t->h[last], t->f);
}

/* Weighted errors T - f, and the signals' sums. */
static void compare(const esc_block_problem *p, tile *t, esc_block_signals *sum) {
  double target[LANES] = {0};
  for (int k = 0; k < p->modes; k++)
    for (int s = 0; s < LANES; s++)
      target[s] += p->amplitude[k] * esc_activate_f64(&p->activation, t->h[0][k][s]).value;
  for (int s = 0; s < LANES; s++) {
    const double error = target[s] - t->f[s];
    t->error[s] = t->weight[s] * error;
    sum->loss += t->error[s] * error / 2;
  }
  for (int k = 0; k < p->modes; k++)
    for (int s = 0; s < LANES; s++) {
      const double g = t->h[0][k][s], f = t->weight[s] * t->f[s];
      sum->s[k] += g * f;
      sum->h[k] += (g * g - 3) * g * f;
    }
}

static double dot(const double *a, const double *b) {
  double sum = 0;
  for (int s = 0; s < LANES; s++) sum += a[s] * b[s];
  return sum;
}

/* Adds E[(T - f) df/dA]. */
static void backward(const esc_block_problem *p, const double *state, const tile *t, double *rate) {
  const int modes = p->modes, last = p->layers - 1;
  double u[K_MAX][LANES], delta[K_MAX][LANES];
  for (int k = 0; k < modes; k++) {
    rate[layer_at(p, last) + k] += dot(t->error, t->h[last][k]);
    for (int s = 0; s < LANES; s++) u[k][s] = state[layer_at(p, last) + k] * t->error[s];
  }
  for (int l = last - 1; l >= 0; l--) {
    const double *a = state + layer_at(p, l);
    for (int k = 0; k < modes; k++)
      for (int s = 0; s < LANES; s++) delta[k][s] = u[k][s] * t->slope[l][k][s];
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++)
        rate[layer_at(p, l) + k * modes + j] += dot(delta[k], t->h[l][j]);
    memset(u, 0, sizeof u);
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++)
        for (int s = 0; s < LANES; s++) u[j][s] += a[k * modes + j] * delta[k][s];
  }
}

/* Coordinates that the level leaves out do not move. */
static void freeze(const esc_block_problem *p, double *rate) {
  const int modes = p->modes;
  if (p->level == ESC_BLOCK_EXACT) return;
  for (int l = p->level == ESC_BLOCK_ROTATED ? 2 : 0; l < p->layers - 1; l++)
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++)
        if (j != k) rate[layer_at(p, l) + k * modes + j] = 0;
}

/* Sums of one chunk of nodes: the rate, then loss, S and H. */
static void sum_chunk(const esc_block_problem *p, const esc_block_grid *grid, const double *state,
                      int first, bool wants_rate, tile *t, double *out) {
  const int size = esc_block_size(p), modes = p->modes;
  esc_block_signals sum = {0};
  memset(out, 0, (size_t)size * sizeof *out);
  for (int at = first; at < first + CHUNK && at < grid->nodes; at += LANES) {
    for (int s = 0; s < LANES; s++) {
      const bool there = at + s < grid->nodes;
      const size_t node = (size_t)(there ? at + s : at);
      t->weight[s] = there ? grid->weight[node] : 0;
      for (int k = 0; k < modes; k++)
        t->h[0][k][s] = grid->g[(size_t)k * (size_t)grid->nodes + node];
    }
    forward(p, state, t);
    compare(p, t, &sum);
    if (wants_rate) backward(p, state, t, out);
  }
  out[size] = sum.loss;
  memcpy(out + size + 1, sum.s, (size_t)modes * sizeof *out);
  memcpy(out + size + 1 + modes, sum.h, (size_t)modes * sizeof *out);
}

esc_status esc_block_flow(const esc_block_problem *p, const esc_block_grid *grid,
                          const double *state, double *rate, esc_block_signals *signals) {
  esc_status status = ESC_OK;
  const int chunks = (grid->nodes + CHUNK - 1) / CHUNK;
  const size_t size = (size_t)esc_block_size(p), row = size + 1 + 2 * (size_t)p->modes;
  double *part = malloc((size_t)chunks * row * sizeof *part);
  ESC_TRY_ALLOCATE(part);
#pragma omp parallel for schedule(dynamic, 4)
  for (int c = 0; c < chunks; c++) {
    tile t;
    sum_chunk(p, grid, state, c * CHUNK, rate != NULL, &t, part + (size_t)c * row);
  }
  for (int c = 1; c < chunks; c++)
    for (size_t i = 0; i < row; i++) part[i] += part[(size_t)c * row + i];
  if (rate) {
    memcpy(rate, part, size * sizeof *rate);
    freeze(p, rate);
  }
  *signals = (esc_block_signals){.loss = part[size]};
  memcpy(signals->s, part + size + 1, (size_t)p->modes * sizeof *part);
  memcpy(signals->h, part + size + 1 + p->modes, (size_t)p->modes * sizeof *part);
done:
  free(part);
  return status;
}

/* Grids for E over N(0, I_K). The trapezoid rule converges geometrically for what is analytic
 * and decays: with step h as exp(-2 pi y / h), y the distance of the chain's nearest pole
 * (pi / 2s for tanh), so 1/2 is good to 1e-8 for scales up to 1. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_qrng.h>
#include <math.h>
#include <stdlib.h>

#include "escapement/activation.h"
#include "escapement/blocks.h"

enum { TENSOR_MODES = 4, POINTS = 1 << 14 };
static const double least_exponent = 26; /* nodes of weight below exp(-26) are left out */

void esc_block_grid_free(esc_block_grid *grid) {
  free(grid->g);
  free(grid->weight);
  *grid = (esc_block_grid){0};
}

static bool is_odd(const esc_activation *a) {
  for (int i = 1; i <= 8; i++) {
    const double z = 0.37 * i;
    const double plus = esc_activate_f64(a, z).value, minus = esc_activate_f64(a, -z).value;
    if (fabs(plus + minus) > 1e-13 * (fabs(plus) + 1e-3)) return false;
  }
  return fabs(esc_activate_f64(a, 0).value) < 1e-15;
}

static esc_status allocate(esc_block_grid *grid, int modes, int nodes) {
  esc_status status = ESC_OK;
  *grid = (esc_block_grid){.modes = modes, .nodes = nodes};
  ESC_TRY_ALLOCATE(grid->g = calloc((size_t)modes * (size_t)nodes, sizeof *grid->g));
  ESC_TRY_ALLOCATE(grid->weight = calloc((size_t)nodes, sizeof *grid->weight));
done:
  return status;
}

/* 1: a node that stands for its mirror image too; 0: such an image; the origin is its own. */
static int side_of(int modes, const int *index) {
  for (int k = 0; k < modes; k++)
    if (index[k] != 0) return index[k] > 0;
  return 1;
}

/* Walks the tensor rule of steps -half..half; fills the grid where there is one. */
static int walk_tensor(int modes, int half, double step, bool odd, esc_block_grid *grid) {
  int index[ESC_BLOCK_MODES_MAX], nodes = 0;
  for (int k = 0; k < modes; k++) index[k] = -half;
  for (int k = 0; k < modes;) {
    double exponent = 0;
    for (int j = 0; j < modes; j++) exponent += step * step * index[j] * index[j] / 2;
    if (exponent < least_exponent && (!odd || side_of(modes, index))) {
      for (int j = 0; j < modes && grid; j++)
        grid->g[(size_t)j * (size_t)grid->nodes + (size_t)nodes] = step * index[j];
      if (grid) grid->weight[nodes] = exp(-exponent) * (odd && exponent > 0 ? 2 : 1);
      nodes++;
    }
    for (k = 0; k < modes && index[k] == half; k++) index[k] = -half;
    if (k < modes) index[k]++;
  }
  return nodes;
}

static void normalise(esc_block_grid *grid) {
  double sum = 0;
  for (int i = 0; i < grid->nodes; i++) sum += grid->weight[i];
  for (int i = 0; i < grid->nodes; i++) grid->weight[i] /= sum;
}

static esc_status make_tensor(const esc_block_problem *p, int fineness, bool odd,
                              esc_block_grid *grid) {
  static const double step[TENSOR_MODES] = {0.1, 0.25, 0.4, 0.6};
  const double h = step[p->modes - 1] / fineness;
  const int half = (int)(sqrt(2 * least_exponent) / h) + 1;
  const int nodes = walk_tensor(p->modes, half, h, odd, NULL);
  const esc_status status = allocate(grid, p->modes, nodes);
  if (status != ESC_OK) return status;
  walk_tensor(p->modes, half, h, odd, grid);
  normalise(grid);
  return ESC_OK;
}

/* Makes the rows orthogonal with mean square 1 (modified Gram-Schmidt): what is linear in g
 * then has no error. */
static void orthogonalise(int modes, int nodes, double *g) {
  for (int k = 0; k < modes; k++) {
    double *const row = g + (size_t)k * (size_t)nodes;
    for (int j = 0; j <= k; j++) {
      const double *const other = g + (size_t)j * (size_t)nodes;
      double along = 0;
      for (int i = 0; i < nodes; i++) along += row[i] * other[i] / nodes;
      if (j == k) along = 1 - 1 / sqrt(along);
      for (int i = 0; i < nodes; i++) row[i] -= along * other[i];
    }
  }
}

/* Points of the cube in pairs x, 1 - x. */
static esc_status make_sobol(const esc_block_problem *p, int fineness, int shift, bool odd,
                             esc_block_grid *grid) {
  const int points = POINTS * fineness, nodes = odd ? points : 2 * points;
  double x[ESC_BLOCK_MODES_MAX];
  esc_status status = allocate(grid, p->modes, nodes);
  if (status != ESC_OK) return status;
  gsl_qrng *sobol = gsl_qrng_alloc(gsl_qrng_sobol, (unsigned)p->modes);
  ESC_TRY_ALLOCATE(sobol);
  for (int i = 0; i < points; i++) {
    gsl_qrng_get(sobol, x);
    for (int k = 0; k < p->modes; k++) {
      const double moved = fmod(x[k] + 0.61803398874989485 * (shift + 1) * (k + 1), 1);
      const double g = gsl_cdf_ugaussian_Pinv(fmin(fmax(moved, 1e-12), 1 - 1e-12));
      grid->g[(size_t)k * (size_t)nodes + (size_t)i] = g;
      if (!odd) grid->g[(size_t)k * (size_t)nodes + (size_t)(points + i)] = -g;
    }
  }
  orthogonalise(p->modes, nodes, grid->g);
  for (int i = 0; i < nodes; i++) grid->weight[i] = 1.0 / nodes;
done:
  gsl_qrng_free(sobol);
  return status;
}

esc_status esc_block_grid_create(const esc_block_problem *p, int fineness, int shift,
                                 esc_block_grid *grid) {
  const bool odd = is_odd(&p->activation);
  const esc_status status = p->modes <= TENSOR_MODES ? make_tensor(p, fineness, odd, grid)
                                                     : make_sobol(p, fineness, shift, odd, grid);
  if (status != ESC_OK) esc_block_grid_free(grid);
  return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Grids for E over N(0, I_K) (docs/theory, section 6.2): the trapezoid rule on a lattice. By
 * Poisson's summation formula the error is the integrand's spectrum at the nonzero points of the
 * reciprocal lattice, which falls off geometrically for an analytic, decaying integrand. So the
 * reciprocal lattice is the densest of its dimension, a root lattice (A_2, A_3, D_4, D_5,
 * E_6, E_7, E_8), scaled to a given minimal distance, and rotated away from the axes, where the
 * spectrum of the teacher is concentrated. */
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/blocks.h"
#include "escapement/internal/pieces.h"

enum { MODES = ESC_BLOCK_MODES_MAX };

/* For K = 1, ..., 8: minimal distance in the reciprocal lattice, radius of the ball of nodes. */
static const double reciprocal_distance[MODES] = {60, 26, 18, 12, 9, 7.5, 6.75, 6};
static const double radius[MODES] = {7.5, 7.3, 7.2, 6.6, 6, 5.6, 5.5, 5.4};

void esc_block_grid_free(esc_block_grid *grid) {
  free(grid->g);
  free(grid->weight);
  free(grid->target);
  *grid = (esc_block_grid){0};
}

/* Half the Cartan matrix of the densest root lattice of rank K: the Gram matrix of a basis of
 * shortest vectors, of length 1. Its Dynkin diagram is a chain, with a branch from K = 4 on. */
static void fill_gram(int modes, gsl_matrix *gram) {
  const int branch = modes < 4 ? modes - 2 : modes < 6 ? 1 : 2;
  gsl_matrix_set_identity(gram);
  for (int i = 1; i < modes; i++) {
    const int to = i < modes - 1 ? i - 1 : branch;
    gsl_matrix_set(gram, (size_t)i, (size_t)to, -0.5);
    gsl_matrix_set(gram, (size_t)to, (size_t)i, -0.5);
  }
}

/* A basis of the lattice of nodes, one vector a row, upper triangular, so that the enumeration can
 * bound one coordinate after the other. */
static void fill_basis(int modes, double min_distance, double basis[MODES][MODES]) {
  double workspace[MODES * MODES];
  gsl_matrix_view view = gsl_matrix_view_array(workspace, (size_t)modes, (size_t)modes);
  fill_gram(modes, &view.matrix);
  gsl_linalg_cholesky_decomp1(&view.matrix); /* the reciprocal basis, lower triangular */
  gsl_linalg_tri_invert(CblasLower, CblasNonUnit, &view.matrix);
  for (int i = 0; i < modes; i++)
    for (int j = i; j < modes; j++)
      basis[i][j] = 2 * M_PI / min_distance * gsl_matrix_get(&view.matrix, (size_t)j, (size_t)i);
}

static void rotate(int modes, double *x) {
  for (int i = 0; i < modes; i++)
    for (int j = i + 1; j < modes; j++) {
      const double angle = 1 + 0.7 * i + 1.3 * j, c = cos(angle), s = sin(angle);
      const double old = x[i];
      x[i] = c * old - s * x[j];
      x[j] = s * old + c * x[j];
    }
}

typedef struct enumeration {
  int modes;
  bool half; /* only one node of each pair g, -g */
  double basis[MODES][MODES], radius2;
  int index[MODES], count;
  esc_block_grid *grid; /* NULL: only count */
} enumeration;

/* Whether the first `depth` lattice indices are 0. */
static bool is_origin(const enumeration *w, int depth) {
  for (int i = 0; i < depth; i++)
    if (w->index[i] != 0) return false;
  return true;
}

static void add_node(enumeration *w, const double *x, double norm2) {
  if (w->grid) {
    double g[MODES];
    memcpy(g, x, sizeof g);
    rotate(w->modes, g);
    for (int k = 0; k < w->modes; k++)
      w->grid->g[(size_t)k * (size_t)w->grid->nodes + (size_t)w->count] = g[k];
    w->grid->weight[w->count] = exp(-norm2 / 2) * (w->half && !is_origin(w, w->modes) ? 2 : 1);
  }
  w->count++;
}

/* Enumerates the lattice points in the ball (Fincke and Pohst). x: the sum of the basis vectors
 * chosen so far; its first `depth` coordinates are final. */
static void recurse(enumeration *w, int depth, const double *x, double norm2) {
  if (depth == w->modes) {
    add_node(w, x, norm2);
    return;
  }
  const double step = w->basis[depth][depth], half_width = sqrt(w->radius2 - norm2);
  int from = (int)ceil((-half_width - x[depth]) / step);
  const int to = (int)floor((half_width - x[depth]) / step);
  if (w->half && is_origin(w, depth) && from < 0) from = 0;
  for (int i = from; i <= to; i++) {
    double next[MODES] = {0};
    for (int j = 0; j < w->modes; j++) next[j] = x[j] + (j < depth ? 0 : i * w->basis[depth][j]);
    const double next_norm2 = norm2 + next[depth] * next[depth];
    w->index[depth] = i;
    if (next_norm2 <= w->radius2) recurse(w, depth + 1, next, next_norm2);
  }
}

static int enumerate_lattice(const enumeration *plan, esc_block_grid *grid) {
  enumeration w = *plan;
  const double origin[MODES] = {0};
  w.grid = grid;
  recurse(&w, 0, origin, 0);
  return w.count;
}

static void normalise(esc_block_grid *grid) {
  double sum = 0;
  for (int i = 0; i < grid->nodes; i++) sum += grid->weight[i];
  for (int i = 0; i < grid->nodes; i++) grid->weight[i] /= sum;
}

static void fill_target(const esc_block_problem *p, esc_block_grid *grid) {
  for (int k = 0; k < p->modes; k++)
    for (int i = 0; i < grid->nodes; i++) {
      const double g = grid->g[(size_t)k * (size_t)grid->nodes + (size_t)i];
      grid->target[i] += p->amplitude[k] * esc_theory_activate(&p->activation, g).value;
    }
}

esc_status esc_block_grid_create(const esc_block_problem *p, double fineness,
                                 esc_block_grid *grid) {
  esc_status status = ESC_OK;
  const double r = radius[p->modes - 1] * sqrt(fineness);
  enumeration plan = {
      .modes = p->modes, .half = esc_activation_is_odd(&p->activation), .radius2 = r * r};
  fill_basis(p->modes, fineness * reciprocal_distance[p->modes - 1], plan.basis);
  *grid = (esc_block_grid){.modes = p->modes, .nodes = enumerate_lattice(&plan, NULL)};
  const size_t nodes = (size_t)grid->nodes;
  ESC_TRY_ALLOCATE(grid->g = calloc((size_t)p->modes * nodes, sizeof *grid->g));
  ESC_TRY_ALLOCATE(grid->weight = calloc(nodes, sizeof *grid->weight));
  ESC_TRY_ALLOCATE(grid->target = calloc(nodes, sizeof *grid->target));
  enumerate_lattice(&plan, grid);
  normalise(grid);
  fill_target(p, grid);
done:
  if (status != ESC_OK) esc_block_grid_free(grid);
  return status;
}

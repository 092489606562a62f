/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's row of observables (docs/theory, sections 1 and 5): the evaluation on the sample,
 * and functions of the weights alone. Sums are in double, in four interleaved partial sums, so that
 * the compiler vectorises them and the order does not depend on the processor. */
#include "escapement/internal/observe.h"
#include "escapement/internal/dot.h"

#include <math.h>
#include <string.h>

static int widest(esc_shape s) { return s.width > s.inputs ? s.width : s.inputs; }

/* Vectors of the widest layer. */
typedef struct vectors {
  double *x, *y, *z; /* (widest) */
} vectors;

static vectors carve_vectors(esc_arena *a, esc_shape s) {
  vectors v;
  v.x = ESC_CARVE(a, double, widest(s));
  v.y = ESC_CARVE(a, double, widest(s));
  v.z = ESC_CARVE(a, double, widest(s));
  return v;
}

esc_arena esc_observation_workspace(esc_shape s) {
  esc_arena a = {0};
  carve_vectors(&a, s);
  for (int l = 0; l < s.layers; l++) esc_svd_carve(&a, esc_fan_out(s, l), esc_fan_in(s, l));
  return a;
}

typedef struct row_view {
  const esc_observer *o;
  const esc_member *member;
  const double *initial, *weights;
  double *column[ESC_OBSERVABLES]; /* position of each observable in the row */
} row_view;

static const double *weights_of(const row_view *v, int l, int *rows, int *columns) {
  const esc_shape shape = v->o->problem->shape;
  *rows = esc_fan_out(shape, l);
  *columns = esc_fan_in(shape, l);
  return v->weights + esc_weight_offset(shape, l);
}

static bool is_small(const row_view *v, int l) { return v->member->small_layers >> l & 1; }

/* Norms of every layer, imbalance and alignment between neighbours. `workspace` is for
 * esc_svd_largest. */
static void write_norms(const row_view *v, vectors space, esc_arena *workspace) {
  const esc_problem *p = v->o->problem;
  const int layers = p->shape.layers;
  double *left = space.x, *below = space.y, *right = space.z, scaled_below = 0;
  for (int l = 0; l < layers; l++) {
    int rows, columns;
    const double *w = weights_of(v, l, &rows, &columns);
    const double norm2 = esc_dot_partial(4, w, w, rows * columns),
                 scaled = norm2 / esc_metric_gamma(p, l);
    v->column[ESC_OBSERVABLE_frobenius_norm][l] = sqrt(norm2);
    v->column[ESC_OBSERVABLE_operator_norm][l] =
        esc_svd_largest(rows, columns, w, left, right, workspace);
    if (l > 0) {
      v->column[ESC_OBSERVABLE_imbalance][l - 1] = scaled - scaled_below;
      v->column[ESC_OBSERVABLE_alignment][l - 1] = fabs(esc_dot_partial(4, below, right, columns));
    }
    scaled_below = scaled;
    double *const swap = below;
    below = left;
    left = swap;
  }
}

static void write_drift(const row_view *v) {
  const esc_shape shape = v->o->problem->shape;
  for (int l = 0; l < shape.layers; l++) {
    double partial[4] = {0};
    for (size_t i = esc_weight_offset(shape, l); i < esc_weight_offset(shape, l + 1); i++) {
      const double change = v->weights[i] - v->initial[i];
      partial[i % 4] += change * change;
    }
    v->column[ESC_OBSERVABLE_layer_drift][l] =
        sqrt((partial[0] + partial[1]) + (partial[2] + partial[3]));
  }
}

/* m, the largest operator norm of the small layers; NaN if there are none. */
static double bottleneck_norm(const row_view *v) {
  double m = NAN;
  for (int l = 0; l < v->o->problem->shape.layers; l++) {
    const double norm = v->column[ESC_OBSERVABLE_operator_norm][l];
    if (is_small(v, l) && !(norm <= m)) m = norm;
  }
  return m;
}

/* y = W_l x. */
static void multiply(const row_view *v, int l, const double *x, double *y) {
  int rows, columns;
  const double *w = weights_of(v, l, &rows, &columns);
  for (int i = 0; i < rows; i++)
    y[i] = esc_dot_partial(4, w + (size_t)i * (size_t)columns, x, columns);
}

/* y = W_l^T x. */
static void multiply_transposed(const row_view *v, int l, const double *x, double *y) {
  int rows, columns;
  const double *w = weights_of(v, l, &rows, &columns);
  memset(y, 0, (size_t)columns * sizeof *y);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) y[j] += x[i] * w[(size_t)i * (size_t)columns + (size_t)j];
}

/* Divides the chain's vector by the operator norm of layer l if the layer is small, so that no
 * product of norms leaves the range of a double; 0 after a small layer whose weights are all 0.
 * Returns the length. */
static double scale_chain(const row_view *v, int l, int n, double *x) {
  const double norm = is_small(v, l) ? v->column[ESC_OBSERVABLE_operator_norm][l] : 1;
  for (int i = 0; i < n; i++) x[i] = norm == 0 ? 0 : x[i] / norm;
  return sqrt(esc_dot_partial(4, x, x, n));
}

/* |W_l ... W_1 v| and |W_L ... W_l|, each over the operator norms of its small layers. */
static void write_chains(const row_view *v, vectors space) {
  const esc_shape shape = v->o->problem->shape;
  double *x = space.x, *y = space.y;
  memcpy(x, v->o->v, (size_t)shape.inputs * sizeof *x);
  for (int l = 0; l < shape.layers; l++) {
    multiply(v, l, x, y);
    v->column[ESC_OBSERVABLE_forward_chain][l] = scale_chain(v, l, esc_fan_out(shape, l), y);
    double *const swap = x;
    x = y;
    y = swap;
  }
  x[0] = 1;
  for (int l = shape.layers - 1; l >= 0; l--) {
    multiply_transposed(v, l, x, y);
    v->column[ESC_OBSERVABLE_backward_chain][l] = scale_chain(v, l, esc_fan_in(shape, l), y);
    double *const swap = x;
    x = y;
    y = swap;
  }
}

/* Squared Frobenius norm of layer l of the nearest point on the symmetric manifold: rows s_1 v^T in
 * the first layer, equal entries in the others. `ones` (fan-in) is workspace. */
static double manifold_norm2(const row_view *v, int l, double *ones) {
  int rows, columns;
  const double *w = weights_of(v, l, &rows, &columns);
  double sum = 0;
  for (int j = 0; j < columns; j++) ones[j] = 1;
  for (int i = 0; i < rows; i++)
    sum += esc_dot_partial(4, w + (size_t)i * (size_t)columns, l == 0 ? v->o->v : ones, columns);
  return sum * sum / rows / (l == 0 ? 1 : columns);
}

static double manifold_distance(const row_view *v, vectors space) {
  double all = 0, manifold = 0;
  for (int l = 0; l < v->o->problem->shape.layers; l++) {
    const double norm = v->column[ESC_OBSERVABLE_frobenius_norm][l];
    all += norm * norm;
    manifold += manifold_norm2(v, l, space.x);
  }
  return all > 0 ? sqrt(fmax(0, all - manifold) / all) : 0; /* 0 belongs to the manifold */
}

/* Q / |S|^(2(r-1)/r), by two divisions by |S|^((r-1)/r), which does not underflow for a small S. */
static double amgm_ratio(int r, double q, double signal) {
  if (r == 0) return (double)NAN;
  const double root = pow(fabs(signal), (r - 1.0) / r);
  return q / root / root;
}

/* Q, and the three terms of dS/dt (docs/theory, section 5.2), which hold for the squared loss. */
static void write_signal(const row_view *v, const esc_evaluation *a) {
  const esc_observer *o = v->o;
  const double one_or_nan = o->problem->loss == ESC_LOSS_SQUARED ? 1 : NAN;
  double q = 0, drive = 0, orthogonal = 0, self = 0;
  for (int l = 0; l < o->problem->shape.layers; l++) {
    const double gamma = esc_metric_gamma(o->problem, l);
    v->column[ESC_OBSERVABLE_signal_gradient_norm][l] = sqrt(a->signal_grad_norm_sq[l]);
    q += a->signal_grad_norm_sq[l];
    drive += gamma * a->signal_grad_norm_sq[l];
    orthogonal += gamma * a->orthogonal[l];
    self += gamma * a->self_interaction[l];
  }
  *v->column[ESC_OBSERVABLE_signal] = a->signal;
  *v->column[ESC_OBSERVABLE_signal_gradient2] = q;
  *v->column[ESC_OBSERVABLE_amgm_ratio] = amgm_ratio(v->member->bottleneck, q, a->signal);
  *v->column[ESC_OBSERVABLE_drive] = one_or_nan * o->amplitude * o->c1 * drive;
  *v->column[ESC_OBSERVABLE_orthogonal] = one_or_nan * orthogonal;
  *v->column[ESC_OBSERVABLE_self_interaction] = one_or_nan * self;
}

void esc_observation_write(const esc_observer *o, const esc_observed_network *network,
                           const esc_evaluation *evaluation, esc_arena *workspace, double *row) {
  row_view v = {
      .o = o, .member = network->member, .initial = network->initial, .weights = network->weights};
  for (int k = 0; k < ESC_OBSERVABLES; k++)
    v.column[k] = row + esc_observable_offset(o->problem->shape.layers, k);
  *v.column[ESC_OBSERVABLE_evaluation_loss] = evaluation->loss;
  *v.column[ESC_OBSERVABLE_output_mean] = evaluation->output_mean;
  *v.column[ESC_OBSERVABLE_output_variance] = evaluation->output_variance;
  *v.column[ESC_OBSERVABLE_evaluation_loss_error] = evaluation->loss_error;
  *v.column[ESC_OBSERVABLE_output_mean_error] = evaluation->output_mean_error;
  *v.column[ESC_OBSERVABLE_output_variance_error] = evaluation->output_variance_error;
  *v.column[ESC_OBSERVABLE_signal_error] = evaluation->signal_error;
  write_signal(&v, evaluation);
  const size_t mark = esc_arena_mark(workspace);
  const vectors space = carve_vectors(workspace, o->problem->shape);
  write_norms(&v, space, workspace);
  write_drift(&v);
  *v.column[ESC_OBSERVABLE_bottleneck_norm] = bottleneck_norm(&v);
  write_chains(&v, space);
  *v.column[ESC_OBSERVABLE_manifold_distance] = manifold_distance(&v, space);
  esc_arena_release(workspace, mark);
}

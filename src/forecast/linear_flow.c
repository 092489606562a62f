/* SPDX-License-Identifier: Apache-2.0 */
/* The flow dW_l/dt = gamma_l g B_l' F_l' of a network that is linear after its features
 * (docs/theory, section 10), by the Bogacki-Shampine pair of orders 3 and 2 with adaptive steps.
 * B_l is the row W_L ... W_{l+1}, F_l the residual e = b - C w propagated forward. The derivatives
 * have rank one, so the stages of a step are stored as vectors, and only accepted steps update the
 * weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/dot.h"
#include "escapement/internal/model.h"
#include "escapement/internal/theory.h"
#include "forecast.h"

enum { STAGES = 4, STEPS_MAX = 4000 };
static const double tolerance = 1e-3;
static const double stage_weight[STAGES][3] = {{0}, {0.5}, {0, 0.75}, {2.0 / 9, 1.0 / 3, 4.0 / 9}};
static const double error_weight[STAGES] = {-5.0 / 72, 1.0 / 12, 1.0 / 9, -1.0 / 8};

typedef struct flow {
  const esc_features *features;
  int layers; /* after the features */
  int in[ESC_LAYERS_MAX], out[ESC_LAYERS_MAX];
  double rate[ESC_LAYERS_MAX]; /* gamma_l g */
  double gain;                 /* g = a_1^(number of activations) */
  double *w[ESC_LAYERS_MAX];   /* (out, in); in `weights` */
  double *backward[STAGES][ESC_LAYERS_MAX], *forward[STAGES][ESC_LAYERS_MAX]; /* B_l, F_l */
  double loss[STAGES];
  double *weights, *vectors; /* owned */
  double *end;               /* (in[0]) W_L ... W_k; in `vectors` */
} flow;

/* out = (W_l + h rate sum_j weight_j B_j F_j') u at stage s of a step h. */
static void apply(const flow *f, int s, double h, int l, const double *u, double *out) {
  const int rows = f->out[l], columns = f->in[l];
  for (int i = 0; i < rows; i++)
    out[i] = esc_dot(f->w[l] + (size_t)i * (size_t)columns, u, columns);
  for (int j = 0; j < s; j++) {
    const double c = h * f->rate[l] * stage_weight[s][j];
    if (c == 0) continue;
    const double coefficient = c * esc_dot(f->forward[j][l], u, columns);
    for (int i = 0; i < rows; i++) out[i] += coefficient * f->backward[j][l][i];
  }
}

/* The same from the left: out = u (W_l + ...). */
static void apply_left(const flow *f, int s, double h, int l, const double *u, double *out) {
  const int rows = f->out[l], columns = f->in[l];
  memset(out, 0, (size_t)columns * sizeof *out);
  for (int i = 0; i < rows; i++) {
    const double *row = f->w[l] + (size_t)i * (size_t)columns;
    for (int k = 0; k < columns; k++) out[k] += u[i] * row[k];
  }
  for (int j = 0; j < s; j++) {
    const double c = h * f->rate[l] * stage_weight[s][j];
    if (c == 0) continue;
    const double coefficient = c * esc_dot(f->backward[j][l], u, rows);
    for (int k = 0; k < columns; k++) out[k] += coefficient * f->forward[j][l][k];
  }
}

/* e = b - C w and the loss at w = gain * end. */
static double evaluate_loss(const flow *f, double *e) {
  const esc_features *x = f->features;
  double loss = x->baseline;
  for (int i = 0; i < x->size; i++) {
    const double w = f->gain * f->end[i];
    const double cw =
        x->c ? f->gain * esc_dot(x->c + (size_t)i * (size_t)x->size, f->end, x->size) : w;
    e[i] = x->b[i] - cw;
    loss += w * (0.5 * cw - x->b[i]);
  }
  return loss;
}

/* Fills backward, forward and loss of stage s. */
static void evaluate(flow *f, int s, double h) {
  const int n = f->layers;
  f->backward[s][n - 1][0] = 1;
  for (int l = n - 1; l > 0; l--) apply_left(f, s, h, l, f->backward[s][l], f->backward[s][l - 1]);
  apply_left(f, s, h, 0, f->backward[s][0], f->end);
  f->loss[s] = evaluate_loss(f, f->forward[s][0]);
  for (int l = 0; l + 1 < n; l++) apply(f, s, h, l, f->forward[s][l], f->forward[s][l + 1]);
}

/* Largest relative error of a layer in the step h. */
static double step_error(const flow *f, double h) {
  double worst = 0;
  for (int l = 0; l < f->layers; l++) {
    const size_t size = (size_t)f->in[l] * (size_t)f->out[l];
    double square = 0, norm2 = 0;
    for (int i = 0; i < STAGES; i++)
      for (int j = 0; j < STAGES; j++)
        square += error_weight[i] * error_weight[j] *
                  esc_dot(f->backward[i][l], f->backward[j][l], f->out[l]) *
                  esc_dot(f->forward[i][l], f->forward[j][l], f->in[l]);
    for (size_t k = 0; k < size; k++) norm2 += f->w[l][k] * f->w[l][k];
    worst = fmax(worst, h * f->rate[l] * sqrt(fmax(square, 0) / norm2));
  }
  return worst;
}

/* W_l += h rate sum_j weight_j B_j F_j', the last stage's weights. */
static void accept(flow *f, double h) {
  for (int l = 0; l < f->layers; l++)
    for (int i = 0; i < f->out[l]; i++) {
      double *row = f->w[l] + (size_t)i * (size_t)f->in[l];
      for (int j = 0; j < STAGES - 1; j++) {
        const double c = h * f->rate[l] * stage_weight[STAGES - 1][j] * f->backward[j][l][i];
        for (int k = 0; k < f->in[l]; k++) row[k] += c * f->forward[j][l][k];
      }
    }
  for (int l = 0; l < f->layers; l++) {
    memcpy(f->backward[0][l], f->backward[STAGES - 1][l], (size_t)f->out[l] * sizeof(double));
    memcpy(f->forward[0][l], f->forward[STAGES - 1][l], (size_t)f->in[l] * sizeof(double));
  }
  f->loss[0] = f->loss[STAGES - 1];
}

/* Rate at which the residual decays: g sum_l gamma_l g |B_l|^2 |F_l|^2 / |e|^2. */
static double decay_rate(const flow *f) {
  const double e2 = esc_dot(f->forward[0][0], f->forward[0][0], f->in[0]);
  double sum = 0;
  for (int l = 0; l < f->layers; l++)
    sum += f->rate[l] * f->gain * esc_dot(f->backward[0][l], f->backward[0][l], f->out[l]) *
           esc_dot(f->forward[0][l], f->forward[0][l], f->in[l]);
  return e2 > 0 ? sum / e2 : 0;
}

static esc_status allocate(flow *f, const esc_problem *p) {
  esc_status status = ESC_OK;
  size_t vectors = 0;
  for (int l = 0; l < f->layers; l++) vectors += (size_t)f->in[l] + (size_t)f->out[l];
  const size_t all = STAGES * vectors + (size_t)f->in[0];
  ESC_TRY_ALLOCATE(f->vectors = calloc(all, sizeof *f->vectors));
  ESC_TRY_ALLOCATE(f->weights = calloc(esc_weight_count(p->shape), sizeof *f->weights));
  double *next_vector = f->vectors;
  f->end = next_vector;
  next_vector += f->in[0];
  for (int s = 0; s < STAGES; s++)
    for (int l = 0; l < f->layers; l++) {
      f->backward[s][l] = next_vector;
      f->forward[s][l] = next_vector + f->out[l];
      next_vector += f->in[l] + f->out[l];
    }
done:
  return status;
}

static esc_status set_initial_weights(flow *f, const esc_problem *p, const esc_member *m) {
  esc_status status = ESC_OK;
  double *directions = NULL;
  ESC_TRY_ALLOCATE(
      directions = calloc((size_t)p->teacher.modes * (size_t)p->shape.inputs, sizeof *directions));
  esc_teacher_directions(p, directions);
  esc_initial_weights(p, m, directions, f->weights);
  for (int l = 0; l < f->layers; l++)
    f->w[l] = f->weights + esc_weight_offset(p->shape, f->features->first + l);
done:
  free(directions);
  return status;
}

static esc_status open_flow(flow *f, const esc_problem *p, const esc_member *m,
                            const esc_features *features) {
  esc_status status = ESC_OK;
  esc_classification c;
  *f = (flow){.features = features, .layers = p->shape.layers - features->first};
  ESC_TRY(esc_classify(&p->activation, &c));
  f->gain = pow(c.a[1], f->layers - 1);
  for (int l = 0; l < f->layers; l++) {
    f->in[l] = esc_fan_in(p->shape, features->first + l);
    f->out[l] = esc_fan_out(p->shape, features->first + l);
    f->rate[l] = esc_metric_gamma(p, features->first + l) * f->gain;
  }
  ESC_TRY(allocate(f, p));
  ESC_TRY(set_initial_weights(f, p, m));
done:
  return status;
}

/* Time within a step from `before` to `after` at which the loss passes `level`. */
static double interpolate(double t, double h, double before, double after, double level) {
  return t + h * (before > after ? (before - level) / (before - after) : 1);
}

esc_status esc_linear_flow(const esc_problem *p, const esc_member *m, const esc_features *features,
                           const esc_flow_levels *levels, double *time, bool *unstable) {
  esc_status status = ESC_OK;
  const double *level = levels->level, max_time = levels->max_time;
  flow f = {0};
  int next = 0;
  double max_decay_rate = 0;
  for (int i = 0; i < levels->count; i++) time[i] = (double)INFINITY;
  *unstable = false;
  ESC_TRY(open_flow(&f, p, m, features));
  evaluate(&f, 0, 0);
  while (next < levels->count && f.loss[0] < level[next]) time[next++] = 0;
  double t = 0, h = fmin(max_time, 1e-3 * p->rate);
  for (int step = 0; step < STEPS_MAX && next < levels->count && t < max_time; step++) {
    for (int s = 1; s < STAGES; s++) evaluate(&f, s, h);
    const double error = step_error(&f, h) / tolerance;
    if (error <= 1) {
      const double before = f.loss[0];
      accept(&f, h);
      while (next < levels->count && f.loss[0] < level[next]) {
        time[next] = interpolate(t, h, before, f.loss[0], level[next]);
        next++;
      }
      max_decay_rate = fmax(max_decay_rate, decay_rate(&f));
      t += h;
    }
    if (!isfinite(error) && h < 1e-12 * max_time) break;
    h *= isfinite(error) ? fmin(5, fmax(0.2, 0.9 * pow(fmax(error, 1e-6), -1.0 / 3))) : 0.2;
  }
  *unstable = p->rate * max_decay_rate > 2;
done:
  free(f.weights);
  free(f.vectors);
  return status;
}

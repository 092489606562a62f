/* SPDX-License-Identifier: Apache-2.0 */
/* Moments b = E[T h] and C = E[h h'] of the features h before the first small layer (docs/theory,
 * section 10): exact where the features are the inputs, else means over a sample of the member's
 * inputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/model.h"
#include "escapement/internal/theory.h"
#include "forecast.h"

enum { SAMPLES = 2048 };

static void teacher_moments(void *context, double g, double *out) {
  const double value = esc_activate_f64(context, g).value;
  out[0] = value;
  out[1] = value * value;
}

/* E[T^2]/2: the modes' pre-activations are independent. */
static esc_status find_baseline(const esc_problem *p, double *baseline) {
  esc_status status = ESC_OK;
  double moment[2], error, sum = 0, squares = 0;
  esc_activation activation = p->activation;
  ESC_TRY(esc_gaussian_expectation(&(esc_gaussian_integral){teacher_moments, &activation, 2, true},
                                   1e-8, moment, &error));
  for (int k = 0; k < p->teacher.modes; k++) {
    sum += p->teacher.amplitude[k];
    squares += p->teacher.amplitude[k] * p->teacher.amplitude[k];
  }
  *baseline =
      0.5 * (squares * (moment[1] - moment[0] * moment[0]) + sum * sum * moment[0] * moment[0]);
done:
  return status;
}

/* Inputs: b = c_1 sum_k a_k v_k. */
static esc_status input_features(const esc_problem *p, const double *directions, esc_features *f) {
  esc_status status = ESC_OK;
  esc_classification c;
  ESC_TRY(esc_classify(&p->activation, &c));
  for (int k = 0; k < p->teacher.modes; k++)
    for (int i = 0; i < f->size; i++)
      f->b[i] +=
          c.c1 * p->teacher.amplitude[k] * directions[(size_t)k * (size_t)f->size + (size_t)i];
done:
  return status;
}

/* The layers before the first small one. */
typedef struct network {
  const esc_problem *p;
  const double *directions, *weights;
  int layers; /* number of layers before the first small one */
} network;

/* T(x). */
static double target_of(const network *net, const float *x) {
  const esc_problem *p = net->p;
  const int d = p->shape.inputs;
  double target = 0;
  for (int k = 0; k < p->teacher.modes; k++) {
    const double *v = net->directions + (size_t)k * (size_t)d;
    double z = 0;
    for (int i = 0; i < d; i++) z += v[i] * (double)x[i];
    target += p->teacher.amplitude[k] * esc_activate_f64(&p->activation, z).value;
  }
  return target;
}

/* The features h of one input; h and `next` hold one layer each. */
static void evaluate(const network *net, const float *x, double *h, double *next) {
  const esc_problem *p = net->p;
  const int d = p->shape.inputs;
  for (int i = 0; i < d; i++) h[i] = (double)x[i];
  for (int l = 0; l < net->layers; l++) {
    const int columns = esc_fan_in(p->shape, l), rows = esc_fan_out(p->shape, l);
    const double *w = net->weights + esc_weight_offset(p->shape, l);
    for (int i = 0; i < rows; i++) {
      double z = 0;
      for (int j = 0; j < columns; j++) z += w[(size_t)i * (size_t)columns + (size_t)j] * h[j];
      next[i] = esc_activate_f64(&p->activation, z).value;
    }
    memcpy(h, next, (size_t)rows * sizeof *h);
  }
}

/* Features behind O(1) layers: means over a sample. */
static esc_status sampled_features(const esc_problem *p, const esc_member *m,
                                   const double *directions, esc_features *f) {
  esc_status status = ESC_OK;
  const size_t n = (size_t)f->size, d = (size_t)p->shape.inputs, max = n > d ? n : d;
  float *x = calloc(SAMPLES * d, sizeof *x);
  double *h = calloc(2 * max, sizeof *h);
  double *weights = calloc(esc_weight_count(p->shape), sizeof *weights);
  ESC_TRY_ALLOCATE(x);
  ESC_TRY_ALLOCATE(h);
  ESC_TRY_ALLOCATE(weights);
  ESC_TRY_ALLOCATE(f->c = calloc(n * n, sizeof *f->c));
  esc_initial_weights(p, m, directions, weights);
  esc_draw_inputs(m->seed, 0, 0, SAMPLES, p->shape.inputs, x);
  const network net = {p, directions, weights, f->first};
  for (size_t s = 0; s < SAMPLES; s++) {
    const double target = target_of(&net, x + s * d);
    evaluate(&net, x + s * d, h, h + max);
    for (size_t i = 0; i < n; i++) {
      f->b[i] += target * h[i] / SAMPLES;
      for (size_t j = 0; j < n; j++) f->c[i * n + j] += h[i] * h[j] / SAMPLES;
    }
  }
done:
  free(x);
  free(h);
  free(weights);
  return status;
}

/* The least loss over w proportional to b. */
static double find_floor(const esc_features *f) {
  double square = 0, curvature = 0;
  for (int i = 0; i < f->size; i++) {
    double cb = f->c ? 0 : f->b[i];
    for (int j = 0; f->c && j < f->size; j++)
      cb += f->c[(size_t)i * (size_t)f->size + (size_t)j] * f->b[j];
    square += f->b[i] * f->b[i];
    curvature += f->b[i] * cb;
  }
  return f->baseline - (curvature > 0 ? 0.5 * square * square / curvature : 0);
}

esc_status esc_features_create(const esc_problem *p, const esc_member *m, esc_features *f) {
  esc_status status = ESC_OK;
  double *directions = NULL;
  *f = (esc_features){.first = m->small_layers ? __builtin_ctzll(m->small_layers) : 0};
  f->size = esc_fan_in(p->shape, f->first);
  ESC_TRY_ALLOCATE(
      directions = calloc((size_t)p->teacher.modes * (size_t)p->shape.inputs, sizeof *directions));
  ESC_TRY_ALLOCATE(f->b = calloc((size_t)f->size, sizeof *f->b));
  esc_teacher_directions(p, directions);
  ESC_TRY(find_baseline(p, &f->baseline));
  ESC_TRY(f->first == 0 ? input_features(p, directions, f) : sampled_features(p, m, directions, f));
  f->floor = find_floor(f);
done:
  free(directions);
  return status;
}

void esc_features_free(esc_features *f) {
  free(f->b);
  free(f->c);
}

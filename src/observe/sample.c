/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation samples: Gaussian vectors in pairs x, -x, orthogonalised so that their second moment
 * is the identity (reason: escapement/internal/observe.h). */
#include <math.h>
#include <stdlib.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/dot.h"
#include "escapement/internal/model.h"
#include "escapement/internal/observe.h"
#include "escapement/internal/stream.h"

/* Step of the evaluation stream; step 0 is used for S(0) (src/model/signal.c). */
enum { EVALUATION_STEP = 1, UNIT = 128 };

int esc_observer_samples(esc_shape shape) { return (4 * shape.inputs + UNIT - 1) / UNIT * UNIT; }

esc_status esc_observer_init(esc_observer *o, const esc_problem *p, double c1, int samples) {
  esc_status status = ESC_OK;
  const size_t inputs = (size_t)p->shape.inputs, modes = (size_t)p->teacher.modes;
  *o = (esc_observer){.problem = p, .c1 = c1, .samples = samples};
  ESC_TRY_ALLOCATE(o->directions = calloc(modes * inputs, sizeof *o->directions));
  ESC_TRY_ALLOCATE(o->v = calloc(inputs, sizeof *o->v));
  esc_teacher_directions(p, o->directions);
  esc_linear_direction(p, o->directions, o->v);
  for (size_t k = 0; k < modes; k++) o->amplitude = hypot(o->amplitude, p->teacher.amplitude[k]);
done:
  return status;
}

void esc_observer_free(esc_observer *o) {
  free(o->directions);
  free(o->v);
}

esc_status esc_eval_sample_create(const esc_observer *o, esc_eval_sample *s) {
  esc_status status = ESC_OK;
  *s = (esc_eval_sample){.mirrored = esc_activation_is_odd(&o->problem->activation)};
  s->samples = s->mirrored ? o->samples / 2 : o->samples;
  const size_t samples = (size_t)s->samples, inputs = (size_t)o->problem->shape.inputs;
  ESC_TRY_ALLOCATE(s->x = calloc(samples * inputs, sizeof *s->x));
  ESC_TRY_ALLOCATE(s->signal = calloc(samples, sizeof *s->signal));
  ESC_TRY_ALLOCATE(s->target = calloc(samples, sizeof *s->target));
  ESC_TRY_ALLOCATE(s->output = calloc(samples, sizeof *s->output));
  ESC_TRY_ALLOCATE(s->radial = calloc(samples, sizeof *s->radial));
  ESC_TRY(esc_arena_create(esc_eval_sample_workspace(o->samples), &s->workspace));
done:
  return status;
}

void esc_eval_sample_free(esc_eval_sample *s) {
  free(s->x);
  free(s->signal);
  free(s->target);
  free(s->output);
  free(s->radial);
  esc_arena_free(&s->workspace);
  *s = (esc_eval_sample){0};
}

/* Makes the `inputs` rows of `half` Gaussians orthogonal, each of squared length `half`:
 * modified Gram-Schmidt, twice for orthogonality to rounding. The result is uniform (Haar) over
 * such matrices. */
static void orthogonalise(size_t inputs, size_t half, double *row) {
  for (size_t i = 0; i < inputs; i++) {
    double *const current = row + i * half;
    for (int pass = 0; pass < 2; pass++)
      for (size_t j = 0; j < i; j++) {
        const double coefficient = esc_dot(row + j * half, current, (int)half) / (double)half;
        for (size_t b = 0; b < half; b++) current[b] -= coefficient * row[j * half + b];
      }
    const double scale = sqrt((double)half / esc_dot(current, current, (int)half));
    for (size_t b = 0; b < half; b++) current[b] *= scale;
  }
}

/* v.x and T of every sample, from the inputs rounded to float, which are the network's inputs. */
static void fill_targets(const esc_observer *o, esc_eval_sample *s) {
  const esc_problem *p = o->problem;
  const size_t inputs = (size_t)p->shape.inputs;
  for (size_t b = 0; b < (size_t)s->samples; b++) {
    const float *const x = s->x + b * inputs;
    s->signal[b] = s->target[b] = 0;
    for (size_t i = 0; i < inputs; i++) s->signal[b] += o->v[i] * (double)x[i];
    for (size_t k = 0; k < (size_t)p->teacher.modes; k++) {
      double z = 0;
      for (size_t i = 0; i < inputs; i++) z += o->directions[k * inputs + i] * (double)x[i];
      s->target[b] += p->teacher.amplitude[k] * esc_activate_f64(&p->activation, z).value;
    }
  }
}

esc_status esc_eval_sample_draw(const esc_observer *o, uint64_t seed, esc_eval_sample *s) {
  esc_status status = ESC_OK;
  const size_t inputs = (size_t)o->problem->shape.inputs, half = (size_t)o->samples / 2;
  float *drawn = NULL;
  double *row = NULL; /* (input, sample) */
  ESC_TRY_ALLOCATE(drawn = calloc(half * inputs, sizeof *drawn));
  ESC_TRY_ALLOCATE(row = calloc(half * inputs, sizeof *row));
  esc_normals_fill((esc_stream){seed, ESC_DOMAIN_EVALUATION, EVALUATION_STEP, 0}, 0, half * inputs,
                   drawn);
  for (size_t i = 0; i < half * inputs; i++) row[i] = (double)drawn[i];
  orthogonalise(inputs, half, row);
  for (size_t b = 0; b < half; b++)
    for (size_t i = 0; i < inputs; i++) {
      s->x[b * inputs + i] = (float)row[i * half + b];
      if (!s->mirrored) s->x[(half + b) * inputs + i] = -(float)row[i * half + b];
    }
  fill_targets(o, s);
done:
  free(drawn);
  free(row);
  return status;
}

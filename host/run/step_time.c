/* SPDX-License-Identifier: Apache-2.0 */
#include "run/step_time.h"

#include <math.h>

static const double min_seconds =
    0.1; /* a hundred times the time to start threads on a busy machine */
static const int64_t steps_max = (int64_t)1 << 40;

typedef struct timing {
  const esc_step_timing *what;
  void *engine;
} timing;

static int64_t steps_made(const timing *t) {
  int64_t total = 0;
  for (int i = 0; i < t->what->setup->slots; i++)
    total += t->what->ops->slot(t->engine, i)->track.step;
  return total;
}

/* Seconds for each network-step (NaN if none was made), and in total. */
static esc_status time_advance(const timing *t, int64_t steps, double *seconds, double *took) {
  const atomic_bool stop = false;
  const int64_t before = steps_made(t);
  const double start = t->what->now();
  const esc_status status = t->what->ops->advance(t->engine, steps, &stop);
  *took = t->what->now() - start;
  const int64_t made = steps_made(t) - before;
  *seconds = made > 0 ? *took / (double)made : (double)NAN;
  return status;
}

/* Increases the number of steps until their time is long enough or all networks have diverged. */
static esc_status time_steps(const timing *t, double *seconds) {
  esc_status status = ESC_OK;
  double first, later, took = 0;
  ESC_TRY(time_advance(t, 1, &first, &took)); /* includes the initialization of the weights */
  *seconds = first;
  took = 0;
  for (int64_t steps = 1; took < min_seconds && steps < steps_max; steps *= 4) {
    ESC_TRY(time_advance(t, steps, &later, &took));
    if (isnan(later)) break;
    *seconds = later;
  }
done:
  return status;
}

esc_status esc_step_time_measure(const esc_step_timing *what, double *seconds, char *text,
                                 size_t size) {
  esc_status status = ESC_OK;
  const esc_engine_ops *ops = what->ops;
  esc_problem p = *what->problem;
  timing t = {.what = what};
  p.steps = INT64_MAX / 2;
  for (int i = 0; i < p.thresholds; i++) p.threshold[i] = 1e-300 / (1 + i);
  ESC_TRY(ops->create(ops, &p, what->setup, &t.engine));
  ops->describe(t.engine, text, size);
  for (int i = 0; i < what->setup->slots; i++)
    ESC_TRY(ops->load(t.engine, i, &what->member[what->order[i]]));
  ESC_TRY(time_steps(&t, seconds));
done:
  ops->destroy(t.engine);
  return status;
}

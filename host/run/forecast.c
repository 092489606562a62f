/* SPDX-License-Identifier: Apache-2.0 */
#include "run/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MAX = 16 };
static const double work_max = 1e9;        /* operations: about half a second */
static const double work_of_threads = 1e7; /* operations: what starting and ending threads costs on
                                              a busy machine; less is done by one */

/* Forecasts of a cell's members. */
typedef struct cell_sample {
  int64_t first; /* first member in the plan */
  esc_forecast_method method;
  esc_forecast forecast[SAMPLES_MAX];
} cell_sample;

static esc_forecast_cell cell_of(const esc_member *member) {
  return (esc_forecast_cell){.bottleneck = member->bottleneck,
                             .small_layers = member->small_layers,
                             .scale = member->scale};
}

/* Members of a cell are contiguous. */
static esc_status make_cells(const esc_run *r, esc_run_forecast *out, cell_sample **cell_samples) {
  esc_status status = ESC_OK;
  const esc_plan *p = &r->plan;
  const size_t cells_max = (size_t)(p->cells < p->members ? p->cells : p->members) + 1;
  ESC_TRY_ALLOCATE(out->cell = calloc(cells_max, sizeof *out->cell));
  ESC_TRY_ALLOCATE(*cell_samples = calloc(cells_max, sizeof **cell_samples));
  ESC_TRY_ALLOCATE(out->threshold_step =
                       calloc(cells_max * (size_t)r->spec->problem.thresholds, sizeof(double)));
  for (int64_t i = 0; i < p->members; i++) {
    if (i == 0 || !esc_plan_is_same_cell(&p->member[i - 1], &p->member[i])) {
      (*cell_samples)[out->cells].first = i;
      out->cell[out->cells++] = cell_of(&p->member[i]);
    }
    out->cell[out->cells - 1].members++;
    out->cell[out->cells - 1].remaining += !(r->done && r->done[i]);
  }
done:
  return status;
}

static bool needs_sample(const esc_forecast_cell *c, const cell_sample *s) {
  if (c->samples == 0) return true;
  return !c->note && !esc_forecast_is_seedless(s->method) && c->samples < c->members &&
         c->samples < SAMPLES_MAX;
}

static void forecast_member(const esc_run *r, esc_forecast_cell *c, cell_sample *s) {
  esc_forecast *f = &s->forecast[c->samples];
  const esc_member *member = &r->plan.member[s->first + c->samples];
  if (esc_forecast_member(&r->spec->problem, member, f) != ESC_OK) {
    f->method = ESC_FORECAST_NONE;
    f->why = "the integration of the theory failed";
  }
  c->samples++;
  s->method = f->method;
  c->note = f->why;
  c->is_lower_bound = c->is_lower_bound || f->is_lower_bound;
  c->is_full_width = f->is_member;
}

/* Forecasts one member of every cell, then another of each, within a budget of operations rather
 * than of time, so that the forecast does not depend on the machine. */
static void forecast_members(const esc_run *r, esc_run_forecast *out, cell_sample *cell_samples) {
  const esc_problem *p = &r->spec->problem;
  double work_left = work_max;
  for (int pass = 0; pass < SAMPLES_MAX && work_left > 0; pass++) {
    const double left_before = work_left;
    int end = 0; /* cells of this pass */
    for (; end < out->cells && work_left > 0; end++) {
      const esc_member *member = &r->plan.member[cell_samples[end].first];
      const char *why;
      if (needs_sample(&out->cell[end], &cell_samples[end]))
        work_left -= esc_forecast_cost(p, member, esc_forecast_method_of(p, member, &why));
    }
    const bool parallel = left_before - work_left > work_of_threads;
#pragma omp parallel for schedule(dynamic, 1) num_threads(r->setup.threads) if (parallel)
    for (int i = 0; i < end; i++)
      if (needs_sample(&out->cell[i], &cell_samples[i]))
        forecast_member(r, &out->cell[i], &cell_samples[i]);
  }
}

static int compare(const void *work_left, const void *right) {
  const double a = *(const double *)work_left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Step of the last threshold, at which the member finishes. */
static double last_step(const esc_forecast *f, int thresholds) {
  double last = 0;
  for (int i = 0; i < thresholds; i++) last = fmax(last, f->step[i]);
  return last;
}

static double quantile(int n, const double *sorted, double q) {
  const double at = q * (n - 1);
  const int i = (int)at;
  if (i + 1 >= n || !isfinite(sorted[i + 1])) return sorted[i + (at - i >= 0.5 && i + 1 < n)];
  return sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]);
}

static const char *method_name(esc_forecast_method method) {
  switch (method) {
    case ESC_FORECAST_LINEAR_FLOW: return "linear flow";
    case ESC_FORECAST_REDUCED_ODE: return "reduced ODE";
    case ESC_FORECAST_BLOCKS: return "block reduction";
    default: return NULL;
  }
}

static void summarize(const esc_problem *p, esc_forecast_cell *c, double *threshold_step,
                      const cell_sample *s) {
  double end[SAMPLES_MAX], steps[SAMPLES_MAX];
  const double budget = (double)p->steps;
  if (c->samples == 0) c->note = "the time limit for forecasts was used by other scales";
  if (c->note) {
    c->step = c->lower = c->upper = c->censored = c->steps = (double)NAN;
    return;
  }
  c->method = method_name(s->method);
  c->threshold_step = threshold_step;
  for (int i = 0; i < c->samples; i++) {
    end[i] = last_step(&s->forecast[i], p->thresholds);
    c->censored += esc_forecast_censored(&s->forecast[i], p->thresholds, p->steps) / c->samples;
    c->steps += fmin(end[i], budget) / c->samples;
  }
  qsort(end, (size_t)c->samples, sizeof *end, compare);
  c->step = quantile(c->samples, end, 0.5);
  c->lower = quantile(c->samples, end, 0.16);
  c->upper = quantile(c->samples, end, 0.84);
  for (int t = 0; t < p->thresholds; t++) {
    for (int i = 0; i < c->samples; i++) steps[i] = s->forecast[i].step[t];
    qsort(steps, (size_t)c->samples, sizeof *steps, compare);
    threshold_step[t] = quantile(c->samples, steps, 0.5);
  }
}

esc_status esc_run_forecast_create(const esc_run *r, esc_run_forecast *out) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  cell_sample *cell_samples = NULL;
  *out = (esc_run_forecast){.cells = 0};
  ESC_TRY(make_cells(r, out, &cell_samples));
  forecast_members(r, out, cell_samples);
  for (int i = 0; i < out->cells; i++) {
    esc_forecast_cell *c = &out->cell[i];
    summarize(p, c, out->threshold_step + i * p->thresholds, &cell_samples[i]);
    out->steps += (double)c->remaining * c->steps;
  }
done:
  free(cell_samples);
  return status;
}

void esc_run_forecast_free(esc_run_forecast *forecast) {
  free(forecast->cell);
  free(forecast->threshold_step);
}

esc_status esc_run_forecast_members(const esc_run *r, double **out) {
  esc_status status = ESC_OK;
  esc_run_forecast forecast = {0};
  double *steps = NULL;
  ESC_TRY(esc_run_forecast_create(r, &forecast));
  ESC_TRY_ALLOCATE(steps = malloc(((size_t)r->plan.members + 1) * sizeof *steps));
  for (int64_t i = 0, member = 0; i < forecast.cells; i++)
    for (int64_t k = 0; k < forecast.cell[i].members; k++) steps[member++] = forecast.cell[i].steps;
  *out = steps;
done:
  esc_run_forecast_free(&forecast);
  return status;
}

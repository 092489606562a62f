/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a member's forecast method, and the forecast (docs/theory, section 10). */
#include "forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/blocks.h"
#include "escapement/internal/theory.h"

enum { WIDTH_MAX = 64, MODES_MAX = 2, TIMES = 80, BRACKET_POINTS = 8 };
static const double max_budgets = 1000;    /* longest forecast, in units of train.steps */
static const double linear_fraction = 0.9; /* of the way from the baseline to the linear floor */

/* Standard deviations of ln(forecast/real) for one member, as measured in runs/forecast. */
static const double spread_flow = 0.15, spread_exact = 0.05;

static bool is_exact_metric(const esc_problem *p) {
  return p->metric == ESC_METRIC_NORMALIZED && p->loss == ESC_LOSS_SQUARED;
}

esc_forecast_method esc_forecast_method_of(const esc_problem *p, const esc_member *m,
                                           const char **why) {
  esc_classification c;
  *why = NULL;
  if (p->loss != ESC_LOSS_SQUARED)
    *why = "theory's times are those of the squared loss";
  else if (!esc_optimizer_is_plain(&p->optimizer))
    *why = "theory's times are those of gradient descent without momentum, decay or Adam";
  else if (esc_classify(&p->activation, &c) != ESC_OK)
    *why = "the activation cannot be classified";
  else if (p->scheme == ESC_SCHEME_SYMMETRIC && is_exact_metric(p))
    return ESC_FORECAST_REDUCED_ODE;
  else if (p->scheme == ESC_SCHEME_BLOCKS && is_exact_metric(p) && p->teacher.modes <= MODES_MAX)
    return ESC_FORECAST_BLOCKS;
  else if (c.a[0] != 0)
    *why = "the activation is not 0 at 0, so that there is no saddle";
  else if (p->activation.kind == ESC_ACTIVATION_RELU)
    *why = "off the manifold a relu network is not linear at small scales";
  else if (c.a[1] == 0 || c.c1 == 0)
    *why = "the activation has no linear drive";
  else if (p->scheme == ESC_SCHEME_HE_NORMAL && m->small_layers == 0)
    *why = "no layer is small, so that there is no plateau";
  return *why ? ESC_FORECAST_NONE : ESC_FORECAST_LINEAR_FLOW;
}

bool esc_forecast_is_seedless(esc_forecast_method method) {
  return method == ESC_FORECAST_REDUCED_ODE || method == ESC_FORECAST_BLOCKS;
}

/* Thresholds in descending order: order[i] is the index of the i-th largest. */
static void sort_thresholds(const esc_problem *p, int *order) {
  for (int i = 0; i < p->thresholds; i++) {
    int k = i;
    for (; k > 0 && p->threshold[order[k - 1]] < p->threshold[i]; k--) order[k] = order[k - 1];
    order[k] = i;
  }
}

static double max_time(const esc_problem *p) { return max_budgets * (double)p->steps * p->rate; }

/* Steps by which the moving average lags behind the loss. */
static double smoothing_lag(const esc_problem *p) { return p->smoothing / (1 - p->smoothing); }

static void set_step(const esc_problem *p, double time, double *step) {
  *step = time == 0 ? 0 : time / p->rate + smoothing_lag(p);
}

/* ---- the linear flow ---- */

/* The problem with a width of at most WIDTH_MAX and as many inputs a unit. */
static esc_problem reduce_width(const esc_problem *p) {
  esc_problem out = *p;
  if (p->shape.width <= WIDTH_MAX || p->scheme != ESC_SCHEME_HE_NORMAL) return out;
  const double inputs = (double)p->shape.inputs * WIDTH_MAX / p->shape.width;
  out.shape.width = WIDTH_MAX;
  out.shape.inputs = (int)fmax(fmax(1, p->teacher.modes), round(inputs));
  return out;
}

static esc_status forecast_by_linear_flow(const esc_problem *problem, const esc_member *m,
                                          esc_forecast *out) {
  esc_status status = ESC_OK;
  const esc_problem p = reduce_width(problem);
  esc_features features = {0};
  int order[ESC_THRESHOLDS_MAX];
  double level[ESC_THRESHOLDS_MAX], time[ESC_THRESHOLDS_MAX];
  bool unstable;
  sort_thresholds(&p, order);
  ESC_TRY(esc_features_create(&p, m, &features));
  const double lowest = features.baseline - linear_fraction * (features.baseline - features.floor);
  for (int i = 0; i < p.thresholds; i++) {
    const double threshold = p.threshold[order[i]];
    out->is_lower_bound = out->is_lower_bound || threshold < lowest;
    level[i] = fmax(threshold, lowest);
  }
  const esc_flow_levels levels = {p.thresholds, level, max_time(&p)};
  ESC_TRY(esc_linear_flow(&p, m, &features, &levels, time, &unstable));
  for (int i = 0; i < p.thresholds; i++) set_step(&p, time[i], &out->step[order[i]]);
  out->is_member = p.shape.width == problem->shape.width;
  out->spread = spread_flow;
  if (!unstable) goto done;
  out->method = ESC_FORECAST_NONE;
  out->why = "train.rate is too large for steps to follow the flow";
  for (int i = 0; i < p.thresholds; i++) out->step[i] = (double)NAN;
done:
  esc_features_free(&features);
  return status;
}

/* ---- the reduced ODE ---- */

static void set_scales(const esc_problem *p, const esc_member *m, int mode, double *scale) {
  for (int l = 0; l < p->shape.layers; l++) scale[l] = esc_layer_scale(p, m, mode, l);
}

/* Two times between which the loss crosses a threshold. */
typedef struct bracket {
  double from, to;      /* to = infinity: no crossing */
  double before, after; /* the loss at these times */
} bracket;

/* Narrows the brackets by the losses at `count` ascending times. */
static esc_status narrow_brackets(const esc_escape_problem *e, const esc_problem *p, int count,
                                  const double *time, bracket *found) {
  esc_status status = ESC_OK;
  double *scale = NULL, *loss = NULL;
  ESC_TRY_ALLOCATE(scale = calloc((size_t)count * (size_t)e->layers, sizeof *scale));
  ESC_TRY_ALLOCATE(loss = calloc((size_t)count, sizeof *loss));
  ESC_TRY(esc_reduced_trajectory(e, count, time, scale, loss));
  for (int t = 0; t < p->thresholds; t++)
    for (int i = 0; i < count; i++) {
      bracket *b = &found[t];
      if (time[i] < b->from || time[i] >= b->to) continue;
      if (loss[i] < p->threshold[t])
        b->to = time[i], b->after = loss[i];
      else
        b->from = time[i], b->before = loss[i];
    }
done:
  free(scale);
  free(loss);
  return status;
}

static int compare_times(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Times inside all finite brackets, ascending; returns their number. */
static int refine(const esc_problem *p, const bracket *found, double *time) {
  int count = 0;
  for (int t = 0; t < p->thresholds; t++)
    for (int i = 1; i < BRACKET_POINTS && isfinite(found[t].to); i++)
      time[count++] = found[t].from + (found[t].to - found[t].from) * i / BRACKET_POINTS;
  qsort(time, (size_t)count, sizeof *time, compare_times);
  return count;
}

/* TIMES times, evenly spaced in the logarithm over `decades` decades up to `last`. */
static void fill_times(double last, double decades, double *time) {
  for (int i = 0; i < TIMES; i++) time[i] = last * pow(10, decades * ((i + 1.0) / TIMES - 1));
}

static bool all_found(const esc_problem *p, const bracket *found) {
  for (int t = 0; t < p->thresholds; t++)
    if (isinf(found[t].to)) return false;
  return true;
}

static esc_status forecast_by_reduced_ode(const esc_problem *p, const esc_member *m,
                                          esc_forecast *out) {
  esc_status status = ESC_OK;
  bracket found[ESC_THRESHOLDS_MAX];
  double time[TIMES + BRACKET_POINTS * ESC_THRESHOLDS_MAX];
  esc_escape_problem e = {
      .activation = p->activation, .amplitude = p->teacher.amplitude[0], .layers = p->shape.layers};
  set_scales(p, m, 0, e.scale);
  for (int t = 0; t < p->thresholds; t++)
    found[t] = (bracket){.to = (double)INFINITY, .before = (double)INFINITY};
  fill_times((double)p->steps * p->rate, 4, time);
  ESC_TRY(narrow_brackets(&e, p, TIMES, time, found));
  if (!all_found(p, found)) { /* long times only if needed: near equilibrium they are slow */
    fill_times(max_time(p), log10(max_budgets), time);
    ESC_TRY(narrow_brackets(&e, p, TIMES, time, found));
  }
  const int count = refine(p, found, time);
  if (count) ESC_TRY(narrow_brackets(&e, p, count, time, found));
  for (int t = 0; t < p->thresholds; t++) {
    const bracket b = found[t];
    const double share = (b.before - p->threshold[t]) / (b.before - b.after);
    set_step(p, isfinite(b.before) && isfinite(b.to) ? b.from + share * (b.to - b.from) : b.to,
             &out->step[t]);
  }
  out->is_member = true;
  out->spread = spread_exact;
done:
  return status;
}

/* ---- the block reduction ---- */

static esc_status forecast_by_blocks(const esc_problem *p, const esc_member *m, esc_forecast *out) {
  esc_status status = ESC_OK;
  esc_block_times times;
  esc_block_problem b = {.activation = p->activation,
                         .modes = p->teacher.modes,
                         .layers = p->shape.layers,
                         .level = ESC_BLOCK_EXACT};
  for (int k = 0; k < b.modes; k++) {
    b.amplitude[k] = p->teacher.amplitude[k];
    set_scales(p, m, k, b.scale[k]);
  }
  for (int i = 0; i < p->thresholds; i++) {
    b.threshold = p->threshold[i];
    ESC_TRY(esc_block_times_find(&b, &times));
    set_step(p, isnan(times.loss) ? (double)INFINITY : times.loss, &out->step[i]);
  }
  out->is_member = true;
  out->spread = spread_exact;
done:
  return status;
}

/* ---- any member ---- */

esc_status esc_forecast_member(const esc_problem *p, const esc_member *m, esc_forecast *out) {
  *out = (esc_forecast){.method = ESC_FORECAST_NONE};
  for (int i = 0; i < p->thresholds; i++) out->step[i] = (double)NAN;
  out->method = esc_forecast_method_of(p, m, &out->why);
  switch (out->method) {
    case ESC_FORECAST_LINEAR_FLOW: return forecast_by_linear_flow(p, m, out);
    case ESC_FORECAST_REDUCED_ODE: return forecast_by_reduced_ode(p, m, out);
    case ESC_FORECAST_BLOCKS: return forecast_by_blocks(p, m, out);
    default: return ESC_OK;
  }
}

/* Typical numbers of integration steps and other operations, as measured; to a factor of a few. */
double esc_forecast_cost(const esc_problem *problem, const esc_member *m,
                         esc_forecast_method method) {
  const esc_problem p = reduce_width(problem);
  const double weights = (double)esc_weight_count(p.shape);
  const double samples = m->small_layers & 1 ? 0 : 2048, width = p.shape.width;
  switch (method) {
    case ESC_FORECAST_LINEAR_FLOW:
      return 100 * 18 * weights + samples * (2 * weights + 2 * width * width);
    case ESC_FORECAST_REDUCED_ODE: return 6e7 * p.shape.layers;
    case ESC_FORECAST_BLOCKS: return 1e8 * p.thresholds * p.shape.layers;
    default: return 1e4;
  }
}

double esc_forecast_censored(const esc_forecast *f, int thresholds, int64_t steps) {
  double last = 0;
  for (int i = 0; i < thresholds; i++) last = fmax(last, f->step[i]);
  if (f->method == ESC_FORECAST_NONE) return (double)NAN;
  if (isinf(last)) return 1;
  if (!(last > 0)) return 0;
  return 0.5 * erfc(log((double)steps / last) / (f->spread * sqrt(2)));
}

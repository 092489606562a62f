/* SPDX-License-Identifier: Apache-2.0 */
/* Fits log t* against log epsilon in each group of the members of result tables (docs/theory,
 * section 11): points and local slopes here, the headline slope in headline.c, the extrapolation to
 * epsilon = 0 in limit.c. */
#include "escapement/internal/fit.h"

#include <gsl/gsl_math.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/theory.h"
#include "headline.h"
#include "limit.h"
#include "regression.h"
#include "rows.h"
#include "seed_table.h"

/* Point p from its column; `work` has an element for each cell. */
static void fit_point(const esc_seed_table *table, int p, double *work, esc_fit_point *point) {
  size_t escaped = 0, running = 0;
  double least = INFINITY; /* step of the running members */
  const size_t n = (size_t)(table->point_begin[p + 1] - table->point_begin[p]);
  for (size_t i = 0; i < n; i++) {
    const esc_cell *cell = &table->cell[table->column[table->point_begin[p] + (int64_t)i]];
    if (!cell->censored) work[escaped++] = cell->step;
    if (cell->running) least = fmin(least, cell->step);
    running += cell->running;
  }
  *point = (esc_fit_point){.scale = table->scale[p],
                           .n = (int64_t)(n - running),
                           .censored = (int64_t)(n - running - escaped),
                           .running = (int64_t)running,
                           .waiting = table->waiting[p],
                           .mean = NAN,
                           .sd = NAN,
                           .median = NAN};
  if (escaped == 0) return;
  point->mean = gsl_stats_mean(work, 1, escaped);
  if (escaped > 1) point->sd = gsl_stats_sd(work, 1, escaped);
  for (size_t i = escaped; i < n; i++) work[i] = INFINITY;
  gsl_sort(work, 1, n);
  const double median = gsl_stats_median_from_sorted_data(work, 1, n);
  if (isfinite(median) && median <= least) point->median = median;
}

/* Weight of a point's log mean: the inverse of its variance (sd/mean)^2/n. Steps are whole numbers,
 * so sd is at least that of rounding, 1/sqrt(12). */
static double point_weight(const esc_fit_point *point) {
  const double escaped = (double)(point->n - point->censored);
  const double mean = point->mean < 0.5 ? 0.5 : point->mean;
  if (escaped < 2) return 0;
  return escaped * mean * mean / fmax(point->sd * point->sd, 1.0 / 12);
}

static void fit_weighted(int n, const double *log_scale, const double *log_mean, double *weight,
                         esc_fit_group *g) {
  for (int p = 0; p < n; p++) weight[p] = isfinite(log_scale[p]) ? point_weight(&g->point[p]) : 0;
  const esc_line line = esc_line_fit(n, log_scale, log_mean, weight, true);
  g->slope_weighted = line.slope;
  g->stderr_weighted = line.standard_error;
}

static void fill_local_slopes(int n, const double *log_scale, const double *log_mean,
                              double *local) {
  for (int p = 0; p + 1 < n; p++)
    local[p] = !isfinite(log_scale[p])
                   ? (double)NAN
                   : (log_mean[p + 1] - log_mean[p]) / (log_scale[p + 1] - log_scale[p]);
}

/* The slopes that depend on the points alone. */
static esc_status fit_points(const esc_seed_table *table, esc_fit_group *g) {
  esc_status status = ESC_OK;
  const int n = g->points;
  esc_line decade;
  double *x = malloc(4 * (size_t)n * sizeof *x);
  ESC_TRY_ALLOCATE(x);
  double *log_mean = x + n, *mean = x + 2 * n, *weight = x + 3 * n;
  for (int p = 0; p < n; p++) {
    x[p] = -table->log_scale[p] / M_LN10;
    mean[p] = g->point[p].mean;
    log_mean[p] = esc_log_step(mean[p]);
  }
  fill_local_slopes(n, table->log_scale, log_mean, g->local);
  fit_weighted(n, table->log_scale, log_mean, weight, g);
  ESC_TRY(esc_line_fit_finite(n, x, mean, &decade));
  g->steps_per_decade = decade.slope;
done:
  free(x);
  return status;
}

static esc_law predicted_law(int bottleneck) {
  return bottleneck <= 1 ? ESC_LAW_CONSTANT : bottleneck == 2 ? ESC_LAW_LOGARITHMIC : ESC_LAW_POWER;
}

/* Identity, counts and predicted law of the group. */
static void summarise_rows(size_t n, const esc_fit_row *rows, esc_fit_group *g) {
  g->bottleneck = rows->bottleneck;
  g->small_layers = rows->small_layers;
  g->threshold = rows->threshold;
  g->law = predicted_law(g->bottleneck);
  g->predicted = g->law == ESC_LAW_POWER ? 2 - g->bottleneck : 0;
  for (size_t i = 0; i < n; i++) {
    g->diverged += rows[i].diverged;
    g->running += rows[i].running;
    g->waiting += rows[i].waiting;
    if (!esc_fit_row_is_used(&rows[i]) || rows[i].running) continue;
    g->n++;
    g->censored += rows[i].censored;
  }
  if (g->running + g->waiting > 0) g->warnings |= 1U << ESC_FIT_UNFINISHED;
}

static esc_status allocate_points(esc_fit_group *g) {
  esc_status status = ESC_OK;
  const size_t n = (size_t)g->points;
  g->point = calloc(n, sizeof *g->point);
  g->local = calloc(n, sizeof *g->local);
  g->local_lower = calloc(n, sizeof *g->local_lower);
  g->local_upper = calloc(n, sizeof *g->local_upper);
  ESC_TRY_ALLOCATE(g->point);
  ESC_TRY_ALLOCATE(g->local);
  ESC_TRY_ALLOCATE(g->local_lower);
  ESC_TRY_ALLOCATE(g->local_upper);
done:
  return status;
}

/* Difference of slope and limit above which the correction terms are large, and with them the terms
 * that are left out. */
static const double far_from_limit = 0.2;

static void check_limit(int order, esc_fit_group *g) {
  const bool decade = g->law == ESC_LAW_LOGARITHMIC;
  const double window = decade ? g->steps_per_decade : g->slope;
  const double deviation = fabs(g->limit.slope - window) / (decade ? fabs(window) : 1);
  if (g->limit.p_value < 0.01) g->warnings |= 1U << ESC_FIT_MISFIT;
  if (deviation > far_from_limit) g->warnings |= 1U << ESC_FIT_FAR;
  if (order == ESC_ORDER_UNKNOWN && g->limit.terms > 0) g->warnings |= 1U << ESC_FIT_NO_ACTIVATION;
}

static esc_status fit_group(size_t n, const esc_fit_row *rows, int order, esc_fit_group *g) {
  esc_status status = ESC_OK;
  esc_seed_table table = {.points = 0};
  double *work = malloc(n * sizeof *work);
  ESC_TRY_ALLOCATE(work);
  summarise_rows(n, rows, g);
  ESC_TRY(esc_seed_table_create(n, rows, &table));
  g->points = table.points;
  g->seeds = table.seeds;
  ESC_TRY(allocate_points(g));
  for (int p = 0; p < g->points; p++) fit_point(&table, p, work, &g->point[p]);
  ESC_TRY(fit_points(&table, g));
  ESC_TRY(esc_headline_fit(&table, g));
  ESC_TRY(esc_limit_fit(&table, g->bottleneck, order, &g->limit));
  check_limit(order, g);
  esc_fit_signs(n, rows, g);
done:
  free(work);
  esc_seed_table_free(&table);
  return status;
}

/* ---- the swept keys of a group ---- */

static esc_status copy_keys(const esc_fit_points *points, int number, esc_fit_group *g) {
  esc_status status = ESC_OK;
  const esc_grid *grid = points->grid[number];
  if (!grid) return ESC_OK;
  ESC_TRY_ALLOCATE(g->key = calloc((size_t)grid->keys, sizeof *g->key));
  g->keys = grid->keys;
  for (int k = 0; k < grid->keys; k++) {
    g->key[k].is_number = grid->numeric[k];
    ESC_TRY_ALLOCATE(g->key[k].name = strdup(grid->key[k]));
    ESC_TRY_ALLOCATE(g->key[k].value = strdup(esc_grid_value(grid, points->point[number], k)));
  }
done:
  return status;
}

static void free_keys(esc_fit_group *g) {
  for (int k = 0; k < g->keys; k++) {
    free((char *)g->key[k].name);
    free((char *)g->key[k].value);
  }
  free(g->key);
}

/* ---- the activation ---- */

/* Its name in the resolved spec of the first table that has one: the line "  activation: NAME",
 * NAME in quotes or not. */
static bool read_activation(int tables, const esc_results *const *table, char name[256]) {
  static const char key[] = "\n  activation: ";
  const char *line = NULL;
  for (int t = 0; t < tables && !line; t++) {
    const char *spec = esc_results_attribute_text(table[t], "spec");
    if (spec) line = strstr(spec, key);
  }
  if (!line) return false;
  line += strlen(key);
  line += *line == '"';
  const size_t length = strcspn(line, "\"\n");
  if (length >= 256) return false;
  memcpy(name, line, length);
  name[length] = 0;
  return true;
}

/* Order of its first nonlinear term. */
static int order_of(const char *name) {
  esc_activation activation;
  esc_classification constants;
  if (!esc_activation_parse(name, &activation)) return ESC_ORDER_UNKNOWN;
  return esc_classify(&activation, &constants) == ESC_OK ? constants.q : ESC_ORDER_UNKNOWN;
}

/* The order at a point: of the swept activation, or of that of the whole sweep. */
static int find_order(const esc_fit_points *points, int number, int common) {
  const esc_grid *grid = points->grid[number];
  const int key = grid ? esc_grid_find_key(grid, "network.activation") : -1;
  return key < 0 ? common : order_of(esc_grid_value(grid, points->point[number], key));
}

/* ---- all groups ---- */

esc_status esc_fit_results(int tables, const esc_results *const *table, esc_fit *out) {
  esc_status status = ESC_OK;
  esc_fit_row *rows = NULL;
  esc_fit_points points = {0};
  size_t n = 0, groups = 0;
  char name[256];
  const int common = read_activation(tables, table, name) ? order_of(name) : ESC_ORDER_UNKNOWN;
  *out = (esc_fit){0, NULL};
  ESC_TRY(esc_fit_points_create(tables, table, &points));
  ESC_TRY(esc_fit_rows(tables, table, &points, &rows, &n));
  for (size_t i = 0; i < n; i = esc_fit_group_end(n, rows, i)) groups++;
  out->group = calloc(groups + 1, sizeof *out->group);
  ESC_TRY_ALLOCATE(out->group);
  for (size_t i = 0, end; i < n; i = end) {
    esc_fit_group *const g = &out->group[out->groups++];
    end = esc_fit_group_end(n, rows, i);
    ESC_TRY(copy_keys(&points, rows[i].point, g));
    ESC_TRY(fit_group(end - i, &rows[i], find_order(&points, rows[i].point, common), g));
  }
done:
  if (status != ESC_OK) esc_fit_free(out);
  esc_fit_points_free(&points);
  free(rows);
  return status;
}

void esc_fit_free(esc_fit *fit) {
  for (int i = 0; i < fit->groups; i++) {
    free_keys(&fit->group[i]);
    free(fit->group[i].point);
    free(fit->group[i].local);
    free(fit->group[i].local_lower);
    free(fit->group[i].local_upper);
  }
  free(fit->group);
  *fit = (esc_fit){0, NULL};
}

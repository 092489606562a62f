/* The integral of dt_k/dlambda over 0..1, by channel. It is steep near lambda = 0, where little
 * of the upper level already lets a late mode go with an early one: so panels of Gauss-Legendre
 * nodes, each held against the escape times at its own ends. */
#include <gsl/gsl_integration.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "block_path.h"
#include "escapement/homotopy.h"

enum { NODES = 6, PANELS_MAX = 200, MODES = ESC_BLOCK_MODES_MAX };
static const double first_cut[] = {0, 0.02, 0.15, 1};
static const double usual_tolerance = 2e-7; /* of a panel, relative to the whole shift */

typedef struct task {
  const esc_homotopy *homotopy;
  esc_block_grid grid;
  gsl_integration_glfixed_table *table;
  esc_attribution *out;
  int panels;
  void (*report)(void *context, double from, double to);
  void *context;
} task;

typedef struct panel {
  esc_homotopy_point node[NODES];
  double sum[MODES][ESC_LAYERS_MAX];
} panel;

void esc_attribution_free(esc_attribution *a) {
  free(a->point);
  *a = (esc_attribution){0};
}

static esc_status fill_panel(const task *t, double from, double to, panel *p) {
  esc_status status = ESC_OK;
  const esc_block_problem *b = &t->homotopy->problem;
  memset(p->sum, 0, sizeof p->sum);
  for (size_t i = 0; i < NODES; i++) {
    double lambda, weight;
    gsl_integration_glfixed_point(from, to, i, &lambda, &weight, t->table);
    ESC_TRY(esc_homotopy_at(t->homotopy, &t->grid, lambda, true, &p->node[i]));
    for (int k = 0; k < b->modes; k++)
      for (int c = 0; c < b->layers; c++) p->sum[k][c] += weight * p->node[i].channel[k][c];
  }
done:
  return status;
}

/* The panel's integral is the difference of the times at its ends. */
static bool agrees(const task *t, const panel *p, const double *before, const double *after) {
  const esc_block_problem *b = &t->homotopy->problem;
  const double tolerance = t->homotopy->tolerance > 0 ? t->homotopy->tolerance : usual_tolerance;
  bool good = true;
  for (int k = 0; k < b->modes; k++) {
    double residual = after[k] - before[k];
    const double shift = t->out->to[k] - t->out->from[k];
    for (int c = 0; c < b->layers; c++) residual -= p->sum[k][c];
    good = good && fabs(residual) <= tolerance * (fabs(shift) + 1e-3 * t->out->to[k]);
  }
  return good;
}

static esc_status keep_panel(task *t, const panel *p) {
  esc_status status = ESC_OK;
  esc_attribution *out = t->out;
  const esc_block_problem *b = &t->homotopy->problem;
  esc_homotopy_point *grown =
      realloc(out->point, (size_t)(out->points + NODES) * sizeof *out->point);
  ESC_TRY_ALLOCATE(grown);
  out->point = grown;
  for (int i = 0; i < NODES; i++) out->point[out->points++] = p->node[i];
  for (int k = 0; k < b->modes; k++)
    for (int c = 0; c < b->layers; c++) out->channel[k][c] += p->sum[k][c];
done:
  return status;
}

/* From `from` to `to`, where the times are `before` and `after`; in halves if need be. */
static esc_status integrate(task *t, double from, double to, const double *before,
                            const double *after) {
  esc_status status = ESC_OK;
  const double half = (from + to) / 2;
  esc_homotopy_point middle;
  panel *p = malloc(sizeof *p);
  ESC_TRY_ALLOCATE(p);
  if (++t->panels > PANELS_MAX) {
    status = ESC_FAIL(ESC_LIBRARY_FAILED,
                      "the attribution does not converge near lambda = %g: the escape time may "
                      "jump there",
                      from);
    goto done;
  }
  ESC_TRY(fill_panel(t, from, to, p));
  if (agrees(t, p, before, after)) {
    ESC_TRY(keep_panel(t, p));
    if (t->report) t->report(t->context, from, to);
    goto done;
  }
  ESC_TRY(esc_homotopy_at(t->homotopy, &t->grid, half, false, &middle));
  ESC_TRY(integrate(t, from, half, before, middle.escape));
  ESC_TRY(integrate(t, half, to, middle.escape, after));
done:
  free(p);
  return status;
}

static void find_cancellation(const esc_block_problem *b, int k, esc_attribution *out) {
  out->cancellation[k] = INFINITY;
  for (int i = 0; i < out->points; i++) {
    double sum = 0, size = 0;
    for (int c = 0; c < b->layers; c++) {
      sum += out->point[i].channel[k][c];
      size += fabs(out->point[i].channel[k][c]);
    }
    if (fabs(sum) / size < out->cancellation[k]) {
      out->cancellation[k] = fabs(sum) / size;
      out->cancels_at[k] = out->point[i].lambda;
    }
  }
}

static void summarise(const esc_block_problem *b, esc_attribution *out) {
  for (int k = 0; k < b->modes; k++) {
    out->residual[k] = out->to[k] - out->from[k];
    for (int c = 0; c < b->layers; c++) out->residual[k] -= out->channel[k][c];
    find_cancellation(b, k, out);
  }
}

esc_status esc_homotopy_attribute(const esc_homotopy *homotopy,
                                  void (*report)(void *context, double from, double to),
                                  void *context, esc_attribution *out) {
  enum { CUTS = sizeof first_cut / sizeof first_cut[0] };
  esc_status status = ESC_OK;
  esc_homotopy_point end[CUTS];
  task t = {.homotopy = homotopy, .out = out, .report = report, .context = context};
  *out = (esc_attribution){0};
  ESC_TRY(esc_block_grid_create(&homotopy->problem, 1, &t.grid));
  ESC_TRY_ALLOCATE(t.table = gsl_integration_glfixed_table_alloc(NODES));
  for (int i = 0; i < CUTS; i++)
    ESC_TRY(esc_homotopy_at(homotopy, &t.grid, first_cut[i], false, &end[i]));
  for (int k = 0; k < homotopy->problem.modes; k++) {
    out->from[k] = end[0].escape[k];
    out->to[k] = end[CUTS - 1].escape[k];
  }
  for (int i = 0; i + 1 < CUTS; i++)
    ESC_TRY(integrate(&t, first_cut[i], first_cut[i + 1], end[i].escape, end[i + 1].escape));
  summarise(&homotopy->problem, out);
done:
  if (t.table) gsl_integration_glfixed_table_free(t.table);
  esc_block_grid_free(&t.grid);
  if (status != ESC_OK) esc_attribution_free(out);
  return status;
}

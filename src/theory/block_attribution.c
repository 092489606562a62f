/* The integral of dt_k/dlambda over 0..1, by channel. It is steep near lambda = 0, where little
 * of the upper level already lets a late mode go with an early one: so it is taken in u, with
 * lambda = steep ((1 + 1/steep)^u - 1), by Clenshaw and Curtis's rule, whose nodes serve the rule
 * of twice the order too. A rule is compared with the escape times at its ends, which the
 * sum of the channels must give, and each channel with the rule before; a panel that the last rule
 * does not settle is cut in two. Nodes are independent, and shared between threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block_path.h"
#include "escapement/homotopy.h"

enum { FIRST = 8, LAST = 32, POINTS_MAX = 1200, MODES = ESC_BLOCK_MODES_MAX };
static const double steep = 0.01;
static const double usual_tolerance = 2e-7;  /* of a panel, relative to the whole shift */
static const double channel_tolerance = 100; /* of a change by one rule to the next, over that */

typedef double channels[MODES][ESC_LAYERS_MAX];

typedef struct task {
  const esc_homotopy *homotopy;
  esc_block_grid grid;
  esc_attribution *out;
  int done, expected; /* points */
  esc_attribution_report *report;
  void *context;
} task;

/* Nodes by the finest rule; u from..to. */
typedef struct panel {
  double from, to;
  bool known[LAST + 1];
  esc_homotopy_point node[LAST + 1];
} panel;

void esc_attribution_free(esc_attribution *a) {
  free(a->point);
  *a = (esc_attribution){0};
}

static double node_position(const panel *p, int i) {
  if (i == LAST) return p->to;
  return p->from + (p->to - p->from) * (1 - cos(M_PI * i / LAST)) / 2;
}

static double lambda_at(double u) { return u == 1 ? 1 : steep * expm1(u * log1p(1 / steep)); }

static double lambda_slope(double lambda) { return (lambda + steep) * log1p(1 / steep); }

/* Weight of node i of the rule of order n on an interval of length 1. */
static double rule_weight(int n, int i) {
  double sum = 1;
  for (int j = 1; j <= n / 2; j++)
    sum -= (2 * j == n ? 1 : 2) * cos(2 * M_PI * i * j / n) / (4.0 * j * j - 1);
  return (i == 0 || i == n ? 0.5 : 1) * sum / n;
}

static void count_point(task *t) {
  t->done++;
  if (t->report) t->report(t->context, t->done, t->expected);
}

/* The message of a failure goes from the worker's thread to the caller's. */
static esc_status fill_nodes(task *t, panel *p, int order) {
  const int stride = LAST / order;
  esc_status first = ESC_OK;
  char message[1024] = "";
  int missing = 0;
  for (int i = 0; i <= LAST; i += stride) missing += !p->known[i];
  if (t->done + missing > t->expected) t->expected = t->done + missing;
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i <= LAST; i += stride) {
    if (p->known[i]) continue;
    const esc_status status =
        esc_homotopy_at(t->homotopy, &t->grid, lambda_at(node_position(p, i)), true, &p->node[i]);
#pragma omp critical
    {
      if (status != ESC_OK && first == ESC_OK) {
        first = status;
        snprintf(message, sizeof message, "%s", esc_error_message());
      }
      p->known[i] = true;
      count_point(t);
    }
  }
  return first == ESC_OK ? ESC_OK : ESC_FAIL(first, "%s", message);
}

static void integrate_panel(const task *t, const panel *p, int order, channels sum) {
  const esc_block_problem *b = &t->homotopy->problem;
  memset(sum, 0, sizeof(channels));
  for (int i = 0; i <= order; i++) {
    const esc_homotopy_point *at = &p->node[i * (LAST / order)];
    const double weight = (p->to - p->from) * rule_weight(order, i) * lambda_slope(at->lambda);
    for (int k = 0; k < b->modes; k++)
      for (int c = 0; c < b->layers; c++) sum[k][c] += weight * at->channel[k][c];
  }
}

/* The panel's integral is the difference of the times at its ends. */
static bool is_settled(const task *t, const panel *p, channels coarse, channels fine) {
  const esc_block_problem *b = &t->homotopy->problem;
  const double relative = t->homotopy->tolerance > 0 ? t->homotopy->tolerance : usual_tolerance;
  bool settled = true;
  for (int k = 0; k < b->modes; k++) {
    const double shift = t->out->to[k] - t->out->from[k];
    const double tolerance = relative * (fabs(shift) + 1e-3 * t->out->to[k]);
    double residual = p->node[LAST].escape[k] - p->node[0].escape[k];
    for (int c = 0; c < b->layers; c++) {
      residual -= fine[k][c];
      settled = settled && fabs(fine[k][c] - coarse[k][c]) <= channel_tolerance * tolerance;
    }
    settled = settled && fabs(residual) <= tolerance;
  }
  return settled;
}

/* The first node of a panel is the last one of the panel before. */
static esc_status keep_panel(task *t, const panel *p, int order, channels sum) {
  esc_status status = ESC_OK;
  esc_attribution *out = t->out;
  const esc_block_problem *b = &t->homotopy->problem;
  const int stride = LAST / order;
  esc_homotopy_point *grown =
      realloc(out->point, (size_t)(out->points + order + 1) * sizeof *out->point);
  ESC_TRY_ALLOCATE(grown);
  out->point = grown;
  for (int i = out->points > 0 ? stride : 0; i <= LAST; i += stride)
    out->point[out->points++] = p->node[i];
  for (int k = 0; k < b->modes; k++)
    for (int c = 0; c < b->layers; c++) out->channel[k][c] += sum[k][c];
done:
  return status;
}

static esc_status integrate(task *t, panel *p);

static esc_status integrate_halves(task *t, const panel *p) {
  esc_status status = ESC_OK;
  const double middle = (p->from + p->to) / 2;
  const panel shape[2] = {{.from = p->from, .to = middle}, {.from = middle, .to = p->to}};
  panel *half = malloc(sizeof *half);
  ESC_TRY_ALLOCATE(half);
  for (int i = 0; i < 2; i++) {
    *half = shape[i];
    half->known[0] = half->known[LAST] = true;
    half->node[0] = p->node[i * LAST / 2];
    half->node[LAST] = p->node[(1 + i) * LAST / 2];
    ESC_TRY(integrate(t, half));
  }
done:
  free(half);
  return status;
}

static esc_status integrate(task *t, panel *p) {
  esc_status status = ESC_OK;
  channels sum[2];
  ESC_TRY(fill_nodes(t, p, FIRST));
  integrate_panel(t, p, FIRST, sum[0]);
  for (int order = 2 * FIRST; order <= LAST; order *= 2) {
    ESC_TRY(fill_nodes(t, p, order));
    integrate_panel(t, p, order, sum[1]);
    if (is_settled(t, p, sum[0], sum[1])) return keep_panel(t, p, order, sum[1]);
    memcpy(sum[0], sum[1], sizeof sum[0]);
  }
  if (t->done > POINTS_MAX) {
    status = ESC_FAIL(ESC_LIBRARY_FAILED,
                      "the attribution does not converge near lambda = %g: the escape time may "
                      "jump there",
                      p->node[0].lambda);
    goto done;
  }
  status = integrate_halves(t, p);
done:
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

esc_status esc_homotopy_attribute(const esc_homotopy *homotopy, esc_attribution_report *report,
                                  void *context, esc_attribution *out) {
  esc_status status = ESC_OK;
  task t = {
      .homotopy = homotopy, .out = out, .expected = LAST + 1, .report = report, .context = context};
  panel *whole = calloc(1, sizeof *whole);
  *out = (esc_attribution){0};
  ESC_TRY_ALLOCATE(whole);
  whole->to = 1;
  ESC_TRY(esc_block_grid_create(&homotopy->problem, 1, &t.grid));
  ESC_TRY(fill_nodes(&t, whole, 1));
  for (int k = 0; k < homotopy->problem.modes; k++) {
    out->from[k] = whole->node[0].escape[k];
    out->to[k] = whole->node[LAST].escape[k];
  }
  ESC_TRY(integrate(&t, whole));
  summarise(&homotopy->problem, out);
done:
  free(whole);
  esc_block_grid_free(&t.grid);
  if (status != ESC_OK) esc_attribution_free(out);
  return status;
}

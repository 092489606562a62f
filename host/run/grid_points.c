/* SPDX-License-Identifier: Apache-2.0 */
/* The runs of a grid's points: options, shards, earlier members, warnings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "run/grid.h"

static bool forward_progress(void *context, const esc_progress *p) {
  const esc_grid_run *g = context;
  const esc_run_callbacks *to = &g->whole->options.callbacks;
  const esc_progress *b = &g->before;
  const int64_t reached = b->members + p->members;
  esc_progress sum = {.members = g->whole->plan.members,
                      .escaped = b->escaped + p->escaped,
                      .censored = b->censored + p->censored,
                      .diverged = b->diverged + p->diverged,
                      .running = p->running,
                      .network_steps = b->network_steps + p->network_steps,
                      .in_flight = p->in_flight,
                      .steps = p->steps,
                      .seconds = b->seconds + p->seconds};
  /* Points that have not begun are expected to be as long as those before them. */
  sum.steps.made += b->steps.made;
  sum.steps.expected += b->steps.expected;
  if (reached > 0) sum.steps.expected *= (double)sum.members / (double)reached;
  return to->progress(to->context, &sum);
}

static void forward_phase(void *context, esc_run_phase phase, bool begins) {
  const esc_grid_run *g = context;
  if (begins)
    esc_run_phase_begin(g->whole, phase);
  else
    esc_run_phase_end(g->whole, phase);
}

static esc_run_options options_of(esc_grid_run *g, int i) {
  const esc_run *whole = g->whole;
  esc_run_options o = whole->options;
  o.output = whole->output[0] ? g->point[i].path : NULL;
  o.from = NULL;
  if (!whole->supervises) o.devices = NULL; /* otherwise the workers train the points */
  o.shard = esc_point_shard(whole->shard, whole->shards, i * (whole->plan.total / g->points));
  o.shards = whole->shards;
  o.force = false;
  o.stop = whole->stop;
  o.callbacks =
      (esc_run_callbacks){.context = g,
                          .progress = whole->options.callbacks.progress ? forward_progress : NULL,
                          .phase = forward_phase};
  return o;
}

/* Members of a slice that are not in the point's shard: after a grid has grown, they can belong to
 * another one. */
static esc_status check_shard(const esc_run *whole, const esc_run *point,
                              const esc_results *slice) {
  for (int64_t i = 0; slice && whole->shards > 1 && i < slice->members; i++) {
    const esc_member_key key = {(uint64_t)slice->seed[i], (uint64_t)slice->small_layers[i],
                                slice->scale[i]};
    if (esc_plan_find_member(&point->plan, key) < 0)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: in the larger grid, its member of seed %lld at scale %g belongs to "
                      "another shard than %lld/%lld; finish and merge the shards of the smaller "
                      "grid first, then add points to the merged file",
                      whole->output, (long long)slice->seed[i], slice->scale[i],
                      (long long)whole->shard, (long long)whole->shards);
  }
  return ESC_OK;
}

static esc_status prepare_point(esc_grid_run *g, int i, const esc_point_source *source) {
  esc_status status = ESC_OK;
  const esc_spec *spec = esc_spec_point(g->whole->spec, i);
  esc_grid_point *point = &g->point[i];
  char *const text = esc_spec_resolved(spec);
  ESC_TRY_ALLOCATE(text);
  ESC_TRY_ALLOCATE(point->label = esc_grid_print_point(g->whole->spec->grid->grid, i));
  esc_point_print_path(g->whole->output, text, point->path);
  const esc_run_options options = options_of(g, i);
  ESC_TRY(esc_run_prepare(spec, &options, false, &point->run));
  point->run.is_point = true;
  point->run.point = i;
  point->run.members_before_point = i * (g->whole->plan.total / g->points);
  point->run.grid = g->whole->spec->grid->grid;
  point->run.is_worker = g->whole->is_worker;
  point->run.log = g->whole->log;
  ESC_TRY(esc_point_slice_create(&source[0], spec, text, &point->run.reused[2]));
  ESC_TRY(esc_point_slice_create(&source[1], spec, text, &point->run.reused[1]));
  ESC_TRY(
      esc_point_slice_check(source[0].path, point->run.reused[2], point->run.engine->precision));
  ESC_TRY(
      esc_point_slice_check(source[1].path, point->run.reused[1], point->run.engine->precision));
  status = check_shard(g->whole, &point->run, point->run.reused[2]);
done:
  free(text);
  return status;
}

/* A failure at a point, with its label. */
static esc_status fail_at_point(const esc_grid_run *g, int i, esc_status status) {
  char why[1200];
  snprintf(why, sizeof why, "%s", esc_error_message());
  return ESC_FAIL(status, "%.300s: %s", g->point[i].label ? g->point[i].label : "grid", why);
}

static esc_status check_from(const esc_grid_run *g) {
  for (int i = 0; i < g->points; i++)
    if (g->point[i].run.reused[1]) return ESC_OK;
  if (!g->whole->reused[1]) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--from %s: no point of this sweep's grid is in that file",
                  g->whole->options.from);
}

esc_status esc_grid_run_create(esc_run *whole, esc_grid_run *g) {
  esc_status status = ESC_OK;
  esc_point_source source[2] = {{0}, {0}};
  *g = (esc_grid_run){.whole = whole, .points = esc_spec_count_points(whole->spec)};
  ESC_TRY_ALLOCATE(g->point = calloc((size_t)g->points, sizeof *g->point));
  ESC_TRY(esc_point_source_create(whole->output, whole->reused[0], &source[0]));
  ESC_TRY(esc_point_source_create(whole->options.from, whole->reused[1], &source[1]));
  for (int i = 0; i < g->points; i++)
    if ((status = prepare_point(g, i, source)) != ESC_OK) {
      status = fail_at_point(g, i, status);
      goto done;
    }
  status = check_from(g);
done:
  for (int k = 0; k < 2; k++) esc_point_source_free(&source[k]);
  return status;
}

void esc_grid_run_free(esc_grid_run *g) {
  for (int i = 0; g->point && i < g->points; i++) {
    esc_run_free(&g->point[i].run);
    free(g->point[i].label);
  }
  free(g->point);
  g->point = NULL;
}

static bool is_same_activation(const esc_activation *a, const esc_activation *b) {
  if (a->kind != b->kind || a->terms != b->terms) return false;
  for (int i = 0; i < a->terms; i++)
    if (a->coefficient[i] != b->coefficient[i]) return false;
  return true;
}

/* Whether the losses of plateaus have the same distribution and thresholds: the number of layers,
 * the width, the rate and the initialisation do not enter. */
static bool has_same_loss(const esc_problem *a, const esc_problem *b) {
  const size_t amplitudes = (size_t)a->teacher.modes * sizeof *a->teacher.amplitude;
  return is_same_activation(&a->activation, &b->activation) &&
         a->teacher.modes == b->teacher.modes &&
         !memcmp(a->teacher.amplitude, b->teacher.amplitude, amplitudes) && a->batch == b->batch &&
         a->loss == b->loss && a->huber_delta == b->huber_delta && a->steps == b->steps &&
         a->smoothing == b->smoothing; /* thresholds are no swept key */
}

static bool has_same_optimizer(const esc_optimizer *a, const esc_optimizer *b) {
  return a->kind == b->kind && a->nesterov == b->nesterov && a->decoupled == b->decoupled &&
         (a->momentum == 0) == (b->momentum == 0) &&
         (a->weight_decay == 0) == (b->weight_decay == 0);
}

bool esc_grid_points_cost_the_same(const esc_run *a, const esc_run *b) {
  const esc_problem *p = &a->spec->problem, *q = &b->spec->problem;
  return p->shape.layers == q->shape.layers && p->shape.width == q->shape.width &&
         p->shape.inputs == q->shape.inputs && p->teacher.modes == q->teacher.modes &&
         p->batch == q->batch && p->loss == q->loss && p->update == q->update &&
         p->metric == q->metric && p->thresholds == q->thresholds &&
         is_same_activation(&p->activation, &q->activation) &&
         has_same_optimizer(&p->optimizer, &q->optimizer) && a->setup.slots == b->setup.slots &&
         a->setup.threads == b->setup.threads &&
         a->spec->record.samples == b->spec->record.samples &&
         (a->plan.members == 0) == (b->plan.members == 0);
}

/* The estimate costs a tenth of a second; points with equal inputs share it. */
static esc_status estimate_false_escapes(const esc_grid_run *g, int i) {
  esc_run *const r = &g->point[i].run;
  for (int k = 0; k < i; k++) {
    const esc_run *before = &g->point[k].run;
    if (!has_same_loss(&before->spec->problem, &r->spec->problem)) continue;
    memcpy(r->plan.false_escape, before->plan.false_escape, sizeof r->plan.false_escape);
    memcpy(r->warning, before->warning, sizeof r->warning);
    return ESC_OK;
  }
  return esc_plan_check_false_escapes(r->spec, &r->plan, r->warning);
}

esc_status esc_grid_run_check_false_escapes(esc_grid_run *g) {
  esc_status status = ESC_OK;
  int warned = 0;
  for (int i = 0; i < g->points; i++) {
    esc_run *const r = &g->point[i].run;
    if ((status = estimate_false_escapes(g, i)) != ESC_OK) return fail_at_point(g, i, status);
    warned += r->warning[0] != 0;
    if (r->warning[0] && warned == 1 && !g->whole->is_worker)
      esc_log("warning: %s: %s", g->point[i].label, r->warning);
    for (int t = 0; t < r->spec->problem.thresholds; t++)
      if (!(r->plan.false_escape[t] <= g->whole->plan.false_escape[t]))
        g->whole->plan.false_escape[t] = r->plan.false_escape[t];
  }
  if (warned > 1 && !g->whole->is_worker)
    esc_log("warning: noise alone crosses a threshold at %d more of the %d points of the grid",
            warned - 1, g->points);
  return status;
}

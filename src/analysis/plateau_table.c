/* SPDX-License-Identifier: Apache-2.0 */
/* The plateau table of a result: every network is measured, then the rows of every scale and group
 * are computed. */
#include <math.h>
#include <stdlib.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/theory.h"
#include "plateau_rows.h"

/* ---- rules ---- */

typedef struct nonlinear_part {
  const esc_activation *activation;
  double c1;
} nonlinear_part;

/* E[p^2 g^2], E[p g^3] and E[p^2] of the odd part p of sigma(g) - c_1 g. */
static void moment_integrand(void *context, double g, double out[3]) {
  const nonlinear_part *r = context;
  const double plus = esc_activate_f64(r->activation, g).value;
  const double minus = esc_activate_f64(r->activation, -g).value;
  const double p = (plus - minus) / 2 - r->c1 * g;
  out[0] = p * p * g * g;
  out[1] = p * g * g * g;
  out[2] = p * p;
}

/* Standard deviation, by the evaluation sample, of the T_perp term over the drive at the start,
 * where the network is linear: that of the mean of T_perp (v.x) over |a| c_1 for M/2 pairs x, -x.
 * Their second moment is exact (escapement/internal/observe.h), which removes the component along
 * (v.x)^2 - 1. With several modes the larger of two bounds. */
static esc_status sampling_floor(const esc_activation *a, int samples, double c1, double *floor) {
  esc_status status = ESC_OK;
  nonlinear_part r = {a, c1};
  double moment[3], error;
  *floor = 0;
  ESC_TRY(esc_gaussian_expectation(
      &(esc_gaussian_integral){moment_integrand, &r, 3, esc_activation_has_corner(a)}, 1e-8, moment,
      &error));
  const double variance = fmax(moment[0] - moment[1] * moment[1] / 2, moment[2]);
  *floor = sqrt(fmax(variance, 0) / (samples / 2.0)) / fabs(c1);
done:
  return status;
}

static esc_status set_rules(esc_plateau_table *t, const esc_problem *p, int samples) {
  esc_status status = ESC_OK;
  esc_classification c;
  ESC_TRY(esc_classify(&p->activation, &c));
  t->rules.order = c.q;
  t->squared = p->loss == ESC_LOSS_SQUARED;
  t->odd = c.class_ == ESC_CLASS_B;
  ESC_TRY(sampling_floor(&p->activation, samples, c.c1, &t->rules.floor));
  t->rules.rate = p->rate;
done:
  return status;
}

/* ---- networks ---- */

static esc_status measure_networks(const esc_results *r, esc_plateau_table *t) {
  esc_status status = ESC_OK;
  t->members = r->members;
  ESC_TRY_ALLOCATE(t->network = calloc((size_t)r->members + 1, sizeof *t->network));
  for (int64_t i = 0; i < r->members; i++) {
    t->network[i] = (esc_plateau_network){.member = r->member[i],
                                          .seed = r->seed[i],
                                          .bottleneck = r->bottleneck[i],
                                          .scale = r->scale[i]};
    esc_plateau_measure(r, i, &t->rules, &t->network[i].plateau);
  }
done:
  return status;
}

/* ---- sets ---- */

static bool same_group(const esc_results *t, int64_t i, int64_t j) {
  return t->group[i] == t->group[j];
}

static bool same_scale(const esc_results *t, int64_t i, int64_t j) {
  return same_group(t, i, j) && t->scale[i] == t->scale[j];
}

/* First member behind those that are the same as member `first`. */
static int64_t find_end(const esc_results *t, int64_t first,
                        bool (*same)(const esc_results *, int64_t, int64_t)) {
  int64_t end = first + 1;
  while (end < t->members && same(t, first, end)) end++;
  return end;
}

static esc_plateau_set make_set(const esc_plateau_source *s, int64_t first, int64_t end) {
  const esc_results *r = s->results;
  esc_plateau_set set = {.first = first,
                         .members = end - first,
                         .group = r->group[first],
                         .bottleneck = r->bottleneck[first],
                         .small_layers = r->small_layers[first],
                         .scale = r->scale[first]};
  for (int64_t i = first; i < end; i++) {
    set.exited += s->table->network[i].plateau.exit_step >= 0;
    set.lost_updates = fmax(set.lost_updates, r->lost_updates[i]);
  }
  return set;
}

/* The set of a group over its scales, and one set for each scale. */
static void add_group(const esc_plateau_source *s, int64_t first, int64_t end,
                      esc_plateau_table *t) {
  esc_plateau_set *group = &t->group[t->groups++];
  *group = make_set(s, first, end);
  group->scale = (double)NAN;
  group->first_set = t->sets;
  group->rows = esc_plateau_scaling_rows(s, first, end, group->row);
  for (int64_t next; first < end; first = next) {
    next = find_end(s->results, first, same_scale);
    esc_plateau_set *set = &t->set[t->sets++];
    *set = make_set(s, first, next);
    set->rows = esc_plateau_exponent_rows(s, first, next, set->row);
    set->rows +=
        esc_plateau_number_rows(s, first, next, group->rows, group->row, set->row + set->rows);
  }
  group->sets = t->sets - group->first_set;
}

static void count_sets(const esc_results *r, size_t *groups, size_t *sets) {
  for (int64_t first = 0; first < r->members; first = find_end(r, first, same_group)) ++*groups;
  for (int64_t first = 0; first < r->members; first = find_end(r, first, same_scale)) ++*sets;
}

static esc_status make_sets(const esc_plateau_source *s, esc_plateau_table *t) {
  esc_status status = ESC_OK;
  size_t groups = 0, sets = 0;
  count_sets(s->results, &groups, &sets);
  ESC_TRY_ALLOCATE(t->group = calloc(groups + 1, sizeof *t->group));
  ESC_TRY_ALLOCATE(t->set = calloc(sets + 1, sizeof *t->set));
  for (int64_t first = 0, end; first < t->members; first = end) {
    end = find_end(s->results, first, same_group);
    add_group(s, first, end, t);
  }
done:
  return status;
}

esc_status esc_plateau_table_create(const esc_results *results, const esc_problem *problem,
                                    int samples, double window, esc_plateau_table *out) {
  esc_status status = ESC_OK;
  esc_plateau_source s = {.results = results, .table = out};
  const size_t rows = (size_t)results->members + 1;
  *out = (esc_plateau_table){.rules = {.window = window}};
  ESC_TRY(set_rules(out, problem, samples));
  ESC_TRY(measure_networks(results, out));
  for (int k = 0; k < 3; k++) ESC_TRY_ALLOCATE(s.work[k] = calloc(rows, sizeof *s.work[k]));
  ESC_TRY_ALLOCATE(s.index = calloc(rows, sizeof *s.index));
  ESC_TRY(make_sets(&s, out));
done:
  for (int k = 0; k < 3; k++) free(s.work[k]);
  free(s.index);
  return status;
}

void esc_plateau_table_free(esc_plateau_table *table) {
  free(table->network);
  free(table->set);
  free(table->group);
  *table = (esc_plateau_table){0};
}

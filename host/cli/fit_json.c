/* SPDX-License-Identifier: Apache-2.0 */
/* Fits as JSON, for `fit --json` and for the drawing script of `plot`. */
#include <math.h>

#include "cli/cli.h"
#include "escapement/fit.h"
#include "escapement/limits.h"

enum { NUMBER = 32, SENTENCE = 256 }; /* bytes of a correction term, of a warning */

static json_t *points_to_json(const esc_fit_group *g) {
  json_t *points = json_array();
  for (int i = 0; i < g->points; i++) {
    const esc_fit_point *p = &g->point[i];
    json_t *point = json_object();
    json_object_set_new(point, "scale", esc_json_number(p->scale));
    json_object_set_new(point, "mean", esc_json_number(p->mean));
    json_object_set_new(point, "median", esc_json_number(p->median));
    json_object_set_new(point, "sd", esc_json_number(p->sd));
    json_object_set_new(point, "n", json_integer(p->n));
    json_object_set_new(point, "censored", json_integer(p->censored));
    json_object_set_new(point, "running", json_integer(p->running));
    json_object_set_new(point, "waiting", json_integer(p->waiting));
    json_array_append_new(points, point);
  }
  return points;
}

/* Layers that carry the small scale, counted from 1. */
static json_t *layers_to_json(int64_t small_layers) {
  json_t *layers = json_array();
  for (int l = 0; l < ESC_LAYERS_MAX; l++)
    if ((uint64_t)small_layers >> l & 1) json_array_append_new(layers, json_integer(l + 1));
  return layers;
}

static json_t *numbers_to_json(int n, const double *value) {
  json_t *numbers = json_array();
  for (int i = 0; i < n; i++) json_array_append_new(numbers, esc_json_number(value[i]));
  return numbers;
}

/* For r = 2 the limit is a number of steps per decade instead of a slope. */
static json_t *limit_to_json(const esc_fit_group *g) {
  const esc_limit *l = &g->limit;
  const bool decade = g->law == ESC_LAW_LOGARITHMIC;
  json_t *limit = json_object(), *terms = json_array();
  char text[NUMBER];
  for (int i = 0; i < l->terms; i++) {
    esc_correction_print(&l->term[i], text, sizeof text);
    json_array_append_new(terms, json_string(text));
  }
  json_object_set_new(limit, "quantity", json_string(decade ? "steps per decade" : "slope"));
  json_object_set_new(limit, "slope", esc_json_number(decade ? (double)NAN : l->slope));
  json_object_set_new(limit, "value", esc_json_number(l->slope));
  json_object_set_new(limit, "stderr", esc_json_number(l->standard_error));
  json_object_set_new(limit, "lower", esc_json_number(l->lower));
  json_object_set_new(limit, "upper", esc_json_number(l->upper));
  json_object_set_new(limit, "terms", terms);
  json_object_set_new(limit, "dof", json_integer(l->dof));
  json_object_set_new(limit, "chi2", esc_json_number(l->chi2));
  json_object_set_new(limit, "p_value", esc_json_number(l->p_value));
  json_object_set_new(limit, "systematic", esc_json_number(l->systematic));
  json_object_set_new(limit, "next", esc_json_number(l->slope_next));
  json_object_set_new(limit, "stderr_next", esc_json_number(l->stderr_next));
  return limit;
}

static json_t *warnings_to_json(const esc_fit_group *g) {
  json_t *warnings = json_array();
  char text[SENTENCE];
  for (int w = 0; w < ESC_FIT_WARNINGS; w++)
    if (esc_fit_warning_print(g, (esc_fit_warning)w, text, sizeof text))
      json_array_append_new(warnings, json_string(text));
  return warnings;
}

/* Values of the swept keys. */
static json_t *keys_to_json(const esc_fit_group *g) {
  json_t *keys = json_object();
  for (int k = 0; k < g->keys; k++) {
    json_t *number =
        g->key[k].is_number ? json_loads(g->key[k].value, JSON_DECODE_ANY, NULL) : NULL;
    json_object_set_new(keys, g->key[k].name, number ? number : esc_json_text(g->key[k].value));
  }
  return keys;
}

static json_t *group_to_json(const esc_fit_group *g) {
  json_t *group = json_object();
  if (g->keys) json_object_set_new(group, "grid", keys_to_json(g));
  json_object_set_new(group, "bottleneck", json_integer(g->bottleneck));
  json_object_set_new(group, "small_layers", layers_to_json(g->small_layers));
  json_object_set_new(group, "threshold", json_real(g->threshold));
  json_object_set_new(group, "law", json_string(esc_law_name(g->law)));
  json_object_set_new(group, "predicted", json_real(g->predicted));
  json_object_set_new(group, "slope", esc_json_number(g->slope));
  json_object_set_new(group, "stderr", esc_json_number(g->standard_error));
  json_object_set_new(group, "lower", esc_json_number(g->lower));
  json_object_set_new(group, "upper", esc_json_number(g->upper));
  json_object_set_new(group, "dof", esc_json_number(g->dof));
  json_object_set_new(group, "method",
                      json_string(g->estimator == ESC_ESTIMATOR_MEANS ? "mean" : "censored"));
  json_object_set_new(group, "estimator", json_string(esc_estimator_name(g->estimator)));
  json_object_set_new(group, "slope_weighted", esc_json_number(g->slope_weighted));
  json_object_set_new(group, "stderr_weighted", esc_json_number(g->stderr_weighted));
  json_object_set_new(group, "slope_median", esc_json_number(g->slope_median));
  json_object_set_new(group, "stderr_median", esc_json_number(g->stderr_median));
  json_object_set_new(group, "median_dropped", json_integer(g->median_dropped));
  json_object_set_new(group, "slope_censored", esc_json_number(g->slope_censored));
  json_object_set_new(group, "stderr_censored", esc_json_number(g->stderr_censored));
  json_object_set_new(group, "limit", limit_to_json(g));
  json_object_set_new(group, "steps_per_decade", esc_json_number(g->steps_per_decade));
  json_object_set_new(group, "delay_negative", esc_json_number(g->delay_negative));
  json_object_set_new(group, "signal_correlation", esc_json_number(g->signal_correlation));
  json_object_set_new(group, "seeds", json_integer(g->seeds));
  json_object_set_new(group, "n", json_integer(g->n));
  json_object_set_new(group, "censored", json_integer(g->censored));
  json_object_set_new(group, "diverged", json_integer(g->diverged));
  json_object_set_new(group, "running", json_integer(g->running));
  json_object_set_new(group, "waiting", json_integer(g->waiting));
  json_object_set_new(group, "local", numbers_to_json(g->points - 1, g->local));
  json_object_set_new(group, "local_lower", numbers_to_json(g->points - 1, g->local_lower));
  json_object_set_new(group, "local_upper", numbers_to_json(g->points - 1, g->local_upper));
  json_object_set_new(group, "points", points_to_json(g));
  json_object_set_new(group, "warnings", warnings_to_json(g));
  return group;
}

json_t *esc_fit_to_json(const esc_fit *fit) {
  json_t *groups = json_array();
  for (int i = 0; i < fit->groups; i++)
    json_array_append_new(groups, group_to_json(&fit->group[i]));
  return groups;
}

/* escapement fit: the slope table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/options.h"

static const char *law_name(esc_law law) {
  switch (law) {
    case ESC_LAW_CONSTANT: return "constant";
    case ESC_LAW_LOGARITHMIC: return "logarithmic";
    default: return "power";
  }
}

static json_t *points_to_json(const esc_fit_group *g) {
  json_t *points = json_array();
  for (int i = 0; i < g->points; i++) {
    const esc_fit_point *p = &g->point[i];
    json_t *point = json_object();
    json_object_set_new(point, "scale", json_real(p->scale));
    json_object_set_new(point, "mean", esc_json_number(p->mean));
    json_object_set_new(point, "median", esc_json_number(p->median));
    json_object_set_new(point, "sd", esc_json_number(p->sd));
    json_object_set_new(point, "n", json_integer(p->n));
    json_object_set_new(point, "censored", json_integer(p->censored));
    json_array_append_new(points, point);
  }
  return points;
}

/* Layers that carry the small scale, counted from 1. */
static json_t *layers_to_json(int64_t small_layers) {
  json_t *layers = json_array();
  for (int l = 0; l < ESC_LAYERS_MAX; l++)
    if (small_layers >> l & 1) json_array_append_new(layers, json_integer(l + 1));
  return layers;
}

static json_t *group_to_json(const esc_fit_group *g) {
  json_t *group = json_object(), *local = json_array();
  json_object_set_new(group, "bottleneck", json_integer(g->bottleneck));
  json_object_set_new(group, "small_layers", layers_to_json(g->small_layers));
  json_object_set_new(group, "threshold", json_real(g->threshold));
  json_object_set_new(group, "law", json_string(law_name(g->law)));
  json_object_set_new(group, "predicted", json_real(g->predicted));
  json_object_set_new(group, "slope", esc_json_number(g->slope));
  json_object_set_new(group, "stderr", esc_json_number(g->standard_error));
  json_object_set_new(group, "lower", esc_json_number(g->lower));
  json_object_set_new(group, "upper", esc_json_number(g->upper));
  json_object_set_new(group, "method", json_string(g->censored_headline ? "censored" : "mean"));
  json_object_set_new(group, "slope_weighted", esc_json_number(g->slope_weighted));
  json_object_set_new(group, "stderr_weighted", esc_json_number(g->stderr_weighted));
  json_object_set_new(group, "slope_median", esc_json_number(g->slope_median));
  json_object_set_new(group, "slope_censored", esc_json_number(g->slope_censored));
  json_object_set_new(group, "stderr_censored", esc_json_number(g->stderr_censored));
  json_object_set_new(group, "steps_per_decade", esc_json_number(g->steps_per_decade));
  json_object_set_new(group, "delay_negative", esc_json_number(g->delay_negative));
  json_object_set_new(group, "signal_correlation", esc_json_number(g->signal_correlation));
  json_object_set_new(group, "n", json_integer(g->n));
  json_object_set_new(group, "censored", json_integer(g->censored));
  json_object_set_new(group, "diverged", json_integer(g->diverged));
  for (int i = 0; i + 1 < g->points; i++)
    json_array_append_new(local, esc_json_number(g->local[i]));
  json_object_set_new(group, "local", local);
  json_object_set_new(group, "points", points_to_json(g));
  return group;
}

json_t *esc_fit_to_json(const esc_fit *fit) {
  json_t *groups = json_array();
  for (int i = 0; i < fit->groups; i++)
    json_array_append_new(groups, group_to_json(&fit->group[i]));
  return groups;
}

/* "-1.003" or "-" where there is no number. */
static const char *number(double x, char text[16]) {
  if (isfinite(x))
    snprintf(text, 16, "%.3f", x);
  else
    snprintf(text, 16, "-");
  return text;
}

static void print_group(const esc_fit_group *g) {
  char slope[16], error[16], weighted[16], median[16], censored[16];
  printf("%3d  %9g  %9.0f  %8s  %7s  %8s  %7s  %9s  %5lld  %8lld\n", g->bottleneck, g->threshold,
         g->predicted, number(g->slope, slope), number(g->standard_error, error),
         number(g->slope_weighted, weighted), number(g->slope_median, median),
         number(g->slope_censored, censored), (long long)g->n, (long long)g->censored);
}

/* What a slope alone does not show: points, local slopes, the r = 2 law. */
static void print_points(const esc_fit_group *g) {
  char local[16];
  printf("\nr = %d, threshold %g%s\n", g->bottleneck, g->threshold,
         g->censored_headline ? " (slope from the censored fit: some members did not escape)" : "");
  if (g->law == ESC_LAW_LOGARITHMIC)
    printf("  steps per decade of epsilon: %s\n", number(g->steps_per_decade, local));
  if (isfinite(g->delay_negative))
    printf(
        "  members with S(0) < 0 escape %.2f times as late; correlation of log t* with S(0): %s\n",
        g->delay_negative, number(g->signal_correlation, local));
  printf("  %-10s %10s %10s %9s %5s %8s  %s\n", "scale", "mean", "median", "sd", "n", "censored",
         "local slope");
  for (int i = 0; i < g->points; i++) {
    const esc_fit_point *p = &g->point[i];
    printf("  %-10g %10.1f %10.1f %9.1f %5lld %8lld  %s\n", p->scale, p->mean, p->median, p->sd,
           (long long)p->n, (long long)p->censored,
           i + 1 < g->points ? number(g->local[i], local) : "");
  }
}

static void print_table(const esc_fit *fit, bool brief) {
  printf(
      "  r  threshold  predicted     slope   stderr  weighted   median   censored      n  "
      "censored\n");
  for (int i = 0; i < fit->groups; i++) print_group(&fit->group[i]);
  for (int i = 0; i < fit->groups && !brief; i++) print_points(&fit->group[i]);
}

esc_status esc_verb_fit(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, brief = false, help = false;
  int first = 0, tables = 0;
  esc_results **table = NULL;
  esc_fit fit = {0};
  const esc_option options[] = {
      {"json", 0, NULL, "one JSON object on stdout", .flag = &json},
      {"brief", 0, NULL, "the table of slopes alone", .flag = &brief},
      {0},
  };
  const esc_command command = {
      "fit OUT.h5... [options]",
      "Slopes of log t* on log epsilon for every bottleneck and threshold: of the seed means "
      "(with\n"
      "the bootstrap error over seeds), weighted, of the medians, and by a log-normal fit that\n"
      "counts members that did not escape as censored.",
      options};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  ESC_TRY(esc_tables_read(argc, argv, first, &tables, &table));
  ESC_TRY(esc_fit_results(tables, (const esc_results *const *)table, &fit));
  if (json) {
    json_t *object = json_object();
    json_object_set_new(object, "groups", esc_fit_to_json(&fit));
    ESC_TRY(esc_json_print(object));
  } else {
    print_table(&fit, brief);
  }
done:
  esc_fit_free(&fit);
  esc_tables_free(tables, table);
  return status;
}

/* escapement fit: the slope table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/tables.h"

enum { NUMBER = 32, LAYERS = 192 }; /* bytes of a number, and of a set of layers, as text */

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
    json_object_set_new(point, "scale", esc_json_number(p->scale));
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
    if ((uint64_t)small_layers >> l & 1) json_array_append_new(layers, json_integer(l + 1));
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

/* "-1.003", or "-" where there is no number. */
static const char *number(double x, int decimals, char text[NUMBER]) {
  if (isfinite(x))
    snprintf(text, NUMBER, "%.*f", decimals, x);
  else
    snprintf(text, NUMBER, "-");
  return text;
}

/* What stands behind a number that is biased, if there is a number. */
static const char *mark(double x, bool biased) { return biased && isfinite(x) ? "*" : ""; }

/* Some of the point's members, not all, are missing from its mean. */
static bool is_partial(const esc_fit_point *p) { return p->censored > 0 && p->censored < p->n; }

static bool any_partial(const esc_fit_group *g) {
  for (int i = 0; i < g->points; i++)
    if (is_partial(&g->point[i])) return true;
  return false;
}

static bool is_small(const esc_fit_group *g, int layer) {
  return layer <= ESC_LAYERS_MAX && (uint64_t)g->small_layers >> (layer - 1) & 1;
}

/* "1-3", "3 4", "1 4-6"; "-" where the file does not say. */
static const char *layers(const esc_fit_group *g, char text[LAYERS]) {
  int used = 0;
  snprintf(text, LAYERS, "-");
  for (int first = 1, last; first <= ESC_LAYERS_MAX; first = last + 1) {
    last = first;
    if (!is_small(g, first)) continue;
    while (is_small(g, last + 1)) last++;
    if (last == first + 1) last = first; /* a dash would save nothing */
    used += snprintf(text + used, (size_t)(LAYERS - used), "%s%d", used ? " " : "", first);
    if (last > first) used += snprintf(text + used, (size_t)(LAYERS - used), "-%d", last);
  }
  return text;
}

static void print_group(const esc_fit_group *g, int layers_width) {
  char small[LAYERS], slope[NUMBER], error[NUMBER], weighted[NUMBER], median[NUMBER],
      censored[NUMBER];
  printf("%3d  %*s  %9g  %9.0f  %8s  %7s  %8s%-1s %7s  %9s  %5lld  %8lld\n", g->bottleneck,
         layers_width, layers(g, small), g->threshold, g->predicted, number(g->slope, 3, slope),
         number(g->standard_error, 3, error), number(g->slope_weighted, 3, weighted),
         mark(g->slope_weighted, any_partial(g)), number(g->slope_median, 3, median),
         number(g->slope_censored, 3, censored), (long long)g->n, (long long)g->censored);
}

/* "r = 2, layers 3 4, threshold 0.1, 3 diverged, left out" */
static void print_title(const esc_fit_group *g) {
  char small[LAYERS];
  const uint64_t set = (uint64_t)g->small_layers;
  const bool first_layers = (set & (set + 1)) == 0; /* or not known */
  printf("\nr = %d%s%s, threshold %g", g->bottleneck, first_layers ? "" : ", layers ",
         first_layers ? "" : layers(g, small), g->threshold);
  if (g->diverged) printf(", %lld diverged, left out", (long long)g->diverged);
  puts(g->censored_headline ? " (slope from the censored fit: some members did not escape)" : "");
}

/* Laws that no slope shows: the r = 2 law, and the two signs of S(0). */
static void print_laws(const esc_fit_group *g) {
  char decade[NUMBER], delay[NUMBER], correlation[NUMBER];
  const bool biased = any_partial(g);
  if (g->law == ESC_LAW_LOGARITHMIC)
    printf("  steps per decade of epsilon: %s%s\n", number(g->steps_per_decade, 3, decade),
           mark(g->steps_per_decade, biased));
  if (isfinite(g->delay_negative))
    printf(
        "  members with S(0) < 0 escape %s%s times as late; correlation of log t* with S(0): "
        "%s%s\n",
        number(g->delay_negative, 2, delay), mark(g->delay_negative, biased),
        number(g->signal_correlation, 3, correlation), mark(g->signal_correlation, biased));
}

static void print_point(const esc_fit_group *g, int i) {
  char mean[NUMBER], median[NUMBER], sd[NUMBER], local[NUMBER];
  const esc_fit_point *p = &g->point[i];
  const bool last = i + 1 == g->points, biased = is_partial(p);
  const double slope = last ? (double)NAN : g->local[i];
  const bool slope_biased = !last && (biased || is_partial(p + 1));
  printf("  %-10g %10s%-1s %10s %9s%-1s %5lld %8lld  %s%s\n", p->scale, number(p->mean, 1, mean),
         mark(p->mean, biased), number(p->median, 1, median), number(p->sd, 1, sd),
         mark(p->sd, biased), (long long)p->n, (long long)p->censored, number(slope, 3, local),
         mark(slope, slope_biased));
}

/* What a slope alone does not show. */
static void print_points(const esc_fit_group *g) {
  print_title(g);
  print_laws(g);
  printf("  %-10s %10s  %10s %9s  %5s %8s  %s\n", "scale", "mean", "median", "sd", "n", "censored",
         "local slope");
  for (int i = 0; i < g->points; i++) print_point(g, i);
}

/* The width of the longest layers' text, or of the column's title. */
static int width_of_layers(const esc_fit *fit) {
  size_t width = strlen("layers");
  for (int i = 0; i < fit->groups; i++) {
    char small[LAYERS];
    const size_t length = strlen(layers(&fit->group[i], small));
    if (length > width) width = length;
  }
  return (int)width;
}

static void print_table(const esc_fit *fit, bool brief) {
  const int width = width_of_layers(fit);
  bool marked = false;
  printf(
      "  r  %*s  threshold  predicted     slope   stderr  weighted   median   censored      n  "
      "censored\n",
      width, "layers");
  for (int i = 0; i < fit->groups; i++) {
    const esc_fit_group *g = &fit->group[i];
    print_group(g, width);
    marked = marked || (any_partial(g) && (!brief || isfinite(g->slope_weighted)));
  }
  if (marked) puts("* of the members that escaped: biased where some are censored");
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
      "counts members that did not escape as censored. Several files must be of one experiment.",
      options};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  ESC_TRY(esc_tables_read(argc, argv, first, &tables, &table));
  ESC_TRY(esc_tables_same_experiment(tables, table, argv + first));
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

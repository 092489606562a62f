/* SPDX-License-Identifier: Apache-2.0 */
/* escapement fit: table of slopes, and details of each group. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/fit_keys.h"
#include "cli/options.h"
#include "cli/output.h"
#include "escapement/fit.h"
#include "figure/figure.h"

enum { NUMBER = 32, LAYERS = 192, SENTENCE = 256 }; /* sizes of texts, bytes */

/* "-1.003", or "-" for a missing number. */
static const char *number(double x, int decimals, char text[NUMBER]) {
  if (isfinite(x))
    snprintf(text, NUMBER, "%.*f", decimals, x);
  else
    snprintf(text, NUMBER, "-");
  return text;
}

/* An error: two digits. */
static const char *error_text(double x, char text[NUMBER]) {
  if (isfinite(x))
    snprintf(text, NUMBER, "%.2g", x);
  else
    snprintf(text, NUMBER, "-");
  return text;
}

/* The mark behind a biased number. */
static const char *mark(double x, bool biased) { return biased && isfinite(x) ? "*" : ""; }

/* Some, not all, members of the point have escaped, so that its mean is biased. */
static bool is_partial(const esc_fit_point *p) {
  return p->censored + p->running + p->waiting > 0 && p->censored < p->n;
}

static bool is_unfinished(const esc_fit_group *g) { return g->running + g->waiting > 0; }

static bool any_partial(const esc_fit_group *g) {
  for (int i = 0; i < g->points; i++)
    if (is_partial(&g->point[i])) return true;
  return false;
}

/* "1–3", "3–4", "1, 4–6"; "-" if the file has no layers. */
static const char *layers(const esc_fit_group *g, char text[LAYERS]) {
  esc_layers_list(g->small_layers, text, LAYERS);
  return text[0] ? text : "-";
}

/* Number of UTF-8 characters. */
static int characters(const char *text) {
  int count = 0;
  for (; *text; text++) count += (*text & 0xc0) != 0x80;
  return count;
}

static void print_group(const esc_fit *fit, const esc_fit_group *g, int layers_width) {
  char small[LAYERS], text[6][NUMBER];
  const bool decade = g->law == ESC_LAW_LOGARITHMIC; /* its limit is not a slope */
  const double value[6] = {g->slope,
                           g->lower,
                           g->upper,
                           decade ? (double)NAN : g->limit.slope,
                           decade ? (double)NAN : g->limit.lower,
                           decade ? (double)NAN : g->limit.upper};
  const char *set = layers(g, small);
  esc_fit_keys_print_values(fit, g);
  printf("%3d  %*s%s  %9g  ", g->bottleneck, layers_width - characters(set), "", set, g->threshold);
  if (decade)
    printf("%9s", "log");
  else
    printf("%9.0f", g->predicted);
  for (int i = 0; i < 6; i++) printf(" %s%7s", i % 3 ? "" : " ", number(value[i], 3, text[i]));
  printf("  %5lld  %8lld\n", (long long)g->n, (long long)g->censored);
}

/* "r = 2, layers 3–4, threshold 0.1, 3 diverged (excluded)" */
static void print_title(const esc_fit_group *g) {
  char small[LAYERS], keys[SENTENCE];
  const uint64_t set = (uint64_t)g->small_layers;
  const bool first_layers = (set & (set + 1)) == 0; /* or not known */
  esc_fit_keys_print(g, keys, sizeof keys);
  printf("\n%sr = %d%s%s, threshold %g", keys, g->bottleneck, first_layers ? "" : ", layers ",
         first_layers ? "" : layers(g, small), g->threshold);
  if (g->diverged) printf(", %lld diverged (excluded)", (long long)g->diverged);
  puts("");
}

/* "slope -1.007 +- 0.0006 over 16 seeds (...)", "slope <= -1.65 (95%)", or the reason for a missing
 * slope. */
static void print_slope(const esc_fit_group *g) {
  char slope[NUMBER], error[NUMBER], dof[NUMBER];
  if (!isfinite(g->slope)) {
    const bool above = isfinite(g->upper);
    if (above || isfinite(g->lower))
      printf("  slope %s %.4f (95%%, one-sided)\n",
             above ? "<=" : ">=", above ? g->upper : g->lower);
    else
      puts("  no slope: members escaped at fewer than two scales");
    return;
  }
  printf("  slope %s from %s", number(g->slope, 4, slope), esc_estimator_name(g->estimator));
  if (isfinite(g->standard_error))
    printf(", +- %s over %lld seed%s (Student's t, %s degrees of freedom)",
           error_text(g->standard_error, error), (long long)g->seeds, g->seeds == 1 ? "" : "s",
           g->dof < 1e5 ? number(g->dof, 1, dof) : "many");
  puts("");
}

static void print_limit(const esc_fit_group *g) {
  const esc_limit *l = &g->limit;
  const bool decade = g->law == ESC_LAW_LOGARITHMIC;
  const int decimals = decade ? 1 : 4;
  char value[NUMBER], error[NUMBER], next[NUMBER], lower[NUMBER], upper[NUMBER], term[NUMBER];
  if (!isfinite(l->slope)) {
    puts(g->points < 3
             ? "  no limit at eps = 0: requires three scales; the interval is that of the slope "
               "over this range of eps"
             : "  no limit at eps = 0: too few scales have a mean");
    return;
  }
  printf("  limit at eps = 0: %s%s", decade ? "steps per decade " : "",
         number(l->slope, decimals, value));
  if (!isfinite(l->lower)) {
    puts(", no interval: the error is unknown with a single member per scale");
    return;
  }
  printf(" +- %s, 95%% [%s, %s], correction", error_text(l->standard_error, error),
         number(l->lower, decimals, lower), number(l->upper, decimals, upper));
  for (int i = 0; i < l->terms; i++) {
    esc_correction_print(&l->term[i], term, sizeof term);
    printf("%s %s", i ? "," : "", term);
  }
  if (isfinite(l->p_value))
    printf("; T² = %.2f, %d degree%s of freedom, p = %.2g", l->chi2, l->dof, l->dof == 1 ? "" : "s",
           l->p_value);
  if (isfinite(l->slope_next))
    printf("; with one more term %s\n", number(l->slope_next, decimals, next));
  else
    puts(
        "; too few scales for one more term: the interval is widened by the change due to the last "
        "term");
}

static void print_others(const esc_fit_group *g) {
  char weighted[NUMBER], median[NUMBER], censored[NUMBER], error[3][NUMBER];
  const bool partial = any_partial(g);
  if (!isfinite(g->slope_weighted) && !isfinite(g->slope_median) && !isfinite(g->slope_censored))
    return;
  printf("  other estimators: weighted means %s%s +- %s, medians %s%s +- %s, log-normal %s +- %s\n",
         number(g->slope_weighted, 3, weighted), mark(g->slope_weighted, partial),
         error_text(g->stderr_weighted, error[0]), number(g->slope_median, 3, median),
         mark(g->slope_median, g->median_dropped > 0), error_text(g->stderr_median, error[1]),
         number(g->slope_censored, 3, censored), error_text(g->stderr_censored, error[2]));
}

static void print_warnings(const esc_fit_group *g) {
  char text[SENTENCE];
  for (int w = 0; w < ESC_FIT_WARNINGS; w++)
    if (esc_fit_warning_print(g, (esc_fit_warning)w, text, sizeof text))
      printf("  warning: %s\n", text);
}

/* Results that are not slopes: steps a decade for r = 2, and the delay for S(0) < 0. */
static void print_other_results(const esc_fit_group *g) {
  char decade[NUMBER], delay[NUMBER], correlation[NUMBER];
  const bool biased = any_partial(g);
  if (g->law == ESC_LAW_LOGARITHMIC)
    printf("  steps per decade of epsilon over this range: %s%s\n",
           number(g->steps_per_decade, 3, decade), mark(g->steps_per_decade, biased));
  if (isfinite(g->delay_negative))
    printf(
        "  members with S(0) < 0 escape %s%s times as late; correlation of log t* with S(0): "
        "%s%s\n",
        number(g->delay_negative, 2, delay), mark(g->delay_negative, biased),
        number(g->signal_correlation, 3, correlation), mark(g->signal_correlation, biased));
}

/* "-1.003", or "<= -2.900" if only one bound is known. */
static const char *local_text(const esc_fit_group *g, int i, char text[NUMBER]) {
  const double slope = g->local[i], lower = g->local_lower[i], upper = g->local_upper[i];
  const bool biased = is_partial(&g->point[i]) || is_partial(&g->point[i + 1]);
  if (isfinite(slope))
    snprintf(text, NUMBER, "%.3f%s", slope, mark(slope, biased));
  else if (isfinite(upper) || isfinite(lower))
    snprintf(text, NUMBER, "%s %.3f",
             isfinite(upper) ? "<=" : ">=", isfinite(upper) ? upper : lower);
  else
    snprintf(text, NUMBER, "-");
  return text;
}

static void print_point(const esc_fit_group *g, int i) {
  char mean[NUMBER], median[NUMBER], sd[NUMBER], local[NUMBER];
  const esc_fit_point *p = &g->point[i];
  const bool biased = is_partial(p);
  printf("  %-10g %10s%-1s %10s %9s%-1s %5lld %8lld  ", p->scale, number(p->mean, 1, mean),
         mark(p->mean, biased), number(p->median, 1, median), number(p->sd, 1, sd),
         mark(p->sd, biased), (long long)p->n, (long long)p->censored);
  if (is_unfinished(g)) printf("%8lld %8lld  ", (long long)p->running, (long long)p->waiting);
  puts(i + 1 < g->points ? local_text(g, i, local) : "-");
}

/* Details of a group: errors, limit, other estimators, steps a decade, warnings, points. */
static void print_points(const esc_fit_group *g) {
  print_title(g);
  print_slope(g);
  print_limit(g);
  print_others(g);
  print_other_results(g);
  print_warnings(g);
  printf("  %-10s %10s  %10s %9s  %5s %8s  %slocal slope\n", "scale", "mean", "median", "sd", "n",
         "censored", is_unfinished(g) ? "training  waiting  " : "");
  for (int i = 0; i < g->points; i++) print_point(g, i);
}

/* Width of the column "layers". */
static int width_of_layers(const esc_fit *fit) {
  int width = characters("layers");
  for (int i = 0; i < fit->groups; i++) {
    char small[LAYERS];
    const int length = characters(layers(&fit->group[i], small));
    if (length > width) width = length;
  }
  return width;
}

/* Explains the marks, if there are any. */
static void print_marks(const esc_fit *fit) {
  bool escaped = false, medians = false, unfinished = false;
  for (int i = 0; i < fit->groups; i++) {
    escaped = escaped || any_partial(&fit->group[i]);
    unfinished = unfinished || is_unfinished(&fit->group[i]);
    medians = medians || (fit->group[i].median_dropped > 0 && isfinite(fit->group[i].slope_median));
  }
  if (escaped || medians) puts("");
  if (escaped)
    printf("* of escaped members only: biased if some are censored%s\n",
           unfinished ? " or not known yet" : "");
  if (medians)
    puts("* medians: of scales with an uncensored median only: biased by this selection");
}

/* The groups from `first` on with the same warning, as "r = 3, threshold 0.08; ...". */
static void print_groups_warned(const esc_fit *fit, int first, esc_fit_warning w,
                                const char *text) {
  char other[SENTENCE], small[LAYERS], keys[SENTENCE];
  for (int i = first; i < fit->groups; i++) {
    const esc_fit_group *g = &fit->group[i];
    if (!esc_fit_warning_print(g, w, other, sizeof other) || strcmp(text, other) != 0) continue;
    esc_fit_keys_print(g, keys, sizeof keys);
    printf("%s%sr = %d, layers %s, threshold %g", i == first ? " (" : "; ", keys, g->bottleneck,
           layers(g, small), g->threshold);
  }
  puts(")");
}

static bool is_warned_before(const esc_fit *fit, int group, esc_fit_warning w, const char *text) {
  char other[SENTENCE];
  for (int i = 0; i < group; i++)
    if (esc_fit_warning_print(&fit->group[i], w, other, sizeof other) && !strcmp(text, other))
      return true;
  return false;
}

/* For --brief: one line for each warning, with its groups. */
static void print_brief_warnings(const esc_fit *fit) {
  char text[SENTENCE];
  for (int w = 0; w < ESC_FIT_WARNINGS; w++)
    for (int i = 0; i < fit->groups; i++) {
      if (!esc_fit_warning_print(&fit->group[i], (esc_fit_warning)w, text, sizeof text) ||
          is_warned_before(fit, i, (esc_fit_warning)w, text))
        continue;
      printf("warning: %s", text);
      print_groups_warned(fit, i, (esc_fit_warning)w, text);
    }
}

static void print_table(const esc_fit *fit, bool brief) {
  const int width = width_of_layers(fit);
  esc_fit_keys_print_head(fit);
  printf(
      "  r  %*s  threshold  predicted    slope   lower   upper    limit   lower   upper      n  "
      "censored\n",
      width, "layers");
  for (int i = 0; i < fit->groups; i++) print_group(fit, &fit->group[i], width);
  if (brief) {
    print_brief_warnings(fit);
    return;
  }
  for (int i = 0; i < fit->groups; i++) print_points(&fit->group[i]);
  print_marks(fit);
}

/* One line for each unfinished run. */
static void print_unfinished(const json_t *unfinished) {
  for (size_t i = 0; i < json_array_size(unfinished); i++)
    printf("%s\n", json_string_value(json_object_get(json_array_get(unfinished, i), "text")));
  if (json_array_size(unfinished)) puts("");
}

static esc_status print_json(const esc_fit *fit, json_t *unfinished) {
  json_t *object = json_object();
  json_object_set_new(object, "groups", esc_fit_to_json(fit));
  if (json_array_size(unfinished)) json_object_set(object, "unfinished", unfinished);
  return esc_json_print(object);
}

esc_status esc_command_fit(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, brief = false, help = false;
  int first = 0, tables = 0;
  esc_results **table = NULL;
  esc_fit fit = {0};
  json_t *unfinished = NULL;
  const esc_option options[] = {
      {"json", 0, NULL, "print one JSON object", .flag = &json},
      {"brief", 0, NULL, "print only the table of slopes", .flag = &brief},
      {0},
  };
  const esc_command command = {
      "fit OUT.h5... [options]",
      "Fits the slope of log t* against log epsilon for each bottleneck and threshold,\n"
      "with 95% confidence intervals over seeds (Student's t), and extrapolates it to\n"
      "epsilon = 0. A member without an escape is censored. For comparison: weighted\n"
      "least squares, medians, and a log-normal fit. All files must belong to one\n"
      "experiment. Of an unfinished run (OUT.h5 or OUT.h5.journal), members in training\n"
      "are right-censored at the newest checkpoint, and the others are not known yet.",
      .options = options, .suffixes = ESC_RESULT_SUFFIXES};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  ESC_TRY(esc_tables_read_unfinished(argc, argv, first, &tables, &table, &unfinished));
  ESC_TRY(esc_results_fit(tables, (const esc_results *const *)table,
                          (const char *const *)(argv + first), &fit));
  if (json) {
    ESC_TRY(print_json(&fit, unfinished));
  } else {
    print_unfinished(unfinished);
    print_table(&fit, brief);
  }
done:
  json_decref(unfinished);
  esc_fit_free(&fit);
  esc_tables_free(tables, table);
  return status;
}

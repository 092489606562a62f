/* SPDX-License-Identifier: Apache-2.0 */
/* Figure 4: He-normal networks: slopes -(r-2), the corners r = 1 and 2, and how little the
 * threshold matters. */
#include <math.h>
#include <stdio.h>

#include "figure/figure.h"

static double middle_threshold(const esc_results *r) { return r->threshold[r->thresholds / 2]; }

/* Off the manifold the law is the limit of small epsilon. Corrections of relative size epsilon
 * to the factors of r layers may tilt a window by a few per cent; a wrong exponent is off by 1. */
static const char slope_reason[] =
    "5 standard errors over seeds and 0.06 for corrections of the law at finite "
    "$\\varepsilon$; the next exponent is 1 away";

static void name_group(const esc_figure_run *run, const esc_fit_group *g, char *text, size_t size) {
  char activation[32], layers[64];
  esc_activation_title(&run->spec->problem.activation, activation, sizeof activation);
  esc_layers_text(g->small_layers, layers, sizeof layers);
  snprintf(text, size, "%s, $r = %d$, %s", activation, g->bottleneck, layers);
}

static void check_power(esc_figure *f, const esc_fit_group *g, const char *name) {
  esc_check_add(f, g->predicted, g->slope, 0.06 + 5 * g->standard_error, slope_reason,
                "figure 4, %s: slope of $\\log t^*$ on $\\log\\varepsilon$ at threshold %g", name,
                g->threshold);
}

/* r = 1: no dependence; r = 2: as many steps for each decade. */
static void check_corner(esc_figure *f, const esc_fit_group *g, const char *name) {
  const int n = g->points, needed = g->law == ESC_LAW_CONSTANT ? 2 : 3;
  if (n < needed) {
    esc_check_add(f, 0, (double)NAN, 0, "the law is of the change from one scale to the next",
                  "figure 4, %s: %d of the %d scales or more that the check needs", name, n,
                  needed);
    return;
  }
  const double whole = g->point[0].mean - g->point[n - 1].mean;
  if (g->law == ESC_LAW_CONSTANT) {
    esc_check_add(f, 0, whole / g->point[0].mean, 0.05,
                  "five per cent of $t^*$: corrections at the largest $\\varepsilon$; $r = 2$ "
                  "changes by its whole",
                  "figure 4, %s: change of $t^*$ over three decades of $\\varepsilon$, relative",
                  name);
    return;
  }
  const double first = g->point[0].mean - g->point[1].mean;
  const double last = g->point[n - 2].mean - g->point[n - 1].mean;
  const double error = sqrt(g->point[0].sd * g->point[0].sd + g->point[1].sd * g->point[1].sd) /
                       sqrt((double)g->point[0].n);
  esc_check_add(f, 1, first / last, fmin(0.05 + 5 * error / last, 0.5),
                "5 standard errors of a difference of means (at most 0.5; a power law would give "
                "10 or more), 0.05 for corrections at the largest $\\varepsilon$",
                "figure 4, %s: steps of the smallest decade over those of the largest", name);
}

/* Means over seeds, and the law through the mean at the smallest epsilon. */
static void draw_group(json_t *panel, const esc_fit_group *g, int colour, int marker,
                       const char *name) {
  double x[ESC_FIGURE_POINTS_MAX], y[ESC_FIGURE_POINTS_MAX], low[ESC_FIGURE_POINTS_MAX];
  double high[ESC_FIGURE_POINTS_MAX], line[2], ends[2];
  const int n = g->points < ESC_FIGURE_POINTS_MAX ? g->points : ESC_FIGURE_POINTS_MAX;
  const double decades = log10(g->point[n - 1].scale / g->point[0].scale);
  for (int i = 0; i < n; i++) {
    const double error = 2 * g->point[i].sd / sqrt((double)g->point[i].n);
    x[i] = g->point[i].scale;
    y[i] = g->point[i].mean;
    low[i] = y[i] - error;
    high[i] = y[i] + error;
  }
  const esc_plot_series marks = {ESC_MARKS, colour, n, x, y, low, high, marker, 0};
  esc_panel_series(panel, &marks, "%s", name);
  for (int i = 0; i < 2; i++) {
    ends[i] = x[i ? n - 1 : 0];
    line[i] = g->law == ESC_LAW_LOGARITHMIC ? y[0] - i * decades * g->steps_per_decade
                                            : y[0] * pow(ends[i] / x[0], g->predicted);
  }
  const esc_plot_series law = {.role = ESC_DASH, .colour = -1, .count = 2, .x = ends, .y = line};
  esc_panel_series(panel, &law, "%s", "");
}

/* The same r at other thresholds: how far the slope moves. */
static void check_thresholds(esc_figure *f, const esc_fit *fit, const esc_fit_group *g,
                             const char *name) {
  double least = INFINITY, most = -INFINITY;
  for (int i = 0; i < fit->groups; i++)
    if (fit->group[i].bottleneck == g->bottleneck &&
        fit->group[i].small_layers == g->small_layers) {
      least = fmin(least, fit->group[i].slope);
      most = fmax(most, fit->group[i].slope);
    }
  esc_check_add(f, 0, most - least, 0.05,
                "$t^*$ differs between thresholds by a time that does not depend on "
                "$\\varepsilon$: of order its share of $t^*$ at the window's large end",
                "figure 4, %s: spread of the slope over thresholds", name);
}

/* At each threshold a larger r is steeper; no check of a sweep that has one r. */
static void check_order(esc_figure *f, const esc_figure_run *run, const esc_fit *fit) {
  const esc_results *r = run->results;
  char activation[32];
  int wrong = 0, pairs = 0;
  for (int t = 0; t < r->thresholds; t++)
    for (int i = 0; i < fit->groups; i++)
      for (int j = 0; j < fit->groups; j++) {
        const esc_fit_group *a = &fit->group[i], *b = &fit->group[j];
        if (a->threshold == r->threshold[t] && b->threshold == r->threshold[t] &&
            a->bottleneck < b->bottleneck) {
          wrong += !(a->slope > b->slope + 0.5);
          pairs++;
        }
      }
  if (pairs == 0) return;
  esc_activation_title(&run->spec->problem.activation, activation, sizeof activation);
  esc_check_add(f, 0, wrong, 0, "neighbouring exponents differ by 1, so slopes by more than a half",
                "figure 4, %s: pairs of $r$ whose slopes are not in order, over all thresholds",
                activation);
}

static void caption_slope(esc_figure *f, const esc_fit_group *g, const char *name) {
  if (g->law == ESC_LAW_LOGARITHMIC)
    esc_caption_add(f, " %s: %.4g steps a decade.", name, g->steps_per_decade);
  else
    esc_caption_add(f, " %s: slope $%.3f \\pm %.3f$, law $%g$.", name, g->slope,
                    (g->upper - g->lower) / 2, g->predicted);
}

/* Escape times of a sweep at the threshold that is drawn: without one there are no axes. */
static esc_status require_escapes(const esc_figure_run *run, const esc_fit *fit) {
  const double threshold = middle_threshold(run->results);
  const int64_t *const steps = run->results->steps_run;
  int64_t longest = 0;
  for (int i = 0; i < fit->groups; i++)
    for (int k = 0; k < fit->group[i].points; k++)
      if (fit->group[i].threshold == threshold && fit->group[i].point[k].mean > 0) return ESC_OK;
  for (int64_t i = 0; i < run->results->members; i++)
    longest = steps[i] > longest ? steps[i] : longest;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s.h5: none of its %lld members passed the threshold %g after step 0 (steps "
                  "trained: at most %lld), so figure 4 has no escape time to draw; change "
                  "train.steps or escape.thresholds",
                  run->sweep->name, (long long)run->results->members, threshold,
                  (long long)longest);
}

static esc_status add_run(esc_figure *f, const esc_figure_run *run, json_t *panel, bool corners,
                          int repeats[ESC_LAYERS_MAX + 1]) {
  esc_status status = ESC_OK;
  esc_fit fit = {0};
  const esc_results *table = run->results;
  ESC_TRY(esc_fit_results(1, &table, &fit));
  ESC_TRY(require_escapes(run, &fit));
  for (int i = 0; i < fit.groups; i++) {
    const esc_fit_group *g = &fit.group[i];
    char name[128];
    if (g->threshold != middle_threshold(table)) continue;
    name_group(run, g, name, sizeof name);
    draw_group(panel, g, esc_bottleneck_colour(g->bottleneck), repeats[g->bottleneck]++, name);
    caption_slope(f, g, name);
    if (corners) {
      check_corner(f, g, name);
    } else {
      check_power(f, g, name);
      check_thresholds(f, &fit, g, name);
    }
  }
  if (!corners) check_order(f, run, &fit);
done:
  esc_fit_free(&fit);
  return status;
}

esc_status esc_figure_4(esc_figure *f) {
  esc_status status = ESC_OK;
  int repeats[ESC_LAYERS_MAX + 1] = {0}; /* groups of each r so far: their markers differ */
  static const char *const scale_axis = "initialisation scale $\\varepsilon$";
  static const char *const time_axis = "escape time $t^*$ (steps)";
  f->title = "He-normal networks: the critical depth";
  esc_caption_add(
      f,
      "Escape time of He-normal networks, in steps, against the scale $\\varepsilon$ of $r$ small "
      "layers: (a) $r \\geq 3$, both axes logarithmic; (b) the corners $r = 1$ and $r = 2$ at a "
      "smaller rate, time linear. Marks: means over seeds at the middle threshold; bars: two "
      "standard errors. Dashed: the law through the mean at the smallest $\\varepsilon$, where "
      "theory is best: $t^* \\sim \\varepsilon^{-(r-2)}$, a constant for $r = 1$, and for $r = 2$ "
      "$a + b \\log(1/\\varepsilon)$ with $b$ fitted. Slopes of $\\log t^*$ on "
      "$\\log\\varepsilon$, with half of their 95%% interval (Student's t over seeds):");
  json_t *slopes = esc_panel_add(f, "slopes $-(r-2)$", scale_axis, time_axis, "loglog");
  json_t *corners = esc_panel_add(f, "corners", scale_axis, time_axis, "semilogx");
  esc_panel_key(slopes, ESC_DASH, -1, "law, through the smallest $\\varepsilon$");
  for (int i = 0; i < f->runs; i++) {
    const bool corner = f->run[i].results->bottleneck[0] < 3;
    ESC_TRY(add_run(f, &f->run[i], corner ? corners : slopes, corner, repeats));
  }
done:
  return status;
}

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
    "epsilon; the next exponent is 1 away";

static void name_group(const esc_figure_run *run, const esc_fit_group *g, char *text, size_t size) {
  char activation[32], layers[64];
  esc_activation_print(&run->spec->problem.activation, activation, sizeof activation);
  esc_layers_text(g->small_layers, layers, sizeof layers);
  snprintf(text, size, "%s, r = %d, layers %s", activation, g->bottleneck, layers);
}

static void check_power(esc_figure *f, const esc_fit_group *g, const char *name) {
  esc_check_add(f, g->predicted, g->slope, 0.06 + 5 * g->standard_error, slope_reason,
                "figure 4, %s: slope of log t* on log epsilon at threshold %g", name, g->threshold);
}

/* r = 1: no dependence; r = 2: as many steps for each decade. */
static void check_corner(esc_figure *f, const esc_fit_group *g, const char *name) {
  const int n = g->points;
  const double whole = g->point[0].mean - g->point[n - 1].mean;
  if (g->law == ESC_LAW_CONSTANT) {
    esc_check_add(
        f, 0, whole / g->point[0].mean, 0.05,
        "five per cent of t*: corrections at the largest epsilon; r = 2 changes by its whole",
        "figure 4, %s: change of t* over three decades of epsilon, relative", name);
    return;
  }
  const double first = g->point[0].mean - g->point[1].mean;
  const double last = g->point[n - 2].mean - g->point[n - 1].mean;
  const double error = sqrt(g->point[0].sd * g->point[0].sd + g->point[1].sd * g->point[1].sd) /
                       sqrt((double)g->point[0].n);
  esc_check_add(f, 1, first / last, fmin(0.05 + 5 * error / last, 0.5),
                "5 standard errors of a difference of means (at most 0.5; a power law would give "
                "10 or more), 0.05 for corrections at the largest epsilon",
                "figure 4, %s: steps of the smallest decade over those of the largest", name);
}

static void draw_group(json_t *panel, const esc_fit_group *g, int colour, const char *name) {
  double x[ESC_FIGURE_POINTS_MAX], y[ESC_FIGURE_POINTS_MAX], low[ESC_FIGURE_POINTS_MAX];
  double high[ESC_FIGURE_POINTS_MAX], line[2], ends[2];
  const int n = g->points < ESC_FIGURE_POINTS_MAX ? g->points : ESC_FIGURE_POINTS_MAX;
  for (int i = 0; i < n; i++) {
    const double error = 2 * g->point[i].sd / sqrt((double)g->point[i].n);
    x[i] = g->point[i].scale;
    y[i] = g->point[i].mean;
    low[i] = y[i] - error;
    high[i] = y[i] + error;
  }
  const esc_series marks = {ESC_MARKS, colour, n, x, y, low, high};
  esc_panel_series(panel, &marks, "%s", name);
  for (int i = 0; i < 2; i++) {
    ends[i] = x[i ? n - 1 : 0];
    line[i] =
        g->law == ESC_LAW_LOGARITHMIC ? y[i ? n - 1 : 0] : y[0] * pow(ends[i] / x[0], g->predicted);
  }
  const esc_series law = {ESC_DASH, colour, 2, ends, line, NULL, NULL};
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
                "t* differs between thresholds by a time that does not depend on epsilon: of order "
                "its share of t* at the window's large end",
                "figure 4, %s: spread of the slope over thresholds", name);
}

/* At each threshold a larger r is steeper. */
static void check_order(esc_figure *f, const esc_results *r, const esc_fit *fit) {
  int wrong = 0;
  for (int t = 0; t < r->thresholds; t++)
    for (int i = 0; i < fit->groups; i++)
      for (int j = 0; j < fit->groups; j++) {
        const esc_fit_group *a = &fit->group[i], *b = &fit->group[j];
        if (a->threshold == r->threshold[t] && b->threshold == r->threshold[t] &&
            a->bottleneck < b->bottleneck)
          wrong += !(a->slope > b->slope + 0.5);
      }
  esc_check_add(f, 0, wrong, 0, "neighbouring exponents differ by 1, so slopes by more than a half",
                "figure 4: pairs of r whose slopes are not in order, over all thresholds");
}

static esc_status add_run(esc_figure *f, const esc_figure_run *run, json_t *panel, bool corners,
                          int *colour) {
  esc_status status = ESC_OK;
  esc_fit fit = {0};
  const esc_results *table = run->results;
  ESC_TRY(esc_fit_results(1, &table, &fit));
  for (int i = 0; i < fit.groups; i++) {
    const esc_fit_group *g = &fit.group[i];
    char name[128];
    if (g->threshold != middle_threshold(table)) continue;
    name_group(run, g, name, sizeof name);
    draw_group(panel, g, (*colour)++, name);
    if (corners) {
      check_corner(f, g, name);
    } else {
      check_power(f, g, name);
      check_thresholds(f, &fit, g, name);
    }
  }
  if (!corners) check_order(f, table, &fit);
done:
  esc_fit_free(&fit);
  return status;
}

esc_status esc_figure_4(esc_figure *f) {
  esc_status status = ESC_OK;
  int colour = 0, corner_colour = 0;
  f->title = "He-normal networks: the critical depth";
  json_t *slopes =
      esc_panel_add(f, "(a) slopes $-(r-2)$", "$\\varepsilon$", "$t^*$ (steps)", "loglog");
  json_t *corners = esc_panel_add(f, "(b) corners", "$\\varepsilon$", "$t^*$ (steps)", "semilogx");
  for (int i = 0; i < f->runs; i++) {
    const bool corner = f->run[i].results->bottleneck[0] < 3;
    ESC_TRY(add_run(f, &f->run[i], corner ? corners : slopes, corner,
                    corner ? &corner_colour : &colour));
  }
done:
  return status;
}

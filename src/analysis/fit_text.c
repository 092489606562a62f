/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a fit's enumerators, and the texts of its warnings. */
#include <math.h>
#include <stdio.h>

#include "escapement/fit.h"
#include "escapement/internal/library.h"

const char *esc_law_name(esc_law law) {
  switch (law) {
    case ESC_LAW_CONSTANT: return "constant";
    case ESC_LAW_LOGARITHMIC: return "logarithmic";
    default: return "power";
  }
}

const char *esc_estimator_name(esc_estimator estimator) {
  switch (estimator) {
    case ESC_ESTIMATOR_WITHIN: return "pairs within seeds";
    case ESC_ESTIMATOR_ACROSS: return "pairs across seeds";
    case ESC_ESTIMATOR_LOGNORMAL: return "log-normal";
    default: return "log means";
  }
}

void esc_correction_print(const esc_correction *term, char *text, size_t size) {
  char power[32] = "";
  if (term->power > 1) snprintf(power, sizeof power, "^%d", term->power);
  snprintf(text, size, "eps%.10s%s", power, term->log ? " log eps" : "");
}

static void write_few_seeds(const esc_fit_group *g, char *text, size_t size) {
  if (g->seeds == 1)
    snprintf(text, size,
             "1 seed: the interval is the scatter of the scales about the line, not of seeds; use "
             "%d or more",
             ESC_FIT_SEEDS_MIN);
  else
    snprintf(text, size,
             "%lld seeds: the length of the interval is uncertain by %.0f%%; use %d or more",
             (long long)g->seeds, 100 / sqrt(2.0 * (double)(g->seeds - 1)), ESC_FIT_SEEDS_MIN);
}

static void write_far(const esc_fit_group *g, char *text, size_t size) {
  const bool decade = g->law == ESC_LAW_LOGARITHMIC;
  snprintf(text, size,
           "limit at eps = 0: %.*f, against %.*f over these scales: too far for a few correction "
           "terms; add smaller scales",
           decade ? 1 : 3, g->limit.slope, decade ? 1 : 3, decade ? g->steps_per_decade : g->slope);
}

/* Disagreement of the log-normal fit with the headline or with the medians. */
static void write_disagreement(const esc_fit_group *g, esc_fit_warning warning, char *text,
                               size_t size) {
  if (warning == ESC_FIT_SKEWED)
    snprintf(text, size,
             "the log-normal fit (%.3f) and the slope (%.3f) differ by more than the seeds "
             "explain: the times are not log-normal; the slope assumes no distribution",
             g->slope_censored, g->slope);
  else
    snprintf(text, size,
             "the slope of the medians (%.3f) and the log-normal fit (%.3f) differ by more than "
             "the seeds explain: %s",
             g->slope_median, g->slope_censored,
             g->median_dropped ? "medians leave out the scales whose median is censored"
                               : "the times are not log-normal");
}

static void write_unfinished(const esc_fit_group *g, char *text, size_t size) {
  snprintf(
      text, size,
      "unfinished: in training: %lld (right-censored at the newest checkpoint), not known yet: "
      "%lld (left out); means and sd are of those that escaped, the fast ones first, so biased",
      (long long)g->running, (long long)g->waiting);
}

/* Texts of the warnings without numbers. */
static const char *const sentence[ESC_FIT_WARNINGS] = {
    [ESC_FIT_SPREAD] =
        "the standard deviation of the times at one scale exceeds their mean: the coverage of the "
        "95% interval is then about 92%",
    [ESC_FIT_ONE_SIDED] =
        "members escaped at one scale only: the budgets of the others bound the "
        "slope on one side (95%)",
    [ESC_FIT_NO_INTERVAL] =
        "no interval: the data show no error of the slope; use more seeds, each "
        "at all scales",
    [ESC_FIT_NO_ACTIVATION] =
        "limit at eps = 0: the file does not name the activation; "
        "corrections are taken in all powers of eps",
};

static void write_warning(const esc_fit_group *g, esc_fit_warning warning, char *text,
                          size_t size) {
  switch (warning) {
    case ESC_FIT_FEW_SEEDS: write_few_seeds(g, text, size); break;
    case ESC_FIT_SKEWED:
    case ESC_FIT_MEDIANS_OFF: write_disagreement(g, warning, text, size); break;
    case ESC_FIT_MISFIT:
      snprintf(text, size,
               "limit at eps = 0: the correction terms do not describe the scales (p = %.2g); "
               "add smaller scales",
               g->limit.p_value);
      break;
    case ESC_FIT_UNFINISHED: write_unfinished(g, text, size); break;
    case ESC_FIT_FAR: write_far(g, text, size); break;
    default: snprintf(text, size, "%s", sentence[warning]); break;
  }
}

bool esc_fit_warning_print(const esc_fit_group *group, esc_fit_warning warning, char *text,
                           size_t size) {
  const bool has = warning < ESC_FIT_WARNINGS && (group->warnings >> warning & 1);
  const esc_library_scope scope = esc_library_enter();
  if (size > 0) text[0] = '\0';
  if (has) write_warning(group, warning, text, size);
  esc_library_leave(scope);
  return has;
}

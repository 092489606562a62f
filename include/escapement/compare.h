/* SPDX-License-Identifier: Apache-2.0 */
/* Comparison of two results of one sweep, variable by variable; check that results belong to one
 * experiment. */
#ifndef ESCAPEMENT_COMPARE_H
#define ESCAPEMENT_COMPARE_H

#include <stdint.h>

#include "escapement/export.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

typedef struct esc_results esc_results; /* escapement/results.h */

/* One variable in both results. */
typedef struct esc_comparison_row {
  const char *name; /* name of the variable; constant text */
  int64_t values;   /* number of values in either result */
  int64_t equal;    /* values with the same bits in both (for observables also: NaN in both) */
  int64_t censored_in_one; /* of escape_step only: censored in one result, escaped in the other */
  /* Largest absolute and relative difference of the remaining values (relative to the larger one);
   * NaN if any of them is NaN, 0 if there are none. */
  double absolute, relative;
} esc_comparison_row;

typedef struct esc_comparison {
  int64_t members;
  int thresholds, layers;
  int different; /* rows with an unequal value */
  int rows;
  esc_comparison_row *row; /* (rows) the variables, then the observables if there are snapshots */
} esc_comparison;

/* Compares results a and b; `name` is their names {a, b} in messages. Free *out with
 * esc_comparison_free. ESC_BAD_INPUT if the results differ in members, thresholds, layers or
 * snapshot steps. */
ESC_API esc_status esc_results_compare(const esc_results *a, const esc_results *b,
                                       const char *const name[2], esc_comparison *out);
ESC_API void esc_comparison_free(esc_comparison *comparison);

/* Checks that `count` results may be fitted or plotted together. ESC_BAD_INPUT, with the names of
 * two results and the first key that differs, if their specs differ in other keys than name, sweep,
 * record, train.steps, escape.thresholds and escape.false_escapes. Results without a spec, from
 * other programs, are not checked. name (count): names in messages. */
ESC_API esc_status esc_results_check_experiment(int count, const esc_results *const *results,
                                                const char *const *name);

ESC_END_DECLS

#endif

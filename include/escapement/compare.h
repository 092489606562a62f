/* SPDX-License-Identifier: Apache-2.0 */
/* Two results of one sweep, variable by variable; and whether results are of one experiment. */
#ifndef ESCAPEMENT_COMPARE_H
#define ESCAPEMENT_COMPARE_H

#include <stdint.h>

#include "escapement/export.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

typedef struct esc_results esc_results; /* escapement/results.h */

/* One variable in both results. */
typedef struct esc_comparison_row {
  const char *name;        /* of the variable; constant */
  int64_t values;          /* numbers in either result */
  int64_t equal;           /* of these, the same bits in both (of observables: or NaN in both) */
  int64_t censored_in_one; /* escape_step alone: censored in one result, not in the other */
  /* The largest difference of the others, and the largest in units of the larger number; NaN as
   * soon as one number is. 0 where there are no others. */
  double absolute, relative;
} esc_comparison_row;

typedef struct esc_comparison {
  int64_t members;
  int thresholds, layers;
  int different; /* rows with a value that is not equal */
  int rows;
  esc_comparison_row *row; /* (rows) the variables, then observables where there are snapshots */
} esc_comparison;

/* Compares results a and b, which `name` calls {a, b} in messages. *out: free its rows with
 * esc_comparison_free. ESC_BAD_INPUT where the results are not of the same members, thresholds,
 * layers and snapshot steps. */
ESC_API esc_status esc_results_compare(const esc_results *a, const esc_results *b,
                                       const char *const name[2], esc_comparison *out);
ESC_API void esc_comparison_free(esc_comparison *comparison);

/* Whether `count` results may be fitted or drawn together: ESC_BAD_INPUT, with the names of two and
 * the first key that differs, where their specs differ in more than how much was done (name, sweep,
 * record, train.steps, escape.thresholds, escape.false_escapes). Results without a spec, made by
 * other programs, are not compared. name (count): their names in messages. */
ESC_API esc_status esc_results_check_experiment(int count, const esc_results *const *results,
                                                const char *const *name);

ESC_END_DECLS

#endif

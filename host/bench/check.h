/* SPDX-License-Identifier: Apache-2.0 */
/* Is a fast network still the right one? Its first steps against the reference
 * engine's: the change of each weight, and the loss. */
#ifndef ESC_BENCH_CHECK_H
#define ESC_BENCH_CHECK_H

#include "escapement/internal/engine.h"

typedef struct esc_bench_check {
  double error;     /* the worst one found, relative to what it is an error of */
  double tolerance; /* what is allowed there */
  int64_t compared; /* weights and losses */
  int64_t wrong;    /* those beyond the tolerance; a NaN is */
} esc_bench_check;

/* Allowed rounding error of a gradient, relative to it: 20 errors of typical size, eps
 * sqrt(terms of the sums) for each layer passed. */
double esc_bench_rounding(const esc_problem *problem, const char *precision);

/* One network's weights, flat as in esc_weight_offset. */
typedef struct esc_bench_weights {
  int64_t steps;         /* made so far */
  const double *initial; /* exact */
  const double *want;    /* the reference's */
  const double *got;
} esc_bench_weights;

/* Compares the weights of one network.
 *
 * A layer's unit is its largest change, plus 0.01 of a gradient of size 1 for where
 * the mean over the minibatch cancels. The error of a weight is |got - want| in
 * that unit. Allowed is what rounding explains: 20 errors of typical size, eps
 * sqrt(terms of the sums) for each layer passed, and half an ulp of the weight for
 * each step and for its start. With TF32, whose inputs are rounded to 11 bits,
 * there are few layers' worth of that error, sums or no sums. `precision` is the
 * engine's. Adds to *check. */
void esc_bench_check_weights(const esc_problem *problem, const char *precision,
                             const esc_bench_weights *weights, esc_bench_check *check);

/* The same for a loss; its error is relative. */
void esc_bench_check_loss(const esc_problem *problem, const char *precision, double want,
                          double got, esc_bench_check *check);

enum { ESC_BENCH_CHECK_STEPS = 2 }; /* the second sees the first's update */

/* Checks networks of `engine`, which holds `members` of them, member i in slot i,
 * all after ESC_BENCH_CHECK_STEPS steps: the first, the middle and the last, or
 * fewer where the reference would take long. */
esc_status esc_bench_check_engine(const esc_engine_ops *ops, const void *engine,
                                  const esc_problem *problem, int members, int threads,
                                  esc_bench_check *check);

/* Member `index` of every benchmark: each has its own seed. */
esc_member esc_bench_member(int64_t index);

#endif

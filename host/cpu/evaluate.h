/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation of networks on samples in float, by the CPU engine's forward and backward passes, for
 * every engine that trains in float. Each thread needs its own evaluator. */
#ifndef ESC_CPU_EVALUATE_H
#define ESC_CPU_EVALUATE_H

#include "escapement/internal/observe.h"

typedef struct esc_cpu_evaluator esc_cpu_evaluator;

/* `problem` must outlive the evaluator. Free with esc_cpu_evaluator_free (NULL is fine). */
esc_status esc_cpu_evaluator_create(const esc_problem *problem, esc_cpu_evaluator **out);
void esc_cpu_evaluator_free(esc_cpu_evaluator *evaluator);
double esc_cpu_evaluator_bytes(const esc_problem *problem);

/* Evaluates a network with these weights, flat as in esc_weight_offset: outputs and derivatives in
 * float, means over samples in double. */
void esc_cpu_evaluate(esc_cpu_evaluator *evaluator, const esc_observer *observer,
                      const esc_eval_sample *sample, const double *weights, esc_evaluation *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Responses to evaluation samples in float, by the CPU engine's own forward and backward
 * passes; for every engine that trains in float. One responder a thread. */
#ifndef ESC_CPU_RESPOND_H
#define ESC_CPU_RESPOND_H

#include "escapement/internal/observe.h"

typedef struct esc_cpu_responder esc_cpu_responder;

/* `problem` must outlive it. Free with esc_cpu_responder_free (NULL is fine). */
esc_status esc_cpu_responder_create(const esc_problem *problem, esc_cpu_responder **out);
void esc_cpu_responder_free(esc_cpu_responder *responder);
double esc_cpu_responder_bytes(const esc_problem *problem);

/* The response of a network with these weights, flat as in esc_weight_offset: outputs and
 * derivatives in float, means over samples in double. */
void esc_cpu_respond(esc_cpu_responder *responder, const esc_observer *observer,
                     const esc_eval_sample *sample, const double *weights, esc_evaluation *out);

#endif

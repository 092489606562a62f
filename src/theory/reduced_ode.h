/* SPDX-License-Identifier: Apache-2.0 */
/* Integration of the reduced ODE; private to src/theory and its tests. */
#ifndef ESCAPEMENT_THEORY_REDUCED_ODE_H
#define ESCAPEMENT_THEORY_REDUCED_ODE_H

#include "escapement/internal/theory.h"

/* AUTO: Adams, and BDF from where the flow becomes stiff. */
typedef enum esc_ode_method { ESC_ODE_AUTO, ESC_ODE_BDF, ESC_ODE_ADAMS } esc_ode_method;

/* The end of a search for a crossing. */
typedef enum esc_flow_end {
  ESC_FLOW_CROSSED,
  ESC_FLOW_FIXED,   /* converged to a fixed point */
  ESC_FLOW_SADDLE,  /* at a saddle to within rounding */
  ESC_FLOW_DECAYED, /* every scale below 1e-7 of the start's largest */
  ESC_FLOW_MOVING,  /* still moving at the limit of time or cost */
  ESC_FLOW_STEEP,   /* no rule computes the Gaussian averages of the right-hand side */
  ESC_FLOW_TINY,    /* the right-hand side is too small for a double */
  ESC_FLOW_STALLED, /* no step of the solver meets its tolerance */
} esc_flow_end;

typedef struct esc_crossing_request {
  esc_ode_method method;
  double time_scale;   /* order of magnitude of the time sought; 0: from the initial state */
  double perturbation; /* relative change of the start and of the quadrature weights: how much the
                          time depends on them is its conditioning; 0 for none */
  double work;         /* cost at which the search ends, in evaluations of the activation */
} esc_crossing_request;

typedef struct esc_crossing {
  esc_flow_end end;
  double time;                  /* of the crossing, or where the search ended */
  double scale[ESC_LAYERS_MAX]; /* at that time */
  double work;                  /* evaluations of the activation */
  bool shrank;                  /* some scale fell below half of its start on the way */
} esc_crossing;

/* The time at which scale[layer], below `to` at the start, first rises to `to`. A search without a
 * crossing is ESC_OK: `end` is the reason. */
esc_status esc_reduced_crossing(const esc_escape_problem *problem,
                                const esc_crossing_request *request, esc_crossing *out);

#endif

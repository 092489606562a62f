/* The reduced ODE's integrator; private to src/theory and its tests. */
#ifndef ESCAPEMENT_THEORY_REDUCED_ODE_H
#define ESCAPEMENT_THEORY_REDUCED_ODE_H

#include "escapement/theory.h"

typedef enum esc_ode_method { ESC_ODE_BDF, ESC_ODE_ADAMS } esc_ode_method;

typedef struct esc_crossing {
  bool reached;
  double time; /* of the crossing, or where the search was given up */
} esc_crossing;

/* When scale[layer] first reaches `to`. `unit` > 0 is the order of that time (the
 * closed form will do); a flow that has come to rest, or is not there after 1e4
 * units, is given up. */
esc_status esc_reduced_crossing(const esc_escape_problem *problem, esc_ode_method method,
                                double unit, esc_crossing *out);

#endif

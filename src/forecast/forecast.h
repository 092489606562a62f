/* SPDX-License-Identifier: Apache-2.0 */
/* The linear flow of a plateau; private to src/forecast. */
#ifndef ESC_FORECAST_PRIVATE_H
#define ESC_FORECAST_PRIVATE_H

#include "escapement/internal/forecast.h"

/* Moments of the teacher: a, E[T^2]/2, and b, C of the features before layer `first`. */
typedef struct esc_features {
  int first, size; /* k from 0, and the length of h */
  double *b, *c;   /* (size), (size, size) or NULL for the identity; owned */
  double baseline; /* E[T^2]/2 */
  double floor;    /* least loss along b */
} esc_features;

esc_status esc_features_create(const esc_problem *problem, const esc_member *member,
                               esc_features *out);
void esc_features_free(esc_features *features);

/* Levels of the loss to cross, descending, and the largest time of the search. */
typedef struct esc_flow_levels {
  int count;
  const double *level;
  double max_time;
} esc_flow_levels;

/* Times at which the loss of the flow from the member's weights passes the levels; infinity: not
 * by then. *unstable: eta times the largest decay rate exceeds 2 by then, so that gradient descent
 * does not follow the flow. */
esc_status esc_linear_flow(const esc_problem *problem, const esc_member *member,
                           const esc_features *features, const esc_flow_levels *levels,
                           double *time, bool *unstable);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Escape times at leading order, closed and corrected; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_LEADING_ORDER_H
#define ESCAPEMENT_THEORY_LEADING_ORDER_H

#include "escapement/internal/theory.h"

/* A start and the quantities of the leading order that follow from it. */
typedef struct esc_leading_order {
  const esc_escape_problem *problem;
  esc_classification class_;
  double smallest, largest; /* of the scales */
  int prefix;               /* layers before the first of the bottleneck */
  int bottleneck;           /* layers within a factor of 3 of the smallest */
  double drive;             /* D */
  double prefix_drive;      /* D with the prefix exact; D if there is none; NaN if unknown */
  double defect;            /* of corrected: leading_path.h */
  esc_escape_times *times;  /* receives closed, corrected and the note */
} esc_leading_order;

/* Sets the quantities of the leading order from `problem`, and times->drive. */
esc_status esc_leading_order_find(esc_leading_order *start);

/* Sets closed, corrected and the defect of corrected, or the note with the reason why a time is
 * missing. The start must be below s*. */
esc_status esc_leading_order_times(esc_leading_order *start);

/* Appends to the note that corrected is rough if the neglected terms change its time by over 10%:
 * by its defect or its difference to ode, the larger of those that are known. Call after ode is
 * set. */
void esc_leading_order_note_roughness(const esc_leading_order *start);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The leading order's escape time, closed and corrected; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_LEADING_ORDER_H
#define ESCAPEMENT_THEORY_LEADING_ORDER_H

#include "escapement/internal/theory.h"

/* A start, as the leading order sees it. */
typedef struct esc_leading_order {
  const esc_escape_problem *problem;
  esc_classification class_;
  double smallest, largest; /* of the scales */
  int prefix;               /* layers before the first of the bottleneck */
  int bottleneck;           /* layers within a factor of 3 of the smallest */
  double drive;             /* D */
  double prefix_drive;      /* D with the prefix exact; D if there is none; NaN if unknown */
  double defect;            /* of corrected: leading_path.h */
  esc_escape_times *times;  /* receives closed, corrected and remarks */
} esc_leading_order;

/* closed and corrected, with the defect of the latter, or why there is none. The start is below
 * s*. */
esc_status esc_leading_order_times(esc_leading_order *a);

/* Remarks that corrected is rough where the terms that it leaves out change its time by over 10%:
 * by its defect or by ode, the larger of those that are known. After ode. */
void esc_leading_order_note_roughness(const esc_leading_order *a);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The path s(t) that the leading order assumes, and its defect (docs/theory, sections 4.3, 4.6 and
 * 4.7); private to src/theory.
 *
 * A path is a curve in the space of the scales, with a coordinate v and the time dt/dln v:
 *   constant gaps   v = x = s_m^2, s_j = sqrt(x + d_j), dt = dx / (2 D prod_j s_j);
 *   balanced        v = u, s_1 = u (1 + (L-1) A), s_j = u (1 - A),
 *                   dt = du / [D u^{L-1} (1 + chi u^p)], A the lead of the first layer.
 * The next order of the balanced path: with C = a_q m_q / (a_1 c_1),
 *   d(s_1^2 - s_j^2)/dt = 2 (q-1) C D s^{L+q-1}, so
 *   A = C (q-1) / (L (q+1)) u^{q-1} [1 - (e/u)^{q+1}]. */
#ifndef ESCAPEMENT_THEORY_LEADING_PATH_H
#define ESCAPEMENT_THEORY_LEADING_PATH_H

#include "leading_order.h"

typedef struct esc_leading_path {
  const esc_leading_order *start;
  bool constant_gaps;           /* else balanced */
  double drive;                 /* D */
  double chi, lead_coefficient; /* balanced: chi, and C (q-1) / (L (q+1)) or 0 */
  int power, order;             /* balanced: p, and q-1 */
  double from, to;              /* ln v at both ends */
} esc_leading_path;

/* The path of constant gaps from any start, with the given drive. */
esc_leading_path esc_leading_path_constant_gaps(const esc_leading_order *start, double drive);

/* The path of a balanced start; false where the next order does not reach s*. */
bool esc_leading_path_balanced(const esc_leading_order *start, esc_leading_path *out);

/* ln of v^{-1} dv/d(D t) at the end of a balanced path over that at its start. */
double esc_leading_path_speedup(const esc_leading_path *path);

/* The time along the path, to 1e-11. */
esc_status esc_leading_path_time(const esc_leading_path *path, double *out);

/* The relative change of `time` if the path is followed at the exact rates of the reduced ODE: the
 * effect of the neglected terms. Infinite where they reverse the path; NaN where the rates
 * cannot be computed. */
esc_status esc_leading_path_defect(const esc_leading_path *path, double time, double *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The times `closed` and `corrected` of the leading order (docs/theory, sections 4.3 and 4.5 to
 * 4.7; the formulas are in escape_time.c and leading_path.h), and the conditions under which they
 * hold. */
#include "leading_order.h"

#include <math.h>

#include "decayed_path.h"
#include "escapement/internal/activation.h"
#include "leading_path.h"
#include "note.h"

/* Defect of corrected above which the note calls it rough. */
static const double rough_defect = 0.1;

static bool is_balanced(const esc_leading_order *start) {
  return start->largest <= start->smallest;
}

/* D t of a balanced start, (e^{2-L} - s^{2-L})/(L-2). */
static double balanced_time(const esc_leading_order *start) {
  const int power = start->problem->layers - 2;
  const double growth = log(start->problem->to / start->smallest);
  if (power == 0) return growth;
  return -expm1(-power * growth) * pow(start->smallest, -power) / power;
}

/* D t of a balanced start with decay, a Bernoulli equation; NaN where s decreases. */
static double balanced_decayed_time(const esc_leading_order *start) {
  const int power = start->problem->layers - 2;
  const double decay = start->problem->decay / start->drive;
  const double growth = 1 - decay * pow(start->smallest, -power); /* of s^{L-1} - decay s */
  if (!(growth > 0)) return (double)NAN;
  const double time = balanced_time(start) / growth;
  return power == 0 ? time : log1p(power * decay * time) / (power * decay);
}

/* D t at leading order, from any start. */
static esc_status closed_time(const esc_leading_order *start, double *out) {
  if (start->problem->decay > 0 && !is_balanced(start)) return esc_decayed_path_time(start, out);
  if (start->problem->decay > 0) {
    *out = balanced_decayed_time(start);
    return ESC_OK;
  }
  if (is_balanced(start)) {
    *out = balanced_time(start);
    return ESC_OK;
  }
  const esc_leading_path path = esc_leading_path_constant_gaps(start, 1);
  return esc_leading_path_time(&path, out);
}

void esc_leading_order_note_roughness(const esc_leading_order *start) {
  const esc_escape_times *times = start->times;
  if (isnan(times->corrected)) return;
  /* The defect is computed on the assumed path. Near a fixed point beside that path the flow is
   * slower, so the difference to ode is used if it is larger. */
  const double excess = times->ode / times->corrected - 1;
  const double change =
      isfinite(start->defect) && !(fabs(excess) > fabs(start->defect)) ? start->defect : excess;
  if (fabs(change) > rough_defect)
    esc_note_append(start->times,
                    "corrected is rough: the neglected terms change its time by about %+.0f%%",
                    100 * change);
  else if (isnan(change) && isinf(start->defect))
    esc_note_append(start->times,
                    "corrected is rough: the neglected terms reverse its path before s*");
  else if (isnan(change))
    esc_note_append(start->times,
                    "the error of corrected is not known: the exact rates cannot be computed");
}

/* Momentum: the time of the first-order limit, and for a balanced start the part of first order in
 * the rate, T (1 + ln F_1 / F_0) (docs/theory, section 4.10). */
static void add_momentum(esc_leading_order *start, const esc_leading_path *path) {
  const esc_escape_problem *p = start->problem;
  const double relaxation = esc_relaxation_time(p);
  start->times->corrected *= 1 - p->momentum;
  if (relaxation > 0) /* F = u dln u/dt */
    start->times->corrected +=
        relaxation * (1 + esc_leading_path_speedup(path) + path->to - path->from);
}

/* The time along the path that corrected assumes, and its defect by the exact right-hand side. */
static esc_status integrate_path(esc_leading_order *start, const esc_leading_path *path) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_leading_path_time(path, &start->times->corrected));
  ESC_TRY(esc_leading_path_defect(path, start->times->corrected, &start->defect));
  add_momentum(start, path);
done:
  return status;
}

static esc_status corrected_balanced(esc_leading_order *start) {
  esc_leading_path path;
  if (esc_leading_path_balanced(start, &path)) return integrate_path(start, &path);
  esc_note_append(start->times,
                  "s* = %g is beyond the reach of the next order, so there is no corrected time",
                  start->problem->to);
  return ESC_OK;
}

static esc_status corrected_prefix(esc_leading_order *start) {
  const double ratio = start->drive / start->prefix_drive;
  if (start->bottleneck < 2) {
    esc_note_append(
        start->times,
        "no plateau with one small layer: closed has the order of magnitude of ode only");
    return ESC_OK;
  }
  if (ratio > 0 && fabs(ratio - 1) > 1e-9)
    esc_note_append(
        start->times,
        "closed is off by the factor %.6g that layers 1 to %d, before the bottleneck, bring; "
        "corrected has it",
        ratio, start->prefix);
  const esc_leading_path path = esc_leading_path_constant_gaps(start, start->prefix_drive);
  return integrate_path(start, &path);
}

/* The corrected time, or a note with the reason why there is none. */
static esc_status find_corrected(esc_leading_order *start) {
  if (start->problem->decay > 0)
    esc_note_append(start->times, "no corrected time: not defined with decay");
  else if (start->problem->rate > 0 && !is_balanced(start))
    esc_note_append(start->times, "no corrected time: at a finite rate defined for equal scales");
  else if (isnan(start->prefix_drive))
    esc_note_append(start->times,
                    "no corrected time: the average over the first %d layers, large and steep, "
                    "cannot be computed",
                    start->prefix);
  else if (!(start->prefix_drive > 0))
    esc_note_append(start->times,
                    "no corrected time: with layers 1 to %d taken exactly, the leading order's "
                    "drive is %s",
                    start->prefix,
                    start->prefix_drive < 0 ? "negative" : "0 (they remove the teacher's signal)");
  else if (is_balanced(start))
    return corrected_balanced(start);
  else if (start->prefix > 0)
    return corrected_prefix(start);
  else
    esc_note_append(
        start->times,
        "no corrected time: defined for equal scales, or large layers before small ones");
  return ESC_OK;
}

/* The reason why the drive is not positive and finite. */
static const char *drive_fault(const esc_leading_order *start) {
  const esc_classification *c = &start->class_;
  if (start->drive < 0) return "negative";
  return start->problem->amplitude == 0 ? "0 (a = 0)"
         : c->a[1] == 0                 ? "0 (a_1 = 0)"
         : c->c1 == 0                   ? "0 (c_1 = 0)"
                                        : "out of a double's range";
}

static esc_status find_closed(const esc_leading_order *start) {
  esc_status status = ESC_OK;
  double value;
  ESC_TRY(closed_time(start, &value));
  start->times->closed = value / start->drive * (1 - start->problem->momentum);
  if (isnan(value) && start->problem->decay > 0) {
    esc_note_append(start->times, "no closed time: at leading order decay prevents the crossing");
  } else if (!isfinite(start->times->closed)) {
    start->times->closed = (double)NAN;
    esc_note_append(start->times, "closed is out of a double's range");
  }
done:
  return status;
}

esc_status esc_leading_order_times(esc_leading_order *start) {
  esc_status status = ESC_OK;
  const esc_classification *c = &start->class_;
  if (c->a[0] != 0) {
    esc_note_append(start->times, "a_0 is not 0, so 0 is no saddle: only ode applies");
    return ESC_OK;
  }
  if (!(start->drive > 0) || isinf(start->drive))
    esc_note_append(start->times,
                    "the leading order's drive a c_1 a_1^(L-1) is %s: no closed time%s",
                    drive_fault(start), start->prefix > 0 ? "" : " and no corrected one");
  else
    ESC_TRY(find_closed(start));
  if (isfinite(start->times->closed) && !c->escapes)
    esc_note_append(
        start->times,
        "c_1 = %.6g and a_1 = %.6g are not both positive, as the paper assumes, but the "
        "drive is",
        c->c1, c->a[1]);
  if (start->prefix > 0 || isfinite(start->times->closed)) ESC_TRY(find_corrected(start));
done:
  return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Escape times from the saddle at 0 on the symmetric manifold (docs/theory, section 4): by the
 * reduced ODE, in closed form at leading order, and with the next order as a correction.
 *
 * Leading order: ds_l/dt = D prod_{j != l} s_j with the drive D = a c_1 a_1^{L-1}
 * keeps the gaps d_j = s_j^2 - s_m^2, m the smallest layer, so with x = s_m^2
 *   t = (1/2D) int dx / prod_j sqrt(x + d_j).
 * Corrected, for a balanced start, in u = (prod s_l)^{1/L}:
 *   t = (1/D) int du / [u^{L-1} (1 + chi u^p)],
 * p = q-1 while L >= q-1, else p = L (self-interaction leads). For O(1) layers
 * before a bottleneck: D with those layers evaluated exactly. Momentum divides all rates by 1 -
 * beta; a finite rate adds T (1 + ln F_1 / F_0) to a balanced start's time (leading_order.c); decay
 * is decayed_path.h.
 *
 * The reduced ODE is integrated for any drive: where the drive is not positive, a higher
 * order may cause the escape, or a scale may pass through 0 and change the drive's sign.
 *
 * Error control: where the flow comes close to a saddle, a second integration from data perturbed
 * by 1e-10 measures the condition of the time. */
#include <gsl/gsl_integration.h>
#include <math.h>
#include <string.h>

#include "chain.h"
#include "escapement/internal/pieces.h"
#include "leading_order.h"
#include "note.h"
#include "reduced_ode.h"

/* Layers with more than this many times the smallest scale are outside the bottleneck. */
static const double prefix_spread = ESC_BOTTLENECK_SPREAD;
/* An overlap E[sigma h_k] of teacher and prefix counts as 0 below overlap_min, relative to the
 * norms of both, and as unknown above a relative error of overlap_error_max. */
static const double overlap_min = 1e-12, overlap_error_max = 1e-8;
/* Limit on the evaluations of the activation for one escape time, about a second of work. */
static const double work_max = 4e7;
/* Relative perturbation of the data in the second integration, and relative error of the data in
 * the first: the ratio scales the change of the time to its error. */
static const double perturbation = 1e-10, ode_error = 1e-12;
/* Relative error of ode above which the note states it, and above which ode is NaN. */
static const double error_stated = 1e-8, error_max = 1e-3;

/* ---- quantities of the leading order ---- */

typedef struct overlap {
  const esc_escape_problem *problem;
  int prefix;
} overlap;

/* sigma h_k, sigma^2, h_k^2 at g, with h_k the output of the prefix (docs/theory, section 4.5). */
static void overlap_integrand(void *context, double g, double *out) {
  const overlap *o = context;
  const esc_activation *sigma = &o->problem->activation;
  const double teacher = esc_theory_activate(sigma, g).value;
  const double h = esc_chain_output(sigma, o->prefix, o->problem->scale, g);
  out[0] = teacher * h;
  out[1] = teacher * teacher;
  out[2] = h * h;
}

/* a a_1^{L-1-k} E[sigma(g) h_k(g)] / prod_{j<=k} s_j for a prefix of k layers, which is D
 * for k = 0; 0 where the expectation is lost in rounding, NaN where it cannot be computed. */
static esc_status find_prefix_drive(esc_leading_order *start) {
  esc_status status = ESC_OK;
  const esc_escape_problem *p = start->problem;
  overlap o = {p, start->prefix};
  double mean[3], error;
  const bool corner = esc_activation_has_corner(&p->activation);
  ESC_TRY(esc_gaussian_expectation(&(esc_gaussian_integral){overlap_integrand, &o, 3, corner},
                                   1e-13, mean, &error));
  const double size = sqrt(mean[1] * mean[2]);
  if (fabs(mean[0]) <= fmax(100 * error, overlap_min) * size) mean[0] = 0;
  if (!(error <= overlap_error_max)) mean[0] = (double)NAN;
  start->prefix_drive =
      p->amplitude * pow(start->class_.a[1], p->layers - 1 - start->prefix) * mean[0];
  for (int l = 0; l < start->prefix; l++) start->prefix_drive /= p->scale[l];
done:
  return status;
}

static void find_bottleneck(esc_leading_order *start) {
  const esc_escape_problem *p = start->problem;
  start->smallest = start->largest = p->scale[0];
  for (int l = 1; l < p->layers; l++) {
    start->smallest = fmin(start->smallest, p->scale[l]);
    start->largest = fmax(start->largest, p->scale[l]);
  }
  const double limit = prefix_spread * start->smallest;
  while (p->scale[start->prefix] > limit) start->prefix++;
  for (int l = 0; l < p->layers; l++) start->bottleneck += p->scale[l] <= limit;
}

esc_status esc_leading_order_find(esc_leading_order *start) {
  esc_status status = ESC_OK;
  const esc_escape_problem *p = start->problem;
  ESC_TRY(esc_classify(&p->activation, &start->class_));
  find_bottleneck(start);
  start->drive = p->amplitude * start->class_.c1 * pow(start->class_.a[1], p->layers - 1);
  start->times->drive = start->drive;
  for (int l = 0; l < p->layers; l++) start->times->drive *= p->scale[l];
  ESC_TRY(find_prefix_drive(start));
done:
  return status;
}

/* ---- the reduced ODE ---- */

/* The end of a search without a crossing. */
static const char *describe_end(esc_flow_end end) {
  switch (end) {
    case ESC_FLOW_FIXED: return "the flow has converged to a fixed point";
    case ESC_FLOW_SADDLE:
      return "the flow is at a saddle to within rounding: double precision cannot determine its "
             "continuation";
    case ESC_FLOW_DECAYED: return "all scales decay towards 0";
    case ESC_FLOW_STEEP:
      return "the activation is too steep for the Gaussian averages of the reduced ODE";
    case ESC_FLOW_TINY: return "the rates are 0, or too small for a double";
    case ESC_FLOW_STALLED: return "no step of the solver meets its tolerance";
    default: return "the flow still moves at the limit of the search";
  }
}

static void note_end(esc_escape_times *times, const esc_escape_problem *p, const esc_crossing *c) {
  char state[ESC_STATE_TEXT_SIZE];
  const bool final = c->end == ESC_FLOW_FIXED || c->end == ESC_FLOW_DECAYED;
  esc_state_print(p->layers, c->scale, state);
  esc_note_append(times, "no ode: s_%d %s %g; at t = %.4g, %s, %s", p->layer + 1,
                  final ? "does not reach" : "has not reached", p->to, c->time, state,
                  describe_end(c->end));
  times->decays = c->end == ESC_FLOW_DECAYED && p->decay > 0;
  times->undecided = !final;
}

/* Repeats the search from data perturbed in the tenth digit: the relative change of the time,
 * scaled to the rounding of the data, is the error of the time (docs/theory, section 3.5). */
static esc_status measure_conditioning(const esc_escape_problem *p, double work,
                                       const esc_crossing *first, esc_escape_times *times) {
  esc_status status = ESC_OK;
  const esc_crossing_request request = {.perturbation = perturbation, .work = work};
  esc_crossing second;
  ESC_TRY(esc_reduced_crossing(p, &request, &second));
  const double change =
      second.end == ESC_FLOW_CROSSED ? fabs(second.time / first->time - 1) : HUGE_VAL;
  const double error = change * ode_error / perturbation;
  times->undecided = !(error <= error_max);
  if (!times->undecided)
    times->ode = first->time;
  else
    esc_note_append(times,
                    "no ode: the flow comes so close to a saddle that double precision cannot "
                    "determine its continuation (one integration gives t = %.4g)",
                    first->time);
  if (error <= error_max && error > error_stated)
    esc_note_append(times, "the flow comes close to a saddle: ode is accurate to %.0e only", error);
done:
  return status;
}

static esc_status find_ode(esc_leading_order *start) {
  esc_status status = ESC_OK;
  const esc_escape_problem *p = start->problem;
  const esc_crossing_request request = {.work = work_max};
  esc_crossing first;
  ESC_TRY(esc_reduced_crossing(p, &request, &first));
  if (first.end != ESC_FLOW_CROSSED)
    note_end(start->times, p, &first);
  else if (first.shrank || p->decay > 0 || !(start->drive > 0))
    ESC_TRY(measure_conditioning(p, work_max, &first, start->times));
  else
    start->times->ode = first.time;
done:
  return status;
}

esc_status esc_escape_times_find(const esc_escape_problem *problem, esc_escape_times *out) {
  esc_status status = ESC_OK;
  const double none = (double)NAN;
  *out = (esc_escape_times){.ode = none, .closed = none, .corrected = none};
  esc_leading_order start = {.problem = problem, .times = out};
  ESC_TRY(esc_leading_order_find(&start));
  if (problem->scale[problem->layer] >= problem->to) {
    out->escaped_at_start = true;
    out->ode = out->closed = out->corrected = 0;
    esc_note_append(out, "s_%d has reached the threshold at the start", problem->layer + 1);
  } else {
    ESC_TRY(esc_leading_order_times(&start));
    ESC_TRY(find_ode(&start));
    esc_leading_order_note_roughness(&start);
  }
done:
  return status;
}

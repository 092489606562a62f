/* SPDX-License-Identifier: Apache-2.0 */
/* Crossing of a scale with decay at leading order: decayed_path.h. Everything is in units of the
 * drive: D t, D T and decay = lambda / D. */
#include "decayed_path.h"

#include <math.h>

#include "leading_path.h"

/* Panels of the search in ln x, x = S_m^2, and its range beyond the largest gap. */
static const double panel = 0.05, range = 1500;
/* Beyond every gap the integrand falls by exp(-(L-2) ln x / 2): to 1e-15 after this over L-2. */
static const double tail = 70;
enum { BISECTIONS = 60 };

typedef struct decayed_path {
  const esc_leading_order *start;
  esc_leading_path path; /* a segment from `from` to `to` in ln x */
  double decay, gap;     /* lambda / D; S_w^2 - S_m^2 of the watched layer w */
  int power;             /* L-2 */
} decayed_path;

/* ln of the watched scale over s*, at ln x and D T. */
static double log_excess(const decayed_path *d, double log_x, double time) {
  const double shrink =
      d->power == 0 ? -d->decay * time : log1p(-d->power * d->decay * time) / d->power;
  return log(exp(log_x) + d->gap) / 2 + shrink - log(d->start->problem->to);
}

/* D T at ln x, from its value at the segment's start. */
static esc_status time_at(decayed_path *d, double time, double log_x, double *out) {
  d->path.to = log_x;
  const esc_status status = esc_leading_path_time(&d->path, out);
  *out += time;
  return status;
}

/* The crossing in the segment, by bisection. */
static esc_status narrow(decayed_path *d, double time, double log_x, double *out) {
  esc_status status = ESC_OK;
  double low = d->path.from, high = log_x;
  for (int i = 0; i < BISECTIONS; i++) {
    const double middle = low + (high - low) / 2;
    ESC_TRY(time_at(d, time, middle, out));
    if (log_excess(d, middle, *out) >= 0)
      high = middle;
    else
      low = middle;
  }
done:
  return status;
}

static double largest_log_square(const esc_leading_order *start) { return 2 * log(start->largest); }

/* Finds D T of the crossing; NaN if the horizon is before it. */
static esc_status find_crossing(decayed_path *d, double *out) {
  esc_status status = ESC_OK;
  const double slow_end = largest_log_square(d->start) + 20;
  double time = 0, next = 0;
  for (double x = d->path.from + panel; x < d->path.from + range; x += panel) {
    ESC_TRY(time_at(d, time, x, &next));
    const double excess = log_excess(d, x, next);
    if (excess >= 0) return narrow(d, time, x, out);
    if (isnan(excess) || (d->power == 0 && d->decay >= 1 && x > slow_end)) break;
    time = next;
    d->path.from = x;
  }
  *out = (double)NAN;
done:
  return status;
}

esc_status esc_decayed_path_time(const esc_leading_order *start, double *out) {
  esc_status status = ESC_OK;
  const esc_escape_problem *p = start->problem;
  const double s = p->scale[p->layer];
  decayed_path d = {.start = start,
                    .path = esc_leading_path_constant_gaps(start, 1),
                    .decay = p->decay / start->drive,
                    .gap = (s - start->smallest) * (s + start->smallest),
                    .power = p->layers - 2};
  ESC_TRY(find_crossing(&d, out));
  if (d.power > 0) *out = -log1p(-d.power * d.decay * *out) / (d.power * d.decay);
done:
  return status;
}

esc_status esc_divergence_time(const esc_leading_order *start, double *out) {
  esc_leading_path path = esc_leading_path_constant_gaps(start, 1);
  path.to = largest_log_square(start) + tail / (start->problem->layers - 2);
  return esc_leading_path_time(&path, out);
}

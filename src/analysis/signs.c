/* SPDX-License-Identifier: Apache-2.0 */
/* Dependence of the escape steps on the sign and size of the initial signal: half of the seeds
 * start with S(0) < 0 and escape later (docs/theory, section 5.5). */
#include <math.h>

#include "rows.h"
#include "seed_table.h"

/* Escaped rows of one scale: moments of y = log t* and of the signal x, and the
 * mean of y on either side of x = 0. */
typedef struct sign_sums {
  double n[2], y[2]; /* [x < 0] */
  double xx, xy, yy; /* centred */
} sign_sums;

static bool is_usable(const esc_fit_row *r) {
  return !r->diverged && !r->censored && r->signal != 0;
}

static sign_sums sum_signs(size_t n, const esc_fit_row *rows) {
  sign_sums s = {.xx = 0};
  double x = 0, y = 0, count = 0;
  for (size_t i = 0; i < n; i++)
    if (is_usable(&rows[i])) {
      const int negative = rows[i].signal < 0;
      s.n[negative]++;
      s.y[negative] += esc_log_step(rows[i].step);
      x += rows[i].signal;
    }
  count = s.n[0] + s.n[1];
  y = s.y[0] + s.y[1];
  for (size_t i = 0; i < n; i++)
    if (is_usable(&rows[i])) {
      const double dx = rows[i].signal - x / count, dy = esc_log_step(rows[i].step) - y / count;
      s.xx += dx * dx;
      s.xy += dx * dy;
      s.yy += dy * dy;
    }
  return s;
}

void esc_fit_signs(size_t n, const esc_fit_row *rows, esc_fit_group *g) {
  sign_sums all = {.xx = 0};
  double delay = 0, scales = 0;
  for (size_t first = 0, end; first < n; first = end) {
    for (end = first + 1; end < n && rows[end].scale == rows[first].scale;) end++;
    const sign_sums s = sum_signs(end - first, rows + first);
    all.xx += s.xx;
    all.xy += s.xy;
    all.yy += s.yy;
    if (s.n[0] == 0 || s.n[1] == 0) continue;
    delay += s.y[1] / s.n[1] - s.y[0] / s.n[0];
    scales++;
  }
  g->delay_negative = scales > 0 ? exp(delay / scales) : (double)NAN;
  g->signal_correlation = all.xx > 0 && all.yy > 0 ? all.xy / sqrt(all.xx * all.yy) : (double)NAN;
}

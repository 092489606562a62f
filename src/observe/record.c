/* SPDX-License-Identifier: Apache-2.0 */
/* The steps at which snapshots are taken. */
#include <math.h>

#include "escapement/internal/observe.h"

/* Step j of the logarithmic grid, 10^(j / per_decade) rounded. */
static int64_t log_step(int per_decade, int64_t j) {
  return (int64_t)llround(pow(10, (double)j / per_decade));
}

int64_t esc_record_next(const esc_record *r, int64_t from) {
  if (r->every > 0) return (from + r->every - 1) / r->every * r->every;
  if (from <= 0) return 0;
  int64_t j = (int64_t)floor(r->per_decade * log10((double)from)) - 1;
  if (j < 0) j = 0;
  while (log_step(r->per_decade, j) < from) j++;
  return log_step(r->per_decade, j);
}

double esc_record_bytes(const esc_record *r, int layers, int64_t steps) {
  if (!esc_record_on(r)) return 0;
  return 8.0 * esc_observation_length(layers) * (double)(esc_record_count(r, steps) + 1);
}

int64_t esc_record_count(const esc_record *r, int64_t steps) {
  if (r->every > 0) return steps / r->every + 1;
  int64_t count = 0;
  for (int64_t step = 0; step <= steps; step = esc_record_next(r, step + 1)) count++;
  return count;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "run/block_length.h"

#include <math.h>
#include <stdbool.h>

static const int64_t block_max = 1 << 20;

/* The host needs 0.02 us a slot, several times that where slots are in other processors' caches. */
static const double round_seconds = 0.05, short_round_seconds = 0.005, slot_seconds = 1e-6;
static const double missed_max = 1.0 / 24;

int64_t esc_next_block(const esc_round *r) {
  const double missed = (double)(r->possible - r->made);
  const double least = fmax(short_round_seconds, slot_seconds * r->slots);
  const bool is_short = missed > missed_max * (double)r->possible && least < round_seconds;
  const double target = is_short ? least : round_seconds;
  if (r->seconds > 2 * target && r->block > 1) return r->block / 2;
  if (r->advanced == r->block && r->seconds < target / 2 && r->block < block_max)
    return 2 * r->block;
  return r->block;
}

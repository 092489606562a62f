/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stop.h"

#include <stdlib.h>

#include "escapement/internal/status.h"

esc_status esc_stop_create(esc_stop **out) {
  esc_status status = ESC_OK;
  ESC_TRY_ALLOCATE(*out = calloc(1, sizeof **out));
done:
  return status;
}

void esc_stop_free(esc_stop *stop) { free(stop); }

void esc_stop_raise(esc_stop *stop, int level) {
  int now = atomic_load(&stop->level);
  while (now < level && !atomic_compare_exchange_weak(&stop->level, &now, level)) continue;
  atomic_store(&stop->requested, true);
}

void esc_stop_request(esc_stop *stop) { esc_stop_raise(stop, 1); }

int esc_stop_level(const esc_stop *stop) { return atomic_load(&stop->level); }

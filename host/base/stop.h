/* SPDX-License-Identifier: Apache-2.0 */
/* A request to stop (escapement/run.h) and its level: 1 save and end; 2 end now, after saving in
 * progress; 3 end at once. Raised by the signal handlers. */
#ifndef ESC_STOP_H
#define ESC_STOP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "escapement/run.h"

enum { ESC_STOP_LEVEL_MAX = 3 };

struct esc_stop {
  atomic_bool requested; /* polled by the engines */
  atomic_int level;
};

/* Makes its level at least `level`. Async-signal-safe. */
void esc_stop_raise(esc_stop *stop, int level);

int esc_stop_level(const esc_stop *stop);

#endif

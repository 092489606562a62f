/* SPDX-License-Identifier: Apache-2.0 */
/* A request to stop (escapement/run.h), and how urgent it is: 1 save and end; 2 end at once, but
 * save to the end; 3 end at once. What listens to signals raises it. */
#ifndef ESC_STOP_H
#define ESC_STOP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "escapement/run.h"

enum { ESC_STOP_LEVEL_MAX = 3 };

struct esc_stop {
  atomic_bool requested; /* what engines look at */
  atomic_int level;
};

/* Makes its level at least `level`. Async-signal-safe. */
void esc_stop_raise(esc_stop *stop, int level);

int esc_stop_level(const esc_stop *stop);

#endif

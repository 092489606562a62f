/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on standard error: on a terminal a bar, elsewhere a line at growing intervals. */
#ifndef ESC_PROGRESS_H
#define ESC_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "run/scheduler.h"

typedef struct esc_progress_bar {
  bool quiet, terminal;
  double next; /* seconds into the run when the next report is due */
  double gap;  /* between lines, off a terminal */
} esc_progress_bar;

void esc_progress_bar_init(esc_progress_bar *bar, bool quiet);

/* An esc_progress_report; `context` is the esc_progress_bar. */
void esc_progress_bar_report(void *context, const esc_progress *progress);

/* Prints a line of at most `columns` characters (0: no limit, and no bar): the share of the
 * expected steps that is made, ETA and elapsed time always, then as many as fit of steps,
 * members, the bar, how members ended, and the rate. `size` is the line's, at least 256. */
void esc_progress_print(const esc_progress *progress, int columns, char *line, size_t size);

/* Wipes the bar. */
void esc_progress_bar_finish(const esc_progress_bar *bar);

#endif

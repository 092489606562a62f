/* SPDX-License-Identifier: Apache-2.0 */
/* Shows progress and messages of a training run, and stops it with a checkpoint on a signal
 * (base/signals.h). */
#ifndef ESC_CLI_RUN_WATCH_H
#define ESC_CLI_RUN_WATCH_H

#include "cli/progress.h"
#include "escapement/run.h"

/* Must not be copied or moved while it is in use. */
typedef struct esc_run_watch {
  esc_progress_bar bar;
  esc_stop *stop;
  esc_run_callbacks callbacks; /* with `stop`, for the options of the run */
} esc_run_watch;

/* Between begin and end, stop signals end the training with ESC_INTERRUPTED. end restores the
 * former signal handlers and returns true if a stop was requested, even one too late for the
 * training. */
esc_status esc_run_watch_begin(esc_run_watch *watch, bool quiet);
bool esc_run_watch_end(esc_run_watch *watch);

#endif

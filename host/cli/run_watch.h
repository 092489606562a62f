/* SPDX-License-Identifier: Apache-2.0 */
/* What a command does while it trains: shows progress and messages, and stops, saved, when the
 * process is asked to (base/signals.h). */
#ifndef ESC_CLI_RUN_WATCH_H
#define ESC_CLI_RUN_WATCH_H

#include "cli/progress.h"
#include "escapement/run.h"

/* Not to be copied or moved while it is in use. */
typedef struct esc_run_watch {
  esc_progress_bar bar;
  esc_stop *stop;
  esc_run_callbacks callbacks; /* for the options of the run, as is the stop */
} esc_run_watch;

/* Signals are handled from here on until the end, which gives them back what they did before. A
 * stop that came meanwhile ends the training with ESC_INTERRUPTED. */
esc_status esc_run_watch_begin(esc_run_watch *watch, bool quiet);
bool esc_run_watch_end(esc_run_watch *watch); /* true: it did, or came too late for that */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The view of `watch`: a run at one moment. */
#ifndef ESC_WATCH_FRAME_H
#define ESC_WATCH_FRAME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "escapement/internal/status.h"
#include "run/unfinished.h"

typedef enum esc_watch_state {
  ESC_WATCH_STARTING, /* a run has the lock, and no journal yet */
  ESC_WATCH_RUNNING,
  ESC_WATCH_STOPPED, /* unfinished, and no process runs it */
  ESC_WATCH_UNKNOWN, /* the lock cannot be seen from this machine */
  ESC_WATCH_FINISHED
} esc_watch_state;

/* Size of the window; lines 0: no limit. */
typedef struct esc_watch_window {
  int lines, columns;
} esc_watch_window;

/* Reads the run of `output` and prints it to `out`. `forecast`: kept between frames. *state
 * receives its state, *json (may be NULL; owned by the caller) the same as an object. ESC_BAD_INPUT
 * where there is no run. */
esc_status esc_watch_frame(const char *output, esc_unfinished_forecast *forecast,
                           esc_watch_window window, FILE *out, esc_watch_state *state,
                           json_t **json);

#endif

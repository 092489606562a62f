/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_watch.h"

#include "base/signals.h"
#include "cli/cli.h"

static bool show_progress(void *context, const esc_progress *progress) {
  esc_run_watch *watch = context;
  esc_progress_bar_report(&watch->bar, progress);
  return true;
}

static void change_signals(void *context, esc_run_phase phase, bool begins) {
  (void)context;
  if (phase == ESC_RUN_PHASE_SUPERVISING)
    esc_signals_supervise(begins);
  else if (begins)
    esc_signals_save_begin();
  else
    esc_signals_save_end();
}

static void show_message(void *context, const char *text) {
  const esc_run_watch *watch = context;
  esc_progress_bar_finish(&watch->bar);
  esc_log_print(text);
}

esc_status esc_run_watch_begin(esc_run_watch *w, bool quiet) {
  esc_status status = ESC_OK;
  esc_progress_bar_init(&w->bar, quiet);
  w->callbacks = (esc_run_callbacks){.context = w,
                                     .message = show_message,
                                     .progress = quiet ? NULL : show_progress,
                                     .phase = change_signals};
  ESC_TRY(esc_stop_create(&w->stop));
  esc_signals_install(w->stop); /* before the first file is created */
done:
  return status;
}

bool esc_run_watch_end(esc_run_watch *w) {
  esc_progress_bar_finish(&w->bar);
  esc_signals_restore();
  const bool stopped = esc_stop_level(w->stop) > 0;
  esc_stop_free(w->stop);
  w->stop = NULL;
  return stopped;
}

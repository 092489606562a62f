/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of a run: of a sweep without a grid, or of a grid's points. */
#include "base/log.h"
#include "escapement/internal/library.h"
#include "run/grid.h"
#include "run/run.h"

static esc_status run(const esc_spec *spec, const esc_run_options *options, int lock,
                      esc_run_report *report_out, esc_results **results) {
  esc_status status = ESC_OK;
  esc_run r;
  bool complete = false;
  const esc_library_scope scope = esc_library_enter();
  const esc_log_receiver to = {options->callbacks.message, options->callbacks.context};
  const esc_log_receiver before = esc_log_redirect(to);
  ESC_TRY(esc_run_prepare(spec, options, false, &r));
  ESC_TRY(esc_run_open_log(&r));
  if (r.log) esc_log_redirect((esc_log_receiver){esc_run_log_message, &r});
  ESC_TRY(spec->grid ? esc_grid_run_execute(&r, lock, &complete)
                     : esc_run_execute(&r, lock, &complete));
  if (report_out) esc_run_fill_report(&r, report_out);
  if (report_out) report_out->complete = complete;
  esc_run_log_end(&r, ESC_OK);
  if (results) {
    *results = r.results;
    r.results = NULL;
  }
done:
  esc_run_log_end(&r, status);
  esc_log_redirect(to); /* later messages do not belong to the log */
  esc_run_free(&r);
  esc_log_redirect(before);
  esc_library_leave(scope);
  return status;
}

esc_status esc_sweep_run(const esc_spec *spec, const esc_run_options *options,
                         esc_run_report *report_out, esc_results **results) {
  return run(spec, options, -1, report_out, results);
}

esc_status esc_run_as_worker(const esc_spec *spec, const esc_run_options *options, int lock) {
  return run(spec, options, lock, NULL, NULL);
}

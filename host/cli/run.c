/* SPDX-License-Identifier: Apache-2.0 */
/* escapement run: trains a sweep and writes its result file. escapement worker: a process of run
 * --devices. */
#include "cli/run.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/signals.h"
#include "cli/cli.h"
#include "cli/run_watch.h"
#include "run/provenance.h"
#include "run/worker.h"

static esc_status train(esc_run_request *request, const esc_spec *spec) {
  esc_status status = ESC_OK;
  esc_run_report report;
  esc_results *results = NULL;
  esc_run_watch watch;
  ESC_TRY(esc_run_watch_begin(&watch, request->quiet));
  request->options.stop = watch.stop;
  request->options.callbacks = watch.callbacks;
  status = esc_sweep_run(spec, &request->options, &report, &results);
  esc_run_watch_end(&watch);
  if (status == ESC_OK) status = esc_run_print_summary(request, &report, results);
done:
  esc_results_free(results);
  return status;
}

static void print_message(void *context, const char *text) {
  (void)context;
  esc_log_print(text);
}

static esc_status print_plan(esc_run_request *request, const esc_spec *spec) {
  esc_status status = ESC_OK;
  esc_dry_run dry_run;
  request->options.callbacks.message = print_message;
  ESC_TRY(esc_sweep_dry_run(spec, &request->options, &dry_run));
  status = esc_run_print_dry(request, spec, &dry_run);
  esc_dry_run_free(&dry_run);
done:
  return status;
}

esc_status esc_command_run(int argc, char **argv) {
  esc_status status = ESC_OK;
  esc_run_request request = {0};
  esc_spec *spec = NULL;
  char output[PATH_MAX], *command = NULL;
  int first = 0;
  bool help = false;
  ESC_TRY(esc_run_parse(&request, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first >= argc)
    return ESC_FAIL(ESC_BAD_INPUT, "run: the SPEC file is missing; see 'escapement run --help'");
  ESC_TRY(esc_run_choose_shard(&request));
  ESC_TRY(
      esc_spec_load(argv[first], argc - first - 1, (const char *const *)argv + first + 1, &spec));
  ESC_TRY(esc_run_choose_output(&request, spec, argv[first], output, sizeof output));
  ESC_TRY_ALLOCATE(command = esc_command_line(argc, argv));
  request.options.command_line = command;
  request.options.worker = "/proc/self/exe";
  status = request.dry_run ? print_plan(&request, spec) : train(&request, spec);
done:
  esc_spec_free(spec);
  free(command);
  return status;
}

esc_status esc_command_worker(int argc, char **argv) {
  esc_status status = ESC_OK;
  esc_run_watch watch;
  (void)argv;
  if (argc > 1)
    return ESC_FAIL(ESC_BAD_INPUT, "worker: internal command, started by run --devices");
  esc_signals_stop_with_parent();
  ESC_TRY(esc_run_watch_begin(&watch, true));
  status = esc_worker_run(STDIN_FILENO, watch.stop, &watch.callbacks);
  esc_run_watch_end(&watch);
done:
  return status;
}

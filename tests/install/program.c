/* SPDX-License-Identifier: Apache-2.0 */
/* A program that uses the installed library: trains a sweep with a progress callback, cancels it,
 * resumes it, and reads a column of the results. Its argument is the result file. */
#include <escapement/escapement.h>
#include <stdio.h>
#include <string.h>

static const char *const sweep[] = {"network.layers=3",
                                    "network.width=8",
                                    "train.rate=0.05",
                                    "train.batch=8",
                                    "train.steps=400",
                                    "escape.thresholds=[1.0e-9]",
                                    "sweep.seeds=2",
                                    "escape.false_escapes=allow",
                                    "sweep.groups=[{bottleneck: 2, scales: [0.5, 0.1]}]"};

static bool cancel(void *context, const esc_progress *progress) {
  *(long long *)context += progress->network_steps;
  return false;
}

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, esc_error_message());
  return 1;
}

int main(int argc, char **argv) {
  esc_spec *spec = NULL;
  esc_results *results = NULL;
  esc_run_options options;
  esc_run_report report;
  esc_column steps;
  long long seen = 0;
  if (argc != 2 || strcmp(esc_library_version(), ESC_VERSION_STRING) != 0) return fail("version");
  if (esc_spec_build(sizeof sweep / sizeof sweep[0], sweep, &spec) != ESC_OK) return fail("spec");
  esc_run_options_init(&options);
  options.output = argv[1];
  options.slots = 1;
  options.callbacks.context = &seen;
  options.callbacks.progress = cancel;
  if (esc_sweep_run(spec, &options, NULL, NULL) != ESC_INTERRUPTED) return fail("cancelled");
  options.callbacks.progress = NULL;
  options.resume = true;
  if (esc_sweep_run(spec, &options, &report, &results) != ESC_OK) return fail("resumed");
  if (esc_results_find_column(results, "steps_run", &steps) != ESC_OK) return fail("column");
  printf("libescapement %s: %lld members, cancelled: %s, steps of the last: %lld\n",
         esc_library_version(), (long long)report.members, seen > 0 ? "yes" : "no",
         (long long)((const int64_t *)steps.data)[steps.length[0] - 1]);
  esc_results_free(results);
  esc_spec_free(spec);
  return 0;
}

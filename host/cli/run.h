/* SPDX-License-Identifier: Apache-2.0 */
/* The command run: options and output. */
#ifndef ESC_CLI_RUN_H
#define ESC_CLI_RUN_H

#include "escapement/run.h"

typedef struct esc_run_request {
  esc_run_options options;    /* all but the output, the shard and the callbacks */
  const char *output, *shard; /* values of the options; NULL: not given */
  bool dry_run, quiet, json;
} esc_run_request;

/* Reads the options; *first is the index of the spec in argv. */
esc_status esc_run_parse(esc_run_request *request, int argc, char **argv, int *first, bool *help);

/* Set the shard and the output in request->options. The name of the output, in `output` (size
 * bytes), has its placeholders replaced; without -o it is the name of the sweep. Refuses the file
 * of the spec. */
esc_status esc_run_choose_shard(esc_run_request *request);
esc_status esc_run_choose_output(esc_run_request *request, const esc_spec *spec,
                                 const char *spec_path, char *output, size_t size);

/* Print the summary of a run, or of a dry run, as text or as JSON. */
esc_status esc_run_print_summary(const esc_run_request *request, const esc_run_report *report,
                                 const esc_results *results);
esc_status esc_run_print_dry(const esc_run_request *request, const esc_spec *spec,
                             const esc_dry_run *dry_run);

#endif

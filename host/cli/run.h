/* SPDX-License-Identifier: Apache-2.0 */
/* The command run: what it is asked, and what it prints. */
#ifndef ESC_CLI_RUN_H
#define ESC_CLI_RUN_H

#include "escapement/run.h"

typedef struct esc_run_request {
  esc_run_options options;    /* all but output, shard and what belongs to the process */
  const char *output, *shard; /* as they were given; NULL: not */
  bool dry_run, quiet, json;
} esc_run_request;

/* Reads the options; *first is the index of the spec in argv. */
esc_status esc_run_parse(esc_run_request *ask, int argc, char **argv, int *first, bool *help);

/* Chooses the shard and the name of the output, into `output` (size bytes) and ask->options:
 * placeholders filled in, and without -o the sweep's name. Refuses `spec`, the file of the spec. */
esc_status esc_run_choose_shard(esc_run_request *ask);
esc_status esc_run_choose_output(esc_run_request *ask, const esc_spec *spec, const char *spec_path,
                                 char *output, size_t size);

/* Prints the summary of a run, or what it would do, as text or as JSON. */
esc_status esc_run_print_summary(const esc_run_request *ask, const esc_run_report *report,
                                 const esc_results *results);
esc_status esc_run_print_dry(const esc_run_request *ask, const esc_spec *spec,
                             const esc_dry_run *dry_run);

#endif

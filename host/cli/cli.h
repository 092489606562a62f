/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, and functions that several of them use. */
#ifndef ESC_CLI_H
#define ESC_CLI_H

#include "base/json.h"
#include "base/log.h"

#include "base/signals.h"
#include "escapement/internal/fit.h"
#include "escapement/internal/status.h"
#include "escapement/merge.h"
#include "run/unfinished.h"

/* argv[0] is the name of the command. */
typedef esc_status esc_command_function(int argc, char **argv);

esc_command_function esc_command_run, esc_command_fit, esc_command_plot, esc_command_info,
    esc_command_classify, esc_command_escape, esc_command_blocks, esc_command_bench,
    esc_command_compare, esc_command_plateau, esc_command_observe, esc_command_verify,
    esc_command_merge, esc_command_figure, esc_command_report, esc_command_watch,
    esc_command_worker;

/* Prints `object` to standard output and frees it. */
esc_status esc_json_print(json_t *object);

/* Reads a result file into *table (owned). Warns if its checksum is missing or wrong. */
esc_status esc_table_read(const char *path, esc_results **table);

/* Reads the result files argv[first..argc) into *table (owned; freed with esc_tables_free). Fails
 * without files. */
esc_status esc_tables_read(int argc, char **argv, int first, int *tables, esc_results ***table);

/* The same, where a file may also be the output of an unfinished run (that does not exist yet), or
 * a journal or checkpoint beside it. *unfinished (owned): a JSON object for each of those, with
 * esc_unfinished_to_json's keys. */
esc_status esc_tables_read_unfinished(int argc, char **argv, int first, int *tables,
                                      esc_results ***table, json_t **unfinished);

/* Refuses the output of a grid in training, which does not exist yet, with the name of a file that
 * can be read. */
esc_status esc_table_refuse_grid(const char *path);

/* Keys file, members, finished, escaped, censored, diverged, running, waiting, active, basis, text.
 */
json_t *esc_unfinished_to_json(const esc_unfinished *unfinished);
void esc_tables_free(int tables, esc_results **table);

/* The array `groups` of fit --json. */
json_t *esc_fit_to_json(const esc_fit *fit);

/* Prints the summary of merge and of a run with --devices: lines of text, or JSON. */
esc_status esc_merge_print(const char *output, const esc_merge_summary *summary, bool as_json);

/* Sends the messages of this thread (base/log.h) to standard error with esc_log_print. */
void esc_log_to_stderr(void);

/* Prints one message, "escapement: ...", as one line and one write, with control characters as
 * escapes (esc_text_print_escaped). */
void esc_log_print(const char *text);

#endif

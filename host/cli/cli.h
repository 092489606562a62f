/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs, and what they share. */
#ifndef ESC_CLI_H
#define ESC_CLI_H

#include "base/json.h"
#include "base/log.h"

#include "base/signals.h"
#include "escapement/internal/fit.h"
#include "escapement/internal/status.h"
#include "escapement/merge.h"

/* A verb gets argv with its own name as argv[0]. */
typedef esc_status esc_verb(int argc, char **argv);

esc_verb esc_verb_run, esc_verb_fit, esc_verb_plot, esc_verb_info, esc_verb_classify,
    esc_verb_escape, esc_verb_blocks, esc_verb_bench, esc_verb_compare, esc_verb_plateau,
    esc_verb_verify, esc_verb_merge, esc_verb_figure, esc_verb_report, esc_verb_worker;

/* Prints `object` to stdout and frees it. */
esc_status esc_json_print(json_t *object);

/* Reads the result files argv[first..argc) into *table (owned; free each and
 * the array with esc_tables_free). At least one is needed. */
esc_status esc_tables_read(int argc, char **argv, int first, int *tables, esc_results ***table);
void esc_tables_free(int tables, esc_results **table);

/* The fit's groups as JSON (the contract's `groups`). */
json_t *esc_fit_to_json(const esc_fit *fit);

/* The line that merge and a run with --devices end with, or its JSON. */
esc_status esc_merge_print(const char *output, const esc_merge_summary *summary, bool as_json);

/* Messages of this thread (base/log.h) go to standard error from now on, one line and one write
 * each: "escapement: ...", control characters as escapes (esc_text_print_escaped). */
void esc_log_to_stderr(void);
void esc_log_print(const char *text); /* one of them */

#endif

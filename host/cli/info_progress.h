/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of the files of an unfinished run, for `info`. */
#ifndef ESC_INFO_PROGRESS_H
#define ESC_INFO_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>

#include "escapement/internal/status.h"

/* Prints a journal of members or of snapshots. */
esc_status esc_info_journal(const char *path, bool json);

/* Prints the run whose result is to be `output`, from its files. */
esc_status esc_info_unfinished(const char *output, bool json);

/* Prints a checkpoint. */
esc_status esc_info_checkpoint(const char *path, bool json);

/* Prints segments, one line each. */
void esc_info_print_segments(const json_t *segments);

#endif

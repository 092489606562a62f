/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a run that has not ended hold, for `info`. */
#ifndef ESC_INFO_PROGRESS_H
#define ESC_INFO_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>

#include "escapement/internal/status.h"

/* A journal of members or of snapshots. */
esc_status esc_info_journal(const char *path, bool json);

/* A checkpoint. */
esc_status esc_info_checkpoint(const char *path, bool json);

/* Segments, a line each. */
void esc_info_print_segments(const json_t *segments);

#endif

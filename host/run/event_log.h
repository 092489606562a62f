/* SPDX-License-Identifier: Apache-2.0 */
/* Log of a run as JSON lines (run --log FILE): one object for each event, with the keys of
 * docs/guide/watching.md. Appended, a line with one write(2), so that several processes may share a
 * file. A log never changes a result: a line that cannot be written is lost, with one warning. */
#ifndef ESC_EVENT_LOG_H
#define ESC_EVENT_LOG_H

#include <jansson.h>

#include "escapement/internal/status.h"

typedef struct esc_event_log esc_event_log;

/* Opens `path` for appending and creates it if missing. A line that a crash left incomplete is
 * ended. ESC_BAD_INPUT for a path that cannot be opened, or of a file with
 * other contents. */
esc_status esc_event_log_open(const char *path, esc_event_log **out);
void esc_event_log_close(esc_event_log *log); /* NULL is allowed */

/* Appends `event` with its name, the time (UTC), this process's id and the seconds since the log
 * was opened; frees `event`. Does nothing with a NULL log. */
void esc_event_log_write(esc_event_log *log, const char *name, json_t *event);

#endif

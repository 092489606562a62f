/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes, and the message of a failure.
 *
 * Every function that can fail returns an esc_status; its outputs are valid only after ESC_OK. Each
 * thread keeps the message of its last failure: one line that states the failure, its location, the
 * allowed values and, for a run, what was saved. */
#ifndef ESCAPEMENT_STATUS_H
#define ESCAPEMENT_STATUS_H

#include "escapement/export.h"

/* X(name, exit status of the program, meaning) */
#define ESC_STATUS_LIST(X)                             \
  X(ESC_OK, 0, "done")                                 \
  X(ESC_CHECK_FAILED, 1, "a requested check failed")   \
  X(ESC_BAD_INPUT, 2, "bad usage or input")            \
  X(ESC_IO_FAILED, 3, "reading or writing failed")     \
  X(ESC_NO_MEMORY, 3, "out of memory")                 \
  X(ESC_LIBRARY_FAILED, 3, "a library call failed")    \
  X(ESC_DEVICE_FAILED, 3, "the device failed")         \
  X(ESC_INTERRUPTED, 130, "interrupted; all is saved") \
  X(ESC_OUT_OF_TIME, 143, "stopped at --max-time; all is saved")

typedef enum esc_status {
#define ESC_STATUS_ENUM(name, code, text) name,
  ESC_STATUS_LIST(ESC_STATUS_ENUM)
#undef ESC_STATUS_ENUM
} esc_status;

ESC_BEGIN_DECLS

/* Meaning of `status`, a constant string; "unknown status" for other numbers. */
ESC_API const char *esc_status_text(esc_status status);

/* Message of this thread's last failure, "" if there was none; valid until the next failure. */
ESC_API const char *esc_error_message(void);

ESC_END_DECLS

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Recording and propagation of failures (public part: escapement/status.h).
 *
 * The function that detects a failure records the message with ESC_FAIL; its callers return the
 * status unchanged. */
#ifndef ESCAPEMENT_INTERNAL_STATUS_H
#define ESCAPEMENT_INTERNAL_STATUS_H

#include "escapement/status.h"

/* Exit status of the process for `status` (the command line's contract). */
int esc_status_exit_code(esc_status status);

/* Records a message for this thread (at most 1023 bytes; longer ones are cut)
 * and returns `status`. `file` and `line` are returned by esc_error_location. */
esc_status esc_fail_at(const char *file, int line, esc_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define ESC_FAIL(status, ...) esc_fail_at(__FILE__, __LINE__, (status), __VA_ARGS__)

/* Source file and line of the last ESC_FAIL ("store.c:120"). */
const char *esc_error_location(void);

/* On failure jumps to the label `done`, where the calling function frees its resources and returns
 * `status`. */
#define ESC_TRY(call)                \
  do {                               \
    status = (call);                 \
    if (status != ESC_OK) goto done; \
  } while (0)

#define ESC_TRY_ALLOCATE(pointer)                                          \
  do {                                                                     \
    if ((pointer) == NULL) {                                               \
      status = ESC_FAIL(ESC_NO_MEMORY, "out of memory (%.*s)",             \
                        (int)__builtin_strcspn(#pointer, " ="), #pointer); \
      goto done;                                                           \
    }                                                                      \
  } while (0)

#endif

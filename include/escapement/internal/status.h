/* Status codes and the message that goes with a failure.
 *
 * Every function that can fail returns an esc_status. The one that finds the
 * fault writes the message with ESC_FAIL; callers pass the status up untouched
 * and only main prints. A message is one line that names what, where, what is
 * allowed and, where something was at stake, what is safe. */
#ifndef ESCAPEMENT_STATUS_H
#define ESCAPEMENT_STATUS_H

/* X(name, exit code, what it means) */
#define ESC_STATUS_LIST(X)                                    \
  X(ESC_OK, 0, "done")                                        \
  X(ESC_CHECK_FAILED, 1, "a check that was asked for failed") \
  X(ESC_BAD_INPUT, 2, "bad usage or input")                   \
  X(ESC_IO_FAILED, 3, "reading or writing failed")            \
  X(ESC_NO_MEMORY, 3, "out of memory")                        \
  X(ESC_LIBRARY_FAILED, 3, "a library call failed")           \
  X(ESC_DEVICE_FAILED, 3, "the device failed")                \
  X(ESC_INTERRUPTED, 130, "interrupted; all is saved")        \
  X(ESC_OUT_OF_TIME, 143, "stopped at --max-time; all is saved")

typedef enum esc_status {
#define ESC_STATUS_ENUM(name, code, text) name,
  ESC_STATUS_LIST(ESC_STATUS_ENUM)
#undef ESC_STATUS_ENUM
} esc_status;

/* Exit status of the process for `status` (the command line's contract). */
int esc_status_exit_code(esc_status status);

/* What `status` means, in words; a constant string. */
const char *esc_status_text(esc_status status);

/* Records a message for this thread (at most 1023 bytes; longer ones are cut)
 * and returns `status`. `file` and `line` are kept for esc_error_place. */
esc_status esc_fail_at(const char *file, int line, esc_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define ESC_FAIL(status, ...) esc_fail_at(__FILE__, __LINE__, (status), __VA_ARGS__)

/* The last message recorded by this thread, "" if none; valid until the next. */
const char *esc_error_message(void);

/* Source file and line where that message was recorded ("store.c:120"). */
const char *esc_error_place(void);

/* Leaves the calling function through its label `done`, which frees what it
 * holds and returns `status`. */
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

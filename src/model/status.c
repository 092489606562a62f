/* SPDX-License-Identifier: Apache-2.0 */
/* The thread's last error message, and what each status means. */
#include "escapement/internal/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];
static _Thread_local char place[128];

int esc_status_exit_code(esc_status status) {
  static const int code[] = {
#define ROW(name, code, text) [name] = (code),
      ESC_STATUS_LIST(ROW)
#undef ROW
  };
  return code[status];
}

const char *esc_status_text(esc_status status) {
  static const char *const text[] = {
#define ROW(name, code, text) [name] = (text),
      ESC_STATUS_LIST(ROW)
#undef ROW
  };
  const size_t count = sizeof text / sizeof text[0];
  return (size_t)status < count ? text[status] : "unknown status";
}

esc_status esc_fail_at(const char *file, int line, esc_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  const char *slash = strrchr(file, '/');
  snprintf(place, sizeof place, "%.100s:%d", slash ? slash + 1 : file, line);
  return status;
}

const char *esc_error_message(void) { return message; }
const char *esc_error_location(void) { return place; }

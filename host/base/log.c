/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local esc_log_receiver receiver;

esc_log_receiver esc_log_redirect(esc_log_receiver to) {
  const esc_log_receiver before = receiver;
  receiver = to;
  return before;
}

void esc_log(const char *format, ...) {
  char *text = NULL;
  if (!receiver.message) return;
  va_list arguments;
  va_start(arguments, format);
  const int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  receiver.message(receiver.context, length < 0 ? "out of memory, for a message too" : text);
  if (length >= 0) free(text);
}

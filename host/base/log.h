/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings and notes, one line each, without newline. They are sent to the receiver of the calling
 * thread, or dropped without one, because a library does not print. */
#ifndef ESC_LOG_H
#define ESC_LOG_H

typedef struct esc_log_receiver {
  void (*message)(void *context, const char *text); /* NULL: drops it */
  void *context;
} esc_log_receiver;

/* Sets this thread's receiver and returns the one before it. */
esc_log_receiver esc_log_redirect(esc_log_receiver to);

/* Sends a message. Text quoted from files and arguments is raw: the receiver escapes control
 * characters (esc_text_print_escaped). */
void esc_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Messages beside results: warnings and notes, one line each, without its newline. They go to the
 * receiver of the thread that they arise on; without one they are dropped, because a library does
 * not print. */
#ifndef ESC_LOG_H
#define ESC_LOG_H

typedef struct esc_log_receiver {
  void (*message)(void *context, const char *text); /* NULL: drops it */
  void *context;
} esc_log_receiver;

/* Sets this thread's receiver and returns the one before it. */
esc_log_receiver esc_log_redirect(esc_log_receiver to);

/* Sends a message. What it quotes of files and arguments is raw: who shows it escapes control
 * characters (esc_text_print_escaped). */
void esc_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

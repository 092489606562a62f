/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps control characters of files and arguments from the terminal. */
#ifndef ESC_TERMINAL_H
#define ESC_TERMINAL_H

/* Replaces stdout by a stream that prints control characters as escapes (esc_text_print_escaped,
 * with lines); leaves stdout unchanged if memory is missing. Messages on standard error:
 * esc_log_print. */
void esc_terminal_guard(void);

#endif

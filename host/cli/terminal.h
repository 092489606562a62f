/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output, on which nothing of a file or an argument is obeyed by the terminal. */
#ifndef ESC_TERMINAL_H
#define ESC_TERMINAL_H

/* Puts a stream before standard output that shows control characters as escapes
 * (esc_text_print_escaped, with lines); standard output stays as it is where there is no memory for
 * that. Messages on standard error are esc_log's. */
void esc_terminal_guard(void);

#endif

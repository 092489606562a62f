/* SPDX-License-Identifier: Apache-2.0 */
/* Escaping and formatting of user text for one-line messages. */
#ifndef ESC_TEXT_H
#define ESC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Writes `text` with everything escaped that a terminal would interpret: control characters (of the
 * second set too), characters that turn the direction of writing or break lines, and bytes that
 * are not UTF-8 become \n, \x1b, \u202e, \xff. With `lines`, tabs and the ends of lines stay. */
void esc_text_print_escaped(FILE *out, const char *text, size_t length, bool lines);

/* Copies `text` in that way, without `lines`; if it does not fit in `size` it ends in "...". */
void esc_text_escape(char *to, size_t size, const char *text, size_t length);

/* Bytes of `text` without an incomplete UTF-8 character at its end. */
size_t esc_text_whole_characters(const char *text, size_t length);

/* Replaces bytes that are not UTF-8 by '?', in place. */
void esc_text_force_utf8(char *text);

/* `text`, JSON that is valid, with the characters that esc_text_print_escaped shows as escapes
 * written as JSON's own (\u202e); malloc'd, NULL without memory. */
char *esc_text_escape_json(const char *text);

/* `text` cleaned and cut, for quoting in a message. */
typedef struct esc_quoted {
  char text[64];
} esc_quoted;
esc_quoted esc_quote(const char *text, size_t length);

/* Prints `text` and a line's end, broken at spaces so that no line is longer than `columns` bytes
 * unless a word is; lines after the first begin with `indent` spaces; the first is assumed to start
 * at that column. */
void esc_text_print_wrapped(FILE *out, const char *text, int indent, int columns);

/* Valid UTF-8 without control, line-breaking, direction or byte-order characters. */
bool esc_text_is_printable(const char *text, size_t length);

/* Edits (one character more, less, other, or two neighbours swapped) between
 * two short words; a large number if one is longer than any key. */
int esc_text_edit_distance(const char *a, const char *b);

/* A probability or fraction as a percentage without false precision: "0%", "less
 * than 0.001%", "0.25%", "41%", "99.7%", "more than 99.9%", "100%". */
typedef struct esc_percent {
  char text[32];
} esc_percent;

esc_percent esc_percent_print(double share);

#endif

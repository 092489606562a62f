/* Text that users wrote, made fit to be shown in a one-line message. */
#ifndef ESC_SPEC_TEXT_H
#define ESC_SPEC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Copies `text` with each byte that is not part of a printable UTF-8 character
 * replaced by '?'; if it does not fit in `size` it ends in "...". */
void esc_text_clean(char *to, size_t size, const char *text, size_t length);

/* The same at a length that fits in a message beside other things. */
typedef struct esc_shown {
  char text[64];
} esc_shown;
esc_shown esc_show(const char *text, size_t length);

/* Prints `text` and a line's end, broken at spaces so that no line is longer than `columns` bytes
 * unless a word is; lines behind the first begin with `indent` spaces, which the first is taken to
 * have before it. */
void esc_text_print_wrapped(FILE *out, const char *text, int indent, int columns);

/* Valid UTF-8 without control, line-breaking or byte-order characters. */
bool esc_text_printable(const char *text, size_t length);

/* Edits (one character more, less, other, or two neighbours swapped) between
 * two short words; a large number if one is longer than any key. */
int esc_text_distance(const char *a, const char *b);

/* A probability or share as a percentage that never claims more than it knows: "0%", "less
 * than 0.001%", "0.25%", "41%", "99.7%", "more than 99.9%", "100%". */
typedef struct esc_percent {
  char text[32];
} esc_percent;

esc_percent esc_percent_of(double share);

#endif

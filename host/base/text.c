/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 decoding and escaping, and the edit distance between words for "did you mean". */
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES_MAX = 64, DISTANCE_MAX = 1000 };

/* Bytes of the character that starts with `byte`; 0 for none. */
static size_t sequence_length(unsigned char byte) {
  if (byte < 0x80) return 1;
  if (byte >= 0xc2 && byte < 0xe0) return 2;
  if (byte >= 0xe0 && byte < 0xf0) return 3;
  if (byte >= 0xf0 && byte < 0xf5) return 4;
  return 0;
}

/* Bytes of the valid character at `text`, decoded into *code; 0 for none. */
static size_t decode(const unsigned char *text, size_t length, uint32_t *code) {
  static const uint32_t code_min[] = {0, 0, 0x80, 0x800, 0x10000};
  const size_t size = length > 0 ? sequence_length(text[0]) : 0;
  if (size == 0 || size > length) return 0;
  *code = size == 1 ? text[0] : text[0] & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; i++) {
    if ((text[i] & 0xc0) != 0x80) return 0;
    *code = *code << 6 | (text[i] & 0x3f);
  }
  return *code >= code_min[size] ? size : 0;
}

static bool is_printable(uint32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;       /* controls */
  if (code == 0x2028 || code == 0x2029) return false;                   /* line breaks */
  if (code >= 0xd800 && code < 0xe000) return false;                    /* surrogates */
  if (code == 0xfeff || code == 0xfffe || code == 0xffff) return false; /* byte order */
  if (code >= 0x202a && code <= 0x202e) return false;                   /* direction of writing */
  if (code >= 0x2066 && code <= 0x2069) return false;
  if (code == 0x61c || code == 0x200e || code == 0x200f) return false;
  return code <= 0x10ffff;
}

/* Bytes of the printable character at `text`; 0 if there is none. */
static size_t printable_length(const char *text, size_t length) {
  uint32_t code = 0;
  const size_t size = decode((const unsigned char *)text, length, &code);
  return size > 0 && is_printable(code) ? size : 0;
}

bool esc_text_is_printable(const char *text, size_t length) {
  for (size_t at = 0, size; at < length; at += size)
    if ((size = printable_length(text + at, length - at)) == 0) return false;
  return true;
}

/* Escape sequence for the unprintable character or byte at `text`; *step: its bytes in `text`. */
static void print_escape(const char *text, size_t length, char out[16], size_t *step) {
  static const char named[] = "abtnvfr"; /* 7 to 13 */
  uint32_t code = 0;
  const size_t size = decode((const unsigned char *)text, length, &code);
  *step = size > 0 ? size : 1;
  if (size == 0)
    snprintf(out, 16, "\\x%02x", (unsigned)(unsigned char)*text);
  else if (code == '\t' || code == '\n' || code == '\r')
    snprintf(out, 16, "\\%c", named[code - 7]);
  else if (code < 0x80)
    snprintf(out, 16, "\\x%02x", (unsigned)code);
  else
    snprintf(out, 16, code > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)code);
}

void esc_text_print_escaped(FILE *out, const char *text, size_t length, bool lines) {
  char escape[16];
  for (size_t at = 0, step; at < length; at += step) {
    const size_t printable = printable_length(text + at, length - at);
    if (printable || (lines && (text[at] == '\n' || text[at] == '\t'))) {
      step = printable ? printable : 1;
      fwrite(text + at, 1, step, out);
    } else {
      print_escape(text + at, length - at, escape, &step);
      fputs(escape, out);
    }
  }
}

void esc_text_escape(char *to, size_t size, const char *text, size_t length) {
  const size_t size_max = size - sizeof "...";
  size_t used = 0, at = 0, step;
  char escape[16];
  for (; at < length; at += step) {
    const size_t printable = printable_length(text + at, length - at);
    step = printable;
    if (!printable) print_escape(text + at, length - at, escape, &step);
    const size_t more = printable ? printable : strlen(escape);
    if (used + more > size_max) break;
    memcpy(to + used, printable ? text + at : escape, more);
    used += more;
  }
  strcpy(to + used, at < length ? "..." : "");
}

size_t esc_text_whole_characters(const char *text, size_t length) {
  for (size_t back = 1; back < 4 && back <= length; back++) {
    const size_t size = sequence_length((unsigned char)text[length - back]);
    if (size > back) return length - back;
    if (size > 0) break;
  }
  return length;
}

void esc_text_force_utf8(char *text) {
  uint32_t code;
  for (size_t length = strlen(text), step; length > 0; text += step, length -= step) {
    step = decode((const unsigned char *)text, length, &code);
    if (step > 0 && code <= 0x10ffff && (code < 0xd800 || code >= 0xe000)) continue;
    *text = '?';
    step = 1;
  }
}

char *esc_text_escape_json(const char *text) {
  char *copy = NULL, escape[16];
  size_t size = 0, step;
  FILE *out = open_memstream(&copy, &size);
  if (!out) return NULL;
  for (size_t length = strlen(text); length > 0; text += step, length -= step) {
    uint32_t code = 0;
    step = decode((const unsigned char *)text, length, &code);
    const bool shown = step > 0 && (is_printable(code) || code < 0x20 || code > 0xffff);
    if (step == 0) step = 1;
    if (!shown) snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code);
    fwrite(shown ? text : escape, 1, shown ? step : strlen(escape), out);
  }
  if (fclose(out) != 0) {
    free(copy);
    return NULL;
  }
  return copy;
}

esc_quoted esc_quote(const char *text, size_t length) {
  esc_quoted out;
  esc_text_escape(out.text, sizeof out.text, text, length);
  return out;
}

static int min_int(int a, int b) { return a < b ? a : b; }

int esc_text_edit_distance(const char *a, const char *b) {
  const size_t n = strlen(a), m = strlen(b);
  if (n > WORD_BYTES_MAX || m > WORD_BYTES_MAX) return DISTANCE_MAX;
  int cost[WORD_BYTES_MAX + 1][WORD_BYTES_MAX + 1]; /* (i, j): first i of a against first j of b */
  for (size_t i = 0; i <= n; i++) cost[i][0] = (int)i;
  for (size_t j = 0; j <= m; j++) cost[0][j] = (int)j;
  for (size_t i = 1; i <= n; i++)
    for (size_t j = 1; j <= m; j++) {
      const int other = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      cost[i][j] = min_int(other, 1 + min_int(cost[i - 1][j], cost[i][j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = min_int(cost[i][j], 1 + cost[i - 2][j - 2]);
    }
  return cost[n][m];
}

esc_percent esc_percent_print(double share) {
  esc_percent p;
  const double percent = 100 * share;
  if (percent > 0 && percent < 1e-3)
    snprintf(p.text, sizeof p.text, "less than 0.001%%");
  else if (percent > 99.9 && percent < 100)
    snprintf(p.text, sizeof p.text, "more than 99.9%%");
  else if (percent > 99 && percent < 100)
    snprintf(p.text, sizeof p.text, "%.1f%%", percent);
  else if (percent >= 9.95)
    snprintf(p.text, sizeof p.text, "%.0f%%", percent);
  else
    snprintf(p.text, sizeof p.text, "%.2g%%", percent);
  return p;
}

void esc_text_print_wrapped(FILE *out, const char *text, int indent, int columns) {
  int used = indent;
  for (bool first = true; *text; first = false) {
    const int length = (int)strcspn(text, " ");
    const bool fits = used + length + !first <= columns;
    if (!first && !fits) {
      fprintf(out, "\n%*s", indent, "");
      used = indent;
    } else if (!first) {
      putc(' ', out);
      used++;
    }
    fprintf(out, "%.*s", length, text);
    used += length;
    text += length + (text[length] == ' ');
  }
  putc('\n', out);
}

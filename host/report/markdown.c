/* SPDX-License-Identifier: Apache-2.0 */
/* Plain Markdown as HTML: the paragraphs of a study's README. */
#include <string.h>

#include "report/html.h"

/* The length of `mark` at `text` if it closes again before `end`, at *close; else 0. */
static size_t opens(const char *text, const char *end, const char *mark, const char **close) {
  const size_t length = strlen(mark);
  if ((size_t)(end - text) < 2 * length + 1 || strncmp(text, mark, length) != 0) return 0;
  for (*close = text + length; *close + length <= end; (*close)++)
    if (!strncmp(*close, mark, length)) return length;
  return 0;
}

/* Bytes at `text`, before `end`, that are none of `marks`. */
static size_t length_before(const char *text, const char *end, const char *marks) {
  size_t length = 0;
  while (text + length < end && !strchr(marks, text[length])) length++;
  return length;
}

/* A paragraph of Markdown: marks may go on from line to line. */
static void put_inline(FILE *out, const char *text, const char *end) {
  const char *close;
  size_t mark;
  while (text < end) {
    if ((mark = opens(text, end, "`", &close))) {
      fputs("<code>", out);
      esc_html_span(out, text + mark, (size_t)(close - text) - mark);
      fputs("</code>", out);
    } else if ((mark = opens(text, end, "**", &close))) {
      fputs("<strong>", out);
      put_inline(out, text + mark, close);
      fputs("</strong>", out);
    } else if ((mark = opens(text, end, "$", &close))) {
      esc_html_math_span(out, text + mark, (size_t)(close - text) - mark);
    } else {
      const size_t plain = 1 + length_before(text + 1, end, "`*$");
      esc_html_span(out, text, plain);
      text += plain;
      continue;
    }
    text = close + mark;
  }
}

void esc_html_paragraphs(FILE *out, const char *markdown) {
  while (*markdown) {
    const char *end = markdown;
    while (*end && *end != '#' && *end != '\n') end += strcspn(end, "\n"), end += *end == '\n';
    if (end > markdown) {
      fputs("<p>", out);
      put_inline(out, markdown, end);
      fputs("</p>\n", out);
    }
    markdown = end;
    if (*markdown == '#') markdown += strcspn(markdown, "\n");
    if (*markdown) markdown++;
  }
}

#include "report/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/io.h"

enum { PICTURE_MAX = 64 << 20 };

static void put(FILE *out, char c) {
  switch (c) {
    case '&': fputs("&amp;", out); break;
    case '<': fputs("&lt;", out); break;
    case '>': fputs("&gt;", out); break;
    case '"': fputs("&quot;", out); break;
    default: fputc(c, out);
  }
}

void esc_html_text(FILE *out, const char *text) {
  for (; *text; text++) put(out, *text);
}

void esc_html_span(FILE *out, const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) put(out, text[i]);
}

const char *esc_html_plural(long long count) { return count == 1 ? "" : "s"; }

void esc_html_element(FILE *out, const char *tag, const char *format, ...) {
  char text[4096];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fprintf(out, "<%s>", tag);
  esc_html_text(out, text);
  fprintf(out, "</%s>\n", tag);
}

static void put_base64(FILE *out, const unsigned char *bytes, size_t size) {
  static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    const size_t left = size - i;
    const uint32_t b1 = left > 1 ? bytes[i + 1] : 0, b2 = left > 2 ? bytes[i + 2] : 0;
    const uint32_t triple = (uint32_t)bytes[i] << 16 | b1 << 8 | b2;
    fputc(digit[triple >> 18], out);
    fputc(digit[triple >> 12 & 63], out);
    fputc(left > 1 ? digit[triple >> 6 & 63] : '=', out);
    fputc(left > 2 ? digit[triple & 63] : '=', out);
  }
}

/* One scale for all pictures of a page, which are drawn with 300 dots an inch: one of a column is
 * half as wide as one of two columns, and their letters are alike. */
static const double CSS_PIXELS = 132.0 / 300;

static uint32_t width_of(const unsigned char *png) {
  return (uint32_t)png[16] << 24 | (uint32_t)png[17] << 16 | (uint32_t)png[18] << 8 | png[19];
}

esc_status esc_html_picture(FILE *out, const char *path, const char *alternative) {
  esc_status status = ESC_OK;
  static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  enum { HEADER = 24 }; /* up to the width and height of IHDR */
  char *bytes = NULL;
  size_t size = 0;
  ESC_TRY(esc_io_read(path, PICTURE_MAX, &bytes, &size));
  if (size < HEADER || memcmp(bytes, signature, sizeof signature) != 0) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: is not a PNG picture", path);
    goto done;
  }
  fprintf(out, "<img width=%.0f alt=\"",
          floor(width_of((const unsigned char *)bytes) * CSS_PIXELS));
  esc_html_text(out, alternative);
  fputs("\" src=\"data:image/png;base64,", out);
  put_base64(out, (const unsigned char *)bytes, size);
  fputs("\">\n", out);
done:
  free(bytes);
  return status;
}

/* The length of `mark` at `text` if it closes again before `end`, at *close; else 0. */
static size_t opens(const char *text, const char *end, const char *mark, const char **close) {
  const size_t length = strlen(mark);
  if ((size_t)(end - text) < 2 * length + 1 || strncmp(text, mark, length) != 0) return 0;
  for (*close = text + length; *close + length <= end; (*close)++)
    if (!strncmp(*close, mark, length)) return length;
  return 0;
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
      put(out, *text++);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "report/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/text.h"

enum { PICTURE_MAX = 64 << 20 };

static const char *entity_of(char c) {
  switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
  }
}

void esc_html_span(FILE *out, const char *text, size_t length) {
  while (length > 0) {
    size_t plain = 0;
    while (plain < length && !entity_of(text[plain])) plain++;
    esc_text_print_escaped(out, text, plain, true);
    if (plain < length) fputs(entity_of(text[plain++]), out);
    text += plain;
    length -= plain;
  }
}

void esc_html_text(FILE *out, const char *text) { esc_html_span(out, text, strlen(text)); }

/* Prints a number by the conversion `specification`, "%.3g". */
static void put_number(FILE *out, const char *specification, va_list *arguments) {
  const size_t length = strlen(specification);
  char text[400];
  switch (specification[length - 1]) {
    case 'c':
      text[0] = (char)va_arg(*arguments, int);
      text[1] = '\0';
      break;
    case 'd':
      if (strstr(specification, "ll")) /* NOLINT(bugprone-branch-clone): another type */
        snprintf(text, sizeof text, specification, va_arg(*arguments, long long));
      else
        snprintf(text, sizeof text, specification, va_arg(*arguments, int));
      break;
    default: snprintf(text, sizeof text, specification, va_arg(*arguments, double));
  }
  esc_html_text(out, text);
}

/* Prints a string, of which a precision ("%.12s") allows so many bytes. */
static void put_string(FILE *out, const char *specification, va_list *arguments) {
  const char *text = va_arg(*arguments, const char *);
  const char *point = strchr(specification, '.');
  esc_html_span(out, text, point ? strnlen(text, strtoul(point + 1, NULL, 10)) : strlen(text));
}

void esc_html_print(FILE *out, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  while (*format) {
    char specification[16];
    const size_t plain = strcspn(format, "%");
    fwrite(format, 1, plain, out);
    format += plain;
    if (!*format) break;
    const size_t length = 1 + strcspn(format + 1, "scdfeg%") + 1;
    snprintf(specification, sizeof specification, "%.*s", (int)length, format);
    format += length;
    if (specification[length - 1] == '%')
      fputc('%', out);
    else if (specification[length - 1] == 's')
      put_string(out, specification, &arguments);
    else
      put_number(out, specification, &arguments);
  }
  va_end(arguments);
}

const char *esc_html_plural(long long count) { return count == 1 ? "" : "s"; }

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
  ESC_TRY(esc_io_read_plain(path, PICTURE_MAX, &bytes, &size));
  if (size < HEADER || memcmp(bytes, signature, sizeof signature) != 0) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: is not a PNG picture", path);
    goto done;
  }
  esc_html_print(out, "<img width=%.0f alt=\"%s\" src=\"data:image/png;base64,",
                 floor(width_of((const unsigned char *)bytes) * CSS_PIXELS), alternative);
  put_base64(out, (const unsigned char *)bytes, size);
  esc_html_print(out, "\">\n");
done:
  free(bytes);
  return status;
}

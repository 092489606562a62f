#include "report/html.h"

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

esc_status esc_html_picture(FILE *out, const char *path, const char *alternative) {
  esc_status status = ESC_OK;
  static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  char *bytes = NULL;
  size_t size = 0;
  ESC_TRY(esc_io_read(path, PICTURE_MAX, &bytes, &size));
  if (size < sizeof signature || memcmp(bytes, signature, sizeof signature) != 0) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: is not a PNG picture", path);
    goto done;
  }
  fputs("<img alt=\"", out);
  esc_html_text(out, alternative);
  fputs("\" src=\"data:image/png;base64,", out);
  put_base64(out, (const unsigned char *)bytes, size);
  fputs("\">\n", out);
done:
  free(bytes);
  return status;
}

/* One line of Markdown into an open paragraph. */
static void put_line(FILE *out, const char *line, size_t length) {
  bool code = false;
  for (size_t i = 0; i < length; i++) {
    if (line[i] == '`') {
      fputs(code ? "</code>" : "<code>", out);
      code = !code;
    } else {
      put(out, line[i]);
    }
  }
  if (code) fputs("</code>", out);
  fputc('\n', out);
}

void esc_html_paragraphs(FILE *out, const char *markdown) {
  bool open = false;
  for (const char *line = markdown; *line;) {
    const size_t length = strcspn(line, "\n");
    const bool text = length > 0 && line[0] != '#';
    if (text && !open) fputs("<p>", out);
    if (!text && open) fputs("</p>\n", out);
    if (text) put_line(out, line, length);
    open = text;
    line += length + (line[length] == '\n');
  }
  if (open) fputs("</p>\n", out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that the sections of a page share: headings, captions, and reading of their contents. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "report/html.h"
#include "report/report.h"

enum { JSON_MAX = 64 << 20 };

esc_status esc_report_path(const char *directory, const char *name, const char *suffix,
                           char path[ESC_REPORT_PATH_SIZE]) {
  const int length = snprintf(path, ESC_REPORT_PATH_SIZE, "%s/%s%s", directory, name, suffix);
  if (length < ESC_REPORT_PATH_SIZE) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "report: a path is longer than %d bytes",
                  (int)ESC_REPORT_PATH_SIZE);
}

esc_status esc_report_read(const char *path, json_t **out) {
  esc_status status = ESC_OK;
  char *text = NULL;
  size_t size = 0;
  json_error_t error;
  ESC_TRY(esc_io_read_plain(path, JSON_MAX, &text, &size));
  *out = json_loadb(text, size, 0, &error);
  if (!*out) status = ESC_FAIL(ESC_BAD_INPUT, "%s:%d: %s", path, error.line, error.text);
done:
  free(text);
  return status;
}

const char *esc_report_string(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

void esc_report_section(esc_report *report, const char *id, const char *title) {
  esc_html_print(report->links, "<li><a href=\"#%s\">", id);
  esc_html_math(report->links, title);
  esc_html_print(report->links, "</a></li>\n");
  esc_html_print(report->body, "<h2 id=\"%s\">", id);
  esc_html_math(report->body, title);
  esc_html_print(report->body, "</h2>\n");
}

void esc_report_caption(FILE *out, const char *caption) {
  esc_html_print(out, "<figcaption>");
  while (*caption) {
    const size_t length = strcspn(caption, "\n");
    char *line = strndup(caption, length);
    esc_html_print(out, "<p>");
    if (line) esc_html_math(out, line);
    esc_html_print(out, "</p>\n");
    free(line);
    caption += length + (caption[length] == '\n');
  }
  esc_html_print(out, "</figcaption>\n");
}

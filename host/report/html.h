/* Pieces of a self-contained HTML page. */
#ifndef ESC_HTML_H
#define ESC_HTML_H

#include <jansson.h>
#include <stdio.h>

#include "escapement/status.h"

/* Text with &, <, > and " escaped. */
void esc_html_text(FILE *out, const char *text);

/* <tag>text</tag>, the text formatted and escaped. */
void esc_html_element(FILE *out, const char *tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The PNG at `path` inside the page, as base64. */
esc_status esc_html_picture(FILE *out, const char *path, const char *alternative);

/* Plain Markdown: paragraphs, and "# " titles left out (the page has its own); `code`
 * between backquotes. */
void esc_html_paragraphs(FILE *out, const char *markdown);

#endif

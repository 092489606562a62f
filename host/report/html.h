/* Pieces of a self-contained HTML page. */
#ifndef ESC_HTML_H
#define ESC_HTML_H

#include <jansson.h>
#include <stdio.h>

#include "escapement/status.h"

/* Text with &, <, > and " escaped. */
void esc_html_text(FILE *out, const char *text);

/* The same of `length` bytes. */
void esc_html_span(FILE *out, const char *text, size_t length);

/* Text whose mathematics stands between dollars ("$a_1^{L-1}$"), set as MathML. */
void esc_html_math(FILE *out, const char *text);
void esc_html_math_span(FILE *out, const char *text, size_t length); /* what is between dollars */

/* "s", or "" for one. */
const char *esc_html_plural(long long count);

/* <tag>text</tag>, the text formatted and escaped. */
void esc_html_element(FILE *out, const char *tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The PNG at `path` inside the page, as base64. */
esc_status esc_html_picture(FILE *out, const char *path, const char *alternative);

/* Plain Markdown: paragraphs, and "# " titles left out (the page has its own); `code`, **bold**
 * and $mathematics$. */
void esc_html_paragraphs(FILE *out, const char *markdown);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a self-contained HTML page. */
#ifndef ESC_HTML_H
#define ESC_HTML_H

#include <jansson.h>
#include <stdio.h>

#include "escapement/internal/status.h"

/* The one way of text into the page, as an element's content or a quoted attribute: &, <, >, " and
 * ' become entities, and what a reader would not see or would see turned around becomes an escape
 * (esc_text_print_escaped). */
void esc_html_text(FILE *out, const char *text);

/* The same of `length` bytes. */
void esc_html_span(FILE *out, const char *text, size_t length);

/* Prints `format`, which is HTML, with strings as esc_html_text has them. Conversions: %s, %c, %d,
 * %lld, and %f, %e, %g of a double, each with flags, width and precision. All that the report
 * writes goes through here, so that nothing of a file gets into the page unescaped. */
void esc_html_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text whose mathematics stands between dollars ("$a_1^{L-1}$"), set as MathML. */
void esc_html_math(FILE *out, const char *text);
void esc_html_math_span(FILE *out, const char *text, size_t length); /* what is between dollars */

/* "s", or "" for one. */
const char *esc_html_plural(long long count);

/* The PNG at `path` inside the page, as base64. */
esc_status esc_html_picture(FILE *out, const char *path, const char *alternative);

/* Plain Markdown: paragraphs, and "# " titles left out (the page has its own); `code`, **bold**
 * and $mathematics$. */
void esc_html_paragraphs(FILE *out, const char *markdown);

#endif

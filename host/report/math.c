/* SPDX-License-Identifier: Apache-2.0 */
/* Mathematics in a page, as MathML: text between dollar signs, in the part of LaTeX that labels
 * and captions use (host/draw): letters, digits, signs, _ and ^, braces, and the names below. */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "report/html.h"

enum { DEPTH_MAX = 40 }; /* of braces and scripts in each other */

typedef struct reader {
  const char *next, *end;
  int depth;
} reader;

static const char *const symbols[][2] = {
    {"varepsilon", "<mi>ε</mi>"},
    {"epsilon", "<mi>ε</mi>"},
    {"eta", "<mi>η</mi>"},
    {"beta", "<mi>β</mi>"},
    {"mu", "<mi>μ</mi>"},
    {"ell", "<mi>ℓ</mi>"},
    {"lambda", "<mi>λ</mi>"},
    {"gamma", "<mi>γ</mi>"},
    {"chi", "<mi>χ</mi>"},
    {"sigma", "<mi>σ</mi>"},
    {"Theta", "<mi>Θ</mi>"},
    {"nabla", "<mo>∇</mo>"},
    {"log", "<mi>log</mi><mspace width=\"0.17em\"></mspace>"},
    {"to", "<mo>→</mo>"},
    {"times", "<mo>×</mo>"},
    {"pm", "<mo>±</mo>"},
    {"geq", "<mo>≥</mo>"},
    {"leq", "<mo>≤</mo>"},
    {"sim", "<mo>∼</mo>"},
    {"infty", "<mi>∞</mi>"},
    {"|", "<mo>‖</mo>"},
    {",", "<mspace width=\"0.17em\"></mspace>"},
};

static void put_row(FILE *out, reader *r);

/* \name; one that is not known is set upright. */
static void put_name(FILE *out, reader *r) {
  const char *name = ++r->next;
  while (r->next < r->end && isalpha((unsigned char)*r->next)) r->next++;
  if (r->next == name && r->next < r->end) r->next++;
  const size_t length = (size_t)(r->next - name);
  for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++)
    if (strlen(symbols[i][0]) == length && !strncmp(symbols[i][0], name, length)) {
      fputs(symbols[i][1], out);
      return;
    }
  esc_html_print(out, "<mi mathvariant=\"normal\">");
  esc_html_span(out, name, length);
  esc_html_print(out, "</mi>");
}

/* A sign, or a character of more than one byte. */
static void put_sign(FILE *out, reader *r) {
  const char *first = r->next++;
  while (r->next < r->end && ((unsigned char)*r->next & 0xC0) == 0x80) r->next++;
  fputs(strchr("()[]|", *first) ? "<mo stretchy=\"false\">" : "<mo>", out);
  switch (*first) {
    case '-': fputs("−", out); break;
    case '*': fputs("∗", out); break;
    default: esc_html_span(out, first, (size_t)(r->next - first));
  }
  fputs("</mo>", out);
}

static void put_number(FILE *out, reader *r) {
  fputs("<mn>", out);
  while (r->next < r->end && (isdigit((unsigned char)*r->next) || *r->next == '.'))
    fputc(*r->next++, out);
  fputs("</mn>", out);
}

static void put_atom(FILE *out, reader *r) {
  while (r->next < r->end && *r->next == ' ') r->next++;
  if (r->next == r->end) return;
  const unsigned char c = (unsigned char)*r->next;
  if (c == '{' && r->depth < DEPTH_MAX) {
    r->next++;
    r->depth++;
    fputs("<mrow>", out);
    put_row(out, r);
    fputs("</mrow>", out);
    if (r->next < r->end) r->next++;
    r->depth--;
  } else if (c == '\\') {
    put_name(out, r);
  } else if (isdigit(c)) {
    put_number(out, r);
  } else if (isalpha(c)) {
    fprintf(out, "<mi>%c</mi>", *r->next++);
  } else {
    put_sign(out, r);
  }
}

/* An atom as a separate text, because the element around it depends on what follows. */
static char *atom_text(reader *r) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  put_atom(out, r);
  fclose(out);
  return text;
}

static void put_scripts(FILE *out, char *const part[3]) {
  const char *tag = part[1] && part[2] ? "msubsup" : part[1] ? "msub" : "msup";
  const bool scripts = part[1] || part[2];
  if (scripts) fprintf(out, "<%s>", tag);
  for (int i = 0; i < 3; i++)
    if (part[i]) fputs(*part[i] ? part[i] : "<mrow></mrow>", out);
  if (scripts) fprintf(out, "</%s>", tag);
}

static void put_row(FILE *out, reader *r) {
  while (r->next < r->end && *r->next != '}') {
    char *part[3] = {atom_text(r), NULL, NULL}; /* base, below, above */
    while (r->next < r->end && (*r->next == '_' || *r->next == '^')) {
      const int which = *r->next++ == '_' ? 1 : 2;
      free(part[which]);
      part[which] = atom_text(r);
    }
    put_scripts(out, part);
    for (int i = 0; i < 3; i++) free(part[i]);
  }
}

void esc_html_math_span(FILE *out, const char *text, size_t length) {
  reader r = {text, text + length, 0};
  fputs("<math>", out);
  while (r.next < r.end) {
    put_row(out, &r);
    if (r.next < r.end) r.next++; /* a brace that opens nothing */
  }
  fputs("</math>", out);
}

void esc_html_math(FILE *out, const char *text) {
  const char *open;
  while ((open = strchr(text, '$'))) {
    const char *close = strchr(open + 1, '$');
    if (!close) break;
    esc_html_span(out, text, (size_t)(open - text));
    const size_t signs = strspn(close + 1, ",.;:)"); /* no line starts with these */
    if (signs) fputs("<span class=unbroken>", out);
    esc_html_math_span(out, open + 1, (size_t)(close - open - 1));
    esc_html_span(out, close + 1, signs);
    if (signs) fputs("</span>", out);
    text = close + 1 + signs;
  }
  esc_html_text(out, text);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The sheet of a figure: panels and series for the drawing script, and the table of checks. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figure/figure.h"

static const char *const role_names[] = {"line", "dash", "dot", "marks", "faint", "band", "bars"};

json_t *esc_panel_add(esc_figure *figure, const char *title, const char *x, const char *y,
                      const char *scale) {
  json_t *panel = json_object();
  json_object_set_new(panel, "title", json_string(title));
  json_object_set_new(panel, "x", json_string(x));
  json_object_set_new(panel, "y", json_string(y));
  json_object_set_new(panel, "scale", json_string(scale));
  json_object_set_new(panel, "series", json_array());
  json_array_append_new(figure->panels, panel);
  return panel;
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static void set_numbers(json_t *object, const char *name, int count, const double *value) {
  json_t *list = json_array();
  if (!value) {
    json_decref(list);
    return;
  }
  for (int i = 0; i < count; i++) json_array_append_new(list, number(value[i]));
  json_object_set_new(object, name, list);
}

static json_t *formatted(const char *format, va_list arguments) {
  char text[400];
  vsnprintf(text, sizeof text, format, arguments);
  return json_string(text);
}

void esc_panel_series(json_t *panel, const esc_plot_series *s, const char *label, ...) {
  json_t *series = json_object();
  va_list arguments;
  va_start(arguments, label);
  json_object_set_new(series, "label", formatted(label, arguments));
  va_end(arguments);
  json_object_set_new(series, "role", json_string(role_names[s->role]));
  json_object_set_new(series, "colour", json_integer(s->colour));
  if (s->colour >= 0)
    json_object_set_new(series, "marker", json_integer(s->colour + 3 * (s->marker % 2)));
  if (s->marker > 1) json_object_set_new(series, "hollow", json_true());
  if (s->every > 1) json_object_set_new(series, "every", json_integer(s->every));
  set_numbers(series, "x", s->count, s->x);
  set_numbers(series, "y", s->count, s->y);
  set_numbers(series, "low", s->count, s->low);
  set_numbers(series, "high", s->count, s->high);
  json_array_append_new(json_object_get(panel, "series"), series);
}

void esc_panel_key(json_t *panel, int role, int colour, const char *label) {
  json_t *key = json_pack("{s:s, s:s, s:i, s:b, s:[], s:[]}", "label", label, "role",
                          role_names[role], "colour", colour, "key", 1, "x", "y");
  json_array_append_new(json_object_get(panel, "series"), key);
}

void esc_panel_words(json_t *panel, int count, const char *const *word) {
  json_t *ticks = json_array();
  for (int i = 0; i < count; i++)
    json_array_append_new(ticks, json_pack("[f, s]", (double)(i + 1), word[i]));
  json_object_set_new(panel, "xticks", ticks);
}

void esc_caption_add(esc_figure *figure, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(figure->caption, format, arguments);
  va_end(arguments);
}

/* Mathematics between dollars as plain text: "$\log t^*$" is "log t*". */
static void put_plain(FILE *out, const char *text) {
  static const char *const symbol[][2] = {
      {"\\varepsilon", "ε"}, {"\\lambda", "λ"}, {"\\log ", "log "}, {"\\log", "log "}, {"\\,", " "},
      {"^*", "*"},           {"{", "("},        {"}", ")"},         {"-", "−"}};
  bool math = false;
  while (*text) {
    size_t k = 0, length = 1;
    const size_t symbols = math ? sizeof symbol / sizeof symbol[0] : 0;
    while (k < symbols && strncmp(text, symbol[k][0], strlen(symbol[k][0])) != 0) k++;
    if (k < symbols) length = strlen(symbol[k][0]);
    if (*text == '$')
      math = !math;
    else if (k < symbols)
      fputs(symbol[k][1], out);
    else
      fputc(*text, out);
    text += length;
  }
}

/* Sets `key` to the plain text, and `key` within "typeset" to the unchanged text. */
static void set_text(json_t *check, const char *key, const char *text) {
  char *plain = NULL;
  size_t size = 0;
  json_t *typeset = json_object_get(check, "typeset");
  FILE *out = open_memstream(&plain, &size);
  if (!out) return;
  put_plain(out, text);
  fclose(out);
  if (!typeset) json_object_set_new(check, "typeset", typeset = json_object());
  json_object_set_new(typeset, key, json_string(text));
  json_object_set_new(check, key, json_string(plain));
  free(plain);
}

void esc_check_detail(esc_figure *figure, const char *format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  set_text(json_array_get(figure->checks, json_array_size(figure->checks) - 1), "detail", text);
}

void esc_check_add(esc_figure *figure, double expected, double got, double tolerance,
                   const char *reason, const char *name, ...) {
  const bool pass = isfinite(tolerance) && fabs(got - expected) <= tolerance;
  json_t *check = json_object();
  char text[400];
  va_list arguments;
  va_start(arguments, name);
  vsnprintf(text, sizeof text, name, arguments);
  va_end(arguments);
  set_text(check, "name", text);
  json_object_set_new(check, "expected", number(expected));
  json_object_set_new(check, "got", number(got));
  json_object_set_new(check, "tolerance", number(tolerance));
  set_text(check, "reason", reason);
  json_object_set_new(check, "pass", json_boolean(pass));
  json_array_append_new(figure->checks, check);
  figure->failed += !pass;
}

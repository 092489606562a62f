/* The sheet of a figure: panels and series for the drawing script, and the table of checks. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

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

void esc_panel_series(json_t *panel, const esc_series *s, const char *label, ...) {
  json_t *series = json_object();
  va_list arguments;
  va_start(arguments, label);
  json_object_set_new(series, "label", formatted(label, arguments));
  va_end(arguments);
  json_object_set_new(series, "role", json_string(role_names[s->role]));
  json_object_set_new(series, "colour", json_integer(s->colour));
  set_numbers(series, "x", s->count, s->x);
  set_numbers(series, "y", s->count, s->y);
  set_numbers(series, "low", s->count, s->low);
  set_numbers(series, "high", s->count, s->high);
  json_array_append_new(json_object_get(panel, "series"), series);
}

void esc_check_add(esc_figure *figure, double expected, double got, double tolerance,
                   const char *reason, const char *name, ...) {
  const bool pass = isfinite(tolerance) && fabs(got - expected) <= tolerance;
  json_t *check = json_object();
  va_list arguments;
  va_start(arguments, name);
  json_object_set_new(check, "name", formatted(name, arguments));
  va_end(arguments);
  json_object_set_new(check, "expected", number(expected));
  json_object_set_new(check, "got", number(got));
  json_object_set_new(check, "tolerance", number(tolerance));
  json_object_set_new(check, "reason", json_string(reason));
  json_object_set_new(check, "pass", json_boolean(pass));
  json_array_append_new(figure->checks, check);
  figure->failed += !pass;
}

esc_status esc_figure_make(esc_figure *figure) {
  static esc_figure_maker *const makers[ESC_FIGURES] = {esc_figure_1, esc_figure_2, esc_figure_3,
                                                        esc_figure_4, esc_figure_5};
  esc_status status = ESC_OK;
  ESC_TRY_ALLOCATE(figure->panels = json_array());
  ESC_TRY_ALLOCATE(figure->checks = json_array());
  ESC_TRY(makers[figure->number - 1](figure));
done:
  return status;
}

void esc_figure_free(esc_figure *figure) {
  for (int i = 0; i < figure->runs; i++) {
    esc_results_free(figure->run[i].results);
    esc_spec_free(figure->run[i].spec);
  }
  json_decref(figure->panels);
  json_decref(figure->checks);
}

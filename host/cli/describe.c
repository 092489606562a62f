/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/describe.h"

#include "base/environment.h"
#include "base/json.h"
#include "base/version.h"
#include "escapement/internal/observe.h"
#include "escapement/internal/results.h"
#include "spec/schema.h"

const esc_option esc_help_option = {
    .name = "help", .letter = 'h', .help = "print this help and exit"};

/* "a|b" as ["a", "b"]. */
static json_t *list_of(const char *words) {
  json_t *list = json_array();
  const char *word;
  int length;
  for (int i = 0; (word = esc_choice_get(words, i, &length)); i++)
    json_array_append_new(list, json_stringn(word, (size_t)length));
  return list;
}

static json_t *text_or_null(const char *text) { return text ? json_string(text) : json_null(); }

/* ---- commands ---- */

static json_t *describe_option(const esc_option *o) {
  const char letter[2] = {o->letter, 0};
  json_t *json = json_object();
  json_object_set_new(json, "name", json_string(o->name));
  json_object_set_new(json, "letter", text_or_null(o->letter ? letter : NULL));
  json_object_set_new(json, "argument", text_or_null(o->argument));
  json_object_set_new(json, "help", json_string(o->help));
  json_object_set_new(json, "minimum", o->number ? json_integer(o->min) : json_null());
  json_object_set_new(json, "maximum", o->number ? json_integer(o->max) : json_null());
  json_object_set_new(json, "values", list_of(o->words));
  json_object_set_new(json, "suffixes", list_of(o->suffixes));
  return json;
}

json_t *esc_describe_command(const esc_command *command) {
  json_t *json = json_object(), *options = json_array(), *operands = json_object();
  for (const esc_option *o = command->options; o->name; o++)
    json_array_append_new(options, describe_option(o));
  json_array_append_new(options, describe_option(&esc_help_option));
  json_object_set_new(operands, "values", list_of(command->words));
  json_object_set_new(operands, "suffixes", list_of(command->suffixes));
  json_object_set_new(operands, "overrides", json_boolean(command->overrides));
  json_object_set_new(json, "usage", json_string(command->usage));
  json_object_set_new(json, "summary", json_string(command->summary));
  json_object_set_new(json, "options", options);
  json_object_set_new(json, "operands", operands);
  return json;
}

/* ---- keys of a spec ---- */

static const char *type_name(esc_value_type type) {
  switch (type) {
    case ESC_VALUE_SECTION: return "section";
    case ESC_VALUE_INTEGER: return "integer";
    case ESC_VALUE_NUMBER: return "number";
    case ESC_VALUE_TEXT: return "text";
    case ESC_VALUE_CHOICE: return "word";
    case ESC_VALUE_ACTIVATION: return "activation";
    case ESC_VALUE_SWEPT: return "mapping";
  }
  return NULL;
}

static json_t *describe_shapes(unsigned shape) {
  static const char *const names[] = {"one", "list", "rows", "mapping"};
  json_t *list = json_array();
  for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
    if ((shape ? shape : ESC_SHAPE_SCALAR) & 1U << i)
      json_array_append_new(list, json_string(names[i]));
  return list;
}

static void add_bounds(json_t *json, const esc_key *key) {
  json_object_set_new(json, "lower", esc_json_number(key->lower));
  json_object_set_new(json, "upper", esc_json_number(key->upper));
  json_object_set_new(json, "lower_allowed", json_boolean(!key->lower_is_open));
  json_object_set_new(json, "upper_allowed", json_boolean(!key->upper_is_open));
  json_object_set_new(json, "limit", text_or_null(key->upper_key));
  json_object_set_new(json, "min_items", json_integer(key->min_items));
  json_object_set_new(json, "max_items", json_integer(key->max_items));
}

static json_t *describe_key(const esc_key *key) {
  json_t *json = json_object();
  json_object_set_new(json, "path", json_string(key->path));
  json_object_set_new(json, "type", json_string(type_name(key->type)));
  json_object_set_new(json, "shapes", describe_shapes(key->shape));
  if (key->type != ESC_VALUE_SECTION || key->shape) add_bounds(json, key);
  json_object_set_new(json, "allowed", json_string(esc_schema_allowed(key).text));
  json_object_set_new(json, "values", list_of(key->choices));
  json_object_set_new(json, "default", text_or_null(key->default_value));
  json_object_set_new(json, "default_rule", text_or_null(key->default_rule));
  json_object_set_new(json, "unit", text_or_null(key->unit));
  json_object_set_new(json, "help", json_string(key->help));
  return json;
}

static json_t *describe_spec(void) {
  json_t *list = json_array();
  for (int i = 0; i < esc_schema_keys; i++)
    json_array_append_new(list, describe_key(&esc_schema[i]));
  return list;
}

/* ---- statuses, environment, variables of a result ---- */

static json_t *describe_statuses(void) {
  json_t *list = json_array();
#define ROW(name, code, text) \
  json_array_append_new(list, json_pack("{si,ss}", "status", code, "meaning", text));
  ESC_STATUS_LIST(ROW)
#undef ROW
  return list;
}

static json_t *describe_environment(void) {
  json_t *list = json_array();
  for (int i = 0; i < esc_environment_variables; i++) {
    const esc_environment_variable *v = &esc_environment[i];
    json_array_append_new(list, json_pack("{ss,ss,sb}", "name", v->name, "help", v->help,
                                          "internal", (int)v->internal));
  }
  return list;
}

static json_t *describe_variable(const char *name, const char *type, json_t *dimensions,
                                 const char *units, const char *long_name) {
  return json_pack("{ss,ss,so,ss,ss}", "name", name, "type", type, "dimensions", dimensions,
                   "units", units, "long_name", long_name);
}

/* Names of (member[, snapshot][, the axis]). */
static json_t *dimensions(bool snapshots, esc_axis axis) {
  static const char *const names[ESC_AXES] = {NULL, "threshold", "layer", "interface", "snapshot"};
  json_t *list = json_array();
  json_array_append_new(list, json_string("member"));
  if (snapshots) json_array_append_new(list, json_string(names[ESC_AXIS_SNAPSHOT]));
  if (names[axis]) json_array_append_new(list, json_string(names[axis]));
  return list;
}

/* One line for each kind of weights, with the dimensions of the first layer's array. */
static void describe_weights(json_t *list) {
  static const char *const entries[ESC_WEIGHTS_KINDS] = {NULL, "snapshot", "threshold", NULL};
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++) {
    const esc_weights_kind kind = (esc_weights_kind)k;
    char text[256];
    json_t *axes = json_array();
    json_array_append_new(axes, json_string("member"));
    if (entries[k]) json_array_append_new(axes, json_string(entries[k]));
    json_array_append_new(axes, json_string("unit"));
    json_array_append_new(axes, json_string("input"));
    snprintf(text, sizeof text,
             "%s; each layer has an array, with unit_below in place of input, and output in place "
             "of unit in the last one",
             esc_weights_long_name(kind, 0));
    json_array_append_new(list,
                          describe_variable(esc_weights_name(kind, 0), "float32", axes, "1", text));
  }
}

static json_t *describe_variables(void) {
  static const char *const types[] = {"int32", "int64", "float64"};
  json_t *list = json_array();
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    json_array_append_new(
        list, describe_variable(v->name, types[v->type], dimensions(false, v->axis), v->units,
                                v->long_name));
  }
  for (int i = 0; i < ESC_OBSERVABLES; i++) {
    const esc_observable *o = &esc_observables[i];
    json_array_append_new(list, describe_variable(o->name, "float64", dimensions(true, o->axis),
                                                  o->units, o->long_name));
    json_array_append_new(
        list, describe_variable(o->end_name, "float64", dimensions(false, o->axis), o->units,
                                o->end_long_name));
  }
  describe_weights(list);
  return list;
}

json_t *esc_describe_program(void) {
  json_t *json = json_object();
  json_object_set_new(json, "version", json_string(esc_library_version()));
  json_object_set_new(json, "spec", describe_spec());
  json_object_set_new(json, "exit_statuses", describe_statuses());
  json_object_set_new(json, "environment", describe_environment());
  json_object_set_new(json, "variables", describe_variables());
  return json;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Validation of the spec's tree against the schema table. */
#include "spec/validate.h"

#include <string.h>

#include "base/text.h"
#include "escapement/internal/number.h"
#include "escapement/internal/problem.h"
#include "spec/schema.h"

enum { PATH_SIZE = 96 };

/* A section being validated: its keys are those below `prefix` ("sweep.groups[]."), with
 * `display_path` in messages ("sweep.groups[2]."). */
typedef struct section {
  const esc_node *root;
  char prefix[PATH_SIZE], display_path[PATH_SIZE];
} section;

static esc_status check_mapping(const section *at, esc_node *mapping);

/* ---- refusals ---- */

typedef struct description {
  char text[80];
} description;

static description describe(const esc_node *node) {
  description out;
  if (node->kind == ESC_NODE_MAPPING) return (description){"a mapping"};
  if (node->kind == ESC_NODE_LIST) return (description){"a list"};
  if (!node->quoted && !node->text[0]) return (description){"an empty value"};
  const char quote = node->quoted ? '"' : '\'';
  snprintf(out.text, sizeof out.text, "%c%s%c", quote,
           esc_quote(node->text, strlen(node->text)).text, quote);
  return out;
}

static esc_status refuse(const esc_key *key, const esc_node *node, const char *display_path,
                         const char *fault) {
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s: %s %s; allowed: %s (%s)", esc_node_location(node).text,
                  display_path, describe(node).text, fault, esc_schema_allowed(key).text,
                  key->help);
}

/* ---- scalars: NULL, or what is wrong ---- */

static const char *range_fault(const esc_key *key, double value) {
  const bool low = key->lower_is_open ? value <= key->lower : value < key->lower;
  const bool high = key->upper_is_open ? value >= key->upper : value > key->upper;
  return low || high || (key->nonzero && value == 0) ? "is out of range" : NULL;
}

static const char *integer_fault(const esc_key *key, esc_node *node) {
  if (node->quoted) return "is a quoted string, not a number";
  const char *fault = esc_integer_parse(node->text, strlen(node->text), &node->integer);
  if (fault) return fault;
  node->number = (double)node->integer; /* may round, so the range check uses the integer */
  const bool low = node->integer < (int64_t)key->lower;
  return low || node->integer > (int64_t)key->upper ? "is out of range" : NULL;
}

/* "0,05": a number if its one comma were a point. */
static bool has_decimal_comma(const char *text) {
  char number[64];
  double value;
  const char *comma = strchr(text, ',');
  if (!comma || strchr(comma + 1, ',') || strlen(text) >= sizeof number) return false;
  strcpy(number, text);
  number[comma - text] = '.';
  return !esc_number_parse(number, strlen(number), &value);
}

static const char decimal_comma[] = "has a decimal comma; allowed: a decimal point, 0.05";

static const char *number_fault(const esc_key *key, esc_node *node) {
  if (key->choices && (node->word = esc_choice_find(key->choices, node->text)) >= 0) return NULL;
  if (node->quoted) return "is a quoted string, not a number";
  const char *fault = esc_number_parse(node->text, strlen(node->text), &node->number);
  if (fault && has_decimal_comma(node->text)) return decimal_comma;
  return fault ? fault : range_fault(key, node->number);
}

/* YAML reads some unquoted words as other types than text. */
static const char *text_fault(const esc_key *key, const esc_node *node) {
  static const char not_text[] = "~|null|Null|NULL|true|True|TRUE|false|False|FALSE";
  const size_t length = strlen(node->text);
  double number;
  if (!node->quoted && !esc_number_parse(node->text, length, &number))
    return "is a number; put it in quotes";
  if (!node->quoted && esc_choice_find(not_text, node->text) >= 0)
    return "is not text; put it in quotes";
  if (!esc_text_is_printable(node->text, length)) return "has unprintable characters";
  return range_fault(key, (double)length);
}

static const char *activation_fault(const esc_node *node) {
  esc_activation activation;
  if (!esc_activation_parse(node->text, &activation)) return "is not an activation";
  return esc_activation_is_trainable(&activation) ? NULL : "has a coefficient above 1e30 in size";
}

static const char *scalar_fault(const esc_key *key, esc_node *node) {
  switch (key->type) {
    case ESC_VALUE_INTEGER: return integer_fault(key, node);
    case ESC_VALUE_NUMBER: return number_fault(key, node);
    case ESC_VALUE_TEXT: return text_fault(key, node);
    case ESC_VALUE_ACTIVATION: return activation_fault(node);
    case ESC_VALUE_CHOICE:
      node->word = esc_choice_find(key->choices, node->text);
      return node->word >= 0 ? NULL : "is none of the words";
    default: return "is not a mapping";
  }
}

static esc_status check_scalar(const esc_key *key, esc_node *node, const char *display_path) {
  const char *fault = scalar_fault(key, node);
  char fault_with_hint[192];
  if (!fault) return ESC_OK;
  snprintf(fault_with_hint, sizeof fault_with_hint, "%s%s", fault,
           esc_choice_hint(key->choices, node->text).text);
  return refuse(key, node, display_path, fault_with_hint);
}

/* ---- values of every shape ---- */

static void enter_section(section *next, const section *at, const esc_key *key,
                          const char *brackets, const char *display_path) {
  next->root = at->root;
  snprintf(next->prefix, sizeof next->prefix, "%s%s.", key->path, brackets);
  snprintf(next->display_path, sizeof next->display_path, "%.90s.", display_path);
}

static esc_status check_element(const section *at, const esc_key *key, esc_node *node,
                                const char *display_path) {
  section next;
  esc_key one = *key;
  one.shape = ESC_SHAPE_SCALAR;
  if (key->type != ESC_VALUE_SECTION)
    return node->kind == ESC_NODE_SCALAR
               ? check_scalar(&one, node, display_path)
               : refuse(&one, node, display_path, "is not a single value");
  if (node->kind != ESC_NODE_MAPPING) return refuse(key, node, display_path, "is not a mapping");
  enter_section(&next, at, key, "[]", display_path);
  return check_mapping(&next, node);
}

static esc_status check_distinct(const esc_key *key, const esc_node *list,
                                 const char *display_path) {
  for (int i = 1; key->distinct && i < list->children; i++)
    for (int j = 0; j < i; j++)
      if (list->child[i]->number == list->child[j]->number &&
          list->child[i]->word == list->child[j]->word)
        return refuse(key, list->child[i], display_path, "appears twice");
  return ESC_OK;
}

static esc_status check_list(const section *at, const esc_key *key, esc_node *list,
                             const char *display_path) {
  char fault[64], element[PATH_SIZE];
  if (list->children < key->min_items || list->children > key->max_items) {
    snprintf(fault, sizeof fault, "of %d is too %s", list->children,
             list->children < key->min_items ? "short" : "long");
    return refuse(key, list, display_path, fault);
  }
  for (int i = 0; i < list->children; i++) {
    snprintf(element, sizeof element, "%.80s[%d]", display_path, i);
    const esc_status status = check_element(at, key, list->child[i], element);
    if (status != ESC_OK) return status;
  }
  return check_distinct(key, list, display_path);
}

/* A list of lists; the limits apply to both levels. */
static esc_status check_rows(const section *at, const esc_key *key, esc_node *rows,
                             const char *display_path) {
  char row[PATH_SIZE];
  if (rows->children > key->max_items) return refuse(key, rows, display_path, "is too long");
  for (int i = 0; i < rows->children; i++) {
    esc_node *node = rows->child[i];
    snprintf(row, sizeof row, "%.80s[%d]", display_path, i);
    const esc_status status = node->kind == ESC_NODE_LIST
                                  ? check_list(at, key, node, row)
                                  : refuse(key, node, row, "is not a list, as the first one is");
    if (status != ESC_OK) return status;
  }
  return ESC_OK;
}

static bool has_rows(const esc_key *key, const esc_node *list) {
  return key->shape & ESC_SHAPE_NESTED_LIST && list->children > 0 &&
         list->child[0]->kind == ESC_NODE_LIST;
}

static bool is_section(const esc_key *key) {
  return key->shape & ESC_SHAPE_MAPPING || (key->type == ESC_VALUE_SECTION && !key->shape);
}

/* The upper end of some ranges is another key's value, checked before. */
static esc_key resolve_upper_bound(const section *at, const esc_key *key) {
  esc_key out = *key;
  const esc_node *limit = key->upper_key ? esc_node_find(at->root, key->upper_key) : NULL;
  if (limit) out.upper = (double)limit->integer;
  return out;
}

static esc_status check_value(const section *at, const esc_key *row, esc_node *node,
                              const char *display_path) {
  const esc_key key = resolve_upper_bound(at, row);
  section next;
  switch (node->kind) {
    case ESC_NODE_MAPPING:
      if (!is_section(&key)) return refuse(&key, node, display_path, "is not allowed here");
      enter_section(&next, at, &key, "", display_path);
      return check_mapping(&next, node);
    case ESC_NODE_LIST:
      if (has_rows(&key, node)) return check_rows(at, &key, node, display_path);
      if (!(key.shape & ESC_SHAPE_LIST))
        return refuse(&key, node, display_path, "is not allowed here");
      return check_list(at, &key, node, display_path);
    default:
      if (key.shape && !(key.shape & ESC_SHAPE_SCALAR))
        return refuse(&key, node, display_path, "is not a list");
      return check_scalar(&key, node, display_path);
  }
}

/* ---- mappings ---- */

static esc_status refuse_unknown_key(const section *at, const esc_node *node, const char *path) {
  const bool dotted = strpbrk(node->key, ".[") != NULL;
  const esc_hint hint = esc_schema_hint(path);
  return ESC_FAIL(ESC_BAD_INPUT, "%s: unknown key '%s%s'%s; allowed: %s",
                  esc_node_key_location(node).text, at->display_path,
                  esc_quote(node->key, strlen(node->key)).text,
                  dotted ? " (keys in a file are nested: train: {batch: 64})" : hint.text,
                  esc_schema_allowed_keys(at->prefix).text);
}

/* {rate: 0,05}: in braces the comma ends the value, and a key 05 without a value follows. */
static bool is_after_decimal_comma(const esc_node *before, const esc_node *node) {
  double value;
  return strspn(node->key, "0123456789eE+-") == strlen(node->key) &&
         node->kind == ESC_NODE_SCALAR && !node->quoted && !node->text[0] &&
         before->kind == ESC_NODE_SCALAR &&
         !esc_number_parse(before->text, strlen(before->text), &value);
}

static esc_status refuse_decimal_comma(const section *at, const esc_node *before,
                                       const esc_node *node) {
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s%s: '%s,%s' %s", esc_node_key_location(node).text,
                  at->display_path, esc_quote(before->key, strlen(before->key)).text,
                  esc_quote(before->text, strlen(before->text)).text,
                  esc_quote(node->key, strlen(node->key)).text, decimal_comma);
}

static esc_status check_key_names(const section *at, const esc_node *mapping) {
  char path[2 * PATH_SIZE];
  for (int i = 0; i < mapping->children; i++) {
    const esc_node *node = mapping->child[i];
    if (i > 0 && is_after_decimal_comma(mapping->child[i - 1], node))
      return refuse_decimal_comma(at, mapping->child[i - 1], node);
    snprintf(path, sizeof path, "%s%.60s", at->prefix, node->key);
    if (strpbrk(node->key, ".[") || !esc_schema_find(path))
      return refuse_unknown_key(at, node, path);
  }
  return ESC_OK;
}

/* Adds a missing section or default; refuses a missing required key. */
static esc_status add_default(const esc_key *key, esc_node *mapping, const char *name,
                              const char *display_path) {
  static const esc_source defaults = {.label = "default", .subject = "default"};
  esc_node *node = NULL;
  if (key->type == ESC_VALUE_SECTION && !key->shape) {
    node = esc_node_create_mapping(mapping);
    if (!node) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (spec)");
    return esc_node_set(mapping, name, node);
  }
  if (key->default_value) {
    const esc_status status =
        esc_yaml_parse(&defaults, key->default_value, strlen(key->default_value), &node);
    if (status != ESC_OK) return status;
    node->is_default = true;
    return esc_node_set(mapping, name, node);
  }
  if (key->default_rule) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s is missing; it must be %s (%s)",
                  esc_node_key_location(mapping).text, display_path, esc_schema_allowed(key).text,
                  key->help);
}

static esc_status check_key(const section *at, const esc_key *key, esc_node *mapping,
                            const char *name) {
  char display_path[PATH_SIZE];
  snprintf(display_path, sizeof display_path, "%.64s%.30s", at->display_path, name);
  if (!esc_node_get(mapping, name)) {
    const esc_status status = add_default(key, mapping, name, display_path);
    if (status != ESC_OK) return status;
  }
  esc_node *node = esc_node_get(mapping, name);
  return node ? check_value(at, key, node, display_path) : ESC_OK;
}

static esc_status check_mapping(const section *at, esc_node *mapping) {
  esc_status status = check_key_names(at, mapping);
  for (int i = 0; status == ESC_OK && i < esc_schema_keys; i++) {
    const char *name = esc_schema_child_name(&esc_schema[i], at->prefix);
    if (name) status = check_key(at, &esc_schema[i], mapping, name);
  }
  return status;
}

esc_status esc_node_validate(esc_node *root) {
  const section at = {.root = root, .prefix = "", .display_path = ""};
  return check_mapping(&at, root);
}

esc_node *esc_node_find(const esc_node *root, const char *path) {
  const esc_node *node = root;
  while (node && node->kind == ESC_NODE_MAPPING) {
    char name[64];
    const size_t length = strcspn(path, ".");
    snprintf(name, sizeof name, "%.*s", (int)length, path);
    node = esc_node_get(node, name);
    if (path[length] == '\0') return (esc_node *)node;
    path += length + 1;
  }
  return NULL;
}

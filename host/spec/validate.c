/* SPDX-License-Identifier: Apache-2.0 */
/* The walk of the spec's tree along the schema table. */
#include "spec/validate.h"

#include <string.h>

#include "base/text.h"
#include "escapement/internal/number.h"
#include "escapement/internal/problem.h"
#include "spec/schema.h"

enum { PATH_SIZE = 96 };

/* A mapping on the way: its keys are the rows below `prefix` ("sweep.groups[].");
 * messages call them by `shown` ("sweep.groups[2]."). */
typedef struct walk {
  const esc_node *root;
  char prefix[PATH_SIZE], shown[PATH_SIZE];
} walk;

static esc_status check_mapping(const walk *at, esc_node *mapping);

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

static esc_status refuse(const esc_key *key, const esc_node *node, const char *shown,
                         const char *fault) {
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s: %s %s; allowed: %s (%s)", esc_node_place(node).text,
                  shown, describe(node).text, fault, esc_schema_allowed(key).text, key->help);
}

/* ---- scalars: NULL, or what is wrong ---- */

static const char *fault_of_range(const esc_key *key, double value) {
  const bool low = key->above ? value <= key->lower : value < key->lower;
  const bool high = key->below ? value >= key->upper : value > key->upper;
  return low || high || (key->nonzero && value == 0) ? "is out of range" : NULL;
}

static const char *fault_of_integer(const esc_key *key, esc_node *node) {
  if (node->quoted) return "is a quoted string, not a number";
  const char *fault = esc_integer_parse(node->text, strlen(node->text), &node->integer);
  if (fault) return fault;
  node->number = (double)node->integer; /* may round, so it is not what is compared */
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

static const char *fault_of_number(const esc_key *key, esc_node *node) {
  if (key->words && (node->word = esc_word_index(key->words, node->text)) >= 0) return NULL;
  if (node->quoted) return "is a quoted string, not a number";
  const char *fault = esc_number_parse(node->text, strlen(node->text), &node->number);
  if (fault && has_decimal_comma(node->text)) return decimal_comma;
  return fault ? fault : fault_of_range(key, node->number);
}

/* YAML takes some plain words for something else than text. */
static const char *fault_of_text(const esc_key *key, const esc_node *node) {
  static const char not_text[] = "~|null|Null|NULL|true|True|TRUE|false|False|FALSE";
  const size_t length = strlen(node->text);
  double number;
  if (!node->quoted && !esc_number_parse(node->text, length, &number))
    return "is a number; put it in quotes";
  if (!node->quoted && esc_word_index(not_text, node->text) >= 0)
    return "is not text; put it in quotes";
  if (!esc_text_printable(node->text, length)) return "has unprintable characters";
  return fault_of_range(key, (double)length);
}

static const char *fault_of_activation(const esc_node *node) {
  esc_activation activation;
  if (!esc_activation_parse(node->text, &activation)) return "is not an activation";
  return esc_activation_is_trainable(&activation) ? NULL : "has a coefficient above 1e30 in size";
}

static const char *fault_of_scalar(const esc_key *key, esc_node *node) {
  switch (key->type) {
    case ESC_VALUE_INTEGER: return fault_of_integer(key, node);
    case ESC_VALUE_NUMBER: return fault_of_number(key, node);
    case ESC_VALUE_TEXT: return fault_of_text(key, node);
    case ESC_VALUE_ACTIVATION: return fault_of_activation(node);
    case ESC_VALUE_WORD:
      node->word = esc_word_index(key->words, node->text);
      return node->word >= 0 ? NULL : "is none of the words";
    default: return "is not a mapping";
  }
}

static esc_status check_scalar(const esc_key *key, esc_node *node, const char *shown) {
  const char *fault = fault_of_scalar(key, node);
  char hinted[192];
  if (!fault) return ESC_OK;
  snprintf(hinted, sizeof hinted, "%s%s", fault, esc_word_hint(key->words, node->text).text);
  return refuse(key, node, shown, hinted);
}

/* ---- values of every shape ---- */

static void below(walk *next, const walk *at, const esc_key *key, const char *brackets,
                  const char *shown) {
  next->root = at->root;
  snprintf(next->prefix, sizeof next->prefix, "%s%s.", key->path, brackets);
  snprintf(next->shown, sizeof next->shown, "%.90s.", shown);
}

static esc_status check_element(const walk *at, const esc_key *key, esc_node *node,
                                const char *shown) {
  walk next;
  esc_key one = *key;
  one.shape = ESC_SHAPE_ONE;
  if (key->type != ESC_VALUE_SECTION)
    return node->kind == ESC_NODE_SCALAR ? check_scalar(&one, node, shown)
                                         : refuse(&one, node, shown, "is not a single value");
  if (node->kind != ESC_NODE_MAPPING) return refuse(key, node, shown, "is not a mapping");
  below(&next, at, key, "[]", shown);
  return check_mapping(&next, node);
}

static esc_status check_distinct(const esc_key *key, const esc_node *list, const char *shown) {
  for (int i = 1; key->distinct && i < list->children; i++)
    for (int j = 0; j < i; j++)
      if (list->child[i]->number == list->child[j]->number)
        return refuse(key, list->child[i], shown, "is there twice");
  return ESC_OK;
}

static esc_status check_list(const walk *at, const esc_key *key, esc_node *list,
                             const char *shown) {
  char fault[64], element[PATH_SIZE];
  if (list->children < key->fewest || list->children > key->most) {
    snprintf(fault, sizeof fault, "of %d is too %s", list->children,
             list->children < key->fewest ? "short" : "long");
    return refuse(key, list, shown, fault);
  }
  for (int i = 0; i < list->children; i++) {
    snprintf(element, sizeof element, "%.80s[%d]", shown, i);
    const esc_status status = check_element(at, key, list->child[i], element);
    if (status != ESC_OK) return status;
  }
  return check_distinct(key, list, shown);
}

/* A list of lists; the rows are as free in number as in length. */
static esc_status check_rows(const walk *at, const esc_key *key, esc_node *rows,
                             const char *shown) {
  char row[PATH_SIZE];
  if (rows->children > key->most) return refuse(key, rows, shown, "is too long");
  for (int i = 0; i < rows->children; i++) {
    esc_node *node = rows->child[i];
    snprintf(row, sizeof row, "%.80s[%d]", shown, i);
    const esc_status status = node->kind == ESC_NODE_LIST
                                  ? check_list(at, key, node, row)
                                  : refuse(key, node, row, "is not a list, as the first one is");
    if (status != ESC_OK) return status;
  }
  return ESC_OK;
}

static bool has_rows(const esc_key *key, const esc_node *list) {
  return key->shape & ESC_SHAPE_ROWS && list->children > 0 && list->child[0]->kind == ESC_NODE_LIST;
}

static bool is_section(const esc_key *key) {
  return key->shape & ESC_SHAPE_MAPPING || (key->type == ESC_VALUE_SECTION && !key->shape);
}

/* The upper end of some ranges is another key's value, checked before. */
static esc_key bounded(const walk *at, const esc_key *key) {
  esc_key out = *key;
  const esc_node *limit = key->limit ? esc_node_find(at->root, key->limit) : NULL;
  if (limit) out.upper = (double)limit->integer;
  return out;
}

static esc_status check_value(const walk *at, const esc_key *row, esc_node *node,
                              const char *shown) {
  const esc_key key = bounded(at, row);
  walk next;
  switch (node->kind) {
    case ESC_NODE_MAPPING:
      if (!is_section(&key)) return refuse(&key, node, shown, "is not allowed here");
      below(&next, at, &key, "", shown);
      return check_mapping(&next, node);
    case ESC_NODE_LIST:
      if (has_rows(&key, node)) return check_rows(at, &key, node, shown);
      if (!(key.shape & ESC_SHAPE_LIST)) return refuse(&key, node, shown, "is not allowed here");
      return check_list(at, &key, node, shown);
    default:
      if (key.shape && !(key.shape & ESC_SHAPE_ONE))
        return refuse(&key, node, shown, "is not a list");
      return check_scalar(&key, node, shown);
  }
}

/* ---- mappings ---- */

static esc_status refuse_unknown_key(const walk *at, const esc_node *node, const char *path) {
  const bool dotted = strpbrk(node->key, ".[") != NULL;
  const esc_hint hint = esc_schema_hint(path);
  return ESC_FAIL(ESC_BAD_INPUT, "%s: unknown key '%s%s'%s; allowed: %s",
                  esc_node_key_place(node).text, at->shown,
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

static esc_status refuse_decimal_comma(const walk *at, const esc_node *before,
                                       const esc_node *node) {
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s%s: '%s,%s' %s", esc_node_key_place(node).text, at->shown,
                  esc_quote(before->key, strlen(before->key)).text,
                  esc_quote(before->text, strlen(before->text)).text,
                  esc_quote(node->key, strlen(node->key)).text, decimal_comma);
}

static esc_status check_key_names(const walk *at, const esc_node *mapping) {
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

/* Sections and keys with defaults come into being; others may have to be there. */
static esc_status supply(const esc_key *key, esc_node *mapping, const char *name,
                         const char *shown) {
  static const esc_source defaults = {.label = "default", .subject = "default"};
  esc_node *node = NULL;
  if (key->type == ESC_VALUE_SECTION && !key->shape) {
    node = esc_node_mapping(mapping);
    if (!node) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (spec)");
    return esc_node_put(mapping, name, node);
  }
  if (key->standard) {
    const esc_status status =
        esc_yaml_parse(&defaults, key->standard, strlen(key->standard), &node);
    if (status != ESC_OK) return status;
    node->is_default = true;
    return esc_node_put(mapping, name, node);
  }
  if (key->otherwise) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s is missing; it must be %s (%s)",
                  esc_node_key_place(mapping).text, shown, esc_schema_allowed(key).text, key->help);
}

static esc_status check_key(const walk *at, const esc_key *key, esc_node *mapping,
                            const char *name) {
  char shown[PATH_SIZE];
  snprintf(shown, sizeof shown, "%.64s%.30s", at->shown, name);
  if (!esc_node_get(mapping, name)) {
    const esc_status status = supply(key, mapping, name, shown);
    if (status != ESC_OK) return status;
  }
  esc_node *node = esc_node_get(mapping, name);
  return node ? check_value(at, key, node, shown) : ESC_OK;
}

static esc_status check_mapping(const walk *at, esc_node *mapping) {
  esc_status status = check_key_names(at, mapping);
  for (int i = 0; status == ESC_OK && i < esc_schema_keys; i++) {
    const char *name = esc_schema_below(&esc_schema[i], at->prefix);
    if (name) status = check_key(at, &esc_schema[i], mapping, name);
  }
  return status;
}

esc_status esc_validate(esc_node *root) {
  const walk at = {.root = root, .prefix = "", .shown = ""};
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

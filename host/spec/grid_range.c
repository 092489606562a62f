/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/grid_range.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "escapement/internal/number.h"
#include "spec/groups.h"

enum { COUNT_MAX = 4096 };

static esc_status refuse(const esc_node *node, const char *path, const char *why) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: %s: %s; allowed: a list of values, or {from: , to: , count: } with numbers "
                  "above 0 and a count of 2..%d",
                  esc_node_location(node).text, path, why, COUNT_MAX);
}

static esc_status read_end(const esc_node *mapping, const char *path, const char *name,
                           double *value) {
  char why[128];
  const esc_node *node = esc_node_get(mapping, name);
  const char *fault = !node                           ? "is missing"
                      : node->kind != ESC_NODE_SCALAR ? "is not a number"
                      : node->quoted                  ? "is a quoted string"
                                     : esc_number_parse(node->text, strlen(node->text), value);
  if (!fault && *value > 0) return ESC_OK;
  snprintf(why, sizeof why, "'%s' %s", name, fault ? fault : "is not above 0");
  return refuse(node ? node : mapping, path, why);
}

static esc_status read_count(const esc_node *mapping, const char *path, int64_t *count) {
  const esc_node *node = esc_node_get(mapping, "count");
  if (!node) return refuse(mapping, path, "'count' is missing");
  if (node->kind != ESC_NODE_SCALAR || node->quoted ||
      esc_integer_parse(node->text, strlen(node->text), count) || *count < 2 || *count > COUNT_MAX)
    return refuse(node, path, "'count' is no number of values");
  return ESC_OK;
}

static esc_status check_keys(const esc_node *mapping, const esc_key *row) {
  if (row->type != ESC_VALUE_INTEGER && row->type != ESC_VALUE_NUMBER)
    return refuse(mapping, row->path, "a range, but its values are no numbers");
  for (int i = 0; i < mapping->children; i++) {
    const char *const key = mapping->child[i]->key;
    char why[128];
    if (!strcmp(key, "from") || !strcmp(key, "to") || !strcmp(key, "count")) continue;
    snprintf(why, sizeof why, "unknown key '%s'", esc_quote(key, strlen(key)).text);
    return refuse(mapping->child[i], row->path, why);
  }
  return ESC_OK;
}

/* Adds one value; whole numbers that repeat would be the same network twice. */
static esc_status add_value(const esc_node *mapping, const esc_key *row, double value,
                            esc_node *list) {
  char text[ESC_NUMBER_SIZE];
  if (row->type == ESC_VALUE_INTEGER && value < 9e15)
    snprintf(text, sizeof text, "%.0f", rint(value));
  else
    esc_number_print(value, text, sizeof text);
  if (list->children > 0 && !strcmp(list->child[list->children - 1]->text, text))
    return refuse(mapping, row->path, "two values are the same whole number");
  return esc_node_append(list, esc_node_create_scalar(mapping, text));
}

esc_status esc_grid_range_read(const esc_node *mapping, const esc_key *row, esc_node **out) {
  esc_status status = ESC_OK;
  esc_node *list = NULL;
  double from = 0, to = 0, *value = NULL;
  int64_t count = 0;
  ESC_TRY(check_keys(mapping, row));
  ESC_TRY(read_end(mapping, row->path, "from", &from));
  ESC_TRY(read_end(mapping, row->path, "to", &to));
  ESC_TRY(read_count(mapping, row->path, &count));
  ESC_TRY_ALLOCATE(value = calloc((size_t)count, sizeof *value));
  ESC_TRY_ALLOCATE(list = esc_node_create_list(mapping));
  esc_log_spacing_fill(from, to, (int)count, value);
  for (int64_t i = 0; i < count; i++) ESC_TRY(add_value(mapping, row, value[i], list));
  *out = list;
  list = NULL;
done:
  esc_node_free(list);
  free(value);
  return status;
}

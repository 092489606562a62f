/* SPDX-License-Identifier: Apache-2.0 */
/* Axes of a grid: keys, lists of values, and the tree of each point (grid.h). */
#include "spec/grid.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "escapement/internal/number.h"
#include "spec/grid_axes.h"
#include "spec/grid_range.h"
#include "spec/schema.h"
#include "spec/validate.h"

/* ---- keys ---- */

static esc_status refuse_key(const esc_node *node, const char *section, const char *why) {
  esc_hint hint = {""};
  if (!esc_schema_find(node->key)) hint = esc_schema_hint(node->key);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: sweep.%s: '%s' %s%s; allowed: keys of network, teacher, init, train, escape "
                  "and record, with their sections (network.width)",
                  esc_node_key_location(node).text, section,
                  esc_quote(node->key, strlen(node->key)).text, why, hint.text);
}

/* The row of a key that may be swept, *row. */
static esc_status find_row(const esc_node *node, const char *section, const esc_key **row) {
  *row = esc_schema_find(node->key);
  if (!*row) return refuse_key(node, section, "is not a key of a spec");
  if (!strcmp(node->key, "escape.thresholds"))
    return refuse_key(node, section,
                      "is no key of a grid, because a result has all thresholds of a network: list "
                      "them in escape.thresholds");
  if (!strncmp(node->key, "sweep.", 6))
    return refuse_key(node, section, "is swept by sweep.seeds and sweep.groups");
  if (!strchr(node->key, '.')) return refuse_key(node, section, "is not a key that can be swept");
  return ESC_OK;
}

static esc_status check_new(const esc_grid_axes *axes, const esc_node *node, const char *section) {
  for (int i = 0; i < axes->count; i++)
    if (!strcmp(axes->axis[i].row->path, node->key))
      return refuse_key(node, section, "appears in sweep.grid and in sweep.zip");
  return ESC_OK;
}

/* ---- values ---- */

static esc_status check_values(const esc_node *node, const char *section) {
  if (node->kind == ESC_NODE_LIST && node->children > 0 && node->children <= ESC_GRID_POINTS_MAX)
    return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: sweep.%s: %s is %s; allowed: a list of 1..%d values, or {from: , to: , "
                  "count: }",
                  esc_node_location(node).text, section, node->key,
                  node->kind == ESC_NODE_SCALAR ? "a single value"
                  : node->children == 0         ? "an empty list"
                                                : "a list that is too long",
                  ESC_GRID_POINTS_MAX);
}

/* Adds the axis of `node`, a key of the section; takes the list of its values. */
static esc_status add_axis(esc_grid_axes *axes, esc_node *section, int index, bool zipped) {
  esc_status status = ESC_OK;
  const char *name = zipped ? "zip" : "grid";
  esc_node *const node = section->child[index];
  esc_grid_axis *const axis = &axes->axis[axes->count];
  ESC_TRY(find_row(node, name, &axis->row));
  ESC_TRY(check_new(axes, node, name));
  if (node->kind == ESC_NODE_MAPPING)
    ESC_TRY(esc_grid_range_read(node, axis->row, &axis->values));
  else
    ESC_TRY_ALLOCATE(axis->values = esc_node_copy(node));
  if (node->kind != ESC_NODE_MAPPING) ESC_TRY(check_values(node, name));
  axis->zipped = zipped;
  axes->count++;
  return ESC_OK;
done:
  esc_node_free(axis->values);
  axis->values = NULL;
  return status;
}

static esc_status check_zipped(const esc_grid_axes *axes) {
  const esc_grid_axis *first = NULL;
  for (int i = 0; i < axes->count; i++) {
    const esc_grid_axis *a = &axes->axis[i];
    if (!a->zipped) continue;
    if (!first) first = a;
    if (a->values->children != first->values->children)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: sweep.zip: %s has %d values and %s has %d; allowed: lists of one length",
                      esc_node_location(a->values).text, a->row->path, a->values->children,
                      first->row->path, first->values->children);
  }
  return ESC_OK;
}

static esc_status count_points(esc_grid_axes *axes, const esc_node *where) {
  int64_t points = 1, zipped = 1;
  for (int i = 0; i < axes->count; i++) {
    const int n = axes->axis[i].values->children;
    if (axes->axis[i].zipped)
      zipped = n;
    else if (points <= ESC_GRID_POINTS_MAX)
      points *= n;
  }
  if (points * zipped <= ESC_GRID_POINTS_MAX) {
    axes->points = (int)(points * zipped);
    axes->zipped = (int)zipped;
    return ESC_OK;
  }
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: sweep.grid and sweep.zip: more than %d points; allowed: at most %d",
                  esc_node_location(where).text, ESC_GRID_POINTS_MAX, ESC_GRID_POINTS_MAX);
}

static esc_status read_section(esc_grid_axes *axes, esc_node *section, bool zipped) {
  esc_status status = ESC_OK;
  if (!section) return ESC_OK;
  if (section->kind != ESC_NODE_MAPPING || section->children == 0)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: sweep.%s: is %s; allowed: %s",
                    esc_node_location(section).text, zipped ? "zip" : "grid",
                    section->kind == ESC_NODE_MAPPING ? "empty" : "not a mapping",
                    esc_schema_allowed(esc_schema_find("sweep.grid")).text);
  for (int i = 0; i < section->children; i++) ESC_TRY(add_axis(axes, section, i, zipped));
done:
  return status;
}

esc_status esc_grid_axes_read(esc_node *root, esc_grid_axes **out) {
  esc_status status = ESC_OK;
  esc_node *const sweep = esc_node_get(root, "sweep");
  esc_node *const grid = sweep ? esc_node_remove(sweep, "grid") : NULL;
  esc_node *const zip = sweep ? esc_node_remove(sweep, "zip") : NULL;
  esc_grid_axes *axes = NULL;
  *out = NULL;
  if (!grid && !zip) return ESC_OK;
  ESC_TRY_ALLOCATE(axes = calloc(1, sizeof *axes));
  const int keys = (grid ? grid->children : 0) + (zip ? zip->children : 0);
  ESC_TRY_ALLOCATE(axes->axis = calloc((size_t)keys + 1, sizeof *axes->axis));
  ESC_TRY(read_section(axes, grid, false));
  ESC_TRY(read_section(axes, zip, true));
  ESC_TRY(check_zipped(axes));
  ESC_TRY(count_points(axes, grid ? grid : zip));
  *out = axes;
  axes = NULL;
done:
  esc_grid_axes_free(axes);
  esc_node_free(grid);
  esc_node_free(zip);
  return status;
}

void esc_grid_axes_free(esc_grid_axes *axes) {
  for (int i = 0; axes && i < axes->count; i++) esc_node_free(axes->axis[i].values);
  if (axes) free(axes->axis);
  free(axes);
}

int esc_grid_axes_count(const esc_grid_axes *axes) { return axes->points; }

/* ---- points ---- */

/* Index of the value of axis `i` at a point. */
static int index_of_value(const esc_grid_axes *axes, int i, int point) {
  if (axes->axis[i].zipped) return point % axes->zipped;
  int stride = axes->zipped;
  for (int k = i + 1; k < axes->count; k++)
    if (!axes->axis[k].zipped) stride *= axes->axis[k].values->children;
  return point / stride % axes->axis[i].values->children;
}

/* Sets "section.name" in the tree. */
static esc_status set_value(esc_node *root, const char *path, const esc_node *value) {
  esc_status status = ESC_OK;
  char section[64];
  const char *const name = strchr(path, '.') + 1;
  esc_node *mapping, *copy = NULL;
  snprintf(section, sizeof section, "%.*s", (int)(name - path - 1), path);
  mapping = esc_node_get(root, section);
  if (!mapping) {
    ESC_TRY_ALLOCATE(mapping = esc_node_create_mapping(value));
    ESC_TRY(esc_node_set(root, section, mapping));
  }
  if (mapping->kind != ESC_NODE_MAPPING) return ESC_OK; /* refused by the validation */
  ESC_TRY_ALLOCATE(copy = esc_node_copy(value));
  status = esc_node_set(mapping, name, copy);
done:
  return status;
}

static bool is_swept(const esc_grid_axes *axes, const char *path) {
  for (int i = 0; i < axes->count; i++)
    if (!strcmp(axes->axis[i].row->path, path)) return true;
  return false;
}

/* A key of `train` that is allowed with one value of another key only. `neutral`: it has a value
 * that is allowed with every other one, so that a zip can give that. */
typedef struct conditional {
  const char *name, *of, *value;
  bool neutral;
} conditional;

static const conditional conditionals[] = {{"huber_delta", "train.loss", "huber", false},
                                           {"momentum", "train.optimizer", "sgd", true},
                                           {"nesterov", "train.optimizer", "sgd", true},
                                           {"adam_beta1", "train.optimizer", "adam", false},
                                           {"adam_beta2", "train.optimizer", "adam", false},
                                           {"adam_epsilon", "train.optimizer", "adam", false}};

static bool is_word(const esc_node *node, const char *word) {
  return node && node->kind == ESC_NODE_SCALAR && !strcmp(node->text, word);
}

static bool is_zero(const esc_node *node) {
  double number;
  return node && node->kind == ESC_NODE_SCALAR && !node->quoted &&
         !esc_number_parse(node->text, strlen(node->text), &number) && number == 0;
}

/* Whether the key is swept, and some point has this value, or with NULL one other than 0. A key
 * that belongs to it is then of use, and otherwise refused. */
static bool some_point_has(const esc_grid_axes *axes, const char *path, const char *word) {
  for (int i = 0; i < axes->count; i++) {
    const esc_node *const values = axes->axis[i].values;
    for (int k = 0; !strcmp(axes->axis[i].row->path, path) && k < values->children; k++)
      if (word ? is_word(values->child[k], word) : !is_zero(values->child[k])) return true;
  }
  return false;
}

/* A key that belongs to one value of a swept key, and is given for all points: left out where the
 * swept key has another value. */
static void remove_conditional(const esc_grid_axes *axes, esc_node *root) {
  esc_node *const train = esc_node_get(root, "train");
  char path[64];
  if (!train || train->kind != ESC_NODE_MAPPING) return;
  for (size_t i = 0; i < sizeof conditionals / sizeof conditionals[0]; i++) {
    const conditional *c = &conditionals[i];
    snprintf(path, sizeof path, "train.%s", c->name);
    if (some_point_has(axes, c->of, c->value) && !is_word(esc_node_find(root, c->of), c->value) &&
        !(c->neutral && is_swept(axes, path)))
      esc_node_free(esc_node_remove(train, c->name));
  }
  if (some_point_has(axes, "train.momentum", NULL) && is_zero(esc_node_get(train, "momentum")) &&
      !is_swept(axes, "train.nesterov"))
    esc_node_free(esc_node_remove(train, "nesterov"));
}

esc_status esc_grid_axes_apply(const esc_grid_axes *axes, int point, const esc_node *base,
                               esc_node **out) {
  esc_status status = ESC_OK;
  esc_node *root = NULL;
  ESC_TRY_ALLOCATE(root = esc_node_copy(base));
  for (int i = 0; i < axes->count; i++)
    ESC_TRY(set_value(root, axes->axis[i].row->path,
                      axes->axis[i].values->child[index_of_value(axes, i, point)]));
  remove_conditional(axes, root);
  *out = root;
  root = NULL;
done:
  esc_node_free(root);
  return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Results of a program's own arrays (escapement/results.h), checked as a file of another program.
 */
#include <string.h>

#include "escapement/internal/library.h"
#include "store/grid_attribute.h"
#include "store/unverified.h"

enum { ATTRIBUTE_NAME_MAX = 255 }; /* bytes; far below the limit of HDF5's object headers */

/* Their name in messages. */
static const char whole[] = "results";

typedef struct source {
  int columns;
  const esc_column *column;
  int attributes;
  const esc_text_attribute *attribute;
} source;

static const esc_column *find(const source *s, const char *name) {
  for (int i = 0; i < s->columns; i++)
    if (!strcmp(s->column[i].name, name)) return &s->column[i];
  return NULL;
}

/* Entries along the first dimension of a column, `otherwise` where there is none. */
static int64_t length_of(const source *s, const char *name, int64_t otherwise) {
  const esc_column *const found = find(s, name);
  return found && found->rank > 0 ? found->length[0] : otherwise;
}

static esc_status check_needed(const source *s) {
  const esc_results none = {0};
  esc_layout blank;
  esc_layout_init(&none, &blank);
  for (int i = 0; i < blank.columns; i++)
    if (esc_column_is_required(&blank.column[i]) && !find(s, blank.column[i].name))
      return ESC_FAIL(ESC_BAD_INPUT, "%s: no column %s, which results need", whole,
                      blank.column[i].name);
  return ESC_OK;
}

/* A column has a name, which no other has, and numbers where its lengths claim them. */
static esc_status check_column(const source *s, const esc_column *c) {
  if (!c->name) return ESC_FAIL(ESC_BAD_INPUT, "%s: a column has no name", whole);
  if (find(s, c->name) != c) return ESC_FAIL(ESC_BAD_INPUT, "%s: two columns %s", whole, c->name);
  for (int a = 0; a < c->rank && a < ESC_RANK_MAX; a++)
    if (c->length[a] < 0)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: column %s has the length %lld", whole, c->name,
                      (long long)c->length[a]);
  bool empty = false;
  for (int a = 0; a < c->rank && a < ESC_RANK_MAX; a++) empty |= c->length[a] == 0;
  if (!c->data && !empty)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: column %s has no data (NULL)", whole, c->name);
  return ESC_OK;
}

static esc_status check_columns(const source *s) {
  esc_status status = ESC_OK;
  for (int i = 0; i < s->columns; i++) ESC_TRY(check_column(s, &s->column[i]));
done:
  return status;
}

/* Results with the attribute `grid` have the column `point`. */
static esc_status create_grid(const source *s, esc_results *results) {
  esc_status status = ESC_OK;
  esc_grid *grid = NULL;
  const char *text = NULL;
  for (int i = 0; i < s->attributes; i++)
    if (s->attribute[i].name && !strcmp(s->attribute[i].name, "grid")) text = s->attribute[i].text;
  if (!text) return ESC_OK;
  if (!find(s, "point"))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: attribute grid without a column point", whole);
  ESC_TRY(esc_grid_attribute_parse(whole, text, &grid));
  ESC_TRY(esc_results_add_grid(results, grid));
done:
  esc_grid_free(grid);
  return status;
}

/* Of the first layer: (member[, snapshot or threshold], unit, input). */
static esc_status read_weights_shape(const esc_column *first, esc_weights_kind kind,
                                     esc_shape *shape) {
  const int row = esc_weights_axis(kind) == ESC_AXIS_NONE ? 1 : 2;
  const int64_t width = first->rank == row + 2 ? first->length[row] : 0,
                inputs = first->rank == row + 2 ? first->length[row + 1] : 0;
  if (width < 1 || width > ESC_WIDTH_MAX || inputs < 1 || inputs > ESC_INPUTS_MAX)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: column %s has not the type or shape of a result's %s",
                    whole, first->name, first->name);
  shape->width = (int)width;
  shape->inputs = (int)inputs;
  return ESC_OK;
}

/* Weights of a moment have every layer, and those at snapshots their steps. */
static esc_status check_weights(const source *s, const esc_results *results,
                                esc_weights_kind kind) {
  const bool first = find(s, esc_weights_name(kind, 0));
  for (int l = 1; l < results->layers; l++)
    if ((find(s, esc_weights_name(kind, l)) != NULL) != first)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: column %s without %s", whole,
                      esc_weights_name(kind, first ? 0 : l), esc_weights_name(kind, first ? l : 0));
  if (first && kind == ESC_WEIGHTS_SNAPSHOTS && results->snapshots == 0)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: column %s without snapshot", whole,
                    esc_weights_name(kind, 0));
  return ESC_OK;
}

static esc_status create_weights(const source *s, esc_results *results) {
  esc_status status = ESC_OK;
  esc_shape shape = {0};
  unsigned kinds = 0;
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++) {
    const esc_weights_kind kind = (esc_weights_kind)k;
    const esc_column *const first = find(s, esc_weights_name(kind, 0));
    ESC_TRY(check_weights(s, results, kind));
    if (!first) continue;
    ESC_TRY(read_weights_shape(first, kind, &shape));
    kinds |= 1u << k;
  }
  if (kinds) ESC_TRY(esc_results_add_weights(results, kinds, shape.width, shape.inputs));
done:
  return status;
}

static esc_status create(const source *s, esc_results **out) {
  esc_status status = ESC_OK;
  enum { LAYERS_UNKNOWN = 2 };
  const int64_t members = length_of(s, "seed", 0), thresholds = length_of(s, "threshold", 0),
                layers = length_of(s, "layer", LAYERS_UNKNOWN),
                snapshots = length_of(s, "snapshot", 0);
  ESC_TRY(esc_layout_check_shape(whole, members, thresholds, layers));
  ESC_TRY(esc_results_create(members, (int)thresholds, (int)layers, out));
  if (snapshots > 0) ESC_TRY(esc_results_add_snapshots(*out, snapshots));
  ESC_TRY(create_weights(s, *out));
  ESC_TRY(create_grid(s, *out));
done:
  return status;
}

static bool has_shape(const esc_layout *t, const esc_layout_column *c, const esc_column *from) {
  if (from->type != c->type || from->rank != c->rank) return false;
  for (int a = 0; a < c->rank; a++)
    if (from->length[a] != t->length[c->axis[a]]) return false;
  return true;
}

/* Layers, units and the like, which results count from 1: a caller's in another order are refused.
 */
static esc_status check_counted(const esc_layout_column *c, const esc_column *from) {
  for (int64_t i = 0; i < from->length[0]; i++)
    if (((const int32_t *)from->data)[i] != i + 1)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: %s is %d at value number %lld; allowed: 1, 2, ...", whole,
                      c->name, ((const int32_t *)from->data)[i], (long long)i + 1);
  return ESC_OK;
}

static esc_status copy_column(const source *s, esc_layout *t, const esc_layout_column *c) {
  const esc_column *const from = find(s, c->name);
  if (!from) return ESC_OK;
  if (!has_shape(t, c, from))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: column %s has not the type or shape of a result's %s",
                    whole, c->name, c->name);
  if (c->coordinate && c->type == ESC_TYPE_INT32) return check_counted(c, from);
  const size_t bytes = (size_t)t->length[c->axis[0]] * esc_layout_row_bytes(t, c);
  if (bytes) memcpy(c->data, from->data, bytes);
  return ESC_OK;
}

static esc_status fill(const source *s, esc_results *results) {
  esc_status status = ESC_OK;
  esc_layout layout;
  esc_layout_init(results, &layout);
  for (int i = 0; i < layout.columns; i++) ESC_TRY(copy_column(s, &layout, &layout.column[i]));
  esc_members_derive(results, !find(s, "member"), !find(s, "status"));
  ESC_TRY(esc_results_check_keys(whole, results));
  ESC_TRY(esc_results_check_points(whole, results));
done:
  return status;
}

static esc_status copy_attributes(int attributes, const esc_text_attribute *attribute,
                                  esc_results *results) {
  esc_status status = ESC_OK;
  for (int i = 0; i < attributes; i++) {
    const char *const name = attribute[i].name, *const text = attribute[i].text;
    const size_t length = name ? strlen(name) : 0;
    if (length < 1 || length > ATTRIBUTE_NAME_MAX)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: the name of attribute number %d has %zu bytes; allowed: 1 "
                      "to %d",
                      whole, i + 1, length, ATTRIBUTE_NAME_MAX);
    if (!text) return ESC_FAIL(ESC_BAD_INPUT, "%s: attribute %s has no text (NULL)", whole, name);
    if (!esc_attribute_is_of_store(name)) ESC_TRY(esc_results_set_attribute(results, name, text));
  }
done:
  return status;
}

esc_status esc_results_build(int columns, const esc_column *column, int attributes,
                             const esc_text_attribute *attribute, esc_results **out) {
  esc_status status = ESC_OK;
  const esc_library_scope scope = esc_library_enter();
  const source s = {columns, column, attributes, attribute};
  esc_results *results = NULL;
  ESC_TRY(check_columns(&s));
  ESC_TRY(check_needed(&s));
  ESC_TRY(create(&s, &results));
  ESC_TRY(fill(&s, results));
  ESC_TRY(copy_attributes(attributes, attribute, results));
  *out = results;
  results = NULL;
done:
  esc_results_free(results);
  esc_library_leave(scope);
  return status;
}

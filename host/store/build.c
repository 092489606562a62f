/* SPDX-License-Identifier: Apache-2.0 */
/* Results of a program's own arrays (escapement/results.h), checked as a file of another program.
 */
#include <string.h>

#include "escapement/internal/library.h"
#include "store/grid_attribute.h"
#include "store/unverified.h"

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

/* With the attribute `grid` comes the column `point`. */
static esc_status create_grid(const source *s, esc_results *results) {
  esc_status status = ESC_OK;
  esc_grid *grid = NULL;
  const char *text = NULL;
  for (int i = 0; i < s->attributes; i++)
    if (!strcmp(s->attribute[i].name, "grid")) text = s->attribute[i].text;
  if (!text) return ESC_OK;
  if (!find(s, "point"))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: attribute grid without a column point", whole);
  ESC_TRY(esc_grid_attribute_parse(whole, text, &grid));
  ESC_TRY(esc_results_add_grid(results, grid));
done:
  esc_grid_free(grid);
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

/* Layers and interfaces are counted, whatever the caller's coordinates are. */
static esc_status copy_column(const source *s, esc_layout *t, const esc_layout_column *c) {
  const esc_column *const from = find(s, c->name);
  if (!from || c->data == t->layer || c->data == t->interface) return ESC_OK;
  if (!has_shape(t, c, from))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: column %s has not the type or shape of a result's %s",
                    whole, c->name, c->name);
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

esc_status esc_results_build(int columns, const esc_column *column, int attributes,
                             const esc_text_attribute *attribute, esc_results **out) {
  esc_status status = ESC_OK;
  const esc_library_scope scope = esc_library_enter();
  const source s = {columns, column, attributes, attribute};
  esc_results *results = NULL;
  ESC_TRY(check_needed(&s));
  ESC_TRY(create(&s, &results));
  ESC_TRY(fill(&s, results));
  for (int i = 0; i < attributes; i++)
    if (!esc_attribute_is_of_store(attribute[i].name))
      ESC_TRY(esc_results_set_attribute(results, attribute[i].name, attribute[i].text));
  *out = results;
  results = NULL;
done:
  esc_results_free(results);
  esc_library_leave(scope);
  return status;
}

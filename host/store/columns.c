/* SPDX-License-Identifier: Apache-2.0 */
/* Columns and attributes of results, by name and in order (escapement/results.h). */
#include <string.h>

#include "escapement/internal/library.h"
#include "escapement/internal/results.h"
#include "store/hdf5_layout.h"
#include "store/store.h"

int64_t esc_results_count_members(const esc_results *results) { return results->members; }

int esc_results_count_attributes(const esc_results *results) { return results->attributes; }

const char *esc_results_attribute_name(const esc_results *results, int index) {
  const bool exists = index >= 0 && index < results->attributes;
  return exists ? results->attribute[index].name : NULL;
}

/* Numbers of layers and interfaces, which are counted from 1. */
static const int32_t one_to_layers_max[ESC_LAYERS_MAX] = {
    1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64};
_Static_assert(ESC_LAYERS_MAX == 64, "a number for each layer");

static void describe(const esc_layout *layout, const esc_layout_column *c, esc_column *out) {
  const bool is_number = c->data == layout->layer || c->data == layout->interface;
  *out = (esc_column){.name = c->name,
                      .units = c->units,
                      .long_name = c->long_name,
                      .type = c->type,
                      .rank = c->rank,
                      .data = is_number ? one_to_layers_max : c->data,
                      .coordinate = c->coordinate};
  for (int d = 0; d < c->rank; d++) {
    out->dimension[d] = esc_axis_name(c->axis[d]);
    out->length[d] = layout->length[c->axis[d]];
  }
}

int esc_results_count_columns(const esc_results *results) {
  esc_layout layout;
  esc_layout_init(results, &layout);
  return layout.columns;
}

esc_status esc_results_column(const esc_results *results, int index, esc_column *out) {
  esc_layout layout;
  esc_layout_init(results, &layout);
  if (index < 0 || index >= layout.columns)
    return ESC_FAIL(ESC_BAD_INPUT, "column %d: the results have columns 0 to %d", index,
                    layout.columns - 1);
  describe(&layout, &layout.column[index], out);
  return ESC_OK;
}

esc_status esc_results_find_column(const esc_results *results, const char *name, esc_column *out) {
  esc_layout layout;
  esc_layout_init(results, &layout);
  for (int i = 0; i < layout.columns; i++) {
    if (strcmp(layout.column[i].name, name) != 0) continue;
    describe(&layout, &layout.column[i], out);
    return ESC_OK;
  }
  return ESC_FAIL(ESC_BAD_INPUT, "the results have no column %.80s", name);
}

esc_status esc_results_checksum(const esc_results *results, char text[ESC_CHECKSUM_TEXT_SIZE]) {
  esc_layout layout;
  esc_layout_init(results, &layout);
  return esc_layout_checksum(&layout, text);
}

/* ---- files ---- */

esc_status esc_results_read(const char *path, bool *verified, esc_results **out) {
  const esc_library_scope scope = esc_library_enter();
  bool unverified = false;
  const esc_status status =
      verified ? esc_store_read_any(path, &unverified, out) : esc_store_read(path, out);
  if (verified) *verified = !unverified;
  esc_library_leave(scope);
  return status;
}

esc_status esc_results_write(const esc_results *results, const char *path) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = esc_store_write(path, results);
  esc_library_leave(scope);
  return status;
}

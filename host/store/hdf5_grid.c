/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hdf5_grid.h"

#include <hdf5_hl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/number.h"
#include "store/grid_attribute.h"
#include "store/hdf5_variable.h"

enum { NAME_SIZE = 96 };

/* ---- variables of the keys ---- */

typedef enum value_kind { INTEGERS, REALS, TEXTS } value_kind;

static value_kind kind_of(const esc_grid *g, int k) {
  int64_t integer;
  if (!g->numeric[k]) return TEXTS;
  for (int i = 0; i < g->points; i++) {
    const char *const value = esc_grid_value(g, i, k);
    if (esc_integer_parse(value, strlen(value), &integer)) return REALS;
  }
  return INTEGERS;
}

/* Values of key k, one for each member: int64_t, double or const char *; 8 bytes each. */
static void fill(const esc_results *r, int k, value_kind kind, void *out) {
  for (int64_t i = 0; i < r->members; i++) {
    const char *const value = esc_grid_value(r->grid, r->point[i], k);
    if (kind == INTEGERS) (void)esc_integer_parse(value, strlen(value), (int64_t *)out + i);
    if (kind == REALS) (void)esc_number_parse(value, strlen(value), (double *)out + i);
    if (kind == TEXTS) ((const char **)out)[i] = value;
  }
}

static esc_status write_text(const esc_hdf5 *h, hid_t dataset, const char *name, const char *text) {
  esc_status status = ESC_OK;
  hid_t space = -1, attribute = -1;
  ESC_HDF5_TRY(h, name, space = H5Screate(H5S_SCALAR));
  ESC_HDF5_TRY(h, name,
               attribute = H5Acreate2(dataset, name, h->text, space, H5P_DEFAULT, H5P_DEFAULT));
  ESC_HDF5_TRY(h, name, H5Awrite(attribute, h->text, &text));
done:
  status = esc_hdf5_release(h, status, name, attribute);
  return esc_hdf5_release(h, status, name, space);
}

static esc_status create_variable(const esc_hdf5 *h, const esc_results *r, const char *name,
                                  hid_t type, hid_t *dataset) {
  esc_status status = ESC_OK;
  const hsize_t length = (hsize_t)r->members;
  hid_t space = -1, creation = -1;
  ESC_HDF5_TRY(h, name, creation = H5Pcreate(H5P_DATASET_CREATE));
  ESC_HDF5_TRY(h, name, H5Pset_obj_track_times(creation, false));
  ESC_HDF5_TRY(h, name,
               H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED));
  ESC_HDF5_TRY(h, name, space = H5Screate_simple(1, &length, NULL));
  ESC_HDF5_TRY(
      h, name,
      *dataset = H5Dcreate2(h->file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT));
done:
  status = esc_hdf5_release(h, status, name, space);
  return esc_hdf5_release(h, status, name, creation);
}

static esc_status write_variable(const esc_hdf5 *h, const esc_results *r, int k, hid_t members,
                                 void *values) {
  esc_status status = ESC_OK;
  const value_kind kind = kind_of(r->grid, k);
  const hid_t type[] = {H5T_STD_I64LE, H5T_IEEE_F64LE, h->text};
  const hid_t memory[] = {H5T_NATIVE_INT64, H5T_NATIVE_DOUBLE, h->text};
  char name[NAME_SIZE], long_name[2 * NAME_SIZE];
  hid_t dataset = -1;
  esc_grid_print_variable(r->grid->key[k], name, sizeof name);
  snprintf(long_name, sizeof long_name, "%.90s of the member's point of the grid", r->grid->key[k]);
  fill(r, k, kind, values);
  ESC_TRY(create_variable(h, r, name, type[kind], &dataset));
  if (r->members)
    ESC_HDF5_TRY(h, name, H5Dwrite(dataset, memory[kind], H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
  if (kind != TEXTS) ESC_TRY(write_text(h, dataset, "units", "1"));
  ESC_TRY(write_text(h, dataset, "long_name", long_name));
  ESC_HDF5_TRY(h, name, H5DSattach_scale(dataset, members, 0));
done:
  return esc_hdf5_release(h, status, "a swept key", dataset);
}

esc_status esc_hdf5_grid_write(const esc_hdf5 *h, const esc_results *r, hid_t members) {
  esc_status status = ESC_OK;
  void *values = NULL;
  if (!r->grid) return ESC_OK;
  ESC_TRY_ALLOCATE(values = calloc((size_t)r->members + 1, 8));
  for (int k = 0; k < r->grid->keys; k++) ESC_TRY(write_variable(h, r, k, members, values));
done:
  free(values);
  return status;
}

/* ---- the grid of a file ---- */

esc_status esc_hdf5_grid_read(const esc_hdf5 *h, esc_results *results) {
  esc_status status = ESC_OK;
  char *text = NULL;
  esc_grid *grid = NULL;
  const bool has_points = H5Lexists(h->file, "point", H5P_DEFAULT) > 0;
  if (H5Aexists(h->file, "grid") <= 0) return ESC_OK;
  if (!has_points)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: has the attribute grid, but no variable point", h->path);
  ESC_TRY(esc_hdf5_read_text(h, h->file, "grid", &text));
  ESC_TRY(esc_grid_attribute_parse(h->path, text ? text : "", &grid));
  ESC_TRY(esc_results_add_grid(results, grid));
done:
  esc_grid_free(grid);
  free(text);
  return status;
}

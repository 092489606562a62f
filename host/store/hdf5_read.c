/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a result file: verifies the file checksum, reads each column, then verifies the checksum of
 * the columns (digest). Declared sizes are checked before they are used. Files of an earlier
 * version lack the variables that were added later.
 *
 * A file without a valid file checksum is unverified. If the caller accepts such files, columns may
 * have other number types, be packed or have missing values, and columns that fits do not use may
 * be absent. A checksum does not authenticate the writer, so that both kinds are read with the same
 * checks (hdf5_variable.h). */
#include <hdf5_hl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_kind.h"
#include "base/io.h"
#include "store/grid_attribute.h"
#include "store/hdf5_grid.h"
#include "store/hdf5_heap.h"
#include "store/hdf5_sandbox.h"
#include "store/hdf5_variable.h"
#include "store/journal.h"
#include "store/store.h"
#include "store/unverified.h"

static const size_t file_bytes_max = (size_t)1 << 40;
enum {
  DEFLATE_RATIO_MAX = 1100, /* deflate packs less than this many bytes into one */
  ATTRIBUTES_MAX = 1000,    /* texts of one file */
};

/* Opens a column and checks its type and rank: exactly the written type, or in an unverified file
 * any number type, whose values are checked when they are read. */
static esc_status open_column(const esc_hdf5 *h, const esc_layout_column *c, esc_hdf5_variable *v) {
  esc_status status = ESC_OK;
  htri_t same = true;
  ESC_TRY(esc_hdf5_variable_open(h, c->name, v));
  if (!h->unverified) same = H5Tequal(v->type, esc_hdf5_file_type(c->type));
  if (same > 0 && v->rank == c->rank) return ESC_OK;
  status = ESC_FAIL(ESC_BAD_INPUT, "%s: dataset %s has the wrong type or rank for a result's %s",
                    h->path, c->name, c->name);
  return esc_hdf5_variable_close(h, status, v);
done:
  return status;
}

static esc_status read_length(const esc_hdf5 *h, const esc_layout_column *c, int64_t *length) {
  esc_hdf5_variable v;
  const esc_status status = open_column(h, c, &v);
  if (status != ESC_OK) return status;
  *length = v.length[0] < INT64_MAX ? (int64_t)v.length[0] : INT64_MAX;
  return esc_hdf5_variable_close(h, status, &v);
}

static bool is_column(const esc_hdf5 *h, const char *name) {
  return H5Lexists(h->file, name, H5P_DEFAULT) > 0;
}

/* An unverified file must have the columns that `fit` requires. */
static esc_status check_is_result(const esc_hdf5 *h) {
  const esc_results none = {0};
  esc_layout blank;
  esc_layout_init(&none, &blank);
  for (int i = 0; h->unverified && i < blank.columns; i++)
    if (esc_column_is_required(&blank.column[i]) && !is_column(h, blank.column[i].name))
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: is an HDF5 file, but not a result of escapement: it has no variable %s",
                      h->path, blank.column[i].name);
  return ESC_OK;
}

/* Allocates the snapshots that the file declares. */
static esc_status create_snapshots(const esc_hdf5 *h, size_t file_size, esc_results *results) {
  static const esc_layout_column coordinate = {
      .name = "snapshot", .type = ESC_TYPE_INT64, .rank = 1};
  esc_status status = ESC_OK;
  int64_t snapshots;
  ESC_TRY(read_length(h, &coordinate, &snapshots));
  const double cells = (double)snapshots * (double)results->members;
  if (snapshots < 1 || cells > (double)file_size * DEFLATE_RATIO_MAX) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: declares %lld snapshots, more than %zu bytes can hold",
                      h->path, (long long)snapshots, file_size);
    goto done;
  }
  ESC_TRY(esc_results_add_snapshots(results, snapshots));
done:
  return status;
}

/* Length of the coordinate of a weights' axis. */
static esc_status read_weights_length(const esc_hdf5 *h, esc_axis axis, int64_t length_max,
                                      int64_t *length) {
  const esc_layout_column coordinate = {
      .name = esc_axis_name(axis), .type = ESC_TYPE_INT32, .rank = 1};
  const esc_status status = read_length(h, &coordinate, length);
  if (status != ESC_OK || (*length >= 1 && *length <= length_max)) return status;
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s has %lld entries; allowed: 1 to %lld", h->path,
                  coordinate.name, (long long)*length, (long long)length_max);
}

/* Allocates the weights that the file declares: those of which it has the first layer. */
static esc_status create_weights(const esc_hdf5 *h, size_t file_size, esc_results *r) {
  esc_status status = ESC_OK;
  unsigned kinds = 0;
  int64_t width, inputs;
  double networks = 0;
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++) {
    if (!is_column(h, esc_weights_name((esc_weights_kind)k, 0))) continue;
    kinds |= 1u << k;
    networks +=
        (double)r->members * (double)esc_axis_length(r, esc_weights_axis((esc_weights_kind)k));
  }
  if (kinds == 0) return ESC_OK;
  ESC_TRY(read_weights_length(h, ESC_AXIS_UNIT, ESC_WIDTH_MAX, &width));
  ESC_TRY(read_weights_length(h, ESC_AXIS_INPUT, ESC_INPUTS_MAX, &inputs));
  const esc_shape shape = {.layers = r->layers, .width = (int)width, .inputs = (int)inputs};
  const double bytes = networks * (double)esc_weight_count(shape) * sizeof(float);
  if (bytes > (double)file_size * DEFLATE_RATIO_MAX) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: declares %.3g bytes of weights, more than %zu can hold",
                      h->path, bytes, file_size);
    goto done;
  }
  ESC_TRY(esc_results_add_weights(r, kinds, shape.width, shape.inputs));
done:
  return status;
}

/* Allocates a table of the shape that the coordinates declare. */
static esc_status create_results(const esc_hdf5 *h, size_t file_size, esc_results **out) {
  const esc_results none = {0};
  esc_layout blank;
  int64_t length[ESC_COORDINATES];
  esc_status status = ESC_OK;
  esc_layout_init(&none, &blank);
  for (int i = 0; i < ESC_COORDINATES; i++) {
    const esc_layout_column *c = &blank.column[i];
    length[i] = 2; /* layers of an unverified file without this coordinate */
    if (h->unverified && i == ESC_AXIS_NONE)
      c = &blank.column[ESC_COORDINATES]; /* the first variable */
    if (!h->unverified || is_column(h, c->name)) ESC_TRY(read_length(h, c, &length[i]));
  }
  const int64_t members = length[ESC_AXIS_NONE], thresholds = length[ESC_AXIS_THRESHOLD],
                layers = length[ESC_AXIS_LAYER];
  ESC_TRY(esc_layout_check_shape(h->path, members, thresholds, layers));
  const size_t row = sizeof(int64_t) + esc_results_row_size((int)thresholds, (int)layers);
  if ((size_t)members > file_size / row * DEFLATE_RATIO_MAX + DEFLATE_RATIO_MAX) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: declares %lld members, more than %zu bytes can hold",
                      h->path, (long long)members, file_size);
    goto done;
  }
  ESC_TRY(esc_results_create(members, (int)thresholds, (int)layers, out));
  if (!h->unverified && is_column(h, "snapshot")) ESC_TRY(create_snapshots(h, file_size, *out));
  if (!h->unverified) ESC_TRY(create_weights(h, file_size, *out));
  ESC_TRY(esc_hdf5_grid_read(h, *out));
done:
  return status;
}

static esc_status check_lengths(const esc_hdf5 *h, const esc_layout *t, const esc_layout_column *c,
                                const esc_hdf5_variable *v) {
  for (int a = 0; a < c->rank; a++)
    if (v->length[a] != (hsize_t)t->length[c->axis[a]])
      return ESC_FAIL(ESC_BAD_INPUT, "%s: %s has %llu entries along %s, which has %lld", h->path,
                      c->name, (unsigned long long)v->length[a], esc_axis_name(c->axis[a]),
                      (long long)t->length[c->axis[a]]);
  return ESC_OK;
}

/* Copies the name of the coordinate of an axis, if the file has one. */
static herr_t copy_scale_name(hid_t dataset, unsigned axis, hid_t scale, void *name) {
  (void)dataset, (void)axis;
  return H5Iget_name(scale, name, NAME_MAX) > 0 ? 1 : 0;
}

/* Detects axes in another order, which can have the same lengths. */
static esc_status check_axes(const esc_hdf5 *h, const esc_layout_column *c,
                             const esc_hdf5_variable *v) {
  for (int a = 0; a < c->rank && !c->coordinate; a++) {
    char name[NAME_MAX + 1] = "";
    const char *const wanted = esc_axis_name(c->axis[a]);
    if (H5DSget_num_scales(v->dataset, (unsigned)a) < 1) continue;
    if (H5DSiterate_scales(v->dataset, (unsigned)a, NULL, copy_scale_name, name) <= 0) continue;
    if (strcmp(name + (name[0] == '/'), wanted) != 0)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: axis %d of %s is %s; allowed: %s", h->path, a + 1,
                      c->name, name + (name[0] == '/'), wanted);
  }
  return ESC_OK;
}

/* Reads the values of a column: as stored, or from an unverified file decoded by the CF
 * conventions. */
static esc_status read_values(const esc_hdf5 *h, const esc_layout *t, const esc_layout_column *c,
                              const esc_hdf5_variable *v) {
  esc_status status = ESC_OK;
  const size_t values =
      (size_t)t->length[c->axis[0]] * esc_layout_row_bytes(t, c) / esc_type_size(c->type);
  if (h->unverified) return esc_cf_read(h, v, c, values);
  ESC_TRY(esc_cf_refuse(h, v));
  ESC_HDF5_TRY(
      h, c->name,
      H5Dread(v->dataset, esc_hdf5_memory_type(c->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, c->data));
done:
  return status;
}

static esc_status read_column(const esc_hdf5 *h, const esc_layout *t, const esc_layout_column *c) {
  esc_hdf5_variable v;
  esc_status status = open_column(h, c, &v);
  if (status != ESC_OK) return status;
  if (h->unverified) ESC_TRY(check_axes(h, c, &v));
  ESC_TRY(check_lengths(h, t, c, &v));
  ESC_TRY(esc_hdf5_variable_check_stored(h, &v));
  ESC_TRY(read_values(h, t, c, &v));
done:
  return esc_hdf5_variable_close(h, status, &v);
}

typedef struct attribute_reader {
  const esc_hdf5 *h;
  esc_results *results;
  esc_status status;
} attribute_reader;

static esc_status add_attribute(attribute_reader *g, const char *name) {
  esc_status status = ESC_OK;
  char *text = NULL;
  ESC_TRY(esc_hdf5_read_text(g->h, g->h->file, name, &text));
  if (text && g->results->attributes == ATTRIBUTES_MAX)
    status =
        ESC_FAIL(ESC_BAD_INPUT, "%s: has more than %d text attributes", g->h->path, ATTRIBUTES_MAX);
  else if (text)
    status = esc_results_set_attribute(g->results, name, text);
done:
  free(text);
  return status;
}

static herr_t read_one_attribute(hid_t file, const char *name, const H5A_info_t *info,
                                 void *context) {
  attribute_reader *g = context;
  (void)file, (void)info;
  if (!esc_attribute_is_of_store(name)) g->status = add_attribute(g, name);
  return g->status == ESC_OK ? 0 : -1;
}

static esc_status read_attributes(const esc_hdf5 *h, esc_results *results) {
  esc_status status = ESC_OK;
  attribute_reader g = {h, results, ESC_OK};
  hsize_t from = 0;
  const herr_t result =
      H5Aiterate2(h->file, H5_INDEX_CRT_ORDER, H5_ITER_INC, &from, read_one_attribute, &g);
  if (g.status != ESC_OK) return g.status;
  ESC_HDF5_TRY(h, "the attributes", result);
done:
  return status;
}

static esc_status check_data_checksum(const esc_hdf5 *h, const esc_layout *t) {
  char want[ESC_CHECKSUM_TEXT_SIZE], *found = NULL;
  esc_status status = ESC_OK;
  ESC_TRY(esc_layout_checksum(t, want));
  ESC_TRY(esc_hdf5_read_text(h, h->file, "digest", &found));
  if (!found || strcmp(found, want) != 0)
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: damaged: its attribute digest is %s, the checksum of its variables %s",
                      h->path, found ? found : "missing", want);
done:
  free(found);
  return status;
}

/* Variables that the first files of version 0.1.0 lack: standard errors and final observables. */
static bool is_optional_in_old_files(const char *name) {
  static const char *const ending[] = {"_end", "_error"};
  const size_t length = strlen(name);
  for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++) {
    const size_t tail = strlen(ending[i]);
    if (length > tail && !strcmp(name + length - tail, ending[i])) return true;
  }
  return false;
}

/* Removes the columns that an earlier version did not write from the layout, and fills them with
 * NaN. The digest of such a file covers the columns that it has. */
static void drop_absent_columns(const esc_hdf5 *h, esc_layout *t) {
  int kept = 0;
  for (int i = 0; i < t->columns; i++) {
    const esc_layout_column *c = &t->column[i];
    const size_t values = (size_t)t->length[c->axis[0]] * esc_layout_row_bytes(t, c) / 8;
    if (!is_optional_in_old_files(c->name) || is_column(h, c->name)) {
      t->column[kept++] = *c;
      continue;
    }
    double *const unknown = c->data;
    for (size_t k = 0; k < values && c->type == ESC_TYPE_FLOAT64; k++) unknown[k] = (double)NAN;
  }
  t->columns = kept;
}

static esc_status read_results(const esc_hdf5 *h, size_t file_size, esc_results **out) {
  esc_layout layout;
  esc_results *results = NULL;
  esc_status status = ESC_OK;
  ESC_TRY(create_results(h, file_size, &results));
  esc_layout_init(results, &layout);
  if (!h->unverified) drop_absent_columns(h, &layout);
  for (int i = 0; i < layout.columns; i++) {
    const esc_layout_column *c = &layout.column[i];
    if (h->unverified && !esc_column_is_required(c) && (c->coordinate || !is_column(h, c->name)))
      continue;
    ESC_TRY(read_column(h, &layout, c));
  }
  if (h->unverified) esc_members_derive(results, true, !is_column(h, "status"));
  if (h->unverified) ESC_TRY(esc_results_check_keys(h->path, results));
  ESC_TRY(esc_results_check_points(h->path, results));
  ESC_TRY(read_attributes(h, results));
  if (!h->unverified) ESC_TRY(check_data_checksum(h, &layout));
  *out = results;
  results = NULL;
done:
  esc_results_free(results);
  return status;
}

/* H5LTopen_file_image leaks memory, so the image is opened with the core library. */
static esc_status open_image(esc_hdf5 *h, char *image, size_t size) {
  static const char what[] = "the file";
  esc_status status = ESC_OK;
  hid_t access = -1;
  ESC_TRY(esc_hdf5_make_access(h, &access));
  ESC_HDF5_TRY(h, what, H5Pset_file_image(access, image, size));
  ESC_HDF5_TRY(h, what, h->file = H5Fopen(ESC_HDF5_IMAGE, H5F_ACC_RDONLY, access));
done:
  return esc_hdf5_release(h, status, what, access);
}

/* Message for a missing result whose run has not finished and has left a journal. */
static esc_status explain_missing_file(const char *path) {
  char journal[PATH_MAX], why[600];
  esc_journal_summary found;
  snprintf(why, sizeof why, "%.590s", esc_error_message());
  if (snprintf(journal, sizeof journal, "%s.journal", path) >= (int)sizeof journal ||
      !esc_io_exists(journal) || esc_journal_read(journal, NULL, &found) != ESC_OK)
    return ESC_FAIL(ESC_BAD_INPUT, "%s", why);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: does not exist yet: its run has not finished, and its journal holds %lld of "
                  "%lld finished members; continue with `escapement run SPEC -o %s --resume`",
                  path, (long long)found.records, (long long)found.members, path);
}

/* The bytes of a file and the results read from them. */
typedef struct reading {
  esc_hdf5 h;
  char *bytes;
  size_t size, image_size; /* with and without the file checksum */
  esc_results *results;
} reading;

static esc_status read_image(reading *r) {
  esc_status status = ESC_OK;
  ESC_TRY(open_image(&r->h, r->bytes, r->image_size));
  ESC_TRY(check_is_result(&r->h));
  ESC_TRY(read_results(&r->h, r->size, &r->results));
done:
  return status;
}

/* Includes closing the file, on which HDF5 can also crash. */
static void read_in_sandbox(void *context) {
  reading *r = context;
  esc_hdf5_guard_forget();
  (void)esc_hdf5_close(&r->h, read_image(r));
}

/* Verifies the file checksum. A file without a valid one is accepted if `unverified` is not NULL.
 */
static esc_status check_file_checksum(reading *r, bool *unverified) {
  const char *path = r->h.path;
  const esc_status status = esc_file_checksum_verify(path, r->bytes, r->size, &r->image_size);
  const bool hdf5 = esc_file_kind_of(r->bytes, r->size) == ESC_FILE_HDF5 &&
                    !esc_image_is_truncated(r->bytes, r->size);
  if (unverified) r->h.unverified = *unverified = status != ESC_OK && hdf5;
  if (!r->h.unverified) return status;
  r->image_size = r->size;
  return ESC_OK;
}

static esc_status read_file(const char *path, bool *unverified, esc_results **out) {
  reading r = {.h = {.path = path, .action = "cannot read", .failure_status = ESC_BAD_INPUT}};
  esc_status status = esc_hdf5_open(&r.h);
  if (status != ESC_OK) goto done;
  status = esc_io_read_plain(path, file_bytes_max, &r.bytes, &r.size);
  if (status == ESC_BAD_INPUT && !esc_io_exists(path)) status = explain_missing_file(path);
  if (status != ESC_OK) goto done;
  ESC_TRY(check_file_checksum(&r, unverified));
  ESC_TRY(esc_hdf5_heap_check(path, r.bytes, r.image_size));
  ESC_TRY(esc_hdf5_sandbox_read(path, r.size, read_in_sandbox, &r));
  ESC_TRY(read_image(&r));
done:
  status = esc_hdf5_close(&r.h, status);
  free(r.bytes);
  if (status == ESC_OK)
    *out = r.results;
  else
    esc_results_free(r.results);
  return status;
}

esc_status esc_store_read(const char *path, esc_results **out) {
  return read_file(path, NULL, out);
}

esc_status esc_store_read_any(const char *path, bool *unverified, esc_results **out) {
  return read_file(path, unverified, out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a result file: HDF5 in memory, its image published with a checksum.
 *
 * HDF5 never touches the disk (the core driver without backing store), so that a full disk or a
 * crash affects only esc_io_publish, and HDF5 locks no file. Times are not tracked: the bytes
 * depend on the results alone. */
#include <hdf5_hl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "store/hdf5_grid.h"
#include "store/hdf5_layout.h"
#include "store/store.h"

enum {
  COMPRESSION_MIN_MEMBERS = 1000, /* members; below, chunks cost more than they save */
  CHUNK_BYTES = 1 << 18,
  DEFLATE_LEVEL = 4,
};
static const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;

/* Writes attribute `name` of `object`: a scalar, or `count` values if that is not 0. */
static esc_status write_attribute(const esc_hdf5 *h, hid_t object, const char *name, hid_t type,
                                  hsize_t count, const void *value) {
  esc_status status = ESC_OK;
  hid_t space = -1, attribute = -1;
  ESC_HDF5_TRY(h, name, space = count ? H5Screate_simple(1, &count, NULL) : H5Screate(H5S_SCALAR));
  ESC_HDF5_TRY(h, name,
               attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
  ESC_HDF5_TRY(h, name, H5Awrite(attribute, type, value));
done:
  status = esc_hdf5_release(h, status, name, attribute);
  return esc_hdf5_release(h, status, name, space);
}

static esc_status write_text(const esc_hdf5 *h, hid_t object, const char *name, const char *text) {
  return write_attribute(h, object, name, h->text, 0, &text);
}

static esc_status describe(const esc_hdf5 *h, hid_t dataset, const esc_layout_column *c) {
  static const int32_t flags[] = {ESC_MEMBER_ESCAPED, ESC_MEMBER_CENSORED, ESC_MEMBER_DIVERGED};
  esc_status status = ESC_OK;
  ESC_TRY(write_text(h, dataset, "units", c->units));
  ESC_TRY(write_text(h, dataset, "long_name", c->long_name));
  if (strcmp(c->name, "status") == 0) {
    ESC_TRY(write_attribute(h, dataset, "flag_values", H5T_STD_I32LE, 3, flags));
    ESC_TRY(write_text(h, dataset, "flag_meanings", "escaped censored diverged"));
  }
done:
  return status;
}

static hsize_t least(hsize_t a, hsize_t b) { return a < b ? a : b; }

/* Chunks of whole rows; a row that is too large for a chunk is split along its outer axes. */
static void choose_chunk(const esc_layout *t, const esc_layout_column *c,
                         hsize_t chunk[ESC_RANK_MAX]) {
  hsize_t bytes = esc_type_size(c->type);
  for (int a = c->rank - 1; a >= 0; a--) {
    const hsize_t fit = CHUNK_BYTES / bytes;
    chunk[a] = least((hsize_t)t->length[c->axis[a]], fit ? fit : 1);
    bytes *= chunk[a];
  }
}

static bool is_compressed(const esc_layout *t, const esc_layout_column *c) {
  const bool observed =
      c->rank > 1 && (c->axis[1] == ESC_AXIS_SNAPSHOT || c->type == ESC_TYPE_FLOAT32);
  return c->axis[0] == ESC_AXIS_NONE && (t->length[ESC_AXIS_NONE] > COMPRESSION_MIN_MEMBERS ||
                                         (observed && t->length[ESC_AXIS_NONE]));
}

/* Storage layout of a column: contiguous, or for large data compressed chunks. */
static esc_status make_creation(const esc_hdf5 *h, const esc_layout *t, const esc_layout_column *c,
                                hid_t *creation) {
  hsize_t chunk[ESC_RANK_MAX];
  esc_status status = ESC_OK;
  ESC_HDF5_TRY(h, c->name, *creation = H5Pcreate(H5P_DATASET_CREATE));
  ESC_HDF5_TRY(h, c->name, H5Pset_obj_track_times(*creation, false));
  ESC_HDF5_TRY(h, c->name, H5Pset_attr_creation_order(*creation, order));
  if (is_compressed(t, c)) {
    choose_chunk(t, c, chunk);
    ESC_HDF5_TRY(h, c->name, H5Pset_chunk(*creation, c->rank, chunk));
    ESC_HDF5_TRY(h, c->name, H5Pset_shuffle(*creation));
    ESC_HDF5_TRY(h, c->name, H5Pset_deflate(*creation, DEFLATE_LEVEL));
  }
done:
  return status;
}

static esc_status create_column(const esc_hdf5 *h, const esc_layout *t, const esc_layout_column *c,
                                hid_t *dataset) {
  hsize_t length[ESC_RANK_MAX];
  esc_status status = ESC_OK;
  hid_t space = -1, creation = -1;
  for (int a = 0; a < c->rank; a++) length[a] = (hsize_t)t->length[c->axis[a]];
  ESC_TRY(make_creation(h, t, c, &creation));
  ESC_HDF5_TRY(h, c->name, space = H5Screate_simple(c->rank, length, NULL));
  ESC_HDF5_TRY(h, c->name,
               *dataset = H5Dcreate2(h->file, c->name, esc_hdf5_file_type(c->type), space,
                                     H5P_DEFAULT, creation, H5P_DEFAULT));
done:
  status = esc_hdf5_release(h, status, c->name, space);
  return esc_hdf5_release(h, status, c->name, creation);
}

/* Makes a coordinate the dimension scale of its axis; attaches the scales to the axes of other
 * columns. */
static esc_status set_scales(const esc_hdf5 *h, const esc_layout_column *c, hid_t dataset,
                             const hid_t *scale) {
  esc_status status = ESC_OK;
  if (c->coordinate) ESC_HDF5_TRY(h, c->name, H5DSset_scale(dataset, c->name));
  for (int a = 0; a < c->rank && !c->coordinate; a++)
    ESC_HDF5_TRY(h, c->name, H5DSattach_scale(dataset, scale[c->axis[a]], (unsigned)a));
done:
  return status;
}

static esc_status write_column(const esc_hdf5 *h, const esc_layout *t, int i,
                               hid_t scale[ESC_AXES]) {
  const esc_layout_column *c = &t->column[i];
  esc_status status = ESC_OK;
  hid_t dataset = -1;
  ESC_TRY(create_column(h, t, c, &dataset));
  ESC_HDF5_TRY(
      h, c->name,
      H5Dwrite(dataset, esc_hdf5_memory_type(c->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, c->data));
  ESC_TRY(describe(h, dataset, c));
  ESC_TRY(set_scales(h, c, dataset, scale));
done:
  if (c->coordinate)
    scale[c->axis[0]] = dataset; /* stays open for the columns along this axis */
  else
    status = esc_hdf5_release(h, status, c->name, dataset);
  return status;
}

static esc_status write_columns(const esc_hdf5 *h, const esc_layout *t, const esc_results *r) {
  esc_status status = ESC_OK;
  hid_t scale[ESC_AXES];
  for (int i = 0; i < ESC_AXES; i++) scale[i] = -1;
  for (int i = 0; i < t->columns; i++) ESC_TRY(write_column(h, t, i, scale));
  ESC_TRY(esc_hdf5_grid_write(h, r, scale[ESC_AXIS_NONE]));
done:
  for (int i = 0; i < ESC_AXES; i++) status = esc_hdf5_release(h, status, "an axis", scale[i]);
  return status;
}

static esc_status write_attributes(const esc_hdf5 *h, const esc_layout *t, const esc_results *r) {
  char checksum[ESC_CHECKSUM_TEXT_SIZE];
  esc_status status = ESC_OK;
  ESC_TRY(write_text(h, h->file, "Conventions", "CF-1.10"));
  for (int i = 0; i < r->attributes; i++)
    ESC_TRY(write_text(h, h->file, r->attribute[i].name, r->attribute[i].text));
  ESC_TRY(write_attribute(h, h->file, "members", H5T_STD_I64LE, 0, &r->members));
  ESC_TRY(esc_layout_checksum(t, checksum));
  ESC_TRY(write_text(h, h->file, "digest", checksum));
done:
  return status;
}

static esc_status create_file(esc_hdf5 *h) {
  static const char what[] = "the file";
  esc_status status = ESC_OK;
  hid_t creation = -1, access = -1;
  ESC_HDF5_TRY(h, what, creation = H5Pcreate(H5P_FILE_CREATE));
  ESC_HDF5_TRY(h, what, H5Pset_link_creation_order(creation, order));
  ESC_HDF5_TRY(h, what, H5Pset_attr_creation_order(creation, order));
  ESC_HDF5_TRY(h, what, H5Pset_obj_track_times(creation, false));
  ESC_TRY(esc_hdf5_make_access(h, &access));
  ESC_HDF5_TRY(h, what, h->file = H5Fcreate(ESC_HDF5_IMAGE, H5F_ACC_TRUNC, creation, access));
done:
  status = esc_hdf5_release(h, status, what, creation);
  return esc_hdf5_release(h, status, what, access);
}

/* Copies the file out of HDF5 and appends the file checksum; *image is malloc'd, *size includes the
 * checksum. */
static esc_status copy_image(const esc_hdf5 *h, char **image, size_t *size) {
  static const char what[] = "the image";
  esc_status status = ESC_OK;
  ssize_t length;
  char *bytes = NULL;
  ESC_HDF5_TRY(h, what, H5Fflush(h->file, H5F_SCOPE_GLOBAL));
  ESC_HDF5_TRY(h, what, length = H5Fget_file_image(h->file, NULL, 0));
  bytes = malloc((size_t)length + ESC_FILE_CHECKSUM_BYTES);
  ESC_TRY_ALLOCATE(bytes);
  ESC_HDF5_TRY(h, what, H5Fget_file_image(h->file, bytes, (size_t)length));
  esc_file_checksum_write(bytes, (size_t)length);
  *size = (size_t)length + ESC_FILE_CHECKSUM_BYTES;
  *image = bytes;
  bytes = NULL;
done:
  free(bytes);
  return status;
}

static esc_status assemble(const char *path, const esc_results *r, char **image, size_t *size) {
  esc_hdf5 h = {.path = path, .action = "cannot write", .failure_status = ESC_LIBRARY_FAILED};
  esc_layout layout;
  esc_status status = ESC_OK;
  esc_layout_init(r, &layout);
  ESC_TRY(esc_hdf5_open(&h));
  ESC_TRY(create_file(&h));
  ESC_TRY(write_columns(&h, &layout, r));
  ESC_TRY(write_attributes(&h, &layout, r));
  ESC_TRY(copy_image(&h, image, size));
done:
  return esc_hdf5_close(&h, status);
}

/* Bytes of HDF5's index of `chunks` chunks: a B-tree of nodes of 64 entries, at least half full. */
static double estimate_index_size(int rank, double chunks) {
  const double key = 8 + 8 * (rank + 1), node = 24 + 65 * key + 64 * 8;
  return node * (chunks <= 64 ? 1 : 2 + ceil(chunks / 32));
}

/* Whether the sweep determines the column: sequences and constants, which compress well. */
static bool is_set_by_sweep(const esc_layout_column *c) {
  static const char *const set_by_sweep[] = {"member",       "seed",  "group", "bottleneck",
                                             "small_layers", "scale", "point"};
  for (size_t i = 0; i < sizeof set_by_sweep / sizeof set_by_sweep[0]; i++)
    if (!strcmp(c->name, set_by_sweep[i])) return true;
  return false;
}

/* Bytes of all columns with their indices. */
static double estimate_columns_size(const esc_layout *t) {
  double bytes = 0;
  hsize_t chunk[ESC_RANK_MAX];
  for (int i = 0; i < t->columns; i++) {
    const esc_layout_column *c = &t->column[i];
    const double whole = (double)t->length[c->axis[0]] * (double)esc_layout_row_bytes(t, c);
    if (!is_compressed(t, c)) {
      bytes += whole;
      continue;
    }
    choose_chunk(t, c, chunk);
    double chunks = 1;
    for (int a = 0; a < c->rank; a++)
      chunks *= ceil((double)t->length[c->axis[a]] / (double)chunk[a]);
    bytes += (is_set_by_sweep(c) ? 0.25 : 1) * whole + estimate_index_size(c->rank, chunks);
  }
  return bytes;
}

/* Text of all that the size of a file depends on: names and lengths, not contents. */
static esc_status print_lengths(const esc_results *r, const esc_layout *t, char **out) {
  esc_status status = ESC_OK;
  size_t size;
  FILE *text = open_memstream(out, &size);
  ESC_TRY_ALLOCATE(text);
  for (int i = 0; i < t->columns; i++) {
    fprintf(text, "%s", t->column[i].name);
    for (int a = 0; a < t->column[i].rank; a++)
      fprintf(text, " %lld", (long long)t->length[t->column[i].axis[a]]);
    fputc('\n', text);
  }
  for (int i = 0; i < r->attributes; i++)
    fprintf(text, "%s %zu\n", r->attribute[i].name, strlen(r->attribute[i].text));
  if (fclose(text) != 0) status = ESC_FAIL(ESC_NO_MEMORY, "out of memory (lengths of a file)");
done:
  return status;
}

/* Bytes of a file of `results` beside its columns, whose layout is `layout`. */
static esc_status measure_overhead(const esc_results *results, const esc_layout *layout,
                                   double *bytes) {
  esc_status status = ESC_OK;
  char *image = NULL;
  size_t size;
  ESC_TRY(assemble("the result", results, &image, &size));
  *bytes = (double)size - estimate_columns_size(layout);
done:
  free(image);
  return status;
}

/* Takes ownership of `lengths`, also where it fails. */
static esc_status add_overhead(esc_store_overheads *known, char *lengths, double bytes) {
  esc_status status = ESC_OK;
  struct esc_store_overhead *more =
      realloc(known->found, ((size_t)known->count + 1) * sizeof *more);
  ESC_TRY_ALLOCATE(more);
  known->found = more;
  more[known->count++] = (struct esc_store_overhead){lengths, bytes};
  lengths = NULL;
done:
  free(lengths);
  return status;
}

static esc_status find_overhead(const esc_results *results, esc_store_overheads *known,
                                double *bytes) {
  esc_status status = ESC_OK;
  char *lengths = NULL;
  esc_layout layout;
  esc_layout_init(results, &layout);
  ESC_TRY(print_lengths(results, &layout, &lengths));
  for (int i = 0; i < known->count; i++)
    if (!strcmp(known->found[i].lengths, lengths)) {
      *bytes = known->found[i].bytes;
      goto done;
    }
  ESC_TRY(measure_overhead(results, &layout, bytes));
  status = add_overhead(known, lengths, *bytes);
  lengths = NULL;
done:
  free(lengths);
  return status;
}

void esc_store_overheads_free(esc_store_overheads *overheads) {
  for (int i = 0; i < overheads->count; i++) free(overheads->found[i].lengths);
  free(overheads->found);
  *overheads = (esc_store_overheads){0};
}

esc_status esc_store_estimate_size(const esc_results *results, int64_t members, int64_t snapshots,
                                   esc_store_overheads *known, double *bytes) {
  esc_status status = ESC_OK;
  double overhead;
  esc_layout all;
  esc_results counted = *results;
  ESC_TRY(find_overhead(results, known, &overhead));
  counted.members = members;
  counted.snapshots = snapshots;
  esc_layout_init(&counted, &all);
  *bytes = overhead + estimate_columns_size(&all);
done:
  return status;
}

esc_status esc_store_write(const char *path, const esc_results *results) {
  char *image = NULL;
  size_t size;
  esc_status status = ESC_OK;
  ESC_TRY(esc_layout_check_shape(path, results->members, results->thresholds, results->layers));
  ESC_TRY(assemble(path, results, &image, &size));
  ESC_TRY(esc_io_publish(path, image, size));
done:
  free(image);
  return status;
}

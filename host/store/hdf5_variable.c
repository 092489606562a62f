/* SPDX-License-Identifier: Apache-2.0 */
/* Opens variables of files from other programs. Everything is checked before a number is read: HDF5
 * itself follows links, external storage and virtual datasets into any file of the machine, loads
 * filter plugins, and allocates the memory that a file declares. */
#include "store/hdf5_variable.h"

#include <stdlib.h>
#include <string.h>

enum {
  DEFLATE_RATIO_MAX = 1100, /* deflate packs less than this many bytes into one */
  CHUNK_BYTES_MAX = 1 << 26,
};

static esc_status check_link(const esc_hdf5 *h, const char *name) {
  esc_status status = ESC_OK;
  H5L_info_t link;
  ESC_HDF5_TRY(h, name, H5Lget_info(h->file, name, &link, H5P_DEFAULT));
  if (link.type != H5L_TYPE_HARD)
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: %s is %s, not a variable; links are not followed: copy the numbers into "
                      "the file",
                      h->path, name,
                      link.type == H5L_TYPE_SOFT       ? "a soft link"
                      : link.type == H5L_TYPE_EXTERNAL ? "an external link, to another file"
                                                       : "a link of an unknown kind");
done:
  return status;
}

static esc_status check_kind(const esc_hdf5 *h, const char *name, hid_t object) {
  const H5I_type_t kind = H5Iget_type(object);
  if (kind == H5I_DATASET) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s is %s, not a variable", h->path, name,
                  kind == H5I_GROUP      ? "a group"
                  : kind == H5I_DATATYPE ? "a named data type"
                                         : "an object of an unknown kind");
}

/* Refuses datasets whose numbers are in other files. */
static esc_status check_storage(const esc_hdf5 *h, const char *name, hid_t creation) {
  esc_status status = ESC_OK;
  int external, layout;
  ESC_HDF5_TRY(h, name, layout = (int)H5Pget_layout(creation));
  ESC_HDF5_TRY(h, name, external = H5Pget_external_count(creation));
  if (layout == H5D_VIRTUAL)
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: %s is a virtual dataset, which takes its numbers from other datasets or "
                      "files; copy them into the file",
                      h->path, name);
  else if (external > 0)
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: %s has its numbers in another file (external raw storage); copy them "
                      "into this one",
                      h->path, name);
done:
  return status;
}

static bool is_known_filter(H5Z_filter_t id) {
  return id == H5Z_FILTER_DEFLATE || id == H5Z_FILTER_SHUFFLE || id == H5Z_FILTER_FLETCHER32;
}

/* Filter plugins are arbitrary code and are never loaded. */
static esc_status check_filters(const esc_hdf5 *h, const char *name, hid_t creation) {
  esc_status status = ESC_OK;
  int filters;
  ESC_HDF5_TRY(h, name, filters = H5Pget_nfilters(creation));
  for (int i = 0; i < filters; i++) {
    char title[64] = "";
    unsigned flags, configuration;
    size_t values = 0;
    H5Z_filter_t id;
    ESC_HDF5_TRY(h, name,
                 id = H5Pget_filter2(creation, (unsigned)i, &flags, &values, NULL, sizeof title,
                                     title, &configuration));
    if (is_known_filter(id)) continue;
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: %s is compressed with filter %d (%.63s); allowed: deflate (zlib), "
                      "shuffle, fletcher32",
                      h->path, name, (int)id, title[0] ? title : "no name");
    goto done;
  }
done:
  return status;
}

/* Fills class, size, sign, rank and lengths. */
static esc_status describe(const esc_hdf5 *h, esc_hdf5_variable *v) {
  esc_status status = ESC_OK;
  hid_t space = -1;
  ESC_HDF5_TRY(h, v->name, v->type = H5Dget_type(v->dataset));
  ESC_HDF5_TRY(h, v->name, space = H5Dget_space(v->dataset));
  v->class = H5Tget_class(v->type);
  v->size = H5Tget_size(v->type);
  v->is_signed = v->class != H5T_INTEGER || H5Tget_sign(v->type) == H5T_SGN_2;
  v->rank = H5Sget_simple_extent_ndims(space);
  const size_t bytes_max = v->class == H5T_INTEGER ? 8 : v->class == H5T_FLOAT ? 16 : 0;
  if (v->size < 1 || v->size > bytes_max || H5Sget_simple_extent_type(space) != H5S_SIMPLE ||
      v->rank < 1 || v->rank > ESC_RANK_MAX) {
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: dataset %s has the wrong type or rank; allowed: integers of up to 8 "
                      "bytes and floats, with 1 to %d axes",
                      h->path, v->name, ESC_RANK_MAX);
    goto done;
  }
  ESC_HDF5_TRY(h, v->name, H5Sget_simple_extent_dims(space, v->length, NULL));
done:
  return esc_hdf5_release(h, status, v->name, space);
}

/* Bytes of the whole variable; a double, which cannot overflow. */
static double size_of(const esc_hdf5_variable *v) {
  double bytes = (double)v->size;
  for (int a = 0; a < v->rank; a++) bytes *= (double)v->length[a];
  return bytes;
}

static esc_status check_chunks(const esc_hdf5 *h, const esc_hdf5_variable *v, hid_t creation) {
  esc_status status = ESC_OK;
  hsize_t chunk[ESC_RANK_MAX] = {1, 1, 1, 1};
  double bytes = (double)v->size;
  if (H5Pget_layout(creation) != H5D_CHUNKED) return ESC_OK;
  ESC_HDF5_TRY(h, v->name, H5Pget_chunk(creation, ESC_RANK_MAX, chunk));
  for (int a = 0; a < ESC_RANK_MAX; a++) bytes *= (double)chunk[a];
  if (bytes > CHUNK_BYTES_MAX && bytes > size_of(v))
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: %s is stored in chunks of %.3g bytes, more than it has; allowed: up to "
                      "%d bytes, or the whole variable",
                      h->path, v->name, bytes, CHUNK_BYTES_MAX);
done:
  return status;
}

static esc_status check_created(const esc_hdf5 *h, esc_hdf5_variable *v) {
  esc_status status = ESC_OK;
  hid_t creation = -1;
  ESC_HDF5_TRY(h, v->name, creation = H5Dget_create_plist(v->dataset));
  ESC_TRY(check_storage(h, v->name, creation));
  ESC_TRY(check_filters(h, v->name, creation));
  ESC_TRY(describe(h, v)); /* for a virtual dataset this would open its source files */
  ESC_TRY(check_chunks(h, v, creation));
done:
  return esc_hdf5_release(h, status, v->name, creation);
}

esc_status esc_hdf5_variable_open(const esc_hdf5 *h, const char *name, esc_hdf5_variable *out) {
  esc_status status = ESC_OK;
  esc_hdf5_variable v = {.name = name, .dataset = -1, .type = -1};
  ESC_TRY(check_link(h, name));
  ESC_HDF5_TRY(h, name, v.dataset = H5Oopen(h->file, name, H5P_DEFAULT));
  ESC_TRY(check_kind(h, name, v.dataset));
  ESC_TRY(check_created(h, &v));
  *out = v;
  return ESC_OK;
done:
  return esc_hdf5_variable_close(h, status, &v);
}

esc_status esc_hdf5_variable_close(const esc_hdf5 *h, esc_status status, esc_hdf5_variable *v) {
  status = esc_hdf5_release(h, status, v->name, v->type);
  status = esc_hdf5_release(h, status, v->name, v->dataset);
  v->type = v->dataset = -1;
  return status;
}

esc_status esc_hdf5_variable_check_stored(const esc_hdf5 *h, const esc_hdf5_variable *v) {
  esc_status status = ESC_OK;
  hid_t creation = -1;
  int filters;
  const double bytes = size_of(v), stored = (double)H5Dget_storage_size(v->dataset);
  ESC_HDF5_TRY(h, v->name, creation = H5Dget_create_plist(v->dataset));
  ESC_HDF5_TRY(h, v->name, filters = H5Pget_nfilters(creation));
  if (bytes > stored * (filters > 0 ? DEFLATE_RATIO_MAX : 1))
    status =
        ESC_FAIL(ESC_BAD_INPUT,
                 "%s: %s declares %.0f bytes of numbers, more than its %.0f stored bytes can hold",
                 h->path, v->name, bytes, stored);
done:
  return esc_hdf5_release(h, status, v->name, creation);
}

/* Reads a string of fixed length, which may lack its NUL. */
static esc_status read_fixed(const esc_hdf5 *h, const char *name, hid_t attribute, hid_t type,
                             char **text) {
  esc_status status = ESC_OK;
  const size_t size = H5Tget_size(type);
  char *bytes = calloc(size + 1, 1);
  ESC_TRY_ALLOCATE(bytes);
  ESC_HDF5_TRY(h, name, H5Aread(attribute, type, bytes));
  if (H5Tget_strpad(type) == H5T_STR_SPACEPAD)
    for (size_t end = size; end > 0 && bytes[end - 1] == ' ';) bytes[--end] = '\0';
  *text = bytes;
  bytes = NULL;
done:
  free(bytes);
  return status;
}

/* Reads a string of variable length, which HDF5 allocates. */
static esc_status read_variable(const esc_hdf5 *h, const char *name, hid_t attribute, hid_t type,
                                char **text) {
  esc_status status = ESC_OK;
  char *found = NULL;
  ESC_HDF5_TRY(h, name, H5Aread(attribute, type, &found));
  if (!found) return ESC_OK;
  *text = strdup(found);
  H5free_memory(found);
  ESC_TRY_ALLOCATE(*text);
done:
  return status;
}

esc_status esc_hdf5_read_text(const esc_hdf5 *h, hid_t object, const char *name, char **text) {
  esc_status status = ESC_OK;
  hid_t attribute = -1, type = -1, space = -1;
  *text = NULL;
  ESC_HDF5_TRY(h, name, attribute = H5Aopen(object, name, H5P_DEFAULT));
  ESC_HDF5_TRY(h, name, type = H5Aget_type(attribute));
  ESC_HDF5_TRY(h, name, space = H5Aget_space(attribute));
  if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1) goto done;
  /* Read with the file's own type, because HDF5 does not convert ASCII to UTF-8. */
  status = H5Tis_variable_str(type) > 0 ? read_variable(h, name, attribute, type, text)
                                        : read_fixed(h, name, attribute, type, text);
done:
  status = esc_hdf5_release(h, status, name, attribute);
  status = esc_hdf5_release(h, status, name, type);
  return esc_hdf5_release(h, status, name, space);
}

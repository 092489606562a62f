/* SPDX-License-Identifier: Apache-2.0 */
/* Variables of files that strangers made: which of them are read at all, and how the numbers
 * that they store stand for values. Private to the store. */
#ifndef ESC_HDF5_VARIABLE_H
#define ESC_HDF5_VARIABLE_H

#include "store/hdf5_layout.h"

/* A variable that is open. */
typedef struct esc_hdf5_variable {
  const char *name;
  hid_t dataset, type;
  H5T_class_t class; /* H5T_INTEGER or H5T_FLOAT */
  bool is_signed;    /* of integers */
  size_t size;       /* bytes of one number, as stored */
  int rank;
  hsize_t length[3];
} esc_hdf5_variable;

/* Opens `name` of h->file, to be closed. Refuses by name (ESC_BAD_INPUT) what a result never has
 * and what would reach beyond the file or its size: links, groups and named types; virtual
 * datasets and external storage, whose numbers are in other files; filters other than deflate,
 * shuffle and Fletcher's checksum; chunks that are larger than 64 MiB and than the variable; other
 * types than integers and floats; more than three axes. Opens no other file. */
esc_status esc_hdf5_variable_open(const esc_hdf5 *h, const char *name, esc_hdf5_variable *out);
esc_status esc_hdf5_variable_close(const esc_hdf5 *h, esc_status status, esc_hdf5_variable *v);

/* Refuses a variable whose numbers the file cannot hold: sparse, or larger than what is stored can
 * unpack to. */
esc_status esc_hdf5_variable_check_stored(const esc_hdf5 *h, const esc_hdf5_variable *v);

/* Reads the variable into column->data, (values), by the conventions that netCDF files follow (CF
 * 1.10, 2.5.1 and 8.1): value = stored * scale_factor + add_offset, and a number equal to
 * _FillValue or missing_value, or NaN, is missing. Missing escape steps are -1, other missing
 * floats NaN. Refused by name: missing integers, values that the column's integers cannot hold,
 * units of another kind (times of xarray), and conventions that are not known here
 * (_Unsigned, valid_range). */
esc_status esc_cf_read(const esc_hdf5 *h, const esc_hdf5_variable *v,
                       const esc_layout_column *column, size_t values);

/* Refuses a variable with any of these conventions: a result as escapement wrote it has none. */
esc_status esc_cf_refuse(const esc_hdf5 *h, const esc_hdf5_variable *v);

/* Text of a string attribute of `object`, owned by the caller; *text is NULL where the attribute is
 * not one string. Strings of fixed length are read too. */
esc_status esc_hdf5_read_text(const esc_hdf5 *h, hid_t object, const char *name, char **text);

#endif

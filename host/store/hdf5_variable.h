/* SPDX-License-Identifier: Apache-2.0 */
/* Variables of files from other programs: the checks before reading, and the conversion of stored
 * numbers to values. Private to the store. */
#ifndef ESC_HDF5_VARIABLE_H
#define ESC_HDF5_VARIABLE_H

#include "store/hdf5_layout.h"

/* An open variable. */
typedef struct esc_hdf5_variable {
  const char *name;
  hid_t dataset, type;
  H5T_class_t class; /* H5T_INTEGER or H5T_FLOAT */
  bool is_signed;    /* of integers */
  size_t size;       /* bytes of one number, as stored */
  int rank;
  hsize_t length[ESC_RANK_MAX];
} esc_hdf5_variable;

/* Opens `name` of h->file, to be closed. ESC_BAD_INPUT for everything that a result never has and
 * that would access other files or exceed the file's size: links, groups and named types; virtual
 * datasets and external storage (numbers in other files); filters other than deflate, shuffle and
 * Fletcher's checksum; chunks that are larger than 64 MiB and than the variable; other types than
 * integers and floats; more than four axes. Opens no other file. */
esc_status esc_hdf5_variable_open(const esc_hdf5 *h, const char *name, esc_hdf5_variable *out);
esc_status esc_hdf5_variable_close(const esc_hdf5 *h, esc_status status, esc_hdf5_variable *v);

/* ESC_BAD_INPUT if the file cannot hold the variable's numbers: sparse, or larger than its stored
 * bytes can decompress to. */
esc_status esc_hdf5_variable_check_stored(const esc_hdf5 *h, const esc_hdf5_variable *v);

/* Reads the variable into column->data, (values), by the netCDF conventions (CF 1.10, 2.5.1
 * and 8.1): value = stored * scale_factor + add_offset, and a number equal to _FillValue or
 * missing_value, or NaN, is missing. Missing escape steps are -1, other missing floats NaN. Refused
 * by name: missing integers, values that the column's integers cannot hold, units of another kind
 * (times of xarray), and unsupported conventions (_Unsigned, valid_range). */
esc_status esc_cf_read(const esc_hdf5 *h, const esc_hdf5_variable *v,
                       const esc_layout_column *column, size_t values);

/* ESC_BAD_INPUT for a variable with any of these conventions, because escapement writes none. */
esc_status esc_cf_refuse(const esc_hdf5 *h, const esc_hdf5_variable *v);

/* Text of a string attribute of `object`, of fixed or variable length; owned by the caller. *text
 * is NULL if the attribute is not a single string. */
esc_status esc_hdf5_read_text(const esc_hdf5 *h, hid_t object, const char *name, char **text);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of a variable's numbers by the CF conventions for packed and missing values. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/hdf5_variable.h"

/* A stored number: as an exact integer if its type is an integer. */
typedef struct number {
  bool whole;
  int64_t integer;
  double real;
} number;

typedef struct packing {
  double factor, offset;
  bool scaled;
  int missing_codes; /* codes of missing values */
  number missing_code[2];
} packing;

/* A value of a row, or none. */
typedef struct value {
  bool missing;
  number number;
} value;

static bool has_attribute(const esc_hdf5_variable *v, const char *name) {
  return H5Aexists(v->dataset, name) > 0;
}

/* Reads an attribute that is one number. */
static esc_status read_number(const esc_hdf5 *h, const esc_hdf5_variable *v, const char *name,
                              number *out) {
  esc_status status = ESC_OK;
  hid_t attribute = -1, type = -1, space = -1;
  *out = (number){0};
  ESC_HDF5_TRY(h, v->name, attribute = H5Aopen(v->dataset, name, H5P_DEFAULT));
  ESC_HDF5_TRY(h, v->name, type = H5Aget_type(attribute));
  ESC_HDF5_TRY(h, v->name, space = H5Aget_space(attribute));
  const H5T_class_t class = H5Tget_class(type);
  if ((class != H5T_INTEGER && class != H5T_FLOAT) || H5Sget_simple_extent_npoints(space) != 1) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: %s: its attribute %s is not a single number", h->path,
                      v->name, name);
    goto done;
  }
  out->whole = class == H5T_INTEGER;
  if (out->whole) ESC_HDF5_TRY(h, v->name, H5Aread(attribute, H5T_NATIVE_INT64, &out->integer));
  ESC_HDF5_TRY(h, v->name, H5Aread(attribute, H5T_NATIVE_DOUBLE, &out->real));
done:
  status = esc_hdf5_release(h, status, v->name, attribute);
  status = esc_hdf5_release(h, status, v->name, type);
  return esc_hdf5_release(h, status, v->name, space);
}

static const char *const packing_attributes[] = {"scale_factor", "add_offset", "_FillValue",
                                                 "missing_value"};
static const char *const unsupported_attributes[] = {"_Unsigned", "valid_min", "valid_max",
                                                     "valid_range"};

static esc_status refuse_unsupported(const esc_hdf5 *h, const esc_hdf5_variable *v) {
  for (size_t i = 0; i < sizeof unsupported_attributes / sizeof unsupported_attributes[0]; i++)
    if (has_attribute(v, unsupported_attributes[i]))
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: %s has the attribute %s, which changes the meaning of its values; "
                      "allowed: scale_factor, add_offset, _FillValue, missing_value",
                      h->path, v->name, unsupported_attributes[i]);
  return ESC_OK;
}

esc_status esc_cf_refuse(const esc_hdf5 *h, const esc_hdf5_variable *v) {
  for (size_t i = 0; i < sizeof packing_attributes / sizeof packing_attributes[0]; i++)
    if (has_attribute(v, packing_attributes[i]))
      return ESC_FAIL(ESC_BAD_INPUT, "%s: %s has the attribute %s, which escapement does not write",
                      h->path, v->name, packing_attributes[i]);
  return refuse_unsupported(h, v);
}

static esc_status read_packing(const esc_hdf5 *h, const esc_hdf5_variable *v, packing *p) {
  esc_status status = ESC_OK;
  number found;
  *p = (packing){.factor = 1};
  ESC_TRY(refuse_unsupported(h, v));
  for (int i = 0; i < 4; i++) {
    if (!has_attribute(v, packing_attributes[i])) continue;
    ESC_TRY(read_number(h, v, packing_attributes[i], &found));
    if (i >= 2) {
      p->missing_code[p->missing_codes++] = found;
      continue;
    }
    if (i == 0) p->factor = found.real;
    if (i == 1) p->offset = found.real;
    p->scaled = true;
  }
  if (!(isfinite(p->factor) && p->factor != 0 && isfinite(p->offset)))
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: %s has a scale_factor %g and an add_offset %g", h->path,
                      v->name, p->factor, p->offset);
done:
  return status;
}

/* xarray stores times as counts of another unit, which is refused. */
static esc_status check_units(const esc_hdf5 *h, const esc_hdf5_variable *v,
                              const esc_layout_column *c) {
  esc_status status = ESC_OK;
  char *units = NULL;
  if (!has_attribute(v, "units")) return ESC_OK;
  ESC_TRY(esc_hdf5_read_text(h, v->dataset, "units", &units));
  const size_t length = strlen(c->units);
  const bool same =
      !units || !*units || !strcmp(units, "1") ||
      (!strncmp(units, c->units, length) && (!units[length] || !strcmp(units + length, "s")));
  if (!same)
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: %s is in units of '%.60s'; allowed: '%s', '1' or none",
                      h->path, v->name, units, c->units);
done:
  free(units);
  return status;
}

static bool is_equal(number a, number b) {
  return a.whole && b.whole ? a.integer == b.integer : a.real == b.real;
}

static value decode(const packing *p, number stored) {
  value out = {.missing = !stored.whole && isnan(stored.real), .number = stored};
  for (int i = 0; i < p->missing_codes; i++)
    out.missing = out.missing || is_equal(stored, p->missing_code[i]);
  if (out.missing || !p->scaled) return out;
  out.number = (number){.real = stored.real * p->factor + p->offset};
  return out;
}

/* The nearest integer of a float that is one, up to the rounding of the packing. */
static bool to_integer(number n, int64_t *out) {
  static const double integer_max =
      9007199254740992; /* 2^53: larger floats are not exact integers */
  *out = n.integer;
  if (n.whole) return true;
  const double nearest = rint(n.real);
  if (!(fabs(nearest) <= integer_max) || !(fabs(n.real - nearest) <= 1e-6 * fmax(1, fabs(nearest))))
    return false;
  *out = (int64_t)nearest;
  return true;
}

static esc_status refuse_value(const esc_hdf5 *h, const esc_hdf5_variable *v, size_t i,
                               const value *found) {
  if (found->missing)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: %s: value number %zu is missing", h->path, v->name, i + 1);
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s is %.17g at value number %zu, not an integer%s", h->path,
                  v->name, found->number.real, i + 1, found->number.whole ? " in range" : "");
}

/* Stores a value at index i of the column. */
static bool store_value(const esc_layout_column *c, size_t i, const value *found) {
  int64_t integer;
  if (c->type == ESC_TYPE_FLOAT64) {
    ((double *)c->data)[i] = found->missing ? (double)NAN : found->number.real;
    return true;
  }
  if (found->missing && strcmp(c->name, "escape_step") != 0) return false;
  if (found->missing)
    integer = -1; /* never escaped, as from xarray's where(escape_step >= 0) */
  else if (!to_integer(found->number, &integer))
    return false;
  if (c->type == ESC_TYPE_INT64)
    ((int64_t *)c->data)[i] = integer;
  else
    ((int32_t *)c->data)[i] = (int32_t)integer;
  return c->type == ESC_TYPE_INT64 || (integer >= INT32_MIN && integer <= INT32_MAX);
}

/* HDF5 clips an unsigned number beyond int64_t to INT64_MAX. */
static bool is_clipped(const esc_hdf5_variable *v, int64_t integer) {
  return !v->is_signed && v->size >= 8 && integer == INT64_MAX;
}

static esc_status store_integers(const esc_hdf5 *h, const esc_hdf5_variable *v, const packing *p,
                                 const esc_layout_column *c, size_t values, const int64_t *stored) {
  for (size_t i = 0; i < values; i++) {
    const value found = decode(p, (number){true, stored[i], (double)stored[i]});
    if (is_clipped(v, stored[i]) || !store_value(c, i, &found))
      return refuse_value(h, v, i, &found);
  }
  return ESC_OK;
}

static esc_status store_floats(const esc_hdf5 *h, const esc_hdf5_variable *v, const packing *p,
                               const esc_layout_column *c, size_t values, const double *stored) {
  for (size_t i = 0; i < values; i++) {
    const value found = decode(p, (number){.real = stored[i]});
    if (!store_value(c, i, &found)) return refuse_value(h, v, i, &found);
  }
  return ESC_OK;
}

esc_status esc_cf_read(const esc_hdf5 *h, const esc_hdf5_variable *v, const esc_layout_column *c,
                       size_t values) {
  esc_status status = ESC_OK;
  packing p;
  void *stored = NULL;
  const bool whole = v->class == H5T_INTEGER;
  ESC_TRY(check_units(h, v, c));
  ESC_TRY(read_packing(h, v, &p));
  ESC_TRY_ALLOCATE(stored = calloc(values + 1, 8));
  ESC_HDF5_TRY(h, v->name,
               H5Dread(v->dataset, whole ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL,
                       H5P_DEFAULT, stored));
  status = whole ? store_integers(h, v, &p, c, values, stored)
                 : store_floats(h, v, &p, c, values, stored);
done:
  free(stored);
  return status;
}

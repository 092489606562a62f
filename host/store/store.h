/* SPDX-License-Identifier: Apache-2.0 */
/* The result file: HDF5 in the layout of netCDF-4, which xarray opens directly.
 *
 * Assembled in memory (core driver without backing store) and written through esc_io_publish: HDF5
 * itself never writes to the disk. */
#ifndef ESC_STORE_H
#define ESC_STORE_H

#include <stdbool.h>

#include "escapement/internal/results.h"

/* Writes `results` to `path`: a dimension scale with coordinates for member,
 * threshold, layer and interface (from 1), units and long_name on every
 * variable, creation order tracked, attributes as variable-length UTF-8.
 * Integrity: the attributes `members` and `digest` (XXH3-64 over the bytes of member, threshold,
 * layer, interface and then the variables of the table), and a checksum of all bytes after the HDF5
 * image. The bytes depend on `results` alone, whose attributes must not be named Conventions,
 * members or digest. */
esc_status esc_store_write(const char *path, const esc_results *results);

/* Overheads of files found so far. Files with equal columns, and attributes of equal lengths, have
 * the same. Begins as zeros. */
typedef struct esc_store_overheads {
  int count;
  struct esc_store_overhead {
    char *lengths; /* of all columns and attributes, as text; owned */
    double bytes;
  } * found; /* (count) */
} esc_store_overheads;

void esc_store_overheads_free(esc_store_overheads *overheads);

/* Upper bound of the file size of a result with these attributes, thresholds and layers, `members`
 * members and `snapshots` snapshots each: from the layout of the columns and the overhead of a file
 * without members, which is looked up in `known`, or found by making that file, and added.
 * Compression counts only for the columns that the sweep determines. */
esc_status esc_store_estimate_size(const esc_results *results, int64_t members, int64_t snapshots,
                                   esc_store_overheads *known, double *bytes);

/* Reads a file of esc_store_write and verifies its checksums. A file that is damaged, or written or
 * changed by another program, is ESC_BAD_INPUT. */
esc_status esc_store_read(const char *path, esc_results **out);

/* Also reads a file written or changed by another program (*unverified) if it has seed, bottleneck,
 * scale, threshold, escape_step and steps_run as a result does. Other missing variables are 0; the
 * status is derived from the escape steps. */
esc_status esc_store_read_any(const char *path, bool *unverified, esc_results **out);

#endif

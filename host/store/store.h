/* SPDX-License-Identifier: Apache-2.0 */
/* The result file: HDF5 that xarray opens as it is.
 *
 * Assembled in memory (core driver without backing store), its image published
 * through esc_io_publish: HDF5 itself never touches the disk when writing. */
#ifndef ESC_STORE_H
#define ESC_STORE_H

#include <stdbool.h>

#include "escapement/internal/results.h"

/* Writes `results` to `path`: a dimension scale with coordinates for member,
 * threshold, layer and interface (from 1), units and long_name on every
 * variable, creation order tracked, attributes as variable-length UTF-8.
 * Integrity: attributes `members` and `digest`, the XXH3-64 over the bytes of
 * member, threshold, layer, interface and then the variables of the table; and
 * a seal behind the HDF5 data over every byte. Bytes are a function of
 * `results` alone. Its attributes may not be named Conventions, members, digest. */
esc_status esc_store_write(const char *path, const esc_results *results);

/* Bytes, at most, of the file that esc_store_write would make of a result with these
 * attributes, thresholds and layers if it had `members` members with `snapshots` each:
 * from the description of the columns, the file's own overhead from one without members.
 * Of what compression saves, only that on columns which the sweep determines is counted. */
esc_status esc_store_estimate_size(const esc_results *results, int64_t members, int64_t snapshots,
                                   double *bytes);

/* Reads a file that esc_store_write made; verifies seal and digest. A file that
 * is not ours, is damaged, or was changed by another program is ESC_BAD_INPUT
 * with its name and what is wrong. */
esc_status esc_store_read(const char *path, esc_results **out);

/* The same for reading alone: a file that is not as escapement wrote it (made or
 * changed by another program) is read too if it holds seed, bottleneck, scale,
 * threshold, escape_step and steps_run as a result does; *foreign says so.
 * What else it lacks is 0, its status comes from the escape steps. */
esc_status esc_store_read_any(const char *path, bool *unverified, esc_results **out);

#endif

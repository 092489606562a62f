/* SPDX-License-Identifier: Apache-2.0 */
/* Swept keys in a result file: the attribute `grid` and the variable `point` are read; the
 * variables of the keys, network_width(member), are for other readers, and follow from them. */
#ifndef ESC_HDF5_GRID_H
#define ESC_HDF5_GRID_H

#include "store/hdf5_layout.h"

/* Writes a variable for each swept key: integers, doubles, or text. `members`: the coordinate
 * `member`. */
esc_status esc_hdf5_grid_write(const esc_hdf5 *h, const esc_results *results, hid_t members);

/* Adds the grid of the file, if it has one, to results that are otherwise empty. */
esc_status esc_hdf5_grid_read(const esc_hdf5 *h, esc_results *results);

#endif

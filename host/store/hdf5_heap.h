/* SPDX-License-Identifier: Apache-2.0 */
/* Check of the global heap collections of an HDF5 image, which hold its variable-length strings.
 * Private to the store. */
#ifndef ESC_HDF5_HEAP_H
#define ESC_HDF5_HEAP_H

#include <stddef.h>

#include "escapement/internal/status.h"

/* ESC_BAD_INPUT unless each object of each collection in the `size` bytes ends inside its
 * collection and after its own start: otherwise HDF5 1.10 loops forever. At most `size` / 8 objects
 * are visited. Format: HDF5 File Format Specification 3.0, III.E. */
esc_status esc_hdf5_heap_check(const char *path, const char *bytes, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A reading of a file on trial, in a process of its own. Private to the store. */
#ifndef ESC_HDF5_SANDBOX_H
#define ESC_HDF5_SANDBOX_H

#include <stddef.h>

#include "escapement/internal/status.h"

/* Calls read(context), whose result is dropped, in a child process, and returns ESC_OK when that
 * ended whatever the reading found, so that the caller may read the same bytes itself. HDF5 crashes
 * on some files that were made to harm, and never ends on others: such a file (`size` bytes at
 * `path`, for the message and the limit of processor time) is ESC_BAD_INPUT. */
esc_status esc_hdf5_sandbox_read(const char *path, size_t size, void (*read)(void *context),
                                 void *context);

#endif

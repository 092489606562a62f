/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of an HDF5 file in a sandbox: a child process with resource limits. Private to the store.
 */
#ifndef ESC_HDF5_SANDBOX_H
#define ESC_HDF5_SANDBOX_H

#include <stddef.h>

#include "escapement/internal/status.h"

/* Calls read(context) in a child process, discards its result, and returns ESC_OK if the child
 * exits normally; the caller may then read the same bytes itself. ESC_BAD_INPUT if HDF5 crashes or
 * does not finish, as on some malicious files. `path` and `size` (bytes) are for the message and
 * the limit of CPU time. */
esc_status esc_hdf5_sandbox_read(const char *path, size_t size, void (*read)(void *context),
                                 void *context);

#endif

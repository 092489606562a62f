/* SPDX-License-Identifier: Apache-2.0 */
/* What to say of a file that is no result. */
#ifndef ESC_FILE_REFUSE_H
#define ESC_FILE_REFUSE_H

#include <stddef.h>

#include "escapement/internal/status.h"

/* ESC_BAD_INPUT with a message: the kind of the file at `path`, the program's own files with their
 * contents, and the command to go on with. `bytes` are its first `size`. */
esc_status esc_file_refuse(const char *path, const char *bytes, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Message for a file that is not a result. */
#ifndef ESC_FILE_REFUSE_H
#define ESC_FILE_REFUSE_H

#include <stddef.h>

#include "escapement/internal/status.h"

/* ESC_BAD_INPUT with a message that states the kind of the file at `path`, for escapement's own
 * files their contents, and the command to continue with. `bytes`: the first `size` bytes of the
 * file. */
esc_status esc_file_refuse(const char *path, const char *bytes, size_t size);

#endif

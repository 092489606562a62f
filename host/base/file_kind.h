/* What a file is, told by its first bytes and for the program's own files by their contents:
 * for the message to a user who gave a reader a file of another kind. */
#ifndef ESC_FILE_KIND_H
#define ESC_FILE_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "escapement/internal/status.h"

typedef enum esc_file_kind {
  ESC_FILE_EMPTY,
  ESC_FILE_HDF5, /* a result, perhaps */
  ESC_FILE_JOURNAL,
  ESC_FILE_CHECKPOINT,
  ESC_FILE_SPEC, /* text with sections of a spec */
  ESC_FILE_TEXT,
  ESC_FILE_OTHER,
} esc_file_kind;

/* `bytes`: the file's first ones, `size` of them; a few hundred do. */
esc_file_kind esc_file_kind_of(const char *bytes, size_t size);

/* The same of the file at `path`; one that cannot be read is ESC_FILE_OTHER. */
esc_file_kind esc_file_kind_at(const char *path);

/* ESC_BAD_INPUT with a message: what `path` is instead of a result, and what to do with it.
 * `bytes` are its first `size`. */
esc_status esc_file_refuse(const char *path, const char *bytes, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Kind of a file by its first bytes, for messages about files of the wrong kind. */
#ifndef ESC_FILE_KIND_H
#define ESC_FILE_KIND_H

#include <stdbool.h>
#include <stddef.h>

/* The first 8 bytes, NUL included, of the program's own files. */
#define ESC_JOURNAL_MAGIC "ESCJRNL"
#define ESC_CHECKPOINT_MAGIC "ESCCKPT"

typedef enum esc_file_kind {
  ESC_FILE_EMPTY,
  ESC_FILE_HDF5, /* a result, perhaps */
  ESC_FILE_JOURNAL,
  ESC_FILE_CHECKPOINT,
  ESC_FILE_SPEC, /* text with sections of a spec */
  ESC_FILE_TEXT,
  ESC_FILE_OTHER,
} esc_file_kind;

/* `bytes`: the first `size` bytes of the file; a few hundred are enough. */
esc_file_kind esc_file_kind_of(const char *bytes, size_t size);

/* The same of the file at `path`; one that cannot be read is ESC_FILE_OTHER. */
esc_file_kind esc_file_kind_at(const char *path);

/* Name of a known format of other programs; NULL if unknown. */
const char *esc_file_format_name(const char *bytes, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the writer and the reader of result files share: the columns of a file,
 * the digest over them, the seal behind the image, and HDF5's error messages.
 * Private to the store.
 *
 * A file is the HDF5 image and a seal of 24 bytes behind it, where readers of
 * HDF5 do not look: a mark, the size of the image, its XXH3-64. The seal is
 * verified before HDF5 sees a byte, because a damaged file can make HDF5 hang or crash. */
#ifndef ESC_HDF5_LAYOUT_H
#define ESC_HDF5_LAYOUT_H

#include <hdf5.h>
#include <stdbool.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/results.h"

#define ESC_COUNT_ONE(...) +1
enum {
  ESC_COORDINATES = 4, /* one an axis; that of ESC_AXIS_NONE is `member` */
  ESC_VARIABLES = ESC_COORDINATES + ESC_RESULT_LIST(ESC_COUNT_ONE),
  ESC_COLUMNS_MAX = ESC_VARIABLES + 1 + 2 * ESC_OBSERVABLES, /* with coordinate `snapshot` */
  ESC_CHECKSUM_TEXT_SIZE = 17,                               /* 16 hexadecimal digits */
  ESC_FILE_CHECKSUM_BYTES = 24,
};
#undef ESC_COUNT_ONE

/* One dataset: a coordinate, a variable of the table, or an observable; its first axis is
 * its own or `member`. */
typedef struct esc_layout_column {
  const char *name, *units, *long_name;
  esc_type type;
  int rank;
  esc_axis axis[3];
  void *data; /* (length of axis[0]), (axis[0], axis[1]) or with axis[2]; not owned */
  bool coordinate;
} esc_layout_column;

/* All datasets of a result file, with the numbers that count layers and interfaces. */
typedef struct esc_layout {
  int64_t length[ESC_AXES];
  int columns;
  int32_t layer[ESC_LAYERS_MAX], interface[ESC_LAYERS_MAX];
  esc_layout_column column[ESC_COLUMNS_MAX]; /* the coordinates, the table in its order, and where
                                         there are snapshots their coordinate and observables */
} esc_layout;

/* Points at the arrays of `results`, and into itself: do not copy. */
void esc_layout_init(const esc_results *results, esc_layout *layout);

/* ESC_BAD_INPUT unless a result file can have this shape. */
esc_status esc_layout_check_shape(const char *path, int64_t members, int64_t thresholds,
                                  int64_t layers);

/* Bytes of one entry along the first axis. */
size_t esc_layout_row_bytes(const esc_layout *layout, const esc_layout_column *column);

/* XXH3-64 of all columns' bytes (little-endian) in order, as hexadecimal text. */
esc_status esc_layout_checksum(const esc_layout *layout, char text[ESC_CHECKSUM_TEXT_SIZE]);

/* Fills the seal behind an image of `size` bytes; room for it is there. */
void esc_file_checksum_write(char *image, size_t size);

/* ESC_BAD_INPUT, saying what is wrong, unless the `size` bytes are an image with
 * its seal; *image_size leaves out the seal. */
esc_status esc_file_checksum_verify(const char *path, const char *bytes, size_t size,
                                    size_t *image_size);

/* Whether an HDF5 file without a seal lacks its end. */
bool esc_image_is_truncated(const char *bytes, size_t size);

/* A file being written or read in memory, for its messages. */
typedef struct esc_hdf5 {
  const char *path, *action; /* "cannot write" or "cannot read" */
  esc_status failure_status; /* what a failure of HDF5 is then */
  bool unverified;           /* not as we wrote it: read what is there */
  hid_t file, text;          /* text: the type of variable-length UTF-8 strings */
  H5E_auto2_t error_printer; /* how HDF5 printed errors before */
  void *error_printer_data;
  unsigned plugin_state; /* which HDF5 loaded before */
} esc_hdf5;

/* What HDF5 calls a file in memory. It first tries to open even that, so the name
 * is one that no file can have. */
#define ESC_HDF5_IMAGE "/dev/null/image"

/* Stops HDF5's own printing and its loading of plugins, keeps other threads out and makes `text`;
 * esc_hdf5_close, to be called in either case, ends all that and closes `file`. It returns
 * `status`, or its own failure if that was ESC_OK. */
esc_status esc_hdf5_open(esc_hdf5 *h);
esc_status esc_hdf5_close(esc_hdf5 *h, esc_status status);

/* Closes an object of HDF5 (none if negative); returns as esc_hdf5_close does. */
esc_status esc_hdf5_release(const esc_hdf5 *h, esc_status status, const char *name, hid_t id);

/* Records HDF5's innermost message about `name`; returns h->fault. */
esc_status esc_hdf5_failed(const char *file, int line, const esc_hdf5 *h, const char *name);

/* Leaves through `done` if a call of HDF5 fails. */
#define ESC_HDF5_TRY(h, name, call)                              \
  do {                                                           \
    if ((call) < 0) {                                            \
      status = esc_hdf5_failed(__FILE__, __LINE__, (h), (name)); \
      goto done;                                                 \
    }                                                            \
  } while (0)

/* How to open a file in memory that HDF5 never writes to disk; to be released. */
esc_status esc_hdf5_make_access(const esc_hdf5 *h, hid_t *access);

hid_t esc_hdf5_memory_type(esc_type type);
hid_t esc_hdf5_file_type(esc_type type);

#endif

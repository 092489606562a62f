/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the writer and the reader of result files: the columns, their checksum (attribute
 * `digest`), the file checksum after the HDF5 image, and HDF5's error messages. Private to the
 * store.
 *
 * A file is an HDF5 image followed by a file checksum of 24 bytes, which HDF5 readers ignore: a
 * mark, the size of the image, and its XXH3-64. It is verified before HDF5 reads the image, because
 * HDF5 can hang or crash on a damaged file. */
#ifndef ESC_HDF5_LAYOUT_H
#define ESC_HDF5_LAYOUT_H

#include <hdf5.h>
#include <stdbool.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/results.h"

#define ESC_COUNT_ONE(...) +1
enum {
  ESC_COORDINATES = 4, /* one for each axis; that of ESC_AXIS_NONE is `member` */
  ESC_VARIABLES = ESC_COORDINATES + ESC_RESULT_LIST(ESC_COUNT_ONE),
  ESC_WEIGHTS_COORDINATES = 4,                                /* output, unit, input, unit_below */
  ESC_COLUMNS_MAX = ESC_VARIABLES + 2 + 2 * ESC_OBSERVABLES + /* with `snapshot` and `point` */
                    ESC_WEIGHTS_COORDINATES + ESC_WEIGHTS_KINDS * ESC_LAYERS_MAX,
  ESC_FILE_CHECKSUM_BYTES = 24,
};
#undef ESC_COUNT_ONE

/* One dataset: a coordinate, a variable of the table, an observable, or the weights of a layer. Its
 * first axis is its own or `member`. */
typedef struct esc_layout_column {
  const char *name, *units, *long_name;
  esc_type type;
  int rank;
  esc_axis axis[ESC_RANK_MAX];
  void *data; /* (length of axis[0], of axis[1], ...); not owned */
  bool coordinate;
} esc_layout_column;

/* All datasets of a result file, and the layer and interface numbers (from 1). */
typedef struct esc_layout {
  int64_t length[ESC_AXES];
  int columns;
  int32_t layer[ESC_LAYERS_MAX], interface[ESC_LAYERS_MAX];
  esc_layout_column column[ESC_COLUMNS_MAX]; /* the coordinates, the table in its order, with
                                                snapshots their coordinate and observables, with
                                                weights their coordinates and arrays, with a grid
                                                the points */
} esc_layout;

/* The layout points to the arrays of `results` and into itself: do not copy it. */
void esc_layout_init(const esc_results *results, esc_layout *layout);

/* Name of an axis, and of its coordinate; "member" for ESC_AXIS_NONE. */
const char *esc_axis_name(esc_axis axis);

/* ESC_BAD_INPUT unless the shape is valid for a result file. */
esc_status esc_layout_check_shape(const char *path, int64_t members, int64_t thresholds,
                                  int64_t layers);

/* Bytes of one entry along the first axis. */
size_t esc_layout_row_bytes(const esc_layout *layout, const esc_layout_column *column);

/* XXH3-64 of all columns' bytes (little-endian) in order, as hexadecimal text. */
esc_status esc_layout_checksum(const esc_layout *layout, char text[ESC_CHECKSUM_TEXT_SIZE]);

/* Writes the file checksum after an image of `size` bytes; the buffer has space for it. */
void esc_file_checksum_write(char *image, size_t size);

/* ESC_BAD_INPUT unless the `size` bytes are an image with its valid file checksum; *image_size is
 * the size without the checksum. */
esc_status esc_file_checksum_verify(const char *path, const char *bytes, size_t size,
                                    size_t *image_size);

/* Whether an HDF5 file without a file checksum is truncated. */
bool esc_image_is_truncated(const char *bytes, size_t size);

/* Context of an HDF5 file that is written or read in memory. */
typedef struct esc_hdf5 {
  const char *path, *action; /* "cannot write" or "cannot read" */
  esc_status failure_status; /* status of a failure of HDF5 */
  bool unverified;           /* no valid checksum: read what the file has */
  hid_t file, text;          /* text: the type of variable-length UTF-8 strings */
  H5E_auto2_t error_printer; /* HDF5's error printer before esc_hdf5_open */
  void *error_printer_data;
  unsigned plugin_state; /* HDF5's plugin state before esc_hdf5_open */
} esc_hdf5;

/* Name of the file in memory. HDF5 first tries to open it on disk, so it is a name that no file can
 * have. */
#define ESC_HDF5_IMAGE "/dev/null/image"

/* Locks HDF5 for this thread, disables its error printing and plugins, and creates `text`.
 * esc_hdf5_close, to be called in either case, restores all this and closes `file`; it returns
 * `status`, or its own failure if `status` is ESC_OK. */
esc_status esc_hdf5_open(esc_hdf5 *h);
esc_status esc_hdf5_close(esc_hdf5 *h, esc_status status);

/* In a child of fork that has begun inside esc_hdf5_open: the guard is the parent's, whose threads
 * the child does not have. */
void esc_hdf5_guard_forget(void);

/* Closes an object of HDF5 (none if negative); returns as esc_hdf5_close does. */
esc_status esc_hdf5_release(const esc_hdf5 *h, esc_status status, const char *name, hid_t id);

/* Records HDF5's innermost message about `name`; returns h->fault. */
esc_status esc_hdf5_failed(const char *file, int line, const esc_hdf5 *h, const char *name);

/* Jumps to `done` if a call of HDF5 fails. */
#define ESC_HDF5_TRY(h, name, call)                              \
  do {                                                           \
    if ((call) < 0) {                                            \
      status = esc_hdf5_failed(__FILE__, __LINE__, (h), (name)); \
      goto done;                                                 \
    }                                                            \
  } while (0)

/* Access property list for a file in memory that HDF5 never writes to disk; to be released. */
esc_status esc_hdf5_make_access(const esc_hdf5 *h, hid_t *access);

hid_t esc_hdf5_memory_type(esc_type type);
hid_t esc_hdf5_file_type(esc_type type);

#endif

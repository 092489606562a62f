/* SPDX-License-Identifier: Apache-2.0 */
/* Results of a sweep: named columns, each an array over the members (and thresholds, layers,
 * interfaces or snapshots), and attributes. The file format is HDF5 with the layout of netCDF-4,
 * readable by xarray, h5py and ncdump. */
#ifndef ESCAPEMENT_RESULTS_H
#define ESCAPEMENT_RESULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/status.h"

typedef struct esc_results esc_results;

typedef enum esc_type {
  ESC_TYPE_INT32,
  ESC_TYPE_INT64,
  ESC_TYPE_FLOAT64,
  ESC_TYPE_FLOAT32
} esc_type;

/* Values of the column `status`: how a member ended. */
typedef enum esc_member_status {
  ESC_MEMBER_ESCAPED = 0,  /* every threshold was crossed */
  ESC_MEMBER_CENSORED = 1, /* the step budget was spent first */
  ESC_MEMBER_DIVERGED = 2  /* the loss stopped being finite */
} esc_member_status;

enum {
  ESC_RANK_MAX = 4,
  ESC_CHECKSUM_TEXT_SIZE = 17 /* bytes of a digest: 16 hexadecimal digits */
};

/* One column. Texts are constant. Dimensions are "member", "threshold", "layer", "interface",
 * "snapshot"; of weights also "unit" and "output" (rows: the units of the layer), "input" and
 * "unit_below" (columns: the layer's inputs). `data` belongs to the results and is valid as long as
 * they are.
 */
typedef struct esc_column {
  const char *name, *units, *long_name;
  esc_type type;
  int rank; /* 1 to ESC_RANK_MAX */
  const char *dimension[ESC_RANK_MAX];
  int64_t length[ESC_RANK_MAX]; /* of each dimension */
  const void *data;             /* row-major: int32_t, int64_t, double or float */
  bool coordinate;              /* a coordinate variable: labels the dimension of the same name */
} esc_column;

/* A text attribute. */
typedef struct esc_text_attribute {
  const char *name, *text;
} esc_text_attribute;

/* Functions that the library calls around each use of HDF5, on the thread that uses it and not
 * nested. HDF5 of most systems serves one thread at a time: a program that uses HDF5 itself, on
 * other threads, takes its own lock here (h5py's in Python). */
typedef struct esc_hdf5_guard {
  void *context;
  void (*lock)(void *context);
  void (*unlock)(void *context);
} esc_hdf5_guard;

ESC_BEGIN_DECLS

/* Sets the guard of the process, a copy of *guard; NULL: none. Not while another thread is in a
 * function of the library. */
ESC_API void esc_hdf5_guard_set(const esc_hdf5_guard *guard);

/* Builds results from a caller's arrays: columns by name, type and dimensions, which are copied,
 * and text attributes. Required are threshold, seed, bottleneck, scale, escape_step and steps_run;
 * other columns that are missing are 0, or follow from these (member, status). Columns that no
 * result has are left out. *out is the caller's. ESC_BAD_INPUT, with the column's name, where one
 * is missing, there twice, has another type or shape, no data, or values that cannot be compared;
 * layer, interface, unit and the like, if given, are 1, 2, ... Weights of a moment come with every
 * layer. The name of an attribute has 1 to 255 bytes. */
ESC_API esc_status esc_results_build(int columns, const esc_column *column, int attributes,
                                     const esc_text_attribute *attribute, esc_results **out);

/* Reads a result file; the caller owns *out. A damaged file is ESC_BAD_INPUT. So is a file written
 * or changed by another program if `verified` is NULL; otherwise such a file is read if it has the
 * columns of a result, and *verified is whether the file's checksums match. A forked child reads
 * the file first, because HDF5 can crash on malformed files (skipped if this process ignores
 * SIGCHLD). */
ESC_API esc_status esc_results_read(const char *path, bool *verified, esc_results **out);

/* Writes or replaces the file `path` atomically: after a crash either the old or the new file is
 * there. */
ESC_API esc_status esc_results_write(const esc_results *results, const char *path);

/* NULL is allowed. */
ESC_API void esc_results_free(esc_results *results);

/* Number of members, columns, attributes. */
ESC_API int64_t esc_results_count_members(const esc_results *results);
ESC_API int esc_results_count_columns(const esc_results *results);
ESC_API int esc_results_count_attributes(const esc_results *results);

/* Column by index, counted from 0 (coordinates first), or by name. ESC_BAD_INPUT if there is none.
 */
ESC_API esc_status esc_results_column(const esc_results *results, int index, esc_column *out);
ESC_API esc_status esc_results_find_column(const esc_results *results, const char *name,
                                           esc_column *out);

/* Checksum of the columns, the attribute `digest` of a result file. */
ESC_API esc_status esc_results_checksum(const esc_results *results,
                                        char text[ESC_CHECKSUM_TEXT_SIZE]);

/* Name of attribute `index`, counted from 0, and text of the attribute `name`. NULL if there is
 * none. Borrowed. */
ESC_API const char *esc_results_attribute_name(const esc_results *results, int index);
ESC_API const char *esc_results_attribute_text(const esc_results *results, const char *name);

ESC_END_DECLS

#endif

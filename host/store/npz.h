/* SPDX-License-Identifier: Apache-2.0 */
/* Reads NumPy's .npz files: a zip archive of arrays, as numpy.savez writes it.
 *
 * A small subset of zip suffices: members that are stored, in files below 4 GiB. Compressed ones
 * (numpy.savez_compressed) are refused by name, so that no library for zip is needed. Nothing in
 * the file is trusted: every offset and size is checked before it is used, every member against its
 * CRC-32, every header against the one spelling that NumPy writes. */
#ifndef ESC_NPZ_H
#define ESC_NPZ_H

#include <stdbool.h>

#include "escapement/internal/status.h"
#include "escapement/results.h"

typedef struct esc_npz esc_npz;

/* An array in row-major order, little-endian; `data` may be unaligned and is valid as long as the
 * file is open. */
typedef struct esc_npz_array {
  esc_type type;
  int rank; /* 0 to ESC_RANK_MAX */
  int64_t length[ESC_RANK_MAX];
  const char *data;
} esc_npz_array;

/* Reads the file at `path`. Anything but such an archive is ESC_BAD_INPUT. */
esc_status esc_npz_open(const char *path, esc_npz **out);
void esc_npz_close(esc_npz *npz); /* NULL is allowed */

/* The array `name`; *found: whether there is one. Types other than int32, int64, float32 and
 * float64 and the order of Fortran are ESC_BAD_INPUT. */
esc_status esc_npz_find(const esc_npz *npz, const char *name, esc_npz_array *out, bool *found);

/* Value i of an array as a number. */
double esc_npz_number(const esc_npz_array *array, int64_t i);
int64_t esc_npz_integer(const esc_npz_array *array, int64_t i);

/* XXH3-64 of the file's bytes, as hexadecimal text. */
void esc_npz_checksum(const esc_npz *npz, char text[ESC_CHECKSUM_TEXT_SIZE]);

#endif

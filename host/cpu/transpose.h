/* SPDX-License-Identifier: Apache-2.0 */
/* Transposes, 8 x 8 or 4 x 4 floats at a time, and tree reductions in registers. Written with the
 * compiler's vector extension, which maps to the registers of each instruction set. */
#ifndef ESC_CPU_TRANSPOSE_H
#define ESC_CPU_TRANSPOSE_H

#include <stddef.h>
#include <string.h>

#include "escapement/internal/order.h"

typedef float esc_quad __attribute__((vector_size(16)));

static inline esc_quad esc_quad_load(const float *p) {
  esc_quad q;
  memcpy(&q, p, sizeof q);
  return q;
}

/* to[j][i] = from[i][j] for i, j < 4; to_row and from_row: row strides in floats. */
static inline void esc_transpose_4(const float *from, size_t from_row, float *to, size_t to_row) {
  const esc_quad a = esc_quad_load(from), b = esc_quad_load(from + from_row);
  const esc_quad c = esc_quad_load(from + 2 * from_row), d = esc_quad_load(from + 3 * from_row);
  const esc_quad ac = __builtin_shufflevector(a, c, 0, 4, 1, 5); /* a0 c0 a1 c1 */
  const esc_quad bd = __builtin_shufflevector(b, d, 0, 4, 1, 5);
  const esc_quad ac_high = __builtin_shufflevector(a, c, 2, 6, 3, 7);
  const esc_quad bd_high = __builtin_shufflevector(b, d, 2, 6, 3, 7);
  const esc_quad column[4] = {__builtin_shufflevector(ac, bd, 0, 4, 1, 5),
                              __builtin_shufflevector(ac, bd, 2, 6, 3, 7),
                              __builtin_shufflevector(ac_high, bd_high, 0, 4, 1, 5),
                              __builtin_shufflevector(ac_high, bd_high, 2, 6, 3, 7)};
  for (size_t j = 0; j < 4; j++) memcpy(to + j * to_row, &column[j], sizeof column[j]);
}

typedef float esc_octet __attribute__((vector_size(32)));

/* Interleave 1 or 2 floats of each half of two rows: a0 b0 a1 b1 a4 b4 a5 b5, a0 a1 b0 b1 a4 a5 b4
 * b5, and the other halves. */
#define ESC_INTERLEAVE_1_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define ESC_INTERLEAVE_1_HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define ESC_INTERLEAVE_2_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define ESC_INTERLEAVE_2_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)

/* Four floats of row 0 and four of row 4. By pointer: without AVX no register returns an octet. */
static inline void esc_octet_load(const float *from, size_t from_row, esc_octet *octet) {
  const esc_quad low = esc_quad_load(from), high = esc_quad_load(from + 4 * from_row);
  *octet = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
}

/* to[j][i] = from[i][j] for i, j < 8: two 4 x 4 transposes at a time, in the halves of a vector. */
static inline void esc_transpose_8(const float *from, size_t from_row, float *to, size_t to_row) {
#pragma GCC unroll 2
  for (size_t j = 0; j < 8; j += 4, from += 4, to += 4 * to_row) {
    esc_octet a, b, c, d;
    esc_octet_load(from, from_row, &a);
    esc_octet_load(from + from_row, from_row, &b);
    esc_octet_load(from + 2 * from_row, from_row, &c);
    esc_octet_load(from + 3 * from_row, from_row, &d);
    const esc_octet ab = ESC_INTERLEAVE_1_LOW(a, b), cd = ESC_INTERLEAVE_1_LOW(c, d);
    const esc_octet ab_high = ESC_INTERLEAVE_1_HIGH(a, b), cd_high = ESC_INTERLEAVE_1_HIGH(c, d);
    const esc_octet column[4] = {ESC_INTERLEAVE_2_LOW(ab, cd), ESC_INTERLEAVE_2_HIGH(ab, cd),
                                 ESC_INTERLEAVE_2_LOW(ab_high, cd_high),
                                 ESC_INTERLEAVE_2_HIGH(ab_high, cd_high)};
    for (size_t i = 0; i < 4; i++) memcpy(to + i * to_row, &column[i], sizeof column[i]);
  }
}

/* to[j][i] = from[i][j] for i < rows, j < columns; rows a multiple of 4, columns of 8. */
static inline void esc_transpose(size_t rows, size_t columns, const float *restrict from,
                                 size_t from_row, float *restrict to, size_t to_row) {
  size_t i = 0;
  for (; i + 8 <= rows; i += 8)
    for (size_t j = 0; j < columns; j += 8)
      esc_transpose_8(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
  for (; i < rows; i += 4)
    for (size_t j = 0; j < columns; j += 4)
      esc_transpose_4(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
}

/* sum[i] = the tree reduction of row i of `partial`, (ESC_PARTIALS, ESC_PARTIALS). The tree's first
 * level adds the halves of a row, before the transpose. */
static inline void esc_tree_reduce_rows_f32(const float *restrict partial, float *restrict sum) {
  enum { HALF = ESC_PARTIALS / 2 };
  float folded[ESC_PARTIALS][HALF], transposed[HALF][ESC_PARTIALS];
  for (int i = 0; i < ESC_PARTIALS; i++, partial += ESC_PARTIALS)
#pragma omp simd
    for (int j = 0; j < HALF; j++) folded[i][j] = partial[j] + partial[j + HALF];
  esc_transpose(ESC_PARTIALS, HALF, folded[0], HALF, transposed[0], ESC_PARTIALS);
#pragma GCC unroll 4
  for (int half = HALF / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++)
#pragma omp simd
      for (int i = 0; i < ESC_PARTIALS; i++) transposed[j][i] += transposed[j + half][i];
  memcpy(sum, transposed[0], sizeof transposed[0]);
}

typedef double esc_double2 __attribute__((vector_size(16)));
typedef double esc_double4 __attribute__((vector_size(32)));
typedef double esc_double8 __attribute__((vector_size(64)));

/* esc_tree_reduce_f64 in registers. */
static inline double esc_tree_reduce_simd(const double partial[ESC_PARTIALS]) {
  esc_double8 low, high;
  memcpy(&low, partial, sizeof low);
  memcpy(&high, partial + 8, sizeof high);
  const esc_double8 eight = low + high;
  const esc_double4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                           __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  const esc_double2 two =
      __builtin_shufflevector(four, four, 0, 1) + __builtin_shufflevector(four, four, 2, 3);
  return two[0] + two[1];
}

#endif

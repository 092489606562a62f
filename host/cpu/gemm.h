/* SPDX-License-Identifier: Apache-2.0 */
/* The two matrix products of a small network, tiled for registers:
 *
 *   esc_gemm_nn   C = A B     A (rows, depth): forward, and backward through W
 *   esc_gemm_tn   C = A^T B   A (depth, rows): weight gradients, sums over samples
 *
 * All matrices are row-major, the columns of B and C padded to ESC_PAD; elements of A are
 * broadcast one at a time, so that no activation is ever transposed or packed. Every element of C
 * is a partial sum of fused multiply-adds in ascending order, or a tree reduction of several: the
 * canonical order (order.h), the same for every instruction set.
 *
 * A register tile of ROWS x VECTORS accumulators stays in registers for all of the depth. */
#ifndef ESC_GEMM_H
#define ESC_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "cpu/simd.h"

typedef struct esc_gemm {
  int rows, columns, depth; /* C is (rows, columns), columns a multiple of ESC_PAD */
  const float *a;           /* leading dimension (row stride) lda */
  size_t lda;
  const float *b; /* (depth, columns) */
  size_t ldb;
  float *c; /* (rows, columns) */
  size_t ldc;
  bool accumulate;        /* esc_gemm_nn: sums continue from the values in C, else from 0 */
  const float *update[3]; /* ESC_PREFETCH_UPDATE: arrays indexed like C; NULL behind the last */
} esc_gemm;

/* Split-K: the depth is divided into slices, each with a partial sum. */
typedef struct esc_split_k {
  int slices, length; /* 1, 2 or 4 slices; slice i begins at i * length, the last may be shorter */
  size_t stride;      /* from one slice's C to the next slice's C */
  bool accumulate;    /* partial sums continue from the values in C, else from 0 */
  bool reduce;        /* the first C becomes the tree reduction of the partial sums */
} esc_split_k;

/* What a product requests from beyond the second-level cache before it is needed. */
typedef enum esc_prefetch {
  ESC_PREFETCH_NONE,
  ESC_PREFETCH_A,      /* of A^T B: the columns of A of the next register tile */
  ESC_PREFETCH_UPDATE, /* of A B: `update` at the elements of C */
} esc_prefetch;

/* Upper limits over all instruction sets: rows, vectors and floats of a register tile. */
enum {
  ESC_REGISTER_TILE_ROWS = 16,
  ESC_REGISTER_TILE_VECTORS = 16,
  ESC_REGISTER_TILE_FLOATS = 384
};
typedef esc_vec esc_register_tile[ESC_REGISTER_TILE_ROWS][ESC_REGISTER_TILE_VECTORS];

/* First row and column of a tile of C, and its size in rows and vectors. */
typedef struct esc_tile_origin {
  int row, column;
} esc_tile_origin;
typedef struct esc_tile_size {
  int rows, vectors;
} esc_tile_size;

/* Sizes are constants wherever these are called, so the loops over them unroll and the tile
 * stays in registers; this needs every function inlined. */
#define ESC_INLINED __attribute__((always_inline)) inline

static ESC_INLINED void esc_register_tile_zero(esc_tile_size n, esc_register_tile sum) {
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++)
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++) sum[i][v] = ESC_VEC_SET(0.0f);
}

/* Floats between the rows of a tile in memory, and between the vectors of a row. */
typedef struct esc_tile_stride {
  size_t row, vector;
} esc_tile_stride;

/* Of a row-major matrix: neighbouring vectors are adjacent. */
static ESC_INLINED esc_tile_stride esc_row_major(size_t ld) {
  return (esc_tile_stride){ld, ESC_LANES};
}

static ESC_INLINED void esc_register_tile_load(const float *c, esc_tile_stride stride,
                                               esc_tile_size n, esc_register_tile sum) {
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++)
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++)
      sum[i][v] = ESC_VEC_LOAD(c + (size_t)i * stride.row + (size_t)v * stride.vector);
}

static ESC_INLINED void esc_register_tile_store(esc_tile_size n, esc_register_tile sum, float *c,
                                                esc_tile_stride stride) {
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++)
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++)
      ESC_VEC_STORE(c + (size_t)i * stride.row + (size_t)v * stride.vector, sum[i][v]);
}

static ESC_INLINED void esc_register_tile_add(const float *c, esc_tile_stride stride,
                                              esc_tile_size n, esc_register_tile sum) {
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++)
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++)
      sum[i][v] = ESC_VEC_ADD(ESC_VEC_LOAD(c + (size_t)i * stride.row + (size_t)v * stride.vector),
                              sum[i][v]);
}

/* Rank-1 update: sum[i] += a[i] b for a row b of vectors, with a[i] `stride` floats apart. */
static ESC_INLINED void esc_register_tile_rank1(const float *a, size_t stride, const float *b,
                                                esc_tile_size n, esc_register_tile sum) {
  esc_vec row[ESC_REGISTER_TILE_VECTORS];
#pragma GCC unroll 16
  for (int v = 0; v < n.vectors; v++) row[v] = ESC_VEC_LOAD(b + v * ESC_LANES);
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++) {
    const esc_vec factor = ESC_VEC_SET(a[(size_t)i * stride]);
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++) sum[i][v] = ESC_VEC_FMA(factor, row[v], sum[i][v]);
  }
}

enum { ESC_LINE = 16 }; /* floats of a cache line */

static ESC_INLINED void esc_prefetch_line(const float *p) { __builtin_prefetch(p, 0, 2); }

/* Cache line `line` of each row of a register tile. */
static ESC_INLINED void esc_prefetch_update(const esc_gemm *g, esc_tile_origin origin,
                                            esc_tile_size n, int line) {
  const size_t offset = (size_t)origin.row * g->ldc + (size_t)(origin.column + line * ESC_LINE);
  for (int k = 0; k < 3 && g->update[k]; k++)
    for (int i = 0; i < n.rows; i++) esc_prefetch_line(g->update[k] + offset + (size_t)i * g->ldc);
}

static ESC_INLINED void esc_gemm_nn_tile(const esc_gemm *g, esc_prefetch prefetch,
                                         esc_tile_origin origin, esc_tile_size n) {
  const size_t lda = g->lda, ldb = g->ldb;
  const float *a = g->a + (size_t)origin.row * lda, *b = g->b + origin.column;
  const float *const end = a + g->depth;
  float *const c = g->c + (size_t)origin.row * g->ldc + origin.column;
  const int lines = prefetch == ESC_PREFETCH_UPDATE ? n.vectors * ESC_LANES / ESC_LINE : 0;
  esc_register_tile sum;
  if (g->accumulate)
    esc_register_tile_load(c, esc_row_major(g->ldc), n, sum);
  else
    esc_register_tile_zero(n, sum);
  for (int line = 0; line < lines && end - a >= ESC_LINE; line++) {
    esc_prefetch_update(g, origin, n, line);
    for (int k = 0; k < ESC_LINE; k++, a++, b += ldb) esc_register_tile_rank1(a, lda, b, n, sum);
  }
  for (; a < end; a++, b += ldb) esc_register_tile_rank1(a, lda, b, n, sum);
  esc_register_tile_store(n, sum, c, esc_row_major(g->ldc));
}

/* Depth of slice i. */
static inline int esc_slice_length(const esc_gemm *g, const esc_split_k *split, int i) {
  const int left = g->depth - i * split->length;
  return left < 0 ? 0 : left < split->length ? left : split->length;
}

/* Partial sum of slice i of one tile of A^T B. */
static ESC_INLINED void esc_slice_tile(const esc_gemm *g, const esc_split_k *split,
                                       esc_prefetch prefetch, int i, esc_tile_origin origin,
                                       esc_tile_size n, esc_register_tile sum) {
  const size_t first = (size_t)(i * split->length), lda = g->lda, ldb = g->ldb;
  const float *a = g->a + first * lda + origin.row, *b = g->b + first * ldb + origin.column;
  if (split->accumulate)
    esc_register_tile_load(
        g->c + (size_t)i * split->stride + (size_t)origin.row * g->ldc + origin.column,
        esc_row_major(g->ldc), n, sum);
  else
    esc_register_tile_zero(n, sum);
  for (int left = esc_slice_length(g, split, i); left > 0; left--, a += lda, b += ldb) {
    if (prefetch == ESC_PREFETCH_A) esc_prefetch_line(a + ESC_LINE);
    esc_register_tile_rank1(a, 1, b, n, sum);
  }
}

/* One tile of all slices. The tree reduction of 4 slices is (0 + 2) + (1 + 3). With the slices in
 * the order 0, 2, 1, 3 two pending sums are enough: each trailing 1 bit of a slice's position
 * completes one pending sum. */
static ESC_INLINED void esc_gemm_tn_tile(const esc_gemm *g, const esc_split_k *split,
                                         esc_prefetch prefetch, esc_tile_origin origin,
                                         esc_tile_size n) {
  const size_t width = (size_t)n.vectors * ESC_LANES;
  float pending[2][ESC_REGISTER_TILE_FLOATS];
  float *const c = g->c + (size_t)origin.row * g->ldc + origin.column;
  for (int position = 0, pending_count = 0; position < split->slices; position++) {
    const bool reduce = split->reduce, last = position == split->slices - 1;
    const int i = split->slices == 4 ? position % 2 * 2 + position / 2 : position;
    esc_register_tile sum;
    esc_slice_tile(g, split, prefetch, i, origin, n, sum);
    for (int bits = position; reduce && bits % 2 == 1; bits /= 2)
      esc_register_tile_add(pending[--pending_count], esc_row_major(width), n, sum);
    if (reduce && !last)
      esc_register_tile_store(n, sum, pending[pending_count++], esc_row_major(width));
    else
      esc_register_tile_store(n, sum, reduce ? c : c + (size_t)i * split->stride,
                              esc_row_major(g->ldc));
  }
}

/* One tile of A B, or of A^T B with `split`. */
static ESC_INLINED void esc_gemm_tile(const esc_gemm *g, const esc_split_k *split,
                                      esc_prefetch prefetch, esc_tile_origin origin,
                                      esc_tile_size n) {
  if (split)
    esc_gemm_tn_tile(g, split, prefetch, origin, n);
  else
    esc_gemm_nn_tile(g, prefetch, origin, n);
}

/* Computes a column panel in tiles of `rows` rows, the last rows in smaller tiles. */
static ESC_INLINED void esc_gemm_panel(const esc_gemm *g, const esc_split_k *split,
                                       esc_prefetch prefetch, int column, int rows, int vectors) {
  int row = 0;
  for (; row + rows <= g->rows; row += rows)
    esc_gemm_tile(g, split, prefetch, (esc_tile_origin){row, column},
                  (esc_tile_size){rows, vectors});
  for (; row + 4 <= g->rows; row += 4)
    esc_gemm_tile(g, split, prefetch, (esc_tile_origin){row, column}, (esc_tile_size){4, vectors});
  for (; row < g->rows; row++)
    esc_gemm_tile(g, split, prefetch, (esc_tile_origin){row, column}, (esc_tile_size){1, vectors});
}

/* Computes all column panels, with the largest tile that fits into the registers. */
static ESC_INLINED void esc_gemm_compute(const esc_gemm *g, const esc_split_k *split,
                                         esc_prefetch prefetch) {
  int column = 0;
#if defined(__AVX512F__) /* 32 registers of 16 lanes */
  for (; column + 64 <= g->columns; column += 64) esc_gemm_panel(g, split, prefetch, column, 6, 4);
  switch (g->columns - column) {
    case 48: esc_gemm_panel(g, split, prefetch, column, 8, 3); break;
    case 32: esc_gemm_panel(g, split, prefetch, column, 8, 2); break;
    case 16: esc_gemm_panel(g, split, prefetch, column, 16, 1); break;
  }
#elif defined(__AVX2__) && defined(__FMA__) /* 16 registers of 8 lanes */
  for (; column < g->columns; column += 16) esc_gemm_panel(g, split, prefetch, column, 6, 2);
#elif defined(__ARM_NEON)                   /* 32 registers of 4 lanes */
  for (; column < g->columns; column += 16) esc_gemm_panel(g, split, prefetch, column, 5, 4);
#else
  for (; column < g->columns; column += 16) esc_gemm_panel(g, split, prefetch, column, 1, 16);
#endif
}

static inline void esc_gemm_nn(const esc_gemm *g) { esc_gemm_compute(g, NULL, ESC_PREFETCH_NONE); }

static inline void esc_gemm_tn(const esc_gemm *g, const esc_split_k *split) {
  esc_gemm_compute(g, split, ESC_PREFETCH_NONE);
}

/* A B whose result changes the arrays g->update. */
static inline void esc_gemm_nn_update(const esc_gemm *g) {
  esc_gemm_compute(g, NULL, ESC_PREFETCH_UPDATE);
}

/* A^T B in one K-slice, with a matrix A that is read from beyond the second-level cache. */
static inline void esc_gemm_tn_stream(const esc_gemm *g) {
  const esc_split_k all = {
      .slices = 1, .length = g->depth, .accumulate = g->accumulate, .reduce = true};
  esc_gemm_compute(g, &all, ESC_PREFETCH_A);
}

#endif

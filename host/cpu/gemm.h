/* SPDX-License-Identifier: Apache-2.0 */
/* The two products of a small network, and the registers they live in.
 *
 *   esc_multiply   C = A B         A (rows, depth): forward, and backward through W
 *   esc_correlate  C = A' B        A (depth, rows): gradients, sums over samples
 *
 * All are row-major, the columns of B and C padded to ESC_PAD; elements of A are
 * read one at a time, so that no activation is ever transposed. Every element of C
 * is a chain of fused multiply-adds in ascending order, or several such chains
 * folded: the canonical order (order.h), the same for every instruction set.
 *
 * A tile of ROWS x VECTORS accumulators stays in registers for all of a chain. */
#ifndef ESC_GEMM_H
#define ESC_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "cpu/simd.h"

typedef struct esc_gemm {
  int rows, columns, depth; /* C is (rows, columns), columns a multiple of ESC_PAD */
  const float *a;           /* row stride a_row */
  size_t a_row;
  const float *b; /* (depth, columns), row stride b_row */
  size_t b_row;
  float *c; /* (rows, columns), row stride c_row */
  size_t c_row;
} esc_gemm;

/* How the sum over the depth falls into chains. */
typedef struct esc_chains {
  int count, length; /* 1, 2 or 4; chain i: `length` from i * length on, or what is left */
  size_t stride;     /* from one chain's C to the next one's */
  bool add;          /* they go on from what is in C */
  bool fold;         /* the first C becomes their sum, in halves */
} esc_chains;

/* No tile has more of any. */
enum { ESC_TILE_ROWS = 16, ESC_TILE_VECTORS = 16, ESC_TILE_FLOATS = 384 };
typedef esc_vec esc_tile[ESC_TILE_ROWS][ESC_TILE_VECTORS];

/* Where a tile of C begins, and its size in rows and vectors. */
typedef struct esc_tile_place {
  int row, column;
} esc_tile_place;
typedef struct esc_tile_size {
  int rows, vectors;
} esc_tile_size;

/* Sizes are constants wherever these are called, so the loops over them unroll and the tile
 * lives in registers: all of it has to be inlined. */
#define ESC_INLINED __attribute__((always_inline)) inline

static ESC_INLINED void esc_tile_zero(esc_tile_size n, esc_tile sum) {
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++)
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++) sum[i][v] = ESC_VEC_SET(0.0f);
}

static ESC_INLINED void esc_tile_load(const float *c, size_t c_row, esc_tile_size n, esc_tile sum) {
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++)
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++)
      sum[i][v] = ESC_VEC_LOAD(c + (size_t)i * c_row + v * ESC_LANES);
}

static ESC_INLINED void esc_tile_store(esc_tile_size n, esc_tile sum, float *c, size_t c_row) {
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++)
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++)
      ESC_VEC_STORE(c + (size_t)i * c_row + v * ESC_LANES, sum[i][v]);
}

static ESC_INLINED void esc_tile_add(const float *c, size_t c_row, esc_tile_size n, esc_tile sum) {
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++)
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++)
      sum[i][v] = ESC_VEC_ADD(ESC_VEC_LOAD(c + (size_t)i * c_row + v * ESC_LANES), sum[i][v]);
}

/* sum[i] += a[i] * the line b, with a[i] `stride` floats apart. */
static ESC_INLINED void esc_tile_step(const float *a, size_t stride, const float *b,
                                      esc_tile_size n, esc_tile sum) {
  esc_vec line[ESC_TILE_VECTORS];
#pragma GCC unroll 16
  for (int v = 0; v < n.vectors; v++) line[v] = ESC_VEC_LOAD(b + v * ESC_LANES);
#pragma GCC unroll 16
  for (int i = 0; i < n.rows; i++) {
    const esc_vec factor = ESC_VEC_SET(a[(size_t)i * stride]);
#pragma GCC unroll 16
    for (int v = 0; v < n.vectors; v++) sum[i][v] = ESC_VEC_FMA(factor, line[v], sum[i][v]);
  }
}

static ESC_INLINED void esc_multiply_tile(const esc_gemm *g, esc_tile_place at, esc_tile_size n) {
  const size_t a_row = g->a_row, b_row = g->b_row;
  const float *a = g->a + (size_t)at.row * a_row, *b = g->b + at.column;
  const float *const end = a + g->depth;
  esc_tile sum;
  esc_tile_zero(n, sum);
  for (; a < end; a++, b += b_row) esc_tile_step(a, a_row, b, n, sum);
  esc_tile_store(n, sum, g->c + (size_t)at.row * g->c_row + at.column, g->c_row);
}

/* Samples of chain i. */
static inline int esc_chain_length(const esc_gemm *g, const esc_chains *chains, int i) {
  const int left = g->depth - i * chains->length;
  return left < 0 ? 0 : left < chains->length ? left : chains->length;
}

/* Chain i of one tile of A' B. */
static ESC_INLINED void esc_chain_tile(const esc_gemm *g, const esc_chains *chains, int i,
                                       esc_tile_place at, esc_tile_size n, esc_tile sum) {
  const size_t first = (size_t)(i * chains->length), a_row = g->a_row, b_row = g->b_row;
  const float *a = g->a + first * a_row + at.row, *b = g->b + first * b_row + at.column;
  if (chains->add)
    esc_tile_load(g->c + (size_t)i * chains->stride + (size_t)at.row * g->c_row + at.column,
                  g->c_row, n, sum);
  else
    esc_tile_zero(n, sum);
  for (int left = esc_chain_length(g, chains, i); left > 0; left--, a += a_row, b += b_row)
    esc_tile_step(a, 1, b, n, sum);
}

/* One tile of all chains. Folding takes them as 0, 2, 1, 3, so that a stack of unfinished
 * sums gives (0 + 2) + (1 + 3): what comes at an odd place completes the sum before it. */
static ESC_INLINED void esc_correlate_tile(const esc_gemm *g, const esc_chains *chains,
                                           esc_tile_place at, esc_tile_size n) {
  const size_t width = (size_t)n.vectors * ESC_LANES;
  float unfinished[2][ESC_TILE_FLOATS];
  float *const c = g->c + (size_t)at.row * g->c_row + at.column;
  for (int place = 0, depth = 0; place < chains->count; place++) {
    const bool fold = chains->fold, last = place == chains->count - 1;
    const int i = chains->count == 4 ? place % 2 * 2 + place / 2 : place;
    esc_tile sum;
    esc_chain_tile(g, chains, i, at, n, sum);
    for (int bits = place; fold && bits % 2 == 1; bits /= 2)
      esc_tile_add(unfinished[--depth], width, n, sum);
    if (fold && !last)
      esc_tile_store(n, sum, unfinished[depth++], width);
    else
      esc_tile_store(n, sum, fold ? c : c + (size_t)i * chains->stride, g->c_row);
  }
}

/* One tile of A B, or of A' B where there are chains. */
static ESC_INLINED void esc_product_tile(const esc_gemm *g, const esc_chains *chains,
                                         esc_tile_place at, esc_tile_size n) {
  if (chains)
    esc_correlate_tile(g, chains, at, n);
  else
    esc_multiply_tile(g, at, n);
}

/* All rows of a block of columns by tiles of `rows`, the last few by smaller ones. */
static ESC_INLINED void esc_product_columns(const esc_gemm *g, const esc_chains *chains, int column,
                                            int rows, int vectors) {
  int row = 0;
  for (; row + rows <= g->rows; row += rows)
    esc_product_tile(g, chains, (esc_tile_place){row, column}, (esc_tile_size){rows, vectors});
  for (; row + 4 <= g->rows; row += 4)
    esc_product_tile(g, chains, (esc_tile_place){row, column}, (esc_tile_size){4, vectors});
  for (; row < g->rows; row++)
    esc_product_tile(g, chains, (esc_tile_place){row, column}, (esc_tile_size){1, vectors});
}

/* All columns, in blocks with the tile that the registers have room for. */
static ESC_INLINED void esc_product(const esc_gemm *g, const esc_chains *chains) {
  int column = 0;
#if defined(__AVX512F__) /* 32 registers of 16 lanes */
  for (; column + 64 <= g->columns; column += 64) esc_product_columns(g, chains, column, 6, 4);
  switch (g->columns - column) {
    case 48: esc_product_columns(g, chains, column, 8, 3); break;
    case 32: esc_product_columns(g, chains, column, 8, 2); break;
    case 16: esc_product_columns(g, chains, column, 16, 1); break;
  }
#elif defined(__AVX2__) && defined(__FMA__) /* 16 registers of 8 lanes */
  for (; column < g->columns; column += 16) esc_product_columns(g, chains, column, 6, 2);
#elif defined(__ARM_NEON)                   /* 32 registers of 4 lanes */
  for (; column < g->columns; column += 16) esc_product_columns(g, chains, column, 5, 4);
#else
  for (; column < g->columns; column += 16) esc_product_columns(g, chains, column, 1, 16);
#endif
}

static void esc_multiply(const esc_gemm *g) { esc_product(g, NULL); }

static void esc_correlate(const esc_gemm *g, const esc_chains *chains) { esc_product(g, chains); }

#endif

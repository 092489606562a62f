/* C = A B, or C += A B, for the small matrices of one network.
 *
 * B and C are row-major with columns padded to ESC_PAD; A is read one element
 * at a time with any strides, so that A and A' cost the same and no activation
 * is ever transposed. Element (m, n) is one chain of fused multiply-adds over k
 * in ascending order: the canonical order, the same for every instruction set.
 *
 * A tile of ROWS x VECTORS accumulators stays in registers for all of k. */
#ifndef ESC_GEMM_H
#define ESC_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "cpu/simd.h"

typedef struct esc_gemm {
  int rows, columns, depth; /* C is (rows, columns), columns a multiple of ESC_PAD */
  const float *a;           /* A[m][k] = a[m * a_row + k * a_depth] */
  size_t a_row, a_depth;
  const float *b; /* (depth, columns), row stride b_row */
  size_t b_row;
  bool add; /* the chains go on from what is in C */
  float *c; /* (rows, columns), row stride c_row */
  size_t c_row;
} esc_gemm;

/* ROWS and VECTORS are constants wherever this is called, so the loops over
 * them unroll and `sum` lives in registers. */
static inline __attribute__((always_inline)) void esc_gemm_tile(const esc_gemm *g, int row,
                                                                int column, const int ROWS,
                                                                const int VECTORS) {
  esc_vec sum[16][16];
  const float *a = g->a + (size_t)row * g->a_row;
  const float *b = g->b + column;
  float *c = g->c + (size_t)row * g->c_row + column;
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++)
      sum[i][v] =
          g->add ? ESC_VEC_LOAD(c + (size_t)i * g->c_row + v * ESC_LANES) : ESC_VEC_SET(0.0f);
  for (int k = 0; k < g->depth; k++) {
    esc_vec line[16];
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) line[v] = ESC_VEC_LOAD(b + v * ESC_LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      const esc_vec factor = ESC_VEC_SET(a[(size_t)i * g->a_row]);
#pragma GCC unroll 16
      for (int v = 0; v < VECTORS; v++) sum[i][v] = ESC_VEC_FMA(factor, line[v], sum[i][v]);
    }
    a += g->a_depth;
    b += g->b_row;
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++)
      ESC_VEC_STORE(c + (size_t)i * g->c_row + v * ESC_LANES, sum[i][v]);
}

/* All rows of one block of columns, the last few in smaller tiles. */
static inline __attribute__((always_inline)) void esc_gemm_columns(const esc_gemm *g, int column,
                                                                   const int ROWS,
                                                                   const int VECTORS) {
  int row = 0;
  for (; row + ROWS <= g->rows; row += ROWS) esc_gemm_tile(g, row, column, ROWS, VECTORS);
  for (; row + 4 <= g->rows; row += 4) esc_gemm_tile(g, row, column, 4, VECTORS);
  for (; row < g->rows; row++) esc_gemm_tile(g, row, column, 1, VECTORS);
}

static void esc_gemm_run(const esc_gemm *g) {
  int column = 0;
#if defined(__AVX512F__) /* 32 registers of 16 lanes */
  for (; column + 64 <= g->columns; column += 64) esc_gemm_columns(g, column, 6, 4);
  if (g->columns - column == 48) esc_gemm_columns(g, column, 8, 3);
  if (g->columns - column == 32) esc_gemm_columns(g, column, 8, 2);
  if (g->columns - column == 16) esc_gemm_columns(g, column, 16, 1);
#elif defined(__AVX2__) && defined(__FMA__) /* 16 registers of 8 lanes */
  for (; column < g->columns; column += 16) esc_gemm_columns(g, column, 6, 2);
#elif defined(__ARM_NEON)                   /* 32 registers of 4 lanes */
  for (; column < g->columns; column += 16) esc_gemm_columns(g, column, 5, 4);
#else
  for (; column < g->columns; column += 16) esc_gemm_columns(g, column, 1, 16);
#endif
}

#endif

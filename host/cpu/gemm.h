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

/* ROWS and VECTORS are constants wherever these are called, so the loops over
 * them unroll and the tile lives in registers. */
#define ESC_TILE_FUNCTION static inline __attribute__((always_inline)) void
#define ESC_TILE_LOOP _Pragma("GCC unroll 16") for
#define ESC_TILE_EACH                     \
  ESC_TILE_LOOP(int i = 0; i < ROWS; i++) \
  ESC_TILE_LOOP(int v = 0; v < VECTORS; v++)

ESC_TILE_FUNCTION esc_tile_zero(const int ROWS, const int VECTORS, esc_tile sum) {
  ESC_TILE_EACH sum[i][v] = ESC_VEC_SET(0.0f);
}

ESC_TILE_FUNCTION esc_tile_load(const float *c, size_t c_row, const int ROWS, const int VECTORS,
                                esc_tile sum) {
  ESC_TILE_EACH sum[i][v] = ESC_VEC_LOAD(c + (size_t)i * c_row + v * ESC_LANES);
}

ESC_TILE_FUNCTION esc_tile_store(const int ROWS, const int VECTORS, esc_tile sum, float *c,
                                 size_t c_row) {
  ESC_TILE_EACH ESC_VEC_STORE(c + (size_t)i * c_row + v * ESC_LANES, sum[i][v]);
}

ESC_TILE_FUNCTION esc_tile_add(const float *c, size_t c_row, const int ROWS, const int VECTORS,
                               esc_tile sum) {
  ESC_TILE_EACH
  sum[i][v] = ESC_VEC_ADD(ESC_VEC_LOAD(c + (size_t)i * c_row + v * ESC_LANES), sum[i][v]);
}

/* sum[i] += a[i] * the line b, with a[i] STRIDE floats apart. */
ESC_TILE_FUNCTION esc_tile_step(const float *a, size_t stride, const float *b, const int ROWS,
                                const int VECTORS, esc_tile sum) {
  esc_vec line[ESC_TILE_VECTORS];
  ESC_TILE_LOOP(int v = 0; v < VECTORS; v++) line[v] = ESC_VEC_LOAD(b + v * ESC_LANES);
  ESC_TILE_LOOP(int i = 0; i < ROWS; i++) {
    const esc_vec factor = ESC_VEC_SET(a[(size_t)i * stride]);
    ESC_TILE_LOOP(int v = 0; v < VECTORS; v++) sum[i][v] = ESC_VEC_FMA(factor, line[v], sum[i][v]);
  }
}

ESC_TILE_FUNCTION esc_multiply_tile(const esc_gemm *g, int row, int column, const int ROWS,
                                    const int VECTORS) {
  const size_t a_row = g->a_row, b_row = g->b_row;
  const float *a = g->a + (size_t)row * a_row, *b = g->b + column;
  const float *const end = a + g->depth;
  esc_tile sum;
  esc_tile_zero(ROWS, VECTORS, sum);
  for (; a < end; a++, b += b_row) esc_tile_step(a, a_row, b, ROWS, VECTORS, sum);
  esc_tile_store(ROWS, VECTORS, sum, g->c + (size_t)row * g->c_row + column, g->c_row);
}

/* Samples of chain i. */
static inline int esc_chain_length(const esc_gemm *g, const esc_chains *chains, int i) {
  const int left = g->depth - i * chains->length;
  return left < 0 ? 0 : left < chains->length ? left : chains->length;
}

/* Chain i of one tile of A' B. */
ESC_TILE_FUNCTION esc_chain_tile(const esc_gemm *g, const esc_chains *chains, int i, int row,
                                 int column, const int ROWS, const int VECTORS, esc_tile sum) {
  const size_t first = (size_t)(i * chains->length), a_row = g->a_row, b_row = g->b_row;
  const float *a = g->a + first * a_row + row, *b = g->b + first * b_row + column;
  if (chains->add)
    esc_tile_load(g->c + (size_t)i * chains->stride + (size_t)row * g->c_row + column, g->c_row,
                  ROWS, VECTORS, sum);
  else
    esc_tile_zero(ROWS, VECTORS, sum);
  for (int left = esc_chain_length(g, chains, i); left > 0; left--, a += a_row, b += b_row)
    esc_tile_step(a, 1, b, ROWS, VECTORS, sum);
}

/* One tile of all chains. Folding takes them as 0, 2, 1, 3, so that a stack of unfinished
 * sums gives (0 + 2) + (1 + 3): what comes at an odd place completes the sum before it. */
ESC_TILE_FUNCTION esc_correlate_tile(const esc_gemm *g, const esc_chains *chains, int row,
                                     int column, const int ROWS, const int VECTORS) {
  const size_t width = (size_t)VECTORS * ESC_LANES;
  float unfinished[2][ESC_TILE_FLOATS];
  float *const c = g->c + (size_t)row * g->c_row + column;
  for (int place = 0, depth = 0; place < chains->count; place++) {
    const bool fold = chains->fold, last = place == chains->count - 1;
    const int i = chains->count == 4 ? place % 2 * 2 + place / 2 : place;
    esc_tile sum;
    esc_chain_tile(g, chains, i, row, column, ROWS, VECTORS, sum);
    for (int bits = place; fold && bits % 2 == 1; bits /= 2)
      esc_tile_add(unfinished[--depth], width, ROWS, VECTORS, sum);
    if (fold && !last)
      esc_tile_store(ROWS, VECTORS, sum, unfinished[depth++], width);
    else
      esc_tile_store(ROWS, VECTORS, sum, fold ? c : c + (size_t)i * chains->stride, g->c_row);
  }
}

/* All rows of a block of columns by tiles of ROWS, the last few by smaller ones. */
ESC_TILE_FUNCTION esc_multiply_columns(const esc_gemm *g, int column, const int ROWS,
                                       const int VECTORS) {
  int row = 0;
  for (; row + ROWS <= g->rows; row += ROWS) esc_multiply_tile(g, row, column, ROWS, VECTORS);
  for (; row + 4 <= g->rows; row += 4) esc_multiply_tile(g, row, column, 4, VECTORS);
  for (; row < g->rows; row++) esc_multiply_tile(g, row, column, 1, VECTORS);
}

ESC_TILE_FUNCTION esc_correlate_columns(const esc_gemm *g, const esc_chains *chains, int column,
                                        const int ROWS, const int VECTORS) {
  int row = 0;
  for (; row + ROWS <= g->rows; row += ROWS)
    esc_correlate_tile(g, chains, row, column, ROWS, VECTORS);
  for (; row + 4 <= g->rows; row += 4) esc_correlate_tile(g, chains, row, column, 4, VECTORS);
  for (; row < g->rows; row++) esc_correlate_tile(g, chains, row, column, 1, VECTORS);
}

/* Calls RUN(column, ROWS, VECTORS) for every block of columns, with the tile that the
 * registers have room for. */
#if defined(__AVX512F__) /* 32 registers of 16 lanes */
#define ESC_EACH_BLOCK(RUN, columns)                        \
  int column = 0;                                           \
  for (; column + 64 <= (columns); column += 64) RUN(6, 4); \
  switch ((columns)-column) {                               \
    case 48: RUN(8, 3); break;                              \
    case 32: RUN(8, 2); break;                              \
    case 16: RUN(16, 1); break;                             \
  }
#elif defined(__AVX2__) && defined(__FMA__) /* 16 registers of 8 lanes */
#define ESC_EACH_BLOCK(RUN, columns) \
  for (int column = 0; column < (columns); column += 16) RUN(6, 2);
#elif defined(__ARM_NEON) /* 32 registers of 4 lanes */
#define ESC_EACH_BLOCK(RUN, columns) \
  for (int column = 0; column < (columns); column += 16) RUN(5, 4);
#else
#define ESC_EACH_BLOCK(RUN, columns) \
  for (int column = 0; column < (columns); column += 16) RUN(1, 16);
#endif

static void esc_multiply(const esc_gemm *g) {
#define RUN(ROWS, VECTORS) esc_multiply_columns(g, column, ROWS, VECTORS)
  ESC_EACH_BLOCK(RUN, g->columns)
#undef RUN
}

static void esc_correlate(const esc_gemm *g, const esc_chains *chains) {
#define RUN(ROWS, VECTORS) esc_correlate_columns(g, chains, column, ROWS, VECTORS)
  ESC_EACH_BLOCK(RUN, g->columns)
#undef RUN
}

#endif

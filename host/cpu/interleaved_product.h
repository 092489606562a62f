/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix product of interleaved networks, A B in every lane. With strides for
 * both indices of A and B it is forward (h W^T), backward (delta W) and weight gradient
 * (delta^T h). Every element of C is a partial sum of fused multiply-adds in ascending order. No
 * operand is broadcast: a register tile of R x C numbers of each network makes R + C loads for
 * R C multiply-adds. */
#ifndef ESC_CPU_INTERLEAVED_PRODUCT_H
#define ESC_CPU_INTERLEAVED_PRODUCT_H

#include "cpu/gemm.h"
#include "cpu/interleaved.h"

/* The new value of C: the product, the product's partial sums continued from C, or C plus the
 * product. */
typedef enum esc_lane_result { ESC_LANE_SET, ESC_LANE_CONTINUE, ESC_LANE_ADD } esc_lane_result;

/* Strides in numbers of one network. */
typedef struct esc_lane_product {
  int rows, columns, depth;
  const float *a; /* (rows, depth, lane) */
  size_t a_row, a_depth;
  const float *b; /* (depth, columns, lane) */
  size_t b_depth, b_column;
  float *c; /* (rows, columns, lane), columns adjacent */
  size_t c_row;
  esc_lane_result result;
} esc_lane_product;

/* The tile of n.rows x n.vectors numbers at `origin`, of the lanes in one vector from `lane` on. */
static ESC_INLINED void esc_lane_tile(const esc_lane_product *p, esc_tile_origin origin, int lane,
                                      esc_tile_size n) {
  const size_t a_row = p->a_row * ESC_INTERLEAVE, a_depth = p->a_depth * ESC_INTERLEAVE;
  const size_t b_depth = p->b_depth * ESC_INTERLEAVE, b_column = p->b_column * ESC_INTERLEAVE;
  const esc_tile_stride stride = {p->c_row * ESC_INTERLEAVE, ESC_INTERLEAVE};
  const float *a = p->a + (size_t)origin.row * a_row + lane;
  const float *b = p->b + (size_t)origin.column * b_column + lane;
  float *const c = p->c + (size_t)origin.row * stride.row + origin.column * ESC_INTERLEAVE + lane;
  esc_register_tile sum;
  if (p->result == ESC_LANE_CONTINUE)
    esc_register_tile_load(c, stride, n, sum);
  else
    esc_register_tile_zero(n, sum);
  for (int left = p->depth; left > 0; left--, a += a_depth, b += b_depth) {
    esc_vec column[ESC_REGISTER_TILE_VECTORS];
#pragma GCC unroll 16
    for (int j = 0; j < n.vectors; j++) column[j] = ESC_VEC_LOAD(b + (size_t)j * b_column);
#pragma GCC unroll 16
    for (int i = 0; i < n.rows; i++) {
      const esc_vec row = ESC_VEC_LOAD(a + (size_t)i * a_row);
#pragma GCC unroll 16
      for (int j = 0; j < n.vectors; j++) sum[i][j] = ESC_VEC_FMA(row, column[j], sum[i][j]);
    }
  }
  if (p->result == ESC_LANE_ADD) esc_register_tile_add(c, stride, n, sum);
  esc_register_tile_store(n, sum, c, stride);
}

/* All rows of n.vectors columns from `column` on, the last rows in smaller tiles. */
static ESC_INLINED void esc_lane_panel(const esc_lane_product *p, int column, int lane,
                                       esc_tile_size n) {
  int row = 0;
  for (; row + n.rows <= p->rows; row += n.rows)
    esc_lane_tile(p, (esc_tile_origin){row, column}, lane, n);
  for (; row + 2 <= p->rows; row += 2)
    esc_lane_tile(p, (esc_tile_origin){row, column}, lane, (esc_tile_size){2, n.vectors});
  for (; row < p->rows; row++)
    esc_lane_tile(p, (esc_tile_origin){row, column}, lane, (esc_tile_size){1, n.vectors});
}

#ifdef __AVX512F__ /* 32 registers */
enum { ESC_LANE_TILE_ROWS = 4, ESC_LANE_TILE_COLUMNS = 4 };
#else
enum { ESC_LANE_TILE_ROWS = 4, ESC_LANE_TILE_COLUMNS = 2 };
#endif

static void esc_lane_product_compute(const esc_lane_product *p) {
  for (int lane = 0; lane < ESC_INTERLEAVE; lane += ESC_LANES) {
    int column = 0;
    for (; column + ESC_LANE_TILE_COLUMNS <= p->columns; column += ESC_LANE_TILE_COLUMNS)
      esc_lane_panel(p, column, lane, (esc_tile_size){ESC_LANE_TILE_ROWS, ESC_LANE_TILE_COLUMNS});
    for (; column < p->columns; column++)
      esc_lane_panel(p, column, lane, (esc_tile_size){2 * ESC_LANE_TILE_ROWS, 1});
  }
}

#endif

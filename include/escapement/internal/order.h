/* SPDX-License-Identifier: Apache-2.0 */
/* The one order of every sum in the float engines, so that any number of threads,
 * any instruction set and a GPU give the same bits.
 *
 * A partial sum is made by fused multiply-adds in ascending order. ESC_PARTIALS of them are
 * reduced as a binary tree: partial[j] += partial[j + half] for half = 8, 4, 2, 1.
 *
 *   pre-activations, u    one partial sum over all features
 *   dot products          ESC_PARTIALS float partials, index i in partial i mod ESC_PARTIALS; tree
 *   loss                  double partials over the samples of the minibatch, likewise; tree
 *   ledger u . kappa(z)   for each tile of ESC_TILE samples and each feature float partials of
 *                         ESC_SAMPLES_PER_PARTIAL neighbouring samples; tree. Those over the
 *                         features in double partials; tree. Tiles added in double, ascending
 *   weight gradients      float partials over samples, one for each of esc_gradient_slices
 *                         K-slices of a tile, each continued through the tiles of an accumulation
 *                         block of ESC_ACCUMULATION_BLOCK samples; a block's partials by a tree;
 *                         blocks added in double, ascending
 *   |G|^2                 each row in double partials over its columns; tree. The rows in double
 *                         partials; tree
 *
 * The engines choose only how much of it is computed at the same time. */
#ifndef ESCAPEMENT_ORDER_H
#define ESCAPEMENT_ORDER_H

#include "escapement/internal/portable.h"

enum {
  ESC_PARTIALS = 16,
  ESC_TILE = 64, /* samples of a batch tile, which pass through a network together */
  ESC_SAMPLES_PER_PARTIAL = ESC_TILE / ESC_PARTIALS,
  ESC_ACCUMULATION_BLOCK = 1024, /* samples of a float partial sum, at most */
};

/* K-slices of a weight gradient: sample s of a tile belongs to slice s / (ESC_TILE / slices).
 * Narrow networks have too few weights to occupy a GPU's threads with one slice. */
ESC_SHARED int esc_gradient_slices(int width) { return width <= 32 ? 4 : width <= 64 ? 2 : 1; }

/* partial[0] += ... + partial[ESC_PARTIALS - 1], as a tree; returns the sum. */
ESC_SHARED float esc_tree_reduce_f32(float *partial) {
  for (int half = ESC_PARTIALS / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++) partial[j] += partial[j + half];
  return partial[0];
}

ESC_SHARED double esc_tree_reduce_f64(double *partial) {
  for (int half = ESC_PARTIALS / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++) partial[j] += partial[j + half];
  return partial[0];
}

#endif

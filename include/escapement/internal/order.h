/* SPDX-License-Identifier: Apache-2.0 */
/* The one order of every sum in the float engines, so that any number of threads,
 * any instruction set and a GPU give the same bits.
 *
 *   pre-activations, u    one chain of fused multiply-adds over the features, ascending
 *   dot products          float parts, index i in part i mod ESC_PARTS, each a chain in
 *                         ascending order; parts folded in halves: part[j] += part[j + half]
 *   loss                  double parts over the samples of the minibatch, folded in halves
 *   ledger u . kappa(z)   for each tile of ESC_TILE samples and each feature float parts of
 *                         ESC_RUN samples next to each other, folded in halves; those over
 *                         the features in double parts, folded; tiles added in double,
 *                         ascending
 *   weight gradients      chains over samples, one for each of esc_gradient_chains pieces of
 *                         a tile and going on through the tiles of a slab of ESC_SLAB
 *                         samples; a slab's chains folded in halves; slabs added in double
 *   |G|^2                 each row in double parts over its columns, folded; the rows in
 *                         double parts, folded
 *
 * What is left to an engine is how much of it happens at the same time. */
#ifndef ESCAPEMENT_ORDER_H
#define ESCAPEMENT_ORDER_H

#include "escapement/internal/portable.h"

enum {
  ESC_PARTS = 16,
  ESC_TILE = 64, /* samples that go through a network together */
  ESC_RUN = ESC_TILE / ESC_PARTS,
  ESC_SLAB = 1024, /* samples of one float chain at most */
};

/* Chains of a weight gradient: sample s of a tile belongs to chain s / (ESC_TILE / chains).
 * Narrow networks have too few weights to occupy a GPU's threads with one chain each. */
ESC_SHARED int esc_gradient_chains(int width) { return width <= 32 ? 4 : width <= 64 ? 2 : 1; }

/* parts[0] += ... + parts[ESC_PARTS - 1], in halves; returns the sum. */
ESC_SHARED float esc_fold_f32(float *part) {
  for (int half = ESC_PARTS / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++) part[j] += part[j + half];
  return part[0];
}

ESC_SHARED double esc_fold_f64(double *part) {
  for (int half = ESC_PARTS / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++) part[j] += part[j + half];
  return part[0];
}

#endif

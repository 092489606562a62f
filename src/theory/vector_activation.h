/* SPDX-License-Identifier: Apache-2.0 */
/* An activation at 16 nodes at once. */
#ifndef ESCAPEMENT_THEORY_VECTOR_ACTIVATION_H
#define ESCAPEMENT_THEORY_VECTOR_ACTIVATION_H

#include "escapement/internal/problem.h"

/* Compiled for each width of vectors; the machine at hand picks. Not under sanitizers, which begin
 * after the picking, nor by clang, whose clones a caller in another file does not find. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define ESC_SIMD_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ESC_SIMD_CLONES
#endif

enum { ESC_BLOCK_LANES = 16 };

/* One number at each of the nodes that are on their way together. */
typedef double esc_block_vector[ESC_BLOCK_LANES];

/* value = sigma(z), slope = sigma'(z); bend = sigma''(z) unless NULL. */
void esc_vector_activate(const esc_activation *activation, const esc_block_vector z,
                         esc_block_vector value, esc_block_vector d1, double *d2);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* An activation at ESC_BLOCK_LANES nodes at once; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_VECTOR_ACTIVATION_H
#define ESCAPEMENT_THEORY_VECTOR_ACTIVATION_H

#include "escapement/internal/problem.h"

/* Clones for each vector width, selected at load time by the processor. Not under sanitizers, which
 * are initialised after that selection, nor with clang, whose clones cannot be called from
 * another file. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define ESC_SIMD_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ESC_SIMD_CLONES
#endif

enum { ESC_BLOCK_LANES = 16 };

/* One number for each node of a tile. */
typedef double esc_block_vector[ESC_BLOCK_LANES];

/* value = sigma(z), d1 = sigma'(z); d2 = sigma''(z) unless NULL. */
void esc_vector_activate(const esc_activation *activation, const esc_block_vector z,
                         esc_block_vector value, esc_block_vector d1, double *d2);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Functions compiled for several instruction sets, of which the processor's is called. */
#ifndef ESCAPEMENT_SIMD_CLONES_H
#define ESCAPEMENT_SIMD_CLONES_H

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

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Decorations that let one inline function serve C17 on the host and CUDA C++
 * on the device (architecture: one source for shared mathematics). */
#ifndef ESCAPEMENT_PORTABLE_H
#define ESCAPEMENT_PORTABLE_H

/* Options that let a compiler reorder sums, assume that there is no NaN or replace
 * divisions: with them diverged networks were reported as escaped and fitted slopes were wrong.
 * Not every compiler defines every macro. */
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "escapement needs IEEE arithmetic: build it without -ffast-math, -Ofast and their parts"
#endif

#ifdef __CUDACC__
#define ESC_SHARED static __host__ __device__ __forceinline__
#else
#define ESC_SHARED static inline __attribute__((always_inline, unused))
#endif

#endif

/* Decorations that let one inline function serve C17 on the host and CUDA C++
 * on the device (architecture: one source for shared mathematics). */
#ifndef ESCAPEMENT_PORTABLE_H
#define ESCAPEMENT_PORTABLE_H

#ifdef __CUDACC__
#define ESC_SHARED static __host__ __device__ __forceinline__
#else
#define ESC_SHARED static inline __attribute__((always_inline, unused))
#endif

#endif

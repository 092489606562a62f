/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA's vector types and dim3, with CUDA's sizes and alignments, for C17 and
 * C++17: UBSan then sees a misaligned float4 as the device would. */
#ifndef ESC_SIMT_VECTOR_TYPES_H
#define ESC_SIMT_VECTOR_TYPES_H

#define ESC_SIMT_VECTORS(X) \
  X(int, int)               \
  X(uint, unsigned int)     \
  X(float, float)

#define ESC_SIMT_DECLARE(name, type)   \
  typedef struct name##2 {             \
    type x, y;                         \
  }                                    \
  __attribute__((aligned(8))) name##2; \
  typedef struct name##3 {             \
    type x, y, z;                      \
  }                                    \
  name##3;                             \
  typedef struct name##4 {             \
    type x, y, z, w;                   \
  }                                    \
  __attribute__((aligned(16))) name##4;
ESC_SIMT_VECTORS(ESC_SIMT_DECLARE)
#undef ESC_SIMT_DECLARE

typedef struct double2 {
  double x, y;
} __attribute__((aligned(16))) double2;

typedef struct dim3 {
  unsigned int x, y, z;
#ifdef __cplusplus
  constexpr dim3(unsigned int vx = 1, unsigned int vy = 1, unsigned int vz = 1)
      : x(vx), y(vy), z(vz) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
#endif
} dim3;

#endif

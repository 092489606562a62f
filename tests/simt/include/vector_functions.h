/* SPDX-License-Identifier: Apache-2.0 */
/* make_float4 and similar functions. */
#ifndef ESC_SIMT_VECTOR_FUNCTIONS_H
#define ESC_SIMT_VECTOR_FUNCTIONS_H

#include "vector_types.h"

#define ESC_SIMT_INLINE static inline __attribute__((unused))
#define ESC_SIMT_MAKE(name, type)                                          \
  ESC_SIMT_INLINE name##2 make_##name##2(type x, type y) {                 \
    name##2 v = {x, y};                                                    \
    return v;                                                              \
  }                                                                        \
  ESC_SIMT_INLINE name##3 make_##name##3(type x, type y, type z) {         \
    name##3 v = {x, y, z};                                                 \
    return v;                                                              \
  }                                                                        \
  ESC_SIMT_INLINE name##4 make_##name##4(type x, type y, type z, type w) { \
    name##4 v = {x, y, z, w};                                              \
    return v;                                                              \
  }
ESC_SIMT_VECTORS(ESC_SIMT_MAKE)
#undef ESC_SIMT_MAKE

ESC_SIMT_INLINE double2 make_double2(double x, double y) {
  double2 v = {x, y};
  return v;
}

#endif

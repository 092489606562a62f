/* SPDX-License-Identifier: Apache-2.0 */
/* Intrinsics with an exact meaning: bits, loads, single roundings, min and max.
 * Approximate ones (__expf, __sincosf...) are left out on purpose: the CPU cannot
 * give their bits. */
#ifndef ESC_SIMT_INTRINSICS_H
#define ESC_SIMT_INTRINSICS_H

#include <cstdint>
#include <cstring>
#include <type_traits>

/* Bits. */
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((uint64_t{a} * b) >> 32);
}

namespace esc_simt {
template <class To, class From>
inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
} /* namespace esc_simt */

inline int __float_as_int(float x) { return esc_simt::bits_as<int>(x); }
inline unsigned __float_as_uint(float x) { return esc_simt::bits_as<unsigned>(x); }
inline float __int_as_float(int x) { return esc_simt::bits_as<float>(x); }
inline float __uint_as_float(unsigned x) { return esc_simt::bits_as<float>(x); }
inline long long __double_as_longlong(double x) { return esc_simt::bits_as<long long>(x); }
inline double __longlong_as_double(long long x) { return esc_simt::bits_as<double>(x); }

/* One rounding each, to nearest. */
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

/* Cached loads and stores. */
template <class T>
inline T __ldg(const T *address) {
  return *address;
}
template <class T>
inline T __ldcg(const T *address) {
  return *address;
}
template <class T>
inline T __ldcs(const T *address) {
  return *address;
}
template <class T>
inline void __stcg(T *address, T value) {
  *address = value;
}
template <class T>
inline void __stcs(T *address, T value) {
  *address = value;
}

/* CUDA's min and max: mixed types go to their common type; of a NaN and a number,
 * the number. */
namespace esc_simt {
template <class A, class B>
using Common =
    std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>, std::common_type_t<A, B>>;
} /* namespace esc_simt */

template <class A, class B>
inline esc_simt::Common<A, B> min(A a, B b) {
  using T = esc_simt::Common<A, B>;
  const T x = static_cast<T>(a), y = static_cast<T>(b);
  if constexpr (std::is_same_v<T, float>) {
    return fminf(x, y);
  } else if constexpr (std::is_floating_point_v<T>) {
    return fmin(x, y);
  } else {
    return y < x ? y : x;
  }
}

template <class A, class B>
inline esc_simt::Common<A, B> max(A a, B b) {
  using T = esc_simt::Common<A, B>;
  const T x = static_cast<T>(a), y = static_cast<T>(b);
  if constexpr (std::is_same_v<T, float>) {
    return fmaxf(x, y);
  } else if constexpr (std::is_floating_point_v<T>) {
    return fmax(x, y);
  } else {
    return x < y ? y : x;
  }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Functions for translated PTX (ptx_to_cc.py): the operations of the PTX manual that are no
 * operators of C++, and the lanes that a shuffle reads from.
 *
 * Bits are PTX's, not the host's: a single-precision NaN that is computed is 0x7fffffff, of
 * numbers of which one is a NaN the least is the other, shifts are clamped. Where PTX leaves a
 * result open (a division by zero) or the device would stop (a misaligned address), the process
 * ends with the line. Requires -ffp-contract=off. */
#ifndef ESC_PTX_THREADS_H
#define ESC_PTX_THREADS_H

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "esc_simt_device.h"
#include "esc_simt_mma.h"

/* A separate section, by which check_linked.py knows that a program has the translation. */
#define ESC_PTX_ENTRY __attribute__((section("esc_ptx_text"), used))
#define ESC_PTX_INLINE inline __attribute__((always_inline))

namespace esc_ptx {

using esc_simt::Site;

/* A kernel's parameter that is passed by value in memory. */
template <size_t size, size_t align>
struct Structure {
  alignas(align) char bytes[size];
};

/* --- Bits and memory. */
template <class To, class From>
ESC_PTX_INLINE To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
ESC_PTX_INLINE float f32_of_bits(uint32_t bits) { return bits_as<float>(bits); }
ESC_PTX_INLINE double f64_of_bits(uint64_t bits) { return bits_as<double>(bits); }
ESC_PTX_INLINE uint32_t bits_of_f32(float value) { return bits_as<uint32_t>(value); }
ESC_PTX_INLINE uint64_t bits_of_f64(double value) { return bits_as<uint64_t>(value); }

template <class Char>
ESC_PTX_INLINE Char *aligned(Char *address, uintptr_t size, Site site) {
  if (reinterpret_cast<uintptr_t>(address) % size != 0) esc_simt::trap("misaligned address", site);
  return address;
}

#define ESC_PTX_MEMORY(name, type)                              \
  ESC_PTX_INLINE type load_##name(const char *address) {        \
    type value;                                                 \
    std::memcpy(&value, address, sizeof value);                 \
    return value;                                               \
  }                                                             \
  ESC_PTX_INLINE void store_##name(char *address, type value) { \
    std::memcpy(address, &value, sizeof value);                 \
  }
#define ESC_PTX_INTEGER_MEMORY(bits)      \
  ESC_PTX_MEMORY(b##bits, uint##bits##_t) \
  ESC_PTX_MEMORY(u##bits, uint##bits##_t) \
  ESC_PTX_MEMORY(s##bits, int##bits##_t)
ESC_PTX_INTEGER_MEMORY(8)
ESC_PTX_INTEGER_MEMORY(16)
ESC_PTX_INTEGER_MEMORY(32)
ESC_PTX_INTEGER_MEMORY(64)
ESC_PTX_MEMORY(f32, float)
ESC_PTX_MEMORY(f64, double)
#undef ESC_PTX_INTEGER_MEMORY
#undef ESC_PTX_MEMORY

/* --- Floats. */
ESC_PTX_INLINE float canonical(float x) { return x == x ? x : f32_of_bits(0x7fffffffu); }
ESC_PTX_INLINE double canonical(double x) { return x; }
ESC_PTX_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
ESC_PTX_INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
ESC_PTX_INLINE float square_root(float a) { return __builtin_sqrtf(a); }
ESC_PTX_INLINE double square_root(double a) { return __builtin_sqrt(a); }
ESC_PTX_INLINE float absolute(float a) { return __builtin_fabsf(a); }
ESC_PTX_INLINE double absolute(double a) { return __builtin_fabs(a); }

#define ESC_PTX_ROUNDING(name, builtin)                                    \
  ESC_PTX_INLINE float name(float a) { return __builtin_##builtin##f(a); } \
  ESC_PTX_INLINE double name(double a) { return __builtin_##builtin(a); }
ESC_PTX_ROUNDING(nearest, rint)
ESC_PTX_ROUNDING(truncated, trunc)
ESC_PTX_ROUNDING(rounded_down, floor)
ESC_PTX_ROUNDING(rounded_up, ceil)
#undef ESC_PTX_ROUNDING

/* Subnormal numbers as zeros. */
ESC_PTX_INLINE float flushed(float x) {
  const uint32_t bits = bits_of_f32(x);
  return bits & 0x7f800000u ? x : f32_of_bits(bits & 0x80000000u);
}

/* One of the two floats beside `exact`: the error is less than an ulp and, to the kernels, without
 * rule. A device's own error is within the same bound. */
inline float approximation(double exact, float operand) {
  const float nearest = static_cast<float>(exact);
  const bool is_up = bits_of_f32(operand) * 0x9e3779b9u >> 31;
  const bool is_nearest = is_up ? nearest >= exact : nearest <= exact;
  if (is_nearest || exact != exact || exact - exact != 0) return flushed(nearest);
  const bool grows = is_up == (exact > 0);
  return flushed(f32_of_bits(bits_of_f32(nearest) + (grows ? 1u : 0xffffffffu)));
}
inline float reciprocal_approximation(float a) {
  return approximation(1 / static_cast<double>(flushed(a)), a);
}
inline float reciprocal_root_approximation(float a) {
  return approximation(1 / __builtin_sqrt(static_cast<double>(flushed(a))), a);
}

/* Of a NaN and a number the number; -0 is less than +0. Integers as usual. */
template <class T>
ESC_PTX_INLINE T least(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return canonical(b);
    if (a == b) return __builtin_signbit(a) ? a : b;
    return b < a ? b : a; /* a where b is a NaN */
  } else {
    return b < a ? b : a;
  }
}
template <class T>
ESC_PTX_INLINE T greatest(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return canonical(b);
    if (a == b) return __builtin_signbit(a) ? b : a;
    return b > a ? b : a;
  } else {
    return b > a ? b : a;
  }
}

/* A float that is an integer or beyond, as T: the nearest that there is. A NaN is 0 if neither
 * type has 64 bits, otherwise the number of which the highest bit alone is set. */
template <class T, class Float>
ESC_PTX_INLINE T to_integer(Float x) {
  constexpr bool wide = sizeof(T) == 8 || sizeof(Float) == 8;
  if (x != x) return wide ? static_cast<T>(uint64_t{1} << (8 * sizeof(T) - 1)) : T{0};
  const Float beyond = static_cast<Float>(std::numeric_limits<T>::max() / 2 + 1) * 2;
  if (x >= beyond) return std::numeric_limits<T>::max();
  if (x <= static_cast<Float>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  return static_cast<T>(x);
}

/* --- Integers. */
template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T>
ESC_PTX_INLINE Unsigned<T> magnitude(T a) {
  return a < 0 ? 0 - static_cast<Unsigned<T>>(a) : static_cast<Unsigned<T>>(a);
}

template <class T>
ESC_PTX_INLINE T high_half(T a, T b) {
  using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b) >> (8 * sizeof(T)));
}

/* The least number divided by -1 wraps. */
template <class T>
ESC_PTX_INLINE T quotient(T a, T b, Site site) {
  if (b == 0) esc_simt::trap("a division by zero", site);
  if (std::is_signed_v<T> && b == static_cast<T>(-1))
    return static_cast<T>(0 - static_cast<Unsigned<T>>(a));
  return static_cast<T>(a / b);
}
template <class T>
ESC_PTX_INLINE T remainder(T a, T b, Site site) {
  if (b == 0) esc_simt::trap("a division by zero", site);
  return std::is_signed_v<T> && b == static_cast<T>(-1) ? T{0} : static_cast<T>(a % b);
}

template <class T>
ESC_PTX_INLINE T shift_left(T a, uint32_t by) {
  return by < 8 * sizeof(T) ? static_cast<T>(a << by) : T{0};
}
template <class T>
ESC_PTX_INLINE T shift_right(T a, uint32_t by) {
  if (by < 8 * sizeof(T)) return static_cast<T>(a >> by);
  return a < 0 ? static_cast<T>(-1) : T{0};
}

template <class T>
ESC_PTX_INLINE uint32_t leading_zeros(T a) {
  if (a == 0) return 8 * sizeof(T);
  return static_cast<uint32_t>(sizeof(T) == 8 ? __builtin_clzll(a)
                                              : __builtin_clz(static_cast<uint32_t>(a)));
}

template <class T>
inline T reversed(T a) {
  T result = 0;
  for (size_t i = 0; i < 8 * sizeof(T); i++) result = static_cast<T>(result << 1 | (a >> i & 1));
  return result;
}

/* Bits first ... first + count - 1 of a; above them zeros, or the sign of a signed field. */
template <class T>
inline T extract_bits(T a, uint32_t first, uint32_t count) {
  constexpr uint32_t size = 8 * sizeof(T);
  const Unsigned<T> bits = static_cast<Unsigned<T>>(a);
  first &= 255;
  count &= 255;
  const uint32_t last = first + count - 1 < size - 1 ? first + count - 1 : size - 1;
  const Unsigned<T> sign = std::is_signed_v<T> && count != 0 ? bits >> last & 1 : 0;
  Unsigned<T> result = 0;
  for (uint32_t i = 0; i < size; i++)
    result |= (i < count && first + i < size ? bits >> (first + i) & 1 : sign) << i;
  return static_cast<T>(result);
}

/* b with its bits first ... first + count - 1 from the low ones of a. */
template <class T>
inline T insert_bits(T a, T b, uint32_t first, uint32_t count) {
  first &= 255;
  count &= 255;
  for (uint32_t i = 0; i < count && first + i < 8 * sizeof(T); i++) {
    const T one = T{1} << (first + i);
    b = a >> i & 1 ? b | one : b & ~one;
  }
  return b;
}

/* Byte i of the result: the byte of b:a that digit i of the selector names, or eight times its
 * sign if the digit's highest bit is set. */
inline uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t both = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; i++) {
    const uint32_t digit = selector >> (4 * i) & 15;
    uint32_t byte = static_cast<uint32_t>(both >> (8 * (digit & 7))) & 255;
    if (digit & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * i);
  }
  return result;
}

/* The function of three bits whose table of values is `table`, a being its highest argument. */
inline uint32_t logic3(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t result = 0;
  for (int i = 0; i < 32; i++)
    result |= (table >> ((a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1)) & 1) << i;
  return result;
}

/* b:a, shifted by up to 32: its high half, its low half. */
ESC_PTX_INLINE uint32_t funnel_left(uint32_t a, uint32_t b, uint32_t by) {
  return static_cast<uint32_t>((uint64_t{b} << 32 | a) << by >> 32);
}
ESC_PTX_INLINE uint32_t funnel_right(uint32_t a, uint32_t b, uint32_t by) {
  return static_cast<uint32_t>((uint64_t{b} << 32 | a) >> by);
}

/* --- Shuffles. A lane whose source is outside of its segment reads itself. */
struct Source {
  int lane;
  bool inside;
};

/* c: the mask of the bits that name a segment in bits 8 to 12, the end of lanes in bits 0 to 4. */
inline int segment_mask(uint32_t c) { return static_cast<int>(c >> 8 & 31); }
inline int first_lane(uint32_t c) { return esc_simt::lane() & segment_mask(c); }
inline int last_lane(uint32_t c) {
  return first_lane(c) | (static_cast<int>(c & 31) & ~segment_mask(c));
}

inline Source source(int lane, bool inside) { return {inside ? lane : esc_simt::lane(), inside}; }

inline Source lane_up(uint32_t by, uint32_t c) {
  const int lane = esc_simt::lane() - static_cast<int>(by & 31);
  return source(lane, lane >= last_lane(c)); /* of this mode the end is the first lane */
}
inline Source lane_down(uint32_t by, uint32_t c) {
  const int lane = esc_simt::lane() + static_cast<int>(by & 31);
  return source(lane, lane <= last_lane(c));
}
inline Source lane_across(uint32_t by, uint32_t c) {
  const int lane = esc_simt::lane() ^ static_cast<int>(by & 31);
  return source(lane, lane <= last_lane(c));
}
inline Source lane_indexed(uint32_t index, uint32_t c) {
  const int lane = first_lane(c) | (static_cast<int>(index & 31) & ~segment_mask(c));
  return source(lane, lane <= last_lane(c));
}

inline uint32_t shuffled(const char *what, Site site, uint32_t mask, uint32_t value, Source from) {
  return static_cast<uint32_t>(
      esc_simt::synchronize({esc_simt::Sync::shuffle, what, site, mask, from.lane, value}));
}

} /* namespace esc_ptx */
#endif

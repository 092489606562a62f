/* SPDX-License-Identifier: Apache-2.0 */
/* Atomic functions for the types that CUDA has them for. One thread of a kernel
 * runs at a time and never loses the processor here, so plain code is atomic. */
#ifndef ESC_SIMT_ATOMIC_H
#define ESC_SIMT_ATOMIC_H

#define ESC_SIMT_ATOMIC(name, type, change)     \
  inline type name(type *address, type value) { \
    const type old = *address;                  \
    *address = (change);                        \
    return old;                                 \
  }
/* Signed sums wrap on a device. */
inline int atomicAdd(int *address, int value) {
  const int old = *address;
  *address = static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value));
  return old;
}
ESC_SIMT_ATOMIC(atomicAdd, unsigned, old + value)
ESC_SIMT_ATOMIC(atomicAdd, unsigned long long, old + value)
ESC_SIMT_ATOMIC(atomicAdd, float, old + value)
ESC_SIMT_ATOMIC(atomicAdd, double, old + value)

#define ESC_SIMT_EXTREMES(type)                               \
  ESC_SIMT_ATOMIC(atomicMax, type, old > value ? old : value) \
  ESC_SIMT_ATOMIC(atomicMin, type, old < value ? old : value)
ESC_SIMT_EXTREMES(int)
ESC_SIMT_EXTREMES(unsigned)
ESC_SIMT_EXTREMES(long long)
ESC_SIMT_EXTREMES(unsigned long long)
#undef ESC_SIMT_EXTREMES

ESC_SIMT_ATOMIC(atomicExch, int, value)
ESC_SIMT_ATOMIC(atomicExch, unsigned, value)
ESC_SIMT_ATOMIC(atomicExch, unsigned long long, value)
ESC_SIMT_ATOMIC(atomicExch, float, value)

#define ESC_SIMT_BITS(type)                    \
  ESC_SIMT_ATOMIC(atomicAnd, type, old &value) \
  ESC_SIMT_ATOMIC(atomicOr, type, old | value) \
  ESC_SIMT_ATOMIC(atomicXor, type, old ^ value)
ESC_SIMT_BITS(int)
ESC_SIMT_BITS(unsigned)
ESC_SIMT_BITS(unsigned long long)
#undef ESC_SIMT_BITS
#undef ESC_SIMT_ATOMIC

#define ESC_SIMT_CAS(type)                                         \
  inline type atomicCAS(type *address, type compare, type value) { \
    const type old = *address;                                     \
    if (old == compare) *address = value;                          \
    return old;                                                    \
  }
ESC_SIMT_CAS(int)
ESC_SIMT_CAS(unsigned)
ESC_SIMT_CAS(unsigned long long)
#undef ESC_SIMT_CAS

#endif

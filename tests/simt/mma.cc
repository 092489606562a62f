/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices by a warp, mma.m16n8k8 of TF32: eight products and what they
 * are added to make one sum, which is rounded toward zero.
 *
 * A device's sum is less exact than this one in double: its terms lose what lies 25
 * bits (Hopper) or 24 (Ampere, four products at a time) below the largest. So a
 * device's bits are others, and kernels may need neither. Sums beyond the largest
 * float are taken to be infinite. */
#include <cmath>

#include "block.h"
#include "esc_simt_mma.h"

namespace esc_simt {
namespace {

struct Matrices {
  float a[16][8], b[8][8], c[16][8];
};

Fragment *fragment(unsigned number) {
  return reinterpret_cast<Fragment *>(static_cast<uintptr_t>(active.thread[number].wait.value));
}

void check_operand(unsigned number, const char *name, int index, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x1fffu) == 0) return;
  fail_thread(number, active.thread[number].wait.site,
              "mma.m16n8k8 is given %s[%d] = %.9g (0x%08x), which is no TF32", name, index,
              static_cast<double>(value), bits);
}

void check_operands(unsigned number) {
  const Fragment *f = fragment(number);
  for (int i = 0; i < 4; i++) check_operand(number, "a", i, f->a[i]);
  for (int i = 0; i < 2; i++) check_operand(number, "b", i, f->b[i]);
}

void gather(unsigned first, Matrices *m) {
  for (unsigned lane = 0; lane < warp_size; lane++) {
    check_operands(first + lane);
    const Fragment *f = fragment(first + lane);
    const unsigned r = lane / 4, q = lane % 4;
    for (unsigned i = 0; i < 4; i++) m->a[r + i % 2 * 8][q + i / 2 * 4] = f->a[i];
    for (unsigned i = 0; i < 2; i++) m->b[q + i * 4][r] = f->b[i];
    for (unsigned i = 0; i < 4; i++) m->c[r + i / 2 * 8][2 * q + i % 2] = f->c[i];
  }
}

float toward_zero(double x) {
  const float near = static_cast<float>(x);
  const bool beyond = std::isfinite(near) && std::fabs(static_cast<double>(near)) > std::fabs(x);
  return beyond ? std::nextafterf(near, 0.0f) : near;
}

float entry(const Matrices &m, unsigned row, unsigned column) {
  double sum = static_cast<double>(m.c[row][column]);
  for (unsigned k = 0; k < 8; k++)
    sum += static_cast<double>(m.a[row][k]) * static_cast<double>(m.b[k][column]);
  return toward_zero(sum);
}

} /* namespace */

void warp_product(unsigned first) {
  Matrices m;
  gather(first, &m);
  for (unsigned lane = 0; lane < warp_size; lane++)
    for (unsigned i = 0; i < 4; i++)
      fragment(first + lane)->c[i] = entry(m, lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2);
}

} /* namespace esc_simt */

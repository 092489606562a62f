/* SPDX-License-Identifier: Apache-2.0 */
/* Synchronization of the lanes of a warp: shuffles, votes, __syncwarp and matrix products (mma.cc).
 * It completes when every lane of the mask waits in the same call with the same mask; all results
 * are computed at that moment. */
#include <cstring>

#include "block.h"

namespace esc_simt {

bool same_sync(const Wait &a, const Wait &b) {
  return a.site.line == b.site.line && (a.what == b.what || strcmp(a.what, b.what) == 0) &&
         (a.site.file == b.site.file || strcmp(a.site.file, b.site.file) == 0);
}

namespace {

bool waits_in_warp(unsigned number) {
  return number < active.threads && active.thread[number].state == State::waiting &&
         active.thread[number].wait.kind != Sync::block;
}

bool complete(unsigned first, const Wait &wait) {
  for (unsigned rest = wait.mask; rest != 0; rest &= rest - 1) {
    const unsigned number = first + static_cast<unsigned>(__builtin_ctz(rest));
    if (!waits_in_warp(number)) return false;
    const Wait &other = active.thread[number].wait;
    if (other.mask != wait.mask || !same_sync(other, wait)) return false;
  }
  return true;
}

unsigned ballot(unsigned first, unsigned mask) {
  unsigned lanes = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    lanes |= static_cast<unsigned>(active.thread[first + lane].wait.value) << lane;
  }
  return lanes;
}

uint64_t shuffled(unsigned first, unsigned number) {
  const Wait &wait = active.thread[number].wait;
  if (!((wait.mask >> wait.source) & 1)) {
    fail_thread(number, wait.site, "%s reads from lane %d, which is not in mask 0x%08x", wait.what,
                wait.source, wait.mask);
  }
  return active.thread[first + static_cast<unsigned>(wait.source)].wait.value;
}

void release(unsigned first, const Wait &wait) {
  const unsigned mask = wait.mask;
  const bool vote = wait.kind == Sync::vote, product = wait.kind == Sync::product;
  if (product) warp_product(first);
  const unsigned votes = vote ? ballot(first, mask) : 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const unsigned number = first + static_cast<unsigned>(__builtin_ctz(rest));
    active.thread[number].result = vote ? votes : product ? 0 : shuffled(first, number);
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    active.thread[first + static_cast<unsigned>(__builtin_ctz(rest))].state = State::ready;
  }
}

} /* namespace */

bool warp_release(unsigned first) {
  bool any = false;
  for (unsigned lane = 0; lane < warp_size; lane++) {
    if (!waits_in_warp(first + lane)) continue;
    const Wait &wait = active.thread[first + lane].wait;
    if (!complete(first, wait)) continue;
    release(first, wait);
    any = true;
  }
  return any;
}

} /* namespace esc_simt */

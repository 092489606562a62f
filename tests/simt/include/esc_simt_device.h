/* SPDX-License-Identifier: Apache-2.0 */
/* Thread indices, barriers, shuffles and votes of kernels.
 *
 * Each synchronization has its source line; threads synchronize only at the same line. */
#ifndef ESC_SIMT_DEVICE_H
#define ESC_SIMT_DEVICE_H

#include <cstdint>
#include <cstring>

#include "vector_types.h"

namespace esc_simt {

/* Indices of the running thread. */
struct Position {
  uint3 thread, block;
  dim3 block_size, grid_size;
  void *shared; /* 16-byte aligned */
};
extern Position position;

struct Site {
  const char *file;
  int line;
  static constexpr Site here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

enum class Sync { block, vote, shuffle, product };

/* A synchronization that a thread waits in. */
struct Wait {
  Sync kind;
  const char *what; /* name of the intrinsic */
  Site site;
  unsigned mask;  /* participating lanes; unused for a barrier of the block */
  int source;     /* lane that a shuffle reads from */
  uint64_t value; /* shuffled value; predicate, 0 or 1; address of a Fragment */
};

/* Waits for all participating threads. Returns the number of predicates that are 1 for a block, the
 * lanes with predicate 1 for a vote, and the value of the source lane for a shuffle. */
uint64_t synchronize(const Wait &wait);

/* Lane of the running thread in its warp. */
int lane();

/* Ends the process with a message: kernel, block, thread and source line. */
[[noreturn]] void trap(const char *what, Site site);

inline uint64_t sync_block(const char *what, Site site, int predicate = 0) {
  return synchronize({Sync::block, what, site, 0, 0, predicate != 0});
}

inline unsigned sync_warp(const char *what, Site site, unsigned mask, int predicate = 0) {
  return static_cast<unsigned>(synchronize({Sync::vote, what, site, mask, 0, predicate != 0}));
}

template <class T>
inline T shuffle(const char *what, Site site, unsigned mask, T value, int source, int width) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0) {
    trap("the width of a shuffle is not 1, 2, 4, 8, 16 or 32", site);
  }
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = synchronize({Sync::shuffle, what, site, mask, source, bits});
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/* Source lanes of shuffles; a lane outside its group of `width` is replaced by the caller. */
inline int lane_at(int index, int width) { return (lane() & ~(width - 1)) | (index & (width - 1)); }
inline int lane_above(unsigned delta, int width) {
  const int first = lane() & ~(width - 1);
  return delta <= static_cast<unsigned>(lane() - first) ? lane() - static_cast<int>(delta) : lane();
}
inline int lane_below(unsigned delta, int width) {
  const int last = lane() | (width - 1);
  return delta <= static_cast<unsigned>(last - lane()) ? lane() + static_cast<int>(delta) : lane();
}
inline int lane_across(int mask, int width) {
  const int source = lane() ^ (mask & 31);
  return source <= (lane() | (width - 1)) ? source : lane();
}

inline const uint3 &thread_index() { return position.thread; }
inline const uint3 &block_index() { return position.block; }
inline const dim3 &block_size() { return position.block_size; }
inline const dim3 &grid_size() { return position.grid_size; }

} /* namespace esc_simt */

#define threadIdx (esc_simt::thread_index())
#define blockIdx (esc_simt::block_index())
#define blockDim (esc_simt::block_size())
#define gridDim (esc_simt::grid_size())
constexpr int warpSize = 32;

inline void __syncthreads(esc_simt::Site site = esc_simt::Site::here()) {
  esc_simt::sync_block("__syncthreads", site);
}
inline int __syncthreads_count(int p, esc_simt::Site site = esc_simt::Site::here()) {
  return static_cast<int>(esc_simt::sync_block("__syncthreads_count", site, p));
}
inline int __syncthreads_or(int p, esc_simt::Site site = esc_simt::Site::here()) {
  return esc_simt::sync_block("__syncthreads_or", site, p) != 0;
}
inline int __syncthreads_and(int p, esc_simt::Site site = esc_simt::Site::here()) {
  const uint64_t all = uint64_t{blockDim.x} * blockDim.y * blockDim.z;
  return esc_simt::sync_block("__syncthreads_and", site, p) == all;
}

inline void __syncwarp(unsigned mask = 0xffffffffu, esc_simt::Site site = esc_simt::Site::here()) {
  esc_simt::sync_warp("__syncwarp", site, mask);
}
inline unsigned __ballot_sync(unsigned mask, int p, esc_simt::Site site = esc_simt::Site::here()) {
  return esc_simt::sync_warp("__ballot_sync", site, mask, p);
}
inline int __any_sync(unsigned mask, int p, esc_simt::Site site = esc_simt::Site::here()) {
  return esc_simt::sync_warp("__any_sync", site, mask, p) != 0;
}
inline int __all_sync(unsigned mask, int p, esc_simt::Site site = esc_simt::Site::here()) {
  return esc_simt::sync_warp("__all_sync", site, mask, p) == mask;
}

/* Deterministic kernels must not depend on the set of converged lanes. */
unsigned __activemask() __attribute__((error("__activemask is not deterministic: name the mask")));

#define ESC_SIMT_SHUFFLES(type)                                                                   \
  inline type __shfl_sync(unsigned mask, type v, int source, int width = 32,                      \
                          esc_simt::Site site = esc_simt::Site::here()) {                         \
    return esc_simt::shuffle("__shfl_sync", site, mask, v, esc_simt::lane_at(source, width),      \
                             width);                                                              \
  }                                                                                               \
  inline type __shfl_up_sync(unsigned mask, type v, unsigned delta, int width = 32,               \
                             esc_simt::Site site = esc_simt::Site::here()) {                      \
    return esc_simt::shuffle("__shfl_up_sync", site, mask, v, esc_simt::lane_above(delta, width), \
                             width);                                                              \
  }                                                                                               \
  inline type __shfl_down_sync(unsigned mask, type v, unsigned delta, int width = 32,             \
                               esc_simt::Site site = esc_simt::Site::here()) {                    \
    return esc_simt::shuffle("__shfl_down_sync", site, mask, v,                                   \
                             esc_simt::lane_below(delta, width), width);                          \
  }                                                                                               \
  inline type __shfl_xor_sync(unsigned mask, type v, int across, int width = 32,                  \
                              esc_simt::Site site = esc_simt::Site::here()) {                     \
    return esc_simt::shuffle("__shfl_xor_sync", site, mask, v,                                    \
                             esc_simt::lane_across(across, width), width);                        \
  }
ESC_SIMT_SHUFFLES(int)
ESC_SIMT_SHUFFLES(unsigned)
ESC_SIMT_SHUFFLES(long long)
ESC_SIMT_SHUFFLES(unsigned long long)
ESC_SIMT_SHUFFLES(float)
ESC_SIMT_SHUFFLES(double)
#undef ESC_SIMT_SHUFFLES

/* One thread runs at a time, so all earlier writes are visible. */
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

[[noreturn]] inline void __trap(esc_simt::Site site = esc_simt::Site::here()) {
  esc_simt::trap("__trap", site);
}

#endif

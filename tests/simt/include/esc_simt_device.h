/* SPDX-License-Identifier: Apache-2.0 */
/* Thread indices, barriers, shuffles and votes, as kernels write them.
 *
 * Every one that waits knows its source line: threads meet only at the same one. */
#ifndef ESC_SIMT_DEVICE_H
#define ESC_SIMT_DEVICE_H

#include <cstdint>
#include <cstring>

#include "vector_types.h"

namespace esc_simt {

/* Where the thread that runs now stands. */
struct Place {
  uint3 thread, block;
  dim3 block_size, grid_size;
  void *shared; /* 16-byte aligned */
};
extern Place place;

struct Site {
  const char *file;
  int line;
  static constexpr Site here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

enum class Meet { block, vote, shuffle, product };

/* What a thread brings to a meeting. */
struct Wait {
  Meet meet;
  const char *what; /* the intrinsic's name */
  Site site;
  unsigned mask;  /* lanes that must come; unused at a block's barrier */
  int source;     /* lane that a shuffle reads from */
  uint64_t value; /* what is shuffled; a predicate, 0 or 1; where a Fragment is */
};

/* Waits until all have come. Returns, for a block, how many predicates are 1; for
 * a vote the lanes whose predicate is 1; for a shuffle the source lane's value. */
uint64_t meet(const Wait &wait);

/* Lane of the running thread in its warp. */
int lane();

/* Ends the process with kernel, block, thread and place. */
[[noreturn]] void trap(const char *what, Site site);

inline uint64_t meet_block(const char *what, Site site, int predicate = 0) {
  return meet({Meet::block, what, site, 0, 0, predicate != 0});
}

inline unsigned meet_warp(const char *what, Site site, unsigned mask, int predicate = 0) {
  return static_cast<unsigned>(meet({Meet::vote, what, site, mask, 0, predicate != 0}));
}

template <class T>
inline T shuffle(const char *what, Site site, unsigned mask, T value, int source, int width) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0) {
    trap("the width of a shuffle is not 1, 2, 4, 8, 16 or 32", site);
  }
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = meet({Meet::shuffle, what, site, mask, source, bits});
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/* Lanes that shuffles read from; one beyond its group of `width` reads itself. */
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

inline const uint3 &thread_index() { return place.thread; }
inline const uint3 &block_index() { return place.block; }
inline const dim3 &block_size() { return place.block_size; }
inline const dim3 &grid_size() { return place.grid_size; }

} /* namespace esc_simt */

#define threadIdx (esc_simt::thread_index())
#define blockIdx (esc_simt::block_index())
#define blockDim (esc_simt::block_size())
#define gridDim (esc_simt::grid_size())
constexpr int warpSize = 32;

inline void __syncthreads(esc_simt::Site site = esc_simt::Site::here()) {
  esc_simt::meet_block("__syncthreads", site);
}
inline int __syncthreads_count(int p, esc_simt::Site site = esc_simt::Site::here()) {
  return static_cast<int>(esc_simt::meet_block("__syncthreads_count", site, p));
}
inline int __syncthreads_or(int p, esc_simt::Site site = esc_simt::Site::here()) {
  return esc_simt::meet_block("__syncthreads_or", site, p) != 0;
}
inline int __syncthreads_and(int p, esc_simt::Site site = esc_simt::Site::here()) {
  const uint64_t all = uint64_t{blockDim.x} * blockDim.y * blockDim.z;
  return esc_simt::meet_block("__syncthreads_and", site, p) == all;
}

inline void __syncwarp(unsigned mask = 0xffffffffu, esc_simt::Site site = esc_simt::Site::here()) {
  esc_simt::meet_warp("__syncwarp", site, mask);
}
inline unsigned __ballot_sync(unsigned mask, int p, esc_simt::Site site = esc_simt::Site::here()) {
  return esc_simt::meet_warp("__ballot_sync", site, mask, p);
}
inline int __any_sync(unsigned mask, int p, esc_simt::Site site = esc_simt::Site::here()) {
  return esc_simt::meet_warp("__any_sync", site, mask, p) != 0;
}
inline int __all_sync(unsigned mask, int p, esc_simt::Site site = esc_simt::Site::here()) {
  return esc_simt::meet_warp("__all_sync", site, mask, p) == mask;
}

/* What lanes happen to run together is not for a deterministic kernel to ask. */
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

/* One thread runs at a time and sees all that was written before. */
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

[[noreturn]] inline void __trap(esc_simt::Site site = esc_simt::Site::here()) {
  esc_simt::trap("__trap", site);
}

#endif

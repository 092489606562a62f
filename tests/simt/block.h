/* SPDX-License-Identifier: Apache-2.0 */
/* A block of threads as fibres: its state, shared by the files that run it
 * (block.cc), let warps meet (warp.cc) and say what went wrong (report.cc). */
#ifndef ESC_SIMT_BLOCK_H
#define ESC_SIMT_BLOCK_H

#include <cstdint>
#include <functional>

#include "esc_simt_device.h"
#include "fibre.h"

namespace esc_simt {

constexpr unsigned warp_size = 32;
constexpr unsigned max_threads = 1024;

enum class State { ready, waiting, returned };

struct Thread {
  Fibre fibre;
  State state;
  uint3 index;
  Wait wait;       /* while waiting */
  uint64_t result; /* of the last meeting */
};

/* The block that runs. */
struct Block {
  const char *kernel;
  const std::function<void()> *body;
  unsigned threads;
  unsigned running; /* number of the thread that runs; max_threads when none does */
  Thread thread[max_threads];
};
extern Block active;

/* The next lane of this warp's meetings that can begin: true if any thread was made
 * ready. `first` is the number of the warp's lane 0. */
bool warp_release(unsigned first);

/* What the lanes of a warp, all at one product of matrices, wait for (mma.cc). */
void warp_product(unsigned first);

/* Do two waits belong to one meeting? (Masks aside.) */
bool same_meeting(const Wait &a, const Wait &b);

/* Runs blocks of `kernel`: see launch.cc. Fresh shared memory for each. */
void run_grid(const char *kernel, const std::function<void()> &body, dim3 grid, dim3 size,
              size_t shared_bytes);

/* The process ends with what is wrong: kernel, block, and who waits where. */
[[noreturn]] void fail_meeting();
[[noreturn]] void fail_thread(unsigned number, Site site, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

} /* namespace esc_simt */
#endif

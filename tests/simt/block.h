/* SPDX-License-Identifier: Apache-2.0 */
/* A block of threads as fibres: state shared by block.cc (runs it), warp.cc (synchronizes warps)
 * and report.cc (reports errors). */
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
  uint64_t result; /* of the last synchronization */
};

/* The running block. */
struct Block {
  const char *kernel;
  const std::function<void()> *body;
  unsigned threads;
  unsigned running; /* index of the running thread; max_threads if none */
  Thread thread[max_threads];
};
extern Block active;

/* Completes the synchronizations of a warp whose lanes have all arrived; true if a thread became
 * ready. `first` is the index of lane 0. */
bool warp_release(unsigned first);

/* Computes the matrix product that all lanes of a warp wait for (mma.cc). */
void warp_product(unsigned first);

/* True for the same call at the same line; masks are not compared. */
bool same_sync(const Wait &a, const Wait &b);

/* Runs the blocks of `kernel` (launch.cc), each with new shared memory. */
void run_grid(const char *kernel, const std::function<void()> &body, dim3 grid, dim3 size,
              size_t shared_bytes);

/* End the process with a message: the error, kernel, block, and the waiting threads. */
[[noreturn]] void fail_sync();
[[noreturn]] void fail_thread(unsigned number, Site site, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

} /* namespace esc_simt */
#endif

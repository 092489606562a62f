/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the blocks of a launch, one after the other.
 *
 * Within a block warps run in turn, the lanes of a warp in turn, each thread until
 * it waits or returns. A warp continues as long as its synchronizations (shuffles, votes)
 * complete; when no warp can, the block's barrier must be complete. */
#include "block.h"

#include <cstdlib>
#include <memory>
#include <vector>

#include "memory.h"
#include "order.h"

namespace esc_simt {

Position position;
Block active;

namespace {

std::vector<uint32_t> lane_order, warp_order;

/* Order of the lanes of the running warp. */
unsigned warp_first;
size_t turn;

/* Makes the next ready thread of the warp the running one and returns it; NULL if there is none. */
Thread *next_thread() {
  while (turn < lane_order.size()) {
    const unsigned number = warp_first + lane_order[turn++];
    if (number >= active.threads || active.thread[number].state != State::ready) continue;
    active.running = number;
    position.thread = active.thread[number].index;
    return &active.thread[number];
  }
  active.running = max_threads;
  return nullptr;
}

/* Ends the running thread's turn. Straight to the next: the return addresses that
 * the processor foresees are then right, which halves the cost of a switch. */
void end_turn() {
  Thread *next = next_thread();
  if (next != nullptr) {
    fibre_hand_over(&next->fibre);
  } else {
    fibre_yield();
  }
}

/* Entry of each fibre: runs the kernel once per block, without end. */
void thread_loop() {
  for (;;) {
    (*active.body)();
    active.thread[active.running].state = State::returned;
    end_turn();
  }
}

void begin_threads(dim3 size) {
  active.threads = size.x * size.y * size.z;
  for (unsigned i = 0; i < active.threads; i++) {
    Thread &thread = active.thread[i];
    if (thread.fibre.stack == nullptr) fibre_create(&thread.fibre, i, thread_loop);
    thread.state = State::ready;
    thread.index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
  }
}

void renew_order() {
  order_fill(&lane_order, warp_size);
  order_fill(&warp_order, (active.threads + warp_size - 1) / warp_size);
}

void run_warp(unsigned first) {
  do {
    warp_first = first;
    turn = 0;
    Thread *thread = next_thread();
    if (thread != nullptr) fibre_resume(&thread->fibre);
  } while (warp_release(first));
}

bool all_returned() {
  for (unsigned i = 0; i < active.threads; i++) {
    if (active.thread[i].state != State::returned) return false;
  }
  return true;
}

/* Releases all threads; each must wait at the same barrier. */
void release_block() {
  const Wait &wait = active.thread[0].wait;
  uint64_t count = 0;
  for (unsigned i = 0; i < active.threads; i++) {
    const Thread &thread = active.thread[i];
    if (thread.state != State::waiting || thread.wait.kind != Sync::block ||
        !same_sync(thread.wait, wait)) {
      fail_sync();
    }
    count += thread.wait.value;
  }
  for (unsigned i = 0; i < active.threads; i++) {
    active.thread[i].result = count;
    active.thread[i].state = State::ready;
  }
}

void run_block(dim3 size) {
  begin_threads(size);
  for (;;) {
    renew_order();
    for (const uint32_t warp : warp_order) run_warp(warp * warp_size);
    if (all_returned()) return;
    release_block();
  }
}

} /* namespace */

uint64_t synchronize(const Wait &wait) {
  Thread &thread = active.thread[active.running];
  if (wait.kind != Sync::block && !((wait.mask >> lane()) & 1)) {
    fail_thread(active.running, wait.site, "%s with mask 0x%08x, which lacks lane %d that calls it",
                wait.what, wait.mask, lane());
  }
  thread.wait = wait;
  thread.state = State::waiting;
  end_turn();
  return thread.result;
}

int lane() { return static_cast<int>(active.running % warp_size); }

void trap(const char *what, Site site) { fail_thread(active.running, site, "%s", what); }

void run_grid(const char *kernel, const std::function<void()> &body, dim3 grid, dim3 size,
              size_t shared_bytes) {
  std::vector<uint32_t> block_order;
  order_fill(&block_order, size_t{grid.x} * grid.y * grid.z);
  active.kernel = kernel;
  active.body = &body;
  position.block_size = size;
  position.grid_size = grid;
  for (const uint32_t number : block_order) {
    /* Allocated for each block, so that AddressSanitizer knows its exact end. */
    const std::unique_ptr<void, void (*)(void *)> shared(malloc(shared_bytes), free);
    position.shared = shared.get();
    memory_poison(position.shared, shared_bytes);
    position.block = {number % grid.x, number / grid.x % grid.y, number / (grid.x * grid.y)};
    run_block(size);
  }
  position.shared = nullptr;
}

} /* namespace esc_simt */

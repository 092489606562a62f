/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the blocks of a launch, one after the other.
 *
 * Within a block warps run in turn, the lanes of a warp in turn, each thread until
 * it waits or returns. A warp goes on as long as its own meetings (shuffles, votes)
 * complete; when no warp can, the block's barrier must be complete. */
#include "block.h"

#include <cstdlib>
#include <memory>
#include <vector>

#include "memory.h"
#include "order.h"

namespace esc_simt {

Place place;
Block active;

namespace {

std::vector<uint32_t> lane_order, warp_order;

/* Whose turn it is in the warp that runs. */
unsigned warp_first;
size_t turn;

/* The next thread of the warp that can run, made the running one; NULL if none. */
Thread *next_thread() {
  while (turn < lane_order.size()) {
    const unsigned number = warp_first + lane_order[turn++];
    if (number >= active.threads || active.thread[number].state != State::ready) continue;
    active.running = number;
    place.thread = active.thread[number].index;
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

/* What every fibre runs, for ever: the kernel, once a block. */
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

/* Every thread must wait at one barrier: then all go on. */
void release_block() {
  const Wait &wait = active.thread[0].wait;
  uint64_t count = 0;
  for (unsigned i = 0; i < active.threads; i++) {
    const Thread &thread = active.thread[i];
    if (thread.state != State::waiting || thread.wait.meet != Meet::block ||
        !same_meeting(thread.wait, wait)) {
      fail_meeting();
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

uint64_t meet(const Wait &wait) {
  Thread &thread = active.thread[active.running];
  if (wait.meet != Meet::block && !((wait.mask >> lane()) & 1)) {
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
  place.block_size = size;
  place.grid_size = grid;
  for (const uint32_t number : block_order) {
    /* malloc'd anew, so that AddressSanitizer sees its exact end. */
    const std::unique_ptr<void, void (*)(void *)> shared(malloc(shared_bytes), free);
    place.shared = shared.get();
    memory_poison(place.shared, shared_bytes);
    place.block = {number % grid.x, number / grid.x % grid.y, number / (grid.x * grid.y)};
    run_block(size);
  }
  place.shared = nullptr;
}

} /* namespace esc_simt */

/* SPDX-License-Identifier: Apache-2.0 */
/* Switching stacks: by hand on x86-64 (swapcontext makes a system call a switch),
 * with ucontext elsewhere or where ESC_SIMT_UCONTEXT asks for it. */
#include "fibre.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__) && !defined(ESC_SIMT_UCONTEXT)
#define ESC_SIMT_UCONTEXT
#endif
#ifdef ESC_SIMT_UCONTEXT
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace esc_simt {
namespace {

constexpr size_t stack_bytes = 256 * 1024;
Fibre host; /* the caller of fibre_resume */
Fibre *running;
void (*first_entry)();

#ifdef __SANITIZE_ADDRESS__
Fibre *left; /* fibre before the last switch */

void leave(Fibre *from, const Fibre &to) {
  left = from;
  __sanitizer_start_switch_fiber(&from->fake_stack, to.stack, to.size);
}
/* The stack of the host may change between resumes; its bounds are stored here. */
void arrive(const Fibre &at) {
  const void *bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(at.fake_stack, &bottom, &size);
  left->stack = static_cast<char *>(const_cast<void *>(bottom));
  left->size = size;
}
#else
void leave(Fibre *, const Fibre &) {}
void arrive(const Fibre &) {}
#endif

/* First function on a new stack. */
void begin() {
  arrive(*running);
  first_entry();
  abort(); /* an entry never returns */
}

} /* namespace */

#ifdef ESC_SIMT_UCONTEXT
namespace {
ucontext_t *context_of(Fibre *fibre) {
  if (fibre->context == nullptr) fibre->context = new ucontext_t;
  return static_cast<ucontext_t *>(fibre->context);
}
void prepare(Fibre *fibre, char *top) {
  ucontext_t *context = context_of(fibre);
  getcontext(context);
  context->uc_stack.ss_sp = fibre->stack;
  context->uc_stack.ss_size = static_cast<size_t>(top - fibre->stack);
  context->uc_link = nullptr;
  makecontext(context, begin, 0);
}
void switch_to(Fibre *from, Fibre *to) { swapcontext(context_of(from), context_of(to)); }
} /* namespace */
#else
/* Saves the registers that a callee must keep on the stack of the caller, `*from`
 * = its stack pointer, and takes up `to` where it was saved so. */
extern "C" void esc_simt_switch(void **from, void *to);
asm(R"(
.text
.globl esc_simt_switch
.type esc_simt_switch, @function
esc_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size esc_simt_switch, . - esc_simt_switch
)");
namespace {
/* As if begin() had been called from address 0 and switched away at once. */
void prepare(Fibre *fibre, char *top) {
  void **frame = reinterpret_cast<void **>(top) - 8;
  for (int i = 0; i < 8; i++) frame[i] = nullptr;
  frame[6] = reinterpret_cast<void *>(begin);
  fibre->context = frame;
}
void switch_to(Fibre *from, Fibre *to) { esc_simt_switch(&from->context, to->context); }
} /* namespace */
#endif

void fibre_create(Fibre *fibre, unsigned number, void (*entry)()) {
  const size_t guard = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void *memory = mmap(nullptr, stack_bytes + guard, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, guard, PROT_NONE) != 0) {
    perror("simt: no stack for a fibre");
    abort();
  }
  first_entry = entry;
  fibre->stack = static_cast<char *>(memory) + guard;
  fibre->size = stack_bytes;
  prepare(fibre, fibre->stack + stack_bytes - number % 61 * 64);
}

void fibre_resume(Fibre *fibre) {
  running = fibre;
  leave(&host, *fibre);
  switch_to(&host, fibre);
  arrive(host);
}

void fibre_hand_over(Fibre *next) {
  Fibre *self = running;
  running = next;
  leave(self, *next);
  switch_to(self, next);
  arrive(*self);
}

void fibre_yield() {
  Fibre *self = running;
  leave(self, host);
  switch_to(self, &host);
  arrive(*self);
}

} /* namespace esc_simt */

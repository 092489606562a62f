/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of an arena: blocks, each with a guard behind it that tells where the block begins.
 *
 *   | block | slack to the alignment | guard | block | ...
 *
 * Slack and guard hold a pattern; the guard's last words are the block's offset and bytes. */
#include "escapement/internal/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ESC_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ESC_HAS_ASAN 1
#endif
#endif
#ifdef ESC_HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(from, size) ((void)(from), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(from, size) ((void)(from), (void)(size))
#endif

enum { PATTERN = 0xa5, GUARD = ESC_ARENA_ALIGNMENT };

typedef struct block {
  size_t begin, bytes;
} block;

static size_t round_up(size_t bytes) {
  return (bytes + ESC_ARENA_ALIGNMENT - 1) / ESC_ARENA_ALIGNMENT * ESC_ARENA_ALIGNMENT;
}

/* An error of the program, not of its input. */
static _Noreturn void fail(const char *what, size_t bytes, size_t size) {
  fprintf(stderr, "escapement: error in the program: a workspace block of %zu bytes %s of %zu\n",
          bytes, what, size);
  abort();
}

static void set_guard(const esc_arena *a, block b) {
  char *const from = a->memory + b.begin + b.bytes, *const end = a->memory + a->used;
  memset(from, PATTERN, (size_t)(end - from));
  memcpy(end - sizeof b, &b, sizeof b);
  ASAN_POISON_MEMORY_REGION(from, (size_t)(end - from));
}

void *esc_arena_carve(esc_arena *a, size_t count, size_t each) {
  size_t bytes;
  const size_t begin = a->used;
  if (__builtin_mul_overflow(count, each, &bytes) || bytes > SIZE_MAX / 4)
    fail("exceeds the memory", count, a->size);
  const size_t end = begin + round_up(bytes) + GUARD;
  if (a->memory && end > a->size) fail("does not fit into its arena", bytes, a->size);
  a->used = end;
  if (end > a->most) a->most = end;
  if (!a->memory) return NULL;
  ASAN_UNPOISON_MEMORY_REGION(a->memory + begin, end - begin);
  set_guard(a, (block){begin, bytes});
  return a->memory + begin;
}

size_t esc_arena_mark(const esc_arena *a) { return a->used; }

/* The last block, its guard checked. */
static block check_last(const esc_arena *a) {
  block b;
  const char *const end = a->memory + a->used;
  ASAN_UNPOISON_MEMORY_REGION(end - GUARD, GUARD);
  memcpy(&b, end - sizeof b, sizeof b);
  if (b.begin >= a->used || b.begin + round_up(b.bytes) + GUARD != a->used)
    fail("was overrun in an arena", 0, a->size);
  const char *const from = a->memory + b.begin + b.bytes;
  ASAN_UNPOISON_MEMORY_REGION(from, (size_t)(end - from));
  for (const char *c = from; c < end - sizeof b; c++)
    if (*c != (char)PATTERN) fail("was overrun in an arena", b.bytes, a->size);
  ASAN_POISON_MEMORY_REGION(a->memory + b.begin, (size_t)(end - a->memory) - b.begin);
  return b;
}

void esc_arena_release(esc_arena *a, size_t mark) {
  while (a->memory && a->used > mark) a->used = check_last(a).begin;
  a->used = mark;
}

esc_status esc_arena_create(esc_arena measured, esc_arena *a) {
  esc_status status = ESC_OK;
  *a = (esc_arena){.size = measured.most + ESC_ARENA_ALIGNMENT};
  ESC_TRY_ALLOCATE(a->memory = aligned_alloc(ESC_ARENA_ALIGNMENT, a->size));
  memset(a->memory, 0xff, a->size);
  a->size = measured.most;
  ASAN_POISON_MEMORY_REGION(a->memory, a->size);
done:
  return status;
}

void esc_arena_free(esc_arena *a) {
  if (!a->memory) return;
  esc_arena_release(a, 0);
  ASAN_UNPOISON_MEMORY_REGION(a->memory, a->size);
  free(a->memory);
  *a = (esc_arena){0};
}

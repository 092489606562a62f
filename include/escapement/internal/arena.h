/* SPDX-License-Identifier: Apache-2.0 */
/* Workspaces: memory that is sized and divided by one description.
 *
 * A function describes a workspace by the blocks that it carves. Run on an arena without memory it
 * measures, run on one with memory it carves, so that size and division cannot differ:
 *
 *   static void describe(esc_arena *a, esc_shape s, vectors *v) {
 *     v->left = ESC_CARVE(a, double, s.width);
 *     ...
 *   }
 *
 * Blocks are given back to a mark, last first; what is carved after that uses their memory again,
 * and the size is the largest sum at any time. Behind each block lies a guard; whoever writes into
 * it, or carves more than was measured, ends the program with a message: memory that is not the
 * block's was or would be overwritten, and no number could be trusted. AddressSanitizer sees
 * everything but the blocks as not addressable. */
#ifndef ESCAPEMENT_ARENA_H
#define ESCAPEMENT_ARENA_H

#include <stddef.h>

#include "escapement/internal/status.h"

enum { ESC_ARENA_ALIGNMENT = 64 }; /* bytes: a cache line, the widest vector */

/* All zero: measures. */
typedef struct esc_arena {
  char *memory; /* (size) owned; NULL: measures */
  size_t size, used, most;
} esc_arena;

/* A block of `count` elements of `each` bytes, aligned to ESC_ARENA_ALIGNMENT, of any content.
 * NULL while measuring: what describes must not use it. */
void *esc_arena_carve(esc_arena *arena, size_t count, size_t each);
#define ESC_CARVE(arena, type, count) \
  ((type *)esc_arena_carve((arena), (size_t)(count), sizeof(type)))

/* esc_arena_release gives back the blocks carved since the mark, and checks their guards. */
size_t esc_arena_mark(const esc_arena *arena);
void esc_arena_release(esc_arena *arena, size_t mark);

/* Memory for what `measured` measured, every byte 0xff: doubles and floats are NaN. Free with
 * esc_arena_free, which checks the guards of the blocks not given back. */
esc_status esc_arena_create(esc_arena measured, esc_arena *arena);
void esc_arena_free(esc_arena *arena);

/* Bytes of memory that `measured` takes. */
static inline double esc_arena_bytes(esc_arena measured) { return (double)measured.most; }

#endif

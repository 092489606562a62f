/* SPDX-License-Identifier: Apache-2.0 */
/* Fibres: stacks of their own that run until they yield. One is used again and
 * again; AddressSanitizer is told of every switch. */
#ifndef ESC_SIMT_FIBRE_H
#define ESC_SIMT_FIBRE_H

#include <cstddef>

namespace esc_simt {

struct Fibre {
  void *context = nullptr; /* where it stopped; see fibre.cc */
  char *stack = nullptr;   /* lowest byte */
  size_t size = 0;
  void *fake_stack = nullptr; /* AddressSanitizer's */
};

/* Maps a stack for `fibre`, once; the fibre will run `entry`, which never returns.
 * `number` staggers the stacks' tops, lest all share the same cache lines. */
void fibre_create(Fibre *fibre, unsigned number, void (*entry)());

/* Called outside of fibres: runs `fibre`, and whom it hands over to, until one yields. */
void fibre_resume(Fibre *fibre);

/* From the fibre that runs straight to another. */
void fibre_hand_over(Fibre *next);

/* From the fibre that runs back to fibre_resume. */
void fibre_yield();

} /* namespace esc_simt */
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Fibres: functions with separate stacks that run until they yield. One is used again and
 * again; AddressSanitizer is told of every switch. */
#ifndef ESC_SIMT_FIBRE_H
#define ESC_SIMT_FIBRE_H

#include <cstddef>

namespace esc_simt {

struct Fibre {
  void *context = nullptr; /* saved registers; see fibre.cc */
  char *stack = nullptr;   /* lowest byte */
  size_t size = 0;
  void *fake_stack = nullptr; /* AddressSanitizer's */
};

/* Maps a stack for `fibre`, once; the fibre will run `entry`, which never returns.
 * `number` staggers the stacks' tops, lest all share the same cache lines. */
void fibre_create(Fibre *fibre, unsigned number, void (*entry)());

/* Called outside of fibres: runs `fibre`, and the fibres it switches to, until one yields. */
void fibre_resume(Fibre *fibre);

/* Switches from the running fibre to another. */
void fibre_hand_over(Fibre *next);

/* Returns from the running fibre to fibre_resume. */
void fibre_yield();

} /* namespace esc_simt */
#endif

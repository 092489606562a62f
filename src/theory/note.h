/* SPDX-License-Identifier: Apache-2.0 */
/* The note of an escape time; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_NOTE_H
#define ESCAPEMENT_THEORY_NOTE_H

#include "escapement/internal/theory.h"

enum { ESC_STATE_TEXT_SIZE = 160 };

/* Appends a clause to the note, after "; " unless the note is empty. */
__attribute__((format(printf, 2, 3))) void esc_note_append(esc_escape_times *times,
                                                           const char *format, ...);

/* "s = (0.1, -0.2, ...)" with the first six scales at most, into text[ESC_STATE_TEXT_SIZE]. */
void esc_state_print(int layers, const double *scale, char *text);

#endif

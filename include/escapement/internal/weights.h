/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded weights: the moments at which a run stores the weights of a member
 * (record.weights), and their arrays in a result. */
#ifndef ESCAPEMENT_WEIGHTS_H
#define ESCAPEMENT_WEIGHTS_H

/* In the order of the words of record.weights. All are the weights before an update:
 *   start      initial weights
 *   snapshots  at each snapshot of record.every or record.per_decade
 *   escape     at the first step below each threshold
 *   end        when training ended, after the last update that was made */
typedef enum esc_weights_kind {
  ESC_WEIGHTS_START,
  ESC_WEIGHTS_SNAPSHOTS,
  ESC_WEIGHTS_ESCAPE,
  ESC_WEIGHTS_END,
  ESC_WEIGHTS_KINDS
} esc_weights_kind;

/* Name and long_name of the array of layer `layer` (from 0): "weights_end_1". */
const char *esc_weights_name(esc_weights_kind kind, int layer);
const char *esc_weights_long_name(esc_weights_kind kind, int layer);

/* The word of record.weights: "end". */
const char *esc_weights_word(esc_weights_kind kind);

#endif

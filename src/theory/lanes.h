/* An activation at 16 nodes at once. */
#ifndef ESCAPEMENT_THEORY_LANES_H
#define ESCAPEMENT_THEORY_LANES_H

#include "escapement/problem.h"

enum { ESC_BLOCK_LANES = 16 };

/* One number at each of the nodes that are on their way together. */
typedef double esc_block_lane[ESC_BLOCK_LANES];

/* value = sigma(z), slope = sigma'(z); bend = sigma''(z) unless NULL. */
void esc_lanes_activate(const esc_activation *activation, const esc_block_lane z,
                        esc_block_lane value, esc_block_lane slope, double *bend);

#endif

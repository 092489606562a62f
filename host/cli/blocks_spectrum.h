/* The plateau's Jacobian and Duhamel's form, as `blocks --spectrum` tells them. */
#ifndef ESC_BLOCKS_SPECTRUM_H
#define ESC_BLOCKS_SPECTRUM_H

#include <jansson.h>

#include "escapement/internal/spectrum.h"

enum { ESC_PAIRS_MAX = ESC_BLOCK_MODES_MAX * (ESC_BLOCK_MODES_MAX - 1) };

typedef struct esc_plateau_spectrum {
  int modes, pairs; /* K, K(K-1) */
  double time[2];   /* start, half the first escape time */
  esc_schur schur[2];
  esc_duhamel duhamel[2 * ESC_PAIRS_MAX]; /* theta, then omega */
} esc_plateau_spectrum;

/* `times` must hold an escape. */
esc_status esc_blocks_spectrum(const esc_block_problem *problem, const esc_block_times *times,
                               esc_plateau_spectrum *out);

json_t *esc_blocks_spectrum_json(const esc_plateau_spectrum *s);
void esc_blocks_spectrum_print(const esc_plateau_spectrum *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Observables (docs/theory, section 5.1) of recorded weights, computed after training. */
#ifndef ESC_RUN_OBSERVE_H
#define ESC_RUN_OBSERVE_H

#include "escapement/internal/results.h"
#include "spec/spec.h"

/* One network of a file. */
typedef struct esc_weights_source {
  int64_t member, seed;
  int bottleneck;
  double scale;
  esc_weights_kind kind;
  int64_t step;     /* updates made before; -1: unknown */
  double threshold; /* of an escape, else NaN */
} esc_weights_source;

typedef struct esc_weights_observations {
  int layers, length; /* of a row: esc_observation_length */
  int64_t count;
  esc_weights_source *source; /* (count), owned */
  double *row;                /* (count, length), owned */
} esc_weights_observations;

/* Observables of all weights in a result, in the order of members, with the evaluation sample and
 * the precision of its snapshots; for the CPU and GPU engines also with their bits. `spec`: that of
 * the sweep; NULL: the file's. */
esc_status esc_weights_observe_result(const char *path, const esc_spec *spec,
                                      esc_weights_observations *out);

/* Of the networks of spec->init.file that start the members of the sweep, in double. */
esc_status esc_weights_observe_file(const esc_spec *spec, esc_weights_observations *out);

void esc_weights_observations_free(esc_weights_observations *observations);

#endif

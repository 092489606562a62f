/* SPDX-License-Identifier: Apache-2.0 */
/* Training runs for the checks. */
#ifndef ESC_VERIFY_TRAIN_H
#define ESC_VERIFY_TRAIN_H

#include "escapement/internal/engine.h"

/* Distribution of members over an engine. Results must not depend on it, bit for bit. */
typedef struct esc_verify_layout {
  int slots, threads, device;
  int64_t block; /* steps of one advance */
} esc_verify_layout;

/* Member i of such a run: seed i+1, the first layer at scale 1/2. */
esc_member esc_verify_train_member(int i);

/* Trains seeds 1..members, the first layer at scale 1/2, until each has finished. Row i of *out
 * (owned by the caller) is seed i+1; w (member, weight) receives the final weights, unless NULL. */
esc_status esc_verify_train(const esc_engine_ops *engine, const esc_problem *problem, int members,
                            const esc_verify_layout *layout, esc_results **out, double *w);

#endif

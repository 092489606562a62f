/* SPDX-License-Identifier: Apache-2.0 */
/* State of a network in training as bytes: a network restored from it gets the same bits as without
 * interruption. All engines of one precision share the format, so that a run may change between
 * them:
 *
 *   esc_track, S(0) and its error (f64), |W_l(0)|^2 (layers_max f64)   little-endian
 *   weights, flat as in esc_weight_offset               f32, or f64 of the reference
 *   their compensation, likewise                        where the engine keeps them
 *
 * Nothing else is needed: minibatches are a function of seed and step. */
#ifndef ESCAPEMENT_STATE_H
#define ESCAPEMENT_STATE_H

#include "escapement/internal/slot.h"

/* Bytes of a state of `problem`; single: for engines with weights in float. */
size_t esc_state_size(const esc_problem *problem, bool single);

/* Fills `state`. The weights are w + compensation (NULL: none), flat; those of an engine in float
 * are floats, so nothing is rounded. */
void esc_state_pack(const esc_model *model, const esc_slot *slot, const double *w,
                    const double *compensation, void *state);

/* The inverse for `member`, whose state it is: fills the slot, w and compensation (NULL where
 * there is none). */
void esc_state_unpack(const esc_model *model, const esc_member *member, const void *state,
                      esc_slot *slot, double *w, double *compensation);

/* Track, S(0) and its error of a state of `size` bytes into the slot; false if it is too short. */
bool esc_state_read_head(const void *state, size_t size, esc_slot *slot);

#endif

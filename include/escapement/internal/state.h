/* SPDX-License-Identifier: Apache-2.0 */
/* A network in training as bytes, from which it goes on to the same bits. The same
 * format for every engine of a precision, so that one may go on where another stopped:
 *
 *   esc_track, S(0) and its error (f64), |W_l(0)|^2 (layers_max f64)   as they lie, little-endian
 *   weights, flat as in esc_weight_offset               f32, or f64 of the reference
 *   their compensation, likewise                        where the engine keeps them
 *
 * Nothing else is needed: minibatches are a function of seed and step. */
#ifndef ESCAPEMENT_STATE_H
#define ESCAPEMENT_STATE_H

#include "escapement/internal/slot.h"

/* Bytes of a state of `problem`; single: of an engine with weights in float. */
size_t esc_state_size(const esc_problem *problem, bool single);

/* Fills `state`. The weights are w + compensation (NULL: there is none), flat; of an engine in
 * float they are floats, so nothing is rounded. */
void esc_state_pack(const esc_model *model, const esc_slot *slot, const double *w,
                    const double *compensation, void *state);

/* The inverse for `member`, whose state it is: fills the slot, w and compensation (NULL where
 * there is none). */
void esc_state_unpack(const esc_model *model, const esc_member *member, const void *state,
                      esc_slot *slot, double *w, double *compensation);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* State of a network in training as bytes: a network restored from it gets the same bits as without
 * interruption. All engines of one precision share the format, so that a run may change between
 * them:
 *
 *   esc_track without `product`, S(0) and its error (f64), |W_l(0)|^2 (layers_max f64)
 *   `product` of esc_track (layers_max f64)             with momentum
 *   weights, flat as in esc_weight_offset               f32, or f64 of the reference
 *   their compensation, likewise                        where the engine keeps them
 *   velocity, or Adam's first moment, likewise          with momentum or Adam
 *   Adam's second moment, likewise                      with Adam
 *
 * little-endian. Nothing else is needed: minibatches and Adam's bias corrections are functions of
 * seed and step. Without momentum, weight decay and Adam the format is that of version 0.1. */
#ifndef ESCAPEMENT_STATE_H
#define ESCAPEMENT_STATE_H

#include "escapement/internal/slot.h"

/* Bytes of a state of `problem`; single: for engines with weights in float. */
size_t esc_state_size(const esc_problem *problem, bool single);

/* Arrays of a network, flat as in esc_weight_offset, in the order of the state; NULL where there is
 * none. Those of an engine in float are floats, so nothing is rounded. */
typedef struct esc_state_arrays {
  double *w, *compensation, *velocity, *second_moment;
} esc_state_arrays;

/* Fills `state`. */
void esc_state_pack(const esc_model *model, const esc_slot *slot, const esc_state_arrays *arrays,
                    void *state);

/* The inverse for `member`, whose state it is: fills the slot and the arrays. */
void esc_state_unpack(const esc_model *model, const esc_member *member, const void *state,
                      esc_slot *slot, const esc_state_arrays *arrays);

#endif

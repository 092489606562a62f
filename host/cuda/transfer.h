/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between the host and a chunk that is at rest (esc_cuda_chunk.in_flight is false), on the
 * transfer stream, while other chunks train. */
#ifndef ESC_CUDA_TRANSFER_H
#define ESC_CUDA_TRANSFER_H

#include "cuda/engine_state.h"

/* The host has changed the track of a slot that is not fresh, or its member. */
void esc_cuda_mark_changed(esc_cuda_engine_state *state, int slot);

/* Draws the weights of the chunk's fresh members on all threads and starts their upload. */
esc_status esc_cuda_start_fresh(esc_cuda_engine_state *state, int chunk);

/* Starts the upload of changed seeds and tracks; what is enqueued next on the chunk's stream waits
 * for all uploads to the chunk. */
esc_status esc_cuda_finish_uploads(esc_cuda_engine_state *state, int chunk);

/* Arrays of a network in the order of esc_state_arrays; NULL where the engine has none. */
enum { ESC_CUDA_ARRAYS = 4 };
typedef struct esc_cuda_arrays {
  float *device[ESC_CUDA_ARRAYS]; /* (slot, weight) of the chunk */
  double *flat[ESC_CUDA_ARRAYS];  /* (weight) workspace of the engine state, for one network */
} esc_cuda_arrays;

esc_cuda_arrays esc_cuda_list_arrays(const esc_cuda_engine_state *state, int slot);

/* Copies one network's row of device array `d_rows` of its chunk into `flat` (weight); waits. */
esc_status esc_cuda_fetch_row(const esc_cuda_engine_state *state, int slot, const float *d_rows,
                              double *flat);

/* The first `count` arrays of a network into their workspaces. */
esc_status esc_cuda_fetch_arrays(const esc_cuda_engine_state *state, int slot,
                                 const esc_cuda_arrays *arrays, int count);

/* All arrays of a network from their workspaces to the device; waits. */
esc_status esc_cuda_upload_arrays(esc_cuda_engine_state *state, int slot,
                                  const esc_cuda_arrays *arrays);

#endif

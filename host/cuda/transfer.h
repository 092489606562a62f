/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between the host and a chunk that is not in flight, on the transfer stream, while other
 * chunks train. */
#ifndef ESC_CUDA_TRANSFER_H
#define ESC_CUDA_TRANSFER_H

#include "cuda/engine_state.h"

/* The host has changed the track of a slot that is not fresh, or its member. */
void esc_cuda_mark_changed(esc_cuda_engine_state *state, int slot);

/* Draws the weights of the chunk's fresh members on all threads and starts their upload. */
esc_status esc_cuda_start_fresh(esc_cuda_engine_state *state, int chunk);

/* Starts the upload of changed seeds and tracks, and lets the chunk's stream wait for all uploads
 * to the chunk. */
esc_status esc_cuda_finish_uploads(esc_cuda_engine_state *state, int chunk);

/* Fetches arrays of networks of a chunk together: wanted (row) has bit k for array k. */
esc_status esc_cuda_fetch(const esc_cuda_engine_state *state, int chunk,
                          const unsigned char *wanted);

/* Whether all arrays of a network have been fetched. */
bool esc_cuda_has_all(const esc_cuda_engine_state *state, int slot);

/* Array k of a network, which has been fetched, into `flat` (weight). */
void esc_cuda_widen(const esc_cuda_engine_state *state, int slot, int k, double *flat);

/* The same, fetched unless it has been. */
esc_status esc_cuda_read(const esc_cuda_engine_state *state, int slot, int k, double *flat);

/* Bits of the arrays that the engine's chunks have. */
unsigned char esc_cuda_all_arrays(const esc_cuda_engine_state *state);

/* Marks the fetched copies of a chunk as outdated, before its networks change on the device. */
void esc_cuda_invalidate(const esc_cuda_engine_state *state, int chunk);

/* Copies all arrays of a network from the state's `flat` to the device; returns afterwards. */
esc_status esc_cuda_upload(const esc_cuda_engine_state *state, int slot);

#endif

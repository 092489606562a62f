/* SPDX-License-Identifier: Apache-2.0 */
/* A lot: networks that take every step together, in one set of strided arrays on
 * the device. Its size is a function of the shape alone, never of how many members
 * a run has: cuBLAS chooses its kernel by the batch count, and a member's results must
 * not depend on the other networks of the lot. */
#ifndef ESC_CUDA_LOT_H
#define ESC_CUDA_LOT_H

#include "cuda/config.h"
#include "escapement/internal/status.h"

/* Fills all but `direction`, which belongs to the engine. */
void esc_device_problem_init(esc_device_problem *device, const esc_problem *problem);

enum { ESC_LOT_SLOTS_MAX = 256 };

/* Networks in a lot, at most ESC_LOT_SLOTS_MAX: enough to fill a GPU's multiprocessors together
 * with the other lots' streams, few enough for the last lot not to be mostly empty. */
int esc_lot_slots(const esc_problem *problem, const esc_cuda_config *config);

/* Bytes of device memory of one lot. */
double esc_lot_bytes(const esc_problem *problem, const esc_cuda_config *config);

/* Allocates and clears a lot's arrays on `stream`, and synchronizes it. */
esc_status esc_lot_create(const esc_problem *problem, const esc_cuda_config *config,
                          cudaStream_t stream, esc_lot *lot);
void esc_lot_free(esc_lot *lot);

#endif

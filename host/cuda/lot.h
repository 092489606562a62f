/* A lot: networks that take every step together, in one set of strided arrays on
 * the device. Its size is a function of the shape alone, never of how many members
 * a run has: cuBLAS chooses its kernel by the batch count, and a member's bits must
 * not depend on its company. */
#ifndef ESC_CUDA_LOT_H
#define ESC_CUDA_LOT_H

#include "escapement/internal/status.h"
#include "kernels.h"

/* Fills all but `direction`, which is the engine's. */
void esc_device_problem_init(esc_device_problem *device, const esc_problem *problem);

/* How a lot's steps are made. */
typedef enum esc_path {
  ESC_PATH_GEMM,        /* every layer a batched product of cuBLAS, any shape */
  ESC_PATH_CHIP,        /* a block a network, all on the chip (chip.h) */
  ESC_PATH_CHIP_TF32X3, /* the same with products on the tensor cores */
} esc_path;

/* Networks in a lot: enough to fill a GPU's multiprocessors together with the
 * other lots' streams, few enough for the last lot not to be mostly empty. */
int esc_lot_slots(const esc_problem *problem, esc_path path);

/* Bytes of device memory of one lot. */
double esc_lot_bytes(const esc_problem *problem, esc_path path);

/* Allocates and clears a lot's arrays; work goes to `stream`, which is waited for. */
esc_status esc_lot_create(const esc_problem *problem, esc_path path, cudaStream_t stream,
                          esc_lot *lot);
void esc_lot_free(esc_lot *lot);

#endif

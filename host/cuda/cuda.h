/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA engine: trains many networks at once on one GPU, with the kernels of kernels/. */
#ifndef ESC_CUDA_H
#define ESC_CUDA_H

#include "escapement/internal/engine.h"

/* fused: one kernel for whole steps, in shared memory, with the bits of the CPU engine.
 * fused_3xtf32: like fused, with products on the tensor cores, whose error is like that of float.
 * cublas: products by cuBLAS in float. tf32: products by cuBLAS in TF32. */
extern const esc_engine_ops esc_cuda_fused_engine, esc_cuda_fused_3xtf32_engine,
    esc_cuda_cublas_engine, esc_cuda_tf32_engine;

/* Selects the engine for a problem on a device. path: "fused", "fused-3xtf32", "cublas", "auto" or
 * NULL. "auto" and NULL: fused if the shape fits, else cublas; never fused-3xtf32, as long as it
 * has not run on a device. ESC_BAD_INPUT with a message if the path cannot train the problem. */
esc_status esc_cuda_select(const esc_problem *problem, int device, const char *path, bool tf32,
                           const esc_engine_ops **engine);

/* Number of usable devices; if 0, `why` holds the driver's message. */
int esc_cuda_devices(char *why, size_t size);

/* Refuses an index of no device of this process. */
esc_status esc_cuda_check_device(int device);

/* Opens the device (creates this process's context) and reads the bytes of its memory: what may be
 * allocated, and all. Fails with what keeps the device from being used: another process's exclusive
 * use, memory that others have taken, the driver. */
esc_status esc_cuda_device_memory(int device, double *available, double *total);

/* Versions of the driver, of the runtime and, with `cublas`, of cuBLAS, which is then loaded. */
esc_status esc_cuda_versions(bool cublas, char *text, size_t size);

/* Whether code built for CMake's list of architectures ("80-real;90", also with commas) runs on a
 * device of this compute capability: machine code of the same major version and no higher minor
 * one, or PTX of no higher version. */
bool esc_cuda_code_runs_on(const char *architectures, int major, int minor);

/* Whether the program holds no code for a device, with a sentence in `why`. */
bool esc_cuda_lacks_code(int device, char *why, size_t size);

/* Whether there is a GPU or its driver and it cannot be used, with the reason in `why`: the driver
 * is too old for this build's CUDA or fails, or the program holds no code for the device. False
 * without a driver or a visible device. */
bool esc_cuda_is_broken(int device, char *why, size_t size);

/* Name, compute capability and memory of device `index`, in one line. */
esc_status esc_cuda_device_name(int index, char *text, size_t size);

/* PCI bus id of device `index`: domain:bus:device.function, hexadecimal. */
esc_status esc_cuda_device_bus_id(int index, char *text, size_t size);

#endif

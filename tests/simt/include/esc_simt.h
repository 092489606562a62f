/* SPDX-License-Identifier: Apache-2.0 */
/* Control of the SIMT harness: the order in which things run, faults, limits and
 * counts, for tests in C and C++.
 *
 * Kernels run on the CPU, blocks in turn, the threads of a block as fibres that
 * synchronize at barriers, shuffles and votes. Behaviour that CUDA leaves undefined fails
 * here more often than on a device:
 *  - memory starts as a NaN (float and double) and a huge number (int);
 *  - work on a stream runs only when something waits for it, pageable copies too;
 *  - orders that CUDA leaves open (threads, blocks, streams, branches of a graph)
 *    are a setting, so that a race gives different results in different orders;
 *  - the first product of a cuBLAS handle, which loads kernels, is refused in a capture;
 *  - a barrier that not all threads reach, a shuffle with a wrong mask, abort with
 *    kernel, block, threads and source lines;
 *  - under AddressSanitizer, host code that touches device memory is caught;
 *  - what is not freed when the process ends is listed, and the process fails.
 *
 * Not detected: a kernel that dereferences a pointer to pageable host memory; a
 * race that no order of whole threads between barriers brings out. Threads of
 * different warps or blocks that spin on each other never finish. The bits of
 * device functions (tanhf, expf...) and of cuBLAS are the host's, not the device's.
 *
 * Calls may come from several host threads; one lock lets them take turns. */
#ifndef ESC_SIMT_H
#define ESC_SIMT_H

#include <stdint.h>

#include "cuda_runtime_api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The order of threads, warps, blocks, streams and graph branches: "forward",
 * "reverse" or "shuffled:SEED" (SEED a decimal number). The environment's
 * ESC_SIMT_ORDER is the first setting. Applied anew at every barrier.
 *
 * Between streams, forward runs only what the awaited work needs; reverse runs the
 * youngest stream that can go on first; shuffled picks any that can.
 * Returns 0, or -1 for a text that is none of these (nothing then changes). */
int esc_simt_set_order(const char *order);

/* Makes the `nth` runtime call from now (1: the next) return `error` without doing
 * its work; 0 calls it off. Calls are those of the runtime, of cuBLAS and launches,
 * not the readers of errors. Calls that free or destroy do their work and still
 * return the error. cuBLAS returns ALLOC_FAILED for cudaErrorMemoryAllocation and
 * else EXECUTION_FAILED. An error that corrupts a context (700, 702, 710, 714-719,
 * 214) is then returned by every call until esc_simt_reset or cudaDeviceReset. */
void esc_simt_fail_at(int64_t nth, cudaError_t error);

/* Runtime calls so far in this process. */
int64_t esc_simt_calls(void);

/* Device memory, bytes a device (1 GiB at the start). */
void esc_simt_set_memory(size_t bytes);

/* Number of devices (1 at the start, 0 for none, 8 at most). */
void esc_simt_set_devices(int count);

/* Name of the devices; NULL: the first setting. */
void esc_simt_set_name(const char *name);

/* CUDA version of the driver (CUDART_VERSION at the start; 0: there is none). With an older major
 * version than the runtime's, devices are not counted. */
void esc_simt_set_driver(int version);

/* The environment's ESC_SIMT_SHARED=BYTES,BYTES...: as many devices at the start, with these limits
 * of shared memory a block in cudaDeviceProp; launches keep theirs. */

/* The environment's ESC_SIMT_EXCLUSIVE=PATH puts the devices of all processes that have it into
 * compute mode EXCLUSIVE_PROCESS: the process with a context on device I holds a lock on PATH.I,
 * and in others what needs a context returns cudaErrorDevicesUnavailable. */

/* Number of executions of a kernel: executions, graph replays too. Template
 * arguments are no part of the name. */
int64_t esc_simt_launches(const char *kernel);

/* The kernel of the latest execution: an address, which differs between instances of a template. */
const void *esc_simt_latest_kernel(void);

/* Allocations, streams, events, graphs and cuBLAS handles not yet released. */
int64_t esc_simt_live(void);

/* Clears injected faults, sticky errors and last errors of this thread, and gives
 * order, memory and devices their first settings. Live objects stay. */
void esc_simt_reset(void);

/* NVTX ranges pushed and popped so far, in any domain. */
int64_t esc_simt_nvtx_pushes(void);
int64_t esc_simt_nvtx_pops(void);

#ifdef __cplusplus
}
#endif
#endif

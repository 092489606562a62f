/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated devices. */
#ifndef ESC_SIMT_DEVICE_STATE_H
#define ESC_SIMT_DEVICE_STATE_H

#include <cstddef>

#include "driver_types.h"

namespace esc_simt {

constexpr int max_devices = 8;

/* Limits of compute capability 9.0. */
constexpr size_t shared_default_bytes = 48 * 1024;
constexpr size_t shared_optin_bytes = 227 * 1024;
constexpr size_t shared_multiprocessor_bytes = 228 * 1024;
constexpr size_t shared_reserved_bytes = 1024;
constexpr int threads_multiprocessor = 2048;
constexpr int blocks_multiprocessor = 32;

/* Creates this process's context; cudaErrorDevicesUnavailable in compute mode EXCLUSIVE_PROCESS if
 * another process has one. */
cudaError_t device_open(int device);

int device_count();
/* Current device of this host thread. */
int device_current();

} /* namespace esc_simt */
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory and pinned memory: who owns which bytes. */
#ifndef ESC_SIMT_MEMORY_H
#define ESC_SIMT_MEMORY_H

#include <cstddef>

namespace esc_simt {

constexpr size_t memory_default_bytes = size_t{1} << 30;

/* Fills with 0x7ff7a5a5 words: a NaN as float and as double, huge as an int. */
void memory_poison(void *bytes, size_t count);

/* All of it in one allocation of device memory. */
bool memory_is_device(const void *bytes, size_t count);
/* None of it in device memory (and not NULL, unless empty). */
bool memory_is_host(const void *bytes, size_t count);

/* Bytes of a device. */
size_t memory_limit();

/* Lets work touch device memory, and forbids it again (AddressSanitizer). */
void memory_open();
void memory_close();

/* Frees all that belongs to a device (cudaDeviceReset). */
void memory_reset(int device);

} /* namespace esc_simt */
#endif

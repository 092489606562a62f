/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations of device memory and pinned memory. */
#ifndef ESC_SIMT_MEMORY_H
#define ESC_SIMT_MEMORY_H

#include <cstddef>

namespace esc_simt {

constexpr size_t memory_default_bytes = size_t{1} << 30;

/* Fills with 0x7ff7a5a5 words: a NaN as float and as double, huge as an int. */
void memory_poison(void *bytes, size_t count);

/* True if all bytes are in one allocation of device memory. */
bool memory_is_device(const void *bytes, size_t count);
/* True if no byte is in device memory (and the pointer is not NULL, unless empty). */
bool memory_is_host(const void *bytes, size_t count);
/* Whether `bytes` is in pinned memory. */
bool memory_is_pinned(const void *bytes);

/* Memory of a device, bytes. */
size_t memory_limit();

/* Allow and forbid access to device memory (AddressSanitizer). */
void memory_open();
void memory_close();

/* Frees all that belongs to a device (cudaDeviceReset). */
void memory_reset(int device);

} /* namespace esc_simt */
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's peak rates, measured, with which a backend's throughput is compared. One table of
 * functions for each backend, as for engines. */
#ifndef ESC_CEILING_H
#define ESC_CEILING_H

#include <stddef.h>

#include "escapement/internal/engine.h"

typedef struct esc_ceiling_ops {
  /* Makes one for the threads, or the device, of `setup`. */
  esc_status (*open)(const esc_engine_setup *setup, void **ceiling);

  /* One burst of some 20 ms: floating-point operations a second, a multiply-add
   * being two. Short, so that bursts fit between the engine's repeats. */
  esc_status (*flop)(void *ceiling, double *flop_per_s);

  /* Bytes a second of a copy in memory, read and written ones counted. */
  esc_status (*copy)(void *ceiling, double *bytes_per_s);

  /* Text that describes the measurement ("multiply-adds in registers, avx512, 2 threads"). */
  void (*describe)(const void *ceiling, char *text, size_t size);

  void (*close)(void *ceiling); /* NULL is fine */
} esc_ceiling_ops;

extern const esc_ceiling_ops esc_cpu_ceiling;

/* The ceiling that the engine's throughput is compared with; the reference's is the CPU's. */
const esc_ceiling_ops *esc_ceiling_find(const esc_engine_ops *engine);

#endif

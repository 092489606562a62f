/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU engine: float, SIMD by run-time dispatch, threads over members. */
#ifndef ESC_CPU_H
#define ESC_CPU_H

#include "escapement/internal/engine.h"

extern const esc_engine_ops esc_cpu_engine;

#endif

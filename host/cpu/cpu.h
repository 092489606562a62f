/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU engine: float, SIMD by run-time dispatch, threads over members. Two paths through a step
 * give the same bits: one network after the other with padded rows, or narrow networks together,
 * one in each SIMD lane (interleaved.h). All ways through a step: step.c. */
#ifndef ESC_CPU_H
#define ESC_CPU_H

#include "escapement/internal/engine.h"

/* The path chosen by the networks' shape; padded; interleaved wherever there are two networks. */
extern const esc_engine_ops esc_cpu_engine, esc_cpu_padded_engine, esc_cpu_interleaved_engine;

/* Whether `path` is a value of --path that names a path of this engine. */
bool esc_cpu_has_path(const char *path);

/* The engine that trains `problem` by `path` (NULL or `auto`: chosen by shape). ESC_BAD_INPUT for
 * an unknown path and one that does not support the shape. */
esc_status esc_cpu_select(const esc_problem *problem, const char *path,
                          const esc_engine_ops **engine);

/* Whether `ops`, one of these engines, trains the problem's networks interleaved. */
bool esc_cpu_is_interleaved(const esc_engine_ops *ops, const esc_problem *problem);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The engines that this build has, by name. */
#ifndef ESC_BACKENDS_H
#define ESC_BACKENDS_H

#include "escapement/internal/engine.h"

/* What the user asks for; NULL or `auto`: the best that the build and machine have. */
typedef struct esc_backend_request {
  const char *backend;   /* auto (cuda where there is a device, else cpu), reference, cpu, cuda */
  const char *path;      /* cuda: auto, fused, cublas, fused-3xtf32 */
  const char *precision; /* fp32 (the default), tf32 */
  int device;
} esc_backend_request;

/* Refuses a number of a GPU (`--device`, given by the user) for an engine without one. */
esc_status esc_backend_check_device(const esc_engine_ops *engine, int64_t device);

/* Finds the engine that will train `problem`. ESC_BAD_INPUT where there is none, and why. */
esc_status esc_backend_find(const esc_backend_request *request, const esc_problem *problem,
                            const esc_engine_ops **engine);

/* How many CUDA devices can be used; where there is none, `why` says why. */
int esc_backend_cuda_devices(char *why, size_t size);

/* Name of CUDA device `index` and what it has. */
esc_status esc_backend_cuda_name(int index, char *text, size_t size);

/* Which way through the engine networks of `problem` take, in a word: an
 * instruction set, or the name of a path on the device. */
void esc_backend_path(const esc_engine_ops *engine, const esc_problem *problem, char *text,
                      size_t size);

#endif

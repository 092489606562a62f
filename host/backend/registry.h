/* SPDX-License-Identifier: Apache-2.0 */
/* The engines of this build, by name. */
#ifndef ESC_BACKENDS_H
#define ESC_BACKENDS_H

#include "escapement/internal/engine.h"

/* The user's choices; NULL or `auto`: the fastest that build and machine support. */
typedef struct esc_backend_request {
  const char *backend;   /* auto (cuda where there is a device, else cpu), reference, cpu, cuda */
  const char *path;      /* auto; cuda: fused, cublas, fused-3xtf32; cpu: interleaved, padded */
  const char *precision; /* fp32 (the default), tf32 */
  int device;
  /* Called with the reason if `auto` selects the CPU although a GPU or its driver is present; NULL:
   * silent. */
  void (*warn)(const char *format, ...);
} esc_backend_request;

/* Refuses a device index (`--device`) for an engine without devices. */
esc_status esc_backend_check_device(const esc_engine_ops *engine, int64_t device);

/* Refuses names of a backend, path or precision that no build has: ESC_BAD_INPUT. */
esc_status esc_backend_check_names(const esc_backend_request *request);

/* Finds the engine that will train `problem`. ESC_BAD_INPUT with a message if there is none. */
esc_status esc_backend_find(const esc_backend_request *request, const esc_problem *problem,
                            const esc_engine_ops **engine);

/* Number of usable CUDA devices; if 0, `why` holds the reason. */
int esc_backend_cuda_devices(char *why, size_t size);

/* Name and properties of CUDA device `index`. */
esc_status esc_backend_cuda_name(int index, char *text, size_t size);

/* PCI bus id of CUDA device `index`, in the form of nvidia-smi --id. */
esc_status esc_backend_cuda_bus_id(int index, char *text, size_t size);

/* Whether `path` (NULL: no) is one of the CPU's: `auto` then selects the CPU. */
bool esc_backend_is_cpu_path(const char *path);

/* Code path of the engine for `problem`: an instruction set, or a path's name. */
void esc_backend_path(const esc_engine_ops *engine, const esc_problem *problem, char *text,
                      size_t size);

#endif

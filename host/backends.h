/* The engines that this build has, by name. */
#ifndef ESC_BACKENDS_H
#define ESC_BACKENDS_H

#include "escapement/engine.h"

/* Finds the engine for --backend (NULL or `auto`: cuda where the build has it and
 * the machine a device, else cpu) and --precision (NULL: fp32). ESC_BAD_INPUT
 * where there is no such engine, and why. */
esc_status esc_backend_find(const char *name, const char *precision, const esc_engine_ops **engine);

/* How many CUDA devices can be used; where there is none, `why` says why. */
int esc_backend_cuda_devices(char *why, size_t size);

/* Name of CUDA device `index` and what it has. */
esc_status esc_backend_cuda_name(int index, char *text, size_t size);

#endif

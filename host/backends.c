#include "backends.h"

#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#ifdef ESC_HAVE_CUDA
#include "cuda/cuda.h"
#endif

#ifdef ESC_HAVE_CUDA
static const esc_engine_ops *const cuda[2] = {&esc_cuda_engine, &esc_cuda_tf32_engine};

int esc_backend_cuda_devices(char *why, size_t size) { return esc_cuda_devices(why, size); }

esc_status esc_backend_cuda_name(int index, char *text, size_t size) {
  return esc_cuda_device_name(index, text, size);
}
#else
static const esc_engine_ops *const cuda[2] = {NULL, NULL};

int esc_backend_cuda_devices(char *why, size_t size) {
  snprintf(why, size, "this build has no CUDA backend");
  return 0;
}

esc_status esc_backend_cuda_name(int index, char *text, size_t size) {
  (void)index;
  if (size) text[0] = 0;
  return ESC_FAIL(ESC_BAD_INPUT, "this build has no CUDA backend");
}
#endif

static esc_status find_cuda(const char *name, bool tf32, const esc_engine_ops **engine) {
  char why[200];
  if (esc_backend_cuda_devices(why, sizeof why) == 0)
    return ESC_FAIL(ESC_BAD_INPUT, "--backend %s: no CUDA device can be used: %s", name, why);
  *engine = cuda[tf32];
  return ESC_OK;
}

esc_status esc_backend_find(const char *name, const char *precision,
                            const esc_engine_ops **engine) {
  const bool tf32 = precision && !strcmp(precision, "tf32");
  const bool any = !name || !strcmp(name, "auto");
  *engine = NULL;
  if (precision && !tf32 && strcmp(precision, "fp32"))
    return ESC_FAIL(ESC_BAD_INPUT, "--precision %.40s: must be fp32 or tf32", precision);
  if (!any && !strcmp(name, "cuda")) return find_cuda(name, tf32, engine);
  if (any && find_cuda("auto", tf32, engine) == ESC_OK) return ESC_OK;
  if (any || !strcmp(name, "cpu")) *engine = &esc_cpu_engine;
  if (!any && !strcmp(name, "reference")) *engine = &esc_reference_engine;
  if (*engine && tf32)
    return ESC_FAIL(ESC_BAD_INPUT, "--precision tf32: the backend %s has no such arithmetic",
                    (*engine)->name);
  if (*engine) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--backend %.40s: must be auto, reference, cpu or cuda", name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Engines by the names of --backend, --path and --precision. */
#include "backend/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/network.h"
#ifdef ESC_HAVE_CUDA
#include "cuda/cuda.h"
#endif

#ifdef ESC_HAVE_CUDA
int esc_backend_cuda_devices(char *why, size_t size) { return esc_cuda_devices(why, size); }

static bool is_broken(int device, char *why, size_t size) {
  return esc_cuda_is_broken(device, why, size);
}

esc_status esc_backend_cuda_name(int index, char *text, size_t size) {
  return esc_cuda_device_name(index, text, size);
}

esc_status esc_backend_cuda_bus_id(int index, char *text, size_t size) {
  return esc_cuda_device_bus_id(index, text, size);
}
#else
static esc_status esc_cuda_select(const esc_problem *p, int device, const char *path, bool tf32,
                                  const esc_engine_ops **engine) {
  char name[1];
  (void)p, (void)path, (void)tf32, (void)engine;
  return esc_backend_cuda_name(device, name, sizeof name);
}

int esc_backend_cuda_devices(char *why, size_t size) {
  snprintf(why, size, "this build has no CUDA backend");
  return 0;
}

static bool is_broken(int device, char *why, size_t size) {
  (void)device, (void)why, (void)size;
  return false;
}

esc_status esc_backend_cuda_name(int index, char *text, size_t size) {
  (void)index;
  if (size) text[0] = 0;
  return ESC_FAIL(ESC_BAD_INPUT, "this build has no CUDA backend");
}

esc_status esc_backend_cuda_bus_id(int index, char *text, size_t size) {
  return esc_backend_cuda_name(index, text, size);
}
#endif

static bool is(const char *given, const char *name) { return given && !strcmp(given, name); }
static bool is_automatic(const char *given) { return !given || is(given, "auto"); }

/* The engine of a backend without a GPU; refuses options that only a GPU engine has. */
static esc_status find_on_host(const esc_backend_request *r, const esc_problem *problem,
                               bool reference, const esc_engine_ops **engine) {
  const char *const name = reference ? "reference" : "cpu";
  if (is(r->precision, "tf32"))
    return ESC_FAIL(ESC_BAD_INPUT, "--precision tf32: the backend %s does not support it", name);
  if (!reference) return esc_cpu_select(problem, r->path, engine);
  if (!is_automatic(r->path))
    return ESC_FAIL(ESC_BAD_INPUT, "--path %.40s: the backend %s has one path only", r->path, name);
  *engine = &esc_reference_engine;
  return ESC_OK;
}

static bool is_path(const char *path) {
  return esc_cpu_has_path(path) || is(path, "cublas") || is(path, "fused") ||
         is(path, "fused-3xtf32");
}

bool esc_backend_is_cpu_path(const char *path) { return path && esc_cpu_has_path(path); }

static bool is_backend(const char *backend) {
  return is_automatic(backend) || is(backend, "reference") || is(backend, "cpu") ||
         is(backend, "cuda");
}

esc_status esc_backend_check_names(const esc_backend_request *r) {
  if (r->precision && !is(r->precision, "tf32") && !is(r->precision, "fp32"))
    return ESC_FAIL(ESC_BAD_INPUT, "--precision %.40s: must be fp32 or tf32", r->precision);
  if (!is_automatic(r->path) && !is_path(r->path))
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "--path %.40s: must be auto, cublas, fused, fused-3xtf32, interleaved or padded", r->path);
  if (!is_backend(r->backend))
    return ESC_FAIL(ESC_BAD_INPUT, "--backend %.40s: must be auto, reference, cpu or cuda",
                    r->backend);
  return ESC_OK;
}

esc_status esc_backend_find(const esc_backend_request *r, const esc_problem *problem,
                            const esc_engine_ops **engine) {
  esc_status status = ESC_OK;
  char why[400];
  const bool tf32 = is(r->precision, "tf32"), cuda = is(r->backend, "cuda");
  *engine = NULL;
  ESC_TRY(esc_backend_check_names(r));
  if (cuda || (is_automatic(r->backend) && !esc_backend_is_cpu_path(r->path))) {
    const bool broken = !cuda && is_broken(r->device, why, sizeof why);
    if (broken && r->warn)
      r->warn(
          "warning: the GPU cannot be used: %s; training on the CPU (--backend cpu selects it "
          "without this warning)",
          why);
    if (!broken && esc_backend_cuda_devices(why, sizeof why) > 0)
      return esc_cuda_select(problem, r->device, r->path, tf32, engine);
    if (cuda) return ESC_FAIL(ESC_BAD_INPUT, "--backend cuda: no CUDA device can be used: %s", why);
  }
  ESC_TRY(find_on_host(r, problem, is(r->backend, "reference"), engine));
done:
  return status;
}

esc_status esc_backend_check_device(const esc_engine_ops *engine, int64_t device) {
  char why[200] = "";
  if (engine->device_memory) return ESC_OK;
  const int devices = esc_backend_cuda_devices(why, sizeof why);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "--device %lld: the backend %s has no devices%s%s; leave --device out, or name "
                  "--backend cuda",
                  (long long)device, engine->name,
                  devices > 0 ? "" : ", and no GPU can be used: ", why);
}

void esc_backend_path(const esc_engine_ops *engine, const esc_problem *problem, char *text,
                      size_t size) {
  const char *path = "loops";
  if (!strcmp(engine->name, "cpu"))
    path = esc_cpu_is_interleaved(engine, problem)
               ? "interleaved"
               : esc_cpu_isa_find(getenv("ESCAPEMENT_ISA"))->name;
#ifdef ESC_HAVE_CUDA
  if (engine == &esc_cuda_fused_engine) path = "fused";
  if (engine == &esc_cuda_fused_3xtf32_engine) path = "fused-3xtf32";
  if (engine == &esc_cuda_cublas_engine) path = "cublas";
  if (engine == &esc_cuda_tf32_engine) path = "cublas-tf32";
#endif
  snprintf(text, size, "%s", path);
}

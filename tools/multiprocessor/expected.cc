/* SPDX-License-Identifier: Apache-2.0 */
/* A launch of a fused kernel on the SIMT harness (tests/simt), for `tools/gpu_model --bits`, which
 * executes the machine code of the same kernel with the same memory.
 *
 *   expected WIDTH LAYERS INPUTS BATCH ACTIVATION STEPS PATH OPTIMIZER LOSS
 *
 * ACTIVATION, LOSS: numbers of esc_activation_kind and esc_loss_kind. OPTIMIZER: sgd, momentum,
 * decay or adam. Prints
 *   kernel NAME             mangled, as the launcher selected it
 *   networks COUNT          a block each
 *   shared BYTES            of a block
 *   arguments HEX           of the kernel; pointers are the addresses below
 *   array NAME ADDRESS BEFORE AFTER
 *                           device memory in hexadecimal digits; AFTER is - of a workspace
 * Networks: two, with compensated weights. The teacher has two modes (one for a single input),
 * along the axes if d = N, else in random directions. Linked with --wrap=cudaFuncSetAttribute and
 * -rdynamic. */
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fused_step.cuh"

namespace {

enum { NETWORKS = 2 };
const void *launched_kernel;

struct Array {
  const char *name;
  void *device;
  std::vector<unsigned char> before;
  bool is_workspace;
};

std::vector<Array> arrays;

uint64_t random_bits() { /* SplitMix64 */
  static uint64_t state = 42;
  uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Uniform in (-size, size). */
float random_float(double size) {
  return static_cast<float>(size *
                            (2 * (static_cast<double>(random_bits() >> 11) + 0.5) * 0x1p-53 - 1));
}

void check(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return;
  fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  exit(1);
}

/* Device memory with the bytes of `from`; without any, as the harness leaves new memory. */
template <class T>
T *upload(const char *name, const std::vector<T> &from, bool is_workspace = false) {
  const size_t size = from.size() * sizeof(T);
  Array made = {name, nullptr, std::vector<unsigned char>(size), is_workspace};
  if (size == 0) return nullptr;
  check(cudaMalloc(&made.device, size), "cudaMalloc");
  memcpy(made.before.data(), from.data(), size);
  check(cudaMemcpy(made.device, from.data(), size, cudaMemcpyHostToDevice), "cudaMemcpy");
  arrays.push_back(made);
  return static_cast<T *>(made.device);
}

std::vector<float> random_floats(size_t count, double size) {
  std::vector<float> made(count);
  for (float &value : made) value = random_float(size);
  return made;
}

/* Contents of a workspace do not matter: NaN. */
std::vector<float> workspace(size_t floats) { return std::vector<float>(floats, esc_nan_f32()); }

esc_device_problem make_problem(char **argument) {
  esc_device_problem p = {};
  p.width = atoi(argument[0]);
  p.layers = atoi(argument[1]);
  p.inputs = atoi(argument[2]);
  p.batch = atoi(argument[3]);
  p.activation = static_cast<esc_activation_kind>(atoi(argument[4]));
  for (int i = 0; i < 4; i++) p.coefficient[i] = random_float(0.5); /* of a polynomial */
  p.modes = p.inputs < 2 ? 1 : 2;
  p.axes = p.inputs == p.width;
  p.amplitude[0] = 1;
  p.amplitude[1] = 0.5f;
  for (int l = 0; l < p.layers; l++) {
    const int rows = l == p.layers - 1 ? 1 : p.width, columns = l == 0 ? p.inputs : p.width;
    p.offset[l + 1] = p.offset[l] + static_cast<size_t>(rows) * static_cast<size_t>(columns);
    p.rate[l] = 0.05f;
  }
  return p;
}

esc_track_rules make_rules(const esc_device_problem &p) {
  esc_track_rules r = {};
  r.layers = p.layers;
  r.thresholds = 1;
  r.threshold[0] = 1e-9;
  r.steps = INT64_MAX;
  r.smoothing = 0.9;
  r.rate = static_cast<double>(p.rate[0]);
  for (int l = 0; l < p.layers; l++) r.gamma[l] = 1;
  return r;
}

/* Constants of an optimizer, in both; false if there is none of that name. */
bool set_optimizer(const std::string &name, esc_optimizer_rules *o, esc_track_rules *r) {
  if (name == "sgd") return true;
  if (name != "momentum" && name != "decay" && name != "adam") return false;
  o->optimized = r->optimized = 1;
  o->adam = name == "adam";
  r->has_ledger = !o->adam;
  o->nesterov = r->nesterov = name == "momentum";
  o->beta = 0.9f;
  r->momentum = name == "momentum" ? static_cast<double>(o->beta) : 0;
  o->one_minus_beta = 0.1f;
  o->beta2 = 0.999f;
  o->one_minus_beta2 = 0.001f;
  o->epsilon = 1e-8f;
  o->decay = 0.01f;
  r->decay = static_cast<double>(o->decay);
  o->adam_beta1 = 0.9;
  o->adam_beta2 = 0.999;
  return true;
}

esc_chunk make_chunk(const esc_device_problem &p, const esc_track_rules &r,
                     esc_fused_memory memory) {
  esc_chunk chunk = {};
  const size_t weights = p.offset[p.layers], layers = static_cast<size_t>(p.layers);
  chunk.slots = NETWORKS;
  chunk.weight_stride = (weights + 31) / 32 * 32;
  const size_t all = NETWORKS * chunk.weight_stride;
  std::vector<esc_track> track(NETWORKS);
  for (esc_track &t : track) {
    memset(&t, 0, sizeof t);
    t.step_limit = INT64_MAX;
    for (int64_t &step : t.escape_step) step = -1;
  }
  chunk.seed = upload("seed", std::vector<uint64_t>{random_bits(), random_bits()});
  chunk.track = upload("track", track);
  chunk.w = upload("weights", random_floats(all, 1.7 / sqrt(p.width)));
  chunk.compensation = upload("compensation", random_floats(all, 1e-9));
  chunk.partials = upload("partials", workspace(NETWORKS * memory.partial_floats), true);
  chunk.tile_z = upload("tile_z", workspace(NETWORKS * memory.tile_z_floats), true);
  if (!r.optimized) return chunk;
  if (p.optimizer.adam || r.momentum != 0)
    chunk.velocity = upload("velocity", random_floats(all, 0.1));
  if (p.optimizer.adam) {
    std::vector<float> squares = random_floats(all, 0.1);
    for (float &value : squares) value = value * value;
    chunk.second_moment = upload("second_moment", squares);
  }
  chunk.velocity_product = upload("velocity_product", std::vector<double>(NETWORKS * layers));
  chunk.weight_norm_sq = upload("weight_norm_sq", std::vector<double>(NETWORKS * layers));
  return chunk;
}

void print_bytes(const void *from, size_t count) {
  for (size_t i = 0; i < count; i++) printf("%02x", static_cast<const unsigned char *>(from)[i]);
}

void print_arrays() {
  for (const Array &a : arrays) {
    std::vector<unsigned char> after(a.before.size());
    check(cudaMemcpy(after.data(), a.device, after.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    check(cudaFree(a.device), "cudaFree");
    printf("array %s %zu ", a.name, reinterpret_cast<size_t>(a.device));
    print_bytes(a.before.data(), a.before.size());
    printf(" ");
    if (a.is_workspace)
      printf("-");
    else
      print_bytes(after.data(), after.size());
    printf("\n");
  }
}

void print_kernel() {
  Dl_info found = {};
  if (!launched_kernel || !dladdr(launched_kernel, &found) || !found.dli_sname) {
    fprintf(stderr, "the launched kernel has no name: link with -rdynamic\n");
    exit(1);
  }
  printf("kernel %s\n", found.dli_sname);
}

} /* namespace */

/* The launcher calls it with the kernel that it launches next. */
extern "C" {
cudaError_t __real_cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute,
                                        int value);
cudaError_t __wrap_cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute,
                                        int value) {
  launched_kernel = function;
  return __real_cudaFuncSetAttribute(function, attribute, value);
}
}

int main(int count, char **argument) {
  if (count != 10) return 2;
  const bool is_3xtf32 = strcmp(argument[7], "fused") != 0;
  esc_fused_arguments run = {};
  run.problem = make_problem(argument + 1);
  run.problem.loss = static_cast<esc_loss_kind>(atoi(argument[9]));
  run.problem.huber_delta = 0.3f;
  run.rules = make_rules(run.problem);
  run.steps = atoll(argument[6]);
  if (!set_optimizer(argument[8], &run.problem.optimizer, &run.rules)) {
    fprintf(stderr, "no optimizer is named %s\n", argument[8]);
    return 2;
  }
  const esc_shape shape = {run.problem.layers, run.problem.width, run.problem.inputs};
  const esc_fused_memory memory =
      (is_3xtf32 ? esc_fused_3xtf32_memory_make : esc_fused_memory_make)(shape, run.problem.batch);
  if (!run.problem.axes)
    run.problem.direction = upload(
        "direction",
        random_floats(ESC_MODES_MAX * static_cast<size_t>(shape.inputs), 1 / sqrt(shape.inputs)));
  run.chunk = make_chunk(run.problem, run.rules, memory);
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  check((is_3xtf32 ? esc_launch_fused_3xtf32 : esc_launch_fused)(&run.problem, &run.rules,
                                                                 &run.chunk, run.steps, stream),
        "launch");
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  check(cudaStreamDestroy(stream), "cudaStreamDestroy");
  print_kernel();
  printf("networks %d\nshared %zu\narguments ", NETWORKS, memory.shared_bytes);
  print_bytes(&run, sizeof run);
  printf("\n");
  print_arrays();
  return 0;
}

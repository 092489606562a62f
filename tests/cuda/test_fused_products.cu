/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix products of path `fused` in 3xTF32, in the shared memory of a block as the kernel
 * lays it out, against double: for every width, for sums of up to 512 samples. Built by nvcc for
 * a device, and by the host's compiler for the SIMT harness (test_fused_products_simt.cc), where
 * threads run in several orders. */
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "fused_stage.cuh"
#include "fused_tensor.cuh"
#ifndef __CUDACC__
#include "esc_simt.h"
#endif

/* Root mean square of the errors, relative to that of the outputs. With the harness it
 * is 1.7e-7 at most; a float sum of 512 multiply-adds has 4e-7. */
static const double tolerance = 3e-7;
static const float guard = 12345.678f;
enum { MARGIN = 64 }; /* floats of guard before and behind an array */

/* Inputs and outputs of one case; samples are contiguous. */
struct matrices {
  int width, depth, samples;
  std::vector<float> w, h, delta;    /* (N, N), (N, samples) twice; beyond depth 0 */
  std::vector<float> z, u, gradient; /* z = w h, u = w' delta, gradient = delta h' */
};

struct arguments {
  int depth, samples;
  const float *g_w, *g_h, *g_delta;
  float *g_z, *g_u, *g_gradient, *g_partials;
};

/* Shared memory of a block. */
struct block {
  float *s_w, *s_h, *s_delta, *s_gradient;
};

template <class P>
static __device__ void load_tile(const arguments &a, int tile, const block &b) {
  for (int i = (int)threadIdx.x; i < P::width * ESC_TILE; i += P::threads) {
    const int from = i / ESC_TILE * a.samples + tile * ESC_TILE + i % ESC_TILE;
    const int to = i / ESC_TILE * ESC_FUSED_LEADING + i % ESC_TILE;
    b.s_h[to] = a.g_h[from];
    b.s_delta[to] = a.g_delta[from];
  }
}

/* All products of one tile of one network, as fused_step.cuh makes them.
 * Called by the whole block; contains a barrier. */
template <class P>
static __device__ void multiply_tile(const arguments &a, const esc_fused_thread<P> &t, int tile,
                                     const block &b) {
  float z[P::rows][P::columns] = {{0}}, u[P::rows][P::columns] = {{0}};
  float sum[P::gradient_rows][P::gradient_columns], *g_partial = a.g_partials + t.id;
  P::forward(b.s_w, b.s_h, a.depth, t.map, z);
  P::input_gradient(b.s_w, b.s_delta, P::width, t.map, u);
  for (int i = 0; i < P::rows; i++)
    for (int j = 0; j < P::columns; j++) {
      a.g_z[P::forward_feature(t.map, i) * a.samples + tile * ESC_TILE +
            P::forward_sample(t.map, j)] = z[i][j];
      a.g_u[P::gradient_feature(t.map, i) * a.samples + tile * ESC_TILE +
            P::gradient_sample(t.map, j)] = u[i][j];
    }
  esc_fused_init_sums<P>(g_partial, tile == 0, sum);
  P::weight_gradient(b.s_delta, b.s_h, t.map, sum);
  esc_fused_add_partials<P>(g_partial, tile == 0, sum);
  if ((tile + 1) * ESC_TILE < a.samples)
    esc_fused_store_partials<P>(g_partial, sum);
  else
    P::reduce_gradient(t.map, sum, b.s_gradient);
}

template <class P>
__global__ void __launch_bounds__(P::threads, 1) products_kernel(const arguments a) {
  ESC_SHARED_MEMORY(float, s_memory);
  const esc_fused_thread<P> t = esc_fused_thread_make<P>((int)threadIdx.x);
  float *const s_h = s_memory + P::width * P::weight_leading;
  float *const s_delta = s_h + P::width * ESC_FUSED_LEADING;
  const block b = {s_memory, s_h, s_delta, s_delta + P::width * ESC_FUSED_LEADING};
  for (int i = t.id; i < P::width * P::width; i += P::threads)
    b.s_w[i / P::width * P::weight_leading + i % P::width] = a.g_w[i];
  for (int tile = 0; tile * ESC_TILE < a.samples; tile++) {
    load_tile<P>(a, tile, b);
    __syncthreads();
    multiply_tile<P>(a, t, tile, b);
    __syncthreads();
  }
  for (int i = t.id; i < P::width * P::width; i += P::threads) a.g_gradient[i] = b.s_gradient[i];
}

static int faults;

static void fault(const matrices &m, const char *what, double got, double want) {
  if (faults++ < 20)
    printf("wrong: %s of N=%d depth=%d samples=%d: %.9g, want %.9g\n", what, m.width, m.depth,
           m.samples, got, want);
}

static bool report_failure(cudaError_t error, const char *call) {
  if (error == cudaSuccess) return false;
  printf("%s: %s\n", call, cudaGetErrorString(error));
  faults++;
  return true;
}

/* An array on the device, between guards; an output starts as NaNs. */
struct device_array {
  float *pointer = nullptr;
  std::vector<float> bytes;

  explicit device_array(size_t count, const float *from = nullptr)
      : bytes(count + 2 * MARGIN, guard) {
    for (size_t i = 0; i < count; i++)
      bytes[MARGIN + i] = from ? from[i] : std::numeric_limits<float>::quiet_NaN();
    if (report_failure(cudaMalloc(&pointer, size()), "cudaMalloc")) return;
    report_failure(cudaMemcpy(pointer, bytes.data(), size(), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  device_array(const device_array &) = delete;
  device_array &operator=(const device_array &) = delete;
  ~device_array() { report_failure(cudaFree(pointer), "cudaFree"); }

  size_t size() const { return bytes.size() * sizeof(float); }
  float *begin() const { return pointer + MARGIN; }

  void read(const matrices &m, const char *what, std::vector<float> *out) {
    report_failure(cudaMemcpy(bytes.data(), pointer, size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    for (size_t i = 0; i < MARGIN; i++)
      if (bytes[i] != guard || bytes[bytes.size() - 1 - i] != guard)
        fault(m, what, (double)bytes[i], (double)guard);
    out->assign(bytes.begin() + MARGIN, bytes.end() - MARGIN);
  }
};

template <int N>
static void run_width(matrices *m) {
  typedef esc_fused_3xtf32_products<N> P;
  const size_t wide = (size_t)N * (size_t)m->samples, square = (size_t)N * N;
  const size_t shared = sizeof(float) * (size_t)(N * P::weight_leading + 3 * N * ESC_FUSED_LEADING);
  device_array w(square, m->w.data()), h(wide, m->h.data()), delta(wide, m->delta.data());
  device_array z(wide), u(wide), gradient(square), partials(square);
  const arguments a = {m->depth,  m->samples, w.begin(),        h.begin(),       delta.begin(),
                       z.begin(), u.begin(),  gradient.begin(), partials.begin()};
  report_failure(cudaFuncSetAttribute((const void *)products_kernel<P>,
                                      cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared),
                 "cudaFuncSetAttribute");
  report_failure(ESC_LAUNCH((products_kernel<P>), 1, P::threads, shared, 0, a), "products_kernel");
  report_failure(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  z.read(*m, "guard of z", &m->z);
  u.read(*m, "guard of u", &m->u);
  gradient.read(*m, "guard of the gradient", &m->gradient);
  std::vector<float> unused;
  partials.read(*m, "guard of the partial sums", &unused);
}

static void run_case(matrices *m) {
  switch (m->width) {
    case 16: return run_width<16>(m);
    case 32: return run_width<32>(m);
    case 48: return run_width<48>(m);
    default: return run_width<64>(m);
  }
}

static uint64_t random_state = 1;

/* In (-1, 1). */
static double uniform() {
  random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (double)(random_state >> 11) * 0x1p-52 - 1;
}

enum kind { MIXED, POSITIVE, WIDE, INTEGERS, KINDS };

/* Kinds of entries: of both signs; of one sign, so that errors add up; of any size; small
 * integers, whose sums are exact. */
static float entry(int kind) {
  if (kind == INTEGERS) return (float)std::floor(8 * uniform());
  if (kind == WIDE) return (float)(uniform() * std::exp2(20 * uniform()));
  return (float)(kind == POSITIVE ? std::fabs(uniform()) : uniform());
}

static matrices make_matrices(int width, int depth, int samples, int kind) {
  matrices m = {width, depth, samples, {}, {}, {}, {}, {}, {}};
  for (int i = 0; i < width * width; i++) m.w.push_back(i % width < depth ? entry(kind) : 0);
  for (int i = 0; i < width * samples; i++) {
    m.h.push_back(i / samples < depth ? entry(kind) : 0);
    m.delta.push_back(entry(kind));
  }
  return m;
}

/* Sums of squares: of the errors, and of the exact values. */
struct error {
  double off = 0, size = 0;
  int wrong = 0;

  void add(float got, double want) {
    off += ((double)got - want) * ((double)got - want);
    size += want * want;
    wrong += !((double)got == want);
  }
  double relative() const { return std::sqrt(off / size); }
};

static double worst;

static void check_error(const matrices &m, int kind, const char *what, const error &e) {
  worst = std::fmax(worst, e.relative());
  if (kind == INTEGERS ? e.wrong > 0 : !(e.relative() <= tolerance))
    fault(m, what, kind == INTEGERS ? e.wrong : e.relative(), kind == INTEGERS ? 0 : tolerance);
}

static double dot_double(const float *a, int a_step, const float *b, int b_step, int count) {
  double sum = 0;
  for (int i = 0; i < count; i++) sum += (double)a[i * a_step] * (double)b[i * b_step];
  return sum;
}

static void check_double(const matrices &m, int kind) {
  const int n = m.width, s = m.samples;
  error z, u, gradient;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < s; j++) {
      z.add(m.z[(size_t)(i * s + j)], dot_double(&m.w[(size_t)(i * n)], 1, &m.h[(size_t)j], s, n));
      u.add(m.u[(size_t)(i * s + j)], dot_double(&m.w[(size_t)i], n, &m.delta[(size_t)j], s, n));
    }
    for (int j = 0; j < n; j++)
      gradient.add(m.gradient[(size_t)(i * n + j)],
                   dot_double(&m.delta[(size_t)(i * s)], 1, &m.h[(size_t)(j * s)], 1, s));
  }
  check_error(m, kind, "z", z);
  check_error(m, kind, "u", u);
  check_error(m, kind, "gradient", gradient);
}

static bool same(const std::vector<float> &a, const std::vector<float> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
}

/* The same bits in any order of threads. */
static void check_orders(const matrices &m) {
#ifdef __CUDACC__
  static const char *const orders[] = {"again"};
#else
  static const char *const orders[] = {"reverse", "shuffled:1"};
#endif
  for (const char *order : orders) {
    matrices other = m;
#ifndef __CUDACC__
    if (esc_simt_set_order(order) != 0) faults++;
#endif
    run_case(&other);
    if (!same(m.z, other.z) || !same(m.u, other.u) || !same(m.gradient, other.gradient))
      fault(m, order, 1, 0);
  }
#ifndef __CUDACC__
  esc_simt_reset();
#endif
}

static bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }

/* A row and a column of a matrix; -1: none. */
struct nan_cross {
  int columns, row, column;
};

/* In `got`, the entries of the cross are NaNs; all others are unchanged. */
static void check_nans(const matrices &m, const char *what, const std::vector<float> &got,
                       const std::vector<float> &before, const nan_cross &c) {
  for (size_t i = 0; i < got.size(); i++) {
    const bool nan = (int)i / c.columns == c.row || (int)i % c.columns == c.column;
    if (nan ? !std::isnan(got[i]) : !same_bits(got[i], before[i]))
      return fault(m, what, (double)got[i], (double)before[i]);
  }
}

/* A NaN of an input reaches every output that depends on it, and no other. */
static void check_nan_inputs(const matrices &m, uint32_t payload) {
  const int n = m.width, s = m.samples, row = n / 2 + 1, column = n - 3, sample = s - 9;
  float nan;
  std::memcpy(&nan, &payload, sizeof nan);
  matrices with_nan = m;
  with_nan.w[(size_t)(row * n + column)] = nan;
  run_case(&with_nan);
  check_nans(m, "NaN of w in z", with_nan.z, m.z, {s, row, -1});
  check_nans(m, "NaN of w in u", with_nan.u, m.u, {s, column, -1});
  check_nans(m, "NaN of w in gradient", with_nan.gradient, m.gradient, {n, -1, -1});
  with_nan = m;
  with_nan.h[(size_t)(column * s + sample)] = nan;
  with_nan.delta[(size_t)(row * s + sample)] = nan;
  run_case(&with_nan);
  check_nans(m, "NaN of h in z", with_nan.z, m.z, {s, -1, sample});
  check_nans(m, "NaN of delta in u", with_nan.u, m.u, {s, -1, sample});
  check_nans(m, "NaN of both in gradient", with_nan.gradient, m.gradient, {n, row, column});
}

static void check_case(int width, int depth, int samples) {
  for (int kind = 0; kind < KINDS; kind++) {
    matrices m = make_matrices(width, depth, samples, kind);
    run_case(&m);
    check_double(m, kind);
    if (kind == MIXED) check_orders(m);
    if (kind != MIXED || depth != width || samples > 128) continue;
    check_nan_inputs(m, 0x7fc00000u);
    check_nan_inputs(m, 0xffffffffu);
    check_nan_inputs(m, 0x7f800001u);
  }
}

/* Prints the reason if there is none. */
static bool has_device() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return true;
  printf("skipped: no CUDA device: %s\n",
         error == cudaSuccess ? "none is visible" : cudaGetErrorString(error));
  return false;
}

int main() {
  if (!has_device()) return 77;
  for (int width = 16; width <= 64; width += 16) {
    for (const int samples : {64, 128, 512}) check_case(width, width, samples);
    for (const int depth : {1, 5, 8, 13, 16, width / 2 + 3, width - 1})
      check_case(width, depth, 64);
  }
  printf("largest error %.3g of the outputs' size, allowed %.3g; %d faults\n", worst, tolerance,
         faults);
  return faults != 0;
}

/* One training step of one network in float, compiled once for every
 * instruction set (ESC_ISA names it):
 *
 *   inputs -> forward -> loss -> backward and ledger -> update
 *
 * A minibatch goes through in tiles of ESC_TILE samples. Every sum has the order
 * of order.h, whatever the instruction set. */
#include <string.h>

#include "cpu/gemm.h"
#include "cpu/network.h"
#include "escapement/activation.h"
#include "escapement/loss.h"
#include "escapement/stream.h"
#include "escapement/update.h"

#define ESC_JOIN_(a, b) a##b
#define ESC_JOIN(a, b) ESC_JOIN_(a, b)
#define ESC_TEXT_(a) #a
#define ESC_TEXT(a) ESC_TEXT_(a)

/* X(kind, function): the activations that are functions of z alone. */
#define ESC_EVAL_LIST(X)                     \
  X(LINEAR, esc_linear_eval_f32)             \
  X(RELU, esc_relu_eval_f32)                 \
  X(TANH, esc_tanh_eval_f32)                 \
  X(ERF, esc_erf_eval_f32)                   \
  X(SIN, esc_sin_eval_f32)                   \
  X(GELU, esc_gelu_eval_f32)                 \
  X(SWISH, esc_swish_eval_f32)               \
  X(SOFTPLUS, esc_softplus_eval_f32)         \
  X(SIGMOID, esc_sigmoid_eval_f32)           \
  X(SOFTPLUS_RAW, esc_softplus_raw_eval_f32) \
  X(SIGMOID_RAW, esc_sigmoid_raw_eval_f32)

/* z[i] -> value[i] (in place), derivative[i], deficit[i]. */
static void activate(const esc_cpu_shared *s, size_t count, float *restrict z,
                     float *restrict derivative, float *restrict deficit) {
  switch (s->problem->activation.kind) {
#define CASE(kind, function)                                 \
  case ESC_ACTIVATION_##kind:                                \
    _Pragma("omp simd") for (size_t i = 0; i < count; i++) { \
      const esc_eval_f32 e = function(z[i]);                 \
      z[i] = e.value;                                        \
      derivative[i] = e.derivative;                          \
      deficit[i] = e.deficit;                                \
    }                                                        \
    break;
    ESC_EVAL_LIST(CASE)
#undef CASE
    default:
#pragma omp simd
      for (size_t i = 0; i < count; i++) {
        const esc_eval_f32 e =
            esc_polynomial_eval_f32(s->coefficient, ESC_POLYNOMIAL_TERMS_MAX, z[i]);
        z[i] = e.value;
        derivative[i] = e.derivative;
        deficit[i] = e.deficit;
      }
  }
}

/* sum_i a[i] b[i] over `count` padded entries. */
static float dot(const float *restrict a, const float *restrict b, int count) {
  float part[ESC_PAD] = {0};
  for (int i = 0; i < count; i += ESC_PAD)
#pragma omp simd
    for (int j = 0; j < ESC_PAD; j++) part[j] = esc_fma_f32(a[i + j], b[i + j], part[j]);
  return esc_fold_f32(part);
}

/* Words of `count` consecutive Philox blocks from `start` on, word w at bits[w * stride]. */
static void draw_bits(uint64_t seed, uint64_t step, uint32_t start, int count, int stride,
                      uint32_t *restrict bits) {
  const esc_u32x2 key = esc_philox_key(seed);
#pragma omp simd
  for (int i = 0; i < count; i++) {
    const esc_u32x4 block =
        esc_philox4x32_10(esc_philox_counter(ESC_DOMAIN_DATA, step, 0, start + (uint32_t)i), key);
    bits[i] = block.v[0];
    bits[i + stride] = block.v[1];
    bits[i + 2 * stride] = block.v[2];
    bits[i + 3 * stride] = block.v[3];
  }
}

static void draw_pairs(int count, const uint32_t *restrict radius, const uint32_t *restrict angle,
                       float *restrict first, float *restrict second) {
#pragma omp simd
  for (int i = 0; i < count; i++) {
    float a, b;
    esc_normal_pair_f32(radius[i], angle[i], &a, &b);
    first[i] = a;
    second[i] = b;
  }
}

/* Inputs of samples first.. of the member's current step into work->x: what
 * esc_draw_inputs gives, but in loops over all blocks of the tile. */
static void draw_inputs(const esc_cpu_shared *s, const esc_cpu_network *net, int first, int samples,
                        esc_cpu_work *work) {
  const int inputs = s->problem->shape.inputs, blocks = (inputs + 3) / 4;
  const int count = samples * blocks, stride = ESC_TILE * blocks;
  uint32_t *bits = work->bits;
  float *draw = work->draw;
  draw_bits(net->slot.member.seed, (uint64_t)net->slot.track.step,
            (uint32_t)first * (uint32_t)blocks, count, stride, bits);
  for (int pair = 0; pair < 4; pair += 2)
    draw_pairs(count, bits + pair * stride, bits + (pair + 1) * stride, draw + pair * stride,
               draw + (pair + 1) * stride);
  const size_t row = (size_t)s->layout.in_pad[0];
  for (int b = 0; b < samples; b++) {
    float *restrict x = work->x + (size_t)b * row;
    const float *restrict normal = draw + b * blocks;
    for (int j = 0; j < inputs / 4; j++)
      for (int i = 0; i < 4; i++) x[4 * j + i] = normal[i * stride + j];
    for (int i = inputs / 4 * 4; i < inputs; i++) x[i] = normal[i % 4 * stride + i / 4];
  }
}

static void copy_inputs(const esc_cpu_shared *s, const float *x, int samples, esc_cpu_work *work) {
  const size_t inputs = (size_t)s->problem->shape.inputs, row = (size_t)s->layout.in_pad[0];
  for (size_t b = 0; b < (size_t)samples; b++)
    memcpy(work->x + b * row, x + b * inputs, inputs * sizeof *x);
}

/* target[b] = sum_k a_k sigma(v_k . x_b). */
static void targets(const esc_cpu_shared *s, int samples, esc_cpu_work *work) {
  const esc_problem *p = s->problem;
  const size_t row = (size_t)s->layout.in_pad[0];
  float projection[ESC_TILE], derivative[ESC_TILE], deficit[ESC_TILE];
  memset(work->target, 0, ESC_TILE * sizeof(float));
  for (int k = 0; k < p->teacher.modes; k++) {
    const float *v = s->direction + (size_t)k * row;
    for (int b = 0; b < samples; b++) {
      const float *x = work->x + (size_t)b * row;
      projection[b] =
          p->teacher.directions == ESC_DIRECTIONS_AXES ? x[k] : dot(v, x, s->layout.in_pad[0]);
    }
    activate(s, (size_t)samples, projection, derivative, deficit);
    for (int b = 0; b < samples; b++)
      work->target[b] = esc_fma_f32(s->amplitude[k], projection[b], work->target[b]);
  }
}

/* h_l = sigma(W_l h_{l-1}) for every hidden layer, f = W_L h_{L-1}. */
static void forward(const esc_cpu_shared *s, const esc_cpu_network *net, int samples,
                    esc_cpu_work *work) {
  const int last = s->problem->shape.layers - 1, width = s->problem->shape.width;
  const float *h = work->x;
  for (int l = 0; l < last; l++) {
    const size_t in = (size_t)s->layout.in_pad[l], out = (size_t)s->layout.out_pad[l];
    float *z = work->h[l];
    esc_gemm_run(&(esc_gemm){.rows = samples,
                             .columns = (int)out,
                             .depth = esc_fan_in(s->problem->shape, l),
                             .a = h,
                             .a_row = in,
                             .a_depth = 1,
                             .b = net->wt + s->layout.wt[l],
                             .b_row = out,
                             .c = z,
                             .c_row = out});
    activate(s, (size_t)samples * out, z, work->derivative[l], work->deficit[l]);
    for (size_t b = 0; b < (size_t)samples && (size_t)width < out; b++) /* sigma(0) may not be 0 */
      memset(z + b * out + width, 0, (out - (size_t)width) * sizeof *z);
    h = z;
  }
  const int pad = s->layout.in_pad[last];
  for (int b = 0; b < samples; b++)
    work->f[b] = dot(net->w + s->layout.w[last], h + (size_t)b * (size_t)pad, pad);
}

/* Losses of the tile's samples, from sample `first` on, and dloss/df / B in work->error. */
static void losses(const esc_problem *p, int first, int samples, esc_cpu_work *work) {
  for (int b = 0; b < samples; b++) {
    const esc_loss_f32 loss =
        esc_loss_eval_f32(p->loss, (float)p->huber_delta, work->f[b], work->target[b]);
    work->loss_part[(first + b) % ESC_PARTS] += (double)loss.value;
    work->error[b] = loss.derivative / (float)p->batch;
  }
}

/* A tile's samples of gradient chain c: from *first on, how many. */
static int chain_samples(const esc_problem *p, int samples, int c, int *first) {
  const int length = ESC_TILE / esc_gradient_chains(p->shape.width);
  *first = c * length;
  const int left = samples - *first;
  return left < 0 ? 0 : left < length ? left : length;
}

/* Output layer: its gradient's chains of error h', and u = w error for the layer below. */
static void backward_output(const esc_cpu_shared *s, const esc_cpu_network *net, int samples,
                            esc_cpu_work *work) {
  const esc_problem *p = s->problem;
  const int last = p->shape.layers - 1, pad = s->layout.in_pad[last];
  const float *restrict w = net->w + s->layout.w[last];
  for (int c = 0; c < esc_gradient_chains(p->shape.width); c++) {
    float *restrict g = work->g + (size_t)c * s->layout.w[p->shape.layers] + s->layout.w[last];
    int first;
    const int count = chain_samples(p, samples, c, &first);
    for (int b = first; b < first + count; b++) {
      const float *restrict h = work->h[last - 1] + (size_t)b * (size_t)pad;
      float *restrict u = work->u + (size_t)b * (size_t)pad;
      const float error = work->error[b];
#pragma omp simd
      for (int j = 0; j < pad; j++) {
        g[j] = esc_fma_f32(error, h[j], g[j]);
        u[j] = error * w[j];
      }
    }
  }
}

/* delta_l = u_l sigma'(z_l), and this tile's part of the ledger's sum of u_l kappa(z_l). */
static void through_activation(const esc_cpu_shared *s, int l, int samples, esc_cpu_work *work) {
  const int pad = s->layout.out_pad[l];
  const float *restrict derivative = work->derivative[l], *restrict deficit = work->deficit[l];
  double feature[ESC_PARTS] = {0};
  for (int column = 0; column < pad; column += ESC_PAD) {
    float part[ESC_PARTS][ESC_PAD] = {{0}};
    for (int b = 0; b < samples; b++) {
      const size_t at = (size_t)b * (size_t)pad + (size_t)column;
#pragma omp simd
      for (int j = 0; j < ESC_PAD; j++) {
        const float u = work->u[at + (size_t)j];
        part[b % ESC_PARTS][j] = esc_fma_f32(u, deficit[at + (size_t)j], part[b % ESC_PARTS][j]);
        work->delta[at + (size_t)j] = u * derivative[at + (size_t)j];
      }
    }
    for (int half = ESC_PARTS / 2; half > 0; half /= 2)
      for (int i = 0; i < half; i++)
        for (int j = 0; j < ESC_PAD; j++) part[i][j] += part[i + half][j];
    for (int j = 0; j < ESC_PAD; j++) feature[j] += (double)part[0][j];
  }
  work->deficit_sum[l] += esc_fold_f64(feature);
}

/* The chains of layer l's gradient delta_l' h_{l-1} go on through this tile. */
static void weight_gradient(const esc_cpu_shared *s, int l, int samples, esc_cpu_work *work) {
  const esc_problem *p = s->problem;
  const size_t in = (size_t)s->layout.in_pad[l], out = (size_t)s->layout.out_pad[l];
  const float *h = l > 0 ? work->h[l - 1] : work->x;
  for (int c = 0; c < esc_gradient_chains(p->shape.width); c++) {
    int first;
    const int count = chain_samples(p, samples, c, &first);
    if (count == 0) return;
    esc_gemm_run(
        &(esc_gemm){.rows = p->shape.width,
                    .columns = (int)in,
                    .depth = count,
                    .a = work->delta + (size_t)first * out,
                    .a_row = 1,
                    .a_depth = out,
                    .b = h + (size_t)first * in,
                    .b_row = in,
                    .add = true,
                    .c = work->g + (size_t)c * s->layout.w[p->shape.layers] + s->layout.w[l],
                    .c_row = in});
  }
}

/* G_l = delta_l' h_{l-1}, u_{l-1} = delta_l W_l, from the output down. */
static void backward(const esc_cpu_shared *s, const esc_cpu_network *net, int samples,
                     esc_cpu_work *work) {
  backward_output(s, net, samples, work);
  for (int l = s->problem->shape.layers - 2; l >= 0; l--) {
    const size_t in = (size_t)s->layout.in_pad[l], out = (size_t)s->layout.out_pad[l];
    through_activation(s, l, samples, work);
    weight_gradient(s, l, samples, work);
    if (l > 0)
      esc_gemm_run(&(esc_gemm){.rows = samples,
                               .columns = (int)in,
                               .depth = s->problem->shape.width,
                               .a = work->delta,
                               .a_row = out,
                               .a_depth = 1,
                               .b = net->w + s->layout.w[l],
                               .b_row = in,
                               .c = work->u,
                               .c_row = in});
  }
}

/* |G_l|^2; squares of floats are exact in double. */
static double norm2(const float *restrict g, size_t rows, size_t columns) {
  double row[ESC_PARTS] = {0};
  for (size_t n = 0; n < rows; n++) {
    double part[ESC_PARTS] = {0};
    for (size_t i = n * columns; i < (n + 1) * columns; i += ESC_PARTS)
#pragma omp simd
      for (size_t j = 0; j < ESC_PARTS; j++) part[j] += (double)g[i + j] * (double)g[i + j];
    row[n % ESC_PARTS] += esc_fold_f64(part);
  }
  return esc_fold_f64(row);
}

/* Loss, ledger terms and gradient chains of the samples in work->x. */
static void tile_gradient(const esc_cpu_shared *s, const esc_cpu_network *net, int first,
                          int samples, esc_cpu_work *work) {
  targets(s, samples, work);
  forward(s, net, samples, work);
  losses(s->problem, first, samples, work);
  backward(s, net, samples, work);
}

/* Folds the chains of a slab into the first. */
static void fold_chains(int chains, size_t count, float *restrict g) {
  for (int half = chains / 2; half > 0; half /= 2)
    for (int c = 0; c < half; c++)
#pragma omp simd
      for (size_t i = 0; i < count; i++)
        g[(size_t)c * count + i] += g[(size_t)(c + half) * count + i];
}

static void add_slab(size_t count, const float *restrict g, double *restrict sum) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) sum[i] += (double)g[i];
}

static void round_sum(size_t count, const double *restrict sum, float *restrict g) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) g[i] = (float)sum[i];
}

/* Samples from `from` to `to` of the minibatch into the chains, folded. */
static void slab_gradient(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                          int from, int to, esc_cpu_work *work) {
  const int chains = esc_gradient_chains(s->problem->shape.width);
  const size_t weights = s->layout.w[s->problem->shape.layers];
  memset(work->g, 0, (size_t)chains * weights * sizeof *work->g);
  for (int first = from; first < to; first += ESC_TILE) {
    const int samples = to - first < ESC_TILE ? to - first : ESC_TILE;
    if (x)
      copy_inputs(s, x + (size_t)first * (size_t)s->problem->shape.inputs, samples, work);
    else
      draw_inputs(s, net, first, samples, work);
    tile_gradient(s, net, first, samples, work);
  }
  fold_chains(chains, weights, work->g);
}

static void gradient(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                     esc_cpu_work *work) {
  const esc_problem *p = s->problem;
  const size_t weights = s->layout.w[p->shape.layers];
  memset(work->loss_part, 0, sizeof work->loss_part);
  memset(work->deficit_sum, 0, sizeof work->deficit_sum);
  if (work->g_sum) memset(work->g_sum, 0, weights * sizeof *work->g_sum);
  for (int from = 0; from < p->batch; from += ESC_SLAB) {
    const int to = p->batch - from < ESC_SLAB ? p->batch : from + ESC_SLAB;
    slab_gradient(s, net, x, from, to, work);
    if (work->g_sum) add_slab(weights, work->g, work->g_sum);
  }
  if (work->g_sum) round_sum(weights, work->g_sum, work->g);
  work->loss = esc_fold_f64(work->loss_part) / p->batch;
  for (int l = 0; l < p->shape.layers; l++)
    work->gradient2[l] = norm2(work->g + s->layout.w[l], (size_t)esc_fan_out(p->shape, l),
                               (size_t)s->layout.in_pad[l]);
}

/* w <- w - rate g. */
static void update_plain(float rate, size_t count, const float *restrict g, float *restrict w,
                         esc_track *track) {
  int32_t updates = 0, lost = 0;
#pragma omp simd reduction(+ : updates, lost)
  for (size_t i = 0; i < count; i++) {
    const esc_updated u = esc_update_plain(rate, g[i], w[i]);
    w[i] = u.w;
    updates += u.moved;
    lost += u.lost;
  }
  track->updates += updates;
  track->lost += lost;
}

static void update_compensated(float rate, size_t count, const float *restrict g, float *restrict w,
                               float *restrict low, esc_track *track) {
  int32_t updates = 0, lost = 0;
#pragma omp simd reduction(+ : updates, lost)
  for (size_t i = 0; i < count; i++) {
    const esc_updated u = esc_update_compensated(rate, g[i], w[i], low[i]);
    w[i] = u.w;
    low[i] = u.low;
    updates += u.moved;
    lost += u.lost;
  }
  track->updates += updates;
  track->lost += lost;
}

static void transpose(const esc_cpu_shared *s, int l, esc_cpu_network *net) {
  const size_t in = (size_t)s->layout.in_pad[l], out = (size_t)s->layout.out_pad[l];
  const size_t rows = (size_t)s->problem->shape.width;
  const size_t columns = (size_t)esc_fan_in(s->problem->shape, l);
  const float *restrict w = net->w + s->layout.w[l];
  float *restrict wt = net->wt + s->layout.wt[l];
  for (size_t k = 0; k < columns; k++)
    for (size_t n = 0; n < rows; n++) wt[k * out + n] = w[n * in + k];
}

static void update(const esc_cpu_shared *s, const esc_cpu_work *work, esc_cpu_network *net) {
  for (int l = 0; l < s->problem->shape.layers; l++) {
    const size_t from = s->layout.w[l], count = s->layout.w[l + 1] - from;
    const float *g = work->g + from;
    if (net->low)
      update_compensated(s->rate[l], count, g, net->w + from, net->low + from, &net->slot.track);
    else
      update_plain(s->rate[l], count, g, net->w + from, &net->slot.track);
    if (l < s->problem->shape.layers - 1) transpose(s, l, net);
  }
}

static void train(const esc_cpu_shared *s, esc_cpu_network *net, esc_cpu_work *work, int64_t steps,
                  const atomic_bool *stop) {
  esc_track *track = &net->slot.track;
  for (int64_t k = 0; k < steps && !track->finished; k++) {
    if (atomic_load_explicit(stop, memory_order_relaxed)) return;
    gradient(s, net, NULL, work);
    if (!esc_track_loss(track, &s->rules, work->loss)) return;
    update(s, work, net);
    esc_track_update(track, &s->rules, work->deficit_sum, work->gradient2);
  }
}

const esc_cpu_isa ESC_JOIN(esc_cpu_isa_, ESC_ISA) = {
    .name = ESC_TEXT(ESC_ISA), .gradient = gradient, .train = train};

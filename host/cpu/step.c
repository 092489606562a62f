/* One training step of one network in float, compiled once for every
 * instruction set (ESC_ISA names it):
 *
 *   inputs -> forward -> loss -> backward and ledger -> update
 *
 * A minibatch goes through in tiles of ESC_TILE samples. Every sum has the order
 * of order.h, whatever the instruction set. */
#include <string.h>

#include "cpu/activate.h"
#include "cpu/block.h"
#include "cpu/draw.h"
#include "cpu/gemm.h"
#include "cpu/network.h"
#include "cpu/update.h"

#define ESC_JOIN_(a, b) a##b
#define ESC_JOIN(a, b) ESC_JOIN_(a, b)
#define ESC_TEXT_(a) #a
#define ESC_TEXT(a) ESC_TEXT_(a)

/* A stretch of the minibatch on its way through the network. */
typedef struct esc_stretch {
  int first, samples; /* up to ESC_TILE samples, from a multiple of ESC_TILE on */
  bool opens, closes; /* its slab: gradient chains begin, and are folded */
} esc_stretch;

/* out[b] = v . row b of x, for rows of `count` padded entries. */
static void dots(const float *restrict v, const float *restrict x, int count, int samples,
                 float *restrict out) {
  for (int first = 0; first < samples; first += ESC_PARTS) {
    float part[ESC_PARTS][ESC_PARTS];
    for (int b = 0; b < ESC_PARTS; b++) { /* rows beyond the samples are there, their sums unused */
      const float *restrict row = x + (size_t)(first + b) * (size_t)count;
      float sum[ESC_PARTS] = {0};
      for (int i = 0; i < count; i += ESC_PARTS)
#pragma omp simd
        for (int j = 0; j < ESC_PARTS; j++) sum[j] = esc_fma_f32(v[i + j], row[i + j], sum[j]);
      memcpy(part[b], sum, sizeof sum);
    }
    esc_fold_rows_f32(part[0], out + first);
  }
}

/* Flat normals of a tile's samples. Whole vectors are drawn, the last may reach into
 * the room of samples beyond. */
static void draw_flat(const esc_cpu_network *net, uint32_t start, int blocks, float *normal) {
  uint64_t key[ESC_ROUNDS][2];
  esc_draw_keys(net->slot.member.seed, key);
  const uint64_t step = (uint64_t)net->slot.track.step;
  for (int done = 0; done < blocks; done += ESC_GROUP) {
    const int left = (blocks - done + ESC_PAD - 1) / ESC_PAD * ESC_PAD;
    const esc_u32x4 counter = esc_philox_counter(ESC_DOMAIN_DATA, step, 0, start + (uint32_t)done);
    esc_draw_group(key, counter, left < ESC_GROUP ? left : ESC_GROUP, normal + (size_t)done * 4);
  }
}

/* `samples` rows of `inputs` floats, `from_row` apart, into work->x. */
static void copy_inputs(const esc_cpu_shared *s, const float *from, size_t from_row, int samples,
                        esc_cpu_work *work) {
  const size_t inputs = (size_t)s->problem->shape.inputs, row = (size_t)s->layout.in_pad[0];
  for (size_t b = 0; b < (size_t)samples; b++)
    memcpy(work->x + b * row, from + b * from_row, inputs * sizeof *from);
}

/* Inputs of the member's current step into work->x, directly where its rows are
 * whole blocks and all of the padding. */
static void draw_inputs(const esc_cpu_shared *s, const esc_cpu_network *net, const esc_stretch *t,
                        esc_cpu_work *work) {
  const int inputs = s->problem->shape.inputs, blocks = (inputs + 3) / 4;
  const bool direct = inputs == s->layout.in_pad[0];
  draw_flat(net, (uint32_t)t->first * (uint32_t)blocks, t->samples * blocks,
            direct ? work->x : work->draw);
  if (!direct) copy_inputs(s, work->draw, 4 * (size_t)blocks, t->samples, work);
}

/* target[b] = sum_k a_k sigma(v_k . x_b). */
static void targets(const esc_cpu_shared *s, int samples, esc_cpu_work *work) {
  const esc_problem *p = s->problem;
  const int row = s->layout.in_pad[0];
  float value[ESC_TILE], derivative[ESC_TILE], deficit[ESC_TILE];
  memset(work->target, 0, ESC_TILE * sizeof(float));
  for (int k = 0; k < p->teacher.modes; k++) {
    if (p->teacher.directions == ESC_DIRECTIONS_AXES)
      for (int b = 0; b < samples; b++) value[b] = work->x[(size_t)b * (size_t)row + (size_t)k];
    else
      dots(s->direction + (size_t)k * (size_t)row, work->x, row, samples, value);
    esc_activate_all(s, (size_t)samples, value, derivative, deficit);
    for (int b = 0; b < samples; b++)
      work->target[b] = esc_fma_f32(s->amplitude[k], value[b], work->target[b]);
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
    esc_multiply(&(esc_gemm){.rows = samples,
                             .columns = (int)out,
                             .depth = esc_fan_in(s->problem->shape, l),
                             .a = h,
                             .a_row = in,
                             .b = net->wt + s->layout.wt[l],
                             .b_row = out,
                             .c = z,
                             .c_row = out});
    esc_activate_all(s, (size_t)samples * out, z, work->derivative[l], work->deficit[l]);
    for (size_t b = 0; b < (size_t)samples && (size_t)width < out; b++) /* sigma(0) may not be 0 */
      memset(z + b * out + width, 0, (out - (size_t)width) * sizeof *z);
    h = z;
  }
  dots(net->w + s->layout.w[last], h, s->layout.in_pad[last], samples, work->f);
}

/* The samples' losses, and dloss/df / B in work->error. */
static void losses(const esc_problem *p, int samples, esc_cpu_work *work) {
  float value[ESC_TILE];
  esc_losses(p, (size_t)samples, work->f, work->target, value, work->error);
  for (int b = 0; b < samples; b++) work->loss_part[b % ESC_PARTS] += (double)value[b];
}

/* The chains of layer l's gradient delta' h_{l-1} go on through this stretch. */
static void weight_gradient(const esc_cpu_shared *s, int l, const esc_stretch *t,
                            const float *delta, size_t delta_row, esc_cpu_work *work) {
  const esc_shape shape = s->problem->shape;
  const size_t in = (size_t)s->layout.in_pad[l];
  const int chains = esc_gradient_chains(shape.width);
  const esc_gemm product = {.rows = esc_fan_out(shape, l),
                            .columns = (int)in,
                            .depth = t->samples,
                            .a = delta,
                            .a_row = delta_row,
                            .b = l > 0 ? work->h[l - 1] : work->x,
                            .b_row = in,
                            .c = work->g + s->layout.w[l],
                            .c_row = in};
  esc_correlate(&product, &(esc_chains){.count = chains,
                                        .length = ESC_TILE / chains,
                                        .stride = s->layout.w[shape.layers],
                                        .add = !t->opens,
                                        .fold = t->closes});
}

/* u = error w, below the output layer. */
static void backward_output(const esc_cpu_shared *s, const esc_cpu_network *net, int samples,
                            const float *restrict error, float *restrict u) {
  const int last = s->problem->shape.layers - 1, pad = s->layout.in_pad[last];
  const float *restrict w = net->w + s->layout.w[last];
  for (int b = 0; b < samples; b++, u += pad)
#pragma omp simd
    for (int j = 0; j < pad; j++) u[j] = error[b] * w[j];
}

/* delta = u sigma'(z) in place, for ESC_PAD features of a run of ESC_RUN samples; and
 * the run's part of sum_b u kappa(z). */
static inline void through_part(size_t stride, const float *restrict derivative,
                                const float *restrict deficit, int samples, float *restrict u,
                                float *restrict part) {
  float sum[ESC_PAD] = {0};
  for (int b = 0; b < samples && b < ESC_RUN; b++) {
#pragma omp simd
    for (int j = 0; j < ESC_PAD; j++) {
      sum[j] = esc_fma_f32(u[j], deficit[j], sum[j]);
      u[j] *= derivative[j];
    }
    u += stride;
    derivative += stride;
    deficit += stride;
  }
  memcpy(part, sum, sizeof sum);
}

/* sums[j] += the ESC_PARTS rows of `part` folded in halves. */
static inline void fold_columns(float part[ESC_PARTS][ESC_PAD], double *restrict sums) {
#pragma GCC unroll 4
  for (int half = ESC_PARTS / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
#pragma omp simd
      for (int j = 0; j < ESC_PAD; j++) part[i][j] += part[i + half][j];
#pragma omp simd
  for (int j = 0; j < ESC_PAD; j++) sums[j] += (double)part[0][j];
}

/* u_l -> delta_l = u_l sigma'(z_l), and this tile's part of the ledger's sum of u_l kappa(z_l). */
static void through_activation(const esc_cpu_shared *s, int l, int samples, float *u,
                               esc_cpu_work *work) {
  const size_t pad = (size_t)s->layout.out_pad[l];
  double feature[ESC_PARTS] = {0};
  for (size_t column = 0; column < pad; column += ESC_PAD) {
    float part[ESC_PARTS][ESC_PAD];
    for (int i = 0; i < ESC_PARTS; i++) {
      const size_t at = (size_t)(i * ESC_RUN) * pad + column;
      through_part(pad, work->derivative[l] + at, work->deficit[l] + at, samples - i * ESC_RUN,
                   u + at, part[i]);
    }
    fold_columns(part, feature);
  }
  work->deficit_sum[l] += esc_fold_parts(feature);
}

/* u_{l-1} = delta_l W_l. */
static void backward_layer(const esc_cpu_shared *s, const esc_cpu_network *net, int l, int samples,
                           const float *delta, float *u) {
  const size_t in = (size_t)s->layout.in_pad[l];
  esc_multiply(&(esc_gemm){.rows = samples,
                           .columns = (int)in,
                           .depth = s->problem->shape.width,
                           .a = delta,
                           .a_row = (size_t)s->layout.out_pad[l],
                           .b = net->w + s->layout.w[l],
                           .b_row = in,
                           .c = u,
                           .c_row = in});
}

/* G_l = delta_l' h_{l-1} and u_{l-1} from the output down. */
static void backward(const esc_cpu_shared *s, const esc_cpu_network *net, const esc_stretch *t,
                     esc_cpu_work *work) {
  const int last = s->problem->shape.layers - 1;
  float *delta = work->delta[0], *u = work->delta[1];
  weight_gradient(s, last, t, work->error, 1, work);
  backward_output(s, net, t->samples, work->error, delta);
  for (int l = last - 1; l >= 0; l--) {
    through_activation(s, l, t->samples, delta, work);
    weight_gradient(s, l, t, delta, (size_t)s->layout.out_pad[l], work);
    if (l == 0) return;
    backward_layer(s, net, l, t->samples, delta, u);
    float *const swap = delta;
    delta = u;
    u = swap;
  }
}

static void add_slab(size_t count, const float *restrict g, double *restrict sum) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) sum[i] += (double)g[i];
}

static void round_sum(size_t count, const double *restrict sum, float *restrict g) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) g[i] = (float)sum[i];
}

/* Loss, ledger terms and gradient of the slab of samples `from` to `to`. */
static void slab_gradient(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                          int from, int to, esc_cpu_work *work) {
  const size_t inputs = (size_t)s->problem->shape.inputs;
  for (int first = from; first < to; first += ESC_TILE) {
    const int left = to - first;
    const esc_stretch t = {.first = first,
                           .samples = left < ESC_TILE ? left : ESC_TILE,
                           .opens = first == from,
                           .closes = left <= ESC_TILE};
    if (x)
      copy_inputs(s, x + (size_t)first * inputs, inputs, t.samples, work);
    else
      draw_inputs(s, net, &t, work);
    targets(s, t.samples, work);
    forward(s, net, t.samples, work);
    losses(s->problem, t.samples, work);
    backward(s, net, &t, work);
  }
}

/* Loss, ledger terms and gradient of the minibatch, but for |G|^2. */
static void minibatch(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
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
}

static void gradient(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                     esc_cpu_work *work) {
  const esc_shape shape = s->problem->shape;
  minibatch(s, net, x, work);
  for (int l = 0; l < shape.layers; l++)
    work->gradient2[l] = esc_norm2((size_t)esc_fan_out(shape, l), (size_t)s->layout.in_pad[l],
                                   work->g + s->layout.w[l]);
}

static void train(const esc_cpu_shared *s, esc_cpu_network *net, esc_cpu_work *work, int64_t steps,
                  const atomic_bool *stop) {
  esc_track *track = &net->slot.track;
  for (int64_t k = 0; k < steps && !track->finished; k++) {
    if (atomic_load_explicit(stop, memory_order_relaxed)) return;
    minibatch(s, net, NULL, work);
    if (!esc_track_loss(track, &s->rules, work->loss)) return;
    for (int l = 0; l < s->problem->shape.layers; l++)
      work->gradient2[l] = esc_layer_step(s, l, work->g + s->layout.w[l], net);
    esc_track_update(track, &s->rules, work->deficit_sum, work->gradient2);
  }
}

const esc_cpu_isa ESC_JOIN(esc_cpu_isa_, ESC_ISA) = {
    .name = ESC_TEXT(ESC_ISA), .gradient = gradient, .train = train};

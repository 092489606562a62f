/* SPDX-License-Identifier: Apache-2.0 */
/* Training in long double, for comparison with the reference engine: oracle.h. */
#include "verify/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/arena.h"
#include "escapement/internal/stream.h"

typedef long double real;

/* Rows and columns of the matrix of layer l, and the offset of its entries. */
static size_t rows_of(const esc_problem *p, int l) {
  return l == p->shape.layers - 1 ? 1 : (size_t)p->shape.width;
}

static size_t columns_of(const esc_problem *p, int l) {
  return (size_t)(l ? p->shape.width : p->shape.inputs);
}

static size_t start_of(const esc_problem *p, int l) {
  size_t start = 0;
  while (l-- > 0) start += rows_of(p, l) * columns_of(p, l);
  return start;
}

/* ---- activations and losses ---- */

static real normal_cdf(real z) { return erfcl(-z / sqrtl(2)) / 2; }
static real normal_density(real z) { return expl(-z * z / 2) / sqrtl(8 * atanl(1)); }
static real logistic(real z) { return 1 / (1 + expl(-z)); }
static real softplus(real z) { return z > 0 ? z + log1pl(expl(-z)) : log1pl(expl(z)); }

static real value_of(const esc_activation *a, real z) {
  real sum = 0;
  switch (a->kind) {
    case ESC_ACTIVATION_RELU: return z > 0 ? z : 0;
    case ESC_ACTIVATION_TANH: return tanhl(z);
    case ESC_ACTIVATION_ERF: return erfl(z);
    case ESC_ACTIVATION_SIN: return sinl(z);
    case ESC_ACTIVATION_GELU: return z * normal_cdf(z);
    case ESC_ACTIVATION_SWISH: return z * logistic(z);
    case ESC_ACTIVATION_SOFTPLUS: return softplus(z) - logl(2);
    case ESC_ACTIVATION_SIGMOID: return logistic(z) - 0.5L;
    case ESC_ACTIVATION_SOFTPLUS_RAW: return softplus(z);
    case ESC_ACTIVATION_SIGMOID_RAW: return logistic(z);
    case ESC_ACTIVATION_POLYNOMIAL:
      for (int k = 0; k < a->terms; k++) sum += a->coefficient[k] * powl(z, k);
      return sum;
    case ESC_ACTIVATION_LINEAR:
    case ESC_ACTIVATION_COUNT: break;
  }
  return z;
}

static real derivative_of(const esc_activation *a, real z) {
  const real p = logistic(z);
  real sum = 0;
  switch (a->kind) {
    case ESC_ACTIVATION_RELU: return z > 0;
    case ESC_ACTIVATION_TANH: return 1 / (coshl(z) * coshl(z));
    case ESC_ACTIVATION_ERF: return 2 * sqrtl(2) * normal_density(sqrtl(2) * z);
    case ESC_ACTIVATION_SIN: return cosl(z);
    case ESC_ACTIVATION_GELU: return normal_cdf(z) + z * normal_density(z);
    case ESC_ACTIVATION_SWISH: return p + z * p * (1 - p);
    case ESC_ACTIVATION_SOFTPLUS:
    case ESC_ACTIVATION_SOFTPLUS_RAW: return p;
    case ESC_ACTIVATION_SIGMOID:
    case ESC_ACTIVATION_SIGMOID_RAW: return p * (1 - p);
    case ESC_ACTIVATION_POLYNOMIAL:
      for (int k = 1; k < a->terms; k++) sum += k * a->coefficient[k] * powl(z, k - 1);
      return sum;
    case ESC_ACTIVATION_LINEAR:
    case ESC_ACTIVATION_COUNT: break;
  }
  return 1;
}

esc_oracle_value esc_oracle_activate(const esc_activation *a, long double z) {
  const real value = value_of(a, z), derivative = derivative_of(a, z);
  return (esc_oracle_value){value, derivative, value - z * derivative};
}

long double esc_oracle_loss(const esc_problem *p, long double f, long double t,
                            long double *derivative) {
  const real error = f - t, delta = p->huber_delta, y = t < 0 ? -1 : 1;
  switch (p->loss) {
    case ESC_LOSS_LOGISTIC: *derivative = -y * logistic(-y * f); return softplus(-y * f);
    case ESC_LOSS_HUBER:
      if (fabsl(error) <= delta) break;
      *derivative = error > 0 ? delta : -delta;
      return delta * (fabsl(error) - delta / 2);
    case ESC_LOSS_SQUARED: break;
  }
  *derivative = error;
  return error * error / 2;
}

/* ---- draws ---- */

/* Normal number i of a stream of four a Philox block. */
static real normal_at(uint64_t seed, esc_domain domain, uint64_t step, uint32_t stream, size_t i) {
  float four[4];
  esc_normal4_at(seed, domain, step, stream, (uint32_t)(i / 4), four);
  return (real)four[i % 4];
}

static real inner(const real *a, const real *b, size_t n) {
  real sum = 0;
  for (size_t i = n; i-- > 0;) sum += a[i] * b[i];
  return sum;
}

/* Modified Gram-Schmidt: each finished direction is taken out of all later ones. */
static void orthonormalise(real *v, size_t modes, size_t d) {
  for (size_t k = 0; k < modes; k++) {
    const real size = sqrtl(inner(v + k * d, v + k * d, d));
    for (size_t i = 0; i < d; i++) v[k * d + i] /= size;
    for (size_t j = k + 1; j < modes; j++) {
      const real overlap = inner(v + k * d, v + j * d, d);
      for (size_t i = 0; i < d; i++) v[j * d + i] -= overlap * v[k * d + i];
    }
  }
}

void esc_oracle_directions(const esc_problem *p, long double *v) {
  const size_t d = (size_t)p->shape.inputs, modes = (size_t)p->teacher.modes;
  const bool axes = p->teacher.directions == ESC_DIRECTIONS_AXES;
  for (size_t k = 0; k < modes; k++)
    for (size_t i = 0; i < d; i++)
      v[k * d + i] = axes ? i == k : normal_at(p->run_seed, ESC_DOMAIN_TEACHER, 0, (uint32_t)k, i);
  orthonormalise(v, modes, d);
}

/* s_{l,k} of a member: the problem's own scale, times epsilon in small layers. */
static real scale_of(const esc_problem *p, const esc_member *m, size_t mode, int l) {
  const size_t row = p->scale_modes == 1 ? 0 : mode;
  const bool small = m->small_layers >> l & 1;
  return (real)p->scale[row * (size_t)p->shape.layers + (size_t)l] * (small ? m->scale : 1);
}

static real entry(const esc_problem *p, const esc_member *m, const real *v, int l, size_t i,
                  size_t j) {
  const size_t columns = columns_of(p, l);
  const size_t n = (size_t)(p->shape.width / p->teacher.modes);
  const real normal = normal_at(m->seed, ESC_DOMAIN_INIT, 0, (uint32_t)l, i * columns + j);
  if (p->scheme == ESC_SCHEME_HE_NORMAL)
    return scale_of(p, m, 0, l) * sqrtl(2.0L / (real)columns) * normal;
  if (l == 0) return scale_of(p, m, i / n, l) * v[i / n * columns + j];
  const bool inside = l == p->shape.layers - 1 || i / n == j / n;
  return inside ? scale_of(p, m, j / n, l) / (real)n : 0;
}

void esc_oracle_initial(const esc_problem *p, const esc_member *m, const long double *v,
                        long double *w) {
  for (int l = 0; l < p->shape.layers; l++)
    for (size_t i = 0; i < rows_of(p, l); i++)
      for (size_t j = 0; j < columns_of(p, l); j++) *w++ = entry(p, m, v, l, i, j);
}

/* Sample b, coordinate j of the minibatch: each sample begins a Philox block. */
static void draw(const esc_problem *p, uint64_t seed, int64_t step, double *x) {
  const size_t d = (size_t)p->shape.inputs, padded = (d + 3) / 4 * 4;
  for (size_t b = 0; b < (size_t)p->batch; b++)
    for (size_t j = 0; j < d; j++)
      x[b * d + j] = (double)normal_at(seed, ESC_DOMAIN_DATA, (uint64_t)step, 0, b * padded + j);
}

/* ---- gradients ---- */

/* A minibatch in the network: column b of each matrix is sample b. */
typedef struct wave {
  size_t samples, widest;
  real *z, *h;         /* (layer, widest, sample): z_l behind layer l, and its input */
  real *delta, *above; /* (widest, sample) */
  esc_arena arena;
} wave;

static void wave_describe(esc_arena *a, size_t layers, wave *s) {
  const size_t plane = s->widest * s->samples;
  s->z = ESC_CARVE(a, real, layers * plane);
  s->h = ESC_CARVE(a, real, layers * plane);
  s->delta = ESC_CARVE(a, real, plane);
  s->above = ESC_CARVE(a, real, plane);
}

static esc_status wave_create(const esc_problem *p, int samples, wave *s) {
  esc_status status = ESC_OK;
  esc_arena measured = {0};
  const size_t width = (size_t)p->shape.width, d = (size_t)p->shape.inputs;
  *s = (wave){.samples = (size_t)samples, .widest = width > d ? width : d};
  wave_describe(&measured, (size_t)p->shape.layers, s);
  ESC_TRY(esc_arena_create(measured, &s->arena));
  wave_describe(&s->arena, (size_t)p->shape.layers, s);
done:
  return status;
}

/* (rows, columns), or where transposed stored as (columns, rows). */
typedef struct matrix {
  size_t rows, columns;
  const real *entry;
  bool transposed;
} matrix;

/* out (rows, n) = m b for b (columns, n). */
static void product(matrix m, size_t n, const real *b, real *out) {
  const size_t rows = m.rows, inner_size = m.columns;
  const real *const a = m.entry;
  memset(out, 0, rows * n * sizeof *out);
  for (size_t i = 0; i < rows; i++)
    for (size_t k = 0; k < inner_size; k++) {
      const real factor = m.transposed ? a[k * rows + i] : a[i * inner_size + k];
      for (size_t j = 0; j < n; j++) out[i * n + j] += factor * b[k * n + j];
    }
}

static void forward(const esc_problem *p, const real *w, wave *s) {
  const size_t plane = s->widest * s->samples;
  for (int l = 0; l < p->shape.layers; l++) {
    real *z = s->z + (size_t)l * plane, *h = s->h + (size_t)l * plane;
    product((matrix){rows_of(p, l), columns_of(p, l), w + start_of(p, l), false}, s->samples, h, z);
    if (l == p->shape.layers - 1) return;
    for (size_t i = 0; i < rows_of(p, l) * s->samples; i++)
      h[plane + i] = value_of(&p->activation, z[i]);
  }
}

static real target(const esc_problem *p, const real *v, const wave *s, size_t b) {
  const size_t d = (size_t)p->shape.inputs;
  real sum = 0;
  for (int k = 0; k < p->teacher.modes; k++) {
    real projection = 0;
    for (size_t j = 0; j < d; j++) projection += v[(size_t)k * d + j] * s->h[j * s->samples + b];
    sum += p->teacher.amplitude[k] * value_of(&p->activation, projection);
  }
  return sum;
}

/* G_l = delta h', then delta of the layer below in s->delta. */
static void backward(const esc_problem *p, const real *w, int l, wave *s,
                     esc_oracle_gradient *out) {
  const size_t plane = s->widest * s->samples, rows = rows_of(p, l), columns = columns_of(p, l);
  const real *h = s->h + (size_t)l * plane;
  real *g = out->g + start_of(p, l);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++)
      g[i * columns + j] = inner(s->delta + i * s->samples, h + j * s->samples, s->samples);
  out->grad_norm_sq[l] = inner(g, g, rows * columns);
  if (l == 0) return;
  const real *z = s->z + (size_t)(l - 1) * plane;
  product((matrix){columns, rows, w + start_of(p, l), true}, s->samples, s->delta, s->above);
  for (size_t i = 0; i < columns * s->samples; i++) {
    const esc_oracle_value e = esc_oracle_activate(&p->activation, z[i]);
    out->deficit[l - 1] += s->above[i] * e.deficit;
    s->delta[i] = s->above[i] * e.derivative;
  }
}

static void differentiate(const esc_problem *p, const real *v, const real *w,
                          const esc_batch *batch, wave *s, esc_oracle_gradient *out) {
  const size_t d = (size_t)p->shape.inputs, last = (size_t)(p->shape.layers - 1);
  out->loss = 0;
  memset(out->deficit, 0, sizeof out->deficit);
  for (size_t b = 0; b < s->samples; b++)
    for (size_t j = 0; j < d; j++) s->h[j * s->samples + b] = batch->x[b * d + j];
  forward(p, w, s);
  for (size_t b = 0; b < s->samples; b++) {
    const real weight = batch->weight ? batch->weight[b] : 1 / (real)s->samples;
    const real f = s->z[last * s->widest * s->samples + b];
    out->loss += weight * esc_oracle_loss(p, f, target(p, v, s, b), &s->delta[b]);
    s->delta[b] *= weight;
  }
  for (int l = p->shape.layers - 1; l >= 0; l--) backward(p, w, l, s, out);
}

esc_status esc_oracle_gradient_of(const esc_problem *p, const long double *v, const long double *w,
                                  const esc_batch *batch, esc_oracle_gradient *out) {
  wave s;
  const esc_status status = wave_create(p, batch->samples, &s);
  if (status == ESC_OK) differentiate(p, v, w, batch, &s, out);
  esc_arena_free(&s.arena);
  return status;
}

/* ---- training ---- */

/* gamma = (n, 1, ..., 1, 1/n), n = N or the size of a block. */
static real gamma_of(const esc_problem *p, int l) {
  const real n = p->scheme == ESC_SCHEME_BLOCKS ? (real)p->shape.width / p->teacher.modes
                                                : (real)p->shape.width;
  if (p->metric == ESC_METRIC_EUCLIDEAN) return 1;
  return l == 0 ? n : l == p->shape.layers - 1 ? 1 / n : 1;
}

long double esc_oracle_norm2(const esc_problem *p, const long double *w, int l) {
  const real *from = w + start_of(p, l);
  return inner(from, from, rows_of(p, l) * columns_of(p, l));
}

long double esc_oracle_imbalance(const esc_problem *p, const long double *w, int l) {
  return esc_oracle_norm2(p, w, l + 1) / gamma_of(p, l + 1) -
         esc_oracle_norm2(p, w, l) / gamma_of(p, l);
}

/* The average after this step's loss; false once every threshold was crossed. */
static bool follow(const esc_problem *p, real loss, esc_oracle_run *r) {
  const real before = r->smoothed, phi = r->steps ? p->smoothing : 0;
  bool all = true;
  r->loss = loss;
  r->smoothed = phi * before + (1 - phi) * loss;
  for (int i = 0; i < p->thresholds; i++) {
    const real to = p->threshold[i];
    if (r->escape_step[i] < 0 && r->smoothed < to) {
      r->escape_step[i] = r->steps;
      r->margin[i] = fminl(to - r->smoothed, r->steps ? before - to : to) / to;
    }
    all = all && r->escape_step[i] >= 0;
  }
  return !all;
}

/* The identity of docs/theory, section 1.4, and the update that it is about. */
static void update(const esc_problem *p, const esc_oracle_gradient *g, esc_oracle_run *r) {
  const real rate = p->rate;
  for (int l = 0; l < p->shape.layers; l++) {
    r->path[l] += 2 * rate * sqrtl(g->grad_norm_sq[l]);
    for (size_t i = start_of(p, l); i < start_of(p, l + 1); i++)
      r->w[i] -= rate * gamma_of(p, l) * g->g[i];
  }
  for (int l = 0; l + 1 < p->shape.layers; l++) {
    const real flow = -2 * rate * g->deficit[l];
    const real above = rate * rate * gamma_of(p, l + 1) * g->grad_norm_sq[l + 1];
    const real below = rate * rate * gamma_of(p, l) * g->grad_norm_sq[l];
    r->ledger[l] += flow + (above - below);
    r->drift[l] += fabsl(flow) + above + below;
  }
  r->steps++;
}

/* The direction of the step of weight i by momentum, weight decay or Adam, as PyTorch documents
 * SGD, Adam and AdamW, with AdamW's decay for both: w <- (1 - eta lambda) w - ... */
static real direction(const esc_optimizer *o, real gamma, real gradient, size_t i,
                      esc_oracle_run *r) {
  const real decay = o->weight_decay * r->w[i], outside = o->decoupled ? decay / gamma : 0;
  const real g = gradient + (o->decoupled ? 0 : decay), t = (real)r->steps + 1;
  real *buffer = &r->velocity[i], *square = &r->second[i];
  if (o->kind == ESC_OPTIMIZER_ADAM) {
    *buffer += (1 - (real)o->adam_beta1) * (g - *buffer);
    *square += (1 - (real)o->adam_beta2) * (g * g - *square);
    const real unbiased = *square / (1 - powl(o->adam_beta2, t));
    return *buffer / (1 - powl(o->adam_beta1, t)) / (sqrtl(unbiased) + o->adam_epsilon) + outside;
  }
  *buffer = r->steps ? o->momentum * *buffer + g : g;
  return (o->nesterov ? g + o->momentum * *buffer : *buffer) + outside;
}

/* The update along these directions, and the change of the imbalance from the products of weights
 * and directions themselves, in which no deficit and no velocity appears. */
static void update_optimized(const esc_problem *p, esc_oracle_gradient *g, esc_oracle_run *r) {
  const real rate = p->rate;
  real product[ESC_LAYERS_MAX], square[ESC_LAYERS_MAX];
  for (int l = 0; l < p->shape.layers; l++) {
    const real gamma = gamma_of(p, l);
    const size_t start = start_of(p, l), count = rows_of(p, l) * columns_of(p, l);
    real *e = g->g + start, *w = r->w + start;
    for (size_t i = 0; i < count; i++) e[i] = direction(&p->optimizer, gamma, e[i], start + i, r);
    product[l] = -2 * rate * inner(w, e, count);
    square[l] = rate * rate * gamma * inner(e, e, count);
    r->path[l] += 2 * rate * sqrtl(inner(e, e, count));
    for (size_t i = 0; i < count; i++) w[i] -= rate * gamma * e[i];
  }
  for (int l = 0; l + 1 < p->shape.layers; l++) {
    const real flow = product[l + 1] - product[l];
    r->ledger[l] += flow + (square[l + 1] - square[l]);
    r->drift[l] += fabsl(flow) + square[l + 1] + square[l];
  }
  r->steps++;
}

static esc_status run_create(const esc_problem *p, esc_oracle_run *r) {
  esc_status status = ESC_OK;
  const size_t weights = start_of(p, p->shape.layers);
  *r = (esc_oracle_run){.steps = 0};
  for (int i = 0; i < ESC_THRESHOLDS_MAX; i++) r->escape_step[i] = -1;
  ESC_TRY_ALLOCATE(r->initial = calloc(weights, sizeof *r->initial));
  ESC_TRY_ALLOCATE(r->w = calloc(weights, sizeof *r->w));
  ESC_TRY_ALLOCATE(r->velocity = calloc(weights, sizeof *r->velocity));
  ESC_TRY_ALLOCATE(r->second = calloc(weights, sizeof *r->second));
done:
  return status;
}

esc_status esc_oracle_train(const esc_problem *p, const esc_member *m, esc_oracle_run *r) {
  esc_status status = ESC_OK;
  const size_t weights = start_of(p, p->shape.layers), d = (size_t)p->shape.inputs;
  esc_oracle_gradient gradient = {.g = NULL};
  real *v = NULL;
  double *x = NULL;
  wave s = {.z = NULL};
  ESC_TRY(run_create(p, r));
  ESC_TRY(wave_create(p, p->batch, &s));
  ESC_TRY_ALLOCATE(gradient.g = calloc(weights, sizeof *gradient.g));
  ESC_TRY_ALLOCATE(v = calloc((size_t)p->teacher.modes * d, sizeof *v));
  ESC_TRY_ALLOCATE(x = calloc((size_t)p->batch * d, sizeof *x));
  esc_oracle_directions(p, v);
  esc_oracle_initial(p, m, v, r->initial);
  memcpy(r->w, r->initial, weights * sizeof *r->w);
  while (r->steps < p->steps) {
    draw(p, m->seed, r->steps, x);
    const esc_batch batch = {.samples = p->batch, .x = x};
    differentiate(p, v, r->w, &batch, &s, &gradient);
    if (!follow(p, gradient.loss, r)) break;
    if (esc_optimizer_is_plain(&p->optimizer))
      update(p, &gradient, r);
    else
      update_optimized(p, &gradient, r);
  }
done:
  free(gradient.g);
  free(v);
  free(x);
  esc_arena_free(&s.arena);
  return status;
}

void esc_oracle_run_free(esc_oracle_run *r) {
  free(r->initial);
  free(r->w);
  free(r->velocity);
  free(r->second);
}

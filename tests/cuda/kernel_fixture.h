/* SPDX-License-Identifier: Apache-2.0 */
/* Fixture for tests of one kernel: a chunk in device memory, with copies of its arrays on the
 * host.
 *
 * Every array has four copies on the host: the input, the host reference's output, the kernel's
 * output, and the kernel's output in the first run. Guard bytes precede and follow every array.
 * All arrays are compared whole, so that a kernel that writes more than it should is found. */
#ifndef ESC_KERNEL_FIXTURE_H
#define ESC_KERNEL_FIXTURE_H

#include "cuda/chunk.h"
#include "escapement/internal/order.h"
#include "optimizers.h"
#include "problems.h"
#ifdef ESC_SIMT
#include "esc_simt.h"
#endif

enum { GUARD = 256 }; /* bytes; keeps cudaMalloc's alignment */

typedef enum stage { BEFORE, WANT, GOT, FIRST, STAGES } stage;
typedef enum element { BITS32, BITS64, FLOAT, DOUBLE, TRACK } element;

/* X(array of esc_chunk, element, layers, elements of one network in one of them). */
#define FIXTURE_ARRAYS(X)                           \
  X(seed, BITS64, 1, 1)                             \
  X(track, TRACK, 1, 1)                             \
  X(update_mask, BITS32, 1, 1)                      \
  X(w, FLOAT, 1, W)                                 \
  X(compensation, FLOAT, 1, compensated ? W : 0)    \
  X(velocity, FLOAT, 1, moments > 0 ? W : 0)        \
  X(second_moment, FLOAT, 1, moments > 1 ? W : 0)   \
  X(velocity_product, DOUBLE, 1, optimized ? L : 0) \
  X(weight_norm_sq, DOUBLE, 1, optimized ? L : 0)   \
  X(g, FLOAT, 1, W)                                 \
  X(x, FLOAT, 1, B *D)                              \
  X(z, FLOAT, L - 1, B * N)                         \
  X(h, FLOAT, L - 1, B * N)                         \
  X(delta, FLOAT, 1, B *N)                          \
  X(u, FLOAT, 1, B *N)                              \
  X(dloss, FLOAT, 1, B)                             \
  X(tile_deficit, DOUBLE, 1, (L - 1) * tiles)       \
  X(deficit, DOUBLE, 1, L)                          \
  X(grad_norm_sq, DOUBLE, 1, L)                     \
  X(nonzero_updates, BITS32, 1, L)                  \
  X(rounded_away, BITS32, 1, L)

enum {
#define ID(name, kind, layers, each) ARRAY_##name,
  FIXTURE_ARRAYS(ID)
#undef ID
      ARRAY_direction,
  ARRAYS
};

typedef struct array {
  const char *name;
  element kind;
  size_t size, count, layers, each; /* bytes of an element; count = layers slots each */
  unsigned char *bytes[STAGES], *device;
} array;

/* Sizes and options of a fixture. */
typedef struct setting {
  int layers, width, inputs, batch, slots;
  int activation, loss, modes;
  int optimizer; /* 0: plain gradient descent; else optimizers[optimizer - 1] */
  bool random_directions, normalized, compensated;
  bool integers; /* small ones, on which float arithmetic is exact */
  int states;    /* which slots train: see fixture_set_state */
} setting;

enum { ALL_TRAIN = -1, ALL_FINISHED = -2 }; /* of setting.states; else a number from 0 on */

typedef struct fixture {
  setting set;
  esc_problem problem;
  esc_device_problem p; /* `direction` on the host */
  esc_track_rules rules;
  array array[ARRAYS];
  esc_chunk chunk[STAGES], d_chunk;
  cudaStream_t stream;
  uint64_t random;
} fixture;

#define assert_cuda(call) cuda_check(__FILE__, __LINE__, #call, (call))

static inline void cuda_check(const char *file, int line, const char *what, cudaError_t error) {
  if (error == cudaSuccess) return;
  print_error("%s: %s\n", what, cudaGetErrorString(error));
  _fail(file, line);
}

/* Fails with the setting and the element. */
static inline void fixture_fail(const fixture *t, const char *what, size_t index) {
  const setting *s = &t->set;
  print_error("%s[%zu] of L=%d N=%d d=%d B=%d slots=%d %s loss %d, %d modes%s%s%s%s\n", what, index,
              s->layers, s->width, s->inputs, s->batch, s->slots, activation_names[s->activation],
              s->loss, s->modes, s->random_directions ? " random" : "",
              s->normalized ? " normalized" : "", s->compensated ? " compensated" : "",
              s->integers ? " integers" : "");
  if (s->optimizer > 0) print_error("optimizer: %s\n", optimizers[s->optimizer - 1].name);
  fail();
}

/* |got - want| <= allowed, which is false for a NaN. */
static inline void fixture_check_close(const fixture *t, const char *what, size_t index, double got,
                                       double want, double allowed) {
  if (fabs(got - want) <= allowed) return;
  print_error("got %.17g, want %.17g, error %.3g, allowed %.3g: ", got, want, got - want, allowed);
  fixture_fail(t, what, index);
}

/* SplitMix64. */
static inline uint64_t fixture_random_bits(fixture *t) {
  uint64_t z = t->random += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Uniform in (-1, 1). */
static inline double fixture_random_uniform(fixture *t) {
  return 2 * ((double)(fixture_random_bits(t) >> 11) + 0.5) * 0x1p-53 - 1;
}

/* An integer, uniform in low..high. */
static inline int fixture_random_integer(fixture *t, int low, int high) {
  return low + (int)(fixture_random_bits(t) % (uint64_t)(high - low + 1));
}

/* In (-size, size); with `integers` an integer of -largest..largest. */
static inline double fixture_random_number(fixture *t, double size, int largest) {
  return t->set.integers ? fixture_random_integer(t, -largest, largest)
                         : size * fixture_random_uniform(t);
}

/* Small and large pre-activations, and 0 of both signs. */
static inline double fixture_random_preactivation(fixture *t) {
  static const double special[] = {0.0, -0.0, 1e-9, -1e-4, 0.999, 1, -25};
  const int which = fixture_random_integer(t, 0, 40);
  if (t->set.integers) return fixture_random_integer(t, -1, 2);
  return which < 7 ? special[which] : 3 * fixture_random_uniform(t);
}

/* A gradient's entry: some are 0, some vanish in the rounding of the weight's update, the others
 * do not. */
static inline double fixture_random_gradient(fixture *t) {
  const int which = fixture_random_integer(t, 0, 4);
  const double u = fixture_random_uniform(t);
  if (t->set.integers) return fixture_random_integer(t, -2, 2);
  return which == 0 ? 0 : which == 1 ? 1e-22 * u : copysign(0.5, u) + 0.5 * u;
}

static inline double fixture_random_value(fixture *t, int id) {
  const double n = t->set.width;
  switch (id) {
    case ARRAY_w: return fixture_random_number(t, 1 / sqrt(n), 1);
    case ARRAY_compensation:
      return t->set.integers ? fixture_random_integer(t, -1, 1) : 1e-8 * fixture_random_gradient(t);
    case ARRAY_g: return fixture_random_gradient(t);
    case ARRAY_x: return fixture_random_number(t, 2, 1);
    case ARRAY_z: return fixture_random_preactivation(t);
    case ARRAY_dloss: return fixture_random_number(t, 1.0 / t->set.batch, 3);
    case ARRAY_direction: return fixture_random_number(t, 1 / sqrt(t->set.inputs), 1);
    case ARRAY_second_moment: return pow(fixture_random_number(t, 1, 3), 2);
    case ARRAY_weight_norm_sq:
    case ARRAY_grad_norm_sq: return pow(fixture_random_number(t, 2, 4), 2);
    default: return fixture_random_number(t, 1, 3);
  }
}

/* Whether slot i trains, and the update mask that an earlier step left. The first kernels of a
 * step (`early`) read whether its track is active, the others the mask. A slot is idle because its
 * network has finished, or is at its step limit. */
static inline void fixture_set_state(fixture *t, int i, bool early) {
  const int states = t->set.states, which = states >= 0 && i > 0 ? (states + i) % 4 : 0;
  const bool idle = states == ALL_FINISHED || which == 2 || (which == 3 && early);
  const bool stale = early ? (i + states) % 2 == 1 : idle || which == 1;
  esc_track *track = &t->chunk[BEFORE].track[i];
  track->finished = idle && which != 3;
  track->step_limit = track->step + (idle && which == 3 ? 0 : 1);
  t->chunk[BEFORE].update_mask[i] = !stale;
}

static inline void fixture_fill_track(fixture *t, esc_track *track, int i) {
  static const int64_t step[] = {0, 17, (INT64_C(1) << 33) + 5};
  memset(track, 0, sizeof *track);
  track->step = step[(i + t->set.width) % 3];
  track->loss = track->smoothed = fabs(fixture_random_number(t, 2, 5));
  for (int k = 0; k < ESC_THRESHOLDS_MAX; k++) track->escape_step[k] = k == 1 && i % 2 ? 0 : -1;
  for (int l = 0; l < t->set.layers; l++) {
    track->ledger[l] =
        (esc_sum){fixture_random_number(t, 3, 9), fixture_random_number(t, 1e-17, 1)};
    track->drift[l] =
        (esc_sum){fabs(fixture_random_number(t, 9, 9)), fixture_random_number(t, 1e-17, 1)};
    track->path[l] = fabs(fixture_random_number(t, 5, 9));
    track->product[l] = fixture_random_number(t, 1, 3);
  }
  track->rounded_away = fixture_random_integer(t, 0, 99);
  track->nonzero_updates = (INT64_C(1) << 40) + fixture_random_integer(t, 0, 99);
}

static inline void fixture_fill_reals(fixture *t, int id) {
  const array *a = &t->array[id];
  unsigned char *to = a->bytes[BEFORE] + GUARD;
  for (size_t i = 0; i < a->count; i++)
    if (a->kind == FLOAT)
      ((float *)(void *)to)[i] = (float)fixture_random_value(t, id);
    else
      ((double *)(void *)to)[i] = fixture_random_value(t, id);
}

static inline void fixture_fill(fixture *t, bool early) {
  const esc_chunk *chunk = &t->chunk[BEFORE];
  for (int id = 0; id < ARRAYS; id++)
    if (t->array[id].kind == FLOAT || t->array[id].kind == DOUBLE) fixture_fill_reals(t, id);
  for (int i = 0; i < chunk->slots; i++) {
    chunk->seed[i] = fixture_random_bits(t);
    fixture_fill_track(t, &chunk->track[i], i);
    fixture_set_state(t, i, early);
  }
  for (int i = 0; i < chunk->slots * t->set.layers; i++) {
    chunk->nonzero_updates[i] = fixture_random_integer(t, 0, 1000);
    chunk->rounded_away[i] = fixture_random_integer(t, 0, chunk->nonzero_updates[i]);
  }
}

/* Thresholds above all, some or none of the losses. */
static inline void fixture_set_thresholds(esc_problem *p, int which) {
  static const int count[] = {1, 2, 3, ESC_THRESHOLDS_MAX};
  static const double highest[] = {1e30, 1, 10, 1e6};
  p->thresholds = count[which];
  for (int i = 0; i < p->thresholds; i++) p->threshold[i] = highest[which] * pow(10, -i);
}

/* Rounded to float, or, with `integers`, so that no step rounds. */
static inline esc_optimizer fixture_optimizer(const setting *s) {
  esc_optimizer o = {.kind = ESC_OPTIMIZER_SGD};
  if (s->optimizer > 0) o = optimizers[s->optimizer - 1].optimizer;
  if (s->integers && o.momentum != 0) o.momentum = 0.5;
  if (s->integers && o.weight_decay != 0) o.weight_decay = 0.25;
  o.momentum = (double)(float)o.momentum;
  o.weight_decay = (double)(float)o.weight_decay;
  return o;
}

static inline void fixture_make_problem(fixture *t) {
  const setting *s = &t->set;
  esc_problem *p = &t->problem;
  *p = problem_make(s->layers, s->width, s->inputs, s->batch);
  problem_activation(p, s->integers ? "poly:0,1,1" : activation_names[s->activation]);
  /* Rounded to float, so that computations in double have the same coefficients. */
  for (int k = 0; k < p->activation.terms; k++)
    p->activation.coefficient[k] = (double)(float)p->activation.coefficient[k];
  p->loss = (esc_loss_kind)s->loss;
  p->huber_delta = s->integers ? 2 : 0.25;
  p->teacher.modes = s->modes < s->inputs ? s->modes : s->inputs;
  for (int k = 0; k < p->teacher.modes; k++)
    p->teacher.amplitude[k] = s->integers ? 1 - k % 3 : (double)(float)(0.9 - 0.4 * k);
  p->teacher.directions = s->random_directions ? ESC_DIRECTIONS_RANDOM : ESC_DIRECTIONS_AXES;
  p->metric = s->normalized ? ESC_METRIC_NORMALIZED : ESC_METRIC_EUCLIDEAN;
  p->optimizer = fixture_optimizer(s);
  p->update = s->compensated ? ESC_UPDATE_COMPENSATED : ESC_UPDATE_PLAIN;
  p->rate = s->integers ? 0.25 : (double)0.05f;
  p->smoothing = s->integers ? 0.5 : s->batch % 2 ? 0.9 : 0;
  p->steps = 18; /* the slots at step 17 end with this one */
  fixture_set_thresholds(p, (s->width + s->batch) % 4);
  esc_device_problem_init(&t->p, p);
  esc_track_rules_init(&t->rules, p, true);
}

/* A network's weights are padded to a multiple of 32 floats. */
static inline void fixture_set_sizes(fixture *t) {
  const setting *s = &t->set;
  const esc_shape shape = t->problem.shape;
  const size_t L = (size_t)s->layers, N = (size_t)s->width, D = (size_t)s->inputs,
               B = (size_t)s->batch, tiles = (B + ESC_TILE - 1) / ESC_TILE,
               W = (esc_weight_offset(shape, s->layers) / 32 + 1) * 32;
  const esc_optimizer *o = &t->problem.optimizer;
  const bool compensated = s->compensated, optimized = !esc_optimizer_is_plain(o);
  const int moments = esc_optimizer_has_velocity(o) + esc_optimizer_has_second_moment(o);
  array *a = t->array;
  for (int i = 0; i < STAGES; i++) t->chunk[i] = (esc_chunk){.slots = s->slots, .weight_stride = W};
#define SIZE(field, what, in_layers, in_network)                         \
  *a++ = (array){.name = #field,                                         \
                 .kind = (what),                                         \
                 .size = sizeof *t->d_chunk.field,                       \
                 .count = (size_t)s->slots * (in_layers) * (in_network), \
                 .layers = (in_layers),                                  \
                 .each = (in_network)};
  FIXTURE_ARRAYS(SIZE)
#undef SIZE
  *a = (array){.name = "direction",
               .kind = FLOAT,
               .size = sizeof(float),
               .count = (size_t)t->p.modes * D,
               .layers = 1};
}

static inline size_t array_bytes(const array *a) { return a->size * a->count + 2 * GUARD; }

static inline void fixture_allocate(fixture *t) {
  for (int id = 0; id < ARRAYS; id++) {
    array *a = &t->array[id];
    if (a->count == 0) continue;
    for (int i = 0; i < STAGES; i++) {
      assert_non_null(a->bytes[i] = malloc(array_bytes(a)));
      memset(a->bytes[i], 0xa5, array_bytes(a));
    }
    assert_cuda(cudaMalloc((void **)&a->device, array_bytes(a)));
  }
}

/* Start of an array behind its guard; NULL for an array that is absent. */
static inline void *behind_guard(unsigned char *bytes) { return bytes ? bytes + GUARD : NULL; }

static inline void fixture_set_pointers(fixture *t) {
  t->d_chunk = t->chunk[BEFORE];
#define POINT(field, kind, layers, each)                                \
  for (int i = 0; i < STAGES; i++)                                      \
    t->chunk[i].field = behind_guard(t->array[ARRAY_##field].bytes[i]); \
  t->d_chunk.field = behind_guard(t->array[ARRAY_##field].device);
  FIXTURE_ARRAYS(POINT)
#undef POINT
  t->p.direction = behind_guard(t->array[ARRAY_direction].bytes[BEFORE]);
}

static inline void fixture_create(fixture *t, const setting *set, bool early) {
  memset(t, 0, sizeof *t);
  t->set = *set;
  t->random = (uint64_t)(set->width + 101 * set->batch);
  fixture_make_problem(t);
  fixture_set_sizes(t);
  fixture_allocate(t);
  fixture_set_pointers(t);
  fixture_fill(t, early);
  assert_cuda(cudaStreamCreateWithFlags(&t->stream, cudaStreamNonBlocking));
}

static inline void fixture_destroy(fixture *t) {
  for (int id = 0; id < ARRAYS; id++) {
    for (int i = 0; i < STAGES; i++) free(t->array[id].bytes[i]);
    assert_cuda(cudaFree(t->array[id].device));
  }
  assert_cuda(cudaStreamDestroy(t->stream));
  problem_free(&t->problem);
}

/* Fills an element of an output before the kernel runs: a NaN, or a negative number. Not all bits
 * are set, because a device's NaN is 0x7fffffff, which has all bits set when its sign is flipped.
 */
static inline void poison_element(unsigned char *bytes, size_t size) {
  memset(bytes, 0xff, size);
  bytes[0] = 0xa5; /* the lowest byte */
}

static inline void fixture_poison(fixture *t, int id) {
  array *a = &t->array[id];
  for (size_t i = 0; i < a->count; i++)
    poison_element(a->bytes[BEFORE] + GUARD + i * a->size, a->size);
}

static inline void fixture_copy(fixture *t, stage to, stage from) {
  for (int id = 0; id < ARRAYS; id++)
    if (t->array[id].count > 0)
      memcpy(t->array[id].bytes[to], t->array[id].bytes[from], array_bytes(&t->array[id]));
}

static inline void fixture_upload(fixture *t) {
  for (int id = 0; id < ARRAYS; id++) {
    array *a = &t->array[id];
    if (a->count == 0) continue;
    assert_cuda(cudaMemcpyAsync(a->device, a->bytes[BEFORE], array_bytes(a), cudaMemcpyHostToDevice,
                                t->stream));
  }
}

static inline void fixture_download(fixture *t) {
  for (int id = 0; id < ARRAYS; id++) {
    array *a = &t->array[id];
    if (a->count == 0) continue;
    assert_cuda(cudaMemcpyAsync(a->bytes[GOT], a->device, array_bytes(a), cudaMemcpyDeviceToHost,
                                t->stream));
  }
  assert_cuda(cudaStreamSynchronize(t->stream));
}

/* The problem as a kernel's argument. */
static inline esc_device_problem fixture_device_problem(const fixture *t) {
  esc_device_problem p = t->p;
  p.direction = behind_guard(t->array[ARRAY_direction].device);
  return p;
}

/* The slot that element `index` of an array belongs to. */
static inline size_t array_slot(const array *a, size_t index, int slots) {
  return a->each == 0 ? 0 : index / a->each % (size_t)slots;
}

static inline bool same_bits(const array *a, size_t i, const unsigned char *x,
                             const unsigned char *y) {
  return memcmp(x + GUARD + i * a->size, y + GUARD + i * a->size, a->size) == 0;
}

/* A NaN that arithmetic made, not the poison. Its payload depends on the machine. */
static inline bool made_nan(double value, const void *bytes, size_t size) {
  unsigned char poison[8];
  poison_element(poison, size);
  return isnan(value) && memcmp(bytes, poison, size) != 0;
}

static inline bool element_is_nan(const array *a, const unsigned char *bytes, size_t i) {
  const void *at = bytes + GUARD + i * a->size;
  if (a->kind == FLOAT) return made_nan((double)*(const float *)at, at, a->size);
  if (a->kind == DOUBLE) return made_nan(*(const double *)at, at, a->size);
  return false;
}

/* Replaces x by y if both are NaNs. */
static inline void same_nan(double *x, double y) {
  if (isnan(*x) && isnan(y)) *x = y;
}

static inline bool same_track(const void *x, const void *y) {
  esc_track a, b;
  memcpy(&a, x, sizeof a);
  memcpy(&b, y, sizeof b);
  same_nan(&a.loss, b.loss);
  same_nan(&a.smoothed, b.smoothed);
  for (int l = 0; l < ESC_LAYERS_MAX; l++) {
    same_nan(&a.ledger[l].value, b.ledger[l].value);
    same_nan(&a.ledger[l].correction, b.ledger[l].correction);
    same_nan(&a.drift[l].value, b.drift[l].value);
    same_nan(&a.drift[l].correction, b.drift[l].correction);
    same_nan(&a.path[l], b.path[l]);
    same_nan(&a.product[l], b.product[l]);
  }
  return memcmp(&a, &b, sizeof a) == 0;
}

/* The same bits, or a NaN in both. */
static inline bool same_element(const array *a, size_t i, const unsigned char *x,
                                const unsigned char *y) {
  if (same_bits(a, i, x, y)) return true;
  if (a->kind == TRACK) return same_track(x + GUARD + i * a->size, y + GUARD + i * a->size);
  return element_is_nan(a, x, i) && element_is_nan(a, y, i);
}

static inline void fixture_check_guards(const fixture *t, const array *a) {
  const size_t end = array_bytes(a) - GUARD;
  for (size_t i = 0; i < GUARD; i++)
    if (a->bytes[GOT][i] != 0xa5 || a->bytes[GOT][end + i] != 0xa5) {
      print_error("guard of ");
      fixture_fail(t, a->name, i);
    }
}

/* The kernel's output equals `want`, and the guards are intact. */
static inline void fixture_compare(const fixture *t, stage want) {
  for (int id = 0; id < ARRAYS; id++) {
    const array *a = &t->array[id];
    if (a->count == 0) continue;
    fixture_check_guards(t, a);
    if (memcmp(a->bytes[GOT], a->bytes[want], array_bytes(a)) == 0) continue;
    for (size_t i = 0; i < a->count; i++)
      if (!same_element(a, i, a->bytes[GOT], a->bytes[want])) fixture_fail(t, a->name, i);
  }
}

/* Two runs give the same bits, those of NaNs included. */
static inline void fixture_check_repeat(const fixture *t) {
  for (int id = 0; id < ARRAYS; id++) {
    const array *a = &t->array[id];
    if (a->count == 0 || memcmp(a->bytes[GOT], a->bytes[FIRST], array_bytes(a)) == 0) continue;
    for (size_t i = 0; i < a->count; i++)
      if (!same_bits(a, i, a->bytes[GOT], a->bytes[FIRST])) {
        print_error("another run gives other bits: ");
        fixture_fail(t, a->name, i);
      }
  }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The problem that all networks of a sweep share, and the member: what differs between them.
 *
 * Indices of layers run from 0 in the code: layer l of the code is W_{l+1} of
 * the theory, interface l lies between layers l and l+1. */
#ifndef ESCAPEMENT_PROBLEM_H
#define ESCAPEMENT_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "escapement/activation.h"
#include "escapement/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads `tanh` or `poly:a0,a1,...`, in capitals or small letters, or the alias `silu` of
 * `swish`, into *activation. False if `text` is none of these. */
bool esc_activation_parse(const char *text, esc_activation *activation);

/* Largest coefficient of a network in training: larger ones, or their products, exceed the range of
 * the engines' floats. The theory accepts any, and functions of pieces. */
#define ESC_COEFFICIENT_MAX 1e30
bool esc_activation_is_trainable(const esc_activation *activation);

/* Its name in the table, without coefficients. */
const char *esc_activation_kind_name(esc_activation_kind kind);

/* sigma' jumps at 0: integrals over sigma are split there. */
bool esc_activation_has_corner(const esc_activation *activation);

typedef enum esc_loss_kind { ESC_LOSS_SQUARED, ESC_LOSS_LOGISTIC, ESC_LOSS_HUBER } esc_loss_kind;
enum { ESC_LOSSES = ESC_LOSS_HUBER + 1 }; /* a count that no switch has to list */
typedef enum esc_metric { ESC_METRIC_EUCLIDEAN, ESC_METRIC_NORMALIZED } esc_metric;
typedef enum esc_scheme {
  ESC_SCHEME_HE_NORMAL,
  ESC_SCHEME_SYMMETRIC,
  ESC_SCHEME_BLOCKS,
  ESC_SCHEME_FILE
} esc_scheme;
typedef enum esc_directions { ESC_DIRECTIONS_AXES, ESC_DIRECTIONS_RANDOM } esc_directions;
typedef enum esc_update { ESC_UPDATE_PLAIN, ESC_UPDATE_COMPENSATED } esc_update;

typedef enum esc_optimizer_kind { ESC_OPTIMIZER_SGD, ESC_OPTIMIZER_ADAM } esc_optimizer_kind;

/* From a gradient to a step (docs/theory, section 1.7). All 0: plain gradient descent. */
typedef struct esc_optimizer {
  esc_optimizer_kind kind;
  double momentum;          /* beta; 0 for Adam */
  bool nesterov, decoupled; /* decoupled: decay outside the gradient, as in AdamW */
  double weight_decay;      /* lambda */
  double adam_beta1, adam_beta2, adam_epsilon; /* read for Adam only */
} esc_optimizer;

/* Whether a step is the rate times the gradient. */
static inline bool esc_optimizer_is_plain(const esc_optimizer *o) {
  return o->kind == ESC_OPTIMIZER_SGD && o->momentum == 0 && o->weight_decay == 0;
}

/* Arrays of the size of the weights that a network's state has besides these: velocity (Adam: first
 * moment), second moment. */
static inline bool esc_optimizer_has_velocity(const esc_optimizer *o) {
  return o->kind == ESC_OPTIMIZER_ADAM || o->momentum != 0;
}
static inline bool esc_optimizer_has_second_moment(const esc_optimizer *o) {
  return o->kind == ESC_OPTIMIZER_ADAM;
}

/* Whether the imbalance has an exact law (docs/theory, section 1.7). Not for Adam, whose step is no
 * multiple of a sum of gradients. */
static inline bool esc_optimizer_has_ledger(const esc_optimizer *o) {
  return o->kind != ESC_OPTIMIZER_ADAM;
}

typedef struct esc_shape {
  int layers; /* L >= 2 weight layers */
  int width;  /* N */
  int inputs; /* d */
} esc_shape;

/* Teacher T(x) = sum_k a_k sigma(v_k . x), v_k orthonormal in R^d. */
typedef struct esc_teacher {
  int modes; /* K */
  double amplitude[ESC_MODES_MAX];
  esc_directions directions; /* axes: v_k = e_k; random: drawn from the run's seed */
} esc_teacher;

typedef struct esc_problem {
  esc_shape shape;
  esc_activation activation;
  esc_teacher teacher;
  esc_scheme scheme;
  const struct esc_initial_networks *initial; /* of scheme file (initial.h), once it is read */
  double *scale;   /* (K or 1, L): layer scales before the sweep's; owned by the spec */
  int scale_modes; /* rows of `scale`: 1, or K for blocks with a row a mode */
  esc_metric metric;
  double rate; /* eta */
  int batch;   /* B */
  int64_t steps;
  esc_loss_kind loss;
  double huber_delta;
  esc_optimizer optimizer;
  esc_update update;
  int thresholds;
  double threshold[ESC_THRESHOLDS_MAX]; /* in the order of the spec */
  double smoothing;      /* phi of the moving average; 0: the minibatch loss itself */
  bool pauses_at_escape; /* engines stop a network at each threshold, where its weights are read */
  uint64_t run_seed;     /* seed of the draws that all members share: the random directions */
} esc_problem;

/* One network. Its random numbers depend on `seed` alone, so that the same
 * seed at two scales is a pair; results depend neither on the order nor on the other members. */
typedef struct esc_member {
  int64_t index; /* in the whole sweep */
  uint64_t seed;
  int group;             /* which of the sweep's groups */
  int bottleneck;        /* r: how many layers carry `scale` */
  uint64_t small_layers; /* bit l: layer l carries it */
  double scale;          /* epsilon */
} esc_member;

/* Identity of a network within its experiment: members with the same key have the same bits in any
 * sweep. Journals and checkpoints find members by it. */
typedef struct esc_member_key {
  uint64_t seed, small_layers;
  double scale;
} esc_member_key;

static inline esc_member_key esc_member_key_of(const esc_member *m) {
  const esc_member_key key = {m->seed, m->small_layers, m->scale};
  return key;
}

static inline bool esc_member_key_equal(esc_member_key a, esc_member_key b) {
  return a.seed == b.seed && a.small_layers == b.small_layers && a.scale == b.scale;
}

static inline int esc_fan_in(esc_shape s, int l) { return l == 0 ? s.inputs : s.width; }
static inline int esc_fan_out(esc_shape s, int l) { return l == s.layers - 1 ? 1 : s.width; }

/* Number of weights of layers 0..l-1, so the offset of layer l in a flat,
 * row-major (fan_out, fan_in) concatenation; of all layers for l = L. */
static inline size_t esc_weight_offset(esc_shape s, int l) {
  size_t offset = 0;
  for (int i = 0; i < l; i++) offset += (size_t)esc_fan_out(s, i) * (size_t)esc_fan_in(s, i);
  return offset;
}

/* Weights of all layers. */
static inline size_t esc_weight_count(esc_shape s) { return esc_weight_offset(s, s.layers); }

/* Scale of layer l of `member` for teacher mode k (docs/theory, section 0.6). */
static inline double esc_layer_scale(const esc_problem *p, const esc_member *m, int k, int l) {
  const double base = p->scale[(p->scale_modes == 1 ? 0 : k) * p->shape.layers + l];
  return (m->small_layers >> l & 1) ? base * m->scale : base;
}

/* gamma_l of the metric (docs/theory, section 0.5); n = N, or N/K for blocks. */
static inline double esc_metric_gamma(const esc_problem *p, int l) {
  const double n = (double)p->shape.width / (p->scheme == ESC_SCHEME_BLOCKS ? p->teacher.modes : 1);
  if (p->metric == ESC_METRIC_EUCLIDEAN) return 1;
  return l == 0 ? n : l == p->shape.layers - 1 ? 1 / n : 1;
}

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the CPU engine: a network, a thread's workspace, and what all networks share. Each owns
 * its memory (an arena). Rows of features are padded to ESC_PAD floats, the padding is 0.
 *
 *   w  (fan_out, in_pad)   row-major, as in the theory
 *   wt (in_pad, out_pad)   its transpose, for the forward product
 *
 * The output layer, a single row, needs no transpose. */
#ifndef ESC_CPU_NETWORK_H
#define ESC_CPU_NETWORK_H

#include <stdatomic.h>

#include "escapement/internal/observe.h"
#include "escapement/internal/order.h"
#include "escapement/internal/slot.h"

typedef struct esc_cpu_layout {
  int in_pad[ESC_LAYERS_MAX], out_pad[ESC_LAYERS_MAX];
  size_t w[ESC_LAYERS_MAX + 1];  /* offset of layer l in w, g, compensation */
  size_t wt[ESC_LAYERS_MAX + 1]; /* offset in wt */
} esc_cpu_layout;

typedef struct esc_cpu_shared {
  const esc_problem *problem;
  esc_model model;
  esc_track_rules rules;
  esc_cpu_layout layout;
  const float *direction;                      /* (mode, input) */
  float amplitude[ESC_MODES_MAX];              /* a_k */
  float rate[ESC_LAYERS_MAX];                  /* eta gamma_l, rounded */
  float coefficient[ESC_POLYNOMIAL_TERMS_MAX]; /* 0 beyond the polynomial's terms */
} esc_cpu_shared;

typedef struct esc_cpu_network {
  esc_slot slot;
  float *w, *wt;
  float *compensation; /* of w; NULL for the plain update */
  esc_arena arena;
} esc_cpu_network;

/* Per-thread workspace for one batch tile. */
typedef struct esc_cpu_work {
  float *x;                          /* (tile, input), padded rows */
  float *h[ESC_LAYERS_MAX];          /* behind layer l: value, (tile, width) */
  float *derivative[ESC_LAYERS_MAX]; /* sigma'(z) */
  float *deficit[ESC_LAYERS_MAX];    /* kappa(z) */
  float *delta[2];                   /* (tile, width) of a layer, and of the one below */
  float *f, *target, *dloss;         /* (tile) */
  float *g;         /* (slice, weight) partial sums of the gradient; the first becomes it */
  double *g_sum;    /* (weight) summed over accumulation blocks; NULL for one block */
  float *draw;      /* (tile, 4 * blocks) normals, where x has other rows */
  double *weights;  /* (weight) initial, as they are drawn */
  esc_arena signal; /* for their initial signal */
  double loss_partial[ESC_PARTIALS];   /* sums over the minibatch */
  double loss;                         /* its mean */
  double deficit_sum[ESC_LAYERS_MAX];  /* (interface) mean[u . kappa] */
  double grad_norm_sq[ESC_LAYERS_MAX]; /* (layer) |G_l|^2 */
  esc_arena arena;                     /* of the blocks above */
} esc_cpu_work;

/* A network's response to a sample, and the sums over it that esc_evaluation_sums names. */
typedef struct esc_cpu_evaluation {
  const esc_observer *observer;
  const esc_eval_sample *sample;
  double *const *g; /* (4, weight) */
  esc_evaluation *out;
} esc_cpu_evaluation;

/* The functions compiled once for each instruction set (step.c). */
typedef struct esc_cpu_isa {
  const char *name;

  /* Loss, gradient and ledger terms of one minibatch into `work`: inputs x
   * (sample, input), or the member's own draw of its current step where x is
   * NULL. Does not change the network. */
  void (*gradient)(const esc_cpu_shared *shared, const esc_cpu_network *network, const float *x,
                   esc_cpu_work *work);

  /* Up to `steps` training steps; stops where the member finishes or *stop is set. */
  void (*train)(const esc_cpu_shared *shared, esc_cpu_network *network, esc_cpu_work *work,
                int64_t steps, const atomic_bool *stop);

  /* Adds the network's response to a sample. */
  void (*evaluate)(const esc_cpu_shared *shared, const esc_cpu_network *network, esc_cpu_work *work,
                   const esc_cpu_evaluation *evaluation);
} esc_cpu_isa;

extern const esc_cpu_isa esc_cpu_isa_generic;
#ifdef __x86_64__
extern const esc_cpu_isa esc_cpu_isa_avx2, esc_cpu_isa_avx512;
#endif

/* The instruction set `name`, or (NULL) the fastest of this machine. NULL if the name is unknown or
 * the machine lacks it. */
const esc_cpu_isa *esc_cpu_isa_find(const char *name);

void esc_cpu_layout_init(esc_cpu_layout *layout, esc_shape shape);
esc_status esc_cpu_shared_init(esc_cpu_shared *shared, const esc_problem *problem);
void esc_cpu_shared_free(esc_cpu_shared *shared);
esc_status esc_cpu_network_create(const esc_cpu_shared *shared, esc_cpu_network *network);
void esc_cpu_network_free(esc_cpu_network *network);
esc_status esc_cpu_work_create(const esc_cpu_shared *shared, esc_cpu_work **work);
void esc_cpu_work_free(esc_cpu_work *work);

/* Bytes that a network, and that a thread's workspace take. */
double esc_cpu_network_bytes(const esc_problem *problem);
double esc_cpu_work_bytes(const esc_problem *problem);

/* Sets the weights from doubles, flat as in esc_weight_offset, and back. */
void esc_cpu_network_set(const esc_cpu_shared *shared, esc_cpu_network *network, const double *w);
void esc_cpu_network_set_compensation(const esc_cpu_shared *shared, esc_cpu_network *network,
                                      const double *compensation);
void esc_cpu_network_get(const esc_cpu_shared *shared, const float *padded, double *w);

#endif

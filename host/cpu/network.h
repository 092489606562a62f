/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the CPU engine: a network, a thread's workspace, and the constants that all networks
 * share. Networks and workspaces each own an arena. Rows of features are padded to ESC_PAD floats;
 * the padding is 0.
 *
 *   w  (fan_out, in_pad)   row-major, as in the theory
 *   wt (in_pad, out_pad)   its transpose, for the forward product
 *
 * The output layer, a single row, needs no transpose; nor do wide networks (feature_major.h). */
#ifndef ESC_CPU_NETWORK_H
#define ESC_CPU_NETWORK_H

#include <stdatomic.h>

#include "escapement/internal/observe.h"
#include "escapement/internal/optimizer.h"
#include "escapement/internal/order.h"
#include "escapement/internal/slot.h"

/* Rows of features are padded to this many floats on every machine. */
enum { ESC_PAD = 16 };

/* Floats of a padded row of `count` features. */
static inline int esc_padded(int count) { return (count + ESC_PAD - 1) / ESC_PAD * ESC_PAD; }

typedef struct esc_cpu_layout {
  int in_pad[ESC_LAYERS_MAX], out_pad[ESC_LAYERS_MAX];
  size_t w[ESC_LAYERS_MAX + 1];  /* offset of layer l in w, g, compensation and moments */
  size_t wt[ESC_LAYERS_MAX + 1]; /* offset in wt */
  bool feature_major;            /* activations are (feature, sample); there is no wt */
} esc_cpu_layout;

/* From this width on networks are trained by feature_major.h, which is then faster. */
enum { ESC_FEATURE_MAJOR_WIDTH = 160 };

typedef struct esc_cpu_shared {
  const esc_problem *problem;
  esc_model model;
  esc_track_rules rules;
  esc_optimizer_rules optimizer;
  esc_cpu_layout layout;
  const float *direction;                      /* (mode, input) */
  float amplitude[ESC_MODES_MAX];              /* a_k */
  float rate[ESC_LAYERS_MAX];                  /* eta gamma_l, rounded */
  float coefficient[ESC_POLYNOMIAL_TERMS_MAX]; /* 0 beyond the polynomial's terms */
} esc_cpu_shared;

typedef struct esc_cpu_network {
  esc_slot slot;
  float *w, *wt;
  float *compensation;  /* of w; NULL for the plain update */
  float *velocity;      /* of w: V of momentum, or Adam's first moment; NULL for neither */
  float *second_moment; /* of w, for Adam; else NULL */
  esc_arena arena;
} esc_cpu_network;

/* Per-thread workspace for one batch tile. */
typedef struct esc_cpu_work {
  float *x;                          /* (tile, input), padded rows */
  float *columns;                    /* (input, tile): x transposed, if feature-major */
  float *rows;                       /* (tile, width): an h transposed, if feature-major */
  float *z[ESC_LAYERS_MAX];          /* z_l of layer l, or kappa(z_l) (activate.h): (tile, width);
                                        like the next three arrays (width, tile) if feature-major */
  float *h[ESC_LAYERS_MAX];          /* h_l = sigma(z_l) */
  float *derivative[ESC_LAYERS_MAX]; /* sigma'(z_l) */
  float *delta[2];                   /* (tile, width): delta_l, and u of the layer below */
  float *f, *target, *dloss;         /* (tile) */
  float *g;         /* (slice, weight) partial sums of the gradient; reduced into the first */
  double *g_sum;    /* (weight) sum over accumulation blocks; NULL for a single block */
  float *draw;      /* (tile, 4 * blocks) normals, before the copy into the padded rows of x */
  double *weights;  /* (weight) initial weights of a fresh member */
  esc_arena signal; /* workspace of its initial signal */
  double loss_partial[ESC_PARTIALS];       /* sums over the minibatch */
  double loss;                             /* mean over the minibatch */
  double deficit_sum[ESC_LAYERS_MAX];      /* (interface) mean[u . kappa] */
  double grad_norm_sq[ESC_LAYERS_MAX];     /* (layer) |G_l|^2, or of the step's direction */
  double velocity_product[ESC_LAYERS_MAX]; /* (layer) as in esc_step_sums */
  double weight_norm_sq[ESC_LAYERS_MAX];
  esc_arena arena; /* memory of the buffers above */
} esc_cpu_work;

/* Evaluation of a network on a sample: its inputs, the weighted gradient sums (esc_evaluation_sums)
 * and the result. */
typedef struct esc_cpu_evaluation {
  const esc_observer *observer;
  const esc_eval_sample *sample;
  double *const *g; /* (ESC_EVALUATION_SUMS, weight) */
  esc_evaluation *out;
} esc_cpu_evaluation;

/* Trains like esc_cpu_isa.train, to the same bits, `count` networks at the same time, one in each
 * lane of `pack` (interleaved.h): at most ESC_INTERLEAVE. */
struct esc_interleaved;
typedef void esc_train_interleaved(const esc_cpu_shared *shared, esc_cpu_network *const *network,
                                   int count, struct esc_interleaved *pack, int64_t steps,
                                   const atomic_bool *stop);

enum { ESC_INTERLEAVED_ROWS = 3 }; /* padded rows of 1, 2, 3 times ESC_PAD: widths up to 48 */

/* The functions compiled once for each instruction set (step.c, interleaved.c). */
typedef struct esc_cpu_isa {
  const char *name;

  /* Crossover of the two paths: networks of which at most this share of the padded work is their
   * own, for rows of 1, 2, ... times ESC_PAD, are faster interleaved. No wider ones are. */
  double interleaved_fill[ESC_INTERLEAVED_ROWS];

  /* Computes loss, gradient and ledger terms of one minibatch into `work`, with inputs x (sample,
   * input), or with the member's draw of its current step if x is NULL. Does not change the
   * network. */
  void (*gradient)(const esc_cpu_shared *shared, const esc_cpu_network *network, const float *x,
                   esc_cpu_work *work);

  /* Trains for up to `steps` steps; stops when the member finishes or *stop is set. */
  void (*train)(const esc_cpu_shared *shared, esc_cpu_network *network, esc_cpu_work *work,
                int64_t steps, const atomic_bool *stop);

  /* Adds the outputs and the weighted gradients of all samples to the evaluation's sums. */
  void (*evaluate)(const esc_cpu_shared *shared, const esc_cpu_network *network, esc_cpu_work *work,
                   const esc_cpu_evaluation *evaluation);

  esc_train_interleaved *train_interleaved;
} esc_cpu_isa;

extern const esc_cpu_isa esc_cpu_isa_generic;
extern esc_train_interleaved esc_interleaved_train_generic;
#ifdef __x86_64__
extern const esc_cpu_isa esc_cpu_isa_avx2, esc_cpu_isa_avx512;
extern esc_train_interleaved esc_interleaved_train_avx2, esc_interleaved_train_avx512;
#endif

/* The instruction set `name`, or the fastest of this machine if `name` is NULL. Returns NULL if the
 * name is unknown or the machine does not support it. */
const esc_cpu_isa *esc_cpu_isa_find(const char *name);

/* The instruction set that ESCAPEMENT_ISA names; ESC_BAD_INPUT if there is none of this name. */
esc_status esc_cpu_isa_select(const esc_cpu_isa **isa);

/* Whether a transpose of layer l's weights is kept. */
static inline bool esc_has_transpose(const esc_cpu_layout *layout, int l) {
  return layout->wt[l + 1] > layout->wt[l];
}

/* The layout for the shape's width, or one or the other for any network of two layers or more and
 * one K-slice. */
void esc_cpu_layout_init(esc_cpu_layout *layout, esc_shape shape);
void esc_cpu_layout_init_as(esc_cpu_layout *layout, esc_shape shape, bool feature_major);
esc_status esc_cpu_shared_init(esc_cpu_shared *shared, const esc_problem *problem);
void esc_cpu_shared_free(esc_cpu_shared *shared);
esc_status esc_cpu_network_create(const esc_cpu_shared *shared, esc_cpu_network *network);
void esc_cpu_network_free(esc_cpu_network *network);
esc_status esc_cpu_work_create(const esc_cpu_shared *shared, esc_cpu_work **work);
void esc_cpu_work_free(esc_cpu_work *work);

/* Bytes of a network, and of a thread's workspace. */
double esc_cpu_network_bytes(const esc_problem *problem);
double esc_cpu_work_bytes(const esc_problem *problem);

/* Sets the transposes from the weights. */
void esc_cpu_network_transpose(const esc_cpu_shared *shared, esc_cpu_network *network);

/* Copies weights from doubles, flat as in esc_weight_offset, into the padded layout and its
 * transpose (set), or any array of the network's without a transpose (set_array), and a padded
 * array back (get). */
void esc_cpu_network_set(const esc_cpu_shared *shared, esc_cpu_network *network, const double *w);
void esc_cpu_network_set_array(const esc_cpu_shared *shared, float *padded, const double *w);
void esc_cpu_network_get(const esc_cpu_shared *shared, const float *padded, double *w);

#endif

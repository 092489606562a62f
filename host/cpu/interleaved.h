/* SPDX-License-Identifier: Apache-2.0 */
/* The interleaved path of the CPU engine: ESC_INTERLEAVE networks train together, one in each SIMD
 * lane. Every array has the lane as its last index, (..., lane), and is otherwise the theory's: no
 * row is padded, no matrix transposed, no sum reduced across lanes. A sum of order.h is a sum of
 * vectors, so each network has the bits of the padded path (step.c).
 *
 * The number of lanes is the same for all instruction sets: a narrower one has several vectors for
 * the last index. Lanes whose network has finished, and lanes without a network, are computed too,
 * but not updated. */
#ifndef ESC_CPU_INTERLEAVED_H
#define ESC_CPU_INTERLEAVED_H

#include "cpu/network.h"

enum {
  ESC_INTERLEAVE = 16,
  ESC_INTERLEAVED_WIDTH_MAX = 64, /* wider networks have no use for it */
  ESC_SLICES = 4,                 /* of a tile: the samples that pass through the networks together;
                                     a K-slice of the weight gradients has one or more */
  ESC_SLICE_SAMPLES = ESC_TILE / ESC_SLICES,
  ESC_SLICE_PARTIALS = ESC_PARTIALS / ESC_SLICES, /* of the ledger */
};

/* Sums of one network's step, as in esc_step_sums. */
typedef struct esc_lane_sums {
  double deficit[ESC_LAYERS_MAX], grad_norm_sq[ESC_LAYERS_MAX];
  double velocity_product[ESC_LAYERS_MAX], weight_norm_sq[ESC_LAYERS_MAX];
} esc_lane_sums;

/* The networks of a pack, and the workspace of their steps. A thread has one. */
typedef struct esc_interleaved {
  esc_cpu_network *network[ESC_INTERLEAVE]; /* (lane) NULL: none */
  int32_t updates[ESC_INTERLEAVE];          /* (lane) 1: the network makes the current step */
  int32_t nonzero_updates[ESC_INTERLEAVE], rounded_away[ESC_INTERLEAVE]; /* of the current step */
  float *w, *compensation, *velocity, *second_moment; /* (weight, lane) as in esc_cpu_network */
  float *g;                          /* (copy, weight, lane); reduced into the first */
  double *g_sum;                     /* (weight, lane) over accumulation blocks; NULL for one */
  float *x;                          /* (sample, 4 * blocks, lane) */
  float *z[ESC_LAYERS_MAX];          /* (sample, width, lane), as the next two in esc_cpu_work */
  float *h[ESC_LAYERS_MAX];          /* h_l = sigma(z_l) */
  float *derivative[ESC_LAYERS_MAX]; /* sigma'(z_l) */
  float *delta[2];
  float *deficit_partial[ESC_LAYERS_MAX]; /* (partial, width, lane) of the ledger's sum in a tile */
  float *f, *target, *dloss;              /* (sample, lane) */
  float *direction;                       /* (mode, input, lane) the teacher's */
  double loss_partial[ESC_PARTIALS][ESC_INTERLEAVE];
  esc_lane_sums sums[ESC_INTERLEAVE];
  esc_arena arena; /* memory of the buffers above */
} esc_interleaved;

/* Whether the path can train networks of this shape, and whether it is the faster one on an
 * instruction set (crossover: esc_cpu_isa, and the memory of a pack). */
bool esc_interleaved_fits(esc_shape shape);
bool esc_interleaved_pays(const esc_cpu_isa *isa, const esc_problem *problem);

/* Networks that a pack must have to be faster than the same networks alone: it takes the same time
 * for any number of them. */
int esc_interleaved_least(esc_shape shape);

/* Copies of the gradient: one for each K-slice if its partial sums continue through several tiles.
 * Those of a single tile need no more than two: K-slices 2 and 3 are added to 0 and 1, which is the
 * first level of the tree. */
static inline int esc_gradient_copies(const esc_problem *p) {
  const int slices = esc_gradient_slices(p->shape.width);
  return p->batch > ESC_TILE || slices < 2 ? slices : 2;
}

/* Philox blocks of a sample's inputs. */
static inline size_t esc_input_blocks(const esc_cpu_shared *s) {
  return ((size_t)s->problem->shape.inputs + 3) / 4;
}

esc_status esc_interleaved_create(const esc_cpu_shared *shared, esc_interleaved **out);
void esc_interleaved_free(esc_interleaved *pack); /* NULL is fine */
double esc_interleaved_bytes(const esc_problem *problem);

/* Copies a network's arrays into a lane (load), and a lane's into its network (store). */
void esc_interleaved_load(const esc_cpu_shared *shared, esc_interleaved *pack, int lane,
                          esc_cpu_network *network);
void esc_interleaved_store(const esc_cpu_shared *shared, const esc_interleaved *pack, int lane);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Observables of a network (docs/theory, section 5.1), recorded by snapshots. They assume no ansatz
 * for the weights. Each is a mean over an evaluation sample, inputs that training never uses.
 *
 * The sample: Gaussian vectors in pairs x, -x, orthogonalised so that their second moment
 * is the identity exactly. A function linear in the inputs, which a network on its plateau
 * nearly is, then has no sampling error; with independent inputs S would have one of sqrt(d/M)
 * and Q a bias of d/M. Moments of degree four are those of a Gaussian to O(d/M):
 * E[(v.x)^4] = 3 m/(m+2) with m = M/2. For an odd activation both vectors of a pair give the
 * same values up to sign, and one is evaluated. Nonlinear terms keep a sampling error: that of
 * the second term of dS/dt is about 4 sd(T_perp)/(|a| c_1 sqrt(M)) of the drive (3% for tanh at
 * M = 128) and hides the term's O(m^2) early on a plateau; a larger sample reduces it.
 * Standard errors of the means are the observables <name>_error (error.c). */
#ifndef ESCAPEMENT_OBSERVE_H
#define ESCAPEMENT_OBSERVE_H

#include "escapement/internal/arena.h"
#include "escapement/internal/observables.h"
#include "escapement/internal/reference.h"
#include "escapement/internal/results.h"

/* When snapshots are taken: at step 0 and every `every` steps, or `per_decade` times a
 * decade of steps, or (both 0) never. A snapshot of step k has the weights before update k.
 * A run with snapshots has one more, at the end of training: of the weights whose loss
 * crossed the last threshold, or of the weights after the last update of the budget. */
typedef struct esc_record {
  int64_t every;
  int per_decade;
  int samples;      /* M of the evaluation sample */
  unsigned weights; /* bit k: the weights of kind k (weights.h) are stored */
} esc_record;

static inline bool esc_record_on(const esc_record *r) { return r->every > 0 || r->per_decade > 0; }

/* The first step from `from` on at which a snapshot is taken. */
int64_t esc_record_next(const esc_record *record, int64_t from);

/* Number of snapshots of a network with `steps` updates, without the one at the end. */
int64_t esc_record_count(const esc_record *record, int64_t steps);

/* Bytes of all observables of such a network, the snapshot at the end included, in an uncompressed
 * result file; 0 where nothing is recorded. */
double esc_record_bytes(const esc_record *record, int layers, int64_t steps);

/* Constants that all networks of a sweep share. */
typedef struct esc_observer {
  const esc_problem *problem;
  double *directions; /* (mode, input); owned */
  double *v;          /* (input) direction of the teacher's linear part; owned */
  double amplitude;   /* |a|: T = |a| c_1 (v.x) + T_perp */
  double c1;          /* E[sigma'(g)] */
  int samples;        /* M, even, at least 2d */
} esc_observer;

/* Default number of samples: the least multiple of 128 with at least 4d samples, twice what the
 * orthogonalisation needs, so that d degrees of freedom or more remain for the errors. */
int esc_observer_samples(esc_shape shape);

/* `c1` of the activation (esc_classify); `problem` must outlive the observer. */
esc_status esc_observer_init(esc_observer *observer, const esc_problem *problem, double c1,
                             int samples);
void esc_observer_free(esc_observer *observer);

/* One network's evaluation sample, a function of its seed alone. */
typedef struct esc_eval_sample {
  int samples;         /* evaluated: M, or M/2 if each also represents its mirror image */
  bool mirrored;       /* then E[f] = 0 exactly */
  float *x;            /* (sample, input); owned */
  double *signal;      /* (sample) v.x; owned */
  double *target;      /* (sample) T; owned */
  double *output;      /* (sample) f of the last network evaluated; owned */
  double *radial;      /* (sample) x.grad f of that network, unless mirrored; owned */
  esc_arena workspace; /* esc_eval_sample_workspace, of the errors; owned */
} esc_eval_sample;

esc_status esc_eval_sample_create(const esc_observer *observer, esc_eval_sample *sample);
void esc_eval_sample_free(esc_eval_sample *sample);
esc_status esc_eval_sample_draw(const esc_observer *observer, uint64_t seed,
                                esc_eval_sample *sample);

/* A network evaluated on a sample: means over the sample. */
typedef struct esc_evaluation {
  double loss, output_mean, output_variance, signal;
  double loss_error, output_mean_error, output_variance_error, signal_error;
  double signal_grad_norm_sq[ESC_LAYERS_MAX]; /* (layer) |Gamma_l|^2 */
  double orthogonal[ESC_LAYERS_MAX];          /* (layer) <Gamma_l, E[T_perp (df/dz_l) h^T]> */
  double self_interaction[ESC_LAYERS_MAX];    /* (layer) <Gamma_l, E[f (df/dz_l) h^T]> */
} esc_evaluation;

/* The three weights c of sample b: v.x, T_perp and f. The evaluation is computed from the means
 * E[c (df/dz_l) h^T]. */
void esc_evaluation_weights(const esc_observer *observer, const esc_eval_sample *sample, int b,
                            double f, double c[3]);

/* Stores the output f of sample b, and adds it to loss, output_mean and signal of `out`. */
void esc_evaluation_add(const esc_observer *observer, const esc_eval_sample *sample, int b,
                        double f, esc_evaluation *out);

/* Sums over the sample, computed by an evaluator (the reference's or the CPU engine's): g (4,
 * weight), flat with layer l at offset[l] and rows of layer 1 `row` numbers long; padding is 0.
 * g[0..2]: of c df/dW for the weights c of esc_evaluation_weights; g[3], for a sample that is not
 * mirrored: of df/dW_1. */
enum { ESC_EVALUATION_SUMS = 4 };
typedef struct esc_evaluation_sums {
  const double *g[ESC_EVALUATION_SUMS];
  const size_t *offset; /* (layers+1) */
  size_t row;
} esc_evaluation_sums;

/* Standard errors of the four means, from the outputs stored in the sample for the network with
 * these weights; NaN where the sample is too small. Called by esc_evaluation_finish. */
void esc_evaluation_errors(const esc_observer *observer, const esc_eval_sample *sample,
                           const double *weights, const esc_evaluation_sums *sums,
                           esc_evaluation *out);
bool esc_eval_sample_has_errors(int samples, int inputs);
esc_arena esc_eval_sample_workspace(int samples); /* its size, for esc_arena_create */

/* Means from sums, their standard errors, and the scalar products <Gamma_l, .>. */
void esc_evaluation_finish(const esc_observer *observer, const esc_eval_sample *sample,
                           const double *weights, const esc_evaluation_sums *sums,
                           esc_evaluation *out);

/* The evaluation in double precision, by the reference engine's formulas. `workspace` is created
 * from esc_evaluation_workspace. */
void esc_evaluation_compute(const esc_observer *observer, const esc_eval_sample *sample,
                            const double *weights, esc_reference_work *work, esc_arena *workspace,
                            esc_evaluation *out);
esc_arena esc_evaluation_workspace(esc_shape shape); /* its size, for esc_arena_create */

/* A member with its weights and its initial weights; both flat as in esc_weight_offset. */
typedef struct esc_observed_network {
  const esc_member *member;
  const double *initial, *weights;
} esc_observed_network;

/* Writes a snapshot's row of observables. `workspace` is created from esc_observation_workspace. */
void esc_observation_write(const esc_observer *observer, const esc_observed_network *network,
                           const esc_evaluation *evaluation, esc_arena *workspace, double *row);
esc_arena esc_observation_workspace(esc_shape shape); /* its size, for esc_arena_create */

/* Largest singular value of w (rows, columns) with its unit vectors left (rows) and right
 * (columns), all 0 for w = 0; NaN, with vectors 0, where an entry of w is not finite. Entries may
 * be of any size: their squares may be out of a double's range. Relative error 1e-12 where the gap
 * to the next singular value is above 1e-6 of the largest, else at most that gap; the vectors are
 * then any combination of the two. `workspace` is carved by esc_svd_carve. */
double esc_svd_largest(int rows, int columns, const double *w, double *left, double *right,
                       esc_arena *workspace);
void esc_svd_carve(esc_arena *workspace, int rows, int columns);

#endif

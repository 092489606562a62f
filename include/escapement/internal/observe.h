/* SPDX-License-Identifier: Apache-2.0 */
/* Observables of a network, none of which needs an ansatz (docs/theory, section 5.1): what a
 * snapshot records. They are means over a sample of inputs that training never sees.
 *
 * The sample: Gaussian vectors that come in pairs x, -x, orthogonalised so that their
 * second moment is the identity exactly. What is linear in the inputs, so nearly all of
 * a network on its plateau, then has no sampling error, where independent inputs would
 * make one of sqrt(d/M) in S and a bias of d/M in Q. Moments of degree four are those of
 * a Gaussian to O(d/M): E[(v.x)^4] = 3 m/(m+2) with m = M/2. For an odd activation both
 * vectors of a pair say the same, and one is evaluated. What is not linear keeps a sampling
 * error: the second term of dS/dt one of about 4 sd(T_perp)/(|a| c_1 sqrt(M)) of the drive
 * (3% for tanh at M = 128), which hides its own O(m^2) early on a plateau; a larger sample
 * lowers it. Standard errors of the means are in <name>_error (error.c). */
#ifndef ESCAPEMENT_OBSERVE_H
#define ESCAPEMENT_OBSERVE_H

#include "escapement/internal/arena.h"
#include "escapement/internal/observables.h"
#include "escapement/internal/reference.h"
#include "escapement/internal/results.h"

/* When snapshots are taken: at step 0 and every `every` steps, or `per_decade` times a
 * decade of steps, or (both 0) never. A snapshot of step k sees the weights before update k.
 * Where any are taken there is one more, at the end of training: of the weights whose loss
 * crossed the last threshold, or of those after the last update of the budget. */
typedef struct esc_record {
  int64_t every;
  int per_decade;
  int samples; /* M of the evaluation sample */
} esc_record;

static inline bool esc_record_on(const esc_record *r) { return r->every > 0 || r->per_decade > 0; }

/* The first step from `from` on at which a snapshot is taken. */
int64_t esc_record_next(const esc_record *record, int64_t from);

/* How many are taken of a network that made `steps` updates. */
int64_t esc_record_count(const esc_record *record, int64_t steps);

/* Bytes of all observables of such a network, the end's too, as a result file holds them
 * uncompressed; 0 where nothing is recorded. */
double esc_record_bytes(const esc_record *record, int layers, int64_t steps);

/* What all networks of a sweep share. */
typedef struct esc_observer {
  const esc_problem *problem;
  double *directions; /* (mode, input); owned */
  double *v;          /* (input) direction of the teacher's linear part; owned */
  double amplitude;   /* |a|: E[T | v.x] = |a| c_1 (v.x) + T_perp */
  double c1;          /* E[sigma'(g)] */
  int samples;        /* M, even, at least 2d */
} esc_observer;

/* Samples when the user names no number: the least multiple of 128 that is four a dimension,
 * twice what the orthogonalisation needs, so that half of it can tell the errors. */
int esc_observer_samples(esc_shape shape);

/* `c1` of the activation (esc_classify); `problem` must outlive the observer. */
esc_status esc_observer_init(esc_observer *observer, const esc_problem *problem, double c1,
                             int samples);
void esc_observer_free(esc_observer *observer);

/* One network's evaluation sample, a function of its seed alone. */
typedef struct esc_eval_sample {
  int samples;         /* that are evaluated: M, or M/2 if each stands for its mirror image too */
  bool mirrored;       /* then E[f] = 0 exactly */
  float *x;            /* (sample, input); owned */
  double *signal;      /* (sample) v.x; owned */
  double *target;      /* (sample) T; owned */
  double *output;      /* (sample) f of the network that was evaluated last; owned */
  double *radial;      /* (sample) its x.grad f, unless mirrored; owned */
  esc_arena workspace; /* esc_eval_sample_workspace, of the errors; owned */
} esc_eval_sample;

esc_status esc_eval_sample_create(const esc_observer *observer, esc_eval_sample *sample);
void esc_eval_sample_free(esc_eval_sample *sample);
esc_status esc_eval_sample_draw(const esc_observer *observer, uint64_t seed,
                                esc_eval_sample *sample);

/* What a network answers to a sample: means over it. */
typedef struct esc_response {
  double loss, output_mean, output_variance, signal;
  double loss_error, output_mean_error, output_variance_error, signal_error;
  double grad_norm_sq[ESC_LAYERS_MAX];     /* (layer) |Gamma_l|^2 */
  double orthogonal[ESC_LAYERS_MAX];       /* (layer) <Gamma_l, E[T_perp (df/dz_l) h']> */
  double self_interaction[ESC_LAYERS_MAX]; /* (layer) <Gamma_l, E[f (df/dz_l) h']> */
} esc_response;

/* The three weights of sample b whose means E[c (df/dz_l) h'] the response is made of:
 * v.x, T_perp and f. */
void esc_response_weights(const esc_observer *observer, const esc_eval_sample *sample, int b,
                          double f, double c[3]);

/* Adds sample b with output f to loss, mean, second moment and signal of `out`. */
void esc_response_add(const esc_observer *observer, const esc_eval_sample *sample, int b, double f,
                      esc_response *out);

/* Sums that a responder hands over: g (4, weight), flat with layer l at offset[l], each row of
 * layer 1 `row` numbers long; padding is 0. g[0..2]: of c df/dW for the weights c of
 * esc_response_weights; g[3], for a sample that is not mirrored: of df/dW_1. */
enum { ESC_RESPONSE_SUMS = 4 };
typedef struct esc_response_sums {
  const double *g[ESC_RESPONSE_SUMS];
  const size_t *offset; /* (layers+1) */
  size_t row;
} esc_response_sums;

/* Standard errors of the four means, from what the sample holds of the network with these
 * weights; NaN where the sample is too small. esc_response_finish calls it. */
void esc_response_errors(const esc_observer *observer, const esc_eval_sample *sample,
                         const double *weights, const esc_response_sums *sums, esc_response *out);
bool esc_eval_sample_has_errors(int samples, int inputs);
esc_arena esc_eval_sample_workspace(int samples); /* measured */

/* Finishes: means from sums, their errors, and the products of the first three matrices. */
void esc_response_finish(const esc_observer *observer, const esc_eval_sample *sample,
                         const double *weights, const esc_response_sums *sums, esc_response *out);

/* The response in double, by the reference's own formulas. `workspace` is
 * made from esc_respond_reference_workspace. */
void esc_respond_reference(const esc_observer *observer, const esc_eval_sample *sample,
                           const double *weights, esc_reference_work *work, esc_arena *workspace,
                           esc_response *out);
esc_arena esc_respond_reference_workspace(esc_shape shape); /* measured */

/* A member with its weights, which began as `initial`; both flat as in esc_weight_offset. */
typedef struct esc_observed {
  const esc_member *member;
  const double *initial, *weights;
} esc_observed;

/* Writes the row of a member with this response. `workspace` is made from
 * esc_observe_workspace. */
void esc_observe(const esc_observer *observer, const esc_observed *network,
                 const esc_response *response, esc_arena *workspace, double *row);
esc_arena esc_observe_workspace(esc_shape shape); /* measured */

/* Largest singular value of w (rows, columns) with its unit vectors left (rows) and right
 * (columns), all 0 for w = 0; NaN, with vectors 0, where an entry of w is not finite. Any
 * finite entries: their squares may be out of a double's range. Relative error 1e-12 where
 * the next singular value is further off than 1e-6 of it, else at most as far as that; the
 * vectors are then any two that have the value between them. Lanczos on w'w or ww' with full
 * orthogonalisation. `workspace` is made from
 * esc_leading_describe. */
double esc_leading_singular(int rows, int columns, const double *w, double *left, double *right,
                            esc_arena *workspace);
void esc_leading_describe(esc_arena *workspace, int rows, int columns); /* all that it carves */

#endif

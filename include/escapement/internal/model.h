/* SPDX-License-Identifier: Apache-2.0 */
/* Teacher directions, initial weights, inputs: every draw is a function of
 * (seed, purpose, indices), never of a generator's state, so that nothing
 * depends on packing, threads, shards or backend. */
#ifndef ESCAPEMENT_MODEL_H
#define ESCAPEMENT_MODEL_H

#include "escapement/internal/arena.h"
#include "escapement/internal/problem.h"

/* Writes the teacher's orthonormal directions v_k, (K, d) row-major: the axes
 * e_k, or Gaussian vectors of the run's seed orthonormalised in order. */
void esc_teacher_directions(const esc_problem *problem, double *directions);

/* Writes the initial weights of `member`, all layers flat as in
 * esc_weight_offset. Entries (docs/theory, sections 0.6, 3.1, 6.1):
 *   he-normal  N(0, 2/fan_in) times the layer's scale;
 *   symmetric  rows s_1 v', entries s_l/N;
 *   file       those of problem->initial, at no scale; NaN where it has none;
 *   blocks     K blocks of n = N/K units: rows s_1k v_k', entries s_lk/n inside, 0 between. */
void esc_initial_weights(const esc_problem *problem, const esc_member *member,
                         const double *directions, double *weights);

/* Writes `samples` fresh inputs x ~ N(0, I_d) of training step `step`,
 * (samples, d), from sample `first` of the minibatch on. */
void esc_draw_inputs(uint64_t seed, int64_t step, int first, int samples, int inputs, float *x);

/* v = sum_k a_k v_k / |a|, (d): the direction of the teacher's linear part; 0 for a = 0. */
void esc_linear_direction(const esc_problem *problem, const double *directions, double *v);

/* S(0) = E[(v.x) f(x)] of the network `weights` in the direction v of the
 * teacher's linear part, sum_k a_k v_k normalised (docs/theory, section 0.2), and its
 * standard error. By Stein's lemma this is E[v . grad f]; estimated over inputs of
 * the member's evaluation stream by regression on what the network has of first order in
 * its departure from linear (signal.c): 128 inputs where the error is then below
 * 1e-3 sqrt(E[f^2]), as it is where the first layer is small, else 256. `workspace` is
 * made from esc_signal_workspace. */
double esc_initial_signal(const esc_problem *problem, const esc_member *member,
                          const double *directions, const double *weights, esc_arena *workspace,
                          double *error);
esc_arena esc_signal_workspace(esc_shape shape); /* measured */

#endif

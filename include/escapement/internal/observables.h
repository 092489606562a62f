/* SPDX-License-Identifier: Apache-2.0 */
/* The list of observables, from which measuring, storing and reading are generated. */
#ifndef ESCAPEMENT_OBSERVABLES_H
#define ESCAPEMENT_OBSERVABLES_H

/* X(name, axis, units, long_name). v = sum_k a_k v_k / |a|, Gamma_l = grad_{W_l} S.
 *
 * Observables of a network with finite weights and outputs are finite unless the text states
 * otherwise; the texts are the long_name of the result file's variables. */
#define ESC_NEEDS_SAMPLES "; NaN where record.samples is below 2 inputs + 16"
#define ESC_ABOUT "; to about 20%"
/* A product of two means, not a mean over pairs, so that no standard error is computed. */
#define ESC_PRODUCT "; a product of sample means, without a sampling error beside it"
#define ESC_SQUARED_ONLY "; NaN for another loss than squared, whose dS/dt has other terms"
#define ESC_OBSERVABLE_LIST(X)                                                                     \
  X(evaluation_loss, NONE, "1", "mean loss over the evaluation sample")                            \
  X(output_mean, NONE, "1", "E[f]")                                                                \
  X(output_variance, NONE, "1", "Var[f]")                                                          \
  X(signal, NONE, "1", "teacher signal S = E[(v.x) f]")                                            \
  X(signal_gradient2, NONE, "1", "Q = sum_l |Gamma_l|^2, with Gamma_l = grad_{W_l} S" ESC_PRODUCT) \
  X(amgm_ratio, NONE, "1",                                                                         \
    "Q / |S|^(2(r-1)/r), bounded below by AM-GM on the plateau; NaN for r = 0, and for "           \
    "r > 1 where S = Q = 0, infinite where only S = 0")                                            \
  X(drive, NONE, "1",                                                                              \
    "first term of dS/dt: a c_1 sum_l gamma_l |Gamma_l|^2" ESC_PRODUCT ESC_SQUARED_ONLY)           \
  X(orthogonal, NONE, "1",                                                                         \
    "second term of dS/dt: sum_l gamma_l <Gamma_l, E[T_perp (df/dz_l) h']>" ESC_PRODUCT            \
        ESC_SQUARED_ONLY)                                                                          \
  X(self_interaction, NONE, "1",                                                                   \
    "third term of dS/dt, to be subtracted: sum_l gamma_l <Gamma_l, E[f (df/dz_l) "                \
    "h']>" ESC_PRODUCT ESC_SQUARED_ONLY)                                                           \
  X(bottleneck_norm, NONE, "1",                                                                    \
    "m = largest operator norm of the small layers; NaN where no layer is small")                  \
  X(manifold_distance, NONE, "1",                                                                  \
    "Frobenius distance from the symmetric manifold over the norm of all weights; 0 where all "    \
    "are 0")                                                                                       \
  X(frobenius_norm, LAYER, "1", "Frobenius norm of the layer")                                     \
  X(operator_norm, LAYER, "1", "largest singular value of the layer")                              \
  X(layer_drift, LAYER, "1", "|W_l - W_l(0)|, Frobenius")                                          \
  X(signal_gradient_norm, LAYER, "1", "|Gamma_l|")                                                 \
  X(forward_chain, LAYER, "1",                                                                     \
    "|W_l ... W_1 v| over the operator norms of its small layers; 0 where one of them is 0")       \
  X(backward_chain, LAYER, "1",                                                                    \
    "|W_L ... W_l| over the operator norms of its small layers; 0 where one of them is 0")         \
  X(imbalance, INTERFACE, "1", "|W_{l+1}|^2/gamma_{l+1} - |W_l|^2/gamma_l")                        \
  X(alignment, INTERFACE, "1",                                                                     \
    "|cosine| between the leading left singular vector of W_l and right one of W_{l+1}; 0 "        \
    "where a layer is 0")                                                                          \
  X(evaluation_loss_error, NONE, "1",                                                              \
    "standard error of evaluation_loss by the evaluation sample" ESC_ABOUT ESC_NEEDS_SAMPLES)      \
  X(output_mean_error, NONE, "1",                                                                  \
    "standard error of output_mean by the evaluation sample" ESC_ABOUT                             \
    "; up to 1.5 times too large for relu" ESC_NEEDS_SAMPLES)                                      \
  X(output_variance_error, NONE, "1",                                                              \
    "standard error of output_variance by the evaluation sample" ESC_ABOUT ESC_NEEDS_SAMPLES)      \
  X(signal_error, NONE, "1",                                                                       \
    "standard error of signal by the evaluation sample" ESC_ABOUT ESC_NEEDS_SAMPLES)

#define ESC_OBSERVABLE_ENUM(name, axis, units, text) ESC_OBSERVABLE_##name,
typedef enum esc_observable_index {
  ESC_OBSERVABLE_LIST(ESC_OBSERVABLE_ENUM) ESC_OBSERVABLES
} esc_observable_index;
#undef ESC_OBSERVABLE_ENUM

#endif

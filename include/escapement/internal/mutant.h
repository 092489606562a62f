/* Deliberate errors, to prove that `verify` finds them. ESC_FLIP(NAME) is the constant 1.
 * Where ESC_MUTANTS is defined, in one test program alone (tests/mutants), it is -1 for
 * the family that the environment variable ESCAPEMENT_MUTANT names, and 1 for all others. */
#ifndef ESCAPEMENT_MUTANT_H
#define ESCAPEMENT_MUTANT_H

/* X(NAME, what has the wrong sign) */
#define ESC_MUTANT_LIST(X)                                                      \
  X(NORMAL, "the first normal of a Box-Muller pair")                            \
  X(VALUE, "tanh")                                                              \
  X(DERIVATIVE, "the derivative of GELU")                                       \
  X(DEFICIT, "kappa of Swish")                                                  \
  X(FLOAT_DEFICIT, "kappa of erf near 0, in float")                             \
  X(LOSS_VALUE, "the logistic loss's label")                                    \
  X(LOSS_GRADIENT, "the derivative of Huber's loss")                            \
  X(METRIC, "gamma_1 of the normalized metric")                                 \
  X(DIRECTIONS, "what Gram-Schmidt subtracts")                                  \
  X(HE_NORMAL, "He-normal weights")                                             \
  X(BLOCKS, "the output layer of the symmetric start")                          \
  X(SIGNAL, "the derivatives that S(0) is the mean of")                         \
  X(AVERAGE, "the new loss in the moving average")                              \
  X(LEDGER_FLOW, "the ledger's flow term")                                      \
  X(LEDGER_SECOND, "one part of the ledger's eta^2 term")                       \
  X(UPDATE, "the plain float update")                                           \
  X(COMPENSATION, "what the compensated float update keeps")                    \
  X(REFERENCE_TARGET, "the teacher's amplitude, in the reference")              \
  X(REFERENCE_FORWARD, "hidden pre-activations, in the reference")              \
  X(REFERENCE_OUTPUT, "f, in the reference")                                    \
  X(REFERENCE_MEAN, "the mean loss, in the reference")                          \
  X(REFERENCE_INPUT_GRADIENT, "u = W' delta, in the reference")                 \
  X(REFERENCE_NORM2, "|G|^2, in the reference")                                 \
  X(REFERENCE_INPUTS, "inputs, in the reference engine")                        \
  X(REFERENCE_DELTA, "delta = u sigma', in the reference")                      \
  X(REFERENCE_GRADIENT, "weight gradients, in the reference")                   \
  X(REFERENCE_DEFICIT, "u.kappa, in the reference")                             \
  X(REFERENCE_UPDATE, "the update, in the reference")                           \
  X(REFERENCE_LOW, "what the reference's compensated update keeps")             \
  X(IDENTITY_FLOW, "one of the four terms of the matrix identity's flow")       \
  X(IDENTITY_SECOND, "the lower layer's part of the matrices")                  \
  X(REDUCED_RHS, "self-interaction in the reduced ODE")                         \
  X(CLOSED_FORM, "the gaps in the closed form of the escape time")              \
  X(CORRECTED, "the next order in the corrected escape time")                   \
  X(GAUSSIAN_MEAN, "means by a Gaussian rule")                                  \
  X(OBSERVE_REST, "T_perp as the observables take it")                          \
  X(OBSERVE_THIRD, "the third term of dS/dt")                                   \
  X(CPU_RESPOND, "f as the float responses weigh it")                           \
  X(CPU_INPUTS, "a quarter of the inputs, in the CPU engine")                   \
  X(CPU_TARGET, "the teacher's amplitude, in the CPU engine")                   \
  X(CPU_PRODUCT, "matrix products of the CPU engine")                           \
  X(CPU_ACTIVATE, "derivatives over arrays, in the CPU engine")                 \
  X(CPU_OUTPUT, "dot products of the CPU engine")                               \
  X(CPU_LOSS, "dloss/df, in the CPU engine")                                    \
  X(CPU_DELTA, "delta = u sigma', in the CPU engine")                           \
  X(CPU_DEFICIT, "u kappa, in the CPU engine")                                  \
  X(CPU_SLAB, "a slab's gradient in the sum over slabs, in the CPU engine")     \
  X(CPU_NORM2, "|G|^2, in the CPU engine")                                      \
  X(CPU_UPDATE, "the rate, in the CPU engine")                                  \
  X(CUDA_INPUTS, "one of four inputs, in esc_inputs_kernel")                    \
  X(CUDA_ACTIVATE, "sigma(z), in esc_activate_kernel")                          \
  X(CUDA_TARGET, "the teacher's amplitude, in esc_output_kernel")               \
  X(CUDA_OUTPUT, "f, in esc_output_kernel")                                     \
  X(CUDA_OUTPUT_GRADIENT, "the output layer's gradient, in its kernel")         \
  X(CUDA_DELTA, "delta = u sigma', in esc_delta_kernel")                        \
  X(CUDA_DEFICIT, "u kappa, in esc_delta_kernel")                               \
  X(CUDA_UPDATE, "the rate, in esc_update_kernel")                              \
  X(CUDA_LEDGER, "the sum over tiles, in esc_ledger_kernel")                    \
  X(CUDA_PRODUCT, "products left to cuBLAS")                                    \
  X(CHIP_INPUTS, "inputs, on path chip")                                        \
  X(CHIP_FORWARD, "sigma(z), on path chip")                                     \
  X(CHIP_TARGET, "the teacher's amplitude, on path chip")                       \
  X(CHIP_OUTPUT, "dot products, on path chip")                                  \
  X(CHIP_OUTPUT_GRADIENT, "the output layer's gradient, on path chip")          \
  X(CHIP_DELTA, "delta = u sigma', on path chip")                               \
  X(CHIP_DEFICIT, "the sum of u kappa, on path chip")                           \
  X(CHIP_PRODUCT, "outer products of forward and input gradient, on path chip") \
  X(CHIP_WEIGHT_GRADIENT, "the products of the weight gradient, on path chip")  \
  X(CHIP_FOLD, "chains that are folded, on path chip")                          \
  X(CHIP_UPDATE, "the rate, on path chip")

#ifdef ESC_MUTANTS
#define ESC_MUTANT_ENUM(name, text) ESC_MUTANT_##name,
typedef enum esc_mutant { ESC_MUTANT_LIST(ESC_MUTANT_ENUM) ESC_MUTANT_COUNT } esc_mutant;
#undef ESC_MUTANT_ENUM
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    signed char esc_mutant_sign[ESC_MUTANT_COUNT];
#define ESC_FLIP(name) esc_mutant_sign[ESC_MUTANT_##name]
#else
#define ESC_FLIP(name) 1
#endif

#endif

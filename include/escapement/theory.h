/* SPDX-License-Identifier: Apache-2.0 */
/* Theory of activations, and of the escape on the symmetric manifold (arXiv 2605.01288): functions
 * of activation, amplitude and scales in double precision; no network is trained. Time is flow
 * time: steps times the learning rate. Layers count from 0: layer l of the code is W_(l+1) of the
 * paper. */
#ifndef ESCAPEMENT_THEORY_H
#define ESCAPEMENT_THEORY_H

#include <stdbool.h>
#include <stddef.h>

#include "escapement/activation.h"
#include "escapement/export.h"
#include "escapement/limits.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

/* ---- classes of activation ---- */

typedef enum esc_class {
  ESC_CLASS_A,    /* linear; ReLU almost everywhere */
  ESC_CLASS_B,    /* odd and nonlinear, first nonlinear order q */
  ESC_CLASS_C,    /* a_0 = 0, a_2 != 0 */
  ESC_CLASS_D,    /* a_0 != 0 */
  ESC_CLASS_NONE, /* outside all four */
} esc_class;

enum { ESC_TAYLOR_TERMS = 20 }; /* a_0 ... a_19 */

typedef struct esc_classification {
  esc_class class_;
  double
      a[ESC_TAYLOR_TERMS]; /* Taylor coefficients at 0, computed; ReLU: a_1 := 1 by homogeneity */
  int q;                   /* order of the first nonlinear term; 0 if there is none */
  double aq;               /* a_q; 0 if there is none */
  double c1, c1_error;     /* E[sigma'(g)] = E[sigma(g) g], and the quadrature's error */
  double moment;           /* m_q = E[sigma(g) g^q]; 0 if there is no q */
  double correction; /* C = a_q m_q / (a_1 c_1) (docs/theory, section 2.4); 0 if there is no q, NaN
                        for class D and where a_1 c_1 = 0 */
  bool escapes;      /* the paper's assumption: c_1 > 0 and a_1 > 0 */
} esc_classification;

/* Class and constants of an activation, computed from its Taylor series and by quadrature: c_1 to
 * 1e-13 where sigma is smooth. ESC_BAD_INPUT where a polynomial's moments overflow a double. */
ESC_API esc_status esc_activation_classify(const esc_activation *activation,
                                           esc_classification *out);

/* "A" to "D", or "none"; and its definition: "odd, nonlinear". Constant strings. */
ESC_API const char *esc_class_name(esc_class class_);
ESC_API const char *esc_class_meaning(esc_class class_);

/* The leading term coefficient z^order of kappa(z) = sigma(z) - z sigma'(z) = a_0 - (q-1) a_q z^q
 * + ...; false where kappa = 0. */
ESC_API bool esc_classification_deficit(const esc_classification *c, int *order,
                                        double *coefficient);

/* One sentence for each assumption of the theory that fails, separated by "; ", cut to `size`
 * bytes (1024 suffice); "" if none does. */
ESC_API void esc_classification_warn(const esc_classification *c, char *text, size_t size);

/* ---- escape times and trajectories on the symmetric manifold ---- */

typedef struct esc_escape_problem {
  esc_activation activation;
  double amplitude;             /* a */
  int layers;                   /* L >= 2 */
  double scale[ESC_LAYERS_MAX]; /* s_l(0) */
  double to;                    /* s*: escape is scale[layer] = to */
  int layer;                    /* from 0; the paper's s_1 is 0 */
  /* Heavy-ball momentum and weight decay (docs/theory, sections 4.10 and 4.11); 0 for none. */
  double momentum; /* beta, 0 <= beta < 1 */
  double rate;     /* eta: the flow of second order of a finite rate; 0: its limit at rate 0 */
  double decay;    /* lambda >= 0: -lambda s_l on the right-hand side of every layer */
} esc_escape_problem;

typedef struct esc_escape_times {
  double ode;       /* reduced ODE, exact on the manifold; NaN where nothing crosses */
  double closed;    /* leading-order quadrature; NaN where the drive is not positive */
  double corrected; /* with the next order and the prefix's drive; NaN where it does not apply */
  double drive;     /* a c_1 a_1^{L-1} prod s_l(0): its sign decides on the leading order only */
  bool escaped_at_start; /* escaped at the start: all times 0 */
  bool decays;           /* no crossing because decay takes all scales to 0 */
  bool undecided;        /* double precision or the search limits leave the crossing open */
  char note[1024];       /* the conditions of the numbers, or why one is missing; "" if none */
} esc_escape_times;

/* The time at which scale[layer] first reaches `to` from below, by three methods; ode to 1e-8
 * relative unless the note states another error. The time is 0 if the scale is at or above `to` at
 * the start. Time is steps times the learning rate with momentum too; with beta and lambda, and F_l
 * the right-hand side without decay, the scales obey
 *   eta (1 + beta)/2 s_l'' + (1 - beta) s_l' = F_l - lambda s_l,  s_l'(0) = 0,
 * and for rate 0 the equation without s_l''. closed holds at leading order in the rate too.
 * The reduced ODE is integrated for any sign of the leading order's drive, also through
 * zeros of the scales. Where nothing crosses, or double precision does not suffice, ode is NaN, the
 * note has the reason, and the status is ESC_OK. ESC_BAD_INPUT for numbers out of range: 2 to
 * ESC_LAYERS_MAX layers, positive scales and `to`, 0 <= layer < layers, 0 <= momentum < 1, rate and
 * decay finite and not negative. */
ESC_API esc_status esc_escape_times_compute(const esc_escape_problem *problem,
                                            esc_escape_times *out);

/* The critical decay lambda_c of a start: the largest weight decay with which scale[layer] still
 * reaches `to`; problem->decay is ignored. */
typedef struct esc_critical_decay {
  double ode;    /* by bisection of the reduced ODE, to 1e-9 relative (1e-8 with a rate); NaN if the
                    scale does not reach `to` without decay, or an integration is undecided */
  double closed; /* leading order, for a threshold far above the saddle: D for two layers, else
                    1 / ((L-2) T), T the time in which closed diverges; NaN where the drive is not
                    positive */
} esc_critical_decay;

/* Both are infinite for a start that has escaped. ESC_BAD_INPUT as for esc_escape_times_compute. */
ESC_API esc_status esc_critical_decay_compute(const esc_escape_problem *problem,
                                              esc_critical_decay *out);

/* The reduced ODE at given times: `time` (times) ascending, from 0 on; scale (times, layers),
 * row-major, receives s_l(t); loss (times) receives the population loss E[(a sigma(g) - f)^2] / 2.
 * The caller owns both arrays. problem->to and problem->layer are ignored. ESC_BAD_INPUT for
 * numbers out of range, or where the integration cannot reach a time. */
ESC_API esc_status esc_trajectory_compute(const esc_escape_problem *problem, int times,
                                          const double *time, double *scale, double *loss);

/* ---- critical depth ---- */

/* Default spread: layers with scales within this factor of the smallest form the bottleneck. */
enum { ESC_BOTTLENECK_SPREAD = 3 };

/* The bottleneck of a set of scales, and the law of t* that follows. */
typedef struct esc_critical_depth {
  int r;            /* layers at the smallest scale, within a factor of `spread` */
  double exponent;  /* t* ~ scale^exponent: -(r-2) for r >= 3, 0 below */
  bool logarithmic; /* r = 2 */
  double hierarchy; /* next larger scale over the bottleneck's largest; infinity if r = L */
} esc_critical_depth;

/* scale (layers), of either sign; spread >= 1, usually ESC_BOTTLENECK_SPREAD. */
ESC_API esc_critical_depth esc_critical_depth_compute(int layers, const double *scale,
                                                      double spread);

ESC_END_DECLS

#endif

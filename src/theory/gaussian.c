/* SPDX-License-Identifier: Apache-2.0 */
/* Expectations over g ~ N(0, 1) (docs/theory, section 3.4), each by the smallest rule that agrees
 * with the rule of twice as many nodes. Four families of rules:
 *   trapezoid  on +-half_range: converges exponentially for functions analytic near the axis;
 *   Hermite    exact for polynomials up to degree 2n-1;
 *   halves     Gauss-Legendre on both half-lines: for a corner at 0;
 *   graded     Gauss-Legendre on intervals that shrink geometrically towards 0 from both sides: for
 *              functions too steep at 0 for the other families. */
#include <float.h>
#include <gsl/gsl_integration.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/pieces.h"
#include "escapement/internal/theory.h"
#include "gaussian.h"

static const double half_range = 14; /* the density is 1e-43 there */
enum { NODES_MIN = 32, NODES_MAX = NODES_MIN << 8, HERMITE_NODES_MAX = NODES_MIN << 2 };

void esc_quadrature_free(esc_quadrature *rule) {
  free(rule->node);
  free(rule->weight);
  *rule = (esc_quadrature){0};
}

static esc_status create_rule(int count, esc_quadrature *r) {
  esc_status status = ESC_OK;
  *r = (esc_quadrature){.count = count};
  ESC_TRY_ALLOCATE(r->node = malloc((size_t)count * sizeof *r->node));
  ESC_TRY_ALLOCATE(r->weight = malloc((size_t)count * sizeof *r->weight));
done:
  return status;
}

/* ---- the rules ---- */

static esc_status trapezoid(int n, esc_quadrature *r) {
  esc_status status = ESC_OK;
  const double step = 2 * half_range / n;
  ESC_TRY(create_rule(n + 1, r));
  for (int i = 0; i <= n; i++) {
    const int from_middle = i - n / 2; /* n is even: 0 is a node, the rule symmetric */
    r->node[i] = from_middle * step;
    r->weight[i] = step * gsl_ran_ugaussian_pdf(r->node[i]);
  }
done:
  return status;
}

static esc_status compute_hermite(int n, esc_quadrature *r) {
  esc_status status = ESC_OK;
  gsl_integration_fixed_workspace *fixed =
      gsl_integration_fixed_alloc(gsl_integration_fixed_hermite, (size_t)n, 0, 0.5, 0, 0);
  ESC_TRY_ALLOCATE(fixed);
  ESC_TRY(create_rule(n, r));
  for (int i = 0; i < n; i++) {
    r->node[i] = gsl_integration_fixed_nodes(fixed)[i];
    r->weight[i] = gsl_integration_fixed_weights(fixed)[i] / (M_SQRT2 * M_SQRTPI);
  }
done:
  if (fixed) gsl_integration_fixed_free(fixed);
  return status;
}

/* The Hermite rules of NODES_MIN 2^k nodes, computed when first needed and kept until the process
 * ends: each takes up to milliseconds, and every point of a grid needs them. Threads that compute
 * one at the same time obtain the same numbers; the first to store its rule wins. */
enum { HERMITE_RULES = 4 }; /* the last for comparison with HERMITE_NODES_MAX nodes */
_Static_assert(NODES_MIN << (HERMITE_RULES - 1) == 2 * HERMITE_NODES_MAX, "Hermite rules");
static _Atomic(esc_quadrature *) hermite_rule[HERMITE_RULES];

static esc_status add_hermite(int n, _Atomic(esc_quadrature *) *stored) {
  esc_status status = ESC_OK;
  esc_quadrature *none = NULL, *rule = calloc(1, sizeof *rule);
  ESC_TRY_ALLOCATE(rule);
  ESC_TRY(compute_hermite(n, rule));
  if (atomic_compare_exchange_strong(stored, &none, rule)) return ESC_OK;
done:
  if (rule) esc_quadrature_free(rule);
  free(rule);
  return status;
}

static esc_status hermite(int n, esc_quadrature *r) {
  esc_status status = ESC_OK;
  int k = 0;
  while (NODES_MIN << k < n) k++;
  if (!atomic_load(&hermite_rule[k])) ESC_TRY(add_hermite(n, &hermite_rule[k]));
  const esc_quadrature *stored = atomic_load(&hermite_rule[k]);
  ESC_TRY(create_rule(n, r));
  memcpy(r->node, stored->node, (size_t)n * sizeof *r->node);
  memcpy(r->weight, stored->weight, (size_t)n * sizeof *r->weight);
done:
  return status;
}

/* `panels` intervals on each side, each a quarter of the next, n nodes in all. */
static esc_status panel_rule(int n, int panels, esc_quadrature *r) {
  esc_status status = ESC_OK;
  const size_t order = (size_t)(n / (2 * panels));
  gsl_integration_glfixed_table *table = gsl_integration_glfixed_table_alloc(order);
  ESC_TRY_ALLOCATE(table);
  ESC_TRY(create_rule(n, r));
  int filled = 0;
  double high = half_range;
  for (int p = panels - 1; p >= 0; p--, high /= 4) {
    for (size_t i = 0; i < order; i++, filled += 2) {
      double g, weight;
      gsl_integration_glfixed_point(p > 0 ? high / 4 : 0, high, i, &g, &weight, table);
      r->node[filled] = g;
      r->node[filled + 1] = -g;
      r->weight[filled] = r->weight[filled + 1] = weight * gsl_ran_ugaussian_pdf(g);
    }
  }
done:
  if (table) gsl_integration_glfixed_table_free(table);
  return status;
}

typedef enum rule_family { TRAPEZOID, HERMITE, HALVES, GRADED, FAMILIES } rule_family;

/* GSL tabulates Gauss-Legendre to all digits for orders 2^k up to 1024 only. */
enum { GRADED_PANELS = 8 /* the innermost ends at half_range/4^7 = 1e-3 */, ORDER_MAX = 1024 };

static bool is_applicable(rule_family kind, int n, bool corner) {
  switch (kind) {
    case TRAPEZOID: return !corner;
    case HERMITE: return !corner && n <= HERMITE_NODES_MAX;
    case HALVES: return corner && n <= ORDER_MAX;
    default: return n >= 4 * 2 * GRADED_PANELS && n <= ORDER_MAX * GRADED_PANELS;
  }
}

/* Makes E[1] = 1 to the last digit. */
static void normalise(esc_quadrature *r) {
  double total = 0;
  for (int i = 0; i < r->count; i++) total += r->weight[i];
  for (int i = 0; i < r->count; i++) r->weight[i] /= total;
}

static esc_status build(rule_family kind, int n, esc_quadrature *r) {
  esc_status status = ESC_OK;
  switch (kind) {
    case TRAPEZOID: ESC_TRY(trapezoid(n, r)); break;
    case HERMITE: ESC_TRY(hermite(n, r)); break;
    default: ESC_TRY(panel_rule(n, kind == HALVES ? 1 : GRADED_PANELS, r));
  }
  normalise(r);
done:
  return status;
}

/* ---- comparing n with 2n ---- */

/* E[h_i] and E|h_i| by one rule; `value` (n) is workspace. */
static void average(const esc_gaussian_integral *f, const esc_quadrature *r, double *value,
                    double *mean, double *size) {
  for (int i = 0; i < f->n; i++) mean[i] = size[i] = 0;
  for (int k = 0; k < r->count; k++) {
    f->h(f->context, r->node[k], value);
    for (int i = 0; i < f->n; i++) {
      mean[i] += r->weight[k] * value[i];
      size[i] += r->weight[k] * fabs(value[i]);
    }
  }
}

/* 0/0 counts as 0: h_i vanishes. */
static double relative_error(double error, double size) {
  return error == 0 && size == 0 ? 0 : fabs(error) / size;
}

/* NaN, a difference of infinities, counts as an infinite error. */
static double max_error(double a, double b) { return isnan(b) ? HUGE_VAL : fmax(a, b); }

/* Size of the integrand at +-half_range, where the finite rules stop, relative to E|h_i|. */
static double truncation_error(const esc_gaussian_integral *f, double *value, const double *size) {
  double worst = 0;
  for (int side = -1; side <= 1; side += 2) {
    f->h(f->context, side * half_range, value);
    for (int i = 0; i < f->n; i++)
      worst =
          max_error(worst, relative_error(value[i] * gsl_ran_ugaussian_pdf(half_range), size[i]));
  }
  return worst;
}

/* Result of one comparison: the n-node rule, and means and sizes by 2n nodes. */
typedef struct trial {
  esc_quadrature rule;
  double *mean, *size; /* (n), owned */
  double error;
} trial;

static void free_trial(trial *t) {
  esc_quadrature_free(&t->rule);
  free(t->mean);
  free(t->size);
  *t = (trial){.error = HUGE_VAL};
}

static esc_status try_rule(const esc_gaussian_integral *f, rule_family kind, int n, trial *t) {
  esc_status status = ESC_OK;
  const size_t bytes = (size_t)f->n * sizeof(double);
  esc_quadrature fine = {0};
  double *value = malloc(bytes), *coarse = malloc(2 * bytes);
  *t = (trial){.mean = malloc(bytes), .size = malloc(bytes)};
  ESC_TRY_ALLOCATE(value);
  ESC_TRY_ALLOCATE(coarse);
  ESC_TRY_ALLOCATE(t->mean);
  ESC_TRY_ALLOCATE(t->size);
  ESC_TRY(build(kind, n, &t->rule));
  ESC_TRY(build(kind, 2 * n, &fine));
  average(f, &t->rule, value, coarse, coarse + f->n);
  average(f, &fine, value, t->mean, t->size);
  t->error = kind == HERMITE ? 0 : truncation_error(f, value, t->size);
  for (int i = 0; i < f->n; i++)
    t->error = max_error(t->error, relative_error(coarse[i] - t->mean[i], t->size[i]));
done:
  free(coarse);
  free(value);
  esc_quadrature_free(&fine);
  return status;
}

/* The first rule that meets the tolerance, else the most accurate one; free with free_trial. */
static esc_status find_rule(const esc_gaussian_integral *f, double tolerance, trial *best) {
  esc_status status = ESC_OK;
  trial next = {.error = HUGE_VAL};
  *best = next;
  for (int n = NODES_MIN; n <= NODES_MAX; n *= 2) {
    for (rule_family kind = 0; kind < FAMILIES; kind++) {
      if (!is_applicable(kind, n, f->corner)) continue;
      ESC_TRY(try_rule(f, kind, n, &next));
      if (next.error < best->error || best->mean == NULL) {
        free_trial(best);
        *best = next;
        next = (trial){.error = HUGE_VAL};
      }
      free_trial(&next);
      if (best->error <= tolerance) goto done;
    }
  }
done:
  free_trial(&next);
  return status;
}

esc_status esc_gaussian_expectation(const esc_gaussian_integral *integral, double tolerance,
                                    double *out, double *error) {
  esc_status status = ESC_OK;
  trial best;
  ESC_TRY(find_rule(integral, tolerance, &best));
  for (int i = 0; i < integral->n; i++) out[i] = best.mean[i];
  *error = best.error;
done:
  free_trial(&best);
  return status;
}

/* ---- a rule for the reduced ODE ---- */

typedef struct chain_scales {
  const esc_activation *activation;
  int layers;
  double scale[ESC_LAYERS_MAX];
} chain_scales;

enum { CHAIN_TERMS = 3 }; /* terms that belong to no layer */

/* 1, so that the weights keep the sum 1; sigma(g) g, the drive of small scales; sigma(g)^2, for
 * the loss; then sigma(g) df/ds_l and f df/ds_l for all l (docs/theory, section 3.2, layers from 0:
 * df/ds_l = h_l prod_{j>l} s_j sigma'(z_{j-1})). */
static void chain_terms(void *context, double g, double *out) {
  const chain_scales *c = context;
  double hidden[ESC_LAYERS_MAX] = {g}, d1[ESC_LAYERS_MAX], backward = 1;
  const int last = c->layers - 1;
  for (int l = 0; l < last; l++) {
    const esc_eval_f64 e = esc_theory_activate(c->activation, c->scale[l] * hidden[l]);
    hidden[l + 1] = e.value;
    d1[l] = e.derivative;
  }
  const double teacher = esc_theory_activate(c->activation, g).value,
               f = c->scale[last] * hidden[last];
  out[0] = 1;
  out[1] = teacher * g;
  out[2] = teacher * teacher;
  for (int l = last; l >= 0; l--) {
    out[CHAIN_TERMS + 2 * l] = teacher * hidden[l] * backward;
    out[CHAIN_TERMS + 2 * l + 1] = f * hidden[l] * backward;
    if (l > 0) backward *= c->scale[l] * d1[l - 1];
  }
}

/* Removes the nodes that together contribute less than an ulp to every E|h_i|. */
static esc_status prune(const esc_gaussian_integral *f, trial *t) {
  esc_status status = ESC_OK;
  int count = 0;
  esc_quadrature *r = &t->rule;
  double *value = malloc((size_t)f->n * sizeof *value);
  ESC_TRY_ALLOCATE(value);
  for (int k = 0; k < r->count; k++) {
    double contribution = 0;
    f->h(f->context, r->node[k], value);
    for (int i = 0; i < f->n; i++)
      contribution = max_error(contribution, relative_error(r->weight[k] * value[i], t->size[i]));
    if (contribution < DBL_EPSILON / r->count) continue;
    r->node[count] = r->node[k];
    r->weight[count++] = r->weight[k];
  }
  r->count = count;
done:
  free(value);
  return status;
}

/* The largest of the scales that sigma acts on. */
static double largest_scale(const chain_scales *c) {
  double largest = 0;
  for (int l = 0; l + 1 < c->layers; l++) largest = fmax(largest, fabs(c->scale[l]));
  return largest;
}

static esc_status fail_tolerance(const chain_scales *c, double tolerance, double error) {
  if (!isfinite(error))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%d layers at scales up to %g: their Gaussian averages overflow%s", c->layers,
                    largest_scale(c),
                    c->activation->kind == ESC_ACTIVATION_PIECEWISE
                        ? ", or need the activation beyond the range of its pieces"
                        : "");
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%d layers at scales up to %g: too steep for Gaussian averages to %g (%d nodes "
                  "reach %.1g)",
                  c->layers, largest_scale(c), tolerance, 2 * NODES_MAX, error);
}

esc_status esc_gaussian_rule_for_scales(const esc_activation *activation, int layers,
                                        const double *scale, double tolerance,
                                        esc_quadrature *out) {
  esc_status status = ESC_OK;
  chain_scales c = {.activation = activation, .layers = layers};
  const esc_gaussian_integral f = {chain_terms, &c, CHAIN_TERMS + 2 * layers,
                                   esc_activation_has_corner(activation)};
  trial best = {.error = HUGE_VAL};
  /* A minimum, because smaller scales need no finer rule and their products may underflow. */
  for (int l = 0; l < layers; l++)
    c.scale[l] = copysign(fmax(fabs(scale[l]), ESC_RULE_SCALE_MIN), scale[l]);
  c.scale[layers - 1] = 1; /* a factor of f, without effect on relative errors */
  ESC_TRY(find_rule(&f, tolerance, &best));
  if (!(best.error <= tolerance)) {
    status = fail_tolerance(&c, tolerance, best.error);
    goto done;
  }
  ESC_TRY(prune(&f, &best));
  *out = best.rule;
  best.rule = (esc_quadrature){0};
done:
  free_trial(&best);
  return status;
}

esc_status esc_gaussian_rule(const esc_activation *activation, int layers, double largest,
                             double tolerance, esc_quadrature *out) {
  double scale[ESC_LAYERS_MAX];
  for (int l = 0; l < layers; l++) scale[l] = fabs(largest);
  return esc_gaussian_rule_for_scales(activation, layers, scale, tolerance, out);
}

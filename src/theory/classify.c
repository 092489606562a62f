/* SPDX-License-Identifier: Apache-2.0 */
/* The class of an activation and its constants (docs/theory, section 2), all of them
 * computed: Taylor coefficients by series arithmetic, the moments by quadrature.
 *
 * A coefficient counts as 0 where its absolute value is at most twice the bound on its
 * rounding error; the coefficients of a polynomial are exact. */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/pieces.h"
#include "escapement/internal/theory.h"
#include "series.h"

static void find_coefficients(const esc_activation *activation, esc_classification *c) {
  const esc_power_series series = esc_activation_series(activation);
  for (int k = 0; k < ESC_TAYLOR_TERMS; k++)
    c->a[k] = esc_term_vanishes(series.term[k]) ? 0 : series.term[k].value;
  if (activation->kind == ESC_ACTIVATION_RELU) c->a[1] = 1;
  for (int k = ESC_TAYLOR_TERMS - 1; k >= 2; k--)
    if (c->a[k] != 0) c->q = k;
  c->aq = c->q ? c->a[c->q] : 0;
}

static esc_class find_class(const esc_activation *activation, const esc_classification *c) {
  if (c->a[0] != 0) return ESC_CLASS_D;
  if (c->q == 0) return ESC_CLASS_A;
  if (c->q == 2) return ESC_CLASS_C;
  return esc_activation_is_odd(activation) ? ESC_CLASS_B : ESC_CLASS_NONE;
}

/* ---- moments ---- */

typedef struct moments {
  const esc_activation *activation;
  int q;
} moments;

enum { DERIVATIVE, FIRST, QTH, MOMENTS };

/* sigma'(g), sigma(g) g, sigma(g) g^q */
static void moment_terms(void *context, double g, double *out) {
  const moments *m = context;
  const esc_eval_f64 e = esc_theory_activate(m->activation, g);
  out[DERIVATIVE] = e.derivative;
  out[FIRST] = e.value * g;
  out[QTH] = m->q ? e.value * pow(g, m->q) : 0;
}

/* |sigma'(g)|, whose mean is the scale of the rounding error of c_1. */
static void derivative_size(void *context, double g, double *out) {
  const moments *m = context;
  *out = fabs(esc_theory_activate(m->activation, g).derivative);
}

/* c_1 = E[sigma'(g)] = E[sigma(g) g] by Stein's lemma: the difference of the two averages is part
 * of the error estimate. */
static esc_status find_moments(const esc_activation *activation, esc_classification *c) {
  esc_status status = ESC_OK;
  moments m = {activation, c->q};
  const bool corner = esc_activation_has_corner(activation);
  double mean[MOMENTS], error, size, size_error;
  ESC_TRY(esc_gaussian_expectation(&(esc_gaussian_integral){moment_terms, &m, MOMENTS, corner},
                                   1e-14, mean, &error));
  ESC_TRY(esc_gaussian_expectation(&(esc_gaussian_integral){derivative_size, &m, 1, corner}, 1e-2,
                                   &size, &size_error));
  if (!isfinite(mean[DERIVATIVE]) || !isfinite(mean[FIRST]) || !isfinite(mean[QTH]))
    return ESC_FAIL(ESC_BAD_INPUT, "the coefficients are too large: E[sigma(g) g^%d] overflows",
                    c->q ? c->q : 1);
  c->c1_error = fmax(fmax(error, 4 * DBL_EPSILON) * size, fabs(mean[DERIVATIVE] - mean[FIRST]));
  c->c1 = fabs(mean[DERIVATIVE]) <= c->c1_error ? 0 : mean[DERIVATIVE];
  c->moment = mean[QTH];
done:
  return status;
}

static double find_correction(const esc_classification *c) {
  if (c->q == 0) return 0;
  if (c->class_ == ESC_CLASS_D || c->a[1] == 0 || c->c1 == 0) return (double)NAN;
  return c->aq * c->moment / (c->a[1] * c->c1);
}

static esc_status classify(const esc_activation *activation, esc_classification *out) {
  esc_status status = ESC_OK;
  esc_classification c = {.q = 0};
  find_coefficients(activation, &c);
  c.class_ = find_class(activation, &c);
  ESC_TRY(find_moments(activation, &c));
  c.correction = find_correction(&c);
  c.escapes = c.c1 > 0 && c.a[1] > 0;
  *out = c;
done:
  return status;
}

/* ---- cache of this process ---- */

/* The first activations that were classified, kept until the process ends: the quadratures take
 * most of a forecast's time, and every point of a grid needs them. Threads that classify one at the
 * same time obtain the same numbers. */
typedef struct classified {
  esc_activation activation;
  esc_classification classification;
} classified;
enum { CACHE_MAX = 16 };
static _Atomic(classified *) cache[CACHE_MAX];

/* The caller's pieces may change or be freed. */
static bool is_cacheable(const esc_activation *a) { return a->kind != ESC_ACTIVATION_PIECEWISE; }

static bool is_same(const esc_activation *a, const esc_activation *b) {
  if (a->kind != b->kind) return false;
  if (a->kind != ESC_ACTIVATION_POLYNOMIAL) return true;
  return a->terms == b->terms &&
         !memcmp(a->coefficient, b->coefficient, (size_t)a->terms * sizeof *a->coefficient);
}

static const classified *find_cached(const esc_activation *activation) {
  for (int i = 0; i < CACHE_MAX && is_cacheable(activation); i++) {
    const classified *known = atomic_load(&cache[i]);
    if (!known) return NULL;
    if (is_same(&known->activation, activation)) return known;
  }
  return NULL;
}

static void add_to_cache(const esc_activation *activation, const esc_classification *c) {
  classified *added = is_cacheable(activation) ? malloc(sizeof *added) : NULL;
  if (!added) return;
  *added = (classified){*activation, *c};
  for (int i = 0; i < CACHE_MAX; i++) {
    classified *known = NULL;
    if (atomic_compare_exchange_strong(&cache[i], &known, added)) return;
    if (is_same(&known->activation, activation)) break;
  }
  free(added);
}

esc_status esc_classify(const esc_activation *activation, esc_classification *out) {
  const classified *known = find_cached(activation);
  if (known) {
    *out = known->classification;
    return ESC_OK;
  }
  const esc_status status = classify(activation, out);
  if (status == ESC_OK) add_to_cache(activation, out);
  return status;
}

/* ---- warnings ---- */

/* Appends a sentence to `text`, cut to `size` bytes. */
__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size,
                                                         const char *format, ...) {
  size_t used = strlen(text);
  if (used > 0) {
    snprintf(text + used, size - used, "; ");
    used = strlen(text);
  }
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text + used, size - used, format, arguments);
  va_end(arguments);
}

static void warn_class(const esc_classification *c, char *text, size_t size) {
  if (c->class_ == ESC_CLASS_D)
    append(
        text, size,
        "a_0 = %g is not 0 (class D): every layer gets a constant term; the escape theory is for "
        "sigma(z) - a_0, which is another network",
        c->a[0]);
  if (c->class_ == ESC_CLASS_NONE)
    append(text, size, "a_0 = a_2 = 0, but the activation is not odd: outside the classes A to D");
}

static void warn_signs(const esc_classification *c, char *text, size_t size) {
  const double a1 = c->a[1], c1 = c->c1;
  if (a1 == 0) append(text, size, "a_1 = 0: the drive vanishes, small scales do not grow");
  if (c1 == 0)
    append(text, size, "c_1 = 0: the drive vanishes, small scales do not grow at leading order");
  if (a1 < 0) append(text, size, "a_1 = %g < 0, against the paper's assumption", a1);
  if (c1 < 0) append(text, size, "c_1 = %g < 0, against the paper's assumption", c1);
  if (a1 * c1 != 0 && (a1 < 0 || c1 < 0))
    append(text, size, "escape depends on the sign of the drive a c_1 a_1^(L-1) prod s_l(0)");
}

void esc_classification_warnings(const esc_classification *c, char *text, size_t size) {
  if (size == 0) return;
  text[0] = '\0';
  warn_class(c, text, size);
  warn_signs(c, text, size);
}

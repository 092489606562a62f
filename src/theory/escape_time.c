/* Escape times from the saddle at 0 on the symmetric manifold (theory, section 4):
 * the reduced ODE's, the leading order's in closed form, and the latter corrected.
 *
 * Leading order: ds_l/dt = D prod_{j != l} s_j with the drive D = a c_1 a_1^{L-1}
 * keeps the gaps d_j = s_j^2 - s_m^2, m the smallest layer, so with x = s_m^2
 *   t = (1/2D) int dx / prod_j sqrt(x + d_j).
 * Corrected, for a balanced start, in u = (prod s_l)^{1/L}:
 *   t = (1/D) int du / [u^{L-1} (1 + chi u^p)],
 * p = q-1 while L >= q-1, else p = L (self-interaction leads). For O(1) layers
 * before a bottleneck: D with those layers taken exactly. */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chain.h"
#include "escapement/activation.h"
#include "reduced_ode.h"

enum { INTERVALS = 200 };

/* A layer this many times the smallest is not of the bottleneck. */
static const double prefix_spread = 3;
/* A correlation of teacher and prefix below this is rounding. */
static const double overlap_min = 1e-12;
/* Products of scales below this lose digits in a double. */
static const double product_min = 1e-280;

typedef struct analysis {
  const esc_escape_problem *problem;
  esc_classification class_;
  double smallest, largest; /* of the scales */
  int prefix;               /* layers before the first of the bottleneck */
  int bottleneck;           /* layers within prefix_spread of the smallest */
  int minima;               /* layers at the smallest */
  double drive;             /* D */
  double prefix_drive;      /* D with the prefix exact; D if there is none */
  esc_escape_times *times;
} analysis;

/* Adds a clause to the remark. */
__attribute__((format(printf, 2, 3))) static void remark(analysis *a, const char *format, ...) {
  char *text = a->times->remark;
  const size_t size = sizeof a->times->remark, used = strlen(text);
  va_list arguments;
  va_start(arguments, format);
  const int gap = snprintf(text + used, size - used, "%s", used ? "; " : "");
  if (used + (size_t)gap < size)
    vsnprintf(text + used + gap, size - used - (size_t)gap, format, arguments);
  va_end(arguments);
}

static double squared_gap(double s, double smallest) { return (s - smallest) * (s + smallest); }

/* ---- quadrature ---- */

/* int_{from}^{to} f, relatively to 1e-11 or better. */
static esc_status integrate(double (*f)(double, void *), void *data, double from, double to,
                            double *out) {
  esc_status status = ESC_OK;
  double error = 0;
  gsl_function function = {f, data};
  gsl_integration_workspace *work = NULL;
  *out = 0;
  if (!(to > from)) return ESC_OK;
  ESC_TRY_ALLOCATE(work = gsl_integration_workspace_alloc(INTERVALS));
  const int code = gsl_integration_qag(&function, from, to, 0, 1e-13, INTERVALS, GSL_INTEG_GAUSS61,
                                       work, out, &error);
  /* Rounding may stop it short of 1e-13: the error says how far. */
  if (!(error <= 1e-11 * fabs(*out)))
    status = ESC_FAIL(ESC_LIBRARY_FAILED, "escape quadrature: %s (error %g of %g)",
                      gsl_strerror(code), error, *out);
done:
  gsl_integration_workspace_free(work);
  return status;
}

typedef struct leaf {
  const esc_escape_problem *problem;
  double smallest;
  double log_start; /* of the integrand, so that it starts at 1 */
} leaf;

/* ln of x / prod_j sqrt(x + d_j) */
static double leaf_log(const leaf *f, double log_x) {
  const double x = exp(log_x);
  double sum = log_x;
  for (int l = 0; l < f->problem->layers; l++)
    sum -= log(x + squared_gap(f->problem->scale[l], f->smallest)) / 2;
  return sum;
}

static double leaf_integrand(double log_x, void *data) {
  const leaf *f = data;
  return exp(leaf_log(f, log_x) - f->log_start);
}

/* D t along the leaf of any start. */
static esc_status unbalanced_time(const analysis *a, double *out) {
  const esc_escape_problem *p = a->problem;
  leaf f = {p, a->smallest, 0};
  const double from = 2 * log(a->smallest);
  const double to = log(p->to * p->to - squared_gap(p->scale[p->layer], a->smallest));
  f.log_start = leaf_log(&f, from);
  const esc_status status = integrate(leaf_integrand, &f, from, to, out);
  *out *= exp(f.log_start) / 2;
  return status;
}

/* D t of a balanced start, (e^{2-L} - s^{2-L})/(L-2). */
static double balanced_time(const analysis *a) {
  const int power = a->problem->layers - 2;
  const double growth = log(a->problem->to / a->smallest);
  if (power == 0) return growth;
  return -expm1(ESC_FLIP(CLOSED_FORM) * -power * growth) * pow(a->smallest, -power) / power;
}

typedef struct corrected_leaf {
  int layers, power;
  double chi, log_start;
} corrected_leaf;

/* u^{2-L} / (1 + chi u^p) in log u, relative to its u^{2-L} at the start. */
static double corrected_integrand(double log_u, void *data) {
  const corrected_leaf *f = data;
  return exp((2 - f->layers) * (log_u - f->log_start)) /
         (1 + ESC_FLIP(CORRECTED) * f->chi * exp(f->power * log_u));
}

/* ---- the next order, balanced ---- */

/* chi and p of the balanced leaf, and u at the escape. E[h^2] of the first
 * activation's linear part is 1; ReLU's half line has 1/2. */
static double balanced_correction(const analysis *a, int *power, double *end) {
  const esc_classification *c = &a->class_;
  const esc_escape_problem *p = a->problem;
  const int layers = p->layers, order = c->q - 1;
  const double half_line = p->activation.kind == ESC_ACTIVATION_RELU ? 0.5 : 1;
  const double own = half_line * pow(c->a[1], layers - 1) / (p->amplitude * c->c1);
  const double chi = c->correction * (order + layers) / layers;
  *power = layers;
  *end = p->to;
  if (c->q == 0 || layers < order) return -own;
  /* The first layer runs ahead of the others: s_1/s_l = 1 + C (q-1)/(q+1) s^{q-1}. */
  const double ahead = c->correction * order / (order + 2) * pow(p->to, order) / layers;
  *end *= 1 + (p->layer == 0 ? 1 - layers : 1) * ahead;
  *power = order;
  return layers == order ? chi - own : chi;
}

static esc_status corrected_balanced(analysis *a) {
  corrected_leaf f = {.layers = a->problem->layers, .log_start = log(a->smallest)};
  double end, value;
  f.chi = balanced_correction(a, &f.power, &end);
  const double largest_term = f.chi * pow(end, f.power);
  if (!(end > a->smallest) || !(largest_term > -1)) {
    remark(a, "s* = %g is beyond the reach of the next order, so there is no corrected time",
           a->problem->to);
    return ESC_OK;
  }
  if (fabs(largest_term) > 0.5)
    remark(a, "the next order is %.0f%% of the leading one at escape: corrected is rough",
           100 * fabs(largest_term));
  const esc_status status = integrate(corrected_integrand, &f, f.log_start, log(end), &value);
  a->times->corrected = value * pow(a->smallest, 2 - f.layers) / a->drive;
  return status;
}

/* ---- O(1) layers before the bottleneck ---- */

typedef struct overlap {
  const esc_escape_problem *problem;
  int prefix;
} overlap;

/* sigma h_k, sigma^2, h_k^2 at g */
static void overlap_integrand(void *context, double g, double *out) {
  const overlap *o = context;
  const esc_activation *sigma = &o->problem->activation;
  const double teacher = esc_activate_f64(sigma, g).value;
  const double h = esc_chain_output(sigma, o->prefix, o->problem->scale, g);
  out[0] = teacher * h;
  out[1] = teacher * teacher;
  out[2] = h * h;
}

/* a a_1^{L-1-k} E[sigma(g) h_k(g)] / prod_{j<=k} s_j for a prefix of k layers, which is D
 * for k = 0; 0 where the expectation is lost in rounding. */
static esc_status find_prefix_drive(analysis *a) {
  esc_status status = ESC_OK;
  const esc_escape_problem *p = a->problem;
  overlap o = {p, a->prefix};
  double mean[3], error;
  const bool kink = p->activation.kind == ESC_ACTIVATION_RELU;
  ESC_TRY(esc_gaussian_expectation(overlap_integrand, &o, 3, kink, 1e-13, mean, &error));
  const double size = sqrt(mean[1] * mean[2]);
  if (fabs(mean[0]) <= fmax(100 * error, overlap_min) * size) mean[0] = 0;
  a->prefix_drive = p->amplitude * pow(a->class_.a[1], p->layers - 1 - a->prefix) * mean[0];
  for (int l = 0; l < a->prefix; l++) a->prefix_drive /= p->scale[l];
done:
  return status;
}

static void corrected_prefix(analysis *a) {
  const double ratio = a->drive / a->prefix_drive;
  if (a->bottleneck < 2) {
    remark(a, "one small layer makes no plateau: closed is of the order of ode, no more");
    return;
  }
  a->times->corrected = a->times->closed * ratio;
  if (fabs(ratio - 1) > 1e-9)
    remark(a,
           "closed is off by the factor %.6g that layers 1 to %d, before the bottleneck, bring; "
           "corrected has it",
           ratio, a->prefix);
}

/* ---- all together ---- */

static void find_bottleneck(analysis *a) {
  const esc_escape_problem *p = a->problem;
  a->smallest = a->largest = p->scale[0];
  for (int l = 1; l < p->layers; l++) {
    a->smallest = fmin(a->smallest, p->scale[l]);
    a->largest = fmax(a->largest, p->scale[l]);
  }
  const double limit = prefix_spread * a->smallest;
  while (p->scale[a->prefix] > limit) a->prefix++;
  for (int l = 0; l < p->layers; l++) {
    a->bottleneck += p->scale[l] <= limit;
    a->minima += p->scale[l] <= a->smallest;
  }
}

/* Why the leading order does not bring this start to its escape. */
static void explain(analysis *a) {
  const esc_classification *c = &a->class_;
  const char *zero = c->a[1] == 0                 ? "a_1 = 0"
                     : a->problem->amplitude == 0 ? "a = 0"
                     : a->prefix == 0             ? "c_1 = 0"
                                                  : "the large first layers hide the teacher";
  if (a->prefix_drive == 0)
    remark(a, "no drive at leading order (%s): no escape, no times", zero);
  else if (a->prefix_drive < 0)
    remark(a, "the drive is negative: the start decays towards 0 and does not escape%s",
           a->minima > 1 ? "" : " (beyond a change of sign of its smallest scale nothing is said)");
  else
    remark(a, "the drive is too small for a double: no times");
}

static bool can_escape(analysis *a) {
  const esc_classification *c = &a->class_;
  if (!(a->prefix_drive > 0 && fabs(a->times->drive) >= product_min)) {
    explain(a);
    return false;
  }
  if (!c->escapes)
    remark(
        a,
        "c_1 = %.6g and a_1 = %.6g are not both positive, as the paper assumes, but the drive is",
        c->c1, c->a[1]);
  return true;
}

static bool is_balanced(const analysis *a) { return a->largest <= a->smallest; }

/* The leading order's time for a drive of either sign. */
static esc_status leading_time(const analysis *a, double *time) {
  esc_status status = ESC_OK;
  double value = balanced_time(a);
  if (!is_balanced(a)) ESC_TRY(unbalanced_time(a, &value));
  *time = value / fabs(a->drive);
done:
  return status;
}

static esc_status leading_orders(analysis *a) {
  esc_status status = ESC_OK;
  ESC_TRY(leading_time(a, &a->times->closed));
  if (is_balanced(a))
    ESC_TRY(corrected_balanced(a));
  else if (a->prefix > 0)
    corrected_prefix(a);
  else
    remark(a, "no corrected time: it is for balanced starts, or large layers before small ones");
done:
  return status;
}

static esc_status full_order(analysis *a) {
  esc_status status = ESC_OK;
  esc_crossing crossing = {0};
  double unit;
  ESC_TRY(leading_time(a, &unit));
  if (!isfinite(unit)) unit = 1;
  ESC_TRY(esc_reduced_crossing(a->problem, ESC_ODE_BDF, unit, &crossing));
  if (crossing.reached)
    a->times->ode = crossing.time;
  else
    remark(a, "s_%d has not reached %g by t = %g and moves little if at all: ode was given up",
           a->problem->layer + 1, a->problem->to, crossing.time);
done:
  return status;
}

static esc_status analyse(analysis *a) {
  esc_status status = ESC_OK;
  const esc_escape_problem *p = a->problem;
  ESC_TRY(esc_classify(&p->activation, &a->class_));
  find_bottleneck(a);
  a->drive = p->amplitude * a->class_.c1 * pow(a->class_.a[1], p->layers - 1);
  a->times->drive = a->drive;
  for (int l = 0; l < p->layers; l++) a->times->drive *= p->scale[l];
  ESC_TRY(find_prefix_drive(a));
done:
  return status;
}

esc_status esc_escape(const esc_escape_problem *problem, esc_escape_times *out) {
  esc_status status = ESC_OK;
  const double none = (double)NAN;
  *out = (esc_escape_times){.ode = none, .closed = none, .corrected = none};
  analysis a = {.problem = problem, .times = out};
  ESC_TRY(analyse(&a));
  if (problem->scale[problem->layer] >= problem->to) {
    out->already = true;
    out->ode = out->closed = out->corrected = 0;
    remark(&a, "s_%d is there at the start", problem->layer + 1);
  } else if (a.class_.a[0] != 0) {
    remark(&a, "a_0 is not 0, so 0 is no saddle: only ode applies");
    ESC_TRY(full_order(&a));
  } else if (can_escape(&a)) {
    ESC_TRY(leading_orders(&a));
    ESC_TRY(full_order(&a));
  }
done:
  return status;
}

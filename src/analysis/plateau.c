/* The bootstrap interval of one member, from its snapshots. */
#include "escapement/plateau.h"

#include <math.h>

#include "escapement/observe.h"

typedef struct member {
  const esc_results *r;
  int64_t i, inside; /* snapshots inside the window */
  double window;
} member;

static double at(const member *m, int observable, int64_t k, int l) {
  const int length = esc_observable_length(m->r->layers, esc_observables[observable].axis);
  return m->r->observable[observable][(m->i * m->r->snapshots + k) * length + l];
}

static double scalar(const member *m, int observable, int64_t k) { return at(m, observable, k, 0); }

static bool is_small(const member *m, int l) { return m->r->small_layers[m->i] >> l & 1; }

/* The larger; a NaN is larger than any number. */
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }
static double smaller(double a, double b) { return isnan(a) || a < b ? a : b; }

static void widen(double value, double *low, double *high) {
  *low = smaller(value, *low);
  *high = larger(value, *high);
}

static double bottleneck(const member *m, int64_t k) {
  return scalar(m, ESC_OBSERVABLE_bottleneck_norm, k);
}

/* First snapshot outside the window, or the first that is not there. */
static int64_t count_inside(const member *m) {
  int64_t k = 0;
  while (k < m->r->snapshots && bottleneck(m, k) <= m->window) k++;
  return k;
}

/* What an exponent is the slope of, at snapshot k. */
typedef double quantity(const member *m, int64_t k);

static double self_share(const member *m, int64_t k) {
  return fabs(scalar(m, ESC_OBSERVABLE_self_interaction, k) / scalar(m, ESC_OBSERVABLE_drive, k));
}

static double orthogonal_share(const member *m, int64_t k) {
  return fabs(scalar(m, ESC_OBSERVABLE_orthogonal, k) / scalar(m, ESC_OBSERVABLE_drive, k));
}

static double signal(const member *m, int64_t k) { return scalar(m, ESC_OBSERVABLE_signal, k); }

static double gradient2(const member *m, int64_t k) {
  return scalar(m, ESC_OBSERVABLE_signal_gradient2, k);
}

/* Slope of log y in log x by the sums of a line fit, so that nothing is allocated. */
static double exponent(const member *m, quantity *x, quantity *y) {
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (int64_t k = 0; k < m->inside; k++) {
    if (!(signal(m, k) > 0)) continue;
    const double a = log(x(m, k)) - log(m->window), b = log(y(m, k));
    n++;
    sx += a;
    sy += b;
    sxx += a * a;
    sxy += a * b;
  }
  return n < 3 ? (double)NAN : (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

static double largest(const member *m, quantity *x) {
  double most = 0;
  for (int64_t k = 0; k < m->inside; k++) most = larger(x(m, k), most);
  return most;
}

static double largest_drift(const member *m) {
  double most = 0;
  for (int64_t k = 0; k < m->inside; k++)
    for (int l = 0; l < m->r->layers; l++)
      if (!is_small(m, l)) most = larger(at(m, ESC_OBSERVABLE_layer_drift, k, l), most);
  return most;
}

/* |f|_L2 over the product of the small layers' operator norms. */
static double output_share(const member *m, int64_t k) {
  const double mean = scalar(m, ESC_OBSERVABLE_output_mean, k);
  double share = sqrt(scalar(m, ESC_OBSERVABLE_output_variance, k) + mean * mean);
  for (int l = 0; l < m->r->layers; l++)
    if (is_small(m, l)) share /= at(m, ESC_OBSERVABLE_operator_norm, k, l);
  return share;
}

static void measure_chains(const member *m, esc_plateau *out) {
  static const int chain[] = {ESC_OBSERVABLE_forward_chain, ESC_OBSERVABLE_backward_chain};
  out->chain_low = INFINITY;
  out->chain_high = 0;
  for (int64_t k = 0; k < m->inside; k++)
    for (int c = 0; c < 2; c++)
      for (int l = 0; l < m->r->layers; l++)
        widen(at(m, chain[c], k, l) / at(m, chain[c], 0, l), &out->chain_low, &out->chain_high);
}

static void measure_gains(const member *m, esc_plateau *out) {
  out->gain_low = INFINITY;
  out->gain_high = 0;
  for (int64_t k = 0; k < m->inside; k++)
    for (int l = 0; l < m->r->layers && signal(m, k) > 0; l++)
      if (is_small(m, l))
        widen(at(m, ESC_OBSERVABLE_signal_gradient_norm, k, l) *
                  at(m, ESC_OBSERVABLE_operator_norm, k, l) / signal(m, k),
              &out->gain_low, &out->gain_high);
  if (out->gain_high == 0) out->gain_low = out->gain_high = (double)NAN;
}

/* Integral of dx / x^(r-1) from a to b. */
static double comparison_time(int r, double a, double b) {
  return r == 2 ? log(b / a) : (pow(b, 2 - r) - pow(a, 2 - r)) / (2 - r);
}

/* Growth of m against the comparison equation dm/dt = C m^(r-1), C as large as measured. */
static void measure_growth(const member *m, double rate, esc_plateau *out) {
  const int r = m->r->bottleneck[m->i];
  out->growth = 0;
  for (int64_t k = 0; k + 1 < m->inside; k++) {
    const double a = bottleneck(m, k), b = bottleneck(m, k + 1);
    const double time = rate * (double)(m->r->snapshot_step[k + 1] - m->r->snapshot_step[k]);
    if (b > a) out->growth = larger(comparison_time(r, a, b) / time, out->growth);
  }
  const double time = rate * (double)m->r->snapshot_step[m->inside - 1];
  out->exit_bound = comparison_time(r, out->m_start, out->m_end) / (out->growth * time);
}

void esc_plateau_measure(const esc_results *r, int64_t i, double rate, double window,
                         esc_plateau *out) {
  const double none = (double)NAN;
  member m = {.r = r, .i = i, .window = window};
  m.inside = count_inside(&m);
  const bool left = m.inside < r->snapshots && bottleneck(&m, m.inside) > window;
  *out = (esc_plateau){.snapshots = m.inside,
                       .exit_step = left ? r->snapshot_step[m.inside] : -1,
                       .m_start = bottleneck(&m, 0),
                       .growth = none,
                       .exit_bound = none};
  out->m_end = m.inside ? bottleneck(&m, m.inside - 1) : none;
  out->drift = largest_drift(&m);
  out->drift_over_m2 = out->drift / (out->m_end * out->m_end);
  out->self_over_drive = largest(&m, self_share);
  out->orthogonal_over_drive = largest(&m, orthogonal_share);
  out->output_over_gain = largest(&m, output_share);
  out->self_exponent = exponent(&m, bottleneck, self_share);
  out->orthogonal_exponent = exponent(&m, bottleneck, orthogonal_share);
  out->signal_exponent = exponent(&m, signal, gradient2);
  measure_chains(&m, out);
  measure_gains(&m, out);
  if (m.inside > 1) measure_growth(&m, rate, out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The network of docs/theory, section 9.3, whose numbers are another program's:
 * N=3, d=2, L=3, a=1.2, v=e_1, W_l[i][j] = .6 sin(1+i+2j+3l), X[j][b] = 1.5 sin(2+3j+5b). */
#include <math.h>
#include <stdlib.h>

#include "escapement/internal/theory.h"
#include "verify/fixture.h"
#include "verify/verify.h"

/* docs/theory, section 9.3 has 15 digits; what cancels in f - T and u.kappa costs one or two. */
static const double digits = 5e-13;

static void record(esc_verify_worst *worst, double got, double want, const char *what) {
  esc_verify_record(worst, got - want, digits * fabs(want), "%s", what);
}

static esc_status open(int kind, int loss, esc_verify_fixture *s) {
  esc_status status = ESC_OK;
  esc_problem p = esc_verify_problem(3, 3, 2, 5);
  p.activation = esc_verify_activation(kind);
  p.loss = (esc_loss_kind)loss;
  p.teacher.amplitude[0] = 1.2;
  p.metric = ESC_METRIC_NORMALIZED;
  p.rate = 0.1;
  ESC_TRY(esc_verify_fixture_open(&p, s));
  for (int l = 0; l < 3; l++)
    for (int i = 0; i < esc_fan_out(p.shape, l); i++)
      for (int j = 0; j < esc_fan_in(p.shape, l); j++)
        s->w[esc_weight_offset(p.shape, l) + (size_t)(i * esc_fan_in(p.shape, l) + j)] =
            .6 * sin(1 + i + 2 * j + 3 * (l + 1));
  for (int b = 0; b < 5; b++) {
    for (int j = 0; j < 2; j++) s->x[2 * b + j] = 1.5 * sin(2 + 3 * j + 5 * b);
    s->weight[b] = 0.2;
  }
done:
  return status;
}

static esc_status tanh_squared(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_verify_fixture s;
  const esc_status status = open(ESC_ACTIVATION_TANH, ESC_LOSS_SQUARED, &s);
  if (status == ESC_OK) {
    esc_verify_fixture_gradient(&s);
    record(worst, s.gradient.loss, .36683818770414, "loss");
    record(worst, s.gradient.grad_norm_sq[0], .116969281224323, "|G_1|^2");
    record(worst, s.gradient.grad_norm_sq[1], .365893706796484, "|G_2|^2");
    record(worst, s.gradient.grad_norm_sq[2], .0803749762316104, "|G_3|^2");
    record(worst, s.gradient.deficit[0], -.0161192237295039, "E[u_1.kappa]");
    record(worst, s.gradient.deficit[1], .000972717166747007, "E[u_2.kappa]");
  }
  esc_verify_fixture_close(&s);
  return status;
}

static esc_status others(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  static const struct {
    int activation, loss;
    double value, first, second;
  } row[] = {
      {ESC_ACTIVATION_TANH, ESC_LOSS_HUBER, .192324333042694, -.00501337474173092,
       .000303563097038021},
      {ESC_ACTIVATION_TANH, ESC_LOSS_LOGISTIC, .686955901596398, -.00833939987923799,
       .000488806840648631},
      {ESC_ACTIVATION_GELU, ESC_LOSS_SQUARED, .327829174023217, 8.52888248215738e-5,
       -1.98106642501326e-4},
      {ESC_ACTIVATION_SOFTPLUS_RAW, ESC_LOSS_SQUARED, .760832331182533, .0172262168420378,
       .039651521254137},
  };
  esc_status status = ESC_OK;
  for (size_t i = 0; i < sizeof row / sizeof row[0] && status == ESC_OK; i++) {
    esc_verify_fixture s;
    status = open(row[i].activation, row[i].loss, &s);
    if (status == ESC_OK) {
      const char *name = row[i].loss ? esc_verify_loss_name(row[i].loss)
                                     : esc_verify_activation_name(row[i].activation);
      esc_verify_fixture_gradient(&s);
      record(worst, s.gradient.loss, row[i].value, name);
      record(worst, s.gradient.deficit[0], row[i].first, name);
      record(worst, s.gradient.deficit[1], row[i].second, name);
    }
    esc_verify_fixture_close(&s);
  }
  return status;
}

/* |W_{l+1}|^2/gamma_{l+1} - |W_l|^2/gamma_l, gamma = (3, 1, 1/3). */
static double imbalance(const esc_verify_fixture *s, int l) {
  const esc_shape shape = s->problem.shape;
  double norm2[2] = {0};
  for (int k = 0; k < 2; k++)
    for (size_t i = esc_weight_offset(shape, l + k); i < esc_weight_offset(shape, l + k + 1); i++)
      norm2[k] += s->w[i] * s->w[i] / esc_metric_gamma(&s->problem, l + k);
  return norm2[1] - norm2[0];
}

static esc_status update(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_verify_fixture s;
  const esc_status status = open(ESC_ACTIVATION_TANH, ESC_LOSS_SQUARED, &s);
  if (status == ESC_OK) {
    esc_verify_fixture_gradient(&s);
    record(worst, imbalance(&s, 0), 1.25671826479664, "first interface, before");
    record(worst, imbalance(&s, 1), .0666007712193415, "second interface, before");
    for (int l = 0; l < 3; l++)
      for (size_t i = esc_weight_offset(s.problem.shape, l);
           i < esc_weight_offset(s.problem.shape, l + 1); i++)
        s.w[i] -= s.problem.rate * esc_metric_gamma(&s.problem, l) * s.g[i];
    record(worst, imbalance(&s, 0), 1.26009196817377, "first interface, after");
    record(worst, imbalance(&s, 1), .0630152073054666, "second interface, after");
  }
  esc_verify_fixture_close(&s);
  return status;
}

/* Trapezoid rule on +-9 with step 0.25: exponentially good for tanh of these scales. */
enum { NODES = 73 };

static void grid(double *x, double *weight) {
  double total = 0;
  for (int i = 0; i < NODES * NODES; i++) {
    const int row = i / NODES - NODES / 2, column = i % NODES - NODES / 2;
    x[2 * i] = 0.25 * row;
    x[2 * i + 1] = 0.25 * column;
    total += weight[i] = exp(-(x[2 * i] * x[2 * i] + x[2 * i + 1] * x[2 * i + 1]) / 2);
  }
  for (int i = 0; i < NODES * NODES; i++) weight[i] /= total;
}

/* x ~ N(0, I_2) exactly: the numbers of a population, from a batch that is a quadrature. */
static esc_status population(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_status status = ESC_OK;
  esc_verify_fixture s = {0};
  double *x = NULL, *weight = NULL, signal = 0;
  ESC_TRY(open(ESC_ACTIVATION_TANH, ESC_LOSS_SQUARED, &s));
  ESC_TRY_ALLOCATE(x = calloc((size_t)2 * NODES * NODES, sizeof *x));
  ESC_TRY_ALLOCATE(weight = calloc((size_t)NODES * NODES, sizeof *weight));
  grid(x, weight);
  s.batch = (esc_batch){.samples = NODES * NODES, .x = x, .weight = weight};
  esc_verify_fixture_gradient(&s);
  for (int i = 0; i < NODES * NODES; i++)
    signal += weight[i] * x[2 * i] * esc_reference_output(&s.problem, s.w, x + 2 * i, s.work);
  record(worst, s.gradient.loss, .195592419666818, "loss");
  record(worst, s.gradient.deficit[0], -.023937916562536, "E[u_1.kappa]");
  record(worst, s.gradient.deficit[1], -.00527152522254937, "E[u_2.kappa]");
  record(worst, signal, .139911710778937, "S");
done:
  esc_verify_fixture_close(&s);
  free(x);
  free(weight);
  return status;
}

/* S, Q and the three terms of dS/dt under the Euclidean flow (docs/theory, section 5.2), by the
 * reference's outputs and backward passes alone. */
typedef struct rate {
  double signal, energy, drive, second, third;
} rate;

enum { WEIGHTS = 3 * 2 + 3 * 3 + 3 };

static double product(const double *a, const double *b) {
  double sum = 0;
  for (int i = 0; i < WEIGHTS; i++) sum += a[i] * b[i];
  return sum;
}

static rate rate_of(esc_verify_fixture *s, double c1) {
  const double amplitude = s->problem.teacher.amplitude[0];
  double g[3][WEIGHTS] = {{0}}; /* means of x_1, T_perp and f times df/dW */
  rate r = {0};
  for (int b = 0; b < s->batch.samples; b++) {
    const double *x = s->batch.x + (ptrdiff_t)2 * b, weight = s->batch.weight[b];
    const double f = esc_reference_output(&s->problem, s->w, x, s->work);
    const double rest = esc_reference_target(&s->problem, s->directions, x) - amplitude * c1 * x[0];
    r.signal += weight * x[0] * f;
    const double c[3] = {x[0], rest, f};
    for (int k = 0; k < 3; k++)
      esc_reference_backward(&s->problem, s->w, weight * c[k], s->work, g[k]);
  }
  r.energy = product(g[0], g[0]);
  r.drive = amplitude * c1 * r.energy;
  r.second = product(g[0], g[1]);
  r.third = product(g[0], g[2]);
  return r;
}

/* The error of c_1 is in the drive, and with T_perp in the second term. */
static void record_rate(esc_verify_worst *worst, const rate *got, const rate *want,
                        const char *inputs) {
  const struct {
    const char *name;
    double got, want, size;
  } row[] = {
      {"S", got->signal, want->signal, want->signal},
      {"Q", got->energy, want->energy, want->energy},
      {"drive", got->drive, want->drive, want->drive},
      {"second term", got->second, want->second, want->drive},
      {"third term", got->third, want->third, want->third},
  };
  for (int k = 0; k < 5; k++)
    esc_verify_record(worst, row[k].got - row[k].want, digits * row[k].size, "%s, %s", row[k].name,
                      inputs);
}

static esc_status signal_rate(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_status status = ESC_OK;
  static const rate five = {.0065849230659074, .836002843743947, .607645834198537,
                            .0823578356719926, .00383468018503042};
  static const rate gaussian = {.139911710778937, .348043074449351, .252973929327415,
                                .00922478250663689, .0505481748258261};
  esc_verify_fixture s = {0};
  esc_classification c;
  double *x = NULL, *weight = NULL;
  ESC_TRY(open(ESC_ACTIVATION_TANH, ESC_LOSS_SQUARED, &s));
  ESC_TRY(esc_classify(&s.problem.activation, &c));
  rate got = rate_of(&s, c.c1);
  record_rate(worst, &got, &five, "five inputs");
  ESC_TRY_ALLOCATE(x = calloc((size_t)2 * NODES * NODES, sizeof *x));
  ESC_TRY_ALLOCATE(weight = calloc((size_t)NODES * NODES, sizeof *weight));
  grid(x, weight);
  s.batch = (esc_batch){.samples = NODES * NODES, .x = x, .weight = weight};
  got = rate_of(&s, c.c1);
  record_rate(worst, &got, &gaussian, "Gaussian inputs");
done:
  esc_verify_fixture_close(&s);
  free(x);
  free(weight);
  return status;
}

const esc_verify_check esc_verify_network[] = {
    {"3x2 network: tanh, squared", tanh_squared},
    {"3x2 network: other losses, activations", others},
    {"3x2 network: imbalance of one update", update},
    {"3x2 network: Gaussian population", population},
    {"3x2 network: S, Q and the terms of dS/dt", signal_rate},
    {0},
};

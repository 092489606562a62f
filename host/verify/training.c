/* SPDX-License-Identifier: Apache-2.0 */
/* Training by one engine: against the reference (the reference against the oracle in long double),
 * against the imbalance identity, and with other numbers of slots, threads and steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/registry.h"
#include "bench/check.h"
#include "escapement/internal/model.h"
#include "verify/fixture.h"
#include "verify/oracle.h"
#include "verify/train.h"
#include "verify/verify.h"

/* The engine for `p`; NULL if the requested path does not support the shape. */
static const esc_engine_ops *engine_for(const esc_verify_target *t, const esc_problem *p) {
  const esc_backend_request request = {.backend = t->backend, .path = t->path, .device = t->device};
  const esc_engine_ops *ops = NULL;
  return esc_backend_find(&request, p, &ops) == ESC_OK ? ops : NULL;
}

/* Results of the engine, and of the reference (of the oracle if the engine is the reference). */
typedef struct pair {
  bool oracle;
  esc_results *want, *got;
  double *want_w, *got_w;      /* (member, weight) */
  double *initial, *direction; /* (weight), (mode, input) */
} pair;

static void pair_free(pair *r) {
  esc_results_free(r->want);
  esc_results_free(r->got);
  free(r->want_w);
  free(r->got_w);
  free(r->initial);
  free(r->direction);
}

/* Row i of the results of the oracle, without S(0), which has a separate check. */
static void report_oracle(const esc_problem *p, const esc_oracle_run *run, int i, esc_results *r) {
  double product[ESC_LAYERS_MAX];
  r->steps_run[i] = run->steps;
  r->final_loss[i] = (double)run->loss;
  r->final_smoothed_loss[i] = (double)run->smoothed;
  for (int l = 0; l < p->shape.layers; l++) {
    const double initial = (double)esc_oracle_norm2(p, run->initial, l);
    const double final = (double)esc_oracle_norm2(p, run->w, l);
    product[l] = (double)run->path[l] * sqrt(fmax(initial, final));
    r->norm2_initial[i * p->shape.layers + l] = initial;
    r->norm2_final[i * p->shape.layers + l] = final;
  }
  for (int l = 0; l + 1 < p->shape.layers; l++) {
    const int index = i * (p->shape.layers - 1) + l;
    r->ledger_sum[index] = (double)run->ledger[l];
    r->ledger_drift[index] = (double)run->drift[l];
    r->ledger_gross[index] = (double)run->drift[l] + product[l] + product[l + 1];
  }
}

static esc_status train_by_oracle(const esc_problem *p, int members, esc_results *results,
                                  double *w) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_count(p->shape);
  for (int i = 0; i < members; i++) {
    const esc_member member = esc_verify_train_member(i);
    esc_oracle_run run = {.w = NULL};
    status = esc_oracle_train(p, &member, &run);
    if (status == ESC_OK) report_oracle(p, &run, i, results);
    for (size_t k = 0; status == ESC_OK && k < weights; k++)
      w[(size_t)i * weights + k] = (double)run.w[k];
    esc_oracle_run_free(&run);
    if (status != ESC_OK) break;
  }
  return status;
}

static esc_status pair_run(const esc_verify_target *t, const esc_engine_ops *ops,
                           const esc_problem *p, int members, pair *r) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_count(p->shape);
  const size_t bytes = (size_t)members * weights * sizeof(double);
  const esc_verify_layout layout = {
      .slots = members, .threads = t->threads, .device = t->device, .block = p->steps + 1};
  *r = (pair){.oracle = ops == &esc_reference_engine};
  ESC_TRY_ALLOCATE(r->want_w = malloc(bytes));
  ESC_TRY_ALLOCATE(r->got_w = malloc(bytes));
  ESC_TRY_ALLOCATE(r->initial = malloc(weights * sizeof(double)));
  ESC_TRY_ALLOCATE(r->direction =
                       malloc((size_t)(p->teacher.modes * p->shape.inputs) * sizeof(double)));
  esc_teacher_directions(p, r->direction);
  if (r->oracle) {
    ESC_TRY(esc_results_create(members, p->thresholds, p->shape.layers, &r->want));
    ESC_TRY(train_by_oracle(p, members, r->want, r->want_w));
  } else {
    ESC_TRY(esc_verify_train(&esc_reference_engine, p, members, &layout, &r->want, r->want_w));
  }
  ESC_TRY(esc_verify_train(ops, p, members, &layout, &r->got, r->got_w));
done:
  return status;
}

/* The largest error of a weight or loss of a member, as in bench (bench/check.h). */
static void record_weights(const esc_problem *p, const char *precision, const pair *r, int member,
                           const char *name, esc_verify_worst *worst) {
  const size_t offset = (size_t)member * esc_weight_count(p->shape);
  const esc_member m = esc_verify_train_member(member);
  esc_bench_check weights = {0}, loss = {0};
  esc_initial_weights(p, &m, r->direction, r->initial);
  const esc_bench_weights w = {r->want->steps_run[member], r->initial, r->want_w + offset,
                               r->got_w + offset};
  esc_bench_check_weights(p, precision, &w, &weights);
  esc_bench_check_loss(p, precision, r->want->final_loss[member], r->got->final_loss[member],
                       &loss);
  esc_verify_record(worst, weights.error, weights.tolerance, "%s, weights", name);
  esc_verify_record(worst, loss.error, loss.tolerance, "%s, loss", name);
  esc_verify_record(worst, (double)(r->got->steps_run[member] - r->want->steps_run[member]), 0,
                    "%s, steps", name);
}

/* Bound on the change of the imbalance of interface l due to rounding of plain float weights: half
 * an ulp of every weight at every step. */
static double rounding_bound(const esc_problem *p, const esc_results *r, int member, int l) {
  const double *norm2 = &r->norm2_final[(int64_t)member * p->shape.layers + l];
  const double size = norm2[0] / esc_metric_gamma(p, l) + norm2[1] / esc_metric_gamma(p, l + 1);
  return p->update == ESC_UPDATE_PLAIN ? (double)r->steps_run[member] * 0x1p-24 * size : 0;
}

/* Tolerance of a ledger, relative to the products in its terms: the rounding bound in double; 1e-6
 * in float, the limit at which `run` warns. */
static double ledger_tolerance(const esc_problem *p, const char *precision) {
  return strcmp(precision, "float64") ? 1e-6 : esc_bench_rounding(p, precision);
}

/* S(0), computed in double from float weights, has an error of 2^-24 of each weight, summed over
 * layers. */
static void record_ledger(const esc_problem *p, const char *precision, const pair *r, int member,
                          const char *name, esc_verify_worst *worst) {
  const int interfaces = p->shape.layers - 1;
  for (int l = 0; l < interfaces; l++) {
    const int64_t index = (int64_t)member * interfaces + l;
    if (!esc_optimizer_has_ledger(&p->optimizer)) {
      esc_verify_record(worst, !isnan(r->got->ledger_residual[index]), 0,
                        "%s, a ledger that is not defined", name);
      continue;
    }
    const double level = ledger_tolerance(p, precision) * r->want->ledger_gross[index];
    esc_verify_record(worst, r->got->ledger_sum[index] - r->want->ledger_sum[index], level,
                      "%s, ledger of interface %d", name, l + 1);
    esc_verify_record(worst, r->got->ledger_drift[index] - r->want->ledger_drift[index], level,
                      "%s, drift of interface %d", name, l + 1);
    esc_verify_record(worst, r->got->ledger_residual[index],
                      level + rounding_bound(p, r->got, member, l), "%s, residual of interface %d",
                      name, l + 1);
  }
  if (r->oracle) return;
  const double signal = r->want->signal_initial[member];
  esc_verify_record(worst, r->got->signal_initial[member] - signal, 1e-6 * (fabs(signal) + 0.1),
                    "%s, S(0)", name);
}

/* |W_l|^2: twice the relative error of each weight, plus rounding of the initial weights. */
static void record_norms(const esc_problem *p, const char *precision, const pair *r, int member,
                         const char *name, esc_verify_worst *worst) {
  const double relative = 2 * esc_bench_rounding(p, precision);
  for (int l = 0; l < p->shape.layers; l++) {
    const int64_t index = (int64_t)member * p->shape.layers + l;
    esc_verify_record(worst, r->got->norm2_initial[index] - r->want->norm2_initial[index],
                      relative * r->want->norm2_initial[index], "%s, |W_%d(0)|^2", name, l + 1);
    esc_verify_record(worst, r->got->norm2_final[index] - r->want->norm2_final[index],
                      relative * r->want->norm2_final[index], "%s, |W_%d|^2", name, l + 1);
  }
}

enum { MEMBERS = 3 };

static esc_status check_case(const esc_verify_target *t, const esc_problem *p, const char *name,
                             esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  const esc_engine_ops *ops = engine_for(t, p);
  pair r = {0};
  if (!ops) return ESC_OK; /* the path does not support the shape */
  ESC_TRY(pair_run(t, ops, p, MEMBERS, &r));
  for (int i = 0; i < MEMBERS; i++) {
    record_weights(p, ops->precision, &r, i, name, worst);
    record_ledger(p, ops->precision, &r, i, name, worst);
    record_norms(p, ops->precision, &r, i, name, worst);
  }
done:
  pair_free(&r);
  return status;
}

typedef struct shape {
  int layers, width, inputs, batch, modes;
} shape;

/* The smallest, odd ones, more inputs than features, every padded width of path fused with one and
 * several tiles of samples, a path-cublas width, more than an accumulation block, a width whose
 * activations the CPU engine keeps feature-major. */
static const shape shapes[] = {
    {2, 1, 1, 5, 1},   {3, 5, 3, 7, 2},    {4, 17, 70, 70, 1}, {2, 16, 16, 64, 1},
    {4, 16, 7, 33, 3}, {3, 32, 32, 96, 1}, {3, 48, 20, 50, 1}, {3, 64, 33, 65, 1},
    {3, 70, 5, 20, 1}, {2, 8, 4, 1100, 2}, {3, 161, 2, 5, 1},
};

static const double quick_flop = 1e6; /* of one step: the double loops reach about 1 GFLOP/s */

static esc_status check_shapes(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  const int count = sizeof shapes / sizeof shapes[0];
  for (int i = 0; i < count; i++) {
    const shape *s = &shapes[i];
    char name[64];
    esc_problem p = esc_verify_problem(s->layers, s->width, s->inputs, s->batch);
    if (t->quick && esc_flop_per_step(&p) > quick_flop) continue;
    esc_verify_modes(&p, s->modes);
    if (i % 2) p.teacher.directions = ESC_DIRECTIONS_AXES;
    p.steps = t->quick ? 3 : 50;
    p.update = i % 2 ? ESC_UPDATE_PLAIN : ESC_UPDATE_COMPENSATED;
    if (s->modes > 1 && s->width % s->modes == 0) p.scheme = ESC_SCHEME_BLOCKS;
    snprintf(name, sizeof name, "L=%d N=%d d=%d B=%d K=%d", s->layers, s->width, s->inputs,
             s->batch, s->modes);
    if (p.teacher.modes > p.shape.inputs) p.teacher.modes = p.shape.inputs;
    ESC_TRY(check_case(t, &p, name, worst));
  }
done:
  return status;
}

/* With --quick, one loss, metric and update per activation, in rotation. */
static esc_status check_kinds(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++)
    for (int i = 0; i < ESC_LOSSES * ESC_VERIFY_METRICS; i++) {
      char name[64];
      esc_problem p = esc_verify_problem(3, 13, 5, 20);
      if (t->quick && i != kind % (ESC_LOSSES * ESC_VERIFY_METRICS)) continue;
      p.activation = esc_verify_activation(kind);
      p.loss = (esc_loss_kind)(i % ESC_LOSSES);
      p.metric = (esc_metric)(i / ESC_LOSSES);
      p.update = (kind + i) % 2 ? ESC_UPDATE_PLAIN : ESC_UPDATE_COMPENSATED;
      p.rate = p.metric == ESC_METRIC_NORMALIZED ? 0.01 / p.shape.width : 0.01; /* gamma_1 = N */
      p.steps = t->quick ? 3 : 50;
      snprintf(name, sizeof name, "%s, %s, %s", esc_verify_activation_name(kind),
               esc_verify_loss_name(p.loss), esc_verify_metric_name(p.metric));
      ESC_TRY(check_case(t, &p, name, worst));
    }
done:
  return status;
}

/* Optimizers other than plain gradient descent. Adam's epsilon bounds the growth of the rounding of
 * a small gradient, by which Adam divides. */
static const struct {
  const char *name;
  esc_optimizer optimizer;
} optimizers[] = {
    {"heavy ball", {.momentum = 0.9}},
    {"Nesterov", {.momentum = 0.8, .nesterov = true}},
    {"weight decay", {.weight_decay = 0.3}},
    {"heavy ball, decoupled decay", {.momentum = 0.7, .weight_decay = 0.2, .decoupled = true}},
    {"Nesterov, weight decay", {.momentum = 0.7, .nesterov = true, .weight_decay = 0.2}},
    {"Adam (no ledger)",
     {.kind = ESC_OPTIMIZER_ADAM, .adam_beta1 = 0.8, .adam_beta2 = 0.9, .adam_epsilon = 1}},
    {"AdamW (no ledger)",
     {.kind = ESC_OPTIMIZER_ADAM,
      .adam_beta1 = 0.8,
      .adam_beta2 = 0.9,
      .adam_epsilon = 1,
      .weight_decay = 0.2,
      .decoupled = true}},
};

static esc_status check_optimizers(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  for (int i = 0; i < (int)(sizeof optimizers / sizeof optimizers[0]); i++)
    for (int metric = 0; metric < ESC_VERIFY_METRICS; metric++) {
      char name[96];
      esc_problem p = esc_verify_problem(3, 16, 5, 20);
      if (t->quick && metric != i % ESC_VERIFY_METRICS) continue;
      p.optimizer = optimizers[i].optimizer;
      p.metric = (esc_metric)metric;
      p.update = ESC_UPDATE_COMPENSATED;
      p.rate = p.metric == ESC_METRIC_NORMALIZED ? 0.01 / p.shape.width : 0.01; /* gamma_1 = N */
      p.steps = t->quick ? 4 : 50;
      snprintf(name, sizeof name, "%s, %s", optimizers[i].name, esc_verify_metric_name(p.metric));
      ESC_TRY(check_case(t, &p, name, worst));
    }
done:
  return status;
}

/* Escape steps equal to those of the oracle. After these steps the losses in float have an error of
 * 1e-7; on both sides of a crossing the distance to the threshold is checked to be a thousand times
 * larger. */
static esc_status record_escapes(const esc_problem *p, const esc_results *got, int i,
                                 esc_verify_worst *worst) {
  const esc_member member = esc_verify_train_member(i);
  esc_oracle_run run = {.w = NULL};
  const esc_status status = esc_oracle_train(p, &member, &run);
  for (int k = 0; status == ESC_OK && k < p->thresholds; k++) {
    const int64_t step = got->escape_step[(int64_t)i * p->thresholds + k];
    esc_verify_record(worst, (double)(step - run.escape_step[k]), 0, "seed %d, threshold %g", i + 1,
                      p->threshold[k]);
    esc_verify_record(worst, run.escape_step[k] < 1, 0, "seed %d starts above", i + 1);
    esc_verify_record(worst, !(run.margin[k] > 1e-4L), 0, "margin of seed %d", i + 1);
  }
  esc_oracle_run_free(&run);
  return status;
}

enum { ESCAPES = 3 };

static esc_status check_escapes(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  esc_problem p = esc_verify_problem(3, 16, 8, 16);
  const esc_verify_layout layout = {
      .slots = ESCAPES, .threads = t->threads, .device = t->device, .block = 1000};
  esc_results *got = NULL;
  p.rate = 0.2;
  p.steps = 2000;
  p.smoothing = 0.8;
  p.thresholds = 2;
  p.threshold[0] = 0.15;
  p.threshold[1] = t->quick ? 0.1 : 0.04;
  ESC_TRY(esc_verify_train(engine_for(t, &p), &p, ESCAPES, &layout, &got, NULL));
  for (int i = 0; i < ESCAPES; i++) ESC_TRY(record_escapes(&p, got, i, worst));
done:
  esc_results_free(got);
  return status;
}

/* Updates below half an ulp, which plain updates would round away. The residual of the compensated
 * run is the rounding of its gradients. */
static esc_status check_small_updates(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  const esc_verify_layout layout = {
      .slots = 1, .threads = t->threads, .device = t->device, .block = 1000};
  esc_problem p = esc_verify_problem(3, 16, 6, 16);
  const esc_engine_ops *ops = engine_for(t, &p);
  const double level = esc_bench_rounding(&p, ops->precision);
  esc_results *r = NULL;
  p.update = ESC_UPDATE_COMPENSATED;
  p.rate = 1e-7;
  p.steps = t->quick ? 20 : 200;
  ESC_TRY(esc_verify_train(ops, &p, 1, &layout, &r, NULL));
  for (int l = 0; l < p.shape.layers - 1; l++)
    esc_verify_record(worst, r->ledger_residual[l], level * r->ledger_drift[l], "interface %d",
                      l + 1);
done:
  esc_results_free(r);
  return status;
}

/* Number of different bytes, over all variables. */
static int64_t different_bytes(const esc_results *a, const esc_results *b) {
  int64_t different = 0;
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    const char *x = esc_result_data(a, v), *y = esc_result_data(b, v);
    const size_t size = esc_type_size(v->type);
    const size_t count = (size_t)a->members * (size_t)esc_axis_length(a, v->axis) * size;
    for (size_t k = 0; k < count; k++) different += x[k] != y[k];
  }
  return different;
}

/* Networks end at different steps: a slot is refilled while networks beside it go on. */
static esc_problem bits_problem(const esc_verify_target *t) {
  esc_problem p = esc_verify_problem(3, 13, 19, 70);
  p.steps = t->quick ? 5 : 40;
  p.thresholds = 2;
  p.threshold[0] = t->quick ? 0.4 : 0.15;
  p.threshold[1] = t->quick ? 0.35 : 0.05;
  p.smoothing = 0.8;
  return p;
}

enum { BITS_MEMBERS = 5 };

/* Bitwise equality for several numbers of slots, threads and steps. */
static esc_status check_layouts(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  static const esc_verify_layout layouts[] = {{.slots = 1, .threads = 1, .block = 1000},
                                              {.slots = 3, .threads = 2, .block = 3},
                                              {.slots = 5, .threads = 2, .block = 17}};
  const esc_problem p = bits_problem(t);
  esc_results *first = NULL, *other = NULL;
  for (int i = 0; i < 3; i++) {
    esc_verify_layout layout = layouts[i];
    layout.device = t->device;
    esc_results_free(other);
    other = NULL;
    ESC_TRY(
        esc_verify_train(engine_for(t, &p), &p, BITS_MEMBERS, &layout, i ? &other : &first, NULL));
    if (i)
      esc_verify_record(worst, (double)different_bytes(first, other), 0,
                        "%d slots, %d threads, blocks of %lld steps", layout.slots, layout.threads,
                        (long long)layout.block);
  }
done:
  esc_results_free(first);
  esc_results_free(other);
  return status;
}

const esc_verify_check esc_verify_reference[] = {
    {"shapes against long double", check_shapes},
    {"activations, losses, metrics", check_kinds},
    {"momentum, weight decay, Adam", check_optimizers},
    {"escape steps", check_escapes},
    {"updates below an ulp, compensated", check_small_updates},
    {"bitwise equal in every layout", check_layouts},
    {0},
};

const esc_verify_check esc_verify_training[] = {
    {"shapes against the reference", check_shapes},
    {"activations, losses, metrics", check_kinds},
    {"momentum, weight decay, Adam", check_optimizers},
    {"escape steps", check_escapes},
    {"updates below an ulp, compensated", check_small_updates},
    {"bitwise equal in every layout", check_layouts},
    {0},
};

/* Path fused has the summation order of order.h, as the CPU engine has; path cublas does not. */
static esc_status check_cpu_bits(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  const esc_verify_target cpu = {.backend = "cpu"};
  const esc_verify_layout layout = {
      .slots = BITS_MEMBERS, .threads = t->threads, .device = t->device, .block = 1000};
  const esc_problem p = bits_problem(t);
  esc_results *want = NULL, *got = NULL;
  ESC_TRY(esc_verify_train(engine_for(&cpu, &p), &p, BITS_MEMBERS, &layout, &want, NULL));
  ESC_TRY(esc_verify_train(engine_for(t, &p), &p, BITS_MEMBERS, &layout, &got, NULL));
  esc_verify_record(worst, (double)different_bytes(want, got), 0, "%d networks", (int)BITS_MEMBERS);
done:
  esc_results_free(want);
  esc_results_free(got);
  return status;
}

const esc_verify_check esc_verify_fused[] = {
    {"bitwise equal to the CPU engine", check_cpu_bits},
    {0},
};

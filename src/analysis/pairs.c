/* SPDX-License-Identifier: Apache-2.0 */
/* Slope with right-censored members by pairwise differences (Honore, Econometrica 60:533, 1992;
 * docs/theory, section 11): a moment estimator, without an assumption on the distribution.
 *
 * log t* = level + slope x + residual; of a censored member only log t* > log budget is known. At a
 * trial slope b let r = log t* - b x and k = log budget - b x. Two members i, j with exchangeable
 * residuals (two scales of one seed, with any seed effect, or two seeds) have
 * E[min(r_i, K) - min(r_j, K)] = 0, K = min(k_i, k_j), at the true slope, and both terms are
 * observed. M(b) = sum over pairs of (x_i - x_j) times that difference is piecewise linear and
 * non-increasing in b, so it has one zero, or none where the data bound the slope on one side
 * only. The zero is found by Newton's method within a bracket, to rounding. */
#include "pairs.h"

#include <gsl/gsl_math.h>
#include <math.h>
#include <stdlib.h>

enum { NEWTON_STEPS = 200, PARTNERS_MAX = 64 };
static const double SLOPE_MAX = 1e6; /* no zero of M within: bounded on one side */

/* A member in logarithms; y is infinite where it is censored. */
typedef struct member {
  double x, y, budget; /* logs, x relative to their mean */
} member;

typedef struct moment {
  double value, slope; /* M and -dM/db */
} moment;

typedef struct pair_fit {
  const esc_seed_table *table;
  member *member; /* (cells) */
  bool within;
  moment *seed;       /* (seeds) each seed's terms, or NULL */
  double *derivative; /* (cells) dM/dy of each member, or NULL */
} pair_fit;

/* A truncated residual, and minus its derivative in b: the x of the member that determines it. */
typedef struct truncated {
  double value, x;
} truncated;

static truncated earliest(truncated a, truncated b) { return b.value < a.value ? b : a; }

static moment moment_of(const member *i, const member *j, double b) {
  const truncated limit =
      earliest((truncated){i->budget - b * i->x, i->x}, (truncated){j->budget - b * j->x, j->x});
  const truncated r = earliest((truncated){i->y - b * i->x, i->x}, limit);
  const truncated s = earliest((truncated){j->y - b * j->x, j->x}, limit);
  return (moment){(i->x - j->x) * (r.value - s.value), (i->x - j->x) * (r.x - s.x)};
}

static bool is_truncated(const member *i, const member *other, double b) {
  return i->y - b * i->x >= fmin(i->budget - b * i->x, other->budget - b * other->x);
}

static void add_derivatives(const pair_fit *p, int64_t i, int64_t j, double b) {
  const member *one = &p->member[i], *other = &p->member[j];
  if (!is_truncated(one, other, b)) p->derivative[i] += one->x - other->x;
  if (!is_truncated(other, one, b)) p->derivative[j] += other->x - one->x;
}

static void add(moment *sum, moment term) {
  sum->value += term.value;
  sum->slope += term.slope;
}

static void add_pair(const pair_fit *p, int64_t i, int64_t j, double b, moment *sum) {
  const moment term = moment_of(&p->member[i], &p->member[j], b);
  add(sum, term);
  if (p->derivative) add_derivatives(p, i, j, b);
  if (!p->seed) return;
  add(&p->seed[p->table->cell[i].seed], term);
  if (!p->within) add(&p->seed[p->table->cell[j].seed], term);
}

static void add_within(const pair_fit *p, double b, moment *sum) {
  const esc_seed_table *table = p->table;
  for (int64_t s = 0; s < table->seeds; s++)
    for (int64_t i = table->seed_begin[s]; i < table->seed_begin[s + 1]; i++)
      for (int64_t j = i + 1; j < table->seed_begin[s + 1]; j++) add_pair(p, i, j, b, sum);
}

/* Pairs of the members of points u and v: each member of the larger point with up to PARTNERS_MAX
 * of the smaller one, evenly spread, so that the work is linear in the number of members. */
static void add_points(const pair_fit *p, int u, int v, double b, moment *sum) {
  const esc_seed_table *table = p->table;
  const int64_t *begin = table->point_begin;
  if (begin[u + 1] - begin[u] < begin[v + 1] - begin[v]) {
    add_points(p, v, u, b, sum);
    return;
  }
  const int64_t larger_count = begin[u + 1] - begin[u], smaller_count = begin[v + 1] - begin[v];
  const int64_t partners = smaller_count < PARTNERS_MAX ? smaller_count : PARTNERS_MAX;
  for (int64_t i = 0; i < larger_count; i++)
    for (int64_t k = 0; k < partners; k++) {
      const int64_t j = (i + k * smaller_count / partners) % smaller_count;
      add_pair(p, table->column[begin[u] + i], table->column[begin[v] + j], b, sum);
    }
}

/* All pairs of points; with many points each with PARTNERS_MAX others, evenly spread. */
static void add_across(const pair_fit *p, double b, moment *sum) {
  const int points = p->table->points;
  for (int u = 0; u < points; u++) {
    if (points <= PARTNERS_MAX) {
      for (int v = u + 1; v < points; v++) add_points(p, u, v, b, sum);
      continue;
    }
    for (int64_t k = 0; k < PARTNERS_MAX; k++)
      add_points(p, u, (int)((u + 1 + k * (points - 1) / PARTNERS_MAX) % points), b, sum);
  }
}

static moment evaluate(const pair_fit *p, double b) {
  moment sum = {0, 0};
  if (p->within) {
    add_within(p, b, &sum);
    return sum;
  }
  add_across(p, b, &sum);
  return sum;
}

/* Doubles the step until M changes sign; false beyond SLOPE_MAX. */
static bool bracket(const pair_fit *p, double start, double sign, double *end) {
  for (double step = 1; step < SLOPE_MAX; step *= 2) {
    *end = start + sign * step;
    if (sign * evaluate(p, *end).value < 0) return true;
  }
  return false;
}

/* The zero of M between low (M > 0) and high (M < 0): Newton's method, exact once it reaches the
 * linear piece with the zero, safeguarded by a shrinking bracket. */
static double find_zero(const pair_fit *p, double low, double high) {
  double b = (low + high) / 2;
  for (int k = 0; k < NEWTON_STEPS && high - low > 1e-14 * (1 + fabs(b)); k++) {
    const moment m = evaluate(p, b);
    if (m.value == 0) return b;
    *(m.value > 0 ? &low : &high) = b;
    const double newton = b + m.value / m.slope;
    const bool settled = fabs(newton - b) < 1e-13 * (1 + fabs(b));
    b = newton > low && newton < high ? newton : (low + high) / 2;
    if (settled) return newton;
  }
  return b;
}

static double find_slope(const pair_fit *p) {
  double low, high;
  if (!bracket(p, 0, -1, &low) || !bracket(p, 0, 1, &high)) return NAN;
  return find_zero(p, low, high);
}

/* Variance over seeds: the squared terms of the seeds are divided by 1 - h_s, h_s = slope_s/slope
 * the seed's leverage; degrees of freedom of Bell and McCaffrey as in contrast.c. */
static void spread_over_seeds(const pair_fit *p, double *influence, esc_pairs_fit *fit) {
  double variance = 0, trace = 0, diagonal = 0, sum = 0, squares = 0;
  for (int64_t s = 0; s < p->table->seeds; s++) p->seed[s] = (moment){0, 0};
  const moment total = evaluate(p, fit->slope);
  for (int64_t s = 0; s < p->table->seeds; s++) {
    const double info = p->seed[s].slope, rest = 1 - info / total.slope;
    influence[s] = p->seed[s].value / total.slope;
    if (info == 0 && influence[s] == 0) continue;
    const double share = info * info / rest;
    variance += rest > 1e-9 ? gsl_pow_2(influence[s]) / rest : (double)NAN;
    trace += info;
    diagonal += info * info;
    sum += share;
    squares += share * share;
  }
  fit->variance = variance;
  fit->dof = trace * trace / (diagonal + (sum * sum - squares) / gsl_pow_2(total.slope));
}

/* Fraction of the variance of rounding that the escaped members of point p share: 1 where they are
 * equal, 0 where their spread exceeds it. */
static double common_share(const esc_seed_table *table, int p) {
  double n = 0, mean = 0, squares = 0;
  for (int64_t i = table->point_begin[p]; i < table->point_begin[p + 1]; i++) {
    const esc_cell *cell = &table->cell[table->column[i]];
    if (cell->censored) continue;
    const double deviation = cell->step - mean;
    mean += deviation / ++n;
    squares += deviation * (cell->step - mean);
  }
  return n > 1 ? fmax(1 - 12 * squares / (n - 1), 0) : 0;
}

/* Variance by rounding to whole steps (1/12), which seeds that agree by chance do not show. The
 * independent part of the members is a lower bound; the common part is added. */
static void add_rounding(const pair_fit *p, esc_pairs_fit *fit) {
  const esc_seed_table *table = p->table;
  double own = 0, common = 0;
  for (int64_t i = 0; i < table->cells; i++) p->derivative[i] = 0;
  const double slope = evaluate(p, fit->slope).slope;
  for (int u = 0; u < table->points; u++) {
    const double share = common_share(table, u);
    double sum = 0, squares = 0;
    for (int64_t k = table->point_begin[u]; k < table->point_begin[u + 1]; k++) {
      const int64_t i = table->column[k];
      const double error = p->derivative[i] / fmax(table->cell[i].step, 0.5) / slope;
      sum += error;
      squares += error * error;
    }
    own += (1 - share) * squares / 12;
    common += share * sum * sum / 12;
  }
  fit->variance = fmax(fit->variance, own) + common;
}

/* Whether at least half of the members have a partner: a member of the same seed at another scale.
 */
static bool mostly_paired(const esc_seed_table *table) {
  int64_t partnered = 0;
  for (int64_t s = 0; s < table->seeds; s++) {
    const int64_t n = table->seed_begin[s + 1] - table->seed_begin[s];
    if (n > 1) partnered += n;
  }
  return 2 * partnered >= table->cells;
}

static void fill_members(const esc_seed_table *table, member *m) {
  double x = 0;
  for (int64_t i = 0; i < table->cells; i++)
    x += table->log_scale[table->cell[i].point] / (double)table->cells;
  for (int64_t i = 0; i < table->cells; i++) {
    const esc_cell *cell = &table->cell[i];
    m[i] = (member){table->log_scale[cell->point] - x,
                    cell->censored ? (double)INFINITY : esc_log_step(cell->step),
                    esc_log_step(cell->budget)};
  }
}

esc_status esc_pairs_slope(const esc_seed_table *table, double *influence, esc_pairs_fit *fit) {
  esc_status status = ESC_OK;
  pair_fit p = {.table = table, .within = mostly_paired(table)};
  moment *seed = malloc(((size_t)table->seeds + 1) * sizeof *seed);
  p.member = malloc(((size_t)table->cells + 1) * sizeof *p.member);
  ESC_TRY_ALLOCATE(seed);
  ESC_TRY_ALLOCATE(p.member);
  fill_members(table, p.member);
  *fit = (esc_pairs_fit){find_slope(&p), NAN, NAN, p.within};
  p.seed = seed;
  if (isfinite(fit->slope) && table->seeds > 1) {
    spread_over_seeds(&p, influence, fit);
    ESC_TRY_ALLOCATE(p.derivative = calloc((size_t)table->cells + 1, sizeof *p.derivative));
    p.seed = NULL;
    if (isfinite(fit->variance)) add_rounding(&p, fit);
  }
done:
  free(p.derivative);
  free(p.member);
  free(seed);
  return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Distribution of the mean of a minibatch of losses on the plateau (docs/theory, section 5.6): by
 * convolution on a lattice for small batches, else by a saddle-point approximation, whose relative
 * error stays small in the far tail. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "loss_distribution.h"

enum {
  CONVOLUTION_BATCH_MAX = 16, /* largest batch that is convolved */
  TILTS_MAX = 200,            /* at most, to either side of the mean */
};
static const double score_min = -30, score_max = 8;
static const double range_above = 15; /* above the mean, in units of sd */

/* Cumulant generating function of one example's loss and its derivatives at s. */
typedef struct cumulants {
  double value, first, second;
} cumulants;

static cumulants cumulants_at(const esc_loss_sample *sample, double s) {
  const int n = sample->n;
  const double *v = sample->value, largest = s > 0 ? s * v[n - 1] : s * v[0];
  double total = 0, first = 0, second = 0;
  for (int i = 0; i < n; i++) {
    const double w = sample->weight[i] * exp(s * v[i] - largest);
    total += w;
    first += w * v[i];
    second += w * v[i] * v[i];
  }
  first /= total;
  return (cumulants){largest + log(total), first, second / total - first * first};
}

/* A point of the cdf P: its normal score Phi^-1(P) at x. */
typedef struct score_point {
  double x, score;
} score_point;

/* Lugannani and Rice's formula in Barndorff-Nielsen's form: at tilt s the mean is
 * x = K'(s), and Phi^-1 P(mean < x) = r + log(q/r)/r with
 * r^2 = 2B(s x - K(s)), q = s sqrt(B K''(s)); NaN where that is undefined. */
static score_point saddle_point(const esc_loss_sample *sample, double batch, double s) {
  const cumulants k = cumulants_at(sample, s);
  const double r = copysign(sqrt(2 * batch * (s * k.first - k.value)), s);
  const double q = s * sqrt(batch * k.second);
  return (score_point){k.first, r + log(q / r) / r};
}

/* Points of the tail to one side of the mean: tilts increase from 0 in units of the minibatch
 * mean's sd, finely at first. Ends where the tail is small enough, or where the formula stops being
 * monotonic (near an atom at the least loss, or a few values at the largest). */
static int trace_tail(const esc_loss_sample *sample, double batch, int direction,
                      score_point *point) {
  int n = 0;
  score_point last = {sample->mean, 0};
  for (int i = 1; i <= TILTS_MAX; i++) {
    const double s = 3 * sinh(0.05 * i * direction) / (sample->sd * sqrt(batch));
    const score_point p = saddle_point(sample, batch, s);
    if (!(direction * (p.x - last.x) > 0) || !isfinite(p.score)) break;
    if (n > 0 && !(direction * (p.score - last.score) > 0)) break;
    if (n > 0 && p.x > sample->mean + range_above * sample->sd / sqrt(batch)) break;
    point[n++] = last = p;
    if (p.score < score_min || p.score > score_max) break;
  }
  return n;
}

static esc_status make_spline(int n, const double *x, const double *score,
                              esc_mean_distribution *d) {
  esc_status status = ESC_OK;
  if (n < 3)
    return ESC_FAIL(ESC_LIBRARY_FAILED,
                    "false escapes: the distribution of the loss has too few distinct values");
  d->score = gsl_spline_alloc(gsl_interp_steffen, (size_t)n);
  ESC_TRY_ALLOCATE(d->score);
  if (gsl_spline_init(d->score, x, score, (size_t)n) != GSL_SUCCESS)
    return ESC_FAIL(ESC_LIBRARY_FAILED,
                    "false escapes: no spline through the distribution of the loss");
  d->low = x[0];
  d->high = x[n - 1];
done:
  return status;
}

static esc_status make_saddle_spline(const esc_loss_sample *sample, double batch,
                                     esc_mean_distribution *d) {
  score_point below[TILTS_MAX], above[TILTS_MAX];
  double x[2 * TILTS_MAX], score[2 * TILTS_MAX];
  const int left = trace_tail(sample, batch, -1, below),
            right = trace_tail(sample, batch, 1, above);
  for (int i = 0; i < left; i++) {
    x[left - 1 - i] = below[i].x;
    score[left - 1 - i] = below[i].score;
  }
  for (int i = 0; i < right; i++) {
    x[left + i] = above[i].x;
    score[left + i] = above[i].score;
  }
  return make_spline(left + right, x, score, d);
}

/* From point masses: the cdf half way between two neighbouring values is the sum of the masses
 * below. */
static esc_status make_mass_spline(int n, const double *value, const double *mass,
                                   esc_mean_distribution *d) {
  esc_status status = ESC_OK;
  int count = 0;
  double sum = 0;
  double *x = malloc((size_t)n * sizeof *x), *score = malloc((size_t)n * sizeof *score);
  ESC_TRY_ALLOCATE(x);
  ESC_TRY_ALLOCATE(score);
  for (int i = 0; i + 1 < n; i++) {
    sum += mass[i];
    const double here = gsl_cdf_ugaussian_Pinv(sum), middle = (value[i] + value[i + 1]) / 2;
    if (!(value[i + 1] > value[i]) || !(here > score_min && here < score_max)) continue;
    if (count > 0 && !(middle > x[count - 1] && here > score[count - 1])) continue;
    x[count] = middle;
    score[count++] = here;
  }
  ESC_TRY(make_spline(count, x, score, d));
done:
  free(score);
  free(x);
  return status;
}

/* power = base * ... * base, `times` factors; base and next are overwritten. */
static void convolve_power(int times, double *base, double *next, double *power) {
  memset(power, 0, ESC_LATTICE * sizeof *power);
  power[0] = 1;
  for (; times > 0; times /= 2) {
    if (times % 2) {
      esc_lattice_convolve(ESC_LATTICE, power, ESC_LATTICE, base, ESC_LATTICE, next);
      memcpy(power, next, ESC_LATTICE * sizeof *power);
    }
    if (times > 1) {
      esc_lattice_convolve(ESC_LATTICE, base, ESC_LATTICE, base, ESC_LATTICE, next);
      memcpy(base, next, ESC_LATTICE * sizeof *base);
    }
  }
}

/* Sum of `batch` losses on a lattice from 0 to 12 sd above its mean. */
static esc_status make_convolution_spline(const esc_loss_sample *sample, int batch,
                                          esc_mean_distribution *d) {
  esc_status status = ESC_OK;
  const double top = fmin(batch * sample->value[sample->n - 1],
                          batch * sample->mean + 12 * sqrt(batch) * sample->sd);
  const double step = top / (ESC_LATTICE - 1);
  double *base = malloc(4 * ESC_LATTICE * sizeof *base);
  ESC_TRY_ALLOCATE(base);
  double *next = base + ESC_LATTICE, *sum = next + ESC_LATTICE, *value = sum + ESC_LATTICE;
  esc_lattice_spread(sample->n, sample->value, sample->weight,
                     (esc_lattice){0, step, ESC_LATTICE, base});
  convolve_power(batch, base, next, sum);
  for (int i = 0; i < ESC_LATTICE; i++) value[i] = i * step / batch;
  ESC_TRY(make_mass_spline(ESC_LATTICE, value, sum, d));
done:
  free(base);
  return status;
}

static void fill_cdf(const esc_mean_distribution *d, double from, double to, esc_cdf_table *table) {
  table->from = from;
  table->step = (to - from) / ESC_KNOTS;
  for (int i = 0; i <= ESC_KNOTS; i++)
    table->cdf[i] = esc_mean_distribution_cdf(d, from + i * table->step);
}

static void fill_integrated_cdf(double first, esc_cdf_table *table) {
  table->integrated_cdf[0] = first;
  for (int i = 0; i < ESC_KNOTS; i++)
    table->integrated_cdf[i + 1] =
        table->integrated_cdf[i] + table->step * (table->cdf[i] + table->cdf[i + 1]) / 2;
}

/* Tables of P(mean < x) and of its integral. A smoothed loss is most sensitive to an error of the
 * distribution's mean: with m the exact mean, E (m - mean)+ = E (mean - m)+ must hold. The upper
 * side is the less accurate one (few large losses matter there) and the less important one, so it
 * is rescaled until the equation holds. */
static esc_status make_cdf_tables(esc_mean_distribution *d) {
  esc_status status = ESC_OK;
  d->table = malloc(2 * sizeof *d->table);
  ESC_TRY_ALLOCATE(d->table);
  esc_cdf_table *under = &d->table[0], *over = &d->table[1];
  const bool atom = esc_mean_distribution_cdf(d, d->low) > 1e-80;
  fill_cdf(d, atom ? d->min_loss : d->low, d->mean, under);
  fill_cdf(d, d->mean, d->high, over);
  fill_integrated_cdf(0, under);
  fill_integrated_cdf(0, over);
  d->upper_scale =
      under->integrated_cdf[ESC_KNOTS] / (d->high - d->mean - over->integrated_cdf[ESC_KNOTS]);
  d->high = d->mean + (d->high - d->mean) * d->upper_scale;
  over->step *= d->upper_scale;
  fill_integrated_cdf(under->integrated_cdf[ESC_KNOTS], over);
done:
  return status;
}

static esc_status make_score_spline(const esc_loss_sample *sample, double batch,
                                    esc_mean_distribution *d) {
  const int whole = (int)lround(fmin(batch, CONVOLUTION_BATCH_MAX + 1));
  if (whole == 1) return make_mass_spline(sample->n, sample->value, sample->weight, d);
  if (whole <= CONVOLUTION_BATCH_MAX) return make_convolution_spline(sample, whole, d);
  return make_saddle_spline(sample, batch, d);
}

esc_status esc_mean_distribution_create(const esc_loss_sample *sample, double batch,
                                        esc_mean_distribution *d) {
  esc_status status = ESC_OK;
  *d = (esc_mean_distribution){.mean = sample->mean,
                               .sd = sample->sd / sqrt(batch),
                               .min_loss = sample->value[0],
                               .upper_scale = 1};
  if (sample->sd == 0) return ESC_OK;
  ESC_TRY(make_score_spline(sample, batch, d));
  ESC_TRY(make_cdf_tables(d));
done:
  return status;
}

void esc_mean_distribution_free(esc_mean_distribution *d) {
  if (d->score) gsl_spline_free(d->score);
  free(d->table);
}

double esc_mean_distribution_cdf(const esc_mean_distribution *d, double x) {
  if (!d->score) return x > d->mean;
  if (x <= d->min_loss) return 0;
  if (x >= d->high) return 1;
  const double unscaled = x > d->mean ? d->mean + (x - d->mean) / d->upper_scale : x;
  const double inside = fmin(fmax(unscaled, d->low), d->score->interp->xmax);
  return gsl_cdf_ugaussian_P(gsl_spline_eval(d->score, inside, NULL));
}

double esc_mean_distribution_integrated_cdf(const esc_mean_distribution *d, double x) {
  if (x <= d->table[0].from) return 0;
  if (x >= d->high) return x - d->mean;
  const esc_cdf_table *p = &d->table[x < d->mean ? 0 : 1];
  const double index = (x - p->from) / p->step;
  const int i = index < ESC_KNOTS - 1 ? (int)index : ESC_KNOTS - 1;
  const double fraction = index - i, rise = p->cdf[i + 1] - p->cdf[i];
  return p->integrated_cdf[i] + p->step * fraction * (p->cdf[i] + rise * fraction / 2);
}

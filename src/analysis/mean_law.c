/* SPDX-License-Identifier: Apache-2.0 */
/* Law of the mean of a minibatch of losses on the plateau (docs/theory, section 5.6): by
 * convolution on a lattice for small batches, else from a saddle point, whose relative error stays
 * small however far the tail. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "loss_law.h"

enum {
  CONVOLVED = 16, /* largest batch that is convolved */
  TILTS = 200,    /* at most, to either side of the mean */
};
static const double score_least = -30, score_most = 8;
static const double farthest = 15; /* above the mean, in units of sd */

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

/* A point of the distribution function: the score at x. */
typedef struct score_point {
  double x, score;
} score_point;

/* Lugannani and Rice's formula in Barndorff-Nielsen's form: at tilt s the mean is
 * x = K'(s), and Phi^-1 P(mean < x) = r + log(q/r)/r with
 * r^2 = 2B(s x - K(s)), q = s sqrt(B K''(s)). NaN where it has no value. */
static score_point saddle_point(const esc_loss_sample *sample, double batch, double s) {
  const cumulants k = cumulants_at(sample, s);
  const double r = copysign(sqrt(2 * batch * (s * k.first - k.value)), s);
  const double q = s * sqrt(batch * k.second);
  return (score_point){k.first, r + log(q / r) / r};
}

/* Walks away from the mean through tilts in units of the mean's own sd, finely at
 * first; ends where the tail is small enough or the formula (an atom at the least
 * loss, a handful of values at the largest) stops making a distribution function. */
static int walk(const esc_loss_sample *sample, double batch, int direction, score_point *point) {
  int n = 0;
  score_point last = {sample->mean, 0};
  for (int i = 1; i <= TILTS; i++) {
    const double s = 3 * sinh(0.05 * i * direction) / (sample->sd * sqrt(batch));
    const score_point p = saddle_point(sample, batch, s);
    if (!(direction * (p.x - last.x) > 0) || !isfinite(p.score)) break;
    if (n > 0 && !(direction * (p.score - last.score) > 0)) break;
    if (n > 0 && p.x > sample->mean + farthest * sample->sd / sqrt(batch)) break;
    point[n++] = last = p;
    if (p.score < score_least || p.score > score_most) break;
  }
  return n;
}

static esc_status set_table(int n, const double *x, const double *score, esc_mean_law *law) {
  esc_status status = ESC_OK;
  if (n < 3) return ESC_FAIL(ESC_LIBRARY_FAILED, "false escapes: the law of the loss is too rough");
  law->score = gsl_spline_alloc(gsl_interp_steffen, (size_t)n);
  ESC_TRY_ALLOCATE(law->score);
  if (gsl_spline_init(law->score, x, score, (size_t)n) != GSL_SUCCESS)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "false escapes: no spline through the law of the loss");
  law->low = x[0];
  law->high = x[n - 1];
done:
  return status;
}

static esc_status saddle_table(const esc_loss_sample *sample, double batch, esc_mean_law *law) {
  score_point below[TILTS], above[TILTS];
  double x[2 * TILTS], score[2 * TILTS];
  const int left = walk(sample, batch, -1, below), right = walk(sample, batch, 1, above);
  for (int i = 0; i < left; i++) {
    x[left - 1 - i] = below[i].x;
    score[left - 1 - i] = below[i].score;
  }
  for (int i = 0; i < right; i++) {
    x[left + i] = above[i].x;
    score[left + i] = above[i].score;
  }
  return set_table(left + right, x, score, law);
}

/* Table from masses: half way between two values lies the sum of what is below. */
static esc_status mass_table(int n, const double *value, const double *mass, esc_mean_law *law) {
  esc_status status = ESC_OK;
  int kept = 0;
  double sum = 0;
  double *x = malloc((size_t)n * sizeof *x), *score = malloc((size_t)n * sizeof *score);
  ESC_TRY_ALLOCATE(x);
  ESC_TRY_ALLOCATE(score);
  for (int i = 0; i + 1 < n; i++) {
    sum += mass[i];
    const double here = gsl_cdf_ugaussian_Pinv(sum), middle = (value[i] + value[i + 1]) / 2;
    if (!(value[i + 1] > value[i]) || !(here > score_least && here < score_most)) continue;
    if (kept > 0 && !(middle > x[kept - 1] && here > score[kept - 1])) continue;
    x[kept] = middle;
    score[kept++] = here;
  }
  ESC_TRY(set_table(kept, x, score, law));
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
static esc_status convolved_table(const esc_loss_sample *sample, int batch, esc_mean_law *law) {
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
  ESC_TRY(mass_table(ESC_LATTICE, value, sum, law));
done:
  free(base);
  return status;
}

static void tabulate(const esc_mean_law *law, double from, double to, esc_law_piece *piece) {
  piece->from = from;
  piece->step = (to - from) / ESC_KNOTS;
  for (int i = 0; i <= ESC_KNOTS; i++)
    piece->below[i] = esc_mean_law_below(law, from + i * piece->step);
}

static void integrate(double first, esc_law_piece *piece) {
  piece->shortfall[0] = first;
  for (int i = 0; i < ESC_KNOTS; i++)
    piece->shortfall[i + 1] =
        piece->shortfall[i] + piece->step * (piece->below[i] + piece->below[i + 1]) / 2;
}

/* Tables of P(mean < x) and of its integral. A smoothed loss feels a small error of
 * the law's mean most: with m its exact mean, E (m - mean)+ = E (mean - m)+ must hold.
 * The side above, where few large losses count, is the less accurate one and the less
 * important: it is stretched until that holds. */
static esc_status balance(esc_mean_law *law) {
  esc_status status = ESC_OK;
  law->piece = malloc(2 * sizeof *law->piece);
  ESC_TRY_ALLOCATE(law->piece);
  esc_law_piece *under = &law->piece[0], *over = &law->piece[1];
  const bool atom = esc_mean_law_below(law, law->low) > 1e-80;
  tabulate(law, atom ? law->least : law->low, law->mean, under);
  tabulate(law, law->mean, law->high, over);
  integrate(0, under);
  integrate(0, over);
  law->stretch = under->shortfall[ESC_KNOTS] / (law->high - law->mean - over->shortfall[ESC_KNOTS]);
  law->high = law->mean + (law->high - law->mean) * law->stretch;
  over->step *= law->stretch;
  integrate(under->shortfall[ESC_KNOTS], over);
done:
  return status;
}

static esc_status table(const esc_loss_sample *sample, double batch, esc_mean_law *law) {
  const int whole = (int)lround(fmin(batch, CONVOLVED + 1));
  if (whole == 1) return mass_table(sample->n, sample->value, sample->weight, law);
  if (whole <= CONVOLVED) return convolved_table(sample, whole, law);
  return saddle_table(sample, batch, law);
}

esc_status esc_mean_law_create(const esc_loss_sample *sample, double batch, esc_mean_law *law) {
  esc_status status = ESC_OK;
  *law = (esc_mean_law){.mean = sample->mean,
                        .sd = sample->sd / sqrt(batch),
                        .least = sample->value[0],
                        .stretch = 1};
  if (sample->sd == 0) return ESC_OK;
  ESC_TRY(table(sample, batch, law));
  ESC_TRY(balance(law));
done:
  return status;
}

void esc_mean_law_free(esc_mean_law *law) {
  if (law->score) gsl_spline_free(law->score);
  free(law->piece);
}

double esc_mean_law_below(const esc_mean_law *law, double x) {
  if (!law->score) return x > law->mean;
  if (x <= law->least) return 0;
  if (x >= law->high) return 1;
  const double held = x > law->mean ? law->mean + (x - law->mean) / law->stretch : x;
  const double inside = fmin(fmax(held, law->low), law->score->interp->xmax);
  return gsl_cdf_ugaussian_P(gsl_spline_eval(law->score, inside, NULL));
}

double esc_mean_law_shortfall(const esc_mean_law *law, double x) {
  if (x <= law->piece[0].from) return 0;
  if (x >= law->high) return x - law->mean;
  const esc_law_piece *p = &law->piece[x < law->mean ? 0 : 1];
  const double place = (x - p->from) / p->step;
  const int i = place < ESC_KNOTS - 1 ? (int)place : ESC_KNOTS - 1;
  const double part = place - i, rise = p->below[i + 1] - p->below[i];
  return p->shortfall[i] + p->step * part * (p->below[i] + rise * part / 2);
}

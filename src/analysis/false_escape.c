/* SPDX-License-Identifier: Apache-2.0 */
/* False escapes: the probability that minibatch noise alone takes the loss of a network at f = 0
 * below a threshold (docs/theory, section 5.6).
 *
 * The moving average m_t = phi m_{t-1} + (1-phi) loss_t is a Markov chain. The density of the paths
 * that have not crossed yet is advanced step by step on a grid above the threshold, until the
 * probability of crossing in a step is constant: the hazard of all later steps. All terms are
 * positive, so small probabilities are as accurate as large ones. */
#include <gsl/gsl_math.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/fit.h"
#include "loss_distribution.h"

enum { NODES_MIN = 400 };
static const double spacing = 0.25;       /* of the grid, in units of one step's sd */
static const double decay_max = 0.98;     /* smoother chains take several steps at once */
static const double grid_above = 8;       /* the mean, in units of the stationary sd */
static const double grid_max_range = 100; /* in the same units: a path from farther never crosses */
static const double max_transient = 40;   /* in units of the chain's memory, 1/(1 - decay) */
static const double siegmund_shift = 0.5825971; /* -zeta(1/2)/sqrt(2 pi) */

/* The Markov chain on the grid of nodes barrier + i width. One step of the chain is `stride` steps
 * of training. */
typedef struct chain {
  double stride, decay; /* decay: phi^stride */
  double barrier;       /* below it a path has crossed */
  int n, band;
  double width;       /* between nodes */
  double shrink;      /* of a step about its mean: cancels the variance that `distribute` adds */
  double *crossing;   /* (n) probability of crossing from the node; owned */
  int *first;         /* (n) first node that is reached; owned */
  double *transition; /* (n, band) probabilities of moving to first, first + 1, ...; owned */
} chain;

/* The value after a step: offset + scale times a minibatch loss. */
typedef struct target {
  const esc_mean_distribution *loss;
  double offset, scale;
} target;

static void free_chain(chain *c) {
  free(c->crossing);
  free(c->first);
  free(c->transition);
}

/* With phi near 1 several steps of training are one step of the chain. Their noise is a weighted
 * mean of minibatch losses with nearly equal weights, hence that of a larger batch, whose size is
 * returned. A path observed only at every k-th step reaches less low; Siegmund's correction moves
 * the barrier accordingly. */
static double set_stride(const esc_problem *problem, double threshold, double sd, chain *c) {
  const double phi = problem->smoothing, batch = problem->batch;
  c->stride = fmax(1, floor(log(decay_max) / log(phi)));
  c->decay = pow(phi, c->stride);
  const double square = (1 - phi) * (1 + c->decay) / ((1 + phi) * (1 - c->decay));
  const double one = 1 - phi, merged = (1 - c->decay) * sqrt(square);
  c->barrier = threshold + siegmund_shift * (merged - one) * sd / sqrt(batch);
  return batch / square;
}

/* Nodes: finer than one step, from the barrier to where no path is left above. Steps beyond the
 * last node end in it: such a path decays towards the mean long before it can cross. */
static void make_grid(const esc_mean_distribution *loss, chain *c) {
  const double step = (1 - c->decay) * loss->sd;
  const double stationary = step / sqrt(1 - c->decay * c->decay);
  const double top = fmin(fmax(loss->mean, c->barrier) + grid_above * stationary,
                          c->barrier + grid_max_range * stationary);
  c->n = (int)ceil(fmax((top - c->barrier) / (spacing * step), NODES_MIN));
  c->width = (top - c->barrier) / (c->n - 1);
  c->shrink = sqrt(1 - gsl_pow_2(c->width / step) / 6);
  const double longest = (1 - c->decay) * c->shrink * (loss->high - loss->table[0].from) / c->width;
  c->band = (int)fmin(c->n, ceil(longest) + 3);
}

static target step_target(const chain *c, const esc_mean_distribution *loss, double m) {
  const double scale = (1 - c->decay) * c->shrink;
  return (target){loss, c->decay * m + (1 - c->decay - scale) * loss->mean, scale};
}

static double node(const chain *c, int i) { return c->barrier + i * c->width; }

static double crossing_probability(const target *t, double level) {
  return esc_mean_distribution_cdf(t->loss, (level - t->offset) / t->scale);
}

static double integrated_probability(const target *t, double level) {
  return t->scale * esc_mean_distribution_integrated_cdf(t->loss, (level - t->offset) / t->scale);
}

/* Probabilities of the nodes first, ..., first + count - 1 after a step to `t`. A value between two
 * nodes is divided between them so that its mean is kept: second differences of the integrated cdf.
 * `crossed`, the probability below the barrier, is excluded. */
static void distribute(const chain *c, const target *t, double crossed, int first, int count,
                       double *share) {
  double last = integrated_probability(t, node(c, first - 1)),
         here = integrated_probability(t, node(c, first));
  for (int k = 0; k < count; k++) {
    const int i = first + k;
    const double next = integrated_probability(t, node(c, i + 1));
    const double up = i == c->n - 1 ? c->width : next - here;
    const double down = i == 0 ? crossed * c->width : here - last;
    share[k] = fmax(up - down, 0) / c->width;
    last = here;
    here = next;
  }
}

static void fill_row(const esc_mean_distribution *loss, chain *c, int row) {
  const target t = step_target(c, loss, node(c, row));
  const double start = t.offset + t.scale * loss->table[0].from;
  const int first = (int)fmin(fmax(floor((start - c->barrier) / c->width), 0), c->n - 1);
  const int count = c->n - first < c->band ? c->n - first : c->band;
  c->first[row] = first;
  c->crossing[row] = crossing_probability(&t, c->barrier);
  distribute(c, &t, c->crossing[row], first, count, &c->transition[(size_t)row * (size_t)c->band]);
}

static esc_status fill_chain(const esc_mean_distribution *loss, chain *c) {
  esc_status status = ESC_OK;
  make_grid(loss, c);
  const size_t n = (size_t)c->n;
  c->crossing = malloc(n * sizeof *c->crossing);
  c->first = malloc(n * sizeof *c->first);
  c->transition = calloc(n * (size_t)c->band, sizeof *c->transition);
  ESC_TRY_ALLOCATE(c->crossing);
  ESC_TRY_ALLOCATE(c->first);
  ESC_TRY_ALLOCATE(c->transition);
  for (int row = 0; row < c->n; row++) fill_row(loss, c, row);
done:
  return status;
}

/* Paths that have not crossed yet: on the grid, and above it those that started so high that they
 * follow the mean path (noise is negligible there). */
typedef struct population {
  double *alive, *next; /* (n) probabilities; `next` is workspace */
  double above;         /* probability of being above the grid */
  double distance;      /* from the mean: starts within it have reached the grid by now */
} population;

/* m_0 is the first loss. */
static void start(const chain *c, const esc_mean_distribution *first, double threshold,
                  population *p) {
  const target t = {first, 0, 1};
  const int last = c->n - 1;
  const double top = node(c, last);
  distribute(c, &t, esc_mean_distribution_cdf(first, threshold), 0, c->n, p->alive);
  p->distance = top - first->mean;
  p->above = p->distance > 0 ? 1 - esc_mean_distribution_cdf(first, top) : 0;
  p->alive[last] = fmax(p->alive[last] - p->above, 0);
}

/* Adds to the last node the paths that arrive from above during one step. */
static void admit_from_above(const chain *c, const esc_mean_distribution *first, population *p) {
  if (p->above == 0) return;
  const double before = 1 - esc_mean_distribution_cdf(first, first->mean + p->distance);
  p->distance /= c->decay;
  const double after = 1 - esc_mean_distribution_cdf(first, first->mean + p->distance);
  const double remaining = before > 0 ? p->above * after / before : 0;
  p->alive[c->n - 1] += p->above - remaining;
  p->above = remaining;
}

/* One step: returns the probability of crossing and normalises the rest to sum 1. */
static double advance(const chain *c, population *p) {
  double crossed = 0, left = p->above;
  memset(p->next, 0, (size_t)c->n * sizeof *p->next);
  for (int row = 0; row < c->n; row++) {
    const double *transition = &c->transition[(size_t)row * (size_t)c->band];
    const int count = c->n - c->first[row] < c->band ? c->n - c->first[row] : c->band;
    double *to = &p->next[c->first[row]];
    crossed += p->alive[row] * c->crossing[row];
    for (int k = 0; k < count; k++) to[k] += p->alive[row] * transition[k];
  }
  for (int i = 0; i < c->n; i++) left += p->next[i];
  if (!(left > 0)) return 1;
  for (int i = 0; i < c->n; i++) p->alive[i] = p->next[i] / left;
  p->above /= left;
  return crossed / (crossed + left);
}

/* Log probability of no crossing in `chain_steps` steps of the chain (a last fraction of a step
 * counts in proportion), and the hazard of one such step. */
static esc_status compute_survival(const chain *c, const esc_mean_distribution *first,
                                   double threshold, double chain_steps, double *logarithm,
                                   double *hazard) {
  esc_status status = ESC_OK;
  double previous = INFINITY;
  population p = {.alive = malloc(2 * (size_t)c->n * sizeof *p.alive)};
  ESC_TRY_ALLOCATE(p.alive);
  p.next = p.alive + c->n;
  start(c, first, threshold, &p);
  *logarithm = 0;
  for (double t = 0; t * (1 - c->decay) < max_transient; t++) {
    *hazard = advance(c, &p);
    if (chain_steps > 0) *logarithm += fmin(chain_steps, 1) * log1p(-*hazard);
    chain_steps -= 1;
    const bool steady = fabs(*hazard - previous) <= 1e-4 * (1 - c->decay) * *hazard;
    if (*hazard == 1 || (steady && p.above < 1e-3)) break;
    previous = *hazard;
    admit_from_above(c, first, &p);
  }
  if (chain_steps > 0) *logarithm += chain_steps * log1p(-*hazard);
done:
  free(p.alive);
  return status;
}

/* The loss at f = 0: of one input, and of a minibatch. */
typedef struct plateau_losses {
  const esc_problem *problem;
  esc_loss_sample sample;
  esc_mean_distribution loss;
} plateau_losses;

/* Log probability that the moving average never crosses, with out->first for the first loss. */
static esc_status smoothed(const plateau_losses *l, double threshold, int64_t steps,
                           double *logarithm, esc_false_escape *out) {
  esc_status status = ESC_OK;
  chain c = {.n = 0};
  esc_mean_distribution merged = {.score = NULL};
  const double batch = set_stride(l->problem, threshold, l->sample.sd, &c);
  ESC_TRY(esc_mean_distribution_create(&l->sample, batch, &merged));
  ESC_TRY(fill_chain(&merged, &c));
  ESC_TRY(compute_survival(&c, &l->loss, threshold, ((double)steps - 1) / c.stride, logarithm,
                           &out->hazard));
  *logarithm += log1p(-out->first);
  out->hazard = -expm1(log1p(-out->hazard) / c.stride);
done:
  free_chain(&c);
  esc_mean_distribution_free(&merged);
  return status;
}

static esc_status compute_threshold(const plateau_losses *l, double threshold, int64_t steps,
                                    esc_false_escape *out) {
  esc_status status = ESC_OK;
  double logarithm = 0;
  *out = (esc_false_escape){.first = esc_mean_distribution_cdf(&l->loss, threshold),
                            .baseline = l->sample.mean};
  if (l->problem->smoothing > 0 && l->sample.sd > 0) {
    ESC_TRY(smoothed(l, threshold, steps, &logarithm, out));
  } else {
    out->hazard = out->first;
    logarithm = (double)steps * log1p(-out->hazard);
  }
  out->probability = steps > 0 ? fabs(expm1(logarithm)) : 0; /* not -0 */
done:
  return status;
}

esc_status esc_false_escapes(const esc_problem *problem, int64_t steps, int count,
                             const double *threshold, esc_false_escape *out) {
  esc_status status = ESC_OK;
  plateau_losses l = {.problem = problem};
  ESC_TRY(esc_loss_sample_create(problem, &l.sample));
  ESC_TRY(esc_mean_distribution_create(&l.sample, problem->batch, &l.loss));
  for (int i = 0; i < count; i++) ESC_TRY(compute_threshold(&l, threshold[i], steps, &out[i]));
done:
  esc_mean_distribution_free(&l.loss);
  esc_loss_sample_free(&l.sample);
  return status;
}

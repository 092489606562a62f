/* SPDX-License-Identifier: Apache-2.0 */
/* False escapes: how likely minibatch noise alone carries the loss of a network
 * that sits at f = 0 below a threshold (docs/theory, section 5.6).
 *
 * m_t = phi m_{t-1} + (1-phi) loss_t is a Markov chain; what has not crossed yet is
 * carried on a grid from the threshold up, step by step, until the share that
 * crosses in a step no longer changes: from there on it is the hazard. All terms
 * are positive, so small probabilities are as accurate as large ones. */
#include <gsl/gsl_math.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/fit.h"
#include "loss_law.h"

enum { NODES_LEAST = 400 };
static const double spacing = 0.25;       /* of the grid, in units of one step's sd */
static const double decay_most = 0.98;    /* smoother chains take several steps at once */
static const double grid_above = 8;       /* the mean, in units of the stationary sd */
static const double grid_longest = 100;   /* in the same units: nothing farther ever crosses */
static const double longest_start = 40;   /* in units of the chain's memory, 1/(1 - decay) */
static const double siegmund = 0.5825971; /* -zeta(1/2)/sqrt(2 pi) */

/* The chain on its grid of nodes barrier + i width. Its step is `stride` steps of
 * the network. */
typedef struct chain {
  double stride, decay; /* decay: phi^stride */
  double barrier;       /* below it a path has crossed */
  int n, band;
  double width;     /* between nodes */
  double shrink;    /* of a step about its mean; undoes what sharing between nodes adds */
  double *crossing; /* (n) share that crosses from the node, owned */
  int *first;       /* (n) first node that is reached, owned */
  double *move;     /* (n, band) shares that move to first, first + 1, ...; owned */
} chain;

/* Where a step leads: offset + scale times a minibatch loss. */
typedef struct target {
  const esc_mean_law *law;
  double offset, scale;
} target;

static void free_chain(chain *c) {
  free(c->crossing);
  free(c->first);
  free(c->move);
}

/* phi near 1: several steps make one. Their noise is a weighted mean of minibatch
 * losses with nearly equal weights, so that of a larger batch. A path seen only at
 * every k-th step dips less far; Siegmund's correction moves the barrier for that. */
static double merge_steps(const esc_problem *problem, double threshold, double sd, chain *c) {
  const double phi = problem->smoothing, batch = problem->batch;
  c->stride = fmax(1, floor(log(decay_most) / log(phi)));
  c->decay = pow(phi, c->stride);
  const double square = (1 - phi) * (1 + c->decay) / ((1 + phi) * (1 - c->decay));
  const double one = 1 - phi, merged = (1 - c->decay) * sqrt(square);
  c->barrier = threshold + siegmund * (merged - one) * sd / sqrt(batch);
  return batch / square;
}

/* Nodes: fine against one step, from the barrier to where nothing is left above.
 * What steps beyond the last node is kept there: it comes down before it matters. */
static void lay_grid(const esc_mean_law *law, chain *c) {
  const double step = (1 - c->decay) * law->sd;
  const double stationary = step / sqrt(1 - c->decay * c->decay);
  const double top = fmin(fmax(law->mean, c->barrier) + grid_above * stationary,
                          c->barrier + grid_longest * stationary);
  c->n = (int)ceil(fmax((top - c->barrier) / (spacing * step), NODES_LEAST));
  c->width = (top - c->barrier) / (c->n - 1);
  c->shrink = sqrt(1 - gsl_pow_2(c->width / step) / 6);
  const double longest = (1 - c->decay) * c->shrink * (law->high - law->piece[0].from) / c->width;
  c->band = (int)fmin(c->n, ceil(longest) + 3);
}

static target step_from(const chain *c, const esc_mean_law *law, double m) {
  const double scale = (1 - c->decay) * c->shrink;
  return (target){law, c->decay * m + (1 - c->decay - scale) * law->mean, scale};
}

static double node(const chain *c, int i) { return c->barrier + i * c->width; }

static double below(const target *t, double level) {
  return esc_mean_law_below(t->law, (level - t->offset) / t->scale);
}

static double shortfall(const target *t, double level) {
  return t->scale * esc_mean_law_shortfall(t->law, (level - t->offset) / t->scale);
}

/* Shares of the target for the nodes first, ..., first + count - 1. What falls between
 * two nodes is divided so that its mean stays: second differences of the shortfall.
 * `crossed` goes elsewhere. */
static void deposit(const chain *c, const target *t, double crossed, int first, int count,
                    double *share) {
  double last = shortfall(t, node(c, first - 1)), here = shortfall(t, node(c, first));
  for (int k = 0; k < count; k++) {
    const int i = first + k;
    const double next = shortfall(t, node(c, i + 1));
    const double up = i == c->n - 1 ? c->width : next - here;
    const double down = i == 0 ? crossed * c->width : here - last;
    share[k] = fmax(up - down, 0) / c->width;
    last = here;
    here = next;
  }
}

static void fill_row(const esc_mean_law *law, chain *c, int row) {
  const target t = step_from(c, law, node(c, row));
  const double start = t.offset + t.scale * law->piece[0].from;
  const int first = (int)fmin(fmax(floor((start - c->barrier) / c->width), 0), c->n - 1);
  const int count = c->n - first < c->band ? c->n - first : c->band;
  c->first[row] = first;
  c->crossing[row] = below(&t, c->barrier);
  deposit(c, &t, c->crossing[row], first, count, &c->move[(size_t)row * (size_t)c->band]);
}

static esc_status fill_chain(const esc_mean_law *law, chain *c) {
  esc_status status = ESC_OK;
  lay_grid(law, c);
  const size_t n = (size_t)c->n;
  c->crossing = malloc(n * sizeof *c->crossing);
  c->first = malloc(n * sizeof *c->first);
  c->move = calloc(n * (size_t)c->band, sizeof *c->move);
  ESC_TRY_ALLOCATE(c->crossing);
  ESC_TRY_ALLOCATE(c->first);
  ESC_TRY_ALLOCATE(c->move);
  for (int row = 0; row < c->n; row++) fill_row(law, c, row);
done:
  return status;
}

/* What has not crossed yet: on the grid, and above it what started so high that
 * noise does not matter there and it comes down along the mean path. */
typedef struct population {
  double *alive, *next; /* (n); `next` is scratch */
  double above;
  double distance; /* from the mean, of starts that reach the grid by now */
} population;

/* m_0 is the first loss. */
static void start(const chain *c, const esc_mean_law *first, double threshold, population *p) {
  const target t = {first, 0, 1};
  const int last = c->n - 1;
  const double top = node(c, last);
  deposit(c, &t, esc_mean_law_below(first, threshold), 0, c->n, p->alive);
  p->distance = top - first->mean;
  p->above = p->distance > 0 ? 1 - esc_mean_law_below(first, top) : 0;
  p->alive[last] = fmax(p->alive[last] - p->above, 0);
}

/* Lets in what arrives from above during one step. */
static void descend(const chain *c, const esc_mean_law *first, population *p) {
  if (p->above == 0) return;
  const double before = 1 - esc_mean_law_below(first, first->mean + p->distance);
  p->distance /= c->decay;
  const double after = 1 - esc_mean_law_below(first, first->mean + p->distance);
  const double stays = before > 0 ? p->above * after / before : 0;
  p->alive[c->n - 1] += p->above - stays;
  p->above = stays;
}

/* One step; returns the share that crosses and scales what is left to sum 1. */
static double advance(const chain *c, population *p) {
  double crossed = 0, left = p->above;
  memset(p->next, 0, (size_t)c->n * sizeof *p->next);
  for (int row = 0; row < c->n; row++) {
    const double *move = &c->move[(size_t)row * (size_t)c->band];
    const int count = c->n - c->first[row] < c->band ? c->n - c->first[row] : c->band;
    double *to = &p->next[c->first[row]];
    crossed += p->alive[row] * c->crossing[row];
    for (int k = 0; k < count; k++) to[k] += p->alive[row] * move[k];
  }
  for (int i = 0; i < c->n; i++) left += p->next[i];
  if (!(left > 0)) return 1;
  for (int i = 0; i < c->n; i++) p->alive[i] = p->next[i] / left;
  p->above /= left;
  return crossed / (crossed + left);
}

/* Logarithm of the probability that no crossing happens in `moves` steps of the
 * chain (a last part of one counts in proportion), and the hazard a step of it. */
static esc_status survive(const chain *c, const esc_mean_law *first, double threshold, double moves,
                          double *logarithm, double *hazard) {
  esc_status status = ESC_OK;
  double previous = INFINITY;
  population p = {.alive = malloc(2 * (size_t)c->n * sizeof *p.alive)};
  ESC_TRY_ALLOCATE(p.alive);
  p.next = p.alive + c->n;
  start(c, first, threshold, &p);
  *logarithm = 0;
  for (double t = 0; t * (1 - c->decay) < longest_start; t++) {
    *hazard = advance(c, &p);
    if (moves > 0) *logarithm += fmin(moves, 1) * log1p(-*hazard);
    moves -= 1;
    const bool steady = fabs(*hazard - previous) <= 1e-4 * (1 - c->decay) * *hazard;
    if (*hazard == 1 || (steady && p.above < 1e-3)) break;
    previous = *hazard;
    descend(c, first, &p);
  }
  if (moves > 0) *logarithm += moves * log1p(-*hazard);
done:
  free(p.alive);
  return status;
}

/* The loss at f = 0: of one input, and of a minibatch. */
typedef struct losses {
  const esc_problem *problem;
  esc_loss_sample sample;
  esc_mean_law law;
} losses;

/* Of the moving average: *logarithm of the probability that it never crosses, the first
 * loss's part being `first`. */
static esc_status smoothed(const losses *l, double threshold, int64_t steps, double *logarithm,
                           esc_false_escape *out) {
  esc_status status = ESC_OK;
  chain c = {.n = 0};
  esc_mean_law merged = {.score = NULL};
  const double batch = merge_steps(l->problem, threshold, l->sample.sd, &c);
  ESC_TRY(esc_mean_law_create(&l->sample, batch, &merged));
  ESC_TRY(fill_chain(&merged, &c));
  ESC_TRY(survive(&c, &l->law, threshold, ((double)steps - 1) / c.stride, logarithm, &out->hazard));
  *logarithm += log1p(-out->first);
  out->hazard = -expm1(log1p(-out->hazard) / c.stride);
done:
  free_chain(&c);
  esc_mean_law_free(&merged);
  return status;
}

static esc_status one_threshold(const losses *l, double threshold, int64_t steps,
                                esc_false_escape *out) {
  esc_status status = ESC_OK;
  double logarithm = 0;
  *out = (esc_false_escape){.first = esc_mean_law_below(&l->law, threshold),
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
  losses l = {.problem = problem};
  ESC_TRY(esc_loss_sample_create(problem, &l.sample));
  ESC_TRY(esc_mean_law_create(&l.sample, problem->batch, &l.law));
  for (int i = 0; i < count; i++) ESC_TRY(one_threshold(&l, threshold[i], steps, &out[i]));
done:
  esc_mean_law_free(&l.law);
  esc_loss_sample_free(&l.sample);
  return status;
}

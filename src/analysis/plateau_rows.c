/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and verdicts of a plateau table (docs/theory, section 5.4): a number over many networks is
 * compared with theory by its 95% interval. */
#include "plateau_rows.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>

#include "escapement/internal/library.h"

static const double none = (double)NAN;

static const char *const exponent_name[] = {"self_exponent", "orthogonal_exponent",
                                            "signal_exponent"};
static const char *const exponent_heading[] = {"self-interaction / drive in m",
                                               "T_perp term / drive in m", "Q in |S|"};

const esc_exponent *esc_plateau_exponent(const esc_plateau *p, int which) {
  const esc_exponent *const all[] = {&p->self_exponent, &p->orthogonal_exponent,
                                     &p->signal_exponent};
  return all[which];
}

const char *esc_plateau_exponent_name(int which) { return exponent_name[which]; }

/* r; 2 for odd activations; 2(r-1)/r. None without a small layer. */
static double predict(const esc_plateau_table *t, int which, int r) {
  if (r < 1) return none;
  if (which == 0) return r;
  return which == 1 ? t->odd ? 2 : none : 2.0 * (r - 1) / r;
}

/* Compares the prediction with the interval; `tiny` allows for an interval of rounding size. */
static void write_exponent_verdict(const esc_estimate *e, double predicted, char *text,
                                   size_t size) {
  const double tiny = 1e-9 * (1 + fabs(predicted));
  if (isnan(predicted))
    snprintf(text, size, "no prediction: the activation is not odd");
  else if (e->lower - tiny <= predicted && predicted <= e->upper + tiny)
    snprintf(text, size, "consistent with theory");
  else
    snprintf(text, size, "differs from theory by %.2g standard errors",
             fabs(e->value - predicted) / e->error);
}

static const char not_squared[] =
    "not measurable: the three terms of dS/dt are defined for the squared loss only";

/* Whether the row is one of the terms of dS/dt. */
static bool is_term(const char *name) {
  return !strncmp(name, "self_", 5) || !strncmp(name, "orthogonal_", 11);
}

/* The interval of a single network, from its regression. */
static esc_estimate single_network_estimate(const esc_exponent *e) {
  const double half = e->error * gsl_cdf_tdist_Pinv(0.975, (double)(e->snapshots - 3));
  return (esc_estimate){1, e->value, e->error, e->value - half, e->value + half};
}

static void write_verdict(const esc_plateau_table *t, int64_t i, int which, char *text,
                          size_t size) {
  const esc_exponent *e = esc_plateau_exponent(&t->network[i].plateau, which);
  if (e->obstacle != ESC_MEASURED) {
    char why[128];
    esc_exponent_explain(e, &t->rules, why, sizeof why);
    if (!t->squared && is_term(exponent_name[which]))
      snprintf(text, size, "%s", not_squared);
    else
      snprintf(text, size, "not measurable: %s", why);
    return;
  }
  const esc_estimate one = single_network_estimate(e);
  write_exponent_verdict(&one, predict(t, which, t->network[i].bottleneck), text, size);
}

void esc_plateau_verdict_print(const esc_plateau_table *table, int64_t i, int which, char *text,
                               size_t size) {
  const esc_library_scope scope = esc_library_enter();
  write_verdict(table, i, which, text, size);
  esc_library_leave(scope);
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts the n values. */
static void set_quantiles(int64_t n, double *value, esc_plateau_row *row) {
  row->measured = n;
  row->min = row->median = row->max = none;
  if (n == 0) return;
  qsort(value, (size_t)n, sizeof *value, ascending);
  row->min = value[0];
  row->median = (value[(n - 1) / 2] + value[n / 2]) / 2;
  row->max = value[n - 1];
}

/* Writes the most common obstacle, with the numbers of the first network that has it. */
static void explain_missing(const esc_plateau_source *t, int64_t first, int64_t end, int which,
                            esc_plateau_row *row) {
  int64_t count[ESC_OBSTACLES] = {0}, example[ESC_OBSTACLES] = {0};
  int commonest = 0;
  for (int64_t i = end - 1; i >= first; i--) {
    const esc_obstacle o = esc_plateau_exponent(&t->table->network[i].plateau, which)->obstacle;
    count[o]++;
    example[o] = i;
    if (count[o] > count[commonest]) commonest = (int)o;
  }
  write_verdict(t->table, example[commonest], which, row->verdict, sizeof row->verdict);
}

static void fill_exponent_row(const esc_plateau_source *t, int64_t first, int64_t end, int which,
                              esc_plateau_row *row) {
  double *value = t->work[0], *curvature = t->work[1];
  const esc_exponent *last = NULL;
  double next_order = 0;
  int64_t n = 0;
  *row = (esc_plateau_row){.name = exponent_name[which],
                           .heading = exponent_heading[which],
                           .predicted = predict(t->table, which, t->results->bottleneck[first]),
                           .networks = end - first,
                           .low = INFINITY};
  for (int64_t i = first; i < end; i++) {
    const esc_exponent *e = esc_plateau_exponent(&t->table->network[i].plateau, which);
    if (e->obstacle != ESC_MEASURED) continue;
    last = e;
    row->low = fmin(row->low, e->low);
    row->high = fmax(row->high, e->high);
    value[n] = e->value;
    next_order = fmax(next_order, e->next_order);
    curvature[n++] = e->curvature;
  }
  row->estimate = n == 1 ? single_network_estimate(last)
                         : esc_estimate_compute(n, value, curvature, next_order);
  set_quantiles(n, value, row);
  if (n == 0) {
    row->low = row->high = none;
    explain_missing(t, first, end, which, row);
    return;
  }
  write_exponent_verdict(&row->estimate, row->predicted, row->verdict, sizeof row->verdict);
}

static void write_prediction(esc_plateau_row *row) {
  if (!isnan(row->predicted)) snprintf(row->theory, sizeof row->theory, "%.4g", row->predicted);
}

int esc_plateau_exponent_rows(const esc_plateau_source *t, int64_t first, int64_t end,
                              esc_plateau_row row[ESC_PLATEAU_ROWS]) {
  for (int which = 0; which < ESC_PLATEAU_EXPONENTS; which++) {
    fill_exponent_row(t, first, end, which, &row[which]);
    write_prediction(&row[which]);
  }
  return ESC_PLATEAU_EXPONENTS;
}

/* ---- over the scales ---- */

/* A constant counts as bounded as epsilon falls if it grows (or, bounded from below, shrinks) by
 * less than a factor of 2 in a decade. */
static const double bounded_exponent = 0.30102999566398120; /* log10(2) */

typedef enum bound { BOUND_NONE, BOUND_ABOVE, BOUND_BELOW } bound;

/* X(field, heading, heading over the scales, theory, bound of it over the scales, field whose
 * verdict it shares) */
#define NUMBERS(X)                                                                                 \
  X(m_start, "m at the start", "m at the start", "", BOUND_NONE, "")                               \
  X(m_end, "m at the end", "m at the end", "in the window", BOUND_NONE, "")                        \
  X(drift, "drift of other layers", "drift of other layers", "O(m^2)", BOUND_NONE,                 \
    "drift_over_m2")                                                                               \
  X(drift_over_m2, "  over m^2", "drift of other layers / m^2", "O(1)", BOUND_ABOVE,               \
    "drift_over_m2")                                                                               \
  X(self_over_drive, "self-interaction / drive", "self-interaction / drive", "O(m^r)", BOUND_NONE, \
    "self_over_mr")                                                                                \
  X(self_over_mr, "  over m^r", "self-interaction / (drive m^r)", "O(1)", BOUND_ABOVE,             \
    "self_over_mr")                                                                                \
  X(orthogonal_over_drive, "T_perp term / drive", "T_perp term / drive", "O(m^2)", BOUND_NONE,     \
    "orthogonal_over_drive")                                                                       \
  X(growth, "C in dm/dt <= C m^(r-1)", "C in dm/dt <= C m^(r-1)", "O(1)", BOUND_ABOVE, "growth")   \
  X(exit_bound, "  time by this law / time taken", "time by dm/dt = C m^(r-1) / time taken",       \
    "<= 1", BOUND_NONE, "exit_bound")                                                              \
  X(chain_low, "chain norms / start, least", "chain norms / start, least", "O(1), not 0",          \
    BOUND_BELOW, "chain_low")                                                                      \
  X(chain_high, "chain norms / start, most", "chain norms / start, most", "O(1)", BOUND_ABOVE,     \
    "chain_high")                                                                                  \
  X(gain_low, "|Gamma_l| mu_l / |S|, least", "|Gamma_l| mu_l / |S|, least", "O(1), not 0",         \
    BOUND_BELOW, "gain_low")                                                                       \
  X(gain_high, "|Gamma_l| mu_l / |S|, most", "|Gamma_l| mu_l / |S|, most", "O(1)", BOUND_ABOVE,    \
    "gain_high")                                                                                   \
  X(output_over_gain, "|f| / prod mu_l, most", "|f| / prod mu_l, most", "O(1)", BOUND_ABOVE,       \
    "output_over_gain")

typedef struct number {
  size_t field; /* of esc_plateau, a double */
  const char *name, *heading, *scaling_heading, *theory;
  bound bound;
  const char *verdict_row;
} number;

static const number numbers[] = {
#define NUMBER(field, heading, scaling_heading, theory, bound, by) \
  {offsetof(esc_plateau, field), #field, heading, scaling_heading, theory, bound, by},
    NUMBERS(NUMBER)
#undef NUMBER
};
enum { NUMBER_COUNT = sizeof numbers / sizeof numbers[0] };
_Static_assert(ESC_PLATEAU_EXPONENTS + NUMBER_COUNT <= ESC_PLATEAU_ROWS,
               "a set must hold all of its rows");

static double field_value(const esc_plateau *p, size_t field) {
  double value;
  memcpy(&value, (const char *)p + field, sizeof value);
  return value;
}

static int by_seed(const void *a, const void *b, void *context) {
  const esc_results *r = context;
  const int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
  if (r->seed[i] != r->seed[j]) return r->seed[i] < r->seed[j] ? -1 : 1;
  return (i > j) - (i < j);
}

enum { ABSCISSA_SCALE = -1 };

/* Slopes of log y in log x over the scales of each seed of a group. */
typedef struct seed_slopes {
  ptrdiff_t x;    /* field of esc_plateau, or ABSCISSA_SCALE: the scale itself */
  size_t y;       /* field */
  bool plateau;   /* y is of the bootstrap interval, so that m must grow inside the window */
  double span, m; /* output: factor that x spans, largest m at a start */
} seed_slopes;

/* The start is inside the window, and m grows enough inside it. */
static bool is_usable(const esc_plateau_source *t, const seed_slopes *s, const esc_plateau *p) {
  const double growth = s->plateau ? ESC_EXPONENT_MIN_GROWTH * ESC_EXPONENT_MIN_SPAN : 0;
  return p->m_start <= t->table->rules.window && p->m_end >= growth * p->m_start &&
         isfinite(field_value(p, s->y));
}

static double abscissa(const esc_plateau_source *t, const seed_slopes *s, int64_t i) {
  return s->x == ABSCISSA_SCALE ? t->results->scale[i]
                                : field_value(&t->table->network[i].plateau, (size_t)s->x);
}

/* The slopes, one for each seed, into work[0]; returns their number. */
static int64_t slopes_by_seed(const esc_plateau_source *t, int64_t first, int64_t end,
                              seed_slopes *s) {
  const int64_t n = end - first;
  double *slope = t->work[0], *x = t->work[1], *y = t->work[2], low = INFINITY, high = 0;
  int64_t seeds = 0, count = 0;
  s->m = 0;
  for (int64_t k = 0; k < n; k++) t->index[k] = first + k;
  qsort_r(t->index, (size_t)n, sizeof *t->index, by_seed, (void *)t->results);
  for (int64_t k = 0; k < n; k++) {
    const int64_t i = t->index[k];
    const esc_plateau *p = &t->table->network[i].plateau;
    if (is_usable(t, s, p)) {
      x[count] = abscissa(t, s, i);
      y[count++] = field_value(p, s->y);
      low = fmin(low, abscissa(t, s, i));
      high = fmax(high, abscissa(t, s, i));
      s->m = fmax(s->m, p->m_start);
    }
    if (k + 1 < n && t->results->seed[t->index[k + 1]] == t->results->seed[i]) continue;
    slope[seeds] = esc_scaling_exponent(count, x, y);
    seeds += isfinite(slope[seeds]);
    count = 0;
  }
  s->span = high / low;
  return seeds;
}

static int64_t count_seeds(const esc_plateau_source *t, int64_t first, int64_t end) {
  int64_t seeds = 0;
  for (int64_t i = first; i < end; i++) t->index[i - first] = i;
  qsort_r(t->index, (size_t)(end - first), sizeof *t->index, by_seed, (void *)t->results);
  for (int64_t k = 0; k < end - first; k++)
    seeds += k == 0 || t->results->seed[t->index[k]] != t->results->seed[t->index[k - 1]];
  return seeds;
}

static void explain_no_scaling(const esc_plateau_source *t, int64_t first, const seed_slopes *s,
                               esc_plateau_row *row) {
  const bool all = t->results->bottleneck[first] == t->results->layers;
  if (!t->table->squared && is_term(row->name))
    snprintf(row->verdict, sizeof row->verdict, "%s", not_squared);
  else if (all && !strncmp(row->name, "drift", 5))
    snprintf(row->verdict, sizeof row->verdict, "not measurable: every layer is small");
  else if (s->plateau)
    snprintf(row->verdict, sizeof row->verdict,
             "not measurable: fewer than two scales at which m grows by a factor of %d inside the "
             "window",
             ESC_EXPONENT_MIN_GROWTH * ESC_EXPONENT_MIN_SPAN);
  else
    snprintf(row->verdict, sizeof row->verdict,
             "not measurable: fewer than two scales that start inside the window");
}

static void fill_scaling_row(const esc_plateau_source *t, int64_t first, int64_t end,
                             seed_slopes *s, esc_plateau_row *row) {
  row->networks = count_seeds(t, first, end);
  const int64_t seeds = slopes_by_seed(t, first, end, s);
  const int q = t->table->rules.order;
  const double next_order = !s->plateau && q > 1 ? pow(s->m, q - 1) / log(s->span) : 0;
  row->estimate = esc_estimate_compute(seeds, t->work[0], NULL, seeds ? next_order : 0);
  set_quantiles(seeds, t->work[0], row);
  row->low = row->high = none;
  if (seeds == 0) explain_no_scaling(t, first, s, row);
  if (seeds != 1) return;
  row->estimate.value = none;
  snprintf(row->verdict, sizeof row->verdict, "not measurable: one network only, so no error");
}

static const struct {
  const char *name, *heading;
} start_row[] = {
    {"self_start_exponent", "self-interaction / drive in epsilon"},
    {"orthogonal_start_exponent", "T_perp term / drive in epsilon"},
    {"signal_start_exponent", "Q in |S|"},
};

/* True if any network's T_perp term at the start is below ESC_FLOOR_FACTOR times the noise. */
static bool below_floor(const esc_plateau_source *t, int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++)
    if (!(t->table->network[i].plateau.orthogonal_start >=
          ESC_FLOOR_FACTOR * t->table->rules.floor))
      return true;
  return false;
}

static void fill_start_row(const esc_plateau_source *t, int64_t first, int64_t end, int which,
                           esc_plateau_row *row) {
  static const size_t field[] = {offsetof(esc_plateau, self_start),
                                 offsetof(esc_plateau, orthogonal_start),
                                 offsetof(esc_plateau, gradient2_start)};
  seed_slopes s = {
      .x = which == 2 ? (ptrdiff_t)offsetof(esc_plateau, signal_start) : ABSCISSA_SCALE,
      .y = field[which]};
  *row = (esc_plateau_row){.name = start_row[which].name,
                           .heading = start_row[which].heading,
                           .predicted = predict(t->table, which, t->results->bottleneck[first])};
  write_prediction(row);
  fill_scaling_row(t, first, end, &s, row);
  if (row->verdict[0]) return;
  if (which == 1 && t->table->rules.floor > 0 && below_floor(t, first, end)) {
    row->estimate = (esc_estimate){0, none, none, none, none};
    snprintf(row->verdict, sizeof row->verdict,
             "not measurable: below %d times the sampling noise, which is %.2g of the drive",
             ESC_FLOOR_FACTOR, t->table->rules.floor);
    return;
  }
  write_exponent_verdict(&row->estimate, row->predicted, row->verdict, sizeof row->verdict);
}

static void write_bound_verdict(bound b, esc_plateau_row *row) {
  const double sign = b == BOUND_ABOVE ? 1 : -1;
  const double lower = sign * (b == BOUND_ABOVE ? row->estimate.lower : row->estimate.upper);
  const double upper = sign * (b == BOUND_ABOVE ? row->estimate.upper : row->estimate.lower);
  const char *what = b == BOUND_ABOVE ? "grows" : "shrinks";
  if (lower >= -bounded_exponent)
    snprintf(row->verdict, sizeof row->verdict, "consistent with theory: bounded");
  else if (upper < -bounded_exponent)
    snprintf(row->verdict, sizeof row->verdict, "differs from theory: %s as epsilon falls", what);
  else
    snprintf(row->verdict, sizeof row->verdict, "undecided: the interval includes both");
}

int esc_plateau_scaling_rows(const esc_plateau_source *t, int64_t first, int64_t end,
                             esc_plateau_row row[ESC_PLATEAU_ROWS]) {
  int rows = 0;
  for (int which = 0; which < ESC_PLATEAU_EXPONENTS; which++)
    fill_start_row(t, first, end, which, &row[rows++]);
  for (int k = 0; k < NUMBER_COUNT; k++) {
    const number *n = &numbers[k];
    if (n->bound == BOUND_NONE) continue;
    row[rows] =
        (esc_plateau_row){.name = n->name, .heading = n->scaling_heading, .predicted = none};
    snprintf(row[rows].theory, sizeof row->theory, n->bound == BOUND_ABOVE ? ">= 0" : "<= 0");
    seed_slopes s = {.x = ABSCISSA_SCALE, .y = n->field, .plateau = true};
    fill_scaling_row(t, first, end, &s, &row[rows]);
    if (!row[rows].verdict[0]) write_bound_verdict(n->bound, &row[rows]);
    rows++;
  }
  return rows;
}

/* ---- numbers of one scale ---- */

/* Writes the verdicts that follow from one scale alone: on the exit bound, and on a T_perp term
 * below the noise. `outside`: a network, where no network has a snapshot inside the window; else
 * NULL. */
static bool write_own_verdict(const esc_plateau_source *t, const esc_plateau *outside,
                              esc_plateau_row *row) {
  if (outside) {
    char why[128];
    esc_exponent_explain(&outside->self_exponent, &t->table->rules, why, sizeof why);
    snprintf(row->verdict, sizeof row->verdict, "not measurable: %s", why);
    return true;
  }
  if (!t->table->squared && is_term(row->name)) {
    snprintf(row->verdict, sizeof row->verdict, "%s", not_squared);
    return true;
  }
  if (!strcmp(row->name, "exit_bound")) {
    snprintf(row->verdict, sizeof row->verdict, "%s",
             row->measured ? "no test of theory: at most 1 by the choice of C"
                           : "not measurable: m does not grow inside the window");
    return true;
  }
  if (strcmp(row->name, "orthogonal_over_drive")) return false;
  if (row->max < ESC_FLOOR_FACTOR * t->table->rules.floor)
    snprintf(row->verdict, sizeof row->verdict,
             "not measurable: below %d times the sampling noise, which is %.2g of the drive",
             ESC_FLOOR_FACTOR, t->table->rules.floor);
  else
    snprintf(row->verdict, sizeof row->verdict, "see its exponent");
  return true;
}

static void write_number_verdict(const esc_plateau_source *t, const number *n,
                                 const esc_plateau *outside, int scalings,
                                 const esc_plateau_row *scaling, esc_plateau_row *row) {
  if (!n->verdict_row[0] || write_own_verdict(t, outside, row)) return;
  for (int k = 0; k < scalings; k++)
    if (!strcmp(scaling[k].name, n->verdict_row)) {
      static const char reason[] = "not measurable: ";
      const char *verdict = scaling[k].verdict;
      const bool undecided = row->measured && !strncmp(verdict, reason, sizeof reason - 1);
      snprintf(row->verdict, sizeof row->verdict, "%s%.140s", undecided ? "no verdict: " : "",
               verdict + (undecided ? sizeof reason - 1 : 0));
    }
}

int esc_plateau_number_rows(const esc_plateau_source *t, int64_t first, int64_t end, int scalings,
                            const esc_plateau_row *scaling, esc_plateau_row row[ESC_PLATEAU_ROWS]) {
  const esc_plateau *outside = &t->table->network[first].plateau;
  for (int64_t i = first; i < end && outside; i++)
    if (t->table->network[i].plateau.snapshots > 0) outside = NULL;
  for (int k = 0; k < NUMBER_COUNT; k++) {
    int64_t n = 0;
    row[k] = (esc_plateau_row){.name = numbers[k].name,
                               .heading = numbers[k].heading,
                               .predicted = none,
                               .networks = end - first,
                               .low = none,
                               .high = none,
                               .estimate = {0, none, none, none, none}};
    snprintf(row[k].theory, sizeof row->theory, "%s", numbers[k].theory);
    for (int64_t i = first; i < end; i++) {
      const double value = field_value(&t->table->network[i].plateau, numbers[k].field);
      if (isfinite(value)) t->work[0][n++] = value;
    }
    set_quantiles(n, t->work[0], &row[k]);
    write_number_verdict(t, &numbers[k], outside, scalings, scaling, &row[k]);
  }
  return NUMBER_COUNT;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's figures: what is trained for each, what is computed beside it, and the
 * checks that say whether theory and training agree.
 *
 * A figure function gets the sweeps' tables and leaves panels (the data behind every curve,
 * for the drawing script) and checks. All parameters come from the spec in the result file. */
#ifndef ESC_FIGURE_H
#define ESC_FIGURE_H

#include <jansson.h>
#include <stdio.h>

#include "escapement/internal/fit.h"
#include "escapement/internal/theory.h"
#include "spec/spec.h"

enum {
  ESC_FIGURES = 5,
  ESC_FIGURE_RUNS_MAX = 8,
  ESC_FIGURE_POINTS_MAX = 64,
  ESC_CURVE_POINTS = 161, /* of a theory curve over time or log epsilon: smooth to the eye */
  ESC_CURVE_KNOTS = 9     /* of a curve over log epsilon: where theory is evaluated */
};

/* One sweep of a figure: the result is DIR/name.h5, of the embedded spec SCALE/spec. */
typedef struct esc_figure_sweep {
  int figure;
  const char *name, *spec;
  const char *override; /* NULL: none */
} esc_figure_sweep;

extern const esc_figure_sweep esc_figure_sweeps[];
extern const int esc_figure_sweep_count;

/* Text of the embedded spec "small/figure1", or NULL. */
const char *esc_figure_spec(const char *scale, const char *name);

typedef struct esc_figure_run {
  const esc_figure_sweep *sweep;
  esc_results *results; /* owned */
  esc_spec *spec;       /* owned: what the results say that they were made from */
} esc_figure_run;

typedef struct esc_figure {
  int number;
  const char *title;
  const char *options; /* of the command after "-o DIR", for the caption; may be empty */
  int runs;
  esc_figure_run run[ESC_FIGURE_RUNS_MAX];
  json_t *panels, *checks; /* arrays, owned */
  int failed;              /* checks */
  bool common_legend;      /* one for all panels */
  FILE *caption;           /* open while the figure is made */
  char *caption_text;      /* owned; mathematics between dollars, as in labels (host/draw) */
  size_t caption_size;
} esc_figure;

/* ---- figure.c: a figure from its runs ---- */

/* Fills panels and checks from the runs. A file that lacks what a figure needs is
 * ESC_BAD_INPUT with its name. */
esc_status esc_figure_make(esc_figure *figure);
void esc_figure_free(esc_figure *figure);

typedef esc_status esc_figure_maker(esc_figure *figure);
esc_figure_maker esc_figure_1, esc_figure_2, esc_figure_3, esc_figure_4, esc_figure_5;

/* ---- sheet.c: panels, series, checks ---- */

/* A panel with axes `x`, `y`; `scale` is "linear", "loglog" or "semilogx", "semilogy". */
json_t *esc_panel_add(esc_figure *figure, const char *title, const char *x, const char *y,
                      const char *scale);

/* Adds an entry to the common legend, without data: what lines of one role mean. Colour -1: black;
 * -2: grey, for lines of several colours. */
void esc_panel_key(json_t *panel, int role, int colour, const char *label);

/* Marks on the x axis: places 1..count with these words. */
void esc_panel_words(json_t *panel, int count, const char *const *word);

/* Adds to the figure's caption. */
void esc_caption_add(esc_figure *figure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How a series is drawn: solid, dashed or dotted line; marks with the interval low..high as
 * error bars; faint dots; the interval filled; bars. */
typedef enum esc_role {
  ESC_LINE,
  ESC_DASH,
  ESC_DOT,
  ESC_MARKS,
  ESC_FAINT,
  ESC_BAND,
  ESC_BARS
} esc_role;

typedef struct esc_plot_series {
  esc_role role;
  int colour; /* index into the palette; -1: black, theory's */
  int count;
  const double *x, *y;
  const double *low, *high; /* NULL: none */
  int marker;               /* 0: the colour's own; 1: another; 2, 3: the same, hollow */
  int every;                /* draws each n-th point; 0: all */
} esc_plot_series;

/* Adds a copy; the label is for the legend, "" for none. */
void esc_panel_series(json_t *panel, const esc_plot_series *series, const char *label, ...)
    __attribute__((format(printf, 3, 4)));

/* Passes if |got - expected| <= tolerance; what is not finite fails. `reason` says why the
 * tolerance is what it is. Both texts may have mathematics between dollars. */
void esc_check_add(esc_figure *figure, double expected, double got, double tolerance,
                   const char *reason, const char *name, ...) __attribute__((format(printf, 6, 7)));

/* Adds to the last check the numbers where it came nearest to failing. */
void esc_check_detail(esc_figure *figure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- manifold.c: training on the symmetric manifold against the reduced ODE ---- */

/* The reduced problem of a sweep's network with `small_layers` (bits) at epsilon. */
esc_escape_problem esc_figure_problem(const esc_problem *p, uint64_t small_layers, double epsilon);

/* |ds/dt| of the reduced ODE at s. */
esc_status esc_flow_speed(const esc_escape_problem *problem, const double *s, double *speed);

/* The point at which the population loss passes `threshold` on the reduced ODE. */
typedef struct esc_loss_crossing {
  double time;
  double closed; /* leading order, to s = 1/2 (twice the start if that is more) */
  double scale[ESC_LAYERS_MAX];
  double speed, speed_start; /* |ds/dt| there, at the start */
} esc_loss_crossing;
esc_status esc_loss_crossing_of(const esc_escape_problem *problem, double threshold,
                                esc_loss_crossing *out);

/* The same over epsilon from `low` to `high`, at ESC_CURVE_POINTS values; `unit` has the scales at
 * 1. */
typedef struct esc_crossing_curve {
  double epsilon[ESC_CURVE_POINTS], time[ESC_CURVE_POINTS], closed[ESC_CURVE_POINTS];
} esc_crossing_curve;
esc_status esc_loss_crossings_of(const esc_escape_problem *unit, uint64_t small_layers,
                                 double threshold, double low, double high,
                                 esc_crossing_curve *out);

/* Mean escape steps of a group beside those of the ODE. Gradient descent with step eta
 * follows the flow F - (eta/2) F'F, which takes ln(|F| at the end / at the start)/2 steps
 * more than time/eta. */
typedef struct esc_compared {
  const esc_fit_group *group;
  const esc_problem *problem;
  int points;
  double scale[ESC_FIGURE_POINTS_MAX], mean[ESC_FIGURE_POINTS_MAX];
  double error[ESC_FIGURE_POINTS_MAX]; /* standard error of the mean over seeds */
  double expected[ESC_FIGURE_POINTS_MAX], tolerance[ESC_FIGURE_POINTS_MAX];
} esc_compared;
esc_status esc_compare_group(const esc_figure_run *run, const esc_fit_group *group,
                             esc_compared *out);

/* Two checks: every point, and the group's law (slope, steps a decade, or constancy). */
void esc_compared_check(esc_figure *figure, const esc_compared *c, const char *what);

/* Marks with two standard errors, in flow time times `factor`. */
void esc_compared_draw(json_t *panel, const esc_compared *c, int colour, int marker, double factor,
                       const char *label);

/* ---- curves.c: training's and theory's curves ---- */

/* Mean over members of an observable (of layer or interface `at`, else 0) at each snapshot,
 * with its standard error. All members must have all snapshots. */
typedef struct esc_mean_curve {
  int points;
  double step[ESC_FIGURE_POINTS_MAX], mean[ESC_FIGURE_POINTS_MAX], error[ESC_FIGURE_POINTS_MAX];
} esc_mean_curve;
esc_status esc_mean_curve_of(const esc_figure_run *run, esc_observable_index observable, int column,
                             esc_mean_curve *out);

/* Adds the curve over time eta * step: marks with two standard errors, at every second snapshot. */
void esc_mean_curve_draw(json_t *panel, const esc_mean_curve *c, double rate, int colour,
                         const char *label);

/* t* over `points` values of epsilon from `low` to `high`, of the problem whose small layers
 * carry it: the ODE's, in closed form, and as corrected. */
typedef struct esc_curves {
  int points;
  double epsilon[ESC_FIGURE_POINTS_MAX], ode[ESC_FIGURE_POINTS_MAX];
  double closed[ESC_FIGURE_POINTS_MAX], corrected[ESC_FIGURE_POINTS_MAX];
} esc_curves;
esc_status esc_curves_of(const esc_escape_problem *problem, uint64_t small_layers, double low,
                         double high, int points, esc_curves *out);

/* ESC_CURVE_POINTS steps over those of a curve known at a few, the more where it moves more, so
 * that its bends look round: equal parts of its length, both axes being 1 long, the fall counted
 * twice. */
void esc_curve_steps(int points, const double *step, const double *y, double *out);

/* ESC_CURVE_KNOTS values of epsilon from `low` to `high`, Chebyshev's points of its logarithm. */
void esc_curve_knots(double low, double high, double *epsilon);

/* A curve through ESC_CURVE_KNOTS knots (esc_curve_knots) at ESC_CURVE_POINTS values of epsilon:
 * the polynomial of log y in log epsilon; escape times are as smooth as the flow is. */
void esc_curve_smooth(const double *knot, const double *value, double *epsilon, double *y);

/* Least squares of log y on log x, or of y on log10 x. */
double esc_log_slope(int n, const double *x, const double *y);
double esc_steps_per_decade(int n, const double *x, const double *y);

/* ---- labels.c: words and colours ---- */

/* An activation as people write it: GELU, Swish, tanh. */
void esc_activation_title(const esc_activation *activation, char *text, size_t size);

/* Index into the palette for a bottleneck r, as in `plot`. */
int esc_bottleneck_colour(int r);

/* `layers` (bits) as "2, 4–5", or with the word: "layer 1", "layers 2, 4–5". */
void esc_layers_list(int64_t layers, char *text, size_t size);
void esc_layers_text(int64_t layers, char *text, size_t size);

#endif

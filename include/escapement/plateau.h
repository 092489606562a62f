/* SPDX-License-Identifier: Apache-2.0 */
/* Measurement of plateaus from the snapshots of a run: the assumptions and conclusions of the proof
 * of the critical-depth law on the bootstrap interval, up to the first exit of m, the largest
 * operator norm of the small layers, from its window (arXiv 2605.01288, definition 9 and theorem
 * 11). */
#ifndef ESCAPEMENT_PLATEAU_H
#define ESCAPEMENT_PLATEAU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "escapement/export.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

typedef struct esc_results esc_results; /* escapement/results.h */

/* ---- one network ---- */

/* Why a number cannot be measured; MEASURED is 0. */
typedef enum esc_obstacle {
  ESC_MEASURED,
  ESC_OBSTACLE_NO_M,    /* m is not a number at the start: no layer is small */
  ESC_OBSTACLE_OUTSIDE, /* m starts above the window */
  ESC_OBSTACLE_GROWTH,  /* m hardly grows inside the window */
  ESC_OBSTACLE_SIGN,    /* S is not positive at the window's end */
  ESC_OBSTACLE_FEW,     /* too few snapshots in the range */
  ESC_OBSTACLE_RANGE,   /* they span too little of the abscissa */
  ESC_OBSTACLE_FLOOR,   /* the quantity is below the noise of the evaluation sample */
  ESC_OBSTACLE_VALUE,   /* one of the values is 0 or not a number */
  ESC_OBSTACLES
} esc_obstacle;

/* An exponent needs at least MIN_SNAPSHOTS snapshots that span at least the factor MIN_SPAN of the
 * abscissa, after the last one at which m was below MIN_GROWTH times its start: before it, S grows
 * out of the random start and m does not yet follow. FLOOR_FACTOR: a term of dS/dt is measured
 * where it exceeds so many standard deviations of its sampling noise. */
enum {
  ESC_EXPONENT_MIN_SNAPSHOTS = 5,
  ESC_EXPONENT_MIN_SPAN = 2,
  ESC_EXPONENT_MIN_GROWTH = 2,
  ESC_FLOOR_FACTOR = 3
};

/* Slope of log y in log x by least squares over the snapshots of a range. */
typedef struct esc_exponent {
  esc_obstacle obstacle;
  double value;
  /* Standard error: the regression's residuals, the curvature beyond its noise, and the next
   * order, added in quadrature. */
  double error;
  double curvature;  /* half the change of the local slope between the range's quartiles */
  double next_order; /* effect on the slope of a relative correction m^(q-1) at the range's end */
  double low, high;  /* the range, of x */
  int64_t snapshots;
  double growth; /* m at the window's end over m at the start */
} esc_exponent;

typedef struct esc_plateau_rules {
  double rate;   /* eta */
  double window; /* of m, above 0 */
  int order;     /* q of the activation: the next order is m^(q-1); 0: none */
  /* Standard deviation of the T_perp term over the drive by the evaluation sample's noise;
   * it is measured above ESC_FLOOR_FACTOR times that. */
  double floor;
} esc_plateau_rules;

/* Constants are extremes over the snapshots inside the window, NaN without snapshots; exponents as
 * above. The value by theory follows each colon. */
typedef struct esc_plateau {
  int64_t snapshots;                /* inside the window */
  int64_t exit_step;                /* of the first snapshot with m above the window; -1: none */
  double m_start, m_end;            /* m at step 0, and at the last snapshot inside */
  double drift;                     /* largest |W_l - W_l(0)| of a layer that is not small */
  double drift_over_m2;             /* that over m_end^2: O(1) */
  double self_over_drive;           /* largest |self-interaction| over the drive: O(m^r) */
  double self_over_mr;              /* largest of that over m^r: O(1) (lemma 10) */
  esc_exponent self_exponent;       /* of self_over_drive in m: r */
  double orthogonal_over_drive;     /* largest |second term of dS/dt| over the drive: O(m^2) */
  esc_exponent orthogonal_exponent; /* of it in m: 2 */
  esc_exponent signal_exponent;     /* of Q in |S|: 2(r-1)/r */
  double growth;                    /* C = largest (dm/dt) / m^(r-1): O(1) */
  double exit_bound; /* time of dm/dt = C m^(r-1) from m_start to m_end over the time taken: <= 1
                        for any m(t), because C is the largest; NaN where m never grows */
  double chain_low, chain_high; /* chain norms over those at step 0: O(1) from both sides */
  double gain_low, gain_high;   /* |Gamma_l| mu_l / |S| of small layers, S > 0: O(1) */
  double output_over_gain; /* largest |f|_L2 over the product of the small layers' mu_l: O(1) */
  /* At step 0: ratios to the drive, |S| and Q. */
  double self_start, orthogonal_start, signal_start, gradient2_start;
} esc_plateau;

/* ---- many networks ---- */

/* Mean of a number over networks, the independent units. */
typedef struct esc_estimate {
  int64_t networks;
  double value;        /* mean over networks */
  double error;        /* standard deviation over sqrt(networks), and the errors common to all */
  double lower, upper; /* 95%: error times the t quantile of networks - 1; NaN with one */
} esc_estimate;

/* A number over many networks, compared with theory. */
typedef struct esc_plateau_row {
  const char *name, *heading;
  char theory[32];
  double predicted; /* NaN: a bound, or nothing */
  int64_t networks, measured;
  double min, median, max; /* over networks that are measured; NaN without one */
  esc_estimate estimate;   /* of an exponent */
  double low, high;        /* range of an exponent's abscissa over all networks */
  char verdict[160];       /* "" without a prediction */
} esc_plateau_row;

/* A network's exponents: self_exponent, orthogonal_exponent, signal_exponent. */
enum { ESC_PLATEAU_EXPONENTS = 3, ESC_PLATEAU_ROWS = 24 };

/* The networks of one group of the sweep, at one scale or over all its scales. */
typedef struct esc_plateau_set {
  int64_t first, members; /* networks first .. first + members - 1 of the table */
  int group, bottleneck;
  int64_t small_layers; /* bit l-1: layer l has the small scale */
  double scale;         /* NaN: over the scales of the group */
  int64_t exited;       /* networks that left the window */
  double lost_updates;  /* largest fraction of a network's updates that were rounded away */
  int first_set, sets;  /* over the scales: the sets of each scale in the table */
  int rows;             /* the first ESC_PLATEAU_EXPONENTS are exponents, ... */
  esc_plateau_row
      row[ESC_PLATEAU_ROWS]; /* ... at one scale along the run, over scales at the start;
                                then the other numbers, over scales their exponents */
} esc_plateau_set;

typedef struct esc_plateau_network {
  int64_t member, seed;
  int bottleneck;
  double scale;
  esc_plateau plateau;
} esc_plateau_network;

typedef struct esc_plateau_table {
  esc_plateau_rules rules;
  bool squared; /* the loss whose dS/dt has the three terms that are measured */
  bool odd;     /* class B, for which theory predicts the exponent of the T_perp term */
  int64_t members;
  esc_plateau_network *network; /* (members) */
  int sets;
  esc_plateau_set *set; /* (sets), one for each scale of each group */
  int groups;
  esc_plateau_set *group; /* (groups), over the scales */
} esc_plateau_table;

/* Measures the networks of a result with snapshots up to the first one with m above `window`, above
 * 0, usually ESC_PLATEAU_WINDOW. `name` is the result's in messages, usually its file. Free *out
 * with esc_plateau_table_free. ESC_BAD_INPUT where the result has no snapshots or no spec, or is
 * not what its spec describes. */
#define ESC_PLATEAU_WINDOW 0.3
ESC_API esc_status esc_plateau_table_measure(const esc_results *results, const char *name,
                                             double window, esc_plateau_table *out);
ESC_API void esc_plateau_table_free(esc_plateau_table *table);

/* Exponent `which` of a network, 0 <= which < ESC_PLATEAU_EXPONENTS, borrowed; and its name. */
ESC_API const esc_exponent *esc_plateau_exponent(const esc_plateau *plateau, int which);
ESC_API const char *esc_plateau_exponent_name(int which);

/* The verdict on exponent `which` of network i of the table, or the reason why there is none, cut
 * to `size` bytes (160 suffice). */
ESC_API void esc_plateau_verdict_print(const esc_plateau_table *table, int64_t i, int which,
                                       char *text, size_t size);

ESC_END_DECLS

#endif

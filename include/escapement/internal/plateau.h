/* A network's plateau as measured: what the proof of the critical-depth law asks for on the
 * bootstrap interval, up to the first exit of m from its window (theory, section 5; paper,
 * definition 9 and theorem 11). From a run's snapshots alone. */
#ifndef ESCAPEMENT_PLATEAU_H
#define ESCAPEMENT_PLATEAU_H

#include "escapement/internal/results.h"

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

/* An exponent is measured over at least so many snapshots, spanning at least this factor of
 * the abscissa, behind the last one at which m was below this multiple of its start: before
 * it, S grows out of the random start and m does not yet follow. */
enum {
  ESC_EXPONENT_SNAPSHOTS = 5,
  ESC_EXPONENT_FACTOR = 2,
  ESC_EXPONENT_START = 2,
  ESC_FLOOR_FACTOR = 3
};

/* Slope of log y in log x by least squares over the snapshots of a range. */
typedef struct esc_exponent {
  esc_obstacle why;
  double value;
  /* Standard error: of the regression's residuals, the bend beyond its own noise, and the
   * next order. */
  double error;
  double bend;      /* half the change of the local slope between the range's quartiles */
  double next;      /* what a relative correction of m^(q-1) at the range's end makes of it */
  double low, high; /* the range, of x */
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

/* Constants are extremes over the snapshots inside the window, NaN where there are none;
 * exponents as above. Theory's values behind each. */
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
  double exit_bound; /* dm/dt = C m^(r-1) from m_start to m_end, over the time taken: <= 1,
                        whatever m does, as C is the largest; NaN where m never grows */
  double chain_low, chain_high; /* chain norms over those at step 0: O(1) from both sides */
  double gain_low, gain_high;   /* |Gamma_l| mu_l / |S| of small layers, S > 0: O(1) */
  double output_over_gain; /* largest |f|_L2 over the product of the small layers' mu_l: O(1) */
  /* At step 0: the shares of the drive, |S| and Q. */
  double self_start, orthogonal_start, signal_start, gradient2_start;
} esc_plateau;

/* Of row i of a result with snapshots. */
void esc_plateau_measure(const esc_results *results, int64_t i, const esc_plateau_rules *rules,
                         esc_plateau *out);

/* Writes the obstacle as text: "m starts above the window". */
void esc_exponent_explain(const esc_exponent *exponent, const esc_plateau_rules *rules, char *text,
                          size_t size);

/* A number over networks, the independent units. */
typedef struct esc_estimate {
  int64_t networks;
  double value;        /* mean over networks */
  double error;        /* spread over sqrt(networks), and what is common to all (below) */
  double lower, upper; /* 95%: error times the t quantile of networks - 1; NaN with one */
} esc_estimate;

/* Of n networks' numbers, all finite. What they have in common is added to the error in
 * squares: the mean of `bend` (n; NULL: 0) beyond the noise of that mean, and `next`. */
esc_estimate esc_estimate_of(int64_t n, const double *value, const double *bend, double next);

/* Slope of log y in log x through the n pairs with x, y > 0: NaN with fewer than two
 * different x. Nothing is allocated. */
double esc_scaling_exponent(int64_t n, const double *x, const double *y);

#endif

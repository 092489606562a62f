/* A network's plateau as measured: what the proof of the critical-depth law asks for on the
 * bootstrap interval, up to the first exit of m from its window (theory, section 5; paper,
 * definition 9 and theorem 11). From a run's snapshots alone. */
#ifndef ESCAPEMENT_PLATEAU_H
#define ESCAPEMENT_PLATEAU_H

#include "escapement/results.h"

/* Ranges are over the snapshots inside the window. Exponents are slopes of logarithms by
 * least squares over those of them with S > 0; NaN with fewer than three. Theory's values
 * behind each. */
typedef struct esc_plateau {
  int64_t snapshots;            /* inside the window */
  int64_t exit_step;            /* of the first snapshot with m above the window; -1: none */
  double m_start, m_end;        /* m at step 0, and at the last snapshot inside */
  double drift;                 /* largest |W_l - W_l(0)| of a layer that is not small */
  double drift_over_m2;         /* that over m_end^2: O(1) */
  double self_over_drive;       /* largest |self-interaction| over the drive: O(m^r) */
  double self_exponent;         /* of it in m: r */
  double orthogonal_over_drive; /* largest |second term of dS/dt| over the drive: O(m^2) */
  double orthogonal_exponent;   /* of it in m: 2 */
  double signal_exponent;       /* of Q in |S|: 2(r-1)/r */
  double growth;                /* C = largest (dm/dt) / m^(r-1): O(1) */
  double exit_bound; /* dm/dt = C m^(r-1) from m_start to m_end, over the time taken: <= 1 */
  double chain_low, chain_high; /* chain norms over those at step 0: O(1) from both sides */
  double gain_low, gain_high;   /* |Gamma_l| mu_l / |S| of small layers, S > 0: O(1) */
  double output_over_gain; /* largest |f|_L2 over the product of the small layers' mu_l: O(1) */
} esc_plateau;

/* Of row i of a result with snapshots; `rate` is eta, `window` > 0 that of m. */
void esc_plateau_measure(const esc_results *results, int64_t i, double rate, double window,
                         esc_plateau *out);

#endif

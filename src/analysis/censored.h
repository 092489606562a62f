/* SPDX-License-Identifier: Apache-2.0 */
/* The log-normal fit with right censoring; private to src/analysis. */
#ifndef ESC_ANALYSIS_CENSORED_H
#define ESC_ANALYSIS_CENSORED_H

#include "regression.h"
#include "seed_table.h"

/* Log-normal errors with one sigma, right censoring, maximum likelihood; the error is the
 * sandwich estimator over seeds; with one seed that of the observed information. `influence`
 * (seeds) receives each seed's contribution to slope - truth. Both of *line are NaN unless two
 * scales have escaped members; the error is NaN with fewer than three escaped members. */
esc_status esc_censored_slope(const esc_seed_table *table, double *influence, esc_line *line);

#endif

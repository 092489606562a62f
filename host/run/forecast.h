/* SPDX-License-Identifier: Apache-2.0 */
/* Forecast by theory for each scale of each group: escape steps and the censored fraction. */
#ifndef ESC_RUN_FORECAST_H
#define ESC_RUN_FORECAST_H

#include "escapement/internal/forecast.h"
#include "run/run.h"

typedef struct esc_run_forecast {
  int cells;
  esc_forecast_cell *cell; /* (cells), in the order of the sweep; owned */
  double *threshold_step;  /* (cells, thresholds) of the cells; owned */
  double steps; /* expected steps of all remaining members; NaN if some cell has no forecast */
} esc_run_forecast;

/* Takes about a second; scales that do not fit into that time have no forecast. */
esc_status esc_run_forecast_create(const esc_run *run, esc_run_forecast *out);
void esc_run_forecast_free(esc_run_forecast *forecast);

/* Expected steps of every member of the plan, NaN without a forecast: *out (members), owned by
 * the caller. */
esc_status esc_run_forecast_members(const esc_run *run, double **out);

#endif

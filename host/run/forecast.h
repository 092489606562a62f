/* What a dry run forecasts of each scale of each group: steps, and who will be censored. */
#ifndef ESC_RUN_FORECAST_H
#define ESC_RUN_FORECAST_H

#include "escapement/internal/forecast.h"
#include "run/run.h"

/* One scale of one group; members of this shard. */
typedef struct esc_cell_forecast {
  const esc_member *member; /* the first, of the plan */
  int64_t members;          /* in all */
  int64_t remaining;        /* of these, not finished yet */
  int tried;                /* of these, forecast */
  esc_forecast_method method;
  const char *why;           /* without a forecast: why there is none */
  double step, lower, upper; /* median and 16% to 84% of members, to the last threshold */
  double threshold[ESC_THRESHOLDS_MAX]; /* (threshold) median step */
  double censored;                      /* expected share */
  double steps;                         /* expected mean of the steps made, at most train.steps */
  bool late, own;
} esc_cell_forecast;

typedef struct esc_run_forecast {
  int cells;
  esc_cell_forecast *cell; /* (cells), in the order of the sweep; owned */
  double steps;            /* expected of all members that remain; NaN: some cell has none */
} esc_run_forecast;

/* Takes about a second: scales beyond what can be done in that have no forecast. */
esc_status esc_run_forecast_create(const esc_run *run, esc_run_forecast *out);
void esc_run_forecast_free(esc_run_forecast *forecast);

/* Expected steps of every member of the plan, NaN without a forecast: *out (members), owned by
 * the caller. */
esc_status esc_run_forecast_members(const esc_run *run, double **out);

void esc_run_forecast_print(const esc_run *run, const esc_run_forecast *forecast);
json_t *esc_run_forecast_json(const esc_run *run, const esc_run_forecast *forecast);

#endif

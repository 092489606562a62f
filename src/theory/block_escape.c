/* When each mode escapes on the block reduction. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "block_path.h"
#include "escapement/theory.h"

static const double patience = 20; /* in the slowest mode's own time */

esc_status esc_block_predict(const esc_block_problem *p, double *decoupled, double *end) {
  esc_status status = ESC_OK;
  double longest = 0;
  for (int k = 0; k < p->modes; k++) {
    esc_escape_problem alone = {
        .activation = p->activation, .amplitude = p->amplitude[k], .layers = p->layers};
    esc_escape_times times;
    for (int l = 0; l < p->layers; l++) {
      alone.scale[l] = p->scale[k][l];
      if (alone.scale[l] < alone.scale[alone.layer]) alone.layer = l;
    }
    alone.to = fmax(0.5, 2 * alone.scale[alone.layer]);
    ESC_TRY(esc_escape(&alone, &times));
    decoupled[k] = times.closed;
    longest = fmax(longest, fmax(isfinite(times.closed) ? times.closed : 0,
                                 isfinite(times.ode) ? times.ode : 0));
  }
  *end = patience * longest;
done:
  return status;
}

/* |rate there - rate on a finer grid| over |rate|. */
static esc_status check_grid(const esc_block_path *path, const double *state, double *error) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(&path->upper);
  esc_block_grid fine = {0};
  esc_block_signals unused;
  double difference = 0, size = 0, rate[2][ESC_BLOCK_SIZE_MAX];
  ESC_TRY(esc_block_grid_create(&path->upper, 1.25, &fine));
  ESC_TRY(esc_block_flow(&path->upper, path->grid, state, rate[0], &unused));
  ESC_TRY(esc_block_flow(&path->upper, &fine, state, rate[1], &unused));
  for (int i = 0; i < n; i++) {
    difference = hypot(difference, rate[0][i] - rate[1][i]);
    size = hypot(size, rate[1][i]);
  }
  *error = difference / size;
done:
  esc_block_grid_free(&fine);
  return status;
}

/* The state where the first mode escaped; where the path stands, if none did. */
static const double *first_escape(const esc_block_path *path) {
  int first = -1;
  for (int i = 0; i < path->upper.modes; i++)
    if (isfinite(path->time[i]) && (first < 0 || path->time[i] < path->time[first])) first = i;
  return first < 0 ? N_VGetArrayPointer(path->y)
                   : path->state + first * esc_block_size(&path->upper);
}

esc_status esc_block_escape(const esc_block_problem *p, esc_block_times *out) {
  esc_status status = ESC_OK;
  esc_block_path path = {0};
  esc_block_grid grid = {0};
  double end;
  *out = (esc_block_times){.loss = (double)NAN};
  for (int k = 0; k < p->modes; k++) out->escape[k] = out->hermite[k] = (double)NAN;
  ESC_TRY(esc_block_predict(p, out->decoupled, &end));
  if (!(end > 0)) {
    snprintf(out->remark, sizeof out->remark, "no mode has a positive drive: none escapes");
    goto done;
  }
  ESC_TRY(esc_block_grid_create(p, 1, &grid));
  ESC_TRY(esc_block_path_open(p, &grid, &path));
  ESC_TRY(esc_block_path_run(&path, end));
  for (int k = 0; k < p->modes; k++) {
    out->escape[k] = path.time[k];
    out->hermite[k] = path.time[p->modes + k];
  }
  out->loss = path.time[ESC_BLOCK_LOSS];
  ESC_TRY(check_grid(&path, first_escape(&path), &out->quadrature_error));
  if (path.c3 == 0)
    snprintf(out->remark, sizeof out->remark,
             "c_3 = 0 for this activation: there is no hermite time");
done:
  esc_block_path_close(&path);
  esc_block_grid_free(&grid);
  return status;
}

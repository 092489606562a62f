/* The plateau's Jacobian and Duhamel's form: table and JSON. */
#include "cli/blocks_spectrum.h"

#include <math.h>
#include <stdio.h>

#include "cli/cli.h"

static double first_escape(const esc_block_problem *p, const esc_block_times *times) {
  double first = INFINITY;
  for (int k = 0; k < p->modes; k++) first = fmin(first, times->escape[k]); /* passes NaN over */
  return first;
}

esc_status esc_blocks_spectrum(const esc_block_problem *p, const esc_block_times *times,
                               esc_plateau_spectrum *out) {
  esc_status status = ESC_OK;
  int coordinate[2 * ESC_PAIRS_MAX];
  double state[2][ESC_BLOCK_SIZE_MAX];
  esc_block_grid grid = {0};
  const double first = first_escape(p, times);
  *out = (esc_plateau_spectrum){.modes = p->modes, .time = {0, first / 2}};
  if (p->level == ESC_BLOCK_DIAGONAL || p->modes < 2)
    return ESC_FAIL(ESC_BAD_INPUT, "--spectrum: needs two modes or more, at level 1 or 2");
  if (!isfinite(first)) return ESC_FAIL(ESC_BAD_INPUT, "--spectrum: no mode escapes");
  ESC_TRY(esc_block_pairs(p, &out->pairs, coordinate));
  ESC_TRY(esc_block_grid_create(p, 1, &grid));
  esc_block_start(p, state[0]);
  ESC_TRY(esc_block_states(p, &grid, 1, &out->time[1], state[1]));
  for (int i = 0; i < 2; i++) ESC_TRY(esc_block_spectrum(p, &grid, state[i], &out->schur[i]));
  ESC_TRY(
      esc_block_duhamel(p, &grid, 2 * out->pairs, coordinate, first, 0, NULL, out->duhamel, NULL));
done:
  esc_block_grid_free(&grid);
  return status;
}

/* Pair i of K(K-1), row by row without the diagonal: modes k and k', from 1. */
static void name_pair(const esc_plateau_spectrum *s, int i, int mode[2]) {
  const int row = i % s->pairs / (s->modes - 1), column = i % s->pairs % (s->modes - 1);
  mode[0] = row + 1;
  mode[1] = column + (column >= row) + 1;
}

static json_t *schur_json(double time, const esc_schur *s) {
  json_t *json = json_object();
  json_object_set_new(json, "time", json_real(time));
  json_object_set_new(json, "diagonal", json_boolean(s->diagonal));
  json_object_set_new(json, "positive", json_boolean(s->positive));
  json_object_set_new(json, "nonnegative", json_boolean(s->nonnegative));
  json_object_set_new(json, "holds", json_boolean(s->holds));
  json_object_set_new(json, "off_diagonal", esc_json_number(s->off_diagonal));
  json_object_set_new(json, "least_damping", esc_json_number(s->least_damping));
  json_object_set_new(json, "most_negative", esc_json_number(s->most_negative));
  json_object_set_new(json, "asymmetry", esc_json_number(s->asymmetry));
  json_object_set_new(json, "gain", esc_json_number(s->gain));
  json_object_set_new(json, "growth", esc_json_number(s->growth));
  json_object_set_new(json, "abscissa", esc_json_number(s->abscissa));
  return json;
}

json_t *esc_blocks_spectrum_json(const esc_plateau_spectrum *s) {
  json_t *json = json_object(), *jacobian = json_array(), *duhamel = json_array();
  for (int i = 0; i < 2; i++) json_array_append_new(jacobian, schur_json(s->time[i], &s->schur[i]));
  for (int i = 0; i < 2 * s->pairs; i++) {
    json_t *pair = json_object();
    int mode[2];
    name_pair(s, i, mode);
    json_object_set_new(pair, "variable", json_string(i < s->pairs ? "theta" : "omega"));
    json_object_set_new(pair, "modes", json_pack("[ii]", mode[0], mode[1]));
    json_object_set_new(pair, "alpha", esc_json_number(s->duhamel[i].alpha));
    json_object_set_new(pair, "beta", esc_json_number(s->duhamel[i].beta));
    json_object_set_new(pair, "until", esc_json_number(s->duhamel[i].until));
    json_array_append_new(duhamel, pair);
  }
  json_object_set_new(json, "jacobian", jacobian);
  json_object_set_new(json, "duhamel", duhamel);
  return json;
}

static void print_schur(double time, const esc_schur *s) {
  printf("t = %-10.6g D diagonal: %s (%.1e)  D > 0: %s (%.1e)  B, C >= 0: %s (%.1e)\n", time,
         s->diagonal ? "yes" : "no", s->off_diagonal, s->positive ? "yes" : "no", s->least_damping,
         s->nonnegative ? "yes" : "no", s->most_negative);
  printf("               largest real eigenvalue %.6g", s->abscissa);
  if (isfinite(s->gain)) printf("; loop gain %.6g", s->gain);
  if (isfinite(s->growth)) printf(", growth %.6g", s->growth);
  printf("%s\n", s->holds ? "" : " (the criterion's hypotheses do not hold)");
}

void esc_blocks_spectrum_print(const esc_plateau_spectrum *s) {
  printf("\nJacobian of (theta, omega), off-diagonals of layers 1 and 2; over its largest entry\n");
  for (int i = 0; i < 2; i++) print_schur(s->time[i], &s->schur[i]);
  printf(
      "\nDuhamel's form with coefficients frozen at the start: within 10%% until\n"
      "%4s %4s %12s %12s\n",
      "k", "k'", "theta", "omega");
  for (int i = 0; i < s->pairs; i++) {
    int mode[2];
    name_pair(s, i, mode);
    printf("%4d %4d %12.6g %12.6g\n", mode[0], mode[1], s->duhamel[i].until,
           s->duhamel[s->pairs + i].until);
  }
}

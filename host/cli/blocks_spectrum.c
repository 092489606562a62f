/* SPDX-License-Identifier: Apache-2.0 */
/* Jacobian of the plateau and Duhamel's formula: table and JSON. */
#include "cli/blocks_spectrum.h"

#include <math.h>
#include <stdio.h>

#include "cli/cli.h"

/* Indices of the two modes of entry i, counted from 1. */
static void name_pair(const esc_plateau_spectrum *s, int i, int mode[2]) {
  esc_plateau_spectrum_modes(s, i, mode);
  for (int k = 0; k < 2; k++) mode[k]++;
}

static json_t *schur_json(double time, const esc_schur *s) {
  json_t *json = json_object();
  json_object_set_new(json, "time", json_real(time));
  json_object_set_new(json, "diagonal", json_boolean(s->diagonal));
  json_object_set_new(json, "positive", json_boolean(s->positive));
  json_object_set_new(json, "nonnegative", json_boolean(s->nonnegative));
  json_object_set_new(json, "holds", json_boolean(s->holds));
  json_object_set_new(json, "off_diagonal", esc_json_number(s->off_diagonal));
  json_object_set_new(json, "least_damping", esc_json_number(s->min_damping));
  json_object_set_new(json, "most_negative", esc_json_number(s->min_coupling));
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
         s->diagonal ? "yes" : "no", s->off_diagonal, s->positive ? "yes" : "no", s->min_damping,
         s->nonnegative ? "yes" : "no", s->min_coupling);
  printf("               largest real eigenvalue %.6g", s->abscissa);
  if (isfinite(s->gain)) printf("; loop gain %.6g", s->gain);
  if (isfinite(s->growth)) printf(", growth %.6g", s->growth);
  printf("%s\n", s->holds ? "" : " (the criterion's hypotheses do not hold)");
}

void esc_blocks_spectrum_print(const esc_plateau_spectrum *s) {
  printf(
      "\nJacobian of (theta, omega), off-diagonal parts of layers 1 and 2; relative to its largest "
      "entry\n");
  for (int i = 0; i < 2; i++) print_schur(s->time[i], &s->schur[i]);
  printf(
      "\ntime up to which Duhamel's formula, with coefficients frozen at the start, is within "
      "10%%\n"
      "%4s %4s %12s %12s\n",
      "k", "k'", "theta", "omega");
  for (int i = 0; i < s->pairs; i++) {
    int mode[2];
    name_pair(s, i, mode);
    printf("%4d %4d %12.6g %12.6g\n", mode[0], mode[1], s->duhamel[i].until,
           s->duhamel[s->pairs + i].until);
  }
}

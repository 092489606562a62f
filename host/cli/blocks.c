/* SPDX-License-Identifier: Apache-2.0 */
/* escapement blocks: several modes on the exact block reduction (docs/theory, section 6). */
#include "escapement/blocks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/blocks_attribution.h"
#include "cli/blocks_spectrum.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "escapement/internal/number.h"
#include "escapement/internal/problem.h"

typedef struct request {
  const char *activation, *amplitudes, *scale, *scales, *threshold;
  int64_t layers, level, lower;
  bool attribution, spectrum, json, quiet;
} request;

/* Comma-separated numbers, up to the first character of `ends`, to which *text is advanced. */
static esc_status read_list(const char *name, const char **text, const char *ends, int max_count,
                            double *value, int *count) {
  char stop[8];
  snprintf(stop, sizeof stop, ",%s", ends);
  for (*count = 0;; ++*text) {
    const size_t length = strcspn(*text, stop);
    if (*count == max_count)
      return ESC_FAIL(ESC_BAD_INPUT, "--%s: at most %d numbers", name, max_count);
    const char *fault = length ? esc_number_parse(*text, length, &value[*count]) : "is missing";
    if (!fault && value[*count] == 0) fault = "must not be 0";
    if (fault)
      return ESC_FAIL(ESC_BAD_INPUT, "--%s: '%s' %s", name, esc_quote(*text, length).text, fault);
    ++*count;
    *text += length;
    if (**text != ',') return ESC_OK;
  }
}

/* A row of L scales for each mode; rows are separated by semicolons. */
static esc_status read_scales(const request *r, esc_block_problem *p) {
  esc_status status = ESC_OK;
  const char *text = r->scales;
  for (int k = 0; k < p->modes; k++) {
    int count;
    ESC_TRY(read_list("scales", &text, ";", ESC_LAYERS_MAX, p->scale[k], &count));
    if (count != p->layers || (*text == ';') != (k + 1 < p->modes))
      return ESC_FAIL(ESC_BAD_INPUT, "--scales: %d rows of %d scales, with ';' between rows",
                      p->modes, p->layers);
    text += *text == ';';
  }
done:
  return status;
}

static esc_status read_scale(const request *r, esc_block_problem *p) {
  esc_status status = ESC_OK;
  const char *text = r->scale;
  double scale;
  int count;
  if (r->scales) return read_scales(r, p);
  ESC_TRY(read_list("scale", &text, "", 1, &scale, &count));
  for (int k = 0; k < p->modes; k++)
    for (int l = 0; l < p->layers; l++) p->scale[k][l] = scale;
done:
  return status;
}

static esc_status check_scales(const esc_block_problem *p) {
  for (int k = 0; k < p->modes; k++)
    for (int l = 0; l < p->layers; l++)
      if (!(p->scale[k][l] > 0) || p->scale[k][l] > 10)
        return ESC_FAIL(ESC_BAD_INPUT, "--scale: %g is out of range; allowed: above 0, up to 10",
                        p->scale[k][l]);
  return ESC_OK;
}

static esc_status read_threshold(const request *r, esc_block_problem *p) {
  esc_status status = ESC_OK;
  const char *text = r->threshold;
  int count;
  if (!text) return ESC_OK;
  ESC_TRY(read_list("threshold", &text, "", 1, &p->threshold, &count));
  if (p->threshold < 0)
    status =
        ESC_FAIL(ESC_BAD_INPUT, "--threshold: %g is out of range; allowed: above 0", p->threshold);
done:
  return status;
}

static esc_status read_request(const request *r, esc_block_problem *p) {
  esc_status status = ESC_OK;
  const char *missing = !r->activation            ? "activation"
                        : !r->amplitudes          ? "amplitudes"
                        : !r->layers              ? "layers"
                        : !r->scale && !r->scales ? "scale"
                                                  : NULL;
  const char *text = r->amplitudes;
  if (missing)
    return ESC_FAIL(ESC_BAD_INPUT, "blocks: --%s is missing; see 'escapement blocks --help'",
                    missing);
  *p = (esc_block_problem){.layers = (int)r->layers, .level = (esc_block_level)r->level};
  if (!esc_activation_parse(r->activation, &p->activation))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--activation: %s is not an activation; see 'escapement classify --help'",
                    esc_quote(r->activation, strlen(r->activation)).text);
  ESC_TRY(read_list("amplitudes", &text, "", ESC_BLOCK_MODES_MAX, p->amplitude, &p->modes));
  ESC_TRY(read_scale(r, p));
  ESC_TRY(check_scales(p));
  ESC_TRY(read_threshold(r, p));
done:
  return status;
}

static json_t *numbers(int count, const double *value) {
  json_t *list = json_array();
  for (int k = 0; k < count; k++) json_array_append_new(list, esc_json_number(value[k]));
  return list;
}

static json_t *times_json(const esc_block_problem *p, const esc_block_times *t) {
  json_t *json = json_object();
  json_object_set_new(json, "level", json_integer(p->level));
  json_object_set_new(json, "escape", numbers(p->modes, t->escape));
  json_object_set_new(json, "hermite", numbers(p->modes, t->hermite));
  json_object_set_new(json, "escape_error", numbers(p->modes, t->escape_error));
  json_object_set_new(json, "hermite_error", numbers(p->modes, t->hermite_error));
  json_object_set_new(json, "decoupled", numbers(p->modes, t->decoupled));
  json_object_set_new(json, "quadrature_error", esc_json_number(t->quadrature_error));
  if (p->threshold > 0) {
    json_object_set_new(json, "loss", esc_json_number(t->loss));
    json_object_set_new(json, "loss_error", esc_json_number(t->loss_error));
  }
  json_object_set_new(json, "remark", json_string(t->note));
  return json;
}

static void print_time(double time) {
  if (isfinite(time))
    printf(" %16.9g", time);
  else
    printf(" %16s", "-");
}

static void print_text(const esc_block_problem *p, const esc_block_times *t) {
  printf("%4s %10s %16s %16s %16s\n", "mode", "amplitude", "S_k half", "H_k half", "alone");
  for (int k = 0; k < p->modes; k++) {
    printf("%4d %10.4g", k + 1, p->amplitude[k]);
    print_time(t->escape[k]);
    print_time(t->hermite[k]);
    print_time(t->decoupled[k]);
    printf("\n");
  }
  if (p->threshold > 0) {
    printf("loss below %g:", p->threshold);
    print_time(t->loss);
    printf("\n");
  }
  printf("largest relative error of these times: %.1e\n", t->quadrature_error);
  if (t->note[0]) printf("note: %s\n", t->note);
}

/* The same checks as in the library, with messages that name the options. */
static esc_status check_spectrum(const esc_block_problem *p, const esc_block_times *t) {
  bool escapes = false;
  if (p->level == ESC_BLOCK_DIAGONAL || p->modes < 2)
    return ESC_FAIL(ESC_BAD_INPUT, "--spectrum: requires at least two modes, and --level 1 or 2");
  for (int k = 0; k < p->modes; k++) escapes = escapes || isfinite(t->escape[k]);
  if (!escapes) return ESC_FAIL(ESC_BAD_INPUT, "--spectrum: no mode escapes");
  return ESC_OK;
}

static esc_status compute_and_print(const request *r, const esc_block_problem *problem) {
  esc_status status = ESC_OK;
  const esc_homotopy homotopy = {.problem = *problem, .lower = (esc_block_level)r->lower};
  esc_block_times times;
  esc_attribution a = {0};
  esc_plateau_spectrum spectrum;
  json_t *object = NULL;
  ESC_TRY(esc_block_times_compute(problem, &times));
  if (r->attribution) ESC_TRY(esc_blocks_attribute(&homotopy, r->quiet, &a));
  if (r->spectrum) ESC_TRY(check_spectrum(problem, &times));
  if (r->spectrum) ESC_TRY(esc_plateau_spectrum_compute(problem, &times, &spectrum));
  if (!r->json) {
    print_text(problem, &times);
    if (r->attribution) esc_blocks_attribution_print(&homotopy, &a);
    if (r->spectrum) esc_blocks_spectrum_print(&spectrum);
    goto done;
  }
  object = times_json(problem, &times);
  if (r->attribution)
    json_object_set_new(object, "attribution", esc_blocks_attribution_json(&homotopy, &a));
  if (r->spectrum) json_object_set_new(object, "spectrum", esc_blocks_spectrum_json(&spectrum));
  status = esc_json_print(object);
done:
  esc_attribution_free(&a);
  return status;
}

static const char summary[] =
    "Computes the escape times of the modes of T(x) = sum_k a_k sigma(v_k.x) for a\n"
    "block-initialised network of any width: the times at which S_k = E[(v_k.x) f]\n"
    "reaches a_k c_1 / 2, and at which H_k = E[He_3(v_k.x) f], which separates the\n"
    "modes, reaches a_k c_3 / 2. Level 2 is exact. The last column is the\n"
    "leading-order time of the mode alone. A time is '-' (null in JSON) if the event\n"
    "never happens; a note gives the reason. Errors are differences from a coarser\n"
    "grid and a looser solver tolerance: absolute in JSON (escape_error, ...), and\n"
    "one relative error for all times of the table.\n"
    "--attribution integrates dt_k/dlambda along the homotopy from --lower to\n"
    "--level: the contributions of the scales and of the off-diagonal part of each\n"
    "layer to the shift of the escape time.\n"
    "--spectrum computes the Jacobian J of (theta, omega), the off-diagonal parts of\n"
    "layers 1 and 2, at the start and at half the first escape time: hypotheses of\n"
    "the Schur-Perron criterion, its loop gain and growth rate, and the largest real\n"
    "eigenvalue of J; and the time up to which theta and omega agree with Duhamel's\n"
    "formula with coefficients frozen at the start.";

static esc_status parse(request *r, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"activation", 0, "NAME", "tanh, ..., or poly:a0,a1,...", .text = &r->activation,
       .words = esc_activation_words()},
      {"amplitudes", 0, "A1,..,AK", "amplitudes of the teacher, up to 8", .text = &r->amplitudes},
      {"layers", 0, "L", "number of weight layers", .number = &r->layers, .min = 2,
       .max = ESC_LAYERS_MAX},
      {"scale", 0, "S", "initial scale of all layers of all modes", .text = &r->scale},
      {"scales", 0, "ROWS", "initial scales S11,..,S1L;..: a row of L scales per mode",
       .text = &r->scales},
      {"level", 0, "0|1|2",
       "closure level: 0: scales only; 1: off-diagonal parts of layers 1 and 2; 2: all layers "
       "(default: 2)",
       .number = &r->level, .max = 2, .words = "0|1|2"},
      {"threshold", 0, "LOSS", "also print the time at which the loss falls below LOSS",
       .text = &r->threshold},
      {"attribution", 0, NULL,
       "also print the contribution of each layer to the shift from level --lower",
       .flag = &r->attribution},
      {"lower", 0, "0|1", "lower level of --attribution (default: 0)", .number = &r->lower,
       .max = 1, .words = "0|1"},
      {"spectrum", 0, NULL, "also print the Jacobian of the plateau, and Duhamel's formula",
       .flag = &r->spectrum},
      {"quiet", 'q', NULL, "no progress on standard error", .flag = &r->quiet},
      {"json", 0, NULL, "print one JSON object", .flag = &r->json},
      {0},
  };
  const esc_command command = {
      "blocks --activation NAME --amplitudes A1,..,AK --layers L --scale S [--level 0|1|2]",
      summary, .options = options};
  return esc_options_parse(&command, argc, argv, first, help);
}

esc_status esc_command_blocks(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool help = false;
  int first = 0;
  request r = {.level = 2};
  esc_block_problem problem;
  ESC_TRY(parse(&r, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "blocks: unexpected argument '%s'",
                    esc_quote(argv[first], strlen(argv[first])).text);
  ESC_TRY(read_request(&r, &problem));
  if (r.attribution && r.lower >= r.level)
    return ESC_FAIL(ESC_BAD_INPUT, "--lower: %d is not below --level %d", (int)r.lower,
                    (int)r.level);
  status = compute_and_print(&r, &problem);
done:
  return status;
}

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

/* Numbers between commas, up to the first of `ends`; *text is left there. */
static esc_status read_list(const char *name, const char **text, const char *ends, int most,
                            double *value, int *count) {
  char stop[8];
  snprintf(stop, sizeof stop, ",%s", ends);
  for (*count = 0;; ++*text) {
    const size_t length = strcspn(*text, stop);
    if (*count == most) return ESC_FAIL(ESC_BAD_INPUT, "--%s: at most %d numbers", name, most);
    const char *fault = length ? esc_number_parse(*text, length, &value[*count]) : "is missing";
    if (!fault && value[*count] == 0) fault = "must not be 0";
    if (fault)
      return ESC_FAIL(ESC_BAD_INPUT, "--%s: '%s' %s", name, esc_quote(*text, length).text, fault);
    ++*count;
    *text += length;
    if (**text != ',') return ESC_OK;
  }
}

/* One row of L scales for every mode, rows between semicolons. */
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
    return ESC_FAIL(ESC_BAD_INPUT, "blocks: needs --%s; see 'escapement blocks --help'", missing);
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
  json_object_set_new(json, "remark", json_string(t->remark));
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
  printf("relative error of these times, at most: %.1e\n", t->quadrature_error);
  if (t->remark[0]) printf("remark: %s\n", t->remark);
}

/* As options, before the library refuses the same of its arguments. */
static esc_status check_spectrum(const esc_block_problem *p, const esc_block_times *t) {
  bool escapes = false;
  if (p->level == ESC_BLOCK_DIAGONAL || p->modes < 2)
    return ESC_FAIL(ESC_BAD_INPUT, "--spectrum: needs two modes or more, at level 1 or 2");
  for (int k = 0; k < p->modes; k++) escapes = escapes || isfinite(t->escape[k]);
  if (!escapes) return ESC_FAIL(ESC_BAD_INPUT, "--spectrum: no mode escapes");
  return ESC_OK;
}

static esc_status tell(const request *r, const esc_block_problem *problem) {
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
    "Escape times of the modes of T(x) = sum_k a_k sigma(v_k.x) for a block-initialised network\n"
    "of any width: when S_k = E[(v_k.x) f] passes a_k c_1 / 2, and when E[He_3(v_k.x) f], which\n"
    "tells the modes apart, passes a_k c_3 / 2. Level 2 is exact. The last column is the\n"
    "leading-order time of the mode alone. What never happens is '-', null in JSON, and the "
    "remark\n"
    "gives the reason. The errors, absolute in JSON (escape_error, ..), are the change from a\n"
    "coarser grid and a looser solver; the relative one covers all times of the table.\n"
    "--attribution integrates dt_k/dlambda along the homotopy from the lower level to this one:\n"
    "what the scales, and the off-diagonal part of each layer, did to the shift. Progress and "
    "the\n"
    "time left are on stderr.\n"
    "--spectrum takes the Jacobian of (theta, omega), the off-diagonals of layers 1 and 2, at\n"
    "the start and at half the first escape time: the Schur-Perron criterion's hypotheses, its\n"
    "loop gain and growth rate, J's largest real eigenvalue; and until when theta and omega are\n"
    "what Duhamel's form with coefficients frozen at the start says.";

static esc_status parse(request *r, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"activation", 0, "A", "tanh, ..., or poly:a0,a1,...", .text = &r->activation,
       .words = esc_activation_words()},
      {"amplitudes", 0, "a1,..,aK", "the teacher's, up to 8", .text = &r->amplitudes},
      {"layers", 0, "L", "weight layers", .number = &r->layers, .min = 2, .max = ESC_LAYERS_MAX},
      {"scale", 0, "s", "of all layers of all modes at the start", .text = &r->scale},
      {"scales", 0, "s11,..,s1L;..", "or of each layer, a row for each mode", .text = &r->scales},
      {"level", 0, "0|1|2",
       "of the closure: scales alone; with the rest of layers 1 and 2; all (2)",
       .number = &r->level, .max = 2, .words = "0|1|2"},
      {"threshold", 0, "x", "also the time at which the loss falls below x", .text = &r->threshold},
      {"attribution", 0, NULL, "also the shift from a lower level, split by layer",
       .flag = &r->attribution},
      {"lower", 0, "0|1", "that lower level (0)", .number = &r->lower, .max = 1, .words = "0|1"},
      {"spectrum", 0, NULL, "also the plateau's Jacobian, and Duhamel's frozen form",
       .flag = &r->spectrum},
      {"quiet", 'q', NULL, "no progress on stderr", .flag = &r->quiet},
      {"json", 0, NULL, "one JSON object on stdout", .flag = &r->json},
      {0},
  };
  const esc_command command = {
      "blocks --activation A --amplitudes a1,..,aK --layers L --scale s [--level 0|1|2]", summary,
      .options = options};
  return esc_options_parse(&command, argc, argv, first, help);
}

esc_status esc_verb_blocks(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool help = false;
  int first = 0;
  request r = {.level = 2};
  esc_block_problem problem;
  ESC_TRY(parse(&r, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "blocks: does not take '%s'",
                    esc_quote(argv[first], strlen(argv[first])).text);
  ESC_TRY(read_request(&r, &problem));
  if (r.attribution && r.lower >= r.level)
    return ESC_FAIL(ESC_BAD_INPUT, "--lower: %d is not below --level %d", (int)r.lower,
                    (int)r.level);
  status = tell(&r, &problem);
done:
  return status;
}

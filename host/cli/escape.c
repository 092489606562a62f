/* SPDX-License-Identifier: Apache-2.0 */
/* escapement escape: escape times on the symmetric manifold (docs/theory, sections 3, 4). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "escapement/internal/number.h"
#include "escapement/internal/problem.h"
#include "escapement/theory.h"

typedef struct request {
  const char *activation, *amplitude, *scales, *to;
  int64_t layer; /* from 1 */
} request;

/* A number of `length` bytes at `text`, given to --name. */
static esc_status read_number(const char *name, const char *text, size_t length, double *value) {
  const char *fault = length ? esc_number_parse(text, length, value) : "is missing";
  if (!fault) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--%s: '%s' %s", name, esc_quote(text, length).text, fault);
}

static esc_status read_positive(const char *name, const char *text, size_t length, double *value) {
  const esc_status status = read_number(name, text, length, value);
  if (status != ESC_OK || *value > 0) return status;
  return ESC_FAIL(ESC_BAD_INPUT, "--%s: %s must be above 0", name, esc_quote(text, length).text);
}

static esc_status read_scales(const char *text, esc_escape_problem *problem) {
  esc_status status = ESC_OK;
  for (;; text++) {
    const size_t length = strcspn(text, ",");
    if (problem->layers == ESC_LAYERS_MAX)
      return ESC_FAIL(ESC_BAD_INPUT, "--scales: at most %d scales, one a layer", ESC_LAYERS_MAX);
    ESC_TRY(read_positive("scales", text, length, &problem->scale[problem->layers]));
    problem->layers++;
    text += length;
    if (*text == '\0') break;
  }
  if (problem->layers < 2)
    status =
        ESC_FAIL(ESC_BAD_INPUT, "--scales: 2 to %d scales, one a layer, 1 given", ESC_LAYERS_MAX);
done:
  return status;
}

/* Options without which there is nothing to compute. */
static esc_status need(const request *r) {
  const char *missing = !r->activation  ? "activation"
                        : !r->amplitude ? "amplitude"
                        : !r->scales    ? "scales"
                        : !r->to        ? "to"
                                        : NULL;
  if (!missing) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "escape: needs --%s; see 'escapement escape --help'", missing);
}

static esc_status read_request(const request *r, esc_escape_problem *problem) {
  esc_status status = ESC_OK;
  *problem = (esc_escape_problem){.layer = (int)r->layer - 1};
  ESC_TRY(need(r));
  if (!esc_activation_parse(r->activation, &problem->activation))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--activation: %s is not an activation; see 'escapement classify --help'",
                    esc_quote(r->activation, strlen(r->activation)).text);
  ESC_TRY(read_number("amplitude", r->amplitude, strlen(r->amplitude), &problem->amplitude));
  ESC_TRY(read_scales(r->scales, problem));
  ESC_TRY(read_positive("to", r->to, strlen(r->to), &problem->to));
  if (problem->layer >= problem->layers)
    status = ESC_FAIL(ESC_BAD_INPUT, "--layer %d: there are %d layers, counted from 1",
                      problem->layer + 1, problem->layers);
done:
  return status;
}

static esc_status print_json(const esc_escape_times *times, const esc_critical_depth *depth) {
  json_t *object = json_object();
  json_object_set_new(object, "ode", esc_json_number(times->ode));
  json_object_set_new(object, "closed", esc_json_number(times->closed));
  json_object_set_new(object, "corrected", esc_json_number(times->corrected));
  json_object_set_new(object, "drive", esc_json_number(times->drive));
  json_object_set_new(object, "remark", json_string(times->remark));
  json_object_set_new(object, "bottleneck", json_integer(depth->r));
  json_object_set_new(object, "exponent", json_real(depth->exponent));
  json_object_set_new(object, "hierarchy", esc_json_number(depth->hierarchy));
  return esc_json_print(object);
}

static void print_time(const char *name, double time, const char *meaning) {
  if (isfinite(time))
    printf("%-10s %-16.10g %s\n", name, time, meaning);
  else
    printf("%-10s %-16s %s\n", name, "-", meaning);
}

static void print_text(const esc_escape_times *times, const esc_critical_depth *depth) {
  print_time("ode", times->ode, "the reduced ODE");
  print_time("closed", times->closed, "leading order");
  print_time("corrected", times->corrected, "leading order, corrected");
  print_time("drive", times->drive, "leading order: a c_1 a_1^(L-1) prod s_l");
  printf("%-10s %-16d layers at the smallest scale: t* ~ scale^%g%s", "bottleneck", depth->r,
         depth->exponent, depth->logarithmic ? " log(1/scale)" : "");
  if (isfinite(depth->hierarchy))
    printf(", the next larger scale is %.3g times it", depth->hierarchy);
  printf("\n");
  if (times->remark[0]) printf("remark     %s\n", times->remark);
}

static const char summary[] =
    "Time until a layer's scale first rises to s on the symmetric manifold (0 if it is there at\n"
    "the start), three ways:\n"
    "  ode        the reduced ODE, integrated whatever the sign of the leading order's drive "
    "and\n"
    "             through changes of sign of the scales; '-' (null in JSON) where nothing "
    "crosses\n"
    "  closed     the leading order in closed form, where its drive is positive\n"
    "  corrected  closed with the next order in u = (s_1 ... s_L)^(1/L) for equal scales, or "
    "with\n"
    "             the drive through large layers before small ones\n"
    "The remark states why a time is missing, how a trajectory without crossing ends, and that\n"
    "corrected is rough where the terms that it leaves out change its time by over 10%.";

static esc_status parse(request *r, bool *json, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"activation", 0, "A", "tanh, ..., or poly:a0,a1,...", .text = &r->activation,
       .words = esc_activation_words()},
      {"amplitude", 0, "a", "the teacher's", .text = &r->amplitude},
      {"scales", 0, "s1,..,sL", "of the layers at the start", .text = &r->scales},
      {"to", 0, "s", "escape is where the layer's scale is s", .text = &r->to},
      {"layer", 0, "l", "which layer (1)", .number = &r->layer, .min = 1, .max = ESC_LAYERS_MAX},
      {"json", 0, NULL, "one JSON object on stdout", .flag = json},
      {0},
  };
  const esc_command command = {
      "escape --activation A --amplitude a --scales s1,..,sL --to s [--layer l]", summary,
      .options = options};
  return esc_options_parse(&command, argc, argv, first, help);
}

esc_status esc_verb_escape(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, help = false;
  int first = 0;
  request r = {.layer = 1};
  esc_escape_problem problem;
  esc_escape_times times;
  ESC_TRY(parse(&r, &json, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "escape: does not take '%s'",
                    esc_quote(argv[first], strlen(argv[first])).text);
  ESC_TRY(read_request(&r, &problem));
  ESC_TRY(esc_escape_times_compute(&problem, &times));
  const esc_critical_depth depth =
      esc_critical_depth_of(problem.layers, problem.scale, ESC_BOTTLENECK_SPREAD);
  if (json)
    ESC_TRY(print_json(&times, &depth));
  else
    print_text(&times, &depth);
done:
  return status;
}

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
  const char *activation, *amplitude, *scales, *to, *momentum, *rate, *decay;
  int64_t layer; /* from 1 */
} request;

/* The numbers to print; critical only with decay. */
typedef struct answer {
  esc_escape_times times;
  esc_critical_depth depth;
  esc_critical_decay critical;
} answer;

/* Reads the value of option --name, `length` bytes at `text`. */
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

/* 0 without the option; at least 0 and, for `below` > 0, below that. */
static esc_status read_optional(const char *name, const char *text, double below, double *value) {
  esc_status status = ESC_OK;
  *value = 0;
  if (!text) return ESC_OK;
  ESC_TRY(read_number(name, text, strlen(text), value));
  if (!(*value >= 0))
    return ESC_FAIL(ESC_BAD_INPUT, "--%s: %s must not be below 0", name,
                    esc_quote(text, strlen(text)).text);
  if (below > 0 && !(*value < below))
    return ESC_FAIL(ESC_BAD_INPUT, "--%s: %s must be below %g", name,
                    esc_quote(text, strlen(text)).text, below);
done:
  return status;
}

static esc_status read_optimizer(const request *r, esc_escape_problem *problem) {
  esc_status status = ESC_OK;
  ESC_TRY(read_optional("momentum", r->momentum, 1, &problem->momentum));
  ESC_TRY(read_optional("rate", r->rate, 0, &problem->rate));
  ESC_TRY(read_optional("decay", r->decay, 0, &problem->decay));
done:
  return status;
}

static esc_status read_scales(const char *text, esc_escape_problem *problem) {
  esc_status status = ESC_OK;
  for (;; text++) {
    const size_t length = strcspn(text, ",");
    if (problem->layers == ESC_LAYERS_MAX)
      return ESC_FAIL(ESC_BAD_INPUT, "--scales: at most %d scales, one per layer", ESC_LAYERS_MAX);
    ESC_TRY(read_positive("scales", text, length, &problem->scale[problem->layers]));
    problem->layers++;
    text += length;
    if (*text == '\0') break;
  }
  if (problem->layers < 2)
    status =
        ESC_FAIL(ESC_BAD_INPUT, "--scales: 2 to %d scales, one per layer; 1 given", ESC_LAYERS_MAX);
done:
  return status;
}

static esc_status check_required(const request *r) {
  const char *missing = !r->activation  ? "activation"
                        : !r->amplitude ? "amplitude"
                        : !r->scales    ? "scales"
                        : !r->to        ? "to"
                                        : NULL;
  if (!missing) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "escape: --%s is missing; see 'escapement escape --help'",
                  missing);
}

static esc_status read_request(const request *r, esc_escape_problem *problem) {
  esc_status status = ESC_OK;
  *problem = (esc_escape_problem){.layer = (int)r->layer - 1};
  ESC_TRY(check_required(r));
  if (!esc_activation_parse(r->activation, &problem->activation))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--activation: %s is not an activation; see 'escapement classify --help'",
                    esc_quote(r->activation, strlen(r->activation)).text);
  ESC_TRY(read_number("amplitude", r->amplitude, strlen(r->amplitude), &problem->amplitude));
  ESC_TRY(read_scales(r->scales, problem));
  ESC_TRY(read_positive("to", r->to, strlen(r->to), &problem->to));
  ESC_TRY(read_optimizer(r, problem));
  if (problem->layer >= problem->layers)
    status = ESC_FAIL(ESC_BAD_INPUT, "--layer %d: there are %d layers, counted from 1",
                      problem->layer + 1, problem->layers);
done:
  return status;
}

/* The end of a start with decay; without a critical decay it would not escape without decay either,
 * or that is not known. */
static const char *verdict(const answer *a) {
  if (isfinite(a->times.ode)) return "escapes";
  if (a->times.undecided) return "undecided";
  return a->times.decays && isfinite(a->critical.ode)
             ? "does not escape: decay keeps the origin stable"
             : "does not escape";
}

/* In steps of the given rate; NaN without one. */
static double steps_of(const esc_escape_problem *p, const esc_escape_times *times) {
  return p->rate > 0 ? times->ode / p->rate : (double)NAN;
}

static esc_status print_json(const esc_escape_problem *p, const answer *a) {
  const esc_escape_times *times = &a->times;
  const esc_critical_depth *depth = &a->depth;
  const bool decay = p->decay > 0;
  json_t *object = json_object();
  json_object_set_new(object, "ode", esc_json_number(times->ode));
  json_object_set_new(object, "closed", esc_json_number(times->closed));
  json_object_set_new(object, "corrected", esc_json_number(times->corrected));
  json_object_set_new(object, "drive", esc_json_number(times->drive));
  json_object_set_new(object, "remark", json_string(times->note));
  json_object_set_new(object, "bottleneck", json_integer(depth->r));
  json_object_set_new(object, "exponent", json_real(depth->exponent));
  json_object_set_new(object, "hierarchy", esc_json_number(depth->hierarchy));
  json_object_set_new(object, "steps", esc_json_number(steps_of(p, times)));
  json_object_set_new(object, "critical_decay",
                      esc_json_number(decay ? a->critical.ode : (double)NAN));
  json_object_set_new(object, "critical_decay_closed",
                      esc_json_number(decay ? a->critical.closed : (double)NAN));
  json_object_set_new(object, "verdict", json_string(decay ? verdict(a) : ""));
  return esc_json_print(object);
}

static void print_time(const char *name, double time, const char *meaning) {
  if (isfinite(time))
    printf("%-10s %-16.10g %s\n", name, time, meaning);
  else
    printf("%-10s %-16s %s\n", name, "-", meaning);
}

static void print_decay(const answer *a) {
  print_time("critical", a->critical.ode, "critical decay lambda_c, by the reduced ODE");
  print_time("", a->critical.closed, "critical decay at leading order");
  printf("verdict    %s", verdict(a));
  if (isfinite(a->critical.ode)) printf("; critical decay lambda_c = %.10g", a->critical.ode);
  printf("\n");
}

static void print_text(const esc_escape_problem *p, const answer *a) {
  const esc_escape_times *times = &a->times;
  const esc_critical_depth *depth = &a->depth;
  print_time("ode", times->ode, "the reduced ODE");
  if (p->rate > 0) print_time("steps", steps_of(p, times), "ode / rate");
  print_time("closed", times->closed, "leading order");
  print_time("corrected", times->corrected, "leading order, corrected");
  print_time("drive", times->drive, "leading order: a c_1 a_1^(L-1) prod s_l");
  printf("%-10s %-16d layers at the smallest scale: t* ~ scale^%g%s%s", "bottleneck", depth->r,
         depth->exponent, depth->logarithmic ? " log(1/scale)" : "",
         p->decay > 0 ? " without decay" : "");
  if (isfinite(depth->hierarchy))
    printf("; the next larger scale is %.3g times larger", depth->hierarchy);
  printf("\n");
  if (p->decay > 0) print_decay(a);
  if (times->note[0]) printf("note       %s\n", times->note);
}

static const char summary[] =
    "Computes the time at which the scale of a layer first reaches S on the symmetric\n"
    "manifold (0 if it starts there), by three methods:\n"
    "  ode        integrates the reduced ODE, for either sign of the leading-order\n"
    "             drive and through sign changes of the scales; '-' (null in JSON) if\n"
    "             the scale never reaches S\n"
    "  closed     leading order in closed form; requires a positive drive\n"
    "  corrected  closed with the next order in u = (s_1 ... s_L)^(1/L) for equal\n"
    "             scales, or with the drive through large layers before small ones\n"
    "A note gives the reason for a missing time and the end of a trajectory without\n"
    "crossing, and warns if neglected terms change 'corrected' by more than 10%.\n"
    "\n"
    "Time is steps times the learning rate. With heavy-ball momentum beta and weight\n"
    "decay lambda, added to the gradient, and F_l the right-hand side without them:\n"
    "  without --rate  (1 - beta) s_l' = F_l - lambda s_l\n"
    "  with --rate     eta (1 + beta)/2 s_l'' + (1 - beta) s_l' = F_l - lambda s_l\n"
    "'closed' is the leading order in the rate too. With decay, 'critical' is the\n"
    "largest decay with which the scale still reaches S, by bisection ('-' if S is\n"
    "not reached without decay, or an integration is undecided), and a verdict states\n"
    "whether this start does.";

static esc_status parse(request *r, bool *json, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"activation", 0, "NAME", "tanh, ..., or poly:a0,a1,...", .text = &r->activation,
       .words = esc_activation_words()},
      {"amplitude", 0, "A", "amplitude of the teacher", .text = &r->amplitude},
      {"scales", 0, "S1,..,SL", "initial scales of the layers", .text = &r->scales},
      {"to", 0, "S", "scale that defines the escape", .text = &r->to},
      {"layer", 0, "N", "index of the layer, from 1 (default: 1)", .number = &r->layer, .min = 1,
       .max = ESC_LAYERS_MAX},
      {"momentum", 0, "BETA", "heavy-ball momentum, 0 <= BETA < 1 (default: 0)",
       .text = &r->momentum},
      {"rate", 0, "ETA", "learning rate of the second-order flow (default: its limit at 0)",
       .text = &r->rate},
      {"decay", 0, "LAMBDA", "weight decay (default: 0)", .text = &r->decay},
      {"json", 0, NULL, "print one JSON object", .flag = json},
      {0},
  };
  const esc_command command = {
      "escape --activation NAME --amplitude A --to S --scales S1,..,SL [--layer N]"
      " [--momentum BETA] [--rate ETA] [--decay LAMBDA]",
      summary, .options = options};
  return esc_options_parse(&command, argc, argv, first, help);
}

esc_status esc_command_escape(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, help = false;
  int first = 0;
  request r = {.layer = 1};
  esc_escape_problem problem;
  answer a = {0};
  ESC_TRY(parse(&r, &json, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "escape: unexpected argument '%s'",
                    esc_quote(argv[first], strlen(argv[first])).text);
  ESC_TRY(read_request(&r, &problem));
  ESC_TRY(esc_escape_times_compute(&problem, &a.times));
  a.depth = esc_critical_depth_compute(problem.layers, problem.scale, ESC_BOTTLENECK_SPREAD);
  if (problem.decay > 0) ESC_TRY(esc_critical_decay_compute(&problem, &a.critical));
  if (json)
    ESC_TRY(print_json(&problem, &a));
  else
    print_text(&problem, &a);
done:
  return status;
}

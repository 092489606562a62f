/* SPDX-License-Identifier: Apache-2.0 */
/* escapement observe: observables of recorded weights, as a table, JSON or CSV. */
#include "run/observe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_kind.h"
#include "base/io.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "spec/schema.h"

/* Columns of the table; JSON and CSV have every observable. */
static const esc_observable_index shown[] = {
    ESC_OBSERVABLE_evaluation_loss, ESC_OBSERVABLE_signal,
    ESC_OBSERVABLE_signal_error,    ESC_OBSERVABLE_signal_gradient2,
    ESC_OBSERVABLE_bottleneck_norm, ESC_OBSERVABLE_manifold_distance};
static const char *const shown_heading[] = {"loss", "S", "error of S", "Q", "m", "distance"};
enum { SHOWN = sizeof shown / sizeof shown[0] };

static const double *find_values(const esc_weights_observations *o, int64_t i, int observable) {
  return o->row + i * o->length + esc_observable_offset(o->layers, observable);
}

static int count_values(const esc_weights_observations *o, int observable) {
  return esc_observable_length(o->layers, esc_observables[observable].axis);
}

/* ---- text ---- */

static void print_text(const esc_weights_observations *o) {
  printf("%8s %10s %2s %10s  %-9s %10s %9s", "member", "seed", "r", "scale", "weights", "step",
         "threshold");
  for (int k = 0; k < SHOWN; k++) printf(" %11s", shown_heading[k]);
  putchar('\n');
  for (int64_t i = 0; i < o->count; i++) {
    const esc_weights_source *s = &o->source[i];
    printf("%8lld %10lld %2d %10.4g  %-9s", (long long)s->member, (long long)s->seed, s->bottleneck,
           s->scale, esc_weights_word(s->kind));
    if (s->step < 0)
      printf(" %10s", "-");
    else
      printf(" %10lld", (long long)s->step);
    if (isnan(s->threshold))
      printf(" %9s", "-");
    else
      printf(" %9.4g", s->threshold);
    for (int k = 0; k < SHOWN; k++) printf(" %11.5g", *find_values(o, i, (int)shown[k]));
    putchar('\n');
  }
}

/* ---- JSON ---- */

static json_t *observables_to_json(const esc_weights_observations *o, int64_t i) {
  json_t *json = json_object();
  for (int k = 0; k < ESC_OBSERVABLES; k++) {
    const double *value = find_values(o, i, k);
    json_t *list = json_array();
    for (int v = 0; v < count_values(o, k); v++)
      json_array_append_new(list, esc_json_number(value[v]));
    if (esc_observables[k].axis == ESC_AXIS_NONE)
      json_object_set(json, esc_observables[k].name, json_array_get(list, 0));
    else
      json_object_set(json, esc_observables[k].name, list);
    json_decref(list);
  }
  return json;
}

static esc_status print_json(const char *path, const esc_weights_observations *o) {
  json_t *json = json_object(), *networks = json_array();
  for (int64_t i = 0; i < o->count; i++) {
    const esc_weights_source *s = &o->source[i];
    json_t *one = json_object();
    json_object_set_new(one, "member", json_integer(s->member));
    json_object_set_new(one, "seed", json_integer(s->seed));
    json_object_set_new(one, "bottleneck", json_integer(s->bottleneck));
    json_object_set_new(one, "scale", json_real(s->scale));
    json_object_set_new(one, "weights", json_string(esc_weights_word(s->kind)));
    json_object_set_new(one, "step", s->step < 0 ? json_null() : json_integer(s->step));
    json_object_set_new(one, "threshold", esc_json_number(s->threshold));
    json_object_set_new(one, "observables", observables_to_json(o, i));
    json_array_append_new(networks, one);
  }
  json_object_set_new(json, "file", esc_json_text(path));
  json_object_set_new(json, "networks", networks);
  return esc_json_print(json);
}

/* ---- CSV ---- */

/* A column for each observable, and for each layer or interface from 1: operator_norm_1. */
static void write_heading(FILE *out, const esc_weights_observations *o) {
  fputs("member,seed,bottleneck,scale,weights,step,threshold", out);
  for (int k = 0; k < ESC_OBSERVABLES; k++)
    for (int v = 0; v < count_values(o, k); v++)
      if (esc_observables[k].axis == ESC_AXIS_NONE)
        fprintf(out, ",%s", esc_observables[k].name);
      else
        fprintf(out, ",%s_%d", esc_observables[k].name, v + 1);
  fputs("\n", out);
}

/* A missing number is an empty field. */
static void write_number(FILE *out, double value) {
  fputs(",", out);
  if (!isnan(value)) fprintf(out, "%.17g", value);
}

static void write_row(FILE *out, const esc_weights_observations *o, int64_t i) {
  const esc_weights_source *s = &o->source[i];
  fprintf(out, "%lld,%lld,%d,%.17g,%s,", (long long)s->member, (long long)s->seed, s->bottleneck,
          s->scale, esc_weights_word(s->kind));
  if (s->step >= 0) fprintf(out, "%lld", (long long)s->step);
  write_number(out, s->threshold);
  for (int v = 0; v < o->length; v++) write_number(out, o->row[i * o->length + v]);
  fputs("\n", out);
}

static esc_status write_csv(const char *path, const esc_weights_observations *o) {
  esc_status status = ESC_OK;
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  ESC_TRY_ALLOCATE(out);
  write_heading(out, o);
  for (int64_t i = 0; i < o->count; i++) write_row(out, o, i);
  if (fclose(out) != 0) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (%s)", path);
  ESC_TRY(esc_io_publish(path, text, size));
done:
  free(text);
  return status;
}

/* ---- the command ---- */

typedef struct request {
  const char *file, *spec, *output, *kind, *match;
  bool json;
} request;

/* Index of a word of the spec's key. */
static esc_status find_word(const char *option, const char *key, const char *text, int *index) {
  *index = esc_choice_find(esc_schema_find(key)->choices, text);
  if (*index >= 0) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--%s %s: allowed: %s", option, esc_quote(text, strlen(text)).text,
                  esc_schema_allowed(esc_schema_find(key)).text);
}

/* The spec of --spec, whose networks are those of the file. */
static esc_status load_spec(const request *r, esc_spec **out) {
  esc_status status = ESC_OK;
  esc_spec *spec = NULL;
  int kind, match;
  ESC_TRY(find_word("weights", "init.weights", r->kind, &kind));
  ESC_TRY(find_word("match", "init.match", r->match, &match));
  ESC_TRY(esc_spec_load(r->spec, 0, NULL, &spec));
  free(spec->init.path);
  spec->init = (esc_init_file){.kind = (esc_weights_kind)kind, .match = (esc_init_match)match};
  ESC_TRY_ALLOCATE(spec->init.path = strdup(r->file));
  *out = spec;
  spec = NULL;
done:
  esc_spec_free(spec);
  return status;
}

static esc_status observe(const request *r, esc_weights_observations *out) {
  esc_status status = ESC_OK;
  esc_spec *spec = NULL;
  const bool archive = esc_file_kind_at(r->file) == ESC_FILE_OTHER && esc_io_exists(r->file);
  if (archive && !r->spec)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: is no result; an .npz file needs --spec, the spec of its networks",
                    r->file);
  if (!archive && r->spec) ESC_TRY(esc_spec_load(r->spec, 0, NULL, &spec));
  if (archive) ESC_TRY(load_spec(r, &spec));
  status = archive ? esc_weights_observe_file(spec, out)
                   : esc_weights_observe_result(r->file, spec, out);
done:
  esc_spec_free(spec);
  return status;
}

esc_status esc_command_observe(int argc, char **argv) {
  esc_status status = ESC_OK;
  request r = {.kind = "end", .match = "key"};
  bool help = false;
  int first = 0;
  esc_weights_observations found = {0};
  const esc_option options[] = {
      {"spec", 0, "SPEC", "spec of the networks (default: the result's)", .text = &r.spec,
       .suffixes = "yaml|yml"},
      {"weights", 0, "W", "of an .npz file: start or end (default: end)", .text = &r.kind,
       .words = "start|end"},
      {"match", 0, "M", "of an .npz file: as init.match (default: key)", .text = &r.match,
       .words = "key|index|single"},
      {"output", 'o', "FILE", "write every observable to this .csv file", .text = &r.output,
       .suffixes = "csv"},
      {"json", 0, NULL, "print one JSON object, with every observable", .flag = &r.json},
      {0},
  };
  const esc_command command = {
      "observe FILE [--spec SPEC] [-o OUT.csv]",
      "Computes the observables of snapshots from weights: those of a result with\n"
      "record.weights, or of a NumPy .npz file, which needs --spec.",
      .options = options, .suffixes = ESC_RESULT_SUFFIXES "|npz"};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 1) return ESC_FAIL(ESC_BAD_INPUT, "observe: one file is required");
  r.file = argv[first];
  if (r.output) ESC_TRY(esc_output_check(r.output, "CSV", "csv", false));
  if (r.output) ESC_TRY(esc_io_check_writable(r.output));
  ESC_TRY(observe(&r, &found));
  if (r.output) ESC_TRY(write_csv(r.output, &found));
  if (r.json)
    status = print_json(r.file, &found);
  else if (!r.output)
    print_text(&found);
done:
  esc_weights_observations_free(&found);
  return status;
}

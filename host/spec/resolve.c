/* SPDX-License-Identifier: Apache-2.0 */
/* The resolved spec: every key, default and scale, as YAML that parses to the same spec. It is
 * stored in results and identifies the sweep, so it depends on the spec alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/library.h"
#include "escapement/internal/number.h"
#include "spec/schema.h"
#include "spec/spec.h"

static void print_number(FILE *out, double value) {
  char text[ESC_NUMBER_SIZE];
  esc_number_print(value, text, sizeof text);
  fputs(text, out);
}

static void print_numbers(FILE *out, int count, const double *value) {
  for (int i = 0; i < count; i++) {
    fputs(i == 0 ? "[" : ", ", out);
    print_number(out, value[i]);
  }
  fputs("]", out);
}

/* Printable text in double quotes, which every YAML parser reads as text. */
static void print_text(FILE *out, const char *text) {
  putc('"', out);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') putc('\\', out);
    putc(*text, out);
  }
  putc('"', out);
}

/* The schema's word for an enumerator. */
static void print_word(FILE *out, const char *path, int index) {
  int length;
  const char *word = esc_choice_get(esc_schema_find(path)->choices, index, &length);
  fprintf(out, "%.*s\n", length, word);
}

static void print_network(FILE *out, const esc_problem *p) {
  char activation[ESC_POLYNOMIAL_TERMS_MAX * ESC_NUMBER_SIZE];
  esc_activation_print(&p->activation, activation, sizeof activation);
  fprintf(out, "network:\n  layers: %d\n  width: %d\n  inputs: %d\n  activation: ", p->shape.layers,
          p->shape.width, p->shape.inputs);
  print_text(out, activation);
  fputs("\n", out);
}

static void print_teacher(FILE *out, const esc_teacher *teacher) {
  fputs("teacher:\n  amplitudes: ", out);
  print_numbers(out, teacher->modes, teacher->amplitude);
  fputs("\n  directions: ", out);
  print_word(out, "teacher.directions", (int)teacher->directions);
}

static void print_init_file(FILE *out, const esc_init_file *init) {
  fputs("  file: ", out);
  print_text(out, init->path);
  fputs("\n  weights: ", out);
  print_word(out, "init.weights", (int)init->kind);
  if (init->kind == ESC_WEIGHTS_SNAPSHOTS) fprintf(out, "  step: %lld\n", (long long)init->step);
  if (init->kind == ESC_WEIGHTS_ESCAPE) {
    fputs("  threshold: ", out);
    print_number(out, init->threshold);
    fputs("\n", out);
  }
  fputs("  match: ", out);
  print_word(out, "init.match", (int)init->match);
  if (init->checksum[0]) fprintf(out, "  checksum: \"%s\"\n", init->checksum);
}

static void print_init(FILE *out, const esc_spec *spec) {
  const esc_problem *p = &spec->problem;
  const int layers = p->shape.layers;
  fputs("init:\n  scheme: ", out);
  print_word(out, "init.scheme", (int)p->scheme);
  if (p->scheme == ESC_SCHEME_FILE) {
    print_init_file(out, &spec->init);
    return;
  }
  fputs(p->scale_modes > 1 ? "  scales: [" : "  scales: ", out);
  for (int k = 0; k < p->scale_modes; k++) {
    if (k > 0) fputs(", ", out);
    print_numbers(out, layers, p->scale + (size_t)k * (size_t)layers);
  }
  fputs(p->scale_modes > 1 ? "]\n" : "\n", out);
}

static void print_key(FILE *out, const char *key, double value) {
  fprintf(out, "  %s: ", key);
  print_number(out, value);
  fputs("\n", out);
}

/* Nothing for plain gradient descent, so that runs of version 0.1 can be continued. Keys that the
 * optimizer does not read are not allowed. */
static void print_optimizer(FILE *out, const esc_optimizer *o) {
  if (o->kind == ESC_OPTIMIZER_ADAM) {
    fputs("  optimizer: adam\n", out);
    print_key(out, "adam_beta1", o->adam_beta1);
    print_key(out, "adam_beta2", o->adam_beta2);
    print_key(out, "adam_epsilon", o->adam_epsilon);
  }
  if (o->momentum != 0) print_key(out, "momentum", o->momentum);
  if (o->nesterov) fputs("  nesterov: true\n", out);
  if (o->weight_decay != 0) print_key(out, "weight_decay", o->weight_decay);
  if (o->decoupled) fputs("  decoupled_decay: true\n", out);
}

/* huber_delta is not allowed with another loss. */
static void print_train(FILE *out, const esc_problem *p) {
  fputs("train:\n  metric: ", out);
  print_word(out, "train.metric", (int)p->metric);
  fputs("  rate: ", out);
  print_number(out, p->rate);
  fprintf(out, "\n  batch: %d\n  steps: %lld\n  loss: ", p->batch, (long long)p->steps);
  print_word(out, "train.loss", (int)p->loss);
  if (p->loss == ESC_LOSS_HUBER) print_key(out, "huber_delta", p->huber_delta);
  print_optimizer(out, &p->optimizer);
  fputs("  update: ", out);
  print_word(out, "train.update", (int)p->update);
}

static void print_escape(FILE *out, const esc_spec *spec) {
  fputs("escape:\n  thresholds: ", out);
  print_numbers(out, spec->problem.thresholds, spec->problem.threshold);
  fputs("\n  smoothing: ", out);
  print_number(out, spec->problem.smoothing);
  fputs("\n  false_escapes: ", out);
  print_word(out, "escape.false_escapes", spec->allow_false_escapes);
}

static void print_group(FILE *out, const esc_group *group) {
  const char *separator = "";
  fprintf(out, "    - bottleneck: %d\n      scales: ", group->bottleneck);
  print_numbers(out, group->scales, group->scale);
  fputs("\n      layers: [", out);
  for (int l = 0; l < ESC_LAYERS_MAX; l++)
    if (group->small_layers >> l & 1) {
      fprintf(out, "%s%d", separator, l + 1);
      separator = ", ";
    }
  fputs("]\n", out);
}

/* Left out without weights, as in files of versions without this key. */
static void print_weights(FILE *out, const esc_record *record) {
  const char *separator = "  weights: [";
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++) {
    if (!(record->weights >> k & 1)) continue;
    fprintf(out, "%s%s", separator, esc_weights_word((esc_weights_kind)k));
    separator = ", ";
  }
  if (record->weights) fputs("]\n", out);
}

static void print_spec(FILE *out, const esc_spec *spec) {
  fputs("name: ", out);
  print_text(out, spec->name);
  fputs("\n", out);
  print_network(out, &spec->problem);
  print_teacher(out, &spec->problem.teacher);
  print_init(out, spec);
  print_train(out, &spec->problem);
  print_escape(out, spec);
  fprintf(out, "sweep:\n  seeds: %lld\n  seed: %llu\n  groups:\n", (long long)spec->seeds,
          (unsigned long long)spec->seed);
  for (int g = 0; g < spec->groups; g++) print_group(out, &spec->group[g]);
  fprintf(out, "record:\n  every: %lld\n  per_decade: %d\n  samples: %d\n",
          (long long)spec->record.every, spec->record.per_decade, spec->record.samples);
  print_weights(out, &spec->record);
}

char *esc_spec_resolved(const esc_spec *spec) {
  char *text = NULL;
  size_t length = 0;
  if (spec->grid) return strdup(spec->grid->resolved);
  FILE *out = open_memstream(&text, &length);
  if (!out) return NULL;
  const esc_library_scope scope = esc_library_enter(); /* numbers with a decimal point */
  print_spec(out, spec);
  esc_library_leave(scope);
  const int failed = ferror(out);
  if (fclose(out) == 0 && !failed) return text;
  free(text);
  return NULL;
}

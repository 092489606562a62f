/* SPDX-License-Identifier: Apache-2.0 */
/* From the benchmark's options to its rows. */
#include "bench/plan.h"
#include "machine/threads.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backend/registry.h"
#include "base/text.h"
#include "escapement/internal/number.h"
#include "machine/processor.h"

enum {
  LIST_MAX = 32,
  WORD = 16,
  ENTRIES_MAX = 100000,
  NAME = 32, /* of an activation that is no polynomial */
};

typedef struct numbers {
  int count;
  int64_t value[LIST_MAX];
} numbers;

typedef struct words {
  int count;
  char word[LIST_MAX][WORD];
} words;

typedef struct grid {
  numbers width, layers, inputs, batch, members;
  words backend, path;
  int activations;
  const char *name[LIST_MAX];
  esc_activation activation[LIST_MAX];
} grid;

/* "32,64" for --name, each from min to max. */
static esc_status read_numbers(const char *name, const char *text, int64_t min, int64_t max,
                               numbers *list) {
  list->count = 0;
  for (;; text++) {
    const size_t length = strcspn(text, ",");
    int64_t value = 0;
    const char *fault = length ? esc_integer_parse(text, length, &value) : "is missing";
    if (!fault && (value < min || value > max)) fault = "is out of range";
    if (fault)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "--%s: '%s' %s; whole numbers from %lld to %lld, commas between", name,
                      esc_quote(text, length).text, fault, (long long)min, (long long)max);
    if (list->count == LIST_MAX)
      return ESC_FAIL(ESC_BAD_INPUT, "--%s: at most %d numbers", name, LIST_MAX);
    list->value[list->count++] = value;
    text += length;
    if (!*text) return ESC_OK;
  }
}

/* Words too long to be anything known are cut; esc_backend_check_names refuses them. */
static esc_status read_words(const char *name, const char *text, words *list) {
  list->count = 0;
  for (;; text++) {
    const size_t length = strcspn(text, ",");
    if (!length) return ESC_FAIL(ESC_BAD_INPUT, "--%s: a name is missing", name);
    if (list->count == LIST_MAX)
      return ESC_FAIL(ESC_BAD_INPUT, "--%s: at most %d names", name, LIST_MAX);
    snprintf(list->word[list->count++], WORD, "%.*s", (int)length, text);
    text += length;
    if (!*text) return ESC_OK;
  }
}

static esc_status refuse_activation(const char *text) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "--activation: '%s' is not an activation; see 'escapement classify --help'",
                  esc_quote(text, strlen(text)).text);
}

/* One polynomial, whose coefficients have commas between too. */
static esc_status read_polynomial(const char *text, esc_bench_plan *plan, grid *g) {
  esc_status status = ESC_OK;
  ESC_TRY_ALLOCATE(plan->names = strdup(text));
  g->name[g->activations] = plan->names;
  esc_activation *activation = &g->activation[g->activations++];
  if (!esc_activation_parse(text, activation))
    status = refuse_activation(text);
  else if (!esc_activation_is_trainable(activation))
    status = ESC_FAIL(ESC_BAD_INPUT, "--activation: '%s' has a coefficient above %g in size",
                      esc_quote(text, strlen(text)).text, ESC_COEFFICIENT_MAX);
done:
  return status;
}

/* Activations by name, with commas between; rows call each by its name in activation_list.h,
 * however it was written. */
static esc_status read_activations(const char *text, esc_bench_plan *plan, grid *g) {
  esc_status status = ESC_OK;
  char word[NAME];
  if (!strncasecmp(text, "poly:", 5)) return read_polynomial(text, plan, g);
  ESC_TRY_ALLOCATE(plan->names = calloc(LIST_MAX, NAME));
  for (size_t length; text; text = text[length] ? text + length + 1 : NULL) {
    length = strcspn(text, ",");
    snprintf(word, sizeof word, "%.*s", (int)length, text);
    if (g->activations == LIST_MAX)
      return ESC_FAIL(ESC_BAD_INPUT, "--activation: at most %d of them", LIST_MAX);
    esc_activation *activation = &g->activation[g->activations];
    if (!esc_activation_parse(word, activation)) return refuse_activation(word);
    char *name = plan->names + (size_t)g->activations * NAME;
    esc_activation_print(activation, name, NAME);
    g->name[g->activations++] = name;
  }
done:
  return status;
}

/* The backends that the paths and the precision need. With neither, or `auto` alone, the CPU's, and
 * CUDA's if there is a device. */
static const char *default_backends(const esc_bench_request *r, const words *paths) {
  char why[200];
  bool cpu = false, gpu = false;
  for (int i = 0; r->path && i < paths->count; i++) {
    const bool is_cpu = esc_backend_is_cpu_path(paths->word[i]);
    cpu |= is_cpu;
    gpu |= !is_cpu && strcmp(paths->word[i], "auto") != 0;
  }
  gpu |= !cpu && r->precision && !strcmp(r->precision, "tf32");
  if (cpu != gpu) return cpu ? "cpu" : "cuda";
  return cpu || esc_backend_cuda_devices(why, sizeof why) > 0 ? "cpu,cuda" : "cpu";
}

/* On a GPU every shape by the path that is chosen for it, and by cuBLAS. */
static esc_status read_backends(const esc_bench_request *r, grid *g) {
  esc_status status = ESC_OK;
  ESC_TRY(read_words("path", r->path ? r->path : "auto,cublas", &g->path));
  ESC_TRY(
      read_words("backend", r->backend ? r->backend : default_backends(r, &g->path), &g->backend));
done:
  return status;
}

static esc_status read_grid(const esc_bench_request *r, esc_bench_plan *plan, grid *g) {
  esc_status status = ESC_OK;
  ESC_TRY(read_numbers("width", r->width ? r->width : "32,64", 1, ESC_WIDTH_MAX, &g->width));
  ESC_TRY(read_numbers("layers", r->layers ? r->layers : "6", 2, ESC_LAYERS_MAX, &g->layers));
  ESC_TRY(read_numbers("batch", r->batch ? r->batch : "64,256,512", 1, ESC_BATCH_MAX, &g->batch));
  g->inputs = g->members = (numbers){.count = 1}; /* 0: the width; what the backend takes */
  if (r->inputs) ESC_TRY(read_numbers("inputs", r->inputs, 1, ESC_INPUTS_MAX, &g->inputs));
  if (r->slots) ESC_TRY(read_numbers("slots", r->slots, 1, 1000000, &g->members));
  ESC_TRY(read_activations(r->activation ? r->activation : "tanh", plan, g));
  ESC_TRY(read_backends(r, g));
done:
  return status;
}

static esc_status read_seconds(const char *text, double *seconds) {
  *seconds = 2;
  const char *fault = text ? esc_number_parse(text, strlen(text), seconds) : NULL;
  if (!fault && *seconds >= 0.01 && *seconds <= 3600) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--seconds %s: must be a number from 0.01 to 3600",
                  esc_quote(text, strlen(text)).text);
}

/* The i-th combination of all lists; the last list turns fastest. */
static esc_bench_case combination(const grid *g, const esc_engine_setup *setup, int i) {
  esc_bench_case c = {.setup = *setup};
  c.members = g->members.value[i % g->members.count];
  i /= g->members.count;
  c.batch = (int)g->batch.value[i % g->batch.count];
  i /= g->batch.count;
  c.shape.inputs = (int)g->inputs.value[i % g->inputs.count];
  i /= g->inputs.count;
  c.shape.width = (int)g->width.value[i % g->width.count];
  i /= g->width.count;
  c.shape.layers = (int)g->layers.value[i % g->layers.count];
  i /= g->layers.count;
  c.activation = g->activation[i];
  c.activation_name = g->name[i];
  if (c.shape.inputs == 0) c.shape.inputs = c.shape.width;
  return c;
}

static void add_skip(esc_bench_plan *plan, const esc_backend_request *ask, const esc_bench_case *c,
                     const char *reason) {
  esc_bench_skip *skip = &plan->skip[plan->skips++];
  *skip = (esc_bench_skip){.width = c->shape.width,
                           .layers = c->shape.layers,
                           .inputs = c->shape.inputs,
                           .batch = c->batch,
                           .members = (int)c->members};
  snprintf(skip->backend, sizeof skip->backend, "%s", ask->backend);
  snprintf(skip->path, sizeof skip->path, "%s", ask->path ? ask->path : "auto");
  snprintf(skip->activation, sizeof skip->activation, "%s", c->activation_name);
  snprintf(skip->reason, sizeof skip->reason, "%s", reason);
}

/* Adds the row of one shape by one path, unless an entry from `first` on has its engine. */
static esc_status add_row(esc_bench_plan *plan, const esc_backend_request *ask,
                          const esc_bench_case *c, int first) {
  double scale[ESC_LAYERS_MAX];
  const esc_problem problem = esc_bench_problem(c, scale);
  esc_bench_entry entry = {.shape = *c};
  const esc_status status = esc_backend_find(ask, &problem, &entry.engine);
  if (status == ESC_BAD_INPUT) {
    add_skip(plan, ask, c, esc_error_message());
    return ESC_OK;
  }
  if (status != ESC_OK) return status;
  for (int k = first; k < plan->entries; k++)
    if (plan->entry[k].engine == entry.engine) return ESC_OK;
  plan->entry[plan->entries++] = entry;
  return ESC_OK;
}

/* Whether the list of paths is for this backend: without --path only for CUDA. */
static bool has_paths(const esc_bench_request *r, const grid *g, int backend) {
  return r->path || !strcmp(g->backend.word[backend], "cuda");
}

static int count_paths(const esc_bench_request *r, const grid *g, int backend) {
  return has_paths(r, g, backend) ? g->path.count : 1;
}

static esc_backend_request make_request(const esc_bench_request *r, const grid *g, int backend,
                                        int path) {
  return (esc_backend_request){.backend = g->backend.word[backend],
                               .path = has_paths(r, g, backend) ? g->path.word[path] : NULL,
                               .precision = r->precision,
                               .device = r->device > 0 ? (int)r->device : 0};
}

static esc_status check_names(const esc_bench_request *r, const grid *g) {
  esc_status status = ESC_OK;
  for (int b = 0; b < g->backend.count; b++)
    for (int i = 0; i < count_paths(r, g, b); i++) {
      const esc_backend_request ask = make_request(r, g, b, i);
      ESC_TRY(esc_backend_check_names(&ask));
    }
done:
  return status;
}

/* Adds the rows of one shape on one backend: one for each engine that its paths lead to. */
static esc_status add_shape(esc_bench_plan *plan, const esc_bench_request *r, const grid *g,
                            int backend, const esc_bench_case *c) {
  esc_status status = ESC_OK;
  const int first = plan->entries;
  for (int i = 0; i < count_paths(r, g, backend); i++) {
    const esc_backend_request ask = make_request(r, g, backend, i);
    ESC_TRY(add_row(plan, &ask, c, first));
  }
done:
  return status;
}

static esc_status add_all(esc_bench_plan *plan, const esc_bench_request *r, const grid *g) {
  esc_status status = ESC_OK;
  const int64_t shapes = (int64_t)g->activations * g->layers.count * g->width.count *
                         g->inputs.count * g->batch.count * g->members.count;
  const int64_t most = shapes * g->backend.count * g->path.count;
  if (most > ENTRIES_MAX)
    return ESC_FAIL(ESC_BAD_INPUT, "bench: the lists come to %lld rows; at most %d",
                    (long long)most, ENTRIES_MAX);
  ESC_TRY(check_names(r, g));
  ESC_TRY_ALLOCATE(plan->entry = calloc((size_t)most, sizeof *plan->entry));
  ESC_TRY_ALLOCATE(plan->skip = calloc((size_t)most, sizeof *plan->skip));
  for (int b = 0; b < g->backend.count; b++)
    for (int i = 0; i < (int)shapes; i++) {
      const esc_bench_case c = combination(g, &plan->setup, i);
      ESC_TRY(add_shape(plan, r, g, b, &c));
    }
  if (!plan->entries) status = ESC_FAIL(ESC_BAD_INPUT, "%s", plan->skip[0].reason);
done:
  return status;
}

esc_status esc_bench_plan_create(const esc_bench_request *r, esc_bench_plan *plan) {
  esc_status status = ESC_OK;
  const int processors = esc_processor_count(), allowed = omp_get_max_threads();
  grid g = {0};
  *plan = (esc_bench_plan){.setup = {.device = r->device > 0 ? (int)r->device : 0}};
  plan->setup.threads = r->threads ? (int)r->threads : processors < allowed ? processors : allowed;
  ESC_TRY(esc_threads_limit(r->threads != 0, &plan->setup.threads));
  ESC_TRY(read_seconds(r->seconds, &plan->seconds));
  ESC_TRY(read_grid(r, plan, &g));
  ESC_TRY(add_all(plan, r, &g));
  bool has_device = false;
  for (int i = 0; i < plan->entries; i++)
    has_device |= plan->entry[i].engine->device_memory != NULL;
  if (r->device >= 0 && plan->entries && !has_device)
    status = esc_backend_check_device(plan->entry[0].engine, r->device);
done:
  return status;
}

void esc_bench_plan_free(esc_bench_plan *plan) {
  free(plan->entry);
  free(plan->skip);
  free(plan->names);
}

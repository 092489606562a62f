/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/registry.h"
#include "bench/plan.h"
#include "escapement/internal/library.h"
#include "machine/processor.h"

typedef struct suite {
  esc_bench_plan plan;
  const esc_bench_receiver *receiver;
  const atomic_bool *stop;
  esc_benchmark *out;
} suite;

const char *esc_bench_flop_formula(void) { return "2B(2(Nd + (L-2)N^2 + N) + (L-2)N^2 + N)"; }

/* Opens the ceiling and describes it after its first burst, which also sizes it. */
static esc_status open_ceiling(const suite *s, const esc_engine_ops *engine, void **ceiling,
                               esc_bench_backend *backend) {
  esc_status status = ESC_OK;
  const esc_ceiling_ops *ops = esc_ceiling_find(engine);
  double warm_up;
  *backend = (esc_bench_backend){.copy_bytes_per_s = 0};
  snprintf(backend->name, sizeof backend->name, "%s", engine->name);
  if (engine->device_memory)
    ESC_TRY(esc_backend_cuda_name(s->plan.setup.device, backend->device, sizeof backend->device));
  else
    esc_processor_name(backend->device, sizeof backend->device);
  ESC_TRY(ops->open(&s->plan.setup, ceiling));
  ESC_TRY(ops->flop(*ceiling, &warm_up));
  ESC_TRY(ops->copy(*ceiling, &backend->copy_bytes_per_s));
  ops->describe(*ceiling, backend->ceiling, sizeof backend->ceiling);
done:
  return status;
}

static void name_result(const esc_bench_entry *e, const esc_bench_row *row,
                        esc_bench_result *result) {
  snprintf(result->backend, sizeof result->backend, "%s", row->ops->name);
  snprintf(result->path, sizeof result->path, "%s", row->path);
  snprintf(result->precision, sizeof result->precision, "%s", row->ops->precision);
  snprintf(result->engine, sizeof result->engine, "%s", row->engine);
  snprintf(result->activation, sizeof result->activation, "%s", e->shape.activation_name);
}

static void fill_result(const esc_bench_entry *e, const esc_bench_row *row,
                        esc_bench_result *result) {
  const esc_bench_case *c = &e->shape;
  *result = (esc_bench_result){.width = c->shape.width,
                               .layers = c->shape.layers,
                               .inputs = c->shape.inputs,
                               .batch = c->batch,
                               .members = row->members,
                               .threads = c->setup.threads,
                               .host_bytes = row->bytes.host,
                               .device_bytes = row->bytes.device,
                               .steps = row->steps,
                               .seconds = row->seconds,
                               .ceiling = row->ceiling,
                               .flop_per_step = row->flop_per_step,
                               .flop_per_s = esc_bench_flop_per_s(row),
                               .fraction = esc_bench_fraction(row),
                               .disturbed = esc_bench_is_disturbed(row),
                               .error = row->check.error,
                               .tolerance = row->check.tolerance,
                               .compared = row->check.compared,
                               .wrong = row->check.wrong};
  memcpy(result->repeat, row->repeat, sizeof result->repeat);
  name_result(e, row, result);
}

static esc_status run_entry(suite *s, const esc_bench_entry *e, const esc_bench_meter *meter) {
  esc_status status = ESC_OK;
  esc_bench_row row;
  esc_bench_result *result = &s->out->result[s->out->results];
  ESC_TRY(esc_bench_measure(&e->shape, e->engine, meter, &row));
  fill_result(e, &row, result);
  s->out->results++;
  s->out->wrong += result->wrong > 0;
  s->out->disturbed += result->disturbed;
  if (s->receiver->result && !s->receiver->result(s->receiver->context, result))
    status = ESC_FAIL(ESC_INTERRUPTED, "bench: ended after %d of %d rows", s->out->results,
                      s->plan.entries);
done:
  return status;
}

/* The entries of one backend, from *next on. */
static esc_status run_backend(suite *s, int *next) {
  esc_status status = ESC_OK;
  const esc_bench_entry *first = &s->plan.entry[*next], *end = s->plan.entry + s->plan.entries;
  esc_bench_backend *backend = &s->out->backend[s->out->backends];
  esc_bench_meter meter = {
      .ops = esc_ceiling_find(first->engine), .seconds = s->plan.seconds, .stop = s->stop};
  ESC_TRY(open_ceiling(s, first->engine, &meter.ceiling, backend));
  s->out->backends++;
  if (s->receiver->backend) s->receiver->backend(s->receiver->context, backend);
  for (const esc_bench_entry *e = first; e < end; e++, ++*next) {
    if (strcmp(e->engine->name, backend->name)) break;
    ESC_TRY(run_entry(s, e, &meter));
  }
done:
  meter.ops->close(meter.ceiling);
  return status;
}

/* Moves the skips to the benchmark. */
static void report_skips(suite *s) {
  s->out->skip = s->plan.skip;
  s->out->skips = s->plan.skips;
  s->plan.skip = NULL;
  for (int i = 0; s->receiver->skip && i < s->out->skips; i++)
    s->receiver->skip(s->receiver->context, &s->out->skip[i]);
}

static esc_status run(suite *s, const esc_bench_request *request) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_bench_plan_create(request, &s->plan));
  const size_t rows = (size_t)s->plan.entries + 1;
  s->out->seconds = s->plan.seconds;
  ESC_TRY_ALLOCATE(s->out->backend = calloc(rows, sizeof *s->out->backend));
  ESC_TRY_ALLOCATE(s->out->result = calloc(rows, sizeof *s->out->result));
  if (s->receiver->begin) s->receiver->begin(s->receiver->context, s->plan.seconds);
  report_skips(s);
  for (int next = 0; next < s->plan.entries;) ESC_TRY(run_backend(s, &next));
done:
  esc_bench_plan_free(&s->plan);
  return status;
}

esc_status esc_bench_run(const esc_bench_request *request, const esc_bench_receiver *receiver,
                         const atomic_bool *stop, esc_benchmark *out) {
  static const esc_bench_receiver nobody = {.context = NULL};
  suite s = {.receiver = receiver ? receiver : &nobody, .stop = stop, .out = out};
  const esc_library_scope scope = esc_library_enter();
  *out = (esc_benchmark){0};
  const esc_status status = run(&s, request);
  esc_library_leave(scope);
  return status;
}

esc_status esc_machine_benchmark(const esc_bench_request *request,
                                 const esc_bench_receiver *receiver, esc_benchmark *out) {
  static const atomic_bool never;
  return esc_bench_run(request, receiver, &never, out);
}

void esc_benchmark_free(esc_benchmark *benchmark) {
  free(benchmark->backend);
  free(benchmark->result);
  free(benchmark->skip);
  *benchmark = (esc_benchmark){0};
}

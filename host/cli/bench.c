/* escapement bench: throughput of a training step beside the machine's ceiling. */
#include <string.h>

#include "backend/registry.h"
#include "base/text.h"
#include "bench/plan.h"
#include "cli/bench_table.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "machine/processor.h"

static atomic_bool stop;

typedef struct bench {
  esc_bench_plan plan;
  json_t *json;             /* NULL: print a table */
  int64_t wrong, disturbed; /* rows */
} bench;

static esc_status open_backend(const bench *b, const esc_engine_ops *engine,
                               esc_bench_backend *backend) {
  esc_status status = ESC_OK;
  double warm_up; /* the first burst also sizes it */
  *backend = (esc_bench_backend){.name = engine->name, .ops = esc_backend_ceiling(engine)};
  if (engine->device_memory)
    ESC_TRY(esc_backend_cuda_name(b->plan.setup.device, backend->device, sizeof backend->device));
  else
    esc_device_name(backend->device, sizeof backend->device);
  ESC_TRY(backend->ops->open(&b->plan.setup, &backend->ceiling));
  ESC_TRY(backend->ops->flop(backend->ceiling, &warm_up));
  ESC_TRY(backend->ops->copy(backend->ceiling, &backend->copy_bytes_per_s));
done:
  return status;
}

static esc_status run_entry(bench *b, const esc_bench_entry *e, const esc_bench_backend *backend) {
  esc_status status = ESC_OK;
  esc_bench_row row;
  ESC_TRY(esc_bench_measure(&e->shape, e->engine, backend->ops, backend->ceiling, b->plan.seconds,
                            &stop, &row));
  b->wrong += row.check.wrong > 0;
  b->disturbed += esc_bench_is_disturbed(&row);
  if (b->json)
    json_array_append_new(json_object_get(b->json, "rows"), esc_bench_row_json(&e->shape, &row));
  else
    esc_bench_print_row(&e->shape, &row);
done:
  return status;
}

/* The entries of one backend, from *next on. */
static esc_status run_backend(bench *b, int *next) {
  esc_status status = ESC_OK;
  const esc_bench_entry *first = &b->plan.entry[*next], *end = b->plan.entry + b->plan.entries;
  esc_bench_backend backend;
  ESC_TRY(open_backend(b, first->engine, &backend));
  if (b->json)
    json_array_append_new(json_object_get(b->json, "backends"), esc_bench_backend_json(&backend));
  else
    esc_bench_print_backend(&backend);
  for (const esc_bench_entry *e = first; e < end; e++, ++*next) {
    if (strcmp(e->engine->name, backend.name)) break;
    ESC_TRY(run_entry(b, e, &backend));
  }
done:
  backend.ops->close(backend.ceiling);
  return status;
}

static esc_status run(bench *b) {
  esc_status status = ESC_OK;
  esc_signals_install(&stop);
  if (!b->json) esc_bench_print_header(b->plan.seconds);
  for (int next = 0; next < b->plan.entries;) ESC_TRY(run_backend(b, &next));
  if (b->json) {
    json_object_set_new(b->json, "rows_wrong", json_integer(b->wrong));
    json_object_set_new(b->json, "rows_disturbed", json_integer(b->disturbed));
    ESC_TRY(esc_json_print(json_incref(b->json)));
  }
  if (b->disturbed)
    esc_log(
        "warning: %lld of %d rows are disturbed: something else used the machine; time them "
        "again on an idle one",
        (long long)b->disturbed, b->plan.entries);
  if (b->wrong)
    status = ESC_FAIL(ESC_CHECK_FAILED, "bench: %lld of %d rows are wrong; see their #wrong",
                      (long long)b->wrong, b->plan.entries);
done:
  return status;
}

static esc_status parse(esc_bench_request *r, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"backend", 0, "LIST", "reference, cpu, cuda (cpu, and cuda where there is a device)",
       .text = &r->backend, .words = ESC_ENGINE_WORDS},
      {"path", 0, "LIST", "on a GPU: auto, chip, chip-tf32x3, gemm (auto,gemm)", .text = &r->path,
       .words = "auto|" ESC_PATH_WORDS},
      {"precision", 0, "NAME", "fp32, or on a GPU tf32 (fp32)", .text = &r->precision,
       .words = ESC_PRECISION_WORDS},
      {"device", 0, "N", "index of the GPU (0)", .number = &r->device, .max = 1023},
      {"threads", 0, "N", "threads (all processors)", .number = &r->threads, .min = 1, .max = 4096},
      {"width", 0, "LIST", "N, of the hidden layers (32,64)", .text = &r->width},
      {"layers", 0, "LIST", "L, of weights (6)", .text = &r->layers},
      {"inputs", 0, "LIST", "d (the width)", .text = &r->inputs},
      {"batch", 0, "LIST", "B, samples of a step (64,256,512)", .text = &r->batch},
      {"members", 0, "LIST", "networks in flight (what suits the backend)", .text = &r->members},
      {"activation", 0, "LIST", "names, or one poly:a0,a1,... (tanh)", .text = &r->activation,
       .words = esc_activation_words()},
      {"seconds", 0, "S", "to time a row for (2)", .text = &r->seconds},
      {"json", 0, NULL, "one JSON object on stdout", .flag = &r->json},
      {0},
  };
  const esc_command command = {
      "bench [options]",
      "Times the training step: a row for every backend and combination of shapes, beside what\n"
      "the machine reaches at its best in the same run, with an untimed check against the\n"
      "reference. A LIST has commas between. Exit status 1 when a row is wrong.",
      .options = options};
  return esc_options_parse(&command, argc, argv, first, help);
}

esc_status esc_verb_bench(int argc, char **argv) {
  esc_status status = ESC_OK;
  esc_bench_request r = {.device = -1};
  bench b = {0};
  int first = 0;
  bool help = false;
  ESC_TRY(parse(&r, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "bench: does not take '%s'",
                    esc_show(argv[first], strlen(argv[first])).text);
  ESC_TRY(esc_bench_plan_create(&r, &b.plan));
  if (r.json) ESC_TRY_ALLOCATE(b.json = esc_bench_json(b.plan.seconds));
  ESC_TRY(run(&b));
done:
  json_decref(b.json);
  esc_bench_plan_free(&b.plan);
  return status;
}

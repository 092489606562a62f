/* SPDX-License-Identifier: Apache-2.0 */
/* escapement bench: throughput of a training step beside the machine's ceiling. */
#include <string.h>

#include "base/text.h"
#include "bench/suite.h"
#include "cli/bench_table.h"
#include "cli/cli.h"
#include "cli/options.h"

static esc_stop stop;

/* A stop signal ends the rows from here on; before, it ends the process. */
static void begin_quietly(void *context, double seconds) {
  (void)context;
  (void)seconds;
  esc_signals_install(&stop);
}

static void begin(void *context, double seconds) {
  begin_quietly(context, seconds);
  esc_bench_print_header(seconds);
}

static void print_backend(void *context, const esc_bench_backend *backend) {
  (void)context;
  esc_bench_print_backend(backend);
}

static bool print_result(void *context, const esc_bench_result *result) {
  (void)context;
  esc_bench_print_result(result);
  return true;
}

static esc_status run(const esc_bench_request *request, bool json, esc_benchmark *b) {
  esc_status status = ESC_OK;
  static const esc_bench_receiver quiet = {.begin = begin_quietly};
  static const esc_bench_receiver table = {
      .begin = begin, .backend = print_backend, .result = print_result};
  ESC_TRY(esc_bench_run(request, json ? &quiet : &table, &stop.requested, b));
  if (json) ESC_TRY(esc_json_print(esc_benchmark_to_json(b)));
  if (b->disturbed)
    esc_log(
        "warning: %d of %d rows are disturbed: something else used the machine; time them "
        "again on an idle one",
        b->disturbed, b->results);
  if (b->wrong)
    status = ESC_FAIL(ESC_CHECK_FAILED, "bench: %d of %d rows are wrong; see their #wrong",
                      b->wrong, b->results);
done:
  return status;
}

static esc_status parse(esc_bench_request *r, bool *json, int argc, char **argv, int *first,
                        bool *help) {
  const esc_option options[] = {
      {"backend", 0, "LIST", "reference, cpu, cuda (cpu, and cuda where there is a device)",
       .text = &r->backend, .words = ESC_ENGINE_WORDS},
      {"path", 0, "LIST", "on a GPU: auto, fused, fused-3xtf32, cublas (auto,cublas)",
       .text = &r->path, .words = "auto|" ESC_PATH_WORDS},
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
      {"json", 0, NULL, "one JSON object on stdout", .flag = json},
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
  esc_benchmark b = {0};
  int first = 0;
  bool json = false, help = false;
  ESC_TRY(parse(&r, &json, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "bench: does not take '%s'",
                    esc_quote(argv[first], strlen(argv[first])).text);
  ESC_TRY(run(&r, json, &b));
done:
  esc_benchmark_free(&b);
  return status;
}

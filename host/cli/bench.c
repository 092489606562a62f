/* SPDX-License-Identifier: Apache-2.0 */
/* escapement bench: throughput of a training step, against the peak of the machine. */
#include <string.h>

#include "base/text.h"
#include "bench/suite.h"
#include "cli/bench_table.h"
#include "cli/cli.h"
#include "cli/options.h"

static esc_stop stop;

/* From here on a stop signal ends the measurement after the current row; before, it ends the
 * process. */
static void begin_quietly(void *context, double seconds) {
  (void)context;
  (void)seconds;
  esc_signals_install(&stop);
}

static void begin(void *context, double seconds) {
  begin_quietly(context, seconds);
  esc_bench_print_header(seconds);
}

static void print_skip(void *context, const esc_bench_skip *skip) {
  (void)context;
  esc_bench_print_skip(skip);
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
      .begin = begin, .skip = print_skip, .backend = print_backend, .result = print_result};
  ESC_TRY(esc_bench_run(request, json ? &quiet : &table, &stop.requested, b));
  if (json) ESC_TRY(esc_json_print(esc_benchmark_to_json(b)));
  if (b->disturbed)
    esc_log(
        "warning: %d of %d rows were disturbed by other load on the machine; repeat them on an "
        "idle machine",
        b->disturbed, b->results);
  if (b->wrong)
    status = ESC_FAIL(ESC_CHECK_FAILED, "bench: %d of %d rows are wrong; see the column #wrong",
                      b->wrong, b->results);
done:
  return status;
}

static esc_status parse(esc_bench_request *r, bool *json, int argc, char **argv, int *first,
                        bool *help) {
  const esc_option options[] = {
      {"backend", 0, "LIST", "reference, cpu, cuda (default: cpu, and cuda if there is a GPU)",
       .text = &r->backend, .words = ESC_ENGINE_WORDS},
      {"path", 0, "LIST",
       "auto; GPU: fused, fused-3xtf32, cublas; CPU: interleaved, padded (default: auto,cublas)",
       .text = &r->path, .words = "auto|" ESC_PATH_WORDS},
      {"precision", 0, "NAME", "fp32, or tf32 on a GPU (default: fp32)", .text = &r->precision,
       .words = ESC_PRECISION_WORDS},
      {"device", 0, "N", "index of the GPU (default: 0)", .number = &r->device, .max = 1023},
      {"threads", 0, "N", "CPU threads (default: all processors)", .number = &r->threads, .min = 1,
       .max = 4096},
      {"width", 0, "LIST", "width N of the hidden layers (default: 32,64)", .text = &r->width},
      {"layers", 0, "LIST", "number L of weight layers (default: 6)", .text = &r->layers},
      {"inputs", 0, "LIST", "input dimension d (default: the width)", .text = &r->inputs},
      {"batch", 0, "LIST", "samples B per step (default: 64,256,512)", .text = &r->batch},
      {"slots", 0, "LIST", "networks trained concurrently (default: chosen for the backend)",
       .text = &r->slots},
      {"activation", 0, "LIST", "names, or one poly:a0,a1,... (default: tanh)",
       .text = &r->activation, .words = esc_activation_words()},
      {"seconds", 0, "S", "measured time per row (default: 2)", .text = &r->seconds},
      {"json", 0, NULL, "print one JSON object", .flag = json},
      {0},
  };
  const esc_command command = {
      "bench [options]",
      "Measures the throughput of the training step, one row per backend and shape,\n"
      "against the peak throughput measured on the same machine in the same run. The\n"
      "weights of each row are checked against the reference, outside the measured\n"
      "time. LIST is comma-separated; combinations that cannot run are skipped, with\n"
      "the reason. Exit status 1 if a row is wrong.",
      .options = options};
  return esc_options_parse(&command, argc, argv, first, help);
}

esc_status esc_command_bench(int argc, char **argv) {
  esc_status status = ESC_OK;
  esc_bench_request r = {.device = -1};
  esc_benchmark b = {0};
  int first = 0;
  bool json = false, help = false;
  ESC_TRY(parse(&r, &json, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "bench: unexpected argument '%s'",
                    esc_quote(argv[first], strlen(argv[first])).text);
  ESC_TRY(run(&r, json, &b));
done:
  esc_benchmark_free(&b);
  return status;
}

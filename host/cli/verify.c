/* SPDX-License-Identifier: Apache-2.0 */
/* escapement verify: checks of random numbers, gradients, theory and engines on this machine. */
#include "escapement/verify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backend/registry.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"

typedef struct request {
  const char *backend, *path;
  int64_t device, threads;
  bool quick, fail_fast, json;
} request;

/* Tolerance over error; "exact" if the row allows no error and has none. */
static void print_ratio(const esc_verify_result *r, char text[16]) {
  if (r->exact && r->error == 0)
    snprintf(text, 16, "exact");
  else if (isfinite(r->ratio))
    snprintf(text, 16, "%.3g", r->ratio);
  else
    snprintf(text, 16, "-");
}

static void print_row(const esc_verify_result *r) {
  char ratio[16];
  if (r->skipped) {
    printf("%-48s skipped: %s\n", r->name, r->where);
    return;
  }
  print_ratio(r, ratio);
  printf("%-48s %9.2e  %9.2e  %7s  %s  %s\n", r->name, r->error, r->tolerance, ratio,
         r->passed ? "pass" : "FAIL", r->where);
}

/* Prints a row of the table; `context` points to the number of rows before it. */
static bool print_result(void *context, const esc_verify_result *r) {
  int *rows = context;
  if (++*rows == 1)
    printf("%-48s %9s  %9s  %7s        %s\n", "check", "error", "allowed", "ratio", "location");
  print_row(r);
  fflush(stdout); /* the next one may take seconds */
  return true;
}

static json_t *result_to_json(const esc_verify_result *r) {
  json_t *row = json_object();
  json_object_set_new(row, "name", json_string(r->name));
  if (r->skipped) {
    json_object_set_new(row, "reason", esc_json_text(r->where));
    return row;
  }
  json_object_set_new(row, "error", esc_json_number(r->error));
  json_object_set_new(row, "tolerance", esc_json_number(r->tolerance));
  json_object_set_new(row, "ratio", esc_json_number(r->ratio));
  json_object_set_new(row, "exact", json_boolean(r->exact));
  json_object_set_new(row, "pass", json_boolean(r->passed));
  json_object_set_new(row, "at", esc_json_text(r->where));
  json_object_set_new(row, "compared", json_integer(r->compared));
  return row;
}

static esc_status print_json(const esc_verification *v, bool quick) {
  json_t *json = json_object(), *checks = json_array(), *skipped = json_array();
  for (int i = 0; i < v->results; i++)
    json_array_append_new(v->result[i].skipped ? skipped : checks, result_to_json(&v->result[i]));
  json_object_set_new(json, "checks", checks);
  json_object_set_new(json, "skipped", skipped);
  json_object_set_new(json, "passed", json_integer(v->passed));
  json_object_set_new(json, "failed", json_integer(v->failed));
  json_object_set_new(json, "quick", json_boolean(quick));
  json_object_set_new(json, "wall_s", json_real(v->seconds));
  return esc_json_print(json);
}

static esc_status parse(request *q, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"backend", 0, "NAME",
       "auto (all backends of this machine), reference, cpu or cuda (default: auto)",
       .text = &q->backend, .words = "auto|" ESC_ENGINE_WORDS},
      {"path", 0, "NAME",
       "GPU: fused, fused-3xtf32 or cublas (default: fused and cublas); CPU: interleaved or padded",
       .text = &q->path, .words = ESC_PATH_WORDS},
      {"device", 0, "N", "index of the GPU (default: 0)", .number = &q->device, .max = 1023},
      {"threads", 0, "N", "CPU threads (default: all processors)", .number = &q->threads, .min = 1,
       .max = 4096},
      {"quick", 0, NULL, "fewer steps; small shapes only; one loss per shape", .flag = &q->quick},
      {"fail-fast", 0, NULL, "stop at the first check that fails", .flag = &q->fail_fast},
      {"json", 0, NULL, "print one JSON object", .flag = &q->json},
      {0},
  };
  const esc_command command = {
      "verify [options]",
      "Checks this build on this machine: random numbers, activations, gradients,\n"
      "imbalance identities and theory against independent values and against each\n"
      "other; each engine against the reference; the reference against an independent\n"
      "evaluation in long double. Each row has a check, its largest error, the allowed\n"
      "error, their ratio ('exact': no difference is allowed) and the location of the\n"
      "largest error. Exit status 1 if a check fails.",
      .options = options};
  return esc_options_parse(&command, argc, argv, first, help);
}

static esc_status verify(const request *q, esc_verification *v) {
  esc_status status = ESC_OK;
  int rows = 0;
  const esc_verify_request settings = {.backend = q->backend,
                                       .path = q->path,
                                       .device = q->device < 0 ? 0 : (int)q->device,
                                       .threads = (int)q->threads,
                                       .quick = q->quick,
                                       .fail_fast = q->fail_fast};
  ESC_TRY(esc_machine_verify(&settings, q->json ? NULL : print_result, &rows, v));
  if (q->json)
    ESC_TRY(print_json(v, q->quick));
  else
    printf("%d passed, %d failed, %d skipped in %.1f s%s\n", v->passed, v->failed, v->skipped,
           v->seconds, v->stopped ? "; remaining checks not run" : "");
  if (v->failed)
    status = ESC_FAIL(ESC_CHECK_FAILED, "verify: %d of %d checks failed", v->failed,
                      v->passed + v->failed);
done:
  return status;
}

esc_status esc_command_verify(int argc, char **argv) {
  esc_status status = ESC_OK;
  request q = {.device = -1};
  esc_verification v = {0};
  int first = 0;
  bool help = false;
  char why[200];
  ESC_TRY(parse(&q, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "verify: unexpected argument '%s'",
                    esc_quote(argv[first], strlen(argv[first])).text);
  if (q.device >= 0 && esc_backend_cuda_devices(why, sizeof why) == 0)
    return ESC_FAIL(ESC_BAD_INPUT, "--device %lld: no usable GPU: %s; omit --device",
                    (long long)q.device, why);
  ESC_TRY(verify(&q, &v));
done:
  esc_verification_free(&v);
  return status;
}

/* escapement verify: is what runs on this machine what the theory says? */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "backend/registry.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "machine/processor.h"
#include "run/threads.h"
#include "verify/scene.h"
#include "verify/verify.h"

typedef struct request {
  const char *backend, *path;
  int64_t device, threads;
  bool quick, fail_fast, json;
} request;

typedef struct report {
  json_t *checks, *skipped; /* NULL: print a table */
  bool fail_fast;
  int passed, failed, left_out;
} report;

static bool over(const report *r) { return r->fail_fast && r->failed > 0; }

/* Tolerance over error as a column: "exact" where the row allows no error at all. */
static void print_ratio(const esc_verify_worst *worst, char text[16]) {
  const double ratio = esc_verify_ratio(worst);
  if (esc_verify_exact(worst) && worst->error == 0)
    snprintf(text, 16, "exact");
  else if (isfinite(ratio))
    snprintf(text, 16, "%.3g", ratio);
  else
    snprintf(text, 16, "-");
}

static void print_row(const char *name, const esc_verify_worst *worst, bool passed) {
  char ratio[16];
  print_ratio(worst, ratio);
  printf("%-48s %9.2e  %9.2e  %7s  %s  %s\n", name, worst->error, worst->tolerance, ratio,
         passed ? "pass" : "FAIL", worst->at);
  fflush(stdout); /* the next one may take seconds */
}

static void add_row(report *r, const char *name, const esc_verify_worst *worst) {
  const bool passed = esc_verify_passed(worst);
  r->passed += passed;
  r->failed += !passed;
  if (!r->checks) {
    print_row(name, worst, passed);
    return;
  }
  json_t *row = json_object();
  json_object_set_new(row, "name", json_string(name));
  json_object_set_new(row, "error", esc_json_number(worst->error));
  json_object_set_new(row, "tolerance", esc_json_number(worst->tolerance));
  json_object_set_new(row, "ratio", esc_json_number(esc_verify_ratio(worst)));
  json_object_set_new(row, "exact", json_boolean(esc_verify_exact(worst)));
  json_object_set_new(row, "pass", json_boolean(passed));
  json_object_set_new(row, "at", esc_json_text(worst->at));
  json_object_set_new(row, "compared", json_integer(worst->compared));
  json_array_append_new(r->checks, row);
}

static void add_skipped(report *r, const char *name, const char *reason) {
  r->left_out++;
  if (!r->skipped) {
    printf("%-48s skipped: %s\n", name, reason);
    return;
  }
  json_t *row = json_object();
  json_object_set_new(row, "name", json_string(name));
  json_object_set_new(row, "reason", esc_json_text(reason));
  json_array_append_new(r->skipped, row);
}

/* A check that finds no answer (a quadrature that does not converge) has failed; without
 * memory or device there is nothing to say. */
static esc_status run_check(const esc_verify_check *check, const esc_verify_target *target,
                            esc_verify_worst *worst) {
  *worst = (esc_verify_worst){.compared = 0};
  const esc_status status = check->run(target, worst);
  if (status != ESC_LIBRARY_FAILED && status != ESC_BAD_INPUT) return status;
  esc_verify_take(worst, NAN, 0, "%s", esc_error_message());
  return ESC_OK;
}

/* Runs a table; `engine` names whose checks they are, "" for nobody's. */
static esc_status run_table(report *r, const esc_verify_check *check, const char *engine,
                            const esc_verify_target *target) {
  esc_status status = ESC_OK;
  for (; check->name && !over(r); check++) {
    char name[100];
    esc_verify_worst worst;
    snprintf(name, sizeof name, "%s%s%s", engine, *engine ? ": " : "", check->name);
    ESC_TRY(run_check(check, target, &worst));
    add_row(r, name, &worst);
  }
done:
  return status;
}

/* Refuses what is not there, in words, by a shape that every path takes. */
static esc_status probe(const esc_verify_target *t) {
  const esc_problem easy = esc_verify_problem(3, 16, 16, 64);
  const esc_backend_request asked = {.backend = t->backend, .path = t->path, .device = t->device};
  const esc_engine_ops *unused = NULL;
  return esc_backend_find(&asked, &easy, &unused);
}

static esc_status run_engine(report *r, const request *q, const char *backend, const char *path) {
  esc_status status = ESC_OK;
  char name[40];
  const esc_verify_target target = {.backend = backend,
                                    .path = path,
                                    .device = (int)q->device,
                                    .threads = (int)q->threads,
                                    .quick = q->quick};
  snprintf(name, sizeof name, "%s%s%.20s", backend, path ? " " : "", path ? path : "");
  ESC_TRY(probe(&target));
  ESC_TRY(run_table(r, strcmp(backend, "reference") ? esc_verify_training : esc_verify_reference,
                    name, &target));
  if (path && !strcmp(path, "chip")) ESC_TRY(run_table(r, esc_verify_chip, name, &target));
done:
  return status;
}

/* Both ways through a GPU, or the one that was asked for. */
static esc_status run_cuda(report *r, const request *q) {
  esc_status status = ESC_OK;
  if (q->path) return run_engine(r, q, "cuda", q->path);
  ESC_TRY(run_engine(r, q, "cuda", "chip"));
  ESC_TRY(run_engine(r, q, "cuda", "gemm"));
done:
  return status;
}

static esc_status run_engines(report *r, const request *q) {
  esc_status status = ESC_OK;
  char why[200] = "";
  const bool all = (!q->backend || !strcmp(q->backend, "auto")) && !q->path;
  if (!all && (!q->backend || !strcmp(q->backend, "auto") || !strcmp(q->backend, "cuda")))
    return run_cuda(r, q);
  if (!all) return run_engine(r, q, q->backend, q->path);
  ESC_TRY(run_engine(r, q, "reference", NULL));
  ESC_TRY(run_engine(r, q, "cpu", NULL));
  if (esc_backend_cuda_devices(why, sizeof why) > 0)
    ESC_TRY(run_cuda(r, q));
  else
    add_skipped(r, "cuda", why);
done:
  return status;
}

static esc_status run_all(report *r, const request *q) {
  esc_status status = ESC_OK;
  const esc_verify_target nobody = {.threads = (int)q->threads, .quick = q->quick};
#define RUN(family) ESC_TRY(run_table(r, esc_verify_##family, "", &nobody));
  ESC_VERIFY_FAMILIES(RUN)
#undef RUN
  ESC_TRY(run_engines(r, q));
done:
  return status;
}

/* Before the table, so that bad usage prints none. */
static esc_status refuse_early(const request *q) {
  const bool named = q->backend && strcmp(q->backend, "auto");
  const esc_verify_target target = {.backend = named || !q->path ? q->backend : "cuda",
                                    .path = q->path,
                                    .device = (int)q->device};
  return probe(&target);
}

static esc_status finish(report *r, const request *q, double seconds) {
  esc_status status = ESC_OK;
  if (q->json) {
    json_t *json = json_object();
    json_object_set_new(json, "checks", json_incref(r->checks));
    json_object_set_new(json, "skipped", json_incref(r->skipped));
    json_object_set_new(json, "passed", json_integer(r->passed));
    json_object_set_new(json, "failed", json_integer(r->failed));
    json_object_set_new(json, "quick", json_boolean(q->quick));
    json_object_set_new(json, "wall_s", json_real(seconds));
    ESC_TRY(esc_json_print(json));
  } else {
    printf("%d passed, %d failed, %d skipped in %.1f s%s\n", r->passed, r->failed, r->left_out,
           seconds, over(r) ? "; the others were not run" : "");
  }
  if (r->failed)
    status = ESC_FAIL(ESC_CHECK_FAILED, "verify: %d of %d checks failed", r->failed,
                      r->passed + r->failed);
done:
  return status;
}

static esc_status parse(request *q, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"backend", 0, "B", "auto (all that this machine has), reference, cpu, cuda",
       .text = &q->backend, .words = "auto|" ESC_ENGINE_WORDS},
      {"path", 0, "P", "on a GPU: chip, gemm, ... (chip and gemm)", .text = &q->path,
       .words = ESC_PATH_WORDS},
      {"device", 0, "N", "index of the GPU (0)", .number = &q->device, .max = 1023},
      {"threads", 0, "N", "threads (all processors)", .number = &q->threads, .min = 1, .max = 4096},
      {"quick", 0, NULL, "fewer steps; of the engines only small shapes, losses in turns",
       .flag = &q->quick},
      {"fail-fast", 0, NULL, "stop at the first check that fails", .flag = &q->fail_fast},
      {"json", 0, NULL, "one JSON object on stdout", .flag = &q->json},
      {0},
  };
  const esc_command command = {
      "verify [options]",
      "Checks what runs on this machine: random numbers, activations, gradients, imbalance\n"
      "identities and theory against numbers from elsewhere and each other; then each engine\n"
      "against the reference, and the reference against an independent evaluation in long\n"
      "double. A row is a check, its worst error, the error allowed there, their ratio (exact:\n"
      "nothing may differ), and where it was. Exit status 1 when one fails.",
      .options = options};
  return esc_options_parse(&command, argc, argv, first, help);
}

esc_status esc_verb_verify(int argc, char **argv) {
  esc_status status = ESC_OK;
  request q = {.threads = esc_processors(), .device = -1};
  report r = {0};
  int first = 0;
  bool help = false;
  char why[200];
  ESC_TRY(parse(&q, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first < argc)
    return ESC_FAIL(ESC_BAD_INPUT, "verify: does not take '%s'",
                    esc_show(argv[first], strlen(argv[first])).text);
  if (q.device >= 0 && esc_backend_cuda_devices(why, sizeof why) == 0)
    return ESC_FAIL(ESC_BAD_INPUT, "--device %lld: no GPU can be used: %s; leave --device out",
                    (long long)q.device, why);
  if (q.device < 0) q.device = 0;
  ESC_TRY(refuse_early(&q));
  int threads = q.threads < 2 ? 2 : (int)q.threads; /* some checks compare 2 threads with 1 */
  ESC_TRY(esc_threads_settle(false, &threads));
  if (threads < 2)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "verify: needs 2 threads, and the system starts 1");
  if (threads < q.threads) q.threads = threads;
  const double began = omp_get_wtime();
  r.fail_fast = q.fail_fast;
  if (q.json) {
    ESC_TRY_ALLOCATE(r.checks = json_array());
    ESC_TRY_ALLOCATE(r.skipped = json_array());
  } else {
    printf("%-48s %9s  %9s  %7s        %s\n", "check", "error", "allowed", "ratio", "where");
  }
  ESC_TRY(run_all(&r, &q));
  ESC_TRY(finish(&r, &q, omp_get_wtime() - began));
done:
  json_decref(r.checks);
  json_decref(r.skipped);
  return status;
}

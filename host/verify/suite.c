/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the checks of a request in order. */
#include "escapement/verify.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/registry.h"
#include "escapement/internal/library.h"
#include "machine/processor.h"
#include "machine/threads.h"
#include "verify/fixture.h"
#include "verify/verify.h"

typedef struct suite {
  const esc_verify_request *request;
  int threads;
  esc_verify_report *report;
  void *context;
  esc_verification *out;
} suite;

static bool is_over(const suite *s) { return s->request->fail_fast && s->out->failed > 0; }

static esc_status add(suite *s, const esc_verify_result *result) {
  esc_verification *v = s->out;
  const size_t count = (size_t)v->results + 1;
  esc_verify_result *more = realloc(v->result, count * sizeof *more);
  if (!more) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (%zu results of checks)", count);
  v->result = more;
  more[v->results++] = *result;
  v->skipped += result->skipped;
  v->passed += !result->skipped && result->passed;
  v->failed += !result->skipped && !result->passed;
  if (s->report && !s->report(s->context, result))
    return ESC_FAIL(ESC_INTERRUPTED, "verify: ended after %d checks", v->results);
  return ESC_OK;
}

static esc_status add_worst(suite *s, const char *name, const esc_verify_worst *worst) {
  esc_verify_result r = {.passed = esc_verify_passed(worst),
                         .exact = esc_verify_exact(worst),
                         .error = worst->error,
                         .tolerance = worst->tolerance,
                         .ratio = esc_verify_ratio(worst),
                         .compared = worst->compared};
  snprintf(r.name, sizeof r.name, "%s", name);
  snprintf(r.where, sizeof r.where, "%s", worst->location);
  return add(s, &r);
}

static esc_status add_skipped(suite *s, const char *name, const char *reason) {
  esc_verify_result r = {.skipped = true};
  snprintf(r.name, sizeof r.name, "%s", name);
  snprintf(r.where, sizeof r.where, "%s", reason);
  return add(s, &r);
}

/* A check whose computation fails (a quadrature that does not converge) counts as failed; lack of
 * memory or of a device is an error of the suite. */
static esc_status run_check(const esc_verify_check *check, const esc_verify_target *target,
                            esc_verify_worst *worst) {
  *worst = (esc_verify_worst){.compared = 0};
  const esc_status status = check->run(target, worst);
  if (status != ESC_LIBRARY_FAILED && status != ESC_BAD_INPUT) return status;
  esc_verify_record(worst, NAN, 0, "%s", esc_error_message());
  return ESC_OK;
}

/* Runs a table of checks of `engine`, "" for checks without an engine. */
static esc_status run_table(suite *s, const esc_verify_check *check, const char *engine,
                            const esc_verify_target *target) {
  esc_status status = ESC_OK;
  for (; check->name && !is_over(s); check++) {
    char name[100];
    esc_verify_worst worst;
    snprintf(name, sizeof name, "%s%s%s", engine, *engine ? ": " : "", check->name);
    ESC_TRY(run_check(check, target, &worst));
    ESC_TRY(add_worst(s, name, &worst));
  }
done:
  return status;
}

/* Fails for a missing backend, path or device, with a shape that every path supports. */
static esc_status check_available(const esc_verify_target *t) {
  const esc_problem problem = esc_verify_problem(3, 16, 16, 64);
  const esc_backend_request request = {.backend = t->backend, .path = t->path, .device = t->device};
  const esc_engine_ops *unused = NULL;
  return esc_backend_find(&request, &problem, &unused);
}

static esc_status run_engine(suite *s, const char *backend, const char *path) {
  esc_status status = ESC_OK;
  char name[40];
  const esc_verify_target target = {.backend = backend,
                                    .path = path,
                                    .device = s->request->device,
                                    .threads = s->threads,
                                    .quick = s->request->quick};
  snprintf(name, sizeof name, "%s%s%.20s", backend, path ? " " : "", path ? path : "");
  ESC_TRY(check_available(&target));
  ESC_TRY(run_table(s, strcmp(backend, "reference") ? esc_verify_training : esc_verify_reference,
                    name, &target));
  if (path && !strcmp(path, "fused")) ESC_TRY(run_table(s, esc_verify_fused, name, &target));
done:
  return status;
}

/* The requested path, or fused and cublas. */
static esc_status run_cuda(suite *s) {
  esc_status status = ESC_OK;
  if (s->request->path) return run_engine(s, "cuda", s->request->path);
  ESC_TRY(run_engine(s, "cuda", "fused"));
  ESC_TRY(run_engine(s, "cuda", "cublas"));
done:
  return status;
}

/* The backend that a request without one means: that of its path; NULL: all. */
static const char *named_backend(const esc_verify_request *q) {
  if (q->backend && strcmp(q->backend, "auto")) return q->backend;
  return !q->path ? NULL : esc_backend_is_cpu_path(q->path) ? "cpu" : "cuda";
}

static esc_status run_engines(suite *s) {
  esc_status status = ESC_OK;
  char why[200] = "";
  const char *const backend = named_backend(s->request);
  if (backend && !strcmp(backend, "cuda")) return run_cuda(s);
  if (backend) return run_engine(s, backend, s->request->path);
  ESC_TRY(run_engine(s, "reference", NULL));
  ESC_TRY(run_engine(s, "cpu", NULL)); /* padded: the checks train few networks at a time */
  ESC_TRY(run_engine(s, "cpu", "interleaved"));
  if (esc_backend_cuda_devices(why, sizeof why) > 0)
    ESC_TRY(run_cuda(s));
  else
    ESC_TRY(add_skipped(s, "cuda", why));
done:
  return status;
}

static esc_status run_all(suite *s) {
  esc_status status = ESC_OK;
  const esc_verify_target no_engine = {.threads = s->threads, .quick = s->request->quick};
#define RUN(family) ESC_TRY(run_table(s, esc_verify_##family, "", &no_engine));
  ESC_VERIFY_FAMILIES(RUN)
#undef RUN
  ESC_TRY(run_engines(s));
done:
  return status;
}

/* Refuses an unavailable engine before the first check. */
static esc_status refuse_early(const esc_verify_request *q) {
  const char *const backend = named_backend(q);
  const esc_verify_target target = {
      .backend = backend ? backend : q->backend, .path = q->path, .device = q->device};
  return check_available(&target);
}

static esc_status settle_threads(suite *s) {
  esc_status status = ESC_OK;
  s->threads = s->request->threads ? s->request->threads : esc_processor_count();
  int threads = s->threads < 2 ? 2 : s->threads; /* some checks compare 2 threads with 1 */
  ESC_TRY(esc_threads_limit(false, &threads));
  if (threads < 2)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "verify: requires 2 threads; the system allows 1");
  if (threads < s->threads) s->threads = threads;
done:
  return status;
}

static esc_status verify(suite *s) {
  esc_status status = ESC_OK;
  ESC_TRY(refuse_early(s->request));
  ESC_TRY(settle_threads(s));
  const double began = omp_get_wtime();
  status = run_all(s);
  s->out->seconds = omp_get_wtime() - began;
  s->out->stopped = is_over(s);
done:
  return status;
}

esc_status esc_machine_verify(const esc_verify_request *request, esc_verify_report *report,
                              void *context, esc_verification *out) {
  suite s = {.request = request, .report = report, .context = context, .out = out};
  const esc_library_scope scope = esc_library_enter();
  *out = (esc_verification){0};
  const esc_status status = verify(&s);
  esc_library_leave(scope);
  return status;
}

void esc_verification_free(esc_verification *verification) {
  free(verification->result);
  *verification = (esc_verification){0};
}

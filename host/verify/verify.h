/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of esc_machine_verify. A family is one file with a table of checks. Each check
 * compares values with expected values and records the largest error in units of its tolerance. A
 * tolerance far above the error would check nothing: tests require at most ESC_VERIFY_RATIO_MAX
 * times the error, and equality for rows without an error. */
#ifndef ESC_VERIFY_H
#define ESC_VERIFY_H

#include "escapement/internal/engine.h"

/* An engine to check; `backend` is NULL for families without an engine. */
typedef struct esc_verify_target {
  const char *backend, *path; /* as in esc_backend_request; path NULL: the only path */
  int device, threads;
  bool quick; /* fewer combinations */
} esc_verify_target;

/* The comparison of a check with the largest error in units of its tolerance. A NaN is larger than
 * any number, and fails. */
typedef struct esc_verify_worst {
  double error, tolerance;
  int64_t compared, exact; /* comparisons, and those with tolerance 0 */
  char location[96];       /* location: "gelu, huber" */
} esc_verify_worst;

enum { ESC_VERIFY_RATIO_MAX = 1000 };

/* Records |error| with its tolerance and location. A tolerance below 0 counts as NaN. */
void esc_verify_record(esc_verify_worst *worst, double error, double tolerance, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

/* False for a NaN, and for a check without a comparison. */
bool esc_verify_passed(const esc_verify_worst *worst);

/* True if every comparison has tolerance 0. */
bool esc_verify_exact(const esc_verify_worst *worst);

/* Tolerance over error of the worst comparison; infinite without an error. */
double esc_verify_ratio(const esc_verify_worst *worst);

/* Fails only if the check cannot run (no memory, device lost). */
typedef esc_status esc_verify_run(const esc_verify_target *target, esc_verify_worst *worst);

typedef struct esc_verify_check {
  const char *name; /* NULL ends a table */
  esc_verify_run *run;
} esc_verify_check;

/* X(table) of the families without an engine, from simple to composite. */
#define ESC_VERIFY_FAMILIES(X) \
  X(random)                    \
  X(activations) X(losses) X(model) X(network) X(gradients) X(identities) X(observables) X(theory)

#define ESC_VERIFY_TABLE(family) extern const esc_verify_check esc_verify_##family[];
ESC_VERIFY_FAMILIES(ESC_VERIFY_TABLE)
/* An engine against the reference; the reference against the oracle (oracle.h); path fused against
 * the CPU engine, which has the same summation order. */
ESC_VERIFY_TABLE(training)
ESC_VERIFY_TABLE(reference)
ESC_VERIFY_TABLE(fused)
#undef ESC_VERIFY_TABLE

#endif

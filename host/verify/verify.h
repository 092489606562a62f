/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of esc_machine_verify. A family is one file
 * with a table of checks; each compares numbers with what they must be and keeps the
 * worst of its errors, measured by its own tolerance. A tolerance far above its error
 * checks nothing: tests demand that no row's is more than ESC_VERIFY_RATIO_MAX times its
 * error, and that rows without an error are exact. */
#ifndef ESC_VERIFY_H
#define ESC_VERIFY_H

#include "escapement/internal/engine.h"

/* An engine to be checked; `backend` NULL in families that need none. */
typedef struct esc_verify_target {
  const char *backend, *path; /* as in esc_backend_request; path NULL for the only one */
  int device, threads;
  bool quick; /* fewer combinations */
} esc_verify_target;

/* The worst comparison of a check: the one with the largest error in units of its own
 * tolerance. A NaN is worse than anything, and fails. */
typedef struct esc_verify_worst {
  double error, tolerance;
  int64_t compared, exact; /* comparisons; those of them with tolerance 0 */
  char at[96];             /* where it was: "gelu, huber" */
} esc_verify_worst;

enum { ESC_VERIFY_RATIO_MAX = 1000 };

/* Takes |error| against tolerance; `format` says where. A tolerance below 0 is a NaN. */
void esc_verify_take(esc_verify_worst *worst, double error, double tolerance, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));

/* False for a NaN, and for a check that compared nothing. */
bool esc_verify_passed(const esc_verify_worst *worst);

/* True where every comparison was one of equality. */
bool esc_verify_exact(const esc_verify_worst *worst);

/* Tolerance over error of the worst comparison: infinite where nothing differs. */
double esc_verify_ratio(const esc_verify_worst *worst);

/* Fails only where the check could not be made (no memory, device lost). */
typedef esc_status esc_verify_run(const esc_verify_target *target, esc_verify_worst *worst);

typedef struct esc_verify_check {
  const char *name; /* NULL ends a table */
  esc_verify_run *run;
} esc_verify_check;

/* X(table): those that need no engine, from the plainest to the most composite. */
#define ESC_VERIFY_FAMILIES(X) \
  X(random)                    \
  X(activations) X(losses) X(model) X(network) X(gradients) X(identities) X(observables) X(theory)

#define ESC_VERIFY_TABLE(family) extern const esc_verify_check esc_verify_##family[];
ESC_VERIFY_FAMILIES(ESC_VERIFY_TABLE)
/* Of an engine against the reference; of the reference against the oracle (oracle.h); and
 * of path fused, whose sums have the order of the CPU engine. */
ESC_VERIFY_TABLE(training)
ESC_VERIFY_TABLE(reference)
ESC_VERIFY_TABLE(fused)
#undef ESC_VERIFY_TABLE

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of what runs on this machine: random numbers, activations, gradients, imbalance identities
 * and theory against numbers from elsewhere and each other; each engine against the reference, and
 * the reference against an independent evaluation in long double. */
#ifndef ESCAPEMENT_VERIFY_H
#define ESCAPEMENT_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/export.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

typedef struct esc_verify_request {
  const char *backend; /* reference, cpu, cuda; NULL or "auto": all that this machine has */
  const char *path;    /* as in run.h; NULL: on a GPU fused and cublas, on the CPU auto */
  int device;          /* index of the GPU */
  int threads;         /* 0: all processors */
  bool quick;          /* fewer steps; of the engines only small shapes, losses in turns */
  bool fail_fast;      /* the first check that fails is the last one */
} esc_verify_request;

/* One check, its worst error and the error allowed there. */
typedef struct esc_verify_result {
  char name[100];
  bool skipped; /* not made; `where` says why, and nothing below has a meaning */
  bool passed;
  bool exact;       /* nothing may differ */
  double error;     /* the worst one, divided by its tolerance; NaN: none was found */
  double tolerance; /* of that error */
  double ratio;     /* tolerance over error; infinite where nothing differs */
  int64_t compared; /* numbers */
  char where[200];  /* the worst error: "gelu, huber" */
} esc_verify_result;

typedef struct esc_verification {
  int results;
  esc_verify_result *result; /* (results) in the order in which they were made */
  int passed, failed, skipped;
  bool stopped; /* at a failed check, as fail_fast asks */
  double seconds;
} esc_verification;

/* Called after each check, on the caller's thread; false ends the checks. */
typedef bool esc_verify_report(void *context, const esc_verify_result *result);

/* Makes the checks; minutes, or some ten seconds with `quick`. `report` (NULL: none) gets
 * `context`. Free *out with esc_verification_free in either case. A failed check is not an error:
 * ESC_OK with out->failed above 0. ESC_BAD_INPUT where the backend, path or device asked for does
 * not exist; ESC_INTERRUPTED where `report` ended the checks; other errors where a check could not
 * be made (no memory, device lost), with the results up to there in *out. */
ESC_API esc_status esc_machine_verify(const esc_verify_request *request, esc_verify_report *report,
                                      void *context, esc_verification *out);
ESC_API void esc_verification_free(esc_verification *verification);

ESC_END_DECLS

#endif

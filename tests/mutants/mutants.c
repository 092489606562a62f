/* SPDX-License-Identifier: Apache-2.0 */
/* The program of the mutation test: checks of `verify`, over code of which one mutation is
 * switched on.
 *
 *   mutants NAME [CHECK ...]    a mutation's name, or none; all checks, or those named
 *
 * Prints a line a check: "pass" or "fail", name, where the worst error was; tabs between them.
 * Exit status 2 where a check could not be made. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <gsl/gsl_errno.h>

#include "escapement/status.h"
#include "verify/verify.h"

int esc_mutation;
static const char *const names[] = {ESC_MUTATION_NAMES};

/* False where there is no such mutation. */
static bool mutation_choose(const char *name) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (!strcmp(names[i], name)) {
      esc_mutation = (int)i;
      return true;
    }
  return false;
}

static bool is_wanted(const char *name, char *const *wanted) {
  for (char *const *w = wanted; *w; w++)
    if (!strcmp(*w, name)) return true;
  return !*wanted;
}

/* As `verify` does, a check that finds no answer has failed. */
static esc_status check_run(const esc_verify_check *check, const esc_verify_target *target,
                            const char *name) {
  esc_verify_worst worst = {.compared = 0};
  const esc_status status = check->run(target, &worst);
  if (status == ESC_LIBRARY_FAILED || status == ESC_BAD_INPUT)
    esc_verify_record(&worst, (double)NAN, 0, "%s", esc_error_message());
  else if (status != ESC_OK)
    return status;
  printf("%s\t%s\t%s\n", esc_verify_passed(&worst) ? "pass" : "fail", name, worst.location);
  return ESC_OK;
}

/* Names as `verify` prints them: the engine's before the check's. */
static esc_status table_run(const esc_verify_check *check, const esc_verify_target *target,
                            char *const *wanted) {
  esc_status status = ESC_OK;
  for (; check->name; check++) {
    char name[100];
    snprintf(name, sizeof name, "%s%s%s%s%s", target->backend ? target->backend : "",
             target->path ? " " : "", target->path ? target->path : "", target->backend ? ": " : "",
             check->name);
    if (is_wanted(name, wanted)) ESC_TRY(check_run(check, target, name));
  }
done:
  return status;
}

static esc_status run(char *const *wanted) {
  esc_status status = ESC_OK;
  const struct {
    const esc_verify_check *table;
    const char *backend, *path;
  } tables[] = {
#define FAMILY(name) {esc_verify_##name, NULL, NULL},
      ESC_VERIFY_FAMILIES(FAMILY)
#undef FAMILY
          {esc_verify_reference, "reference", NULL},
      {esc_verify_training, "cpu", NULL},
      {esc_verify_training, "cpu", "interleaved"},
      {esc_verify_training, "cuda", "fused"},
      {esc_verify_fused, "cuda", "fused"},
      {esc_verify_training, "cuda", "cublas"},
  };
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    const esc_verify_target target = {
        .backend = tables[i].backend, .path = tables[i].path, .threads = 1, .quick = true};
    ESC_TRY(table_run(tables[i].table, &target, wanted));
  }
done:
  return status;
}

int main(int argc, char **argv) {
  if (argc < 2 || !mutation_choose(argv[1])) {
    fprintf(stderr,
            "usage: mutants NAME [CHECK ...], where NAME is a mutation of the lists or none\n");
    return 2;
  }
  setlocale(LC_NUMERIC, "C");
  gsl_set_error_handler_off();
  if (run(argv + 2) == ESC_OK) return 0;
  fprintf(stderr, "%s\n", esc_error_message());
  return 2;
}

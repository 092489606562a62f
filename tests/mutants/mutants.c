/* The program of the mutation test: the verb verify, over code in which the one family
 * that the environment names has a wrong sign.
 *
 *   mutants --list           the families' names, one a line
 *   mutants [options]        `escapement verify [options]` */
#include "escapement/internal/mutant.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_errno.h>

#include "cli/cli.h"

static const char *const names[ESC_MUTANT_COUNT] = {
#define NAME(name, text) #name,
    ESC_MUTANT_LIST(NAME)
#undef NAME
};

signed char esc_mutant_sign[ESC_MUTANT_COUNT];

static void list(void) {
  for (int i = 0; i < ESC_MUTANT_COUNT; i++) puts(names[i]);
}

/* False where `wanted` is no family. */
static bool choose(const char *wanted) {
  bool found = !wanted;
  for (int i = 0; i < ESC_MUTANT_COUNT; i++) {
    const bool chosen = wanted && !strcmp(wanted, names[i]);
    esc_mutant_sign[i] = chosen ? -1 : 1;
    found = found || chosen;
  }
  return found;
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "--list")) {
    list();
    return 0;
  }
  if (!choose(getenv("ESCAPEMENT_MUTANT"))) {
    fprintf(stderr, "ESCAPEMENT_MUTANT: no such family; see --list\n");
    return 2;
  }
  esc_log_to_stderr();
  setlocale(LC_NUMERIC, "C");
  gsl_set_error_handler_off();
  const esc_status status = esc_verb_verify(argc, argv);
  if (status != ESC_OK) esc_log("%s", esc_error_message());
  return esc_status_exit_code(status);
}

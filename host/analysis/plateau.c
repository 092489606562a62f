/* SPDX-License-Identifier: Apache-2.0 */
/* The plateau table of a result, by the resolved spec in the result. */
#include <math.h>
#include <string.h>

#include "escapement/internal/library.h"
#include "escapement/internal/plateau.h"
#include "spec/spec.h"

static esc_status measure(const esc_results *results, const char *name, double window,
                          esc_plateau_table *out) {
  esc_status status = ESC_OK;
  esc_spec *spec = NULL;
  const char *text = esc_results_attribute_text(results, "spec");
  *out = (esc_plateau_table){0};
  if (!(window > 0) || !isfinite(window))
    return ESC_FAIL(ESC_BAD_INPUT, "window: is %g; allowed: a number above 0", window);
  if (!results->snapshots || !text)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: holds no snapshots; run the sweep with record.every or "
                    "record.per_decade",
                    name);
  ESC_TRY(esc_spec_parse(name, text, strlen(text), 0, NULL, &spec));
  ESC_TRY(esc_spec_refuse_grid(spec, name));
  ESC_TRY(esc_results_check(name, results, &spec->problem));
  ESC_TRY(esc_plateau_table_create(results, &spec->problem, spec->record.samples, window, out));
done:
  if (status != ESC_OK) esc_plateau_table_free(out);
  esc_spec_free(spec);
  return status;
}

esc_status esc_plateau_table_measure(const esc_results *results, const char *name, double window,
                                     esc_plateau_table *out) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = measure(results, name, window, out);
  esc_library_leave(scope);
  return status;
}

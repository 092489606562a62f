/* SPDX-License-Identifier: Apache-2.0 */
/* Whether results belong to one experiment, by their resolved specs, and the fit of such results.
 */
#include "escapement/compare.h"

#include "escapement/internal/fit.h"
#include "escapement/internal/library.h"
#include "spec/difference.h"

/* Keys for the extent of a sweep, which may differ between the results of one experiment. */
static const char *const extent_keys[] = {
    "name", "train.steps", "escape.thresholds", "escape.false_escapes", "sweep", "record", NULL};

static esc_status fail_difference(const esc_spec_difference *d, const char *one,
                                  const char *other) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s and %s are different experiments: %s is %s in the first and %s in the "
                  "second; only name, sweep, record, train.steps, escape.thresholds and "
                  "escape.false_escapes may differ",
                  one, other, d->key.text, d->first.text, d->second.text);
}

esc_status esc_results_check_experiment(int count, const esc_results *const *results,
                                        const char *const *name) {
  const char *first = NULL;
  int named = 0;
  esc_spec_difference difference;
  for (int i = 0; i < count; i++) {
    const char *spec = esc_results_attribute_text(results[i], "spec");
    if (!spec) continue;
    if (first && esc_spec_differ(first, spec, extent_keys, &difference))
      return fail_difference(&difference, name[named], name[i]);
    if (!first) named = i;
    if (!first) first = spec;
  }
  return ESC_OK;
}

esc_status esc_results_fit(int count, const esc_results *const *results, const char *const *name,
                           esc_fit *out) {
  esc_status status = ESC_OK;
  const esc_library_scope scope = esc_library_enter();
  *out = (esc_fit){0};
  ESC_TRY(esc_results_check_experiment(count, results, name));
  ESC_TRY(esc_fit_results(count, results, out));
done:
  esc_library_leave(scope);
  return status;
}

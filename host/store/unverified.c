/* SPDX-License-Identifier: Apache-2.0 */
#include "store/unverified.h"

#include <math.h>
#include <string.h>

bool esc_column_is_required(const esc_layout_column *c) {
  static const char *const required[] = {"threshold", "seed",        "bottleneck",
                                         "scale",     "escape_step", "steps_run"};
  for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
    if (!strcmp(c->name, required[i])) return true;
  return false;
}

bool esc_attribute_is_of_store(const char *name) {
  return !strcmp(name, "Conventions") || !strcmp(name, "members") || !strcmp(name, "digest");
}

void esc_members_derive(esc_results *r, bool number, bool with_status) {
  for (int64_t i = 0; i < r->members; i++) {
    if (number) r->member[i] = i;
    for (int k = 0; k < r->thresholds; k++)
      if (with_status && r->escape_step[i * r->thresholds + k] < 0)
        r->status[i] = ESC_MEMBER_CENSORED;
  }
}

esc_status esc_results_check_keys(const char *name, const esc_results *r) {
  for (int k = 0; k < r->thresholds; k++)
    if (!isfinite(r->threshold[k]))
      return ESC_FAIL(ESC_BAD_INPUT, "%s: threshold is %g at value number %d", name,
                      r->threshold[k], k + 1);
  for (int64_t i = 0; i < r->members; i++)
    if (isnan(r->scale[i]))
      return ESC_FAIL(ESC_BAD_INPUT, "%s: scale is NaN at value number %lld", name,
                      (long long)i + 1);
  for (int64_t i = 0; i < r->members; i++)
    if (r->status[i] < ESC_MEMBER_ESCAPED || r->status[i] > ESC_MEMBER_DIVERGED)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: status is %d at value number %lld; allowed: 0 to 2", name,
                      r->status[i], (long long)i + 1);
  return ESC_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The spec's text: what is taken resolves to a text that is taken too and resolves to itself. */
#include "spec/spec.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  esc_spec *spec = NULL, *again = NULL;
  const esc_status status = esc_spec_parse("fuzz", (const char *)data, size, 0, NULL, &spec);
  if (status != ESC_OK) {
    demand_refusal(status);
    return 0;
  }
  DEMAND(esc_spec_count_members(spec) > 0);
  char *text = esc_spec_resolved(spec);
  DEMAND(esc_spec_parse("resolved", text, strlen(text), 0, NULL, &again) == ESC_OK);
  char *twice = esc_spec_resolved(again);
  DEMAND(!strcmp(text, twice));
  free(text);
  free(twice);
  esc_spec_free(spec);
  esc_spec_free(again);
  return 0;
}

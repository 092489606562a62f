/* SPDX-License-Identifier: Apache-2.0 */
/* Overrides, one a line, on a small spec. */
#include "fuzz.h"
#include "spec/spec.h"

enum { OVERRIDES_MAX = 16 };

static const char base[] =
    "network: {layers: 4, width: 8, inputs: 8, activation: tanh}\n"
    "teacher: {amplitudes: [1.0]}\n"
    "train: {rate: 0.01, batch: 16, steps: 1000}\n"
    "escape: {thresholds: [0.1]}\n"
    "sweep:\n  seeds: 2\n  groups:\n    - {bottleneck: 3, scales: [0.1]}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *override[OVERRIDES_MAX];
  int count = 0;
  esc_spec *spec = NULL;
  char *text = malloc(size + 1), *rest = text;
  DEMAND(text);
  memcpy(text, data, size);
  text[size] = 0;
  for (char *line; count < OVERRIDES_MAX && (line = strsep(&rest, "\n"));) override[count++] = line;
  const esc_status status = esc_spec_parse("base", base, strlen(base), count, override, &spec);
  if (status != ESC_OK) demand_refusal(status);
  esc_spec_free(spec);
  free(text);
  return 0;
}

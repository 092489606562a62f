/* SPDX-License-Identifier: Apache-2.0 */
/* A spec with one key on each line, to be varied a line at a time. */
#ifndef ESC_TESTS_SPEC_TEXT_H
#define ESC_TESTS_SPEC_TEXT_H

#include "check.h"
#include "spec/spec.h"

static const char *const spec_line[] = {
    "name: trial",
    "network:",
    "  layers: 4",
    "  width: 8",
    "  inputs: 8",
    "  activation: tanh",
    "teacher:",
    "  amplitudes: [1.0]",
    "  directions: axes",
    "init:",
    "  scheme: he-normal",
    "  scales: 1",
    "train:",
    "  metric: euclidean",
    "  rate: 0.01",
    "  batch: 64",
    "  steps: 400000",
    "  loss: squared",
    "  update: plain",
    "escape:",
    "  thresholds: [0.05, 0.1]",
    "  smoothing: 0.9",
    "  false_escapes: refuse",
    "sweep:",
    "  seeds: 16",
    "  seed: 1",
    "  groups:",
    "    - bottleneck: 3",
    "      scales: [0.1, 0.05]",
    "    - {bottleneck: 4, scales: {from: 0.05, to: 0.3, count: 6}}",
    "record:",
    "  every: 0",
};
enum { SPEC_LINES = (int)(sizeof spec_line / sizeof spec_line[0]) };

/* The spec with line `number` (from 1; 0: none) replaced by `text`. */
static inline const char *with_line(int number, const char *text) {
  static char out[1 << 16];
  size_t used = 0;
  for (int i = 0; i < SPEC_LINES; i++)
    used += (size_t)snprintf(out + used, sizeof out - used, "%s\n",
                             i + 1 == number ? text : spec_line[i]);
  assert_true(used < sizeof out);
  return out;
}

static inline esc_status parse_bytes(const char *text, size_t length, esc_spec **out) {
  *out = NULL;
  return esc_spec_parse("spec.yaml", text, length, 0, NULL, out);
}

/* The caller frees it. */
static inline esc_spec *parse_good(const char *text) {
  esc_spec *spec = NULL;
  esc_assert_ok(parse_bytes(text, strlen(text), &spec));
  assert_non_null(spec);
  return spec;
}

static inline void accept(const char *text) { esc_spec_free(parse_good(text)); }

/* The last message is one line that begins with `begin` and goes on to `more`. */
static inline void check_message(const char *begin, const char *more) {
  const char *message = esc_error_message();
  const bool good =
      !strncmp(message, begin, strlen(begin)) && strstr(message, more) && !strchr(message, '\n');
  if (!good) fprintf(stderr, "got:  %s\nwant: %s ... %s\n", message, begin, more);
  assert_true(good);
}

static inline void refuse_bytes(const char *text, size_t length, const char *begin,
                                const char *more) {
  esc_spec *spec;
  const esc_status status = parse_bytes(text, length, &spec);
  if (status != ESC_BAD_INPUT) fprintf(stderr, "taken: %.300s\n", text);
  assert_int_equal(status, ESC_BAD_INPUT);
  assert_null(spec);
  check_message(begin, more);
}

static inline void refuse_text(const char *text, const char *begin, const char *more) {
  refuse_bytes(text, strlen(text), begin, more);
}

static inline esc_status parse_with(const char *override, esc_spec **out) {
  const char *text = with_line(0, "");
  *out = NULL;
  return esc_spec_parse("spec.yaml", text, strlen(text), 1, &override, out);
}

static inline void refuse_override(const char *override, const char *begin, const char *more) {
  esc_spec *spec;
  assert_int_equal(parse_with(override, &spec), ESC_BAD_INPUT);
  assert_null(spec);
  check_message(begin, more);
}

#endif

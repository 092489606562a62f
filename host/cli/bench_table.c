/* SPDX-License-Identifier: Apache-2.0 */
/* The table of bench, as text and as JSON. */
#include "cli/bench_table.h"

#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "bench/check.h"
#include "cli/cli.h"

void esc_bench_print_header(double seconds) {
  printf(
      "# escapement %s, commit %s, %s\n"
      "# us/step   wall time of one step of all slots, divided by the number of slots: median,\n"
      "#           least and most of %d repeats; %g s per row\n"
      "# disturbed yes: a repeat (of the step or of the peak) is more than twice or less than\n"
      "#           half the median, because of other load on the machine; repeat the row\n"
      "# GFLOP/s   %s per network-step: the matrix products\n"
      "#           of the forward and backward pass, 2 per multiply-add; the time of inputs,\n"
      "#           activations, loss, ledger and update is included, their FLOP are not\n"
      "# ceiling   peak GFLOP/s, measured as below: median of bursts between the repeats\n"
      "# error     of weights and loss after %d steps of up to 3 networks, not timed, against the\n"
      "#           double-precision reference, relative to the change of the weights\n"
      "# #wrong    weights and losses with errors above the rounding bound, and networks that\n"
      "#           did not train\n",
      esc_library_version(), esc_commit(), esc_compiler(), ESC_BENCH_REPEATS, seconds,
      esc_bench_flop_formula(), ESC_BENCH_CHECK_STEPS);
}

void esc_bench_print_skip(const esc_bench_skip *s) {
  printf("# skipped: %s, %s, %s, N %d, L %d, d %d, B %d: %s\n", s->backend, s->path, s->activation,
         s->width, s->layers, s->inputs, s->batch, s->reason);
}

void esc_bench_print_backend(const esc_bench_backend *b) {
  printf("#\n# %s: %s\n# ceiling: %s; memory copy %.1f GB/s, read plus written\n", b->name,
         b->device, b->ceiling, b->copy_bytes_per_s / 1e9);
  printf("%-9s %-11s %-9s %-10s %5s %3s %5s %6s %7s %10s %10s %10s %9s %9s %9s %8s %8s %6s\n",
         "# backend", "path", "precision", "activation", "N", "L", "d", "B", "slots", "us/step",
         "least", "most", "disturbed", "GFLOP/s", "ceiling", "fraction", "error", "#wrong");
  fflush(stdout);
}

void esc_bench_print_result(const esc_bench_result *r) {
  printf(
      "%-9s %-11s %-9.*s %-10.24s %5d %3d %5d %6d %7d %10.4g %10.4g %10.4g %9s %9.4g %9.4g %8.3f "
      "%8.1e %6lld\n",
      r->backend, r->path, (int)strcspn(r->precision, ","), r->precision, r->activation, r->width,
      r->layers, r->inputs, r->batch, r->members, 1e6 * r->seconds.median, 1e6 * r->seconds.low,
      1e6 * r->seconds.high, r->disturbed ? "yes" : "no", r->flop_per_s / 1e9,
      r->ceiling.median / 1e9, r->fraction, r->error, (long long)r->wrong);
  fflush(stdout);
}

static json_t *head_to_json(double seconds) {
  json_t *json = json_object();
  json_object_set_new(json, "version", json_string(esc_library_version()));
  json_object_set_new(json, "commit", json_string(esc_commit()));
  json_object_set_new(json, "compiler", json_string(esc_compiler()));
  json_object_set_new(json, "flop_formula", json_string(esc_bench_flop_formula()));
  json_object_set_new(json, "seconds_per_row", json_real(seconds));
  json_object_set_new(json, "repeats", json_integer(ESC_BENCH_REPEATS));
  json_object_set_new(json, "backends", json_array());
  json_object_set_new(json, "rows", json_array());
  json_object_set_new(json, "skipped", json_array());
  return json;
}

static json_t *backend_to_json(const esc_bench_backend *b) {
  json_t *json = json_object();
  json_object_set_new(json, "backend", json_string(b->name));
  json_object_set_new(json, "device", esc_json_text(b->device));
  json_object_set_new(json, "ceiling", json_string(b->ceiling));
  json_object_set_new(json, "copy_bytes_per_s", esc_json_number(b->copy_bytes_per_s));
  return json;
}

static void set_shape(json_t *json, const esc_bench_result *r) {
  json_object_set_new(json, "activation", esc_json_text(r->activation));
  json_object_set_new(json, "width", json_integer(r->width));
  json_object_set_new(json, "layers", json_integer(r->layers));
  json_object_set_new(json, "inputs", json_integer(r->inputs));
  json_object_set_new(json, "batch", json_integer(r->batch));
  json_object_set_new(json, "threads", json_integer(r->threads));
}

static void set_timing(json_t *json, const esc_bench_result *r) {
  json_object_set_new(json, "steps", json_integer(r->steps));
  json_object_set_new(json, "us_per_step", esc_json_number(1e6 * r->seconds.median));
  json_object_set_new(json, "us_per_step_least", esc_json_number(1e6 * r->seconds.low));
  json_object_set_new(json, "us_per_step_most", esc_json_number(1e6 * r->seconds.high));
  json_t *repeats = json_array();
  for (int i = 0; i < ESC_BENCH_REPEATS; i++)
    json_array_append_new(repeats, esc_json_number(1e6 * r->repeat[i]));
  json_object_set_new(json, "us_per_step_repeats", repeats);
  json_object_set_new(json, "disturbed", json_boolean(r->disturbed));
  json_object_set_new(json, "network_steps_per_s", esc_json_number(1 / r->seconds.median));
  json_object_set_new(json, "flop_per_step", json_real(r->flop_per_step));
  json_object_set_new(json, "flop_per_s", esc_json_number(r->flop_per_s));
  json_object_set_new(json, "ceiling_flop_per_s", esc_json_number(r->ceiling.median));
  json_object_set_new(json, "ceiling_flop_per_s_least", esc_json_number(r->ceiling.low));
  json_object_set_new(json, "ceiling_flop_per_s_most", esc_json_number(r->ceiling.high));
  json_object_set_new(json, "fraction", esc_json_number(r->fraction));
}

static json_t *result_to_json(const esc_bench_result *r) {
  json_t *json = json_object();
  json_object_set_new(json, "backend", json_string(r->backend));
  json_object_set_new(json, "path", json_string(r->path));
  json_object_set_new(json, "precision", json_string(r->precision));
  json_object_set_new(json, "engine", esc_json_text(r->engine));
  set_shape(json, r);
  json_object_set_new(json, "members", json_integer(r->members));
  json_object_set_new(json, "host_bytes", json_real(r->host_bytes));
  json_object_set_new(json, "device_bytes", json_real(r->device_bytes));
  set_timing(json, r);
  json_object_set_new(json, "error", esc_json_number(r->error));
  json_object_set_new(json, "tolerance", esc_json_number(r->tolerance));
  json_object_set_new(json, "compared", json_integer(r->compared));
  json_object_set_new(json, "wrong", json_integer(r->wrong));
  return json;
}

static json_t *skip_to_json(const esc_bench_skip *s) {
  json_t *json = json_object();
  json_object_set_new(json, "backend", json_string(s->backend));
  json_object_set_new(json, "path", json_string(s->path));
  json_object_set_new(json, "activation", esc_json_text(s->activation));
  json_object_set_new(json, "width", json_integer(s->width));
  json_object_set_new(json, "layers", json_integer(s->layers));
  json_object_set_new(json, "inputs", json_integer(s->inputs));
  json_object_set_new(json, "batch", json_integer(s->batch));
  json_object_set_new(json, "members", s->members ? json_integer(s->members) : json_null());
  json_object_set_new(json, "reason", esc_json_text(s->reason));
  return json;
}

json_t *esc_benchmark_to_json(const esc_benchmark *b) {
  json_t *json = head_to_json(b->seconds);
  for (int i = 0; i < b->backends; i++)
    json_array_append_new(json_object_get(json, "backends"), backend_to_json(&b->backend[i]));
  for (int i = 0; i < b->results; i++)
    json_array_append_new(json_object_get(json, "rows"), result_to_json(&b->result[i]));
  for (int i = 0; i < b->skips; i++)
    json_array_append_new(json_object_get(json, "skipped"), skip_to_json(&b->skip[i]));
  json_object_set_new(json, "rows_wrong", json_integer(b->wrong));
  json_object_set_new(json, "rows_disturbed", json_integer(b->disturbed));
  return json;
}

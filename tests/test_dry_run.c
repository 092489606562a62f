/* SPDX-License-Identifier: Apache-2.0 */
/* What a dry run of a grid makes once for many points. */
#include <dlfcn.h>
#include <hdf5.h>

#include "check.h"
#include "escapement/run.h"
#include "escapement/spec.h"

/* HDF5's own, counted. */
static int files_made;
hid_t H5Fcreate(const char *name, unsigned flags, hid_t creation, hid_t access) {
  hid_t (*real)(const char *, unsigned, hid_t, hid_t) = NULL;
  *(void **)&real = dlsym(RTLD_NEXT, "H5Fcreate");
  files_made++;
  return real(name, flags, creation, access);
}

/* Result bytes of a sweep over these rates. */
static double estimate_bytes(const char *rates) {
  char text[600];
  esc_spec *spec = NULL;
  esc_dry_run dry;
  const esc_run_options options = {.backend = "cpu", .device = -1, .threads = 1, .quiet = true};
  snprintf(text, sizeof text,
           "network: {layers: 2, width: 4, inputs: 3, activation: linear}\n"
           "train: {batch: 16, steps: 10}\n"
           "escape: {thresholds: [0.1], smoothing: 0.9, false_escapes: allow}\n"
           "sweep:\n"
           "  groups: [{bottleneck: 2, scales: [0.1]}]\n"
           "  grid: {train.rate: [%s]}\n",
           rates);
  esc_assert_ok(esc_spec_parse("text", text, strlen(text), 0, NULL, &spec));
  esc_assert_ok(esc_sweep_dry_run(spec, &options, &dry));
  const double bytes = dry.result_bytes;
  esc_dry_run_free(&dry);
  esc_spec_free(spec);
  return bytes;
}

static void points_whose_files_have_equal_lengths_share_an_estimate(void **state) {
  (void)state;
  files_made = 0;
  const double bytes = estimate_bytes("0.01, 0.02, 0.03, 0.04, 0.05, 0.06");
  assert_int_equal(files_made, 1);
  esc_assert_close(bytes, 6 * estimate_bytes("0.01"), 0, 0);
}

static void points_whose_files_have_other_lengths_do_not(void **state) {
  (void)state;
  files_made = 0;
  (void)estimate_bytes("0.01, 0.0123, 0.02, 0.0234");
  assert_int_equal(files_made, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(points_whose_files_have_equal_lengths_share_an_estimate),
      cmocka_unit_test(points_whose_files_have_other_lengths_do_not),
  };
  return cmocka_run_group_tests_name("dry run", tests, NULL, NULL);
}

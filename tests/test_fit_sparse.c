/* SPDX-License-Identifier: Apache-2.0 */
/* A fit's memory is in proportion to its members, not to seeds x scales. */
#include <sys/resource.h>

#include "made_sweep.h"

static double peak_bytes(void) {
  struct rusage usage;
  assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
  return 1024.0 * (double)usage.ru_maxrss;
}

/* Seeds x scales took 3.2 GiB here; members take 11 MB, with the sanitizers some times that. */
static void members_with_a_seed_and_a_scale_each_take_little_memory(void **state) {
  (void)state;
  enum { MEMBERS = 20000 };
  const design d = {.bottleneck = 3, .small_layers = 7, .budget = INT64_MAX};
  const double before = peak_bytes();
  esc_results *r = NULL;
  esc_assert_ok(esc_results_create(MEMBERS, 1, 3, &r));
  r->threshold[0] = 0.1;
  for (int64_t i = 0; i < MEMBERS; i++) {
    const double scale = 0.01 * exp(2.0 * (double)i / MEMBERS);
    put(r, i, &d, i + 1, scale, 1000 / scale);
  }
  esc_fit fit = fit_of(1, &r);
  esc_assert_close(fit.group[0].slope, -1, 1e-4, 0); /* steps are rounded to whole numbers */
  assert_true(peak_bytes() - before < 500e6);
  drop(&fit, 1, &r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(members_with_a_seed_and_a_scale_each_take_little_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The device's quotient and root without branches (float_math.h) against the processor's division
 * and root, bit by bit, over the operands of the two places that use them, and whatever the last
 * two bits of the device's approximate reciprocal are. The GPU states an error of 1 ulp for the
 * reciprocal and of 2 ulp for the reciprocal root.
 *
 *   test_division            every STRIDE-th operand
 *   test_division all        every operand */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "escapement/internal/normal.h"

enum { STRIDE = 617, ULP = 2 };

static int64_t stride = STRIDE;

static bool same(float a, float b) { return esc_bits_f32(a) == esc_bits_f32(b); }

/* y moved by `ulp` units in its last place. */
static float shifted(float y, int ulp) {
  return esc_float_of_bits(esc_bits_f32(y) + (uint32_t)ulp);
}

/* How many |x| up to 9.02 (beyond, tanh's fraction is that of 9.02) get another tanh. */
static void the_quotient_of_tanh_is_correctly_rounded(void **state) {
  (void)state;
  const int64_t end = esc_bits_f32(9.02f) + 1;
  int64_t wrong = 0;
#pragma omp parallel for reduction(+ : wrong)
  for (int64_t bits = 0; bits < end; bits += stride) {
    float a, b;
    esc_tanh_fraction_f32(esc_float_of_bits((uint32_t)bits), &a, &b);
    const float want = a / b, reciprocal = 1.0f / b;
    for (int ulp = -ULP; ulp <= ULP; ulp++)
      wrong += !same(esc_div_refine_f32(a, b, shifted(reciprocal, ulp)), want);
  }
  assert_int_equal(wrong, 0);
}

static void the_root_of_the_normals_is_correctly_rounded(void **state) {
  (void)state;
  int64_t wrong = 0;
#pragma omp parallel for reduction(+ : wrong)
  for (int64_t bits = UINT32_MAX; bits >= 0; bits -= stride) {
    const float x = esc_normal_radius_sq_f32((uint32_t)bits), want = __builtin_sqrtf(x);
    const float reciprocal_root = (float)(1.0 / __builtin_sqrt(x));
    for (int ulp = -ULP; ulp <= ULP; ulp++) {
      const float y = x == 0 ? reciprocal_root : shifted(reciprocal_root, ulp);
      wrong += !same(esc_sqrt_refine_f32(x, y), want);
    }
  }
  assert_int_equal(wrong, 0);
}

static void a_nan_stays_a_nan(void **state) {
  (void)state;
  const float nan = esc_nan_f32();
  assert_true(esc_div_refine_f32(nan, nan, nan) != esc_div_refine_f32(nan, nan, nan));
  assert_true(esc_sqrt_refine_f32(nan, nan) != esc_sqrt_refine_f32(nan, nan));
}

/* Without the residual step the quotient is off in the last bit for some operands. */
static void the_residual_step_is_needed(void **state) {
  (void)state;
  int64_t wrong = 0;
  for (int64_t bits = esc_bits_f32(0x1p-3f); bits < esc_bits_f32(9.02f); bits += STRIDE * STRIDE) {
    float a, b;
    esc_tanh_fraction_f32(esc_float_of_bits((uint32_t)bits), &a, &b);
    wrong += !same(a * (1.0f / b), a / b);
  }
  assert_true(wrong > 0);
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "all")) stride = 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_quotient_of_tanh_is_correctly_rounded),
      cmocka_unit_test(the_root_of_the_normals_is_correctly_rounded),
      cmocka_unit_test(a_nan_stays_a_nan),
      cmocka_unit_test(the_residual_step_is_needed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

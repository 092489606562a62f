/* SPDX-License-Identifier: Apache-2.0 */
/* The float functions against long double, on grids that are even in the bits
 * (so every binade counts alike), with the bounds that the header states; and
 * their exact properties: odd, bounded, NaN stays, the same bits everywhere. */
#include <float.h>

#include "check.h"
#include "escapement/internal/float_math.h"

static const long double two_over_root_pi = 1.12837916709551257389615890312154517L;

typedef float float_function(float);
typedef long double true_function(long double);

static float sine(float x) {
  float s, c;
  esc_sincos_f32(x, &s, &c);
  return s;
}
static float cosine(float x) {
  float s, c;
  esc_sincos_f32(x, &s, &c);
  return c;
}
static float tanh_deficit(float z) { return esc_tanh_deficit_f32(z, esc_tanh_f32(z)); }
static float sin_deficit(float z) { return esc_sin_deficit_f32(z, sine(z), cosine(z)); }
static float erf_deficit(float z) {
  const double gaussian = (double)two_over_root_pi * exp(-(double)z * (double)z);
  return esc_erf_deficit_f32(z, esc_erf_f32(z), (float)gaussian);
}

/* Below 0.01 the deficits' own series: there their difference cancels in any precision. */
static long double true_tanh_deficit(long double z) {
  const long double s = z * z, h = tanhl(z);
  if (fabsl(z) < 0.01L) return z * s * (2.0L / 3 - s * (8.0L / 15 - s * (34.0L / 105)));
  return h - z * (1 - h) * (1 + h);
}
static long double true_sin_deficit(long double z) {
  const long double s = z * z;
  if (fabsl(z) < 0.01L) return z * s * (1.0L / 3 - s * (1.0L / 30 - s / 840));
  return sinl(z) - z * cosl(z);
}
static long double true_erf_deficit(long double z) {
  const long double s = z * z;
  if (fabsl(z) < 0.01L) {
    return two_over_root_pi * z * s * (2.0L / 3 - s * (2.0L / 5 - s * (1.0L / 7)));
  }
  return erfl(z) - z * two_over_root_pi * expl(-s);
}

/* One unit in the last place of the float next to `value`. */
static double ulp_of(long double value) {
  int exponent;
  frexpl(value, &exponent);
  return ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
}

/* Asserts |f - truth| <= ulps * ulp + relative * |truth| at about `points` floats from low to high
 * (of the same sign, away from zero). */
static void check_range(float_function *f, true_function *truth, float low, float high, int points,
                        double ulps, double relative) {
  const uint32_t first = esc_bits_f32(low), last = esc_bits_f32(high);
  const uint32_t stride = (last - first) / (uint32_t)points + 1;
  for (uint32_t bits = first; bits <= last; bits += stride) {
    const float x = esc_float_of_bits(bits);
    const long double want = truth((long double)x);
    const double error = (double)fabsl((long double)f(x) - want);
    if (error <= ulps * ulp_of(want) + relative * (double)fabsl(want)) continue;
    fail_msg("at %.9g: got %.9g, want %.12Lg", (double)x, (double)f(x), want);
  }
}

static void exp_is_good_to_an_ulp(void **state) {
  (void)state;
  check_range(esc_exp_f32, expl, 0x1p-149f, 88.37f, 100000, 0.9, 0.0);
  check_range(esc_exp_f32, expl, -0x1p-149f, -87.0f, 100000, 0.9, 0.0);
  check_range(esc_exp_f32, expl, -87.0f, -87.67f, 1000, 0.0, 1e-6);
  esc_assert_close((double)esc_exp_f32(0.0f), 1.0, 0.0, 0.0);
}

static void exp_stays_finite_and_becomes_zero(void **state) {
  (void)state;
  assert_true(esc_exp_f32(89.0f) < FLT_MAX && esc_exp_f32(89.0f) > 2.4e38f);
  assert_true(esc_exp_f32(INFINITY) < FLT_MAX && esc_exp_f32(FLT_MAX) > 2.4e38f);
  assert_true(esc_exp_f32(-87.7f) == 0.0f && esc_exp_f32(-INFINITY) == 0.0f);
}

static void log_is_good_to_two_ulp(void **state) {
  (void)state;
  check_range(esc_log_f32, logl, FLT_MIN, FLT_MAX, 200000, 1.6, 0.0);
  check_range(esc_log_f32, logl, 0.5f, 2.0f, 200000, 1.6, 0.0);
  assert_true(esc_log_f32(1.0f) == 0.0f);
}

static void log_outside_its_range_is_what_the_header_says(void **state) {
  (void)state;
  assert_true(isinf(esc_log_f32(INFINITY)));
  assert_true(isnan(esc_log_f32(-1.0f)) && isnan(esc_log_f32(-INFINITY)));
  assert_true(fabsf(esc_log_f32(0.0f) + 88.0f) < 1.0f);
}

static void log1p_is_good_to_two_ulp(void **state) {
  (void)state;
  check_range(esc_log1p_f32, log1pl, 0x1p-149f, 0x1p126f, 200000, 1.9, 0.0);
  check_range(esc_log1p_f32, log1pl, -0x1p-149f, -0.99999994f, 200000, 1.9, 0.0);
  assert_true(esc_log1p_f32(INFINITY) == esc_log1p_f32(0x1p126f));
  assert_true(isnan(esc_log1p_f32(-1.5f)) && fabsf(esc_log1p_f32(-1.0f) + 88.0f) < 1.0f);
}

static void tanh_is_good_to_three_ulp(void **state) {
  (void)state;
  check_range(esc_tanh_f32, tanhl, 0x1p-149f, 20.0f, 300000, 2.4, 0.0);
  check_range(esc_tanh_f32, tanhl, 0.1f, 10.0f, 300000, 2.4, 0.0);
}

static void erf_is_good_to_two_ulp(void **state) {
  (void)state;
  check_range(esc_erf_f32, erfl, 0x1p-149f, 20.0f, 300000, 1.8, 0.0);
  check_range(esc_erf_f32, erfl, 0.1f, 5.0f, 300000, 1.8, 0.0);
}

static void sine_and_cosine_are_good_to_two_ulp_up_to_ten_thousand(void **state) {
  (void)state;
  check_range(sine, sinl, 0x1p-149f, 1e4f, 300000, 1.6, 0.0);
  check_range(cosine, cosl, 0x1p-149f, 1e4f, 300000, 1.6, 0.0);
  check_range(sine, sinl, 0.5f, 1e4f, 300000, 1.6, 0.0);
  check_range(cosine, cosl, 0.5f, 1e4f, 300000, 1.6, 0.0);
}

static long double one(long double x) {
  (void)x;
  return 1;
}
static float sine_error(float x) { return 1.0f + (float)((double)sine(x) - sin((double)x)); }
static float cosine_error(float x) { return 1.0f + (float)((double)cosine(x) - cos((double)x)); }

static void sine_and_cosine_hold_absolutely_up_to_four_million(void **state) {
  (void)state;
  check_range(sine_error, one, 1e4f, 0x1p22f, 100000, 0.0, 6 * 0x1p-24);
  check_range(cosine_error, one, 1e4f, 0x1p22f, 100000, 0.0, 6 * 0x1p-24);
  assert_true(isnan(sine(4.2e6f)) && isnan(cosine(-1e30f)) && isnan(sine(INFINITY)));
}

static void sine_and_cosine_hold_next_to_multiples_of_a_quarter_turn(void **state) {
  (void)state;
  for (int n = 1; n <= 6366; n++) {
    const float x = (float)(n * 1.57079632679489661923);
    check_range(sine, sinl, nextafterf(x, 0.0f), nextafterf(x, 1e9f), 3, 1.6, 0.0);
    check_range(cosine, cosl, nextafterf(x, 0.0f), nextafterf(x, 1e9f), 3, 1.6, 0.0);
  }
}

static void the_tanh_deficit_does_not_cancel(void **state) {
  (void)state;
  check_range(tanh_deficit, true_tanh_deficit, 1e-12f, 0.99999994f, 300000, 0.0, 5e-7);
  check_range(tanh_deficit, true_tanh_deficit, 1.0f, 4.0f, 300000, 0.0, 1e-6);
  check_range(tanh_deficit, true_tanh_deficit, 4.0f, 1e4f, 300000, 0.0, 1.3e-6);
}

static void the_sine_deficit_does_not_cancel(void **state) {
  (void)state;
  check_range(sin_deficit, true_sin_deficit, 1e-12f, 4.0f, 300000, 0.0, 3.5e-7);
  for (float z = 4.0f; z < 100.0f; z += 0.01f) {
    esc_assert_close((double)sin_deficit(z), (double)true_sin_deficit((long double)z),
                     2e-7 * (double)z, 0.0);
  }
}

static void the_erf_deficit_does_not_cancel(void **state) {
  (void)state;
  check_range(erf_deficit, true_erf_deficit, 1e-12f, 1e4f, 300000, 0.0, 4e-7);
  check_range(erf_deficit, true_erf_deficit, 0.5f, 5.0f, 300000, 0.0, 4e-7);
}

static void odd_functions_are_odd_to_the_bit(void **state) {
  (void)state;
  float_function *const odd[] = {esc_tanh_f32, esc_erf_f32, sine,
                                 tanh_deficit, sin_deficit, erf_deficit};
  for (uint32_t bits = 1; bits <= esc_bits_f32(0x1p22f); bits += 5003) {
    const float x = esc_float_of_bits(bits);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) assert_true(odd[i](-x) == -odd[i](x));
    assert_true(cosine(-x) == cosine(x));
  }
}

static void tanh_and_erf_never_pass_one_and_reach_it(void **state) {
  (void)state;
  for (uint32_t bits = esc_bits_f32(2.0f); bits < esc_bits_f32(INFINITY); bits += 101) {
    const float x = esc_float_of_bits(bits);
    assert_true(esc_tanh_f32(x) <= 1.0f && esc_erf_f32(x) <= 1.0f);
    assert_true(x < 9.02f || esc_tanh_f32(x) == 1.0f);
    assert_true(x < 4.15f || esc_erf_f32(x) == 1.0f);
  }
  assert_true(esc_tanh_f32(-INFINITY) == -1.0f && esc_erf_f32(-INFINITY) == -1.0f);
}

/* Over steps that are large against the rounding, never less than before. */
static void check_rises(float_function *f, float low, float high, float step) {
  for (float x = low, last = -INFINITY; x <= high; x += step) {
    assert_true(f(x) >= last);
    last = f(x);
  }
}

static void increasing_functions_rise(void **state) {
  (void)state;
  check_rises(esc_exp_f32, -90.0f, 90.0f, 0.001f);
  check_rises(esc_log_f32, 0.001f, 10.0f, 0.001f);
  check_rises(esc_log1p_f32, -0.999f, 10.0f, 0.001f);
  check_rises(esc_tanh_f32, -3.0f, 3.0f, 0.001f);
  check_rises(esc_erf_f32, -2.0f, 2.0f, 0.001f);
  check_rises(tanh_deficit, -2.0f, 2.0f, 0.001f);
  check_rises(erf_deficit, -2.0f, 2.0f, 0.001f);
  check_rises(sin_deficit, -3.0f, 3.0f, 0.001f);
}

static void a_nan_goes_through_every_function(void **state) {
  (void)state;
  float_function *const all[] = {esc_exp_f32, esc_log_f32, esc_log1p_f32, esc_tanh_f32,
                                 esc_erf_f32, sine,        cosine,        tanh_deficit,
                                 sin_deficit, erf_deficit};
  const uint32_t nans[] = {0x7f800001, 0x7fc00000, 0x7fffffff, 0xff800001, 0xffc00000, 0xffffffff};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    for (size_t k = 0; k < 6; k++) assert_true(isnan(all[i](esc_float_of_bits(nans[k]))));
  }
}

static uint64_t hash_of(float_function *f) {
  uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a over 32-bit words */
  for (int i = 0; i < 400000; i++) {
    const float y = f(esc_float_of_bits((uint32_t)i * 10007u));
    hash = (hash ^ (isnan(y) ? 0x7fc00000u : esc_bits_f32(y))) * UINT64_C(1099511628211);
  }
  return hash;
}

static float erf_deficit_of_exp(float z) {
  return esc_erf_deficit_f32(z, esc_erf_f32(z), esc_exp_f32(z));
}

static void the_bits_are_the_same_on_every_machine(void **state) {
  (void)state;
  const struct {
    float_function *f;
    uint64_t hash;
  } frozen[] = {
      {esc_exp_f32, UINT64_C(0x11f748470981f348)},
      {esc_log_f32, UINT64_C(0x76e9043b87f2e0ca)},
      {esc_log1p_f32, UINT64_C(0xff6dcc25931f79e1)},
      {esc_tanh_f32, UINT64_C(0xb4b928835370c023)},
      {esc_erf_f32, UINT64_C(0x0f955bf8f880ca1d)},
      {sine, UINT64_C(0xe8df709e239a09f0)},
      {cosine, UINT64_C(0x63a87d6813442ce3)},
      {tanh_deficit, UINT64_C(0xb4d535f125f0e60e)},
      {sin_deficit, UINT64_C(0x9e6713ec1c02aea6)},
      {erf_deficit_of_exp, UINT64_C(0xa3647f6e441cd20f)},
  };
  for (size_t i = 0; i < sizeof frozen / sizeof frozen[0]; i++) {
    assert_int_equal(hash_of(frozen[i].f), frozen[i].hash);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exp_is_good_to_an_ulp),
      cmocka_unit_test(exp_stays_finite_and_becomes_zero),
      cmocka_unit_test(log_is_good_to_two_ulp),
      cmocka_unit_test(log_outside_its_range_is_what_the_header_says),
      cmocka_unit_test(log1p_is_good_to_two_ulp),
      cmocka_unit_test(tanh_is_good_to_three_ulp),
      cmocka_unit_test(erf_is_good_to_two_ulp),
      cmocka_unit_test(sine_and_cosine_are_good_to_two_ulp_up_to_ten_thousand),
      cmocka_unit_test(sine_and_cosine_hold_absolutely_up_to_four_million),
      cmocka_unit_test(sine_and_cosine_hold_next_to_multiples_of_a_quarter_turn),
      cmocka_unit_test(the_tanh_deficit_does_not_cancel),
      cmocka_unit_test(the_sine_deficit_does_not_cancel),
      cmocka_unit_test(the_erf_deficit_does_not_cancel),
      cmocka_unit_test(odd_functions_are_odd_to_the_bit),
      cmocka_unit_test(tanh_and_erf_never_pass_one_and_reach_it),
      cmocka_unit_test(increasing_functions_rise),
      cmocka_unit_test(a_nan_goes_through_every_function),
      cmocka_unit_test(the_bits_are_the_same_on_every_machine),
  };
  return cmocka_run_group_tests_name("float_math", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The normals: the same transform in double, extreme words, and the statistics
 * of ten million draws. All draws are fixed, so nothing here is left to chance;
 * limits are four or five standard errors. */
#include "check.h"
#include "escapement/internal/normal.h"

enum { BLOCKS = 2500000, SORTED = 1000000 };
static const double pi = 3.14159265358979323846;

static esc_u32x4 test_block(uint32_t block) {
  return esc_philox4x32_10(esc_philox_counter(ESC_DOMAIN_DATA, 0, 0, block), esc_philox_key(2024));
}

/* (4 BLOCKS) normals, made once for all tests. */
static float *draws;

static int make_draws(void **state) {
  (void)state;
  draws = malloc(4 * (size_t)BLOCKS * sizeof *draws);
  if (draws == NULL) return -1;
  for (uint32_t i = 0; i < BLOCKS; i++) esc_normal4_f32(test_block(i), draws + 4 * (size_t)i);
  return 0;
}

static int free_draws(void **state) {
  (void)state;
  free(draws);
  return 0;
}

static void each_pair_is_box_muller_to_five_ulp(void **state) {
  (void)state;
  for (uint32_t i = 0; i < 100000; i++) {
    const esc_u32x4 bits = test_block(i);
    const double u = fma((float)bits.v[0], 0x1p-32, 0x1p-33);
    const double radius = sqrt(-2 * log((float)u)), angle = 2 * pi * (bits.v[1] + 0.5) * 0x1p-32;
    esc_assert_close((double)draws[4 * i], radius * sin(angle), 1e-14, 5 * 0x1p-24);
    esc_assert_close((double)draws[4 * i + 1], radius * cos(angle), 1e-14, 5 * 0x1p-24);
  }
}

static void both_pairs_of_a_block_are_made_alike(void **state) {
  (void)state;
  const esc_u32x4 bits = test_block(99), swapped = {{bits.v[2], bits.v[3], bits.v[0], bits.v[1]}};
  float a[4], b[4];
  esc_normal4_f32(bits, a);
  esc_normal4_f32(swapped, b);
  for (int i = 0; i < 4; i++) assert_int_equal(esc_bits_f32(a[i]), esc_bits_f32(b[(i + 2) % 4]));
}

static void extreme_words_give_finite_normals(void **state) {
  (void)state;
  const uint32_t extreme[] = {0,          1,          0x1fffffff, 0x20000000, 0x3fffffff,
                              0x40000000, 0x7fffffff, 0x80000000, 0xbfffffff, 0xffffffff};
  for (int i = 0; i < 100; i++) {
    float out[4];
    const uint32_t a = extreme[i / 10], b = extreme[i % 10];
    esc_normal4_f32((esc_u32x4){{a, b, b, a}}, out);
    for (int k = 0; k < 4; k++) assert_true(fabsf(out[k]) <= 6.764f);
  }
}

static void the_largest_radius_is_six_point_seven_six(void **state) {
  (void)state;
  float out[4];
  esc_normal4_f32((esc_u32x4){{0, 0x40000000, 0xffffffff, 0}}, out);
  esc_assert_close((double)out[0], sqrt(66 * log(2)), 0.0, 5 * 0x1p-24);
  esc_assert_close((double)out[3], 0.0, 0.0, 0.0);
}

static void moments_to_the_sixth_are_those_of_a_normal(void **state) {
  (void)state;
  const double moment[13] = {1, 0, 1, 0, 3, 0, 15, 0, 105, 0, 945, 0, 10395};
  const double n = 4.0 * BLOCKS;
  double sum[7] = {0};
  for (int64_t i = 0; i < 4 * (int64_t)BLOCKS; i++) {
    double power = 1;
    for (int k = 1; k <= 6; k++) sum[k] += power *= (double)draws[i];
  }
  for (int k = 1; k <= 6; k++) {
    const double error = sqrt((moment[2 * k] - moment[k] * moment[k]) / n);
    esc_assert_close(sum[k] / n, moment[k], 4 * error, 0.0);
  }
}

static int ascending(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static void the_distribution_passes_kolmogorov_and_smirnov(void **state) {
  (void)state;
  float *x = malloc(SORTED * sizeof *x);
  assert_non_null(x);
  memcpy(x, draws, SORTED * sizeof *x);
  qsort(x, SORTED, sizeof *x, ascending);
  double distance = 0;
  for (int i = 0; i < SORTED; i++) {
    const double cdf = 0.5 * erfc(-(double)x[i] / sqrt(2.0));
    distance = fmax(distance, fmax(cdf - (double)i / SORTED, (i + 1.0) / SORTED - cdf));
  }
  free(x);
  assert_true(distance * sqrt(SORTED) < 1.95); /* 0.1% */
}

static void tails_at_four_and_five_sigma_have_their_share(void **state) {
  (void)state;
  for (int sigma = 4; sigma <= 5; sigma++) {
    const double expected = 2.0 * BLOCKS * erfc(sigma / sqrt(2.0)); /* in each tail */
    double above = 0, below = 0;
    for (int64_t i = 0; i < 4 * (int64_t)BLOCKS; i++) {
      above += draws[i] > (float)sigma;
      below += draws[i] < -(float)sigma;
    }
    esc_assert_close(above, expected, 4 * sqrt(expected), 0.0);
    esc_assert_close(below, expected, 4 * sqrt(expected), 0.0);
  }
}

/* Correlations of outputs a and b of a block, of their values and of their squares, must vanish. */
static void check_independent(int a, int b) {
  double product = 0, squares = 0;
  for (int64_t i = 0; i < BLOCKS; i++) {
    const double x = (double)draws[4 * i + a], y = (double)draws[4 * i + b];
    product += x * y;
    squares += (x * x - 1) * (y * y - 1) / 2;
  }
  esc_assert_close(product / sqrt(BLOCKS), 0.0, 4.0, 0.0);
  esc_assert_close(squares / sqrt(BLOCKS), 0.0, 4.0, 0.0);
}

static void the_four_of_a_block_are_independent(void **state) {
  (void)state;
  for (int a = 0; a < 4; a++) {
    for (int b = a + 1; b < 4; b++) check_independent(a, b);
  }
}

static void the_bits_are_the_same_on_every_machine(void **state) {
  (void)state;
  uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a over 32-bit words */
  for (int i = 0; i < 100000; i++) {
    hash = (hash ^ esc_bits_f32(draws[i])) * UINT64_C(1099511628211);
  }
  assert_int_equal(hash, UINT64_C(0xcfaaab6277809ef6));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_pair_is_box_muller_to_five_ulp),
      cmocka_unit_test(both_pairs_of_a_block_are_made_alike),
      cmocka_unit_test(extreme_words_give_finite_normals),
      cmocka_unit_test(the_largest_radius_is_six_point_seven_six),
      cmocka_unit_test(moments_to_the_sixth_are_those_of_a_normal),
      cmocka_unit_test(the_distribution_passes_kolmogorov_and_smirnov),
      cmocka_unit_test(tails_at_four_and_five_sigma_have_their_share),
      cmocka_unit_test(the_four_of_a_block_are_independent),
      cmocka_unit_test(the_bits_are_the_same_on_every_machine),
  };
  return cmocka_run_group_tests_name("normal", tests, make_draws, free_draws);
}

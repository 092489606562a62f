/* SPDX-License-Identifier: Apache-2.0 */
/* Philox against the known answers of its authors, and the layout of the counter. */
#include "check.h"
#include "escapement/internal/philox.h"

typedef struct known_answer {
  int rounds;
  esc_u32x4 counter;
  esc_u32x2 key;
  esc_u32x4 out;
} known_answer;

static const known_answer known_answers[] = {
    {10, {{0, 0, 0, 0}}, {{0, 0}}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
    {10,
     {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
     {{0xffffffff, 0xffffffff}},
     {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
    {10,
     {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
     {{0xa4093822, 0x299f31d0}},
     {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    {7, {{0, 0, 0, 0}}, {{0, 0}}, {{0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}}},
    {7,
     {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
     {{0xffffffff, 0xffffffff}},
     {{0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}}},
    {7,
     {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
     {{0xa4093822, 0x299f31d0}},
     {{0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}}},
};

static void assert_same_words(esc_u32x4 got, esc_u32x4 want) {
  for (int i = 0; i < 4; i++) assert_int_equal(got.v[i], want.v[i]);
}

static void known_answers_are_met(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof known_answers / sizeof known_answers[0]; i++) {
    const known_answer *k = &known_answers[i];
    assert_same_words(esc_philox4x32(k->counter, k->key, k->rounds), k->out);
  }
}

static void the_named_function_makes_ten_rounds(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    const known_answer *k = &known_answers[i];
    assert_same_words(esc_philox4x32_10(k->counter, k->key), k->out);
  }
}

static void the_counter_holds_block_step_stream_and_domain(void **state) {
  (void)state;
  const esc_u32x4 small = esc_philox_counter(ESC_DOMAIN_ROUNDING, 5, 6, 7);
  assert_same_words(small, (esc_u32x4){{7, 5, 6, 3}});
  const esc_u32x4 large =
      esc_philox_counter(ESC_DOMAIN_EVALUATION, UINT64_C(0x00abcdef12345678), 0xfedcba98, ~0u);
  assert_same_words(large, (esc_u32x4){{~0u, 0x12345678, 0xfedcba98, 0xabcdef04}});
}

static void the_key_is_the_seed_low_word_first(void **state) {
  (void)state;
  const esc_u32x2 key = esc_philox_key(UINT64_C(0x0123456789abcdef));
  assert_int_equal(key.v[0], 0x89abcdef);
  assert_int_equal(key.v[1], 0x01234567);
}

/* Bits by which two blocks differ; 64 of 128 are expected, 5.7 is a standard deviation. */
static int differing_bits(esc_u32x4 a, esc_u32x4 b) {
  int bits = 0;
  for (int i = 0; i < 4; i++) bits += __builtin_popcount(a.v[i] ^ b.v[i]);
  return bits;
}

static void one_bit_of_counter_or_seed_changes_half_of_the_block(void **state) {
  (void)state;
  const esc_u32x4 counter = esc_philox_counter(ESC_DOMAIN_DATA, 1000, 3, 17);
  const uint64_t seed = 42;
  const esc_u32x4 base = esc_philox4x32_10(counter, esc_philox_key(seed));
  double sum = 0;
  for (int bit = 0; bit < 128; bit++) {
    esc_u32x4 other = counter;
    other.v[bit / 32] ^= 1u << bit % 32;
    sum += differing_bits(base, esc_philox4x32_10(other, esc_philox_key(seed)));
  }
  for (int bit = 0; bit < 64; bit++) {
    const esc_u32x2 key = esc_philox_key(seed ^ UINT64_C(1) << bit);
    sum += differing_bits(base, esc_philox4x32_10(counter, key));
  }
  esc_assert_close(sum / 192, 64.0, 4 * 5.657 / sqrt(192), 0.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_answers_are_met),
      cmocka_unit_test(the_named_function_makes_ten_rounds),
      cmocka_unit_test(the_counter_holds_block_step_stream_and_domain),
      cmocka_unit_test(the_key_is_the_seed_low_word_first),
      cmocka_unit_test(one_bit_of_counter_or_seed_changes_half_of_the_block),
  };
  return cmocka_run_group_tests_name("philox", tests, NULL, NULL);
}

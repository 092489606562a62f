/* SPDX-License-Identifier: Apache-2.0 */
/* Philox against its authors' known answers, normals against Box-Muller in double and
 * the moments of N(0, 1). */
#include <math.h>

#include "escapement/internal/stream.h"
#include "verify/verify.h"

typedef struct known_answer {
  esc_u32x4 counter;
  esc_u32x2 key;
  esc_u32x4 out;
} known_answer;

/* Random123's kat_vectors. */
static const known_answer known_answers[] = {
    {{{0, 0, 0, 0}}, {{0, 0}}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
    {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
     {{0xffffffff, 0xffffffff}},
     {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
    {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
     {{0xa4093822, 0x299f31d0}},
     {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
};

/* Bitwise. */
static esc_status philox(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  for (size_t i = 0; i < sizeof known_answers / sizeof known_answers[0]; i++) {
    const known_answer *k = &known_answers[i];
    const esc_u32x4 got = esc_philox4x32_10(k->counter, k->key);
    for (int j = 0; j < 4; j++)
      esc_verify_record(worst, got.v[j] != k->out.v[j], 0, "vector %zu, word %d", i, j);
  }
  return ESC_OK;
}

/* The layout that philox.h states, of a step beyond 32 bits and a seed of 64. */
static esc_status address(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  static const uint32_t counter[4] = {0x2468ace0, 0x12345678, 0x13579bdf, 0xabcdef02};
  static const uint32_t key[2] = {0x4b5a6978, 0x0f1e2d3c};
  const esc_u32x4 c =
      esc_philox_counter(ESC_DOMAIN_TEACHER, 0xabcdef12345678, 0x13579bdf, 0x2468ace0);
  const esc_u32x2 k = esc_philox_key(0x0f1e2d3c4b5a6978);
  for (int i = 0; i < 4; i++)
    esc_verify_record(worst, c.v[i] != counter[i], 0, "counter, word %d", i);
  for (int i = 0; i < 2; i++) esc_verify_record(worst, k.v[i] != key[i], 0, "key, word %d", i);
  return ESC_OK;
}

static esc_u32x4 block_at(uint32_t block) {
  return esc_philox4x32_10(esc_philox_counter(ESC_DOMAIN_DATA, 0, 0, block), esc_philox_key(2024));
}

/* Five half ulps: logarithm, root, sine and the products each add about one. */
static esc_status box_muller(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  for (uint32_t i = 0; i < 20000; i++) {
    const esc_u32x4 bits = block_at(i);
    float got[4];
    esc_normal4_f32(bits, got);
    for (int pair = 0; pair < 2; pair++) {
      const float u = esc_fma_f32((float)bits.v[2 * pair], 0x1p-32F, 0x1p-33F);
      const double radius = sqrt(-2 * log((double)u));
      const double angle = 2 * M_PI * (bits.v[2 * pair + 1] + 0.5) * 0x1p-32;
      const double want[2] = {radius * sin(angle), radius * cos(angle)};
      for (int k = 0; k < 2; k++)
        esc_verify_record(worst, (double)got[2 * pair + k] - want[k],
                          1e-14 + 5 * 0x1p-24 * fabs(want[k]), "block %u, normal %d", i,
                          2 * pair + k);
    }
  }
  return ESC_OK;
}

enum { MOMENTS = 4, BLOCKS = 1 << 16 };

/* Five standard errors sqrt((m_2k - m_k^2)/n). The draws are fixed, so the result is always the
 * same. */
static esc_status moments(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  static const double moment[2 * MOMENTS + 1] = {1, 0, 1, 0, 3, 0, 15, 0, 105};
  const double n = 4.0 * BLOCKS;
  double sum[MOMENTS + 1] = {0}, neighbours = 0;
  for (uint32_t i = 0; i < BLOCKS; i++) {
    float x[4];
    esc_normal4_at(7, ESC_DOMAIN_INIT, 3, 5, i, x);
    for (int j = 0; j < 4; j++) {
      double power = 1;
      for (int k = 1; k <= MOMENTS; k++) sum[k] += power *= (double)x[j];
      if (j > 0) neighbours += (double)x[j] * (double)x[j - 1];
    }
  }
  for (int k = 1; k <= MOMENTS; k++)
    esc_verify_record(worst, sum[k] / n - moment[k],
                      5 * sqrt((moment[2 * k] - moment[k] * moment[k]) / n), "moment %d", k);
  esc_verify_record(worst, neighbours / (3.0 * BLOCKS), 5 / sqrt(3.0 * BLOCKS), "neighbours");
  return ESC_OK;
}

const esc_verify_check esc_verify_random[] = {
    {"Philox4x32-10: known answers", philox},
    {"Philox4x32-10: counter and key", address},
    {"normals: Box-Muller in double", box_muller},
    {"normals: moments, neighbours", moments},
    {0},
};

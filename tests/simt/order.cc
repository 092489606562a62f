/* SPDX-License-Identifier: Apache-2.0 */
/* Orders: forward, reverse, or shuffled by a generator with a seed. */
#include "order.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>

#include "esc_simt.h"

namespace esc_simt {
namespace {

struct Setting {
  Order order = Order::forward;
  uint64_t state = 0;
};
Setting setting;
bool is_set;

bool parse(const char *text, Setting *out) {
  if (strcmp(text, "forward") == 0) {
    *out = {Order::forward, 0};
  } else if (strcmp(text, "reverse") == 0) {
    *out = {Order::reverse, 0};
  } else if (strncmp(text, "shuffled:", 9) == 0 && text[9] >= '0' && text[9] <= '9') {
    char *end = nullptr;
    errno = 0;
    *out = {Order::shuffled, strtoull(text + 9, &end, 10)};
    return errno == 0 && *end == '\0';
  } else {
    return false;
  }
  return true;
}

/* SplitMix64. */
uint64_t next() {
  uint64_t z = setting.state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

} /* namespace */

void order_reset() {
  setting = {};
  is_set = true;
  const char *text = getenv("ESC_SIMT_ORDER");
  if (text == nullptr || parse(text, &setting)) return;
  fprintf(stderr, "simt: ESC_SIMT_ORDER=%s is not forward, reverse or shuffled:SEED\n", text);
  abort();
}

Order order() {
  if (!is_set) order_reset();
  return setting.order;
}

size_t order_random(size_t count) { return next() % count; }

void order_fill(std::vector<uint32_t> *sequence, size_t count) {
  sequence->resize(count);
  std::iota(sequence->begin(), sequence->end(), 0u);
  if (order() == Order::reverse) {
    for (size_t i = 0; i < count; i++) (*sequence)[i] = static_cast<uint32_t>(count - 1 - i);
  } else if (order() == Order::shuffled) {
    for (size_t i = count; i > 1; i--) std::swap((*sequence)[i - 1], (*sequence)[order_random(i)]);
  }
}

} /* namespace esc_simt */

extern "C" int esc_simt_set_order(const char *text) {
  esc_simt::Setting wanted;
  if (text == nullptr || !esc_simt::parse(text, &wanted)) return -1;
  esc_simt::setting = wanted;
  esc_simt::is_set = true;
  return 0;
}

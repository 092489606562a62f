/* SPDX-License-Identifier: Apache-2.0 */
/* The translator's output against values by hand: every case of opcode_cases.txt, and the kernels
 * of threads.ptx. Modules and results are the PTX manual's; none of it comes from nvcc. */
#include <cmath>

#include "ptx_threads.h"
#include "test_simt.h"

namespace {
struct Case {
  const char *text;
  void (*kernel)(uint64_t words);
  size_t results;
  std::vector<uint64_t> values; /* results, then operands */
};

/* A structure of 24 bytes, which a kernel takes by value. */
struct Numbers {
  uint64_t before[2];
  float a, b;
};
} /* namespace */

#include "opcodes.h"

extern "C" {
void vectors(uint64_t in, uint64_t out);
void narrow(uint64_t in, uint64_t out);
void shuffles(uint64_t out, uint32_t by, uint32_t c, uint32_t up_c);
void votes(uint64_t out, uint32_t from);
void barrier(uint64_t out);
void divergent(uint64_t out);
void atomics(uint64_t out);
void calls(Numbers numbers, uint64_t out);
void loops(float x, float y, uint32_t count, uint64_t out);
void product(uint64_t out);
void faults(uint64_t in, int32_t divisor);
}

namespace {

template <class T>
uint64_t address(const TestArray<T> &array, size_t bytes = 0) {
  return reinterpret_cast<uintptr_t>(array.device) + bytes;
}

/* Launches a kernel of `threads` threads a block and waits. */
template <class... P, class... A>
void run(void (*kernel)(P...), unsigned blocks, unsigned threads, A... arguments) {
  CHECK_OK(ESC_LAUNCH(kernel, blocks, threads, 4096, nullptr, arguments...));
  CHECK_OK(cudaDeviceSynchronize());
}

void run_case(const Case &c) {
  std::vector<uint64_t> words(c.values.size(), 0);
  for (size_t i = c.results; i < words.size(); i++) words[i] = c.values[i];
  const TestArray<uint64_t> array(words);
  run(c.kernel, 1, 1, address(array));
  const std::vector<uint64_t> got = array.read();
  for (size_t i = 0; i < c.results; i++) {
    char text[40];
    if (got[i] == c.values[i]) continue;
    snprintf(text, sizeof text, ": got %016llx", static_cast<unsigned long long>(got[i]));
    test_fail(__FILE__, __LINE__, c.text + std::string(text));
  }
}

TEST("every instruction has the result of the manual") {
  for (const Case &c : cases) run_case(c);
  CHECK(std::size(cases) > 300);
}

TEST("vectors go through memory as they are") {
  std::vector<uint32_t> words;
  for (uint32_t i = 0; i < 128; i++) words.push_back(0x7f800001u + i * 0x01010101u);
  const TestArray<uint32_t> in(words), out(128);
  run(vectors, 1, 32, address(in), address(out));
  CHECK(out.read() == words);
}

TEST("narrow loads extend, narrow stores cut") {
  const TestArray<uint8_t> in({0x80, 0x92}), out(20);
  run(narrow, 1, 1, address(in), address(out));
  const std::vector<uint8_t> want = {0x80, 0xff, 0xff, 0xff, 0x80, 0,    0,    0,    0x80, 0x92,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x92, 0x00, 0x80, 0x92};
  CHECK(out.read() == want);
}

struct Shuffled {
  uint32_t value, inside;
};
bool operator==(const Shuffled &a, const Shuffled &b) {
  return a.value == b.value && a.inside == b.inside;
}

/* The value that a lane receives from `source`, or its value if there is none. */
Shuffled from(uint32_t lane, int source, bool inside) {
  return {100 + (inside ? static_cast<uint32_t>(source) : lane), inside};
}

TEST("shuffles stay within their segments") {
  for (const int width : {1, 2, 8, 16, 32}) {
    for (const int by : {0, 1, 3, 8, 15, 16, 31}) {
      const TestArray<Shuffled> out(128);
      const uint32_t segment = static_cast<uint32_t>(32 - width) << 8;
      run(shuffles, 1, 32, address(out), static_cast<uint32_t>(by), segment | 31, segment);
      const std::vector<Shuffled> got = out.read();
      for (int i = 0; i < 32; i++) {
        const size_t at = static_cast<size_t>(i);
        const uint32_t lane = static_cast<uint32_t>(i);
        const int place = i % width;
        CHECK(got[at] == from(lane, i - by, place >= by));
        CHECK(got[32 + at] == from(lane, i + by, place + by < width));
        CHECK(got[64 + at] == from(lane, i ^ by, (i ^ by) / width <= i / width));
        CHECK(got[96 + at] == from(lane, i - place + by % width, true));
      }
    }
  }
}

TEST("shuffles end at the lane that is named") {
  const TestArray<Shuffled> out(128);
  run(shuffles, 1, 32, address(out), 18u, 15u, 4u);
  const std::vector<Shuffled> got = out.read();
  for (uint32_t i = 0; i < 32; i++) {
    const int lane = static_cast<int>(i);
    CHECK(got[i] == from(i, lane - 18, lane - 18 >= 4));
    CHECK(got[32 + i] == from(i, lane + 18, false));
    CHECK(got[64 + i] == from(i, lane ^ 18, (lane ^ 18) <= 15));
    CHECK(got[96 + i] == from(i, 18, false));
  }
}

TEST("votes count all lanes") {
  const TestArray<uint32_t> out(96);
  for (const uint32_t first : {0u, 5u, 31u, 32u}) {
    run(votes, 1, 32, address(out), first);
    const std::vector<uint32_t> got = out.read();
    for (size_t i = 0; i < 96; i += 3) {
      CHECK_EQUAL(got[i], static_cast<uint32_t>(0xffffffffull << first));
      CHECK_EQUAL(got[i + 1], first < 32);
      CHECK_EQUAL(got[i + 2], first == 0);
    }
  }
}

TEST("a barrier holds the whole block, in every order") {
  for (const char *order : {"forward", "reverse", "shuffled:3"}) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    const TestArray<uint32_t> out(3 * 96);
    run(barrier, 3, 96, address(out));
    const std::vector<uint32_t> got = out.read();
    for (uint32_t i = 0; i < 3 * 96; i++) CHECK_EQUAL(got[i], i / 96 * 1000 + 95 - i % 96);
  }
}

TEST("atomics lose nothing") {
  std::vector<uint32_t> start(2 + 64, 0);
  const TestArray<uint32_t> out(start);
  run(atomics, 1, 64, address(out));
  const std::vector<uint32_t> got = out.read();
  CHECK_EQUAL(got[0], 192);
  CHECK_EQUAL(got[1], 0x42000000u); /* 32.0f */
  for (uint32_t i = 0; i < 64; i++) CHECK_EQUAL(got[2 + i], i);
}

TEST("a structure is passed by value, a result returned in memory") {
  const TestArray<float> out(2);
  run(calls, 1, 1, Numbers{{1, 2}, 3, 0.5f}, address(out));
  CHECK(out.read() == (std::vector<float>{3.5f, 1.5f}));
}

uint32_t bits_after(float x, float y, uint32_t count) {
  const TestArray<uint32_t> out(1);
  run(loops, 1, 1, x, y, count, address(out));
  return out.read()[0];
}

TEST("a NaN has the device's bits where they can be seen, and its own before it is computed with") {
  const float nan = esc_ptx::f32_of_bits(0xffc12345u), huge = 1e30f;
  CHECK_EQUAL(bits_after(nan, 0, 0), 0xffc12345u);
  CHECK_EQUAL(bits_after(nan, 0, 1), 0x7fffffffu);
  CHECK_EQUAL(bits_after(huge, -INFINITY, 1), 0xff800000u);
  CHECK_EQUAL(bits_after(huge, -INFINITY, 2), 0x7fffffffu); /* inf - inf */
  CHECK_EQUAL(bits_after(0, nan, 2), 0x7fffffffu);
  CHECK_EQUAL(bits_after(2, 0, 3), 0x43800000u); /* 256 */
}

TEST("a product of matrices reaches every lane") {
  const TestArray<float> out(128);
  run(product, 1, 32, address(out));
  for (const float c : out.read()) CHECK_EQUAL(c, 1 + 3 * (2 - 0x1p-7f));
}

TEST("what a device refuses ends the process with the line of the module") {
  const TestArray<float> array({1, 2, 3});
  CHECK_DIES([&] { run(faults, 1, 1, address(array, 4), 1); }, "misaligned address",
             "threads.ptx:");
  CHECK_DIES([&] { run(faults, 1, 1, address(array), 0); }, "a division by zero", "threads.ptx:");
  CHECK_DIES([&] { run(divergent, 1, 64, uint64_t{0}); }, "threads wait at different barriers",
             "threads 0-31 wait in bar.sync at threads.ptx:");
  run(divergent, 1, 32, uint64_t{0});
}

/* |approximation / exact - 1| in ulps of the exact value at most, over many operands. */
template <class F, class G>
void check_approximation(F approximate, G exact) {
  int above = 0, below = 0;
  for (uint32_t i = 0; i < 100000; i++) {
    const float x = esc_ptx::f32_of_bits(0x20000000u + i * 10007u);
    const double want = exact(static_cast<double>(x)), got = static_cast<double>(approximate(x));
    CHECK(std::fabs(got - want) < std::ldexp(1.0, std::ilogb(want) - 23));
    above += got > want;
    below += got < want;
  }
  CHECK(above > 30000 && below > 30000);
}

TEST("approximations are wrong by up to an ulp, on both sides") {
  check_approximation(esc_ptx::reciprocal_approximation, [](double x) { return 1 / x; });
  check_approximation(esc_ptx::reciprocal_root_approximation,
                      [](double x) { return 1 / std::sqrt(x); });
}

} /* namespace */

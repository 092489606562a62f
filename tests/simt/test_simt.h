/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the harness itself: TEST("a property") { CHECK(...); }.
 *
 * Every test starts from esc_simt_reset and must leave nothing live. A program's
 * arguments, if any, are parts of the names of the tests to run. */
#ifndef ESC_TEST_SIMT_H
#define ESC_TEST_SIMT_H

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#include "esc_simt.h"
#include "launch.h"

struct Test {
  Test(const char *name, void (*body)());
};
#define TEST_JOIN(a, b) a##b
#define TEST_NAME(a, line) TEST_JOIN(a, line)
#define TEST(property)                                                                       \
  static void TEST_NAME(test_at_, __LINE__)();                                               \
  static const Test TEST_NAME(entry_at_, __LINE__)(property, TEST_NAME(test_at_, __LINE__)); \
  static void TEST_NAME(test_at_, __LINE__)()

/* Counts and prints a failure. */
void test_fail(const char *file, int line, const std::string &what);

#define CHECK(condition)                                         \
  do {                                                           \
    if (!(condition)) test_fail(__FILE__, __LINE__, #condition); \
  } while (0)

/* Prints both sides; a NaN equals nothing. */
#define CHECK_EQUAL(got, want) check_equal(__FILE__, __LINE__, #got, (got), (want))
#define CHECK_OK(call) CHECK_EQUAL((call), cudaSuccess)

template <class T>
std::string test_text(const T &value) {
  if constexpr (std::is_floating_point_v<T>) {
    char text[40];
    snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
    return text;
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long long>(value));
  } else {
    return std::to_string(value);
  }
}

template <class A, class B>
void check_equal(const char *file, int line, const char *what, const A &got, const B &want) {
  if (got == static_cast<A>(want)) return;
  test_fail(file, line,
            std::string(what) + ": got " + test_text(got) + ", want " + test_text(want));
}

/* Runs `body` in a child, which must not end well, and must say all of `texts` on
 * its standard error. */
void check_dies(const char *file, int line, const std::function<void()> &body,
                const std::vector<std::string> &texts);
#define CHECK_DIES(body, ...) check_dies(__FILE__, __LINE__, body, {__VA_ARGS__})

/* A non-blocking stream for the life of a test. */
struct TestStream {
  cudaStream_t stream = nullptr;
  explicit TestStream(unsigned flags = cudaStreamNonBlocking) {
    CHECK_OK(cudaStreamCreateWithFlags(&stream, flags));
  }
  ~TestStream() { CHECK_OK(cudaStreamDestroy(stream)); }
  TestStream(const TestStream &) = delete;
  operator cudaStream_t() const { return stream; }
};

struct TestEvent {
  cudaEvent_t event = nullptr;
  TestEvent() { CHECK_OK(cudaEventCreateWithFlags(&event, cudaEventDefault)); }
  ~TestEvent() { CHECK_OK(cudaEventDestroy(event)); }
  TestEvent(const TestEvent &) = delete;
  operator cudaEvent_t() const { return event; }
};

/* Device memory for `count` values, poison at first. */
template <class T>
struct TestArray {
  T *device = nullptr;
  size_t count;
  explicit TestArray(size_t n) : count(n) { CHECK_OK(cudaMalloc(&device, n * sizeof(T))); }
  explicit TestArray(const std::vector<T> &values) : TestArray(values.size()) {
    CHECK_OK(cudaMemcpy(device, values.data(), count * sizeof(T), cudaMemcpyHostToDevice));
    CHECK_OK(cudaStreamSynchronize(nullptr)); /* the copy is pageable */
  }
  ~TestArray() { CHECK_OK(cudaFree(device)); }
  TestArray(const TestArray &) = delete;
  operator T *() const { return device; }
  /* Current contents; does not synchronise with non-blocking streams. */
  std::vector<T> read() const {
    std::vector<T> values(count);
    CHECK_OK(cudaMemcpy(values.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
};

#endif

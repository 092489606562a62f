/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and events: laziness, order, and what CUDA leaves open. */
#include <chrono>
#include <cmath>

#include "test_simt.h"

namespace {

__global__ void set_kernel(int *out, int value) { *out = value; }
__global__ void add_kernel(int *out, int value) { *out += value; }
__global__ void copy_kernel(int *to, const int *from) { *to = *from; }

constexpr int poison = 0x7ff7a5a5;

/* The value that a stream's copy of `from` read when another stream set it to 1, with or
 * without an event between them. */
int race(const char *order, bool with_event) {
  CHECK_EQUAL(esc_simt_set_order(order), 0);
  TestStream first, second;
  TestEvent event;
  TestArray<int> from(std::vector<int>{0}), to(1);
  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, first, from, 1));
  CHECK_OK(cudaEventRecord(event, first));
  if (with_event) CHECK_OK(cudaStreamWaitEvent(second, event));
  CHECK_OK(ESC_LAUNCH(copy_kernel, 1, 1, 0, second, to, from));
  CHECK_OK(cudaStreamSynchronize(second));
  return to.read()[0];
}

} /* namespace */

TEST("work runs when something waits for it, not before") {
  TestStream stream;
  TestArray<int> out(1);
  const int64_t before = esc_simt_launches("set_kernel");
  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out, 3));
  CHECK_EQUAL(out.read()[0], poison); /* a blocking copy waits for no such stream */
  CHECK_EQUAL(esc_simt_launches("set_kernel"), before);
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(out.read()[0], 3);
  CHECK_EQUAL(esc_simt_launches("set_kernel"), before + 1);
}

TEST("a pageable source is read when the stream runs, arguments when they are given") {
  TestStream stream;
  TestArray<int> out(2);
  int source = 1, value = 10;
  CHECK_OK(cudaMemcpyAsync(out.device, &source, sizeof source, cudaMemcpyHostToDevice, stream));
  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out + 1, value));
  source = 2;
  value = 20;
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(out.read()[0], 2);
  CHECK_EQUAL(out.read()[1], 10);
}

TEST("a stream keeps its order, in all orders") {
  for (const char *order : {"forward", "reverse", "shuffled:1"}) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    TestStream stream;
    TestArray<int> out(1);
    int seen = 0;
    CHECK_OK(cudaMemsetAsync(out.device, 0, 4, stream));
    CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, stream, out, 5));
    CHECK_OK(cudaMemcpyAsync(&seen, out.device, 4, cudaMemcpyDeviceToHost, stream));
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out, 9));
    CHECK_OK(cudaDeviceSynchronize());
    CHECK_EQUAL(seen, 5);
    CHECK_EQUAL(out.read()[0], 9);
  }
}

TEST("streams without an event between them race; with one they do not") {
  CHECK_EQUAL(race("forward", false), 0);
  int seen = 0;
  for (int seed = 0; seed < 20; seed++) {
    seen |= 1 << race(("shuffled:" + std::to_string(seed)).c_str(), false);
  }
  CHECK_EQUAL(seen, 3); /* both outcomes */
  for (const char *order : {"forward", "reverse", "shuffled:1", "shuffled:2"}) {
    CHECK_EQUAL(race(order, true), 1);
  }
}

TEST("in forward order what is not needed does not run, in reverse order the youngest does") {
  for (const bool reverse : {false, true}) {
    CHECK_EQUAL(esc_simt_set_order(reverse ? "reverse" : "forward"), 0);
    TestStream old, young;
    TestArray<int> out(std::vector<int>{0, 0});
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, old, out, 1));
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, young, out + 1, 1));
    CHECK_OK(cudaStreamSynchronize(old));
    CHECK_EQUAL(out.read()[0], 1);
    CHECK_EQUAL(out.read()[1], reverse);
    CHECK_OK(cudaStreamSynchronize(young));
    CHECK_EQUAL(out.read()[1], 1);
  }
}

TEST("a wait means the record before it, not a later one, and none is no wait") {
  TestStream first, second;
  TestEvent event;
  TestArray<int> out(std::vector<int>{0}), to(1);
  CHECK_OK(cudaStreamWaitEvent(second, event, 0));
  CHECK_OK(cudaEventSynchronize(event));
  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, first, out, 1));
  CHECK_OK(cudaEventRecord(event, first));
  CHECK_OK(cudaStreamWaitEvent(second, event, 0));
  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, first, out, 2));
  CHECK_OK(cudaEventRecord(event, first));
  CHECK_OK(ESC_LAUNCH(copy_kernel, 1, 1, 0, second, to, out));
  CHECK_EQUAL(esc_simt_set_order("forward"), 0);
  CHECK_OK(cudaStreamSynchronize(second));
  CHECK_EQUAL(to.read()[0], 1);
  CHECK_OK(cudaEventSynchronize(event));
  CHECK_EQUAL(out.read()[0], 2);
}

TEST("an event outlives its stream, a stream the event it waits for") {
  TestArray<int> out(std::vector<int>{0});
  TestEvent event;
  {
    TestStream gone;
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, gone, out, 4));
    CHECK_OK(cudaEventRecord(event, gone));
  }
  CHECK_OK(cudaEventSynchronize(event));
  CHECK_EQUAL(out.read()[0], 4);
  TestStream first, second;
  {
    TestEvent gone;
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, first, out, 5));
    CHECK_OK(cudaEventRecord(gone, first));
    CHECK_OK(cudaStreamWaitEvent(second, gone, 0));
  }
  CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, second, out, 1));
  CHECK_OK(cudaStreamSynchronize(second));
  CHECK_EQUAL(out.read()[0], 6);
}

TEST("queries are NotReady while work is left and a loop of them ends") {
  TestStream stream;
  TestEvent event;
  TestArray<int> out(std::vector<int>{0});
  CHECK_OK(cudaStreamQuery(stream));
  CHECK_OK(cudaEventQuery(event));
  for (int i = 0; i < 5; i++) CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, stream, out, 1));
  CHECK_OK(cudaEventRecord(event, stream));
  CHECK_EQUAL(cudaEventQuery(event), cudaErrorNotReady);
  CHECK_EQUAL(cudaStreamQuery(stream), cudaErrorNotReady);
  int queries = 0;
  while (cudaEventQuery(event) == cudaErrorNotReady && queries < 100) queries++;
  CHECK(queries >= 1 && queries < 100);
  CHECK_EQUAL(out.read()[0], 5);
  CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, stream, out, 1));
  CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, stream, out, 1));
  for (queries = 0; queries < 100 && cudaStreamQuery(stream) == cudaErrorNotReady;) queries++;
  CHECK(queries >= 1 && queries < 100);
  CHECK_EQUAL(out.read()[0], 7);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorNotReady);
}

TEST("times between events are asked for after both are done") {
  TestStream stream;
  TestEvent start, end;
  cudaEvent_t plain = nullptr;
  float ms = -1;
  CHECK_OK(cudaEventCreateWithFlags(&plain, cudaEventDisableTiming));
  CHECK_EQUAL(cudaEventElapsedTime(&ms, start, end), cudaErrorInvalidResourceHandle);
  CHECK_OK(cudaEventRecord(start, stream));
  CHECK_OK(cudaEventRecord(end, stream));
  CHECK_OK(cudaEventRecord(plain, stream));
  CHECK_EQUAL(cudaEventElapsedTime(&ms, start, end), cudaErrorNotReady);
  CHECK_OK(cudaEventSynchronize(start));
  CHECK_EQUAL(cudaEventElapsedTime(&ms, start, end), cudaErrorNotReady);
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_OK(cudaEventElapsedTime(&ms, start, end));
  CHECK(ms >= 0 && ms < 60000);
  CHECK_EQUAL(cudaEventElapsedTime(&ms, start, plain), cudaErrorInvalidResourceHandle);
  CHECK_OK(cudaEventDestroy(plain));
  cudaGetLastError();
}

TEST("the legacy stream and blocking streams wait for each other, others do not") {
  for (const char *order : {"forward", "reverse", "shuffled:1", "shuffled:2"}) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    TestStream blocking(cudaStreamDefault), other;
    TestArray<int> out(std::vector<int>{0, 0});
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, blocking, out, 1));
    CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, nullptr, out, 10));
    CHECK_OK(ESC_LAUNCH(copy_kernel, 1, 1, 0, blocking, out + 1, out));
    CHECK_OK(cudaStreamSynchronize(blocking));
    CHECK_EQUAL(out.read()[1], 11);
    /* A blocking copy waits for blocking streams: no synchronisation before it. */
    CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, blocking, out, 100));
    CHECK_EQUAL(out.read()[0], 111);
  }
  CHECK_EQUAL(esc_simt_set_order("forward"), 0);
  TestStream other;
  TestArray<int> out(std::vector<int>{0});
  CHECK_OK(cudaMemset(out.device, 1, 4));
  CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, other, out, 1));
  CHECK_OK(cudaStreamSynchronize(other));
  CHECK_EQUAL(out.read()[0], 0x01010101); /* the fill came after: it was not waited for */
}

TEST("a stream that is destroyed finishes its work") {
  TestArray<int> out(std::vector<int>{0});
  {
    TestStream stream;
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out, 8));
  }
  CHECK_EQUAL(out.read()[0], 8);
}

TEST("a long chain between two streams runs without deep recursion, in all orders") {
  for (const char *order : {"forward", "reverse", "shuffled:1"}) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    TestStream stream[2];
    TestEvent event;
    TestArray<int> out(std::vector<int>{0});
    for (int i = 0; i < 3000; i++) {
      CHECK_OK(cudaStreamWaitEvent(stream[i % 2], event, 0));
      CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, stream[i % 2], out, 1));
      CHECK_OK(cudaEventRecord(event, stream[i % 2]));
    }
    CHECK_OK(cudaEventSynchronize(event));
    CHECK_EQUAL(out.read()[0], 3000);
  }
}

TEST("handles that are none are refused") {
  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  CHECK_OK(cudaStreamCreate(&stream));
  CHECK_OK(cudaStreamDestroy(stream));
  CHECK_OK(cudaEventCreate(&event));
  CHECK_OK(cudaEventDestroy(event));
  const cudaError_t wrong = cudaErrorInvalidResourceHandle;
  CHECK_EQUAL(cudaStreamSynchronize(stream), wrong);
  CHECK_EQUAL(cudaStreamDestroy(stream), wrong);
  CHECK_EQUAL(cudaStreamDestroy(nullptr), wrong);
  CHECK_EQUAL(cudaEventRecord(event, nullptr), wrong);
  CHECK_EQUAL(cudaEventDestroy(event), wrong);
  CHECK_EQUAL(cudaEventQuery(event), wrong);
  CHECK_EQUAL(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, nullptr, 1), wrong);
  CHECK_EQUAL(cudaStreamCreateWithFlags(&stream, 2), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaStreamCreateWithFlags(nullptr, 0), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorInvalidValue);
}

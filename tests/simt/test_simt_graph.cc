/* SPDX-License-Identifier: Apache-2.0 */
/* Captures and graphs: replays, forks and joins, and every error of capturing. */
#include "test_simt.h"

namespace {

__global__ void set_kernel(int *out, int value) { *out = value; }
__global__ void add_kernel(int *out, int value) { *out += value; }
__global__ void digit_kernel(int *out, int digit) { *out = *out * 10 + digit; }
__global__ void double_kernel(int *out) { *out *= 2; }

constexpr cudaStreamCaptureMode global = cudaStreamCaptureModeGlobal;

struct TestGraph {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  void end(cudaStream_t stream) {
    CHECK_OK(cudaStreamEndCapture(stream, &graph));
    CHECK_OK(cudaGraphInstantiate(&exec, graph, 0));
  }
  size_t nodes() const {
    size_t count = 0;
    CHECK_OK(cudaGraphGetNodes(graph, nullptr, &count));
    return count;
  }
  ~TestGraph() {
    CHECK_OK(cudaGraphExecDestroy(exec));
    CHECK_OK(cudaGraphDestroy(graph));
  }
};

/* Ends a capture that must fail so. */
void end_invalid(cudaStream_t stream, cudaError_t want) {
  cudaGraph_t graph = reinterpret_cast<cudaGraph_t>(&graph);
  CHECK_EQUAL(cudaStreamEndCapture(stream, &graph), want);
  CHECK(graph == nullptr);
  cudaGetLastError();
}

cudaStreamCaptureStatus status(cudaStream_t stream) {
  cudaStreamCaptureStatus out = cudaStreamCaptureStatusInvalidated;
  CHECK_OK(cudaStreamIsCapturing(stream, &out));
  return out;
}

} /* namespace */

TEST("nothing runs during a capture; every launch of the graph runs it all") {
  TestStream stream;
  TestArray<int> out(std::vector<int>{1});
  TestGraph graph;
  int value = 3;
  const int64_t before = esc_simt_launches("add_kernel");
  CHECK_EQUAL(status(stream), cudaStreamCaptureStatusNone);
  CHECK_OK(cudaStreamBeginCapture(stream, global));
  CHECK_EQUAL(status(stream), cudaStreamCaptureStatusActive);
  CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, stream, out, value));
  CHECK_OK(ESC_LAUNCH(double_kernel, 1, 1, 0, stream, out));
  value = 100; /* arguments are kept by value */
  graph.end(stream);
  CHECK_EQUAL(status(stream), cudaStreamCaptureStatusNone);
  CHECK_EQUAL(graph.nodes(), 2);
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(out.read()[0], 1);
  CHECK_EQUAL(esc_simt_launches("add_kernel"), before);
  for (int i = 0; i < 3; i++) CHECK_OK(cudaGraphLaunch(graph.exec, stream));
  CHECK_EQUAL(out.read()[0], 1);
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(out.read()[0], ((1 + 3) * 2 + 3) * 2 * 2 + 6);
  CHECK_EQUAL(esc_simt_launches("add_kernel"), before + 3);
}

TEST("copies and fills in a graph read and write when it runs") {
  TestStream stream;
  TestArray<int> out(1);
  TestGraph graph;
  int in = 1, back = 0;
  CHECK_OK(cudaStreamBeginCapture(stream, global));
  CHECK_OK(cudaMemcpyAsync(out.device, &in, 4, cudaMemcpyHostToDevice, stream));
  CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, stream, out, 1));
  CHECK_OK(cudaMemcpyAsync(&back, out.device, 4, cudaMemcpyDeviceToHost, stream));
  CHECK_OK(cudaMemsetAsync(out.device, 0, 4, stream));
  graph.end(stream);
  CHECK_EQUAL(graph.nodes(), 4);
  in = 41;
  CHECK_OK(cudaGraphLaunch(graph.exec, stream));
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(back, 42);
  CHECK_EQUAL(out.read()[0], 0);
}

TEST("a capture forks and joins through events; edges hold in all orders") {
  for (const char *order : {"forward", "reverse", "shuffled:1", "shuffled:2"}) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    TestStream main, side;
    TestEvent fork, join;
    TestArray<int> out(std::vector<int>{0, 0});
    TestGraph graph;
    CHECK_OK(cudaStreamBeginCapture(main, global));
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, main, out, 1));
    CHECK_OK(cudaEventRecord(fork, main));
    CHECK_OK(cudaStreamWaitEvent(side, fork, 0));
    CHECK_EQUAL(status(side), cudaStreamCaptureStatusActive);
    CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, side, out, 10));
    CHECK_OK(cudaEventRecord(join, side));
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, main, out + 1, 7));
    CHECK_OK(cudaStreamWaitEvent(main, join, 0));
    CHECK_OK(ESC_LAUNCH(double_kernel, 1, 1, 0, main, out));
    graph.end(main);
    CHECK_EQUAL(status(side), cudaStreamCaptureStatusNone);
    CHECK_EQUAL(graph.nodes(), 4);
    CHECK_OK(cudaGraphLaunch(graph.exec, side));
    CHECK_OK(cudaStreamSynchronize(side));
    CHECK_EQUAL(out.read()[0], 22);
    CHECK_EQUAL(out.read()[1], 7);
  }
}

TEST("branches of a graph without an edge between them race; forward is as captured") {
  TestStream main, side[2];
  TestEvent fork, join;
  TestArray<int> out(std::vector<int>{0});
  TestGraph graph;
  CHECK_OK(cudaStreamBeginCapture(main, global));
  CHECK_OK(cudaEventRecord(fork, main));
  for (cudaStream_t stream : side) CHECK_OK(cudaStreamWaitEvent(stream, fork, 0));
  CHECK_OK(ESC_LAUNCH(digit_kernel, 1, 1, 0, main, out, 1));
  CHECK_OK(ESC_LAUNCH(digit_kernel, 1, 1, 0, side[0], out, 2));
  CHECK_OK(ESC_LAUNCH(digit_kernel, 1, 1, 0, side[1], out, 3));
  for (cudaStream_t stream : side) {
    CHECK_OK(cudaEventRecord(join, stream));
    CHECK_OK(cudaStreamWaitEvent(main, join, 0));
  }
  graph.end(main);
  int digits[2];
  for (int i = 0; i < 2; i++) {
    CHECK_EQUAL(esc_simt_set_order(i == 0 ? "forward" : "reverse"), 0);
    CHECK_OK(cudaMemset(out.device, 0, 4));
    CHECK_OK(cudaDeviceSynchronize());
    CHECK_OK(cudaGraphLaunch(graph.exec, main));
    CHECK_OK(cudaStreamSynchronize(main));
    digits[i] = out.read()[0];
  }
  CHECK_EQUAL(digits[0], 123);
  CHECK_EQUAL(digits[1], 321);
}

TEST("a graph outlives its capture's streams, a launch its executable graph") {
  TestArray<int> out(std::vector<int>{0});
  TestStream stream;
  TestGraph graph;
  {
    TestStream gone;
    CHECK_OK(cudaStreamBeginCapture(gone, global));
    CHECK_OK(ESC_LAUNCH(add_kernel, 1, 1, 0, gone, out, 1));
    graph.end(gone);
  }
  cudaGraphExec_t second = nullptr;
  CHECK_OK(cudaGraphInstantiate(&second, graph.graph, 0));
  CHECK_OK(cudaGraphLaunch(second, stream));
  CHECK_OK(cudaGraphExecDestroy(second));
  CHECK_EQUAL(cudaGraphLaunch(second, stream), cudaErrorInvalidValue);
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(out.read()[0], 1);
  cudaGetLastError();
}

TEST("calls that a capture forbids invalidate it") {
  TestStream stream, other;
  TestEvent event;
  TestArray<int> out(1);
  int value = 0;
  void *pointer = nullptr;
  const std::function<cudaError_t()> forbidden[] = {
      [&] { return cudaMalloc(&pointer, 4); },
      [&] { return cudaMallocHost(&pointer, 4); },
      [&] { return cudaDeviceSynchronize(); },
      [&] { return cudaStreamSynchronize(stream); },
      [&] { return cudaStreamQuery(stream); },
      [&] { return cudaEventQuery(event); },
      [&] { return cudaMemcpy(&value, out.device, 4, cudaMemcpyDeviceToHost); },
  };
  for (const auto &call : forbidden) {
    CHECK_OK(cudaStreamBeginCapture(stream, global));
    CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out, 1));
    CHECK_EQUAL(call(), cudaErrorStreamCaptureUnsupported);
    CHECK_EQUAL(status(stream), cudaStreamCaptureStatusInvalidated);
    CHECK_EQUAL(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out, 1), cudaErrorStreamCaptureInvalidated);
    end_invalid(stream, cudaErrorStreamCaptureInvalidated);
  }
  CHECK_OK(cudaStreamBeginCapture(stream, global));
  CHECK_OK(cudaEventRecord(event, stream));
  CHECK_EQUAL(cudaEventSynchronize(event), cudaErrorCapturedEvent);
  end_invalid(stream, cudaErrorStreamCaptureInvalidated);
  CHECK_OK(cudaStreamSynchronize(stream)); /* and the stream works again */
}

TEST("a relaxed capture lets unsafe calls of others pass") {
  TestStream stream;
  TestGraph graph;
  int *pointer = nullptr;
  CHECK_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  CHECK_OK(cudaMalloc(&pointer, 4));
  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, pointer, 6));
  graph.end(stream);
  CHECK_OK(cudaGraphLaunch(graph.exec, stream));
  CHECK_OK(cudaFree(pointer));
}

TEST("captures are begun and ended where they should be") {
  TestStream stream, side;
  TestEvent event;
  cudaGraph_t graph = nullptr;
  CHECK_EQUAL(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
  CHECK_EQUAL(cudaStreamBeginCapture(nullptr, global), cudaErrorStreamCaptureUnsupported);
  CHECK_OK(cudaStreamBeginCapture(stream, global));
  CHECK_EQUAL(cudaStreamBeginCapture(stream, global), cudaErrorIllegalState);
  CHECK_OK(cudaEventRecord(event, stream));
  CHECK_OK(cudaStreamWaitEvent(side, event, 0));
  CHECK_EQUAL(cudaStreamEndCapture(side, &graph), cudaErrorStreamCaptureUnmatched);
  end_invalid(stream, cudaErrorStreamCaptureInvalidated);
}

TEST("a fork that is not joined, a wait on work outside, a merge: each has its error") {
  TestStream a, b, outside;
  TestEvent event;
  TestArray<int> out(1);
  CHECK_OK(cudaStreamBeginCapture(a, global));
  CHECK_OK(cudaEventRecord(event, a));
  CHECK_OK(cudaStreamWaitEvent(b, event, 0));
  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, b, out, 1));
  end_invalid(a, cudaErrorStreamCaptureUnjoined);
  CHECK_EQUAL(status(b), cudaStreamCaptureStatusNone);

  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, outside, out, 1));
  CHECK_OK(cudaEventRecord(event, outside));
  CHECK_OK(cudaStreamBeginCapture(a, global));
  CHECK_EQUAL(cudaStreamWaitEvent(a, event, 0), cudaErrorStreamCaptureIsolation);
  end_invalid(a, cudaErrorStreamCaptureInvalidated);

  CHECK_OK(cudaStreamBeginCapture(a, global));
  CHECK_OK(cudaStreamBeginCapture(b, global));
  CHECK_OK(cudaEventRecord(event, a));
  CHECK_EQUAL(cudaStreamWaitEvent(b, event, 0), cudaErrorStreamCaptureMerge);
  end_invalid(a, cudaErrorStreamCaptureInvalidated);
  end_invalid(b, cudaErrorStreamCaptureInvalidated);
}

TEST("the legacy stream may not be used beside a capture of a blocking stream") {
  TestStream blocking(cudaStreamDefault);
  TestArray<int> out(1);
  CHECK_OK(cudaStreamBeginCapture(blocking, global));
  CHECK_EQUAL(ESC_LAUNCH(set_kernel, 1, 1, 0, nullptr, out, 1), cudaErrorStreamCaptureImplicit);
  end_invalid(blocking, cudaErrorStreamCaptureInvalidated);
}

TEST("a stream destroyed while it captures leaves no capture behind") {
  TestStream side;
  {
    TestStream origin;
    TestEvent event;
    CHECK_OK(cudaStreamBeginCapture(origin, global));
    CHECK_OK(cudaEventRecord(event, origin));
    CHECK_OK(cudaStreamWaitEvent(side, event, 0));
  }
  CHECK_EQUAL(status(side), cudaStreamCaptureStatusNone);
}

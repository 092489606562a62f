/* SPDX-License-Identifier: Apache-2.0 */
/* Stream capture: work is recorded as nodes of a graph; events carry a capture into
 * other streams (fork) and back (join). A violation of the rules invalidates the capture,
 * and cudaStreamEndCapture says so. */
#include <algorithm>

#include "call.h"
#include "stream.h"

namespace esc_simt {
namespace {

cudaError_t invalidate(const CapturePointer &capture, cudaError_t error) {
  if (capture != nullptr) capture->invalid = true;
  return error;
}

/* Detaches all streams from `capture`. */
void dissolve(const CapturePointer &capture) {
  for (CUstream_st *stream : stream_all()) {
    if (stream->frontier.capture == capture) stream->frontier = {};
  }
}

std::vector<bool> ancestors(const Nodes &nodes, const std::vector<size_t> &of) {
  std::vector<bool> in(nodes.size());
  for (const size_t node : of) in[node] = true;
  for (size_t i = nodes.size(); i-- > 0;) {
    if (!in[i]) continue;
    for (const size_t before : nodes[i].after) in[before] = true;
  }
  return in;
}

/* True if the work of every stream is joined to the origin. */
bool is_joined(const CapturePointer &capture) {
  const std::vector<bool> in = ancestors(capture->nodes, capture->origin->frontier.nodes);
  return std::find(in.begin(), in.end(), false) == in.end();
}

/* True if the capture forbids the call of this thread. */
bool forbids(const Capture &capture) {
  return capture.mode == cudaStreamCaptureModeGlobal ||
         (capture.mode == cudaStreamCaptureModeThreadLocal &&
          capture.thread == std::this_thread::get_id());
}

cudaError_t end(CUstream_st *stream, const CapturePointer &capture, cudaGraph_t *graph) {
  if (capture->origin != stream) return invalidate(capture, cudaErrorStreamCaptureUnmatched);
  if (capture->mode != cudaStreamCaptureModeRelaxed &&
      capture->thread != std::this_thread::get_id()) {
    return cudaErrorStreamCaptureWrongThread;
  }
  const bool joined = is_joined(capture);
  dissolve(capture);
  if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (!joined) return invalidate(capture, cudaErrorStreamCaptureUnjoined);
  capture->invalid = true; /* for events that refer to it */
  *graph = graph_create(std::move(capture->nodes));
  return cudaSuccess;
}

} /* namespace */

cudaError_t stream_check_unsafe() {
  cudaError_t error = cudaSuccess;
  for (const CUstream_st *stream : stream_all()) {
    const CapturePointer &capture = stream->frontier.capture;
    if (capture != nullptr && forbids(*capture)) {
      error = invalidate(capture, cudaErrorStreamCaptureUnsupported);
    }
  }
  return error;
}

bool stream_invalidate_captures() {
  bool found = false;
  for (const CUstream_st *stream : stream_all()) {
    if (stream->frontier.capture == nullptr) continue;
    stream->frontier.capture->invalid = found = true;
  }
  return found;
}

bool capture_forbids_loading(CUstream_st *stream) {
  if (stream->frontier.capture == nullptr) return false;
  stream->frontier.capture->invalid = true;
  return true;
}

cudaError_t capture_add(CUstream_st *stream, Work work) {
  Frontier &frontier = stream->frontier;
  if (frontier.capture->invalid) return cudaErrorStreamCaptureInvalidated;
  frontier.capture->nodes.push_back({std::move(work), frontier.nodes});
  frontier.nodes = {frontier.capture->nodes.size() - 1};
  return cudaSuccess;
}

cudaError_t capture_wait(CUstream_st *stream, const CUevent_st *event) {
  Frontier &at = stream->frontier;
  const Frontier &from = event->captured;
  if (from.capture == nullptr) {
    /* An event that was never recorded adds no dependency. */
    if (event->mark == nullptr) return cudaSuccess;
    return invalidate(at.capture, cudaErrorStreamCaptureIsolation);
  }
  if (from.capture->invalid) return invalidate(at.capture, cudaErrorStreamCaptureInvalidated);
  if (at.capture == nullptr) {
    if (stream == stream_find(nullptr)) {
      return invalidate(from.capture, cudaErrorStreamCaptureImplicit);
    }
    at = from;
    return cudaSuccess;
  }
  if (at.capture != from.capture) {
    invalidate(from.capture, cudaSuccess);
    return invalidate(at.capture, cudaErrorStreamCaptureMerge);
  }
  for (const size_t node : from.nodes) {
    if (std::find(at.nodes.begin(), at.nodes.end(), node) == at.nodes.end()) {
      at.nodes.push_back(node);
    }
  }
  return cudaSuccess;
}

void capture_leave(CUstream_st *stream) {
  const CapturePointer capture = stream->frontier.capture;
  if (capture == nullptr) return;
  capture->invalid = true;
  if (capture->origin == stream) dissolve(capture);
  stream->frontier = {};
}

} /* namespace esc_simt */

using namespace esc_simt;

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return call([&] {
    CUstream_st *stream = stream_find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (mode < cudaStreamCaptureModeGlobal || mode > cudaStreamCaptureModeRelaxed) {
      return cudaErrorInvalidValue;
    }
    if (stream == stream_find(nullptr)) return cudaErrorStreamCaptureUnsupported;
    if (stream->frontier.capture != nullptr) return cudaErrorIllegalState;
    stream->frontier.capture =
        std::make_shared<Capture>(Capture{{}, stream, mode, std::this_thread::get_id(), false});
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *pGraph) {
  return call_releasing([&] { /* a failure ends the capture too */
                              CUstream_st *stream = stream_find(handle);
                              if (stream == nullptr) return cudaErrorInvalidResourceHandle;
                              if (pGraph == nullptr) return cudaErrorInvalidValue;
                              *pGraph = nullptr;
                              const CapturePointer capture = stream->frontier.capture;
                              return capture == nullptr ? cudaErrorIllegalState
                                                        : end(stream, capture, pGraph);
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *pCaptureStatus) {
  return call([&] {
    const CUstream_st *stream = stream_find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (pCaptureStatus == nullptr) return cudaErrorInvalidValue;
    const Capture *capture = stream->frontier.capture.get();
    *pCaptureStatus = capture == nullptr ? cudaStreamCaptureStatusNone
                      : capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

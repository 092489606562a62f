/* SPDX-License-Identifier: Apache-2.0 */
/* Events: marks in streams. Waiting for one means waiting for its last mark as it
 * was when the wait was asked for. */
#include "call.h"
#include "live.h"
#include "stream.h"

using namespace esc_simt;

namespace {

bool is_event(cudaEvent_t event) { return live_has(Kind::event, event); }

/* An event can be queried only if its last record is not part of a capture. */
cudaError_t check_askable(cudaEvent_t event) {
  if (!is_event(event)) return cudaErrorInvalidResourceHandle;
  if (event->captured.capture != nullptr) {
    event->captured.capture->invalid = true;
    return cudaErrorCapturedEvent;
  }
  return stream_check_unsafe();
}

cudaError_t record(CUevent_st *event, CUstream_st *stream) {
  if (stream->frontier.capture != nullptr) {
    if (stream->frontier.capture->invalid) return cudaErrorStreamCaptureInvalidated;
    event->captured = stream->frontier;
    return cudaSuccess;
  }
  event->captured = {};
  event->mark = stream_push(stream, nullptr, {});
  return cudaSuccess;
}

cudaError_t wait(CUstream_st *stream, const CUevent_st *event) {
  if (stream->frontier.capture != nullptr || event->captured.capture != nullptr) {
    return capture_wait(stream, event);
  }
  if (event->mark != nullptr && !event->mark->done) stream_push(stream, nullptr, {event->mark});
  return cudaSuccess;
}

} /* namespace */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
  return call([&] {
    if (event == nullptr || (flags & ~3u) != 0) return cudaErrorInvalidValue;
    *event = new CUevent_st{flags, {}, {}};
    live_add(Kind::event, *event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call_releasing([&] {
    if (!live_remove(Kind::event, event)) return cudaErrorInvalidResourceHandle;
    delete event;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  return call([&] {
    CUstream_st *stream = stream_find(handle);
    if (stream == nullptr || !is_event(event)) return cudaErrorInvalidResourceHandle;
    return record(event, stream);
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int flags) {
  return call([&] {
    CUstream_st *stream = stream_find(handle);
    if (stream == nullptr || !is_event(event)) return cudaErrorInvalidResourceHandle;
    if (flags != cudaEventWaitDefault) return cudaErrorInvalidValue;
    return wait(stream, event);
  });
}

/* Runs one operation per call, as cudaStreamQuery. */
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call([&] {
    const cudaError_t error = check_askable(event);
    if (error != cudaSuccess || event->mark == nullptr || event->mark->done) return error;
    stream_advance(event->mark);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call([&] {
    const cudaError_t error = check_askable(event);
    if (error == cudaSuccess) stream_finish(event->mark);
    return error;
  });
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end) {
  return call([&] {
    if (ms == nullptr) return cudaErrorInvalidValue;
    for (cudaEvent_t event : {start, end}) {
      const cudaError_t error = check_askable(event);
      if (error != cudaSuccess) return error;
      if (event->mark == nullptr || (event->flags & cudaEventDisableTiming)) {
        return cudaErrorInvalidResourceHandle;
      }
    }
    if (!start->mark->done || !end->mark->done) return cudaErrorNotReady;
    *ms = std::chrono::duration<float, std::milli>(end->mark->when - start->mark->when).count();
    return cudaSuccess;
  });
}

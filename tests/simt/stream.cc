/* SPDX-License-Identifier: Apache-2.0 */
/* Queues and what makes them move.
 *
 * The legacy stream of a device waits for its blocking streams and they for it, as
 * in CUDA: each piece of work names what it must follow when it is queued. */
#include "stream.h"

#include <algorithm>

#include "call.h"
#include "live.h"
#include "order.h"

namespace esc_simt {
namespace {

std::vector<CUstream_st *> &streams() {
  static auto *const all = [] {
    auto *list = new std::vector<CUstream_st *>;
    for (int device = 0; device < max_devices; device++) {
      list->push_back(new CUstream_st{cudaStreamDefault, device, {}, {}, {}});
    }
    return list;
  }();
  return *all;
}

bool is_legacy(const CUstream_st *stream) {
  return stream == streams()[static_cast<size_t>(stream->device)];
}
bool is_blocking(const CUstream_st *stream) {
  return !(stream->flags & cudaStreamNonBlocking) && !is_legacy(stream);
}

bool is_done(const OpPointer &op) { return op == nullptr || op->done; }

/* Adds the operations that work on `stream` must follow because of the legacy stream. */
void add_legacy_order(const CUstream_st *stream, std::vector<OpPointer> *after) {
  for (const CUstream_st *other : streams()) {
    if (other->device != stream->device || is_done(other->last)) continue;
    if ((is_legacy(stream) && is_blocking(other)) || (is_blocking(stream) && is_legacy(other))) {
      after->push_back(other->last);
    }
  }
}

const Op *unmet(const CUstream_st *stream) {
  for (const OpPointer &op : stream->queue.front()->after) {
    if (!op->done) return op.get();
  }
  return nullptr;
}

bool can_run(const CUstream_st *stream) {
  return !stream->queue.empty() && unmet(stream) == nullptr;
}

void run_head(CUstream_st *stream) {
  const OpPointer op = stream->queue.front();
  stream->queue.pop_front();
  if (op->work) {
    memory_open();
    op->work();
  }
  op->done = true;
  op->when = std::chrono::steady_clock::now();
  op->work = nullptr;
  op->after.clear();
}

/* The stream whose head must run next for `op` to be done. */
CUstream_st *needed_by(const Op *op) {
  while (unmet(op->stream) != nullptr) op = unmet(op->stream);
  return op->stream;
}

CUstream_st *youngest() {
  const auto found = std::find_if(streams().rbegin(), streams().rend(), can_run);
  return *found;
}

CUstream_st *any() {
  std::vector<CUstream_st *> able;
  std::copy_if(streams().begin(), streams().end(), std::back_inserter(able), can_run);
  return able[order_random(able.size())];
}

} /* namespace */

const std::vector<CUstream_st *> &stream_all() { return streams(); }

CUstream_st *stream_find(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) {
    return streams()[static_cast<size_t>(device_current())];
  }
  return live_has(Kind::stream, handle) ? handle : nullptr;
}

OpPointer stream_push(CUstream_st *stream, Work work, std::vector<OpPointer> after) {
  add_legacy_order(stream, &after);
  OpPointer op = std::make_shared<Op>();
  op->work = std::move(work);
  op->after = std::move(after);
  op->stream = stream;
  stream->queue.push_back(op);
  stream->last = op;
  return op;
}

cudaError_t stream_enqueue(CUstream_st *stream, Work work) {
  if (stream->frontier.capture != nullptr) return capture_add(stream, std::move(work));
  if (is_legacy(stream) && stream_invalidate_blocking_captures()) {
    return cudaErrorStreamCaptureImplicit;
  }
  stream_push(stream, std::move(work), {});
  return cudaSuccess;
}

void stream_advance(const OpPointer &op) {
  switch (order()) {
    case Order::forward: return run_head(needed_by(op.get()));
    case Order::reverse: return run_head(youngest());
    case Order::shuffled: return run_head(any());
  }
}

void stream_finish(const OpPointer &op) {
  while (!is_done(op)) stream_advance(op);
}

void stream_finish_device(int device) {
  for (const CUstream_st *stream : streams()) {
    if (stream->device == device) stream_finish(stream->last);
  }
}

void stream_finish_all() {
  for (const CUstream_st *stream : streams()) stream_finish(stream->last);
}

void stream_finish_legacy() {
  for (const CUstream_st *stream : streams()) {
    if (stream->device != device_current()) continue;
    if (is_legacy(stream) || is_blocking(stream)) stream_finish(stream->last);
  }
}

void stream_drop_device(int device) {
  for (CUstream_st *stream : streams()) {
    if (stream->device != device) continue;
    for (const OpPointer &op : stream->queue) op->done = true;
    stream->queue.clear();
  }
}

bool stream_invalidate_blocking_captures() {
  bool found = false;
  for (CUstream_st *stream : streams()) {
    if (stream->frontier.capture == nullptr || !is_blocking(stream)) continue;
    stream->frontier.capture->invalid = true;
    found = true;
  }
  return found;
}

} /* namespace esc_simt */

using namespace esc_simt;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags) {
  return call([&] {
    if (pStream == nullptr || flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    *pStream = new CUstream_st{flags, device_current(), {}, {}, {}};
    streams().push_back(*pStream);
    live_add(Kind::stream, *pStream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreate(cudaStream_t *pStream) {
  return cudaStreamCreateWithFlags(pStream, cudaStreamDefault);
}

/* Work that is still queued runs first. */
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call_releasing([&] {
    if (!live_has(Kind::stream, stream)) return cudaErrorInvalidResourceHandle;
    capture_leave(stream);
    stream_finish(stream->last);
    live_remove(Kind::stream, stream);
    streams().erase(std::find(streams().begin(), streams().end(), stream));
    delete stream;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return call([&] {
    const CUstream_st *stream = stream_find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->frontier.capture != nullptr) {
      stream->frontier.capture->invalid = true;
      return cudaErrorStreamCaptureUnsupported;
    }
    const cudaError_t error = stream_check_unsafe();
    if (error == cudaSuccess) stream_finish(stream->last);
    return error;
  });
}

/* One step at a time, so that a loop of queries ends; the answer is from before. */
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return call([&] {
    const CUstream_st *stream = stream_find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->frontier.capture != nullptr) {
      stream->frontier.capture->invalid = true;
      return cudaErrorStreamCaptureUnsupported;
    }
    const cudaError_t error = stream_check_unsafe();
    if (error != cudaSuccess || is_done(stream->last)) return error;
    stream_advance(stream->last);
    return cudaErrorNotReady;
  });
}

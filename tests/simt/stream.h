/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, events, captures and graphs inside of the harness.
 *
 * Work is a directed graph: an Op comes after the one before it in its stream and
 * after those that it names. Nothing runs until something waits for it. */
#ifndef ESC_SIMT_STREAM_H
#define ESC_SIMT_STREAM_H

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "cuda_runtime_api.h"

namespace esc_simt {

using Work = std::function<void()>;

struct Op {
  Work work;                              /* none for an event */
  std::vector<std::shared_ptr<Op>> after; /* beside stream order */
  CUstream_st *stream;
  bool done = false;
  std::chrono::steady_clock::time_point when; /* it was done */
};
using OpPointer = std::shared_ptr<Op>;

/* Recorded work: a node comes after those before it that it names. */
struct Node {
  Work work;
  std::vector<size_t> after;
};
using Nodes = std::vector<Node>;

/* One capture, over all the streams that joined it. */
struct Capture {
  Nodes nodes;
  CUstream_st *origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool invalid = false;
};
using CapturePointer = std::shared_ptr<Capture>;

/* A position in a capture: the nodes that the next operation depends on. */
struct Frontier {
  CapturePointer capture; /* none: not capturing */
  std::vector<size_t> nodes;
};

} /* namespace esc_simt */

struct CUstream_st {
  unsigned flags;
  int device;
  std::deque<esc_simt::OpPointer> queue;
  esc_simt::OpPointer last; /* work that was queued */
  esc_simt::Frontier frontier;
};

struct CUevent_st {
  unsigned flags;
  esc_simt::OpPointer mark;    /* none: never recorded */
  esc_simt::Frontier captured; /* recorded last in a capture */
};

namespace esc_simt {

/* The stream behind a handle, 0 for the legacy stream; NULL if it is none. */
CUstream_st *stream_find(cudaStream_t handle);

/* Queues `work`, or records it if the stream is capturing. */
cudaError_t stream_enqueue(CUstream_st *stream, Work work);

/* Queues an Op without regard to captures. */
OpPointer stream_push(CUstream_st *stream, Work work, std::vector<OpPointer> after);

/* All streams: the legacy ones of each device, then by age. */
const std::vector<CUstream_st *> &stream_all();

/* Runs what must run until `op` is done (NULL counts as done), or one step to it. */
void stream_finish(const OpPointer &op);
void stream_advance(const OpPointer &op);
void stream_finish_device(int device);
void stream_finish_all();
/* Before a call on the legacy stream that blocks: it and the blocking streams. */
void stream_finish_legacy();
/* Forgets queued work (cudaDeviceReset). */
void stream_drop_device(int device);

/* Refuses a call that a capture forbids, invalidating the capture (capture.cc). */
cudaError_t stream_check_unsafe();
/* Spoils all captures; true if there were any. */
bool stream_invalidate_captures();
/* Spoils captures of blocking streams, on which the legacy stream would wait. */
bool stream_invalidate_blocking_captures();

/* Records `work` as the next node of a capturing stream. */
cudaError_t capture_add(CUstream_st *stream, Work work);
/* True, and the capture is spoilt, if the stream is capturing: loading a kernel may synchronize. */
bool capture_forbids_loading(CUstream_st *stream);
/* A capturing stream, or an event recorded in a capture, is used by the other. */
cudaError_t capture_wait(CUstream_st *stream, const CUevent_st *event);
/* A stream that is destroyed leaves and invalidates its capture. */
void capture_leave(CUstream_st *stream);

/* Runs nodes in the order that is set, as far as their edges leave it open. */
void graph_run(const Nodes &nodes);

/* A graph that owns `nodes`. */
cudaGraph_t graph_create(Nodes nodes);

} /* namespace esc_simt */
#endif

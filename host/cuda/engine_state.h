/* SPDX-License-Identifier: Apache-2.0 */
/* State of a CUDA engine: chunks of networks, streams, pinned buffers. Slot i is row
 * i % chunk_slots of chunk i / chunk_slots. Chunk c uses stream context c % streams, because small
 * kernels of chunks on different streams run concurrently. A chunk is in flight from the submission
 * of its steps to their collection; the host does not access its data in between. The state owns
 * all memory below, on host and device. */
#ifndef ESC_CUDA_ENGINE_STATE_H
#define ESC_CUDA_ENGINE_STATE_H

#include "cuda/chunk.h"
#include "cuda/cublas.h"
#include "escapement/internal/engine.h"

/* Arrays of a network that the host reads and writes, in the order of esc_state_arrays. */
enum { ESC_CUDA_W, ESC_CUDA_COMPENSATION, ESC_CUDA_ARRAYS = 4 };

enum { ESC_CUDA_STREAMS = 8, ESC_CUDA_GRAPH_STEPS = 16, ESC_CUDA_STAGING = 2 };

/* Shared by the chunks of one stream. */
typedef struct esc_cuda_stream_context {
  cudaStream_t stream;
  cublasHandle_t cublas;
  void *workspace; /* device */
} esc_cuda_stream_context;

typedef struct esc_cuda_chunk {
  esc_chunk device;
  cudaGraphExec_t graph_1, graph_n; /* 1 step, ESC_CUDA_GRAPH_STEPS steps; NULL until needed */
  bool in_flight;                   /* a block of steps was submitted, and not collected */
  bool changed;                     /* seeds or tracks on the host, since they were uploaded */
  cudaEvent_t trained;              /* after its block of steps and their read-back */
  cudaEvent_t uploaded;             /* on the transfer stream, after the uploads to the chunk */
} esc_cuda_chunk;

/* Pinned buffer from which a chunk's initial weights are uploaded; `copied` is recorded after the
 * upload. */
typedef struct esc_cuda_staging {
  float *h_w; /* (chunk_slots, weight) */
  cudaEvent_t copied;
} esc_cuda_staging;

/* Copies of networks of one chunk in pinned memory, valid until these change on the device. */
typedef struct esc_cuda_fetched {
  int chunk;
  unsigned char arrays[ESC_CHUNK_SLOTS_MAX]; /* (row) bit k: array k is valid */
  float *h_rows[ESC_CUDA_ARRAYS];            /* (row, weight); NULL for an array of no chunk */
} esc_cuda_fetched;

/* Per-thread workspace for start and end of a member. */
typedef struct esc_cuda_workspace {
  double *weights, *now, *compensation; /* (weight) initial weights, w and its compensation */
  esc_arena signal;
} esc_cuda_workspace;

typedef struct esc_cuda_engine_state {
  esc_model model;
  esc_device_problem problem;
  esc_track_rules rules;
  int slots, threads, chunks, chunk_slots, streams;
  const esc_cuda_config *config;
  bool graphs;
  char device[200];
  esc_cuda_stream_context context[ESC_CUDA_STREAMS];
  esc_cuda_chunk *chunk;         /* (chunk) */
  float *direction;              /* device: (mode, input) */
  float *h_direction;            /* the same on the host, until no copy of it can be pending */
  esc_slot *slot;                /* (slot) */
  esc_cuda_workspace *workspace; /* (thread) */
  cudaStream_t transfer;         /* copies to and from chunks that are not in flight */
  esc_cuda_staging staging[ESC_CUDA_STAGING];
  int next_staging;
  /* Pinned buffers. */
  uint64_t *h_seed;   /* (slot) */
  esc_track *h_track; /* (slot) */
  esc_cuda_fetched *fetched;
  double *flat[ESC_CUDA_ARRAYS]; /* (weight) workspace of save and restore */
} esc_cuda_engine_state;

static inline cudaStream_t esc_cuda_chunk_stream(const esc_cuda_engine_state *e, int chunk) {
  return e->context[chunk % e->streams].stream;
}

/* Array k of a chunk, (slot, weight) on the device, in the order of esc_state_arrays; NULL if the
 * chunks have none. */
static inline float *esc_cuda_device_array(const esc_cuda_engine_state *e, int chunk, int k) {
  const esc_chunk *d = &e->chunk[chunk].device;
  float *const array[ESC_CUDA_ARRAYS] = {d->w, d->compensation, d->velocity, d->second_moment};
  return array[k];
}

/* Memory that esc_cuda_engine_state_create allocates, and the default number of slots. */
esc_bytes esc_cuda_engine_state_bytes(const esc_problem *problem, const esc_cuda_config *config,
                                      const esc_engine_setup *setup);
int esc_cuda_engine_state_slots(const esc_problem *problem, const esc_cuda_config *config);

/* Free with esc_cuda_engine_state_destroy, which accepts NULL. */
esc_status esc_cuda_engine_state_create(const esc_problem *problem, const esc_engine_setup *setup,
                                        const esc_cuda_config *config, esc_cuda_engine_state **out);
void esc_cuda_engine_state_destroy(esc_cuda_engine_state *state);

#endif

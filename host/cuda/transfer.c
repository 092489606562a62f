/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads of new members and of tracks, fetches of weights. Initial weights are drawn on the host,
 * by the code that all engines share. */
#include "cuda/transfer.h"

#include <omp.h>

#include "cuda/check.h"

void esc_cuda_mark_changed(esc_cuda_engine_state *e, int slot) {
  e->h_seed[slot] = e->slot[slot].member.seed;
  e->h_track[slot] = e->slot[slot].track;
  e->chunk[slot / e->chunk_slots].changed = true;
}

/* ---- uploads ---- */

static bool is_fresh(const esc_slot *s) { return s->loaded && s->fresh; }

/* Draws the weights of the chunk's fresh members into h_w (row, weight); marks their rows. */
static void draw_fresh(esc_cuda_engine_state *e, int chunk, float *h_w, bool *fresh) {
  const size_t stride = e->chunk[chunk].device.weight_stride,
               weights = esc_weight_count(e->model.problem->shape);
#pragma omp parallel for schedule(dynamic, 1) num_threads(e->threads)
  for (int i = 0; i < e->chunk_slots; i++) {
    esc_slot *slot = &e->slot[chunk * e->chunk_slots + i];
    esc_cuda_workspace *const workspace = &e->workspace[omp_get_thread_num()];
    fresh[i] = is_fresh(slot);
    if (!fresh[i]) continue;
    esc_slot_start(slot, &e->model, workspace->weights, &workspace->signal);
    for (size_t k = 0; k < weights; k++) h_w[(size_t)i * stride + k] = (float)workspace->weights[k];
  }
}

/* Starts the upload of rows from, ..., to - 1 of h_w; the other arrays of these rows become 0. */
static esc_status upload_rows(const esc_cuda_engine_state *e, const esc_chunk *d, const float *h_w,
                              int from, int to) {
  esc_status status = ESC_OK;
  const size_t offset = (size_t)from * d->weight_stride,
               bytes = (size_t)(to - from) * d->weight_stride * sizeof *d->w;
  float *const zeroed[] = {d->compensation, d->velocity, d->second_moment};
  ESC_TRY_CUDA(
      cudaMemcpyAsync(d->w + offset, h_w + offset, bytes, cudaMemcpyHostToDevice, e->transfer));
  for (int k = 0; k < 3; k++)
    if (zeroed[k]) ESC_TRY_CUDA(cudaMemsetAsync(zeroed[k] + offset, 0, bytes, e->transfer));
done:
  return status;
}

esc_status esc_cuda_start_fresh(esc_cuda_engine_state *e, int chunk) {
  esc_status status = ESC_OK;
  esc_cuda_staging *staging = &e->staging[e->next_staging];
  bool fresh[ESC_CHUNK_SLOTS_MAX];
  e->next_staging = (e->next_staging + 1) % ESC_CUDA_STAGING;
  ESC_TRY_CUDA(cudaEventSynchronize(staging->copied)); /* of the chunk that used it before */
  draw_fresh(e, chunk, staging->h_w, fresh);
  for (int from = 0, to; from < e->chunk_slots; from = to) {
    for (to = from; to < e->chunk_slots && fresh[to] == fresh[from]; to++)
      if (fresh[to]) esc_cuda_mark_changed(e, chunk * e->chunk_slots + to);
    if (fresh[from]) ESC_TRY(upload_rows(e, &e->chunk[chunk].device, staging->h_w, from, to));
  }
  ESC_TRY_CUDA(cudaEventRecord(staging->copied, e->transfer));
done:
  return status;
}

/* Whatever changes weights on the device changes a track too. */
esc_status esc_cuda_finish_uploads(esc_cuda_engine_state *e, int index) {
  esc_status status = ESC_OK;
  esc_cuda_chunk *chunk = &e->chunk[index];
  const esc_chunk *d = &chunk->device;
  const size_t first = (size_t)index * (size_t)e->chunk_slots, slots = (size_t)d->slots;
  if (!chunk->changed) return ESC_OK;
  ESC_TRY_CUDA(cudaMemcpyAsync(d->seed, e->h_seed + first, slots * sizeof *d->seed,
                               cudaMemcpyHostToDevice, e->transfer));
  ESC_TRY_CUDA(cudaMemcpyAsync(d->track, e->h_track + first, slots * sizeof *d->track,
                               cudaMemcpyHostToDevice, e->transfer));
  ESC_TRY_CUDA(cudaEventRecord(chunk->uploaded, e->transfer));
  ESC_TRY_CUDA(cudaStreamWaitEvent(esc_cuda_chunk_stream(e, index), chunk->uploaded, 0));
  chunk->changed = false;
done:
  return status;
}

/* One network's row of an array of its chunk, from `flat`. */
static esc_status upload_row(const esc_cuda_engine_state *e, int slot, const double *flat,
                             float *d_rows) {
  esc_status status = ESC_OK;
  const int chunk = slot / e->chunk_slots, row = slot % e->chunk_slots;
  const size_t stride = e->chunk[chunk].device.weight_stride,
               count = esc_weight_count(e->model.problem->shape);
  for (size_t i = 0; i < stride; i++) e->h_row[i] = i < count ? (float)flat[i] : 0;
  ESC_TRY_CUDA(cudaMemcpyAsync(d_rows + (size_t)row * stride, e->h_row, stride * sizeof *e->h_row,
                               cudaMemcpyHostToDevice, e->transfer));
  ESC_TRY_CUDA(cudaStreamSynchronize(e->transfer)); /* the next call reuses h_row */
done:
  return status;
}

esc_status esc_cuda_upload_arrays(esc_cuda_engine_state *e, int slot, const esc_cuda_arrays *a) {
  esc_status status = ESC_OK;
  for (int i = 0; i < ESC_CUDA_ARRAYS; i++)
    if (a->device[i]) ESC_TRY(upload_row(e, slot, a->flat[i], a->device[i]));
done:
  return status;
}

/* ---- fetches ---- */

esc_cuda_arrays esc_cuda_list_arrays(const esc_cuda_engine_state *e, int slot) {
  const esc_chunk *d = &e->chunk[slot / e->chunk_slots].device;
  esc_cuda_arrays a = {.device = {d->w, d->compensation, d->velocity, d->second_moment}};
  for (int i = 0; i < ESC_CUDA_ARRAYS; i++)
    a.flat[i] = a.device[i] ? e->flat[ESC_CUDA_FLAT_ARRAYS + i] : NULL;
  return a;
}

esc_status esc_cuda_fetch_row(const esc_cuda_engine_state *e, int slot, const float *d_rows,
                              double *flat) {
  esc_status status = ESC_OK;
  const int chunk = slot / e->chunk_slots, row = slot % e->chunk_slots;
  const size_t count = esc_weight_count(e->model.problem->shape);
  ESC_TRY_CUDA(cudaMemcpyAsync(e->h_row,
                               d_rows + (size_t)row * e->chunk[chunk].device.weight_stride,
                               count * sizeof *e->h_row, cudaMemcpyDeviceToHost, e->transfer));
  ESC_TRY_CUDA(cudaStreamSynchronize(e->transfer));
  for (size_t i = 0; i < count; i++) flat[i] = (double)e->h_row[i];
done:
  return status;
}

esc_status esc_cuda_fetch_arrays(const esc_cuda_engine_state *e, int slot, const esc_cuda_arrays *a,
                                 int count) {
  esc_status status = ESC_OK;
  for (int i = 0; i < count; i++)
    if (a->device[i]) ESC_TRY(esc_cuda_fetch_row(e, slot, a->device[i], a->flat[i]));
done:
  return status;
}

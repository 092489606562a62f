/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads of new members and of tracks, fetches of weights. Initial weights are drawn on the host,
 * by the code that all engines share. */
#include "cuda/transfer.h"

#include <omp.h>
#include <string.h>

#include "cuda/check.h"

/* The copies of networks become those of `chunk`. */
static void claim(esc_cuda_fetched *f, int chunk) {
  if (f->chunk == chunk) return;
  memset(f->arrays, 0, sizeof f->arrays);
  f->chunk = chunk;
}

void esc_cuda_mark_changed(esc_cuda_engine_state *e, int slot) {
  const int chunk = slot / e->chunk_slots;
  e->h_seed[slot] = e->slot[slot].member.seed;
  e->h_track[slot] = e->slot[slot].track;
  e->chunk[chunk].changed = true;
  if (e->fetched->chunk == chunk) e->fetched->arrays[slot % e->chunk_slots] = 0;
}

/* ---- uploads ---- */

/* Draws the weights of the chunk's fresh members into h_w (row, weight); marks their rows. */
static void draw_fresh(esc_cuda_engine_state *e, int chunk, float *h_w, bool *fresh) {
  const size_t stride = e->chunk[chunk].device.weight_stride,
               weights = esc_weight_count(e->model.problem->shape);
#pragma omp parallel for schedule(dynamic, 1) num_threads(e->threads)
  for (int i = 0; i < e->chunk_slots; i++) {
    esc_slot *slot = &e->slot[chunk * e->chunk_slots + i];
    double *const w = e->workspace[omp_get_thread_num()].weights;
    fresh[i] = esc_slot_is_fresh(slot);
    if (!fresh[i]) continue;
    esc_slot_draw(slot, &e->model, w);
    for (size_t k = 0; k < weights; k++) h_w[(size_t)i * stride + k] = (float)w[k];
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
  esc_cuda_staging *const staging = &e->staging[e->next_staging];
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

/* Without a changed track there is no upload to wait for: each upload of weights marks one. */
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

esc_status esc_cuda_upload(const esc_cuda_engine_state *e, int slot) {
  esc_status status = ESC_OK;
  const int chunk = slot / e->chunk_slots, row = slot % e->chunk_slots;
  const size_t count = esc_weight_count(e->model.problem->shape),
               stride = e->chunk[chunk].device.weight_stride, offset = (size_t)row * stride;
  claim(e->fetched, chunk);
  for (int k = 0; k < ESC_CUDA_ARRAYS; k++) {
    float *const d_rows = esc_cuda_device_array(e, chunk, k);
    if (!d_rows) continue;
    float *const h_row = e->fetched->h_rows[k] + offset;
    for (size_t i = 0; i < count; i++) h_row[i] = (float)e->flat[k][i];
    ESC_TRY_CUDA(cudaMemcpyAsync(d_rows + offset, h_row, stride * sizeof *h_row,
                                 cudaMemcpyHostToDevice, e->transfer));
  }
  ESC_TRY_CUDA(cudaStreamSynchronize(e->transfer)); /* another chunk may claim the rows */
  e->fetched->arrays[row] = esc_cuda_all_arrays(e);
done:
  return status;
}

/* ---- fetches ---- */

unsigned char esc_cuda_all_arrays(const esc_cuda_engine_state *e) {
  unsigned char arrays = 0;
  for (int k = 0; k < ESC_CUDA_ARRAYS; k++)
    if (esc_cuda_device_array(e, 0, k)) arrays |= (unsigned char)(1u << k);
  return arrays;
}

void esc_cuda_invalidate(const esc_cuda_engine_state *e, int chunk) {
  if (e->fetched->chunk == chunk) e->fetched->chunk = -1;
}

static bool is_missing(const esc_cuda_fetched *f, int row, int k, const unsigned char *wanted) {
  return (wanted[row] & ~f->arrays[row]) >> k & 1;
}

/* One copy for each run of neighbouring rows, by the device's copy engine: a kernel that gathers
 * rows would wait for a multiprocessor that no block of another chunk occupies. */
static esc_status fetch_array(const esc_cuda_engine_state *e, int chunk, int k,
                              const unsigned char *wanted) {
  esc_status status = ESC_OK;
  const esc_cuda_fetched *f = e->fetched;
  const float *const d_rows = esc_cuda_device_array(e, chunk, k);
  const size_t stride = e->chunk[chunk].device.weight_stride;
  for (int from = 0, to; d_rows && from < e->chunk_slots; from = to) {
    const bool missing = is_missing(f, from, k, wanted);
    for (to = from + 1; to < e->chunk_slots && is_missing(f, to, k, wanted) == missing;) to++;
    const size_t offset = (size_t)from * stride;
    if (missing)
      ESC_TRY_CUDA(cudaMemcpyAsync(f->h_rows[k] + offset, d_rows + offset,
                                   (size_t)(to - from) * stride * sizeof *d_rows,
                                   cudaMemcpyDeviceToHost, e->transfer));
  }
done:
  return status;
}

esc_status esc_cuda_fetch(const esc_cuda_engine_state *e, int chunk, const unsigned char *wanted) {
  esc_status status = ESC_OK;
  bool missing = false;
  claim(e->fetched, chunk);
  for (int i = 0; i < e->chunk_slots; i++) missing |= (wanted[i] & ~e->fetched->arrays[i]) != 0;
  if (!missing) return ESC_OK;
  for (int k = 0; k < ESC_CUDA_ARRAYS; k++) ESC_TRY(fetch_array(e, chunk, k, wanted));
  ESC_TRY_CUDA(cudaStreamSynchronize(e->transfer));
  for (int i = 0; i < e->chunk_slots; i++) e->fetched->arrays[i] |= wanted[i];
done:
  return status;
}

static bool has_array(const esc_cuda_engine_state *e, int slot, int k) {
  const esc_cuda_fetched *f = e->fetched;
  return f->chunk == slot / e->chunk_slots && f->arrays[slot % e->chunk_slots] >> k & 1;
}

bool esc_cuda_has_all(const esc_cuda_engine_state *e, int slot) {
  for (int k = 0; k < ESC_CUDA_ARRAYS; k++)
    if (esc_cuda_device_array(e, 0, k) && !has_array(e, slot, k)) return false;
  return true;
}

void esc_cuda_widen(const esc_cuda_engine_state *e, int slot, int k, double *flat) {
  const size_t stride = e->chunk[0].device.weight_stride;
  const float *const h_row = e->fetched->h_rows[k] + (size_t)(slot % e->chunk_slots) * stride;
  for (size_t i = 0; i < esc_weight_count(e->model.problem->shape); i++) flat[i] = (double)h_row[i];
}

esc_status esc_cuda_read(const esc_cuda_engine_state *e, int slot, int k, double *flat) {
  esc_status status = ESC_OK;
  unsigned char wanted[ESC_CHUNK_SLOTS_MAX] = {0};
  wanted[slot % e->chunk_slots] = (unsigned char)(1u << k);
  if (!has_array(e, slot, k)) ESC_TRY(esc_cuda_fetch(e, slot / e->chunk_slots, wanted));
  esc_cuda_widen(e, slot, k, flat);
done:
  return status;
}

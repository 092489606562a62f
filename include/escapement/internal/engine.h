/* SPDX-License-Identifier: Apache-2.0 */
/* An engine trains networks of one problem in slots. One coarse table of
 * functions serves every backend; the reference engine (double, naive loops)
 * is what all others are checked against. */
#ifndef ESCAPEMENT_ENGINE_H
#define ESCAPEMENT_ENGINE_H

#include <stdatomic.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/results.h"
#include "escapement/internal/slot.h"

typedef struct esc_engine_setup {
  int slots;   /* networks in flight */
  int threads; /* of the host, at most */
  int device;  /* index of the accelerator, for a backend that has one */
} esc_engine_setup;

typedef struct esc_bytes {
  double host, device;
} esc_bytes;

typedef struct esc_engine_ops esc_engine_ops;

struct esc_engine_ops {
  const char *name;      /* "reference", "cpu", "cuda" */
  const char *precision; /* of weights and activations: "float64", "float32" */
  const void *config;    /* constants of this table, read by its functions; or NULL */

  /* Bytes of host and device memory that create allocates. `ops` is this table, here and below. */
  esc_bytes (*bytes)(const esc_engine_ops *ops, const esc_problem *problem,
                     const esc_engine_setup *setup);

  /* Opens the device and reads the bytes of its memory: available, and all; NULL for a backend
   * without a device. */
  esc_status (*device_memory)(const esc_engine_setup *setup, double *available, double *total);

  /* Default number of networks in flight. */
  int (*slots)(const esc_engine_ops *ops, const esc_problem *problem,
               const esc_engine_setup *setup);

  /* Makes an engine with setup->slots empty slots. `problem` must outlive it. */
  esc_status (*create)(const esc_engine_ops *ops, const esc_problem *problem,
                       const esc_engine_setup *setup, void **engine);

  /* Loads `member` into slot at step 0; the next advance or submit draws its weights. */
  esc_status (*load)(void *engine, int slot, const esc_member *member);

  /* Sets the step beyond which the slot's network is not trained until the limit is raised. load
   * and restore remove the limit. */
  void (*limit)(void *engine, int slot, int64_t step);

  /* A chunk is chunk_slots neighbouring slots (the last chunk may have fewer), which train while
   * the host processes other chunks. submit starts what advance does, for one chunk, and may return
   * before the steps are made; collect waits for them. In between no other function may be called
   * for a slot of the chunk. All three are NULL for a backend without chunks. */
  int (*chunk_slots)(const void *engine);
  esc_status (*submit)(void *engine, int chunk, int64_t steps, const atomic_bool *stop);
  esc_status (*collect)(void *engine, int chunk);

  /* Trains every loaded, unfinished slot by up to `steps` steps, none beyond its limit. Returns
   * early, at a step boundary, once *stop is set. */
  esc_status (*advance)(void *engine, int64_t steps, const atomic_bool *stop);

  /* The slot as of the last advance or collect: its member, events, whether it has finished. */
  const esc_slot *(*slot)(const void *engine, int slot);

  /* Writes a finished member's row i of every variable of `results`. */
  esc_status (*report)(const void *engine, int slot, esc_results *results, int64_t i);

  /* Copies the slot's weights, flat as in esc_weight_offset (for tests and tools). */
  esc_status (*weights)(const void *engine, int slot, double *weights);

  /* Bytes of one network's state (state.h). Engines of one precision have one format. */
  size_t (*state_size)(const esc_problem *problem);

  /* Fills `state` from a slot that trains and is not fresh, as of the last advance or collect. */
  esc_status (*save)(const void *engine, int slot, void *state);

  /* Loads `member` into slot with a `state` that an engine of the same precision saved; training
   * continues with the same bits. */
  esc_status (*restore)(void *engine, int slot, const esc_member *member, const void *state);

  /* Hardware and code path, for the result's provenance ("avx512, 2 threads"). */
  void (*describe)(const void *engine, char *text, size_t size);

  void (*destroy)(void *engine); /* NULL is fine */

  /* Versions of the libraries that the numbers may depend on, for the result's provenance; NULL for
   * a backend whose numbers depend on none. */
  esc_status (*versions)(const esc_engine_ops *ops, char *text, size_t size);
};

extern const esc_engine_ops esc_reference_engine;

/* Multiply-adds count as two: 2B(Nd + (L-2)N^2 + N) forward, the same for the
 * weight gradients, 2B((L-2)N^2 + N) for the input gradients. The textbook
 * count: inputs, activations, ledger and update are left out. */
static inline double esc_flop_per_step(const esc_problem *p) {
  const double n = p->shape.width, d = p->shape.inputs, deep = (p->shape.layers - 2) * n * n + n;
  return 2.0 * p->batch * (2 * (n * d + deep) + deep);
}

#endif

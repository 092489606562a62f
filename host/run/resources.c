/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of slots and threads of a run, within memory and processors. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "machine/processor.h"
#include "machine/threads.h"
#include "run/run.h"

enum { THREADS_MAX = 4096 };
static const double memory_share =
    0.8; /* of the available memory; the rest is for other processes */

static int min_int(int64_t a, int64_t b) { return (int)(a < b ? a : b); }

/* Results in memory, and the image of their file during writing. */
static double table_bytes(const esc_run *r) {
  const esc_problem *p = &r->spec->problem;
  const double members = (double)esc_plan_count_members(r->spec, r->shard, r->shards);
  return members * (4 * (double)esc_results_row_size(p->thresholds, esc_spec_layers_max(r->spec)) +
                    esc_weights_memory_bytes(p, &r->spec->record));
}

static double members_bytes(const esc_run *r) {
  return table_bytes(r) +
         esc_plan_estimate_bytes(esc_plan_count_members(r->spec, r->shard, r->shards));
}

/* Memory of the recorder without its snapshots. */
static double recorder_bytes(const esc_run *r, const esc_engine_setup *setup) {
  if (!esc_record_on(&r->spec->record)) return 0;
  return esc_recorder_estimate_bytes(&r->spec->problem, &r->spec->record, setup);
}

typedef struct memory_limits {
  double host, device; /* usable bytes */
  double device_total;
} memory_limits;

static esc_bytes estimate_bytes(const esc_run *r, esc_engine_setup setup) {
  esc_bytes bytes = r->engine->bytes(r->engine, &r->spec->problem, &setup);
  bytes.host += members_bytes(r) + recorder_bytes(r, &setup);
  bytes.host += 2 * (double)r->engine->state_size(&r->spec->problem); /* for the checkpoint */
  return bytes;
}

static bool fits(esc_bytes bytes, memory_limits limits) {
  return bytes.host <= limits.host && bytes.device <= limits.device;
}

/* Refuses a number of members that does not fit, before allocation. */
static esc_status refuse_members(const esc_run *r, double need, double have) {
  return ESC_FAIL(ESC_NO_MEMORY,
                  "the plan and the results of %lld members need %.3g GB of memory, but at most "
                  "%.3g GB may be used; reduce sweep.seeds or the scales, or divide the sweep with "
                  "--shard; nothing was started",
                  (long long)esc_plan_count_members(r->spec, r->shard, r->shards), need / 1e9,
                  have / 1e9);
}

static esc_status refuse_setup(const esc_run *r, const char *where, double need, double have,
                               double least_need) {
  const esc_shape shape = r->spec->problem.shape;
  return ESC_FAIL(ESC_NO_MEMORY,
                  "%d networks of %zu weights in flight on %d threads need %.3g GB%s, but at most "
                  "%.3g GB may be used; --slots 1 needs %.3g GB; nothing was started",
                  r->setup.slots, esc_weight_count(shape), r->setup.threads, need / 1e9, where,
                  have / 1e9, least_need / 1e9);
}

static esc_status refuse_device(const esc_run *r, memory_limits limits, double least_need) {
  char where[160];
  snprintf(where, sizeof where,
           " on the device, which has %.3g GB (nvidia-smi lists the processes that use it)",
           limits.device_total / 1e9);
  return refuse_setup(r, where, r->bytes.device, limits.device, least_need);
}

/* Memory of the device; a run that trains by worker processes leaves it to them. */
static esc_status read_device_memory(const esc_run *r, memory_limits *limits) {
  limits->device = INFINITY;
  if (!r->engine->device_memory || r->supervises) return ESC_OK;
  return r->engine->device_memory(&r->setup, &limits->device, &limits->device_total);
}

esc_status esc_run_choose_resources(esc_run *r) {
  esc_status status = ESC_OK;
  const int64_t planned = esc_plan_count_members(r->spec, r->shard, r->shards);
  const int64_t members = planned > 0 ? planned : 1;
  const int processors = min_int(omp_get_max_threads(), esc_processor_count());
  esc_engine_setup *setup = &r->setup;
  memory_limits limits = {.host = memory_share * esc_memory_available()};
  if (members_bytes(r) > limits.host) return refuse_members(r, members_bytes(r), limits.host);
  setup->device = r->options.devices      ? atoi(r->options.devices) /* 0 for cpu */
                  : r->options.device > 0 ? r->options.device
                                          : 0;
  if (r->spec->grid) { /* every point chooses for itself */
    setup->slots = setup->threads = 1;
    return ESC_OK;
  }
  setup->threads = r->options.threads ? r->options.threads : min_int(processors, THREADS_MAX);
  setup->threads = min_int(setup->threads, members);
  ESC_TRY(read_device_memory(r, &limits));
  setup->slots = min_int(
      r->options.slots ? r->options.slots : r->engine->slots(r->engine, &r->spec->problem, setup),
      members);
  while (!r->options.slots && setup->slots > 1 && !fits(estimate_bytes(r, *setup), limits)) {
    setup->slots--;
    if (!r->options.threads) setup->threads = min_int(setup->threads, setup->slots);
  }
  setup->threads = min_int(setup->threads, setup->slots);
  r->bytes = estimate_bytes(r, *setup);
  const esc_engine_setup one = {.slots = 1, .threads = 1, .device = setup->device};
  if (r->bytes.host > limits.host)
    return refuse_setup(r, "", r->bytes.host, limits.host, estimate_bytes(r, one).host);
  if (r->bytes.device > limits.device)
    return refuse_device(r, limits, estimate_bytes(r, one).device);
  status = esc_threads_limit(r->options.threads != 0, &setup->threads);
done:
  return status;
}

/* How many networks and threads a run takes. */
#include <omp.h>

#include "cli/run.h"
#include "device.h"

enum { THREADS_MAX = 4096 };
static const double memory_share = 0.8; /* of what is available: others live here too */

static int least(int64_t a, int64_t b) { return (int)(a < b ? a : b); }

/* Results in memory, and the image of their file beside them when it is written. */
static double table_bytes(const esc_run *r) {
  const esc_problem *p = &r->spec->problem;
  return 4 * (double)r->plan.members * (double)esc_results_row_size(p->thresholds, p->shape.layers);
}

static double needed(const esc_run *r, int slots, int threads) {
  return r->engine->bytes(&r->spec->problem, slots, threads) + table_bytes(r);
}

esc_status esc_run_size(esc_run *r) {
  const esc_problem *p = &r->spec->problem;
  const double available = memory_share * esc_memory_available();
  const int64_t members = r->plan.members > 0 ? r->plan.members : 1;
  const int processors = least(omp_get_max_threads(), omp_get_num_procs());
  r->threads = r->ask.threads ? (int)r->ask.threads : least(processors, THREADS_MAX);
  r->threads = least(r->threads, members);
  r->slots = least(r->ask.slots ? r->ask.slots : esc_default_slots(r->threads), members);
  while (!r->ask.slots && r->slots > 1 && needed(r, r->slots, r->threads) > available) {
    r->slots--;
    if (!r->ask.threads) r->threads = least(r->threads, r->slots);
  }
  r->threads = least(r->threads, r->slots);
  r->bytes = needed(r, r->slots, r->threads);
  if (r->bytes <= available) return ESC_OK;
  return ESC_FAIL(
      ESC_NO_MEMORY,
      "%d networks of %zu weights in flight on %d threads need %.3g GB, and %.3g GB may "
      "be used; --slots 1 needs %.3g GB; nothing was started",
      r->slots, esc_weight_offset(p->shape, p->shape.layers), r->threads, r->bytes / 1e9,
      available / 1e9, needed(r, 1, 1) / 1e9);
}

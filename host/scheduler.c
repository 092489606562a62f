/* Loading, advancing in blocks of steps, retiring and refilling. */
#include "scheduler.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EMPTY = -1 };
static const double block_seconds = 0.05, sync_seconds = 5;

typedef struct run {
  const esc_plan *plan;
  esc_schedule *schedule;
  esc_results *results;
  esc_progress *progress;
  void *engine;
  void *row;         /* one member's row for the journal */
  int64_t *occupant; /* (slot) place in plan->member, or EMPTY */
  int64_t *seen;     /* (slot) steps already counted */
  int64_t next;      /* into plan->order */
  int64_t unsynced;  /* journal records since the last sync */
} run;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void count_status(esc_progress *progress, int32_t status) {
  if (status == ESC_MEMBER_ESCAPED) progress->escaped++;
  if (status == ESC_MEMBER_CENSORED) progress->censored++;
  if (status == ESC_MEMBER_DIVERGED) progress->diverged++;
}

/* Gives a free slot the next member that is not done. */
static esc_status refill(run *r, int slot) {
  r->occupant[slot] = EMPTY;
  while (r->next < r->plan->members) {
    const int64_t place = r->plan->order[r->next++];
    if (r->schedule->done[place]) continue;
    r->occupant[slot] = place;
    r->seen[slot] = 0;
    r->progress->running++;
    return r->schedule->engine->load(r->engine, slot, &r->plan->member[place]);
  }
  return ESC_OK;
}

static esc_status retire(run *r, int slot) {
  esc_status status = ESC_OK;
  const int64_t place = r->occupant[slot];
  ESC_TRY(r->schedule->engine->report(r->engine, slot, r->results, place));
  if (r->schedule->journal) {
    esc_results_pack(r->results, place, r->row);
    ESC_TRY(esc_journal_append(r->schedule->journal, r->plan->member[place].index, r->row));
    r->unsynced++;
  }
  r->schedule->done[place] = true;
  r->progress->running--;
  count_status(r->progress, r->results->status[place]);
done:
  return status;
}

/* Counts the block's steps, retires what finished and refills. */
static esc_status collect(run *r) {
  esc_status status = ESC_OK;
  for (int i = 0; i < r->schedule->setup.slots; i++) {
    if (r->occupant[i] == EMPTY) continue;
    const esc_slot *slot = r->schedule->engine->slot(r->engine, i);
    const int64_t steps = slot->track.step;
    r->progress->network_steps += steps - r->seen[i];
    r->seen[i] = steps;
    if (!esc_slot_finished(slot)) continue;
    ESC_TRY(retire(r, i));
    ESC_TRY(refill(r, i));
  }
done:
  return status;
}

static esc_status train(run *r) {
  esc_status status = ESC_OK;
  const double start = now();
  double synced = start, before = start;
  int64_t block = 16;
  for (int i = 0; i < r->schedule->setup.slots; i++) ESC_TRY(refill(r, i));
  while (r->progress->running > 0) {
    ESC_TRY(r->schedule->engine->advance(r->engine, block, r->schedule->stop));
    ESC_TRY(collect(r));
    const double after = now();
    if (after - before < block_seconds / 2 && block < 1 << 20) block *= 2;
    if (after - before > block_seconds * 2 && block > 1) block /= 2;
    before = after;
    r->progress->seconds = after - start;
    if (r->schedule->report) r->schedule->report(r->schedule->context, r->progress);
    if (r->unsynced && after - synced > sync_seconds) {
      ESC_TRY(esc_journal_sync(r->schedule->journal));
      r->unsynced = 0;
      synced = after;
    }
    if (atomic_load(r->schedule->stop) && r->progress->running > 0) {
      status = ESC_FAIL(ESC_INTERRUPTED, "interrupted");
      break;
    }
  }
done:
  return status;
}

esc_status esc_train(const esc_problem *problem, const esc_plan *plan, esc_schedule *schedule,
                     esc_results *results, esc_progress *progress, char engine_text[128]) {
  esc_status status = ESC_OK;
  const size_t slots = (size_t)schedule->setup.slots;
  run r = {.plan = plan, .schedule = schedule, .results = results, .progress = progress};
  memset(progress, 0, sizeof *progress);
  progress->members = plan->members;
  for (int64_t i = 0; i < plan->members; i++)
    if (schedule->done[i]) count_status(progress, results->status[i]);
  ESC_TRY_ALLOCATE(r.row =
                       calloc(1, esc_results_row_size(problem->thresholds, problem->shape.layers)));
  ESC_TRY_ALLOCATE(r.occupant = calloc(slots, sizeof *r.occupant));
  ESC_TRY_ALLOCATE(r.seen = calloc(slots, sizeof *r.seen));
  ESC_TRY(schedule->engine->create(problem, &schedule->setup, &r.engine));
  schedule->engine->describe(r.engine, engine_text, 128);
  ESC_TRY(train(&r));
done:
  if (schedule->journal && status != ESC_IO_FAILED) {
    const esc_status synced = esc_journal_sync(schedule->journal);
    if (status == ESC_OK) status = synced;
  }
  schedule->engine->destroy(r.engine);
  free(r.row);
  free(r.occupant);
  free(r.seen);
  return status;
}

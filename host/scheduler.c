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
  int *due;          /* (slot) room for a list of slots */
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
    if (r->schedule->recorder) {
      const esc_status status = esc_recorder_load(r->schedule->recorder, slot, place);
      if (status != ESC_OK) return status;
    }
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

/* Takes the snapshots that are due. */
static esc_status record(run *r) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  int count = 0;
  bool fresh = false;
  if (!s->recorder) return ESC_OK;
  for (int i = 0; i < s->setup.slots; i++)
    fresh = fresh || (r->occupant[i] != EMPTY && s->engine->slot(r->engine, i)->fresh);
  if (fresh) ESC_TRY(s->engine->advance(r->engine, 0, s->stop)); /* draws the weights */
  for (int i = 0; i < s->setup.slots; i++) {
    if (r->occupant[i] == EMPTY) continue;
    const esc_slot *slot = s->engine->slot(r->engine, i);
    if (!slot->fresh && esc_recorder_horizon(s->recorder, i, slot->track.step) == 0)
      r->due[count++] = i;
  }
  if (count) ESC_TRY(esc_recorder_take(s->recorder, s->engine, r->engine, count, r->due));
done:
  return status;
}

/* No more steps than to the next snapshot. */
static int64_t limit_block(const run *r, int64_t block) {
  const esc_schedule *s = r->schedule;
  for (int i = 0; s->recorder && i < s->setup.slots; i++) {
    if (r->occupant[i] == EMPTY) continue;
    const int64_t step = s->engine->slot(r->engine, i)->track.step;
    const int64_t horizon = esc_recorder_horizon(s->recorder, i, step);
    if (horizon < block) block = horizon > 0 ? horizon : 1;
  }
  return block;
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
    ESC_TRY(record(r));
    const int64_t steps = limit_block(r, block);
    ESC_TRY(r->schedule->engine->advance(r->engine, steps, r->schedule->stop));
    ESC_TRY(record(r));
    ESC_TRY(collect(r));
    const double after = now();
    if (steps == block && after - before < block_seconds / 2 && block < 1 << 20) block *= 2;
    if (after - before > block_seconds * 2 && block > 1) block /= 2;
    before = after;
    r->progress->seconds = after - start;
    if (r->schedule->report) r->schedule->report(r->schedule->context, r->progress);
    /* Snapshots first: a member counts as finished only with all of them. */
    if (r->unsynced && after - synced > sync_seconds) {
      if (r->schedule->recorder) ESC_TRY(esc_recorder_sync(r->schedule->recorder));
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
  ESC_TRY_ALLOCATE(r.due = calloc(slots, sizeof *r.due));
  ESC_TRY(schedule->engine->create(problem, &schedule->setup, &r.engine));
  schedule->engine->describe(r.engine, engine_text, 128);
  ESC_TRY(train(&r));
done:
  if (schedule->journal && status != ESC_IO_FAILED) {
    esc_status synced = schedule->recorder ? esc_recorder_sync(schedule->recorder) : ESC_OK;
    if (synced == ESC_OK) synced = esc_journal_sync(schedule->journal);
    if (status == ESC_OK) status = synced;
  }
  schedule->engine->destroy(r.engine);
  free(r.row);
  free(r.occupant);
  free(r.seen);
  free(r.due);
  return status;
}

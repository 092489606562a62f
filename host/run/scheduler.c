/* SPDX-License-Identifier: Apache-2.0 */
/* Loading, advancing in blocks of steps, retiring and refilling. */
#include "run/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/trace.h"

enum { EMPTY = -1 };
static const double block_seconds = 0.05, sync_seconds = 5;

typedef struct run {
  const esc_plan *plan;
  esc_schedule *schedule;
  esc_results *results;
  esc_progress *progress;
  esc_workload *workload;
  void *engine;
  void *row;                   /* one member's row for the journal */
  int64_t *occupant;           /* (slot) place in plan->member, or EMPTY */
  int64_t *seen;               /* (slot) steps already counted */
  int *due;                    /* (slot) room for a list of slots */
  int64_t next;                /* into plan->order */
  int64_t unsynced;            /* journal records since the last sync */
  void *state;                 /* one network's, for the checkpoint */
  double start, synced, saved; /* when: all, the last sync, the last checkpoint */
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

/* Puts a member that the checkpoint holds back where it was: *found. Without all of its
 * snapshots it is of no use. */
static esc_status restore(run *r, int slot, int64_t place, bool *found) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const esc_member *member = &r->plan->member[place];
  *found = false;
  if (!s->checkpoint) return ESC_OK;
  ESC_TRY(esc_checkpoint_take(s->checkpoint, esc_member_key_of(member), r->state, found));
  if (!*found) return ESC_OK;
  ESC_TRY(s->engine->restore(r->engine, slot, member, r->state));
  const int64_t step = r->seen[slot] = s->engine->slot(r->engine, slot)->track.step;
  if (!s->recorder) return ESC_OK;
  *found = esc_recorder_is_complete(s->recorder, place, step);
  if (*found) ESC_TRY(esc_recorder_resume(s->recorder, slot, place, step));
done:
  return status;
}

static void tell_saving(const esc_schedule *schedule, bool begins) {
  if (schedule->phase) schedule->phase(schedule->context, ESC_RUN_SAVES, begins);
}

/* Starts a member, from the checkpoint or from step 0. */
static esc_status start(run *r, int slot, int64_t place) {
  esc_status status = ESC_OK;
  bool found = false;
  ESC_TRY(restore(r, slot, place, &found));
  if (found) return ESC_OK;
  r->seen[slot] = 0;
  if (r->schedule->recorder) ESC_TRY(esc_recorder_load(r->schedule->recorder, slot, place));
  ESC_TRY(r->schedule->engine->load(r->engine, slot, &r->plan->member[place]));
done:
  return status;
}

/* Gives a free slot the next member that is not done. */
static esc_status refill(run *r, int slot) {
  r->occupant[slot] = EMPTY;
  while (r->next < r->plan->members) {
    const int64_t place = r->plan->order[r->next++];
    if (r->schedule->done[place]) continue;
    r->occupant[slot] = place;
    r->progress->running++;
    return start(r, slot, place);
  }
  return ESC_OK;
}

static esc_status retire(run *r, int slot) {
  esc_status status = ESC_OK;
  const int64_t place = r->occupant[slot];
  ESC_TRY(r->schedule->engine->report(r->engine, slot, r->results, place));
  if (r->schedule->journal) {
    esc_results_pack(r->results, place, r->row);
    ESC_TRY(esc_journal_append(r->schedule->journal, esc_member_key_of(&r->plan->member[place]),
                               r->row));
    r->unsynced++;
  }
  r->schedule->done[place] = true;
  esc_workload_finish(r->workload, place, r->results->steps_run[place]);
  r->progress->running--;
  count_status(r->progress, r->results->status[place]);
done:
  return status;
}

/* Takes the snapshots of members that have just finished. */
static esc_status record_ends(run *r) {
  const esc_schedule *s = r->schedule;
  int count = 0;
  for (int i = 0; i < s->setup.slots; i++)
    if (r->occupant[i] != EMPTY && esc_slot_finished(s->engine->slot(r->engine, i)))
      r->due[count++] = i;
  return count ? esc_recorder_take_end(s->recorder, s->engine, r->engine, count, r->due) : ESC_OK;
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
  ESC_TRY(record_ends(r));
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

/* Snapshots first: a member counts as finished only with all of them. */
static esc_status sync_journals(run *r) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  if (s->recorder) ESC_TRY(esc_recorder_sync(s->recorder));
  if (s->journal) ESC_TRY(esc_journal_sync(s->journal));
  r->unsynced = 0;
done:
  return status;
}

/* A fresh network has nothing to lose. */
static bool is_worth_saving(const run *r, int slot) {
  if (r->occupant[slot] == EMPTY) return false;
  const esc_slot *s = r->schedule->engine->slot(r->engine, slot);
  return esc_slot_trains(s) && !s->fresh;
}

/* Writes all networks in flight to the checkpoint, and those of it that still wait. */
static esc_status write_checkpoint(run *r) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  int64_t count = 0;
  esc_trace_begin("checkpoint");
  for (int i = 0; i < s->setup.slots; i++) count += is_worth_saving(r, i);
  r->progress->in_flight = esc_checkpoint_waiting(s->checkpoint);
  if (count == 0) goto done; /* the file there still holds those that wait */
  ESC_TRY(esc_checkpoint_begin(s->checkpoint, count));
  for (int i = 0; i < s->setup.slots; i++) {
    if (!is_worth_saving(r, i)) continue;
    ESC_TRY(s->engine->save(r->engine, i, r->state));
    ESC_TRY(esc_checkpoint_add(s->checkpoint, esc_member_key_of(&r->plan->member[r->occupant[i]]),
                               r->state));
  }
  ESC_TRY(esc_checkpoint_commit(s->checkpoint));
  r->progress->in_flight += count;
done:
  if (status != ESC_OK) esc_checkpoint_abandon(s->checkpoint);
  esc_trace_end();
  return status;
}

/* Saves the networks in flight. A disk that is full for now is no reason to stop: the
 * checkpoint before stays. A lost device is. */
static esc_status save_on_the_way(run *r) {
  esc_status status = ESC_OK;
  tell_saving(r->schedule, true);
  ESC_TRY(sync_journals(r)); /* what the checkpoint builds on */
  status = write_checkpoint(r);
  r->saved = now();
  if (status != ESC_IO_FAILED && status != ESC_BAD_INPUT) goto done;
  r->schedule->warn("warning: no checkpoint: %s; training goes on", esc_error_message());
  status = ESC_OK;
done:
  tell_saving(r->schedule, false);
  return status;
}

/* Syncs and saves when it is time. */
static esc_status keep(run *r, double at) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const bool due = s->checkpoint && s->checkpoint_seconds > 0 && r->progress->running > 0 &&
                   at - r->saved >= s->checkpoint_seconds;
  if (r->unsynced && at - r->synced > sync_seconds) {
    ESC_TRY(sync_journals(r));
    r->synced = at;
  }
  if (due) ESC_TRY(save_on_the_way(r));
done:
  return status;
}

/* Saves the networks in flight at the end of this part of the run. */
static esc_status save_at_the_end(run *r) {
  char why[600];
  if (!r->schedule->checkpoint) return ESC_OK;
  tell_saving(r->schedule, true);
  esc_status status = sync_journals(r);
  if (status == ESC_OK) status = write_checkpoint(r);
  tell_saving(r->schedule, false);
  if (status == ESC_OK) return ESC_OK;
  snprintf(why, sizeof why, "%.590s", esc_error_message());
  return ESC_FAIL(
      status == ESC_BAD_INPUT ? ESC_IO_FAILED : status, /* not the command is at fault */
      "stopped, but the networks in flight could not be saved: %s; what was reported "
      "as saved is safe, and the same command with --resume goes on from there",
      why);
}

/* Whether to end before all have finished, as ESC_INTERRUPTED or ESC_OUT_OF_TIME. */
static esc_status check_end(run *r, double at) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const bool stopped = atomic_load(s->stop);
  const bool late = s->seconds_max > 0 && at - r->start >= s->seconds_max;
  if (r->progress->running == 0 || (!stopped && !late)) return ESC_OK;
  ESC_TRY(save_at_the_end(r));
  return stopped ? ESC_FAIL(ESC_INTERRUPTED, "interrupted")
                 : ESC_FAIL(ESC_OUT_OF_TIME, "stopped at --max-time");
done:
  return status;
}

static esc_status train(run *r) {
  esc_status status = ESC_OK;
  double before = now();
  int64_t block = 16;
  r->start = r->synced = r->saved = before;
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
    r->progress->seconds = after - r->start;
    r->progress->steps =
        esc_workload_expect(r->workload, r->schedule->setup.slots, r->occupant, r->seen);
    if (r->schedule->report) r->schedule->report(r->schedule->context, r->progress);
    ESC_TRY(check_end(r, after));
    ESC_TRY(keep(r, after));
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
  ESC_TRY(esc_workload_create(plan, problem->steps, schedule->predicted, &r.workload));
  for (int64_t i = 0; i < plan->members; i++) {
    if (!schedule->done[i]) continue;
    count_status(progress, results->status[i]);
    esc_workload_finish(r.workload, i, results->steps_run[i]);
  }
  ESC_TRY_ALLOCATE(r.row =
                       calloc(1, esc_results_row_size(problem->thresholds, problem->shape.layers)));
  ESC_TRY_ALLOCATE(r.occupant = calloc(slots, sizeof *r.occupant));
  ESC_TRY_ALLOCATE(r.seen = calloc(slots, sizeof *r.seen));
  ESC_TRY_ALLOCATE(r.due = calloc(slots, sizeof *r.due));
  ESC_TRY_ALLOCATE(r.state = calloc(1, schedule->engine->state_size(problem)));
  ESC_TRY(schedule->engine->create(schedule->engine, problem, &schedule->setup, &r.engine));
  schedule->engine->describe(r.engine, engine_text, 128);
  ESC_TRY(train(&r));
done:
  if (status != ESC_IO_FAILED) {
    tell_saving(schedule, true);
    const esc_status synced = sync_journals(&r);
    if (status == ESC_OK) status = synced;
    tell_saving(schedule, false);
  }
  schedule->engine->destroy(r.engine);
  esc_workload_free(r.workload);
  free(r.row);
  free(r.occupant);
  free(r.seen);
  free(r.due);
  free(r.state);
  return status;
}

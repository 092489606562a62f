/* SPDX-License-Identifier: Apache-2.0 */
/* Main loop: loads members into slots, advances in blocks of steps, retires finished members and
 * refills. */
#include "run/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/trace.h"
#include "escapement/internal/state.h"

enum { EMPTY = -1 };
static const double block_seconds = 0.05, sync_seconds = 5;
static const double short_block_seconds = 0.005; /* of a block in which networks wait */

typedef struct training {
  const esc_plan *plan;
  esc_schedule *schedule;
  esc_results *results;
  esc_progress *progress;
  esc_workload *workload;
  void *engine;
  void *row;               /* one member's row for the journal */
  int64_t *member_in_slot; /* (slot) index into plan->member, or EMPTY */
  int64_t *steps_counted;  /* (slot) steps already counted */
  uint32_t *crossed;       /* (slot) thresholds whose crossing was reported, a bit each */
  int *slot_list;          /* (slot) workspace: a list of slots */
  int64_t next;            /* into plan->order */
  int64_t unsynced;        /* journal records since the last sync */
  int64_t block;           /* steps of the next block */
  /* Of this block: most steps of a network, sum over networks, and the same if none had waited. */
  int64_t advanced, made, possible;
  void *state;             /* one network's, for the checkpoint */
  /* Times of the start, the last sync and the last checkpoint. */
  double start, synced, checkpointed;
} training;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void send(const training *r, esc_train_event event) {
  if (r->schedule->event) r->schedule->event(r->schedule->context, &event);
}

/* Bits of the thresholds that the slot's member has crossed. */
static uint32_t crossed_thresholds(const esc_slot *slot, int thresholds) {
  uint32_t bits = 0;
  for (int k = 0; k < thresholds; k++)
    if (slot->track.escape_step[k] >= 0) bits |= UINT32_C(1) << k;
  return bits;
}

/* Reports the thresholds that were crossed since the last report. */
static void report_escapes(training *r, int slot) {
  const esc_slot *s = r->schedule->engine->slot(r->engine, slot);
  const uint32_t crossed = crossed_thresholds(s, r->results->thresholds);
  for (int k = 0; k < r->results->thresholds; k++)
    if ((crossed & ~r->crossed[slot]) >> k & 1)
      send(r, (esc_train_event){.kind = ESC_EVENT_ESCAPE,
                                .index = r->member_in_slot[slot],
                                .threshold = k,
                                .step = s->track.escape_step[k]});
  r->crossed[slot] = crossed;
}

static void count_status(esc_progress *progress, int32_t status) {
  if (status == ESC_MEMBER_ESCAPED) progress->escaped++;
  if (status == ESC_MEMBER_CENSORED) progress->censored++;
  if (status == ESC_MEMBER_DIVERGED) progress->diverged++;
}

/* Whether all snapshots and weights of a member restored into a slot are present. */
static bool has_all_records(const training *r, int slot, int64_t index) {
  const esc_schedule *s = r->schedule;
  const esc_track *track = &s->engine->slot(r->engine, slot)->track;
  const esc_weights_progress now_at = {track->step, track->escape_step, false};
  return (!s->recorder || esc_recorder_is_complete(s->recorder, index, track->step)) &&
         (!s->weight_recorder ||
          esc_weight_recorder_is_complete(s->weight_recorder, index, now_at));
}

/* Restores a member from the checkpoint: *found. Not used if some of its snapshots or weights are
 * missing. */
static esc_status restore_member(training *r, int slot, int64_t index, bool *found) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const esc_member *member = &r->plan->member[index];
  *found = false;
  if (!s->checkpoint) return ESC_OK;
  ESC_TRY(esc_checkpoint_restore(s->checkpoint, esc_member_key_of(member), r->state, found));
  if (!*found) return ESC_OK;
  ESC_TRY(s->engine->restore(r->engine, slot, member, r->state));
  const int64_t step = r->steps_counted[slot] = s->engine->slot(r->engine, slot)->track.step;
  *found = has_all_records(r, slot, index);
  if (*found && s->recorder) ESC_TRY(esc_recorder_resume_member(s->recorder, slot, index, step));
  if (*found && s->weight_recorder)
    esc_weight_recorder_resume_member(s->weight_recorder, index, step);
done:
  return status;
}

static void report_saving(const esc_schedule *schedule, bool begins) {
  if (schedule->phase) schedule->phase(schedule->context, ESC_RUN_PHASE_SAVING, begins);
}

/* Starts a member, from the checkpoint or from step 0. */
static esc_status start(training *r, int slot, int64_t index) {
  esc_status status = ESC_OK;
  bool found = false;
  r->crossed[slot] = 0;
  ESC_TRY(restore_member(r, slot, index, &found));
  if (found)
    r->crossed[slot] =
        crossed_thresholds(r->schedule->engine->slot(r->engine, slot), r->results->thresholds);
  if (found) return ESC_OK;
  r->steps_counted[slot] = 0;
  if (r->schedule->recorder) ESC_TRY(esc_recorder_begin_member(r->schedule->recorder, slot, index));
  if (r->schedule->weight_recorder)
    esc_weight_recorder_begin_member(r->schedule->weight_recorder, index);
  ESC_TRY(r->schedule->engine->load(r->engine, slot, &r->plan->member[index]));
done:
  return status;
}

/* Loads the next member that is not done into a free slot. */
static esc_status refill(training *r, int slot) {
  r->member_in_slot[slot] = EMPTY;
  while (r->next < r->plan->members) {
    const int64_t index = r->plan->order[r->next++];
    if (r->schedule->done[index]) continue;
    r->member_in_slot[slot] = index;
    r->progress->running++;
    return start(r, slot, index);
  }
  return ESC_OK;
}

static esc_status retire(training *r, int slot) {
  esc_status status = ESC_OK;
  const int64_t index = r->member_in_slot[slot];
  ESC_TRY(r->schedule->engine->report(r->engine, slot, r->results, index));
  if (r->schedule->journal) {
    esc_results_pack(r->results, index, r->row);
    ESC_TRY(esc_journal_append(r->schedule->journal, esc_member_key_of(&r->plan->member[index]),
                               r->row));
    r->unsynced++;
  }
  r->schedule->done[index] = true;
  esc_workload_finish(r->workload, index, r->results->steps_run[index]);
  r->progress->running--;
  count_status(r->progress, r->results->status[index]);
  send(r, (esc_train_event){.kind = ESC_EVENT_RETIREMENT, .index = index});
done:
  return status;
}

/* Records the weights of the listed slots, if the spec asks for this kind. */
static esc_status record_weights(training *r, int count, esc_weights_kind kind) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  for (int i = 0; i < count && s->weight_recorder; i++)
    ESC_TRY(esc_weight_recorder_record(s->weight_recorder, s->engine, r->engine, r->slot_list[i],
                                       r->member_in_slot[r->slot_list[i]], kind));
done:
  return status;
}

/* Records final snapshots and weights of members that have just finished. */
static esc_status record_finished(training *r) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  int count = 0;
  for (int i = 0; i < s->setup.slots; i++)
    if (r->member_in_slot[i] != EMPTY && esc_slot_finished(s->engine->slot(r->engine, i)))
      r->slot_list[count++] = i;
  if (count && s->recorder)
    ESC_TRY(esc_recorder_record_end(s->recorder, s->engine, r->engine, count, r->slot_list));
  ESC_TRY(record_weights(r, count, ESC_WEIGHTS_ESCAPE));
  ESC_TRY(record_weights(r, count, ESC_WEIGHTS_END));
done:
  return status;
}

/* Records the snapshots that are due. */
static esc_status record_due_snapshots(training *r) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  int count = 0;
  bool fresh = false;
  for (int i = 0; i < s->setup.slots; i++)
    fresh = fresh || (r->member_in_slot[i] != EMPTY && s->engine->slot(r->engine, i)->fresh);
  if (fresh) ESC_TRY(s->engine->advance(r->engine, 0, s->stop)); /* initializes the weights */
  for (int i = 0; i < s->setup.slots; i++) {
    if (r->member_in_slot[i] == EMPTY) continue;
    const esc_slot *slot = s->engine->slot(r->engine, i);
    if (!slot->fresh && esc_recorder_steps_to_next(s->recorder, i, slot->track.step) == 0)
      r->slot_list[count++] = i;
  }
  if (count) ESC_TRY(esc_recorder_record(s->recorder, s->engine, r->engine, count, r->slot_list));
  if (count) send(r, (esc_train_event){.kind = ESC_EVENT_SNAPSHOT, .networks = count});
  ESC_TRY(record_weights(r, count, ESC_WEIGHTS_SNAPSHOTS));
done:
  return status;
}

/* Records the weights of members that pause at a threshold, and continues those. */
static esc_status record_paused(training *r) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  for (int i = 0; i < s->setup.slots; i++) {
    if (r->member_in_slot[i] == EMPTY || !esc_slot_is_paused(s->engine->slot(r->engine, i)))
      continue;
    const int64_t index = r->member_in_slot[i];
    ESC_TRY(esc_weight_recorder_record(s->weight_recorder, s->engine, r->engine, i, index,
                                       ESC_WEIGHTS_ESCAPE));
    ESC_TRY(s->engine->save(r->engine, i, r->state));
    esc_state_continue(r->state);
    ESC_TRY(s->engine->restore(r->engine, i, &r->plan->member[index], r->state));
  }
done:
  return status;
}

/* Records due snapshots, and rows and weights of finished members. */
static esc_status record_due(training *r) {
  esc_status status = ESC_OK;
  if (r->schedule->recorder) ESC_TRY(record_due_snapshots(r));
  if (r->schedule->recorder || r->schedule->weight_recorder) ESC_TRY(record_finished(r));
  if (r->schedule->weight_recorder) ESC_TRY(record_paused(r));
done:
  return status;
}

/* A network waits at its next snapshot, while the others of the block go on. */
static void limit_slots(const training *r) {
  const esc_schedule *s = r->schedule;
  for (int i = 0; s->recorder && i < s->setup.slots; i++) {
    if (r->member_in_slot[i] == EMPTY) continue;
    const int64_t step = s->engine->slot(r->engine, i)->track.step;
    s->engine->limit(r->engine, i, step + esc_recorder_steps_to_next(s->recorder, i, step));
  }
}

/* Counts the steps of a slot in this block. */
static void count_steps(training *r, int i) {
  const esc_track *track = &r->schedule->engine->slot(r->engine, i)->track;
  const int64_t made = track->step - r->steps_counted[i];
  const bool waited = !track->finished && track->step == track->step_limit;
  r->progress->network_steps += made;
  r->steps_counted[i] = track->step;
  r->made += made;
  r->possible += waited ? r->block : made;
  if (made > r->advanced) r->advanced = made;
}

/* Counts the block's steps, retires finished members and refills their slots. */
static esc_status retire_finished(training *r) {
  esc_status status = ESC_OK;
  for (int i = 0; i < r->schedule->setup.slots; i++) {
    if (r->member_in_slot[i] == EMPTY) continue;
    count_steps(r, i);
    report_escapes(r, i);
    if (!esc_slot_finished(r->schedule->engine->slot(r->engine, i))) continue;
    ESC_TRY(retire(r, i));
    ESC_TRY(refill(r, i));
  }
done:
  return status;
}

/* Steps of the next block, after one that took `seconds`: about block_seconds, but less if networks
 * wait for more than a quarter of their steps. A launch has at most 2^20 steps
 * (kernels/fused_step.cuh). */
static void adapt_block(training *r, double seconds) {
  const bool waits = 4 * (r->possible - r->made) > r->possible;
  const double target = waits ? short_block_seconds : block_seconds;
  if (r->advanced == r->block && seconds < target / 2 && r->block < 1 << 20) r->block *= 2;
  if (seconds > target * 2 && r->block > 1) r->block /= 2;
  r->progress->slot_steps += r->advanced;
  r->advanced = r->made = r->possible = 0;
}

/* Snapshots first, because a member counts as finished only with all its snapshots. */
static esc_status sync_journals(training *r) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  if (s->recorder) ESC_TRY(esc_recorder_sync(s->recorder));
  if (s->weight_recorder) ESC_TRY(esc_weight_recorder_sync(s->weight_recorder));
  if (s->journal) ESC_TRY(esc_journal_sync(s->journal));
  r->unsynced = 0;
done:
  return status;
}

/* A network without a step is not worth saving. */
static bool has_progress(const training *r, int slot) {
  if (r->member_in_slot[slot] == EMPTY) return false;
  const esc_slot *s = r->schedule->engine->slot(r->engine, slot);
  return esc_slot_trains(s) && !s->fresh;
}

/* Writes all networks in flight and the pending ones to the checkpoint. */
static esc_status write_checkpoint(training *r) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  int64_t count = 0;
  esc_trace_begin("checkpoint");
  for (int i = 0; i < s->setup.slots; i++) count += has_progress(r, i);
  r->progress->in_flight = esc_checkpoint_count_pending(s->checkpoint);
  if (count == 0) goto done; /* the existing file still has the pending ones */
  ESC_TRY(esc_checkpoint_write_begin(s->checkpoint, count));
  for (int i = 0; i < s->setup.slots; i++) {
    if (!has_progress(r, i)) continue;
    ESC_TRY(s->engine->save(r->engine, i, r->state));
    ESC_TRY(esc_checkpoint_write_member(
        s->checkpoint, esc_member_key_of(&r->plan->member[r->member_in_slot[i]]), r->state));
  }
  ESC_TRY(esc_checkpoint_write_commit(s->checkpoint));
  r->progress->in_flight += count;
  send(r, (esc_train_event){.kind = ESC_EVENT_CHECKPOINT,
                            .networks = r->progress->in_flight,
                            .digest = esc_checkpoint_digest(s->checkpoint)});
done:
  if (status != ESC_OK) esc_checkpoint_write_abort(s->checkpoint);
  esc_trace_end();
  return status;
}

/* Saves the networks in flight. A full disk does not stop the run, because the previous checkpoint
 * is kept. A lost device does. */
static esc_status save_periodic_checkpoint(training *r) {
  esc_status status = ESC_OK;
  report_saving(r->schedule, true);
  ESC_TRY(sync_journals(r)); /* the checkpoint depends on the journals */
  status = write_checkpoint(r);
  r->checkpointed = now();
  if (status != ESC_IO_FAILED && status != ESC_BAD_INPUT) goto done;
  r->schedule->warn("warning: checkpoint not written: %s; training continues", esc_error_message());
  status = ESC_OK;
done:
  report_saving(r->schedule, false);
  return status;
}

/* Syncs and writes a checkpoint when due. */
static esc_status sync_and_checkpoint(training *r, double at) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const bool slot_list = s->checkpoint && s->checkpoint_seconds > 0 && r->progress->running > 0 &&
                         at - r->checkpointed >= s->checkpoint_seconds;
  if (r->unsynced && at - r->synced > sync_seconds) {
    ESC_TRY(sync_journals(r));
    r->synced = at;
  }
  if (slot_list) ESC_TRY(save_periodic_checkpoint(r));
done:
  return status;
}

/* Saves the networks in flight when the run is stopped. */
static esc_status save_final_checkpoint(training *r) {
  char why[600];
  if (!r->schedule->checkpoint) return ESC_OK;
  report_saving(r->schedule, true);
  esc_status status = sync_journals(r);
  if (status == ESC_OK) status = write_checkpoint(r);
  report_saving(r->schedule, false);
  if (status == ESC_OK) return ESC_OK;
  snprintf(why, sizeof why, "%.590s", esc_error_message());
  return ESC_FAIL(
      status == ESC_BAD_INPUT ? ESC_IO_FAILED : status, /* not a fault of the command */
      "stopped, but the networks in flight could not be saved: %s; everything reported as saved is "
      "intact; continue with the same command and --resume",
      why);
}

/* Whether to end before all have finished, as ESC_INTERRUPTED or ESC_OUT_OF_TIME. */
static esc_status check_stop(training *r, double at) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const bool stopped = atomic_load(s->stop);
  const bool out_of_time = s->seconds_max > 0 && at - r->start >= s->seconds_max;
  if (r->progress->running == 0 || (!stopped && !out_of_time)) return ESC_OK;
  ESC_TRY(save_final_checkpoint(r));
  return stopped ? ESC_FAIL(ESC_INTERRUPTED, "interrupted")
                 : ESC_FAIL(ESC_OUT_OF_TIME, "stopped at --max-time");
done:
  return status;
}

static esc_status train(training *r) {
  esc_status status = ESC_OK;
  double before = now();
  r->block = 16;
  r->start = r->synced = r->checkpointed = before;
  for (int i = 0; i < r->schedule->setup.slots; i++) ESC_TRY(refill(r, i));
  while (r->progress->running > 0) {
    ESC_TRY(record_due(r));
    limit_slots(r);
    ESC_TRY(r->schedule->engine->advance(r->engine, r->block, r->schedule->stop));
    ESC_TRY(record_due(r));
    ESC_TRY(retire_finished(r));
    const double after = now();
    adapt_block(r, after - before);
    before = after;
    r->progress->seconds = after - r->start;
    r->progress->steps = esc_workload_expect(r->workload, r->schedule->setup.slots,
                                             r->member_in_slot, r->steps_counted);
    if (r->schedule->report) r->schedule->report(r->schedule->context, r->progress);
    ESC_TRY(check_stop(r, after));
    ESC_TRY(sync_and_checkpoint(r, after));
  }
done:
  return status;
}

esc_status esc_schedule_train(const esc_problem *problem, const esc_plan *plan,
                              esc_schedule *schedule, esc_results *results, esc_progress *progress,
                              char engine_text[128]) {
  esc_status status = ESC_OK;
  const size_t slots = (size_t)schedule->setup.slots;
  training r = {.plan = plan, .schedule = schedule, .results = results, .progress = progress};
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
  ESC_TRY_ALLOCATE(r.member_in_slot = calloc(slots, sizeof *r.member_in_slot));
  ESC_TRY_ALLOCATE(r.steps_counted = calloc(slots, sizeof *r.steps_counted));
  ESC_TRY_ALLOCATE(r.crossed = calloc(slots, sizeof *r.crossed));
  ESC_TRY_ALLOCATE(r.slot_list = calloc(slots, sizeof *r.slot_list));
  ESC_TRY_ALLOCATE(r.state = calloc(1, schedule->engine->state_size(problem)));
  ESC_TRY(schedule->engine->create(schedule->engine, problem, &schedule->setup, &r.engine));
  schedule->engine->describe(r.engine, engine_text, 128);
  ESC_TRY(train(&r));
done:
  if (status != ESC_IO_FAILED) {
    report_saving(schedule, true);
    const esc_status synced = sync_journals(&r);
    if (status == ESC_OK) status = synced;
    report_saving(schedule, false);
  }
  schedule->engine->destroy(r.engine);
  esc_workload_free(r.workload);
  free(r.row);
  free(r.member_in_slot);
  free(r.steps_counted);
  free(r.crossed);
  free(r.slot_list);
  free(r.state);
  return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Main loop: loads members into slots, advances the chunks of slots in blocks of steps, retires
 * finished members and refills their slots. While the host processes a chunk, the others train. */
#include "run/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "escapement/internal/state.h"
#include "run/block_length.h"
#include "run/training.h"

static const double sync_seconds = 5;

/* Bits of the thresholds that the slot's member has crossed. */
static uint32_t crossed_thresholds(const esc_slot *slot, int thresholds) {
  uint32_t bits = 0;
  for (int k = 0; k < thresholds; k++)
    if (slot->track.escape_step[k] >= 0) bits |= UINT32_C(1) << k;
  return bits;
}

/* Reports the thresholds that were crossed since the last report. */
static void report_escapes(esc_training *r, int slot) {
  const esc_slot *s = r->schedule->engine->slot(r->engine, slot);
  const uint32_t crossed = crossed_thresholds(s, r->results->thresholds);
  for (int k = 0; k < r->results->thresholds; k++)
    if ((crossed & ~r->crossed[slot]) >> k & 1)
      esc_training_send(r, (esc_train_event){.kind = ESC_EVENT_ESCAPE,
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
static bool has_all_records(const esc_training *r, int slot, int64_t index) {
  const esc_schedule *s = r->schedule;
  const esc_track *track = &s->engine->slot(r->engine, slot)->track;
  const esc_weights_progress now_at = {track->step, track->escape_step, false};
  return (!s->recorder || esc_recorder_is_complete(s->recorder, index, track->step)) &&
         (!s->weight_recorder ||
          esc_weight_recorder_is_complete(s->weight_recorder, index, now_at));
}

/* Restores a member from the checkpoint: *found. Not used if some of its snapshots or weights are
 * missing. */
static esc_status restore_member(esc_training *r, int slot, int64_t index, bool *found) {
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

/* Starts a member, from the checkpoint or from step 0. */
static esc_status start(esc_training *r, int slot, int64_t index) {
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
static esc_status refill(esc_training *r, int slot) {
  r->member_in_slot[slot] = ESC_SLOT_EMPTY;
  while (r->next < r->plan->members) {
    const int64_t index = r->plan->order[r->next++];
    if (r->schedule->done[index]) continue;
    r->member_in_slot[slot] = index;
    r->progress->running++;
    return start(r, slot, index);
  }
  return ESC_OK;
}

static esc_status retire(esc_training *r, int slot) {
  esc_status status = ESC_OK;
  const int64_t index = r->member_in_slot[slot];
  ESC_TRY(r->schedule->engine->report(r->engine, slot, r->results, index));
  if (r->schedule->journal) {
    esc_results_pack(r->results, index, r->row);
    ESC_TRY(
        esc_journal_add(r->schedule->journal, esc_member_key_of(&r->plan->member[index]), r->row));
    r->unsynced++;
  }
  r->schedule->done[index] = true;
  esc_workload_finish(r->workload, index, r->results->steps_run[index]);
  r->progress->running--;
  count_status(r->progress, r->results->status[index]);
  r->retired[r->retired_count++] = index;
done:
  return status;
}

static int64_t count_records(const esc_training *r) {
  return r->schedule->journal ? esc_journal_count_records(r->schedule->journal) : 0;
}

/* How many of the retired members, from the first on, have their rows in the journal. */
static int count_saved(const esc_training *r) {
  const int64_t saved = count_records(r) - r->records;
  return r->schedule->journal && saved < r->retired_count ? (int)saved : r->retired_count;
}

/* Writes the rows of the retired members to the journal, and reports these. After the next block
 * was started, which trains meanwhile. Rows whose writing failed before are not in the journal, and
 * their members are not reported: the resumed run will train and report them. */
static esc_status save_retired(esc_training *r) {
  esc_status status = ESC_OK;
  if (r->retired_count && r->schedule->journal) ESC_TRY(esc_journal_flush(r->schedule->journal));
  const int saved = count_saved(r);
  for (int i = 0; i < saved; i++)
    esc_training_send(r, (esc_train_event){.kind = ESC_EVENT_RETIREMENT, .index = r->retired[i]});
  r->retired_count = 0;
  r->records = count_records(r);
done:
  return status;
}

/* Saves and reports what has retired until the training ended with `status`, also where an engine
 * failed. Files that failed are not synced. A failure keeps its own message. */
static esc_status save_rest(esc_training *r, esc_status status) {
  char why[1024];
  snprintf(why, sizeof why, "%s", esc_error_message());
  esc_training_report_saving(r, true);
  esc_status saved = save_retired(r);
  if (saved == ESC_OK && status != ESC_IO_FAILED) saved = esc_training_sync(r);
  esc_training_report_saving(r, false);
  return status == ESC_OK ? saved : ESC_FAIL(status, "%s", why);
}

/* Records the weights of the listed slots, if the spec asks for this kind. */
static esc_status record_weights(esc_training *r, int count, esc_weights_kind kind) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  for (int i = 0; i < count && s->weight_recorder; i++)
    ESC_TRY(esc_weight_recorder_record(s->weight_recorder, s->engine, r->engine, r->slot_list[i],
                                       r->member_in_slot[r->slot_list[i]], kind));
done:
  return status;
}

/* Records final snapshots and weights of members that have just finished. */
static esc_status record_finished(esc_training *r, esc_slot_range c) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  int count = 0;
  for (int i = c.first; i < c.end; i++)
    if (r->member_in_slot[i] != ESC_SLOT_EMPTY && esc_slot_finished(s->engine->slot(r->engine, i)))
      r->slot_list[count++] = i;
  if (count && s->recorder)
    ESC_TRY(esc_recorder_record_end(s->recorder, s->engine, r->engine, count, r->slot_list));
  ESC_TRY(record_weights(r, count, ESC_WEIGHTS_ESCAPE));
  ESC_TRY(record_weights(r, count, ESC_WEIGHTS_END));
done:
  return status;
}

/* Initializes the weights of new members. */
static esc_status start_fresh(const esc_training *r, esc_slot_range c) {
  const esc_schedule *s = r->schedule;
  bool fresh = false;
  for (int i = c.first; i < c.end; i++)
    fresh =
        fresh || (r->member_in_slot[i] != ESC_SLOT_EMPTY && s->engine->slot(r->engine, i)->fresh);
  if (!fresh) return ESC_OK;
  if (!s->engine->submit) return s->engine->advance(r->engine, 0, s->stop);
  const esc_status status = s->engine->submit(r->engine, c.chunk, 0, s->stop);
  return status == ESC_OK ? s->engine->collect(r->engine, c.chunk) : status;
}

/* Records the snapshots that are due. */
static esc_status record_due_snapshots(esc_training *r, esc_slot_range c) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  int count = 0;
  ESC_TRY(start_fresh(r, c));
  for (int i = c.first; i < c.end; i++) {
    if (r->member_in_slot[i] == ESC_SLOT_EMPTY) continue;
    const esc_slot *slot = s->engine->slot(r->engine, i);
    if (!slot->fresh && esc_recorder_steps_to_next(s->recorder, i, slot->track.step) == 0)
      r->slot_list[count++] = i;
  }
  if (count) ESC_TRY(esc_recorder_record(s->recorder, s->engine, r->engine, count, r->slot_list));
  if (count) esc_training_send(r, (esc_train_event){.kind = ESC_EVENT_SNAPSHOT, .networks = count});
  ESC_TRY(record_weights(r, count, ESC_WEIGHTS_SNAPSHOTS));
done:
  return status;
}

/* Records the weights of members that pause at a threshold, and continues those. */
static esc_status record_paused(esc_training *r, esc_slot_range c) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  for (int i = c.first; i < c.end; i++) {
    if (r->member_in_slot[i] == ESC_SLOT_EMPTY ||
        !esc_slot_is_paused(s->engine->slot(r->engine, i)))
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
static esc_status record_due(esc_training *r, esc_slot_range c) {
  esc_status status = ESC_OK;
  if (r->schedule->recorder) ESC_TRY(record_due_snapshots(r, c));
  if (r->schedule->recorder || r->schedule->weight_recorder) ESC_TRY(record_finished(r, c));
  if (r->schedule->weight_recorder) ESC_TRY(record_paused(r, c));
done:
  return status;
}

/* Limits each network to the step of its next snapshot: the others make the whole block. */
static void limit_slots(const esc_training *r, esc_slot_range c) {
  const esc_schedule *s = r->schedule;
  for (int i = c.first; s->recorder && i < c.end; i++) {
    if (r->member_in_slot[i] == ESC_SLOT_EMPTY) continue;
    const int64_t step = s->engine->slot(r->engine, i)->track.step;
    s->engine->limit(r->engine, i, step + esc_recorder_steps_to_next(s->recorder, i, step));
  }
}

/* Counts the steps of a slot in its block, which had `block` steps. */
static void count_steps(esc_training *r, int i, int64_t block) {
  const esc_track *track = &r->schedule->engine->slot(r->engine, i)->track;
  const int64_t made = track->step - r->steps_counted[i];
  r->progress->network_steps += made;
  r->steps_counted[i] = track->step;
  r->made += made;
  r->possible += block;
  if (made > r->advanced) r->advanced = made;
}

/* Counts the block's steps, retires finished members and refills their slots. */
static esc_status retire_finished(esc_training *r, esc_slot_range c) {
  esc_status status = ESC_OK;
  for (int i = c.first; i < c.end; i++) {
    if (r->member_in_slot[i] == ESC_SLOT_EMPTY) continue;
    count_steps(r, i, r->submitted[c.chunk]);
    report_escapes(r, i);
    if (!esc_slot_finished(r->schedule->engine->slot(r->engine, i))) continue;
    ESC_TRY(retire(r, i));
    ESC_TRY(refill(r, i));
  }
done:
  return status;
}

/* Waits for the block of a chunk, if there is one, records what is due, and refills the slots of
 * finished members. An engine without chunks makes the steps only now. */
static esc_status collect(esc_training *r, int chunk) {
  esc_status status = ESC_OK;
  const esc_engine_ops *engine = r->schedule->engine;
  const esc_slot_range c = esc_training_slots(r, chunk);
  const int64_t steps = r->submitted[chunk];
  if (steps == 0) return ESC_OK;
  ESC_TRY(engine->collect ? engine->collect(r->engine, chunk)
                          : engine->advance(r->engine, steps, r->schedule->stop));
  ESC_TRY(record_due(r, c));
  ESC_TRY(retire_finished(r, c));
  r->submitted[chunk] = 0;
done:
  return status;
}

/* Starts the next block of a chunk, which trains while the host collects the other chunks. */
static esc_status submit(esc_training *r, int chunk) {
  esc_status status = ESC_OK;
  const esc_engine_ops *engine = r->schedule->engine;
  const esc_slot_range c = esc_training_slots(r, chunk);
  ESC_TRY(record_due(r, c)); /* of the new members */
  limit_slots(r, c);
  if (engine->submit) ESC_TRY(engine->submit(r->engine, chunk, r->block, r->schedule->stop));
  r->submitted[chunk] = r->block;
  ESC_TRY(save_retired(r));
done:
  return status;
}

/* Collects the blocks of all chunks. */
static esc_status drain(esc_training *r) {
  esc_status status = ESC_OK;
  if (!r->schedule->engine->collect) return ESC_OK;
  for (int i = 0; i < r->chunks; i++) ESC_TRY(collect(r, i));
  ESC_TRY(save_retired(r));
done:
  return status;
}

/* Counts a round over all chunks that took `seconds`, and chooses the steps of the next blocks. */
static void end_round(esc_training *r, double seconds) {
  r->block = esc_next_block(&(esc_round){.block = r->block,
                                         .advanced = r->advanced,
                                         .made = r->made,
                                         .possible = r->possible,
                                         .seconds = seconds,
                                         .slots = r->schedule->setup.slots});
  r->progress->slot_steps += r->advanced;
  r->advanced = r->made = r->possible = 0;
}

/* Whether to end before all have finished, as ESC_INTERRUPTED or ESC_OUT_OF_TIME. */
static esc_status check_stop(esc_training *r, double at) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const bool stopped = atomic_load(s->stop);
  const bool out_of_time = s->seconds_max > 0 && at - r->start >= s->seconds_max;
  if (!stopped && !out_of_time) return ESC_OK;
  ESC_TRY(drain(r));
  if (r->progress->running == 0) return ESC_OK;
  ESC_TRY(esc_training_save_final(r));
  return stopped ? ESC_FAIL(ESC_INTERRUPTED, "interrupted")
                 : ESC_FAIL(ESC_OUT_OF_TIME, "stopped at --max-time");
done:
  return status;
}

/* Syncs and writes a checkpoint when due. */
static esc_status sync_and_checkpoint(esc_training *r, double at) {
  esc_status status = ESC_OK;
  if (r->unsynced && at - r->synced > sync_seconds) {
    ESC_TRY(esc_training_sync(r));
    r->synced = at;
  }
  if (!esc_training_is_checkpoint_due(r, at)) return ESC_OK;
  ESC_TRY(drain(r));
  ESC_TRY(esc_training_save_periodic(r, submit));
done:
  return status;
}

static void report_progress(esc_training *r, double at) {
  const esc_schedule *s = r->schedule;
  r->progress->seconds = at - r->start;
  r->progress->steps =
      esc_workload_expect(r->workload, s->setup.slots, r->member_in_slot, r->steps_counted);
  if (s->report) s->report(s->context, r->progress);
}

/* Collects and submits each chunk once. */
static esc_status train_round(esc_training *r) {
  esc_status status = ESC_OK;
  esc_trace_begin("round");
  for (int i = 0; i < r->chunks; i++) {
    ESC_TRY(collect(r, i));
    ESC_TRY(submit(r, i));
  }
done:
  esc_trace_end();
  return status;
}

static esc_status train(esc_training *r) {
  esc_status status = ESC_OK;
  double before = esc_training_now();
  r->block = 16;
  r->start = r->synced = r->checkpointed = before;
  for (int i = 0; i < r->schedule->setup.slots; i++) ESC_TRY(refill(r, i));
  for (int i = 0; i < r->chunks; i++) ESC_TRY(submit(r, i));
  while (r->progress->running > 0) {
    ESC_TRY(train_round(r));
    const double after = esc_training_now();
    end_round(r, after - before);
    before = after;
    report_progress(r, after);
    ESC_TRY(check_stop(r, after));
    ESC_TRY(sync_and_checkpoint(r, after));
  }
done:
  return status;
}

static esc_status allocate(esc_training *r, const esc_problem *problem) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const size_t slots = (size_t)s->setup.slots;
  ESC_TRY_ALLOCATE(r->row =
                       calloc(1, esc_results_row_size(problem->thresholds, problem->shape.layers)));
  ESC_TRY_ALLOCATE(r->member_in_slot = calloc(slots, sizeof *r->member_in_slot));
  ESC_TRY_ALLOCATE(r->steps_counted = calloc(slots, sizeof *r->steps_counted));
  ESC_TRY_ALLOCATE(r->crossed = calloc(slots, sizeof *r->crossed));
  ESC_TRY_ALLOCATE(r->slot_list = calloc(slots, sizeof *r->slot_list));
  ESC_TRY_ALLOCATE(r->retired = calloc(slots, sizeof *r->retired));
  ESC_TRY_ALLOCATE(r->state = calloc(1, s->engine->state_size(problem)));
  ESC_TRY(s->engine->create(s->engine, problem, &s->setup, &r->engine));
  r->chunk_slots = s->engine->chunk_slots ? s->engine->chunk_slots(r->engine) : s->setup.slots;
  r->chunks = (s->setup.slots + r->chunk_slots - 1) / r->chunk_slots;
  ESC_TRY_ALLOCATE(r->submitted = calloc((size_t)r->chunks, sizeof *r->submitted));
done:
  return status;
}

static void release(esc_training *r) {
  r->schedule->engine->destroy(r->engine);
  esc_workload_free(r->workload);
  free(r->row);
  free(r->member_in_slot);
  free(r->steps_counted);
  free(r->crossed);
  free(r->slot_list);
  free(r->retired);
  free(r->submitted);
  free(r->state);
}

/* Counts the members that were finished before. */
static void count_done(esc_training *r) {
  r->progress->members = r->plan->members;
  for (int64_t i = 0; i < r->plan->members; i++) {
    if (!r->schedule->done[i]) continue;
    count_status(r->progress, r->results->status[i]);
    esc_workload_finish(r->workload, i, r->results->steps_run[i]);
  }
}

esc_status esc_schedule_train(const esc_problem *problem, const esc_plan *plan,
                              esc_schedule *schedule, esc_results *results, esc_progress *progress,
                              char engine_text[128]) {
  esc_status status = ESC_OK;
  esc_training r = {.plan = plan, .schedule = schedule, .results = results, .progress = progress};
  memset(progress, 0, sizeof *progress);
  ESC_TRY(esc_workload_create(plan, problem->steps, schedule->predicted, &r.workload));
  count_done(&r);
  r.records = count_records(&r);
  ESC_TRY(allocate(&r, problem));
  schedule->engine->describe(r.engine, engine_text, 128);
  ESC_TRY(train(&r));
done:
  status = save_rest(&r, status);
  release(&r);
  return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a training saves: syncs of the journals, checkpoints of the networks in flight. */
#include <stdio.h>
#include <time.h>

#include "base/trace.h"
#include "run/training.h"

double esc_training_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

esc_slot_range esc_training_slots(const esc_training *r, int chunk) {
  const int first = chunk * r->chunk_slots, left = r->schedule->setup.slots - first;
  return (esc_slot_range){chunk, first, first + (left < r->chunk_slots ? left : r->chunk_slots)};
}

void esc_training_send(const esc_training *r, esc_train_event event) {
  if (r->schedule->event) r->schedule->event(r->schedule->context, &event);
}

void esc_training_report_saving(const esc_training *r, bool begins) {
  const esc_schedule *s = r->schedule;
  if (s->phase) s->phase(s->context, ESC_RUN_PHASE_SAVING, begins);
}

/* Snapshots first, because a member counts as finished only with all its snapshots. */
esc_status esc_training_sync(esc_training *r) {
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
static bool has_progress(const esc_training *r, int slot) {
  if (r->member_in_slot[slot] == ESC_SLOT_EMPTY) return false;
  const esc_slot *s = r->schedule->engine->slot(r->engine, slot);
  return esc_slot_trains(s) && !s->fresh;
}

static esc_status write_chunk(const esc_training *r, int chunk) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  const esc_slot_range c = esc_training_slots(r, chunk);
  for (int i = c.first; i < c.end; i++) {
    if (!has_progress(r, i)) continue;
    ESC_TRY(s->engine->save(r->engine, i, r->state));
    ESC_TRY(esc_checkpoint_write_member(
        s->checkpoint, esc_member_key_of(&r->plan->member[r->member_in_slot[i]]), r->state));
  }
done:
  return status;
}

/* Writes all networks in flight and the pending ones to the checkpoint. A chunk is resumed (unless
 * NULL) when its networks have been read; *resumed: whether that succeeded. */
static esc_status write_checkpoint(esc_training *r, esc_chunk_resume *resume, esc_status *resumed) {
  esc_status status = ESC_OK;
  const esc_schedule *s = r->schedule;
  int64_t count = 0;
  esc_trace_begin("checkpoint");
  for (int i = 0; i < s->setup.slots; i++) count += has_progress(r, i);
  r->progress->in_flight = esc_checkpoint_count_pending(s->checkpoint);
  if (count == 0) goto done; /* the existing file still has the pending ones */
  ESC_TRY(esc_checkpoint_write_begin(s->checkpoint, count));
  for (int i = 0; i < r->chunks; i++) {
    ESC_TRY(write_chunk(r, i));
    if (resume) ESC_TRY(*resumed = resume(r, i));
  }
  ESC_TRY(esc_checkpoint_write_commit(s->checkpoint));
  r->progress->in_flight += count;
  esc_training_send(r, (esc_train_event){.kind = ESC_EVENT_CHECKPOINT,
                                         .networks = r->progress->in_flight,
                                         .digest = esc_checkpoint_digest(s->checkpoint)});
done:
  if (status != ESC_OK) esc_checkpoint_write_abort(s->checkpoint);
  esc_trace_end();
  return status;
}

esc_status esc_training_save_periodic(esc_training *r, esc_chunk_resume *resume) {
  esc_status status = ESC_OK, resumed = ESC_OK;
  esc_training_report_saving(r, true);
  ESC_TRY(esc_training_sync(r)); /* the checkpoint depends on the journals */
  status = write_checkpoint(r, resume, &resumed);
  r->checkpointed = esc_training_now();
  if (resumed != ESC_OK || (status != ESC_IO_FAILED && status != ESC_BAD_INPUT)) goto done;
  r->schedule->warn("warning: checkpoint not written: %s; training continues", esc_error_message());
  status = ESC_OK;
done:
  esc_training_report_saving(r, false);
  return status;
}

bool esc_training_is_checkpoint_due(const esc_training *r, double at) {
  const esc_schedule *s = r->schedule;
  return s->checkpoint && s->checkpoint_seconds > 0 && r->progress->running > 0 &&
         at - r->checkpointed >= s->checkpoint_seconds;
}

esc_status esc_training_save_final(esc_training *r) {
  char why[600];
  if (!r->schedule->checkpoint) return ESC_OK;
  esc_training_report_saving(r, true);
  esc_status status = esc_training_sync(r);
  if (status == ESC_OK) status = write_checkpoint(r, NULL, NULL);
  esc_training_report_saving(r, false);
  if (status == ESC_OK) return ESC_OK;
  snprintf(why, sizeof why, "%.590s", esc_error_message());
  return ESC_FAIL(
      status == ESC_BAD_INPUT ? ESC_IO_FAILED : status, /* not a fault of the command */
      "stopped, but the networks in flight could not be saved: %s; everything reported as saved is "
      "intact; continue with the same command and --resume",
      why);
}

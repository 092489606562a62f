/* SPDX-License-Identifier: Apache-2.0 */
/* State of the training of a plan: of the scheduler's loop (scheduler.c), and of what it saves
 * (saving.c). */
#ifndef ESC_TRAINING_H
#define ESC_TRAINING_H

#include "run/scheduler.h"

enum { ESC_SLOT_EMPTY = -1 };

typedef struct esc_training {
  const esc_plan *plan;
  esc_schedule *schedule;
  esc_results *results;
  esc_progress *progress;
  esc_workload *workload;
  void *engine;
  void *row;               /* one member's row for the journal */
  int64_t *member_in_slot; /* (slot) index into plan->member, or ESC_SLOT_EMPTY */
  int64_t *steps_counted;  /* (slot) steps already counted */
  uint32_t *crossed;       /* (slot) thresholds whose crossing was reported, a bit each */
  int *slot_list;          /* (slot) workspace: a list of slots */
  int64_t *retired;        /* members whose rows are to be written to the journal */
  int retired_count;
  int64_t records;         /* of the journal, before the rows of these */
  int64_t next;            /* into plan->order */
  int64_t unsynced;        /* journal records since the last sync */
  int chunks, chunk_slots; /* of the engine; one chunk if it has none */
  int64_t *submitted;      /* (chunk) steps of its block that is not collected; 0: none */
  int64_t block;           /* steps of the next block */
  /* Of this round over the chunks: most steps of a network, sum over networks, and that sum if all
   * had made their whole block. */
  int64_t advanced, made, possible;
  void *state; /* one network's, for the checkpoint */
  /* Times of the start, the last sync and the last checkpoint. */
  double start, synced, checkpointed;
} esc_training;

/* The slots of a chunk. */
typedef struct esc_slot_range {
  int chunk, first, end;
} esc_slot_range;

esc_slot_range esc_training_slots(const esc_training *training, int chunk);

double esc_training_now(void);
void esc_training_send(const esc_training *training, esc_train_event event);
void esc_training_report_saving(const esc_training *training, bool begins);

/* Syncs the journals. */
esc_status esc_training_sync(esc_training *training);

/* Whether a periodic checkpoint is due at time `at`. */
bool esc_training_is_checkpoint_due(const esc_training *training, double at);

/* Saves the networks in training. All blocks have been collected; each chunk is resumed as soon as
 * its networks have been read. A full disk does not stop the run, because the previous checkpoint
 * is kept; a device that fails does. */
typedef esc_status esc_chunk_resume(esc_training *training, int chunk);
esc_status esc_training_save_periodic(esc_training *training, esc_chunk_resume *resume);

/* Saves the networks in training of a run that is stopped. All blocks have been collected. */
esc_status esc_training_save_final(esc_training *training);

#endif

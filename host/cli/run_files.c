/* The files of a run in progress: journal of finished members, journal of snapshots,
 * checkpoint of networks in flight; opened together under the journal's lock. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/run.h"
#include "store/io.h"

static void take_row(void *context, int64_t member, const void *row) {
  esc_run *r = context;
  const int64_t place = (member - r->shard) / r->shards;
  if (member % r->shards != r->shard || place < 0 || place >= r->plan.members) return;
  esc_results_unpack(r->results, place, row);
  r->results->member[place] = member;
  r->done[place] = true;
}

static void take_snapshot(void *context, int64_t member, const void *row) {
  esc_run *r = context;
  const int64_t place = (member - r->shard) / r->shards;
  if (member % r->shards == r->shard && place >= 0 && place < r->plan.members)
    esc_recorder_restore(r->recorder, place, row);
}

/* Snapshots of the run so far. A finished member that lacks some is trained again. */
static esc_status open_snapshots(esc_run *r, const char *identity) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  const bool exact = r->engine == &esc_reference_engine;
  if (!esc_record_on(&r->spec->record)) return ESC_OK;
  ESC_TRY(esc_recorder_create(p, &r->spec->record, &r->plan, &r->setup, exact, &r->recorder));
  ESC_TRY(esc_journal_open_snapshots(r->output, identity, esc_observation_length(p->shape.layers),
                                     r->ask.resume, r->ask.force && !r->ask.resume, take_snapshot,
                                     r, &r->snapshots));
  esc_recorder_keep(r->recorder, r->snapshots);
  for (int64_t i = 0; i < r->plan.members; i++)
    r->done[i] = r->done[i] && esc_recorder_is_finished(r->recorder, i, r->results->steps_run[i]);
done:
  return status;
}

static bool is_wanted(void *context, int64_t member) {
  const esc_run *r = context;
  const int64_t place = (member - r->shard) / r->shards;
  return member % r->shards == r->shard && place >= 0 && place < r->plan.members && !r->done[place];
}

/* Networks in flight, but for those that have finished since: the journal has them. */
static esc_status open_checkpoint(esc_run *r, const char *identity) {
  const esc_status status = esc_checkpoint_open(
      r->output, identity, r->engine->state_size(&r->spec->problem), r->ask.resume,
      r->ask.force && !r->ask.resume, is_wanted, r, &r->checkpoint);
  if (status == ESC_OK && esc_checkpoint_warning(r->checkpoint))
    esc_note("warning: %s", esc_checkpoint_warning(r->checkpoint));
  return status;
}

/* The spec is not all that the numbers depend on: neither precision nor shard may
 * change between the parts of a run. */
esc_status esc_run_open_files(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  char *identity = NULL;
  if (asprintf(&identity, "%sprecision: %s\nshard: %lld/%lld\n", r->resolved, r->engine->precision,
               (long long)r->shard, (long long)r->shards) < 0)
    return ESC_FAIL(ESC_NO_MEMORY, "out of memory (the journal's header)");
  ESC_TRY(esc_journal_open(r->output, identity, p->thresholds, p->shape.layers, r->ask.resume,
                           r->ask.force && !r->ask.resume, take_row, r, &r->journal));
  ESC_TRY(open_snapshots(r, identity));
  ESC_TRY(open_checkpoint(r, identity));
done:
  free(identity);
  return status;
}

/* The journal last: it is the lock. */
void esc_run_close_files(esc_run *r, bool remove) {
  esc_checkpoint_close(r->checkpoint, remove);
  esc_journal_close(r->snapshots, remove);
  esc_journal_close(r->journal, remove);
  r->checkpoint = NULL;
  r->journal = r->snapshots = NULL;
}

static bool exists(const esc_run *r, const char *suffix) {
  char path[sizeof r->output + 32];
  snprintf(path, sizeof path, "%s%s", r->output, suffix);
  return esc_io_exists(path);
}

/* Whose files they are is found out by opening them: others' stay. */
void esc_run_clear_files(esc_run *r) {
  esc_io_clear(r->output);
  if (!exists(r, ".journal") && !exists(r, ".snapshots") && !exists(r, ".checkpoint") &&
      !exists(r, ".checkpoint.previous"))
    return;
  r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done);
  const bool ours = r->done && esc_run_open_files(r) == ESC_OK;
  esc_run_close_files(r, ours);
}

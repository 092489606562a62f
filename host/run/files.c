/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a run in progress: journal of finished members, journal of snapshots, checkpoint of
 * networks in flight. The journal is opened first and closed last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/log.h"
#include "run/run.h"
#include "store/segments.h"

esc_status esc_run_lock(esc_run *r, int inherited) {
  r->is_worker = inherited >= 0;
  const esc_lock_request request = {
      .output = r->output, .inherited = inherited, .log = esc_log, .stop = &r->stop->requested};
  return esc_lock_acquire(&request, &r->lock);
}

/* ---- files of earlier segments ---- */

static void restore_row(void *context, esc_member_key member, const void *row) {
  esc_run *r = context;
  const int64_t index = esc_plan_find_member(&r->plan, member);
  if (index >= 0) esc_run_set_row(r, index, row);
}

static void restore_segment(void *context, const char *text, bool begins) {
  const esc_run *r = context;
  if (r->segments) esc_segments_add_text(r->segments, text, begins);
}

static void restore_snapshot(void *context, esc_member_key member, const void *row) {
  const esc_run *r = context;
  const int64_t index = esc_plan_find_member(&r->plan, member);
  if (index >= 0) esc_recorder_restore_snapshot(r->recorder, index, row);
}

static bool discards_files(const esc_run *r) { return r->options.force && !r->options.resume; }

static esc_identity identity_of(const esc_run *r) {
  return (esc_identity){r->identity, r->plan.members};
}

static esc_journal_request request_of(const esc_run *r, const esc_journal_reader *reader) {
  return (esc_journal_request){.result_path = r->output,
                               .identity = identity_of(r),
                               .resume = r->options.resume,
                               .discard = discards_files(r),
                               .reader = reader};
}

static esc_status create_recorders(esc_run *r) {
  esc_status status = ESC_OK;
  if (r->spec->record.weights)
    ESC_TRY(esc_weight_recorder_create(&r->spec->problem, &r->spec->record, &r->plan,
                                       &r->weight_recorder));
  if (!esc_record_on(&r->spec->record)) return ESC_OK;
  status = esc_recorder_create(&r->spec->problem, &r->spec->record, &r->plan, &r->setup,
                               r->engine == &esc_reference_engine, &r->recorder);
done:
  return status;
}

/* A finished member that lacks some of its snapshots is trained again. */
static void require_all_snapshots(esc_run *r) {
  for (int64_t i = 0; i < r->plan.members; i++)
    r->done[i] = r->done[i] && esc_recorder_has_end(r->recorder, i, r->results->steps_run[i]);
}

/* Snapshots of the run so far. */
static esc_status open_snapshots(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_journal_reader reader = {r, esc_run_check_identity, NULL, restore_snapshot, esc_log};
  const esc_journal_request request = request_of(r, &reader);
  if (!r->recorder) return ESC_OK;
  ESC_TRY(esc_journal_open_snapshots(
      &request, esc_observation_length(r->spec->problem.shape.layers), &r->snapshots));
  esc_recorder_set_journal(r->recorder, r->snapshots);
  require_all_snapshots(r);
done:
  return status;
}

static void restore_weights(void *context, esc_member_key member, const void *row) {
  const esc_run *r = context;
  const int64_t index = esc_plan_find_member(&r->plan, member);
  if (index >= 0) esc_weight_recorder_restore(r->weight_recorder, index, row);
}

/* A finished member that lacks some of its weights is trained again. */
static void require_all_weights(esc_run *r) {
  const esc_results *results = r->results;
  for (int64_t i = 0; i < r->plan.members; i++) {
    const esc_weights_progress end = {results->steps_run[i],
                                      results->escape_step + i * results->thresholds, true};
    r->done[i] = r->done[i] && esc_weight_recorder_is_complete(r->weight_recorder, i, end);
  }
}

/* Weights of the run so far. */
static esc_status open_weights(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_journal_reader reader = {r, esc_run_check_identity, NULL, restore_weights, esc_log};
  const esc_journal_request request = request_of(r, &reader);
  const esc_shape shape = r->spec->problem.shape;
  if (!r->weight_recorder) return ESC_OK;
  ESC_TRY(esc_journal_open_weights(&request, shape.layers, esc_weight_count(shape), &r->weights));
  esc_weight_recorder_set_journal(r->weight_recorder, r->weights);
  require_all_weights(r);
done:
  return status;
}

static bool needs_state(void *context, esc_member_key member) {
  const esc_run *r = context;
  const int64_t index = esc_plan_find_member(&r->plan, member);
  return index >= 0 && !r->done[index];
}

/* Networks in flight, without those that have finished since. */
static esc_status open_checkpoint(esc_run *r) {
  const esc_checkpoint_reader reader = {r, esc_run_check_identity, needs_state};
  const esc_status status = esc_checkpoint_open(
      &(esc_checkpoint_request){.result_path = r->output,
                                .identity = identity_of(r),
                                .state_size = r->engine->state_size(&r->spec->problem),
                                .resume = r->options.resume,
                                .discard = discards_files(r),
                                .reader = &reader},
      &r->checkpoint);
  if (status == ESC_OK && esc_checkpoint_warning(r->checkpoint))
    esc_log("warning: %s", esc_checkpoint_warning(r->checkpoint));
  return status;
}

/* The journal first, because it is locked. */
esc_status esc_run_open_files(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  const esc_journal_reader reader = {r, esc_run_check_identity, restore_segment, restore_row,
                                     esc_log};
  const esc_journal_request request = request_of(r, &reader);
  ESC_TRY(create_recorders(r));
  ESC_TRY(esc_run_copy_reused(r));
  if (!r->output[0]) return ESC_OK;
  ESC_TRY(esc_journal_open(&request, p->thresholds, p->shape.layers, &r->journal));
  esc_segments_remove_duplicates(r->segments);
  ESC_TRY(open_snapshots(r));
  ESC_TRY(open_weights(r));
  ESC_TRY(open_checkpoint(r));
done:
  return status;
}

/* ---- what is synced ---- */

/* Each row or snapshot that is not synced counts as one lost member, because it is not known which
 * ones are lost. */
int64_t esc_run_count_synced_members(const esc_run *r) {
  int64_t members = -r->members_reused; /* these are in the earlier result */
  esc_journal *const journal[] = {r->journal, r->snapshots, r->weights};
  for (int64_t i = 0; i < r->plan.members; i++) members += r->done[i];
  for (int i = 0; i < 3; i++)
    if (journal[i])
      members -= esc_journal_count_records(journal[i]) - esc_journal_count_synced(journal[i]);
  return members > 0 ? members : 0;
}

static esc_status accept_any(void *context, const char *path, esc_identity found) {
  (void)context, (void)path, (void)found;
  return ESC_OK;
}

typedef struct network_counter {
  const esc_run *run;
  int64_t networks;
} network_counter;

static void count_network(void *context, esc_member_key member, int64_t step) {
  network_counter *c = context;
  const int64_t index = esc_plan_find_member(&c->run->plan, member);
  (void)step;
  c->networks += index >= 0 && !c->run->done[index];
}

int64_t esc_run_count_networks_in_files(const esc_run *r) {
  static const char *const suffix[] = {".checkpoint", ".checkpoint.previous"};
  char path[sizeof r->output + 32];
  for (int i = 0; i < 2; i++) { /* the previous one, if this run has not written one */
    network_counter c = {r, 0};
    const esc_checkpoint_reader reader = {&c, accept_any, NULL};
    snprintf(path, sizeof path, "%s%s", r->output, suffix[i]);
    if (esc_checkpoint_read(path, &reader, count_network) == ESC_OK) return c.networks;
  }
  return 0;
}

esc_status esc_run_sync_files(const char *output) {
  static const char *const journal[] = {".journal", ".snapshots", ".weights"};
  char path[4200];
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s%s", output, journal[i]);
    const esc_status status = esc_io_exists(path) ? esc_io_sync_sidecar(path) : ESC_OK;
    if (status != ESC_OK) return status;
  }
  return ESC_OK;
}

int64_t esc_run_count_synced_networks(const esc_run *r) {
  char why[1024]; /* keep the message of the caller's failure */
  snprintf(why, sizeof why, "%s", esc_error_message());
  const int64_t networks = esc_run_count_networks_in_files(r);
  (void)ESC_FAIL(ESC_IO_FAILED, "%s", why);
  return networks < r->progress.in_flight ? networks : r->progress.in_flight;
}

/* The journal last, because it is locked. */
void esc_run_close_files(esc_run *r, bool remove) {
  esc_checkpoint_close(r->checkpoint, remove);
  esc_journal_close(r->snapshots, remove);
  esc_journal_close(r->weights, remove);
  esc_journal_close(r->journal, remove);
  r->checkpoint = NULL;
  r->journal = r->snapshots = r->weights = NULL;
}

/* Suffixes of all files beside an output. */
static const char *const suffixes[] = {".journal",
                                       ".snapshots",
                                       ".weights",
                                       ".checkpoint",
                                       ".checkpoint.previous",
                                       ".journal.damaged-9",
                                       ".snapshots.damaged-9",
                                       ".snapshots.rescued-9"};
enum { SUFFIXES = sizeof suffixes / sizeof suffixes[0], OF_A_RUN = 5 };

esc_status esc_run_check_names(const esc_run *r) {
  char part[sizeof r->output + 64];
  snprintf(part, sizeof part, "%s%s", r->output, r->options.devices ? ".part-63-of-64" : "");
  return esc_io_check_names(part, suffixes, SUFFIXES);
}

static bool exists(const char *output, const char *suffix, char path[], size_t size) {
  snprintf(path, size, "%s%s", output, suffix);
  return esc_io_exists(path);
}

/* Opening them checks the run's identity: files of other runs are kept. */
void esc_run_remove_files(esc_run *r) {
  char path[sizeof r->output + 32];
  bool any = false;
  esc_io_remove_temporaries(r->output);
  for (size_t i = 0; i < OF_A_RUN; i++)
    any = any || exists(r->output, suffixes[i], path, sizeof path);
  if (!any) return;
  json_t *segments = r->segments; /* the result contains the journal's segments */
  r->segments = NULL;
  r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done);
  const bool ours = r->done && esc_run_open_files(r) == ESC_OK;
  esc_run_close_files(r, ours);
  r->segments = segments;
}

/* ---- inspection without changes ---- */

static void log_damage(const char *path, const esc_journal_summary *found) {
  if (found->damaged_regions)
    esc_log(
        "warning: %s: damaged: %lld bytes in %lld regions, the first at offset %lld; their "
        "contents are computed again",
        path, (long long)found->damaged_bytes, (long long)found->damaged_regions,
        (long long)found->first_damaged_offset);
}

/* An empty journal counts as none, as it does for a run. */
static bool has_content(const char *output, const char *suffix, char path[], size_t size) {
  struct stat info;
  return exists(output, suffix, path, size) &&
         (lstat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > 0);
}

/* Restores the journals into `inspected`, which has its own results and recorder, as a run would.
 */
static esc_status inspect_journals(esc_run *inspected, const char *output) {
  esc_status status = ESC_OK;
  char path[sizeof inspected->output + 128];
  esc_journal_summary summary;
  const esc_journal_reader reader = {inspected, esc_run_check_identity, restore_segment,
                                     restore_row, NULL};
  const esc_journal_reader snapshots = {inspected, esc_run_check_identity, NULL, restore_snapshot,
                                        NULL};
  const esc_journal_reader weights = {inspected, esc_run_check_identity, NULL, restore_weights,
                                      NULL};
  if (has_content(output, ".journal", path, sizeof path)) {
    ESC_TRY(esc_journal_read(path, &reader, &summary));
    esc_segments_remove_duplicates(inspected->segments);
    log_damage(path, &summary);
  }
  if (inspected->recorder && has_content(output, ".snapshots", path, sizeof path)) {
    ESC_TRY(esc_journal_read(path, &snapshots, &summary));
    log_damage(path, &summary);
  }
  if (inspected->weight_recorder && has_content(output, ".weights", path, sizeof path)) {
    ESC_TRY(esc_journal_read(path, &weights, &summary));
    log_damage(path, &summary);
  }
done:
  return status;
}

/* Marks the finished members of the journals in `done`, in addition to the reused ones. */
static esc_status count_finished(esc_run *r, const char *output) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  esc_run inspected = *r;
  inspected.results = NULL;
  inspected.recorder = NULL;
  inspected.weight_recorder = NULL;
  inspected.done = NULL;
  inspected.setup = (esc_engine_setup){.slots = 1, .threads = 1};
  ESC_TRY_ALLOCATE(inspected.done = calloc((size_t)r->plan.members + 1, sizeof *inspected.done));
  ESC_TRY(esc_results_create(r->plan.members, p->thresholds, p->shape.layers, &inspected.results));
  ESC_TRY(create_recorders(&inspected));
  ESC_TRY(inspect_journals(&inspected, output));
  if (inspected.recorder) require_all_snapshots(&inspected);
  if (inspected.weight_recorder) require_all_weights(&inspected);
  for (int64_t i = 0; i < r->plan.members; i++) r->done[i] = r->done[i] || inspected.done[i];
done:
  esc_recorder_free(inspected.recorder);
  esc_weight_recorder_free(inspected.weight_recorder);
  esc_results_free(inspected.results);
  free(inspected.done);
  return status;
}

esc_status esc_run_inspect_files(esc_run *r, const char *output) {
  esc_status status = ESC_OK;
  char path[sizeof r->output + 128];
  const esc_checkpoint_reader in_flight = {r, esc_run_check_identity, NULL};
  ESC_TRY(count_finished(r, output));
  if (exists(output, ".checkpoint", path, sizeof path) &&
      esc_checkpoint_read(path, &in_flight, NULL) != ESC_OK) {
    exists(output, ".checkpoint.previous", path, sizeof path);
    status = esc_checkpoint_read(path, &in_flight, NULL);
  }
done:
  return status;
}

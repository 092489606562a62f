/* SPDX-License-Identifier: Apache-2.0 */
/* Earlier results of the same experiment: their members are not trained again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "escapement/internal/observe.h"
#include "run/run.h"
#include "spec/difference.h"
#include "store/segments.h"
#include "store/store.h"

esc_run_stamp esc_run_stamp_of(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return (esc_run_stamp){0};
  return (esc_run_stamp){(int64_t)info.st_dev, (int64_t)info.st_ino, info.st_size,
                         info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

/* The identity of the run that made a result; owned by the caller. */
static esc_status identity_of(const char *path, const esc_results *r, char **out) {
  const char *spec = esc_results_get(r, "spec"), *shard = esc_results_get(r, "shard");
  const char *precision = esc_results_get(r, "precision");
  if (!spec || !shard || !precision)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: does not say which spec, precision and shard it is a result of; -o names "
                    "another file, --force replaces it",
                    path);
  if (asprintf(out, "%sprecision: %s\nshard: %s\n", spec, precision, shard) < 0)
    return ESC_FAIL(ESC_NO_MEMORY, "out of memory (identity of %s)", path);
  return ESC_OK;
}

/* Members of a version that estimated S(0) otherwise, without its error, would not be those of one
 * sweep in one piece. */
static esc_status check_version(const char *path, const esc_results *base) {
  for (int64_t i = 0; i < base->members; i++)
    if (isfinite(base->signal_initial_error[i]) || !isfinite(base->signal_initial[i]))
      return ESC_OK;
  if (base->members == 0) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: was made by an earlier version (commit %s), which estimated signal_initial "
                  "otherwise; no members can be added to it: -o names another file",
                  path,
                  esc_results_get(base, "commit") ? esc_results_get(base, "commit") : "unknown");
}

/* What is at the output's name, and what to do about a file that is no result. */
static esc_status read_output(const char *path, esc_results **base) {
  char why[900];
  const esc_status status = esc_store_read(path, base);
  if (status != ESC_BAD_INPUT) return status;
  snprintf(why, sizeof why, "%s", esc_error_message());
  return ESC_FAIL(status, "%s; move it away, and the same command goes on", why);
}

/* Reads a result that is the whole or a part of this run. */
static esc_status read_base(esc_run *r, const char *path, esc_results **out, bool *complete) {
  esc_status status = ESC_OK;
  esc_results *base = NULL;
  char *identity = NULL;
  ESC_TRY(read_output(path, &base));
  ESC_TRY(identity_of(path, base, &identity));
  ESC_TRY(esc_run_accepts(r, path, (esc_identity){identity, base->members}));
  *complete = !strcmp(identity, r->identity) && base->members == r->plan.members;
  ESC_TRY(esc_results_check(path, base, &r->spec->problem));
  if (!*complete) ESC_TRY(check_version(path, base));
  *out = base;
  base = NULL;
done:
  esc_results_free(base);
  free(identity);
  return status;
}

/* Members of any shard of the experiment, whatever else that sweep held. */
static esc_status read_from(esc_run *r, const char *path, esc_results **out) {
  static const char *const allowed[] = {"name", "escape.false_escapes", "sweep.seeds",
                                        "sweep.groups", NULL};
  esc_status status = ESC_OK;
  esc_spec_difference d;
  esc_results *base = NULL;
  ESC_TRY(esc_store_read(path, &base));
  const char *spec = esc_results_get(base, "spec");
  const char *precision = esc_results_get(base, "precision");
  if (!spec || !precision || strcmp(precision, r->engine->precision) != 0)
    status = ESC_FAIL(ESC_BAD_INPUT, "--from %s: its precision is %s, that of this run %s", path,
                      precision ? precision : "not given", r->engine->precision);
  else if (esc_spec_differ(spec, r->resolved, allowed, &d))
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "--from %s: %s is %s there and %s here; only name, escape.false_escapes, "
                      "sweep.seeds and sweep.groups may differ",
                      path, d.key.text, d.one.text, d.other.text);
  if (status == ESC_OK) status = esc_results_check(path, base, &r->spec->problem);
  if (status == ESC_OK) status = check_version(path, base);
  if (status != ESC_OK) goto done;
  *out = base;
  base = NULL;
done:
  esc_results_free(base);
  return status;
}

static void count_statuses(esc_run *r) {
  for (int64_t i = 0; i < r->results->members; i++) {
    r->progress.escaped += r->results->status[i] == ESC_MEMBER_ESCAPED;
    r->progress.censored += r->results->status[i] == ESC_MEMBER_CENSORED;
    r->progress.diverged += r->results->status[i] == ESC_MEMBER_DIVERGED;
  }
  r->progress.members = r->results->members;
}

esc_status esc_run_read_bases(esc_run *r, bool *complete) {
  esc_status status = ESC_OK;
  *complete = false;
  if (r->output[0] && esc_io_exists(r->output) && !r->ask.force) {
    if (!r->ask.resume)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: exists already; --force replaces it, --resume adds members to it, -o "
                      "names another",
                      r->output);
    r->stamp = esc_run_stamp_of(r->output);
    ESC_TRY(read_base(r, r->output, &r->base[0], complete));
  }
  if (r->ask.from && !*complete) ESC_TRY(read_from(r, r->ask.from, &r->base[1]));
  if (!*complete) goto done;
  r->results = r->base[0];
  r->base[0] = NULL;
  count_statuses(r);
done:
  return status;
}

/* ---- rows and snapshots ---- */

/* Entry `index` of each observable's array, in the order of a journal's observation. */
static void pack_observation(const esc_results *base, double *const *array, int64_t index,
                             double *to) {
  for (int o = 0; o < ESC_OBSERVABLES; o++) {
    const int length = esc_observable_length(base->layers, esc_observables[o].axis);
    memcpy(to, array[o] + index * length, (size_t)length * sizeof *to);
    to += length;
  }
}

/* Gives the recorder the snapshots of row i and that of its end, as they were recorded. */
static void restore_snapshots(esc_run *r, const esc_results *base, int64_t i, int64_t place,
                              esc_journal_snapshot *room) {
  for (int64_t k = 0; k < base->snapshots && base->snapshot_step[k] <= base->steps_run[i]; k++) {
    pack_observation(base, base->observable, i * base->snapshots + k, room->observation);
    room->step = base->snapshot_step[k];
    esc_recorder_restore(r->recorder, place, room);
  }
  pack_observation(base, base->observable_end, i, room->observation);
  room->step = -1 - base->steps_run[i];
  esc_recorder_restore(r->recorder, place, room);
}

/* *taken: steps of the members that are taken over. */
static esc_status use_base(esc_run *r, const esc_results *base, int64_t *taken) {
  esc_status status = ESC_OK;
  const int length = esc_observation_length(r->results->layers);
  char *row = NULL;
  esc_journal_snapshot *room = NULL;
  ESC_TRY_ALLOCATE(row = malloc(esc_results_row_size(base->thresholds, base->layers)));
  ESC_TRY_ALLOCATE(room = calloc(1, sizeof *room + (size_t)length * sizeof(double)));
  for (int64_t i = 0; i < base->members; i++) {
    const esc_member_key key = {(uint64_t)base->seed[i], (uint64_t)base->small_layers[i],
                                base->scale[i]};
    const int64_t place = esc_plan_find(&r->plan, key);
    if (place < 0 || r->done[place]) continue;
    esc_results_pack(base, i, row);
    esc_run_set_row(r, place, row);
    if (r->recorder) restore_snapshots(r, base, i, place, room);
    r->based++;
    *taken += base->steps_run[i];
  }
done:
  free(row);
  free(room);
  return status;
}

esc_status esc_run_use_bases(esc_run *r) {
  esc_status status = ESC_OK;
  for (int b = ESC_RUN_BASES - 1; b >= 0; b--) {
    if (!r->base[b]) continue;
    json_t *segments = esc_segments_of(r->base[b]);
    int64_t taken = 0, all = 0;
    for (int64_t i = 0; i < r->base[b]->members; i++) all += r->base[b]->steps_run[i];
    status = use_base(r, r->base[b], &taken);
    /* --from: other members may stay there. Shards take theirs together, and merge counts once what
     * the result's segments repeat. */
    if (b == 1 && r->shards == 1) esc_segments_share(segments, taken, all);
    if (status == ESC_OK) status = esc_segments_join(r->segments, segments);
    json_decref(segments);
    if (status != ESC_OK) goto done;
    esc_results_free(r->base[b]);
    r->base[b] = NULL;
  }
done:
  return status;
}

void esc_run_mark_base(esc_run *r, const esc_results *base) {
  for (int64_t i = 0; base && i < base->members; i++) {
    const esc_member_key key = {(uint64_t)base->seed[i], (uint64_t)base->small_layers[i],
                                base->scale[i]};
    const int64_t place = esc_plan_find(&r->plan, key);
    if (place >= 0) r->done[place] = true;
  }
}

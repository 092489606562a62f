/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one part of an unfinished run. */
#include "run/unfinished_part.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "escapement/internal/state.h"
#include "spec/difference.h"
#include "store/store.h"

static bool has_content(const char *output, const char *suffix, char path[], size_t size) {
  struct stat info;
  snprintf(path, size, "%s%s", output, suffix);
  return stat(path, &info) == 0 && info.st_size > 0;
}

/* ---- identity ---- */

static esc_status store_identity(void *context, const char *path, esc_identity found) {
  char **identity = context;
  (void)path;
  free(*identity);
  *identity = strdup(found.text);
  return *identity ? ESC_OK : ESC_FAIL(ESC_NO_MEMORY, "out of memory (identity)");
}

esc_status esc_unfinished_identity(const char *output, char **identity) {
  esc_status status = ESC_OK;
  char path[4200];
  esc_results *result = NULL;
  esc_journal_summary summary;
  const esc_journal_reader reader = {.context = identity, .identity = store_identity};
  bool unverified;
  *identity = NULL;
  if (has_content(output, ".journal", path, sizeof path))
    ESC_TRY(esc_journal_read(path, &reader, &summary));
  if (*identity || !has_content(output, "", path, sizeof path)) return ESC_OK;
  ESC_TRY(esc_store_read_any(path, &unverified, &result));
  status = esc_run_identity_of(path, result, identity);
done:
  esc_results_free(result);
  return status;
}

/* ---- rows ---- */

static void add_row(void *context, esc_member_key member, const void *row) {
  esc_unfinished_part *p = context;
  const int64_t index = esc_plan_find_member(&p->run.plan, member);
  if (index >= 0 && !p->run.done[index]) {
    esc_run_set_row(&p->run, index, row);
    p->position[index] = p->rows;
    p->entry[index] = p->entries;
  }
  p->rows++;
}

/* A resumed run continues from the checkpoint of the segment before. */
static double add_clock(esc_unfinished_part *p, const json_t *segment, bool begins) {
  if (begins) {
    p->clock_before += p->clock_marked;
    p->clock_marked = 0;
  }
  if (p->entries == p->entries_max) {
    const int64_t most = 2 * p->entries_max + 256;
    double *larger = realloc(p->clock, (size_t)most * sizeof *larger);
    if (!larger) return NAN; /* then no row before this entry is used */
    p->clock = larger;
    p->entries_max = most;
  }
  const double steps = json_number_value(json_object_get(segment, "slot_steps"));
  p->clock[p->entries++] = p->clock_before + steps;
  return steps;
}

/* The first segment entry with a new digest marks the checkpoint. */
static void add_segment(void *context, const char *text, bool begins) {
  esc_unfinished_part *p = context;
  esc_segments_add_text(p->run.segments, text, begins);
  const size_t count = json_array_size(p->run.segments);
  const json_t *last = count ? json_array_get(p->run.segments, count - 1) : NULL;
  const double steps = add_clock(p, last, begins);
  const char *digest = json_string_value(json_object_get(last, ESC_SEGMENT_CHECKPOINT));
  if (!digest || !strncmp(digest, p->mark[0].digest, sizeof p->mark[0].digest)) return;
  p->clock_marked = steps;
  p->mark[1] = p->mark[0];
  p->mark[0] = (esc_checkpoint_mark){.rows = p->rows, .clock = p->clock_before + steps};
  snprintf(p->mark[0].digest, sizeof p->mark[0].digest, "%s", digest);
}

static esc_status accept_identity(void *context, const char *path, esc_identity found) {
  (void)context, (void)path, (void)found;
  return ESC_OK;
}

static esc_status read_journal(esc_unfinished_part *p) {
  esc_status status = ESC_OK;
  char path[4200];
  esc_journal_summary summary;
  const esc_problem *problem = &p->run.spec->problem;
  const esc_journal_reader reader = {p, accept_identity, add_segment, add_row, NULL};
  if (!has_content(p->run.output, ".journal", path, sizeof path)) return ESC_OK;
  ESC_TRY(esc_journal_read(path, NULL, &summary)); /* its shape, before a row is unpacked */
  if (!summary.readable || summary.snapshots || summary.thresholds != problem->thresholds ||
      summary.layers != problem->shape.layers)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: the journal has other variables than this version of the program; read "
                    "it with the version that wrote it",
                    path);
  ESC_TRY(esc_journal_read(path, &reader, &summary));
  p->damaged_bytes = summary.damaged_bytes;
done:
  return status;
}

/* ---- members of earlier results ---- */

/* The result of the whole sweep that a run with --devices extends; others are ignored. */
static void read_whole(esc_unfinished_part *p, const char *path) {
  esc_run *r = &p->run;
  esc_results *whole = NULL;
  esc_spec *before = NULL;
  bool unverified;
  if (!path || !esc_io_exists(path) || esc_store_read_any(path, &unverified, &whole) != ESC_OK)
    return;
  const char *spec = esc_results_attribute_text(whole, "spec");
  if (spec && esc_spec_check_growth(path, spec, r->spec, r->resolved, &before) == ESC_OK &&
      esc_results_check(path, whole, &r->spec->problem) == ESC_OK) {
    r->reused[1] = whole;
    whole = NULL;
  }
  esc_spec_free(before);
  esc_results_free(whole);
}

/* A result at the output that does not belong to the run (--force replaces it) is ignored. */
static esc_status read_earlier(esc_unfinished_part *p, const esc_part_request *request) {
  esc_run *r = &p->run;
  char path[4200];
  bool complete = false;
  const bool writes = request->is_held && has_content(r->output, ".journal", path, sizeof path);
  const esc_status status = esc_run_read_reused(r, &complete);
  if (status == ESC_NO_MEMORY) return status;
  if (complete && writes) { /* a run that replaces it */
    esc_results_free(r->results);
    r->results = NULL;
    r->progress = (esc_progress){0};
    complete = false;
  }
  if (complete) {
    for (int64_t i = 0; i < r->plan.members; i++) r->done[i] = true;
    json_decref(r->segments);
    r->segments = esc_segments_from_results(r->results);
  } else {
    read_whole(p, request->whole);
  }
  return ESC_OK;
}

/* ---- checkpoint ---- */

typedef struct checkpoint_reader {
  esc_unfinished_part *part;
  esc_status status;
  int64_t capacity;
} checkpoint_reader;

static void add_network(void *context, esc_member_key member, const void *state, size_t size) {
  checkpoint_reader *c = context;
  esc_unfinished_part *p = c->part;
  esc_slot slot = {.loaded = true};
  const int64_t index = esc_plan_find_member(&p->run.plan, member);
  if (index < 0 || !esc_state_read_head(state, size, &slot) || c->status != ESC_OK) return;
  if (p->networks == c->capacity) {
    c->capacity = 2 * c->capacity + 64;
    void *larger = realloc(p->network, (size_t)c->capacity * sizeof *p->network);
    if (!larger) {
      c->status = ESC_FAIL(ESC_NO_MEMORY, "out of memory (networks of a checkpoint)");
      return;
    }
    p->network = larger;
  }
  esc_saved_network *n = &p->network[p->networks++];
  *n = (esc_saved_network){index, slot.track.step, {0}, slot.signal, slot.signal_error};
  memcpy(n->escape_step, slot.track.escape_step, sizeof n->escape_step);
}

/* A checkpoint of another run is not used. */
static esc_status check_identity(void *context, const char *path, esc_identity found) {
  const checkpoint_reader *c = context;
  return esc_run_check_identity(&c->part->run, path, found);
}

static esc_status read_checkpoint_at(esc_unfinished_part *p, const char *suffix, bool *belongs) {
  char path[4200], text[ESC_SEGMENT_DIGEST_SIZE];
  uint64_t digest = 0;
  checkpoint_reader c = {p, ESC_OK, 0};
  const esc_checkpoint_reader reader = {&c, check_identity, NULL};
  *belongs = false;
  free(p->network);
  p->network = NULL;
  p->networks = 0;
  p->has_checkpoint = false;
  if (!has_content(p->run.output, suffix, path, sizeof path)) return ESC_OK;
  const esc_status read = esc_checkpoint_read_states(path, &reader, add_network, &digest);
  if (read != ESC_OK) return read == ESC_NO_MEMORY ? read : ESC_OK; /* damaged or replaced */
  if (c.status != ESC_OK) return c.status;
  p->has_checkpoint = true;
  esc_segments_print_digest(digest, text);
  for (int i = 0; i < ESC_MARKS && !*belongs; i++)
    if (!strcmp(text, p->mark[i].digest)) {
      p->cut = p->mark[i].rows;
      p->cut_clock = p->mark[i].clock;
      *belongs = true;
    }
  return ESC_OK;
}

/* The newest checkpoint that the journal marks: the run may have died, or be, between the two. */
static esc_status read_checkpoint(esc_unfinished_part *p) {
  esc_status status = ESC_OK;
  bool belongs;
  ESC_TRY(read_checkpoint_at(p, ".checkpoint", &belongs));
  if (!belongs) ESC_TRY(read_checkpoint_at(p, ".checkpoint.previous", &belongs));
  if (!belongs) ESC_TRY(read_checkpoint_at(p, ".checkpoint", &belongs));
done:
  return status;
}

/* ---- the part ---- */

static esc_status allocate(esc_unfinished_part *p) {
  esc_status status = ESC_OK;
  esc_run *r = &p->run;
  const size_t members = (size_t)r->plan.members + 1;
  ESC_TRY_ALLOCATE(r->segments = json_array());
  ESC_TRY_ALLOCATE(r->done = calloc(members, sizeof *r->done));
  ESC_TRY_ALLOCATE(p->position = calloc(members, sizeof *p->position));
  ESC_TRY_ALLOCATE(p->entry = calloc(members, sizeof *p->entry));
  for (int64_t i = 0; i < r->plan.members; i++) p->position[i] = -1;
done:
  return status;
}

static esc_status create_results(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *problem = &r->spec->problem;
  if (r->results) return ESC_OK;
  ESC_TRY(
      esc_results_create(r->plan.members, problem->thresholds, problem->shape.layers, &r->results));
  for (int i = 0; i < problem->thresholds; i++) r->results->threshold[i] = problem->threshold[i];
  ESC_TRY(esc_run_copy_reused(r));
done:
  return status;
}

esc_status esc_unfinished_part_read(const esc_part_request *request, esc_unfinished_part *p) {
  esc_status status = ESC_OK;
  esc_run *r = &p->run;
  *p = (esc_unfinished_part){.cut = -1};
  r->spec = request->spec;
  r->options.resume = r->options.quiet = true;
  r->shard = request->shard;
  r->shards = request->shards;
  snprintf(r->output, sizeof r->output, "%.4090s", request->output);
  const char *rest = esc_run_identity_rest(request->identity);
  ESC_TRY_ALLOCATE(r->identity = strdup(request->identity));
  ESC_TRY_ALLOCATE(r->resolved = strndup(request->identity, (size_t)(rest - request->identity)));
  ESC_TRY(esc_plan_create(r->spec, r->shard, r->shards, &r->plan));
  ESC_TRY(allocate(p));
  ESC_TRY(read_earlier(p, request));
  ESC_TRY(create_results(r));
  ESC_TRY(read_journal(p));
  ESC_TRY(read_checkpoint(p));
done:
  return status;
}

void esc_unfinished_part_free(esc_unfinished_part *p) {
  esc_run *r = &p->run;
  for (int i = 0; i < ESC_RUN_REUSED_MAX; i++) esc_results_free(r->reused[i]);
  esc_results_free(r->results);
  esc_plan_free(&r->plan);
  json_decref(r->segments);
  free(r->identity);
  free(r->resolved);
  free(r->done);
  free(p->position);
  free(p->entry);
  free(p->clock);
  free(p->network);
}

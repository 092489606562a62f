/* SPDX-License-Identifier: Apache-2.0 */
/* The segment of this invocation of the program. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/version.h"
#include "run/provenance.h"
#include "run/run.h"
#include "store/segments.h"

static json_t *current(const esc_run *r) {
  const size_t count = json_array_size(r->segments);
  return count ? json_array_get(r->segments, count - 1) : NULL;
}

/* Number of members finished in this process. */
static int64_t finished_here(const esc_run *r) {
  const esc_progress *p = &r->progress;
  const int64_t all = p->escaped + p->censored + p->diverged;
  return all > r->finished_before ? all - r->finished_before : 0;
}

static esc_status append_segment(const esc_run *r, bool begins) {
  esc_status status = ESC_OK;
  char *text = NULL;
  if (!r->journal) return ESC_OK;
  ESC_TRY_ALLOCATE(text = json_dumps(current(r), JSON_COMPACT | JSON_REAL_PRECISION(9)));
  ESC_TRY(esc_journal_append_segment(r->journal, text, begins));
done:
  free(text);
  return status;
}

/* Updates the fields that change during the run. */
static void update_segment(esc_run *r, const char *ended) {
  char now[32];
  json_t *segment = current(r);
  esc_time_now(now);
  r->segment_updated_at = r->progress.seconds;
  json_object_set_new(segment, "end_time", json_string(now));
  json_object_set_new(segment, "wall_s", esc_json_number(r->progress.seconds));
  json_object_set_new(segment, "steps", json_integer(r->progress.network_steps));
  json_object_set_new(segment, "slot_steps", json_integer(r->progress.slot_steps));
  json_object_set_new(segment, "members", json_integer(finished_here(r)));
  json_object_set_new(segment, "ended", ended ? json_string(ended) : json_null());
  json_object_set_new(segment, "engine", esc_json_text(r->engine_text));
}

esc_status esc_run_segment_begin(esc_run *r) {
  char now[32], host[128] = "";
  json_t *segment = json_object();
  const char *command = r->options.command_line;
  gethostname(host, sizeof host - 1);
  esc_time_now(now);
  r->finished_before = 0;
  for (int64_t i = 0; r->done && i < r->plan.members; i++) r->finished_before += r->done[i];
  json_object_set_new(segment, "start_time", json_string(now));
  json_object_set_new(segment, "backend", json_string(r->engine->name));
  json_object_set_new(segment, "precision", json_string(r->engine->precision));
  json_object_set_new(segment, "device", esc_json_text(r->device));
  if (r->libraries[0]) json_object_set_new(segment, "libraries", esc_json_text(r->libraries));
  json_object_set_new(segment, "threads", json_integer(r->setup.threads));
  json_object_set_new(segment, "slots", json_integer(r->setup.slots));
  json_object_set_new(segment, "host", esc_json_text(host));
  json_object_set_new(segment, "version", json_string(esc_library_version()));
  json_object_set_new(segment, "commit", json_string(esc_commit()));
  json_object_set_new(segment, "command_line", esc_json_text(command ? command : ""));
  if (json_array_append_new(r->segments, segment) != 0)
    return ESC_FAIL(ESC_NO_MEMORY, "out of memory (segments)");
  update_segment(r, NULL);
  return append_segment(r, true);
}

/* A finished run has no checkpoint. */
static void remove_checkpoints(json_t *segments) {
  for (size_t i = 0; i < json_array_size(segments); i++)
    json_object_del(json_array_get(segments, i), ESC_SEGMENT_CHECKPOINT);
}

esc_status esc_run_segment_mark_checkpoint(esc_run *r, uint64_t digest) {
  char text[ESC_SEGMENT_DIGEST_SIZE];
  esc_segments_print_digest(digest, text);
  json_object_set_new(current(r), ESC_SEGMENT_CHECKPOINT, json_string(text));
  update_segment(r, NULL);
  return append_segment(r, false);
}

esc_status esc_run_segment_update(esc_run *r, const char *ended) {
  if (ended && !strcmp(ended, "finished")) remove_checkpoints(r->segments);
  update_segment(r, ended);
  return append_segment(r, false);
}

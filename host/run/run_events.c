/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a run for its log (run --log FILE); schema: docs/guide/watching.md. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/names.h"
#include "base/version.h"
#include "run/event_log.h"
#include "run/run.h"
#include "store/segments.h"

static const double rate_seconds = 10; /* between two events "rates" */

static bool is_same_file(const char *one, const char *other) {
  struct stat a, b;
  return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A log must not be a file of a run. */
esc_status esc_run_open_log(esc_run *r) {
  const char *path = r->options.log;
  if (!path) return ESC_OK;
  if (esc_names_sidecar_suffix(path) || (r->output[0] && !strcmp(path, r->output)) ||
      (r->output[0] && is_same_file(path, r->output)))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--log %s: is the name of a file of a run; choose another file, such as "
                    "run.jsonl",
                    path);
  return esc_event_log_open(path, &r->log);
}

/* An event without keys, or with the number of the point in training. */
static json_t *create_event(const esc_run *r) {
  json_t *event = json_object();
  if (r->is_point) json_object_set_new(event, "point", json_integer(r->point));
  return event;
}

/* Keys that name a member, with those of its row in the result. */
static json_t *member_to_json(const esc_run *r, int64_t index) {
  const esc_member *m = &r->plan.member[index];
  json_t *layers = json_array(), *event = create_event(r);
  for (int l = 0; l < ESC_LAYERS_MAX; l++)
    if (m->small_layers >> l & 1) json_array_append_new(layers, json_integer(l + 1));
  json_object_set_new(event, "member", json_integer(r->members_before_point + m->index));
  json_object_set_new(event, "seed", json_integer((json_int_t)m->seed));
  json_object_set_new(event, "bottleneck", json_integer(m->bottleneck));
  json_object_set_new(event, "small_layers", layers);
  json_object_set_new(event, "scale", esc_json_number(m->scale));
  return event;
}

static int64_t count_finished(const esc_progress *p) {
  return p->escaped + p->censored + p->diverged;
}

/* With `devices` the workers train, and the parent has the merged results. */
static esc_progress progress_of(const esc_run *r) {
  esc_progress p = r->progress;
  if (!r->options.devices || !r->results) return p;
  const esc_status_counts n = esc_results_count_statuses(r->results);
  p.escaped = n.escaped;
  p.censored = n.censored;
  p.diverged = n.diverged;
  return p;
}

static void add_counts(const esc_run *r, json_t *event) {
  const esc_progress all = progress_of(r), *p = &all;
  json_object_set_new(event, "members", json_integer(r->plan.members));
  json_object_set_new(event, "finished", json_integer(count_finished(p)));
  json_object_set_new(event, "escaped", json_integer(p->escaped));
  json_object_set_new(event, "censored", json_integer(p->censored));
  json_object_set_new(event, "diverged", json_integer(p->diverged));
  json_object_set_new(event, "running", json_integer(p->running));
}

static json_t *value_to_json(const esc_grid *grid, int point, int k) {
  const char *const value = esc_grid_value(grid, point, k);
  json_t *const number = grid->numeric[k] ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
  return number ? number : esc_json_text(value);
}

/* The training of a point of a grid begins. */
static void log_point(esc_run *r) {
  json_t *event = create_event(r), *values = json_object();
  for (int k = 0; k < r->grid->keys; k++)
    json_object_set_new(values, r->grid->key[k], value_to_json(r->grid, r->point, k));
  json_object_set_new(event, "grid", values);
  json_object_set_new(event, "output", esc_json_text(r->output));
  json_object_set_new(event, "threads", json_integer(r->setup.threads));
  json_object_set_new(event, "slots", json_integer(r->setup.slots));
  json_object_set_new(event, "members", json_integer(r->plan.members));
  json_object_set_new(event, "finished", json_integer(r->finished_before));
  esc_event_log_write(r->log, "point", event);
}

/* What a grid has at each of its points is in the events `point`. */
static json_t *unless_grid(const esc_run *r, int64_t value) {
  return r->spec->grid ? json_null() : json_integer(value);
}

void esc_run_log_start(esc_run *r) {
  if (!r->log) return;
  if (r->is_point) {
    log_point(r);
    return;
  }
  json_t *event = json_object();
  const char *command = r->options.command_line;
  char host[128] = "";
  gethostname(host, sizeof host - 1);
  json_object_set_new(event, "schema", json_integer(1));
  json_object_set_new(event, "version", json_string(esc_library_version()));
  json_object_set_new(event, "commit", json_string(esc_commit()));
  json_object_set_new(event, "host", esc_json_text(host));
  json_object_set_new(event, "command_line", esc_json_text(command ? command : ""));
  json_object_set_new(event, "name", esc_json_text(esc_spec_name(r->spec)));
  json_object_set_new(event, "output", esc_json_text(r->output));
  json_object_set_new(event, "backend", json_string(r->engine->name));
  json_object_set_new(event, "device", esc_json_text(r->device));
  json_object_set_new(event, "precision", json_string(r->engine->precision));
  json_object_set_new(event, "threads", unless_grid(r, r->setup.threads));
  json_object_set_new(event, "slots", unless_grid(r, r->setup.slots));
  json_object_set_new(event, "devices",
                      r->options.devices ? esc_json_text(r->options.devices) : json_null());
  json_object_set_new(event, "shard", json_integer(r->shard));
  json_object_set_new(event, "shards", json_integer(r->shards));
  json_object_set_new(event, "members", json_integer(r->plan.members));
  json_object_set_new(event, "finished", unless_grid(r, r->finished_before));
  esc_event_log_write(r->log, "start", event);
}

static void log_escape(esc_run *r, const esc_train_event *e) {
  json_t *event = member_to_json(r, e->index);
  json_object_set_new(event, "threshold", json_real(r->spec->problem.threshold[e->threshold]));
  json_object_set_new(event, "step", json_integer(e->step));
  esc_event_log_write(r->log, "escape", event);
}

static void log_retirement(esc_run *r, const esc_train_event *e) {
  static const char *const name[] = {"escaped", "censored", "diverged"};
  json_t *event = member_to_json(r, e->index);
  const int32_t status = r->results->status[e->index];
  json_object_set_new(event, "status",
                      json_string(status >= 0 && status < 3 ? name[status] : "unknown"));
  json_object_set_new(event, "steps", json_integer(r->results->steps_run[e->index]));
  json_object_set_new(event, "final_loss", esc_json_number(r->results->final_loss[e->index]));
  json_object_set_new(event, "finished", json_integer(count_finished(&r->progress)));
  json_object_set_new(event, "members", json_integer(r->plan.members));
  esc_event_log_write(r->log, "retirement", event);
}

static void log_checkpoint(esc_run *r, const esc_train_event *e) {
  char digest[ESC_SEGMENT_DIGEST_SIZE];
  json_t *event = create_event(r);
  esc_segments_print_digest(e->digest, digest);
  json_object_set_new(event, "networks", json_integer(e->networks));
  json_object_set_new(event, "digest", json_string(digest));
  esc_event_log_write(r->log, "checkpoint", event);
}

static void log_snapshot(esc_run *r, const esc_train_event *e) {
  json_t *event = create_event(r);
  json_object_set_new(event, "networks", json_integer(e->networks));
  esc_event_log_write(r->log, "snapshot", event);
}

void esc_run_log_event(esc_run *r, const esc_train_event *e) {
  if (!r->log) return;
  switch (e->kind) {
    case ESC_EVENT_ESCAPE: log_escape(r, e); break;
    case ESC_EVENT_RETIREMENT: log_retirement(r, e); break;
    case ESC_EVENT_CHECKPOINT: log_checkpoint(r, e); break;
    case ESC_EVENT_SNAPSHOT: log_snapshot(r, e); break;
  }
}

void esc_run_log_rates(esc_run *r) {
  const esc_progress *p = &r->progress;
  if (!r->log || p->seconds < r->rates_logged_at + rate_seconds) return;
  json_t *event = create_event(r);
  r->rates_logged_at = p->seconds;
  add_counts(r, event);
  json_object_set_new(event, "network_steps", json_integer(p->network_steps));
  json_object_set_new(event, "network_steps_per_s",
                      esc_json_number((double)p->network_steps / p->seconds));
  json_object_set_new(event, "steps", json_integer(p->steps.made));
  json_object_set_new(event, "steps_expected", esc_json_number(p->steps.expected));
  json_object_set_new(event, "steps_expected_is_upper_bound",
                      json_boolean(p->steps.is_upper_bound));
  esc_event_log_write(r->log, "rates", event);
}

/* Receiver of the run's messages: logs and forwards them. */
void esc_run_log_message(void *context, const char *text) {
  esc_run *r = context;
  const bool warns = !strncmp(text, "warning: ", 9);
  const esc_run_callbacks *callbacks = &r->options.callbacks;
  if (callbacks->message) callbacks->message(callbacks->context, text);
  if (!r->log || r->is_logging) return;
  r->is_logging = true; /* a warning about the log itself */
  json_t *event = json_object();
  json_object_set_new(event, "text", esc_json_text(warns ? text + 9 : text));
  esc_event_log_write(r->log, warns ? "warning" : "note", event);
  r->is_logging = false;
}

void esc_run_log_end(esc_run *r, esc_status status) {
  if (!r->log) return;
  json_t *event = json_object();
  const char *const ended = status == ESC_OK            ? "finished"
                            : status == ESC_INTERRUPTED ? "interrupted"
                            : status == ESC_OUT_OF_TIME ? "max-time"
                                                        : "failed";
  json_object_set_new(event, "ended", json_string(ended));
  json_object_set_new(event, "message",
                      status == ESC_OK ? json_null() : esc_json_text(esc_error_message()));
  add_counts(r, event);
  json_object_set_new(event, "network_steps", json_integer(r->progress.network_steps));
  json_object_set_new(event, "wall_s", esc_json_number(r->progress.seconds));
  esc_event_log_write(r->log, "end", event);
  esc_event_log_close(r->log);
  r->log = NULL;
}

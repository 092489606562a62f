/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch_frame.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/watch_cells.h"
#include "run/parts.h"

enum { HEAD_LINES = 6, PLOT_LINES = 14, PLOT_LINES_MIN = 8 };
static const double fresh_seconds = 10, fresh_share = 0.05; /* a run writes every second, or 1% */

static const char *const state_name[] = {
    [ESC_WATCH_STARTING] = "starting", [ESC_WATCH_RUNNING] = "running",
    [ESC_WATCH_STOPPED] = "stopped",   [ESC_WATCH_UNKNOWN] = "unknown",
    [ESC_WATCH_FINISHED] = "finished",
};

/* ---- the time of the last entry ---- */

static double age_of(const char *path) {
  struct stat info;
  struct timespec now;
  if (stat(path, &info) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return INFINITY;
  return (double)(now.tv_sec - info.st_mtim.tv_sec) +
         1e-9 * (double)(now.tv_nsec - info.st_mtim.tv_nsec);
}

/* Seconds since the newest journal of the run was written. */
static double find_age(const esc_unfinished *u) {
  char path[ESC_PART_PATH_SIZE + 16], part[ESC_PART_PATH_SIZE];
  double age = INFINITY;
  for (int i = 0; i < (u->parts ? u->parts : 1); i++) {
    snprintf(part, sizeof part, "%s", u->output);
    if (u->parts) esc_part_print_path(u->output, i, u->parts, part);
    snprintf(path, sizeof path, "%s.journal", part);
    age = fmin(age, age_of(path));
  }
  return fmax(age, 0);
}

/* ---- state ---- */

static bool is_here(const char *host) {
  char here[72] = "";
  return gethostname(here, sizeof here - 1) == 0 && !strcmp(here, host);
}

/* A run on another machine, whose lock is not visible here, is recognised by recent writes. */
static bool may_run_elsewhere(const esc_unfinished *u, double age) {
  const bool elsewhere = u->lock.is_unknown || (u->lock.holder && !is_here(u->lock.host));
  return elsewhere && age < fmax(fresh_seconds, fresh_share * u->progress.seconds);
}

static esc_watch_state find_state(const esc_unfinished *u, double age) {
  if (u->lock.is_held) return ESC_WATCH_RUNNING;
  if (u->basis == ESC_BASIS_COMPLETE && esc_io_exists(u->output)) return ESC_WATCH_FINISHED;
  return may_run_elsewhere(u, age) ? ESC_WATCH_UNKNOWN : ESC_WATCH_STOPPED;
}

/* End of the last segment, in words. */
static const char *describe_end(const esc_unfinished *u) {
  const size_t count = json_array_size(u->segments);
  const json_t *last = count ? json_array_get(u->segments, count - 1) : NULL;
  const char *ended = json_string_value(json_object_get(last, "ended"));
  if (!ended) return "its last entry has no end: killed, or its machine failed";
  if (!strcmp(ended, "interrupted")) return "stopped by a signal";
  if (!strcmp(ended, "max-time")) return "stopped at --max-time";
  if (!strcmp(ended, "failed")) return "stopped by a failure";
  return "trained to the end, but the result is not written";
}

static void print_holder(FILE *out, const esc_lock_state *lock) {
  if (lock->holder)
    fprintf(out, "process %ld on %s, since %s", lock->holder, lock->host, lock->since);
  else
    fputs("another process", out);
}

static void print_state(FILE *out, const esc_unfinished *u, esc_watch_state state, double age) {
  char whole[4096];
  fprintf(out, "%s: ", u->output);
  if (state == ESC_WATCH_RUNNING && u->lock.holder_ended) {
    fprintf(out, "stopping: process %ld has ended, its workers still save", u->lock.holder);
  } else if (state == ESC_WATCH_RUNNING) {
    fputs("running: ", out);
    print_holder(out, &u->lock);
  } else if (state == ESC_WATCH_UNKNOWN) {
    fputs("written to, but its lock is not visible from this machine: ", out);
    print_holder(out, &u->lock);
  } else if (state == ESC_WATCH_STOPPED) {
    fprintf(out, "not running: no process holds its lock; %s", describe_end(u));
  } else {
    fputs("finished", out);
  }
  fprintf(out, "\nlast written %.0f s ago", age);
  if (u->parts) fprintf(out, ", %d workers", u->parts);
  fputc('\n', out);
  const bool is_part = esc_unfinished_whole(u->output, whole, sizeof whole);
  if (state == ESC_WATCH_STOPPED)
    fprintf(out, "continue with: escapement run SPEC -o %s --resume%s\n", whole,
            u->parts || is_part ? " --devices LIST" : "");
}

/* ---- table and plot ---- */

static esc_status print_cells(FILE *out, const esc_results *r, bool active, esc_watch_window w) {
  esc_status status = ESC_OK;
  esc_watch_cells cells = {0};
  ESC_TRY(esc_watch_cells_create(r, &cells));
  const int lines = w.lines, rest = lines - HEAD_LINES - cells.cells - 2;
  const int plot = lines == 0 || rest > PLOT_LINES ? PLOT_LINES : rest;
  const bool with_plot = plot >= PLOT_LINES_MIN;
  const int rows = lines == 0 ? 0 : lines - HEAD_LINES - 2 - (with_plot ? plot + 1 : 0);
  esc_watch_print_table(out, &cells, lines && rows < 1 ? 1 : rows, active);
  if (with_plot) fputc('\n', out);
  if (with_plot) esc_watch_print_plot(out, &cells, plot, w.columns);
done:
  esc_watch_cells_free(&cells);
  return status;
}

static void print_progress(FILE *out, const esc_unfinished *u, int columns) {
  char line[1024];
  esc_progress_print(&u->progress, columns, line, sizeof line);
  fprintf(out, "%s\n\n", line);
}

static void print_counts(FILE *out, const esc_unfinished *u) {
  fprintf(out, "%lld of %lld members finished: %lld escaped, %lld censored, %lld diverged\n\n",
          (long long)esc_unfinished_count_finished(u), (long long)u->members,
          (long long)u->count.escaped, (long long)u->count.censored, (long long)u->count.diverged);
}

static json_t *to_json(const esc_unfinished *u, esc_watch_state state, double age) {
  json_t *object = esc_unfinished_to_json(u);
  const esc_progress *p = &u->progress;
  const double rate = p->seconds > 0 ? (double)p->network_steps / p->seconds : (double)NAN;
  const double left = p->steps.expected - (double)p->steps.made;
  const bool runs = state == ESC_WATCH_RUNNING;
  json_object_set_new(object, "state", json_string(state_name[state]));
  json_object_set_new(object, "last_written_s", esc_json_number(age));
  json_object_set_new(object, "steps", json_integer(p->steps.made));
  json_object_set_new(object, "steps_expected", esc_json_number(p->steps.expected));
  json_object_set_new(object, "network_steps_per_s", esc_json_number(rate));
  json_object_set_new(object, "seconds_left", esc_json_number(runs ? left / rate : (double)NAN));
  if (state == ESC_WATCH_STOPPED)
    json_object_set_new(object, "ended", json_string(describe_end(u)));
  return object;
}

static esc_status print_run(const esc_unfinished *u, esc_watch_window window, FILE *out,
                            esc_watch_state *state, json_t **json) {
  const double age = find_age(u);
  *state = find_state(u, age);
  const bool active = *state == ESC_WATCH_RUNNING;
  if (json) *json = to_json(u, *state, age);
  print_state(out, u, *state, age);
  if (active || *state == ESC_WATCH_UNKNOWN)
    print_progress(out, u, window.columns);
  else
    print_counts(out, u);
  return print_cells(out, u->now, active, window);
}

/* ---- a run without a journal ---- */

static int64_t count(const esc_results *r, int32_t status) {
  int64_t members = 0;
  for (int64_t i = 0; i < r->members; i++) members += r->status[i] == status;
  return members;
}

static esc_status print_result(const char *output, esc_watch_window window, FILE *out,
                               json_t **json) {
  esc_status status = ESC_OK;
  esc_results *r = NULL;
  ESC_TRY(esc_table_read(output, &r));
  const long long escaped = count(r, ESC_MEMBER_ESCAPED), censored = count(r, ESC_MEMBER_CENSORED),
                  diverged = count(r, ESC_MEMBER_DIVERGED);
  fprintf(out, "%s: finished: %lld of %lld members: %lld escaped, %lld censored, %lld diverged\n\n",
          output, (long long)r->members, (long long)r->members, escaped, censored, diverged);
  if (json)
    *json = json_pack("{ss, so, sI, sI, sI, sI, sI, si, si, sb}", "state", "finished", "file",
                      esc_json_text(output), "members", (json_int_t)r->members, "finished",
                      (json_int_t)r->members, "escaped", (json_int_t)escaped, "censored",
                      (json_int_t)censored, "diverged", (json_int_t)diverged, "running", 0,
                      "waiting", 0, "active", 0);
  status = print_cells(out, r, true, window);
done:
  esc_results_free(r);
  return status;
}

static esc_status print_start(const char *output, const esc_lock_state *lock, FILE *out,
                              json_t **json) {
  fprintf(out, "%s: starting, nothing written yet: ", output);
  print_holder(out, lock);
  fputc('\n', out);
  if (json)
    *json =
        json_pack("{ss, so, sb}", "state", "starting", "file", esc_json_text(output), "active", 1);
  return ESC_OK;
}

/* A grid: its point in training. The number of its points is not in the files. */
static esc_status print_grid(const char *point, int begun, esc_watch_window window, FILE *out,
                             esc_watch_state *state, json_t **json) {
  esc_status status = ESC_OK;
  esc_unfinished u = {0};
  ESC_TRY(esc_unfinished_read(point, NULL, &u));
  if (window.lines > 1) window.lines--;
  ESC_TRY(print_run(&u, window, out, state, json));
  if (u.lock.is_held) *state = ESC_WATCH_RUNNING; /* other points may follow */
  if (json) json_object_set_new(*json, "points_begun", json_integer(begun));
done:
  esc_unfinished_free(&u);
  return status;
}

esc_status esc_watch_frame(const char *path, esc_unfinished_forecast *forecast,
                           esc_watch_window window, FILE *out, esc_watch_state *state,
                           json_t **json) {
  esc_status status = ESC_OK;
  esc_unfinished u = {0};
  char output[4096], point[4200];
  int begun = 0;
  const bool has_files = esc_unfinished_exists(path, output, sizeof output);
  const esc_lock_state lock = esc_unfinished_peek(output);
  if (esc_unfinished_find_point(output, point, sizeof point, &begun)) {
    fprintf(out, "%s: grid, point %d in the order of training; the state of this point:\n", output,
            begun);
    ESC_TRY(print_grid(point, begun, window, out, state, json));
  } else if (has_files) {
    ESC_TRY(esc_unfinished_read(output, forecast, &u));
    ESC_TRY(print_run(&u, window, out, state, json));
  } else if (lock.is_held) {
    *state = ESC_WATCH_STARTING;
    ESC_TRY(print_start(output, &lock, out, json));
  } else if (esc_io_exists(output)) {
    *state = ESC_WATCH_FINISHED;
    ESC_TRY(print_result(output, window, out, json));
  } else {
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: no run: there is neither a result nor a journal nor a lock of that name",
                      output);
  }
done:
  esc_unfinished_free(&u);
  return status;
}

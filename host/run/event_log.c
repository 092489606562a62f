/* SPDX-License-Identifier: Apache-2.0 */
#include "run/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

struct esc_event_log {
  char *path;
  int fd;
  bool has_warned;    /* of a failed write */
  bool is_incomplete; /* the last write was cut */
  struct timespec start;
};

static const char first_bytes[] = "{\"event\":"; /* of each line */

/* Contents of a regular file: LINES of a log, or none; such lines with an incomplete last one;
 * OTHER contents, to which nothing is appended, because the file was named by mistake. */
typedef enum contents { LINES, INCOMPLETE_LINE, OTHER } contents;

static contents find_contents(const char *path, int fd) {
  struct stat info;
  char last = 0, begin[sizeof first_bytes - 1];
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return LINES;
  const int reader = open(path, O_RDONLY | O_CLOEXEC);
  const bool is_read = reader >= 0 &&
                       pread(reader, begin, sizeof begin, 0) == (ssize_t)sizeof begin &&
                       pread(reader, &last, 1, info.st_size - 1) == 1;
  if (reader >= 0) close(reader);
  if (!is_read || memcmp(begin, first_bytes, sizeof begin) != 0) return OTHER;
  return last == '\n' ? LINES : INCOMPLETE_LINE;
}

esc_status esc_event_log_open(const char *path, esc_event_log **out) {
  esc_status status = ESC_OK;
  esc_event_log *log = calloc(1, sizeof *log);
  ESC_TRY_ALLOCATE(log);
  ESC_TRY_ALLOCATE(log->path = strdup(path));
  clock_gettime(CLOCK_MONOTONIC, &log->start);
  /* Not blocking: a pipe without a reader must not stop the training. */
  log->fd = esc_io_move_above_stderr(
      open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0666));
  if (log->fd < 0) {
    status = ESC_FAIL(ESC_BAD_INPUT, "--log %s: cannot be opened for appending: %s", path,
                      strerror(errno));
    goto done;
  }
  const contents found = find_contents(path, log->fd);
  if (found == OTHER) {
    close(log->fd);
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "--log %s: exists and is not a log of a run; choose another file", path);
    goto done;
  }
  log->is_incomplete = found == INCOMPLETE_LINE;
  *out = log;
  return ESC_OK;
done:
  if (log) free(log->path);
  free(log);
  return status;
}

void esc_event_log_close(esc_event_log *log) {
  if (!log) return;
  if (close(log->fd) != 0 && !log->has_warned)
    esc_log("warning: --log %s: %s; lines may be missing", log->path, strerror(errno));
  free(log->path);
  free(log);
}

/* "2026-11-29T10:01:02.345Z" */
static void print_time(char text[40]) {
  struct timespec now;
  struct tm utc;
  char seconds[24];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text, 40, "%s.%03dZ", seconds, (int)(now.tv_nsec / 1000000));
}

static void warn(esc_event_log *log, const char *why) {
  if (log->has_warned) return;
  log->has_warned = true;
  esc_log(
      "warning: --log %s: cannot write: %s; lines are missing from the log, the training "
      "continues",
      log->path, why);
}

/* One write; a cut line is ended before the next one. */
static void append(esc_event_log *log, const char *line, size_t size) {
  const size_t skip = log->is_incomplete ? 0 : 1; /* line[0] is the end of the line before */
  ssize_t written;
  do {
    written = write(log->fd, line + skip, size - skip);
  } while (written < 0 && errno == EINTR);
  if (written == (ssize_t)(size - skip)) {
    log->is_incomplete = false;
    return;
  }
  if (written > 0) log->is_incomplete = true;
  warn(log, written < 0 ? strerror(errno) : "no space for the whole line");
}

void esc_event_log_write(esc_event_log *log, const char *name, json_t *event) {
  struct timespec now;
  char text[40], *line = NULL;
  if (!log || !event) {
    json_decref(event);
    return;
  }
  print_time(text);
  clock_gettime(CLOCK_MONOTONIC, &now);
  const double seconds =
      (double)(now.tv_sec - log->start.tv_sec) + 1e-9 * (double)(now.tv_nsec - log->start.tv_nsec);
  json_t *all = json_pack("{ss, ss, sI, sf}", "event", name, "time", text, "process",
                          (json_int_t)getpid(), "seconds", seconds);
  char *json = NULL;
  if (all && json_object_update(all, event) == 0)
    json = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(12));
  const int size = json ? asprintf(&line, "\n%s\n", json) : -1;
  if (size > 0)
    append(log, line, (size_t)size);
  else
    warn(log, "out of memory");
  if (size > 0) free(line);
  free(json);
  json_decref(all);
  json_decref(event);
}

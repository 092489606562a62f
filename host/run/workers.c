/* SPDX-License-Identifier: Apache-2.0 */
/* run --devices: one worker process for each device, each training shards of the sweep. This
 * process supervises the workers, restarts failed ones and merges their results.
 *
 * A worker is the program's `escapement worker`, which gets the spec and its options on standard
 * input (worker_request.h) and trains shard I of S into OUT.h5.part-I-of-S. S is the number of
 * devices at the start of the run; it can be resumed on any number, because a device that has
 * finished a shard trains the next one. Workers inherit the lock on OUT.h5, which holds as long as
 * one of them lives, and are stopped through worker_process.h, so that a signal that also reached
 * them directly counts once. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/names.h"
#include "machine/processor.h"
#include "run/merge.h"
#include "run/parts.h"
#include "run/worker_process.h"
#include "run/worker_request.h"
#include "store/store.h"

enum { DEVICES_MAX = ESC_PARTS_MAX, TRIES_MAX = 3, FAILURES_MAX = 2 };

typedef struct worker {
  const char *device; /* its number, or "cpu" */
  char name[16];
  pid_t pid;       /* 0: not running */
  int messages;    /* pipe from its standard error, while it runs */
  char line[2048]; /* an incomplete line */
  size_t line_length;
  int shard;
  int failures; /* in a row */
} worker;

typedef struct worker_pool {
  esc_run *run;
  worker worker[DEVICES_MAX];
  int workers;
  int shards;
  enum { PENDING, TRAINING, DONE } state[DEVICES_MAX];
  int tries[DEVICES_MAX]; /* (shards) */
  struct timespec start;
  bool supervises;
  int stop_level_sent; /* stop level sent to the workers (base/stop.h) */
  esc_status status;   /* reason for an incomplete run */
} worker_pool;

static double seconds_since(const struct timespec *start) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

/* ---- devices and shards ---- */

static esc_status refuse_devices(const char *text) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "--devices %.80s: must be distinct GPU indices (0,1) or cpu once for each worker "
                  "(cpu,cpu); at most %d",
                  text, (int)DEVICES_MAX);
}

static esc_status parse_devices(worker_pool *f, const char *text) {
  for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    const size_t length = strcspn(at, ",");
    if (f->workers == DEVICES_MAX || length == 0 || length > 4) return refuse_devices(text);
    worker *w = &f->worker[f->workers];
    snprintf(w->name, sizeof w->name, "%.*s", (int)length, at);
    const bool cpu = !strcmp(w->name, "cpu"), first_cpu = !strcmp(f->worker[0].name, "cpu");
    if (cpu != first_cpu || (!cpu && strspn(w->name, "0123456789") != length))
      return refuse_devices(text);
    for (int i = 0; i < f->workers && !cpu; i++)
      if (atoi(f->worker[i].name) == atoi(w->name)) return refuse_devices(text);
    w->device = w->name;
    f->workers++;
  }
  return ESC_OK;
}

esc_status esc_devices_check(const char *text) {
  worker_pool f = {.workers = 0};
  return parse_devices(&f, text);
}

static esc_status choose_shards(worker_pool *f) {
  esc_status status = ESC_OK;
  const esc_run_options *ask = &f->run->options;
  int begun = 0;
  char left[ESC_PART_PATH_SIZE];
  if (f->run->shards > 1)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--devices divides the whole sweep; it cannot be combined with --shard or a "
                    "task of a Slurm array");
  for (int i = 0; i < 2 && !ask->force; i++) {
    snprintf(left, sizeof left, "%s%s", f->run->output, i ? ".checkpoint" : ".journal");
    if (esc_io_exists(left))
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: belongs to a run started without --devices; continue it without "
                      "--devices, or start over with --force",
                      left);
  }
  if (ask->force && !ask->resume) ESC_TRY(esc_parts_remove(f->run));
  ESC_TRY(esc_parts_count(f->run->output, &begun));
  if (begun && !ask->resume)
    return ESC_FAIL(ESC_BAD_INPUT,
                    ask->force ? "%s: this user may not delete the parts of an interrupted run "
                                 "beside it; choose another output with -o"
                               : "%s: parts of an interrupted run are beside it; continue with "
                                 "--resume, or start over with --force",
                    f->run->output);
  f->shards = begun ? begun : f->workers;
done:
  return status;
}

/* ---- workers ---- */

/* The worker inherits the lock's descriptor; its messages are read from a pipe. */
static esc_status spawn(const worker_pool *f, worker *w, int request) {
  esc_status status = ESC_OK;
  posix_spawn_file_actions_t files;
  const int lock = esc_lock_descriptor(f->run->lock);
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "device %s: cannot create a pipe for the worker: %s",
                    w->device, strerror(errno));
  ends[1] = esc_io_move_above_stderr(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, request, STDIN_FILENO);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&files, lock, lock);
  const int failed = esc_worker_process_start(f->run->options.worker, &files, &w->pid);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  if (failed) {
    close(ends[0]);
    return ESC_FAIL(ESC_LIBRARY_FAILED,
                    f->run->options.worker
                        ? "device %s: cannot start %.400s as a worker: %s"
                        : "device %s: cannot start %s as a worker: %s; install it in ../bin beside "
                          "the library or in PATH, or set the option `worker`",
                    w->device, f->run->options.worker ? f->run->options.worker : "escapement",
                    strerror(failed));
  }
  w->messages = ends[0];
  w->line_length = 0;
  return status;
}

static esc_status start(worker_pool *f, worker *w, int shard) {
  esc_status status = ESC_OK;
  const esc_run_options *ask = &f->run->options;
  const int threads = esc_processor_count() / f->workers;
  char part[ESC_PART_PATH_SIZE];
  int request = -1;
  esc_part_print_path(f->run->output, shard, f->shards, part);
  esc_run_options options = *ask;
  options.output = part;
  options.from = f->run->reused[0] ? f->run->output : ask->from;
  options.device = strcmp(w->device, "cpu") ? atoi(w->device) : -1;
  options.devices = NULL;
  options.threads = ask->threads ? ask->threads : threads > 1 ? threads : 1;
  options.shard = shard;
  options.shards = f->shards;
  if (ask->seconds_max > 0)
    options.seconds_max = fmax(ask->seconds_max - seconds_since(&f->start), 1e-9); /* 0: no limit */
  ESC_TRY(esc_worker_request_write(f->run->resolved, &options, esc_lock_descriptor(f->run->lock),
                                   &request));
  ESC_TRY(spawn(f, w, request));
  w->shard = shard;
  f->state[shard] = TRAINING;
  f->tries[shard]++;
done:
  if (request >= 0) close(request);
  return status;
}

/* ---- messages of the workers ---- */

/* Forwards a line of a worker. */
static void forward_line(worker *w) {
  static const char prefix[] = "escapement: ";
  const bool own =
      w->line_length >= sizeof prefix - 1 && !strncmp(w->line, prefix, sizeof prefix - 1);
  w->line[w->line_length] = 0;
  if (w->line_length > 0) esc_log("%s", w->line + (own ? sizeof prefix - 1 : 0));
  w->line_length = 0;
}

/* Forwards the output of a worker so far; longer lines than the buffer in pieces. */
static void forward_messages(worker *w) {
  char c;
  while (w->messages >= 0 && read(w->messages, &c, 1) == 1) {
    if (c == '\n' || w->line_length == sizeof w->line - 1) forward_line(w);
    if (c != '\n') w->line[w->line_length++] = c;
  }
}

static void close_messages(worker *w) {
  forward_messages(w);
  forward_line(w);
  close(w->messages);
  w->messages = -1;
}

/* Starts pending shards on idle devices that have not failed. */
static void start_pending_shards(worker_pool *f) {
  for (int i = 0; i < f->workers && f->status == ESC_OK; i++) {
    worker *w = &f->worker[i];
    if (w->pid || w->failures == FAILURES_MAX) continue;
    for (int s = 0; s < f->shards; s++)
      if (f->state[s] == PENDING) {
        f->status = start(f, w, s);
        break;
      }
  }
}

static int running(const worker_pool *f) {
  int count = 0;
  for (int i = 0; i < f->workers; i++) count += f->worker[i].pid != 0;
  return count;
}

static void end_supervision(worker_pool *f) {
  f->supervises = false;
  esc_run_phase_end(f->run, ESC_RUN_PHASE_SUPERVISING);
}

/* Sends this process's stop level to the workers; at the third INT kills them. */
static void stop_workers(worker_pool *f) {
  const int level = esc_stop_level(f->run->stop) > 1 ? esc_stop_level(f->run->stop) : 1;
  for (int i = 0; i < f->workers && f->stop_level_sent < level; i++) {
    if (f->worker[i].pid) esc_worker_process_stop(f->worker[i].pid, level);
    if (f->worker[i].pid && level == ESC_STOP_LEVEL_MAX) kill(f->worker[i].pid, SIGKILL);
  }
  f->stop_level_sent = level;
  if (level == ESC_STOP_LEVEL_MAX && f->supervises) end_supervision(f);
}

/* Status of a child that another part of the program has reaped: neither WIFEXITED nor WIFSIGNALED.
 */
enum { EXIT_UNKNOWN = -1 };

/* Whether a worker has ended. If the program ignores SIGCHLD or waits for every child, the exit
 * status is lost; then the worker's part shows whether it finished. */
static bool poll_exit(const worker_pool *f, const worker *w, int *wait_status) {
  const pid_t got = waitpid(w->pid, wait_status, WNOHANG);
  if (got == w->pid) return true;
  if (got == 0 || errno != ECHILD) return false;
  *wait_status = esc_part_is_complete(f->run, w->shard, f->shards) ? 0 : EXIT_UNKNOWN;
  return true;
}

/* Describes how a failed worker ended. */
static void describe_exit(int wait_status, char *text, size_t size) {
  if (wait_status == EXIT_UNKNOWN)
    snprintf(
        text, size,
        "ended with an unknown status (this program ignores SIGCHLD or waits for every child)");
  else if (WIFSIGNALED(wait_status))
    snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(wait_status),
             strsignal(WTERMSIG(wait_status)));
  else
    snprintf(text, size, "ended with exit status %d", WEXITSTATUS(wait_status));
}

/* A worker failed: its shard becomes pending, and its device may be tried again. */
static void handle_failure(worker_pool *f, worker *w, int wait_status) {
  char how[128];
  describe_exit(wait_status, how, sizeof how);
  w->failures++;
  const bool again = f->tries[w->shard] < TRIES_MAX;
  f->state[w->shard] = PENDING;
  bool any = false;
  for (int i = 0; i < f->workers; i++) any = any || f->worker[i].failures < FAILURES_MAX;
  if (again && any && !f->stop_level_sent) {
    esc_log("the worker on device %s %s; shard %d of %d continues from its saved files%s",
            w->device, how, w->shard, f->shards,
            w->failures == FAILURES_MAX ? ", on another device: this one has failed twice" : "");
    return;
  }
  f->status = ESC_FAIL(ESC_DEVICE_FAILED, "the worker on device %s %s, try %d of shard %d of %d",
                       w->device, how, f->tries[w->shard], w->shard, f->shards);
}

/* Whether the end of a worker is a stop: after saving, or by a signal to the whole job before
 * training, or by a second or third INT. */
static bool has_stopped(const worker_pool *f, int wait_status) {
  const int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  const double seconds_max = f->run->options.seconds_max;
  if (wait_status == EXIT_UNKNOWN && seconds_max > 0 && seconds_since(&f->start) >= seconds_max)
    return true;
  if (!WIFEXITED(wait_status)) return f->stop_level_sent || atomic_load(&f->run->stop->requested);
  return (code == 128 + SIGINT || code == 128 + SIGTERM) &&
         (f->stop_level_sent || atomic_load(&f->run->stop->requested) || seconds_max > 0);
}

/* Whether the run has no failure other than a stop. */
static bool is_stop(esc_status status) {
  return status == ESC_OK || status == ESC_INTERRUPTED || status == ESC_OUT_OF_TIME;
}

static void handle_exit(worker_pool *f, worker *w, int wait_status) {
  const int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  w->pid = 0;
  if (code == 0) {
    f->state[w->shard] = DONE;
    w->failures = 0;
  } else if (has_stopped(f, wait_status)) {
    f->state[w->shard] = PENDING;
    if (f->status == ESC_OK) f->status = ESC_OUT_OF_TIME;
  } else if (code == 1 ||
             code == 2) { /* a failure even during a stop, because its part is not saved */
    f->state[w->shard] = PENDING;
    if (is_stop(f->status))
      f->status =
          ESC_FAIL(ESC_BAD_INPUT, "device %s: the worker refused its shard; its message is above",
                   w->device);
  } else {
    handle_failure(f, w, wait_status);
  }
}

/* Supervises the workers until all have ended. */
static void supervise(worker_pool *f) {
  const struct timespec pause = {0, 20000000};
  f->supervises = true;
  esc_run_phase_begin(f->run, ESC_RUN_PHASE_SUPERVISING);
  if (atomic_load(&f->run->stop->requested))
    f->status = ESC_INTERRUPTED; /* before the first worker */
  start_pending_shards(f);
  while (running(f)) {
    int wait_status = 0;
    bool any = false;
    for (int i = 0; i < f->workers; i++) {
      worker *w = &f->worker[i];
      if (!w->pid) continue;
      forward_messages(w);
      if (!poll_exit(f, w, &wait_status)) continue;
      close_messages(w);
      handle_exit(f, w, wait_status);
      any = true;
    }
    if (atomic_load(&f->run->stop->requested) &&
        (f->status == ESC_OK || f->status == ESC_OUT_OF_TIME))
      f->status = ESC_INTERRUPTED;
    if (f->status != ESC_OK && f->status != ESC_OUT_OF_TIME) stop_workers(f);
    if (f->status == ESC_OK) start_pending_shards(f);
    if (!any) nanosleep(&pause, NULL);
  }
  if (f->supervises && f->status == ESC_OK) end_supervision(f);
}

/* ---- entry points ---- */

/* Merges the parts into the output and deletes them. */
static esc_status merge(worker_pool *f) {
  esc_status status = ESC_OK;
  const esc_file_stamp now = esc_file_stamp_read(f->run->output);
  if (f->run->reused[0] && memcmp(&now, &f->run->output_stamp, sizeof now) != 0)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: was changed by another program during the run; all members are saved in "
                    "%.3000s.part-*; write the result with the same command and --resume",
                    f->run->output, f->run->output);
  char *file[DEVICES_MAX] = {0}, part[ESC_PART_PATH_SIZE];
  esc_merge_summary summary;
  for (int i = 0; i < f->shards; i++) {
    esc_part_print_path(f->run->output, i, f->shards, part);
    ESC_TRY_ALLOCATE(file[i] = strdup(part));
  }
  const esc_merge_request request = {.output = f->run->output,
                                     .files = f->shards,
                                     .file = (const char *const *)file,
                                     .force = f->run->options.force || f->run->reused[0]};
  ESC_TRY(esc_files_merge_held(&request, f->run->lock, &summary));
  ESC_TRY(esc_store_read(f->run->output, &f->run->results));
  f->run->shards_merged = f->shards;
  ESC_TRY(esc_parts_remove(f->run));
done:
  for (int i = 0; i < DEVICES_MAX; i++) free(file[i]);
  return status;
}

/* Message of an incomplete run: the reason, what was saved, and how to continue. */
static esc_status explain_failure(const worker_pool *f) {
  char why[500];
  snprintf(why, sizeof why, "%.499s",
           f->status == ESC_INTERRUPTED   ? "interrupted"
           : f->status == ESC_OUT_OF_TIME ? "stopped at --max-time"
                                          : esc_error_message());
  const esc_parts_contents safe = esc_parts_count_synced(f->run, f->shards);
  return ESC_FAIL(f->status,
                  "%s; saved in %.400s.part-*%s: %lld of %lld members, %lld networks in flight; "
                  "continue with the same command and --resume",
                  why, f->run->output, f->run->reused[0] ? " and the earlier result" : "",
                  (long long)safe.finished, (long long)f->run->plan.members,
                  (long long)safe.in_flight);
}

esc_status esc_run_train_on_devices(esc_run *run) {
  esc_status status = ESC_OK;
  worker_pool f = {.run = run};
  int64_t finished = 0;
  clock_gettime(CLOCK_MONOTONIC, &f.start);
  if (run->reused[0] && run->options.from)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--from %s: %s already exists, and its members are reused; remove --from",
                    run->options.from, run->output);
  ESC_TRY(parse_devices(&f, run->options.devices));
  ESC_TRY(choose_shards(&f));
  ESC_TRY(esc_parts_inspect(run, &finished));
  if (!run->options.quiet)
    esc_log("%d shards on %d devices (%s), in %s.part-*", f.shards, f.workers, run->options.devices,
            run->output);
  supervise(&f);
  esc_run_phase_begin(run, ESC_RUN_PHASE_SAVING);
  status = f.status == ESC_OK ? merge(&f) : explain_failure(&f);
  esc_run_phase_end(run, ESC_RUN_PHASE_SAVING);
  if (f.supervises) end_supervision(&f);
done:
  return status;
}

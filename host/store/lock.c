/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/names.h"
#include "base/text.h"

enum { TEXT_MAX = 512, ATTEMPTS_MAX = 1000, READER_ATTEMPTS = 5 };
static const char lock_magic[] = "escapement lock";

struct esc_lock {
  char *path;
  int fd;
  bool is_shared; /* held by another object of the run or by its parent: the file is not deleted */
  esc_lock *parent; /* lock of the output that this one is a part of, or NULL */
};

/* Holder of a lock, from its file; pid 0: unknown. */
typedef struct lock_holder {
  long pid;
  unsigned long long
      started; /* start of the process, in clock ticks since boot, because pids are reused */
  char host[72], since[32];
} lock_holder;

/* Start time of a process; 0 if it has ended (or is a zombie), or if unknown. */
static unsigned long long process_start_time(long pid) {
  char path[48], text[1024];
  unsigned long long started = 0;
  char state = 0;
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  FILE *file = fopen(path, "re");
  if (!file) return 0;
  const size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[size] = 0;
  const char *rest = strrchr(text, ')'); /* a process may be named anything */
  if (!rest || sscanf(rest,
                      ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                      "%*s %llu",
                      &state, &started) != 2)
    return 0;
  return state == 'Z' || state == 'X' ? 0 : started;
}

static lock_holder this_process(void) {
  lock_holder h = {.pid = (long)getpid(), .started = process_start_time((long)getpid())};
  struct tm parts;
  const time_t now = time(NULL);
  if (gethostname(h.host, sizeof h.host - 1) != 0 || !h.host[0]) strcpy(h.host, "?");
  gmtime_r(&now, &parts);
  strftime(h.since, sizeof h.since, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return h;
}

/* Whether the process has ended; false for a process of another machine. */
static bool is_gone(const lock_holder *h, const lock_holder *here) {
  return h->pid && h->started && !strcmp(h->host, here->host) &&
         process_start_time(h->pid) != h->started;
}

static ssize_t read_text(int fd, char text[TEXT_MAX]) {
  const ssize_t size = pread(fd, text, TEXT_MAX - 1, 0);
  text[size > 0 ? size : 0] = 0;
  return size;
}

static lock_holder read_lock_holder(int fd) {
  char text[TEXT_MAX];
  lock_holder h = {0};
  read_text(fd, text);
  if (sscanf(text, "escapement lock: process %ld started %llu host %71s since %31s", &h.pid,
             &h.started, h.host, h.since) != 4)
    h.pid = 0;
  return h;
}

/* The file is informative only, so a full disk is not a failure. */
static void write_lock_holder(int fd) {
  const lock_holder h = this_process();
  char text[TEXT_MAX];
  const int size = snprintf(text, sizeof text, "%s: process %ld started %llu host %s since %s\n",
                            lock_magic, h.pid, h.started, h.host, h.since);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)size, 0) != size) return;
}

/* Whether a file that begins so can be a lock file of the program: empty, or with the lock's text,
 * perhaps with zeros after a power loss. */
static bool is_lock_file_text(const char *text, size_t size) {
  const size_t known = sizeof lock_magic - 1;
  for (size_t i = 0; i < size && i < known; i++)
    if (text[i] && text[i] != lock_magic[i]) return false;
  return true;
}

/* ESC_BAD_INPUT for a file of another program, ESC_IO_FAILED for an unreadable one. */
static esc_status check_is_lock(const esc_lock *l) {
  char text[TEXT_MAX];
  const ssize_t size = read_text(l->fd, text);
  if (size < 0)
    return ESC_FAIL(ESC_IO_FAILED,
                    "%s: cannot read the lock of the output: %s; nothing was started", l->path,
                    strerror(errno));
  if (is_lock_file_text(text, (size_t)size)) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: is not a lock file of escapement, which needs this name; rename that file, "
                  "or choose another output with -o",
                  l->path);
}

/* Whether the open file still has this name: the previous holder may have deleted it. */
static bool is_in_place(const char *path, int fd) {
  struct stat ours, named;
  return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
         ours.st_ino == named.st_ino;
}

static int flock_retry(int fd, int how) {
  int result;
  do {
    result = flock(fd, how);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

/* A reader that asks whether the lock is held has it for an instant (esc_lock_peek), which is not a
 * run. */
static int flock_past_readers(int fd) {
  const struct timespec pause = {0, 10000000};
  int error = EWOULDBLOCK;
  for (int attempt = 0; attempt < READER_ATTEMPTS && error == EWOULDBLOCK; attempt++) {
    if (attempt) nanosleep(&pause, NULL);
    error = flock_retry(fd, LOCK_EX | LOCK_NB);
  }
  return error;
}

static esc_status open_file(esc_lock *l) {
  struct stat info;
  l->fd = esc_io_move_above_stderr(
      open(l->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666));
  if (l->fd < 0 && errno == ELOOP)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: is a symbolic link, not a lock file; delete it", l->path);
  if (l->fd < 0 || fstat(l->fd, &info) != 0)
    return ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot lock the output: %s", l->path,
                    strerror(errno));
  if (!S_ISREG(info.st_mode))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: is not a regular file, so not a lock file", l->path);
  if (info.st_uid == 0) esc_io_adopt_owner(l->fd, l->path);
  return check_is_lock(l);
}

static esc_status refuse(const esc_lock *l, const lock_holder *h) {
  const int output = (int)(strlen(l->path) - strlen(".lock"));
  if (!h->pid)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "%.*s: another run is writing this output; wait for it, or choose another output with -o",
        output, l->path);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%.*s: another run is writing this output: process %ld on %s, since %s; wait for "
                  "it, stop it, or choose another output with -o",
                  output, l->path, h->pid, esc_quote(h->host, strlen(h->host)).text,
                  esc_quote(h->since, strlen(h->since)).text);
}

/* Waits until the lock is released or *stop is set. */
static esc_status wait_for_lock(const esc_lock *l, const atomic_bool *stop) {
  const struct timespec pause = {0, 20000000};
  int error;
  while ((error = flock_retry(l->fd, LOCK_EX | LOCK_NB)) == EWOULDBLOCK) {
    if (stop && atomic_load(stop))
      return ESC_FAIL(ESC_INTERRUPTED,
                      "interrupted before training: %s was held by another process", l->path);
    nanosleep(&pause, NULL);
  }
  if (error == 0) return ESC_OK;
  return ESC_FAIL(ESC_IO_FAILED, "%s: cannot lock the output: %s", l->path, strerror(error));
}

/* Another run holds the lock. */
static esc_status wait_or_refuse(const esc_lock *l, const esc_lock_request *r) {
  const lock_holder here = this_process(), there = read_lock_holder(l->fd);
  if (!is_gone(&there, &here)) return refuse(l, &there);
  r->log(
      "%s: process %ld has ended, but its workers are still saving; this run starts when they have "
      "finished",
      l->path, there.pid);
  return wait_for_lock(l, r->stop);
}

/* Without locks the text of the file identifies a living run, but only on this machine. */
static esc_status proceed_without_lock(const esc_lock *l, const esc_lock_request *r, int error) {
  const lock_holder here = this_process(), there = read_lock_holder(l->fd);
  if (there.pid && there.started && !strcmp(there.host, here.host) && !is_gone(&there, &here))
    return refuse(l, &there);
  if (!l->parent)
    r->log(
        "warning: %s: this file system does not support locks (%s); nothing prevents a run on "
        "another machine from writing this output",
        l->path, strerror(error));
  return ESC_OK;
}

static esc_status lock_open_file(esc_lock *l, const esc_lock_request *r) {
  l->is_shared = r->held && is_in_place(l->path, r->held->fd);
  if (l->is_shared) return ESC_OK;
  const int error = flock_past_readers(l->fd);
  if (error == 0) return ESC_OK;
  return error == EWOULDBLOCK ? wait_or_refuse(l, r) : proceed_without_lock(l, r, error);
}

static void close_file(esc_lock *l) {
  if (l->fd >= 0) close(l->fd);
  l->fd = -1;
}

static esc_status acquire(esc_lock *l, const esc_lock_request *r) {
  esc_status status = ESC_OK;
  for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    ESC_TRY(open_file(l));
    ESC_TRY(lock_open_file(l, r));
    if (is_in_place(l->path, l->fd)) {
      if (!l->is_shared) write_lock_holder(l->fd);
      return ESC_OK;
    }
    close_file(l);
  }
  status = ESC_FAIL(ESC_BAD_INPUT, "%s: other runs keep replacing this lock", l->path);
done:
  close_file(l);
  return status;
}

/* Adopts the lock that a worker inherits from its parent, if the open file still has its name. */
static esc_status inherit_parent(esc_lock *l, int fd) {
  const int error = is_in_place(l->path, fd) ? flock_retry(fd, LOCK_EX | LOCK_NB) : EWOULDBLOCK;
  if (error == EWOULDBLOCK || error == EBADF)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "%s: is no longer the lock of the run that started this worker; another program "
        "replaced or deleted it",
        l->path);
  l->fd = fd;
  l->is_shared = true;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return ESC_OK;
}

static esc_status create(const char *output, size_t length, esc_lock **out) {
  esc_status status = ESC_OK;
  esc_lock *l = calloc(1, sizeof *l);
  ESC_TRY_ALLOCATE(l);
  l->fd = -1;
  if (asprintf(&l->path, "%.*s.lock", (int)length, output) < 0) l->path = NULL;
  ESC_TRY_ALLOCATE(l->path);
  *out = l;
  l = NULL;
done:
  free(l);
  return status;
}

esc_status esc_lock_acquire(const esc_lock_request *r, esc_lock **out) {
  esc_status status = ESC_OK;
  esc_lock *l = NULL;
  size_t whole;
  int shard, shards;
  ESC_TRY(create(r->output, strlen(r->output), &l));
  if (esc_names_parse_part(r->output, &whole, &shard, &shards)) {
    ESC_TRY(create(r->output, whole, &l->parent));
    ESC_TRY(r->inherited >= 0 ? inherit_parent(l->parent, r->inherited) : acquire(l->parent, r));
  }
  ESC_TRY(acquire(l, r));
  *out = l;
  l = NULL;
done:
  esc_lock_release(l);
  return status;
}

int esc_lock_descriptor(const esc_lock *lock) { return lock->fd; }

void esc_lock_release(esc_lock *lock) {
  if (!lock) return;
  if (lock->fd >= 0 && !lock->is_shared && is_in_place(lock->path, lock->fd))
    esc_io_remove_owned(lock->path);
  close_file(lock);
  esc_lock_release(lock->parent);
  free(lock->path);
  free(lock);
}

esc_lock_state esc_lock_peek(const char *output) {
  esc_lock_state state = {.holder = 0};
  char path[4200];
  snprintf(path, sizeof path, "%.4090s.lock", output);
  const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    state.is_unknown = errno != ENOENT;
    return state;
  }
  const lock_holder here = this_process(), there = read_lock_holder(fd);
  const int error = flock_retry(fd, LOCK_SH | LOCK_NB);
  const bool lives =
      there.pid && there.started && !strcmp(there.host, here.host) && !is_gone(&there, &here);
  state.holder = there.pid;
  snprintf(state.host, sizeof state.host, "%s", there.pid ? there.host : "");
  snprintf(state.since, sizeof state.since, "%s", there.pid ? there.since : "");
  state.is_held = error == EWOULDBLOCK || (error && lives);
  state.is_unknown = error && error != EWOULDBLOCK && !lives;
  state.holder_ended = is_gone(&there, &here);
  close(fd); /* which releases it */
  return state;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded before a program, makes it wait when it has published a checkpoint, so that a test can
 * interrupt it there however fast or slow the machine is.
 *
 * The process makes the file $HOLD/PID and waits until somebody removes it, or until its own
 * handlers have handled $HOLD_SIGNALS signals (1); the file has a byte for each. Without the
 * directory $HOLD it continues, and with $HOLD_JOURNAL also as long as that journal has no more
 * than $HOLD_MEMBERS finished members. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Finished members in a journal (host/store/journal_format.h): whole parts of kind 1. */
static long count_members(const char *path) {
  enum { HEADER = 48, IDENTITY_SIZE = 20, MEMBER = 1, FRAME = 24 };
  uint32_t part[3] = {0}; /* magic number, kind, bytes of the payload */
  long members = 0;
  FILE *file = fopen(path, "rb");
  if (!file) return 0;
  fseek(file, 0, SEEK_END);
  const long end = ftell(file);
  fseek(file, IDENTITY_SIZE, SEEK_SET);
  long offset = fread(part, sizeof *part, 1, file) == 1 ? HEADER + (long)part[0] : end;
  while (offset + FRAME <= end) {
    fseek(file, offset, SEEK_SET);
    if (fread(part, sizeof part, 1, file) != 1) break;
    offset += FRAME + (long)part[2];
    members += part[1] == MEMBER && offset <= end;
  }
  fclose(file);
  return members;
}

static bool is_due(void) {
  const char *journal = getenv("HOLD_JOURNAL"), *members = getenv("HOLD_MEMBERS");
  return !journal || count_members(journal) > atol(members ? members : "0");
}

/* ---- signals that the program handled ---- */

typedef void handler(int, siginfo_t *, void *);
static handler *program_handler[NSIG];
static volatile sig_atomic_t handled;
static volatile int mark = -1; /* the open file, or -1 */

static void on_signal(int number, siginfo_t *info, void *context) {
  const int error = errno;
  program_handler[number](number, info, context);
  handled++;
  if (mark >= 0 && write(mark, "x", 1) < 0) return;
  errno = error;
}

/* Puts a handler of ours around each of the program's. */
int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
  int (*real)(int, const struct sigaction *, struct sigaction *) = NULL;
  *(void **)&real = dlsym(RTLD_NEXT, "sigaction");
  const bool handles = action && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
  if (!handles || number < 0 || number >= NSIG) return real(number, action, before);
  struct sigaction ours = *action;
  *(void **)&program_handler[number] = *(void *const *)&action->sa_sigaction;
  ours.sa_sigaction = on_signal;
  ours.sa_flags |= SA_SIGINFO;
  return real(number, &ours, before);
}

static bool has_handled_signals(void) {
  const char *wanted = getenv("HOLD_SIGNALS");
  return handled >= (wanted ? atoi(wanted) : 1);
}

static void wait_for_removal(const char *directory) {
  char path[PATH_MAX];
  const struct timespec pause = {.tv_nsec = 1000000};
  char hidden[PATH_MAX];
  if (has_handled_signals()) return; /* the checkpoint with which it stops */
  snprintf(path, sizeof path, "%s/%ld", directory, (long)getpid());
  snprintf(hidden, sizeof hidden, "%s/.%ld", directory, (long)getpid());
  const int fd = open(hidden, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return;
  mark = fd; /* before the test sees the file and sends a signal, which has to leave its byte */
  const bool visible = link(hidden, path) == 0 || errno == EEXIST;
  unlink(hidden);
  while (visible && access(path, F_OK) == 0 && !has_handled_signals()) nanosleep(&pause, NULL);
  mark = -1;
  close(fd);
}

int rename(const char *from, const char *to) {
  int (*real)(const char *, const char *) = NULL;
  *(void **)&real = dlsym(RTLD_NEXT, "rename");
  const int result = real(from, to), error = errno;
  const char *directory = getenv("HOLD"), *suffix = strrchr(to, '.');
  if (result == 0 && directory && suffix && !strcmp(suffix, ".checkpoint") && is_due())
    wait_for_removal(directory);
  errno = error;
  return result;
}
